"""The one clock of a page: a player whose playhead runs over every picture with a time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from components.plots.theme import View

_HTML = """
<div class="bar" data-part="bar" role="group" aria-label="Player">
  <button data-part="play" aria-label="Play" title="Play or pause (space)">▶</button>
  <span class="time" data-part="time" role="timer" aria-live="off"></span>
  <button data-part="part" title="Play what the pictures show, and stop">Play visible part</button>
  <button data-part="loop" aria-pressed="false" title="Repeat what the pictures show">Loop</button>
  <select data-part="speed" aria-label="Speed" title="Speed; the pitch stays">
    <option value="0.5">0.5×</option><option value="0.75">0.75×</option><option value="1" selected>1×</option>
  </select>
  <button data-part="in" aria-label="Zoom in" title="Zoom in">+</button>
  <button data-part="out" aria-label="Zoom out" title="Zoom out">−</button>
  <button data-part="reset" title="Show the whole recording (double-click on a picture)">Reset zoom</button>
  <div class="overview" data-part="overview" role="slider" tabindex="0" aria-label="Position in the recording"
       aria-valuemin="0" aria-valuenow="0">
    <span class="visible" data-part="visible"></span>
    <span class="marks" data-part="marks" style="left: 0; right: 0"></span>
    <span class="head" data-part="head"></span>
  </div>
  <span class="status" data-part="status" role="status"></span>
</div>
"""

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "otoscope_transport",
    html=_HTML,
    css=(_FOLDER / "transport.css").read_text("utf-8"),
    js=(_FOLDER / "transport.js").read_text("utf-8"),
)


@dataclass(frozen=True)
class TransportState:
    """What the browser last said about this clock.

    Attributes
    ----------
    view : visible range [s]; None for the whole recording
    time : where the player stands while it is paused [s]; None before it has been moved
    """

    view: View | None
    time: float | None


def state_of(result: Any, clock: str, view: View | None) -> TransportState:
    """The component's answer as a state; what it said about another clock is not heard."""
    seen = result.get("seen")
    if not seen or seen["clock"] != clock:
        return TransportState(view, None)
    # JSON has no 2.0: a whole second arrives as an int.
    shown = (float(seen["view"][0]), float(seen["view"][1])) if seen["view"] else None
    return TransportState(shown, None if seen["time"] is None else float(seen["time"]))


def transport(
    clock: str,
    *,
    audio_key: str,
    duration: float,
    view: View | None = None,
    marks: Sequence[tuple[float, float]] = (),
    seek: tuple[str, float, float | None] | None = None,
    report_time: bool = False,
    key: str = "transport",
) -> TransportState:
    """Draw the player and return what is visible; one a page, in the same fragment as the pictures.

    Parameters
    ----------
    clock : name that the figures carry as `layout.meta.time_axis` (or `trajectory`); another clip, another name
    audio_key : key of the st.container around the st.audio whose sound this is
    duration : of the recording [s]
    view : visible range to begin with [s], such as the one kept from another page; a new one zooms there
    marks : stretches to show on the overview bar, (start, end) [s]
    seek : (token, start, end); a token not seen before moves to start [s], and plays on to end unless that is None
    report_time : whether a pause or a seek reruns the fragment, so that a page can show the frame under the playhead
    key : of the widget

    Returns
    -------
    The view and, with `report_time`, the time; both as of the last report for this clock.
    """
    result = _mount(
        key=key,
        data={
            "clock": clock,
            "audio_key": audio_key,
            "duration": duration,
            "view": list(view) if view else None,
            "marks": [list(mark) for mark in marks],
            "seek": list(seek) if seek else None,
            "report_time": report_time,
        },
        on_seen_change=lambda: None,
    )
    return state_of(result, clock, view)
