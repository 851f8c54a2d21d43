import shutil
from pathlib import Path

import numpy as np
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from components.errors import ModelError
from components.models import classical, frames
from components.training.lineup import make_card, write_card
from components.training.recipes.digits import FRONT, LABELS, LINEUP
from components.types import Clip

WINDOW = classical.Window()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> classical.ClassicalModel:
    """Learned from noise whose spectrum tilts differently for each class."""
    folder = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(0)
    heard = []
    for k in range(len(LABELS)):
        for _ in range(4):
            tilt = np.cos(np.linspace(0, np.pi * (k + 1) / 2, 32))
            x = (rng.standard_normal((80 + 2 * WINDOW.margin, 32)) + 2 * tilt).astype(np.float32)
            heard.append((x, np.full(80, k)))
    learned = classical.fit(FRONT, heard, n_classes=len(LABELS), window=WINDOW, n_components=2, seed=0)
    card = make_card(LINEUP, "digits-classical", (), 0)
    classical.save(classical.ClassicalModel(card, FRONT, learned), folder)
    write_card(LINEUP, folder, "digits-classical", ())
    return classical.load(folder)


def clip(seconds: float) -> Clip:
    return Clip.from_array("noise", np.random.default_rng(0).standard_normal(int(8000 * seconds)) * 0.1, 8000)


def test_blocks_are_the_whole(model: classical.ClassicalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = clip(9)
    whole, layers = model.predict(sound), model.inspect(sound, model.card.layers)
    cut = frames.windows
    monkeypatch.setattr(frames, "windows", lambda blocks, left, right: cut(blocks, left, right, 37))
    np.testing.assert_allclose(model.predict(sound).scores, whole.scores, atol=1e-4)
    for name, part in model.inspect(sound, model.card.layers).items():
        np.testing.assert_allclose(part.values, layers[name].values, atol=1e-3)


def test_window_s_is_all_that_a_score_hears(model: classical.ClassicalModel) -> None:
    x = np.random.default_rng(1).standard_normal((2 * WINDOW.margin + 101, 32)).astype(np.float32)
    changed = x.copy()
    changed[WINDOW.margin + 50] += 1

    def means(values: np.ndarray) -> np.ndarray:
        likelihoods = classical.log_likelihoods(model.learned.mixtures, classical.mfcc_and_slopes(FRONT, values))
        return classical.window_means(WINDOW, likelihoods)

    moved = np.flatnonzero(np.abs(means(x) - means(changed)).max(axis=1) > 1e-6)
    assert moved[0] == 50 - WINDOW.margin
    assert moved[-1] == 50 + WINDOW.margin
    assert model.card.window_s == pytest.approx(FRONT.window_s + 2 * WINDOW.margin * FRONT.hop_s)


def test_slopes_of_a_parabola() -> None:
    """m_t = t^2 in the first coefficient: slope over +-2 frames is 4 t, curvature over +-4 frames is 8."""
    t = np.arange(40, dtype=np.float32)
    log_mel = (t**2)[:, None] * frames.dct_basis(FRONT.params)[:, 0]
    x = classical.mfcc_and_slopes(FRONT, log_mel)
    inner = t[classical.SLOPE : -classical.SLOPE]
    np.testing.assert_allclose(x[:, 0], inner**2, rtol=1e-4)
    np.testing.assert_allclose(x[:, 13], 4 * inner, rtol=1e-3)
    np.testing.assert_allclose(x[:, 26], 8, rtol=1e-2)


def test_likelihoods_are_relative_and_floored(model: classical.ClassicalModel) -> None:
    found = model.inspect(clip(2), ["log_likelihood"])["log_likelihood"].values
    np.testing.assert_allclose(found.max(axis=1), 0, atol=1e-6)
    assert found.min() >= classical.LIKELIHOOD_FLOOR


def test_classes_are_learned(model: classical.ClassicalModel) -> None:
    rng = np.random.default_rng(5)
    tilt = np.cos(np.linspace(0, np.pi * 2, 32))
    x = (rng.standard_normal((60 + 2 * WINDOW.margin, 32)) + 2 * tilt).astype(np.float32)
    likelihoods = classical.log_likelihoods(model.learned.mixtures, classical.mfcc_and_slopes(FRONT, x))
    best = model.learned.classify.predict(classical.window_means(WINDOW, likelihoods))
    assert np.mean(best == 3) > 0.95


def test_a_weight_file_of_another_model_is_refused(tmp_path: Path) -> None:
    from sklearn.svm import SVC

    x = np.random.default_rng(0).standard_normal((20, 2))
    skops.io.dump({"mixtures": [], "classify": SVC().fit(x, x[:, 0] > 0)}, tmp_path / classical.WEIGHTS)
    with pytest.raises(ModelError, match="not those of a classical model"):
        classical.load(tmp_path)


def test_a_weight_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    skops.io.dump({"mixtures": [], "classify": shutil.rmtree}, tmp_path / classical.WEIGHTS)
    with pytest.raises(UntrustedTypesFoundException):
        classical.load(tmp_path)


@pytest.mark.parametrize("window", [classical.Window(5, 1), classical.Window(20, 5), classical.Window(60, 4)])
def test_window_means_are_means_of_the_parts(window: classical.Window) -> None:
    x = np.random.default_rng(0).standard_normal((2 * window.context + 7, 3)).astype(np.float32)
    width = (2 * window.context + 1) // window.parts
    means = classical.window_means(window, x).reshape(7, window.parts, 3)
    for t in range(7):
        np.testing.assert_allclose(means[t, 0], x[t : t + width].mean(axis=0), atol=1e-5)
        stop = t + 2 * window.context + 1
        np.testing.assert_allclose(means[t, -1], x[stop - width : stop].mean(axis=0), atol=1e-5)
