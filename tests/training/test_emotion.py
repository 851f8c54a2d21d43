import importlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from components.models.base import AudioModel, read_card
from components.models.events import clip_label
from components.training import lineup
from components.training.data import Example, Scenes, read_mono
from components.training.recipes import emotion
from components.types import Clip

SHIPPED = tuple(emotion.MAKERS)


def shipped(name: str) -> AudioModel:
    model: AudioModel = emotion.MAKERS[name].module().load(lineup.WEIGHTS / name)
    return model


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven "emotions" that are tones, by "actors" of two pairs who differ in pitch, and a reader who is a buzz."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "emodb" / "wav").mkdir(parents=True)
    (folder / "librosa").mkdir()
    t = np.arange(16000) / 16000
    for s, speaker in enumerate(("03", "09", "10")):
        for k, letter in enumerate(emotion.LETTERS):
            y = 0.2 * np.sin(2 * np.pi * (250 + 500 * k + 20 * s) * t) * np.hanning(t.size)
            soundfile.write(folder / "emodb" / "wav" / f"{speaker}a01{letter}a.wav", y, 16000)
    buzz = 0.1 * np.sign(np.sin(2 * np.pi * 120 * t))
    soundfile.write(folder / "librosa" / "198-209-0000.ogg", buzz, 16000)
    return folder


@pytest.mark.parametrize("name", SHIPPED)
def test_quick_training_writes_a_model_that_loads(name: str, tiny_data: Path, tmp_path: Path) -> None:
    assert emotion.main(["--quick", "--data", str(tiny_data), "--out", str(tmp_path), "--model", name]) == 0
    card = read_card(tmp_path / name)
    (weights,) = [p for p in (tmp_path / name).iterdir() if p.suffix in (".safetensors", ".skops")]
    assert card.size_bytes == weights.stat().st_size
    assert [score.metric for score in card.held_out] == list(emotion.READ_METRICS)
    assert card.held_out[0].folds[0][0] == "LibriSpeech 198"
    module = importlib.import_module(emotion.MAKERS[name].module().__name__)
    prediction = module.load(tmp_path / name).predict(Clip.from_array("x", np.zeros(16000), 16000))
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1.0, atol=1e-5)


def test_evaluation_leaves_each_pair_out_once(tiny_data: Path, tmp_path: Path) -> None:
    options = ["--quick", "--data", str(tiny_data), "--out", str(tmp_path), "--model", "emotion-classical"]
    assert emotion.main([*options, "--evaluate"]) == 0
    clips, active = read_card(tmp_path / "emotion-classical").held_out
    assert [pair for pair, _ in clips.folds] == [pair for pair, _ in active.folds] == ["03 and 09", "10 and 13"]
    assert clips.worst == min(score for _, score in clips.folds)
    # Twice chance, of 21 recordings: enough to see that something was learned.
    assert clips.score > 2 / 7
    assert "| 03 and 09 |" in (tmp_path / "emotion.md").read_text("utf-8")


def test_all_emotions_are_heard_equally_often() -> None:
    """However many recordings an emotion has: an epoch is as long as without balance, and leaves no class out."""
    y = np.ones(1600, np.float32)
    counts = (40, 4, 3)
    examples = [Example(y, "03", k) for k, count in enumerate(counts) for _ in range(count)]
    order = Scenes(emotion.TASK, examples, [], np.random.default_rng(0)).order()
    heard = np.bincount([examples[i].label for i in order])
    assert order.size == 47
    assert heard.max() - heard.min() <= 1
    assert set(order) >= set(range(40, 47))


def test_each_speaker_is_in_one_pair_of_a_man_and_a_woman() -> None:
    men, women = zip(*emotion.PAIRS, strict=True)
    assert set(men) == {"03", "10", "11", "12"}
    assert set(women) == {"08", "09", "13", "14"}


def test_missing_recordings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert emotion.main(["--data", str(tmp_path)]) == 1
    assert "There are no recordings in" in capsys.readouterr().err


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_are_what_the_recipe_makes(name: str) -> None:
    card = read_card(lineup.WEIGHTS / name)
    assert card == lineup.make_card(emotion.LINEUP, name, card.held_out, card.size_bytes)
    assert sum(read_card(lineup.WEIGHTS / other).size_bytes for other in SHIPPED) < 6_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_the_first_words_are_a_warning(name: str) -> None:
    card = read_card(lineup.WEIGHTS / name)
    for said in (card.caveats[0], card.summary):
        assert said.startswith("Acted, German, ten actors")
        assert "not a lie detector, not a mood meter" in said
    assert "research" in card.licence


@pytest.mark.parametrize("name", SHIPPED)
def test_silence_is_none(name: str) -> None:
    prediction = shipped(name).predict(Clip.from_array("silence", np.zeros(48000), 16000))
    assert {prediction.labels[k] for k in prediction.scores.argmax(axis=1)} == {"none"}


@pytest.mark.parametrize("level", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("name", SHIPPED)
def test_noise_is_none(name: str, level: float) -> None:
    y = level * np.random.default_rng(0).standard_normal(16000 * 6)
    prediction = shipped(name).predict(Clip.from_array("noise", y, 16000))
    assert np.mean(prediction.scores.argmax(axis=1) == prediction.labels.index("none")) > 0.9


@pytest.mark.data
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_recognise_acted_sentences(name: str, data_dir: Path) -> None:
    """Recordings that the weights were trained on: this checks the files, not how good they are."""
    sentences = emotion.read_sentences(data_dir / "emodb")[::16]
    model = shipped(name)
    heard = [clip_label(model.predict(Clip.from_array("sentence", e.y, emotion.FRONT.sr)))[0] for e in sentences]
    right = np.mean([label == model.card.labels[e.label] for label, e in zip(heard, sentences, strict=True)])
    assert right > 0.55


@pytest.mark.data
@pytest.mark.parametrize("name", SHIPPED)
def test_read_speech_is_not_none(name: str, data_dir: Path) -> None:
    """English that nobody acted is speech all the same."""
    y = read_mono(data_dir / "librosa" / f"{emotion.READERS[0]}.ogg", emotion.FRONT.sr)
    heard = emotion.labels_heard(shipped(name), y)
    assert heard.count("none") < 0.3 * len(heard)
