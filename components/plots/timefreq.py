"""Pictures of time and frequency: spectrogram, mel bands, cepstral coefficients, notes, and curves in Hz over them.

For the cross-hair a figure says in `layout.meta` what it reads: "frequency", with `row_edges` [Hz] where its rows lie
on an axis of categories (else the axis is in Hz), and the `unit` of its colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from components.plots.theme import (
    LEVEL,
    MARGIN_TOP,
    MARGIN_TOP_LEGEND,
    OKABE_ITO,
    SHARE,
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
from components.plots.time import thinned
from components.types import Feature, FrameParams, Times, Track
from components.units import format_hz

MAX_COLUMNS = 1000

DB_RANGE = (-90.0, 0.0)
"""Fixed, so that a quiet passage does not look louder when it is zoomed to."""
MEL_DB_RANGE = (-110.0, -15.0)
"""Mel bands share out the energy of a sine over their width (Slaney's norm), hence lower numbers."""

Reference = Literal["full scale", "loudest"]
NOTE_NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
MFCC_MEANINGS = (
    "overall level",
    "dark (positive) or bright (negative)",
    "both ends of the spectrum (positive) or its middle (negative)",
    "broad shape: with c2 and c4, which vowel",
    "broad shape: with c2 and c3, which vowel",
)
"""What each coefficient tells, from c0 on; higher ones tell finer and finer detail."""
OVERLAY = (OKABE_ITO[4], OKABE_ITO[1], OKABE_ITO[2], OKABE_ITO[5], OKABE_ITO[3], OKABE_ITO[0])
"""Light ones first: they lie on dark pictures."""

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
    reference: Reference = "full scale",
) -> go.Figure:
    """Level of each frequency over time [dB], on the picture's own scale.

    0 dB is a sine of full scale, or the loudest cell in view where `reference` is "loudest".
    """
    edges = picture.edges
    z, unit = picture.z, "dB"
    if reference == "loudest":
        z = (z.astype(np.int16) - int(z.max())).clip(-128, 127).astype(np.int8)
        unit = "dB re loudest"
    rows: dict[str, Any]
    meta: dict[str, Any] = {"reads": "frequency", "unit": unit}
    if picture.scale == "linear":
        step = float(edges[1] - edges[0])
        rows = {"y0": float(edges[0]) + step / 2, "dy": step}
        yaxis = value_axis("Frequency", range=[edges[0], edges[-1]], **_hz_ticks(edges[0], edges[-1]))
        hz = "%{y:.0f} Hz"
    elif picture.scale in ("log", "constant-q"):
        centres = np.sqrt(edges[:-1] * edges[1:])
        rows = {"y": centres}
        ticks = [f for f in NICE_HZ if edges[0] <= f <= edges[-1]]
        yaxis = value_axis(
            "Frequency (log)" if picture.scale == "log" else "Constant-Q",
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
        meta["row_edges"] = edges.tolist()
    trace = go.Heatmap(
        z=z,
        x0=picture.x0,
        dx=picture.dx,
        **rows,
        zmin=db_range[0],
        zmax=db_range[1],
        colorscale=colour_scale(colours),
        colorbar=colour_bar("dB"),
        hovertemplate="%{x:.3f} s<br>" + hz + f"<br>%{{z}} {unit}<extra></extra>",
        showlegend=False,
    )
    alt = (
        f"Spectrogram {spoken_view(view)}, {_spoken_hz(edges[0])} to {_spoken_hz(edges[-1])}, "
        f"levels from {z.min()} to {z.max()} {unit}."
    )
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, **meta)


def _spoken_hz(frequency: float) -> str:
    """Three figures: 32.7 Hz, 8 kHz."""
    return format_hz(float(f"{frequency:.3g}"))


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
        showlegend=False,
    )
    alt = f"Mel spectrogram {spoken_view(view)}: {z.shape[0]} bands, levels from {z.min()} to {z.max()} dB."
    yaxis = _row_axis(feature.bins, "Mel bands")
    meta = {"reads": "frequency", "unit": "dB", "row_edges": _middles(feature.bins).tolist()}
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, **meta)


def _middles(centres: Times) -> Times:
    """Edges half-way between the rows' centres, and as far beyond the first and the last, not below 0 Hz."""
    if centres.size == 1:
        return np.array([0.0, 2 * centres[0]])
    inner = (centres[:-1] + centres[1:]) / 2
    edges: Times = np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])
    return np.maximum(edges, 0.0)


