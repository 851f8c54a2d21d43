"""A small transformer (Hugging Face's Wav2Vec2-BERT, a conformer) on pairs of MFCC frames.

Every frame may attend to every other in its window. Recordings longer than a window are heard in overlapping
windows; of each only the middle is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.errors import ModelError
from components.models import frames
from components.models.around import PARTS, running_statistics
from components.models.base import OnProgress, check_layers, read_card
from components.models.frames import FrontEnd
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, FrameParams, ModelCard, Prediction, Times

STRIDE = 2
"""Frames that one token holds side by side."""
ENCODER = "wav2vec2_bert.encoder.layers"
ATTENTION_LIMIT_S = 60.0
"""Attention of a longer stretch would take gigabytes: it grows with the square of the length."""


@dataclass(frozen=True)
class Windows:
    """How a long recording is cut.

    Attributes
    ----------
    own : frames that a window answers for; a multiple of STRIDE
    context : frames that it hears on each side besides; a multiple of STRIDE
    """

    own: int = 256
    context: int = 64


def modules_of(n_layers: int) -> dict[str, str]:
    """Submodule whose output a layer is."""
    layers = {f"layer_{n + 1}": f"{ENCODER}.{n}" for n in range(n_layers)}
    return {"embedding": "wav2vec2_bert.feature_projection", **layers}


def attentions_of(n_layers: int) -> dict[str, str]:
    """Submodule of each attention layer; the second of what it returns are its weights."""
    return {f"attention_{n + 1}": f"{ENCODER}.{n}.self_attn" for n in range(n_layers)}


def make_net(
    params: FrameParams,
    labels: Sequence[str],
    *,
    n_layers: int = 3,
    hidden_size: int = 96,
    dropout: float = 0.1,
    around: int = 0,
) -> Any:
    """The network with random weights: Wav2Vec2BertForAudioFrameClassification with relative positions.

    With `around`, a token also holds statistics of so many frames on each side; see `around.running_statistics`.
    """
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForAudioFrameClassification

    n_mfcc = params.n_mfcc
    config = Wav2Vec2BertConfig(
        feature_projection_input_dim=(STRIDE + (PARTS if around else 0)) * n_mfcc,
        hidden_size=hidden_size,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        conv_depthwise_kernel_size=9,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=32,
        right_max_position_embeddings=32,
        hidden_dropout=dropout,
        attention_dropout=dropout,
        feat_proj_dropout=dropout,
        conformer_conv_dropout=dropout,
        layerdrop=0.0,
        apply_spec_augment=False,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: k for k, label in enumerate(labels)},
        attn_implementation="eager",
        feature_mean=[0.0] * n_mfcc,
        feature_std=[1.0] * n_mfcc,
        around=around,
    )
    return Wav2Vec2BertForAudioFrameClassification(config)


def tokens_of(front: FrontEnd, net: Any, x: torch.Tensor) -> torch.Tensor:
    """Standardised pairs of MFCC frames: log-mel (B, T, n_mels) -> (B, T / STRIDE, STRIDE n_mfcc)."""
    mean, std = torch.tensor(net.config.feature_mean), torch.tensor(net.config.feature_std)
    coefficients = x @ torch.from_numpy(frames.dct_basis(front.params))
    z = (coefficients - mean) / std
    tokens = z.reshape(x.shape[0], x.shape[1] // STRIDE, -1)
    around = getattr(net.config, "around", 0)  # weights written before there was any have none
    if not around:
        return tokens
    return torch.cat([tokens, running_statistics(x, z, around)[:, ::STRIDE]], dim=2)


def logits_of(net: Any, tokens: torch.Tensor) -> torch.Tensor:
    """What net(tokens).logits is, part by part: (B, T, D) -> (B, T, n_classes).

    The call of the whole would leave transformers' hooks for output_hidden_states in the network for good.
    """
    hidden_states, _ = net.wav2vec2_bert.feature_projection(tokens)
    logits: torch.Tensor = net.classifier(net.wav2vec2_bert.encoder(hidden_states)[0])
    return logits


def token_times(front: FrontEnd, count: int) -> Times:
    """Centres of the first `count` tokens, shape (count,) [s]."""
    return np.asarray((np.arange(count) * STRIDE + (STRIDE - 1) / 2) * front.hop_s, np.float64)


def token_windows(windows: Windows, blocks: Iterator[FloatArray]) -> Iterator[tuple[FloatArray, int, int]]:
    """Windows of frames, each a multiple of STRIDE: (window, tokens before its own, tokens of its own).

    Beyond the ends of the clip there is no context: the network was trained to hear scenes begin and end.
    """
    own, context = windows.own, windows.context
    silence = next(blocks)
    held = silence[:0]
    before = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > before + own + context:
            yield held[: before + own + context], before // STRIDE, own // STRIDE
            held = held[before + own - context :]
            before = context
    if len(held) % STRIDE:
        held = np.concatenate([held, silence])
    yield held, before // STRIDE, (len(held) - before) // STRIDE


class TransformerModel:
    """The network with its card; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, front: FrontEnd, net: Any, windows: Windows) -> None:
        self.card = card
        self.front = front
        self.net = net.eval()
        self.windows = windows
        self.modules = modules_of(net.config.num_hidden_layers)
        self.attentions = attentions_of(net.config.num_hidden_layers)

    def _windows(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[tuple[FloatArray, int, int]]:
        return token_windows(self.windows, frames.log_mel_blocks(self.front, clip, on_progress))

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        logits = []
        for x, before, k in self._windows(clip, on_progress):
            tokens = tokens_of(self.front, self.net, torch.from_numpy(x)[None])
            logits.append(logits_of(self.net, tokens)[0, before : before + k].numpy())
        return frames.prediction_of(self.card, logits, token_times(self.front, sum(map(len, logits))))

    @torch.inference_mode()
    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """As `AudioModel.inspect`. Attention outside a token's own window is 0.

        Raises
        ------
        ModelError : unknown layer, or attention of more than ATTENTION_LIMIT_S
        """
        check_layers(self.card, layers)
        if set(layers) & set(self.attentions) and clip.duration > ATTENTION_LIMIT_S:
            raise ModelError(
                f"Attention can be shown for at most {ATTENTION_LIMIT_S:.0f} s at once, and this is "
                f"{clip.duration:.0f} s long; choose a shorter section."
            )
        kept: dict[str, list[FloatArray]] = {name: [] for name in layers}
        starts: list[tuple[int, int, int]] = []
        done = 0
        for x, before, k in self._windows(clip, on_progress):
            found = self._window(torch.from_numpy(x)[None], layers)
            for name in layers:
                kept[name].append(found[name][..., before : before + k, :].numpy())
            starts.append((done, done - before, k))
            done += k
        times = token_times(self.front, done)
        return {name: _activation(name, kept[name], starts, times) for name in layers}

    def _window(self, x: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Layers of one window: (T, D) each, or (head, query, key) for attention."""
        tokens = tokens_of(self.front, self.net, x)
        states = {name: self.modules[name] for name in layers if name in self.modules}
        weights = {name: self.attentions[name] for name in layers if name in self.attentions}
        with (
            outputs_of(self.net, states.values()) as state_of,
            outputs_of(self.net, weights.values(), item=1) as weights_of,
        ):
            logits_of(self.net, tokens)
        found = {name: state_of[module][0][0] for name, module in states.items()}
        found |= {name: weights_of[module][0][0] for name, module in weights.items()}
        return found | {"input": tokens[0]}


def _activation(name: str, parts: list[FloatArray], starts: list[tuple[int, int, int]], times: Times) -> Activation:
    """One activation of the windows' parts; starts: (first own token, first key, own tokens) of each."""
    if not name.startswith("attention"):
        kind = "input" if name == "input" else "embedding" if name == "embedding" else "hidden_state"
        dims = ("frame", "feature" if name == "input" else "unit")
        return Activation(name, kind, np.concatenate(parts), dims, times)  # type: ignore[arg-type]
    values = np.zeros((parts[0].shape[0], times.size, times.size), np.float32)
    for part, (query, key, k) in zip(parts, starts, strict=True):
        # The last token may be half silence, but it is one of the clip's own: no key lies beyond the ends.
        values[:, query : query + k, key : key + part.shape[2]] = part
    return Activation(name, "attention", values, ("head", "query", "key"), times)


def card_facts(front: FrontEnd, windows: Windows, n_layers: int) -> dict[str, object]:
    """What the architecture decides of a card."""
    return {
        "window_s": round(front.window_s + (windows.own + 2 * windows.context - 1) * front.hop_s, 4),
        "hop_s": STRIDE * front.hop_s,
        "layers": ["input", *modules_of(n_layers), *attentions_of(n_layers)],
        "emits": ["input", "embedding", *["hidden_state"] * n_layers, *["attention"] * n_layers],
    }


def save(model: TransformerModel, folder: Path) -> None:
    """Write config.json, model.safetensors and settings.json into `folder`."""
    model.net.save_pretrained(folder, safe_serialization=True)
    frames.write_settings(folder, model.front, asdict(model.windows))


def load(folder: Path) -> TransformerModel:
    """The model kept in `folder`, in Hugging Face's format, with settings and card; nothing is fetched."""
    from transformers import Wav2Vec2BertForAudioFrameClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would write to the terminal of whoever started the app
    front, settings = frames.read_settings(folder)
    net = Wav2Vec2BertForAudioFrameClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, attn_implementation="eager"
    )
    return TransformerModel(read_card(folder), front, net, Windows(**settings))
