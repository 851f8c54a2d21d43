"""A second clip below the first: on the first's clock, or on its own."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from components.errors import OtoscopeError
from components.features.alignment import UNSURE, align
from components.plots.theme import View
from components.types import Clip
from components.widgets import cached, panes, sidebar, state
from components.widgets.text import plain, refuse
from components.widgets.transport import TransportState, transport
from components.widgets.views.base import Stage

CHOICE = "second_clip"
NONE = "none"
HOW = {
    "by start": "Both begin at 0.",
    "by sound": "The second is moved to where its sound fits the first best (cross-correlation).",
    "own clock": "The second has a player of its own.",
}


@dataclass(frozen=True)
class Second:
    """The second clip and where it stands.

    Attributes
    ----------
    stage : what its panes draw, in its own time
    offset : where it begins on the clock that shows it [s]
    clock, clock_view : that clock, and its visible range [s]
    aligned : whether that is the first clip's clock
    visible : whether any of it lies in the visible range
    """

    stage: Stage
    offset: float
    clock: str
    clock_view: View
    aligned: bool
    visible: bool


def choice() -> None:
    """The controls: which clip, and how it is set beside the first."""
    titles = {NONE: "No second clip"} | sidebar.titles()
    left, right = st.columns(2, vertical_alignment="bottom")
    left.selectbox(
        "Second clip",
        list(titles),
        format_func=lambda k: titles.get(k, k),
        key=CHOICE,
        persist_state="session",
        help="Its pictures appear below those of the clip in hand, made with the same settings and scales.",
    )
    right.segmented_control(
        "Set beside the first",
        list(HOW),
        default="by start",
        required=True,
        key="second_how",
        persist_state="session",
        help=" ".join(f"{name.capitalize()}: {meaning}" for name, meaning in HOW.items()),
    )


def chosen() -> str | None:
    """Key of the second clip; None where there is none."""
    kept = state.widget_value(CHOICE)
    return None if kept in (None, NONE) or kept not in sidebar.titles() else str(kept)


def on_own_clock() -> bool:
    """Whether the second clip has a player of its own."""
    return chosen() is not None and state.widget_value("second_how") == "own clock"


def begin(first: Clip, second: Clip, key: str) -> float:
    """Where the second clip begins on the first one's clock [s]; says so where the two do not fit."""
    made_at = sidebar.start_of(key)
    if made_at is not None:
        return made_at
    if state.widget_value("second_how") != "by sound":
        return 0.0

    def fit() -> tuple[float, float]:
        found = align(first, second)
        return found.offset_s, found.strength

    offset, strength = cached.remember("picture", ("align", first.digest, second.digest), fit)
    if strength < UNSURE:
        st.warning(
            f"The two clips have little in common (similarity {strength:.2f} of 1), so where the second is set means "
            "nothing. Align them by start, or choose another clip.",
            icon=":material/warning:",
        )
    return offset


def obey() -> None:
    """Before anything is drawn: set the clip beside the one in hand that was asked for."""
    key = state.wished_second()
    if key is not None:
        state.set_widget(CHOICE, key)


def placed(first: Clip, now: TransportState) -> Second | None:
    """The second clip, on the clock of the first or on its own, which is drawn here; None where there is none."""
    key = chosen()
    if key is None:
        return None
    clip = _open(key)
    return _on_its_own(key, clip) if on_own_clock() else _on_first_clock(first, now, key, clip)


def _on_first_clock(first: Clip, now: TransportState, key: str, clip: Clip) -> Second:
    clock, view = panes.clock_of(first), panes.view_of(first, now)
    offset = begin(first, clip, key)
    inside = max(0.0, view[0] - offset), min(clip.duration, view[1] - offset)
    stage = Stage(clip, inside, clock, 0, sidebar.source_of(key))
    return Second(stage, offset, clock, view, aligned=True, visible=inside[0] < inside[1])


def _on_its_own(key: str, clip: Clip) -> Second:
    clock = clock_of_second(clip)
    st.markdown(f"Second clip: **{plain(clip.name)}**")
    now = transport(
        clock,
        sounds=[panes.own_sound(key, clip)],
        duration=clip.duration,
        view=state.view_of(clock),
        outline=panes.outline(clip),
        key="transport_second",
    )
    state.set_view(clock, now.view)
    view = panes.view_of(clip, now)
    return Second(Stage(clip, view, clock, 0, sidebar.source_of(key)), 0.0, clock, view, aligned=False, visible=True)


def clock_of_second(clip: Clip) -> str:
    """Another name than the first clip's clock, even where both are the same clip."""
    return f"second-{clip.digest[:16]}"


def _open(key: str) -> Clip:
    try:
        return sidebar.opened(key).clip
    except OtoscopeError as error:
        refuse(error, then="Choose another second clip below the pictures, or none.")
