"""One training loop for every network here: frames and whole recordings are both asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from components.training.data import IGNORED, Scene, Scenes, features
from components.types import FloatArray


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    lr : highest learning rate (one cycle)
    epochs : how often each recording is heard alone
    left, right : frames of context that the network takes off at each end
    stride : frames a score stands for
    singles, sequences : scenes in a batch of single recordings and in a batch of sequences
    clip_loss : weight of the loss of whole recordings beside the loss of frames
    mixup : how often the scenes of a batch are mixed with one another, 0 to 1
    nothing : share of scenes without any class among the sequences
    renders : so many epochs hear new material; those after them hear it again, in another order. 0 for always new
    bfloat16 : whether convolutions compute in bfloat16, channels last: twice as fast where the processor knows it
    """

    lr: float
    epochs: int
    left: int
    right: int
    stride: int = 1
    singles: int = 48
    sequences: int = 10
    clip_loss: float = 1.0
    mixup: float = 0.0
    nothing: float = 0.15
    renders: int = 0
    bfloat16: bool = False


@dataclass(frozen=True)
class Batch:
    """One step's material.

    Attributes
    ----------
    x : (B, left + T + right, n_mels)
    heard : (B, T / stride), whether a score's frames belong to the scene and not to the padding
    labels : (B, T / stride)
    events : (row, first, stop, label) of each recording, on the clock of the scores
    none : index of "none"
    """

    x: torch.Tensor
    heard: torch.Tensor
    labels: torch.Tensor
    events: list[tuple[int, int, int, int]]
    none: int


