import copy

import numpy as np
import pytest
import torch

from components.errors import ModelError
from components.models import transformer as tr
from components.training.lineup import make_card, write_card
from components.training.recipes.digits import FRONT, LABELS, LINEUP
from components.types import Clip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tr.TransformerModel:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    net = tr.make_net(FRONT.params, LABELS)
    net.config.feature_std = [2.0] * len(net.config.feature_std)
    card = make_card(LINEUP, "digits-transformer", (), 0)
    tr.save(tr.TransformerModel(card, FRONT, net, tr.Windows()), folder)
    write_card(LINEUP, folder, "digits-transformer", ())
    return tr.load(folder)


def clip(seconds: float) -> Clip:
    y = np.random.default_rng(0).standard_normal(int(8000 * seconds)) * 0.1
    return Clip.from_array("noise", y, 8000)


def test_what_was_saved_is_what_is_loaded(model: tr.TransformerModel) -> None:
    assert model.net.config.feature_std == [2.0] * 13
    assert model.net.config.position_embeddings_type == "relative_key"


def test_attention_rows_sum_to_one(model: tr.TransformerModel) -> None:
    a = model.inspect(clip(12), ["attention_1", "attention_3"])
    for name in ("attention_1", "attention_3"):
        assert a[name].dims == ("head", "query", "key")
        assert a[name].values.shape[1] == a[name].values.shape[2]
        np.testing.assert_allclose(a[name].values.sum(axis=2), 1.0, atol=1e-5)
        assert a[name].values.min() >= 0


def test_attention_of_a_long_clip_is_refused_in_words(model: tr.TransformerModel) -> None:
    with pytest.raises(ModelError, match="shorter section"):
        model.inspect(clip(61), ["attention_1"])
    assert model.inspect(clip(61), ["layer_1"])["layer_1"].values.shape[1] == 96


@pytest.mark.parametrize("count", [1, 2, 255, 320, 321, 577, 1000])
def test_windows_cover_each_token_once(count: int) -> None:
    x = np.arange(count, dtype=np.float32)[:, None].repeat(32, axis=1) + 1
    silence = np.full((1, 32), -9, np.float32)
    own = []
    for window, before, k in tr.token_windows(tr.Windows(), iter([silence, x[: count // 3], x[count // 3 :]])):
        assert len(window) % tr.STRIDE == 0
        own.append(window[before * tr.STRIDE : (before + k) * tr.STRIDE, 0])
    found = np.concatenate(own)
    np.testing.assert_array_equal(found[:count], np.arange(count) + 1)
    assert found.size - count == count % tr.STRIDE


def test_stitched_is_whole_away_from_the_seams(model: tr.TransformerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows change what a token may attend to, so the middle of a window is nearly, not exactly, the whole's."""
    sound = clip(12)
    stitched = model.predict(sound)
    monkeypatch.setattr(model, "windows", tr.Windows(own=100_000))
    whole = model.predict(sound)
    np.testing.assert_allclose(stitched.times, whole.times)
    difference = np.abs(stitched.scores - whole.scores).max(axis=1)
    seams = np.arange(256, 750, 256) / 62.5
    away = np.abs(stitched.times[:, None] - seams).min(axis=1) > 1.0
    assert difference[away].max() < 0.05
    assert difference.mean() < 0.02


def test_layers_are_transformers_own_hidden_states(model: tr.TransformerModel) -> None:
    a = model.inspect(clip(2), model.card.layers)
    assert all(not module._forward_hooks for module in model.net.modules())
    with torch.inference_mode():
        tokens = torch.tensor(a["input"].values)[None]
        logits = tr.logits_of(model.net, tokens)
        out = copy.deepcopy(model.net)(tokens, output_hidden_states=True, output_attentions=True)
    np.testing.assert_allclose(logits.numpy(), out.logits.numpy(), atol=1e-5)
    for name, expected in zip(("embedding", "layer_1", "layer_2", "layer_3"), out.hidden_states, strict=True):
        np.testing.assert_allclose(a[name].values, expected[0].numpy(), atol=1e-5)
    for number, expected in enumerate(out.attentions, start=1):
        np.testing.assert_allclose(a[f"attention_{number}"].values, expected[0].numpy(), atol=1e-6)


def test_a_short_clip_is_one_window(model: tr.TransformerModel) -> None:
    sound = clip(3)
    a = model.inspect(sound, ["layer_3", "input"])
    with torch.inference_mode():
        expected = tr.logits_of(model.net, torch.tensor(a["input"].values)[None])[0].softmax(dim=1).numpy()
        shown = model.net.classifier(torch.tensor(a["layer_3"].values)).softmax(dim=1).numpy()
    prediction = model.predict(sound)
    np.testing.assert_allclose(prediction.scores, expected, atol=1e-5)
    np.testing.assert_allclose(prediction.scores, shown, atol=1e-5)
    np.testing.assert_allclose(np.diff(prediction.times), model.card.hop_s)
