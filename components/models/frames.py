"""The ears that the shipped models share: levelled log-mel frames, in a stream.

Two passes over a clip, so that memory does not grow with it: the first measures the level and the mean spectrum of
the frames in which something sounds, the second hands out frames. Frame t is centred on t * hop_length samples at
the front end's rate, whatever the clip's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from components.audio.transform import resampled_blocks
from components.features.spectral import frame_times, mel_blocks, n_frames
from components.models.base import OnProgress
from components.types import Clip, FloatArray, FrameParams, ModelCard, Prediction, Times

SETTINGS = "settings.json"
"""Beside the weights of each shipped model: its front end, and what of its shape the weights do not tell."""
BLOCK = 1024
SILENT = 1e-9
"""Mean mel power (about -85 dB below full scale) under which a clip is left as quiet as it is."""
ACTIVE_DB = 30.0
"""A frame is active when it is at most this much weaker than the energy-weighted mean."""

_BIN_DB = np.arange(-130, 61)
FIRST_PASS = 0.4
"""Share of the work that the first pass is, for progress."""


@dataclass(frozen=True)
class FrontEnd:
    """How a model hears.

    Attributes
    ----------
    sr : rate it listens at [Hz]
    params : frames and mel bands
    tilt_share : share of the clip's mean log spectrum that is taken off: 0 none, 0.5 half, 1 all of it
    floor : added to mel power before the logarithm, relative to the mean of the active frames (1e-4 is -40 dB)
    """

    sr: int
    params: FrameParams
    tilt_share: float = 0.5
    floor: float = 1e-4

    @property
    def hop_s(self) -> float:
        """Step between frames [s]."""
        return self.params.hop_length / self.sr

    @property
    def window_s(self) -> float:
        """Sound in one frame [s]."""
        return self.params.n_fft / self.sr


def write_settings(folder: Path, front: FrontEnd, net: Mapping[str, object]) -> None:
    """Write the front end and the network's settings into `folder`."""
    content = {"front_end": asdict(front), "net": dict(net)}
    (folder / SETTINGS).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def read_settings(folder: Path) -> tuple[FrontEnd, dict[str, Any]]:
    """What `write_settings` wrote."""
    content = json.loads((folder / SETTINGS).read_text("utf-8"))
    heard = content["front_end"]
    return FrontEnd(**{**heard, "params": FrameParams(**heard["params"])}), content["net"]


@dataclass(frozen=True)
class Level:
    """What the first pass finds.

    Attributes
    ----------
    gain : factor that brings the mean mel power of the active frames to 1
    tilt : mean over the active frames of log(mel * gain), not below log(floor), shape (n_mels,)
    """

    gain: float
    tilt: FloatArray


def measure_level(front: FrontEnd, blocks: Iterable[FloatArray]) -> Level:
    """Level and mean spectrum of the active frames of mel power blocks, shape (k, n_mels) each.

    Frames are counted by their level in steps of 1 dB, with the sums of each step, so nothing grows with the clip.
    Active are the steps at most `ACTIVE_DB` below the energy-weighted mean power sum(P^2) / sum(P), which long
    pauses do not move.
    """
    count = np.zeros(_BIN_DB.size)
    power = np.zeros(_BIN_DB.size)
    logs = np.zeros((_BIN_DB.size, front.params.n_mels))
    for mel in blocks:
        p = mel.mean(axis=1, dtype=np.float64)
        step = np.clip(np.round(10 * np.log10(p + 1e-13)).astype(int) - _BIN_DB[0], 0, _BIN_DB.size - 1)
        count += np.bincount(step, minlength=_BIN_DB.size)
        power += np.bincount(step, weights=p, minlength=_BIN_DB.size)
        np.add.at(logs, step, np.log(mel + 1e-13))
    if power.sum() <= 0:
        return Level(1.0, np.zeros(front.params.n_mels, np.float32))
    mean = power / np.maximum(count, 1)
    threshold = 10 * np.log10((power * mean).sum() / power.sum()) - ACTIVE_DB
    active = (threshold <= _BIN_DB) & (count > 0)
    n_active = count[active].sum()
    gain = 1 / max(power[active].sum() / n_active, SILENT)
    tilt = np.maximum(logs[active].sum(axis=0) / n_active + np.log(gain), np.log(front.floor))
    return Level(float(gain), tilt.astype(np.float32))


def levelled(front: FrontEnd, mel: FloatArray, level: Level) -> FloatArray:
    """log(mel * gain + floor) - tilt_share * tilt, shape (k, n_mels).

    With a tilt_share of 0.5 that is half a cepstral mean subtraction, in the mel domain.
    """
    x: FloatArray = np.log(mel * np.float32(level.gain) + np.float32(front.floor))
    return x - np.float32(front.tilt_share) * level.tilt


@lru_cache(maxsize=8)
def dct_basis(params: FrameParams) -> FloatArray:
    """DCT-II (ortho) of n_mels bands to n_mfcc coefficients, shape (n_mels, n_mfcc)."""
    basis = scipy.fft.dct(np.eye(params.n_mels), type=2, norm="ortho", axis=1)[:, : params.n_mfcc]
    return np.ascontiguousarray(basis, dtype=np.float32)


def mfcc(front: FrontEnd, log_mel: FloatArray) -> FloatArray:
    """Cepstral coefficients of levelled log-mel frames: (k, n_mels) -> (k, n_mfcc)."""
    return log_mel @ dct_basis(front.params)


def _mel(front: FrontEnd, clip: Clip) -> Iterator[FloatArray]:
    return mel_blocks(resampled_blocks(clip, front.sr), front.sr, front.params)


def _counted(blocks: Iterable[FloatArray], total: int, report: Callable[[float], None]) -> Iterator[FloatArray]:
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        report(min(1.0, done / total))


def log_mel_blocks(front: FrontEnd, clip: Clip, on_progress: OnProgress | None = None) -> Iterator[FloatArray]:
    """Levelled log-mel frames of a clip in blocks (k, n_mels); reports 0 to 1, the last before it returns.

    The first thing that comes is one frame of silence under the clip's own level, shape (1, n_mels): what models pad
    the ends with.
    """
    report = on_progress or (lambda share: None)
    total = n_frames(round(clip.y.size * front.sr / clip.sr), front.params.hop_length)
    level = measure_level(front, _counted(_mel(front, clip), total, lambda share: report(FIRST_PASS * share)))
    yield levelled(front, np.zeros((1, front.params.n_mels), np.float32), level)
    rest = 0.999 - FIRST_PASS
    for mel in _counted(_mel(front, clip), total, lambda share: report(FIRST_PASS + rest * share)):
        yield levelled(front, mel, level)
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


def times_of(front: FrontEnd, count: int) -> Times:
    """Centres of the first `count` frames, shape (count,) [s]."""
    return frame_times(count, front.sr, front.params.hop_length)


def softmax(logits: FloatArray) -> FloatArray:
    """exp(z) / sum(exp(z)) over the last axis, any shape."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True), np.float32)


def prediction_of(card: ModelCard, logits: list[FloatArray], times: Times) -> Prediction:
    """A softmax prediction of blocks of logits, shape (k, n_classes) each, whose frames are centred on `times`."""
    scores = softmax(np.concatenate(logits))
    return Prediction(card.id, card.labels, scores, "softmax", times, card.window_s, card.hop_s)
