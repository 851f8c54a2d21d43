"""Made music, to teach what music is like where recordings that may be used are few.

Four bands, each with its own instruments, so that a model can be asked about instruments it never heard. A piece has a
key, a chord progression, a tempo, a melody over it and, mostly, a beat; all of it from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.signal

from components.training.data import Rng
from components.types import FloatArray

Sound = npt.NDArray[np.float64]
Instrument = Callable[[Rng, float, int, int], Sound]
"""(rng, frequency [Hz], n samples, sr) -> a note (n,) of about unit amplitude."""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
}
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 4), (1, 4, 0, 0), (5, 3, 0, 4), (0, 0, 3, 4))


def _clock(n: int, sr: int) -> Sound:
    return np.arange(n) / sr


def _decay(n: int, sr: int, seconds: float, attack: float = 0.005) -> Sound:
    t = _clock(n, sr)
    return np.asarray(np.minimum(1, t / attack) * np.exp(-t / seconds))


def plucked(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """A string: noise in a loop that loses its high frequencies (Karplus and Strong, 1983)."""
    period = max(2, round(sr / f))
    burst = np.zeros(n)
    burst[: min(n, period)] = rng.uniform(-1, 1, min(n, period))
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, -0.4985, -0.4985
    return np.asarray(scipy.signal.lfilter([1.0], loop, burst))


def bowed(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """Bowed strings: a sawtooth's partials with vibrato, a slow attack and a falling spectrum."""
    t = _clock(n, sr)
    phase = 2 * np.pi * (f * t + 0.004 * f / 5.5 * np.sin(2 * np.pi * 5.5 * t + rng.uniform(0, 6)))
    partials = range(1, min(14, int(0.45 * sr / f)))
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**1.2 for k in partials)
    return np.asarray(tone * np.minimum(1, t / 0.12) * np.minimum(1, t[::-1] / 0.1))


