"""A convolutional network on log-mel frames that sees half a second around each frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from components.models import frames
from components.models.base import OnProgress, check_layers, read_card
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction

WEIGHTS = "model.safetensors"
CHANNELS = (16, 32, 48, 48, 64)
DILATIONS = (1, 2, 3, 4, 6)
CONTEXT = sum(DILATIONS)
"""Frames on each side that a frame's score depends on: each 3-wide kernel adds its dilation."""
BLOCKS = tuple(f"block_{i + 1}" for i in range(len(CHANNELS)))


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
    """Five blocks, mean and maximum over frequency, linear logits for each frame."""

    def __init__(self, n_mels: int = frames.PARAMS.n_mels, n_classes: int = len(frames.LABELS)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("std", torch.ones(n_mels))
        sizes = (1, *CHANNELS)
        for i, name in enumerate(BLOCKS):
            self.add_module(name, Block(sizes[i], sizes[i + 1], DILATIONS[i], pool=i < 3))
        self.embedding = nn.Identity()
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * CHANNELS[-1], n_classes)

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """(x - mean) / std with the statistics of the training set, any shape (..., n_mels)."""
        return (x - self.get_buffer("mean")) / self.get_buffer("std")

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, T + 2 CONTEXT, n_mels) -> (B, T, n_classes)
        z = self.standardise(x).transpose(1, 2)[:, None]  # (B, 1, mel, T)
        for name in BLOCKS:
            z = self.get_submodule(name)(z)
        z = torch.cat([z.mean(dim=2), z.amax(dim=2)], dim=1).transpose(1, 2)  # (B, T, 2 C)
        return self.head(self.dropout(self.embedding(z)))  # type: ignore[no-any-return]


class CnnModel:
    """The network with its card; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, net: Cnn) -> None:
        self.card = card
        self.net = net.eval()

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        blocks = frames.windows(frames.log_mel_blocks(clip, on_progress), CONTEXT, CONTEXT)
        logits = [self.net(torch.from_numpy(x)[None])[0].numpy() for x, _ in blocks]
        return frames.prediction_of(self.card, logits)

    @torch.inference_mode()
    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        check_layers(self.card, layers)
        kept: dict[str, list[FloatArray]] = {name: [] for name in layers}
        hooked = [name for name in layers if name != "input"]
        for x, k in frames.windows(frames.log_mel_blocks(clip, on_progress), CONTEXT, CONTEXT):
            window = torch.from_numpy(x)[None]
            if "input" in kept:
                kept["input"].append(self.net.standardise(window)[0, CONTEXT : CONTEXT + k].numpy())
            with outputs_of(self.net, hooked) as outputs:
                self.net(window)
            for name in hooked:
                kept[name].append(_own_frames(name, outputs[name][0][0].numpy(), k))
        found = {}
        for name in layers:
            axis = 2 if name in BLOCKS else 0
            values = np.concatenate(kept[name], axis=axis)
            dims = {"input": ("frame", "mel"), "embedding": ("frame", "unit")}.get(name, ("channel", "mel", "frame"))
            found[name] = Activation(name, self.card.kinds[name], values, dims, frames.times_of(values.shape[axis]))
        return found


def _own_frames(name: str, values: FloatArray, k: int) -> FloatArray:
    """The k middle frames of a layer's output: early layers still hold context on both sides."""
    if name not in BLOCKS:
        return values
    spare = (values.shape[2] - k) // 2
    return values[:, :, spare : spare + k]


def card_facts() -> dict[str, object]:
    """What the architecture decides of a card."""
    return {
        "window_s": round(frames.WINDOW_S + 2 * CONTEXT * frames.HOP_S, 4),
        "hop_s": frames.HOP_S,
        "layers": ["input", *BLOCKS, "embedding"],
        "emits": ["input", *["feature_map"] * len(BLOCKS), "embedding"],
    }


def save(net: Cnn, folder: Path) -> None:
    """Write the weights into `folder`."""
    save_file(net.state_dict(), folder / WEIGHTS)


def load(folder: Path) -> CnnModel:
    """The model kept in `folder`: model.safetensors and card.json."""
    net = Cnn()
    net.load_state_dict(load_file(folder / WEIGHTS))
    return CnnModel(read_card(folder), net)
