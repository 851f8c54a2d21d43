import difflib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCTC, pipeline

from components.audio.decode import decode
from components.audio.samples import SAMPLES
from components.errors import Cancelled, ModelError
from components.models import hf
from components.models.base import AudioModel
from components.models.hf import ctc
from components.models.hf.windows import CONTEXT_S, OWN_S
from components.models.precision import has_bfloat16
from components.types import Clip
from tests import tiny_checkpoints as tiny


def sample(name: str) -> Clip:
    path = next(sample.path for sample in SAMPLES if sample.name == name)
    return decode(path, name=name).clip


@pytest.fixture(scope="module")
def sentence() -> Clip:
    return sample("A sentence")


@pytest.fixture(scope="module")
def dialogue() -> Clip:
    """Longer than two windows."""
    y = sample("Two people talking").y
    return Clip.from_array("dialogue", np.tile(y, round(45 * 16000 / y.size) + 1)[: 45 * 16000], 16000)


@pytest.fixture(scope="module", params=["wav2vec2_ctc", "hubert_ctc"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = getattr(tiny, request.param)(tmp_path_factory.mktemp("made"))
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> ctc.Ctc:
    return ctc.load(folder, hf.describe(folder, id="tiny"), dtype="float32")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return pipeline("automatic-speech-recognition", str(folder), dtype=torch.float32)


def plain(theirs: Any, clip: Clip, **options: Any) -> Any:
    """What transformers itself computes of the whole file."""
    x = theirs.feature_extractor(clip.y, sampling_rate=16000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        return theirs.model(x, **options)


def test_text_and_words_are_the_pipelines(model: ctc.Ctc, theirs: Any, sentence: Clip) -> None:
    found = theirs(sentence.y.copy(), return_timestamps="word")
    prediction = model.predict(sentence)
    assert prediction.text == found["text"]
    assert len(found["chunks"]) > 2
    assert [s.label for s in prediction.segments] == [chunk["text"] for chunk in found["chunks"]]
    times = np.array([chunk["timestamp"] for chunk in found["chunks"]], np.float64)
    assert np.array([(s.start, s.end) for s in prediction.segments]) == pytest.approx(times)


def test_scores_are_the_softmax_of_the_plain_logits(model: ctc.Ctc, theirs: Any, sentence: Clip) -> None:
    prediction = model.predict(sentence)
    reference = plain(theirs, sentence).logits[0].softmax(-1).numpy()
    assert np.abs(prediction.scores - reference).max() < 1e-5
    assert prediction.times[:3] == pytest.approx([0.0125, 0.0325, 0.0525])
    assert prediction.activation == "softmax"


def test_a_words_score_is_its_frames_mean_certainty(model: ctc.Ctc, sentence: Clip) -> None:
    prediction = model.predict(sentence)
    for word in prediction.segments:
        frames = prediction.scores[round(word.start / 0.02) : round(word.end / 0.02)]
        assert word.score == pytest.approx(frames.max(axis=1).mean())


def test_labels_are_the_vocabulary(model: ctc.Ctc) -> None:
    assert model.card.labels == tuple(tiny.VOCABULARY)
    assert any("<pad> is the blank" in caveat for caveat in model.card.caveats)
    assert (model.card.window_s, model.card.hop_s) == (OWN_S + 2 * CONTEXT_S, 0.02)


def test_a_long_recording_is_nearly_the_whole_file_computation(model: ctc.Ctc, theirs: Any, dialogue: Clip) -> None:
    """Attention reaches no further than a window: with random weights that moves a probability by 1 % on average."""
    prediction = model.predict(dialogue)
    reference = plain(theirs, dialogue).logits[0].softmax(-1).numpy()
    assert prediction.scores.shape == reference.shape
    change = np.abs(prediction.scores - reference)
    assert change.mean() < 0.01
    assert (prediction.scores.argmax(1) == reference.argmax(1)).mean() > 0.95
    text = theirs(dialogue.y.copy())["text"]
    assert difflib.SequenceMatcher(None, text, prediction.text, autojunk=False).ratio() > 0.95


@pytest.mark.parametrize("make", [tiny.wav2vec2_ctc, tiny.hubert_ctc])
def test_without_attention_a_long_recording_is_exactly_the_whole_file_computation(
    make: Any, dialogue: Clip, tmp_path: Path
) -> None:
    """Level, convolutions, positions and seams: all but the reach of attention is that of the whole file."""
    folder = make(tmp_path, attention=0.0)
    theirs = pipeline("automatic-speech-recognition", str(folder), dtype=torch.float32)
    prediction = ctc.load(folder, hf.describe(folder, id="local"), dtype="float32").predict(dialogue)
    assert np.abs(prediction.scores - plain(theirs, dialogue).logits[0].softmax(-1).numpy()).max() < 1e-3
    assert prediction.text == theirs(dialogue.y.copy())["text"]


def test_layers_are_those_of_a_plain_forward_pass(model: ctc.Ctc, theirs: Any, sentence: Clip) -> None:
    clip = sentence.section(0.0, 3.0)
    found = model.inspect(clip, model.card.layers)
    states = plain(theirs, clip, output_hidden_states=True).hidden_states
    names = ("projected", *(f"layer_{n}" for n in range(1, len(states))))
    for name, reference in zip(names, states, strict=True):
        assert found[name].dims == ("frame", "unit")
        assert np.abs(found[name].values - reference[0].numpy()).max() < 1e-5 * max(1.0, float(reference.abs().max()))
    assert found["conv_7"].values.shape == (149, 24)
    assert found["conv_1"].times[1] - found["conv_1"].times[0] == pytest.approx(5 / 16000)
    last = torch.from_numpy(found["embedding"].values.copy())
    with torch.inference_mode():
        scores = theirs.model.lm_head(last).softmax(-1).numpy()
    assert np.abs(scores - model.predict(clip).scores).max() < 1e-5


def test_attention_is_that_of_a_plain_forward_pass(model: ctc.Ctc, folder: Path, theirs: Any, sentence: Clip) -> None:
    clip = sentence.section(0.0, 2.0)
    eager = AutoModelForCTC.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    x = theirs.feature_extractor(clip.y, sampling_rate=16000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        reference = eager(x, output_attentions=True).attentions
    before = model.predict(clip).scores
    found = model.inspect(clip, ["attention_1", "attention_3"])
    for name, number in (("attention_1", 0), ("attention_3", 2)):
        assert found[name].dims == ("head", "query", "key")
        assert np.abs(found[name].values - reference[number][0].numpy()).max() < 1e-5
    assert model.net.config._attn_implementation == "sdpa"
    assert np.array_equal(model.predict(clip).scores, before)


def test_attention_of_several_windows_lies_where_it_belongs(model: ctc.Ctc, dialogue: Clip) -> None:
    """Each row of the square sums to 1 and is 0 outside of its own window."""
    values = model.inspect(dialogue.section(0.0, 24.0), ["attention_2"])["attention_2"].values
    own, context = round(OWN_S / 0.02), round(CONTEXT_S / 0.02)
    assert values.shape == (4, 1199, 1199)
    assert np.abs(values.sum(axis=2) - 1).max() < 1e-4
    assert not values[:, :own, own + context :].any()
    assert not values[:, own:, : own - context].any()
    assert values[:, own:, own - context : own].any()


@pytest.mark.parametrize("layer", ["attention_1", "conv_1"])
def test_what_would_not_fit_is_refused_in_a_sentence(model: ctc.Ctc, layer: str) -> None:
    with pytest.raises(ModelError, match=rf"{layer}.*60 s.*shorter section\.$"):
        model.inspect(Clip.from_array("long", np.zeros(61 * 8000), 8000), [layer])


def test_progress_covers_both_passes_and_can_cancel(model: ctc.Ctc, dialogue: Clip) -> None:
    told: list[float] = []
    model.predict(dialogue, told.append)
    assert told == sorted(told)
    assert 0 < told[0] < 0.02 and told[-1] == 1.0
    assert len(told) > 40

    def stop(share: float) -> None:
        if share > 0.3:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        model.predict(dialogue, stop)
    with pytest.raises(Cancelled):
        model.inspect(dialogue, ["layer_1", "attention_1"], stop)
    assert_no_traces(model)


def assert_no_traces(model: AudioModel) -> None:
    net: Any = vars(model)["net"]
    assert not any(module._forward_hooks or module.training for module in net.modules())
    assert net.config._attn_implementation == "sdpa"
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("y", [np.zeros(24000), np.array([0.5]), np.ones(16000), np.zeros(399)])
def test_degenerate_sounds_have_finite_scores(model: ctc.Ctc, y: np.ndarray) -> None:
    scores = model.predict(Clip.from_array("odd", y, 16000)).scores
    assert len(scores) >= 1
    assert np.isfinite(scores).all()


def test_bfloat16_is_told_on_the_card_and_changes_little(folder: Path, model: ctc.Ctc, sentence: Clip) -> None:
    half = ctc.load(folder, hf.describe(folder, id="half"), dtype="bfloat16")
    assert half.net.dtype == torch.bfloat16
    assert "bfloat16" in half.card.caveats[-1]
    change = np.abs(half.predict(sentence).scores - model.predict(sentence).scores)
    assert 0 < change.mean() < 0.01


def test_bfloat16_is_kept_only_where_the_answers_stay(
    folder: Path, sentence: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = hf.describe(folder, id="auto")
    monkeypatch.setattr("components.models.hf.precision.has_bfloat16", lambda: True)
    monkeypatch.setattr("components.models.hf.precision.LARGEST_CHANGE", 0.0)
    assert ctc.load(folder, card).net.dtype == torch.float32
    monkeypatch.setattr("components.models.hf.precision.has_bfloat16", lambda: False)
    monkeypatch.setattr("components.models.hf.precision.LARGEST_CHANGE", 1.0)
    assert ctc.load(folder, card).net.dtype == torch.float32
    assert isinstance(has_bfloat16(), bool)


def test_a_vocabulary_of_another_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "SeamlessM4TTokenizer"}')
    with pytest.raises(ModelError, match="vocabulary"):
        hf.load(tmp_path, hf.describe(tmp_path, id="x"))
