"""What the adapters of waveform models share: the network heard in windows, its layers, its card."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.errors import ModelError
from components.models.base import OnProgress, check_layers
from components.models.hf.checkpoint import load_part, read_config, weight_files
from components.models.hf.facts import attention_name, geometry_of, layers_of
from components.models.hf.waveform import Waveform
from components.models.hf.windows import CONTEXT_S, OWN_S, Window, shares, windows
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, ModelCard, ScoreKind, Times

LAYERS_LIMIT_S = 60.0
"""Attention and convolutions of a longer stretch would take gigabytes."""


@dataclass(frozen=True)
class Heard:
    """One window after the network: what its head reads of its own frames (n, D), and the layers asked for."""

    window: Window
    hidden: Tensor
    layers: dict[str, FloatArray]


class Speech:
    """A waveform network of transformers, heard in overlapping windows.

    The convolutions run over the recording once, with the whole recording's level (see `waveform`); the transformer
    hears windows of up to OWN_S + 2 CONTEXT_S of their frames. So a recording of up to OWN_S + CONTEXT_S gives what
    transformers gives for the whole file, and a longer one nearly so: attention reaches no further than the window.

    Parameters
    ----------
    net : a model of transformers, whose convolutions are taken out of it and run by this class
    folder : its files
    mix : layers and their shares, where the head reads a weighted sum of layers; {} where it reads the last
    """

    def __init__(self, net: Any, folder: Path, mix: Mapping[str, float] | None = None) -> None:
        from transformers import AutoFeatureExtractor

        config = read_config(folder)
        extractor = load_part(folder, AutoFeatureExtractor)
        if getattr(net.config, "add_adapter", False):
            raise ModelError(
                f"{folder.name} has an adapter that thins out its frames (add_adapter), which Otoscope does not know: "
                "choose the model that it was made from."
            )
        self.net = net
        self.base = net.base_model
        self.mix = dict(mix or {})
        self.geometry = geometry_of(config, extractor.sampling_rate)
        self.front = Waveform(self.base.feature_extractor, self.geometry, do_normalize=extractor.do_normalize)
        self.base.feature_extractor = nn.Identity().eval()  # the base is given the convolutions' output
        self.attention = attention_name(config)
        self.averages_heads = config.get("model_type") == "wavlm"  # each head's weights are those of all
        self.kinds = layers_of(config)
        self._one_at_a_time = threading.Lock()

    @property
    def hop_s(self) -> float:
        """Step between frames [s]."""
        return self.geometry.hop / self.geometry.sr

    def times(self, count: int) -> Times:
        """Centres of the first `count` frames [s]."""
        return self.geometry.times(count)

    def frames(self, clip: Clip) -> int:
        """About how many frames a clip has: exact but for a sample that resampling may add or drop."""
        return self.geometry.frames(round(clip.duration * self.geometry.sr))

    def hear(
        self,
        clip: Clip,
        on_progress: OnProgress | None = None,
        layers: Sequence[str] = (),
        convolved: dict[str, list[FloatArray]] | None = None,
    ) -> Iterator[Heard]:
        """The clip window by window; `convolved` takes the convolutions' outputs, block by block, by layer."""
        taps = {int(name.removeprefix("conv_")): name for name in convolved or {}}
        depth, total = len(self.geometry.strides), self.frames(clip)
        first, second, third = shares(on_progress, 0.02, 0.28, 0.7)
        level = self.front.level(clip, first)

        def features() -> Iterator[FloatArray]:
            done = 0
            for found in self.front.features(clip, level, taps):
                for number, name in taps.items():
                    (convolved or {})[name].append(found[number])
                done += len(found[depth])
                second(done / total)
                yield found[depth]

        own, context = (round(s / self.hop_s) for s in (OWN_S, CONTEXT_S))
        for window in windows(features(), own, context):
            hidden, found = self._window(window, layers)
            yield Heard(window, hidden, found)
            third(min((window.start + window.before + window.count) / total, 0.999))
        third(1.0)

    @torch.inference_mode()
    def _window(self, window: Window, layers: Sequence[str]) -> tuple[Tensor, dict[str, FloatArray]]:
        """What the head reads of one window, (n, D), and the layers asked for.

        Layers are read by hooks, and attention by a setting of the whole network, so that a model that two people
        share hears one window at a time.
        """
        weights = {name: self._module(name) for name in layers if name.startswith("attention")}
        states = {name: self._module(name) for name in (*layers, *self.mix) if name not in weights}
        x = torch.from_numpy(np.ascontiguousarray(window.x.T))[None].to(self.net.dtype)
        with ExitStack() as stack:
            stack.enter_context(self._one_at_a_time)
            if weights:
                stack.enter_context(eager(self.net))
            state_of = stack.enter_context(outputs_of(self.base, states.values()))
            weights_of = stack.enter_context(outputs_of(self.base, weights.values(), item=1))
            hidden: Tensor = self.base(x)[0]
        if self.mix:
            hidden = torch.stack([share * state_of[states[name]][0] for name, share in self.mix.items()]).sum(0)
        own = slice(window.before, window.before + window.count)
        heads = slice(1) if self.averages_heads else slice(None)
        found = {name: state_of[states[name]][0][0, own] for name in layers if name in states}
        found |= {name: weights_of[module][0][0, heads, own] for name, module in weights.items()}
        return hidden[0, own].float(), {name: values.float().numpy() for name, values in found.items()}

    def _module(self, layer: str) -> str:
        """The submodule of the base whose output a layer is."""
        if layer == "projected":
            return "encoder.dropout"  # what passes it on its way into the first block
        number = int(layer.rsplit("_", 1)[1]) - 1
        block = f"encoder.layers.{number}"
        return f"{block}.{self.attention}" if layer.startswith("attention") else block

    def inspect(
        self, card: ModelCard, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """As `AudioModel.inspect`. "embedding" is what the head reads.

        Raises
        ------
        ModelError : a layer that the card does not name; convolutions or attention of more than LAYERS_LIMIT_S
        """
        check_layers(card, layers)
        wide = [name for name in layers if self.kinds[name] in ("attention", "feature_map")]
        if wide and clip.duration > LAYERS_LIMIT_S:
            raise ModelError(
                f"{wide[0]} can be shown for at most {LAYERS_LIMIT_S:.0f} s at once, and this is "
                f"{clip.duration:.0f} s long; choose a shorter section."
            )
        parts: dict[str, list[FloatArray]] = {name: [] for name in layers}
        convolved = {name: parts[name] for name in layers if name.startswith("conv_")}
        inner = [name for name in layers if name not in convolved and name != "embedding"]
        places: list[Window] = []
        for heard in self.hear(clip, on_progress, inner, convolved):
            places.append(replace(heard.window, x=np.empty(0, np.float32)))
            for name in inner:
                parts[name].append(heard.layers[name])
            if "embedding" in parts:
                parts["embedding"].append(heard.hidden.numpy())
        return {name: self._activation(name, parts[name], places) for name in layers}

    def _activation(self, name: str, parts: list[FloatArray], places: list[Window]) -> Activation:
        kind = self.kinds[name]
        if kind == "attention":
            values = _joined(parts, places)
            return Activation(name, kind, values, ("head", "query", "key"), self.times(values.shape[1]))
        values = np.concatenate(parts)
        layers = int(name.removeprefix("conv_")) if kind == "feature_map" else None
        return Activation(name, kind, values, ("frame", "unit"), self.geometry.times(len(values), layers=layers))

    def complete(
        self, card: ModelCard, folder: Path, labels: tuple[str, ...], caveats: tuple[str, ...] = ()
    ) -> ModelCard:
        """The card with what the weights decide of it, and `caveats` after its own."""
        if self.averages_heads:
            caveats = (*caveats, "Its attention comes as the mean of all heads.")
        return replace(
            card,
            labels=labels,
            caveats=(*card.caveats, *caveats),
            sr=self.geometry.sr,
            window_s=OWN_S + 2 * CONTEXT_S,
            hop_s=self.hop_s,
            layers=tuple(self.kinds),
            emits=tuple(self.kinds.values()),
            size_bytes=sum(path.stat().st_size for path in weight_files(folder)),
        )


def _joined(parts: list[FloatArray], places: list[Window]) -> FloatArray:
    """Attention of the windows in one square (head, query, key); outside a frame's own window it is 0."""
    size = sum(place.count for place in places)
    values = np.zeros((parts[0].shape[0], size, size), np.float32)
    for part, place in zip(parts, places, strict=True):
        first = place.start + place.before
        values[:, first : first + place.count, place.start : place.start + part.shape[2]] = part
    return values


def scores_of(logits: Tensor, activation: ScoreKind) -> FloatArray:
    """Scores of logits of shape (n, n_classes)."""
    logits = logits.float()
    if activation == "softmax":
        logits = logits.softmax(-1)
    elif activation == "sigmoid":
        logits = logits.sigmoid()
    array: FloatArray = logits.numpy()
    return array


@contextmanager
def eager(net: Any) -> Iterator[None]:
    """Let the network keep the weights of its attention while the context lasts."""
    before = net.config._attn_implementation
    net.set_attn_implementation("eager")
    try:
        yield
    finally:
        net.set_attn_implementation(before)
