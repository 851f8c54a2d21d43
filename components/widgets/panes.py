"""The pictures of a sound: each in a container of its own name, on the clock of the page's player."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from components.audio.decode import Decoded
from components.plots.theme import View, alt_text
from components.types import Clip
from components.widgets import cached, sidebar, state
from components.widgets.text import plain
from components.widgets.transport import Sound, TransportState, transport
from components.widgets.views import frequency, wave
from components.widgets.views.base import Kind, Stage
from components.widgets.views.kinds import KINDS

OVERVIEW_COLUMNS = 800

CONFIG = {
    "displaylogo": False,
    "showTips": False,
    "doubleClick": "reset",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d"],
}


def clock_of(clip: Clip) -> str:
    """The name under which player and pictures of a clip find each other."""
    return clock_of_digest(clip.digest)


def clock_of_digest(digest: str) -> str:
    """The same, of a clip that may not be open."""
    return digest[:16]


def whole(clip: Clip) -> View:
    """The view of all of a clip."""
    return (0.0, clip.duration)


def _stay_on_top() -> None:
    """Keep the player in sight while the page scrolls below it."""
    background = st.get_option(f"theme.{st.context.theme.type or 'light'}.backgroundColor")
    wrapper = '[data-testid="stLayoutWrapper"]:has(> .st-key-player)'
    rules = f"position: sticky; top: 0; z-index: 90; background: {background}; padding: .4rem 0;"
    st.html(f"<style>{wrapper} {{{rules}}}</style>")


def outline(clip: Clip) -> list[tuple[float, float]]:
    """The lowest and the highest sample of each of some hundred equal parts, as shares of the loudest."""

    def make() -> list[tuple[float, float]]:
        found = wave.outline(clip, whole(clip), OVERVIEW_COLUMNS)
        loudest = max(float(abs(found.low).max()), float(abs(found.high).max()), 1e-9)
        return [(float(a) / loudest, float(b) / loudest) for a, b in zip(found.low, found.high, strict=True)]

    return cached.remember("picture", ("overview", clip.digest), make)


def player(
    decoded: Decoded,
    *,
    report_time: bool = False,
    selectable: bool = False,
    sounds: Sequence[Sound] | None = None,
    below: Callable[[TransportState], None] | None = None,
) -> TransportState:
    """The page's one player: name and facts of the clip, the transport, what is visible and marked.

    With `report_time` a pause reruns the page, so that it can show the moment under the playhead. With `selectable` a
    drag marks a stretch. `sounds` are what can be heard, the clip's own by default; `below` draws what belongs to the
    player and stays in sight with it.
    """
    clip = decoded.clip
    clock = clock_of(clip)
    if sounds is None:
        sounds = [own_sound(sidebar.key_in_hand(), clip)]
    _stay_on_top()
    with st.container(key="player", gap="xxsmall"):
        st.markdown(f"**{plain(clip.name)}** :small[{plain(sidebar.facts(decoded))}]")
        now = transport(
            clock,
            sounds=sounds,
            duration=clip.duration,
            view=state.view_of(clock),
            seek=state.wish(),
            report_time=report_time,
            selectable=selectable,
            selection=state.selection_of(clock),
            outline=outline(clip),
        )
        state.set_view(clock, now.view)
        if selectable:
            state.set_selection(clock, now.selection)
        if below is not None:
            below(now)
    for note in sidebar.playback_of(sidebar.key_in_hand(), clip).notes:
        st.caption(plain(note))
    return now


def own_sound(key: str, clip: Clip) -> Sound:
    """The clip's own sound, as the browser finds it."""
    sound = sidebar.playback_of(key, clip)
    return Sound("Original", cached.shelf().url(sound.data, sound.mime))


def chart(name: str, figure: Any) -> None:
    """A figure in the keyed container `name`."""
    with st.container(key=name):
        st.plotly_chart(figure, key=f"{name}_chart", alt=alt_text(figure), config=CONFIG)


def heading(title: str, help_text: str) -> None:
    """The name of a pane, with how to read it."""
    st.markdown(f"##### {title}", help=help_text)


def view_of(clip: Clip, now: TransportState) -> View:
    """The visible range, all of the clip by default."""
    return now.view or whole(clip)


def stage(clip: Clip, now: TransportState, height: int) -> Stage:
    """Where a picture of the clip in hand is drawn."""
    return Stage(clip, view_of(clip, now), clock_of(clip), height, sidebar.source_of(sidebar.key_in_hand()))


def waveform(clip: Clip, now: TransportState, height: int = 150) -> None:
    """The outline of the samples, on pages that look at something else."""
    kind = KINDS["waveform"]
    heading(kind.title, kind.meaning)
    _draw("waveform", kind, wave.WaveSettings(), stage(clip, now, height))


def spectrogram(clip: Clip, now: TransportState, height: int = 280) -> None:
    """Which frequencies, when, on pages that look at something else."""
    kind = KINDS["spectrogram"]
    heading(kind.title, kind.meaning)
    _draw("spectrogram", kind, frequency.usual(clip), stage(clip, now, height))


def _draw(name: str, kind: Kind, settings: object, where: Stage) -> None:
    shown = kind.draw(where, settings)
    if shown is not None:
        chart(name, shown.figure)
