"""What a session remembers from one run of a page to the next: plain values only. Nobody else touches session_state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import streamlit as st

from components.types import Selection


class HeldClip(TypedDict):
    """A recording that the user brought, or a cleaned one: where its file lies in the session's private folder.

    A cleaned one also has its `history` (finished sentences), the key of the recording that it was made of (`parent`)
    and the moment of that recording at which it begins (`start` [s]).
    """

    key: str
    name: str
    path: str
    history: NotRequired[list[str]]
    parent: NotRequired[str]
    start: NotRequired[float]


class PaneState(TypedDict):
    """One pane of Explore: its id (the beginning of its widgets' keys), what it shows, how high it is."""

    id: str
    kind: str
    height: str


class Collected(TypedDict):
    """A stretch that the user kept: of which clip, under which name, with which measures.

    A measure is its name, title, value (None: not defined), unit and meaning.
    """

    clip: str
    digest: str
    label: str
    start: float
    end: float
    low: float | None
    high: float | None
    measures: list[tuple[str, str, float | None, str, str]]


def _get(key: str, default: Any) -> Any:
    return st.session_state.setdefault(f"otoscope_{key}", default)


def _set(key: str, value: Any) -> None:
    st.session_state[f"otoscope_{key}"] = value


def widget_value(key: str) -> Any:
    """What the widget of that key holds now, or None."""
    return st.session_state.get(key)


def set_widget(key: str, value: Any) -> None:
    """Set a widget's value from a callback, before the widget is drawn."""
    st.session_state[key] = value


def held_clips() -> list[HeldClip]:
    """The recordings that the user uploaded or recorded in this session, newest first."""
    clips: list[HeldClip] = _get("held_clips", [])
    return clips


def hold(clip: HeldClip) -> None:
    """Add a recording to the session."""
    _set("held_clips", [clip, *held_clips()])


def let_go(key: str) -> None:
    """Forget a recording."""
    _set("held_clips", [clip for clip in held_clips() if clip["key"] != key])


def intake() -> int:
    """How often something was taken in: part of the intake widgets' keys, so that they are empty again after it."""
    count: int = _get("intake", 0)
    return count


def next_intake() -> None:
    """Empty the intake widgets: Streamlit then frees the memory of the upload."""
    _set("intake", intake() + 1)


def view_of(clock: str) -> tuple[float, float] | None:
    """The visible range [s] of the clip with that clock, or None for all of it."""
    kept = _get("views", {}).get(clock)
    return tuple(kept) if kept else None


def set_view(clock: str, view: tuple[float, float] | None) -> None:
    """Keep the visible range for the next page."""
    others = {name: kept for name, kept in _get("views", {}).items() if name != clock}
    _set("views", others | ({clock: list(view)} if view else {}))


def wish() -> tuple[str, float, float | None, str | None] | None:
    """The moment that the user asked to hear last: token, start, end [s], name of the sound."""
    kept: tuple[str, float, float | None, str | None] | None = _get("wish", None)
    return kept


def wish_to_hear(start: float, end: float | None = None, sound: str | None = None) -> None:
    """Callback: ask the player for a moment, of the sound of that name. It acts once for each new token."""
    count = _get("wishes", 0) + 1
    _set("wishes", count)
    _set("wish", (str(count), start, end, sound))


def wish_second(key: str) -> None:
    """Ask for that clip to be set beside the one in hand in the next run."""
    _set("wish_second", key)


def wished_second() -> str | None:
    """The clip that was asked for, once."""
    key: str | None = _get("wish_second", None)
    _set("wish_second", None)
    return key


def step_time() -> float | None:
    """The playhead's time [s] that last chose the step shown on Inside."""
    kept: float | None = _get("step_time", None)
    return kept


def set_step_time(time: float) -> None:
    """Keep the playhead's time that chose the step."""
    _set("step_time", time)


FIRST_PANES: tuple[PaneState, ...] = (
    {"id": "waveform", "kind": "waveform", "height": "medium"},
    {"id": "spectrogram", "kind": "spectrogram", "height": "medium"},
    {"id": "pitch", "kind": "pitch", "height": "medium"},
    {"id": "mfcc", "kind": "mfcc", "height": "medium"},
)


def panes() -> list[PaneState]:
    """Explore's panes from top to bottom."""
    kept: list[PaneState] = _get("panes", [*FIRST_PANES])
    return kept


def set_panes(panes: list[PaneState]) -> None:
    """Show other panes."""
    _set("panes", panes)


def selection_of(clock: str) -> Selection | None:
    """The stretch that is marked in the clip with that clock."""
    kept = _get("selection", None)
    return Selection(*kept["stretch"]) if kept and kept["clock"] == clock else None


def set_selection(clock: str, marked: Selection | None) -> None:
    """Keep the marked stretch for the next page."""
    stretch = marked and [marked.start, marked.end, marked.low, marked.high]
    _set("selection", {"clock": clock, "stretch": stretch} if stretch else None)


def collected() -> list[Collected]:
    """The stretches that the user kept, in the order of keeping."""
    kept: list[Collected] = _get("collected", [])
    return kept


def set_collected(rows: list[Collected]) -> None:
    """Replace the stretches that the user kept."""
    _set("collected", rows)


def noise_of(clock: str) -> tuple[float, float] | None:
    """The stretch of the clip with that clock that the user marked as noise, start and end [s]."""
    kept = _get("noise", None)
    return tuple(kept["stretch"]) if kept and kept["clock"] == clock else None


def set_noise(clock: str, start: float, end: float) -> None:
    """Keep the stretch that holds nothing but noise."""
    _set("noise", {"clock": clock, "stretch": [start, end]})


def settings(prefixes: tuple[str, ...]) -> dict[str, Any]:
    """The values of all widgets whose key begins with one of the prefixes, as far as JSON can hold them."""
    plain = (str, int, float, bool, list, tuple)
    return {
        str(key): value
        for key, value in st.session_state.items()
        if str(key).startswith(prefixes) and (value is None or isinstance(value, plain))
    }


def set_settings(values: Mapping[str, Any]) -> None:
    """Set widgets' values from a callback, before they are drawn."""
    for key, value in values.items():
        st.session_state[key] = value


def band_of(digest: str) -> tuple[str, str, float] | None:
    """The last band of that clip that was asked for alone: path, name, where it begins [s]."""
    kept = _get("band", None)
    return tuple(kept["sound"]) if kept and kept["digest"] == digest else None


def set_band(digest: str, sound: tuple[str, str, float]) -> None:
    """Keep the band that can be heard alone."""
    _set("band", {"digest": digest, "sound": list(sound)})


def removed_wanted() -> bool:
    """Whether the user wants to hear what cleaning took away."""
    return bool(st.session_state.get("hear_removed"))


def last_refusal() -> str | None:
    """Why the last session file could not be opened; None where it could."""
    sentence: str | None = _get("refusal", None)
    return sentence


def refuse_next(sentence: str | None) -> None:
    """Keep the sentence that the next run shows."""
    _set("refusal", sentence)


def drop_settings(prefix: str) -> bool:
    """Let widgets whose key begins with the prefix have their usual values again; whether there were any others."""
    found = [key for key in st.session_state if str(key).startswith(prefix)]
    for key in found:
        del st.session_state[key]
    return bool(found)
