"""The card of measures: what is asked of a stretch of sound, each number with its unit and its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft

from components.features import spectral, voice
from components.features.voice import FormantSettings, PitchSettings
from components.types import Clip, FloatArray, FrameParams, Measure, Segment, Selection

PERIODS = (0.0001, 0.02, 1.3)
"""Shortest and longest period [s] and largest ratio of neighbours that count in jitter and shimmer: Praat's values."""
AMPLITUDE_FACTOR = 1.6
"""Largest ratio of neighbouring amplitudes that counts in shimmer: Praat's value."""
BLOCK_SAMPLES = 1 << 20
BLOCK_S = 60.0
NAN = float("nan")


@dataclass(frozen=True)
class Analysis:
    """Praat's objects for a clip, or for the part around a stretch; None where the sound is too short for them.

    Attributes
    ----------
    sound, pitch, pulses, intensity, formant, harmonicity : parselmouth.Sound, Pitch, Data (a PointProcess),
        Intensity, Formant, Harmonicity, on the clip's clock
    """

    sound: Any = None
    pitch: Any = None
    pulses: Any = None
    intensity: Any = None
    formant: Any = None
    harmonicity: Any = None


def analyse(
    clip: Clip,
    pitch_settings: PitchSettings,
    formant_settings: FormantSettings,
    t0: float | None = None,
    t1: float | None = None,
) -> Analysis:
    """Praat's objects that `measures` asks, for the stretch from t0 to t1 [s].

    They are the same for all stretches of a clip of up to `voice.WHOLE_S`, and most of the work: worth keeping.

    Raises
    ------
    ParameterError : when more than `voice.LONGEST_S` is asked for at once
    """
    from parselmouth.praat import call

    sound, pitch = voice.praat_pitch(clip, pitch_settings, t0, t1) or (None, None)
    return Analysis(
        sound,
        pitch,
        None if pitch is None else call([sound, pitch], "To PointProcess (cc)"),
        (voice.praat_intensity(clip, pitch_settings, t0, t1) or (None, None))[1],
        (voice.praat_formants(clip, formant_settings, t0, t1) or (None, None))[1],
        (voice.praat_harmonicity(clip, pitch_settings, t0, t1) or (None, None))[1],
    )


@dataclass(frozen=True)
class _Stretch:
    """What to ask, and about what range [s]."""

    analysis: Analysis
    start: float
    end: float

    def ask(self, thing: Any, command: str, *arguments: Any) -> float:
        """A query of Praat's for the stretch: command, from, to, arguments; NaN where it is undefined."""
        from parselmouth.praat import call

        return NAN if thing is None else float(call(thing, command, self.start, self.end, *arguments))

    def ask_formant(self, command: str, number: int, *arguments: Any) -> float:
        """As `ask`, of one formant, whose number Praat takes before the times."""
        from parselmouth.praat import call

        formant = self.analysis.formant
        return NAN if formant is None else float(call(formant, command, number, self.start, self.end, *arguments))


def _pitch(of: _Stretch) -> Iterator[Measure]:
    hz = "of the voiced frames"
    for name, title, command, arguments, unit, meaning in (
        ("pitch_mean_hz", "Pitch, mean", "Get mean", ("Hertz",), "Hz", f"Mean pitch {hz}."),
        ("pitch_median_hz", "Pitch, median", "Get quantile", (0.5, "Hertz"), "Hz", f"Middle pitch {hz}."),
        ("pitch_min_hz", "Pitch, lowest", "Get minimum", ("Hertz", "Parabolic"), "Hz", f"Lowest pitch {hz}."),
        ("pitch_max_hz", "Pitch, highest", "Get maximum", ("Hertz", "Parabolic"), "Hz", f"Highest pitch {hz}."),
        ("pitch_sd_hz", "Pitch, spread", "Get standard deviation", ("Hertz",), "Hz", "Standard deviation of pitch."),
        (
            "pitch_mean_st",
            "Pitch, mean in semitones",
            "Get mean",
            ("semitones re 100 Hz",),
            "st",
            "Mean pitch in semitones above 100 Hz, as the ear counts it: 12 are an octave.",
        ),
        (
            "pitch_sd_st",
            "Pitch, spread in semitones",
            "Get standard deviation",
            ("semitones",),
            "st",
            "Standard deviation of pitch in semitones: how lively the melody is, comparable across voices.",
        ),
    ):
        yield Measure(name, title, of.ask(of.analysis.pitch, command, *arguments), unit, meaning)
    yield Measure(
        "voiced_share",
        "Voiced",
        _voiced_share(of),
        "share",
        "Share of the frames in which the vocal folds swing, as far as Praat finds a pitch.",
    )


def _voiced_share(of: _Stretch) -> float:
    if of.analysis.pitch is None:
        return NAN
    times = of.analysis.pitch.xs()
    inside = of.analysis.pitch.selected_array["frequency"][(times >= of.start) & (times <= of.end)]
    return float(np.mean(inside > 0)) if inside.size else NAN


