"""Making training material: recordings, random scenes, noises and augmentation.

A scene is a stretch of sound with a label for each frame. Single recordings teach what a class is; concatenations with
pauses, noises and other sounds teach a model to let go of the last one and to say "none".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
import soundfile
import soxr

from components.features.spectral import mel_filters, power_blocks
from components.models import frames
from components.models.events import NONE
from components.models.frames import FrontEnd
from components.types import FloatArray, FrameParams

IGNORED = -1
"""Label of frames that are neither clearly a class nor clearly a pause: a recording's quiet edges."""
ACTIVE_DB = 35.0
"""A frame of a recording is active when it is at most this much weaker than the recording's strongest frame."""

Rng = np.random.Generator
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What a line-up of models learns, and how its material is varied.

    Attributes
    ----------
    front : how the models hear
    labels : the classes, `rest` the last of them
    rest : name of the class for where nothing is
    gap_s : a pause inside a recording up to this long keeps the recording's label [s]
    edge_s : further than this [s] from anything active, a quiet stretch of a recording is `rest`
    pieces_s : shortest and longest piece of a recording in a sequence [s]; None for whole recordings
    scene_s : length of a sequence [s]
    same_group : how often the next recording of a sequence is of the same group (speaker) as the last, 0 to 1
    speeds : factors of speed; pitch and formants move along
    warp : largest step of vocal-tract length perturbation, in 1/50
    equaliser_db : spread of a random equaliser [dB]
    level_db : spread of the recordings' levels in a scene [dB]
    mask_bands, mask_frames : widest masked band and longest masked stretch
    rooms : how often a scene is in a room with echo, 0 to 1
    balanced : whether every class is heard equally often, however many recordings it has
    background_db : the background is a first to a second, or mostly a second to a third, so much weaker [dB]
    active_db, active_of_mean : a frame of a recording is active when it is at most this much weaker than the
        strongest, or than the mean [dB]
    silent_rest : whether only silence and very faint noise are `rest`
    noise_is_none : whether noise alone is "none"; if not, only hum is, and noise too faint to be a recording of any
    """

    front: FrontEnd
    labels: tuple[str, ...]
    rest: str = NONE
    gap_s: float = float("inf")
    edge_s: float = 0.3
    pieces_s: tuple[float, float] | None = None
    scene_s: float = 3.0
    same_group: float = 0.9
    speeds: tuple[float, ...] = (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12)
    warp: int = 8
    equaliser_db: float = 3.0
    level_db: float = 2.0
    mask_bands: int = 5
    mask_frames: int = 5
    noise_is_none: bool = True
    active_db: float = ACTIVE_DB
    active_of_mean: bool = False
    silent_rest: bool = False
    background_db: tuple[float, float, float] = (8.0, 25.0, 60.0)
    rooms: float = 0.25
    balanced: bool = False

    @property
    def none(self) -> int:
        """Index of `rest`."""
        return self.labels.index(self.rest)


@dataclass(frozen=True)
class Example:
    """One recording at the task's rate: y (n_samples,), its group (speaker or source), its label, its name."""

    y: FloatArray
    group: str
    label: int
    name: str = ""


@dataclass(frozen=True)
class Scene:
    """A stretch of sound to learn from.

    Attributes
    ----------
    y : samples, shape (n_samples,), at the task's rate
    labels : shape (n_frames,), index into the task's labels or IGNORED
    events : (first frame, stop frame, label) of each recording in it
    """

    y: FloatArray
    labels: Labels
    events: tuple[tuple[int, int, int], ...]


def read_mono(path: Path, sr: int) -> FloatArray:
    """A sound file as mono samples at `sr`, shape (n_samples,)."""
    y, own_sr = soundfile.read(path, dtype="float32", always_2d=True)
    mono: FloatArray = np.ascontiguousarray(y.mean(axis=1))
    return mono if own_sr == sr else soxr.resample(mono, own_sr, sr).astype(np.float32)


