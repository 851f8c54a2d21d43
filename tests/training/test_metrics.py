import numpy as np
import pytest

from components.models import frames
from components.training import data, metrics
from components.training.recipes.digits import FRONT, LABELS, TASK
from components.types import Clip, Prediction


class Oracle:
    """Knows the digit of each tone of 300 + 150 digit Hz; wrong on those in `wrong`."""

    def __init__(self, wrong: tuple[int, ...] = ()) -> None:
        self.wrong = wrong

    def predict(self, clip: Clip) -> Prediction:
        count = 1 + clip.y.size // 128
        padded = np.pad(clip.y, (256, 512))
        cut = np.stack([padded[t * 128 : t * 128 + 512] for t in range(count)]) * np.hanning(512)
        peak = np.abs(np.fft.rfft(cut, 8192)).argmax(axis=1) * FRONT.sr / 8192
        best = np.clip(np.round((peak - 300) / 150), 0, 9).astype(int)
        best[np.isin(best, self.wrong)] = TASK.none
        return Prediction(
            "oracle", LABELS, np.eye(11)[best], "softmax", frames.times_of(FRONT, count), 0.06, FRONT.hop_s
        )


@pytest.fixture
def utterances() -> list[data.Example]:
    t = np.arange(3200) / FRONT.sr
    return [
        data.Example((0.3 * np.sin(2 * np.pi * (300 + 150 * k) * t)).astype(np.float32), "anna", k)
        for k in range(10)
        for _ in range(2)
    ]


def test_an_oracle_is_always_right(utterances: list[data.Example]) -> None:
    assert metrics.accuracy(metrics.clip_hits(Oracle(), TASK, utterances)) == 1.0
    assert metrics.sequence_accuracy(Oracle(), TASK, utterances, seed=0) > 0.97


def test_what_an_oracle_does_not_know_is_missing(utterances: list[data.Example]) -> None:
    assert metrics.accuracy(metrics.clip_hits(Oracle((3, 4)), TASK, utterances)) == pytest.approx(0.8)
    assert metrics.sequence_accuracy(Oracle((3, 4)), TASK, utterances, seed=0) == pytest.approx(0.8, abs=0.03)


def test_pauses_are_as_long_as_promised(utterances: list[data.Example]) -> None:
    y, labels = metrics.sequence_of(TASK, utterances[:10], np.random.default_rng(0))
    silent = np.flatnonzero(labels == data.IGNORED)
    runs = np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1)
    lengths = np.array([run.size for run in runs if run.size > 1]) * FRONT.hop_s
    assert len(lengths) == 10
    assert lengths.min() > 0.14
    assert lengths.max() < 0.66
    assert y.size > 10 * (0.4 + 0.2) * FRONT.sr