def _intensity(of: _Stretch) -> Iterator[Measure]:
    loud = "of intensity; the absolute level holds only for a calibrated recording"
    for name, title, command, argument, meaning in (
        ("intensity_mean_db", "Intensity, mean", "Get mean", "energy", f"Mean {loud} (mean of the energy)."),
        ("intensity_min_db", "Intensity, lowest", "Get minimum", "Parabolic", f"Lowest value {loud}."),
        ("intensity_max_db", "Intensity, highest", "Get maximum", "Parabolic", f"Highest value {loud}."),
    ):
        value = of.ask(of.analysis.intensity, command, argument)
        # -300 dB is how Praat writes that there is no sound at all.
        yield Measure(name, title, value if value > -300 else NAN, "dB", meaning)


def _quality(of: _Stretch) -> Iterator[Measure]:
    both = None if of.analysis.pulses is None else [of.analysis.sound, of.analysis.pulses]
    amplitude = (*PERIODS, AMPLITUDE_FACTOR)
    for name, title, thing, command, arguments, unit, meaning in (
        (
            "jitter_local",
            "Jitter (local)",
            of.analysis.pulses,
            "Get jitter (local)",
            PERIODS,
            "share",
            "How much a period of the vocal folds differs from the next, as a share of the mean period.",
        ),
        (
            "jitter_rap",
            "Jitter (rap)",
            of.analysis.pulses,
            "Get jitter (rap)",
            PERIODS,
            "share",
            "How much a period differs from the mean of itself and its two neighbours.",
        ),
        (
            "jitter_ppq5",
            "Jitter (ppq5)",
            of.analysis.pulses,
            "Get jitter (ppq5)",
            PERIODS,
            "share",
            "How much a period differs from the mean of itself and its four neighbours.",
        ),
        (
            "shimmer_local",
            "Shimmer (local)",
            both,
            "Get shimmer (local)",
            amplitude,
            "share",
            "How much the amplitude of a period differs from the next, as a share of the mean amplitude.",
        ),
        (
            "shimmer_local_db",
            "Shimmer (local, dB)",
            both,
            "Get shimmer (local_dB)",
            amplitude,
            "dB",
            "How much the amplitude of a period differs from the next, in decibels.",
        ),
        (
            "shimmer_apq3",
            "Shimmer (apq3)",
            both,
            "Get shimmer (apq3)",
            amplitude,
            "share",
            "How much the amplitude of a period differs from the mean of itself and its two neighbours.",
        ),
        (
            "shimmer_apq5",
            "Shimmer (apq5)",
            both,
            "Get shimmer (apq5)",
            amplitude,
            "share",
            "How much the amplitude of a period differs from the mean of itself and its four neighbours.",
        ),
        (
            "hnr_mean_db",
            "Harmonics-to-noise ratio",
            of.analysis.harmonicity,
            "Get mean",
            (),
            "dB",
            "Mean strength of the voice's harmonics over its noise, in voiced frames: "
            "around 20 dB in a healthy vowel, less in a hoarse or breathy one.",
        ),
    ):
        yield Measure(name, title, of.ask(thing, command, *arguments), unit, meaning)


def _formants(of: _Stretch) -> Iterator[Measure]:
    for i in range(1, voice.N_FORMANTS + 1):
        yield Measure(
            f"f{i}_mean_hz",
            f"Formant F{i}, mean",
            of.ask_formant("Get mean", i, "hertz"),
            "Hz",
            f"Mean of resonance {i} of the mouth over the whole stretch: select a single vowel.",
        )
        yield Measure(
            f"f{i}_bandwidth_median_hz",
            f"Formant F{i}, bandwidth",
            of.ask_formant("Get quantile of bandwidth", i, "hertz", 0.5),
            "Hz",
            f"Middle width of resonance {i}; one wider than about 400 Hz is hardly a formant.",
        )


def _sample_blocks(clip: Clip, start: float, end: float) -> Iterator[FloatArray]:
    first, stop = round(start * clip.sr), min(clip.y.size, round(end * clip.sr))
    for at in range(first, stop, BLOCK_SAMPLES):
        yield clip.read(at, min(stop, at + BLOCK_SAMPLES))


def _decibels(power: float) -> float:
    return 10 * float(np.log10(power)) if power > 0 else NAN