def frame_energy(front: FrontEnd, y: FloatArray) -> FloatArray:
    """Mean square of each frame, its mean removed, shape (n_frames,)."""
    n_fft, hop = front.params.n_fft, front.params.hop_length
    padded = np.pad(y, (n_fft // 2, n_fft - n_fft // 2))
    cut = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][: 1 + y.size // hop]
    return np.asarray(cut.var(axis=1), np.float32)


def active_frames(task: Task, y: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each frame is at most `active_db` weaker than the strongest, or than the mean, shape (n_frames,)."""
    energy = frame_energy(task.front, y)
    reference = energy.mean() if task.active_of_mean else energy.max()
    return np.asarray(energy > reference * 10 ** (-task.active_db / 10))


def frame_labels(task: Task, y: FloatArray, label: int) -> Labels:
    """The label of each frame of a recording, shape (n_frames,): `label`, "none" or IGNORED.

    Active frames and pauses of up to `gap_s` between them have the recording's label; frames within `edge_s` of those
    are IGNORED; the rest is "none".
    """
    active = np.flatnonzero(active_frames(task, y))
    count = 1 + y.size // task.front.params.hop_length
    if not active.size:
        return np.full(count, task.none)
    at = np.arange(count)
    after = np.minimum(np.searchsorted(active, at), active.size - 1)
    before = np.maximum(np.searchsorted(active, at, side="right") - 1, 0)
    hop_s = task.front.hop_s
    inside = (active[before] <= at) & (active[after] >= at) & ((active[after] - active[before]) * hop_s <= task.gap_s)
    near = np.minimum(np.abs(active[before] - at), np.abs(active[after] - at)) * hop_s <= task.edge_s
    return np.where(inside, label, np.where(near, IGNORED, task.none))


def coloured_noise(rng: Rng, n: int, slope: float) -> FloatArray:
    """Noise of RMS 1 whose power falls as f^-slope (0 white, 1 pink, 2 brown), shape (n,)."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.maximum(np.arange(spectrum.size), 1) ** (slope / 2)
    spectrum[0] = 0
    y = np.fft.irfft(spectrum, n)
    return np.asarray(y / max(1e-9, np.sqrt(np.mean(y**2))), np.float32)


def hum(rng: Rng, n: int, sr: int) -> FloatArray:
    """Mains hum of RMS 1: 50 or 60 Hz and five overtones of random strength, shape (n,)."""
    t = np.arange(n) / sr
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


def noise_bank(rng: Rng, sr: int, seconds: float = 16.4) -> list[FloatArray]:
    """Noises of RMS 1 to cut pieces from: eight colours from blue to brown and four hums."""
    n = scipy.fft.next_fast_len(int(seconds * sr), real=True)
    colours = [coloured_noise(rng, n, float(slope)) for slope in np.linspace(-0.5, 2, 8)]
    return colours + [hum(rng, n, sr) for _ in range(4)]


def at_speed(y: FloatArray, speed: float, sr: int) -> FloatArray:
    """The recording `speed` times as slow: pitch and formants move along."""
    return y if speed == 1 else soxr.resample(y, round(sr * speed), sr).astype(np.float32)


class Scenes:
    """Random scenes of a list of recordings; the same `rng` makes the same scenes.

    Parameters
    ----------
    task : what is learned
    examples : what the classes sound like
    sounds : what is "none": samples (n_samples,) at the task's rate
    rng : of all choices
    """

    def __init__(self, task: Task, examples: Sequence[Example], sounds: Sequence[FloatArray], rng: Rng) -> None:
        self.task = task
        self.sr = task.front.sr
        self.examples = examples
        self.versions = [[at_speed(e.y, speed, self.sr) for speed in task.speeds] for e in examples]
        self.sounds = sounds
        self.rng = rng
        self.noises = noise_bank(rng, self.sr)
        self.by_group: dict[str, list[int]] = {}
        for i, example in enumerate(examples):
            self.by_group.setdefault(example.group, []).append(i)

    def order(self) -> npt.NDArray[np.intp]:
        """Indices of as many recordings as there are, in random order.

        Each once; where the task is balanced, each class equally often and its recordings as evenly as that allows.
        """
        count = len(self.examples)
        if not self.task.balanced:
            return self.rng.permutation(count)
        labels = np.array([example.label for example in self.examples])
        classes = np.unique(labels)
        each = -(-count // classes.size)
        drawn = []
        for k in classes:
            own = np.flatnonzero(labels == k)
            drawn.append(np.concatenate([self.rng.permutation(own) for _ in range(-(-each // own.size))])[:each])
        return self.rng.permutation(np.concatenate(drawn))[:count]

    def single(self, index: int) -> Scene:
        """One recording, now and then with a little room around it."""
        rng = self.rng
        room = rng.integers(0, int(0.3 * self.sr), 2) if rng.random() < 0.5 else np.zeros(2, int)
        return self._scene([(index, self._version(index))], [int(room[0]), int(room[1])])

    def sequence(self) -> Scene:
        """Recordings with pauses of 0 to 0.7 s, mostly of one group, cut at the task's `scene_s`."""
        rng, task = self.rng, self.task
        group = str(rng.choice(list(self.by_group)))
        chosen: list[tuple[int, FloatArray]] = []
        pauses = [int(rng.uniform(0, 0.7) * self.sr)]
        n, wanted = pauses[0], int(task.scene_s * self.sr)
        while n < wanted:
            if rng.random() > task.same_group:
                group = str(rng.choice(list(self.by_group)))
            index = self._any_of(group)
            y = self._version(index)
            if task.pieces_s is not None:
                y = _sounding_piece(rng, task, y, self.sr)
            chosen.append((index, y))
            pauses.append(int(rng.uniform(0.0 if rng.random() < 0.3 else 0.15, 0.7) * self.sr))
            n += y.size + pauses[-1]
        return self._scene(chosen, pauses, wanted)

    def nothing(self) -> Scene:
        """A stretch of `scene_s` without any class: noise, silence or other sounds."""
        rng, n = self.rng, int(self.task.scene_s * self.sr)
        if rng.random() < 0.1:
            y = np.zeros(n, np.float32)
        elif self.task.silent_rest:
            y = self.background(n) * 10 ** rng.uniform(-6.5, -4.7)
        elif self.sounds and rng.random() < 0.6:
            # Half of the other sounds are long ones: readers, who are few and most easily confused with a class.
            readers = [s for s in self.sounds if s.size > 6 * self.sr]
            pool = readers if readers and rng.random() < 0.5 else self.sounds
            y = piece(rng, pool[int(rng.integers(len(pool)))], n)
        elif self.task.noise_is_none:
            y = self.background(n) * 10 ** rng.uniform(-3.5, -1)
        elif rng.random() < 0.5:
            y = hum(rng, n, self.sr) * 10 ** rng.uniform(-3.5, -1)
        else:
            y = self.background(n) * 10 ** rng.uniform(-6.5, -4.7)
        labels = np.full(1 + n // self.task.front.params.hop_length, self.task.none)
        return Scene(y.astype(np.float32), labels, ())

    def background(self, n: int) -> FloatArray:
        """Noise of RMS about 1: of the bank, or one time in six another sound, shape (n,)."""
        rng = self.rng
        if not self.sounds or rng.random() < 5 / 6:
            return piece(rng, self.noises[int(rng.integers(len(self.noises)))], n)
        y = piece(rng, self.sounds[int(rng.integers(len(self.sounds)))], n)
        return y / np.float32(max(1e-3, float(np.sqrt(np.mean(y**2)))))

    def _any_of(self, group: str) -> int:
        own = self.by_group[group]
        if self.task.balanced:
            labels = [self.examples[i].label for i in own]
            wanted = self.rng.choice(sorted(set(labels)))
            own = [i for i, label in zip(own, labels, strict=True) if label == wanted]
        return int(self.rng.choice(own))

    def _version(self, index: int) -> FloatArray:
        versions = self.versions[index]
        return versions[int(self.rng.integers(len(versions)))]

    def _scene(self, chosen: list[tuple[int, FloatArray]], pauses: list[int], limit: int | None = None) -> Scene:
        rng, task = self.rng, self.task
        hop = task.front.params.hop_length
        parts = [np.zeros(pauses[0], np.float32)]
        spans: list[tuple[int, Labels, int]] = []
        n = pauses[0]
        for (index, y), pause in zip(chosen, pauses[1:], strict=True):
            level = 0.1 * 10 ** (rng.normal(0, task.level_db) / 20)
            label = self.examples[index].label
            spans.append((n, frame_labels(task, y, label), label))
            parts += [y * np.float32(level / max(1e-5, float(np.sqrt(np.mean(y**2))))), np.zeros(pause, np.float32)]
            n += y.size + pause
        y = self._noised(np.concatenate(parts)[:limit])
        labels = np.full(1 + y.size // hop, task.none)
        events = []
        for start, own, label in spans:
            first = round(start / hop)
            own = own[: max(0, labels.size - first)]
            labels[first : first + own.size] = own
            found = np.flatnonzero(own == label)
            if found.size:
                events.append((int(first + found[0]), int(first + found[-1] + 1), label))
        return Scene(y, labels, tuple(events))

    def _noised(self, y: FloatArray) -> FloatArray:
        """With a background below the recordings' usual level (`background_db`), and now and then a room."""
        rng = self.rng
        if rng.random() < self.task.rooms:
            n = int(rng.uniform(0.05, 0.3) * self.sr)
            tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(0.02, 0.12)
            tail[0] = 1.0
            y = scipy.signal.fftconvolve(y, tail)[: y.size].astype(np.float32)
        noise = self.background(y.size)
        near, middle, far = self.task.background_db
        low, high = (near, middle) if rng.random() < 0.3 else (middle, far)
        return (y + noise * np.float32(0.1 * 10 ** (-rng.uniform(low, high) / 20))).astype(np.float32)


def _sounding_piece(rng: Rng, task: Task, y: FloatArray, sr: int) -> FloatArray:
    """A piece of random length that begins where something sounds."""
    assert task.pieces_s is not None
    n = min(y.size, int(rng.uniform(*task.pieces_s) * sr))
    active = np.flatnonzero(active_frames(task, y)) * task.front.params.hop_length
    start = min(int(rng.choice(active)) if active.size else 0, y.size - n)
    return y[start : start + n]


@lru_cache(maxsize=256)
def warped_filters(sr: int, params: FrameParams, step: int) -> FloatArray:
    """Mel filters that look at frequency f * (1 + step / 50) instead of f, shape (n_fft // 2 + 1, n_mels).

    A longer or shorter vocal tract scales all formants alike: vocal-tract length perturbation (Jaitly and Hinton,
    2013). The power between two bins is interpolated linearly.
    """
    filters = mel_filters(sr, params)
    n = filters.shape[1]
    at = np.minimum(np.arange(n) * (1 + step / 50), n - 1)
    low = np.minimum(at.astype(int), n - 2)
    take = np.zeros((n, n), np.float32)
    take[np.arange(n), low] = 1 - (at - low)
    take[np.arange(n), low + 1] = at - low
    return np.ascontiguousarray((filters @ take).T)


def features(task: Task, rng: Rng | None, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Levelled log-mel frames of a scene, shape (n_frames, n_mels), and a frame of silence beside them, (n_mels,).

    With an `rng`, augmented: a longer or shorter vocal tract, a random equaliser, now and then a telephone-like or
    muffled band, and a masked band or stretch (SpecAugment; Park et al., 2019). Without one, what a model hears of a
    clip.
    """
    front = task.front
    power = np.concatenate(list(power_blocks([y], front.params)))
    step = 0 if rng is None else int(rng.integers(-task.warp, task.warp + 1))
    mel = power @ warped_filters(front.sr, front.params, step)
    if rng is not None:
        mel = (mel * _equaliser(rng, mel.shape[1], task.equaliser_db)).astype(np.float32)
    level = frames.measure_level(front, [mel])
    x = frames.levelled(front, mel, level)
    if rng is not None:
        _mask(rng, x, task.mask_bands, task.mask_frames)
    return x, frames.levelled(front, np.zeros_like(mel[:1]), level)[0]


def _equaliser(rng: Rng, n_mels: int, spread_db: float) -> FloatArray:
    curve = np.interp(np.arange(n_mels), np.linspace(0, n_mels - 1, 5), rng.normal(0, spread_db, 5))
    if rng.random() < 0.1:
        curve[: rng.integers(1, 6)] -= 25
        curve[n_mels - rng.integers(1, 8) :] -= 25
    return (10 ** (curve / 10)).astype(np.float32)


def _mask(rng: Rng, x: FloatArray, bands: int, longest: int) -> None:
    n_frames, n_mels = x.shape
    if rng.random() < 0.6:
        width, start = rng.integers(1, bands + 1), rng.integers(0, n_mels - bands)
        x[:, start : start + width] = x.mean()
    if rng.random() < 0.4 and n_frames > 4 * longest:
        width, start = rng.integers(1, longest + 1), rng.integers(0, n_frames - longest - 1)
        x[start : start + width] = x.mean(axis=0)
