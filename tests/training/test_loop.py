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


def recipe(**changes: float) -> loop.Recipe:
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


def test_a_mixed_loss_is_between_those_of_its_parts(scenes: data.Scenes) -> None:
    """Frames of two tones mixed by s and 1 - s cost s times the one's loss and 1 - s times the other's."""
    batch = loop.make_batch(scenes, [scenes.single(k) for k in (0, 13, 26, 39)], recipe())
    heard: list[loop.Batch] = []
    logits = torch.randn(*batch.labels.shape, 11)

    def forward(mixed: loop.Batch) -> torch.Tensor:
        heard.append(mixed)
        return logits

    loss = float(loop.mixed_loss(forward, batch, np.random.default_rng(3), 1.0))
    (mixed,) = heard
    rng = np.random.default_rng(3)
    share, order = float(rng.beta(0.3, 0.3)), rng.permutation(4)
    torch.testing.assert_close(mixed.x, share * batch.x + (1 - share) * batch.x[order])
    assert [label for row, _, _, label in sorted(mixed.events)] == [batch.events[k][3] for k in order]
    own, other = float(loop.loss_of(logits, batch)), float(loop.loss_of(logits, mixed))
    assert loss == pytest.approx(share * own + (1 - share) * other, rel=1e-5)


def test_kept_material_is_heard_again_in_another_order(scenes: data.Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    single = scenes.single
    monkeypatch.setattr(scenes, "single", lambda index: made.append(index) or single(index))
    seen: list[int] = []

    def forward(n: nn.Module, batch: loop.Batch) -> torch.Tensor:
        seen.append(id(batch))
        return n(batch.x)

    loop.fit(nn.Linear(32, 11), forward, scenes, recipe(epochs=5, renders=2))
    assert len(made) == 2 * 40
    epochs = [seen[i : i + 10] for i in range(0, 50, 10)]
    assert set(epochs[0]) == set(epochs[2]) == set(epochs[4])
    assert set(epochs[1]) == set(epochs[3])
    assert not set(epochs[0]) & set(epochs[1])
    assert epochs[0] != epochs[2]


def test_bfloat16_learns_the_same_within_its_precision(scenes: data.Scenes) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 11))
    lines: list[str] = []
    trained = loop.fit(net, lambda n, batch: n(batch.x), scenes, recipe(epochs=6, bfloat16=True), lines.append)
    losses = [float(line.rsplit(" ", 1)[1]) for line in lines]
    assert losses[-1] < 0.8 * losses[0]
    assert {p.dtype for p in trained.parameters()} == {torch.float32}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_scenes_without_a_class(scenes: data.Scenes, share: float) -> None:
    batches = [make() for make in loop.batches_of_epoch(scenes, recipe(nothing=share))]
    sequences = [b for b in batches if len(b.x) == 3]
    assert len(sequences) == 5
    assert all(bool(b.events) == (share == 0.0) for b in sequences)
