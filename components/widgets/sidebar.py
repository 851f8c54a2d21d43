"""The clip in hand: picked in the sidebar, the same on every page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from components.audio.decode import Decoded, decode
from components.audio.playback import Playback, playback, playback_of_clip
from components.audio.readers import display_name
from components.audio.samples import SAMPLES
from components.audio.synth import GENERATED, generated
from components.errors import OtoscopeError
from components.types import Clip, ClipSource
from components.units import format_hz, format_time
from components.widgets import cached, state
from components.widgets.progress import progress
from components.widgets.state import HeldClip
from components.widgets.text import plain, refuse

CHOICE = "clip_in_hand"


def titles() -> dict[str, str]:
    """Key and title of every clip that can be picked, the user's own first."""
    own = {clip["key"]: clip["name"] for clip in state.held_clips()}
    samples = {f"sample:{sample.name}": f"Sample: {sample.name}" for sample in SAMPLES}
    made = {f"made:{name}": f"Made sound: {name}" for name in GENERATED}
    return own | samples | made


def _take_in(widget: str, fallback: str) -> None:
    """Callback of an intake widget: keep what it holds as a file of this session and pick it."""
    upload: UploadedFile | None = state.widget_value(widget)
    if upload is None:
        return
    path = cached.store_file(upload.getvalue())  # getbuffer() would copy it
    name = display_name(upload.name) if widget.startswith("upload") else fallback
    state.hold({"key": path.name, "name": name, "path": str(path)})
    state.set_widget(CHOICE, path.name)
    state.next_intake()


def _forget(key: str) -> None:
    """Callback: delete a recording of the user's from this session."""
    for clip in state.held_clips():
        if clip["key"] == key:
            cached.forget_clip(Path(clip["path"]))
    state.let_go(key)
    state.set_widget(CHOICE, next(iter(titles())))


def sidebar() -> None:
    """Draw the intake, the list of clips and the facts about the one in hand."""
    count = state.intake()
    upload, record = f"upload_{count}", f"record_{count}"
    with st.sidebar:
        st.file_uploader(
            "Open a recording",
            key=upload,
            on_change=_take_in,
            args=(upload, ""),
            help="Sound or video: wav, mp3, m4a, flac, ogg, mp4, webm and more. It stays on this machine.",
        )
        st.audio_input(
            "Or record",
            # With a rate, the browser leaves out its echo cancellation and gain control.
            sample_rate=48000,
            key=record,
            on_change=_take_in,
            args=(record, f"Recording {count + 1}"),
            help="Uses the microphone of this machine. Nothing is sent anywhere.",
        )
        found = titles()
        key = st.selectbox(
            "Clip in hand",
            list(found),
            format_func=lambda k: found.get(k, k),
            key=CHOICE,
            persist_state="session",
            help="Every page shows and plays this clip.",
        )
        about = next((sample.about for sample in SAMPLES if key == f"sample:{sample.name}"), None)
        if about:
            st.caption(about)
        if any(clip["key"] == key for clip in state.held_clips()):
            st.button("Forget this clip", icon=":material/delete:", on_click=_forget, args=(key,), width="stretch")


def key_in_hand() -> str:
    """Key of the clip in hand."""
    return str(state.widget_value(CHOICE))


def in_hand() -> Decoded:
    """The clip in hand, decoded; stops the page with one sentence when it cannot be opened."""
    try:
        decoded = opened(key_in_hand())
    except OtoscopeError as error:
        refuse(error, then="Pick another clip in the sidebar. Your other clips and settings are still there.")
    for note in decoded.notes:
        st.warning(plain(note), icon=":material/warning:")
    return decoded


def opened(key: str) -> Decoded:
    """The clip of that key, decoded; raises DecodeError when it cannot be opened."""
    title = titles()[key]
    with progress(f"Opening {plain(title)}") as report:
        return cached.remember("recording", key, lambda: _open(key, title, report))


def playback_of(key: str, clip: Clip) -> Playback:
    """What the browser plays for a clip."""
    folder = cached.session_folder()
    if key.startswith("made:"):
        return cached.remember("playback", key, lambda: playback_of_clip(clip, folder=folder))
    with progress("Preparing the sound for the browser") as report:
        return cached.remember(
            "playback", key, lambda: playback(_file_of(key), clip, folder=folder, on_progress=report)
        )


def source_of(key: str) -> Path | None:
    """The file of a clip; None for a made sound."""
    return None if key.startswith("made:") else _file_of(key)


def held(key: str) -> HeldClip | None:
    """What the session holds of a clip of the user's; None for samples and made sounds."""
    return next((clip for clip in state.held_clips() if clip["key"] == key), None)


def start_of(key: str) -> float | None:
    """Where a cleaned clip begins in the recording that it was made of [s]; None for all others."""
    clip = held(key)
    return clip.get("start") if clip else None


def facts(decoded: Decoded) -> str:
    """One line about the clip: duration, rate, channels, format."""
    source: ClipSource = decoded.clip.source
    channels = {1: "mono", 2: "stereo"}.get(source.channels, f"{source.channels} channels")
    parts = [format_time(decoded.clip.duration), format_hz(source.sr), channels, source.format]
    if decoded.clip.sr != source.sr:
        parts.append(f"analysed at {format_hz(decoded.clip.sr)}")
    return " · ".join(parts)


def _open(key: str, title: str, report: Callable[[float], None]) -> Decoded:
    kind, _, name = key.partition(":")
    if kind == "made":
        return Decoded(generated(name), ())
    decoded = decode(_file_of(key), name=title, folder=cached.session_folder(), on_progress=report)
    own = held(key)
    history = tuple(own.get("history", ())) if own else ()
    return replace(decoded, clip=replace(decoded.clip, history=history)) if history else decoded


def _file_of(key: str) -> Path:
    kind, _, name = key.partition(":")
    if kind == "sample":
        return next(sample.path for sample in SAMPLES if sample.name == name)
    return Path(next(clip["path"] for clip in state.held_clips() if clip["key"] == key))
