"""Making training material of spoken digits: recordings, random scenes, noises and augmentation.

A scene is a stretch of sound with a label for each frame. Single digits teach what a digit is; concatenations with
pauses, noises and other sounds teach a model to let go of the last one and to say "none".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
import soundfile
import soxr

from components.features.spectral import mel_filters, power_blocks
from components.models import frames
from components.types import FloatArray

NONE = frames.LABELS.index("none")
IGNORED = -1
"""Label of frames that are neither clearly a digit nor clearly a pause: a recording's quiet edges."""
ACTIVE_DB = 35.0
"""A frame of a digit is active when it is at most this much weaker than the digit's strongest frame."""
SPEEDS = (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12)

Rng = np.random.Generator


@dataclass(frozen=True)
class Utterance:
    """One recorded digit at `frames.SR`: y (n_samples,), who said it, which digit, which take."""

    y: FloatArray
    speaker: str
    digit: int
    take: int


@dataclass(frozen=True)
class Scene:
    """A stretch of sound to learn from.

    Attributes
    ----------
    y : samples, shape (n_samples,), at `frames.SR`
    labels : shape (n_frames,), index into `frames.LABELS` or IGNORED
    digits : (first frame, stop frame, digit) of each digit
    """

    y: FloatArray
    labels: np.ndarray[tuple[int], np.dtype[np.int64]]
    digits: tuple[tuple[int, int, int], ...]


def read_mono(path: Path) -> FloatArray:
    """A sound file as mono samples at `frames.SR`, shape (n_samples,)."""
    y, sr = soundfile.read(path, dtype="float32", always_2d=True)
    mono: FloatArray = np.ascontiguousarray(y.mean(axis=1))
    return mono if sr == frames.SR else soxr.resample(mono, sr, frames.SR).astype(np.float32)


def read_digits(folder: Path) -> list[Utterance]:
    """All recordings {digit}_{speaker}_{take}.wav of a folder, in the order of their names."""
    found = []
    for path in sorted(folder.glob("*_*_*.wav")):
        digit, speaker, take = path.stem.split("_")
        found.append(Utterance(read_mono(path), speaker, int(digit), int(take)))
    return found


def read_sounds(data: Path) -> list[FloatArray]:
    """Sounds that are no digit, as far as they are there: ESC-10 and three readers of LibriSpeech."""
    paths = [*sorted(data.glob("esc10/*/*.ogg")), *sorted(data.glob("librosa/*-*-0000.ogg"))]
    sounds = [read_mono(path) for path in paths]
    return [y for y in sounds if np.abs(y).max() > 1e-3]


def read_other_speech(data: Path, per_speaker: int = 6) -> dict[str, list[FloatArray]]:
    """German sentences of EmoDB by speaker, as far as they are there: speech in which there is no English digit."""
    found: dict[str, list[FloatArray]] = {}
    for path in sorted(data.glob("emodb/wav/*.wav")):
        clips = found.setdefault(path.stem[:2], [])
        if len(clips) < per_speaker:
            clips.append(read_mono(path))
    return found


