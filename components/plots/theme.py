"""What all figures share: margins that line up, the clock in `meta`, ticks, colours, alternative texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
from plotly.colors import get_colorscale, hex_to_rgb

from components.units import format_minutes, time_ticks

MARGIN_LEFT, MARGIN_RIGHT = 72, 84
"""Fixed, on every figure with a time axis, so that a moment is at the same place in all; the right one holds the
colour bar."""
MARGIN_TOP, MARGIN_TOP_LEGEND, MARGIN_BOTTOM = 10, 36, 50
LEGEND_WIDTH, LEGEND_ROW, LEGEND_MARK, LEGEND_LETTER = 680, 19, 42, 6.6
"""Width of a legend on a narrow page, height of a row, width of a line with its gaps, mean width of a letter [px]."""
FONT_SIZE = 12

LINE = "#3A87BF"
"""Readable on white and on black."""
SIGNED = "RdBu_r"
"""Blue below zero, red above."""
LEVEL = "Magma"
SHARE = "Cividis"

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800")
"""Okabe and Ito's colours for any kind of colour vision; without black, and yellow darker, to be seen on both
themes."""
DASHES = ("solid", "dash", "dashdot", "longdash")
SYMBOLS = ("circle", "diamond", "square", "cross")

View = tuple[float, float]


def colour_scale(name: str) -> list[list[Any]]:
    """A named colour scale of plotly's as [position, "rgb(...)"].

    Not as #rrggbb: Streamlit takes #000001 to #000036 for placeholders of its theme, and Magma begins with #000004.
    """
    return [
        [position, colour if colour.startswith("rgb") else f"rgb{hex_to_rgb(colour)}"]
        for position, colour in get_colorscale(name)
    ]


LONG_S = 120.0

BARE = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#8C8C8C", "activecolor": "#3A87BF"},
}
"""No background of our own: the page's theme shows through, also behind plotly's buttons."""


def label_styles(labels: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour, dash and symbol of each of a model's labels, the same in every picture: seven colours, then the same
    ones dashed, with diamonds. "none" is a dotted grey, so that it is not taken for a label."""
    named = [label for label in labels if label != "none"]
    n = len(OKABE_ITO)
    styles = {
        label: {
            "color": OKABE_ITO[i % n],
            "dash": DASHES[i // n % len(DASHES)],
            "symbol": SYMBOLS[i // n % len(SYMBOLS)],
        }
        for i, label in enumerate(named)
    }
    return styles | {"none": {"color": "#8C8C8C", "dash": "dot", "symbol": "circle"}}


def time_axis(view: View) -> dict[str, Any]:
    """The x axis of every figure on the clock: seconds, or min:s where the view ends beyond 2 minutes."""
    axis: dict[str, Any] = {
        "range": list(view),
        "automargin": False,
        "zeroline": False,
        "showgrid": False,
        "title": {"text": "Time (s)", "standoff": 12, "font": {"size": FONT_SIZE}},
        "tickfont": {"size": FONT_SIZE},
        "hoverformat": ".3f",
    }
    # Where the view is narrow, clock time with one decimal would repeat itself: then seconds it is.
    if view[1] > LONG_S and view[1] - view[0] >= 1:
        ticks = time_ticks(view)
        axis |= {"tickvals": ticks, "ticktext": [format_minutes(t) for t in ticks]}
        axis["title"]["text"] = "Time (min:s)"
    return axis


def value_axis(title: str, **more: Any) -> dict[str, Any]:
    """The y axis: a title with its unit, never zoomed, so that a drag means time alone."""
    return {
        "title": {"text": title, "standoff": 6, "font": {"size": FONT_SIZE}},
        "fixedrange": True,
        "automargin": False,
        "zeroline": False,
        "tickfont": {"size": FONT_SIZE},
        **more,
    }


def colour_bar(title: str, **more: Any) -> dict[str, Any]:
    """A colour bar inside the right margin."""
    return {
        "title": {"text": title, "side": "top", "font": {"size": FONT_SIZE}},
        "thickness": 12,
        "x": 1.0,
        "xpad": 8,
        "ypad": 0,
        "len": 1.0,
        "tickfont": {"size": FONT_SIZE - 1},
        **more,
    }


def time_figure(
    traces: Sequence[Any],
    *,
    clock: str,
    view: View,
    yaxis: dict[str, Any],
    alt: str,
    height: int,
    legend: bool = False,
    **meta: Any,
) -> go.Figure:
    """A figure on the clock: the transport finds it by `layout.meta.time_axis`."""
    room = legend_room([trace.name for trace in traces if trace.showlegend is not False]) if legend else 0
    return go.Figure(
        list(traces),
        layout={
            "meta": {"time_axis": clock, "alt": alt, **meta},
            "height": height + room,
            "margin": {
                "l": MARGIN_LEFT,
                "r": MARGIN_RIGHT,
                "t": MARGIN_TOP_LEGEND + room if legend else MARGIN_TOP,
                "b": MARGIN_BOTTOM,
                "autoexpand": False,
            },
            "xaxis": time_axis(view),
            "yaxis": yaxis,
            "dragmode": "zoom",
            "hovermode": "closest",
            "uirevision": clock,
            "showlegend": legend,
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
            **BARE,
        },
    )


def legend_room(names: Sequence[str | None]) -> int:
    """Height [px] that a legend needs beyond its first row on a narrow page.

    Plotly gives all entries the width of the widest as soon as they do not fit into one row.
    """
    widths = [LEGEND_MARK + LEGEND_LETTER * len(name or "") for name in names]
    if sum(widths) <= LEGEND_WIDTH:
        return 0
    in_row = max(1, int(LEGEND_WIDTH / max(widths)))
    return LEGEND_ROW * (max(1, -(-len(names) // in_row)) - 1)


def alt_text(figure: go.Figure) -> str:
    """One sentence that says what the figure shows, for `st.plotly_chart(alt=...)`."""
    return cast("str", figure.layout.meta["alt"])


def spoken_view(view: View) -> str:
    """The visible range in words: "from 0:02 to 0:03.5"."""
    return f"from {format_minutes(view[0])} to {format_minutes(view[1])}"


def signed_limit(values: Any) -> float:
    """Largest magnitude, at least a tiny number, so that zero is in the middle of the colours."""
    return max(float(np.max(np.abs(values), initial=0.0)), 1e-6)


def in_view(times: Any, view: View, half: float) -> slice:
    """The frames whose stretch of `half` seconds to both sides touches the view; at least one."""
    first = int(np.searchsorted(times, view[0] - half, "right"))
    stop = int(np.searchsorted(times, view[1] + half, "left"))
    first = min(max(0, first), max(0, len(times) - 1))
    return slice(first, max(first + 1, stop))


def frame_step(times: Any, otherwise: float = 1.0) -> float:
    """Time from frame to frame [s]."""
    return float((times[-1] - times[0]) / (len(times) - 1)) if len(times) > 1 else otherwise


def shifted(figure: go.Figure, offset: float, view: View, clock: str) -> go.Figure:
    """The figure of another sound, moved by `offset` [s] onto the clock and the view of a page; changed in place."""
    for trace in figure.data:
        # The attribute of a trace that is None may not exist for its type, so both are asked for by name.
        if "x0" in trace and trace.x0 is not None:
            trace.x0 = float(trace.x0) + offset
        if trace.x is not None:
            trace.x = np.asarray(trace.x, np.float64) + offset
    for shape in figure.layout.shapes:
        if shape.xref != "paper" and not str(shape.xref).endswith("domain"):
            shape.x0, shape.x1 = shape.x0 + offset, shape.x1 + offset
    axes = [axis for axis in figure.layout if axis.startswith("xaxis")] or ["xaxis"]
    for name in axes:
        figure.layout[name].update(time_axis(view))
    figure.layout.meta = figure.layout.meta | {"time_axis": clock}
    figure.layout.uirevision = clock
    return figure


def share_scale(first: go.Figure, second: go.Figure) -> None:
    """Give two figures of the same kind one value axis that holds both; axes of categories stay as they are."""
    axes = first.layout.yaxis, second.layout.yaxis
    if any(axis.type == "category" for axis in axes):
        return
    ranges = [axis.range or _value_range(figure) for axis, figure in zip(axes, (first, second), strict=True)]
    known = [(min(r), max(r)) for r in ranges if r is not None]
    if len(known) < len(axes):
        return
    low, high = min(r[0] for r in known), max(r[1] for r in known)
    for axis in axes:
        axis.range = [low, high]
        axis.rangemode = "normal"


def _value_range(figure: go.Figure) -> tuple[float, float] | None:
    """The lowest and the highest value of a figure's lines, with a little room."""
    values = [
        np.asarray(trace.y, np.float64) for trace in figure.data if trace.type == "scatter" and trace.y is not None
    ]
    finite = [y[np.isfinite(y)] for y in values]
    flat = np.concatenate(finite) if finite else np.zeros(0)
    if not flat.size:
        return None
    room = 0.05 * float(np.ptp(flat))
    low = 0.0 if figure.layout.yaxis.rangemode == "tozero" and flat.min() >= 0 else float(flat.min()) - room
    return low, float(flat.max()) + room
