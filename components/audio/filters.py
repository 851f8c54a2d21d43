"""Linear-phase filters over streams of samples: nothing is delayed, and blocks equal the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from components.errors import ParameterError
from components.types import FloatArray
from components.units import format_hz

STOP_DB = 70.0
"""How far down the filters bring what lies beyond their transitions [dB]; at least 60 dB are promised."""
WIDEST, NARROWEST = 100.0, 5.0
"""Bounds of the slopes' widths [Hz]. A filter with a steeper slope would ring for a second."""
BLOCK_SAMPLES = 1 << 16


def transition(edge: float) -> float:
    """Width of the slope beside an edge of a band [Hz]: a quarter of the edge, between 5 and 100 Hz."""
    return min(WIDEST, max(NARROWEST, edge / 4))


def band_limited(blocks: Iterable[FloatArray], sr: int, low: float | None, high: float | None) -> Iterator[FloatArray]:
    """What lies between `low` and `high` [Hz] in consecutive blocks of samples, shape (n,) each.

    The blocks that come out together equal one filtering of the whole: as many samples, none delayed. The band itself
    is unchanged (within 0.1 dB), its slopes lie outside it (see `transition`), beyond them everything is at least
    60 dB down. None leaves that side open; so does an edge within 5 Hz of 0 or sr / 2, or beyond.

    Source: windowed sinc with a Kaiser window, scipy.signal.firwin, applied by overlap-add in the frequency domain.

    Raises
    ------
    ParameterError : at once, where the band is empty or lies above sr / 2
    """
    low = None if low is None or low < NARROWEST else low
    high = None if high is None or high > sr / 2 - NARROWEST else high
    if low is not None and low >= sr / 2:
        raise ParameterError(
            f"The band begins at {format_hz(low)}, but this sound ends at {format_hz(sr / 2)}: choose a lower band."
        )
    if high is not None and high <= (low or 0.0):
        raise ParameterError("The band is empty: its upper edge must lie above its lower edge.")
    if low is None and high is None:
        return iter(blocks)
    return _convolved(blocks, _taps(sr, low, high))


@lru_cache(maxsize=16)
def _taps(sr: int, low: float | None, high: float | None) -> FloatArray:
    """The filter, shape (n_taps,), n_taps odd: symmetric about its middle, so that its delay is whole samples."""
    from scipy.signal import firwin, kaiserord

    cutoffs, widths = [], []
    if low is not None:
        widths.append(transition(low))
        cutoffs.append(low - widths[-1] / 2)
    if high is not None:
        # The slope ends at sr / 2 at the latest.
        widths.append(min(transition(high), sr / 2 - high))
        cutoffs.append(high + widths[-1] / 2)
    count, beta = kaiserord(STOP_DB, min(widths) / (sr / 2))
    taps = firwin(count | 1, cutoffs, window=("kaiser", beta), pass_zero=low is None, fs=sr)
    return np.asarray(taps, np.float32)


def _convolved(blocks: Iterable[FloatArray], taps: FloatArray) -> Iterator[FloatArray]:
    from scipy.signal import oaconvolve

    beyond = np.zeros(taps.size // 2, np.float32)
    held = [beyond]
    count = beyond.size
    for block in blocks:
        held.append(block)
        count += block.size
        if count < max(BLOCK_SAMPLES, 2 * taps.size):
            continue
        y = np.concatenate(held)
        yield oaconvolve(y, taps, mode="valid").astype(np.float32, copy=False)
        held = [y[1 - taps.size :].copy()]
        count = taps.size - 1
    y = np.concatenate([*held, beyond])
    if y.size >= taps.size:
        yield oaconvolve(y, taps, mode="valid").astype(np.float32, copy=False)
