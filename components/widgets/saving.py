"""Keeping a screen: the session file, and opening it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from components.analyse import app_version, clip_provenance
from components.audio.decode import Decoded
from components.errors import OtoscopeError
from components.exports import session, sound
from components.exports.session import ClipFacts, Session
from components.types import Clip, FloatArray, Selection
from components.units import format_bytes
from components.widgets import cached, panes, second, selecting, sidebar, state
from components.widgets.desk import HEIGHTS
from components.widgets.state import Collected, PaneState
from components.widgets.text import plain
from components.widgets.transport import TransportState
from components.widgets.views.kinds import KINDS

LARGEST_INSIDE = 300_000_000
"""Recordings up to this size [bytes] can go into a session file."""
LONGEST_WHOLE_S = 1800.0
SETTINGS = ("curve", *KINDS)


def saving(decoded: Decoded, now: TransportState) -> None:
    """Save the screen; open one that was saved; save the clip itself."""
    clip = decoded.clip
    left, right = st.columns(2)
    with left:
        st.markdown("**Save this screen**")
        _save(decoded, now)
    with right:
        st.markdown("**Open a saved screen**")
        _reopen()
    st.markdown("**Save the clip**")
    _save_clip(clip)


def _save(decoded: Decoded, now: TransportState) -> None:
    source = sidebar.source_of(sidebar.key_in_hand())
    size = source.stat().st_size if source else 0
    own = sidebar.held(sidebar.key_in_hand()) is not None
    with_sound = own and st.toggle(
        f"With the recording ({format_bytes(size)})",
        key="session_sound",
        disabled=size > LARGEST_INSIDE,
        help="The file then holds the recording itself: give it only to people who may hear it. Without it, whoever "
        "opens the file needs the same recording.",
    )
    inside = (decoded.clip.name, source) if with_sound and source else None
    # Made now: the file is packed in a thread that knows nothing of the session.
    screen = _session(decoded, now)
    st.download_button(
        "Session file",
        lambda: session.session_bytes(screen, inside),
        session.session_name(decoded.clip.name),
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
        key="save_session",
        help="The panes and their settings, what is visible and marked, the kept stretches, and how it was all made.",
    )


def _session(decoded: Decoded, now: TransportState) -> Session:
    clip = decoded.clip
    key = sidebar.key_in_hand()
    marked = now.selection
    noise = state.noise_of(panes.clock_of(clip))
    return Session(
        app_version(),
        ClipFacts(clip.name, clip.digest, None, clip.sr, clip.duration, clip.history),
        settings={
            "controls": state.settings(_prefixes()),
            "clip": None if sidebar.held(key) else key,
            "marked": [marked.start, marked.end, marked.low, marked.high] if marked else None,
            "noise": list(noise) if noise else None,
        },
        panes=tuple({"id": pane["id"], "kind": pane["kind"], "height": pane["height"]} for pane in state.panes()),
        view=now.view,
        selections=selecting.kept_of(state.collected(), clip.digest),
        provenance=clip_provenance(decoded, None, {}),
    )


def _prefixes() -> tuple[str, ...]:
    return tuple(f"{pane['id']}-" for pane in state.panes())


def _reopen() -> None:
    count = state.intake()
    widget = f"session_{count}"
    st.file_uploader(
        "Session file (.otoscope.zip)",
        type="zip",
        key=widget,
        on_change=_open,
        args=(widget,),
        help="Panes, settings and kept stretches of the screen that was saved take the place of those shown now.",
    )
    sentence = state.last_refusal()
    if sentence:
        st.error(plain(sentence), icon=":material/error:")


def _open(widget: str) -> None:
    """Callback: read the file and set everything as it says."""
    upload: UploadedFile | None = state.widget_value(widget)
    if upload is None:
        return
    try:
        _restore(upload.getvalue())
        state.refuse_next(None)
    except OtoscopeError as error:
        state.refuse_next(str(error))
    state.next_intake()


def _restore(data: bytes) -> None:
    saved, inside = session.read_session(data)
    settings = saved.settings
    key = _find(saved.clip, settings.get("clip"))
    if key is None and inside is not None:
        path = cached.fresh_file("")
        inside.copy_to(path)
        key = path.name
        state.hold({"key": key, "name": inside.name, "path": str(path), "history": list(saved.clip.history)})
    if key is None:
        raise OtoscopeError(
            f"This screen belongs to the recording {saved.clip.name}, which is not open: open that recording, then "
            "this file again."
        )
    state.set_widget(sidebar.CHOICE, key)
    state.set_widget(second.CHOICE, second.NONE)
    clock = panes.clock_of_digest(saved.clip.digest)
    state.set_panes(_panes(saved.panes))
    controls = settings.get("controls")
    if isinstance(controls, Mapping):
        own = _prefixes()
        state.set_settings({name: _as_widget(v) for name, v in controls.items() if str(name).startswith(own)})
    state.set_view(clock, _stretch(saved.view, saved.clip.duration))
    state.set_selection(clock, _marked(settings.get("marked")))
    noise = _stretch(settings.get("noise"), saved.clip.duration)
    if noise:
        state.set_noise(clock, *noise)
    others = [row for row in state.collected() if row["digest"] != saved.clip.digest]
    state.set_collected([*others, *(_row(saved.clip, kept) for kept in saved.selections)])


def _find(wanted: ClipFacts, key: object) -> str | None:
    """The clip of this session that the saved one was, by its samples; None where there is none."""
    titles = sidebar.titles()
    if isinstance(key, str) and key in titles and sidebar.held(key) is None:
        return key
    for own in state.held_clips():
        try:
            if sidebar.opened(own["key"]).clip.digest == wanted.digest:
                return own["key"]
        except OtoscopeError:
            continue
    return None


def _panes(saved: tuple[Mapping[str, Any], ...]) -> list[PaneState]:
    """The panes that this version knows, each with an id of its own."""
    found: list[PaneState] = []
    for pane in saved:
        kind, height, name = pane.get("kind"), pane.get("height"), str(pane.get("id"))
        fits = kind in KINDS and name.startswith(str(kind)) and name[len(str(kind)) :].isdigit() | (name == kind)
        if fits and name not in {other["id"] for other in found}:
            found.append({"id": name, "kind": str(kind), "height": str(height) if height in HEIGHTS else "medium"})
    return found


def _as_widget(value: Any) -> Any:
    """JSON has lists only; ranges are tuples."""
    return (
        tuple(value) if isinstance(value, list) and all(isinstance(v, int | float) for v in value) and value else value
    )


def _stretch(value: Any, duration: float) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    start, end = (float(v) if isinstance(v, int | float) else math.nan for v in value)
    return (start, end) if 0 <= start < end <= duration + 1 else None


def _marked(value: Any) -> Selection | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    try:
        return Selection(*value)
    except (OtoscopeError, TypeError):
        return None


def _row(clip: ClipFacts, kept: Any) -> Collected:
    where = kept.selection
    return {
        "clip": clip.name,
        "digest": clip.digest,
        "label": kept.label,
        "start": where.start,
        "end": where.end,
        "low": where.low,
        "high": where.high,
        "measures": selecting.as_rows(kept.measures),
    }


def _save_clip(clip: Clip) -> None:
    """The clip as it is analysed: mono, cleaned where it was cleaned."""
    if clip.duration > LONGEST_WHOLE_S:
        st.caption("This clip is too long to be saved whole from here: mark a stretch of up to ten minutes.")
        return

    def whole(make: Callable[[FloatArray, int], tuple[bytes, int]]) -> bytes:
        return make(clip.read(0, clip.y.size), clip.sr)[0]

    with st.container(horizontal=True):
        for name, make in (("WAV", sound.wav_bytes), ("FLAC", sound.flac_bytes)):
            st.download_button(
                name,
                partial(whole, make),
                f"{clip.digest[:8]}.{name.lower()}",
                f"audio/{name.lower()}",
                icon=":material/download:",
                on_click="ignore",
                key=f"save_clip_{name}",
                help="All of the clip in hand: mono, 16 bits, at the rate of the analysis.",
            )
