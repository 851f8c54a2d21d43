"""The voice over time: pitch with its candidates, formants, speech and pauses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from components.plots.theme import (
    LINE,
    OKABE_ITO,
    SYMBOLS,
    View,
    frame_step,
    in_view,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import Segment, Times, Track
from components.units import format_hz, format_time

PitchUnit = Literal["Hz", "semitones"]

MAX_POINTS = 1500
FEW_FRAMES = 250
"""With fewer frames than this in view, bandwidths are drawn as bars."""
MAX_PIXELS = 2000
REFERENCE_HZ = 100.0
"""0 semitones, as in Praat's "semitones re 100 Hz"."""
GREY = "#8C8C8C"
NICE_HZ = (10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1500, 2000, 3000, 5000)
FAINTEST = 0.2


def semitones(hz: Any) -> Any:
    """12 log2(f / 100 Hz)."""
    return 12 * np.log2(np.asarray(hz, np.float64) / REFERENCE_HZ)


def _grouped(values: Times, group: int, of: Callable[..., Any]) -> Times:
    """`of` the values of each `group` frames that are numbers, NaN where none is; shape (..., n_groups)."""
    count = -(-values.shape[-1] // group)
    width = [(0, 0)] * (values.ndim - 1) + [(0, count * group - values.shape[-1])]
    parts = np.pad(values, width, constant_values=np.nan).reshape(*values.shape[:-1], count, group)
    grouped = np.full(parts.shape[:-1], np.nan)
    some = ~np.isnan(parts).all(axis=-1)
    grouped[some] = of(parts[some], axis=-1)
    return grouped


def _seen(track: Track, view: View) -> tuple[Times, Times, Times, int]:
    """Times (n,), values and strengths (n_curves, n) in view, at most MAX_POINTS, and the frames in each point.

    Where a point stands for several frames it is their median, its strength their mean.
    """
    part = in_view(track.times, view, frame_step(track.times))
    times, values = track.times[part], track.values[:, part]
    # What nobody is unsure of is drawn in full.
    strength = np.where(np.isnan(values), np.nan, 1.0) if track.strength is None else track.strength[:, part]
    group = max(1, -(-times.size // MAX_POINTS))
    if group > 1:
        times = _grouped(times, group, np.nanmean)
        strength = _grouped(np.where(np.isnan(values), np.nan, strength), group, np.nanmean)
        values = _grouped(values, group, np.nanmedian)
    return times, values, strength, group


def _opacity(strength: Times) -> Times:
    """The stronger, the darker; never invisible."""
    return np.round(FAINTEST + (1 - FAINTEST) * np.clip(np.nan_to_num(strength), 0, 1), 2)


def _pitch_axis(floor: float, ceiling: float, unit: PitchUnit) -> dict[str, Any]:
    low, high = floor * 0.88, ceiling * 1.14
    if unit == "semitones":
        return value_axis("Pitch (semitones<br>re 100 Hz)", range=[float(semitones(low)), float(semitones(high))])
    ticks = [f for f in NICE_HZ if low <= f <= high]
    return value_axis(
        "Pitch (Hz, log)",
        type="log",
        range=[float(np.log10(low)), float(np.log10(high))],
        tickvals=ticks,
        ticktext=[str(f) for f in ticks],
    )


def pitch(
    track: Track,
    candidates: Track | None = None,
    *,
    clock: str,
    view: View,
    floor: float,
    ceiling: float,
    unit: PitchUnit = "Hz",
    height: int = 240,
) -> go.Figure:
    """The chosen pitch as a line with gaps where there is no voice, its dots the fainter the less sure; grey dots are
    all candidates, dashed lines the floor and the ceiling [Hz] of the search.

    Candidates are drawn where each frame is: not in views of more than MAX_POINTS frames.
    """
    times, values, strength, group = _seen(track, view)
    hz = values[0]
    drawn = semitones if unit == "semitones" else np.asarray
    traces = []
    if candidates is not None and group == 1:
        traces.append(_candidates(candidates, view, floor, ceiling, drawn))
    traces.append(
        go.Scatter(
            x=times,
            y=drawn(hz),
            mode="lines+markers",
            connectgaps=False,
            line={"color": LINE, "width": 1.2},
            marker={"size": 6, "color": LINE, "opacity": _opacity(strength[0])},
            customdata=np.stack([hz, semitones(hz), strength[0]], axis=-1),
            hovertemplate="%{x:.3f} s<br>%{customdata[0]:.1f} Hz<br>%{customdata[1]:.2f} semitones re 100 Hz"
            "<br>strength %{customdata[2]:.2f}<extra></extra>",
            name="pitch (faint: unsure)" if group == 1 else f"pitch (faint: unsure), median of {group} frames",
        )
    )
    figure = time_figure(
        traces,
        clock=clock,
        view=view,
        yaxis=_pitch_axis(floor, ceiling, unit),
        alt=_spoken_pitch(hz, view, floor, ceiling),
        height=height,
        legend=True,
        unit="st" if unit == "semitones" else "Hz",
    )
    for at, name in ((floor, "floor"), (ceiling, "ceiling")):
        y = float(drawn(at))
        figure.add_hline(y=y, line={"dash": "dash", "width": 1.2, "color": GREY})
        # In the right margin, where nothing lies below. Plotly wants the exponent here on a log axis, but not above.
        figure.add_annotation(
            text=f"{name}<br>{at:g} Hz", y=y if unit == "semitones" else np.log10(y), x=1, xref="paper",
            xanchor="left", xshift=4, align="left", showarrow=False, font={"size": 11, "color": GREY},
        )  # fmt: skip
    return figure


def _candidates(candidates: Track, view: View, floor: float, ceiling: float, drawn: Callable[[Any], Any]) -> Any:
    """All candidates between floor and ceiling as one trace of dots."""
    part = in_view(candidates.times, view, frame_step(candidates.times))
    hz = candidates.values[:, part]
    strength = np.ones_like(hz) if candidates.strength is None else candidates.strength[:, part]
    some = (hz >= floor) & (hz <= ceiling)
    times = np.broadcast_to(candidates.times[part], hz.shape)[some]
    return go.Scatter(
        x=times,
        y=drawn(hz[some]),
        mode="markers",
        marker={"size": 3.5, "color": GREY, "opacity": _opacity(strength[some])},
        customdata=np.stack([hz[some], strength[some]], axis=-1),
        hovertemplate="%{x:.3f} s<br>candidate %{customdata[0]:.1f} Hz<br>strength %{customdata[1]:.2f}<extra></extra>",
        name="candidates",
    )


def _spoken_pitch(hz: Times, view: View, floor: float, ceiling: float) -> str:
    voiced = hz[~np.isnan(hz)]
    searched = f"searched from {floor:g} to {ceiling:g} Hz"
    if not voiced.size:
        return f"Pitch {spoken_view(view)}, {searched}: no voice was found."
    return (
        f"Pitch {spoken_view(view)}, {searched}: median {np.median(voiced):.0f} Hz, from {voiced.min():.0f} to "
        f"{voiced.max():.0f} Hz; {voiced.size / hz.size:.0%} of the time is voiced."
    )


WIDE_HZ = 400.0
"""A formant as wide as this is hardly one: its dot is faint [Hz]."""


def formants(
    track: Track,
    bandwidths: Track | None = None,
    *,
    clock: str,
    view: View,
    ceiling: float | None = None,
    height: int = 260,
) -> go.Figure:
    """A dot for each formant and frame, the fainter the wider its band; zoomed in, a bar as long as the band is wide.

    `bandwidths` has the curves and times of `track`, in Hz; `ceiling` is the highest frequency searched [Hz], None for
    what holds all of the track's values.
    """
    top = ceiling or float(np.ceil(np.nanmax(track.values, initial=1000.0) / 500) * 500)
    times, values, _, group = _seen(track, view)
    widths = None if bandwidths is None else _seen(bandwidths, view)[1]
    traces = []
    for k, label in enumerate(track.labels):
        colour = OKABE_ITO[k % len(OKABE_ITO)]
        marker: dict[str, Any] = {"size": 4, "color": colour, "symbol": SYMBOLS[k % len(SYMBOLS)]}
        more: dict[str, Any] = {}
        hover = f"%{{x:.3f}} s<br>{label} %{{y:.0f}} Hz" + (f"<br>median of {group} frames" if group > 1 else "")
        if widths is not None:
            # Not the bars' colour: a dot's own opacity does not reach its bar.
            marker["opacity"] = _opacity(np.where(np.isnan(widths[k]), 0, 1 - widths[k] / WIDE_HZ))
            more["customdata"] = widths[k]
            hover += "<br>band %{customdata:.0f} Hz wide"
            if times.size <= FEW_FRAMES:
                bars = {"type": "data", "array": widths[k] / 2, "width": 0, "thickness": 1}
                more["error_y"] = bars | {"color": _faint(colour)}
        traces.append(
            go.Scatter(
                x=times,
                y=values[k],
                mode="markers",
                marker=marker,
                hovertemplate=hover + "<extra></extra>",
                name=label,
                legendgroup=label,
                showlegend=False,
                **more,
            )
        )
        # The legend would show the mean opacity.
        full = go.Scatter(x=[None], y=[None], mode="markers", marker=marker | {"opacity": 1, "size": 7})
        traces.append(full.update(name=label, legendgroup=label))
    medians = [
        f"{label} {np.nanmedian(row):.0f} Hz"
        for label, row in zip(track.labels, values, strict=True)
        if not np.isnan(row).all()
    ]
    found = f"medians {', '.join(medians)}" if medians else "none was found"
    searched = f", searched up to {format_hz(ceiling)}" if ceiling else ""
    alt = f"Formants {spoken_view(view)}{searched}: {found}."
    yaxis = value_axis("Formants (Hz)", range=[0, top * 1.04], dtick=1000, tickformat="d")
    return time_figure(traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, legend=True, unit="Hz")


def _faint(colour: str) -> str:
    """A #rrggbb colour, half transparent."""
    return f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:7], 16)},0.45)"


