from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, ClapModel, pipeline

from components.errors import ModelError
from components.models import hf
from components.models.hf import clap
from components.types import OWN_WORDS, Clip, ModelCard
from tests import test_contract as contract
from tests.tiny_whisper_clap import clap as make
from tests.tiny_whisper_clap import peak_bytes

SR = 8000
WORDS = ("a dog", "rain on a roof", "speech {}", "die Straße")
CARD = ModelCard(
    id="tiny-clap",
    title="Tiny CLAP",
    summary="Guesses.",
    family="transformer",
    task="",
    labels=(),
    sr=16000,
    window_s=10.0,
    hop_s=10.0,
    layers=(),
    emits=(),
    source="download",
    size_bytes=0,
    licence="none",
    citation="none",
    training_data="none",
    held_out=(),
    caveats=("It guesses.",),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def model(folder: Path) -> clap.Clap:
    torch.set_num_threads(1)
    return clap.load(folder, CARD)


Scores = Callable[[np.ndarray], list[float]]


def pipeline_of(folder: Path) -> Scores:
    """What transformers makes of the same files: the scores of WORDS."""
    found = pipeline("zero-shot-audio-classification", model=str(folder))

    def scores(y: np.ndarray) -> list[float]:
        of = {x["label"]: x["score"] for x in found(y.copy(), candidate_labels=list(WORDS))}
        return [of[word] for word in WORDS]

    return scores


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Scores:
    return pipeline_of(folder)


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    """Noise whose level wanders, so that no window is like another."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * SR)) / SR
    level = np.interp(t, np.arange(0, duration_s + 2, 0.5), rng.uniform(0, 0.5, len(np.arange(0, duration_s + 2, 0.5))))
    return (level * rng.standard_normal(t.size)).astype(np.float32)


def clip_of(y: np.ndarray) -> Clip:
    return Clip.from_array("clip", y, SR)


def test_a_folder_is_known_for_what_it_is(folder: Path, model: clap.Clap) -> None:
    found = hf.load(folder, hf.describe(folder, id="a/b"))
    assert isinstance(found, clap.Clap)
    assert (found.card.layers, found.card.labels) == (model.card.layers, model.card.labels)


def test_card_is_completed_from_the_files(model: clap.Clap) -> None:
    card = model.card
    assert (card.task, card.sr, card.window_s, card.hop_s) == (OWN_WORDS, SR, 5.0, 1.0)
    assert card.layers == ("input", "layer_1", "layer_2", "embedding")
    assert card.labels == clap.WORDS
    assert card.caveats == ("It guesses.", clap.NOTE)


@pytest.mark.parametrize("duration_s", [0.3, 2.2, 5.0])
def test_a_clip_of_one_window_has_the_scores_of_the_pipeline(
    model: clap.Clap, theirs: Scores, duration_s: float
) -> None:
    y = noise(duration_s)
    found = model.with_labels(WORDS).predict(clip_of(y))
    assert found.labels == WORDS
    assert found.scores.shape == (1, len(WORDS))
    assert found.times == pytest.approx([duration_s / 2])
    assert found.scores[0] == pytest.approx(theirs(y), abs=1e-5)
    assert np.ptp(found.scores) > 0.01


def test_windows_of_ten_seconds_too(model: clap.Clap, theirs: Scores) -> None:
    card = replace(model.card, window_s=10.0, labels=WORDS)
    whole = clap.Clap(card, model.net, model.tokenizer, model.extractor)
    for y in (noise(7.3), noise(10)):
        assert whole.predict(clip_of(y)).scores[0] == pytest.approx(theirs(y), abs=1e-5)


def test_each_window_of_a_longer_clip_is_heard_as_a_clip_of_its_own(model: clap.Clap, theirs: Scores) -> None:
    y = noise(8.4)
    found = model.with_labels(WORDS).predict(clip_of(y))
    assert found.times == pytest.approx([2.5, 3.5, 4.5, 5.5, 6.5])
    for k, scores in enumerate(found.scores):
        assert scores == pytest.approx(theirs(y[k * SR : (k + 5) * SR]), abs=1e-5)


def test_networks_with_fusion_have_the_scores_of_the_pipeline_too(tmp_path: Path) -> None:
    folder = make(tmp_path, fusion=True)
    fused, theirs = clap.load(folder, CARD).with_labels(WORDS), pipeline_of(folder)
    for y in (noise(2.2), noise(5)):
        assert fused.predict(clip_of(y)).scores[0] == pytest.approx(theirs(y), abs=1e-5)
    assert fused.card.layers == ("input", "embedding")
    assert list(fused.inspect(clip_of(noise(2)), fused.card.layers)) == ["input", "embedding"]


def test_sentences_are_read_once_for_each_list_of_words(model: clap.Clap, monkeypatch: pytest.MonkeyPatch) -> None:
    other = model.with_labels(["rain", "wind"])
    monkeypatch.setattr(type(model.net), "get_text_features", None)
    assert other.predict(clip_of(noise(6))).labels == ("rain", "wind")


def test_words_are_stripped_and_empty_ones_left_out(model: clap.Clap) -> None:
    assert model.with_labels([" rain ", "", "  ", "wind\n"]).card.labels == ("rain", "wind")
    assert model.card.labels == clap.WORDS


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Give 1 to 50"),
        ([" "], "Give 1 to 50"),
        ([f"word {n}" for n in range(51)], "not 51"),
        (["rain", " rain"], "'rain' is on the list twice"),
        (["x" * 201], "201 characters"),
    ],
)
def test_lists_that_cannot_be_used_get_a_sentence(model: clap.Clap, words: list[str], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as error:
        model.with_labels(words)
    assert str(error.value).endswith(".")


def test_the_longest_words_fit(model: clap.Clap) -> None:
    words = ["\N{DOG FACE}" * 200, "é" * 200]
    assert np.isfinite(model.with_labels(words).predict(clip_of(noise(1))).scores).all()


def test_stages_are_those_of_a_plain_forward_pass(model: clap.Clap, folder: Path) -> None:
    y = noise(10)
    found = model.inspect(clip_of(y), ["layer_1", "layer_2"])
    net = ClapModel.from_pretrained(folder).eval()
    inputs = AutoFeatureExtractor.from_pretrained(folder)(y, sampling_rate=SR, return_tensors="pt")
    with torch.no_grad():
        theirs = net.audio_model.audio_encoder(
            **inputs, output_hidden_states=True, output_hidden_states_before_downsampling=True
        ).hidden_states
    for layer, state in zip(("layer_1", "layer_2"), theirs[1:], strict=True):
        # (1, D, 4 stretches of time x frequencies, columns): the stretches one after another, mean over frequency
        stretches = [part.mean(dim=2)[0].T for part in state.chunk(4, dim=2)]
        values = found[layer].values
        assert values == pytest.approx(torch.cat(stretches).numpy(), abs=1e-5)
        assert found[layer].times == pytest.approx((np.arange(len(values)) + 0.5) * 10 / len(values))


@pytest.mark.parametrize("second", [1.0, 6.2, 11.5])
def test_a_click_shows_in_the_first_stage_when_it_sounds(model: clap.Clap, second: float) -> None:
    quiet = np.full(15 * SR, 1e-3, np.float32) * np.random.default_rng(0).standard_normal(15 * SR).astype(np.float32)
    click = quiet.copy()
    click[round((second - 0.05) * SR) : round((second + 0.05) * SR)] *= 300
    before, after = (model.inspect(clip_of(y), ["layer_1"])["layer_1"] for y in (quiet, click))
    change = np.abs(after.values - before.values).sum(axis=1)
    assert after.times is not None
    # A stage's attention carries it as far as its window, four columns of 2.5 s / 16.
    assert abs(float(after.times[change.argmax()]) - second) < 0.65
    assert abs(float(change @ after.times / change.sum()) - second) < 0.65


def test_input_is_what_the_network_is_given_and_ends_with_the_clip(model: clap.Clap, folder: Path) -> None:
    y = noise(13)
    found = model.inspect(clip_of(y), ["input", "layer_2"])
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    first = extractor(y[: 10 * SR], sampling_rate=SR, return_tensors="np")["input_features"][0, 0]
    assert found["input"].values[:250] == pytest.approx(first[:250], abs=1e-5)
    assert found["input"].values.shape == (325, 16)
    assert found["input"].times is not None and found["input"].times[-1] == pytest.approx(12.96)
    assert found["layer_2"].times is not None and abs(found["layer_2"].times[-1] - 13) < 0.32


def test_embeddings_give_the_scores(model: clap.Clap) -> None:
    y = noise(7)
    found = model.inspect(clip_of(y), ["embedding"])["embedding"]
    prediction = model.predict(clip_of(y))
    assert np.linalg.norm(found.values, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert found.times == pytest.approx(prediction.times)
    cosines = found.values @ model._words.numpy().T
    shares = np.exp(cosines - cosines.max(axis=1, keepdims=True))
    assert prediction.scores == pytest.approx(shares / shares.sum(axis=1, keepdims=True), abs=1e-5)


def test_memory_does_not_grow_with_the_recording(model: clap.Clap, tmp_path: Path) -> None:
    rare = clap.Clap(replace(model.card, hop_s=5.0), model.net, model.tokenizer, model.extractor)
    short, long = (peak_bytes(rare, minutes, tmp_path / f"{minutes}.f32") for minutes in (0.5, 2))
    assert long - short < 1_000_000  # a minute and a half of samples would be 2.9 MB


def test_contract_with_short_windows(model: clap.Clap) -> None:
    """These two promises listen to 2 and 3 s and want more than one frame of it."""
    card = replace(model.card, window_s=1.0, hop_s=0.5)
    quick = clap.Clap(card, model.net, model.tokenizer, model.extractor)
    contract.test_scores_do_not_depend_on_the_rate_of_the_file(quick)
    contract.test_activations_are_on_the_clock_of_the_clip(quick)
