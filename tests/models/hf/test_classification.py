from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ASTForAudioClassification, pipeline

from components.audio.decode import decode
from components.audio.samples import SAMPLES
from components.errors import Cancelled, ModelError
from components.models import hf
from components.models.hf import classification
from components.models.hf.classification import HOP_S, WINDOW_S, hop_means, sliding
from components.models.hf.facts import AstGeometry, activation_of, class_labels
from components.types import Clip
from tests import tiny_checkpoints as tiny

SPEECH = ("hubert_classification", "wav2vec2_classification")


@pytest.fixture(scope="module")
def dialogue() -> Clip:
    path = next(sample.path for sample in SAMPLES if sample.name == "Two people talking")
    clip = decode(path, name="dialogue").clip
    return Clip.from_array("dialogue", clip.y, clip.sr)


@pytest.fixture(scope="module", params=[*SPEECH, "ast"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = getattr(tiny, request.param)(tmp_path_factory.mktemp("made") / request.param)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return classification.load(folder, hf.describe(folder, id="tiny"), dtype="float32")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return pipeline("audio-classification", str(folder), top_k=None, dtype=torch.float32)


def of_pipeline(theirs: Any, y: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    found = {answer["label"]: answer["score"] for answer in theirs(y.copy())}
    return np.array([found[label] for label in labels])


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0])
def test_a_short_clip_has_the_pipelines_scores(model: Any, theirs: Any, dialogue: Clip, seconds: float) -> None:
    clip = dialogue.section(1.0, 1.0 + seconds)
    prediction = model.predict(clip)
    assert prediction.scores.shape == (1, len(model.card.labels))
    assert np.abs(prediction.scores[0] - of_pipeline(theirs, clip.y, prediction.labels)).max() < 1e-5
    assert prediction.times[0] == pytest.approx(clip.duration / 2)


def test_labels_and_activation_are_those_of_the_config(model: Any, theirs: Any) -> None:
    config = theirs.model.config
    assert model.card.labels == tuple(config.id2label[k] for k in range(config.num_labels))
    assert model.predict(Clip.from_array("s", np.zeros(16000), 16000)).activation == "softmax"


def test_a_long_clip_is_a_curve_on_an_even_clock(model: Any, dialogue: Clip) -> None:
    clip = dialogue.section(0.0, 7.3)
    prediction = model.predict(clip)
    window, hop = (WINDOW_S, HOP_S) if "speech" not in model.card.labels else (model.card.window_s, model.card.hop_s)
    assert prediction.times[0] == pytest.approx(window / 2)
    assert np.diff(prediction.times) == pytest.approx(hop)
    assert len(prediction.times) == np.ceil((clip.duration - 0.02 - window) / hop) + 1
    assert prediction.scores.std(axis=0).max() > 0.01


def test_progress_ends_at_one_and_can_cancel(model: Any, dialogue: Clip) -> None:
    told: list[float] = []
    model.predict(dialogue, told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 3

    def stop(share: float) -> None:
        raise Cancelled("Stopped.")

    for work in (model.predict, lambda clip, on: model.inspect(clip, model.card.layers, on)):
        with pytest.raises(Cancelled):
            work(dialogue, stop)
    assert not any(module._forward_hooks or module.training for module in model.net.modules())
    assert model.net.config._attn_implementation == "sdpa"


def test_every_layer_is_on_the_clock(model: Any, dialogue: Clip) -> None:
    clip = dialogue.section(0.0, 5.2)
    found = model.inspect(clip, model.card.layers)
    assert tuple(found) == model.card.layers
    for name, activation in found.items():
        assert activation.kind == model.card.kinds[name]
        assert activation.times is not None and np.diff(activation.times).min() > 0
        assert activation.times[0] >= 0 and activation.times[-1] < clip.duration + 0.2
        assert clip.duration - activation.times[-1] < model.card.window_s
        if activation.kind == "attention":
            assert np.abs(activation.values.sum(axis=2) - 1).max() < 1e-4


def test_attention_of_a_long_recording_is_refused(model: Any) -> None:
    with pytest.raises(ModelError, match=r"shorter section\.$"):
        model.inspect(Clip.from_array("long", np.zeros(61 * 8000), 8000), ["attention_1"])


# Heads of speech models -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 24, 25, 26, 60, 333])
def test_sliding_means_are_those_of_the_frames(size: int) -> None:
    """Whatever the windows are in which the frames arrive."""
    frames = np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32)
    means, sizes = hop_means(np.array_split(frames, 4) if size > 3 else [frames], 25)
    assert sum(sizes) == size
    found = sliding(means, sizes, 4)
    assert len(found) == max(1, -(-size // 25) - 3)
    for k, mean in enumerate(found):
        assert mean == pytest.approx(frames[25 * k : 25 * k + 100].mean(axis=0), abs=1e-6)


def test_the_whole_curve_averages_to_the_pipelines_answer(tmp_path: Path, dialogue: Clip) -> None:
    """The head is linear: the mean of its frames' logits over the whole file is the file's logit."""
    folder = tiny.hubert_classification(tmp_path)
    model: Any = classification.load(folder, hf.describe(folder, id="tiny"), dtype="float32")
    theirs = pipeline("audio-classification", str(folder), top_k=None, dtype=torch.float32)
    clip = dialogue.section(0.0, 12.0)
    projected = np.concatenate([model._projected(heard) for heard in model.speech.hear(clip)])
    with torch.inference_mode():
        scores = model.net.classifier(torch.from_numpy(projected.mean(axis=0))).softmax(-1).numpy()
    assert np.abs(scores - of_pipeline(theirs, clip.y, model.card.labels)).max() < 1e-5


def test_the_head_of_weighted_layers_reads_their_sum(tmp_path: Path, dialogue: Clip) -> None:
    folder = tiny.hubert_classification(tmp_path)
    model: Any = classification.load(folder, hf.describe(folder, id="tiny"), dtype="float32")
    shares = model.net.layer_weights.softmax(-1).tolist()
    assert np.std(shares) > 0.01
    names = ("projected", "layer_1", "layer_2", "layer_3")
    found = model.inspect(dialogue.section(0.0, 2.0), [*names, "embedding"])
    mixed = sum(share * found[name].values for share, name in zip(shares, names, strict=True))
    assert np.abs(found["embedding"].values - mixed).max() < 1e-5


@pytest.mark.parametrize(
    ("problem", "activation", "apply"),
    [
        ("multi_label_classification", "sigmoid", torch.sigmoid),
        ("regression", "none", lambda x: x),
        ("single_label_classification", "softmax", lambda x: x.softmax(-1)),
    ],
)
def test_the_problem_decides_how_scores_are_made(
    tmp_path: Path, problem: str, activation: str, apply: Any, dialogue: Clip
) -> None:
    folder = tiny.wav2vec2_classification(tmp_path, problem_type=problem)
    model: Any = classification.load(folder, hf.describe(folder, id="tiny"), dtype="float32")
    theirs = pipeline("audio-classification", str(folder), top_k=None, dtype=torch.float32)
    clip = dialogue.section(0.0, 1.0)
    prediction = model.predict(clip)
    assert prediction.activation == activation == activation_of({"problem_type": problem})
    assert np.abs(prediction.scores[0] - of_pipeline(theirs, clip.y, prediction.labels)).max() < 1e-5


def test_labels_are_told_apart() -> None:
    config = {"id2label": {"0": "dog", "1": "dog", "2": "cat", "3": "dog"}}
    assert class_labels(config) == ("dog", "dog (2)", "cat", "dog (3)")


# The Audio Spectrogram Transformer ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ast(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tiny.ast(tmp_path_factory.mktemp("ast"))
    return classification.load(folder, hf.describe(folder, id="ast"), dtype="float32")


def test_the_published_ast_hears_ten_seconds_every_five() -> None:
    geometry = AstGeometry.of({}, 16000)
    assert (geometry.rows, geometry.columns) == (12, 101)
    assert geometry.window_s == pytest.approx(10.255)
    assert geometry.hop_s == pytest.approx(5.1)


def test_each_ast_window_is_the_pipelines_answer_on_that_sound(ast: Any, dialogue: Clip) -> None:
    clip = dialogue.section(0.0, 6.0)
    theirs = pipeline("audio-classification", str(tiny_folder(ast)), top_k=None, dtype=torch.float32)
    prediction = ast.predict(clip)
    window, hop = ast.geometry.window, ast.geometry.hop
    assert len(prediction.times) == 5
    for k, scores in enumerate(prediction.scores):
        reference = of_pipeline(theirs, clip.y[k * hop : k * hop + window], prediction.labels)
        assert np.abs(scores - reference).max() < 1e-5


def tiny_folder(model: Any) -> str:
    return str(model.net.config.name_or_path)


def test_ast_layers_are_the_mean_over_frequency_of_a_plain_forward_pass(ast: Any, dialogue: Clip) -> None:
    """Of one full window; and attention likewise, without the two summary tokens."""
    net = ASTForAudioClassification.from_pretrained(tiny_folder(ast), attn_implementation="eager").eval()
    clip = Clip.from_array("window", dialogue.y[16000 : 16000 + ast.geometry.window], 16000)
    x = ast.extractor(clip.y, sampling_rate=16000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        plain = net(x, output_hidden_states=True, output_attentions=True)
    found = ast.inspect(clip, ast.card.layers)
    assert np.array_equal(found["input"].values, x[0, : len(found["input"].values)].numpy())
    assert len(found["input"].values) > 195
    columns = 19
    for number in (1, 2):
        patches = plain.hidden_states[number][0, 2:].reshape(5, columns, -1)
        assert np.abs(found[f"layer_{number}"].values - patches.mean(0).numpy()).max() < 1e-5
        among = plain.attentions[number - 1][0, :, 2:, 2:].reshape(4, 5, columns, 5, columns).sum(3).mean(1)
        reference = (among / among.sum(-1, keepdim=True)).numpy()
        assert np.abs(found[f"attention_{number}"].values - reference).max() < 1e-5
    assert found["embedding"].values.shape == (1, 32)


def test_a_click_is_at_its_time_in_the_spectrogram_of_every_window(ast: Any) -> None:
    """The windows' parts of the spectrogram join without a gap or a repeat."""
    y = np.zeros(6 * 16000, np.float32)
    clicks = np.arange(0.25, 6.0, 0.5)
    y[(clicks * 16000).astype(int)] = 1.0
    found = ast.inspect(Clip.from_array("clicks", y, 16000), ["input", "layer_1"])
    loud = found["input"].values.mean(axis=1) > found["input"].values.mean()
    assert np.diff(found["input"].times) == pytest.approx(0.01)
    for click in clicks:
        assert loud[np.abs(found["input"].times - click).argmin()]
        assert not loud[np.abs(found["input"].times - click - 0.1).argmin()]
    assert np.diff(found["layer_1"].times) == pytest.approx(0.1)


@pytest.mark.parametrize("y", [np.zeros(24000), np.array([0.5]), np.ones(16000), np.zeros(399)])
def test_degenerate_sounds_have_finite_scores(model: Any, y: np.ndarray) -> None:
    clip = Clip.from_array("odd", y, 16000)
    assert np.isfinite(model.predict(clip).scores).all()
    assert all(np.isfinite(a.values).all() for a in model.inspect(clip, model.card.layers).values())
