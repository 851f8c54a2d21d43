"""Generated sounds hold what their formulas say, and the shipped recordings hold sound."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from components.audio import synth
from components.audio.decode import decode
from components.audio.samples import FOLDER, SAMPLES
from components.errors import ParameterError

SR = synth.SR


def instantaneous_hz(y: np.ndarray) -> np.ndarray:
    return np.diff(np.unwrap(np.angle(scipy.signal.hilbert(y)))) * SR / (2 * np.pi)


@pytest.mark.parametrize("frequency", [50, 440, 3333.3, 7900])
@pytest.mark.parametrize("sr", [16_000, 44_100])
def test_a_tone_has_one_frequency_and_its_amplitude(frequency: float, sr: int) -> None:
    y = synth.tone(frequency, 2, sr=sr, amplitude=0.3)
    assert y.dtype == np.float32
    assert y.size == 2 * sr
    spectrum = np.abs(np.fft.rfft(y * np.hanning(y.size)))
    assert spectrum.argmax() / 2 == pytest.approx(frequency, abs=0.5)
    assert np.sqrt(np.mean(y.astype(float) ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize(("f0", "f1"), [(200, 4000), (4000, 200), (1000, 1000)])
@pytest.mark.parametrize("log", [False, True])
def test_a_chirp_passes_its_frequencies_on_time(f0: float, f1: float, log: bool) -> None:
    y = synth.chirp(f0, f1, 2, log=log)
    found = instantaneous_hz(y)
    for t in (0.3, 1.0, 1.7):
        expected = f0 * (f1 / f0) ** (t / 2) if log else f0 + (f1 - f0) * t / 2
        assert np.median(found[int(t * SR) - 40 : int(t * SR) + 40]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", synth.VOWELS)
def test_a_vowel_has_its_formants(name: str) -> None:
    # Four pulses a second: each rings out before the next, so linear prediction finds the poles exactly.
    y = synth.vowel(name, 2, f0=4).astype(float)[2000:-2000]
    r = np.exp(-2 * np.pi * 50 / SR)
    flat = scipy.signal.lfilter(np.poly([r, r]), [1.0], np.cumsum(y))  # without glottis and lips
    autocorrelation = np.fft.irfft(np.abs(np.fft.rfft(flat)) ** 2)[:9]
    roots = np.roots([1, *-scipy.linalg.solve_toeplitz(autocorrelation[:8], autocorrelation[1:])])
    poles = np.sort(np.angle(roots[roots.imag > 0])) * SR / (2 * np.pi)
    np.testing.assert_allclose(poles, [centre for centre, _ in synth.VOWELS[name]], rtol=0.01)


@pytest.mark.parametrize("name", synth.VOWELS)
def test_a_vowel_is_made_of_the_harmonics_of_its_pitch(name: str) -> None:
    y = synth.vowel(name, 2, f0=100)
    level = 20 * np.log10(np.abs(np.fft.rfft(y * np.hanning(y.size))) + 1e-9)
    assert np.median(level[200:8000:200] - level[300:8100:200]) > 40


def test_a_vowel_of_chosen_formants_and_a_fractional_pitch() -> None:
    y = synth.vowel([(1000, 50)], 4, f0=123.4)
    spectrum = np.abs(np.fft.rfft(y * np.hanning(y.size)))
    peak = spectrum.argmax() / 4
    assert peak / 123.4 == pytest.approx(8, abs=0.01)
    assert np.abs(y).max() == pytest.approx(0.5)


@pytest.mark.parametrize(("rate", "duration"), [(4, 4), (1, 3), (7.5, 2), (100, 0.5)])
def test_clicks_can_be_counted(rate: float, duration: float) -> None:
    at = np.flatnonzero(synth.clicks(rate, duration))
    assert at.size == round(rate * duration)
    np.testing.assert_allclose(np.diff(at) / SR, 1 / rate, atol=1.01 / SR)
    assert at[0] / SR == pytest.approx(0.5 / rate, abs=1 / SR)


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -3.01)])
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_has_the_slope_of_its_colour(colour: str, slope: float, seed: int) -> None:
    y = synth.noise(20, colour=colour, seed=seed)
    f, density = scipy.signal.welch(y, SR, nperseg=8192)
    used = (f > 50) & (f < 7000)
    found = np.polyfit(np.log2(f[used]), 10 * np.log10(density[used]), 1)[0]
    assert found == pytest.approx(slope, abs=0.2)
    assert np.abs(y).max() == pytest.approx(0.5)
    assert not np.array_equal(y, synth.noise(20, colour=colour, seed=seed + 1))
    np.testing.assert_array_equal(y, synth.noise(20, colour=colour, seed=seed))


def test_a_melody_has_its_notes_in_their_order() -> None:
    notes = [(69, 0.5), (81, 0.25), (60, 1.0)]
    y = synth.melody(notes)
    assert y.size == 1.75 * SR
    for start, length, expected in ((0, 0.5, 440), (0.5, 0.25, 880), (0.75, 1.0, 261.63)):
        part = y[int(start * SR) : int((start + length) * SR)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(part.size), 1 << 17))
        assert spectrum.argmax() * SR / (1 << 17) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: synth.tone(9000, 1),
        lambda: synth.tone(0, 1),
        lambda: synth.tone(440, 0),
        lambda: synth.tone(440, 601),
        lambda: synth.tone(440, 1, amplitude=1.1),
        lambda: synth.chirp(-1, 5, 1),
        lambda: synth.noise(1, colour="brown"),
        lambda: synth.vowel("y", 1),
        lambda: synth.vowel([(9000, 50)], 1),
        lambda: synth.melody([]),
        lambda: synth.clicks(0, 1),
        lambda: synth.generated("nothing"),
    ],
)
def test_settings_out_of_range_are_refused_in_a_sentence(make) -> None:
    with pytest.raises(ParameterError, match=r"^[A-Z].*\.$"):
        make()


@pytest.mark.parametrize("name", synth.GENERATED)
def test_generated_clips_are_in_range_and_repeatable(name: str) -> None:
    clip = synth.generated(name)
    assert clip.name == name
    assert clip.source.format == "generated"
    assert 1 <= clip.duration <= 10
    assert np.abs(clip.y).max() <= 1
    assert clip.digest == synth.generated(name).digest
    assert (clip.y == 0).all() == (name == "Silence")


def test_the_shipped_recordings_hold_small_clean_sound() -> None:
    assert {sample.path for sample in SAMPLES} == set(FOLDER.glob("*.flac"))
    for sample in SAMPLES:
        assert sample.path.stat().st_size < 200_000
        decoded = decode(sample.path, name=sample.name)
        assert not decoded.notes
        assert (decoded.clip.sr, decoded.clip.source.channels) == (16_000, 1)
        assert 2 < decoded.clip.duration < 20
        assert 0.5 < np.abs(decoded.clip.y).max() < 1


@pytest.mark.parametrize("stem", ["digits_low", "digits_high"])
def test_five_digits_stand_between_pauses(stem: str) -> None:
    clip = decode(FOLDER / f"{stem}.flac", name=stem).clip
    loud = np.flatnonzero(np.abs(clip.y) > 0.01) / clip.sr
    assert np.count_nonzero(np.diff(loud) > 0.4) == 4
    assert loud[0] > 0.4
    assert clip.duration - loud[-1] > 0.4
