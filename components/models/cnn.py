"""A convolutional network on log-mel frames that sees a fixed stretch, half a second or so, around each frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from components.models import frames
from components.models.base import OnProgress, check_layers, read_card
from components.models.frames import FrontEnd
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class CnnShape:
    """What the weights do not tell of a network.

    Attributes
    ----------
    channels : channels of each block
    dilations : step in time of each block's kernel, in frames
    pooled : how many of the first blocks halve the number of bands
    """

    channels: tuple[int, ...] = (16, 32, 48, 48, 64)
    dilations: tuple[int, ...] = (1, 2, 3, 4, 6)
    pooled: int = 3

    @property
    def context(self) -> int:
        """Frames on each side that a frame's score depends on: each 3-wide kernel adds its dilation."""
        return sum(self.dilations)

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return tuple(f"block_{i + 1}" for i in range(len(self.channels)))


class Block(nn.Module):
    """3 x 3 convolution (dilated in time, not padded in time), batch norm, ReLU, then max over pairs of bands."""

    def __init__(self, c_in: int, c_out: int, dilation: int, pool: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=(1, 0), dilation=(1, dilation), bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, mel, T) -> (B, C', mel or mel / 2, T - 2 dilation)
        x = F.relu(self.norm(self.conv(x)))
        return F.max_pool2d(x, (2, 1)) if self.pool else x


class Cnn(nn.Module):
    """Blocks of convolutions, mean and maximum over frequency, linear logits for each frame."""

    def __init__(self, n_mels: int, n_classes: int, shape: CnnShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("std", torch.ones(n_mels))
        sizes = (1, *shape.channels)
        for i, name in enumerate(shape.blocks):
            self.add_module(name, Block(sizes[i], sizes[i + 1], shape.dilations[i], pool=i < shape.pooled))
        self.embedding = nn.Identity()
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * shape.channels[-1], n_classes)

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """(x - mean) / std with the statistics of the training set, any shape (..., n_mels)."""
        return (x - self.get_buffer("mean")) / self.get_buffer("std")

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, T + 2 context, n_mels) -> (B, T, n_classes)
        z = self.standardise(x).transpose(1, 2)[:, None]  # (B, 1, mel, T)
        for name in self.shape.blocks:
            z = self.get_submodule(name)(z)
        z = torch.cat([z.mean(dim=2), z.amax(dim=2)], dim=1).transpose(1, 2)  # (B, T, 2 C)
        return self.head(self.dropout(self.embedding(z)))  # type: ignore[no-any-return]


class CnnModel:
    """The network with its card; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, front: FrontEnd, net: Cnn) -> None:
        self.card = card
        self.front = front
        self.net = net.eval()

    def _windows(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[tuple[FloatArray, int]]:
        context = self.net.shape.context
        return frames.windows(frames.log_mel_blocks(self.front, clip, on_progress), context, context)

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        logits = [self.net(torch.from_numpy(x)[None])[0].numpy() for x, _ in self._windows(clip, on_progress)]
        return frames.prediction_of(self.card, logits, frames.times_of(self.front, sum(map(len, logits))))

    @torch.inference_mode()
    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        check_layers(self.card, layers)
        kept: dict[str, list[FloatArray]] = {name: [] for name in layers}
        hooked = [name for name in layers if name != "input"]
        for x, k in self._windows(clip, on_progress):
            window = torch.from_numpy(x)[None]
            if "input" in kept:
                kept["input"].append(_middle(self.net.standardise(window)[0].numpy(), k, axis=0))
            with outputs_of(self.net, hooked) as outputs:
                self.net(window)
            for name in hooked:
                kept[name].append(_middle(outputs[name][0][0].numpy(), k, axis=_time_axis(name)))
        found = {}
        for name in layers:
            values = np.concatenate(kept[name], axis=_time_axis(name))
            dims = {"input": ("frame", "mel"), "embedding": ("frame", "unit")}.get(name, ("channel", "mel", "frame"))
            times = frames.times_of(self.front, values.shape[_time_axis(name)])
            found[name] = Activation(name, self.card.kinds[name], values, dims, times)
        return found


def _time_axis(name: str) -> int:
    return 0 if name in ("input", "embedding") else 2


def _middle(values: FloatArray, k: int, axis: int) -> FloatArray:
    """The k middle frames: the input and early layers still hold context on both sides."""
    spare = (values.shape[axis] - k) // 2
    return values.take(range(spare, spare + k), axis=axis)


def card_facts(front: FrontEnd, shape: CnnShape) -> dict[str, object]:
    """What the architecture decides of a card."""
    return {
        "window_s": round(front.window_s + 2 * shape.context * front.hop_s, 4),
        "hop_s": front.hop_s,
        "layers": ["input", *shape.blocks, "embedding"],
        "emits": ["input", *["feature_map"] * len(shape.blocks), "embedding"],
    }


def save(model: CnnModel, folder: Path) -> None:
    """Write weights and settings into `folder`."""
    save_file(model.net.state_dict(), folder / WEIGHTS)
    frames.write_settings(folder, model.front, asdict(model.net.shape))


def load(folder: Path) -> CnnModel:
    """The model kept in `folder`: model.safetensors, settings.json and card.json."""
    front, net_settings = frames.read_settings(folder)
    shape = CnnShape(tuple(net_settings["channels"]), tuple(net_settings["dilations"]), int(net_settings["pooled"]))
    weights = load_file(folder / WEIGHTS)
    net = Cnn(weights["mean"].numel(), weights["head.bias"].numel(), shape)
    net.load_state_dict(weights)
    return CnnModel(read_card(folder), front, net)
