"""YAMNet: 521 kinds of sound, twice a second. A MobileNet of 14 blocks, opened up.

The published network in plain PyTorch, with the weights of the official `yamnet.h5` or of a TensorFlow Lite file.
16 kHz; log-mel frames of 25 ms every 10 ms; patches of 96 frames every 48; one convolution and 13 pairs of a
depthwise 3x3 and a pointwise convolution; the mean over time and frequency is the embedding, and 521 logistic outputs
read it.

Source: https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache 2.0).
"""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.audio.transform import resampled_blocks
from components.errors import ModelError
from components.models import tflite_weights
from components.models.base import OnProgress, check_layers
from components.models.precision import working_type
from components.types import Activation, ActivationKind, Clip, FloatArray, ModelCard, Prediction, Times

SR = 16000
N_FFT, WIN_LENGTH, HOP_LENGTH = 512, 400, 160
N_MELS, FMIN, FMAX = 64, 125.0, 7500.0
LOG_OFFSET = 1e-3
"""Added to the mel magnitudes before the logarithm: silence is log 0.001."""
PATCH_FRAMES, PATCH_HOP = 96, 48
PATCH = (PATCH_FRAMES - 1) * HOP_LENGTH + WIN_LENGTH
"""Samples that one patch hears: 0.975 s."""
HOP = PATCH_HOP * HOP_LENGTH
"""Samples from one patch to the next: 0.48 s."""
N_CLASSES = 521
UNITS = 1024

BLOCKS = (
    *((2, 32), (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)),
    *((1, 512), (1, 512), (1, 512), (1, 512), (1, 512), (2, 1024), (1, UNITS)),
)
"""(stride, channels) of each block."""

BN_EPSILON = 1e-4

CLASS_MAP = "yamnet_class_map.csv"

KINDS: dict[str, ActivationKind] = {
    "input": "input",
    **{f"layer{k}": "feature_map" for k in range(1, len(BLOCKS) + 1)},
    "embedding": "embedding",
}
MAPS = tuple(layer for layer in KINDS if layer != "embedding")

GROUPS = (
    ("Human sounds: voice", 0),
    ("Human sounds: breathing, coughing", 36),
    ("Human sounds: walking, running", 46),
    ("Human sounds: eating, digestion", 49),
    ("Human sounds: hands", 56),
    ("Human sounds: heart", 59),
    ("Human sounds: groups of people", 61),
    ("Animals: in general", 67),
    ("Animals: pets", 68),
    ("Animals: on the farm", 81),
    ("Animals: wild", 103),
    ("Music: in general", 132),
    ("Music: instruments", 133),
    ("Music: genres", 211),
    ("Music: songs and uses", 261),
    ("Music: moods", 271),
    ("Nature: wind", 277),
    ("Nature: thunderstorm", 280),
    ("Nature: water", 282),
    ("Nature: fire", 292),
    ("Things: vehicles", 294),
    ("Things: engines", 337),
    ("Things: at home", 348),
    ("Things: alarms and signals", 382),
    ("Things: mechanisms", 398),
    ("Things: tools", 412),
    ("Things: explosions", 420),
    ("Things: wood", 431),
    ("Things: glass", 435),
    ("Things: liquids", 438),
    ("Things: others", 451),
    ("Source unclear: impacts", 460),
    ("Source unclear: surfaces in contact", 466),
    ("Source unclear: onomatopoeia", 475),
    ("Source unclear: silence", 494),
    ("Source unclear: tones and effects", 495),
    ("Background: rooms and places", 500),
    ("Background: noise", 507),
    ("Background: broadcast and field recordings", 518),
)
"""(group, first class): the classes stand in the order of the AudioSet ontology, so that a group is a range."""

