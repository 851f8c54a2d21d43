"""Curves over time: the waveform, and features with one number a frame."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import plotly.graph_objects as go

from components.plots.theme import LINE, View, frame_step, in_view, spoken_view, time_figure, value_axis
from components.types import Feature, FloatArray, Times

FEW_SAMPLES = 200
MAX_POINTS = 1500

NAMES = {
    "rms": ("Loudness (RMS)", "amplitude"),
    "zero_crossing_rate": ("Zero crossings", "share of samples"),
    "spectral_centroid": ("Spectral centroid", "Hz"),
}


class Outline(Protocol):
    """The outline of a waveform, as `features.envelope.Envelope` has it."""

    @property
    def times(self) -> Times: ...
    @property
    def low(self) -> FloatArray: ...
    @property
    def high(self) -> FloatArray: ...
    @property
    def step(self) -> int: ...


def waveform(outline: Outline, *, clock: str, view: View, height: int = 150, limit: float | None = None) -> go.Figure:
    """Samples over time: the true ones where there are few, else the lowest to the highest of each column.

    `limit` is the largest magnitude on the y axis; None fits it to what is seen, as speech is small on +-1.
    """
    peak = max(float(np.abs(outline.low).max()), float(np.abs(outline.high).max()))
    limit = limit or max(peak * 1.05, 1e-3)
    if outline.step == 1:
        few = outline.times.size < FEW_SAMPLES
        traces = [
            go.Scatter(
                x=outline.times.astype(np.float64),
                y=outline.high,
                mode="lines+markers" if few else "lines",
                line={"color": LINE, "width": 1.2},
                marker={"size": 5},
                hovertemplate="%{x:.5f} s<br>sample %{y:.4f}<extra></extra>",
            )
        ]
    else:
        line = {"color": LINE, "width": 1}
        traces = [
            go.Scatter(x=outline.times, y=outline.low, mode="lines", line=line, hoverinfo="skip"),
            go.Scatter(
                x=outline.times,
                y=outline.high,
                mode="lines",
                line=line,
                fill="tonexty",
                fillcolor=LINE,
                customdata=outline.low,
                hovertemplate="%{x:.3f} s<br>from %{customdata:.3f} to %{y:.3f}<extra></extra>",
            ),
        ]
    alt = f"Waveform {spoken_view(view)}; the loudest sample is {peak:.3f} of full scale."
    yaxis = value_axis("Amplitude", range=[-limit, limit], nticks=5)
    return time_figure(traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height)


def curve(feature: Feature, *, clock: str, view: View, height: int = 150) -> go.Figure:
    """A feature with one number a frame; where there are more frames than points, a point is the mean of some."""
    title, unit = NAMES.get(feature.name, (feature.name, feature.value_unit))
    part = in_view(feature.times, view, frame_step(feature.times))
    times, values = feature.times[part], feature.values[0, part]
    group = -(-times.size // MAX_POINTS)
    if group > 1:
        starts = np.arange(0, times.size, group)
        counts = np.diff(np.append(starts, times.size))
        times = np.add.reduceat(times, starts) / counts
        values = (np.add.reduceat(values, starts, dtype=np.float64) / counts).astype(np.float32)
    trace = go.Scatter(
        x=times,
        y=values,
        mode="lines+markers" if times.size < FEW_SAMPLES else "lines",
        line={"color": LINE, "width": 1.5},
        marker={"size": 4},
        hovertemplate=f"%{{x:.3f}} s<br>%{{y:.4g}} {unit}<extra></extra>",
    )
    alt = f"{title} {spoken_view(view)}: {values.min():.4g} to {values.max():.4g} {unit}."
    yaxis = value_axis(f"{title}<br>({unit})", rangemode="tozero", nticks=5)
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height)
