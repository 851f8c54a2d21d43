"""Classifiers of whole recordings (HuBERT emotion, Wav2Vec 2.0 keywords ...) as curves over time.

Their head averages the frames of a recording and classifies the mean. Here it averages the frames of WINDOW_S
instead, every HOP_S: the model's own head over a stretch at a time. The transformer below it runs once over the whole
recording, so a stretch is heard in its context, and at an eighth of the cost of hearing every stretch by itself. A
recording of up to WINDOW_S is one stretch and has the score of transformers' pipeline("audio-classification").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.models.base import AudioModel, OnProgress
from components.models.hf.ast import Ast
from components.models.hf.checkpoint import AST, load_net, load_part, read_config
from components.models.hf.facts import activation_of, class_labels
from components.models.hf.precision import Dtype, quickest
from components.models.hf.speech import Heard, Speech, scores_of
from components.models.hf.windows import CLASSIFIER_HOP_S, CONTEXT_S, OWN_S
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction

WINDOW_S = 4.0
HOP_S = CLASSIFIER_HOP_S


def hop_means(blocks: Iterable[FloatArray], hop: int) -> tuple[FloatArray, list[int]]:
    """Means of consecutive groups of `hop` frames, (n_groups, D), and their sizes; the last group may be smaller."""
    means: list[FloatArray] = []
    sizes: list[int] = []
    held: list[FloatArray] = []

    def close(frames: FloatArray) -> None:
        means.append(frames.mean(axis=0, dtype=np.float64).astype(np.float32))
        sizes.append(len(frames))

    for block in blocks:
        frames = np.concatenate([*held, block])
        for start in range(0, len(frames) - hop + 1, hop):
            close(frames[start : start + hop])
        held = [frames[len(frames) // hop * hop :]]
    if len(held[0]):
        close(held[0])
    return np.stack(means), sizes


def sliding(means: FloatArray, sizes: Sequence[int], width: int) -> FloatArray:
    """Means of `width` consecutive groups at a time, weighted by their sizes, each starting one group later.

    (n_groups, D) -> (max(1, n_groups - width + 1), D): fewer groups than `width` make one mean of all.
    """
    width = min(width, len(means))
    weights = np.asarray(sizes, np.float64)[:, None]
    sums = np.lib.stride_tricks.sliding_window_view(means * weights, width, axis=0).sum(axis=-1)
    counts = np.lib.stride_tricks.sliding_window_view(weights, width, axis=0).sum(axis=-1)
    return np.asarray(sums / counts, np.float32)


class SpeechClassifier:
    """A classifier of speech as an `AudioModel`."""

    def __init__(self, card: ModelCard, net: Any, folder: Path) -> None:
        config = read_config(folder)
        self.net = net
        self.speech = Speech(net, folder, mix_of(net))
        self.activation = activation_of(config)
        note = (
            f"Each score is the model's own head over {WINDOW_S:g} s; it was made to judge whole recordings. "
            f"The layers below the head have heard up to {OWN_S + 2 * CONTEXT_S:g} s around."
        )
        self.card = replace(self.speech.complete(card, folder, class_labels(config), (note,)), hop_s=HOP_S)

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """Scores of the head over WINDOW_S every HOP_S; of a shorter clip one score, the pipeline's."""
        step = self.speech.hop_s
        means, sizes = hop_means(map(self._projected, self.speech.hear(clip, on_progress)), round(HOP_S / step))
        with torch.inference_mode():
            pooled = torch.from_numpy(sliding(means, sizes, round(WINDOW_S / HOP_S))).to(self.net.dtype)
            scores = scores_of(self.net.classifier(pooled), self.activation)
        centre = min(WINDOW_S, max(clip.duration, step)) / 2
        times = np.asarray(centre + np.arange(len(scores)) * HOP_S, np.float64)
        card = self.card
        return Prediction(card.id, card.labels, scores, self.activation, times, card.window_s, card.hop_s)

    @torch.inference_mode()
    def _projected(self, heard: Heard) -> FloatArray:
        """What the head averages: (n, D) of a window's own frames."""
        array: FloatArray = self.net.projector(heard.hidden.to(self.net.dtype)).float().numpy()
        return array

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        return self.speech.inspect(self.card, clip, layers, on_progress)


def mix_of(net: Any) -> dict[str, float]:
    """Layers and their shares where the head reads a weighted sum of all layers; else {}."""
    if not getattr(net.config, "use_weighted_layer_sum", False):
        return {}
    shares = net.layer_weights.float().softmax(-1).tolist()
    return dict(zip(["projected", *(f"layer_{n}" for n in range(1, len(shares)))], shares, strict=True))


def load(folder: Path, card: ModelCard, *, trust_bin: bool = False, dtype: Dtype = "auto") -> AudioModel:
    """The classifier in `folder`; see `components.models.hf.load`."""
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    net = load_net(folder, AutoModelForAudioClassification, trust_bin=trust_bin)
    if read_config(folder).get("model_type") == AST:
        extractor = load_part(folder, AutoFeatureExtractor)
        return quickest(net, lambda net: Ast(card, net, folder, extractor), dtype)
    return quickest(net, lambda net: SpeechClassifier(card, net, folder), dtype)
