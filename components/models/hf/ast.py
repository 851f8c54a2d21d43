"""The Audio Spectrogram Transformer (AST): patches of a mel spectrogram as tokens, in windows over time.

Each window is heard by itself, as long as the model was made for (10.24 s for AudioSet), the next one half a window
later. A recording of up to one window has the score of transformers' pipeline("audio-classification").

A token is a patch of 16 mel bands by 16 frames, so layers have frequency as well as time; they are shown over time, as
the mean over frequency. Attention goes from patch to patch: it is shown from moment to moment, the mean of what the
patches of one moment give to all patches of the other. What goes to the two summary tokens, and to the silence that
fills a window up, is left out, and the rest of each row brought back to 1.

Source: Gong, Chung & Glass 2021, AST: Audio Spectrogram Transformer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.audio.transform import resampled_blocks
from components.errors import ModelError
from components.models.base import OnProgress, check_layers
from components.models.hf.checkpoint import read_config, weight_files
from components.models.hf.facts import AstGeometry, activation_of, class_labels, layers_of
from components.models.hf.speech import LAYERS_LIMIT_S, eager, scores_of
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction, Times

SUMMARY = 2
"""Tokens before the patches: class and distillation."""


@dataclass(frozen=True)
class Piece:
    """One window: its number, its spectrogram (max_length, n_mels) and how many of its columns hold sound."""

    number: int
    x: Tensor
    columns: int
    last: bool


class Ast:
    """AST as an `AudioModel`."""

    def __init__(self, card: ModelCard, net: Any, folder: Path, extractor: Any) -> None:
        config = read_config(folder)
        self.net = net
        self.extractor = extractor
        self.geometry = AstGeometry.of(config, extractor.sampling_rate)
        self.activation = activation_of(config)
        self.kinds = layers_of(config)
        self._one_at_a_time = threading.Lock()
        notes = [
            f"Each score is for {self.geometry.window_s:.3g} s of sound as a whole: it does not say when in them.",
        ]
        if self.activation == "softmax":
            notes.append(
                "The scores share out 1 among all labels (softmax, as this model's own pipeline does), so of two "
                "sounds at once each takes from the other."
            )
        self.card = replace(
            card,
            labels=class_labels(config),
            sr=self.geometry.sr,
            window_s=self.geometry.window_s,
            hop_s=self.geometry.hop_s,
            layers=tuple(self.kinds),
            emits=tuple(self.kinds.values()),
            size_bytes=sum(path.stat().st_size for path in weight_files(folder)),
            caveats=(*card.caveats, *notes),
        )

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """Scores of each window, shape (n_windows, n_classes); times are the windows' centres."""
        scores = []
        for piece in self._pieces(clip, on_progress):
            with torch.inference_mode():
                logits = self.net(piece.x[None].to(self.net.dtype)).logits
                scores.append(scores_of(logits, self.activation))
        values, card = np.concatenate(scores), self.card
        times = self._centres(clip, len(values))
        return Prediction(card.id, card.labels, values, self.activation, times, card.window_s, card.hop_s)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """As `AudioModel.inspect`: "input" is the spectrogram, "embedding" what the head reads of each window.

        Where windows overlap, each moment is shown as the window heard it whose middle is nearer.

        Raises
        ------
        ModelError : unknown layer, or attention of more than LAYERS_LIMIT_S
        """
        check_layers(self.card, layers)
        if clip.duration > LAYERS_LIMIT_S and any(self.kinds[name] == "attention" for name in layers):
            raise ModelError(
                f"Attention can be shown for at most {LAYERS_LIMIT_S:.0f} s at once, and this is "
                f"{clip.duration:.0f} s long; choose a shorter section."
            )
        parts: dict[str, list[FloatArray]] = {name: [] for name in layers}
        owns: list[tuple[int, slice]] = []
        for piece in self._pieces(clip, on_progress):
            own = self.geometry.own(piece.number, piece.columns, last=piece.last)
            owns.append((piece.number * self.geometry.hop_columns, own))
            for name, values in self._window(piece, own, layers).items():
                parts[name].append(values)
        return {name: self._activation(name, parts[name], owns, clip) for name in layers}

    def _pieces(self, clip: Clip, on_progress: OnProgress | None) -> Iterator[Piece]:
        """The clip's windows; tells how far it has come."""
        geometry = self.geometry
        held, number = np.zeros(0, np.float32), 0
        for y in resampled_blocks(clip, geometry.sr):
            held = np.concatenate([held, y])
            while held.size > geometry.window:
                yield self._piece(number, held[: geometry.window], last=False)
                held, number = held[geometry.hop :], number + 1
                if on_progress:
                    on_progress(min(number * geometry.hop_s / clip.duration, 0.999))
        yield self._piece(number, held, last=True)
        if on_progress:
            on_progress(1.0)

    def _piece(self, number: int, y: FloatArray, *, last: bool) -> Piece:
        geometry = self.geometry
        y = np.pad(y, (0, max(0, geometry.frame - y.size)))
        x = self.extractor(y, sampling_rate=geometry.sr, return_tensors="pt")["input_values"][0]
        return Piece(number, x, geometry.columns_of(y.size), last)

    @torch.inference_mode()
    def _window(self, piece: Piece, own: slice, layers: Sequence[str]) -> dict[str, FloatArray]:
        """The layers of one window's own columns."""
        base = self.net.base_model
        states = {name: f"layers.{_number(name)}" for name in layers if name.startswith("layer_")}
        weights = {name: f"layers.{_number(name)}.attention" for name in layers if name.startswith("attention_")}
        with ExitStack() as stack:
            stack.enter_context(self._one_at_a_time)
            if weights:
                stack.enter_context(eager(self.net))
            state_of = stack.enter_context(outputs_of(base, states.values()))
            weights_of = stack.enter_context(outputs_of(base, weights.values(), item=1))
            pooled = base(piece.x[None].to(self.net.dtype)).pooler_output
        found: dict[str, FloatArray] = {}
        for name in layers:
            if name == "input":
                found[name] = piece.x.numpy()[self.geometry.frames_of(own, last=piece.last)]
            elif name == "embedding":
                found[name] = pooled.float().numpy()
            elif name in states:
                found[name] = self.over_time(state_of[states[name]][0][0].float())[own].numpy()
            else:
                attention = weights_of[weights[name]][0][0].float()
                found[name] = self.moment_to_moment(attention, piece.columns)[:, own].numpy()
        return found

    def over_time(self, tokens: Tensor) -> Tensor:
        """Mean over frequency of the patches' states: (SUMMARY + n_rows n_columns, D) -> (n_columns, D)."""
        rows, columns = self.geometry.rows, self.geometry.columns
        return tokens[SUMMARY:].reshape(rows, columns, -1).mean(0)

    def moment_to_moment(self, attention: Tensor, heard: int) -> Tensor:
        """Attention of the first `heard` columns to each other, (heads, heard, heard), of (heads, tokens, tokens)."""
        rows, columns = self.geometry.rows, self.geometry.columns
        patches = attention[:, SUMMARY:, SUMMARY:].reshape(-1, rows, columns, rows, columns)
        moments = patches.sum(3).mean(1)[:, :heard, :heard]
        return moments / moments.sum(-1, keepdim=True)

    def _centres(self, clip: Clip, count: int) -> Times:
        """Centres of the windows; of a clip that is shorter than one, its middle."""
        first = min(self.geometry.window_s, clip.duration) / 2
        return np.asarray(first + np.arange(count) * self.geometry.hop_s, np.float64)

    def _activation(self, name: str, parts: list[FloatArray], owns: list[tuple[int, slice]], clip: Clip) -> Activation:
        kind = self.kinds[name]
        if kind == "attention":
            size = sum(part.shape[1] for part in parts)
            values = np.zeros((parts[0].shape[0], size, size), np.float32)
            for part, (first, own) in zip(parts, owns, strict=True):
                values[:, first + own.start : first + own.stop, first : first + part.shape[2]] = part
            return Activation(name, kind, values, ("head", "query", "key"), self.geometry.column_times(size))
        values = np.concatenate(parts)
        if kind == "input":
            return Activation(name, kind, values, ("frame", "feature"), self.geometry.frame_times(len(values)))
        if name == "embedding":
            return Activation(name, kind, values, ("frame", "unit"), self._centres(clip, len(values)))
        return Activation(name, kind, values, ("frame", "unit"), self.geometry.column_times(len(values)))


def _number(layer: str) -> int:
    return int(layer.rsplit("_", 1)[1]) - 1
