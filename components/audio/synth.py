"""Sounds made from formulas, for lessons and tests: what they hold is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.signal

from components.errors import ParameterError
from components.types import Clip, FloatArray, Times

SR = 16_000

VOWELS: dict[str, tuple[tuple[float, float], ...]] = {
    "a": ((730, 90), (1090, 110), (2440, 120), (3400, 175)),
    "e": ((530, 70), (1840, 100), (2480, 120), (3500, 175)),
    "i": ((270, 60), (2290, 100), (3010, 120), (3700, 175)),
    "o": ((570, 70), (840, 80), (2410, 120), (3300, 175)),
    "u": ((300, 60), (870, 80), (2240, 120), (3300, 175)),
}
"""Formants as (centre, bandwidth) [Hz]: the first three centres are the means of men's vowels in Peterson and Barney
(1952), Table II; the fourth and the bandwidths are usual round values."""


def _times(duration: float, sr: int) -> Times:
    if not 0 < duration <= 600:
        raise ParameterError(f"A generated sound lasts more than 0 and at most 600 seconds, not {duration:g}.")
    return np.arange(max(1, round(duration * sr))) / sr


def _scaled(y: Times, amplitude: float) -> FloatArray:
    """Samples whose largest magnitude is `amplitude`."""
    largest = float(np.max(np.abs(y)))
    return (y * (_in_range(amplitude) / largest if largest > 0 else 0.0)).astype(np.float32)


def _in_range(amplitude: float) -> float:
    if not 0 <= amplitude <= 1:
        raise ParameterError(f"The amplitude of a generated sound lies between 0 and 1, not {amplitude:g}.")
    return amplitude


def _below_nyquist(frequency: float, sr: int) -> float:
    if not 0 < frequency < sr / 2:
        raise ParameterError(f"At {sr} Hz a frequency lies between 0 and {sr / 2:g} Hz, not {frequency:g}.")
    return frequency


def silence(duration: float, *, sr: int = SR) -> FloatArray:
    """Digital silence of `duration` [s], shape (n_samples,)."""
    return np.zeros(_times(duration, sr).size, np.float32)


def tone(frequency: float, duration: float, *, sr: int = SR, amplitude: float = 0.5) -> FloatArray:
    """A sine, amplitude * sin(2 pi f t), f in Hz, duration in s, shape (n_samples,)."""
    t = _times(duration, sr)
    return (_in_range(amplitude) * np.sin(2 * np.pi * _below_nyquist(frequency, sr) * t)).astype(np.float32)


def chirp(
    f0: float, f1: float, duration: float, *, sr: int = SR, amplitude: float = 0.5, log: bool = False
) -> FloatArray:
    """A sine that glides from f0 to f1 [Hz]: f(t) linear, or with `log` the same ratio in each second."""
    t = _times(duration, sr)
    _below_nyquist(f0, sr)
    ratio = _below_nyquist(f1, sr) / f0
    if log and ratio != 1:
        cycles = f0 * duration / np.log(ratio) * (ratio ** (t / duration) - 1)
    else:
        cycles = f0 * t + (f1 - f0) * t**2 / (2 * duration)
    y: FloatArray = (_in_range(amplitude) * np.sin(2 * np.pi * cycles)).astype(np.float32)
    return y


def vowel(
    formants: str | Sequence[tuple[float, float]],
    duration: float,
    *,
    f0: float = 120.0,
    sr: int = SR,
    amplitude: float = 0.5,
) -> FloatArray:
    """A steady vowel: pulses of the vocal folds through the resonances of the mouth (source-filter model).

    Each pulse, f0 times a second, passes a low-pass filter of -12 dB per octave (the glottis), a difference (+6 dB
    per octave, the lips) and one two-pole resonator per formant: 1 / (1 - 2 r cos(w) z^-1 + r^2 z^-2), with
    r = exp(-pi B / sr), w = 2 pi F / sr, unit gain at 0 Hz. Pulses fall between samples, so f0 is exact.

    Parameters
    ----------
    formants : "a", "e", "i", "o", "u", or (centre, bandwidth) pairs [Hz]
    duration, f0, amplitude : [s], [Hz], largest magnitude in [0, 1]

    Source: Klatt (1980), Software for a cascade/parallel formant synthesizer.
    """
    if isinstance(formants, str) and formants not in VOWELS:
        raise ParameterError(f"There is no vowel {formants!r}: choose one of {', '.join(VOWELS)}.")
    t = _times(duration, sr)
    at = np.arange(0, duration, 1 / _below_nyquist(f0, sr)) * sr
    whole = at.astype(int)
    source = np.zeros(t.size + 1)
    np.add.at(source, whole, 1 - (at - whole))
    np.add.at(source, np.minimum(whole + 1, t.size), at - whole)
    r = np.exp(-2 * np.pi * 50 / sr)  # corner at 50 Hz: -12 dB per octave over all of speech
    y = np.diff(scipy.signal.lfilter([1.0], np.poly([r, r]), source[:-1]), prepend=0.0)
    for centre, bandwidth in VOWELS[formants] if isinstance(formants, str) else formants:
        r = np.exp(-np.pi * bandwidth / sr)
        poles = [1.0, -2 * r * np.cos(2 * np.pi * _below_nyquist(centre, sr) / sr), r * r]
        y = scipy.signal.lfilter([sum(poles)], poles, y)
    return _scaled(_faded(y, sr), amplitude)


def clicks(rate: float, duration: float, *, sr: int = SR, amplitude: float = 0.8) -> FloatArray:
    """Single-sample clicks at `rate` per second, the first half a period after the start."""
    y = silence(duration, sr=sr)
    times = (np.arange(round(duration * _below_nyquist(rate, sr))) + 0.5) / rate
    y[np.minimum((times * sr).astype(int), y.size - 1)] = _in_range(amplitude)
    return y


def noise(duration: float, *, colour: str = "white", sr: int = SR, amplitude: float = 0.5, seed: int = 0) -> FloatArray:
    """Gaussian noise with a largest magnitude of `amplitude`.

    "white" has the same power in each hertz, "pink" in each octave: its density falls by 10 log10(2) = 3.01 dB per
    octave above 20 Hz.
    """
    if colour not in ("white", "pink"):
        raise ParameterError(f"Noise is white or pink, not {colour}.")
    y = np.random.default_rng(seed).standard_normal(_times(duration, sr).size)
    if colour == "pink":
        spectrum = np.fft.rfft(y)
        frequencies = np.maximum(np.fft.rfftfreq(y.size, 1 / sr), 20.0)
        spectrum[0] = 0
        y = np.fft.irfft(spectrum / np.sqrt(frequencies), y.size)
    return _scaled(y, amplitude)


def melody(notes: Sequence[tuple[float, float]], *, sr: int = SR, amplitude: float = 0.5) -> FloatArray:
    """Notes one after another, (MIDI number, duration [s]) each; 69 is 440 Hz, 12 an octave.

    Each note is five harmonics of strength 1/k that die away with a time constant of 0.4 s.
    """
    if not notes:
        raise ParameterError("A melody needs at least one note.")
    parts = []
    for number, duration in notes:
        t = _times(duration, sr)
        f = _below_nyquist(440.0 * 2 ** ((number - 69) / 12), sr)
        harmonics = [np.sin(2 * np.pi * k * f * t) / k for k in range(1, 6) if k * f < sr / 2]
        parts.append(_faded(np.sum(harmonics, axis=0) * np.exp(-t / 0.4), sr))
    return _scaled(np.concatenate(parts), amplitude)


def _faded(y: Times, sr: int) -> Times:
    """5 ms ramps at both ends, so that nothing clicks."""
    n = min(round(0.005 * sr), y.size // 2)
    ramp = np.ones(y.size)
    ramp[:n] = np.arange(n) / max(1, n)
    ramp[y.size - n :] = ramp[:n][::-1]
    return y * ramp


SCALE = tuple((number, 0.4) for number in (60, 62, 64, 65, 67, 69, 71, 72))

GENERATED: dict[str, Callable[[], FloatArray]] = {
    "Tone, 440 Hz": lambda: tone(440, 3),
    "Rising tone, 100 Hz to 7 kHz": lambda: chirp(100, 7000, 5),
    "Rising tone, an octave in each half second": lambda: chirp(60, 60 * 2**6.5, 3.25, log=True),
    "Five vowels: a e i o u": lambda: np.concatenate(
        [part for name in VOWELS for part in (vowel(name, 0.6), silence(0.2))]
    ),
    "Clicks, four a second": lambda: clicks(4, 4),
    "Scale of eight notes": lambda: melody(SCALE),
    "White noise": lambda: noise(3, colour="white"),
    "Pink noise": lambda: noise(3, colour="pink"),
    "Silence": lambda: silence(2),
}
"""Sounds offered by name, made at 16 kHz when asked for."""


def generated(name: str) -> Clip:
    """One of `GENERATED` as a clip."""
    if name not in GENERATED:
        raise ParameterError(f"There is no generated sound {name!r}: choose one of {'; '.join(GENERATED)}.")
    return Clip.from_array(name, GENERATED[name](), SR)