def make_batch(scenes: Scenes, batch: list[Scene], recipe: Recipe) -> Batch:
    """Augmented features of scenes, padded with silence to the longest, with labels every `stride` frames."""
    stride = recipe.stride
    length = -(-max(s.labels.size for s in batch) // stride) * stride
    x = np.empty((len(batch), recipe.left + length + recipe.right, scenes.task.front.params.n_mels), np.float32)
    labels = np.full((len(batch), length), IGNORED)
    heard = np.zeros((len(batch), length), bool)
    events = []
    for row, scene in enumerate(batch):
        values, silence = features(scenes.task, scenes.rng, scene.y)
        x[row] = silence
        x[row, recipe.left : recipe.left + len(values)] = values
        labels[row, : scene.labels.size] = scene.labels
        heard[row, : scene.labels.size] = True
        events += [(row, a // stride, max(a // stride + 1, b // stride), k) for a, b, k in scene.events]
    x_, heard_, labels_ = map(torch.from_numpy, (x, heard[:, ::stride].copy(), labels[:, ::stride].copy()))
    return Batch(x_, heard_, labels_, events, scenes.task.none)


def batches_of_epoch(scenes: Scenes, recipe: Recipe) -> list[Callable[[], Batch]]:
    """Makers of an epoch's batches: each recording once alone, as many batches of scenes, in random order."""
    rng = scenes.rng
    order = scenes.order()
    # Batches of like length waste no padding; a little randomness keeps them from being always the same.
    sizes = np.array([scenes.examples[i].y.size for i in order]) * rng.uniform(0.85, 1.15, order.size)
    order = order[np.argsort(sizes)]
    groups = [order[i : i + recipe.singles] for i in range(0, order.size, recipe.singles)]

    def singles(group: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Batch:
        return make_batch(scenes, [scenes.single(int(i)) for i in group], recipe)

    def sequences() -> Batch:
        count = recipe.sequences
        chosen = [scenes.nothing() if rng.random() < recipe.nothing else scenes.sequence() for _ in range(count)]
        return make_batch(scenes, chosen, recipe)

    makers: list[Callable[[], Batch]] = [sequences for _ in groups]
    makers += [lambda group=group: singles(group) for group in groups]  # type: ignore[misc]
    return [makers[i] for i in rng.permutation(len(makers))]


def loss_of(logits: torch.Tensor, batch: Batch, clip_loss: float = 1.0) -> torch.Tensor:
    """Cross-entropy of frames plus `clip_loss` times that of each recording's mean logits over the classes.

    The mean is over the frames that have the recording's label; "none" is not among the classes then.
    """
    loss = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, label_smoothing=0.05)
    if not batch.events or not clip_loss:
        return loss
    means = []
    for row, a, b, label in batch.events:
        own = (batch.labels[row, a:b] == label).float()
        own = own if own.any() else torch.ones_like(own)  # a stride may have stepped over a very short one
        means.append(own @ logits[row, a:b, : batch.none] / own.sum())
    pooled, labels = torch.stack(means), torch.tensor([label for *_, label in batch.events])
    return loss + clip_loss * F.cross_entropy(pooled, labels, label_smoothing=0.05)


def mixed_loss(
    forward: Callable[[Batch], torch.Tensor], batch: Batch, rng: np.random.Generator, clip_loss: float
) -> torch.Tensor:
    """The loss of a batch whose scenes are mixed with one another, to be heard as both (mixup; Zhang et al., 2018).

    x <- s x + (1 - s) x', loss <- s loss(labels) + (1 - s) loss(labels'), s ~ Beta(0.3, 0.3).
    """
    share = float(rng.beta(0.3, 0.3))
    order = rng.permutation(len(batch.x))
    place = {int(old): new for new, old in enumerate(order)}
    other = Batch(
        share * batch.x + (1 - share) * batch.x[order],
        batch.heard | batch.heard[order],
        batch.labels[order],
        [(place[row], a, b, label) for row, a, b, label in batch.events],
        batch.none,
    )
    logits = forward(other)
    return share * loss_of(logits, batch, clip_loss) + (1 - share) * loss_of(logits, other, clip_loss)


def statistics(
    scenes: Scenes, transform: Callable[[FloatArray], FloatArray] = lambda x: x, count: int = 300
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of transform(log-mel) over augmented single recordings, shape (n_features,) each."""
    chosen = scenes.rng.integers(len(scenes.examples), size=count)
    x = np.concatenate([transform(features(scenes.task, scenes.rng, scenes.single(int(i)).y)[0]) for i in chosen])
    return torch.from_numpy(x.mean(axis=0)), torch.from_numpy(x.std(axis=0))


def _material(scenes: Scenes, recipe: Recipe, kept: list[list[Batch]], epoch: int) -> Iterator[Batch]:
    """The batches of an epoch: new ones, kept for later where there will be a later, or those of an epoch before."""
    if recipe.renders and epoch >= recipe.renders:
        again = kept[epoch % recipe.renders]
        yield from (again[i] for i in scenes.rng.permutation(len(again)))
        return
    kept.append([])
    for make in batches_of_epoch(scenes, recipe):
        batch = make()
        if recipe.renders:
            kept[-1].append(batch)
        yield batch


def _laid_out(net: nn.Module, layout: torch.memory_format) -> nn.Module:
    same: nn.Module = net.to(memory_format=layout)  # type: ignore[call-overload]
    return same


def _in_bfloat16(forward: Callable[[nn.Module, Batch], torch.Tensor]) -> Callable[[nn.Module, Batch], torch.Tensor]:
    def run(net: nn.Module, batch: Batch) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(net, batch).float()

    return run


def fit(
    net: nn.Module,
    forward: Callable[[nn.Module, Batch], torch.Tensor],
    scenes: Scenes,
    recipe: Recipe,
    report: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Train a network and give back the running average of its weights.

    Parameters
    ----------
    net : the network, its statistics set
    forward : (net, batch) -> logits (B, T / stride, n_classes)
    scenes : what it hears
    recipe : how
    report : called with a line of text after each epoch

    Notes
    -----
    AdamW, one cycle, gradients clipped to norm 1. The number of epochs is fixed beforehand: nothing is chosen by
    looking at held-out recordings.
    """
    if recipe.bfloat16:
        net, forward = _laid_out(net, torch.channels_last), _in_bfloat16(forward)
    per_epoch = len(batches_of_epoch(scenes, recipe))
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.lr, total_steps=recipe.epochs * per_epoch, pct_start=0.2
    )
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.98), use_buffers=True)
    kept: list[list[Batch]] = []
    for epoch in range(recipe.epochs):
        net.train()
        total = 0.0
        for batch in _material(scenes, recipe, kept, epoch):
            if recipe.mixup and scenes.rng.random() < recipe.mixup:
                loss = mixed_loss(lambda b: forward(net, b), batch, scenes.rng, recipe.clip_loss)
            else:
                loss = loss_of(forward(net, batch), batch, recipe.clip_loss)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(net)
            total += float(loss.detach())
        report(f"epoch {epoch + 1} of {recipe.epochs}: loss {total / per_epoch:.3f}")
    return _laid_out(average.module, torch.contiguous_format).eval()
