import numpy as np
import pytest
import torch
from torch import nn

from components.training import data, loop
from components.training.recipes.digits import FRONT, TASK


@pytest.fixture
def scenes() -> data.Scenes:
    t = np.arange(2800) / FRONT.sr
    tones = [
        data.Example((0.2 * np.sin(2 * np.pi * (250 + 300 * k) * t) * np.hanning(t.size)).astype(np.float32), "anna", k)
        for k in range(10)
        for i in range(4)
    ]
    return data.Scenes(TASK, tones, [], np.random.default_rng(0))


def recipe(**changes: int) -> loop.Recipe:
    return loop.Recipe(**{"lr": 1e-2, "epochs": 1, "left": 0, "right": 0, "singles": 8, "sequences": 3} | changes)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_batch_keeps_sound_and_labels_together(scenes: data.Scenes, stride: int) -> None:
    chosen = [scenes.single(3), scenes.sequence(), scenes.nothing()]
    batch = loop.make_batch(scenes, chosen, recipe(left=3, right=5, stride=stride))
    n_scores = batch.labels.shape[1]
    assert batch.x.shape == (3, 3 + n_scores * stride + 5, FRONT.params.n_mels)
    assert batch.heard.shape == batch.labels.shape
    for row, scene in enumerate(chosen):
        assert int(batch.heard[row].sum()) == -(-scene.labels.size // stride)
        np.testing.assert_array_equal(batch.labels[row][batch.heard[row]], scene.labels[::stride])
        assert (batch.labels[row][~batch.heard[row]] == data.IGNORED).all()
        # The context before the first frame is digital silence: the quietest there is.
        assert (batch.x[row, :3] <= batch.x[row].amin(dim=0) + 1e-4).all()
    for row, first, stop, digit in batch.events:
        asked = batch.labels[row, first:stop]
        assert (asked == digit).float().mean() > 0.85


def test_loss_is_lowest_for_the_right_answer(scenes: data.Scenes) -> None:
    batch = loop.make_batch(scenes, [scenes.sequence()], recipe())
    right = torch.zeros(*batch.labels.shape, 11)
    right[0, torch.arange(batch.labels.shape[1]), batch.labels[0].clamp(min=0)] = 6.0
    wrong = right.roll(1, dims=2)
    at_right, at_wrong = float(loop.loss_of(right, batch)), float(loop.loss_of(wrong, batch))
    uniform = float(loop.loss_of(torch.zeros_like(right), batch))
    assert at_right < uniform < at_wrong
    assert uniform == pytest.approx(np.log(11) + np.log(10), rel=1e-3)


def test_ignored_frames_do_not_count(scenes: data.Scenes) -> None:
    batch = loop.make_batch(scenes, [scenes.single(0), scenes.sequence()], recipe())
    logits = torch.randn(*batch.labels.shape, 11)
    changed = logits.clone()
    digits = torch.zeros_like(batch.labels, dtype=torch.bool)
    for row, first, stop, _ in batch.events:
        digits[row, first:stop] = True
    changed[(batch.labels == data.IGNORED) & ~digits] += 100
    torch.testing.assert_close(loop.loss_of(logits, batch), loop.loss_of(changed, batch))


def test_an_epoch_hears_each_recording_alone_once(scenes: data.Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    single = scenes.single
    monkeypatch.setattr(scenes, "single", lambda index: heard.append(index) or single(index))
    for make in loop.batches_of_epoch(scenes, recipe()):
        make()
    assert sorted(heard) == list(range(40))


def test_training_learns_tones(scenes: data.Scenes) -> None:
    torch.manual_seed(0)
    lines: list[str] = []
    net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 11))
    trained = loop.fit(net, lambda n, batch: n(batch.x), scenes, recipe(epochs=6), lines.append)
    losses = [float(line.rsplit(" ", 1)[1]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < 0.8 * losses[0]
    assert not trained.training
