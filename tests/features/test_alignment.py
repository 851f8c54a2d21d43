"""Offsets that are known, found again: in noise, at other rates and levels, of parts, of recordings on disk."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soundfile as sf
import soxr

from components.audio import synth
from components.features import alignment
from components.features.alignment import UNSURE, align
from components.types import Clip

SR = 16000


def clip_of(y, sr: int = SR) -> Clip:
    return Clip.from_array("made", y, sr)


def talk(seconds: float, seed: int = 0, sr: int = SR) -> np.ndarray:
    """Vowels of random pitch, length and level with pauses of random length."""
    rng = np.random.default_rng(seed)
    parts, n = [], 0
    while n < seconds * sr:
        kind, f0 = "aeiou"[int(rng.integers(5))], float(rng.uniform(90, 250))
        parts += [
            synth.vowel(kind, float(rng.uniform(0.08, 0.4)), f0=f0, sr=sr) * float(rng.uniform(0.2, 1)),
            np.zeros(int(rng.uniform(0.02, 0.4) * sr), np.float32),
        ]
        n += parts[-2].size + parts[-1].size
    return np.concatenate(parts)[: round(seconds * sr)]


def with_noise(y: np.ndarray, db: float, seed: int = 9) -> np.ndarray:
    """White noise at a signal-to-noise ratio of `db`."""
    level = np.sqrt(np.mean(y.astype(np.float64) ** 2) / 10 ** (db / 10))
    return y + level * np.random.default_rng(seed).standard_normal(y.size)


@pytest.mark.parametrize("begin", [0, 1.23456, 4.5])
def test_a_part_is_found_in_the_whole_and_the_whole_around_the_part(begin):
    y = talk(8)
    k = round(begin * SR)
    part = clip_of(y[k : k + 3 * SR])
    found = align(clip_of(y), part)
    assert found.offset_s == pytest.approx(k / SR, abs=1e-4)
    assert found.strength > 0.97
    assert align(part, clip_of(y)).offset_s == pytest.approx(-k / SR, abs=1e-4)


@pytest.mark.parametrize("shift", [-2.5, -0.0123, 2.0007])
def test_recordings_that_share_only_a_part(shift):
    y = talk(10)
    k = round(abs(shift) * SR)
    early, late = clip_of(y[: 6 * SR]), clip_of(y[k : k + 6 * SR])
    found = align(early, late) if shift > 0 else align(late, early)
    assert found.offset_s == pytest.approx(np.sign(shift) * k / SR, abs=1e-4)
    assert found.strength > 0.9


def test_equal_clips_do_not_move():
    clip = clip_of(talk(3))
    found = align(clip, clip)
    assert found.offset_s == pytest.approx(0, abs=1e-6)
    assert found.strength == pytest.approx(1, abs=1e-6)


def test_noise_as_loud_as_the_sound_in_both():
    y = talk(8)
    k = round(2.345 * SR)
    found = align(clip_of(with_noise(y, 0)), clip_of(with_noise(y[k : k + 4 * SR], 0, seed=4)))
    assert found.offset_s == pytest.approx(k / SR, abs=1e-3)
    assert UNSURE < found.strength < 0.9


@pytest.mark.parametrize("sr", [8000, 22050, 44100])
def test_rate_level_and_polarity_do_not_matter(sr):
    y = talk(6)
    k = round(1.5 * SR)
    other = soxr.resample(y[k : k + 3 * SR], SR, sr) * -0.01
    found = align(clip_of(y), clip_of(other, sr))
    assert found.offset_s == pytest.approx(k / SR, abs=1e-3)
    assert found.strength > 0.9


def test_what_has_nothing_in_common_is_said_to_have_nothing():
    for k in range(4):
        assert align(clip_of(talk(5, seed=k)), clip_of(talk(4, seed=k + 10))).strength < UNSURE
    assert align(clip_of(synth.noise(3, seed=1)), clip_of(synth.noise(3, seed=2))).strength < 0.1


@pytest.mark.parametrize("y", [np.zeros(SR), np.zeros(1), np.ones(1), np.ones(40), np.full(SR, 0.5)])
def test_silence_and_next_to_nothing_align_with_nothing(y):
    for found in (
        align(clip_of(y), clip_of(talk(2))),
        align(clip_of(talk(2)), clip_of(y)),
    ):
        assert np.isfinite(found.offset_s)
        assert 0 <= found.strength < UNSURE


def test_a_quiet_beginning_is_found_too():
    y = talk(12)
    y[: 5 * SR] *= 0.02
    found = align(clip_of(y), clip_of(y[SR : 4 * SR]))
    assert found.offset_s == pytest.approx(1, abs=1e-4)


def test_long_ones_are_compared_over_their_loudest_stretch(monkeypatch):
    monkeypatch.setattr(alignment, "LONGEST_S", 2.0)
    y = talk(30)
    y[: 20 * SR] *= 0.05
    other = with_noise(y[3 * SR :], 20)  # drowns the quiet part
    found = align(clip_of(y), clip_of(other))
    assert found.offset_s == pytest.approx(3, abs=1e-3)
    assert found.strength > 0.95


def test_a_recording_on_disk_and_its_progress(tmp_path):
    y = np.concatenate([talk(65, sr=8000), talk(65, seed=1, sr=8000)])
    path = tmp_path / "y.f32"
    y.astype(np.float32).tofile(path)
    whole = clip_of(y, 8000)
    mapped = Clip("mapped", np.memmap(path, np.float32, "r"), 8000, whole.digest, whole.source)
    done: list[float] = []
    found = align(mapped, clip_of(y[70 * 8000 : 75 * 8000], 8000), done.append)
    assert found.offset_s == pytest.approx(70, abs=1e-4)
    assert done == sorted(done)
    assert len(done) == 4
    assert done[-1] == 1


@pytest.mark.data
def test_real_speech_and_music(data_dir):
    clips = [sf.read(data_dir / "librosa" / f"{name}.ogg", dtype="float32") for name in ("198-209-0000", "pibble")]
    for y, sr in clips:
        k = round(0.3 * y.size)
        part = with_noise(y[k : k + y.size // 3], 0)
        found = align(clip_of(y, sr), clip_of(part, sr))
        assert found.offset_s == pytest.approx(k / sr, abs=1e-3)
        assert found.strength > 0.5


@pytest.mark.data
def test_real_speech_of_different_sentences(data_dir):
    paths = sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::20]
    clips = [clip_of(*sf.read(path, dtype="float32")) for path in paths]
    strengths = [align(a, b).strength for a, b in pairwise(clips)]
    assert np.median(strengths) < 0.15
    assert np.mean(np.array(strengths) < UNSURE) > 0.9
