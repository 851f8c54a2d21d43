"""Curves over time: the waveform, features with one number a frame, tracks (pitch, loudness ...), marks.

For the cross-hair a figure says in `layout.meta` the `unit` of its first curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go

from components.plots.theme import (
    LINE,
    OKABE_ITO,
    View,
    frame_step,
    in_view,
    label_styles,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import Feature, FloatArray, Times, Track

FEW_SAMPLES = 200
MAX_POINTS = 1500
MAX_MARKS = 2000
LOWEST_ON_LOG = 1e-6
WAVE_DB_FLOOR = -60.0
"""Lowest level of a waveform in decibels: a good room's noise."""
GAP = 0.06
"""Between the channels of a waveform, as a share of a channel's height."""

NAMES = {
    "rms": ("Loudness (RMS)", "amplitude"),
    "zero_crossing_rate": ("Zero crossings", "share of samples"),
    "spectral_centroid": ("Spectral centroid", "Hz"),
    "spectral_bandwidth": ("Spectral bandwidth", "Hz"),
    "spectral_rolloff": ("Roll-off (85 %)", "Hz"),
    "spectral_flatness": ("Spectral flatness", "0 tone, 1 noise"),
    "onset_strength": ("Onset strength", "dB per frame"),
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


def _peak(outline: Outline) -> float:
    return max(float(np.abs(outline.low).max()), float(np.abs(outline.high).max()))


def _level(outline: Outline) -> FloatArray:
    """Level of the largest sample of each column [dB re full scale], not below WAVE_DB_FLOOR."""
    magnitude = np.maximum(np.abs(outline.low), np.abs(outline.high))
    decibels = np.maximum(20 * np.log10(np.maximum(magnitude, 1e-9)), WAVE_DB_FLOOR)
    return np.asarray(decibels, np.float32)


def _bars(outline: Outline, low: FloatArray, high: FloatArray, named: str, colour: str) -> list[go.Scatter]:
    """The area between two curves; `outline` is what the hover text tells."""
    line = {"color": colour, "width": 1}
    told = np.stack([outline.low, outline.high], axis=1)
    hover = f"%{{x:.3f}} s{named}<br>from %{{customdata[0]:.3f}} to %{{customdata[1]:.3f}}<extra></extra>"
    return [
        go.Scatter(x=outline.times, y=low, mode="lines", line=line, hoverinfo="skip"),
        go.Scatter(
            x=outline.times,
            y=high,
            mode="lines",
            line=line,
            fill="tonexty",
            fillcolor=colour,
            customdata=told,
            hovertemplate=hover,
        ),
    ]


def _samples(outline: Outline, y: FloatArray, named: str, colour: str) -> go.Scatter:
    """True samples, as dots where they are few."""
    return go.Scatter(
        x=outline.times.astype(np.float64),
        y=y,
        mode="lines+markers" if outline.times.size < FEW_SAMPLES else "lines",
        line={"color": colour, "width": 1.2},
        marker={"size": 5},
        customdata=outline.high,
        hovertemplate=f"%{{x:.5f}} s{named}<br>sample %{{customdata:.4f}}<extra></extra>",
    )


def _levels(outline: Outline, y: FloatArray, floor: float, named: str, colour: str) -> go.Scatter:
    """Levels as an area that stands on `floor`; `y` is their height on the axis."""
    x, level = outline.times, _level(outline)
    return go.Scatter(
        # There and back: one trace, so that the cross-hair reads the level and not a second curve for the floor.
        x=np.concatenate([x, x[[-1, 0]]]),
        y=np.concatenate([y, np.full(2, floor, np.float32)]),
        mode="lines",
        line={"color": colour, "width": 1},
        fill="toself",
        fillcolor=colour,
        hoveron="points",
        customdata=np.concatenate([level, level[[-1, 0]]]),
        hovertemplate=f"%{{x:.3f}} s{named}<br>%{{customdata:.1f}} dB<extra></extra>",
    )


def waveform(
    outline: Outline,
    *,
    clock: str,
    view: View,
    height: int = 150,
    limit: float | None = None,
    decibels: bool = False,
    name: str = "",
) -> go.Figure:
    """Samples over time: the true ones where there are few, else the lowest to the highest of each column.

    `limit` is the largest magnitude on the y axis; None fits it to what is seen, as speech is small on +-1.
    With `decibels` the level of the largest sample of each column, 20 log10 |x|, from -60 dB to full scale: faint
    sounds can be seen beside loud ones. `name` is put into the alternative text ("left channel").
    """
    peak = _peak(outline)
    subject = f"Waveform of {name}" if name else "Waveform"
    alt = f"{subject} {spoken_view(view)}; the loudest sample is {peak:.3f} of full scale."
    if decibels:
        level = _level(outline)
        traces = [_levels(outline, level, WAVE_DB_FLOOR, "", LINE)]
        top = max(0.0, float(level.max()))  # above full scale where samples are beyond +-1
        yaxis = value_axis("Level (dB)", range=[WAVE_DB_FLOOR, top], tickvals=[-40, -20, 0])
        return time_figure(traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, unit="dB")
    limit = limit or max(peak * 1.05, 1e-3)
    if outline.step == 1:
        traces = [_samples(outline, outline.high, "", LINE)]
    else:
        traces = _bars(outline, outline.low, outline.high, "", LINE)
    yaxis = value_axis("Amplitude", range=[-limit, limit], nticks=5)
    return time_figure(traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, unit="")


def waveforms(
    outlines: Sequence[Outline],
    names: Sequence[str],
    *,
    clock: str,
    view: View,
    height: int | None = None,
    limit: float | None = None,
    decibels: bool = False,
) -> go.Figure:
    """Several channels one below the other, all on the same scale of amplitude (or level), named at the left.

    `limit` and `decibels` as in `waveform`; the height is that of as many waveforms as there are, by default.
    """
    peak = max(_peak(outline) for outline in outlines)
    limit = limit or max(peak * 1.05, 1e-3)
    share = np.float32((1 - GAP) / 2)  # of a row, above and below its middle
    traces: list[go.Scatter] = []
    for row, (outline, name) in enumerate(zip(outlines, names, strict=True)):
        middle, colour, named = np.float32(-row), OKABE_ITO[row % len(OKABE_ITO)], f"<br>{name}"
        if decibels:
            y = middle + share * (1 - 2 * _level(outline) / np.float32(WAVE_DB_FLOOR))
            traces.append(_levels(outline, y, float(middle - share), named, colour))
        elif outline.step == 1:
            traces.append(_samples(outline, middle + share / np.float32(limit) * outline.high, named, colour))
        else:
            low, high = (middle + share / np.float32(limit) * part for part in (outline.low, outline.high))
            traces += _bars(outline, low, high, named, colour)
    count = len(outlines)
    span = f"−{-WAVE_DB_FLOOR:.0f} to 0 dB" if decibels else f"±{limit:.2g}"
    yaxis = value_axis(
        "",
        range=[0.5 - count, 0.5],
        tickvals=[-row for row in range(count)],
        ticktext=[f"{name if len(name) <= 10 else name[:9] + '…'}<br>{span}" for name in names],
        showgrid=False,
    )
    subject = "Levels" if decibels else "Waveforms"
    alt = (
        f"{subject} of {count} channels ({', '.join(names)}) {spoken_view(view)}; the loudest sample is {peak:.3f} "
        "of full scale."
    )
    figure = time_figure(traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height or 60 + 90 * count)
    for row in range(1, count):
        figure.add_hline(0.5 - row, line={"color": "#8C8C8C", "width": 1})
    return figure


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
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, unit=unit)


