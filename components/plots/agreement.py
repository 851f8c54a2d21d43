"""Several models on one clip: what each names, how many of them name the same, which labels go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from components.plots.theme import (
    BARE,
    FONT_SIZE,
    LINE,
    MARGIN_BOTTOM,
    MARGIN_RIGHT,
    SHARE,
    SYMBOLS,
    View,
    colour_bar,
    in_view,
    label_styles,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import Times

NONE = "none"
ROW_PX, HEAD_PX = 54, 92
KEYS_PX, KEY_PX, LETTER_PX = 620, 44, 7
"""Room for the legend on a narrow page, and what a label takes of it; all are named in the strips and at the mouse."""
MAX_POINTS = 1500
MOST_LABELS = 12
"""As many labels of each model are drawn in a table of labels that go together."""
PATTERNS = ("", "/", "x", ".")
"""Where the colours begin again: in place of a curve's dashes."""


@dataclass(frozen=True)
class Strip:
    """What one model names over time, run by run.

    Attributes
    ----------
    title : of the model
    labels : all that it has, as the order decides the colours
    starts, stops : of each run, shape (n_runs,) [s]
    said : the label of each run
    """

    title: str
    labels: tuple[str, ...]
    starts: Times
    stops: Times
    said: tuple[str, ...]

    def share(self, label: str) -> float:
        """How much of what is drawn has the label [s]."""
        chosen = np.array([name == label for name in self.said], bool)
        return float((self.stops - self.starts)[chosen].sum())


def _ink(colour: str) -> str:
    """Black or white, whichever can be read on the colour (its luma by ITU-R BT.601)."""
    red, green, blue = hex_to_rgb(colour)
    return "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else "#fff"


def _bars(strip: Strip, row: int, label: str, rank: int, style: dict[str, str], key: bool) -> Any:
    """All runs of one label in one strip."""
    at = [i for i, name in enumerate(strip.said) if name == label]
    starts, stops = strip.starts[at], strip.stops[at]
    none = label == NONE
    ink = _ink(style["color"])
    colour = "rgba(140,140,140,0.25)" if none else style["color"]
    return go.Bar(
        orientation="h",
        base=starts,
        x=stops - starts,
        y=[row] * len(at),
        width=0.56,
        customdata=stops,
        name=label,
        legendgroup=label,
        showlegend=key,
        legendrank=rank,
        marker={
            "color": colour,
            "line": {"width": 0},
            "pattern": {
                "shape": PATTERNS[SYMBOLS.index(style["symbol"])],
                "fillmode": "overlay",
                "solidity": 0.2,
                # Away from the ink, so that the label can be read on the lines.
                "fgcolor": "rgba(0,0,0,0.4)" if ink == "#fff" else "rgba(255,255,255,0.6)",
            },
        },
        text=None if none else label,
        textposition="none" if none else "inside",
        insidetextanchor="middle",
        insidetextfont={"color": ink},
        textangle=0,
        hovertemplate=f"%{{base:.2f}} to %{{customdata:.2f}} s<br>{label}<extra></extra>",
    )


def _keys(strips: Sequence[Strip]) -> set[str]:
    """The labels that the legend has room for, those that cover most first."""
    seen: dict[str, float] = {}
    for strip in strips:
        for label in dict.fromkeys(strip.said):
            seen[label] = seen.get(label, 0.0) + strip.share(label)
    ordered = sorted(seen, key=seen.__getitem__, reverse=True)
    widths = np.cumsum([KEY_PX + LETTER_PX * len(label) for label in ordered])
    return set(ordered[: int((widths <= KEYS_PX).sum())])


def label_strips(strips: Sequence[Strip], *, clock: str, view: View) -> go.Figure:
    """One strip a model, a colour for each label as in the model's other pictures, its name in it where it fits."""
    styles = [label_styles(strip.labels) for strip in strips]
    keys = _keys(strips)
    traces = []
    for row, strip in enumerate(strips):
        order = {label: i for i, label in enumerate([*strip.labels, NONE])}
        for label in sorted(set(strip.said), key=order.__getitem__):
            traces.append(_bars(strip, row, label, order[label], styles[row][label], label in keys))
            keys.discard(label)
    main = [max(set(strip.said), key=strip.share) for strip in strips]
    alt = f"Best label of {len(strips)} models {spoken_view(view)}; most of it: " + ", ".join(
        f"{strip.title}: {label}" for strip, label in zip(strips, main, strict=True)
    )
    figure = time_figure(
        traces,
        clock=clock,
        view=view,
        yaxis=value_axis("", range=[len(strips) - 0.5, -0.72], showticklabels=False, showgrid=False),
        alt=f"{alt}.",
        height=HEAD_PX + ROW_PX * len(strips),
        legend=True,
    )
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 10, "mode": "hide"})
    for row, strip in enumerate(strips):
        figure.add_annotation(
            text=strip.title, x=0, xref="paper", xanchor="left", y=row - 0.28, yanchor="bottom",
            showarrow=False, font={"size": FONT_SIZE}, borderpad=0,
        )  # fmt: skip
    return figure


