"""32-bit numbers, or 16-bit ones (bfloat16) where the processor has them and the model's answers stay the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch

from components.audio.decode import decode
from components.audio.samples import SAMPLES
from components.models.base import OnProgress
from components.models.precision import has_bfloat16
from components.types import Clip, ModelCard, Prediction

Dtype = Literal["auto", "float32", "bfloat16"]
LARGEST_CHANGE = 0.02
"""bfloat16 is used only where no score of the trial sentence changes by more than this, nor any word of it."""
TRIAL_S = 3.0


class Listener(Protocol):
    """A model whose card may be changed."""

    card: ModelCard

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction: ...


Model = TypeVar("Model", bound=Listener)


def trial() -> Clip:
    """The first seconds of the sample sentence."""
    sample = next(sample for sample in SAMPLES if sample.name == "A sentence")
    return decode(sample.path, name=sample.name).clip.section(0.0, TRIAL_S)


def quickest(net: Any, make: Callable[[Any], Model], dtype: Dtype) -> Model:
    """The model in the numbers that are fastest here, of those that give the same answers.

    Parameters
    ----------
    net : the network in float32
    make : a model of a network, which it may change
    dtype : "auto" tries bfloat16 on a sentence and keeps it if the text is the same and no score moves by more than
        LARGEST_CHANGE; "float32" and "bfloat16" do as they say
    """
    if dtype == "float32" or (dtype == "auto" and not has_bfloat16()):
        return make(net)
    half = copy.deepcopy(net).to(torch.bfloat16)
    full, short, clip = make(net), make(half), trial()
    a, b = full.predict(clip), short.predict(clip)
    change = float(np.abs(a.scores - b.scores).max())
    if dtype == "auto" and (change > LARGEST_CHANGE or a.text != b.text):
        return full
    note = (
        "On this computer it calculates with 16-bit numbers (bfloat16), which is about twice as fast; on a trial "
        f"sentence that moved no score by more than {change:.3f}."
    )
    short.card = replace(short.card, caveats=(*short.card.caveats, note))
    return short
