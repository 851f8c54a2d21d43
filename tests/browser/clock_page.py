"""A page for test_transport.py: four charts, two trajectories, three sounds and an event list on one clock."""

# ruff: noqa: TID251 (a counter of runs is this app's only state, and what the test reads)

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile as sf
import streamlit as st

from components.features.envelope import envelope
from components.features.picture import picture
from components.features.projection import project
from components.plots import layers, scores, time, timefreq
from components.plots.theme import alt_text
from components.types import Activation, Clip, FrameParams, Prediction, Segment, Selection
from components.widgets.transport import Sound, transport

SR = 16000
BAND = (2.0, 4.0)


def write(name: str, y: np.ndarray) -> Path:
    """The sound as a file that the app serves; written once."""
    path = Path(os.environ["CLOCK_SOUNDS"]) / name
    if not path.exists():
        half = path.with_suffix(".half")
        sf.write(half, y, SR, format="WAV", subtype="PCM_16")
        half.rename(path)
    return path


def make_clip(duration: float) -> Clip:
    """A chirp from 200 Hz, 120 Hz higher each second, as the file has it."""
    t = np.arange(int(SR * duration)) / SR
    y = 0.4 * np.sin(2 * np.pi * (200 * t + 60 * t * t)) * (0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t))
    samples, _ = sf.read(write(f"{duration:g}-original.wav", y), dtype="float32")
    return Clip.from_array(f"chirp {duration:g} s", samples, SR)


def make_sounds(clip: Clip, version: int) -> list[Sound]:
    name = f"{clip.duration:g}"
    write(f"{name}-cleaned-{version}.wav", clip.y * 0.5)
    write(f"{name}-band.wav", clip.section(*BAND).y)
    return [
        Sound("Original", f"sound/{name}-original.wav"),
        Sound("Cleaned", f"sound/{name}-cleaned-{version}.wav"),
        Sound("Band", f"sound/{name}-band.wav", BAND[0]),
    ]


def make_prediction(clip: Clip) -> Prediction:
    times = np.arange(0.48, clip.duration, 0.48)
    a = (0.5 + 0.5 * np.sin(times)).astype(np.float32)
    return Prediction("toy", ("up", "down"), np.stack([a, 1 - a], 1), "softmax", times, 0.96, 0.48)


def make_states(clip: Clip) -> Activation:
    times = np.arange(0, clip.duration, 0.02)
    phase = np.linspace(0, np.pi, 32)
    return Activation("rnn", "hidden_state", np.tanh(2 * np.sin(times[:, None] + phase)), ("frame", "unit"), times)


def show(figure, key: str) -> None:
    st.plotly_chart(figure, key=key, alt=alt_text(figure))


def count(name: str, button: str) -> int:
    """How often the button was pressed."""
    st.session_state[name] = st.session_state.get(name, 0) + st.button(button)
    return st.session_state[name]


@st.fragment
def pictures(clip: Clip, scale: str, selectable: bool) -> None:
    clock = clip.name
    columns = st.columns(5)
    with columns[0]:
        heard = count("heard", "hear the event")
    with columns[1]:
        version = count("version", "clean anew")
    with columns[2]:
        marked = count("marked", "open a session")
    with columns[3]:
        missing = st.toggle("missing sound")
    with columns[4]:
        st.button("fragment again")
    sounds = make_sounds(clip, version)
    if missing:
        sounds.append(Sound("Lost", "sound/lost.wav"))
    outline = envelope(clip, 0.0, clip.duration, 400)
    state = transport(
        clock,
        sounds=sounds,
        duration=clip.duration,
        marks=[(2.0, 2.6)],
        seek=(f"event {heard}", 2.0, 2.6) if heard else None,
        report_time=True,
        selectable=selectable,
        selection=Selection(1.0 + marked, 2.0 + marked, 300.0, 600.0) if marked and clip.duration == 8 else None,
        outline=list(zip(outline.low, outline.high, strict=True)),
    )
    st.session_state.fragments = st.session_state.get("fragments", 0) + 1
    st.text(
        f"view={state.view} time={state.time} selection={state.selection} heard={state.heard} "
        f"fragments={st.session_state.fragments}"
    )
    view = state.view or (0.0, clip.duration)
    cells = picture(clip, *view, FrameParams(), scale=scale)
    show(time.waveform(envelope(clip, *view), clock=clock, view=view), "wave")
    show(timefreq.spectrogram(cells, clock=clock, view=view), "spectrogram")
    prediction = make_prediction(clip)
    events = [Segment(2.0, 2.6, "up", 0.9)]
    show(scores.scores(prediction, clock=clock, view=view, threshold=0.5, events=events), "scores")
    states = make_states(clip)
    projection = project(states.values)
    first, second, third = st.tabs(["Heat map", "Plane", "Space"])
    with first:
        show(layers.hidden_states(states, clock=clock, view=view), "hidden")
    with second:
        explained = projection.explained
        show(layers.trajectory_2d(projection.points, states.times, clock=clock, explained=explained), "plane")
    with third:
        show(layers.trajectory_3d(projection.points, states.times, clock=clock, explained=explained), "space")


def explore() -> None:
    columns = st.columns(5)
    duration = columns[0].radio("duration", [8.0, 12.0], horizontal=True)
    scale = columns[1].radio("scale", ["mel", "linear", "log"], horizontal=True)
    selectable = columns[2].toggle("selectable", value=True)
    columns[3].text_input("note")
    columns[4].button("all again")
    pictures(make_clip(duration), scale, selectable)


def other() -> None:
    st.text("nothing to hear")


st.set_page_config(layout="wide")
st.navigation([st.Page(explore, title="Explore", default=True), st.Page(other, title="Other")]).run()
