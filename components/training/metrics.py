"""How well a model hears somebody, or something, it never heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.models import frames
from components.models.base import AudioModel
from components.models.events import clip_label
from components.training.data import IGNORED, Example, Labels, Rng, Task, active_frames, coloured_noise
from components.types import Clip, FloatArray

IN_SEQUENCE = 10
"""Recordings in a sequence."""
PAUSE_S = (0.2, 0.6)
NOISE_DB = 50.0
"""The pauses hold noise this much weaker than the recordings: none is ever quite silent."""


def clip_hits(model: AudioModel, task: Task, examples: Sequence[Example]) -> list[bool]:
    """Whether the clip label (`events.clip_label`) of each recording is right."""
    clips = [Clip.from_array("recording", example.y, task.front.sr) for example in examples]
    labels = [clip_label(model.predict(clip))[0] for clip in clips]
    return [label == task.labels[example.label] for label, example in zip(labels, examples, strict=True)]


def accuracy(hits: Sequence[bool]) -> float:
    """Share of hits."""
    return float(np.mean(hits))


def unweighted_recall(hits: Sequence[bool], examples: Sequence[Example]) -> float:
    """The mean over the classes of the share of a class's recordings that were hits (UAR)."""
    labels = np.array([example.label for example in examples])
    return float(np.mean([np.mean(np.array(hits)[labels == k]) for k in np.unique(labels)]))


def sequence_of(task: Task, examples: Sequence[Example], rng: Rng) -> tuple[FloatArray, Labels]:
    """Recordings one after the other with pauses of 0.2 to 0.6 s, under faint pink noise.

    Returns y (n_samples,) and the right label of each frame (n_frames,): the recording's in its active frames, IGNORED
    elsewhere.
    """
    sr, hop = task.front.sr, task.front.params.hop_length
    parts: list[FloatArray] = []
    starts = []
    n = 0
    for example in examples:
        pause = int(rng.uniform(*PAUSE_S) * sr)
        parts += [np.zeros(pause, np.float32), example.y]
        starts.append(n + pause)
        n += pause + example.y.size
    y = np.concatenate(parts)
    level = np.sqrt(np.mean(np.concatenate([example.y for example in examples]) ** 2))
    y = y + np.float32(level * 10 ** (-NOISE_DB / 20)) * coloured_noise(rng, y.size, 1.0)
    labels = np.full(1 + y.size // hop, IGNORED)
    for start, example in zip(starts, examples, strict=True):
        found = np.flatnonzero(active_frames(task, example.y))
        labels[np.minimum(labels.size - 1, np.round(start / hop + found).astype(int))] = example.label
    return y, labels


def sequence_accuracy(model: AudioModel, task: Task, examples: Sequence[Example], seed: int) -> float:
    """Share of labelled frames with the right best label, in sequences of ten; each recording is in one of them."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(examples))
    right = total = 0
    for i in range(0, len(order), IN_SEQUENCE):
        y, labels = sequence_of(task, [examples[k] for k in order[i : i + IN_SEQUENCE]], rng)
        prediction = model.predict(Clip.from_array("sequence", y, task.front.sr))
        asked = np.flatnonzero(labels != IGNORED)
        times = frames.times_of(task.front, labels.size)[asked]
        at = np.round((times - prediction.times[0]) / prediction.hop_s).astype(int)
        best = prediction.scores.argmax(axis=1)[np.clip(at, 0, len(prediction.times) - 1)]
        right += int(np.count_nonzero(best == labels[asked]))
        total += asked.size
    return right / total


def share_none(model: AudioModel, task: Task, y: FloatArray) -> float:
    """Share of frames whose best label is "none"."""
    best = model.predict(Clip.from_array("other", y, task.front.sr)).scores.argmax(axis=1)
    return float(np.mean(best == task.none))
