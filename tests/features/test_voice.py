"""Praat's voice analyses: parselmouth called directly, sounds whose pitch and formants are known, and hard cases."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import parselmouth
import pytest
import soundfile as sf

from components.audio import synth
from components.errors import ParameterError
from components.features import voice
from components.features.voice import FormantSettings, PitchSettings
from components.types import Clip

SR = 16000
REAL = [
    *("emodb/wav/03a01Fa.wav", "emodb/wav/08a02La.wav", "emodb/wav/11a05Wd.wav", "emodb/wav/13b01Ec.wav"),
    *("fsdd/0_*_0.wav", "fsdd/7_*_10.wav", "fsdd/4_*_20.wav"),
    *("librosa/198-209-0000.ogg", "librosa/3436-172162-0000.ogg", "librosa/5703-47212-0000.ogg"),
]


def real_clip(data_dir, pattern: str, seconds: float = 2.0) -> Clip:
    """The recording of that name, or the first of that folder where it is missing."""
    folder = data_dir / pattern.rsplit("/", 1)[0]
    found = sorted(data_dir.glob(pattern)) or sorted(p for p in folder.iterdir() if p.suffix in (".wav", ".ogg"))
    y, sr = sf.read(found[0], dtype="float32")
    return Clip.from_array(found[0].name, y[: round(seconds * sr)], sr)


def vowel(f0: float, seconds: float = 1.0, name: str = "a") -> Clip:
    return Clip.from_array("vowel", synth.vowel(name, seconds, f0=f0), SR)


def empty_as_nan(values, empty):
    return np.where(values > empty, values, np.nan)


@pytest.mark.data
@pytest.mark.parametrize("pattern", REAL)
def test_real_voices_have_exactly_the_numbers_of_praat(data_dir, pattern):
    clip = real_clip(data_dir, pattern)
    sound = parselmouth.Sound(clip.y.astype(np.float64), clip.sr)
    settings = PitchSettings(floor=80, ceiling=450)

    want = sound.to_pitch_ac(pitch_floor=80.0, pitch_ceiling=450.0)
    got, candidates = voice.pitch_and_candidates(clip, settings)
    f0 = want.selected_array["frequency"]
    assert np.count_nonzero(f0) > 5
    np.testing.assert_array_equal(got.times, want.xs())
    np.testing.assert_array_equal(got.values[0], np.where(f0 > 0, f0, np.nan))
    np.testing.assert_array_equal(got.strength[0], np.where(f0 > 0, want.selected_array["strength"], 0))
    frame = int(np.argmax(f0 > 0))
    listed = {c.frequency for c in want.get_frame(frame + 1).candidates if c.frequency > 0}
    assert listed == set(candidates.values[:, frame][~np.isnan(candidates.values[:, frame])])

    want = sound.to_intensity(80.0)
    got = voice.intensity(clip, settings)
    np.testing.assert_array_equal(got.times, want.xs())
    np.testing.assert_array_equal(got.values, empty_as_nan(want.values, -300))

    want = sound.to_harmonicity_cc(minimum_pitch=80.0)
    got = voice.harmonicity(clip, settings)
    np.testing.assert_array_equal(got.times, want.xs())
    np.testing.assert_array_equal(got.values, empty_as_nan(want.values, -200))

    want = sound.to_formant_burg(maximum_formant=5000.0)
    centres, widths = voice.formants_and_bandwidths(clip, FormantSettings(ceiling=5000))
    np.testing.assert_array_equal(centres.times, want.xs())
    for i in range(4):
        np.testing.assert_array_equal(centres.values[i], [want.get_value_at_time(i + 1, t) for t in want.xs()])
        np.testing.assert_array_equal(widths.values[i], [want.get_bandwidth_at_time(i + 1, t) for t in want.xs()])


@pytest.mark.data
def test_cross_correlation_and_every_setting_reach_praat(data_dir):
    clip = real_clip(data_dir, REAL[0])
    settings = PitchSettings(
        floor=90, ceiling=380, method="cc", time_step=0.008, silence_threshold=0.05, voicing_threshold=0.5,
        octave_cost=0.02, octave_jump_cost=0.5, voiced_unvoiced_cost=0.2, max_candidates=9, very_accurate=True,
    )  # fmt: skip
    want = parselmouth.praat.call(
        parselmouth.Sound(clip.y.astype(np.float64), clip.sr),
        "To Pitch (cc)", 0.008, 90, 9, True, 0.05, 0.5, 0.02, 0.5, 0.2, 380,
    ).selected_array["frequency"]  # fmt: skip
    np.testing.assert_array_equal(voice.pitch(clip, settings).values[0], np.where(want > 0, want, np.nan))


def test_a_tone_of_220_hz_has_that_pitch_and_hardly_any_noise():
    t = np.arange(SR) / SR
    y = sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 8)) * 0.2
    clip = Clip.from_array("tone", y, SR)
    track = voice.pitch(clip, PitchSettings())
    np.testing.assert_allclose(track.values, 220, atol=0.5)
    assert track.strength.min() > 0.95
    assert np.nanmean(voice.harmonicity(clip, PitchSettings()).values) > 40


def test_intensity_of_a_full_scale_sine_is_91_db():
    clip = Clip.from_array("sine", synth.tone(1000, 1.0, amplitude=1.0), SR)
    np.testing.assert_allclose(voice.intensity(clip, PitchSettings()).values, 20 * np.log10(0.5**0.5 / 2e-5), atol=0.01)


@pytest.mark.parametrize("name", ["a", "i", "o"])
def test_formants_of_made_vowels(name):
    clip = vowel(110, 0.6, name)
    track = voice.formants(clip, FormantSettings(ceiling=4000, max_formants=4))
    assert track.labels == ("F1", "F2", "F3", "F4")
    middle = np.median(track.values[:, track.values.shape[1] // 4 : -track.values.shape[1] // 4], axis=1)
    true = [centre for centre, _ in synth.VOWELS[name]]
    np.testing.assert_allclose(middle[:3], true[:3], rtol=0.04)


@pytest.mark.parametrize(("t0", "t1"), [(3.0, 4.5), (0.0, 2.0), (7.0, 8.0)])
def test_views_of_a_long_clip_show_the_frames_of_the_whole(monkeypatch, t0, t1):
    rng = np.random.default_rng(1)
    parts = [synth.vowel("a", 0.45, f0=f0) for f0 in (120, 180, 95, 230, 140, 300, 170, 110, 200, 130)]
    # Every other voice is too quiet beside the loudest, which lies outside the first two views.
    loud = [1.0 if i == 8 else (0.02, 0.4)[i % 2] for i in range(10)]
    y = np.concatenate([np.pad(p * a, (0, round(0.35 * SR))) for p, a in zip(parts, loud, strict=True)])
    clip = Clip.from_array("speech", y + rng.normal(scale=1e-4, size=y.size), SR)
    settings = PitchSettings(floor=78)
    for make in (voice.pitch, voice.intensity, voice.harmonicity):
        whole = make(clip, settings)
        with monkeypatch.context() as patch:
            patch.setattr(voice, "WHOLE_S", 1.0)
            patch.setattr(voice, "MARGIN_S", 1.0)
            part = make(clip, settings, t0, t1)
        assert part.times[0] <= max(t0, whole.times[0]) + 0.02
        assert part.times[-1] >= min(t1, whole.times[-1]) - 0.02
        at = np.argmin(np.abs(whole.times[:, None] - part.times), axis=0)
        assert np.abs(whole.times[at] - part.times).max() < 0.3 / SR
        same = np.isclose(part.values[0], whole.values[0, at], rtol=1e-3, atol=0.1, equal_nan=True)
        assert same.mean() > 0.97


def test_times_are_on_the_clock_of_the_clip(monkeypatch):
    y = np.concatenate([synth.silence(6.0), synth.vowel("a", 0.5, f0=150), synth.silence(6.0)])
    clip = Clip.from_array("late", y, SR)
    monkeypatch.setattr(voice, "WHOLE_S", 1.0)
    track = voice.pitch(clip, PitchSettings(), 5.5, 7.0)
    voiced = track.times[~np.isnan(track.values[0])]
    assert voiced.min() == pytest.approx(6.0, abs=0.05)
    assert voiced.max() == pytest.approx(6.5, abs=0.05)


@pytest.mark.parametrize(
    ("f0", "floor", "ceiling", "word"),
    [(90, 150, 500, "floor"), (210, 300, 800, "floor"), (210, 75, 150, "ceiling"), (400, 75, 300, "ceiling")],
)
def test_a_range_that_does_not_suit_the_voice_is_named_with_one_that_does(f0, floor, ceiling, word):
    clip, settings = vowel(f0), PitchSettings(floor=floor, ceiling=ceiling)
    warning = voice.pitch_warning(voice.pitch(clip, settings), settings, voice.wide_pitch(clip, settings))
    assert warning is not None
    assert warning.startswith(f"The pitch {word} of ")
    advised_floor, advised_ceiling = (int(part.split(" Hz")[0]) for part in warning.split("; try")[1].split(" of ")[1:])
    assert advised_floor == pytest.approx(0.75 * f0, abs=3)
    assert advised_ceiling == pytest.approx(1.5 * f0, abs=6)
    settings = PitchSettings(floor=advised_floor, ceiling=advised_ceiling)
    assert voice.pitch_warning(voice.pitch(clip, settings), settings, voice.wide_pitch(clip, settings)) is None


@pytest.mark.parametrize("f0", [90, 210, 400])
def test_the_standard_range_suits_most_voices(f0):
    clip, settings = vowel(f0), PitchSettings()
    assert voice.pitch_warning(voice.pitch(clip, settings), settings, voice.wide_pitch(clip, settings)) is None


def test_pitch_at_the_edge_and_jumps_of_an_octave_are_warned_of():
    track = voice.pitch(vowel(200), PitchSettings())
    at_edge = voice.pitch_warning(track, PitchSettings(ceiling=202))
    assert at_edge is not None
    assert "right at it" in at_edge
    jumping = track.values.copy()
    jumping[0, ::7] *= 2
    warning = voice.pitch_warning(replace(track, values=jumping), PitchSettings())
    assert warning is not None
    assert "jumps by an octave" in warning


SHORT = """
import gc, sys
import numpy as np
from components.features import voice
from components.types import Clip
rng = np.random.default_rng(0)
for n, sr in [(1, 16000), (2, 16000), (3, 44100), (10, 8000), (400, 16000), (800, 16000), (4000, 50), (300, 1000)]:
    for y in (np.zeros(n), rng.normal(scale=0.1, size=n)):
        clip = Clip.from_array("short", y, sr)
        for make in (voice.pitch, voice.pitch_candidates, voice.intensity, voice.harmonicity):
            assert np.isnan(make(clip, voice.PitchSettings(method="ac")).values[..., :1]).all() or n > 200, (make, n)
        for make in (voice.formants, voice.formant_bandwidths):
            assert make(clip, voice.FormantSettings()).values.shape[0] == 4
    gc.collect()
