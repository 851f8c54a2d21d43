from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from components.audio.synth import noise, vowel
from components.models import cnn
from components.models.base import read_card
from components.models.registry import load
from components.training import lineup
from components.training.data import Scenes
from components.training.recipes import speechmusic as sm
from components.types import Clip

NAME = "speech-music"


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One "speaker" (vowels), one piece and two noises for each of the four parts."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("emodb/wav", "librosa", "esc10/rain"):
        (folder / name).mkdir(parents=True)
    t = np.arange(2 * 16000) / 16000
    for k, part in enumerate(sm.PARTS):
        speech = np.concatenate([vowel(v, 0.4, f0=100 + 30 * k) for v in "aeiou"])
        for i in range(2):
            soundfile.write(folder / "emodb/wav" / f"{sm.SPEAKERS['emodb'][k][0]}a0{i}Wa.wav", speech, 16000)
            hiss = noise(2.0, seed=10 * k + i)
            soundfile.write(folder / "esc10/rain" / f"{part}-{k}-{i}.ogg", hiss, 16000)
        chord = sum(np.sin(2 * np.pi * f * 2 ** (k / 12) * t) for f in (262, 330, 392)) / 4
        soundfile.write(folder / "librosa" / f"{sm.MUSIC_FILES[k][0]}.ogg", chord, 16000)
    return folder


@pytest.fixture(autouse=True)
def few_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the made music: making it takes longer than all else here."""
    monkeypatch.setattr(sm, "_made", partial(sm._made, pieces=4, noises=3))


def test_every_source_is_in_one_part(tiny_data: Path) -> None:
    material = sm.read(tiny_data)
    parts: dict[str, set[str]] = {}
    for example in material.examples:
        parts.setdefault(example.name, set()).add(example.group)
    assert all(len(of) == 1 for name, of in parts.items() if name not in ("mixture", "noise", "esc10 rain"))
    assert {e.label for e in material.examples} == {sm.SPEECH, sm.MUSIC, sm.OTHER}
    for speaker in {s for of_corpus in sm.SPEAKERS.values() for part in of_corpus for s in part}:
        assert sum(speaker in part for of_corpus in sm.SPEAKERS.values() for part in of_corpus) == 1


def test_rumble_below_the_lowest_band_is_taken_off() -> None:
    t = np.arange(32000) / 16000
    low, high = np.sin(2 * np.pi * 15 * t), np.sin(2 * np.pi * 200 * t)
    kept = sm._without_rumble((low + high).astype(np.float32))[8000:]
    assert np.sqrt(np.mean((kept - 0) ** 2)) == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_labels_of_a_scene_follow_its_loudness(tiny_data: Path) -> None:
    """Where it is labelled silence the scene is at least 20 dB weaker than where it is labelled anything else."""
    material = sm.read(tiny_data)
    scenes = Scenes(replace(sm.TASK, speeds=(1.0,), rooms=0.0), material.examples, [], np.random.default_rng(0))
    for _ in range(5):
        scene = scenes.sequence()
        hop = sm.FRONT.params.hop_length
        level = np.array([np.mean(scene.y[t * hop : (t + 1) * hop] ** 2) for t in range(scene.y.size // hop)])
        labels = scene.labels[: level.size]
        quiet, loud = level[labels == sm.SILENCE], level[(labels >= 0) & (labels != sm.SILENCE)]
        assert loud.size
        if quiet.size:
            assert 10 * np.log10(loud.mean() / np.median(quiet)) > 20


def test_quick_training_and_measuring(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm, "piece_of_music", lambda rng, band, seconds, sr: noise(seconds, seed=band))
    options = ["--quick", "--data", str(tiny_data), "--out", str(tmp_path)]
    assert sm.main(options) == 0
    model = cnn.load(tmp_path / NAME)
    prediction = model.predict(Clip.from_array("x", np.zeros(16000), 16000))
    assert prediction.labels == sm.LABELS
    right, best = sm.answers(model, sm.read(tiny_data).examples, 2)
    assert right.shape == best.shape
    assert set(right) <= set(range(4))


def test_the_shipped_card_is_the_recipes() -> None:
    card = read_card(lineup.WEIGHTS / NAME)
    assert card == lineup.make_card(sm.LINEUP, NAME, card.held_out, card.size_bytes)
    by_metric = {score.metric: score for score in card.held_out}
    assert by_metric[sm.FRAME_METRIC].score >= 0.93


def test_silence_is_silence_and_a_hiss_is_none_of_speech_and_music() -> None:
    model = load(NAME)
    quiet = model.predict(Clip.from_array("silence", np.zeros(32000), 16000)).scores.argmax(axis=1)
    assert (quiet == sm.SILENCE).all()
    hiss = model.predict(Clip.from_array("hiss", noise(5.0), 16000)).scores.argmax(axis=1)
    assert np.mean(hiss == sm.OTHER) > 0.9


@pytest.mark.data
def test_the_shipped_weights_know_what_they_learned(data_dir: Path) -> None:
    model = load(NAME)
    for path, label in (("198-209-0000", sm.SPEECH), ("Kevin_MacLeod_-_Vibe_Ace", sm.MUSIC)):
        y, sr = soundfile.read(data_dir / "librosa" / f"{path}.ogg", dtype="float32", frames=22050 * 10)
        best = model.predict(Clip.from_array(path, y, sr)).scores.argmax(axis=1)
        assert np.mean(best == label) > 0.75