SPEECH, PAUSE, NUCLEUS = OKABE_ITO[4], GREY, OKABE_ITO[3]


def structure(
    speech: Sequence[Segment],
    pauses: Sequence[Segment],
    nuclei: Sequence[float] = (),
    *,
    clock: str,
    view: View,
    height: int = 120,
) -> go.Figure:
    """Speech as high bars, the pauses between them as low ones, and a mark above for the nucleus of each syllable.

    What is narrower than a pixel is drawn together with its neighbours; more than MAX_POINTS nuclei are not drawn.
    """
    talking, silent = _in_sight(speech, view), _in_sight(pauses, view)
    marks = np.asarray(nuclei, np.float64)
    marks = marks[(marks >= view[0]) & (marks <= view[1])]
    traces = [
        _bars(_together(talking, view), "speech", 0.6, {"color": SPEECH}),
        _bars(
            _together(silent, view),
            "pause",
            0.25,
            {"color": PAUSE, "pattern": {"shape": "/", "size": 5, "fgopacity": 0.6}},
        ),
    ]
    if 0 < marks.size <= MAX_POINTS:
        traces.append(
            go.Scatter(
                x=marks,
                y=np.full(marks.size, 0.8),
                mode="markers",
                marker={"symbol": "line-ns", "size": 12, "line": {"width": 1.8, "color": NUCLEUS}, "color": NUCLEUS},
                hovertemplate="syllable at %{x:.3f} s<extra></extra>",
                name="syllable",
            )
        )
    seconds = _duration([Segment(max(s.start, view[0]), min(s.end, view[1]), s.label, s.score) for s in talking])
    counted = f", syllables: {marks.size}" if len(nuclei) else ""
    pauses_seen = "1 pause" if len(silent) == 1 else f"{len(silent)} pauses"
    alt = f"Speech and pauses {spoken_view(view)}: {seconds:.1f} s of speech, {pauses_seen}{counted}."
    if marks.size > MAX_POINTS:
        alt += " Zoom in to see the syllables."
    yaxis = value_axis("Speech", range=[0, 1], showticklabels=False, showgrid=False)
    figure = time_figure(traces, clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, legend=True)
    figure.update_layout(barmode="overlay")
    if marks.size > MAX_POINTS:
        figure.add_annotation(
            text="zoom in for syllables", x=1, y=1, xref="paper", yref="paper", xanchor="right", yanchor="top",
            showarrow=False, font={"size": 11, "color": GREY},
        )  # fmt: skip
    return figure


