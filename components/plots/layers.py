"""What a model holds inside while it listens: heat maps on the clock, trajectories, one step's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from components.errors import ParameterError
from components.plots.theme import (
    BARE,
    FONT_SIZE,
    MARGIN_BOTTOM,
    MARGIN_LEFT,
    MARGIN_RIGHT,
    MARGIN_TOP,
    MARGIN_TOP_LEGEND,
    SHARE,
    SIGNED,
    View,
    colour_bar,
    frame_step,
    in_view,
    label_styles,
    legend_room,
    signed_limit,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import Activation, FloatArray, Times

MAX_ROWS, MAX_COLUMNS = 256, 1000
MAX_CELLS = 128_000
"""Numbers go to the browser as float32, so that one can be read under the mouse; this many are half a megabyte."""
MAX_POINTS = 2000

SIGNED_KINDS = ("hidden_state", "cell_state", "term", "embedding")
Pool = Literal["extreme", "mean", "max"]


def pooled(values: FloatArray, axis: int, group: int, how: Pool) -> FloatArray:
    """Groups of `group` neighbours along the axis as one: their mean, maximum, or the one of largest magnitude."""
    if group == 1:
        return values
    starts = np.arange(0, values.shape[axis], group)
    if how == "mean":
        counts = np.diff(np.append(starts, values.shape[axis])).astype(np.float32)
        shape = (-1, 1) if axis == 0 else (1, -1)
        return (np.add.reduceat(values, starts, axis=axis) / counts.reshape(shape)).astype(np.float32)
    high = np.maximum.reduceat(values, starts, axis=axis)
    if how == "max":
        return high
    low = np.minimum.reduceat(values, starts, axis=axis)
    return np.where(-low > high, low, high)


def plane(activation: Activation, *, channel: int | None = None, head: int = 0) -> FloatArray:
    """Rows by frames of an activation of any kind.

    ("frame", "unit") -> (unit, frame); ("channel", "mel", "frame") -> (mel, frame) of one channel, None for the
    mean of all; ("head", "query", "key") -> (key, query) of one head.

    Raises
    ------
    ParameterError : when the axes are none of these
    """
    values, dims = activation.values, activation.dims
    if dims[0] == "head":
        values, dims = values[head], dims[1:]
    elif dims[0] == "channel" and len(dims) == 3:
        values, dims = (values.mean(axis=0) if channel is None else values[channel]), dims[1:]
    clock = next((d for d in ("frame", "query") if d in dims), None)
    if clock is None or len(dims) != 2:
        raise ParameterError(f"{activation.layer} has the axes {activation.dims}, which cannot be drawn over time.")
    rows: FloatArray = values.T if dims[0] == clock else values
    return rows


def _colours(activation: Activation, z: FloatArray) -> dict[str, Any]:
    """Symmetric around zero where a sign means something, else from the lowest to the highest."""
    if activation.kind == "gate":
        return {"colorscale": SHARE, "zmin": 0.0, "zmax": 1.0}
    low, high = (float(z.min()), float(z.max())) if z.size else (0.0, 0.0)
    if activation.kind in SIGNED_KINDS or low < 0 < high:
        limit = signed_limit(z)
        return {"colorscale": SIGNED, "zmin": -limit, "zmax": limit}
    if activation.kind == "attention":
        low = 0.0
    return {"colorscale": SHARE, "zmin": low, "zmax": max(high, low + 1e-6)}


def hidden_states(
    activation: Activation,
    *,
    clock: str,
    view: View,
    order: Sequence[int] | None = None,
    channel: int | None = None,
    head: int = 0,
    pool: Pool = "extreme",
    limit: float | None = None,
    height: int = 260,
) -> go.Figure:
    """Heat map of a layer over time: its units, the mel rows of a feature map, or the keys a query attends to.

    Rows are drawn in `order` (indexes of units). Neighbours are pooled where there are more than fit. `limit`
    fixes the colours to +-limit, so that two views or two layers compare.
    """
    if activation.times is None:
        raise ParameterError(f"{activation.layer} has no times and cannot be drawn on the clock.")
    rows = plane(activation, channel=channel, head=head)
    rows = rows if order is None else rows[np.asarray(order)]
    times = activation.times
    step = frame_step(times)
    part = in_view(times, view, step / 2)
    attention = activation.kind == "attention"
    how: Pool = "max" if attention and pool == "extreme" else pool
    per_row = -(-rows.shape[0] // MAX_ROWS)
    z = pooled(rows[:, part], 0, per_row, how)
    per_column = -(-z.shape[1] // min(MAX_COLUMNS, MAX_CELLS // z.shape[0]))
    z = pooled(z, 1, per_column, how)
    colours = _colours(activation, z)
    if limit is not None:
        colours |= {"zmin": -limit if colours["zmin"] < 0 else colours["zmin"], "zmax": limit}
    in_time = attention and "token" not in activation.dims
    name = "key time (s)" if in_time else next((d for d in ("mel", "token") if d in activation.dims), "unit")
    name = "mel band" if name == "mel" else name
    y0, dy = (per_row - 1) / 2, float(per_row)
    if in_time:
        y0, dy = float(times[0]) + y0 * step, dy * step
    row = "key at %{y:.2f} s" if in_time else f"{name} %{{y:d}}"
    trace = go.Heatmap(
        z=np.ascontiguousarray(z, np.float32),
        x0=float(times[part][0]) + (per_column - 1) / 2 * step,
        dx=per_column * step,
        colorbar=colour_bar("weight" if attention else "value"),
        hovertemplate=f"%{{x:.3f}} s<br>{row}<br>%{{z:.3f}}<extra></extra>",
        **({"y0": y0, "dy": dy} if order is None or per_row > 1 else {"y": [str(i) for i in order]}),
        **colours,
    )
    alt = (
        f"{activation.kind.replace('_', ' ').capitalize()} of {activation.layer} {spoken_view(view)}: "
        f"{rows.shape[0]} rows, values from {z.min():.3g} to {z.max():.3g}."
    )
    yaxis = value_axis(name[0].upper() + name[1:], range=[y0 - dy / 2, y0 + (z.shape[0] - 0.5) * dy])
    if order is not None and per_row == 1:
        trace.hovertemplate = trace.hovertemplate.replace("%{y:d}", "%{y}")
        yaxis = value_axis("Unit", type="category", range=[-0.5, z.shape[0] - 0.5], nticks=8)
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height)


def _thinned(
    points: FloatArray, times: Times, labels: Sequence[str] | None
) -> tuple[FloatArray, Times, list[str] | None]:
    """At most MAX_POINTS points, evenly chosen."""
    if len(points) <= MAX_POINTS:
        return points, times, None if labels is None else list(labels)
    kept = np.linspace(0, len(points) - 1, MAX_POINTS).round().astype(int)
    return points[kept], times[kept], None if labels is None else [labels[i] for i in kept]


def _point_colours(
    times: Times, labels: list[str] | None, all_labels: Sequence[str], size: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The marker of a trajectory, coloured by time or by label, and the marker of each label that needs a legend."""
    if labels is None:
        bar = colour_bar("s")
        return {"color": times, "colorscale": "Viridis", "colorbar": bar, "size": size, "showscale": True}, {}
    styles = label_styles(all_labels)
    seen = [name for name in [*all_labels, "none"] if name in labels]
    legend = {
        name: {"color": styles[name]["color"], "symbol": styles[name]["symbol"], "size": size + 2}
        for name in dict.fromkeys(seen)
    }
    points = [styles[label] for label in labels]
    return {"color": [s["color"] for s in points], "symbol": [s["symbol"] for s in points], "size": size}, legend