def _band_energy(y: FloatArray, sr: int, low: float, high: float) -> float:
    """Sum of the squared samples that the frequencies from low to high [Hz] bring, by Parseval's theorem."""
    # A length that the transform likes; zeros add no energy.
    n = scipy.fft.next_fast_len(y.size, real=True)
    spectrum = scipy.fft.rfft(y.astype(np.float64), n)
    energy = spectrum.real**2 + spectrum.imag**2
    energy[1 : (n + 1) // 2] *= 2  # the negative frequencies
    frequencies = np.arange(energy.size) * (sr / n)
    return float(energy[(frequencies >= low) & (frequencies <= high)].sum()) / n


def _levels(clip: Clip, start: float, end: float, low: float | None, high: float | None) -> Iterator[Measure]:
    peak = energy = band = 0.0
    count = 0
    for y in _sample_blocks(clip, start, end):
        peak = max(peak, float(np.abs(y).max()))
        energy += float(np.sum(np.square(y, dtype=np.float64)))
        count += y.size
        if low is not None and high is not None:
            band += _band_energy(y, clip.sr, low, high)
    n = max(count, 1)
    yield Measure(
        "peak_dbfs",
        "Peak level",
        _decibels(peak**2),
        "dBFS",
        "Level of the loudest sample; 0 is the most a file holds.",
    )
    yield Measure(
        "rms_dbfs",
        "RMS level",
        _decibels(energy / n),
        "dBFS",
        "Level of the mean energy, 20 log10 of the root mean square: a full-scale sine has -3 dB.",
    )
    if low is None or high is None:
        return
    title = f"from {low:.0f} to {high:.0f} Hz"
    yield Measure("band_low_hz", "Band, lower edge", low, "Hz", "Lowest frequency of the band that is marked.")
    yield Measure("band_high_hz", "Band, upper edge", high, "Hz", "Highest frequency of the band that is marked.")
    yield Measure(
        "band_dbfs",
        "Band, level",
        _decibels(band / n),
        "dBFS",
        f"Level of the sound {title}, counted as the RMS level.",
    )
    yield Measure(
        "band_energy_share",
        "Band, share of energy",
        band / energy if energy > 0 else NAN,
        "share",
        f"Share of the energy {title} in that of all frequencies.",
    )


def _centroid(clip: Clip, start: float, end: float) -> Measure:
    total, count = 0.0, 0
    for t0 in np.arange(start, end, BLOCK_S):
        t1 = min(end, float(t0) + BLOCK_S)
        feature = spectral.of_view(spectral.spectral_centroid, clip, float(t0), t1, FrameParams())
        inside = (feature.times >= t0) & ((feature.times < t1) | (feature.times == end))
        values = feature.values[0, inside & (feature.values[0] > 0)]  # 0 stands for digital silence
        total += float(values.sum(dtype=np.float64))
        count += values.size
    return Measure(
        "spectral_centroid_mean_hz",
        "Spectral centroid, mean",
        total / count if count else NAN,
        "Hz",
        "Mean centre of gravity of the spectrum: the higher, the brighter the sound.",
    )


def _pause_share(pauses: tuple[Segment, ...], start: float, end: float) -> Measure:
    paused, at = 0.0, start
    for pause in sorted(pauses, key=lambda segment: segment.start):
        paused += max(0.0, min(pause.end, end) - max(pause.start, at))
        at = max(at, pause.end)
    value = paused / (end - start) if end > start else NAN
    return Measure("pause_share", "Pauses", value, "share", "Share of the stretch in which nobody speaks.")


def measures(
    clip: Clip,
    selection: Selection,
    *,
    pitch_settings: PitchSettings,
    formant_settings: FormantSettings,
    pauses: tuple[Segment, ...] | None = None,
    analysis: Analysis | None = None,
) -> tuple[Measure, ...]:
    """Everything that is measured about a stretch of sound, in the order of the card.

    Pitch, intensity, formants and harmonicity are Praat's, analysed as `voice` says (a clip of up to `voice.WHOLE_S`
    as a whole, a longer one with `voice.MARGIN_S` around the stretch) and then asked about the range from start to
    end, so that a stretch has the numbers of its frames in the whole and no edges of its own. The pulses are those of
    "To PointProcess (cc)"; jitter and shimmer count periods of 0.0001 to 0.02 s that differ by no more than a factor
    of 1.3, in amplitude 1.6, as Praat's voice report. Minima and maxima of pitch and intensity are interpolated
    (parabolic); the mean intensity is that of the energy. The harmonics-to-noise ratio is the mean of
    "To Harmonicity (cc)". The levels count the samples from round(start sr) to round(end sr). The level and share of a
    band (`selection.low`, `selection.high`) come from the Fourier transform of these samples, in blocks of a million.
    The centroid is the mean over the frames (`FrameParams()`) centred in the stretch, digital silence left out. Shares
    and jitter are given as 0 to 1.

    Parameters
    ----------
    selection : clamped to the clip
    pauses : the pauses of the clip, where somebody has looked for them; may overlap
    analysis : `analyse` of this clip, these settings and this stretch (or the whole clip), where it is at hand

    Returns
    -------
    NaN where something is not defined: too short, unvoiced, silent, outside the clip, or the voice in a stretch of more
    than `voice.LONGEST_S`.
    """
    start, end = float(min(selection.start, clip.duration)), float(min(selection.end, clip.duration))
    if not 0 < end - start <= voice.LONGEST_S:
        analysis = Analysis()
    elif analysis is None:
        analysis = analyse(clip, pitch_settings, formant_settings, start, end)
    of = _Stretch(analysis, start, end)
    found = [
        Measure("start_s", "Start", start, "s", "Where the stretch begins."),
        Measure("end_s", "End", end, "s", "Where the stretch ends."),
        Measure("duration_s", "Duration", end - start, "s", "How long the stretch is."),
        *_pitch(of),
        *_intensity(of),
        *_levels(clip, start, end, selection.low, selection.high),
        *_quality(of),
        *_formants(of),
        _centroid(clip, start, end),
    ]
    if pauses is not None:
        found.append(_pause_share(pauses, start, end))
    return tuple(found)
