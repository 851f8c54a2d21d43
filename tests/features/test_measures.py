"""The card of measures: parselmouth and librosa asked directly, physics, and stretches with nothing in them."""

import librosa
import numpy as np
import parselmouth
import pytest
import soundfile as sf
from parselmouth.praat import call

from components.audio import synth
from components.features import voice
from components.features.measures import analyse, measures
from components.features.voice import FormantSettings, PitchSettings
from components.types import Clip, Measure, Segment, Selection

SR = 16000


def card(clip: Clip, start: float, end: float, low=None, high=None, **more) -> dict[str, float]:
    found = measures(
        clip,
        Selection(start, end, low, high),
        **{"pitch_settings": PitchSettings(), "formant_settings": FormantSettings()} | more,
    )
    assert all(isinstance(m, Measure) and m.title and m.meaning.endswith(".") for m in found)
    assert len({m.name for m in found}) == len(found)
    return {m.name: m.value for m in found}


def of_praat(clip: Clip, a: float, b: float, floor: float, ceiling: float, top: float) -> dict[str, float]:
    """The same numbers as a script for parselmouth would ask for them."""
    sound = parselmouth.Sound(clip.y.astype(np.float64), clip.sr)
    pitch = call(sound, "To Pitch (ac)", 0, floor, 15, False, 0.03, 0.45, 0.01, 0.35, 0.14, ceiling)
    pulses = call([sound, pitch], "To PointProcess (cc)")
    loud = call(sound, "To Intensity", floor, 0, True)
    hnr = call(sound, "To Harmonicity (cc)", 0.01, floor, 0.1, 1.0)
    formant = call(sound, "To Formant (burg)", 0, 5, top, 0.025, 50)
    want = {
        "pitch_mean_hz": call(pitch, "Get mean", a, b, "Hertz"),
        "pitch_median_hz": call(pitch, "Get quantile", a, b, 0.5, "Hertz"),
        "pitch_min_hz": call(pitch, "Get minimum", a, b, "Hertz", "Parabolic"),
        "pitch_max_hz": call(pitch, "Get maximum", a, b, "Hertz", "Parabolic"),
        "pitch_sd_hz": call(pitch, "Get standard deviation", a, b, "Hertz"),
        "pitch_mean_st": call(pitch, "Get mean", a, b, "semitones re 100 Hz"),
        "pitch_sd_st": call(pitch, "Get standard deviation", a, b, "semitones"),
        "intensity_mean_db": call(loud, "Get mean", a, b, "energy"),
        "intensity_min_db": call(loud, "Get minimum", a, b, "Parabolic"),
        "intensity_max_db": call(loud, "Get maximum", a, b, "Parabolic"),
        "jitter_local": call(pulses, "Get jitter (local)", a, b, 0.0001, 0.02, 1.3),
        "jitter_rap": call(pulses, "Get jitter (rap)", a, b, 0.0001, 0.02, 1.3),
        "jitter_ppq5": call(pulses, "Get jitter (ppq5)", a, b, 0.0001, 0.02, 1.3),
        "shimmer_local": call([sound, pulses], "Get shimmer (local)", a, b, 0.0001, 0.02, 1.3, 1.6),
        "shimmer_local_db": call([sound, pulses], "Get shimmer (local_dB)", a, b, 0.0001, 0.02, 1.3, 1.6),
        "shimmer_apq3": call([sound, pulses], "Get shimmer (apq3)", a, b, 0.0001, 0.02, 1.3, 1.6),
        "shimmer_apq5": call([sound, pulses], "Get shimmer (apq5)", a, b, 0.0001, 0.02, 1.3, 1.6),
        "hnr_mean_db": call(hnr, "Get mean", a, b),
    }
    for i in range(1, 5):
        want[f"f{i}_mean_hz"] = call(formant, "Get mean", i, a, b, "hertz")
        want[f"f{i}_bandwidth_median_hz"] = call(formant, "Get quantile of bandwidth", i, a, b, "hertz", 0.5)
    return want