def _path_style(times: Times, labels: list[str] | None, marker: dict[str, Any], width: int) -> dict[str, Any]:
    """What the path of a trajectory looks like and says under the mouse, in two dimensions and in three."""
    return {
        "customdata": times,
        "text": labels,
        "mode": "lines+markers",
        "line": {"width": width, "color": "rgba(140,140,140,0.5)"},
        "marker": marker,
        "showlegend": False,
        "hovertemplate": "%{customdata:.3f} s" + ("<br>%{text}" if labels else "") + "<extra></extra>",
    }


def _pc_title(component: int, explained: npt.ArrayLike) -> str:
    return f"PC {component + 1} ({100 * float(np.asarray(explained)[component]):.0f} % of variance)"


def _trajectory_layout(clock: str, times: Times, height: int, legend: Sequence[str], alt: str) -> dict[str, Any]:
    room = MARGIN_TOP_LEGEND - MARGIN_TOP + legend_room(legend) if legend else 0
    return {
        "meta": {"trajectory": clock, "trajectory_times": [round(float(t), 3) for t in times], "alt": alt},
        "height": height + room,
        "margin": {
            "l": MARGIN_LEFT,
            "r": MARGIN_RIGHT,
            "t": MARGIN_TOP + room,
            "b": MARGIN_BOTTOM,
            "autoexpand": False,
        },
        "uirevision": clock,
        "hovermode": "closest",
        "showlegend": bool(legend),
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        **BARE,
    }


def trajectory_2d(
    points: FloatArray,
    times: Times,
    *,
    clock: str,
    explained: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    all_labels: Sequence[str] = (),
    height: int = 420,
) -> go.Figure:
    """Frames as points (n_frames, 2 or more) joined in time, coloured by time, or by label where there are any.

    The first trace holds all points in the order of `meta.trajectory_times`; the transport draws the moving mark.
    """
    xy, t, names = _thinned(points, times, labels)
    marker, legend = _point_colours(t, names, all_labels or names or (), 6)
    path = go.Scatter(
        x=xy[:, 0],
        y=xy[:, 1],
        **_path_style(t, names, marker, width=1),
    )
    keys = [go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=key) for name, key in legend.items()]
    alt = f"Path of {len(points)} frames through the two main directions of the layer's values."
    layout = _trajectory_layout(clock, t, height, list(legend), alt)
    layout["xaxis"] = {
        "title": {"text": _pc_title(0, explained), "standoff": 4, "font": {"size": FONT_SIZE}},
        "automargin": False,
        "zeroline": False,
    }
    # The same scale on both axes: distances on the screen are distances of the projection.
    layout["yaxis"] = {
        "title": {"text": _pc_title(1, explained), "standoff": 4, "font": {"size": FONT_SIZE}},
        "automargin": False,
        "zeroline": False,
        "scaleanchor": "x",
        "constrain": "domain",
    }
    return go.Figure([path, *keys], layout=layout)


