import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.errors import Cancelled
from components.models import cnn, frames
from components.training.lineup import make_card, write_card
from components.training.recipes.digits import FRONT, LINEUP
from components.types import Clip


@pytest.fixture
def model(tmp_path: Path) -> cnn.CnnModel:
    torch.manual_seed(0)
    net = cnn.Cnn(32, 11, cnn.CnnShape())
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
    cnn.save(cnn.CnnModel(make_card(LINEUP, "digits-cnn", (), 0), FRONT, net), tmp_path)
    write_card(LINEUP, tmp_path, "digits-cnn", ())
    return cnn.load(tmp_path)


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(8000 * seconds)).astype(np.float32) * 0.1


def test_blocks_are_the_whole(model: cnn.CnnModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip.from_array("noise", noise(9), 8000)
    whole, layers = model.predict(clip), model.inspect(clip, model.card.layers)
    cut = frames.windows
    monkeypatch.setattr(frames, "windows", lambda blocks, left, right: cut(blocks, left, right, 37))
    np.testing.assert_allclose(model.predict(clip).scores, whole.scores, atol=1e-5)
    for name, part in model.inspect(clip, model.card.layers).items():
        np.testing.assert_allclose(part.values, layers[name].values, atol=1e-4)


def test_window_s_is_the_receptive_field(model: cnn.CnnModel) -> None:
    context = model.net.shape.context
    assert context == 16
    x = torch.randn(1, 2 * context + 101, 32)
    changed = x.clone()
    changed[:, context + 50] += 5
    with torch.inference_mode():
        moved = (model.net(x) - model.net(changed)).abs().sum(dim=2)[0].numpy()
    where = np.flatnonzero(moved > 1e-6)
    assert where[0] >= 50 - context
    assert where[-1] <= 50 + context
    assert where[-1] - where[0] == 2 * context
    assert model.card.window_s == pytest.approx(FRONT.window_s + 2 * context * FRONT.hop_s)


def test_feature_maps_are_on_the_clock(model: cnn.CnnModel) -> None:
    """A click shows in each feature map around its own time, and nowhere else."""
    y = np.zeros(16000, np.float32)
    shape = model.net.shape
    quiet = model.inspect(Clip.from_array("silence", y, 8000), shape.blocks)
    y[8000] = 0.5
    loud = model.inspect(Clip.from_array("click", y, 8000), shape.blocks)
    reach = 0.0
    for name, dilation in zip(shape.blocks, shape.dilations, strict=True):
        reach += dilation * FRONT.hop_s
        a, b = loud[name].values, quiet[name].values
        # The click changes the clip's level too: compare with a frame that is far from it.
        change = np.abs(a - a[:, :, :1]).max(axis=(0, 1))
        assert loud[name].dims == ("channel", "mel", "frame")
        assert a.shape == b.shape
        times = loud[name].times
        assert times is not None
        heard = times[change > 1e-4]
        heard = heard[(heard > 0.5) & (heard < 1.5)]
        assert heard.size
        assert abs(heard.mean() - 1.0) < 2 * FRONT.hop_s
        assert np.abs(heard - 1.0).max() <= reach + FRONT.window_s / 2 + FRONT.hop_s


def test_scores_come_from_the_embedding(model: cnn.CnnModel) -> None:
    clip = Clip.from_array("noise", noise(2), 8000)
    z = torch.tensor(model.inspect(clip, ["embedding"])["embedding"].values)
    with torch.inference_mode():
        expected = model.net.head(z).softmax(dim=1).numpy()
    np.testing.assert_allclose(model.predict(clip).scores, expected, atol=1e-5)


def test_no_hook_is_left(model: cnn.CnnModel) -> None:
    clip = Clip.from_array("noise", noise(1), 8000)

    def stop(share: float) -> None:
        if share > 0.5:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        model.inspect(clip, ["block_1"], stop)
    model.inspect(clip, ["block_1"])
    assert all(not m._forward_hooks for m in model.net.modules())


def test_a_network_of_another_shape_comes_back_from_its_folder(tmp_path: Path) -> None:
    shape = cnn.CnnShape(channels=(8, 12, 16), dilations=(1, 4, 9), pooled=2)
    front = replace(FRONT, params=replace(FRONT.params, n_mels=24))
    torch.manual_seed(1)
    card = replace(make_card(LINEUP, "digits-cnn", (), 0), **frozen(cnn.card_facts(front, shape)))
    cnn.save(cnn.CnnModel(card, front, cnn.Cnn(24, 11, shape)), tmp_path)
    (tmp_path / "card.json").write_text(json.dumps(asdict(card)))
    model = cnn.load(tmp_path)
    assert (model.front, model.net.shape, model.card) == (front, shape, card)
    found = model.inspect(Clip.from_array("noise", noise(1), 8000), model.card.layers)
    assert [a.values.shape[:2] for a in found.values()][1:4] == [(8, 12), (12, 6), (16, 6)]


def frozen(facts: dict[str, object]) -> dict[str, object]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}
