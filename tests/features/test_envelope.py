from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from components.audio import channels
from components.audio.decode import decode
from components.features import envelope as module
from components.features.envelope import channel_envelopes, envelope, pooled
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


@pytest.mark.parametrize("n", [10, 11, 12, 4095])
@pytest.mark.parametrize("group", [1, 4, 11, 100])
def test_pooling_takes_the_extreme_of_each_group(n, group):
    rows = np.stack([noise(n), -noise(n)], axis=1)
    parts = [rows[i : i + group] for i in range(0, n, group)]
    assert np.array_equal(pooled(rows, group, np.max), [part.max(axis=0) for part in parts])
    assert np.array_equal(pooled(rows[:, 0], group, np.min), [part[:, 0].min() for part in parts])


VIEWS = [(0, 20), (3.21, 17.77), (5, 5.9), (5, 5.03), (19.9999, 20), (0, 0.0001), (30, 40)]


def write(path: Path, y: np.ndarray, sr: int = SR) -> Path:
    sf.write(str(path), y, sr, "FLOAT", format="WAV")
    return path


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("cells", [1 << 21, 1 << 10])
def test_the_channels_of_a_file_that_can_be_searched_are_exact(view, cells, monkeypatch, tmp_path):
    monkeypatch.setattr(channels, "MAX_CELLS", cells)
    y = np.stack([noise(20 * SR), 0.1 * noise(20 * SR + 1)[1:]], axis=1)
    outlines = channels.channel_outlines(write(tmp_path / "y", y), name="a")
    assert (outlines.step == 1) == (cells > y.size)
    left, right = channel_envelopes(outlines, *view, columns=300)
    assert left.step == right.step
    for made, mono in ((left, y[:, 0]), (right, y[:, 1])):
        alone = envelope(Clip.from_array("one", mono, SR), *view, columns=300)
        if made.step == alone.step:
            assert np.array_equal(made.low, alone.low)
            assert np.array_equal(made.high, alone.high)
            assert made.times == pytest.approx(alone.times)
        else:  # wider than the columns that were kept: a whole number of them
            assert made.step % outlines.step == 0
            assert alone.step > outlines.step
            starts = np.rint(made.times * SR - made.step / 2).astype(int)
            assert np.array_equal(made.high, [mono[s : s + made.step].max() for s in starts])
            assert np.array_equal(made.low, [mono[s : s + made.step].min() for s in starts])
        assert made.times.size <= 301 or made.step == 1


def test_a_file_that_cannot_be_searched_shows_what_was_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(channels, "MAX_CELLS", 1 << 10)
    y = np.stack([noise(20 * SR), 0.5 * noise(20 * SR)], axis=1)
    path = write(tmp_path / "y", y)
    kept = replace(channels.channel_outlines(path, name="a"), can_seek=False)
    for view in VIEWS:
        made, _ = channel_envelopes(kept, *view, columns=300)
        assert made.step == kept.step * max(1, made.step // kept.step)
        starts = np.rint(made.times * SR - made.step / 2).astype(int)
        assert np.array_equal(made.high, [y[s : s + made.step, 0].max() for s in starts])
        assert starts[0] <= min(view[0] * SR, y.shape[0] - 1) < starts[0] + made.step
    gone = channels.channel_outlines(path, name="a")
    path.unlink()
    assert channel_envelopes(gone, 5, 5.03)[0].step == gone.step


def test_the_clock_is_the_clips_even_where_its_rate_is_not(tmp_path):
    y = np.zeros((2 * 96_000, 2), np.float32)
    y[round(1.234 * 96_000), 1] = 1
    path = write(tmp_path / "y", y, 96_000)
    clip = decode(path, name="a").clip
    assert clip.sr == 48_000
    outlines = channels.channel_outlines(path, name="a")
    for view in ((0, 2), (1.2, 1.3), (1.2339, 1.2342)):
        left, right = channel_envelopes(outlines, *view)
        mono = envelope(clip, *view)
        assert not left.high.any()
        wide = right.step / 96_000 + mono.step / 48_000
        assert abs(right.times[right.high.argmax()] - mono.times[mono.high.argmax()]) <= wide
        assert abs(right.times[right.high.argmax()] - 1.234) <= right.step / 96_000


def test_dozens_of_channels_are_not_read_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(channels, "MAX_CELLS", 1 << 10)
    monkeypatch.setattr(module, "MAX_VALUES", 10_000)
    outlines = channels.channel_outlines(write(tmp_path / "y", noise(16 * 20_000).reshape(-1, 16)), name="a")
    monkeypatch.setattr(module, "channel_samples", lambda *_: pytest.fail("reads too much"))
    assert channel_envelopes(outlines, 0, 0.2, columns=1000)[15].step == outlines.step
