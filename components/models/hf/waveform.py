"""The front of models that hear the waveform: strided convolutions, run over a recording as it streams by.

Wav2Vec 2.0, HuBERT and their kin bring the whole recording to zero mean and unit variance, and some then normalise
each channel of the first convolution over the whole recording, too (group norm). A stream has no whole; so a first
pass over the recording collects its mean, its variance and the 10 x 10 moments of the frames that the first filters
see, from which the mean and variance of every channel follow exactly: for a filter w with frames x of mean m and
covariance C they are w m and w C w. The second pass convolves block by block. The frames are those of the whole-file
computation, at constant memory, and no sample is convolved twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.audio.transform import resampled_blocks
from components.models.hf.facts import Geometry
from components.types import Clip, FloatArray

BLOCK_S = 1.0
"""Seconds convolved at once: the first layer's output of one second fits a processor's cache."""


class Moments:
    """Sums over a recording: of its samples, and of the frames that the first filters see."""

    def __init__(self, kernel: int, stride: int) -> None:
        self.kernel, self.stride = kernel, stride
        self.n, self.first, self.second = 0, 0.0, 0.0
        self.frames = 0
        self.frame_first = np.zeros(kernel)
        self.frame_second = np.zeros((kernel, kernel))
        self._held = np.zeros(0)

    def add(self, y: FloatArray) -> None:
        """Count the next samples in."""
        samples = y.astype(np.float64)
        self.n += samples.size
        self.first += float(samples.sum())
        self.second += float(samples @ samples)
        held = np.concatenate([self._held, samples])
        count = max(0, (held.size - self.kernel) // self.stride + 1)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(held, self.kernel)[:: self.stride][:count]
            self.frames += count
            self.frame_first += frames.sum(axis=0)
            self.frame_second += frames.T @ frames
        self._held = held[count * self.stride :]

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return self.first / max(self.n, 1)

    @property
    def scale(self) -> float:
        """sqrt(variance + 1e-7), as transformers' feature extractor divides by."""
        return float(np.sqrt(max(0.0, self.second / max(self.n, 1) - self.mean**2) + 1e-7))


@dataclass(frozen=True)
class Level:
    """How a recording is brought to the level that the model expects.

    Attributes
    ----------
    mean, scale : (y - mean) / scale; 0 and 1 where the model wants its samples as they are
    gain, bias : of each channel of the first convolution, (channels, 1), instead of its group norm; or None
    """

    mean: float
    scale: float
    gain: Tensor | None = None
    bias: Tensor | None = None


class Waveform:
    """The convolutions of a network with what they need to stream; holds nothing between calls."""

    def __init__(self, encoder: nn.Module, geometry: Geometry, *, do_normalize: bool) -> None:
        self.encoder = encoder
        self.geometry = geometry
        self.do_normalize = do_normalize

    @property
    def layers(self) -> Sequence[Any]:
        """The convolutional layers, first to last."""
        found: Sequence[Any] = self.encoder.conv_layers  # type: ignore[assignment]
        return found

    @property
    def group_norm(self) -> nn.GroupNorm | None:
        """The first layer's normalisation over the whole recording, where it has one."""
        norm = getattr(self.layers[0], "layer_norm", None)
        return norm if isinstance(norm, nn.GroupNorm) else None

    def level(self, clip: Clip, report: Callable[[float], None]) -> Level:
        """The first pass over a recording, if the model needs one."""
        if not self.do_normalize and self.group_norm is None:
            return Level(0.0, 1.0)
        sums = Moments(self.geometry.kernels[0], self.geometry.strides[0])
        total = clip.duration * self.geometry.sr
        for y in resampled_blocks(clip, self.geometry.sr):
            sums.add(y)
            report(sums.n / total)
        mean, scale = (sums.mean, sums.scale) if self.do_normalize else (0.0, 1.0)
        # A recording shorter than a frame is heard with silence after it; count that in.
        sums.add(np.full(max(0, self.geometry.window - sums.n), mean, np.float32))
        return self._channels(sums, mean, scale)

    def _channels(self, sums: Moments, mean: float, scale: float) -> Level:
        """The gain and bias that the group norm comes to over the whole recording."""
        norm, conv = self.group_norm, self.layers[0].conv
        if norm is None:
            return Level(mean, scale)
        w = conv.weight[:, 0].double().numpy()
        b = np.zeros(len(w)) if conv.bias is None else conv.bias.double().numpy()
        m = sums.frame_first / sums.frames
        covariance = (sums.frame_second / sums.frames - np.outer(m, m)) / scale**2
        of_channel = w @ ((m - mean) / scale) + b
        variance = np.maximum(0.0, np.einsum("ci,ij,cj->c", w, covariance, w))
        gain = norm.weight.double().numpy() / np.sqrt(variance + norm.eps)
        bias = norm.bias.double().numpy() - gain * of_channel
        dtype = conv.weight.dtype
        return Level(mean, scale, torch.from_numpy(gain)[:, None].to(dtype), torch.from_numpy(bias)[:, None].to(dtype))

    def blocks(self, clip: Clip, level: Level) -> Iterator[tuple[Tensor, bool]]:
        """The recording at the model's level, cut so that the convolutions of the pieces are those of the whole.

        Pieces of BLOCK_S of frames, (1, n_samples) each, and whether it is the last.
        """
        hop, window = self.geometry.hop, self.geometry.window
        count = max(1, round(BLOCK_S * self.geometry.sr / hop))
        need = (count - 1) * hop + window
        held = np.zeros(0, np.float32)
        for y in resampled_blocks(clip, self.geometry.sr):
            held = np.concatenate([held, (y - np.float32(level.mean)) / np.float32(level.scale)])
            while held.size >= need + hop:  # so that the last piece has a frame, too
                yield torch.from_numpy(held[:need].copy())[None], False
                held = held[count * hop :]
        held = np.pad(held, (0, max(0, window - held.size)))
        yield torch.from_numpy(held)[None], True

    @torch.inference_mode()
    def convolve(self, y: Tensor, level: Level) -> list[Tensor]:
        """The output of each layer for (1, n_samples), (1, channels, n) each."""
        outputs = []
        x = y[:, None].to(self.layers[0].conv.weight.dtype)
        for index, layer in enumerate(self.layers):
            if index == 0 and level.gain is not None and level.bias is not None:
                x = layer.activation(layer.conv(x) * level.gain + level.bias)
            else:
                x = layer(x)
            outputs.append(x)
        return outputs

    def features(self, clip: Clip, level: Level, taps: Iterable[int] = ()) -> Iterator[dict[int, FloatArray]]:
        """Outputs of the last layer, and of the layers `taps` (1 for the first), block by block: (n, channels) each."""
        wanted = {len(self.layers), *taps}
        count = max(1, round(BLOCK_S * self.geometry.sr / self.geometry.hop))
        for y, last in self.blocks(clip, level):
            outputs = self.convolve(y, level)
            # The last outputs of a block are the first of the next, except at the very end.
            keep = {n: None if last else count * self.geometry.hop // self.geometry.step(n) for n in wanted}
            yield {n: outputs[n - 1][0, :, : keep[n]].T.float().numpy() for n in wanted}