def organ(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """Drawbars: octaves and fifths, steady, with a slow tremolo."""
    t = _clock(n, sr)
    bars = [(k, rng.uniform(0.2, 1)) for k in (0.5, 1, 1.5, 2, 3, 4, 6, 8) if k * f < 0.45 * sr]
    tone = sum(a * np.sin(2 * np.pi * k * f * t) for k, a in bars)
    tremolo = 1 + 0.2 * np.sin(2 * np.pi * rng.uniform(4, 7) * t)
    return np.asarray(tone * tremolo * np.minimum(1, t / 0.01) * np.minimum(1, t[::-1] / 0.03) / 2)


def flute(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """Two partials, some breath, vibrato."""
    t = _clock(n, sr)
    phase = 2 * np.pi * (f * t + 0.003 * f / 5 * np.sin(2 * np.pi * 5 * t))
    breath = scipy.signal.lfilter([0.1], [1, -0.9], rng.standard_normal(n))
    tone = np.sin(phase) + 0.25 * np.sin(2 * phase) + 0.15 * breath
    return np.asarray(tone * np.minimum(1, t / 0.06) * np.minimum(1, t[::-1] / 0.06))


def bell(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """Frequency modulation (Chowning, 1973): an electric piano or a bell, by the ratio."""
    t = _clock(n, sr)
    ratio = float(rng.choice((1.0, 2.0, 3.0, 1.4, 3.5)))
    index = rng.uniform(0.5, 4) * np.exp(-t / 0.4)
    return np.asarray(np.sin(2 * np.pi * f * t + index * np.sin(2 * np.pi * ratio * f * t)) * _decay(n, sr, 0.7))


def brass(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """Partials that open with the loudness."""
    t = _clock(n, sr)
    opening = np.minimum(1, t / 0.08)
    partials = range(1, min(12, int(0.45 * sr / f)))
    tone = sum(opening ** (1 + k / 3) * np.sin(2 * np.pi * k * f * t) / k**0.7 for k in partials)
    return np.asarray(tone * np.minimum(1, t[::-1] / 0.05) / 2)


def synth(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """Two detuned saw waves through a low-pass."""
    t = _clock(n, sr)
    detuned = f * (1 + rng.uniform(0.002, 0.01))
    saw = scipy.signal.sawtooth(2 * np.pi * f * t) + scipy.signal.sawtooth(2 * np.pi * detuned * t)
    corner = min(0.9, rng.uniform(3, 12) * f / (sr / 2))
    b, a = scipy.signal.butter(2, corner)
    return np.asarray(scipy.signal.lfilter(b, a, saw) * _decay(n, sr, 0.8, 0.01))


def square(rng: Rng, f: float, n: int, sr: int) -> Sound:
    """A pulse wave, as in old video games."""
    t = _clock(n, sr)
    duty = float(rng.choice((0.125, 0.25, 0.5)))
    return np.asarray(0.7 * scipy.signal.square(2 * np.pi * f * t, duty) * _decay(n, sr, 0.5))


BANDS: tuple[tuple[Instrument, ...], ...] = (
    (plucked, organ),
    (bell, bowed),
    (synth, flute),
    (square, brass),
)
"""Instruments of each band, one that dies away and one that is held: chords, melody and bass are any of them."""


def _drum(rng: Rng, name: str, sr: int) -> Sound:
    n = int(0.3 * sr)
    t = _clock(n, sr)
    if name == "kick":
        return np.asarray(np.sin(2 * np.pi * (50 * t + 8 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.1))
    hiss = rng.standard_normal(n)
    if name == "hat":
        return np.asarray(0.3 * np.diff(hiss, prepend=0) * np.exp(-t / 0.03))
    return np.asarray(0.6 * (0.6 * hiss + np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.09))


Part = Iterator[tuple[float, Sound, float]]
"""(beat of the bar at which it begins, sound, gain) of each note."""


@dataclass(frozen=True)
class _Style:
    """What stays the same through a piece."""

    chord: Instrument
    lead: Instrument
    bass: Instrument
    scale: tuple[int, ...]
    key: int
    beat_s: float
    arpeggio: bool
    sr: int

    def play(self, instrument: Instrument, rng: Rng, degree: int, beats: float) -> Sound:
        """A note of the scale."""
        octave, step = divmod(degree, len(self.scale))
        frequency = 440 * 2 ** ((self.key + 12 * octave + self.scale[step] - 69) / 12)
        return instrument(rng, frequency, int(beats * self.beat_s * self.sr), self.sr)


def _chords(rng: Rng, style: _Style, root: int) -> Part:
    tones = [root + len(style.scale) + third for third in (0, 2, 4)]
    for i in range(8 if style.arpeggio else 4):
        length = 0.5 if style.arpeggio else 1.0
        for degree in (tones[i % 3],) if style.arpeggio else tones:
            yield i * length, style.play(style.chord, rng, degree, 1.6 * length), 0.3
    for i in (0, 2):
        yield i, style.play(style.bass, rng, root - len(style.scale), 2), 0.5


def _melody(rng: Rng, style: _Style, root: int) -> Part:
    at = 0.0
    while at < 4:
        length = float(rng.choice((0.5, 0.5, 1.0, 1.5)))
        if rng.random() < 0.85:
            degree = root + len(style.scale) + int(rng.choice((0, 2, 4, 1, 7)))
            yield at, style.play(style.lead, rng, degree, length), 0.5
        at += length


def _beat(rng: Rng, style: _Style, root: int) -> Part:
    for i in range(8):
        yield i / 2, _drum(rng, "hat", style.sr), 0.5
        if i % 2 == 0:
            yield i / 2, _drum(rng, "kick" if i % 4 == 0 else "snare", style.sr), 0.9


def piece_of_music(rng: Rng, band: int, seconds: float, sr: int) -> FloatArray:
    """A made piece by one of BANDS, shape (n_samples,), of RMS 0.1."""
    chord, lead, bass = (BANDS[band][int(rng.integers(len(BANDS[band])))] for _ in range(3))
    scale = SCALES[str(rng.choice(list(SCALES)))]
    style = _Style(
        chord, lead, bass, scale, int(rng.integers(45, 57)), 60 / rng.uniform(70, 160), rng.random() < 0.5, sr
    )
    progression = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    parts = [_chords]
    parts += [_melody] if rng.random() < 0.85 else []
    parts += [_beat] if rng.random() < 0.6 else []
    y = np.zeros(int(seconds * sr))
    for bar in range(int(np.ceil(seconds / (4 * style.beat_s)))):
        for part in parts:
            for at, sound, gain in part(rng, style, progression[bar % len(progression)]):
                start = int((4 * bar + at) * style.beat_s * sr)
                room = max(0, y.size - start)
                y[start : start + sound.size] += gain * sound[:room]
    return np.asarray(0.1 * y / max(1e-9, float(np.sqrt(np.mean(y**2)))), np.float32)
