"""Gaussian mixtures on MFCC frames, the classical way to recognise words, and a linear classifier over a window.

For each class a mixture of diagonal Gaussians says how likely a frame is among that class's sounds. A single frame
says little; so the log-likelihoods are averaged over five parts of a window, in their order, and logistic regression
weighs them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.models import frames
from components.models.base import OnProgress, check_layers, read_card
from components.models.frames import FrontEnd
from components.types import Activation, ActivationKind, Clip, FloatArray, ModelCard, Prediction

WEIGHTS = "model.skops"
SLOPE = 4
"""Frames on each side that the slopes of the coefficients depend on."""
LIKELIHOOD_FLOOR = -30.0
"""A class is never more than this much less likely than the best: one odd frame shall not decide a window."""

TRUSTED: tuple[str, ...] = ()
"""Types that a weight file may hold beside those that skops itself knows to be harmless: none."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """The window of log-likelihoods that a score weighs.

    Attributes
    ----------
    context : frames on each side
    parts : parts of the window, each averaged by itself
    """

    context: int = 20
    parts: int = 5

    @property
    def margin(self) -> int:
        """Frames on each side that a score depends on."""
        return self.context + SLOPE


@dataclass(frozen=True)
class Mixtures:
    """What was learned: a scikit-learn GaussianMixture for each class, and a LogisticRegression over windows."""

    mixtures: Sequence[Any]
    classify: Any
    window: Window


def mfcc_and_slopes(front: FrontEnd, log_mel: FloatArray) -> FloatArray:
    """MFCC, their slope over 4 frames and their curvature over 8: (k + 2 SLOPE, n_mels) -> (k, 3 n_mfcc).

    With m_t the coefficients: m_t, (m_{t+2} - m_{t-2}) / 2 and (m_{t+4} - 2 m_t + m_{t-4}) / 4.
    """
    m = frames.mfcc(front, log_mel)
    now = m[SLOPE:-SLOPE]
    slope = (m[SLOPE + 2 : len(m) - SLOPE + 2] - m[SLOPE - 2 : len(m) - SLOPE - 2]) / 2
    curvature = (m[2 * SLOPE :] - 2 * now + m[: -2 * SLOPE]) / 4
    return np.concatenate([now, slope, curvature], axis=1)


def log_likelihoods(mixtures: Sequence[Any], x: FloatArray) -> FloatArray:
    """log p(x_t | class) less that of the frame's best class, not below LIKELIHOOD_FLOOR, shape (k, n_classes)."""
    scores = np.stack([mixture.score_samples(x) for mixture in mixtures], axis=1)
    relative = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(np.maximum(relative, LIKELIHOOD_FLOOR), np.float32)


def window_means(window: Window, likelihoods: FloatArray) -> FloatArray:
    """Means over parts of each window, in their order: (k + 2 context, n_classes) -> (k, parts n_classes)."""
    size = 2 * window.context + 1
    k = len(likelihoods) - 2 * window.context
    width = size // window.parts
    sums = np.concatenate([np.zeros_like(likelihoods[:1]), likelihoods]).cumsum(axis=0, dtype=np.float64)
    means = ((sums[width:] - sums[:-width]) / width).astype(np.float32)
    starts = np.round(np.linspace(0, size - width, window.parts)).astype(int)
    return np.concatenate([means[s : s + k] for s in starts], axis=1)