def frame_energy(y: FloatArray) -> FloatArray:
    """Mean square of each frame of `frames.PARAMS`, its mean removed, shape (n_frames,)."""
    n_fft, hop = frames.PARAMS.n_fft, frames.PARAMS.hop_length
    padded = np.pad(y, (n_fft // 2, n_fft - n_fft // 2))
    cut = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][: 1 + y.size // hop]
    return np.asarray(cut.var(axis=1), np.float32)


def active_frames(y: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each frame is at most ACTIVE_DB weaker than the strongest, shape (n_frames,)."""
    energy = frame_energy(y)
    return np.asarray(energy > energy.max() * 10 ** (-ACTIVE_DB / 10))


def coloured_noise(rng: Rng, n: int, slope: float) -> FloatArray:
    """Noise of RMS 1 whose power falls as f^-slope (0 white, 1 pink, 2 brown), shape (n,)."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.maximum(np.arange(spectrum.size), 1) ** (slope / 2)
    spectrum[0] = 0
    y = np.fft.irfft(spectrum, n)
    return np.asarray(y / max(1e-9, np.sqrt(np.mean(y**2))), np.float32)


def hum(rng: Rng, n: int) -> FloatArray:
    """Mains hum of RMS 1: 50 or 60 Hz and five overtones of random strength, shape (n,)."""
    t = np.arange(n) / frames.SR
    base = rng.choice((50.0, 60.0))
    y = sum(
        rng.uniform(0.1, 1) * np.sin(2 * np.pi * (k * base * t + rng.uniform())) for k in range(1, 7)
    ) + 0.05 * rng.standard_normal(n)
    return np.asarray(y / np.sqrt(np.mean(y**2)), np.float32)


def piece(rng: Rng, y: FloatArray, n: int) -> FloatArray:
    """n samples from a random place of y (repeated when shorter), shape (n,)."""
    if n > y.size:
        y = np.tile(y, 1 + n // y.size)
    start = rng.integers(0, y.size - n + 1)
    return y[start : start + n]


def noise_bank(rng: Rng, seconds: float = 16.4) -> list[FloatArray]:
    """Noises of RMS 1 to cut pieces from: eight colours from blue to brown and four hums."""
    n = scipy.fft.next_fast_len(int(seconds * frames.SR), real=True)
    return [coloured_noise(rng, n, float(slope)) for slope in np.linspace(-0.5, 2, 8)] + [hum(rng, n) for _ in range(4)]


def at_speeds(utterances: Sequence[Utterance]) -> list[list[FloatArray]]:
    """Each recording at each of SPEEDS (pitch and formants move along)."""
    return [
        [u.y if s == 1 else soxr.resample(u.y, round(frames.SR * s), frames.SR).astype(np.float32) for s in SPEEDS]
        for u in utterances
    ]


class Scenes:
    """Random scenes of a list of recordings; the same `rng` makes the same scenes."""

    def __init__(self, utterances: Sequence[Utterance], sounds: Sequence[FloatArray], rng: Rng) -> None:
        self.utterances = utterances
        self.versions = at_speeds(utterances)
        self.sounds = sounds
        self.rng = rng
        self.noises = noise_bank(rng)
        self.by_speaker: dict[str, list[int]] = {}
        for i, u in enumerate(utterances):
            self.by_speaker.setdefault(u.speaker, []).append(i)

    def single(self, index: int) -> Scene:
        """One digit, now and then with a little room around it."""
        rng = self.rng
        room = rng.integers(0, 2400, 2) if rng.random() < 0.5 else np.zeros(2, int)
        return self._scene([index], int(rng.integers(len(SPEEDS))), [int(room[0]), int(room[1])])

    def sequence(self, seconds: float) -> Scene:
        """Digits with pauses of 0 to 0.7 s, mostly of one speaker, at most `seconds` long."""
        rng = self.rng
        speaker = str(rng.choice(list(self.by_speaker)))
        chosen: list[int] = []
        pauses = [int(rng.uniform(0, 0.7) * frames.SR)]
        n, wanted = pauses[0], int(seconds * frames.SR)
        while n < wanted:
            if rng.random() < 0.1:
                speaker = str(rng.choice(list(self.by_speaker)))
            chosen.append(int(rng.choice(self.by_speaker[speaker])))
            pauses.append(int(rng.uniform(0.0 if rng.random() < 0.3 else 0.15, 0.7) * frames.SR))
            n += self.utterances[chosen[-1]].y.size + pauses[-1]
        return self._scene(chosen, int(rng.integers(len(SPEEDS))), pauses, wanted)

    def nothing(self, seconds: float) -> Scene:
        """A stretch without digits: noise, silence or other sounds."""
        rng, n = self.rng, int(seconds * frames.SR)
        if rng.random() < 0.1:
            y = np.zeros(n, np.float32)
        elif self.sounds and rng.random() < 0.6:
            # Speech is what a digit is most easily confused with: half of the other sounds are readers.
            readers = [s for s in self.sounds if s.size > 6 * frames.SR]
            pool = readers if readers and rng.random() < 0.5 else self.sounds
            y = piece(rng, pool[int(rng.integers(len(pool)))], n)
        else:
            y = self.background(n) * 10 ** rng.uniform(-3.5, -1)
        labels = np.full(1 + n // frames.PARAMS.hop_length, NONE)
        return Scene(y.astype(np.float32), labels, ())

    def background(self, n: int) -> FloatArray:
        """Noise of RMS about 1: of the bank, or one time in six another sound, shape (n,)."""
        rng = self.rng
        if not self.sounds or rng.random() < 5 / 6:
            return piece(rng, self.noises[int(rng.integers(len(self.noises)))], n)
        y = piece(rng, self.sounds[int(rng.integers(len(self.sounds)))], n)
        return y / np.float32(max(1e-3, float(np.sqrt(np.mean(y**2)))))

    def _scene(self, chosen: list[int], speed: int, pauses: list[int], limit: int | None = None) -> Scene:
        rng, hop = self.rng, frames.PARAMS.hop_length
        parts = [np.zeros(pauses[0], np.float32)]
        spans: list[tuple[int, int, int, int]] = []
        n = pauses[0]
        for i, pause in zip(chosen, pauses[1:], strict=True):
            y = self.versions[i][speed]
            y = y / max(1e-5, float(np.sqrt(np.mean(y**2)))) * 0.1 * 10 ** (rng.normal(0, 2) / 20)
            inside = np.flatnonzero(active_frames(y))
            spans.append((n, n + inside[0] * hop, n + inside[-1] * hop, self.utterances[i].digit))
            parts += [y.astype(np.float32), np.zeros(pause, np.float32)]
            n += y.size + pause
        y = np.concatenate(parts)[:limit]
        y = self._noised(y)
        labels = np.full(1 + y.size // hop, NONE)
        digits = []
        for (start, first, last, digit), i in zip(spans, chosen, strict=True):
            stop = start + self.versions[i][speed].size
            labels[start // hop : stop // hop + 1] = IGNORED
            a, b = round(first / hop), round(last / hop) + 1
            labels[a:b] = digit
            if b <= labels.size:
                digits.append((a, b, digit))
        return Scene(y, labels, tuple(digits))

    def _noised(self, y: FloatArray) -> FloatArray:
        """With a background 8 to 45 dB below the digits' usual level, and now and then a room."""
        rng = self.rng
        if rng.random() < 0.25:
            n = int(rng.uniform(0.05, 0.3) * frames.SR)
            tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(0.02, 0.12)
            tail[0] = 1.0
            y = scipy.signal.fftconvolve(y, tail)[: y.size].astype(np.float32)
        noise = self.background(y.size)
        low, high = (8, 25) if rng.random() < 0.3 else (25, 60)
        return (y + noise * np.float32(0.1 * 10 ** (-rng.uniform(low, high) / 20))).astype(np.float32)


@lru_cache(maxsize=64)
def warped_filters(step: int) -> FloatArray:
    """Mel filters that look at frequency f * (1 + step / 50) instead of f, shape (n_fft // 2 + 1, n_mels).

    A longer or shorter vocal tract scales all formants alike: vocal-tract length perturbation (Jaitly and Hinton,
    2013). The power between two bins is interpolated linearly.
    """
    filters = mel_filters(frames.SR, frames.PARAMS)
    n = filters.shape[1]
    at = np.minimum(np.arange(n) * (1 + step / 50), n - 1)
    low = np.minimum(at.astype(int), n - 2)
    take = np.zeros((n, n), np.float32)
    take[np.arange(n), low] = 1 - (at - low)
    take[np.arange(n), low + 1] = at - low
    return np.ascontiguousarray((filters @ take).T)


def features(rng: Rng | None, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Levelled log-mel frames of a scene, shape (n_frames, n_mels), and a frame of silence beside them, (n_mels,).

    With an `rng`, augmented: vocal tract -16 to +16 %, a random equaliser of about 6 dB, now and then a
    telephone-like or muffled band, and a masked band or stretch (SpecAugment; Park et al., 2019). Without one, what
    a model hears of a clip.
    """
    power = np.concatenate(list(power_blocks([y], frames.PARAMS)))
    mel = power @ warped_filters(0 if rng is None else int(rng.integers(-8, 9)))
    if rng is not None:
        mel = (mel * _equaliser(rng, mel.shape[1])).astype(np.float32)
    level = frames.measure_level([mel])
    x = frames.levelled(mel, level)
    if rng is not None:
        _mask(rng, x)
    return x, frames.levelled(np.zeros_like(mel[:1]), level)[0]


def _equaliser(rng: Rng, n_mels: int) -> FloatArray:
    curve = np.interp(np.arange(n_mels), np.linspace(0, n_mels - 1, 5), rng.normal(0, 3, 5))
    if rng.random() < 0.1:
        curve[: rng.integers(1, 6)] -= 25
        curve[n_mels - rng.integers(1, 8) :] -= 25
    return (10 ** (curve / 10)).astype(np.float32)


def _mask(rng: Rng, x: FloatArray) -> None:
    n_frames, n_mels = x.shape
    if rng.random() < 0.6:
        width, start = rng.integers(1, 6), rng.integers(0, n_mels - 5)
        x[:, start : start + width] = x.mean()
    if rng.random() < 0.4 and n_frames > 20:
        width, start = rng.integers(1, 6), rng.integers(0, n_frames - 6)
        x[start : start + width] = x.mean(axis=0)
