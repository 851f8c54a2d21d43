import csv
import io

import numpy as np
import pytest

from components.exports import tables
from components.types import Prediction, Segment


def prediction(scores: np.ndarray, hop_s: float = 0.1, labels: tuple[str, ...] | None = None) -> Prediction:
    times = (np.arange(len(scores)) + 0.5) * hop_s
    names = labels or tuple(f"class {k}" for k in range(scores.shape[1]))
    return Prediction("model", names, scores.astype(np.float32), "none", times, 2 * hop_s, hop_s)


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def written(made: Prediction, **options: object) -> list[dict[str, str]]:
    duration_s = options.pop("duration_s", made.times.size * made.hop_s)
    lines = tables.prediction_lines(made, file="a.wav", duration_s=duration_s, **options)
    return read(tables.table(tables.PREDICTION_COLUMNS, lines))


def test_columns_are_the_agreed_ones() -> None:
    assert tables.PREDICTION_COLUMNS == ("file", "model", "start_s", "end_s", "label", "score")
    assert tables.CLIP_COLUMNS == ("file", "model", "duration_s", "label", "score", "error")
    assert tables.EVENT_COLUMNS == ("start_s", "end_s", "label", "score")


def test_every_frame_and_label_has_its_line_and_comes_back() -> None:
    scores = np.random.default_rng(0).random((9001, 3))
    rows = written(prediction(scores))
    assert len(rows) == 9001 * 3
    assert [row["label"] for row in rows[:3]] == ["class 0", "class 1", "class 2"]
    assert {(row["file"], row["model"]) for row in rows} == {("a.wav", "model")}
    back = np.array([float(row["score"]) for row in rows]).reshape(9001, 3)
    assert back == pytest.approx(scores, abs=1e-5)
    starts = np.array([float(row["start_s"]) for row in rows[::3]])
    ends = np.array([float(row["end_s"]) for row in rows[::3]])
    assert starts == pytest.approx(np.arange(9001) * 0.1, abs=1e-6)
    assert np.array_equal(starts[1:], ends[:-1])


def test_frames_are_clamped_to_the_clip() -> None:
    made = Prediction("m", ("x",), np.zeros((3, 1), np.float32), "none", np.array([0.0, 0.1, 0.2]), 0.2, 0.1)
    rows = written(made, duration_s=0.21)
    assert [(row["start_s"], row["end_s"]) for row in rows] == [
        ("0.000000", "0.050000"),
        ("0.050000", "0.150000"),
        ("0.150000", "0.210000"),
    ]


def test_of_many_labels_the_ten_best_of_each_frame() -> None:
    scores = np.random.default_rng(0).random((5, 51))
    rows = written(prediction(scores))
    assert len(rows) == 50
    for t in range(5):
        frame = rows[10 * t : 10 * t + 10]
        best = np.argsort(-scores[t].astype(np.float32), kind="stable")[:10]
        assert [row["label"] for row in frame] == [f"class {k}" for k in best]
    assert len(written(prediction(scores), all_labels=True)) == 5 * 51
    assert len(written(prediction(scores[:, :50]))) == 5 * 50


@pytest.mark.parametrize("name", ["=1+2.wav", "+a.wav", "-a.wav", "@a.wav", "\ta.wav", "\ra.wav", "\na.wav"])
def test_no_cell_is_taken_for_a_formula(name: str) -> None:
    made = prediction(np.ones((1, 1)), labels=(name,))
    (row,) = read(tables.table(tables.PREDICTION_COLUMNS, tables.prediction_lines(made, file=name, duration_s=1.0)))
    assert row["file"] == row["label"] == f"'{name}"
    (row,) = read(tables.table(tables.CLIP_COLUMNS, [tables.clip_line(file=name, model="m", error=name)]))
    assert row["file"] == row["error"] == f"'{name}"
    (row,) = read(
        tables.table(tables.FILE_EVENT_COLUMNS, tables.event_lines([Segment(0, 1, name, 0.5)], file=name, model="m"))
    )
    assert row["file"] == row["label"] == f"'{name}"


@pytest.mark.parametrize("name", ['a, "b".wav', "ä ö\nü.wav", "Gespräch.wav", "a-b=c.wav", "'.wav"])
def test_names_come_back_as_they_were(name: str) -> None:
    made = prediction(np.ones((1, 1)))
    (row,) = read(tables.table(tables.PREDICTION_COLUMNS, tables.prediction_lines(made, file=name, duration_s=1.0)))
    assert row["file"] == name


def test_a_negative_score_stays_a_number() -> None:
    (row,) = written(prediction(np.full((1, 1), -2.5)))
    assert row["score"] == "-2.5"


def test_a_clip_and_a_failure() -> None:
    lines = [
        tables.clip_line(file="a", model="m", duration_s=3600.0005, label="one", score=0.25),
        tables.clip_line(file="b", model="m", error="b is empty: record it again."),
    ]
    first, second = read(tables.table(tables.CLIP_COLUMNS, lines))
    assert first == {
        "file": "a", "model": "m", "duration_s": "3600.000500", "label": "one", "score": "0.25", "error": "",
    }  # fmt: skip
    assert second == {
        "file": "b", "model": "m", "duration_s": "", "label": "", "score": "",
        "error": "b is empty: record it again.",
    }  # fmt: skip


def test_events_with_and_without_their_file() -> None:
    events = [Segment(0.5, 3601.25, "speech", 0.9)]
    (row,) = read(tables.table(tables.EVENT_COLUMNS, tables.event_lines(events)))
    assert row == {"start_s": "0.500000", "end_s": "3601.250000", "label": "speech", "score": "0.9"}
    (row,) = read(tables.table(tables.FILE_EVENT_COLUMNS, tables.event_lines(events, file="a", model="m")))
    assert (row["file"], row["model"], row["end_s"]) == ("a", "m", "3601.250000")
