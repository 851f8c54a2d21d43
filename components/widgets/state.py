"""What a session remembers from one run of a page to the next: plain values only. Nobody else touches session_state."""

from __future__ import annotations

from typing import Any, TypedDict

import streamlit as st


class HeldClip(TypedDict):
    """A recording that the user brought: where its file lies in the session's private folder."""

    key: str
    name: str
    path: str


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
    kept = _get("view", None)
    return tuple(kept["range"]) if kept and kept["clock"] == clock else None


def set_view(clock: str, view: tuple[float, float] | None) -> None:
    """Keep the visible range for the next page."""
    _set("view", {"clock": clock, "range": list(view)} if view else None)


def wish() -> tuple[str, float, float | None] | None:
    """The moment that the user asked to hear last: token, start, end [s]."""
    kept: tuple[str, float, float | None] | None = _get("wish", None)
    return kept


def wish_to_hear(start: float, end: float | None = None) -> None:
    """Callback: ask the player for a moment. It acts once for each new token."""
    count = _get("wishes", 0) + 1
    _set("wishes", count)
    _set("wish", (str(count), start, end))


def step_time() -> float | None:
    """The playhead's time [s] that last chose the step shown on Inside."""
    kept: float | None = _get("step_time", None)
    return kept


def set_step_time(time: float) -> None:
    """Keep the playhead's time that chose the step."""
    _set("step_time", time)
