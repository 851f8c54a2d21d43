"""Pictures of time and frequency: spectrogram, mel bands, cepstral coefficients."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from components.plots.theme import (
    LEVEL,
    SIGNED,
    View,
    colour_bar,
    colour_scale,
    frame_step,
    in_view,
    signed_limit,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import Feature, FrameParams, Times
from components.units import format_hz

MAX_COLUMNS = 1000

DB_RANGE = (-90.0, 0.0)
"""Fixed, so that a quiet passage does not look louder when it is zoomed to."""
MEL_DB_RANGE = (-110.0, -15.0)
"""Mel bands share out the energy of a sine over their width (Slaney's norm), hence lower numbers."""

NICE_HZ = tuple(m * 10.0**e for e in range(1, 5) for m in (1, 2, 5))


class Cells(Protocol):
    """A spectrogram ready to be drawn, as `features.picture.Picture` has it."""

    @property
    def z(self) -> npt.NDArray[np.int8]: ...
    @property
    def x0(self) -> float: ...
    @property
    def dx(self) -> float: ...
    @property
    def edges(self) -> Times: ...
    @property
    def scale(self) -> str: ...
    @property
    def params(self) -> FrameParams: ...


def _row_axis(centres: Times, title: str) -> dict[str, Any]:
    """Rows of equal height with the frequencies that they stand for: ticks at round ones, inside the picture."""
    nice = [f for f in NICE_HZ if centres[0] <= f <= centres[-1]]
    if len(nice) > 8:  # keep 1 and 5 of each decade, 2 falls out
        nice = [f for f in nice if str(f)[0] != "2"]
    rows = np.interp(nice, centres, np.arange(centres.size))
    # On a mel scale the low ones crowd: a tick needs a twelfth of the height.
    kept: list[int] = []
    for i in reversed(range(len(nice))):
        if not kept or rows[kept[-1]] - rows[i] >= centres.size / 12:
            kept.append(i)
    return value_axis(
        title,
        type="category",
        range=[-0.5, centres.size - 0.5],
        tickmode="array",
        tickvals=[float(rows[i]) for i in kept],
        ticktext=[format_hz(nice[i]) for i in kept],
    )


def _hz_ticks(low: float, high: float) -> dict[str, Any]:
    """At most eight round ticks of a linear axis, each with its unit."""
    step = next((s for s in NICE_HZ if (high - low) / s <= 7), NICE_HZ[-1])
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return {"tickvals": list(ticks), "ticktext": [format_hz(f) for f in ticks]}


def _row_names(centres: Times) -> list[str]:
    """A name for each row, unique, for the hover text."""
    return [f"{f:.1f} Hz" if f < 1000 else f"{f / 1000:.3f} kHz" for f in centres]


def spectrogram(
    picture: Cells,
    *,
    clock: str,
    view: View,
    height: int = 260,
    db_range: tuple[float, float] = DB_RANGE,
    colours: str = LEVEL,
) -> go.Figure:
    """Level of each frequency over time [dB, 0 = a sine of full scale], on the picture's own scale."""
    edges = picture.edges
    rows: dict[str, Any]
    if picture.scale == "linear":
        step = float(edges[1] - edges[0])
        rows = {"y0": float(edges[0]) + step / 2, "dy": step}
        yaxis = value_axis("Frequency", range=[edges[0], edges[-1]], **_hz_ticks(edges[0], edges[-1]))
        hz = "%{y:.0f} Hz"
    elif picture.scale == "log":
        centres = np.sqrt(edges[:-1] * edges[1:])
        rows = {"y": centres}
        ticks = [f for f in NICE_HZ if edges[0] <= f <= edges[-1]]
        yaxis = value_axis(
            "Frequency (log)",
            type="log",
            range=[float(np.log10(edges[0])), float(np.log10(edges[-1]))],
            tickvals=ticks,
            ticktext=[format_hz(f) for f in ticks],
        )
        hz = "%{y:.0f} Hz"
    else:
        centres = (edges[:-1] + edges[1:]) / 2
        rows = {"y": _row_names(centres)}
        yaxis = _row_axis(centres, "Frequency (mel)")
        hz = "%{y}"
    trace = go.Heatmap(
        z=picture.z,
        x0=picture.x0,
        dx=picture.dx,
        **rows,
        zmin=db_range[0],
        zmax=db_range[1],
        colorscale=colour_scale(colours),
        colorbar=colour_bar("dB"),
        hovertemplate="%{x:.3f} s<br>" + hz + "<br>%{z} dB<extra></extra>",
    )
    alt = (
        f"Spectrogram {spoken_view(view)}, {format_hz(float(edges[0]))} to {format_hz(float(edges[-1]))}, "
        f"levels from {picture.z.min()} to {picture.z.max()} dB."
    )
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height)


def _columns(feature: Feature, view: View, pool: np.ufunc) -> tuple[npt.NDArray[np.float32], float, float]:
    """The feature's frames in view, at most MAX_COLUMNS: values (n_bins, n_columns), x0, dx."""
    step = frame_step(feature.times, feature.params.hop_length / 1000)
    part = in_view(feature.times, view, step / 2)
    values = feature.values[:, part]
    group = -(-values.shape[1] // MAX_COLUMNS)
    starts = np.arange(0, values.shape[1], group)
    pooled = pool.reduceat(values, starts, axis=1)
    if pool is np.add:
        pooled = pooled / np.diff(np.append(starts, values.shape[1])).astype(np.float32)
    x0 = float(feature.times[part][0]) + (group - 1) / 2 * step
    return pooled, x0, group * step


def mel(
    feature: Feature, *, clock: str, view: View, height: int = 240, db_range: tuple[float, float] = MEL_DB_RANGE
) -> go.Figure:
    """Mel bands over time in dB, equally high, with the frequencies of their centres."""
    values, x0, dx = _columns(feature, view, np.maximum)
    z = np.rint(values).clip(-128, 127).astype(np.int8)
    trace = go.Heatmap(
        z=z,
        x0=x0,
        dx=dx,
        y=_row_names(feature.bins),
        zmin=db_range[0],
        zmax=db_range[1],
        colorscale=colour_scale(LEVEL),
        colorbar=colour_bar("dB"),
        hovertemplate="%{x:.3f} s<br>band at %{y}<br>%{z} dB<extra></extra>",
    )
    alt = f"Mel spectrogram {spoken_view(view)}: {z.shape[0]} bands, levels from {z.min()} to {z.max()} dB."
    yaxis = _row_axis(feature.bins, "Mel bands")
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height)


def mfcc(feature: Feature, *, clock: str, view: View, height: int = 240, show_c0: bool = False) -> go.Figure:
    """Cepstral coefficients over time. c0, the overall level, dwarfs the others; where shown, it goes beyond the
    colours, which the others set."""
    values, x0, dx = _columns(feature, view, np.add)
    names = [f"c{int(k)}" for k in feature.bins]
    limit = signed_limit(values[1:] if len(names) > 1 else values)
    if not show_c0 and len(names) > 1:
        values, names = values[1:], names[1:]
    trace = go.Heatmap(
        z=values,
        x0=x0,
        dx=dx,
        y=names,
        zmin=-limit,
        zmax=limit,
        colorscale=SIGNED,
        colorbar=colour_bar("value"),
        hovertemplate="%{x:.3f} s<br>%{y} = %{z:.1f}<extra></extra>",
    )
    alt = f"MFCC {spoken_view(view)}: coefficients {names[0]} to {names[-1]}, within +-{limit:.0f}."
    yaxis = value_axis("Coefficient", type="category", range=[-0.5, len(names) - 0.5])
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height)
