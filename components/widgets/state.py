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


def wish() -> dict[str, Any] | None:
    """The moment that the user asked to hear last: token, t0, t1 [s]."""
    kept: dict[str, Any] | None = _get("wish", None)
    return kept


def wish_to_hear(t0: float, t1: float | None = None) -> None:
    """Callback: ask the player for a moment. It acts once for each new token."""
    token = (wish() or {"token": 0})["token"] + 1
    _set("wish", {"token": token, "t0": t0, "t1": t1})