def _in_sight(segments: Sequence[Segment], view: View) -> list[Segment]:
    return [s for s in segments if s.end > view[0] and s.start < view[1]]


def _together(segments: Sequence[Segment], view: View) -> list[list[Segment]]:
    """The segments in groups to be drawn as one: less than a pixel apart, ten pixels long at most."""
    pixel = (view[1] - view[0]) / MAX_PIXELS
    groups: list[list[Segment]] = []
    for s in segments:
        if groups and s.start - groups[-1][-1].end < pixel and s.end - groups[-1][0].start < 10 * pixel:
            groups[-1].append(s)
        else:
            groups.append([s])
    return groups


def _duration(segments: Sequence[Segment]) -> float:
    return sum(s.end - s.start for s in segments)


def _spoken(group: list[Segment]) -> str:
    many = f": {len(group)} stretches" if len(group) > 1 else ""
    return f"{format_time(group[0].start)} to {format_time(group[-1].end)}{many}, {_duration(group):.2f} s"


def _bars(groups: list[list[Segment]], name: str, top: float, marker: dict[str, Any]) -> Any:
    return go.Bar(
        base=0.0,
        x=[(group[0].start + group[-1].end) / 2 for group in groups],
        width=[group[-1].end - group[0].start for group in groups],
        y=[top] * len(groups),
        marker={**marker, "line": {"width": 0}},
        customdata=[_spoken(group) for group in groups],
        hovertemplate=f"{name}<br>%{{customdata}}<extra></extra>",
        name=name,
    )
