from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.errors import Cancelled
from components.models import frames
from components.training.recipes.digits import FRONT
from components.types import Clip


def noise(seconds: float, sr: int = 8000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(max(1, int(seconds * sr))).astype(np.float32) * 0.1


def log_mel(y: np.ndarray, sr: int = 8000) -> np.ndarray:
    return np.concatenate(list(frames.log_mel_blocks(FRONT, Clip.from_array("x", y, sr)))[1:])


def test_frames_do_not_depend_on_the_recording_level() -> None:
    y = noise(2)
    np.testing.assert_allclose(log_mel(y), log_mel(y * 0.02), atol=1e-3)


def test_frames_do_not_depend_on_an_offset() -> None:
    y = noise(2)
    difference = np.abs(log_mel(y) - log_mel(y + 0.3))
    # The signal's two ends are steps of 0.3; away from them the offset is outside the filters.
    assert difference[2:-2].max() < 0.05


def test_long_pauses_do_not_move_the_level() -> None:
    y = noise(1)
    padded = np.concatenate([y, np.zeros(8000 * 20, np.float32)])
    np.testing.assert_allclose(log_mel(padded)[:60], log_mel(y)[:60], atol=0.1)


def test_level_of_active_frames_is_one() -> None:
    mel = np.random.default_rng(0).gamma(2.0, 1e-3, (500, 32)).astype(np.float32)
    level = frames.measure_level(FRONT, [mel[:100], mel[100:]])
    assert (mel * level.gain).mean() == pytest.approx(1.0, rel=1e-3)
    expected = np.maximum(np.log(mel * level.gain).mean(axis=0), np.log(FRONT.floor))
    np.testing.assert_allclose(level.tilt, expected, rtol=1e-3, atol=1e-3)


def test_silence_has_a_level() -> None:
    level = frames.measure_level(FRONT, [np.zeros((10, 32), np.float32)])
    assert np.isfinite(level.gain)
    assert np.isfinite(log_mel(np.zeros(4000, np.float32))).all()


@pytest.mark.parametrize("sr", [4000, 8000, 44100, 192000])
@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.3])
def test_frames_at_any_rate(sr: int, seconds: float) -> None:
    y = noise(seconds, sr)
    x = log_mel(y, sr)
    assert np.isfinite(x).all()
    assert abs(len(x) - (1 + y.size / sr / FRONT.hop_s)) <= 1


@pytest.mark.parametrize("left, right, size", [(0, 0, 7), (3, 5, 16), (20, 1, 64)])
def test_windows_are_the_whole_cut(left: int, right: int, size: int) -> None:
    x = np.random.default_rng(1).standard_normal((100, 4)).astype(np.float32)
    silence = np.full((1, 4), -9, np.float32)
    padded = np.concatenate([np.repeat(silence, left, 0), x, np.repeat(silence, right, 0)])
    done = 0
    for window, k in frames.windows(iter([silence, x[:33], x[33:34], x[34:]]), left, right, size):
        np.testing.assert_array_equal(window, padded[done : done + left + k + right])
        done += k
    assert done == 100


def test_progress_is_monotonic_and_ends_with_one() -> None:
    told: list[float] = []
    list(frames.log_mel_blocks(FRONT, Clip.from_array("x", noise(40, 16000), 16000), told.append))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert told.count(1.0) == 1
    assert len(told) > 8


def test_progress_may_cancel() -> None:
    def stop(share: float) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        list(frames.log_mel_blocks(FRONT, Clip.from_array("x", noise(1), 8000), stop))


def test_mfcc_is_librosas_dct() -> None:
    import librosa

    x = np.random.default_rng(2).standard_normal((9, 32)).astype(np.float32)
    expected = librosa.feature.mfcc(S=x.T, n_mfcc=13).T
    np.testing.assert_allclose(frames.mfcc(FRONT, x), expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mean_spectrum_goes_as_far_as_the_front_end_says(share: float) -> None:
    """With all of the tilt taken off, a filter that is the same all along changes nothing; with none it stays."""
    front = replace(FRONT, tilt_share=share)
    mel = np.random.default_rng(3).gamma(2.0, 1.0, (400, 32)).astype(np.float32)
    tilted = mel * np.linspace(0.5, 2.0, 32, dtype=np.float32)
    a, b = (frames.levelled(front, m, frames.measure_level(front, [m])) for m in (mel, tilted))
    slope = float(np.polyfit(np.arange(32), (b - a).mean(axis=0), 1)[0])
    assert slope == pytest.approx((1 - share) * np.log(4) / 31, abs=0.01)


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    frames.write_settings(tmp_path, FRONT, {"offsets": (-2, 0, 3)})
    assert frames.read_settings(tmp_path) == (FRONT, {"offsets": [-2, 0, 3]})
