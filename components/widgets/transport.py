"""The one clock of a page: a listening desk whose playhead, selection and cross-hair run over all its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from components.plots.theme import View
from components.types import Selection

_HTML = """
<div class="bar" data-part="bar" role="group" aria-label="Player">
  <div class="group">
    <button data-part="play" aria-label="Play" title="Play or pause (space)">▶</button>
    <span class="time" data-part="time" role="timer" aria-live="off"></span>
  </div>
  <div class="group">
    <button data-part="part"></button>
    <button data-part="loop" aria-pressed="false"
            title="Repeat the selection, or what the pictures show where nothing is selected">Loop</button>
    <select data-part="speed" aria-label="Speed" title="Speed; the pitch stays">
      <option value="0.25">0.25×</option><option value="0.5">0.5×</option><option value="0.75">0.75×</option>
      <option value="1" selected>1×</option><option value="1.25">1.25×</option><option value="1.5">1.5×</option>
      <option value="2">2×</option>
    </select>
  </div>
  <div class="group joined" data-part="sounds" role="group" aria-label="Which sound is heard" hidden></div>
  <div class="group">
    <button data-part="in" aria-label="Zoom in" title="Zoom in (Ctrl and the mouse wheel on a picture)">+</button>
    <button data-part="out" aria-label="Zoom out" title="Zoom out (Ctrl and the mouse wheel on a picture)">−</button>
    <button data-part="reset" title="Show the whole recording (double-click on a picture)">Reset zoom</button>
  </div>
  <div class="group" data-part="desk" hidden>
    <span id="drag-to">Drag to:</span>
    <div class="group joined" data-part="modes" role="group" aria-labelledby="drag-to">
      <button data-mode="select" title="Drag over a picture to mark a stretch of time; Shift and a click extend it">
        select</button>
      <button data-mode="band"
        title="Drag over a picture of frequencies to mark a stretch of time and a band of frequencies">band</button>
      <button data-mode="zoom" title="Drag over a picture to see that part alone">zoom</button>
    </div>
    <button data-part="zoom-selected" title="Show the selection alone">Zoom to selection</button>
    <button data-part="clear" title="Mark nothing (Escape)">Clear selection</button>
  </div>
  <div class="line">
    <span class="chosen" data-part="chosen"></span>
    <span class="fault" data-part="fault" role="alert"></span>
    <span class="readout" data-part="readout" aria-hidden="true" title="What is under the mouse: time, value, and on
      pictures of frequencies the frequency, the nearest note (100 ct are a semitone) and the level">
      <span data-part="at-time"></span><span data-part="at-hz"></span><span data-part="at-note"></span
      ><span data-part="at-value"></span>
    </span>
  </div>
  <div class="overview" data-part="overview" role="slider" tabindex="0" aria-label="Position in the recording"
       aria-valuemin="0" aria-valuenow="0" title="The whole recording. Click: go there. Drag the window: another part.
Drag its ends: see more or less. Double-click: see all.
Arrows: 0.1 s (with Shift 1 s). [ and ]: the selection starts or ends at the playhead.">
    <canvas data-part="outline"></canvas>
    <span class="selected" data-part="selected"></span>
    <span class="marks" data-part="marks" style="left: 0; right: 0"></span>
    <span class="visible" data-part="visible"></span>
    <span class="end" data-part="from" data-end="0" title="Drag: where the visible part starts"></span>
    <span class="end" data-part="to" data-end="1" title="Drag: where the visible part ends"></span>
    <span class="head" data-part="head"></span>
  </div>
  <span class="status" data-part="status" role="status"></span>
  <span data-part="audio" hidden></span>
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
class Sound:
    """One of the sounds that a clock can play.

    Attributes
    ----------
    name : what the player calls it ("Original", "Cleaned" ...), plain text; no two of a clock share it
    url : where the browser finds it, relative to the page, served with byte ranges
    start : where its first sample lies on the clock [s]; may be negative
    """

    name: str
    url: str
    start: float = 0.0


