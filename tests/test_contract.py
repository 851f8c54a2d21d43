"""What every model must do, whatever it is made of: those that ship, and each adapter on a tiny random checkpoint."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from components.errors import Cancelled, ModelError
from components.models import hf, registry
from components.models.base import AudioModel
from components.types import Clip, Prediction
from tests import tiny_checkpoints, tiny_whisper_clap

MODELS = [card.id for card in registry.cards() if card.source != "download"]
ROOT = Path(__file__).resolve().parent.parent


TINY: dict[str, Callable[[Path], Path]] = {
    "ctc": tiny_checkpoints.wav2vec2_ctc,
    "classification": tiny_checkpoints.hubert_classification,
    "ast": tiny_checkpoints.ast,
    "encoder": tiny_checkpoints.hubert_encoder,
    "whisper": tiny_whisper_clap.whisper,
    "clap": tiny_whisper_clap.clap,
}
"""Makers of a checkpoint for each kind of adapter. YAMNet and OpenL3, which are never tiny, have tests of their own."""


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AudioModel]:
    models = {}
    for name, make in TINY.items():
        folder = make(tmp_path_factory.mktemp(name))
        models[name] = hf.load(folder, hf.describe(folder, id=f"tiny-{name}"))
    return models


@pytest.fixture(params=[*MODELS, *TINY])
def model(request: pytest.FixtureRequest) -> AudioModel:
    if request.param in TINY:
        adapted: AudioModel = request.getfixturevalue("adapters")[request.param]
        return adapted
    return registry.load(request.param)


@pytest.fixture(params=MODELS)
def shipped(request: pytest.FixtureRequest) -> AudioModel:
    return registry.load(request.param)


@cache
def babble(duration_s: float, sr: int, seed: int = 0) -> np.ndarray:
    """Something between noise and voice: a buzz of changing pitch and level in faint noise, shape (n_samples,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(max(1, round(duration_s * sr))) / sr
    phase = 2 * np.pi * (120 * t + 3 * np.sin(2 * np.pi * 0.7 * t))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    level = np.clip(np.sin(2 * np.pi * 2.3 * t), 0, 1)
    return (0.2 * level * buzz + 0.002 * rng.standard_normal(t.size)).astype(np.float32)


CLIPS = {
    "silence": lambda: Clip.from_array("silence", np.zeros(24000), 8000),
    "one sample": lambda: Clip.from_array("one sample", [0.5], 8000),
    "one sample at 192 kHz": lambda: Clip.from_array("one sample", [0.5], 192000),
    "50 ms": lambda: Clip.from_array("50 ms", babble(0.05, 16000), 16000),
    "10 s at 8 kHz": lambda: Clip.from_array("8 kHz", babble(10, 8000), 8000),
    "10 s at 16 kHz": lambda: Clip.from_array("16 kHz", babble(10, 16000), 16000),
    "10.0123 s at 44.1 kHz": lambda: Clip.from_array("44.1 kHz", babble(10.0123, 44100), 44100),
    "10 s at 192 kHz": lambda: Clip.from_array("192 kHz", babble(10, 192000), 192000),
    "direct current": lambda: Clip.from_array("direct current", np.ones(32000), 16000),
    "full-scale noise": lambda: Clip.from_array(
        "noise", np.random.default_rng(1).uniform(-1, 1, 48000).astype(np.float32), 16000
    ),
}


def check(prediction: Prediction, clip: Clip, model: AudioModel) -> None:
    """The promises of a Prediction that its type cannot keep."""
    card, times, scores = model.card, prediction.times, prediction.scores
    assert (prediction.model, prediction.labels) == (card.id, card.labels)
    assert (prediction.window_s, prediction.hop_s) == (card.window_s, card.hop_s)
    assert times.size >= 1
    assert times[0] >= 0 and times[-1] <= clip.duration + card.window_s
    # No part of the sound is passed over.
    assert times[0] <= card.window_s
    assert clip.duration - times[-1] <= card.window_s + card.hop_s
    if times.size > 1:
        assert np.diff(times) == pytest.approx(card.hop_s, abs=1e-6)
    assert np.isfinite(scores).all()
    if prediction.activation != "none":
        assert scores.min() >= 0 and scores.max() <= 1 + 1e-6
    if prediction.activation == "softmax":
        assert scores.sum(axis=1) == pytest.approx(1.0, abs=1e-4)


@cache
def clip_named(name: str) -> Clip:
    """One of CLIPS, made once for all models: a clip is read-only."""
    return CLIPS[name]()


@pytest.mark.parametrize("name", CLIPS)
def test_predict_keeps_its_promises_on(name: str, model: AudioModel) -> None:
    clip = clip_named(name)
    before = clip.y.copy()
    check(model.predict(clip), clip, model)
    assert np.array_equal(clip.y, before)


def test_card_says_what_the_model_is(shipped: AudioModel) -> None:
    card = shipped.card
    assert card == registry.card(card.id)
    assert card.labels and card.title and card.summary and card.licence and card.citation and card.caveats
    assert card.size_bytes == sum(path.stat().st_size for path in registry.weight_files(card.id))
    for score in card.held_out:
        of_folds = [value for _, value in score.folds]
        assert score.score == pytest.approx(np.mean(of_folds), abs=0.005)
        assert score.worst == pytest.approx(min(of_folds), abs=0.005)


def test_predict_gives_the_same_twice_and_carries_nothing_over(model: AudioModel) -> None:
    clip = Clip.from_array("clip", babble(2, 16000), 16000)
    first = model.predict(clip)
    model.predict(Clip.from_array("other", babble(3, 22050, seed=5), 22050))
    assert np.array_equal(model.predict(clip).scores, first.scores)


def test_scores_do_not_depend_on_the_rate_of_the_file(model: AudioModel) -> None:
    """A sound below 3 kHz is the same sound at 16 and at 48 kHz, so its scores are nearly the same."""
    t = np.arange(3 * 48000) / 48000
    y = (0.3 * np.sin(2 * np.pi * 300 * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2).astype(np.float32)
    high = model.predict(Clip.from_array("48 kHz", y, 48000)).scores
    low = model.predict(Clip.from_array("16 kHz", y[::3], 16000)).scores
    n = max(1, min(len(high), len(low)) - 1)
    assert abs(len(high) - len(low)) <= 1
    assert np.abs(high[:n] - low[:n]).sum() < 0.02 * max(1, high[:n].size)


def test_progress_rises_to_one(model: AudioModel) -> None:
    clip = Clip.from_array("clip", babble(30, 16000), 16000)
    for work in (model.predict, lambda c, on: model.inspect(c, model.card.layers[:1], on)):
        shares: list[float] = []
        work(clip, shares.append)
        assert shares == sorted(shares)
        assert shares[0] >= 0 and shares[-1] == 1.0


def test_cancelling_ends_the_work_and_leaves_the_model_sound(model: AudioModel) -> None:
    clip = Clip.from_array("clip", babble(2, 16000), 16000)
    whole = model.predict(clip)

    def stop(share: float) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        model.predict(clip, stop)
    with pytest.raises(Cancelled):
        model.inspect(clip, model.card.layers, stop)
    assert np.array_equal(model.predict(clip).scores, whole.scores)
    assert_no_traces(model)


def test_inspect_returns_exactly_the_layers_asked_for(model: AudioModel) -> None:
    clip = Clip.from_array("clip", babble(2, 16000), 16000)
    for layer in model.card.layers:
        assert list(model.inspect(clip, [layer])) == [layer]
    found = model.inspect(clip, model.card.layers)
    assert tuple(found) == model.card.layers
    assert tuple(activation.kind for activation in found.values()) == model.card.emits
    assert_no_traces(model)


def test_activations_are_on_the_clock_of_the_clip(model: AudioModel) -> None:
    clip = Clip.from_array("clip", babble(2, 44100), 44100)
    for layer, activation in model.inspect(clip, model.card.layers).items():
        assert activation.layer == layer
        assert np.isfinite(activation.values).all()
        assert activation.times is not None
        assert (np.diff(activation.times) > 0).all()
        assert activation.times[0] >= 0
        assert activation.times[-1] <= clip.duration + model.card.window_s
        assert clip.duration - activation.times[-1] <= 2 * model.card.window_s + model.card.hop_s
    assert any(activation.dims == ("frame", "unit") for activation in model.inspect(clip, model.card.layers).values())


@pytest.mark.parametrize("name", ["silence", "one sample", "50 ms", "direct current"])
def test_inspect_copes_with(name: str, model: AudioModel) -> None:
    for activation in model.inspect(clip_named(name), model.card.layers).values():
        assert activation.values.size
        assert np.isfinite(activation.values).all()


def test_an_unknown_layer_is_named_in_a_sentence(model: AudioModel) -> None:
    clip = clip_named("50 ms")
    with pytest.raises(ModelError, match=r"no_such_layer.*\.$"):
        model.inspect(clip, ["no_such_layer"])


def assert_no_traces(model: AudioModel) -> None:
    """No hook is left, nothing trains, and gradients are as they were for everybody else."""
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    for net in (value for value in vars(model).values() if isinstance(value, torch.nn.Module)):
        for module in net.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
            assert not module.training
        assert all(parameter.grad is None for parameter in net.parameters())


LONG_S = 600
MORE_BYTES = 50_000_000

# A process of its own for each model, forked where the libraries are already imported: that takes longest.
MEMORY = """
import os, resource, sys
import numpy as np
import torch, sklearn
from components.models import registry
from components.types import Clip, ClipSource
torch.set_num_threads(1)
y = np.memmap(sys.argv[1], np.float32, "r")
source = ClipSource("generated", 1, 8000, y.size / 8000)
for model_id in sys.argv[2:]:
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            sys.exit(1)
        continue
    model = registry.load(model_id)
    model.predict(Clip.from_array("a minute", y[: 60 * 8000].copy(), 8000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    prediction = model.predict(Clip("long", y, 8000, "digest", source))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    print(model_id, (after - before) * unit, prediction.times[-1], flush=True)
    sys.exit()
"""


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.f32"
    block = babble(10, 8000).tobytes()
    with path.open("wb") as file:
        for _ in range(LONG_S // 10):
            file.write(block)
    return path


def test_memory_does_not_grow_with_the_recording(long_file: Path) -> None:
    """Ten minutes may cost at most 50 MB more than one (an hour 300 MB); their samples alone are 38 MB at 16 kHz.

    The other line-ups are the digit models' architectures; `run.py bench models` measures those, too, for an hour.
    """
    pytest.importorskip("resource")
    ids = [i for i in MODELS if i.startswith(("digits", "silero", "speech"))]
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, str(long_file), *ids]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in rows] == ids
    for name, grown, last in rows:
        assert float(grown) < MORE_BYTES, name
        assert float(last) == pytest.approx(LONG_S, abs=2.0), name
