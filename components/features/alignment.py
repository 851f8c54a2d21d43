"""Where a second recording lies on the clock of the first: two microphones, a part of a whole, before and after."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.signal

from components.audio.transform import at_rate, resampled_blocks
from components.features.spectral import mel_blocks
from components.types import Clip, FloatArray, FrameParams

SR = 8000
"""Rate at which two recordings are compared [Hz]: speech and most of music, whatever their own rates."""
BAND_HZ = (200.0, 3600.0)
"""Hum and rumble are left out, as are frequencies that a telephone would have lost."""
ENVELOPE = FrameParams(n_fft=256, hop_length=80, n_mels=6, n_mfcc=1, fmin=BAND_HZ[0], fmax=BAND_HZ[1])
RATE = SR / ENVELOPE.hop_length
AROUND_FRAMES = 200
"""Levels are seen against those of the 2 s around, so that a quiet passage counts as much as a loud one."""
CANDIDATES = 8
"""So many offsets at which the envelopes agree are looked at sample by sample."""
LONGEST_S = 20.0
"""Stretch that is compared sample by sample [s]."""
REACH_S = 0.03
"""The envelopes may be wrong by this much [s]."""
SHORTEST_OVERLAP_S = 1.0
"""Two recordings must share at least this, or half of the shorter one [s]."""
UNSURE = 0.3
"""Below this strength the two may have nothing in common. Tried here: at most 0.24 between 135 pairs of different
acted sentences of 2 s (EmoDB), 0.22 between sounds of 5 s (ESC-10); clips of less than 1 s reach 0.56 by chance. The
same sound with noise as loud as itself in both recordings, half of it shared, reaches 0.34 to 0.82."""


@dataclass(frozen=True)
class Alignment:
    """Where the second recording lies on the first one's clock.

    Attributes
    ----------
    offset_s : moment of the first clip at which the second begins [s]; negative where it began earlier
    strength : largest magnitude of the normalised correlation of the samples, 0 to 1; below `UNSURE` the two may
        have nothing in common
    """

    offset_s: float
    strength: float


def align(first: Clip, second: Clip, on_progress: Callable[[float], None] | None = None) -> Alignment:
    """The offset of the second clip on the first one's clock, by cross-correlation.

    First the logarithmic energies in six mel bands, 100 times a second, are correlated at all offsets; then, at the
    best of these, the samples at 8 kHz between 200 and 3600 Hz, over the loudest 20 s that the two share, with a
    parabola through the peak. Level, sampling rate and polarity do not matter. Recorders whose clocks drift apart
    agree only around that stretch, and in a hall the strongest echo may win over the sound itself (up to 30 ms late).

    Formulas: for envelopes, sum a b / sqrt(sum a^2 sum b^2), times the square root of the overlap, as a chance
    agreement of few frames is worth less; for samples the same sum, without that factor.

    Of long recordings only the envelopes are in memory, 9 MB an hour. `on_progress` is called with the share done.
    """
    share = first.duration / (first.duration + second.duration)
    a = _envelope(first, 0.0, share, on_progress)
    b = _envelope(second, share, 1.0, on_progress)
    best = Alignment(0.0, 0.0)
    for lag in _candidates(a, b):
        found = _refined(first, second, b, lag)
        if found.strength > best.strength:
            best = found
    return best


def _envelope(clip: Clip, begin: float, end: float, on_progress: Callable[[float], None] | None) -> FloatArray:
    """Logarithmic energy in each band against the mean of 2 s around, shape (n_frames, n_mels).

    What is more than 30 dB below the mean of all does not show. Tells progress from `begin` to `end`.
    """
    parts = []
    frames = done = 0
    for block in mel_blocks(resampled_blocks(clip, SR), SR, ENVELOPE):
        parts.append(block)
        frames += len(block)
        minute = int(frames / RATE // 60)
        if on_progress and minute > done:
            done = minute
            on_progress(begin + (end - begin) * min(1.0, frames / RATE / clip.duration))
    if on_progress:
        on_progress(end)
    S = np.concatenate(parts)
    mean = S.mean(axis=0)
    levels = np.log(S + np.maximum(0.001 * mean, np.finfo(np.float32).tiny))
    around: FloatArray = levels - scipy.ndimage.uniform_filter1d(levels, AROUND_FRAMES, axis=0)
    return around


def _candidates(a: FloatArray, b: FloatArray) -> list[int]:
    """Offsets of b in a [frames] at which the two agree best, the best first."""
    lags = np.arange(1 - len(b), len(a))
    start, stop = np.maximum(lags, 0), np.minimum(len(a), lags + len(b))
    agreement = np.sum([scipy.signal.correlate(a[:, k], b[:, k], method="fft") for k in range(a.shape[1])], axis=0)
    energy = _energy(a, start, stop) * _energy(b, start - lags, stop - lags)
    least = min(SHORTEST_OVERLAP_S * RATE, min(len(a), len(b)) / 2)
    usable = (stop - start >= least) & (energy > 1e-9 * energy.max(initial=0.0))
    score = np.zeros(lags.size)
    np.divide(agreement * np.sqrt(stop - start), np.sqrt(np.maximum(energy, 0)), out=score, where=usable)
    # Zeros outside, so that an offset at the edge is a peak too.
    peaks, _ = scipy.signal.find_peaks(np.pad(score, 1), height=0, distance=max(1, round(REACH_S * RATE)))
    best = peaks[np.argsort(-score[peaks - 1], kind="stable")[:CANDIDATES]] - 1
    return [int(lag) for lag in lags[best]]


def _energy(values: FloatArray, start: npt.NDArray[np.int_], stop: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
    """Sum of squares of the rows start to stop."""
    sums = np.concatenate([[0.0], np.cumsum(np.sum(np.square(values, dtype=np.float64), axis=1))])
    energy: npt.NDArray[np.float64] = sums[stop] - sums[start]
    return energy


def _refined(first: Clip, second: Clip, b: FloatArray, lag: int) -> Alignment:
    """The offset near `lag` frames at which the samples agree best, and how well they do."""
    offset = lag / RATE
    start, stop = max(0.0, -offset), min(second.duration, first.duration - offset)
    if stop - start > LONGEST_S:
        start += _loudest(b[int(start * RATE) : int(stop * RATE)]) / RATE
        stop = start + LONGEST_S
    y, y_begins = _samples(second, start, stop)
    x, x_begins = _samples(first, start + offset - REACH_S, stop + offset + REACH_S)
    energy_y = float(np.sum(np.square(y)))
    sums = np.concatenate([[0.0], np.cumsum(np.square(x))])
    energy_x = sums[y.size :] - sums[: sums.size - y.size]
    both = np.sqrt(np.maximum(energy_x, 0.0) * energy_y)
    agreement = np.zeros(both.size)
    usable = both > 1e-9 * max(energy_y, float(sums[-1]))
    np.divide(scipy.signal.correlate(x, y, "valid", "fft"), both, out=agreement, where=usable)
    at, strength = _peak(np.abs(agreement))
    return Alignment(float(x_begins + at / SR - y_begins), min(1.0, strength))


def _loudest(b: FloatArray) -> int:
    """Frame at which the LONGEST_S begin whose levels are highest on the mean, so that a single bang does not count."""
    sums = np.concatenate([[0.0], np.cumsum(b.sum(axis=1, dtype=np.float64))])
    length = min(round(LONGEST_S * RATE), len(b))
    return int(np.argmax(sums[length:] - sums[: sums.size - length]))


def _samples(clip: Clip, t0: float, t1: float) -> tuple[npt.NDArray[np.float64], float]:
    """The clip from t0 to t1 [s] at 8 kHz within the band, silence beyond its ends; and when they begin [s]."""
    start, stop = math.floor(t0 * clip.sr), math.ceil(t1 * clip.sr)
    within = clip.read(start, max(stop, 0))
    y = np.pad(within, (max(0, -start), max(0, stop - max(clip.y.size, start))))
    band = scipy.signal.butter(4, BAND_HZ, "bandpass", fs=SR, output="sos")
    resampled = np.concatenate(list(at_rate([y], clip.sr, SR)))
    return scipy.signal.sosfilt(band, resampled.astype(np.float64)), start / clip.sr


def _peak(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Place and height of the largest value, by a parabola through it and its neighbours."""
    k = int(np.argmax(values))
    if not 0 < k < values.size - 1:
        return float(k), float(values[k])
    left, top, right = values[k - 1 : k + 2]
    bend = left - 2 * top + right
    shift = (left - right) / (2 * bend) if bend < 0 else 0.0
    return k + shift, float(top - (left - right) * shift / 4)
