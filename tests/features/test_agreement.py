"""Agreement of listeners, on labels whose answer is known."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from components.errors import ParameterError
from components.features import agreement


def codes(*rows: str) -> np.ndarray:
    return agreement.encode(rows)[1]


def test_the_grid_covers_the_clip_in_fine_steps_that_grow_with_it():
    times, step = agreement.grid(2.005)
    assert step == 0.01
    assert times[0] == pytest.approx(0.005)
    assert times[-1] == pytest.approx(2.005, abs=step)
    assert agreement.grid(0.001)[0].size == 1
    assert agreement.grid(3600.0)[0].size == agreement.MANY_STEPS
    assert agreement.grid(36000.0)[1] == 0.1


def test_names_keep_their_numbers_in_all_rows():
    names, numbers = agreement.encode([["a", "b", "b"], ["c", "b", "a"]])
    assert [[names[k] for k in row] for row in numbers] == [["a", "b", "b"], ["c", "b", "a"]]
    with pytest.raises(ParameterError):
        agreement.encode([["a"], ["a", "b"]])


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 2000)
    b = np.where(rng.random(2000) < 0.6, a, rng.integers(0, 5, 2000))
    (pair,) = agreement.pairs(np.stack([a, b]).astype(np.int32))
    assert pair.kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    assert pair.share == pytest.approx((a == b).mean())


def test_kappa_of_perfection_chance_and_of_one_label_alone():
    assert agreement.cohens_kappa([[50, 0], [0, 50]]) == 1
    assert agreement.cohens_kappa([[25, 25], [25, 25]]) == 0
    assert agreement.cohens_kappa([[0, 50], [50, 0]]) == -1
    assert np.isnan(agreement.cohens_kappa([[100, 0], [0, 0]]))


def test_every_pair_is_compared_once():
    found = agreement.pairs(codes("aab", "aab", "bba"))
    assert [(p.first, p.second, p.share) for p in found] == [(0, 1, 1.0), (0, 2, 0.0), (1, 2, 0.0)]


def test_how_many_are_of_one_mind():
    assert agreement.of_one_mind(codes("aaaa", "aabb", "abbc", "abcc")).tolist() == [4, 2, 2, 2]
    assert agreement.of_one_mind(codes("ab", "ac")).tolist() == [2, 1]


def test_disagreements_come_longest_first_with_what_each_said():
    names, numbers = agreement.encode(["aaaaaabbbb", "abaaaacccb"])
    found = agreement.disagreements(numbers, names, 0.1)
    assert [(s.start, s.end, s.labels) for s in found] == [
        (pytest.approx(0.6), pytest.approx(0.9), ("b", "c")),
        (pytest.approx(0.1), pytest.approx(0.2), ("a", "b")),
    ]
    assert len(agreement.disagreements(numbers, names, 0.1, most=1)) == 1
    assert agreement.disagreements(codes("aa", "aa"), ("a",), 0.1) == ()


def test_a_stretch_of_changing_labels_tells_the_combination_that_lasts():
    names, numbers = agreement.encode(["aabbbb", "bbcccc"])
    (stretch,) = agreement.disagreements(numbers, names, 1.0)
    assert (stretch.start, stretch.end, stretch.labels) == (0, 6, ("b", "c"))


def test_runs_are_the_row_again():
    row = codes("aabbbacc")[0]
    starts, stops, labels = agreement.runs(row, 0.5, 0.6, 3.4)
    assert np.array_equal(np.repeat(labels, ((stops - starts) / 0.5).astype(int)), row[1:7])
    assert (starts[0], stops[-1]) == (0.5, 3.5)
    assert agreement.runs(row, 0.5, 90, 99)[0].size == 1


def test_runs_of_many_moments_are_few_and_keep_the_shares():
    rng = np.random.default_rng(0)
    row = np.repeat(rng.integers(0, 3, 50), 2000).astype(np.int32)
    starts, stops, labels = agreement.runs(row, 0.5, 0, 50_000, most=400)
    drawn = np.repeat(labels, ((stops - starts) / 0.5).astype(int))
    assert drawn.size == row.size
    assert len(labels) <= 400
    assert (drawn == row).mean() > 0.97


def test_labels_together_sum_to_the_moments():
    a, b = codes("aabb", "abbb")
    assert agreement.together(a, b, 2).tolist() == [[1, 1], [0, 2]]