def agreement(
    most: npt.ArrayLike, n_models: int, step: float, *, clock: str, view: View, height: int = 150
) -> go.Figure:
    """How many of the models name the same label over time; `most` as of `features.agreement.of_one_mind`.

    Where there are more moments than points, a point is the mean of several.
    """
    counts = np.asarray(most, np.float32)
    times = (np.arange(counts.size) + 0.5) * step
    part = in_view(times, view, step / 2)
    group = -(-(part.stop - part.start) // MAX_POINTS)
    begins = np.arange(part.start, part.stop, group)
    sums = np.add.reduceat(counts[: part.stop], begins)
    means = sums / np.diff(np.append(begins, part.stop))
    trace = go.Scatter(
        x=np.append(begins, part.stop) * step,
        y=np.append(means, means[-1:]),
        mode="lines",
        line={"shape": "hv", "width": 1.5, "color": LINE},
        fill="tozeroy",
        hovertemplate=f"%{{x:.2f}} s<br>%{{y:.3g}} of {n_models} name the same<extra></extra>",
    )
    ticks = list(range(1, n_models + 1))
    words = ["all differ", *(f"{k} of {n_models}" for k in ticks[1:-1]), "all agree"]
    share = float((counts[part] == n_models).mean())
    return time_figure(
        [trace],
        clock=clock,
        view=view,
        yaxis=value_axis("", range=[0.5, n_models + 0.15], tickvals=ticks, ticktext=words),
        alt=f"How many of {n_models} models name the same label {spoken_view(view)}: all of them {share:.0%} of it.",
        height=height,
    )


def _leading(counts: npt.NDArray[np.float64]) -> list[int]:
    """The rows that count most, at most MOST_LABELS, none that is empty."""
    sums = counts.sum(axis=1)
    return [int(k) for k in np.argsort(-sums, kind="stable")[:MOST_LABELS] if sums[k] > 0]


def together(counts: npt.ArrayLike, names: Sequence[str], first: str, second: str) -> go.Figure:
    """How often a label of the first model goes with one of the second [% of the moments]; `counts` (n, n)."""
    table = np.asarray(counts, np.float64)
    rows, columns = _leading(table), _leading(table.T)
    percent = 100 * table[np.ix_(rows, columns)] / table.sum()
    z = percent.astype(np.float32)
    row, column = np.unravel_index(int(z.argmax()), z.shape)
    trace = go.Heatmap(
        z=z,
        x=[names[k] for k in columns],
        y=[names[k] for k in rows],
        zmin=0,
        colorscale=SHARE,
        xgap=1,
        ygap=1,
        texttemplate="%{z:.0f}",
        colorbar=colour_bar("%"),
        hovertemplate=f"{first}: %{{y}}<br>{second}: %{{x}}<br>%{{z:.1f}} % of the time<extra></extra>",
    )
    alt = (
        f"How often labels of {first} and {second} go together; most often: {names[rows[row]]} with "
        f"{names[columns[column]]}, {z.max():.0f} % of the time."
    )
    axis: dict[str, Any] = {"type": "category", "fixedrange": True, "automargin": True, "showgrid": False}
    below = {"text": second, "standoff": 10, "font": {"size": FONT_SIZE}}
    beside = {**below, "text": first}
    return go.Figure(
        [trace],
        layout={
            "meta": {"alt": alt},
            "height": 110 + 26 * len(rows),
            "margin": {"l": 110, "r": MARGIN_RIGHT, "t": 10, "b": MARGIN_BOTTOM},
            "xaxis": {**axis, "title": below},
            "yaxis": {**axis, "title": beside, "autorange": "reversed"},
            **BARE,
        },
    )
