"""A small app for test_transport.py: four charts, two trajectories and an event list on one clock."""

# ruff: noqa: TID251 (a counter of runs is this app's only state, and what the test reads)

from __future__ import annotations

import io

import numpy as np
import soundfile as sf
import streamlit as st

from components.features.envelope import envelope
from components.features.picture import picture
from components.features.projection import project
from components.plots import layers, scores, time, timefreq
from components.plots.theme import alt_text
from components.types import Activation, Clip, FrameParams, Prediction, Segment
from components.widgets.transport import transport

SR = 16000


def make_clip(duration: float) -> Clip:
    t = np.arange(int(SR * duration)) / SR
    y = 0.4 * np.sin(2 * np.pi * (200 * t + 60 * t * t)) * (0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t))
    return Clip.from_array(f"chirp {duration:g} s", y, SR)


def wav(clip: Clip) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, clip.y, clip.sr, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


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


@st.fragment
def pictures(clip: Clip) -> None:
    clock = clip.name
    with st.container(key="player"):
        st.audio(wav(clip), format="audio/wav")
    token = None
    if st.button("hear the event"):
        st.session_state.heard = st.session_state.get("heard", 0) + 1
    if st.session_state.get("heard"):
        token = (f"event {st.session_state.heard}", 2.0, 2.6)
    state = transport(
        clock, audio_key="player", duration=clip.duration, marks=[(2.0, 2.6)], seek=token, report_time=True
    )
    st.session_state.fragments = st.session_state.get("fragments", 0) + 1
    st.text(f"view={state.view} time={state.time} fragments={st.session_state.fragments}")
    view = state.view or (0.0, clip.duration)
    cells = picture(clip, *view, FrameParams(), scale=st.query_params.get("scale", "mel"))
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
    st.button("fragment again")


def explore() -> None:
    duration = st.radio("duration", [8.0, 12.0], horizontal=True)
    st.text_input("note")
    st.button("all again")
    pictures(make_clip(duration))


def other() -> None:
    st.text("nothing to hear")


st.set_page_config(layout="wide")
st.navigation([st.Page(explore, title="Explore", default=True), st.Page(other, title="Other")]).run()
