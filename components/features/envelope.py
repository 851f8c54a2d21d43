"""The outline of a waveform at the resolution of a screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.types import Clip, FloatArray, Times

BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class Envelope:
    """Lowest and highest sample of each column, or the true samples when there are few.

    Attributes
    ----------
    times : centre of each column, or time of each sample, shape (n,) [s]
    low, high : shape (n,); equal where `step` is 1
    step : samples in a column; 1 means true samples
    """

    times: Times
    low: FloatArray
    high: FloatArray
    step: int


def envelope(clip: Clip, t0: float, t1: float, columns: int = 1000) -> Envelope:
    """Minimum and maximum of the samples from t0 to t1 [s] in at most `columns` + 1 equal columns.

    With fewer than two samples a column the samples themselves are returned. Columns begin at multiples of their
    own width, so that an outline does not flicker while it is moved. Reads the clip in blocks: constant memory.
    """
    start = min(max(0, int(np.floor(t0 * clip.sr))), clip.y.size - 1)
    stop = max(start + 1, min(clip.y.size, int(np.ceil(t1 * clip.sr)) + 1))
    if stop - start < 2 * columns:
        y = np.array(clip.read(start, stop))
        return Envelope(np.arange(start, stop) / clip.sr, y, y, 1)
    step = -(-(stop - start) // columns)
    start -= start % step
    block = step * max(1, BLOCK_SAMPLES // step)
    low, high = [], []
    for first in range(start, stop, block):
        y = clip.read(first, min(stop, first + block))
        whole = y.size // step * step
        columns_of_y = y[:whole].reshape(-1, step)
        low.append(columns_of_y.min(axis=1))
        high.append(columns_of_y.max(axis=1))
        if whole < y.size:
            low.append(y[whole:].min(keepdims=True))
            high.append(y[whole:].max(keepdims=True))
    edges = np.arange(start, stop, step)
    return Envelope((edges + step / 2) / clip.sr, np.concatenate(low), np.concatenate(high), step)
