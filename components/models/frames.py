"""The ears that the five spoken-digit models share: levelled log-mel frames, in a stream.

Two passes over a clip, so that memory does not grow with it: the first measures the level and the mean spectrum of
the frames in which something sounds, the second hands out frames. Frame t is centred on t * hop_length samples at
`SR`, whatever the clip's own rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from components.audio.transform import resampled_blocks
from components.features.spectral import frame_times, mel_blocks, n_frames
from components.models.base import OnProgress
from components.types import Clip, FloatArray, FrameParams, ModelCard, Prediction, Times

SR = 8000
PARAMS = FrameParams(n_fft=256, hop_length=128, n_mels=32, fmin=80.0, fmax=4000.0)
HOP_S = PARAMS.hop_length / SR
WINDOW_S = PARAMS.n_fft / SR
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "none")
BLOCK = 1024

FLOOR = 1e-4
"""Added to mel power before the logarithm: 40 dB below the mean of the active frames."""
SILENT = 1e-9
"""Mean mel power (about -85 dB below full scale) under which a clip is left as quiet as it is."""
ACTIVE_DB = 30.0
"""A frame is active when it is at most this much weaker than the energy-weighted mean."""

_BIN_DB = np.arange(-130, 61)
FIRST_PASS = 0.4
"""Share of the work that the first pass is, for progress."""


@dataclass(frozen=True)
class Level:
    """What the first pass finds.

    Attributes
    ----------
    gain : factor that brings the mean mel power of the active frames to 1
    tilt : mean over the active frames of log(mel * gain), not below log(FLOOR), shape (n_mels,)
    """

    gain: float
    tilt: FloatArray


def measure_level(blocks: Iterable[FloatArray]) -> Level:
    """Level and mean spectrum of the active frames of mel power blocks, shape (k, n_mels) each.

    Frames are counted by their level in steps of 1 dB, with the sums of each step, so nothing grows with the clip.
    Active are the steps at most `ACTIVE_DB` below the energy-weighted mean power sum(P^2) / sum(P), which long
    pauses do not move.
    """
    count = np.zeros(_BIN_DB.size)
    power = np.zeros(_BIN_DB.size)
    logs = np.zeros((_BIN_DB.size, PARAMS.n_mels))
    for mel in blocks:
        p = mel.mean(axis=1, dtype=np.float64)
        step = np.clip(np.round(10 * np.log10(p + 1e-13)).astype(int) - _BIN_DB[0], 0, _BIN_DB.size - 1)
        count += np.bincount(step, minlength=_BIN_DB.size)
        power += np.bincount(step, weights=p, minlength=_BIN_DB.size)
        np.add.at(logs, step, np.log(mel + 1e-13))
    if power.sum() <= 0:
        return Level(1.0, np.zeros(PARAMS.n_mels, np.float32))
    mean = power / np.maximum(count, 1)
    threshold = 10 * np.log10((power * mean).sum() / power.sum()) - ACTIVE_DB
    active = (threshold <= _BIN_DB) & (count > 0)
    n_active = count[active].sum()
    gain = 1 / max(power[active].sum() / n_active, SILENT)
    tilt = np.maximum(logs[active].sum(axis=0) / n_active + np.log(gain), np.log(FLOOR))
    return Level(float(gain), tilt.astype(np.float32))


def levelled(mel: FloatArray, level: Level) -> FloatArray:
    """log(mel * gain + FLOOR) - tilt / 2, shape (k, n_mels): half cepstral mean subtraction, in the mel domain."""
    x: FloatArray = np.log(mel * np.float32(level.gain) + np.float32(FLOOR)) - level.tilt / 2
    return x


@lru_cache(maxsize=1)
def dct_basis() -> FloatArray:
    """DCT-II (ortho) of n_mels bands to n_mfcc coefficients, shape (n_mels, n_mfcc)."""
    basis = scipy.fft.dct(np.eye(PARAMS.n_mels), type=2, norm="ortho", axis=1)[:, : PARAMS.n_mfcc]
    return np.ascontiguousarray(basis, dtype=np.float32)


def mfcc(log_mel: FloatArray) -> FloatArray:
    """Cepstral coefficients of levelled log-mel frames: (k, n_mels) -> (k, n_mfcc)."""
    return log_mel @ dct_basis()


def _mel(clip: Clip) -> Iterator[FloatArray]:
    return mel_blocks(resampled_blocks(clip, SR), SR, PARAMS)


def _counted(blocks: Iterable[FloatArray], total: int, report: Callable[[float], None]) -> Iterator[FloatArray]:
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        report(min(1.0, done / total))


def log_mel_blocks(clip: Clip, on_progress: OnProgress | None = None) -> Iterator[FloatArray]:
    """Levelled log-mel frames of a clip in blocks (k, n_mels); reports 0 to 1, the last before it returns.

    The first thing that comes is one frame of silence under the clip's own level, shape (1, n_mels): what models pad
    the ends with.
    """
    report = on_progress or (lambda share: None)
    total = n_frames(round(clip.y.size * SR / clip.sr), PARAMS.hop_length)
    level = measure_level(_counted(_mel(clip), total, lambda share: report(FIRST_PASS * share)))
    yield levelled(np.zeros((1, PARAMS.n_mels), np.float32), level)
    second = _counted(_mel(clip), total, lambda share: report(FIRST_PASS + (0.999 - FIRST_PASS) * share))
    for mel in second:
        yield levelled(mel, level)
    report(1.0)


def windows(blocks: Iterator[FloatArray], left: int, right: int, size: int = BLOCK) -> Iterator[tuple[FloatArray, int]]:
    """Cut what `log_mel_blocks` gives into windows of `size` frames with `left` and `right` frames of context.

    Yields (window, k), window of shape (left + k + right, n_mels), k <= size frames of its own; beyond the ends of
    the clip the context is silence.
    """
    silence = next(blocks)
    held = np.repeat(silence, left, axis=0)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= left + size + right:
            yield held[: left + size + right], size
            held = held[size:]
    held = np.concatenate([held, np.repeat(silence, right, axis=0)])
    while len(held) > left + right:
        k = min(size, len(held) - left - right)
        yield held[: left + k + right], k
        held = held[k:]


def times_of(count: int) -> Times:
    """Centres of the first `count` frames, shape (count,) [s]."""
    return frame_times(count, SR, PARAMS.hop_length)


def softmax(logits: FloatArray) -> FloatArray:
    """exp(z) / sum(exp(z)) over the last axis, any shape."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True), np.float32)


def prediction_of(card: ModelCard, logits: list[FloatArray], times: Times | None = None) -> Prediction:
    """A softmax prediction of blocks of logits, shape (k, n_classes) each."""
    scores = softmax(np.concatenate(logits))
    clock = times_of(len(scores)) if times is None else times
    return Prediction(card.id, card.labels, scores, "softmax", clock, card.window_s, card.hop_s)
