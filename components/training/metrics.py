"""How well a model hears the digits of somebody it never heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.models import frames
from components.models.base import AudioModel
from components.models.events import clip_label
from components.training.data import IGNORED, Rng, Utterance, active_frames, coloured_noise
from components.types import Clip, FloatArray

DIGITS_IN_SEQUENCE = 10
PAUSE_S = (0.2, 0.6)
NOISE_DB = 50.0
"""The pauses hold noise this much weaker than the digits: no recording is ever quite silent."""


def clip_accuracy(model: AudioModel, utterances: Sequence[Utterance]) -> float:
    """Share of single digits whose clip label (`events.clip_label`) is right."""
    right = 0
    for u in utterances:
        label, _ = clip_label(model.predict(Clip.from_array("digit", u.y, frames.SR)))
        right += label == frames.LABELS[u.digit]
    return right / len(utterances)


def sequence_of(
    utterances: Sequence[Utterance], rng: Rng
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Digits one after the other with pauses of 0.2 to 0.6 s, under faint pink noise.

    Returns y (n_samples,) and the right label of each frame (n_frames,): the digit in its active frames, IGNORED
    elsewhere.
    """
    hop = frames.PARAMS.hop_length
    parts: list[FloatArray] = []
    spans = []
    n = 0
    for u in utterances:
        pause = int(rng.uniform(*PAUSE_S) * frames.SR)
        parts += [np.zeros(pause, np.float32), u.y]
        spans.append((n + pause, u))
        n += pause + u.y.size
    y = np.concatenate(parts)
    level = np.sqrt(np.mean(np.concatenate([u.y for u in utterances]) ** 2))
    y = y + np.float32(level * 10 ** (-NOISE_DB / 20)) * coloured_noise(rng, y.size, 1.0)
    labels = np.full(1 + y.size // hop, IGNORED)
    for start, u in spans:
        for i in np.flatnonzero(active_frames(u.y)):
            labels[min(labels.size - 1, round((start + i * hop) / hop))] = u.digit
    return y, labels


def sequence_accuracy(model: AudioModel, utterances: Sequence[Utterance], seed: int) -> float:
    """Share of active frames, in sequences of ten digits each recording is part of once, with the right best label."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(utterances))
    right = total = 0
    for i in range(0, len(order), DIGITS_IN_SEQUENCE):
        y, labels = sequence_of([utterances[k] for k in order[i : i + DIGITS_IN_SEQUENCE]], rng)
        prediction = model.predict(Clip.from_array("sequence", y, frames.SR))
        asked = np.flatnonzero(labels != IGNORED)
        at = np.round((frames.times_of(labels.size)[asked] - prediction.times[0]) / prediction.hop_s).astype(int)
        best = prediction.scores.argmax(axis=1)[np.clip(at, 0, len(prediction.times) - 1)]
        right += int(np.count_nonzero(best == labels[asked]))
        total += asked.size
    return right / total


def share_none(model: AudioModel, y: FloatArray) -> float:
    """Share of frames whose best label is "none"."""
    best = model.predict(Clip.from_array("other", y, frames.SR)).scores.argmax(axis=1)
    return float(np.mean(best == frames.LABELS.index("none")))
