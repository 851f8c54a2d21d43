"""Recurrent networks on MFCC frames: Elman's, exactly as in the textbook, and the LSTM.

Elman, "Finding structure in time" (1990): h_t = tanh(W_xh x_t + W_hh h_{t-1} + b).
Hochreiter and Schmidhuber, "Long short-term memory" (1997), with the forget gate of Gers et al. (2000):
c_t = f_t * c_{t-1} + i_t * g_t and h_t = o_t * tanh(c_t).

x_t is a stack of MFCC frames around t, some of them from the near future: a network that only looks back cannot
know a word at its first sound. Where a task asks for it, mean and spread of a second around t belong to x_t as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from components.models import frames
from components.models.around import PARTS, SLOPE, running_statistics
from components.models.base import OnProgress, check_layers, read_card
from components.models.frames import FrontEnd
from components.types import Activation, ActivationKind, Clip, FloatArray, FrameParams, ModelCard, Prediction

WEIGHTS = "model.safetensors"
OFFSETS = (-4, -2, 0, 2, 4, 6, 8, 10)
"""Frames that make up x_t where a recipe does not say otherwise, counted from t."""

State = tuple[torch.Tensor, ...]
"""What a network carries from block to block: (h,) or (h, c), shape (B, H) each."""


def margins_of(offsets: tuple[int, ...], around: int) -> tuple[int, int]:
    """Frames before and after t that x_t depends on."""
    reach = around + SLOPE if around else 0
    return max(-offsets[0], reach), max(offsets[-1], reach)


def size_of_x(params: FrameParams, offsets: tuple[int, ...], around: int) -> int:
    """Length of x_t."""
    return params.n_mfcc * (len(offsets) + (PARTS if around else 0))


class Recurrent(nn.Module):
    """What both networks share: standardised, stacked MFCC as input and linear logits for each frame."""

    def __init__(
        self, params: FrameParams, n_classes: int, hidden_size: int, offsets: tuple[int, ...], around: int
    ) -> None:
        super().__init__()
        self.params = params
        self.offsets = offsets
        self.around = around
        self.left, self.right = margins_of(offsets, around)
        self.register_buffer("mean", torch.zeros(params.n_mfcc))
        self.register_buffer("std", torch.ones(params.n_mfcc))
        self.dropout_x = nn.Dropout(0.2)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(hidden_size, n_classes)

    def stack(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised MFCC at `offsets` side by side: log-mel (B, left + T + right, n_mels) -> (B, T, D).

        With `around`, their statistics over so many frames on each side beside them.
        """
        z = (x @ torch.from_numpy(frames.dct_basis(self.params)) - self.get_buffer("mean")) / self.get_buffer("std")
        length = z.shape[1] - self.left - self.right
        parts = [z[:, self.left + o : self.left + o + length] for o in self.offsets]
        if self.around:
            parts.append(running_statistics(x, z, self.around)[:, self.left : self.left + length])
        return torch.cat(parts, dim=2)

    def states(self, x: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """x_t (B, T, D) and the state before -> h_t (B, T, H) and the state after."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, left + T + right, n_mels) -> (B, T, n_classes)
        h, _ = self.states(self.dropout_x(self.stack(x)), None)
        return self.head(self.dropout(h))  # type: ignore[no-any-return]


class Elman(Recurrent):
    """h_t = tanh(W_xh x_t + W_hh h_{t-1} + b), h_0 = 0; W_xh (H, D), W_hh (H, H), b (H,)."""

    def __init__(
        self,
        params: FrameParams,
        n_classes: int,
        hidden_size: int = 128,
        offsets: tuple[int, ...] = OFFSETS,
        around: int = 0,
    ) -> None:
        super().__init__(params, n_classes, hidden_size, offsets, around)
        D = size_of_x(params, offsets, around)
        self.W_xh = nn.Parameter(torch.randn(hidden_size, D) / math.sqrt(D))
        self.W_hh = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden_size, hidden_size)) * 0.95)
        self.b = nn.Parameter(torch.zeros(hidden_size))

    def states(self, x: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        h0 = x.new_zeros(x.shape[0], self.b.numel()) if state is None else state[0]
        # torch's kernel knows two bias vectors; the second is nought here.
        weights = [self.W_xh, self.W_hh, self.b, torch.zeros_like(self.b)]
        h, last = torch.rnn_tanh(x, h0[None], weights, True, 1, 0.0, self.training, False, True)
        return h, (last[0],)


class Lstm(Recurrent):
    """nn.LSTM of one layer; rows of weight_ih_l0 and weight_hh_l0 in the order i, f, g, o."""

    def __init__(
        self,
        params: FrameParams,
        n_classes: int,
        hidden_size: int = 112,
        offsets: tuple[int, ...] = OFFSETS,
        around: int = 0,
    ) -> None:
        super().__init__(params, n_classes, hidden_size, offsets, around)
        self.lstm = nn.LSTM(size_of_x(params, offsets, around), hidden_size, batch_first=True)

    def states(self, x: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        before = None if state is None else (state[0][None], state[1][None])
        h, (last_h, last_c) = self.lstm(x, before)
        return h, (last_h[0], last_c[0])


def start_with_memory(net: Elman | Lstm, longest: int) -> None:
    """Set the weights that a network starts to learn from so that its units remember 2 to `longest` frames.

    tau spread evenly on a log scale. Elman: W_hh = diag(1 - 1 / tau), leaky averages of W_xh x_t, whose rows are
    divided by sqrt(tau) so that tanh does not saturate. LSTM: forget gates open by 1 - 1 / tau, b_f = log(tau - 1) and
    b_i = -b_f (chrono initialisation; Tallec and Ollivier, "Can recurrent neural networks warp time?", 2018).
    """
    with torch.no_grad():
        if isinstance(net, Elman):
            tau = torch.logspace(math.log10(2), math.log10(longest), net.b.numel())
            net.W_hh.copy_(torch.diag(1 - 1 / tau))
            net.W_xh.div_(tau.sqrt()[:, None])
            return
        size = net.lstm.hidden_size
        bias = torch.log(torch.logspace(math.log10(2), math.log10(longest), size) - 1)
        net.lstm.get_parameter("bias_hh_l0").zero_()
        net.lstm.get_parameter("bias_ih_l0")[: 2 * size] = torch.cat([-bias, bias])


Layers = dict[str, FloatArray]


def elman_layers(net: Elman, x: torch.Tensor, h0: torch.Tensor) -> tuple[Layers, State]:
    """Input, the three terms and h_t of one stretch: x (T, D), h0 (H,) -> arrays (T, D) or (T, H)."""
    h, state = net.states(x[None], (h0[None],))
    before = torch.cat([h0[None], h[0, :-1]])  # h_{t-1}
    layers = {
        "input": x,
        "W_xh x_t": x @ net.W_xh.T,
        "W_hh h_{t-1}": before @ net.W_hh.T,
        "b": net.b.expand(len(x), -1),
        "h_t": h[0],
    }
    return {name: v.numpy() for name, v in layers.items()}, (state[0][0],)


def lstm_layers(net: Lstm, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[Layers, State]:
    """Input, states and gates of one stretch, by the formula: x (T, D), h and c (H,) -> arrays (T, D) or (T, H)."""
    W_ih, W_hh, b_ih, b_hh = net.lstm.all_weights[0]
    from_x = x @ W_ih.T + b_ih + b_hh
    names = ("hidden_state", "cell_state", "input_gate", "forget_gate", "cell_candidate", "output_gate")
    found = torch.empty(len(names), len(x), h.numel())
    for t in range(len(x)):
        i, f, g, o = (from_x[t] + W_hh @ h).chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        found[:, t] = torch.stack([h, c, i, f, g, o])
    return {"input": x.numpy(), **dict(zip(names, found.numpy(), strict=True))}, (h, c)


KINDS: dict[str, ActivationKind] = {
    "input": "input",
    "W_xh x_t": "term",
    "W_hh h_{t-1}": "term",
    "b": "term",
    "h_t": "hidden_state",
    "hidden_state": "hidden_state",
    "cell_state": "cell_state",
    "input_gate": "gate",
    "forget_gate": "gate",
    "cell_candidate": "gate",
    "output_gate": "gate",
}


class RecurrentModel:
    """A network with its card; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, front: FrontEnd, net: Elman | Lstm) -> None:
        self.card = card
        self.front = front
        self.net = net.eval()

    def _inputs(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[torch.Tensor]:
        blocks = frames.log_mel_blocks(self.front, clip, on_progress)
        for x, _ in frames.windows(blocks, self.net.left, self.net.right):
            yield self.net.stack(torch.from_numpy(x)[None])

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        state: State | None = None
        logits = []
        for x in self._inputs(clip, on_progress):
            h, state = self.net.states(x, state)
            logits.append(self.net.head(h)[0].numpy())
        return frames.prediction_of(self.card, logits, frames.times_of(self.front, sum(map(len, logits))))

    @torch.inference_mode()
    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        check_layers(self.card, layers)
        kept: dict[str, list[FloatArray]] = {name: [] for name in layers}
        size = self.net.head.in_features
        state: State = (torch.zeros(size),) if isinstance(self.net, Elman) else (torch.zeros(size),) * 2
        for x in self._inputs(clip, on_progress):
            if isinstance(self.net, Elman):
                found, state = elman_layers(self.net, x[0], *state)
            else:
                found, state = lstm_layers(self.net, x[0], *state)
            for name in layers:
                kept[name].append(found[name])
        activations = {}
        for name in layers:
            values = np.concatenate(kept[name])
            dims = ("frame", "feature" if name == "input" else "unit")
            activations[name] = Activation(name, KINDS[name], values, dims, frames.times_of(self.front, len(values)))
        return activations


def card_facts(
    front: FrontEnd, architecture: str, offsets: tuple[int, ...] = OFFSETS, around: int = 0
) -> dict[str, object]:
    """What the architecture ("elman" or "lstm") decides of a card."""
    if architecture == "elman":
        layers = ["input", "W_xh x_t", "W_hh h_{t-1}", "b", "h_t"]
    else:
        layers = ["input", "hidden_state", "cell_state"]
        layers += ["input_gate", "forget_gate", "cell_candidate", "output_gate"]
    return {
        "window_s": round(front.window_s + sum(margins_of(offsets, around)) * front.hop_s, 4),
        "hop_s": front.hop_s,
        "layers": layers,
        "emits": [KINDS[name] for name in layers],
    }


def save(model: RecurrentModel, folder: Path) -> None:
    """Write weights and settings into `folder`."""
    save_file(model.net.state_dict(), folder / WEIGHTS)
    frames.write_settings(folder, model.front, {"offsets": model.net.offsets, "around": model.net.around})


def load(folder: Path) -> RecurrentModel:
    """The model kept in `folder`: model.safetensors, settings.json, card.json. Which network, its parameters tell."""
    front, settings = frames.read_settings(folder)
    weights = load_file(folder / WEIGHTS)
    n_classes, hidden_size = weights["head.weight"].shape
    make = Elman if "W_hh" in weights else Lstm
    net = make(front.params, n_classes, hidden_size, tuple(settings["offsets"]), settings.get("around", 0))
    net.load_state_dict(weights)
    return RecurrentModel(read_card(folder), front, net)
