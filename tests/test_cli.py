import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from components import cli
from components.models import hub, registry
from components.types import ModelCard
from tests.tiny_checkpoints import wav2vec2_ctc

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    return path


def test_models_as_json_are_the_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [card["id"] for card in listed] == [card.id for card in registry.cards()]
    for card in listed:
        assert set(card) == {field.name for field in fields(ModelCard)} | {"state"}
        assert card["state"] == registry.state(card["id"])


def test_models_as_text_name_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    text = capsys.readouterr().out
    for card in registry.cards():
        assert card.id in text and card.title in text


def test_analyse_writes_and_says_where(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cli.main(["analyse", str(recording), "--model", "silero-vad", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "1 of 1 recordings" in said.out and str(out) in said.out
    assert (out / "predictions.csv").is_file()


def test_a_failed_file_gives_exit_status_1(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.wav").write_bytes(b"")
    words = ["analyse", str(recording), str(tmp_path / "b.wav"), "--model", "silero-vad"]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "1 of 2 could not be analysed" in said.err
    assert "1 of 2 recordings" in said.out


def test_an_unknown_model_is_one_sentence(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["analyse", str(recording), "--model", "silerovad", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "There is no model 'silerovad'. Did you mean silero-vad?\n"


def test_models_as_text_say_what_has_to_be_downloaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "have_bytes", lambda model_id: 50_000_000 if model_id == "whisper-tiny" else 0)
    assert cli.main(["models"]) == 0
    text = capsys.readouterr().out
    assert "whisper-base  (transformer, speech to text, needs a download of about 294.0 MB)" in text
    assert "whisper-tiny  (transformer, speech to text, downloaded in part, 50.0 MB of about 155.0 MB)" in text
    assert "silero-vad  (rnn, speech activity, ready, " in text


def test_download_remove_and_add_say_what_they_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[tuple[str, ...]] = []

    def download(name: str, on_progress: Callable[[float], None]) -> None:
        on_progress(1.0)
        done.append(("download", name))

    def add(name: str, on_progress: Callable[[float], None]) -> ModelCard:
        download(name, on_progress)
        return registry.card("whisper-tiny")

    monkeypatch.setattr(hub, "download", download)
    monkeypatch.setattr(hub, "remove", lambda name: done.append(("remove", name)))
    monkeypatch.setattr(hub, "add", add)
    assert cli.main(["download", "whisper-tiny"]) == 0
    assert cli.main(["remove", "whisper-tiny"]) == 0
    assert cli.main(["add", "some/model"]) == 0
    assert cli.main(["download", "silero-vad"]) == 0
    assert done == [("download", "whisper-tiny"), ("remove", "whisper-tiny"), ("download", "some/model")]
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 1)[0] for line in said] == ["Whisper", "Whisper", "Whisper", "Silero"]
    assert said[2].endswith("is ready: its id is whisper-tiny.")


def test_what_ships_is_not_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["remove", "silero-vad"]) == 1
    assert capsys.readouterr().err == "Silero VAD comes with Otoscope and cannot be removed.\n"


def test_a_model_that_is_not_here_is_one_sentence_with_the_way_on(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["analyse", str(recording), "--model", "whisper-tiny", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "`python run.py download whisper-tiny`" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_that_are_brought_reach_the_tables(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = wav2vec2_ctc(tmp_path / "tiny"), tmp_path / "out"
    words = ["analyse", str(recording), "--model", "wav2vec2-base-960h", "--weights", str(folder), "--out", str(out)]
    assert cli.main(words) == 0, capsys.readouterr().err
    record = json.loads((out / "provenance.json").read_text("utf-8"))
    weights = (folder / "model.safetensors").read_bytes()
    assert record["model"]["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert (out / "transcripts.csv").read_text("utf-8").startswith("file,model,start_s,end_s,text,score")
    assert registry.state("wav2vec2-base-960h") == "missing"


def test_labels_are_taken_apart_at_the_commas(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["analyse", str(recording), "--model", "silero-vad", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--labels", " , "]) == 0
    assert cli.main([*words, "--labels", "dog, rain"]) == 1
    assert "has labels of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["listen"],
        ["analyse", "a.wav"],
        ["analyse", "--model", "silero-vad", "--out", "x"],
        ["analyse", "a.wav", "--model", "silero-vad", "--out", "x", "--loud"],
        ["analyse", "a.wav", "--model", "silero-vad", "--out", "x", "--threshold", "high"],
        ["models", "--yaml"],
        ["download"],
        ["remove", "a", "b"],
        ["train", "nothing"],
    ],
)
def test_words_not_understood_give_exit_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_train_passes_on_the_words_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, list[str]]] = []

    def module(name: str) -> SimpleNamespace:
        return SimpleNamespace(main=lambda argv: heard.append((name, argv)) or 0)

    monkeypatch.setattr(cli, "_recipes", lambda: ["digits"])
    monkeypatch.setattr(cli.importlib, "import_module", module)
    assert cli.main(["train", "digits", "--model", "digits-cnn", "--quick"]) == 0
    assert heard == [("components.training.recipes.digits", ["--model", "digits-cnn", "--quick"])]


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def pressed() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "cards", pressed)
    assert cli.main(["models"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_as_a_program_it_is_quiet_and_shows_no_traceback(recording: Path, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "components.cli", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = run("analyse", str(recording), "--model", "silero-vad", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    empty = run("analyse", str(tmp_path / "out"), "--model", "silero-vad", "--out", str(tmp_path / "out"))
    assert empty.returncode == 1
    assert empty.stderr == "No sound or video was found in the folder out: name another.\n"
