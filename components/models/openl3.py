"""OpenL3: what a second of sound is like, as 512 or 6144 numbers; it has no classes.

A convolutional network that learned, from videos alone, which sounds go with which pictures. Six variants: a linear
spectrogram or 128 or 256 mel bands as input, trained on videos of music or of the environment. All six have the same
weights' shapes, so a file cannot tell which it is: its card does.

Source: J. Cramer et al., "Look, Listen, and Learn More", ICASSP 2019; https://github.com/marl/openl3, version 0.4,
with its own (not librosa's) front end. Written anew in PyTorch; the official Keras files are read as they are.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from librosa.filters import mel
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from components.audio.transform import resampled_blocks
from components.errors import ModelError
from components.models.base import OnProgress, check_layers
from components.models.precision import working_type
from components.types import Activation, ActivationKind, Clip, FloatArray, ModelCard, Prediction, Times

SR = 48000
WINDOW, HOP = 48000, 4800
"""Samples that one embedding has heard, and from one to the next: 1 s and 0.1 s."""
SPECTRUM_HOP = 242
WIDTHS = (1, 64, 64, 128, 128, 256, 256, 512, 512)
"""Channels before, between and after the eight convolutions."""
N_BLOCKS = 4
AMIN, RANGE_DB = 1e-10, 80.0
BN_EPS = 1e-3
BATCH = 4
"""Windows at once: more gains nothing on one thread and costs 40 MB each."""
PER_HOP = 20
"""Columns of the spectrogram drawn for each window: one every 5 ms, as the network has them (242 samples, 5.04 ms)."""
UNPACKED_LIMIT = 64 << 20
"""A file of weights is 19 MB unpacked; what claims to be more than this is none."""

READ_ERRORS = (OSError, EOFError, zlib.error, LookupError, ValueError, RuntimeError, AttributeError, TypeError)
"""What gzip, h5py and we ourselves raise for a file that is damaged or something else."""

KINDS: dict[str, ActivationKind] = {
    "input": "input",
    "block_1": "feature_map",
    "block_2": "feature_map",
    "block_3": "feature_map",
    "block_4": "feature_map",
    "embedding": "embedding",
    "embedding_6144": "embedding",
}
DEPTH = {"input": 0, "block_1": 1, "block_2": 2, "block_3": 3, "block_4": 4, "embedding": 4, "embedding_6144": 4}
"""How many blocks must be computed for each layer."""


@dataclass(frozen=True)
class Variant:
    """How one kind of input is made, and how its last feature map is pooled.

    Attributes
    ----------
    n_fft : samples in a frame's Fourier transform
    n_mels : mel bands; None for the linear spectrogram
    pad_end : whether the last frames reach beyond the window, over zeros
    pools : (rows, columns) of the final max pooling for each embedding
    """

    n_fft: int
    n_mels: int | None
    pad_end: bool
    pools: dict[str, tuple[int, int]]

    @property
    def n_columns(self) -> int:
        """Frames of the spectrogram in a window: 197 linear, 199 mel."""
        return -(-WINDOW // SPECTRUM_HOP) if self.pad_end else 1 + (WINDOW - self.n_fft) // SPECTRUM_HOP


_TALL = {"embedding": (32, 24), "embedding_6144": (8, 8)}
VARIANTS = {
    "linear": Variant(512, None, False, _TALL),
    "mel128": Variant(2048, 128, True, {"embedding": (16, 24), "embedding_6144": (4, 8)}),
    "mel256": Variant(2048, 256, True, _TALL),
}
CONTENTS = ("music", "env")


class FrontEnd(nn.Module):
    """Windows of sound to what the network sees: decibels below each window's own maximum.

    S = |STFT| (periodic Hann, hop 242, first frame at the window's first sample), for mel variants weighted by
    Slaney's triangles, 0 to 24 kHz; then max(10 log10 max(S, 1e-10) - its maximum in the window, -80). S is a
    magnitude, so 80 of these "decibels" are 160 dB of sound pressure.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(variant.n_fft))
        self.mel: Tensor | None
        n_fft, n_mels = variant.n_fft, variant.n_mels
        self.register_buffer(
            "mel", None if n_mels is None else torch.from_numpy(mel(sr=SR, n_fft=n_fft, n_mels=n_mels))
        )

    def forward(self, windows: Tensor) -> Tensor:
        """(n, WINDOW) -> (n, n_rows, n_columns), from -80 to 0."""
        n_fft, n_columns = self.variant.n_fft, self.variant.n_columns
        missing = (n_columns - 1) * SPECTRUM_HOP + n_fft - WINDOW
        frames = F.pad(windows, (0, max(0, missing))).unfold(1, n_fft, SPECTRUM_HOP)
        S = torch.fft.rfft(frames * self.window).abs()
        if self.mel is not None:
            S = S @ self.mel.T
        decibels = 10.0 * torch.log10(S.clamp(min=AMIN))
        return (decibels - decibels.amax(dim=(1, 2), keepdim=True)).clamp(min=-RANGE_DB).transpose(1, 2)


