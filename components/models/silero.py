"""Silero VAD: a real pretrained LSTM that tells speech from everything else, opened up.

The network of the installed package `silero-vad` (MIT) in plain PyTorch, with the weights of the package's own
model. Its blocks of 512 samples do not depend on each other until they reach the LSTM, so the front end runs on
many blocks at once and the LSTM over their sequence: the same probabilities, many times faster.

Source: https://github.com/snakers4/silero-vad, version 6, the 16 kHz branch.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.audio.transform import resampled_blocks
from components.errors import ModelError
from components.models.base import OnProgress, check_layers, read_card
from components.types import Activation, ActivationKind, Clip, FloatArray, ModelCard, Prediction, Times

SR = 16000
BLOCK = 512
"""Samples from one probability to the next."""
CONTEXT = 64
"""Samples of the block before that each block is heard with."""
UNITS = 128

State = tuple[Tensor, Tensor]

KINDS: dict[str, ActivationKind] = {
    "encoder": "embedding",
    "input_gate": "gate",
    "forget_gate": "gate",
    "cell_candidate": "gate",
    "output_gate": "gate",
    "cell_state": "cell_state",
    "hidden_state": "hidden_state",
}


class SileroNet(nn.Module):
    """STFT as a convolution, four convolutions, one LSTM layer, one logistic output."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.encoder = nn.ModuleList(
            [
                nn.Conv1d(129, 128, 3, padding=1),
                nn.Conv1d(128, 64, 3, padding=1, stride=2),
                nn.Conv1d(64, 64, 3, padding=1, stride=2),
                nn.Conv1d(64, UNITS, 3, padding=1),
            ]
        )
        self.lstm = nn.LSTM(UNITS, UNITS, batch_first=True)
        self.head = nn.Conv1d(UNITS, 1, 1)

    def encode(self, blocks: Tensor) -> Tensor:
        """Embedding of each block, (n_blocks, CONTEXT + BLOCK) -> (n_blocks, UNITS)."""
        real, imag = self.stft(F.pad(blocks, (0, 64), mode="reflect")[:, None]).chunk(2, dim=1)
        x = torch.sqrt(real**2 + imag**2)
        for layer in self.encoder:
            x = F.relu(layer(x))
        return x[:, :, 0]

    def probability(self, hidden: Tensor) -> Tensor:
        """Speech probability of each hidden state, (n_blocks, UNITS) -> (n_blocks, 1)."""
        logits: Tensor = F.linear(F.relu(hidden), self.head.weight[:, :, 0], self.head.bias)
        return torch.sigmoid(logits)

    def unrolled(self, embedding: Tensor, state: State) -> dict[str, Tensor]:
        """The LSTM step by step, each step's gates and states, (n_blocks, UNITS) each.

        i, f, o = sigmoid(W x_t + U h_{t-1} + b), g = tanh(W x_t + U h_{t-1} + b), each with its own W, U, b;
        c_t = f * c_{t-1} + i * g; h_t = o * tanh(c_t).
        """
        h, c = state[0][0, 0], state[1][0, 0]
        W, U, b_ih, b_hh = self.lstm.all_weights[0]
        steps = []
        for x in F.linear(embedding, W, b_ih + b_hh):
            i, f, g, o = (x + U @ h).chunk(4)
            i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
            c = f * c + i * g
            h = o * torch.tanh(c)
            steps.append(torch.stack([i, f, g, o, c, h]))
        names = ("input_gate", "forget_gate", "cell_candidate", "output_gate", "cell_state", "hidden_state")
        return dict(zip(names, torch.stack(steps).unbind(1), strict=True))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The file with the weights: in the package silero-vad, which is not imported for it.

    `silero_vad_16k.safetensors` beside it holds other weights than the package's own model uses.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("The package silero-vad is not installed: start Otoscope with run.py, which installs it.")
    return (Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit",)


def load(folder: Path) -> Silero:
    """The model whose card lies in `folder`."""
    (path,) = weight_files(folder)
    with warnings.catch_warnings():
        # torch will drop this format one day; the pinned package has no other with these weights.
        warnings.simplefilter("ignore", DeprecationWarning)
        # The file is code as well as weights. It comes with the package, as trusted as any import.
        theirs = torch.jit.load(str(path), map_location="cpu").state_dict()
    names = {
        "stft.weight": "stft.forward_basis_buffer",
        "lstm.weight_ih_l0": "decoder.rnn.weight_ih",
        "lstm.weight_hh_l0": "decoder.rnn.weight_hh",
        "lstm.bias_ih_l0": "decoder.rnn.bias_ih",
        "lstm.bias_hh_l0": "decoder.rnn.bias_hh",
        "head.weight": "decoder.decoder.2.weight",
        "head.bias": "decoder.decoder.2.bias",
    } | {f"encoder.{k}.{what}": f"encoder.{k}.reparam_conv.{what}" for k in range(4) for what in ("weight", "bias")}
    net = SileroNet()
    net.load_state_dict({ours: theirs[f"_model.{name}"] for ours, name in names.items()})
    return Silero(read_card(folder), net.eval().requires_grad_(False))


def _windows(clip: Clip) -> Iterator[Tensor]:
    """Blocks of the clip with their context, (n_blocks, CONTEXT + BLOCK) each; zeros beyond its ends."""
    held = np.zeros(CONTEXT, np.float32)
    heard = False
    for samples in resampled_blocks(clip, SR):
        held = np.concatenate([held, samples])
        count = (held.size - CONTEXT) // BLOCK
        if count:
            yield _cut(held, count)
            heard = True
            held = held[count * BLOCK :]
    # The rest of less than a block; a clip too short to leave a sample at 16 kHz is one block of silence.
    rest = held.size - CONTEXT
    if rest or not heard:
        yield _cut(np.pad(held, (0, BLOCK - rest)), 1)


def _cut(held: FloatArray, count: int) -> Tensor:
    windows = np.lib.stride_tricks.sliding_window_view(held, CONTEXT + BLOCK)[::BLOCK][:count]
    return torch.from_numpy(windows.copy())


def _times(count: int) -> Times:
    """Centres of the first `count` blocks [s]; each has also heard the 4 ms before its block."""
    return (np.arange(count, dtype=np.float64) + 0.5) * (BLOCK / SR)


class Silero:
    """Silero VAD as an `AudioModel`."""

    def __init__(self, card: ModelCard, net: SileroNet) -> None:
        self.card = card
        self.net = net

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """Speech probability of each block of 32 ms, with the LSTM's state carried through the whole clip."""
        state: State = (torch.zeros(1, 1, UNITS), torch.zeros(1, 1, UNITS))
        scores = []
        for embedding in self._embeddings(clip, on_progress):
            with torch.inference_mode():
                hidden, state = self.net.lstm(embedding[None], state)
                scores.append(self.net.probability(hidden[0]).numpy())
        values = np.concatenate(scores)
        card = self.card
        times = _times(len(values))
        return Prediction(card.id, card.labels, values, "sigmoid", times, card.window_s, card.hop_s)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """What each of `layers` held, ("frame", "unit"): the encoder's output, the LSTM's gates and states."""
        check_layers(self.card, layers)
        state: State = (torch.zeros(1, 1, UNITS), torch.zeros(1, 1, UNITS))
        parts: dict[str, list[FloatArray]] = {layer: [] for layer in layers}
        for embedding in self._embeddings(clip, on_progress):
            with torch.inference_mode():
                found = {"encoder": embedding, **self.net.unrolled(embedding, state)}
                state = found["hidden_state"][-1][None, None], found["cell_state"][-1][None, None]
            for layer in layers:
                parts[layer].append(found[layer].numpy())
        times = _times(sum(map(len, parts[layers[0]]))) if layers else None
        return {
            layer: Activation(layer, KINDS[layer], np.concatenate(blocks), ("frame", "unit"), times)
            for layer, blocks in parts.items()
        }

    def _embeddings(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[Tensor]:
        """The encoder's output for consecutive blocks, (n_blocks, UNITS) each; tells how far it has come."""
        total = max(1.0, clip.duration * SR / BLOCK)
        done = 0
        for windows in _windows(clip):
            with torch.inference_mode():
                embedding = self.net.encode(windows)
            yield embedding
            done += len(windows)
            if on_progress:
                on_progress(min(done / total, 1.0))
        if on_progress:
            on_progress(1.0)