@dataclass(frozen=True)
class TransportState:
    """What the browser last said about this clock.

    Attributes
    ----------
    view : visible range [s]; None for the whole recording
    time : where the player stands while it is paused [s]; None before it has been moved
    selection : what the user has marked; None for nothing
    heard : name of the sound that is heard; "" where there is none
    """

    view: View | None
    time: float | None
    selection: Selection | None = None
    heard: str = ""


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)


def state_of(
    result: Any, clock: str, view: View | None, selection: Selection | None, names: Sequence[str]
) -> TransportState:
    """The component's answer as a state; what it said about another clock or a sound that is gone is not heard."""
    first = names[0] if names else ""
    seen = result.get("seen")
    if not seen or seen["clock"] != clock:
        return TransportState(view, None, selection, first)
    # JSON has no 2.0: a whole second arrives as an int.
    shown = (float(seen["view"][0]), float(seen["view"][1])) if seen["view"] else None
    marked = None
    if seen["selection"]:
        start, end, low, high = seen["selection"]
        marked = Selection(float(start), float(end), _optional(low), _optional(high))
    return TransportState(shown, _optional(seen["time"]), marked, seen["heard"] if seen["heard"] in names else first)


def transport(
    clock: str,
    *,
    sounds: Sequence[Sound],
    duration: float,
    view: View | None = None,
    marks: Sequence[tuple[float, float]] = (),
    seek: tuple[str, float, float | None, str | None] | None = None,
    report_time: bool = False,
    selectable: bool = False,
    selection: Selection | None = None,
    outline: Sequence[tuple[float, float]] = (),
    key: str = "transport",
) -> TransportState:
    """Draw the player and return what is visible and marked; one a page, in the same fragment as the pictures.

    Parameters
    ----------
    clock : name that the figures carry as `layout.meta.time_axis` (or `trajectory`); another clip, another name
    sounds : what can be heard, all in step; the first is heard to begin with, the user chooses (keys a, b, c ...)
    duration : of the clock [s]
    view : visible range to begin with [s], such as the one kept from another page; a new one zooms there
    marks : stretches to show on the overview bar, (start, end) [s]
    seek : (token, start, end, name of a sound); a token not seen before moves to start [s], plays on to end unless that
        is None, and of that sound unless it is None
    report_time : whether a pause or a seek reruns the fragment, so that a page can show the frame under the playhead
    selectable : whether a drag can mark a stretch or a band; otherwise a drag zooms
    selection : what is marked to begin with, such as that of a session file; a new one is marked
    outline : (lowest, highest) sample of each of some hundred equal columns of the whole clock, in [-1, 1]
    key : of the widget

    Returns
    -------
    The view, the selection, the sound that is heard and, with `report_time`, the time; all as of the last report for
    this clock. A drag is reported once, when it has ended.

    Notes
    -----
    The cross-hair reads a figure's `layout.meta`: `reads` "frequency" says that y is a frequency, in Hz (linear or
    logarithmic axis) or, with `row_edges` (list, n_rows + 1) [Hz], in rows of equal height. `unit` is the unit of the
    values of trace 0 (a heat map's, or a curve's); without it only pictures of frequencies show a value, in dB.
    """
    result = _mount(
        key=key,
        data={
            "clock": clock,
            "sounds": [{"name": sound.name, "url": sound.url, "start": sound.start} for sound in sounds],
            "duration": duration,
            "view": list(view) if view else None,
            "marks": [list(mark) for mark in marks],
            "seek": list(seek) if seek else None,
            "report_time": report_time,
            "selectable": selectable,
            "selection": [selection.start, selection.end, selection.low, selection.high] if selection else None,
            "outline": [[round(float(low), 3), round(float(high), 3)] for low, high in outline],
        },
        on_seen_change=lambda: None,
    )
    return state_of(result, clock, view, selection, [sound.name for sound in sounds])