print("fine")
"""


def test_the_shortest_sounds_give_no_frames_and_do_not_break_the_process():
    # Praat writes beyond its memory when it looks for formants in two samples: that would end the whole server.
    done = subprocess.run([sys.executable, "-W", "error", "-c", SHORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "fine"


def test_silence_and_noise_have_no_pitch():
    for y in (synth.silence(0.5), synth.noise(0.5)):
        clip = Clip.from_array("no voice", y, SR)
        track = voice.pitch(clip, PitchSettings())
        assert np.isnan(track.values).mean() > 0.9
        assert voice.pitch_warning(track, PitchSettings(), voice.wide_pitch(clip, PitchSettings())) is None
    silent = Clip.from_array("silence", synth.silence(0.5), SR)
    assert np.isnan(voice.intensity(silent, PitchSettings()).values).all()
    assert np.isnan(voice.harmonicity(silent, PitchSettings()).values).all()


def test_settings_and_stretches_that_make_no_sense_are_refused(monkeypatch):
    with pytest.raises(ParameterError, match="below the ceiling"):
        PitchSettings(floor=300, ceiling=200)
    with pytest.raises(ParameterError, match="formant ceiling"):
        FormantSettings(ceiling=100)
    monkeypatch.setattr(voice, "LONGEST_S", 0.5)
    with pytest.raises(ParameterError, match="zoom in"):
        voice.pitch(vowel(100), PitchSettings())
    with pytest.raises(ParameterError, match="no sound from"):
        voice.pitch(vowel(100), PitchSettings(), 3.0, 4.0)