def overlay(
    figure: go.Figure,
    track: Track,
    *,
    view: View,
    size: float = 5.0,
    colours: Sequence[str] = OVERLAY,
) -> go.Figure:
    """A copy of a spectrogram with curves in Hz (pitch, formants) over it, as points with a white edge.

    On an axis of categories the points lie at the height of their frequency among the rows. Fainter points are
    less sure, where the track says so. Several curves get a legend above the picture, which keeps its height.
    """
    edges = figure.layout.meta.get("row_edges")
    thin = thinned(track, view)
    traces = []
    for i, label in enumerate(thin.labels):
        hz = thin.values[i]
        heard = np.isfinite(hz)
        # On a mel picture: an axis of its own over the categories, whose numbers are rows.
        height = hz if edges is None else np.interp(hz, edges, np.arange(len(edges)) - 0.5, left=np.nan, right=np.nan)
        opacity = 1.0 if thin.strength is None else (0.25 + 0.75 * thin.strength[i][heard].clip(0, 1))
        traces.append(
            go.Scatter(
                x=thin.times[heard],
                y=height[heard],
                yaxis="y" if edges is None else "y2",
                name=label,
                mode="markers",
                marker={
                    "size": size,
                    "color": colours[i % len(colours)],
                    "opacity": opacity,
                    "line": {"color": "white", "width": 0.8},
                },
                customdata=hz[heard],
                hovertemplate=f"%{{x:.3f}} s<br>{label} %{{customdata:.1f}} {track.unit}<extra></extra>",
            )
        )
    drawn = go.Figure(figure)
    drawn.add_traces(traces)
    if edges is not None:
        rows = [-0.5, len(edges) - 1.5]
        drawn.update_layout(yaxis2={"overlaying": "y", "range": rows, "visible": False, "fixedrange": True})
    if len(thin.labels) > 1 and not drawn.layout.showlegend:
        room = MARGIN_TOP_LEGEND - MARGIN_TOP
        drawn.update_layout(
            showlegend=True, height=drawn.layout.height + room, margin={"t": drawn.layout.margin.t + room}
        )
    drawn.layout.meta = {**drawn.layout.meta, "alt": f"{drawn.layout.meta['alt']} {_spoken_track(thin)}"}
    return drawn


def _spoken_track(track: Track) -> str:
    """The range of each curve, in a sentence."""
    ranges = [
        f"{label} {np.nanmin(values):.0f} to {np.nanmax(values):.0f} {track.unit}"
        for label, values in zip(track.labels, track.values, strict=True)
        if np.isfinite(values).any()
    ]
    return f"Over it {track.name}: {', '.join(ranges) or 'none in view'}."


def chroma(feature: Feature, *, clock: str, view: View, height: int = 220) -> go.Figure:
    """Strength of each of the twelve notes over time, C at the bottom, 1 = the strongest of its moment."""
    values, x0, dx = _columns(feature, view, np.add)
    trace = go.Heatmap(
        z=values,
        x0=x0,
        dx=dx,
        y=NOTE_NAMES,
        zmin=0.0,
        zmax=1.0,
        colorscale=colour_scale(SHARE),
        colorbar=colour_bar("share"),
        hovertemplate="%{x:.3f} s<br>%{y}<br>%{z:.2f} of the strongest<extra></extra>",
    )
    mean = values.mean(axis=1)
    strongest = (
        f"{NOTE_NAMES[int(mean.argmax())]} is the strongest note" if mean.any() else "there is nothing but silence"
    )
    alt = f"Chromagram {spoken_view(view)}: {strongest}."
    yaxis = value_axis("Note", type="category", range=[-0.5, 11.5], tickvals=list(range(12)), ticktext=NOTE_NAMES)
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, unit="of the strongest")


def mfcc_meaning(coefficient: int) -> str:
    """What a cepstral coefficient tells, in a few words: c1 "dark (positive) or bright (negative)"."""
    if coefficient < len(MFCC_MEANINGS):
        return MFCC_MEANINGS[coefficient]
    return f"finer detail: {coefficient} half waves over the mel bands"


def mfcc(feature: Feature, *, clock: str, view: View, height: int = 240, show_c0: bool = False) -> go.Figure:
    """Cepstral coefficients over time, or their deltas (a feature named "mfcc delta ...").

    c0, the overall level, dwarfs the others; where shown, it goes beyond the colours, which the others set. What
    each row means stands in the hover text and in `layout.meta.meanings`, by the row's name.
    """
    values, x0, dx = _columns(feature, view, np.add)
    order = feature.name.count("delta")
    prefix = "Δ" * order
    numbers = [int(k) for k in feature.bins]
    limit = signed_limit(values[1:] if len(numbers) > 1 else values)
    if not show_c0 and len(numbers) > 1:
        values, numbers = values[1:], numbers[1:]
    change = ("", "change of: ", "change of the change of: ")[order]
    meanings = {f"{prefix}c{k}": change + mfcc_meaning(k) for k in numbers}
    names = list(meanings)
    rows = [f"{name}: {meaning}" for name, meaning in meanings.items()]
    unit = " per frame" if order else ""
    trace = go.Heatmap(
        z=values,
        x0=x0,
        dx=dx,
        y=rows,
        zmin=-limit,
        zmax=limit,
        colorscale=SIGNED,
        colorbar=colour_bar("value"),
        hovertemplate=f"%{{x:.3f}} s<br>%{{y}}<br>%{{z:.3g}}{unit}<extra></extra>",
    )
    title = ("MFCC", "MFCC delta", "MFCC delta delta")[order]
    alt = f"{title} {spoken_view(view)}: coefficients {names[0]} to {names[-1]}, within +-{limit:.3g}{unit}."
    # Short ticks: a hair beside the middle of the row, as the hover text would show them too, were they on it.
    every = -(-len(names) // 15)
    ticks = {"tickvals": [row + 0.01 for row in range(0, len(names), every)], "ticktext": names[::every]}
    yaxis = value_axis("Coefficient", type="category", range=[-0.5, len(names) - 0.5], **ticks)
    return time_figure(
        [trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, unit=unit.strip(), meanings=meanings
    )
