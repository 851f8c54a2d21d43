"""From scores per frame to what a person asks for: a clip's label and a list of events."""

from __future__ import annotations

import numpy as np

from components.types import FloatArray, Prediction, Segment, Times

NONE = "none"
"""The class for "nothing of what I know": never a clip's label, never an event."""


def clip_scores(prediction: Prediction) -> FloatArray:
    """One score per class for the whole clip, shape (n_classes,).

    The mean over frames, each frame weighted by 1 - score("none") where the model has that class, so that
    pauses do not dilute what was heard. Without any frame that is not "none", the plain mean.
    """
    scores = prediction.scores
    if scores.shape[0] == 0:
        return np.zeros(scores.shape[1], np.float32)
    weights = np.ones(scores.shape[0], np.float64)
    if NONE in prediction.labels:
        weights = 1.0 - scores[:, prediction.labels.index(NONE)].astype(np.float64)
    if weights.sum() <= 1e-9:
        weights = np.ones_like(weights)
    mean: FloatArray = (weights @ scores / weights.sum()).astype(np.float32)
    return mean


def clip_label(prediction: Prediction) -> tuple[str, float]:
    """The best class other than "none" for the whole clip, and its score (see `clip_scores`)."""
    scores = clip_scores(prediction)
    best = max((k for k, label in enumerate(prediction.labels) if label != NONE), key=lambda k: scores[k])
    return prediction.labels[best], float(scores[best])


def find_events(prediction: Prediction, threshold: float, min_duration_s: float = 0.0) -> tuple[Segment, ...]:
    """Stretches in which a class stays at or above `threshold`, in order of start.

    Softmax scores: only the frame's best class counts. Sigmoid scores: each class for itself. "none" never
    counts. A frame stands for one hop around its centre; an event's score is the mean over its frames.

    Parameters
    ----------
    prediction : scores per frame
    threshold : lowest score that counts, in the model's own unit
    min_duration_s : shorter events are left out [s]
    """
    scores = prediction.scores
    active = scores >= threshold
    if prediction.activation == "softmax" and scores.size:
        best = scores.argmax(axis=1)
        active &= best[:, None] == np.arange(scores.shape[1])
    events = []
    for k, label in enumerate(prediction.labels):
        if label == NONE:
            continue
        edges = np.flatnonzero(np.diff(active[:, k].astype(np.int8), prepend=0, append=0))
        for first, stop in edges.reshape(-1, 2):
            start = max(0.0, float(prediction.times[first]) - prediction.hop_s / 2)
            end = float(prediction.times[stop - 1]) + prediction.hop_s / 2
            if end - start >= min_duration_s:
                events.append(Segment(start, end, label, float(scores[first:stop, k].mean())))
    return tuple(sorted(events, key=lambda e: (e.start, e.label)))


def labels_at(prediction: Prediction, times: Times) -> list[str]:
    """The best label at each of `times` [s]: of the frame whose centre is nearest.

    Where each class is scored for itself (sigmoid), a frame in which none reaches 0.5 is "none".
    """
    if not prediction.scores.size:
        return [NONE] * len(times)
    right = np.clip(np.searchsorted(prediction.times, times), 1, max(1, prediction.times.size - 1))
    right = np.minimum(right, prediction.times.size - 1)
    left = np.maximum(right - 1, 0)
    nearer_left = np.abs(times - prediction.times[left]) <= np.abs(times - prediction.times[right])
    scores = prediction.scores[np.where(nearer_left, left, right)]
    sure = scores.max(axis=1) >= (0.5 if prediction.activation == "sigmoid" else -np.inf)
    return [prediction.labels[k] if s else NONE for k, s in zip(scores.argmax(axis=1), sure, strict=True)]
