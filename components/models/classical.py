"""Gaussian mixtures on MFCC frames, the classical way to recognise words, and a linear classifier over a window.

For each class a mixture of diagonal Gaussians says how likely a frame is among that class's sounds. A single frame
says little; so the log-likelihoods are averaged over parts of a window, in their order, and logistic regression weighs
them; where a task asks for it, together with mean and spread of the coefficients over the window, or these alone.
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
SOUNDING_DB = 30.0
"""In the statistics of a window a frame sounds when it is at most this much weaker than the clip's active frames."""
QUIET = 1e-3
"""Weight of all other frames: they only count where nothing else is in the window."""

TRUSTED: tuple[str, ...] = ()
"""Types that a weight file may hold beside those that skops itself knows to be harmless: none."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """The window of log-likelihoods that a score weighs.

    Attributes
    ----------
    context : frames on each side
    parts : parts of the window, each averaged by itself; 0 for no log-likelihoods, and so no mixtures
    statistics : whether mean and spread of the coefficients over the window are weighed as well
    """

    context: int = 20
    parts: int = 5
    statistics: bool = False

    @property
    def margin(self) -> int:
        """Frames on each side that a score depends on."""
        return self.context + SLOPE


@dataclass(frozen=True)
class Mixtures:
    """What was learned: a scikit-learn GaussianMixture for each class, and a LogisticRegression over windows.

    No mixtures where the window has no parts.
    """

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


def window_statistics(window: Window, log_mel: FloatArray, x: FloatArray) -> FloatArray:
    """Weighted mean and standard deviation of the coefficients over each window, so that pauses hardly count.

    mean = sum_t w_t x_t / sum_t w_t, variance = sum_t w_t x_t^2 / sum_t w_t - mean^2, w_t = 1 for frames that sound and
    QUIET for the others.

    Parameters
    ----------
    log_mel : levelled frames, shape (k + 2 context + 2 SLOPE, n_mels)
    x : their coefficients and slopes, shape (k + 2 context, n_features)

    Returns
    -------
    shape (k, 2 n_features), the means first
    """
    size = 2 * window.context + 1
    power = np.exp(log_mel[SLOPE : len(log_mel) - SLOPE]).mean(axis=1, dtype=np.float64)
    weight = np.where(power > 10 ** (-SOUNDING_DB / 10), 1.0, QUIET)[:, None]
    columns = np.concatenate([weight, weight * x, weight * np.square(x)], axis=1)
    sums = np.concatenate([np.zeros_like(columns[:1]), columns.cumsum(axis=0)])
    total, first, second = np.split(sums[size:] - sums[:-size], [1, 1 + x.shape[1]], axis=1)
    mean = first / total
    spread = np.sqrt(np.maximum(second / total - mean**2, 0))
    return np.concatenate([mean, spread], axis=1).astype(np.float32)


def window_features(window: Window, mixtures: Sequence[Any], log_mel: FloatArray, x: FloatArray) -> FloatArray:
    """What the classifier weighs: `window_means`, `window_statistics`, or both side by side."""
    found = [window_means(window, log_likelihoods(mixtures, x))] if window.parts else []
    if window.statistics:
        found.append(window_statistics(window, log_mel, x))
    return np.concatenate(found, axis=1)


def _standardised_fit(classify: Any, features: FloatArray, answers: Labels) -> Any:
    """Fit on features of mean 0 and spread 1; the weights that come back take the features as they are.

    Mean and spread are those of the classes but the last, "none": silence and engines are so far from any voice that
    voices would all look alike beside them.
    """
    own = features[answers < answers.max()]
    mean, std = own.mean(axis=0), np.maximum(own.std(axis=0), 1e-6)
    classify.fit((features - mean) / std, answers)
    classify.coef_ = classify.coef_ / std
    classify.intercept_ = classify.intercept_ - classify.coef_ @ mean
    return classify


def fit(
    front: FrontEnd,
    heard: Sequence[tuple[FloatArray, Labels]],
    *,
    n_classes: int,
    window: Window,
    n_components: int,
    seed: int,
    C: float = 0.1,
    balanced: bool = False,
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
    C : how freely logistic regression chooses its weights
    balanced : whether all classes count alike in it, however many frames they have
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(seed)
    x = [mfcc_and_slopes(front, log_mel) for log_mel, _ in heard]
    inner = np.concatenate([values[window.context : len(values) - window.context] for values in x])
    labels = np.concatenate([labels for _, labels in heard])
    mixtures: list[Any] = []
    for k in range(n_classes if window.parts else 0):
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
    chosen = rng.permutation(len(heard))[: max(300, len(heard) // 3) if window.parts else len(heard)]
    windows, answers = [], []
    for i in chosen:
        known = np.flatnonzero(heard[i][1] >= 0)
        known = known[rng.random(known.size) < (0.3 if window.parts else 0.1)]
        windows.append(window_features(window, mixtures, heard[i][0], x[i])[known])
        answers.append(heard[i][1][known])
    features, wanted = np.concatenate(windows), np.concatenate(answers)
    classify = LogisticRegression(C=C, solver="newton-cg", class_weight="balanced" if balanced else None)
    learn = _standardised_fit if window.statistics else LogisticRegression.fit
    return Mixtures(mixtures, learn(classify, features, wanted), window)


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
            x = mfcc_and_slopes(self.front, log_mel)
            windows = window_features(self.learned.window, self.learned.mixtures, log_mel, x)
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
        window, mixtures = self.learned.window, self.learned.mixtures
        own = slice(window.context, window.context + k)
        x = mfcc_and_slopes(self.front, log_mel)
        features = window_features(window, mixtures, log_mel, x)
        n_means = window.parts * len(mixtures)
        found = {
            "input": x[own],
            "window_means": features[:, :n_means],
            "window_statistics": features[:, n_means:],
            "decision": self.learned.classify.decision_function(features),
        }
        return {**found, "log_likelihood": log_likelihoods(mixtures, x)[own]} if mixtures else found


def card_facts(front: FrontEnd, window: Window) -> dict[str, object]:
    """What the architecture decides of a card."""
    weighed = ["log_likelihood", "window_means"] if window.parts else []
    weighed += ["window_statistics"] if window.statistics else []
    layers = ["input", *weighed, "decision"]
    return {
        "window_s": round(front.window_s + 2 * window.margin * front.hop_s, 4),
        "hop_s": front.hop_s,
        "layers": layers,
        "emits": ["input", *["embedding"] * (len(layers) - 1)],
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
