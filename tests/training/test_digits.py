from pathlib import Path

import numpy as np
import pytest
import soundfile

from components.models.base import read_card
from components.models.events import clip_label
from components.models.registry import load
from components.training import lineup
from components.training.recipes import digits
from components.types import Clip

SHIPPED = tuple(digits.MAKERS)


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten "digits" that are tones, by three "speakers" who differ in pitch."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "fsdd").mkdir()
    t = np.arange(2800) / 8000
    for s, speaker in enumerate(("anna", "bob", "eve")):
        for digit in range(10):
            for take in range(2):
                y = 0.2 * np.sin(2 * np.pi * (250 + 300 * digit + 20 * s + 5 * take) * t) * np.hanning(t.size)
                soundfile.write(folder / "fsdd" / f"{digit}_{speaker}_{take}.wav", y, 8000)
    return folder


@pytest.mark.parametrize("name", SHIPPED)
def test_quick_training_writes_a_model_that_loads(name: str, tiny_data: Path, tmp_path: Path) -> None:
    assert digits.main(["--quick", "--data", str(tiny_data), "--out", str(tmp_path), "--model", name]) == 0
    card = read_card(tmp_path / name)
    (weights,) = [p for p in (tmp_path / name).iterdir() if p.suffix in (".safetensors", ".skops")]
    assert card.size_bytes == weights.stat().st_size
    model = load_module(name).load(tmp_path / name)
    prediction = model.predict(Clip.from_array("x", np.zeros(8000), 8000))
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1.0, atol=1e-5)


def load_module(name: str):  # type: ignore[no-untyped-def]
    import importlib

    from components.models.registry import MODULES

    return importlib.import_module(MODULES[name])


def test_evaluation_leaves_each_speaker_out_once(tiny_data: Path, tmp_path: Path) -> None:
    options = ["--quick", "--data", str(tiny_data), "--out", str(tmp_path), "--model", "digits-classical"]
    assert digits.main([*options, "--evaluate"]) == 0
    clips, active = read_card(tmp_path / "digits-classical").held_out
    assert [who for who, _ in clips.folds] == [who for who, _ in active.folds] == ["anna", "bob", "eve"]
    assert clips.score == pytest.approx(np.mean([score for _, score in clips.folds]), abs=1e-4)
    assert clips.worst == min(score for _, score in clips.folds)
    # Three times chance, of twenty recordings: enough to see that something was learned.
    assert clips.score > 0.3
    assert digits.main(options) == 0
    assert read_card(tmp_path / "digits-classical").held_out == (clips, active)
    table = (tmp_path / "digits.md").read_text("utf-8")
    assert "## digits-classical" in table
    assert "| anna |" in table


def test_a_section_replaces_its_old_self(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    lineup.write_table(path, digits.LINEUP.preface, "b", "## b\n\nfirst try\n")
    lineup.write_table(path, digits.LINEUP.preface, "a", "## a\n\none\n")
    lineup.write_table(path, digits.LINEUP.preface, "b", "## b\n\nnew\n")
    text = path.read_text("utf-8")
    assert "first try" not in text
    assert text.index("## a") < text.index("one\n") < text.index("## b") < text.index("new\n", text.index("## b"))
    assert text.startswith(digits.LINEUP.preface)


def test_missing_recordings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert digits.main(["--data", str(tmp_path)]) == 1
    assert "There are no recordings in" in capsys.readouterr().err


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_are_the_architectures(name: str) -> None:
    card = read_card(lineup.WEIGHTS / name)
    fresh = lineup.make_card(digits.LINEUP, name, card.held_out, card.size_bytes)
    assert card == fresh
    assert sum(read_card(lineup.WEIGHTS / other).size_bytes for other in SHIPPED) < 5_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_silence_is_none(name: str) -> None:
    prediction = load(name).predict(Clip.from_array("silence", np.zeros(16000), 8000))
    assert (prediction.scores.argmax(axis=1) == 10).all()


@pytest.mark.parametrize("level", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("name", SHIPPED)
def test_noise_is_none(name: str, level: float) -> None:
    y = level * np.random.default_rng(0).standard_normal(8000 * 6)
    prediction = load(name).predict(Clip.from_array("noise", y, 8000))
    assert np.mean(prediction.scores.argmax(axis=1) == 10) > 0.9


@pytest.mark.data
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_recognise_digits(name: str, data_dir: Path) -> None:
    """Recordings that the weights were trained on: this checks the files, not how good they are."""
    utterances = digits.read_digits(data_dir / "fsdd")[::25]
    model = load(name)
    labels = [clip_label(model.predict(Clip.from_array("digit", u.y, 8000)))[0] for u in utterances]
    right = np.mean([label == model.card.labels[u.label] for label, u in zip(labels, utterances, strict=True)])
    assert right > 0.85


@pytest.mark.data
@pytest.mark.parametrize("name", SHIPPED)
def test_a_pause_after_a_digit_is_none(name: str, data_dir: Path) -> None:
    rng = np.random.default_rng(0)
    pause = 0.0005 * rng.standard_normal(8000)
    digit = digits.read_digits(data_dir / "fsdd")[1200].y
    prediction = load(name).predict(Clip.from_array("x", np.concatenate([pause, digit, pause]), 8000))
    best = prediction.scores.argmax(axis=1)
    quiet = (prediction.times < 0.5) | (prediction.times > 1.5 + digit.size / 8000)
    assert np.mean(best[quiet] == 10) > 0.95
    heard = (prediction.times > 1.1) & (prediction.times < 0.9 + digit.size / 8000)
    assert np.mean(best[heard] != 10) > 0.5
