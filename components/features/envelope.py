"""The outline of a waveform at the resolution of a screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.channels import ChannelOutlines, channel_samples
from components.types import Clip, FloatArray, Times

BLOCK_SAMPLES = 1 << 20
MAX_VALUES = 1 << 23
"""Samples of all channels together that are read from a file for one view."""


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


def pooled(rows: npt.NDArray[Any], group: int, extreme: Callable[..., npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The extreme (np.min, np.max) of each `group` consecutive rows; the last group may have fewer.

    Numpy's reduceat does the same and takes many times as long.
    """
    whole = len(rows) // group * group
    made = extreme(rows[:whole].reshape(-1, group, *rows.shape[1:]), axis=1)
    return np.concatenate([made, extreme(rows[whole:], axis=0)[None]]) if whole < len(rows) else made


def sample_range(t0: float, t1: float, sr: int, n_samples: int) -> tuple[int, int]:
    """First sample of the range from t0 to t1 [s] and the one after its last, at least one sample apart."""
    start = min(max(0, int(np.floor(t0 * sr))), n_samples - 1)
    return start, max(start + 1, min(n_samples, int(np.ceil(t1 * sr)) + 1))


def envelope(clip: Clip, t0: float, t1: float, columns: int = 1000) -> Envelope:
    """Minimum and maximum of the samples from t0 to t1 [s] in at most `columns` + 1 equal columns.

    With fewer than two samples a column the samples themselves are returned. Columns begin at multiples of their
    own width, so that an outline does not flicker while it is moved. Reads the clip in blocks: constant memory.
    """
    start, stop = sample_range(t0, t1, clip.sr, clip.y.size)
    if stop - start < 2 * columns:
        y = np.array(clip.read(start, stop))
        return Envelope(np.arange(start, stop) / clip.sr, y, y, 1)
    step = -(-(stop - start) // columns)
    start -= start % step
    block = step * max(1, BLOCK_SAMPLES // step)
    low, high = [], []
    for first in range(start, stop, block):
        y = clip.read(first, min(stop, first + block))
        low.append(pooled(y, step, np.min))
        high.append(pooled(y, step, np.max))
    edges = np.arange(start, stop, step)
    return Envelope((edges + step / 2) / clip.sr, np.concatenate(low), np.concatenate(high), step)


def channel_envelopes(outlines: ChannelOutlines, t0: float, t1: float, columns: int = 1000) -> tuple[Envelope, ...]:
    """The same for each channel of a recording, in order, on the clip's clock.

    Where the view is finer than the outlines that were kept, the samples are read from the file. A file in which
    they cannot be found (a long MP3), or from which too many would be read (dozens of channels), shows the columns
    that were kept: `step` says how wide they are.
    """
    start, stop = sample_range(t0, t1, outlines.sr, outlines.n_samples)
    wanted = -(-(stop - start) // columns) if stop - start >= 2 * columns else 1
    few = (stop - start) * len(outlines.low) <= MAX_VALUES
    if wanted < outlines.step and outlines.can_seek and few:
        first = start - start % wanted
        y = channel_samples(outlines, first, stop)
        if y is not None:
            return tuple(_in_columns(samples, samples, first, wanted, 1, outlines.sr) for samples in y)
    group = -(-wanted // outlines.step)
    step = group * outlines.step
    start -= start % step
    part = slice(start // outlines.step, -(-stop // outlines.step))
    return tuple(
        _in_columns(low[part], high[part], start, group, outlines.step, outlines.sr)
        for low, high in zip(outlines.low, outlines.high, strict=True)
    )


def _in_columns(low: FloatArray, high: FloatArray, start: int, group: int, step: int, sr: int) -> Envelope:
    """Pool columns of `step` samples, the first of which begins at sample `start`, in groups."""
    wide = group * step
    if wide == 1:
        return Envelope((start + np.arange(low.size)) / sr, low, high, 1)
    low, high = pooled(low, group, np.min), pooled(high, group, np.max)
    return Envelope((start + wide * (np.arange(low.size) + 0.5)) / sr, low, high, wide)
