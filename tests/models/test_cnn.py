from pathlib import Path

import numpy as np
import pytest
import torch

from components.errors import Cancelled
from components.models import cnn, frames
from components.training.recipes.digits import makers, write_card
from components.types import Clip


@pytest.fixture
def model(tmp_path: Path) -> cnn.CnnModel:
    torch.manual_seed(0)
    net = cnn.Cnn()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
    cnn.save(net, tmp_path)
    write_card(tmp_path, "digits-cnn", makers()["digits-cnn"], ())
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
    x = torch.randn(1, 2 * cnn.CONTEXT + 101, frames.PARAMS.n_mels)
    changed = x.clone()
    changed[:, cnn.CONTEXT + 50] += 5
    with torch.inference_mode():
        moved = (model.net(x) - model.net(changed)).abs().sum(dim=2)[0].numpy()
    where = np.flatnonzero(moved > 1e-6)
    assert where[0] >= 50 - cnn.CONTEXT
    assert where[-1] <= 50 + cnn.CONTEXT
    assert where[-1] - where[0] == 2 * cnn.CONTEXT
    assert model.card.window_s == pytest.approx(frames.WINDOW_S + 2 * cnn.CONTEXT * frames.HOP_S)


def test_feature_maps_are_on_the_clock(model: cnn.CnnModel) -> None:
    """A click shows in each feature map around its own time, and nowhere else."""
    y = np.zeros(16000, np.float32)
    quiet = model.inspect(Clip.from_array("silence", y, 8000), cnn.BLOCKS)
    y[8000] = 0.5
    loud = model.inspect(Clip.from_array("click", y, 8000), cnn.BLOCKS)
    reach = 0.0
    for name, dilation in zip(cnn.BLOCKS, cnn.DILATIONS, strict=True):
        reach += dilation * frames.HOP_S
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
        assert abs(heard.mean() - 1.0) < 2 * frames.HOP_S
        assert np.abs(heard - 1.0).max() <= reach + frames.WINDOW_S / 2 + frames.HOP_S


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
