from pathlib import Path

import numpy as np
import pytest

from components.features.envelope import envelope
from components.types import Clip, ClipSource

SR = 8000


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, n).astype(np.float32)


@pytest.mark.parametrize("n", [2000, 2001, 12_345, 3_000_017])
def test_columns_are_the_extremes_of_their_samples(n):
    y = noise(n)
    e = envelope(Clip.from_array("n", y, SR), 0, n / SR, columns=997)
    assert e.times.size == e.low.size == e.high.size <= 998
    parts = [y[i : i + e.step] for i in range(0, n, e.step)]
    assert np.array_equal(e.low, [p.min() for p in parts])
    assert np.array_equal(e.high, [p.max() for p in parts])


def test_few_samples_are_shown_as_they_are():
    clip = Clip.from_array("n", noise(8000), SR)
    e = envelope(clip, 0.5, 0.6)
    assert e.step == 1
    assert np.array_equal(e.high, clip.y[4000:4801])
    assert e.times[0] == 0.5
    assert e.times[-1] == pytest.approx(0.6)


def test_a_click_is_in_the_column_that_covers_it():
    y = np.zeros(80_000, np.float32)
    y[33_333] = 1
    e = envelope(Clip.from_array("click", y, SR), 2, 8, columns=300)
    assert abs(e.times[e.high.argmax()] - 33_333 / SR) <= e.step / SR / 2
    assert np.count_nonzero(e.high) == 1


def test_memory_map_and_array_agree(tmp_path: Path):
    y = noise(100_000)
    y.tofile(tmp_path / "y")
    mapped = Clip("m", np.memmap(tmp_path / "y", np.float32, "r"), SR, "d", ClipSource("WAV", 1, SR, 12.5))
    a, b = envelope(mapped, 1, 9), envelope(Clip.from_array("n", y, SR), 1, 9)
    assert np.array_equal(a.low, b.low)
    assert np.array_equal(a.high, b.high)


@pytest.mark.parametrize("t", [(0, 0.0001), (99, 100), (-1, 0)])
def test_a_range_outside_the_clip_gives_a_sample(t):
    assert envelope(Clip.from_array("n", noise(10), SR), *t).times.size >= 1