class OpenL3Net(nn.Module):
    """Four blocks of two 3x3 convolutions; each block but the last ends in a 2x2 max pooling.

    As published, each convolution but the last is followed by batch normalisation and ReLU. Here the normalisation
    is part of the convolution before it: the same numbers, faster. That of the input stands for itself, as the
    zeros around the input come after it.
    """

    def __init__(self, scale: nn.BatchNorm2d, convs: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.scale = scale
        self.convs = nn.ModuleList(convs)

    def block(self, i: int, x: Tensor) -> Tensor:
        """Block i, 1 to 4: (n, channels, rows, columns), with half the rows and columns but for the last."""
        x = F.relu(self.convs[2 * i - 2](x), inplace=True)
        x = self.convs[2 * i - 1](x)
        return x if i == N_BLOCKS else F.max_pool2d(F.relu(x, inplace=True), 2)


def weight_files(path: Path) -> tuple[Path, ...]:
    """The file with the weights, .h5 or .h5.gz, in a folder or given itself."""
    if not path.is_dir():
        return (path,)
    return tuple(sorted(p for p in path.iterdir() if p.name.endswith((".h5", ".h5.gz"))))


def load(path: Path, card: ModelCard) -> OpenL3:
    """The variant that the card names (openl3-mel256-music ...) with the official weights at `path`.

    Raises
    ------
    ModelError : when there is not one file of weights, or it is damaged, or of something else
    """
    _, representation, content = card.id.split("-")
    files = weight_files(path)
    if len(files) != 1:
        raise ModelError(
            f"{path.name} holds {len(files)} files of weights (.h5 or .h5.gz) where {card.title} needs one: "
            f"openl3_audio_{representation}_{content}-v0_4_0.h5.gz."
        )
    said = re.search(f"({'|'.join(VARIANTS)})_({'|'.join(CONTENTS)})", files[0].name)
    if said and said.groups() != (representation, content):
        raise ModelError(
            f"{files[0].name} is, by its name, the variant {said[1]} {said[2]}: choose that one in place of "
            f"{card.title}, or bring its own file."
        )
    try:
        net = _read(files[0])
    except READ_ERRORS as error:
        raise ModelError(
            f"{files[0].name} is damaged or holds something other than OpenL3's audio weights: get "
            f"openl3_audio_{representation}_{content}-v0_4_0.h5.gz again."
        ) from error
    variant = VARIANTS[representation]
    complete = replace(
        card,
        labels=(),
        layers=tuple(KINDS),
        emits=tuple(KINDS.values()),
        size_bytes=files[0].stat().st_size,
    )
    return OpenL3(complete, FrontEnd(variant).eval(), net)


def _read(path: Path) -> OpenL3Net:
    """The network with the weights of a Keras file, its normalisations folded into the convolutions."""
    if path.name.endswith(".gz"):
        with gzip.open(path) as packed:
            data = packed.read(UNPACKED_LIMIT + 1)
        if len(data) > UNPACKED_LIMIT:
            raise ValueError("more than a file of weights can hold")
        with h5py.File(io.BytesIO(data), "r") as file:
            return _net_of(file)
    with h5py.File(path, "r") as file:
        return _net_of(file)


def _net_of(file: h5py.File) -> OpenL3Net:
    """The network, filled by the order of the file's layers: Keras numbers their names differently in each file."""
    scale = nn.BatchNorm2d(1, eps=BN_EPS)
    convs = [nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in pairwise(WIDTHS)]
    norms = [nn.BatchNorm2d(conv.out_channels, eps=BN_EPS) for conv in convs[:-1]]
    modules = [scale, *chain.from_iterable(zip(convs[:-1], norms, strict=True)), convs[-1]]
    layers = _layers(file)
    if len(layers) != len(modules):
        raise ValueError(f"{len(layers)} layers with weights")
    for module, weights in zip(modules, layers, strict=True):
        _fill(module.eval(), weights)
    fused = [fuse_conv_bn_eval(conv, norm) for conv, norm in zip(convs[:-1], norms, strict=True)]
    return OpenL3Net(scale, [*fused, convs[-1]]).eval().requires_grad_(False)


def _layers(file: h5py.File) -> list[dict[str, h5py.Dataset]]:
    """Weights by their short names for each layer that has some, in the network's order.

    Files before version 0.4 begin with the spectrogram as a layer of fixed weights, which is left out.
    """
    root = file.get("model_weights", file)  # a whole model holds them one level deeper
    layers = []
    for name in map(_text, root.attrs["layer_names"]):
        group = root[name]
        weights = {_text(w).split("/")[-1].split(":")[0]: group[_text(w)] for w in group.attrs["weight_names"]}
        if weights and "spectrogram" not in name.lower():
            layers.append(weights)
    return layers


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


KERAS_NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _fill(module: nn.Module, weights: dict[str, h5py.Dataset]) -> None:
    """Copy one layer's weights; the shape is compared before anything is read."""
    ours = module.state_dict()
    if isinstance(module, nn.Conv2d):
        targets = {"kernel": ours["weight"].permute(2, 3, 1, 0), "bias": ours["bias"]}  # Keras: (H, W, in, out)
    else:
        targets = {name: ours[our_name] for name, our_name in KERAS_NAMES.items()}
    if set(weights) != set(targets):
        raise ValueError(f"weights called {', '.join(sorted(weights))}")
    for name, target in targets.items():
        if weights[name].shape != tuple(target.shape):
            raise ValueError(f"{name} of shape {weights[name].shape}")
        target.copy_(torch.from_numpy(np.asarray(weights[name][()], np.float32)))


def count_windows(n_samples: int) -> int:
    """How many windows OpenL3 lays over n_samples at 48 kHz: the first is centred on the first sample, and the last
    is the first that reaches the end."""
    return 1 + max(0, -(-(n_samples + WINDOW // 2 - WINDOW) // HOP))


def windows_of(clip: Clip) -> Iterator[FloatArray]:
    """The clip's windows at 48 kHz in batches, shape (up to BATCH, WINDOW); zeros beyond its ends."""
    held = np.zeros(WINDOW // 2, np.float32)
    heard = False
    for samples in resampled_blocks(clip, SR):
        held = np.concatenate([held, samples])
        count = max(0, 1 + (held.size - WINDOW) // HOP)
        if count:
            yield from _batches(held, count)
            heard = True
            held = held[count * HOP :]
    if not heard or held.size > WINDOW - HOP:
        yield np.pad(held, (0, WINDOW - held.size))[None]


def _batches(held: FloatArray, count: int) -> Iterator[FloatArray]:
    windows = np.lib.stride_tricks.sliding_window_view(held, WINDOW)[::HOP][:count]
    for first in range(0, count, BATCH):
        yield windows[first : first + BATCH].copy()


def _times(count: int) -> Times:
    """Centres of the first `count` windows [s]."""
    return np.arange(count, dtype=np.float64) * (HOP / SR)


class OpenL3:
    """One variant of OpenL3 as an `AudioModel`. It has no labels: its layer "embedding" says what it heard."""

    def __init__(self, card: ModelCard, front_end: FrontEnd, net: OpenL3Net) -> None:
        self.card = card
        self.front_end = front_end
        self.dtype = working_type()
        net.convs.to(self.dtype)
        self.net = net
        n_fft = front_end.variant.n_fft
        self.rows = "frequency" if front_end.variant.n_mels is None else "mel"
        # The column in the middle of the window, and those nearest to the 5 ms steps around it.
        steps = (np.arange(PER_HOP) - (PER_HOP - 1) / 2) * (HOP / PER_HOP)
        self.middle = round((WINDOW / 2 - n_fft / 2) / SPECTRUM_HOP)
        self.columns = np.rint((WINDOW / 2 - n_fft / 2 + steps) / SPECTRUM_HOP).astype(int)

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """The times of the embeddings, with no scores, as there are no classes; the network need not run for that."""
        n_samples, expected = 0, max(1.0, clip.duration * SR)
        for samples in resampled_blocks(clip, SR):
            n_samples += samples.size
            if on_progress:
                on_progress(min(n_samples / expected, 1.0))
        if on_progress:
            on_progress(1.0)
        count = count_windows(n_samples)
        card = self.card
        scores = np.zeros((count, 0), np.float32)
        return Prediction(card.id, card.labels, scores, "none", _times(count), card.window_s, card.hop_s)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """What each of `layers` held; only as much of the network runs as they need.

        "embedding" (512) and "embedding_6144" are ("frame", "unit"), one frame a window. "block_1" ... "block_4",
        ("channel", "mel" or "frequency", "frame"), are the column in the middle of each window. "input", ("mel" or
        "frequency", "frame"), is the middle 0.1 s of each window, every 5 ms the nearest column (at most 2.6 ms
        away): as each window has its own loudest moment as 0 dB, a step between windows is in what the network saw.
        """
        check_layers(self.card, layers)
        if not layers:
            return {}
        parts: dict[str, list[FloatArray]] = {layer: [] for layer in layers}
        done, total = 0, max(1, count_windows(round(clip.duration * SR)))
        for windows in windows_of(clip):
            with torch.inference_mode():
                found = self._listen(torch.from_numpy(windows), layers)
            for layer, values in found.items():
                parts[layer].append(values.float().numpy())
            done += len(windows)
            if on_progress:
                on_progress(min(done / total, 1.0))
        if on_progress:
            on_progress(1.0)
        return {layer: self._activation(layer, np.concatenate(blocks)) for layer, blocks in parts.items()}

    def _listen(self, windows: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """What each layer holds for each window, windows first."""
        seen = self.front_end(windows)
        found = {"input": seen[:, :, self.columns].transpose(1, 2)}
        deepest = max(DEPTH[layer] for layer in layers)
        x = self.net.scale(seen[:, None]).to(self.dtype, memory_format=torch.channels_last)
        for i in range(1, deepest + 1):
            x = self.net.block(i, x)
            found[f"block_{i}"] = x[..., self.middle >> min(i, 3)]
        if deepest == N_BLOCKS:
            for name, pool in self.front_end.variant.pools.items():
                # Keras flattens rows, columns, channels.
                found[name] = F.max_pool2d(x, pool).permute(0, 2, 3, 1).flatten(1)
        return {layer: found[layer] for layer in layers}

    def _activation(self, layer: str, values: FloatArray) -> Activation:
        """The layer on the clock of the clip, from its values with windows first."""
        kind, times = KINDS[layer], _times(len(values))
        if layer == "input":
            steps = (np.arange(PER_HOP) - (PER_HOP - 1) / 2) * (HOP / PER_HOP / SR)
            times = (times[:, None] + steps).ravel()
            columns = values.reshape(-1, values.shape[2]).T
            # The first window is centred on the clip's start: its first half is zeros before it.
            return Activation(layer, kind, columns[:, times >= 0], (self.rows, "frame"), times[times >= 0])
        if kind == "feature_map":
            return Activation(layer, kind, values.transpose(1, 2, 0), ("channel", self.rows, "frame"), times)
        return Activation(layer, kind, values, ("frame", "unit"), times)
