import numpy as np
import pytest

from components.errors import ParameterError
from components.features.similarity import MOST, nearest_across, nearest_moments, self_similarity

RNG = np.random.default_rng(0)
HOP = 0.1


def times_of(n: int) -> np.ndarray:
    return HOP * np.arange(n)


def song(n_units: int = 32, common: float = 50.0) -> np.ndarray:
    """100 frames, of which 20 to 29 come again, with a little noise, at 70; all share a large common part."""
    frames = RNG.standard_normal((100, n_units))
    frames[70:80] = frames[20:30]
    return frames + 0.05 * RNG.standard_normal(frames.shape) + common * RNG.standard_normal(n_units)


def test_is_symmetric_with_ones_on_the_diagonal() -> None:
    found = self_similarity(song(), times_of(100))
    assert found.values.shape == (100, 100)
    assert found.values == pytest.approx(found.values.T)
    assert np.diag(found.values) == pytest.approx(1.0)
    assert found.values.min() >= -1 and found.values.max() <= 1
    assert found.row_times == pytest.approx(times_of(100)) == found.column_times


def test_equals_the_correlation_of_rows_without_the_clips_mean() -> None:
    values = song()
    rest = values - values.mean(axis=0)
    expected = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rest[:9]] for a in rest[:7]]
    assert self_similarity(values, times_of(100)).values[:7, :9] == pytest.approx(np.array(expected), abs=1e-6)


def test_what_is_repeated_shows_as_a_diagonal_and_as_the_nearest_moment() -> None:
    values = song()
    alike = self_similarity(values, times_of(100)).values
    repeated = np.array([alike[i, i + 50] for i in range(20, 30)])
    others = alike[np.abs(np.subtract.outer(range(100), range(100))) > 0]
    assert repeated.min() > 0.95
    assert np.median(np.abs(others)) < 0.3
    for index in range(20, 30):
        first, second, *_ = nearest_moments(values, times_of(100), index, apart_s=1.0)
        assert first.time == pytest.approx(HOP * (index + 50))
        assert first.similarity > 0.95
        assert second.similarity < 0.8


def test_a_common_part_does_not_matter() -> None:
    """Raw cosines of such values are all near 1; and a level that changes nothing changes nothing here."""
    values = song(common=50.0)
    raw = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert (raw @ raw.T).min() > 0.9
    moved = self_similarity(3.0 * values + 7.0, times_of(100)).values
    assert moved == pytest.approx(self_similarity(values, times_of(100)).values, abs=1e-5)


def test_nearest_moments_keep_their_distance() -> None:
    """A slow drift: neighbours are the most alike, and must not be the answer."""
    t = times_of(300)
    values = np.stack([np.sin(t), np.cos(t), np.sin(2 * t)], axis=1)
    found = nearest_moments(values, t, 150, count=6, apart_s=2.0)
    assert len(found) == 6
    centres = np.array([15.0, *(moment.time for moment in found)])
    gaps = np.abs(np.subtract.outer(centres, centres))[~np.eye(7, dtype=bool)]
    assert gaps.min() >= 2.0 - 1e-6
    assert [m.similarity for m in found] == sorted((m.similarity for m in found), reverse=True)
    # The drift comes round every 2 pi seconds.
    assert found[0].time == pytest.approx(15.0 + 2 * np.pi, abs=0.06) or found[0].time == pytest.approx(
        15.0 - 2 * np.pi, abs=0.06
    )


def test_many_frames_are_averaged_to_a_matrix_that_can_be_drawn() -> None:
    n = 3 * MOST + 5
    values = np.repeat(RNG.standard_normal((n // 5 + 1, 8)), 5, axis=0)[:n]
    found = self_similarity(values, times_of(n))
    assert found.values.shape == (len(found.row_times), len(found.column_times))
    assert len(found.row_times) <= MOST
    assert found.row_times[0] == pytest.approx(times_of(n)[:4].mean())
    assert np.diag(found.values) == pytest.approx(1.0)


def test_a_view_gives_true_frames_against_the_whole_clip() -> None:
    n = 2 * MOST
    values = RNG.standard_normal((n, 8)) + 9.0
    found = self_similarity(values, times_of(n), view=(20.0, 22.0))
    assert found.column_times[0] <= 20.0 and found.column_times[-1] >= 22.0
    assert np.diff(found.column_times) == pytest.approx(HOP)
    assert len(found.row_times) == MOST
    assert found.row_times[-1] > 79
    for view in ((-5.0, -4.0), (500.0, 600.0)):
        assert self_similarity(values, times_of(n), view=view).values.shape[1] >= 1


def test_moments_that_are_all_the_same_are_all_alike() -> None:
    values = np.full((20, 16), 0.1, np.float32) * np.arange(1, 17, dtype=np.float32)
    assert np.all(self_similarity(values, times_of(20)).values == 1.0)
    assert np.all(self_similarity(np.zeros((20, 16)), times_of(20)).values == 1.0)
    assert [m.similarity for m in nearest_moments(values, times_of(20), 0, 2, 0.5)] == [1.0, 1.0]


def test_across_clips_the_same_sound_is_nearest() -> None:
    own, common = song(), 50.0 * RNG.standard_normal(32)
    clips = {name: (RNG.standard_normal((60, 32)) + common, times_of(60)) for name in ("a", "b", "c")}
    clips["b"][0][33] = own[25] + 0.05 * RNG.standard_normal(32)
    found = nearest_across(own[25], clips, count=5, own=own)
    assert len(found) == 5
    assert (found[0].clip, found[0].time) == ("b", pytest.approx(3.3))
    assert found[0].similarity > 0.95 > found[1].similarity
    of_b = [m.time for m in found if m.clip == "b"]
    assert len(of_b) == 1 or np.diff(sorted(of_b)).min() >= 1.0 - 1e-6
    assert nearest_across(own[25], {}) == ()


def test_what_cannot_be_compared_is_said() -> None:
    for values in (np.zeros((0, 3)), np.zeros(5), np.full((5, 3), np.nan), np.zeros((4, 3))):
        with pytest.raises(ParameterError, match=r"\.$"):
            self_similarity(values, times_of(5))
    with pytest.raises(ParameterError, match="no frame 5 among 5"):
        nearest_moments(np.eye(5), times_of(5), 5)
    assert nearest_moments(np.ones((1, 3)), times_of(1), 0) == ()
