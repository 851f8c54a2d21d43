"""Notes, onsets and beats: against librosa, and against sounds whose notes and beats are known."""

import librosa
import numpy as np
import pytest

from components.features import music
from components.features.spectral import of_view
from components.types import Clip, FrameParams

SR = 16000
PARAMS = FrameParams(2048, 512, n_mels=64)


def clip_of(y: np.ndarray) -> Clip:
    return Clip.from_array("test", y.astype(np.float32), SR)


def noise(seconds: float = 3) -> Clip:
    swell = np.sin(np.arange(round(seconds * SR)) / 2000) ** 4
    return clip_of(np.random.default_rng(0).normal(0, 0.1, swell.size) * swell)


def clicks(bpm: float, seconds: float = 10, first: float = 0.25) -> Clip:
    y = np.random.default_rng(0).normal(0, 1e-4, round(seconds * SR))
    for t in np.arange(first, seconds - 0.05, 60 / bpm):
        start = round(t * SR)
        y[start : start + 400] += 0.5 * np.exp(-np.arange(400) / 80) * np.sin(np.arange(400) * 0.9)
    return clip_of(y)


@pytest.mark.parametrize("params", [PARAMS, FrameParams(1024, 300)])
def test_chroma_equals_librosa(params):
    clip = noise()
    S = np.abs(librosa.stft(clip.y, n_fft=params.n_fft, hop_length=params.hop_length, pad_mode="constant")) ** 2
    want = librosa.feature.chroma_stft(S=S, sr=SR, n_fft=params.n_fft, tuning=0.0)
    np.testing.assert_allclose(music.chroma(clip, params).values, want, atol=1e-4)


@pytest.mark.parametrize(("hz", "row"), [(440.0, 9), (880.0, 9), (261.63, 0), (493.88, 11)])
def test_a_tone_is_in_the_row_of_its_note(hz, row):
    y = 0.3 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)
    values = music.chroma(clip_of(y), FrameParams(4096, 1024)).values
    assert set(values[:, 2:-2].argmax(axis=0)) == {row}


def test_silence_has_no_notes_and_no_tempo():
    silence = clip_of(np.zeros(SR))
    assert not music.chroma(silence, PARAMS).values.any()
    onset = music.onset_strength(silence, PARAMS)
    assert not onset.values.any()
    assert music.onsets(onset).size == 0
    none = music.tempo(onset)
    assert np.isnan(none.bpm)
    assert none.beats.size == 0
    assert "no onset" in none.note


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")  # librosa's, about the shortest signals
@pytest.mark.parametrize("n", [1, 700, SR])
@pytest.mark.parametrize("params", [PARAMS, FrameParams(1024, 300)])
def test_onset_strength_equals_librosa(n, params, monkeypatch):
    monkeypatch.setattr(music, "BLOCK_SAMPLES", 3000)
    y = noise().y[4000 : 4000 + n]
    frame = {"n_fft": params.n_fft, "hop_length": params.hop_length}
    S = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=params.n_mels, pad_mode="constant", **frame)
    want = librosa.onset.onset_strength(S=librosa.power_to_db(S), sr=SR, **frame)
    got = music.onset_strength(Clip.from_array("part", y, SR), params).values[0]
    np.testing.assert_allclose(got, want, atol=1e-3)


@pytest.mark.parametrize("bpm", [120, 96])
def test_clicks_are_found_and_counted(bpm):
    onset = music.onset_strength(clicks(bpm), FrameParams(1024, 160))
    found = music.onsets(onset)
    want = np.arange(0.25, 9.95, 60 / bpm)
    assert found.size == want.size
    assert np.abs(found - want).max() < 0.03
    made = music.tempo(onset)
    assert made.bpm == pytest.approx(bpm, abs=2)
    assert made.note is None
    assert made.steadiness > 0.5
    # Each click has its beat; next to the end of the recording librosa's beats may leave the grid.
    assert max(np.abs(made.beats - t).min() for t in want[:-1]) < 0.05
    assert made.beats.size <= want.size + 2


def test_beats_and_onsets_are_librosas_on_the_same_envelope():
    onset = music.onset_strength(noise(5), PARAMS)
    at = {"onset_envelope": onset.values[0], "sr": SR, "hop_length": 512}
    bpm, beats = librosa.beat.beat_track(**at, trim=False, units="time")
    made = music.tempo(onset)
    assert made.bpm == pytest.approx(float(np.atleast_1d(bpm)[0]))
    assert made.beats == pytest.approx(beats)
    assert music.onsets(onset) == pytest.approx(librosa.onset.onset_detect(**at, units="time"))


def test_too_few_and_unsteady_onsets_are_said():
    assert "too few" in music.tempo(music.onset_strength(clicks(120, 2), PARAMS)).note
    y = np.random.default_rng(2).normal(0, 1e-4, 12 * SR)
    for start in np.cumsum(np.random.default_rng(3).uniform(0.1, 0.9, 22)):
        y[round(start * SR) : round(start * SR) + 300] += 0.3
    assert "no steady beat" in music.tempo(music.onset_strength(clip_of(y), PARAMS)).note


@pytest.mark.parametrize("make", [music.chroma, music.onset_strength])
def test_a_part_has_the_frames_of_the_whole(make):
    clip = noise(4)
    whole, part = make(clip, PARAMS), of_view(make, clip, 1.2, 2.6, PARAMS)
    first = int(np.argmin(np.abs(whole.times - part.times[0])))
    assert 1.2 - 512 / SR <= part.times[0] <= 1.2
    np.testing.assert_allclose(whole.times[first : first + part.times.size], part.times)
    np.testing.assert_allclose(part.values, whole.values[:, first : first + part.times.size], atol=1e-3)


@pytest.mark.data
def test_real_speech_has_no_steady_beat_and_a_waltz_has(data_dir):
    import soundfile

    notes = []
    for name in ("198-209-0000.ogg", "147793__setuniman__sweet-waltz-0i-22mi.ogg"):
        y, sr = soundfile.read(data_dir / "librosa" / name, dtype="float32", frames=22050 * 12)
        notes.append(music.tempo(music.onset_strength(Clip.from_array(name, y, sr), PARAMS)).note)
    assert "no steady beat" in notes[0]
    assert notes[1] is None
