import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from components import analyse
from components.analyse import Summary, analyse_clip, analyse_files, clip_provenance, find_recordings
from components.audio.decode import decode
from components.errors import ModelError, ParameterError
from components.models import registry
from components.types import OWN_WORDS, Clip, ModelCard, Prediction, Segment

MODEL = "silero-vad"


def buzz(path: Path, duration_s: float = 0.5, sr: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(duration_s * sr)) / sr
    sf.write(path, 0.3 * np.sign(np.sin(2 * np.pi * 150 * t)), sr)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(paths: list[Path], out: Path, **options: object) -> Summary:
    return analyse_files(paths, MODEL, out, show_progress=False, **options)


def listens_with(
    monkeypatch: pytest.MonkeyPatch, predict: Callable[..., Prediction], card: ModelCard | None = None, **more: object
) -> None:
    """Let `predict` stand in for the model that is loaded."""
    model = SimpleNamespace(card=card or registry.card(MODEL), predict=predict, **more)
    monkeypatch.setattr(registry, "load", lambda model_id: model)


def test_folders_are_walked_in_order_and_only_for_sound(tmp_path: Path) -> None:
    for name in ("b.wav", "a/x.WAV", "a/y.mp3", "notes.txt", ".hidden.wav", ".git/z.wav", "a/._x.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [found.file for found in find_recordings([tmp_path])] == ["b.wav", "a/x.WAV", "a/y.mp3"]
    named = [tmp_path / "notes.txt", tmp_path / "b.wav", tmp_path]
    assert [found.file for found in find_recordings(named)] == ["notes.txt", "b.wav", "a/x.WAV", "a/y.mp3"]


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    for name in ("p/rec/x.wav", "q/rec/x.wav", "q/rec/y.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["p/rec/x.wav", "q/rec/x.wav", "y.wav"]
    assert [f.file for f in find_recordings([tmp_path / "p" / "rec", tmp_path / "q" / "rec"])] == expected
    files = [tmp_path / name for name in ("p/rec/x.wav", "q/rec/x.wav", "q/rec/y.wav")]
    assert [f.file for f in find_recordings(files)] == expected
    assert len(find_recordings([*files, *files])) == 3


def test_a_folder_without_sound_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"No sound or video .*\.$"):
        run([tmp_path], tmp_path / "out")


def test_a_folder_that_cannot_be_opened_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passing it over would lose recordings without a word."""

    def refused(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(ParameterError, match=r"The folder .* cannot be opened.*\.$"):
        run([tmp_path], tmp_path / "out")


def test_the_tables_hold_the_numbers_of_the_model(tmp_path: Path) -> None:
    path = buzz(tmp_path / "in" / "a.wav", 1.0)
    summary = run([path.parent], tmp_path / "out")
    assert summary == Summary(files=1, failed=0, complete=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(analyse.OUTPUTS)

    clip = decode(path, name="a.wav").clip
    prediction = registry.load(MODEL).predict(clip)
    assert np.array_equal(analyse_clip(clip, MODEL).scores, prediction.scores)
    frames = rows(tmp_path / "out" / "predictions.csv")
    assert list(frames[0]) == ["file", "model", "start_s", "end_s", "label", "score"]
    assert [float(row["score"]) for row in frames] == pytest.approx(prediction.scores[:, 0].tolist(), rel=1e-5)
    (row,) = rows(tmp_path / "out" / "clips.csv")
    assert list(row) == ["file", "model", "duration_s", "label", "score", "error"]
    assert (row["file"], row["model"], row["label"], row["error"]) == ("a.wav", MODEL, "speech", "")
    assert float(row["duration_s"]) == 1.0
    assert float(row["score"]) == pytest.approx(prediction.scores.mean(), rel=1e-3)


def test_events_follow_the_threshold(tmp_path: Path) -> None:
    path = buzz(tmp_path / "a.wav", 1.0)
    run([path], tmp_path / "low", threshold=0.0)
    run([path], tmp_path / "high", threshold=1.1)
    (event,) = rows(tmp_path / "low" / "events.csv")
    assert (event["file"], event["model"], event["start_s"], event["label"]) == (
        "a.wav",
        MODEL,
        "0.000000",
        "speech",
    )
    assert rows(tmp_path / "high" / "events.csv") == []
    record = json.loads((tmp_path / "high" / "provenance.json").read_text("utf-8"))
    assert record["parameters"] == {"all_labels": False, "threshold": 1.1, "shortest_event_s": 0.05}


def test_a_bad_file_costs_only_its_own_line(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    buzz(folder / "a.wav")
    (folder / "b.wav").write_bytes(b"this is not sound")
    buzz(folder / "c.wav")
    gone = tmp_path / "gone.wav"
    assert run([folder, gone], tmp_path / "out") == Summary(files=4, failed=2, complete=True)
    clips = {row["file"]: row for row in rows(tmp_path / "out" / "clips.csv")}
    assert list(clips) == ["a.wav", "b.wav", "c.wav", "gone.wav"]
    for name in ("b.wav", "gone.wav"):
        assert clips[name]["error"].startswith(name) and clips[name]["error"].endswith(".")
        assert clips[name]["label"] == clips[name]["score"] == clips[name]["duration_s"] == ""
    assert {row["file"] for row in rows(tmp_path / "out" / "predictions.csv")} == {"a.wav", "c.wav"}
    record = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    assert [file["error"] is None for file in record["files"]] == [True, False, True, False]
    assert len(record["files"][0]["sha256"]) == len(record["files"][0]["clip_digest"]) == 64
    assert str(tmp_path) not in json.dumps(record)


def test_a_fault_of_our_own_costs_only_its_own_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(clip: object, on_progress: object) -> Prediction:
        raise RuntimeError("traceback material")

    listens_with(monkeypatch, broken)
    assert run([buzz(tmp_path / "a.wav")], tmp_path / "out").failed == 1
    (row,) = rows(tmp_path / "out" / "clips.csv")
    assert "fault in Otoscope (RuntimeError)" in row["error"]
    assert "traceback material" not in row["error"]


def test_after_an_interruption_the_finished_recordings_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = registry.load(MODEL).predict

    def interrupted(clip: Clip, on_progress: object) -> Prediction:
        if clip.name == "b.wav":
            raise KeyboardInterrupt
        return whole(clip)

    listens_with(monkeypatch, interrupted)
    paths = [buzz(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    assert run(paths, tmp_path / "out") == Summary(files=3, failed=0, complete=False)
    assert [row["file"] for row in rows(tmp_path / "out" / "clips.csv")] == ["a.wav"]
    assert json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))["complete"] is False


def test_half_written_lines_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(prediction: object, threshold: float, shortest: float) -> None:
        raise KeyboardInterrupt  # after predictions.csv got its lines, before clips.csv did

    monkeypatch.setattr(analyse, "find_events", stopped)
    assert not run([buzz(tmp_path / "a.wav")], tmp_path / "out").complete
    assert rows(tmp_path / "out" / "predictions.csv") == rows(tmp_path / "out" / "clips.csv") == []


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run([buzz(tmp_path / "a.wav")], out)
    (out / "mine.txt").write_text("kept")
    run([buzz(tmp_path / "b.wav")], out)
    assert [row["file"] for row in rows(out / "clips.csv")] == ["b.wav"]
    assert sorted(p.name for p in out.iterdir()) == sorted((*analyse.OUTPUTS, "mine.txt"))


def test_nothing_is_left_or_replaced_when_the_work_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    path = buzz(tmp_path / "a.wav")
    run([path], out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def full(text: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(analyse, "provenance", full)
    monkeypatch.setattr(analyse, "app_version", lambda: full(""))
    with pytest.raises(ParameterError, match=r"could not be written into the folder out \(No space left"):
        run([path], out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_an_out_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ParameterError, match="could not be written"):
        run([buzz(tmp_path / "a.wav")], tmp_path / "out")


def test_an_unknown_model_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        analyse_files([buzz(tmp_path / "a.wav")], "nothing", tmp_path / "out", show_progress=False)
    assert not (tmp_path / "out").exists()


def test_a_page_and_the_command_line_write_down_the_same(tmp_path: Path) -> None:
    path = buzz(tmp_path / "a.wav")
    run([path], tmp_path / "out")
    of_files = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    of_page = clip_provenance(decode(path, name="a.wav"), MODEL, of_files["parameters"])
    assert len(of_files["files"][0].pop("sha256")) == 64
    assert of_page["files"][0].pop("sha256") is None
    changing = ("started_utc", "finished_utc")
    assert {k: v for k, v in of_page.items() if k not in changing} == {
        k: v for k, v in of_files.items() if k not in changing
    }
    assert of_page["model"]["weights_sha256"] == registry.weights_digest(MODEL)
    assert of_page["files"][0]["resampling"] == ["8000 Hz -> 16000 Hz (soxr HQ)"]


def test_what_was_said_is_a_table_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (Segment(0.1, 0.3, "good", 0.9), Segment(0.3, 0.5, "=morning", 0.5))
    timed = Prediction(MODEL, ("word",), np.ones((1, 1)), "sigmoid", np.zeros(1), 1, 1, words, "good =morning")
    listens_with(monkeypatch, lambda clip, on_progress: timed)
    run([buzz(tmp_path / "a.wav")], tmp_path / "out")
    said = rows(tmp_path / "out" / "transcripts.csv")
    assert [(row["file"], row["start_s"], row["text"], row["score"]) for row in said] == [
        ("a.wav", "0.100000", "good", "0.9"),
        ("a.wav", "0.300000", "'=morning", "0.5"),
    ]
    listens_with(monkeypatch, lambda clip, on_progress: replace(timed, segments=()))
    run([buzz(tmp_path / "a.wav")], tmp_path / "out")
    (row,) = rows(tmp_path / "out" / "transcripts.csv")
    assert (row["start_s"], row["end_s"], row["text"], row["score"]) == ("0.000000", "0.500000", "good =morning", "")


def test_a_model_without_labels_leaves_the_label_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = Prediction(MODEL, (), np.zeros((3, 0)), "none", np.arange(3), 1, 1)
    listens_with(monkeypatch, lambda clip, on_progress: embeddings)
    assert run([buzz(tmp_path / "a.wav")], tmp_path / "out").failed == 0
    (row,) = rows(tmp_path / "out" / "clips.csv")
    assert (row["label"], row["score"], row["error"]) == ("", "", "")
    assert rows(tmp_path / "out" / "predictions.csv") == rows(tmp_path / "out" / "transcripts.csv") == []


def test_own_words_reach_the_model_and_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_labels(labels: Sequence[str]) -> SimpleNamespace:
        card = replace(registry.card(MODEL), labels=tuple(labels))
        scores = np.full((1, len(labels)), 1 / len(labels))
        prediction = Prediction(MODEL, card.labels, scores, "softmax", np.zeros(1), 1, 1)
        return SimpleNamespace(card=card, predict=lambda clip, on_progress: prediction)

    asking = replace(registry.card(MODEL), task=OWN_WORDS)
    listens_with(monkeypatch, lambda clip, on_progress: None, asking, with_labels=with_labels)
    run([buzz(tmp_path / "a.wav")], tmp_path / "out", labels=["dog", "rain"])
    assert {row["label"] for row in rows(tmp_path / "out" / "predictions.csv")} == {"dog", "rain"}
    record = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    assert record["parameters"]["labels"] == "dog, rain"


def test_own_words_for_a_model_with_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has labels of its own.*\.$"):
        run([buzz(tmp_path / "a.wav")], tmp_path / "out", labels=["dog"])


def test_weights_for_a_shipped_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"silero-vad comes with its weights.*\.$"):
        run([buzz(tmp_path / "a.wav")], tmp_path / "out", weights=tmp_path)
