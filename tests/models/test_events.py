"""Labels and events from scores, on scores made by hand."""

import numpy as np
import pytest

from components.models.events import clip_label, clip_scores, find_events, labels_at
from components.types import Prediction


def prediction(scores, labels=("a", "b", "none"), activation="softmax", hop=0.1):
    scores = np.asarray(scores, np.float32)
    return Prediction("m", labels, scores, activation, np.arange(len(scores)) * hop, 0.2, hop)


PAUSES = prediction([[0, 0, 1], [0.9, 0, 0.1], [0.6, 0.3, 0.1], [0, 0, 1], [0.1, 0.8, 0.1], [0, 0, 1]])


def test_pauses_do_not_dilute_the_label():
    label, score = clip_label(PAUSES)
    assert label == "a"
    weighted = (0.9 * 0.9 + 0.6 * 0.9 + 0.1 * 0.9) / 2.7
    assert score == pytest.approx(weighted, abs=1e-6)
    longer = prediction(np.vstack([PAUSES.scores, np.tile([0, 0, 1], (50, 1))]))
    assert clip_label(longer) == (label, pytest.approx(score, abs=1e-6))


def test_none_is_never_the_label_and_never_an_event():
    silence = prediction([[0, 0, 1]] * 4)
    assert clip_label(silence)[0] != "none"
    assert find_events(silence, 0.5) == ()
    np.testing.assert_allclose(clip_scores(silence), [0, 0, 1])


def test_softmax_events_are_runs_of_the_best_class():
    events = find_events(PAUSES, 0.5)
    assert [(e.label, round(e.start, 3), round(e.end, 3)) for e in events] == [
        ("a", 0.05, 0.25),
        ("b", 0.35, 0.45),
    ]
    assert events[0].score == pytest.approx(0.75)
    assert [e.label for e in find_events(PAUSES, 0.85)] == ["a"]
    assert find_events(PAUSES, 0.5, min_duration_s=0.15) == events[:1]


def test_sigmoid_events_overlap_and_touch_the_ends():
    both = prediction([[0.9, 0.9], [0.9, 0.1]], labels=("a", "b"), activation="sigmoid")
    assert [(e.label, e.start, round(e.end, 3)) for e in find_events(both, 0.5)] == [
        ("a", 0.0, 0.15),
        ("b", 0.0, 0.05),
    ]


def test_no_frames_no_events():
    empty = prediction(np.zeros((0, 3)))
    assert find_events(empty, 0.5) == ()
    assert clip_label(empty)[1] == 0


def test_labels_at_other_times_are_those_of_the_nearest_frame():
    assert labels_at(PAUSES, np.array([-1, 0.04, 0.06, 0.14, 0.39, 9])) == ["none", "none", "a", "a", "b", "none"]
    single = prediction([[0.9], [0.2]], labels=("speech",), activation="sigmoid")
    assert labels_at(single, np.array([0.0, 0.1])) == ["speech", "none"]