@pytest.mark.data
@pytest.mark.parametrize("folder", ["emodb/wav", "fsdd", "librosa"])
def test_real_voices_have_exactly_the_numbers_of_praat(data_dir, folder):
    names = ["198-209-0000.ogg", "3436-172162-0000.ogg", "5703-47212-0000.ogg"]
    files = sorted((data_dir / folder).glob("*.wav")) or [data_dir / folder / name for name in names]
    for file in files[:: max(1, len(files) // 4)][:4]:
        y, sr = sf.read(file, dtype="float32")
        clip = Clip.from_array(file.name, y[: 2 * sr], sr)
        a, b = 0.2 * clip.duration, 0.8 * clip.duration
        settings = {"pitch_settings": PitchSettings(70, 400), "formant_settings": FormantSettings(5000)}
        got = card(clip, a, b, **settings)
        want = of_praat(clip, a, b, 70, 400, 5000)
        assert np.isfinite(want["pitch_mean_hz"])
        assert np.isfinite(want["f1_mean_hz"])
        np.testing.assert_equal({name: got[name] for name in want}, want)


def test_what_is_kept_for_all_stretches_of_a_clip_gives_the_same_card():
    clip = Clip.from_array("vowel", synth.vowel("a", 0.8) + synth.noise(0.8, amplitude=0.01), SR)
    kept = analyse(clip, PitchSettings(), FormantSettings())
    for a, b in ((0.1, 0.4), (0.3, 0.8)):
        np.testing.assert_equal(card(clip, a, b, analysis=kept), card(clip, a, b))


def test_a_perfect_tone_complex():
    t = np.arange(2 * SR) / SR
    clip = Clip.from_array("tone", sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 8)) * 0.2, SR)
    got = card(clip, 0.5, 1.5)
    assert got["pitch_mean_hz"] == pytest.approx(220, abs=0.5)
    assert got["pitch_mean_st"] == pytest.approx(12 * np.log2(2.2), abs=0.05)
    assert got["pitch_sd_st"] < 0.01
    assert got["voiced_share"] == 1
    assert got["hnr_mean_db"] > 40
    assert got["jitter_local"] < 1e-3
    assert got["shimmer_local"] < 1e-3
    assert got["duration_s"] == 1


