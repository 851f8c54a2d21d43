"""What a model says over time, drawn at its true window and hop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from components.plots.theme import (
    SHARE,
    View,
    colour_bar,
    in_view,
    label_styles,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import FloatArray, Prediction, Segment

MAX_POINTS = 1500
MAX_COLUMNS = 1000


def best_classes(prediction: Prediction, n: int) -> list[int]:
    """Indexes of the n classes with the highest peaks in the whole clip, so that a zoom does not change them."""
    if not prediction.times.size:
        return list(range(min(n, len(prediction.labels))))
    return [int(k) for k in np.argsort(-prediction.scores.max(axis=0), kind="stable")[:n]]


def visible_steps(prediction: Prediction, view: View, most: int) -> tuple[npt.NDArray[np.float64], FloatArray]:
    """Edges (n + 1,) [s] and scores (n, n_classes) of the steps in view, one hop wide around each frame's time.

    Where there are more than `most`, a step is the maximum of several frames.
    """
    part = in_view(prediction.times, view, prediction.hop_s / 2)
    times, scores = prediction.times[part], prediction.scores[part]
    group = -(-times.size // most)
    starts = np.arange(0, times.size, group)
    edges = np.append(times[starts], times[-1] + prediction.hop_s) - prediction.hop_s / 2
    return edges, np.maximum.reduceat(scores, starts, axis=0)


def _unit(prediction: Prediction) -> str:
    return "Score" if prediction.activation == "none" else "Score (0 to 1)"


def _window_note(prediction: Prediction) -> str:
    return f"each step hears {prediction.window_s:.3g} s of sound"


def _events_trace(events: Sequence[Segment], y: float, view: View) -> Any:
    """Bars above the curves, one trace for all."""
    seen = [e for e in events if e.end >= view[0] and e.start <= view[1]]
    return go.Scatter(
        x=[t for e in seen for t in (e.start, e.end, None)],
        y=[v for _ in seen for v in (y, y, None)],
        customdata=[text for e in seen for text in [f"{e.label}, {e.start:.2f} to {e.end:.2f} s"] * 3],
        mode="lines+markers",
        line={"width": 7, "color": "#8C8C8C"},
        marker={"size": 7, "symbol": "line-ns"},
        name="events",
        hovertemplate="%{customdata}<extra></extra>",
    )


def scores(
    prediction: Prediction,
    *,
    clock: str,
    view: View,
    n_best: int = 8,
    threshold: float | None = None,
    events: Sequence[Segment] = (),
    height: int = 240,
) -> go.Figure:
    """Scores of the n_best classes as steps one hop wide; the playhead carries a band as wide as the window."""
    chosen = best_classes(prediction, n_best)
    styles = list(map(label_styles(prediction.labels).__getitem__, prediction.labels))
    edges, values = visible_steps(prediction, view, MAX_POINTS)
    traces = [
        go.Scatter(
            x=edges,
            y=np.append(values[:, k], values[-1:, k]),
            name=prediction.labels[k],
            mode="lines",
            line={"shape": "hv", "width": 2, "color": styles[k]["color"], "dash": styles[k]["dash"]},
            hovertemplate=f"%{{x:.2f}} s<br>{prediction.labels[k]} %{{y:.3f}}<extra></extra>",
        )
        for k in chosen
    ]
    bounded = prediction.activation != "none"
    low, high = (0.0, 1.0) if bounded else (float(values.min()), float(values.max()))
    room = 0.05 * (high - low or 1.0)
    if events:
        traces.append(_events_trace(events, high + room, view))
    yaxis = value_axis(_unit(prediction), range=[low - room, high + (2 * room if events else room)], nticks=6)
    top = max(chosen, key=lambda k: values[:, k].max())
    alt = (
        f"Scores of {prediction.model} {spoken_view(view)}; highest: {prediction.labels[top]} with "
        f"{values[:, top].max():.2f}; {_window_note(prediction)}."
    )
    figure = time_figure(
        traces,
        clock=clock,
        view=view,
        yaxis=yaxis,
        alt=alt,
        height=height,
        legend=True,
        window_s=prediction.window_s,
    )
    figure.add_annotation(
        text=_window_note(prediction), x=1, y=0, xref="paper", yref="paper", xanchor="right", yanchor="top",
        yshift=-26, showarrow=False, font={"size": 11},
    )  # fmt: skip
    if threshold is not None:
        figure.add_hline(y=threshold, line={"dash": "dot", "width": 1.5, "color": "#8C8C8C"})
    return figure


def class_band(
    prediction: Prediction,
    *,
    clock: str,
    view: View,
    classes: Sequence[int] | None = None,
    height: int | None = None,
) -> go.Figure:
    """All classes (or those chosen) as one strip each, the darkest colour the lowest score; for many classes."""
    chosen = list(range(len(prediction.labels))) if classes is None else list(classes)
    edges, values = visible_steps(prediction, view, MAX_COLUMNS)
    names = [prediction.labels[k] for k in chosen]
    strips = values[:, chosen].T
    cells: dict[str, Any]
    if prediction.activation == "none":
        cells = {"z": strips, "colorbar": colour_bar("score")}
        number = "%{z:.3f}"
    else:
        percent = np.rint(strips * 100).astype(np.int8)
        cells = {"z": percent, "zmin": 0, "zmax": 100, "colorbar": colour_bar("%")}
        number = "%{z} %"
    trace = go.Heatmap(
        x=edges,
        y=names,
        **cells,
        colorscale=SHARE,
        hovertemplate="%{x:.2f} s<br>%{y} " + number + "<extra></extra>",
    )
    every = -(-len(names) // 24)  # more labels than this would overlap
    yaxis = value_axis(
        "",
        type="category",
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(0, len(names), every)),
        ticktext=[name if len(name) <= 10 else name[:9] + "…" for name in names[::every]],
    )
    alt = f"Scores of {len(names)} classes of {prediction.model} {spoken_view(view)}; {_window_note(prediction)}."
    return time_figure(
        [trace],
        clock=clock,
        view=view,
        yaxis=yaxis,
        alt=alt,
        height=height or max(120, 60 + 16 * min(len(names), 24)),
        window_s=prediction.window_s,
    )
