"""Speech encoders without a head: nothing to predict, but every layer to look into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.audio.transform import resampled_blocks
from components.models.base import OnProgress
from components.models.hf.checkpoint import load_net
from components.models.hf.speech import Speech
from components.types import Activation, Clip, ModelCard, Prediction


class Encoder:
    """An encoder as an `AudioModel` without labels; its layer "embedding" says what it heard."""

    def __init__(self, card: ModelCard, net: Any, folder: Path) -> None:
        self.net = net
        self.speech = Speech(net, folder)
        self.card = self.speech.complete(card, folder, ())

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """The times of the frames, with no scores: shape (n_frames, 0). The network is not asked."""
        samples, total = 0, clip.duration * self.card.sr
        for y in resampled_blocks(clip, self.card.sr):
            samples += len(y)
            if on_progress:
                on_progress(min(samples / total, 0.999))
        if on_progress:
            on_progress(1.0)
        times = self.speech.times(self.speech.geometry.frames(samples))
        scores = np.zeros((times.size, 0), np.float32)
        return Prediction(self.card.id, (), scores, "none", times, self.card.window_s, self.card.hop_s)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        return self.speech.inspect(self.card, clip, layers, on_progress)


def load(folder: Path, card: ModelCard, *, trust_bin: bool = False) -> Encoder:
    """The encoder in `folder`, in 32-bit numbers: its hidden states are what people come for."""
    from transformers import AutoModel

    return Encoder(card, load_net(folder, AutoModel, trust_bin=trust_bin), folder)
