"""What a model holds while it listens: states over time, their path, one step in numbers. By kind, never by name."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from components.errors import OtoscopeError
from components.features.projection import project, units_of
from components.models import registry
from components.plots import layers as layer_plots
from components.plots.theme import View
from components.types import Activation, Clip, ModelCard, Prediction
from components.units import format_time
from components.widgets import cached, panes
from components.widgets.progress import progress
from components.widgets.text import plain
from components.widgets.transport import TransportState

LONGEST_S = 120.0
"""The inside of a model is shown for at most this long a stretch at a time."""

KIND_HELP = {
    "input": "What the model is given: the sound as rows of numbers, one column per moment.",
    "term": "One of the summands that make up the next hidden state.",
    "hidden_state": "The model's memory at each moment: each row is one unit, between -1 and 1, red up, blue down.",
    "cell_state": "The LSTM's long-term memory: it changes only as far as the gates let it.",
    "gate": "A gate between 0 (shut) and 1 (open), one for each unit and moment: what is taken in, kept, or let out.",
    "feature_map": "What one learned filter finds, by frequency and time: bright where its pattern is in the sound.",
    "attention": "Where each moment looks: a bright cell means that this moment (across) draws on that one (up).",
    "embedding": "The numbers by which the model tells the labels apart, moment by moment.",
}


def stretch(clip: Clip, now: TransportState) -> View:
    """The part of the clip to look into: all of a short one, the visible part of a long one. Else stops the page."""
    if clip.duration <= LONGEST_S:
        return panes.whole(clip)
    view = panes.view_of(clip, now)
    if view[1] - view[0] > LONGEST_S:
        st.info(
            f"Inside looks at up to {format_time(LONGEST_S)} min at a time: drag across the spectrogram above to "
            "choose a part."
        )
        st.stop()
    return view


def inspect(clip: Clip, part: View, card: ModelCard, layers: tuple[str, ...]) -> dict[str, Activation]:
    """The layers' activations over a part of the clip, with the times of the whole clip."""

    def look() -> dict[str, Activation]:
        with progress(f"Looking into {card.title}") as report:
            found = registry.load(card.id).inspect(clip.section(*part), layers, report)
        return {
            name: replace(a, times=None if a.times is None else a.times + part[0]) for name, a in found.items()
        }

    try:
        return cached.remember("activation", (clip.digest, part, card.id, layers), look)
    except OtoscopeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        st.stop()
