from pathlib import Path

import numpy as np
import pytest
import soundfile

from components.models.base import AudioModel, read_card
from components.models.events import clip_label
from components.training import lineup
from components.training.data import read_mono
from components.training.recipes import sounds
from components.types import Clip

SHIPPED = tuple(sounds.MAKERS)
SR = sounds.FRONT.sr
NONE = sounds.TASK.none


def load(name: str, folder: Path = lineup.WEIGHTS) -> AudioModel:
    model: AudioModel = sounds.MAKERS[name].module().load(folder / name)
    return model


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten "sounds" that are tones with a second of padding, one source each in two folds, in two takes."""
    folder = tmp_path_factory.mktemp("data")
    t = np.arange(SR // 2) / SR
    for k, name in enumerate(sounds.CLASSES):
        (folder / "esc10" / name).mkdir(parents=True)
        for fold in (1, 2):
            for take in "AB":
                y = 0.2 * np.sin(2 * np.pi * (200 * 1.4**k + 5 * fold + ord(take) % 2) * t)
                path = folder / "esc10" / name / f"{fold}-{1000 * fold + k}-{take}.ogg"
                soundfile.write(path, np.pad(y, (0, SR)), SR)
    return folder


def test_padding_is_cut_off_and_sources_keep_together(tiny_data: Path) -> None:
    """Digital silence would tell a sneeze from rain; clips of one source in two folds would be heard before."""
    examples = sounds.read_recordings(tiny_data / "esc10")
    assert len(examples) == 40
    assert all(e.y.size < 0.55 * SR for e in examples)
    (first, one), (second, two) = sounds.folds(examples)
    assert (first, second) == ("fold 1", "fold 2")
    assert not one & two
    assert one | two == {e.group for e in examples}
    assert len(one) == len(two) == 10


@pytest.mark.parametrize("name", SHIPPED)
def test_quick_training_writes_a_model_that_loads(name: str, tiny_data: Path, tmp_path: Path) -> None:
    assert sounds.main(["--quick", "--data", str(tiny_data), "--out", str(tmp_path), "--model", name]) == 0
    card = read_card(tmp_path / name)
    (weights,) = [p for p in (tmp_path / name).iterdir() if p.suffix in (".safetensors", ".skops")]
    assert card.size_bytes == weights.stat().st_size
    assert card.held_out == ()
    prediction = load(name, tmp_path).predict(Clip.from_array("x", np.zeros(8000), 8000))
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1.0, atol=1e-5)


def test_evaluation_leaves_each_fold_out_once(tiny_data: Path, tmp_path: Path) -> None:
    options = ["--quick", "--data", str(tiny_data), "--out", str(tmp_path), "--model", "sounds-classical"]
    assert sounds.main([*options, "--evaluate"]) == 0
    clips, active = read_card(tmp_path / "sounds-classical").held_out
    assert [name for name, _ in clips.folds] == [name for name, _ in active.folds] == ["fold 1", "fold 2"]
    assert clips.worst == min(score for _, score in clips.folds)
    # Three times chance, of forty recordings: enough to see that something was learned.
    assert clips.score > 0.3
    assert "| fold 2 |" in (tmp_path / "sounds.md").read_text("utf-8")


def test_missing_recordings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sounds.main(["--data", str(tmp_path)]) == 1
    assert "esc10" in capsys.readouterr().err


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_are_what_the_recipe_makes(name: str) -> None:
    card = read_card(lineup.WEIGHTS / name)
    assert card == lineup.make_card(sounds.LINEUP, name, card.held_out, card.size_bytes)
    clips = next(score for score in card.held_out if score.metric == sounds.CLIP_METRIC)
    assert [fold for fold, _ in clips.folds] == [f"fold {k}" for k in range(1, 5)]


def test_shipped_weights_are_small() -> None:
    assert sum(read_card(lineup.WEIGHTS / name).size_bytes for name in SHIPPED) < 6_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_silence_is_none(name: str) -> None:
    prediction = load(name).predict(Clip.from_array("silence", np.zeros(16000), 8000))
    assert (prediction.scores.argmax(axis=1) == NONE).all()


@pytest.mark.parametrize("name", ["sounds-classical", "sounds-cnn", "sounds-transformer"])
def test_hum_is_none(name: str) -> None:
    """The recurrent networks may take it for a fire, and noise is rain or the sea to all of them: the cards say so."""
    t = np.arange(4 * SR) / SR
    hum = sum(0.02 / k * np.sin(2 * np.pi * 50 * k * t + k) for k in range(1, 6))
    y = hum + 1e-4 * np.random.default_rng(0).standard_normal(t.size)
    best = load(name).predict(Clip.from_array("hum", y, SR)).scores.argmax(axis=1)
    assert np.mean(best == NONE) > 0.9


@pytest.mark.data
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_recognise_recordings(name: str, data_dir: Path) -> None:
    """Recordings that the weights were trained on: this checks the files, not how good they are."""
    model = load(name)
    right = []
    for k, folder in enumerate(sounds.CLASSES):
        for path in sorted((data_dir / "esc10" / folder).glob("*.ogg"))[::12]:
            label, _ = clip_label(model.predict(Clip.from_array(path.stem, read_mono(path, SR), SR)))
            right.append(label == sounds.LABELS[k])
    assert np.mean(right) > 0.7


@pytest.mark.data
@pytest.mark.parametrize("name", SHIPPED)
def test_the_silence_after_a_sneeze_is_none(name: str, data_dir: Path) -> None:
    """Digital silence ends most sneezes of ESC-10: it must not be heard as one."""
    rng = np.random.default_rng(0)
    path = sorted((data_dir / "esc10" / "person_sneeze").glob("1-*.ogg"))[0]
    y = sounds.without_padding(read_mono(path, SR))
    for silence in (np.zeros(3 * SR), 1e-4 * rng.standard_normal(3 * SR)):
        prediction = load(name).predict(Clip.from_array("x", np.concatenate([y, silence]), SR))
        best = prediction.scores.argmax(axis=1)[prediction.times > y.size / SR + 1.5]
        assert np.mean(best == NONE) > 0.9