def fit(
    front: FrontEnd,
    heard: Sequence[tuple[FloatArray, Labels]],
    *,
    n_classes: int,
    window: Window,
    n_components: int,
    seed: int,
) -> Mixtures:
    """Learn from scenes.

    Parameters
    ----------
    heard : (levelled log-mel frames with window.margin frames more at each end, (k + 2 margin, n_mels);
        labels (k,), index of the class, negative where there is none)
    n_classes : number of labels; each must occur
    window : what a score weighs
    n_components : Gaussians for each class
    seed : of the choice of frames and of the mixtures' starts
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(seed)
    x = [mfcc_and_slopes(front, log_mel) for log_mel, _ in heard]
    inner = np.concatenate([values[window.context : len(values) - window.context] for values in x])
    labels = np.concatenate([labels for _, labels in heard])
    mixtures = []
    for k in range(n_classes):
        own = inner[labels == k]
        own = own[rng.permutation(len(own))[:15_000]]
        mixture = GaussianMixture(
            n_components,
            covariance_type="diag",
            reg_covar=1e-2,
            max_iter=30,
            tol=1e-2,
            random_state=seed,
            init_params="k-means++",
        )
        with warnings.catch_warnings():
            # Thirty steps are meant, converged or not: more of them fit the speakers, not the sounds.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixtures.append(mixture.fit(own))
    # A third of many scenes is enough for 55 weights a class, and the likelihoods are what takes time.
    chosen = rng.permutation(len(heard))[: max(300, len(heard) // 3)]
    windows, answers = [], []
    for i in chosen:
        known = np.flatnonzero(heard[i][1] >= 0)
        known = known[rng.random(known.size) < 0.3]
        windows.append(window_means(window, log_likelihoods(mixtures, x[i]))[known])
        answers.append(heard[i][1][known])
    classify = LogisticRegression(C=0.1, solver="newton-cg").fit(np.concatenate(windows), np.concatenate(answers))
    return Mixtures(mixtures, classify, window)


class ClassicalModel:
    """The mixtures with their card; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, front: FrontEnd, learned: Mixtures) -> None:
        self.card = card
        self.front = front
        self.learned = learned

    def _windows(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[tuple[FloatArray, int]]:
        margin = self.learned.window.margin
        return frames.windows(frames.log_mel_blocks(self.front, clip, on_progress), margin, margin)

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        scores = []
        for log_mel, _ in self._windows(clip, on_progress):
            likelihoods = log_likelihoods(self.learned.mixtures, mfcc_and_slopes(self.front, log_mel))
            windows = window_means(self.learned.window, likelihoods)
            scores.append(self.learned.classify.predict_proba(windows).astype(np.float32))
        values = np.concatenate(scores)
        card = self.card
        times = frames.times_of(self.front, len(values))
        return Prediction(card.id, card.labels, values, "softmax", times, card.window_s, card.hop_s)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        check_layers(self.card, layers)
        kept: dict[str, list[FloatArray]] = {name: [] for name in layers}
        for log_mel, k in self._windows(clip, on_progress):
            found = self._layers(log_mel, k)
            for name in layers:
                kept[name].append(found[name])
        activations = {}
        for name in layers:
            values = np.concatenate(kept[name])
            kind: ActivationKind = "input" if name == "input" else "embedding"
            dims = ("frame", "feature" if name == "input" else "unit")
            activations[name] = Activation(name, kind, values, dims, frames.times_of(self.front, len(values)))
        return activations

    def _layers(self, log_mel: FloatArray, k: int) -> dict[str, FloatArray]:
        context = self.learned.window.context
        x = mfcc_and_slopes(self.front, log_mel)
        likelihoods = log_likelihoods(self.learned.mixtures, x)
        windows = window_means(self.learned.window, likelihoods)
        return {
            "input": x[context : context + k],
            "log_likelihood": likelihoods[context : context + k],
            "window_means": windows,
            "decision": self.learned.classify.decision_function(windows),
        }


def card_facts(front: FrontEnd, window: Window) -> dict[str, object]:
    """What the architecture decides of a card."""
    return {
        "window_s": round(front.window_s + 2 * window.margin * front.hop_s, 4),
        "hop_s": front.hop_s,
        "layers": ["input", "log_likelihood", "window_means", "decision"],
        "emits": ["input", "embedding", "embedding", "embedding"],
    }


def save(model: ClassicalModel, folder: Path) -> None:
    """Write what was learned into `folder`, in skops' format, and the settings."""
    import skops.io

    learned = model.learned
    skops.io.dump({"mixtures": list(learned.mixtures), "classify": learned.classify}, folder / WEIGHTS)
    frames.write_settings(folder, model.front, asdict(learned.window))


def load(folder: Path) -> ClassicalModel:
    """The model kept in `folder`: model.skops, settings.json and card.json.

    Raises
    ------
    ModelError : the file holds something else than mixtures and a logistic regression
    skops.exceptions.UntrustedTypesFoundException : the file holds code or types that could do harm
    """
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.mixture import GaussianMixture

    content = skops.io.load(folder / WEIGHTS, trusted=list(TRUSTED))
    known = isinstance(content["classify"], LogisticRegression)
    if not known or not all(isinstance(mixture, GaussianMixture) for mixture in content["mixtures"]):
        raise ModelError(f"The weights in {folder.name} are not those of a classical model; get that folder again.")
    front, settings = frames.read_settings(folder)
    learned = Mixtures(content["mixtures"], content["classify"], Window(**settings))
    return ClassicalModel(read_card(folder), front, learned)