NO_NAMES = (
    f"The class names are missing, so classes are called by group and number: put {CLASS_MAP} into the folder of the "
    "weights."
)


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    Attributes
    ----------
    state : parameters by the names that `YamnetNet` gives them, batch normalisation folded in
    ceiling : of the ReLUs: 6 where the file was made with ReLU6, else infinity
    labels : class names; () where the file has none
    """

    state: dict[str, Tensor]
    ceiling: float
    labels: tuple[str, ...] = ()


class Block(nn.Module):
    """A 3x3 convolution within each channel and a 1x1 convolution across them, a ReLU after each.

    The first block has one channel to begin with: its 3x3 convolution makes all of its channels at once.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, ceiling: float) -> None:
        super().__init__()
        first = n_in == 1
        self.ceiling = ceiling
        self.spatial = nn.Conv2d(
            n_in, n_out if first else n_in, 3, stride, padding=1 if stride == 1 else 0, groups=n_in
        )
        self.pointwise = None if first else nn.Linear(n_in, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(n_patches, n_frames, n_mels, n_in) -> (n_patches, n_frames / stride, n_mels / stride, n_out).

        Channels stand last, so that the 1x1 convolution is one matrix product: the fastest layout on a processor.
        """
        x = x.permute(0, 3, 1, 2)
        if self.spatial.stride == (2, 2):
            # TensorFlow's "SAME" with stride 2 on an even length: one row of zeros, at the far end only.
            x = F.pad(x, (0, 1, 0, 1))
        x = self.spatial(x).clamp_(0.0, self.ceiling).permute(0, 2, 3, 1)
        if self.pointwise is not None:
            x = self.pointwise(x).clamp_(0.0, self.ceiling)
        return x


class YamnetNet(nn.Module):
    """The front end, the blocks and the logistic outputs.

    Parameters
    ----------
    ceiling : of the ReLUs
    """

    window: Tensor
    mel: Tensor

    def __init__(self, ceiling: float) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WIN_LENGTH), persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel_weights()), persistent=False)
        widths = (1, *(channels for _, channels in BLOCKS))
        self.blocks = nn.ModuleList(
            Block(n_in, n_out, stride, ceiling) for n_in, (stride, n_out) in zip(widths, BLOCKS, strict=False)
        )
        self.head = nn.Linear(UNITS, N_CLASSES)

    def log_mel(self, y: Tensor) -> Tensor:
        """log(mel magnitudes + 0.001) at 16 kHz, (n_samples,) -> (1 + (n_samples - 400) // 160, 64)."""
        # torch.stft centres the window in n_fft; with as many zeros at the ends the first frame begins with y.
        margin = (N_FFT - WIN_LENGTH) // 2
        S = torch.stft(
            F.pad(y, (margin, margin)),
            N_FFT,
            HOP_LENGTH,
            WIN_LENGTH,
            self.window,
            center=False,
            return_complex=True,
        ).abs()
        return torch.log(S.T @ self.mel + LOG_OFFSET)

    def maps(self, patches: Tensor) -> Iterator[Tensor]:
        """Outputs of the blocks in turn, (n_patches, n_frames, n_mels, n_channels) each, for (n_patches, 96, 64)."""
        x = patches[..., None].to(next(self.blocks.parameters()).dtype)
        for block in self.blocks:
            x = block(x)
            yield x

    def forward(self, patches: Tensor) -> Tensor:
        """(n_patches, 96, 64) -> logits (n_patches, 521)."""
        (last,) = deque(self.maps(patches), maxlen=1)  # the others need not stay in memory
        logits: Tensor = self.head(embedding_of(last))
        return logits


def embedding_of(last: Tensor) -> Tensor:
    """Mean over time and frequency of the last block's maps, (n_patches, 3, 2, 1024) -> (n_patches, 1024)."""
    return last.float().mean((1, 2))


def mel_weights() -> FloatArray:
    """Mel triangles, shape (257, 64): linear in mel, m = 1127 ln(1 + f / 700).

    Not librosa's, which are linear in Hz: they differ by up to 0.0044.

    Source: tf.signal.linear_to_mel_weight_matrix.
    """

    def mel(f: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(f, np.float64) / 700.0)

    edges = np.linspace(mel(FMIN), mel(FMAX), N_MELS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.linspace(0.0, SR / 2, N_FFT // 2 + 1))[:, None]
    weights = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return weights.astype(np.float32)


def weight_files(path: Path) -> tuple[Path, ...]:
    """The file with the weights: `path` itself, or the one in that folder.

    Raises
    ------
    ModelError : none there, or several
    """
    if not path.is_dir():
        return (path,)
    found = sorted(file for file in path.iterdir() if file.suffix in (".h5", ".tflite"))
    official = [file for file in found if file.name == "yamnet.h5"]
    found = official or found
    if not found:
        raise ModelError(
            f"The folder {path.name} holds neither yamnet.h5 nor a .tflite file: choose the one that does."
        )
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ModelError(f"The folder {path.name} holds several files of weights ({names}): choose one of them.")
    return tuple(found)


def load(path: Path, card: ModelCard) -> Yamnet:
    """YAMNet with the weights at `path`: a folder or a file, of Keras (.h5) or of TensorFlow Lite (.tflite).

    Raises
    ------
    ModelError : no such file, damaged, or of another model
    """
    (file,) = weight_files(path)
    if not file.is_file():
        raise ModelError(f"There is no file {file.name}: choose yamnet.h5 or a .tflite file of YAMNet.")
    weights = read_weights(file)
    net = YamnetNet(weights.ceiling)
    net.load_state_dict(weights.state)
    net.blocks.to(working_type())
    net.eval().requires_grad_(False)
    labels = weights.labels or labels_beside(file)
    card = replace(
        card,
        labels=_unique(labels or _numbered()),
        layers=tuple(KINDS),
        emits=tuple(KINDS.values()),
        caveats=card.caveats if labels else (NO_NAMES, *card.caveats),
        label_groups=label_groups(),
    )
    return Yamnet(card, net)


def read_weights(file: Path) -> Weights:
    """The weights in a file of either format, told apart by what is in it.

    Raises
    ------
    ModelError : damaged, or of another model
    """
    if h5py.is_hdf5(file):
        read, what = from_h5, "Keras weights"
    elif tflite_weights.is_tflite(file):
        read, what = from_tflite, "TensorFlow Lite model"
    else:
        raise ModelError(
            f"{file.name} is neither yamnet.h5 nor a .tflite file, or it is cut short: download YAMNet again, or "
            "choose another file."
        )
    try:
        weights = read(file)
    except ModelError:
        raise
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise ModelError(f"{file.name} is damaged: download it again, or choose another file.") from error
    if not all(values.isfinite().all() for values in weights.state.values()):
        raise ModelError(f"{file.name} holds weights that are no numbers ({what}): download it again.")
    return weights


def from_h5(file: Path) -> Weights:
    """Weights of the Keras model, as in the official yamnet.h5.

    Batch normalisation has no gamma there: y = (Wx - mean) / sqrt(var + 1e-4) + beta becomes W' = W / sqrt(var + 1e-4),
    b' = beta - mean / sqrt(var + 1e-4).
    """
    with h5py.File(file, "r") as opened:
        sets: dict[str, h5py.Dataset] = {}
        opened.visititems(
            lambda name, item: sets.__setitem__(name.split(":")[0], item) if isinstance(item, h5py.Dataset) else None
        )

        def get(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
            # The name that the layer has in the network is the end of the name that it has in the file.
            found = [item for key, item in sets.items() if f"/{key}".endswith(f"/{name}")]
            if len(found) != 1 or found[0].shape != shape:
                raise ModelError(_not_yamnet(file, f"{name} of shape {shape}"))
            values: npt.NDArray[np.float64] = found[0][()].astype(np.float64)
            return values

        state: dict[str, Tensor] = {}
        for ours, theirs, _, shape in _convolutions():
            depthwise = theirs.endswith("depthwise_conv")
            n_out = shape[2] if depthwise else shape[3]
            kernel = get(f"{theirs}/{'depthwise_kernel' if depthwise else 'kernel'}", shape)
            beta, mean, var = (get(f"{theirs}/bn/{k}", (n_out,)) for k in ("beta", "moving_mean", "moving_variance"))
            scale = 1.0 / np.sqrt(var + BN_EPSILON)
            W = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
            _put(state, ours, W * scale[:, None, None, None], beta - mean * scale)
        # The last layer was called "logits" once and is called "dense" now, sometimes with a number.
        (head,) = {key.rsplit("/", 1)[0] for key, item in sets.items() if item.shape == (UNITS, N_CLASSES)} or {
            "logits"
        }
        _put(state, "head", get(f"{head}/kernel", (UNITS, N_CLASSES)).T, get(f"{head}/bias", (N_CLASSES,)))
    return Weights(state, float("inf"))


def from_tflite(file: Path) -> Weights:
    """Weights of a TensorFlow Lite model, quantised or not, and the class names packed into it."""
    layers = tflite_weights.read_layers(file)
    convolutions = [layer for layer in layers if layer.kind != "dense"]
    wanted = list(_convolutions())
    dense = [layer for layer in layers if layer.weight.size == N_CLASSES * UNITS]
    if len(convolutions) != len(wanted) or len(dense) != 1:
        raise ModelError(_not_yamnet(file, f"{len(wanted)} convolutions and one layer of {N_CLASSES} classes"))
    state: dict[str, Tensor] = {}
    for layer, (ours, _, kind, (height, width, n_in, n_out)) in zip(convolutions, wanted, strict=True):
        shape = (1, height, width, n_in) if kind == "depthwise" else (n_out, height, width, n_in)
        if (layer.kind, layer.weight.shape) != (kind, shape):
            raise ModelError(_not_yamnet(file, f"{ours} of shape {shape}"))
        W = layer.weight.transpose(3, 0, 1, 2) if kind == "depthwise" else layer.weight.transpose(0, 3, 1, 2)
        _put(state, ours, W, layer.bias)
    _put(state, "head", dense[0].weight.reshape(N_CLASSES, UNITS), dense[0].bias)
    ceilings = {layer.ceiling for layer in convolutions}
    ceiling = ceilings.pop()
    if ceilings or ceiling is None:
        raise ModelError(_not_yamnet(file, "the same ReLU after each convolution"))
    labels = tflite_weights.read_labels(file)
    return Weights(state, ceiling, labels if len(labels) == N_CLASSES else ())


def _convolutions() -> Iterator[tuple[str, str, str, tuple[int, int, int, int]]]:
    """Each convolution in turn: our name, Keras's name, its kind, Keras's shape (height, width, in, out)."""
    n_in = 1
    for k, (_, n_out) in enumerate(BLOCKS):
        if n_in == 1:
            yield f"blocks.{k}.spatial", f"layer{k + 1}/conv", "conv", (3, 3, n_in, n_out)
        else:
            yield f"blocks.{k}.spatial", f"layer{k + 1}/depthwise_conv", "depthwise", (3, 3, n_in, 1)
            yield f"blocks.{k}.pointwise", f"layer{k + 1}/pointwise_conv", "conv", (1, 1, n_in, n_out)
        n_in = n_out


def _put(state: dict[str, Tensor], name: str, weight: npt.NDArray[np.floating], bias: npt.NDArray[np.floating]) -> None:
    if name.endswith("pointwise"):
        weight = weight[:, :, 0, 0]
    state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(weight, np.float32))
    state[f"{name}.bias"] = torch.from_numpy(np.ascontiguousarray(bias, np.float32))


def _not_yamnet(file: Path, lacks: str) -> str:
    return f"{file.name} is not YAMNet (it lacks {lacks}): choose yamnet.h5 or a .tflite file of YAMNet."


def labels_beside(file: Path) -> tuple[str, ...]:
    """The class names that lie in the folder of a file of weights, in the class map or in a .tflite file; () if none.

    The official yamnet.h5 has none in it.
    """
    for path in (file.with_name(CLASS_MAP), *sorted(file.parent.glob("*.tflite"))):
        try:
            labels = _class_map(path) if path.suffix == ".csv" else tflite_weights.read_labels(path)
        except (OSError, ValueError, KeyError, RuntimeError):  # a list that cannot be read is no list
            continue
        if len(labels) == N_CLASSES:
            return labels
    return ()


def _class_map(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        names = {int(row["index"]): row["display_name"] for row in csv.DictReader(file)}
    return tuple(names[k] for k in range(len(names)))


def label_groups() -> tuple[tuple[str, int, int], ...]:
    """(group, first class, stop class) for each of GROUPS; together all classes."""
    stops = [first for _, first in GROUPS[1:]] + [N_CLASSES]
    return tuple((name, first, stop) for (name, first), stop in zip(GROUPS, stops, strict=True))


def _numbered() -> tuple[str, ...]:
    return tuple(f"{group} (class {k})" for group, first, stop in label_groups() for k in range(first, stop))


def _unique(labels: tuple[str, ...]) -> tuple[str, ...]:
    count = Counter(labels)
    return tuple(f"{label} (class {k})" if count[label] > 1 else label for k, label in enumerate(labels))


def _stretches(clip: Clip, n_patches: int) -> Iterator[FloatArray]:
    """The clip at 16 kHz in stretches of whole patches, at most n_patches each, shape (PATCH + k * HOP,).

    Zeros are added at the end until its last sample is in a patch, as the published network does it.
    """
    held = np.zeros(0, np.float32)
    heard = False
    size = PATCH + (n_patches - 1) * HOP
    for samples in resampled_blocks(clip, SR):
        held = np.concatenate([held, samples])
        while held.size >= size:
            yield held[:size]
            heard = True
            held = held[n_patches * HOP :]
    # The first PATCH - HOP samples were in the patch before, if there was one.
    rest = -(-(held.size - (PATCH - HOP)) // HOP)
    if rest > 0 or not heard:
        yield np.pad(held, (0, PATCH + (max(rest, 1) - 1) * HOP - held.size))


def _times(count: int) -> Times:
    """Centres of what the first `count` patches have heard [s]."""
    return (np.arange(count, dtype=np.float64) * HOP + PATCH / 2) / SR


class _Stitch:
    """Puts the overlapping patches of one layer on one clock; see `Yamnet.inspect`."""

    def __init__(self) -> None:
        self.parts: list[Tensor] = []
        self.tail: Tensor | None = None

    def add(self, maps: Tensor) -> None:
        """The next patches, (n_patches, n_rows, n_mels, n_channels)."""
        start, stop = self._kept(maps.shape[1])
        if maps.shape[1] % 2 == 0:
            if not self.parts:
                self.parts.append(maps[0, :start].float())
            self.tail = maps[-1, stop:].float()
        self.parts.append(maps[:, start:stop].flatten(0, 1).float())
        self.n_rows = maps.shape[1]

    @staticmethod
    def _kept(n_rows: int) -> tuple[int, int]:
        """First and stop row of the middle half of a patch; the middle row of three."""
        start = (n_rows - n_rows // 2) // 2
        return start, start + n_rows // 2

    def values(self) -> FloatArray:
        """Shape (n_frames, n_mels, n_channels)."""
        parts = self.parts if self.tail is None else [*self.parts, self.tail]
        return torch.cat(parts).numpy()

    def times(self, count: int) -> Times:
        """Centres [s]. With stride s behind it row i is centred on frame i * s + s - 1: each convolution of stride 2
        looks one frame ahead, since it has its zeros at the far end only."""
        stride = PATCH_FRAMES // self.n_rows
        first = stride - 1 if self.tail is not None else 2 * stride - 1
        frames = first + np.arange(count, dtype=np.float64) * PATCH_HOP / (self.n_rows // 2)
        return (frames * HOP_LENGTH + WIN_LENGTH / 2) / SR


class Yamnet:
    """YAMNet as an `AudioModel`."""

    def __init__(self, card: ModelCard, net: YamnetNet) -> None:
        self.card = card
        self.net = net
        # Maps that stay in the processor's cache: 32 patches of 2 bytes a number, 16 of 4.
        self.batch = 64 // next(net.blocks.parameters()).element_size()

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """A score between 0 and 1 for each class, of each patch of 0.975 s, every 0.48 s."""
        scores = []
        for patches in self._patches(clip, on_progress):
            with torch.inference_mode():
                scores.append(torch.sigmoid(self.net(patches)).numpy())
        values = np.concatenate(scores)
        card = self.card
        return Prediction(card.id, card.labels, values, "sigmoid", _times(len(values)), card.window_s, card.hop_s)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """What each of `layers` held.

        "input" is the log-mel spectrogram, ("frame", "mel"), every 10 ms. "embedding" is the mean that the classes
        are read from, ("frame", "unit"), one a patch. "layer1" to "layer14" are feature maps, ("channel", "mel",
        "frame"), every 20, 40, 80, 160 and 480 ms.

        Patches overlap by half, and a map's rows near the ends of a patch have seen zeros beyond it. So the middle
        half of each patch is kept, and at the ends of the clip the outer quarter, too. The last two blocks have three
        rows a patch, which do not fit into the hop of one and a half: of them the middle one is kept.
        A row's time is the centre of the frames that its convolutions reach.
        """
        check_layers(self.card, layers)
        stitches = {layer: _Stitch() for layer in layers if layer != "embedding"}
        embeddings = []
        for patches in self._patches(clip, on_progress):
            with torch.inference_mode():
                for layer, maps in zip(MAPS, self._maps(patches), strict=True):
                    if layer in stitches:
                        stitches[layer].add(maps)
                embeddings.append(embedding_of(maps).numpy())
        return {layer: _activation(layer, stitches.get(layer), embeddings) for layer in layers}

    def _maps(self, patches: Tensor) -> Iterator[Tensor]:
        yield patches[..., None]
        yield from self.net.maps(patches)

    def _patches(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[Tensor]:
        """Batches of log-mel patches, (n_patches, 96, 64) each; tells how far it has come."""
        total = max(1.0, clip.duration * SR / HOP)
        done = 0
        for y in _stretches(clip, self.batch):
            with torch.inference_mode():
                patches = self.net.log_mel(torch.from_numpy(y)).unfold(0, PATCH_FRAMES, PATCH_HOP).transpose(1, 2)
            yield patches
            done += len(patches)
            if on_progress:
                on_progress(min(done / total, 1.0))
        if on_progress:
            on_progress(1.0)


def _activation(layer: str, stitch: _Stitch | None, embeddings: list[FloatArray]) -> Activation:
    kind = KINDS[layer]
    if stitch is None:
        values = np.concatenate(embeddings)
        return Activation(layer, kind, values, ("frame", "unit"), _times(len(values)))
    values = stitch.values()
    times = stitch.times(len(values))
    if kind == "input":
        return Activation(layer, kind, values[:, :, 0], ("frame", "mel"), times)
    return Activation(layer, kind, values.transpose(2, 1, 0), ("channel", "mel", "frame"), times)