def _mean_by_group(values: Times, group: int) -> Times:
    """Mean of every `group` numbers of the last axis, leaving NaN out; NaN where there is nothing else."""
    starts = np.arange(0, values.shape[-1], group)
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite, starts, axis=-1, dtype=np.int64)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts, axis=-1)
    means: Times = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def thinned(track: Track, view: View) -> Track:
    """The part of a track in view, in at most MAX_POINTS moments: means of its values, NaN left out."""
    if not track.times.size:
        return track
    part = in_view(track.times, view, frame_step(track.times))
    times, values = track.times[part], track.values[:, part]
    strength = None if track.strength is None else track.strength[:, part]
    group = -(-times.size // MAX_POINTS)
    if group > 1:
        times, values = _mean_by_group(times, group), _mean_by_group(values, group)
        strength = None if strength is None else _mean_by_group(strength, group)
    return replace(track, times=times, values=values, strength=strength)


def _has_islands(values: Times) -> bool:
    """Whether there is a value between two gaps: a line of no length, which only a marker shows."""
    there = np.pad(np.isfinite(values), 1)
    return bool((there[1:-1] & ~there[:-2] & ~there[2:]).any())


def _log_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round values between low and high, at most about `count`, for a logarithmic axis."""
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1,)):
        ticks = [step * 10.0**e for e in range(-6, 7) for step in steps if low <= step * 10.0**e <= high]
        if len(ticks) <= count:
            break
    return ticks


def _padded(low: float, high: float, part: float = 0.06) -> list[float]:
    """A range a little wider than from low to high, so that no point lies on the frame."""
    room = part * (high - low) or max(abs(high) * part, 1e-3)
    return [low - room, high + room]


def tracks(
    track: Track,
    *,
    clock: str,
    view: View,
    height: int = 180,
    title: str = "",
    limits: tuple[float, float] | None = None,
    log: bool = False,
    lines: bool = True,
) -> go.Figure:
    """Curves that share their moments, with gaps where there is no value; a legend when there are several.

    Where a track says how sure it is, each point is as opaque as it is sure. `title` names the y axis (by default
    the track's name); `limits` are its lowest and highest value (None: what is in view); `log` makes equal intervals
    of pitch equally high; `lines` joins neighbouring points.
    """
    thin = thinned(track, view)
    subject = title or track.name[:1].upper() + track.name[1:]
    finite = thin.values[np.isfinite(thin.values)]
    low, high = limits or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    styles = label_styles(track.labels)
    several = len(track.labels) > 1
    traces = []
    for i, label in enumerate(thin.labels):
        colour = styles[label]["color"] if several else LINE
        strength = None if thin.strength is None else 0.15 + 0.85 * np.nan_to_num(thin.strength[i]).clip(0, 1)
        dots = not lines or strength is not None or thin.times.size < FEW_SAMPLES or _has_islands(thin.values[i])
        traces.append(
            go.Scatter(
                x=thin.times,
                y=thin.values[i],
                name=label,
                mode="+".join(["lines"] * lines + ["markers"] * dots),
                line={"color": colour, "width": 1.5},
                marker={"size": 4 if lines else 5, "color": colour, "opacity": 1.0 if strength is None else strength},
                connectgaps=False,
                hovertemplate=f"%{{x:.3f}} s<br>{label} %{{y:.4g}} {track.unit}<extra></extra>",
            )
        )
    axis: dict[str, Any] = {"nticks": 5, "range": _padded(low, high)}
    if log:
        low, high = max(low, LOWEST_ON_LOG), max(high, LOWEST_ON_LOG)
        axis = {"type": "log", "range": _padded(float(np.log10(low)), float(np.log10(high)))}
        ticks = _log_ticks(10 ** axis["range"][0], 10 ** axis["range"][1])
        axis |= {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    unit = f"<br>({track.unit})" if track.unit else ""
    said = f"{finite.min():.4g} to {finite.max():.4g} {track.unit}".strip() if finite.size else "no value in view"
    alt = f"{subject} {spoken_view(view)}: {said}" + (f" ({', '.join(track.labels)})." if several else ".")
    yaxis = value_axis(f"{subject}{unit}", **axis)
    return time_figure(
        traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, legend=several, unit=track.unit
    )


def onsets(
    figure: go.Figure, times: Times, *, name: str = "onsets", colour: str = OKABE_ITO[3], dash: str = "solid"
) -> go.Figure:
    """A copy of a figure on the clock with an upright mark at each moment in view.

    More than 2000 marks are not drawn, as they would hide everything: the alternative text says so.
    """
    drawn = go.Figure(figure)
    left, right = drawn.layout.xaxis.range
    seen = np.asarray(times, np.float64)
    seen = seen[(seen >= left) & (seen <= right)]
    said = f"Marked: {seen.size} {name}" + (", too many to be drawn." if seen.size > MAX_MARKS else ".")
    drawn.layout.meta = {**drawn.layout.meta, "alt": f"{drawn.layout.meta['alt']} {said}"}
    if seen.size > MAX_MARKS:
        return drawn
    drawn.add_trace(
        go.Scatter(
            x=np.repeat(seen, 3),
            y=np.tile([0.0, 1.0, np.nan], seen.size),
            yaxis="y3",
            name=name,
            mode="lines",
            line={"color": colour, "width": 1.2, "dash": dash},
            hovertemplate=f"%{{x:.3f}} s<br>{name}<extra></extra>",
            showlegend=False,
        )
    )
    # An axis of their own from 0 to 1: the marks reach from top to bottom whatever is below them.
    drawn.update_layout(yaxis3={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})
    return drawn