def test_a_voice_that_trembles_has_jitter_and_one_in_noise_a_low_hnr():
    rng = np.random.default_rng(0)
    periods = rng.normal(0.008, 0.0002, 200)
    y = np.zeros(round(periods.sum() * SR) + SR // 10)
    y[np.round(np.cumsum(periods) * SR).astype(int)] = 1
    y = np.convolve(y, np.exp(-np.arange(200) / 25) * np.sin(2 * np.pi * 700 * np.arange(200) / SR))[: y.size] * 0.5
    steps = np.abs(np.diff(periods)).mean() / periods.mean()
    assert card(Clip.from_array("trembling", y, SR), 0.2, 1.4)["jitter_local"] == pytest.approx(steps, rel=0.25)
    clear = synth.vowel("a", 1.0, f0=120)
    level = np.sqrt(np.mean(clear**2)) / 10 ** (10 / 20)  # 10 dB below the voice
    noisy = Clip.from_array("hoarse", clear + rng.normal(scale=level, size=clear.size), SR)
    assert card(noisy, 0.2, 0.8)["hnr_mean_db"] == pytest.approx(10, abs=2.5)


def test_levels_and_bands_of_two_tones():
    t = np.arange(SR) / SR
    clip = Clip.from_array("two tones", 0.5 * np.sin(2 * np.pi * 500 * t) + 0.25 * np.sin(2 * np.pi * 3000 * t), SR)
    got = card(clip, 0.2, 0.8, 2500, 3500)
    assert got["rms_dbfs"] == pytest.approx(10 * np.log10(0.5**2 / 2 + 0.25**2 / 2), abs=0.01)
    assert got["band_dbfs"] == pytest.approx(10 * np.log10(0.25**2 / 2), abs=0.05)
    assert got["band_energy_share"] == pytest.approx(0.2, abs=0.002)
    assert got["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(clip.y).max()), abs=0.1)
    assert card(clip, 0.2, 0.8, 0, SR / 2)["band_energy_share"] == pytest.approx(1, abs=1e-9)


def test_centroid_is_the_mean_of_librosas_frames():
    clip = Clip.from_array("noise", synth.noise(2.0, colour="pink"), SR)
    want = librosa.feature.spectral_centroid(y=clip.y, sr=SR, n_fft=1024, hop_length=256, pad_mode="constant")[0]
    times = np.arange(want.size) * 256 / SR
    expected = want[(times >= 0.5) & (times <= 1.5)].mean()
    assert card(clip, 0.5, 1.5)["spectral_centroid_mean_hz"] == pytest.approx(expected, rel=1e-4)
    assert card(clip, 0.0, 2.0)["spectral_centroid_mean_hz"] == pytest.approx(want.mean(), rel=1e-4)


def test_pauses_count_once_and_only_inside_the_stretch():
    clip = Clip.from_array("noise", synth.noise(2.0), SR)
    pauses = (Segment(0.0, 0.6, "pause", 1), Segment(0.9, 1.2, "pause", 1), Segment(1.1, 1.3, "pause", 1))
    assert card(clip, 0.5, 1.5, pauses=pauses)["pause_share"] == pytest.approx(0.5)
    assert card(clip, 0.5, 1.5, pauses=())["pause_share"] == 0
    assert "pause_share" not in card(clip, 0.5, 1.5)


def test_a_stretch_of_a_long_clip_is_measured_as_in_the_whole(monkeypatch):
    rng = np.random.default_rng(2)
    y = np.concatenate([np.pad(synth.vowel("a", 0.6, f0=f0), (0, SR // 5)) for f0 in (110, 150, 130, 180, 120, 140)])
    clip = Clip.from_array("speech", y + rng.normal(scale=1e-3, size=y.size), SR)
    whole = card(clip, 2.0, 2.7)
    monkeypatch.setattr(voice, "WHOLE_S", 0.5)
    monkeypatch.setattr(voice, "MARGIN_S", 0.5)
    part = card(clip, 2.0, 2.7)
    for name in ("pitch_mean_hz", "pitch_sd_st", "intensity_mean_db", "hnr_mean_db", "f1_mean_hz", "f2_mean_hz"):
        assert part[name] == pytest.approx(whole[name], rel=5e-3), name


VOICE = ("pitch_mean_hz", "pitch_sd_st", "jitter_local", "shimmer_local", "hnr_mean_db")


@pytest.mark.parametrize("n", [1, 2, 100, 800])
def test_too_short_for_a_voice_is_nan_and_no_error(n):
    for y in (np.zeros(n), np.random.default_rng(0).normal(scale=0.1, size=n)):
        got = card(Clip.from_array("short", y, SR), 0, n / SR, 100, 200)
        # Two frames of noise can be taken for a voice with hardly any harmonics, but they have no pitch.
        assert all(np.isnan(got[name]) for name in VOICE if name != "hnr_mean_db")
        assert np.isnan(got["hnr_mean_db"]) or got["hnr_mean_db"] < 5
        assert got["duration_s"] == pytest.approx(n / SR)


def test_silence_noise_and_tiny_stretches_are_nan_and_no_error():
    silent = card(Clip.from_array("silence", synth.silence(1.0), SR), 0.1, 0.9, 100, 200)
    numbers = ("start_s", "end_s", "duration_s", "voiced_share", "band_low_hz", "band_high_hz")
    formants = [name for name in silent if name[0] == "f" and name[1].isdigit()]
    assert [n for n, v in silent.items() if n not in numbers and n not in formants and not np.isnan(v)] == []
    assert silent["voiced_share"] == 0
    noise = card(Clip.from_array("noise", synth.noise(1.0), SR), 0.1, 0.9)
    assert noise["voiced_share"] < 0.1
    assert np.isfinite(noise["rms_dbfs"])
    vowel = Clip.from_array("vowel", synth.vowel("a", 1.0), SR)
    tiny = card(vowel, 0.5, 0.5002)
    assert np.isnan(tiny["jitter_local"])
    assert np.isfinite(tiny["peak_dbfs"])
    beyond = card(vowel, 3.0, 4.0)
    assert all(np.isnan(beyond[name]) for name in (*VOICE, "rms_dbfs", "spectral_centroid_mean_hz"))


def test_a_stretch_beyond_what_a_voice_is_measured_over_still_has_levels(monkeypatch):
    monkeypatch.setattr(voice, "LONGEST_S", 0.5)
    got = card(Clip.from_array("vowel", synth.vowel("a", 1.0), SR), 0, 1)
    assert all(np.isnan(got[name]) for name in VOICE)
    assert np.isfinite(got["rms_dbfs"])
