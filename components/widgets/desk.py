"""Explore's desk: panes that can be added, moved, resized and taken away, all on the clock of the page."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st
from streamlit.errors import StreamlitAPIException

from components.audio.decode import Decoded
from components.errors import OtoscopeError
from components.plots.theme import share_scale, shifted
from components.types import Clip
from components.units import format_time
from components.widgets import panes, second, state, takeaway
from components.widgets.second import Second
from components.widgets.state import FIRST_PANES, PaneState
from components.widgets.text import plain
from components.widgets.transport import TransportState
from components.widgets.views import base
from components.widgets.views.base import Kind, Shown, Stage
from components.widgets.views.kinds import KINDS

HEIGHTS = {"low": 0.65, "medium": 1.0, "high": 1.7}
MOST_PANES = 12
LAYOUTS = {
    "the usual panes": tuple(pane["kind"] for pane in FIRST_PANES),
    "panes for voices": ("waveform", "spectrogram", "pitch", "intensity", "formants", "harmonicity"),
    "panes for talk": ("waveform", "spectrogram", "structure", "pitch", "loudness"),
    "panes for music": ("waveform", "spectrogram", "chroma", "onsets", "loudness"),
}


def _fresh(kind: str, taken: list[PaneState]) -> PaneState:
    """A new pane of a kind: the first is named after it, further ones are numbered."""
    ids = {pane["id"] for pane in taken}
    number = next(n for n in range(1, MOST_PANES + 2) if (kind if n == 1 else f"{kind}{n}") not in ids)
    return {"id": kind if number == 1 else f"{kind}{number}", "kind": kind, "height": "medium"}


def _add() -> None:
    """Callback of the menu of panes to add."""
    chosen = state.widget_value("add_pane")
    shown = state.panes()
    if chosen in LAYOUTS:
        fresh: list[PaneState] = []
        for kind in LAYOUTS[chosen]:
            fresh.append(_fresh(kind, fresh))
        state.set_panes(fresh)
    elif chosen and len(shown) < MOST_PANES:
        state.set_panes([*shown, _fresh(chosen, shown)])


def _change(pane_id: str, menu: str) -> None:
    """Callback of a pane's own menu."""
    chosen = state.widget_value(menu)
    shown = [*state.panes()]
    at = next(i for i, pane in enumerate(shown) if pane["id"] == pane_id)
    sizes = list(HEIGHTS)
    size = sizes.index(shown[at]["height"])
    if chosen == "Remove":
        del shown[at]
    elif chosen == "Move up" and at > 0:
        shown[at - 1], shown[at] = shown[at], shown[at - 1]
    elif chosen == "Move down" and at + 1 < len(shown):
        shown[at + 1], shown[at] = shown[at], shown[at + 1]
    elif chosen in ("Higher", "Lower"):
        step = 1 if chosen == "Higher" else -1
        shown[at] = {**shown[at], "height": sizes[min(max(size + step, 0), len(sizes) - 1)]}
    state.set_panes(shown)


def _add_menu() -> None:
    """What else can be shown."""
    full = len(state.panes()) >= MOST_PANES
    st.menu_button(
        "Add a pane",
        [*KINDS, *LAYOUTS],
        format_func=lambda name: KINDS[name].title if name in KINDS else f"Show {name}",
        key="add_pane",
        on_click=_add,
        icon=":material/add:",
        disabled=full,
        help="Each pane is another picture of the same sound, on the same clock. The last lines of the list replace "
        "all panes by a set that suits a purpose." + (" There is room for no more." if full else ""),
    )


def show(decoded: Decoded, now: TransportState) -> None:
    """All panes from top to bottom; each redraws alone when one of its own settings changes."""
    clip = decoded.clip
    with st.container(horizontal=True, vertical_alignment="bottom", key="desk_bar"):
        _add_menu()
        with st.popover("Second clip", icon=":material/stacked_line_chart:", help="Set another clip beside this one."):
            second.choice()
    other = second.placed(clip, now)
    shown = state.panes()
    if not shown:
        st.info("There is no pane. Add one to see the sound.")
    for pane in shown:
        _pane(pane, panes.stage(clip, now, 0), other)
    _quick_zoom(clip)


def _quick_zoom(clip: Clip) -> None:
    """How far the pictures of a very long recording are prepared."""
    if base.preparing(clip) is not None:
        _progress(clip)


@st.fragment(run_every=2.0)
def _progress(clip: Clip) -> None:
    share = base.preparing(clip)
    if share is None:
        st.rerun()
    st.caption(f"Preparing quick zooming of this long recording: {share:.0%}. Everything can be used meanwhile.")


@st.fragment
def _pane(pane: PaneState, stage: Stage, other: Second | None) -> None:
    kind = KINDS[pane["kind"]]
    height = round(kind.height * HEIGHTS[pane["height"]])
    with st.container(gap="xxsmall"):
        head = st.container(horizontal=True, vertical_alignment="center", key=f"head_{pane['id']}")
        with head:
            st.markdown(f"##### {kind.title}", help=kind.meaning, width="stretch")
            settings = _settings(pane, kind, stage)
        shown = _drawn(kind, replace(stage, height=height), settings)
        beside = _drawn(kind, replace(other.stage, height=height), settings) if other and other.visible else None
        if shown is not None and beside is not None:
            share_scale(shown.figure, beside.figure)
        if shown is not None:
            panes.chart(pane["id"], shown.figure)
            st.caption(plain(shown.caption))
        if other is not None and beside is not None:
            _draw_second(pane["id"], other, beside)
    with head:
        if shown is not None:
            takeaway.pane(pane["id"], kind.title, stage, shown)
        moved = _menu(pane["id"])
    if moved:
        st.rerun()


def _settings(pane: PaneState, kind: Kind, stage: Stage) -> object:
    """What the pane's controls say. Values that do not fit, from a session file, give way to the usual ones."""
    try:
        return kind.settings(pane["id"], stage.clip)
    except (StreamlitAPIException, ValueError, TypeError, KeyError):
        if not state.drop_settings(f"{pane['id']}-"):
            raise
        st.rerun()


def _drawn(kind: Kind, stage: Stage, settings: object) -> Shown | None:
    """The picture; None, with a sentence, where it cannot be made."""
    try:
        return kind.draw(stage, settings)
    except OtoscopeError as error:
        st.info(plain(str(error)))
        return None


def _menu(pane_id: str) -> bool:
    """The menu of a pane; whether something was chosen in it."""
    menu = f"menu_{pane_id}"
    chosen = st.menu_button(
        "",
        ["Move up", "Move down", "Higher", "Lower", "Remove"],
        key=menu,
        on_click=_change,
        args=(pane_id, menu),
        icon=":material/more_vert:",
        type="tertiary",
        help="Move this pane, make it higher or lower, or take it away.",
    )
    return chosen is not None


def _draw_second(pane_id: str, other: Second, shown: Shown) -> None:
    """The same picture of the second clip, with the same settings and scales."""
    panes.chart(f"{pane_id}_second", shifted(shown.figure, other.offset, other.clock_view, other.clock))
    begins = f", from {format_time(other.offset)} on the first clip's clock" if other.offset else ""
    st.caption(f"Second clip: {plain(other.stage.clip.name)}{begins}.")
