"""Panes of time: who pauses when, how fast the syllables come, onsets and tempo."""

from __future__ import annotations

import streamlit as st

from components.exports import figures, frames
from components.features import music
from components.features.pauses import HOW_COUNTED, SHORTEST_PAUSE_S, Structure, rates, structure, syllable_nuclei
from components.models import registry
from components.models.events import find_events
from components.plots import time as time_plots
from components.plots import voice as voice_plots
from components.plots.theme import OKABE_ITO
from components.types import Clip, FrameParams, Measure, Segment, Tier
from components.widgets import cached, state
from components.widgets.progress import progress
from components.widgets.text import plain
from components.widgets.views import base
from components.widgets.views.base import Kind, Shown, Stage

BEAT = OKABE_ITO[0]
LISTENER, SPEECH = "silero-vad", "speech"
THRESHOLD, SHORTEST_SPEECH_S = 0.5, 0.1


def speech_of(clip: Clip) -> tuple[Segment, ...]:
    """The stretches of a clip in which somebody speaks, as Silero hears them."""

    def listen() -> tuple[Segment, ...]:
        with progress("Listening for speech") as report:
            prediction = registry.load(LISTENER).predict(clip, report)
        found = find_events(prediction, THRESHOLD, SHORTEST_SPEECH_S)
        return tuple(segment for segment in found if segment.label == SPEECH)

    return cached.remember("prediction", ("speech", clip.digest), listen)


def nuclei_of(clip: Clip) -> tuple[float, ...]:
    """The moments of a clip's syllables [s]."""

    def count() -> tuple[float, ...]:
        with progress("Counting syllables") as report:
            return syllable_nuclei(clip, on_progress=report)

    return cached.remember("prediction", ("nuclei", clip.digest), count)


def structure_of(clip: Clip, shortest_pause: float) -> Structure:
    """Speech and pauses of a clip."""
    return structure(speech_of(clip), clip.duration, shortest_pause=shortest_pause)


def tiers(clip: Clip, shortest_pause: float) -> tuple[Tier, ...]:
    """Speech, pauses and syllables as annotation programs take them."""
    found = structure_of(clip, shortest_pause)
    points = tuple(Segment(t, t, "syllable", 1.0) for t in nuclei_of(clip))
    return Tier("speech", found.speech), Tier("pauses", found.pauses), Tier("syllables", points)


def shortest_pause_in_use() -> float:
    """What the (first) pane of speech and pauses is set to [s]."""
    return float(state.widget_value(base.key("structure", "pause")) or SHORTEST_PAUSE_S)


def _structure_settings(pane: str, clip: Clip) -> float:
    shortest: float = st.select_slider(
        "Shortest pause",
        (0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0),
        0.25,
        format_func=lambda s: f"pauses from {s} s",
        key=base.key(pane, "pause"),
        persist_state="session",
        label_visibility="collapsed",
        width=240,
        help="Shorter silences count as part of the speech: many are consonants (p, t, k), not pauses.",
    )
    return shortest


def _draw_structure(stage: Stage, shortest_pause: float) -> Shown | None:
    clip = stage.clip
    found, nuclei = structure_of(clip, shortest_pause), nuclei_of(clip)
    figure = voice_plots.structure(
        found.speech, found.pauses, nuclei, clock=stage.clock, view=stage.view, height=stage.height
    )
    _numbers(rates(found, nuclei))
    caption = (
        f"Speech as Silero VAD hears it (score of at least {THRESHOLD}, {SHORTEST_SPEECH_S} s); pauses of at least "
        f"{shortest_pause} s. {HOW_COUNTED}"
    )
    rows = (Tier("speech", found.speech), Tier("pauses", found.pauses))
    return Shown(
        figure, caption, lambda: frames.tiers_table(rows, method=caption), lambda paper: figures.bands(rows, paper)
    )


def _numbers(measures: tuple[Measure, ...]) -> None:
    """The few numbers that sum up a conversation."""
    with st.container(horizontal=True, key="rates"):
        for measure in measures:
            value = f"{measure.value:.2f}".rstrip("0").rstrip(".") if measure.value == measure.value else "–"
            st.metric(plain(measure.title), f"{value} {measure.unit}".strip(), help=measure.meaning, width="content")


def _draw_onsets(stage: Stage, settings: None) -> Shown | None:
    if base.too_long(stage):
        return None
    params = FrameParams(n_fft=2048, hop_length=512)
    feature = base.true_frames(stage, params, music.onset_strength)
    wanted = ("tempo", stage.clip.digest, feature.times.size, float(feature.times[0]))
    onsets, tempo = cached.remember("picture", wanted, lambda: (music.onsets(feature), music.tempo(feature)))
    figure = time_plots.curve(feature, clock=stage.clock, view=stage.view, height=stage.height)
    figure = time_plots.onsets(figure, onsets)
    if tempo.note is None:
        figure = time_plots.onsets(figure, tempo.beats, name="beats", colour=BEAT, dash="dash")
    speed = tempo.note or f"Tempo about {tempo.bpm:.0f} beats a minute."
    caption = f"{onsets.size} onsets. {speed} {base.frame_words(params, stage.clip.sr)}."
    track = base.track_of(feature, "onset strength", caption)
    return base.shown_track(figure, track)


STRUCTURE = Kind(
    "Speech and pauses",
    "Where somebody speaks and where nobody does, and each syllable as a tick. The rates below count syllables by "
    "their peaks of loudness, so they hold for comparing speakers more than for single words.",
    150,
    _structure_settings,
    _draw_structure,
)
ONSETS = Kind(
    "Onsets and tempo",
    "Where something new begins: the curve is high where the sound grows suddenly. Upright lines are onsets, "
    "dashed ones the beat, if there is one.",
    160,
    base.no_settings,
    _draw_onsets,
)
