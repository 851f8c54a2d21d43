from pathlib import Path

import numpy as np
import pytest
import torch

from components.errors import ModelError
from components.models import frames, rnn
from components.training.lineup import make_card, write_card
from components.training.recipes.digits import FRONT, LABELS, LINEUP
from components.types import Clip


def model_of(net: rnn.Elman | rnn.Lstm, folder: Path) -> rnn.RecurrentModel:
    name = "digits-elman" if isinstance(net, rnn.Elman) else "digits-lstm"
    rnn.save(rnn.RecurrentModel(make_card(LINEUP, name, (), 0), FRONT, net), folder)
    write_card(LINEUP, folder, name, ())
    return rnn.load(folder)


@pytest.fixture
def elman(tmp_path: Path) -> rnn.RecurrentModel:
    torch.manual_seed(0)
    return model_of(rnn.Elman(FRONT.params, len(LABELS), 24), tmp_path)


@pytest.fixture
def lstm(tmp_path: Path) -> rnn.RecurrentModel:
    torch.manual_seed(0)
    return model_of(rnn.Lstm(FRONT.params, len(LABELS), 24), tmp_path)


def clip(seconds: float, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(int(8000 * seconds)) * 0.1 * (1 + np.sin(np.arange(int(8000 * seconds)) / 700))
    return Clip.from_array("noise", y, 8000)


def test_elman_is_the_textbook_formula(elman: rnn.RecurrentModel) -> None:
    a = elman.inspect(clip(3), elman.card.layers)
    net = elman.net
    assert isinstance(net, rnn.Elman)
    W_xh, W_hh, b = (p.detach().numpy() for p in (net.W_xh, net.W_hh, net.b))
    h = np.zeros(len(b))
    for t, x in enumerate(a["input"].values):
        h = np.tanh(W_xh @ x + W_hh @ h + b)
        np.testing.assert_allclose(a["h_t"].values[t], h, atol=1e-5)


def test_the_three_terms_make_the_state(elman: rnn.RecurrentModel) -> None:
    a = elman.inspect(clip(20), elman.card.layers)
    total = a["W_xh x_t"].values + a["W_hh h_{t-1}"].values + a["b"].values
    np.testing.assert_allclose(np.tanh(total), a["h_t"].values, atol=1e-5)


def test_elman_has_one_bias_and_the_textbook_names(elman: rnn.RecurrentModel) -> None:
    shapes = {name: tuple(p.shape) for name, p in elman.net.named_parameters() if not name.startswith("head")}
    assert shapes == {"W_xh": (24, 8 * 13), "W_hh": (24, 24), "b": (24,)}


def test_lstm_gates_make_the_states(lstm: rnn.RecurrentModel) -> None:
    a = {name: x.values for name, x in lstm.inspect(clip(20), lstm.card.layers).items()}
    c = a["cell_state"]
    before = np.concatenate([np.zeros_like(c[:1]), c[:-1]])
    np.testing.assert_allclose(a["forget_gate"] * before + a["input_gate"] * a["cell_candidate"], c, atol=1e-5)
    np.testing.assert_allclose(a["output_gate"] * np.tanh(c), a["hidden_state"], atol=1e-5)
    for gate in ("input_gate", "forget_gate", "output_gate"):
        assert 0 <= a[gate].min() < 0.5 < a[gate].max() <= 1


def test_lstm_formula_is_torchs_kernel(lstm: rnn.RecurrentModel) -> None:
    a = lstm.inspect(clip(3), ["input", "hidden_state"])
    with torch.inference_mode():
        h, _ = lstm.net.states(torch.tensor(a["input"].values)[None], None)
    np.testing.assert_allclose(a["hidden_state"].values, h[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("which", ["elman", "lstm"])
def test_blocks_are_the_whole(which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    model = request.getfixturevalue(which)
    sound = clip(9)
    whole = model.predict(sound)
    states = model.inspect(sound, model.card.layers)
    cut = frames.windows
    monkeypatch.setattr(frames, "windows", lambda blocks, left, right: cut(blocks, left, right, 37))
    np.testing.assert_allclose(model.predict(sound).scores, whole.scores, atol=1e-5)
    for name, part in model.inspect(sound, model.card.layers).items():
        np.testing.assert_allclose(part.values, states[name].values, atol=1e-5)
        np.testing.assert_allclose(part.times, whole.times)


def test_scores_come_from_the_state_that_is_shown(elman: rnn.RecurrentModel) -> None:
    sound = clip(2)
    h = torch.tensor(elman.inspect(sound, ["h_t"])["h_t"].values)
    with torch.inference_mode():
        expected = elman.net.head(h).softmax(dim=1).numpy()
    np.testing.assert_allclose(elman.predict(sound).scores, expected, atol=1e-5)


def test_input_is_the_stack_of_neighbours(elman: rnn.RecurrentModel) -> None:
    x = elman.inspect(clip(2), ["input"])["input"].values.reshape(-1, len(rnn.OFFSETS), 13)
    step = rnn.OFFSETS[1] - rnn.OFFSETS[0]
    np.testing.assert_array_equal(x[step:, 0], x[:-step, 1])


def test_unknown_layer_is_told(lstm: rnn.RecurrentModel) -> None:
    with pytest.raises(ModelError, match="no layer called h_t"):
        lstm.inspect(clip(1), ["h_t"])