def trajectory_3d(
    points: FloatArray,
    times: Times,
    *,
    clock: str,
    explained: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    all_labels: Sequence[str] = (),
    height: int = 480,
) -> go.Figure:
    """As `trajectory_2d`, in three directions; the last trace, "now", is the mark that the transport moves."""
    xyz, t, names = _thinned(points, times, labels)
    marker, legend = _point_colours(t, names, all_labels or names or (), 3)
    path = go.Scatter3d(
        x=xyz[:, 0],
        y=xyz[:, 1],
        z=xyz[:, 2],
        **_path_style(t, names, marker, width=2),
    )
    keys = [
        go.Scatter3d(
            x=[None],
            y=[None],
            z=[None],
            mode="markers",
            name=name,
            marker=key,
        )
        for name, key in legend.items()
    ]
    now = go.Scatter3d(
        x=xyz[:1, 0],
        y=xyz[:1, 1],
        z=xyz[:1, 2],
        mode="markers",
        name="now",
        showlegend=False,
        hoverinfo="skip",
        marker={"size": 9, "color": "#ff4b4b", "line": {"width": 2, "color": "white"}},
    )
    alt = f"Path of {len(points)} frames through the three main directions of the layer's values."
    layout = _trajectory_layout(clock, t, height, list(legend), alt)
    layout["margin"] |= {"l": 0, "b": 0}
    # A scene cuts long titles off as it turns, so these are short.
    layout["scene"] = {
        axis: {"title": {"text": _pc_title(i, explained).replace(" of variance", "")}, "showspikes": False}
        for i, axis in enumerate(("xaxis", "yaxis", "zaxis"))
    } | {"aspectmode": "data", "uirevision": clock}
    return go.Figure([path, *keys, now], layout=layout)


def step_numbers(
    terms: Mapping[str, npt.ArrayLike], *, x_t: npt.ArrayLike | None = None, time: float, height: int = 260
) -> go.Figure:
    """The numbers of one step of a recurrent layer: each term (n_units,) a strip, unit above unit.

    `terms` come in the order of the formula, e.g. "W_xh x_t", "W_hh h_{t-1}", "b", their sum, "h_t"; all strips
    share one signed colour scale, so that one can see which term wins. `x_t` (n_inputs,), the input, has its own.

    Raises
    ------
    ParameterError : when the terms differ in length
    """
    names = list(terms)
    arrays = [np.asarray(terms[name], np.float32).ravel() for name in names]
    if not arrays or len({a.size for a in arrays}) != 1:
        raise ParameterError("The terms of a step must have the same number of units.")
    z = np.stack(arrays)
    limit = signed_limit(z)
    traces = [
        go.Heatmap(
            z=z,
            y=names,
            zmin=-limit,
            zmax=limit,
            colorscale=SIGNED,
            xgap=1 if z.shape[1] <= 128 else 0,
            ygap=2,
            colorbar=colour_bar("value", len=0.72 if x_t is not None else 1.0, y=0, yanchor="bottom"),
            hovertemplate="unit %{x}<br>%{y} = %{z:.4f}<extra></extra>",
        )
    ]
    layout: dict[str, Any] = {
        "meta": {"alt": f"The terms of the step at {time:.3f} s for {z.shape[1]} units, within +-{limit:.3g}."},
        "height": height,
        "margin": {"l": 110, "r": MARGIN_RIGHT, "t": MARGIN_TOP, "b": MARGIN_BOTTOM, "autoexpand": False},
        "xaxis": {"title": {"text": "Unit", "standoff": 4}, "showgrid": False, "zeroline": False},
        "yaxis": value_axis("", autorange="reversed", domain=[0, 0.72 if x_t is not None else 1.0]),
        "uirevision": "step",
        **BARE,
    }
    if x_t is not None:
        inputs = np.asarray(x_t, np.float32).reshape(1, -1)
        bound = signed_limit(inputs)
        traces.append(
            go.Heatmap(
                z=inputs,
                y=["x_t"],
                xaxis="x2",
                yaxis="y2",
                zmin=-bound,
                zmax=bound,
                colorscale=SIGNED,
                showscale=False,
                hovertemplate="input %{x}<br>x_t = %{z:.4f}<extra></extra>",
            )
        )
        layout["xaxis2"] = {"anchor": "y2", "side": "top", "showticklabels": False, "showgrid": False}
        layout["yaxis2"] = value_axis("", domain=[0.84, 1.0])
    return go.Figure(traces, layout=layout)
