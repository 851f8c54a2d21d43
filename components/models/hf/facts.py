"""What a checkpoint's JSON files say about the model, without PyTorch: its layers, labels and clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.models.hf.checkpoint import AST
from components.types import ActivationKind, ScoreKind, Times


@dataclass(frozen=True)
class Geometry:
    """Receptive field and step of the convolutions in samples at `sr` [Hz].

    Attributes
    ----------
    kernels, strides : of each convolution, in its own input frames
    """

    sr: int
    kernels: tuple[int, ...]
    strides: tuple[int, ...]

    def step(self, layers: int) -> int:
        """Samples from one output of the first `layers` convolutions to the next."""
        return int(np.prod(self.strides[:layers]))

    def reach(self, layers: int) -> int:
        """Samples that one output of the first `layers` convolutions hears."""
        return 1 + sum((self.kernels[i] - 1) * self.step(i) for i in range(layers))

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.step(len(self.strides))

    @property
    def window(self) -> int:
        """Samples that one frame hears."""
        return self.reach(len(self.strides))

    def frames(self, n_samples: int) -> int:
        """Frames of a recording; one that is shorter than a frame is filled up with silence."""
        return max(0, n_samples - self.window) // self.hop + 1

    def times(self, count: int, *, layers: int | None = None, first: int = 0) -> Times:
        """Centres of what `count` outputs hear, from output `first` on, shape (count,) [s]."""
        layers = len(self.strides) if layers is None else layers
        samples = self.reach(layers) / 2 + (first + np.arange(count)) * self.step(layers)
        return np.asarray(samples / self.sr, np.float64)


def geometry_of(config: dict[str, Any], sr: int) -> Geometry:
    """`conv_kernel` and `conv_stride` of a config.json, or Wav2Vec 2.0's own (25 ms every 20 ms at 16 kHz)."""
    kernels = config.get("conv_kernel", (10, 3, 3, 3, 3, 2, 2))
    strides = config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
    return Geometry(sr, tuple(map(int, kernels)), tuple(map(int, strides)))


@dataclass(frozen=True)
class AstGeometry:
    """AST's clock: frames of a spectrogram, patches of them as columns and rows of tokens.

    Attributes
    ----------
    sr : rate [Hz]
    length : frames in a window
    patch, step : frames in a patch, and from one column of patches to the next
    rows : patches above each other
    """

    sr: int
    length: int
    patch: int
    step: int
    rows: int

    @classmethod
    def of(cls, config: dict[str, Any], sr: int) -> AstGeometry:
        """From a config.json, with ASTConfig's values for what it does not say."""
        patch, mels = int(config.get("patch_size", 16)), int(config.get("num_mel_bins", 128))
        rows = (mels - patch) // int(config.get("frequency_stride", 10)) + 1
        return cls(sr, int(config.get("max_length", 1024)), patch, int(config.get("time_stride", 10)), rows)

    @property
    def frame(self) -> int:
        """Samples in a frame: 25 ms."""
        return self.sr * 25 // 1000

    @property
    def frame_step(self) -> int:
        """Samples from one frame to the next: 10 ms."""
        return self.sr // 100

    @property
    def columns(self) -> int:
        """Columns of patches in a window."""
        return (self.length - self.patch) // self.step + 1

    @property
    def hop_columns(self) -> int:
        """Columns from one window to the next: half a window."""
        return max(1, self.length // 2 // self.step)

    @property
    def window(self) -> int:
        """Samples in a window."""
        return self.frame + (self.length - 1) * self.frame_step

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return self.hop_columns * self.step * self.frame_step

    @property
    def window_s(self) -> float:
        """Length of a window [s]."""
        return self.window / self.sr

    @property
    def hop_s(self) -> float:
        """Step between windows [s]."""
        return self.hop / self.sr

    def columns_of(self, n_samples: int) -> int:
        """Columns of a window that hold n_samples of sound, at least in half; at least one."""
        frames = max(0, n_samples - self.frame) // self.frame_step + 1
        return min(self.columns, max(1, (frames - self.patch // 2) // self.step + 1))

    def own(self, number: int, columns: int, *, last: bool) -> slice:
        """Columns that window `number` shows: those nearest to its middle, and the ends of the recording."""
        margin = (self.columns - self.hop_columns) // 2
        return slice(0 if number == 0 else margin, columns if last else margin + self.hop_columns)

    def frames_of(self, own: slice, *, last: bool) -> slice:
        """The frames that belong to columns; the last window's up to the end of its last patch."""
        stop = (own.stop - 1) * self.step + self.patch if last else own.stop * self.step
        return slice(own.start * self.step, min(stop, self.length))

    def column_times(self, count: int) -> Times:
        """Centres of the first `count` columns [s]."""
        frames = (self.patch - 1) / 2 + np.arange(count) * self.step
        return np.asarray((frames * self.frame_step + self.frame / 2) / self.sr, np.float64)

    def frame_times(self, count: int) -> Times:
        """Centres of the first `count` frames [s]."""
        return np.asarray((np.arange(count) * self.frame_step + self.frame / 2) / self.sr, np.float64)


def activation_of(config: dict[str, Any]) -> ScoreKind:
    """How logits become scores, as transformers' pipeline does it: softmax, unless the config says otherwise."""
    problem = config.get("problem_type")
    if problem == "regression":
        return "none"
    return "sigmoid" if problem == "multi_label_classification" else "softmax"


def layers_of(config: dict[str, Any]) -> dict[str, ActivationKind]:
    """The layers that `inspect` takes and what each holds, from the sound to the head."""
    depth = int(config.get("num_hidden_layers", 12))
    found: dict[str, ActivationKind] = {}
    if config.get("model_type") == AST:
        found["input"] = "input"
    else:
        convolutions = len(config.get("conv_kernel", (10, 3, 3, 3, 3, 2, 2)))
        found |= {f"conv_{n + 1}": "feature_map" for n in range(convolutions)}
        found["projected"] = "embedding"
    found |= {f"layer_{n + 1}": "hidden_state" for n in range(depth)}
    found["embedding"] = "embedding"
    return found | {f"attention_{n + 1}": "attention" for n in range(depth)}


def attention_name(config: dict[str, Any]) -> str:
    """Name of the attention in each block of the network."""
    return "self_attn" if "conformer" in str(config.get("model_type")) else "attention"


def class_labels(config: dict[str, Any]) -> tuple[str, ...]:
    """Class names of a classifier in the order of its scores."""
    names = config.get("id2label") or {}
    count = len(names) or int(config.get("num_labels", 2))
    return distinct(tuple(str(names.get(str(k), names.get(k, f"label {k}"))) for k in range(count)))


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names, a number added to those that came before: a, b, a -> a, b, a (2)."""
    found: list[str] = []
    for name in names:
        new, number = name, 2
        while new in found:
            new, number = f"{name} ({number})", number + 1
        found.append(new)
    return tuple(found)
