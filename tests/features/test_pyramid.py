"""What was computed beforehand is what would be computed now."""

import os
import stat
import threading
from dataclasses import replace

import numpy as np
import pytest

from components.audio import synth
from components.errors import Cancelled, OtoscopeError
from components.features import pyramid as module
from components.features.envelope import envelope
from components.features.picture import picture
from components.features.pyramid import Building, Pyramid, base_params, build, envelope_from_pyramid
from components.features.pyramid import picture_from_pyramid as pyramid_picture
from components.types import Clip, ClipSource, FrameParams

SR = 8000
SECONDS = 240
PARAMS = FrameParams(n_fft=256, hop_length=64)


@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    y = np.concatenate([synth.chirp(100, 3900, SECONDS / 2, sr=SR), synth.chirp(3900, 100, SECONDS / 2, sr=SR)])
    y = y * np.linspace(0, 1, y.size) + rng.normal(scale=1e-3, size=y.size)
    y[77 * SR + 13] = 3  # one click
    return Clip.from_array("long", y[: SECONDS * SR - 1234], SR)


@pytest.fixture(scope="module")
def made(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Pyramid:
    return build(clip, PARAMS, tmp_path_factory.mktemp("pyramid"))


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
@pytest.mark.parametrize(("first", "count", "wide"), [(0, 230, 8), (400, 100, 4), (37, 61, 13)])
def test_a_picture_is_the_direct_one_where_columns_coincide(clip, made, scale, first, count, wide):
    hop = made.params.hop_length
    t0 = first * made.column_s
    t1 = t0 + count * wide * made.column_s - 1.5 * hop / SR  # the last column's last frame, whatever is rounded
    quick = pyramid_picture(made, t0, t1, scale=scale, columns=count)
    direct = picture(clip, t0, t1, PARAMS, scale=scale, columns=count)
    assert direct.params.hop_length == hop
    assert quick.z.dtype == np.int8
    assert quick.z.shape == direct.z.shape
    assert quick.x0 == pytest.approx(direct.x0)
    assert quick.dx == pytest.approx(direct.dx)
    assert quick.edges == pytest.approx(direct.edges)
    # The same frames, transformed in other batches: only a level on the edge of rounding may differ.
    off = np.abs(quick.z.astype(int) - direct.z)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 0.001 * off.size


def test_a_band_of_frequencies_and_all_of_the_clip(clip, made):
    quick = pyramid_picture(made, 0, clip.duration, fmin=500, fmax=1500, columns=300)
    assert quick.edges[[0, -1]].tolist() == [500, 1500]
    assert quick.x0 + (quick.z.shape[1] - 0.5) * quick.dx >= clip.duration - made.column_s
    assert quick.z.shape[1] <= 300
    for second in (20, 30, 40):  # the chirp rises by 3800 Hz in 120 s
        column = round((second - quick.x0) / quick.dx)
        loudest = quick.edges[quick.z[:, column].argmax()]
        slack = SR / PARAMS.n_fft + quick.dx * 3800 / 120
        assert abs(loudest - (100 + 3800 * second / 120)) <= slack


def test_nothing_that_is_loud_for_one_frame_gets_lost(clip, made):
    quick = pyramid_picture(made, 0, clip.duration, columns=400)
    outline = envelope_from_pyramid(made, 0, clip.duration, columns=400)
    at = 77 + 13 / SR
    top = quick.z[-1].astype(int)  # the chirp is low then, the click is everywhere
    around = slice(round((at - 20) / quick.dx), round((at + 20) / quick.dx))
    loudest = quick.x0 + (around.start + top[around].argmax()) * quick.dx
    assert abs(loudest - at) <= quick.dx / 2 + PARAMS.n_fft / SR
    assert outline.high.max() == 3
    assert abs(outline.times[outline.high.argmax()] - at) <= outline.step / SR / 2


@pytest.mark.parametrize(("first", "count", "step"), [(0, 500, 2560), (5, 300, 1024), (2, 77, 4096)])
def test_an_outline_is_the_direct_one_where_columns_coincide(clip, made, first, count, step):
    start, stop = first * step, (first + count) * step
    view = (start / SR, (stop - 1.5) / SR, count)  # up to the last sample of the last column
    quick, direct = envelope_from_pyramid(made, *view), envelope(clip, *view)
    assert quick.step == direct.step == step
    assert np.array_equal(quick.low, direct.low)
    assert np.array_equal(quick.high, direct.high)
    assert quick.times == pytest.approx(direct.times)


@pytest.mark.parametrize(("t0", "t1", "columns"), [(0, SECONDS, 500), (0, SECONDS, 77), (50.3, 200.1, 200)])
def test_an_outline_is_the_extremes_of_its_samples(clip, made, t0, t1, columns):
    outline = envelope_from_pyramid(made, t0, t1, columns)
    starts = np.rint(outline.times * SR - outline.step / 2).astype(int)
    parts = [clip.y[start : start + outline.step] for start in starts[:-1]]
    assert np.array_equal(outline.low[:-1], [part.min() for part in parts])
    assert np.array_equal(outline.high[:-1], [part.max() for part in parts])
    assert outline.high[-1] in clip.y[starts[-1] : starts[-1] + outline.step]
    assert starts[0] <= t0 * SR
    assert starts[-1] + outline.step >= min(clip.y.size, t1 * SR)
    assert columns / 2 <= outline.times.size <= columns + 1


def test_short_views_and_empty_bands_are_left_to_the_direct_way(clip, made):
    assert pyramid_picture(made, 10, 20) is None
    assert pyramid_picture(made, 0, clip.duration, columns=1000) is None
    assert pyramid_picture(made, 0, clip.duration, columns=100, fmin=5000) is None
    assert pyramid_picture(made, 0, clip.duration, columns=100, scale="constant-q") is None
    assert pyramid_picture(made, clip.duration + 1, clip.duration + 100, columns=100) is None
    assert envelope_from_pyramid(made, 10, 20) is None
    assert envelope_from_pyramid(made, clip.duration + 1, clip.duration + 100) is None


def test_settings_that_do_not_matter_share_a_pyramid():
    assert base_params(PARAMS) == base_params(replace(PARAMS, n_mels=40, hop_length=32, fmax=3000))
    assert base_params(PARAMS) != base_params(replace(PARAMS, win_length=200))
    assert base_params(PARAMS).hop_length == 128
    assert base_params(replace(PARAMS, hop_length=500)).hop_length == 500


@pytest.mark.parametrize("params", [replace(PARAMS, win_length=64, hop_length=16), replace(PARAMS, hop_length=300)])
def test_no_sample_is_passed_over_that_the_direct_picture_hears(clip, params, tmp_path):
    made = build(clip, params, tmp_path)
    hop = made.params.hop_length
    t1 = 100 * 10 * made.column_s - 1.5 * hop / SR
    quick = pyramid_picture(made, 0, t1, columns=100)
    direct = picture(clip, 0, t1, params, columns=100)
    assert quick.params == direct.params
    assert quick.dx == pytest.approx(direct.dx)
    assert np.abs(quick.z.astype(int) - direct.z).max() <= 1


@pytest.mark.parametrize("n", [1, 100, 255, 1025])
def test_clips_shorter_than_a_column(n, tmp_path):
    made = build(Clip.from_array("short", np.ones(n), SR), PARAMS, tmp_path)
    assert made.n_columns >= 1
    assert made.levels.stat().st_size == made.n_columns * 129
    assert made.outline.stat().st_size == 8 * -(-n // 256)


def test_memory_maps_give_the_same_files(clip, made, tmp_path):
    clip.y.tofile(tmp_path / "y")
    source = ClipSource("WAV", 1, SR, clip.duration)
    mapped = Clip("m", np.memmap(tmp_path / "y", np.float32, "r"), SR, "d", source)
    again = build(mapped, replace(PARAMS, n_mels=10, n_mfcc=5), tmp_path)
    assert again.params == made.params
    assert again.levels.read_bytes() == made.levels.read_bytes()
    assert again.outline.read_bytes() == made.outline.read_bytes()


def test_files_are_private_and_go_with_the_pyramid(clip, tmp_path):
    made = build(clip, PARAMS, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([made.levels, made.outline])
    if os.name != "nt":
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())
    del made
    assert not list(tmp_path.iterdir())


def test_a_full_disk_gets_a_sentence_and_leaves_no_file(clip, tmp_path, monkeypatch):
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_outlined", full)
    with pytest.raises(OtoscopeError, match=r"The overview of long needs more room than the disk has left: .*\.$"):
        build(clip, PARAMS, tmp_path)
    assert not list(tmp_path.iterdir())
    building = Building(clip, PARAMS, tmp_path)
    assert building.wait() is None
    assert building.failure.startswith("The overview of long needs more room")
    assert not building.running


def test_progress_rises_to_one_and_what_it_raises_stops_the_work(clip, tmp_path):
    shares: list[float] = []
    build(clip, PARAMS, tmp_path, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 5

    def stop(share: float) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        build(clip, PARAMS, tmp_path, stop)
    assert not list(tmp_path.iterdir())


def test_building_in_the_background(clip, made, tmp_path):
    building = Building(clip, PARAMS, tmp_path)
    result = building.in_time_for(clip.duration)  # waits: a picture of all of the clip would take as long
    assert result is not None
    assert building.share == 1
    assert not building.running
    assert not building.failure
    assert building.pyramid is building.wait() is building.in_time_for(0.1) is result
    assert result.levels.read_bytes() == made.levels.read_bytes()


@pytest.mark.parametrize("how", ["cancelled", "dropped"])
def test_a_building_that_nobody_wants_stops(clip, tmp_path, monkeypatch, how):
    begun, go_on = threading.Event(), threading.Event()
    outlined = module._outlined

    def slow(*arguments):
        for block in outlined(*arguments):
            begun.set()
            assert go_on.wait(20)
            yield block

    monkeypatch.setattr(module, "_outlined", slow)
    building = Building(clip, PARAMS, tmp_path)
    thread, progress = building._thread, building._progress
    assert begun.wait(20)
    assert building.running
    assert building.in_time_for(clip.duration / 4) is None  # does not wait
    if how == "dropped":
        del building
    else:
        threading.Timer(0.05, go_on.set).start()
        building.cancel()
        assert not building.running
    go_on.set()
    thread.join(20)
    assert not thread.is_alive()
    assert progress.share < 0.5
    assert progress.pyramid is None
    assert not progress.failure
    assert not list(tmp_path.iterdir())
