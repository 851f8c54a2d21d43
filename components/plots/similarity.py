"""Which moments of a clip sound alike: a heat map with time on both axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from components.plots.theme import (
    LONG_S,
    SIGNED,
    View,
    colour_bar,
    frame_step,
    spoken_view,
    time_figure,
    value_axis,
)
from components.types import FloatArray, Times
from components.units import format_minutes, time_ticks


def similarity_matrix(
    values: FloatArray,
    times: Times,
    *,
    clock: str,
    view: View,
    row_times: Times | None = None,
    window_s: float | None = None,
    height: int = 420,
) -> go.Figure:
    """Cosines of moments with moments, as `features.similarity.self_similarity` gives them.

    Parameters
    ----------
    values : shape (n_rows, n_columns), -1 to 1; goes to the browser in hundredths, a byte each
    times : centres of the columns, shape (n_columns,) [s]
    row_times : centres of the rows, shape (n_rows,) [s]; None where they are those of the columns
    window_s : how much sound one moment has heard [s]: the playhead carries a band as wide
    """
    rows = times if row_times is None else row_times
    across, up = frame_step(times, frame_step(rows)), frame_step(rows, frame_step(times))
    cells = np.rint(np.clip(values, -1, 1) * 100).astype(np.int8)
    trace = go.Heatmap(
        z=cells,
        x0=float(times[0]),
        dx=across,
        y0=float(rows[0]),
        dy=up,
        zmin=-100,
        zmax=100,
        colorscale=SIGNED,
        colorbar=colour_bar("alike", tickvals=[-100, -50, 0, 50, 100], ticktext=["−1", "−.5", "0", ".5", "1"]),
        hovertemplate="%{x:.2f} s and %{y:.2f} s<br>similarity %{z} of 100<extra></extra>",
    )
    low, high = float(rows[0]) - up / 2, float(rows[-1]) + up / 2
    long = high > LONG_S
    ticks = time_ticks((max(0.0, low), high))
    yaxis = value_axis(
        "Other moment (min:s)" if long else "Other moment (s)",
        range=[low, high],
        tickvals=ticks,
        ticktext=[format_minutes(t) if long else f"{t:g}" for t in ticks],
    )
    meta: dict[str, Any] = {} if window_s is None else {"window_s": window_s}
    alt = (
        f"How alike the moments {spoken_view(view)} are to the moments {spoken_view((max(0.0, low), high))}, from -1 "
        f"to 1: {values.min():.2f} to {values.max():.2f}, half of them below {np.median(values):.2f}."
    )
    return time_figure([trace], clock=clock, view=view, yaxis=yaxis, alt=alt, height=height, **meta)
