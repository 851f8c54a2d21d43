"""A small transformer (Hugging Face's Wav2Vec2-BERT, a conformer) on pairs of MFCC frames.

Every frame may attend to every other in its window. Recordings longer than a window are heard in overlapping
windows; of each only the middle is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.errors import ModelError
from components.models import frames
from components.models.base import OnProgress, check_layers, read_card
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction, Times

STRIDE = 2
"""Frames that one token holds side by side."""
OWN, CONTEXT = 256, 64
"""Frames that a window answers for, and those it hears on each side besides (4.1 s and 1.0 s)."""
LAYERS, HIDDEN, DROPOUT = 3, 96, 0.1
ENCODER = "wav2vec2_bert.encoder.layers"
MODULES = {
    "embedding": "wav2vec2_bert.feature_projection",
    **{f"layer_{n + 1}": f"{ENCODER}.{n}" for n in range(LAYERS)},
}
ATTENTIONS = {f"attention_{n + 1}": f"{ENCODER}.{n}.self_attn" for n in range(LAYERS)}
"""Submodules whose output a layer is; the second of what self_attn returns are its weights."""
ATTENTION_LIMIT_S = 60.0
"""Attention of a longer stretch would take gigabytes: it grows with the square of the length."""


def make_net() -> Any:
    """The network with random weights: Wav2Vec2BertForAudioFrameClassification with relative positions."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForAudioFrameClassification

    n_mfcc = frames.PARAMS.n_mfcc
    config = Wav2Vec2BertConfig(
        feature_projection_input_dim=STRIDE * n_mfcc,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=2 * HIDDEN,
        conv_depthwise_kernel_size=9,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=32,
        right_max_position_embeddings=32,
        hidden_dropout=DROPOUT,
        attention_dropout=DROPOUT,
        feat_proj_dropout=DROPOUT,
        conformer_conv_dropout=DROPOUT,
        layerdrop=0.0,
        apply_spec_augment=False,
        num_labels=len(frames.LABELS),
        id2label=dict(enumerate(frames.LABELS)),
        label2id={label: k for k, label in enumerate(frames.LABELS)},
        attn_implementation="eager",
        feature_mean=[0.0] * n_mfcc,
        feature_std=[1.0] * n_mfcc,
    )
    return Wav2Vec2BertForAudioFrameClassification(config)


def tokens_of(net: Any, x: torch.Tensor) -> torch.Tensor:
    """Standardised pairs of MFCC frames: log-mel (B, T, n_mels) -> (B, T / STRIDE, STRIDE n_mfcc)."""
    mean, std = torch.tensor(net.config.feature_mean), torch.tensor(net.config.feature_std)
    coefficients = x @ torch.from_numpy(frames.dct_basis())
    return ((coefficients - mean) / std).reshape(x.shape[0], x.shape[1] // STRIDE, -1)


def logits_of(net: Any, tokens: torch.Tensor) -> torch.Tensor:
    """What net(tokens).logits is, part by part: (B, T, D) -> (B, T, n_classes).

    The call of the whole would leave transformers' hooks for output_hidden_states in the network for good.
    """
    hidden_states, _ = net.wav2vec2_bert.feature_projection(tokens)
    logits: torch.Tensor = net.classifier(net.wav2vec2_bert.encoder(hidden_states)[0])
    return logits


def token_times(count: int) -> Times:
    """Centres of the first `count` tokens, shape (count,) [s]."""
    return np.asarray((np.arange(count) * STRIDE + (STRIDE - 1) / 2) * frames.HOP_S, np.float64)


def token_windows(blocks: Iterator[FloatArray]) -> Iterator[tuple[FloatArray, int, int]]:
    """Windows of frames, each a multiple of STRIDE: (window, tokens before its own, tokens of its own).

    Beyond the ends of the clip there is no context: the network was trained to hear scenes begin and end.
    """
    silence = next(blocks)
    held = np.empty((0, frames.PARAMS.n_mels), np.float32)
    before = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > before + OWN + CONTEXT:
            yield held[: before + OWN + CONTEXT], before // STRIDE, OWN // STRIDE
            held = held[before + OWN - CONTEXT :]
            before = CONTEXT
    if len(held) % STRIDE:
        held = np.concatenate([held, silence])
    yield held, before // STRIDE, (len(held) - before) // STRIDE


class TransformerModel:
    """The network with its card; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, net: Any) -> None:
        self.card = card
        self.net = net.eval()

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        logits = []
        for x, before, k in token_windows(frames.log_mel_blocks(clip, on_progress)):
            tokens = tokens_of(self.net, torch.from_numpy(x)[None])
            logits.append(logits_of(self.net, tokens)[0, before : before + k].numpy())
        return frames.prediction_of(self.card, logits, token_times(sum(map(len, logits))))

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
        if set(layers) & set(ATTENTIONS) and clip.duration > ATTENTION_LIMIT_S:
            raise ModelError(
                f"Attention can be shown for at most {ATTENTION_LIMIT_S:.0f} s at once, and this is "
                f"{clip.duration:.0f} s long; choose a shorter section."
            )
        kept: dict[str, list[FloatArray]] = {name: [] for name in layers}
        starts: list[tuple[int, int, int]] = []
        done = 0
        for x, before, k in token_windows(frames.log_mel_blocks(clip, on_progress)):
            found = self._window(torch.from_numpy(x)[None], layers)
            for name in layers:
                kept[name].append(found[name][..., before : before + k, :].numpy())
            starts.append((done, done - before, k))
            done += k
        times = token_times(done)
        return {name: _activation(name, kept[name], starts, times) for name in layers}

    def _window(self, x: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Layers of one window: (T, D) each, or (head, query, key) for attention."""
        tokens = tokens_of(self.net, x)
        states = {name: MODULES[name] for name in layers if name in MODULES}
        weights = {name: ATTENTIONS[name] for name in layers if name in ATTENTIONS}
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


def card_facts() -> dict[str, object]:
    """What the architecture decides of a card."""
    return {
        "window_s": round(frames.WINDOW_S + (OWN + 2 * CONTEXT - 1) * frames.HOP_S, 4),
        "hop_s": STRIDE * frames.HOP_S,
        "layers": ["input", *MODULES, *ATTENTIONS],
        "emits": ["input", "embedding", *["hidden_state"] * LAYERS, *["attention"] * LAYERS],
    }


def save(net: Any, folder: Path) -> None:
    """Write config.json and model.safetensors into `folder`."""
    net.save_pretrained(folder, safe_serialization=True)


def load(folder: Path) -> TransformerModel:
    """The model kept in `folder`, in Hugging Face's format, with card.json; nothing is fetched."""
    from transformers import Wav2Vec2BertForAudioFrameClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would write to the terminal of whoever started the app
    net = Wav2Vec2BertForAudioFrameClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, attn_implementation="eager"
    )
    return TransformerModel(read_card(folder), net)
