"""CLAP: sounds and words in one space, so that the user's own words are the classes.

The sound of a window and the sentence "This is a sound of {word}." each become one vector; the better two point the
same way, the better they fit. The scores are shares among the words that were asked for: softmax of the cosines times
the model's own scale. Something always wins, so a word for everything else belongs on the list.

The network takes 10 s. A shorter sound is repeated until it fills them, as in its training, so shorter windows can be
used where it matters when something happens: `WINDOW_S`. Of a clip of at most one window the scores are those of
`transformers.pipeline("zero-shot-audio-classification")`.

Source: Wu et al. 2023, https://arxiv.org/abs/2211.06687; the audio side is HTS-AT, Chen et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.audio.transform import resampled_blocks
from components.errors import ModelError
from components.models.base import OnProgress, check_layers
from components.models.hf import checkpoint
from components.models.hf.windows import shares
from components.models.hooks import outputs_of
from components.types import OWN_WORDS, Activation, Clip, FloatArray, ModelCard, Prediction, Times

WINDOW_S, HOP_S = 5.0, 1.0
"""Sound behind one score and step between scores: the length of ESC-50's clips, on which CLAP's figures were made."""
WORDS = ("speech", "music", "applause", "traffic", "birdsong", "silence", "something else")
"""What it listens for until the user says so."""
SENTENCE = "This is a sound of {}."
"""What a word is put into: the pipeline's own."""
MOST_WORDS, LONGEST_WORD = 50, 200
NOTE = (
    f"Each score hears {WINDOW_S:g} s and is a share among the words you give: one of them always wins, so put a word "
    "for everything else on the list."
)
ENCODER = "audio_model.audio_encoder"


def check_words(labels: Sequence[str]) -> tuple[str, ...]:
    """The words without space around them; ModelError unless they are 1 to 50 different ones of 1 to 200 characters."""
    words = tuple(label.strip() for label in labels)
    words = tuple(word for word in words if word)
    if not 1 <= len(words) <= MOST_WORDS:
        raise ModelError(f"Give 1 to {MOST_WORDS} words or short descriptions to listen for, not {len(words)}.")
    for word in words:
        if words.count(word) > 1:
            raise ModelError(f"The word {word!r} is on the list twice; each can be there once.")
        if len(word) > LONGEST_WORD:
            raise ModelError(
                f"The description that begins with {word[:30]!r} has {len(word)} characters; "
                f"shorten it to at most {LONGEST_WORD}."
            )
    return words


def windows(clip: Clip, sr: int, size: int, hop: int) -> Iterator[FloatArray]:
    """Windows of `size` samples every `hop` at `sr`; the last, which reaches the end, may be shorter."""
    held = np.zeros(0, np.float32)
    for block in resampled_blocks(clip, sr):
        held = np.concatenate([held, block])
        while held.size > size:
            yield held[:size]
            held = held[hop:]
    yield held


def facts(path: Path) -> dict[str, object]:
    """What config.json and the settings of the sound decide of a card."""
    config = checkpoint.read_config(path)
    sound = next(checkpoint.read_json(path / name) for name in checkpoint.PREPROCESSORS if (path / name).is_file())
    audio = config["audio_config"]
    # Fusion lays an overview and three squeezed details over each other: what comes of them has no clock.
    n_stages = 0 if audio.get("enable_fusion") else len(audio.get("depths", (2, 2, 6, 2)))
    stages = [f"layer_{n + 1}" for n in range(n_stages)]
    return {
        "family": "transformer",
        "task": OWN_WORDS,
        "labels": WORDS,
        "sr": sound.get("feature_extractor", sound)["sampling_rate"],
        "window_s": WINDOW_S,
        "hop_s": HOP_S,
        "layers": ("input", *stages, "embedding"),
        "emits": ("input", *["hidden_state"] * len(stages), "embedding"),
    }


def load(path: Path, card: ModelCard, *, trust_bin: bool = False) -> Clap:
    """The model in `path`, which listens for the words on the card, or for `WORDS` where there are none."""
    from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

    net = checkpoint.load_net(path, ClapModel, trust_bin=trust_bin)
    tokenizer = checkpoint.load_part(path, AutoTokenizer)
    extractor = checkpoint.load_part(path, AutoFeatureExtractor)
    known: dict[str, Any] = facts(path)
    caveats = tuple(dict.fromkeys((*card.caveats, NOTE)))
    card = replace(card, **known | {"labels": card.labels or WORDS, "caveats": caveats})
    return Clap(card, net, tokenizer, extractor)


class Clap:
    """A CLAP network with its card and words; see `components.models.base.AudioModel`."""

    def __init__(self, card: ModelCard, net: Any, tokenizer: Any, extractor: Any) -> None:
        self.card = card
        self.net = net
        self.tokenizer = tokenizer
        self.extractor = extractor
        with torch.inference_mode():
            self._words = self._vectors(card.labels) * net.logit_scale_a.exp()

    def with_labels(self, labels: Sequence[str]) -> Clap:
        """The same network listening for other words; see `check_words`."""
        return Clap(replace(self.card, labels=check_words(labels)), self.net, self.tokenizer, self.extractor)

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """The share of each word in each window; see the module for what these shares mean."""
        card = self.card
        (report,) = shares(on_progress, 1.0)
        vectors = torch.cat(list(self._embeddings(clip, report)))
        scores = (vectors @ self._words.T).softmax(-1).numpy()
        return Prediction(
            card.id, card.labels, scores, "softmax", self._centres(len(scores), clip), card.window_s, card.hop_s
        )

    @torch.inference_mode()
    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """As `AudioModel.inspect`.

        "embedding" is the vector of each window of `predict`. "input", the mel spectrogram in dB, and "layer_n", the
        stages of the audio network, are of windows of 10 s side by side, the longest that it takes. A stage's values
        are the means over its frequencies: its own grid lays four stretches of time above each other. Networks with
        fusion have no "layer_n".
        """
        check_layers(self.card, layers)
        inner = [name for name in layers if name != "embedding"]
        inside, across = shares(on_progress, float(bool(inner)), float("embedding" in layers))
        found = self._inside(clip, inner, inside) if inner else {}
        if "embedding" in layers:
            vectors = torch.cat(list(self._embeddings(clip, across))).numpy()
            times = self._centres(len(vectors), clip)
            found["embedding"] = Activation("embedding", "embedding", vectors, ("frame", "unit"), times)
        else:
            across(1.0)
        return {name: found[name] for name in layers}

    def _centres(self, count: int, clip: Clip) -> Times:
        first = min(self.card.window_s, clip.duration) / 2
        return first + np.arange(count, dtype=np.float64) * self.card.hop_s

    def _vectors(self, words: Sequence[str]) -> Tensor:
        """The text side's vector of each word, (n_words, D), of length 1."""
        tokens = self.tokenizer(
            [SENTENCE.format(word) for word in words],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=self.net.config.text_config.max_position_embeddings - 2,
        )
        vectors: Tensor = self.net.get_text_features(**tokens).pooler_output
        return vectors

    def _features(self, y: FloatArray) -> tuple[Tensor, Tensor]:
        """Log-mel frames of one window [dB], (1, 1 or 4, n_frames, n_mels), and whether it was cut; see the extractor.

        A network with fusion takes an overview and three details; of a window they are all the same.
        """
        found = self.extractor(y, sampling_rate=self.card.sr, return_tensors="pt")
        return found["input_features"], found["is_longer"]

    def _vector(self, features: Tensor, is_longer: Tensor) -> Tensor:
        """The audio side's vector of one window, (1, D), of length 1."""
        vector: Tensor = self.net.get_audio_features(features, is_longer=is_longer).pooler_output
        return vector

    def _embeddings(self, clip: Clip, report: Callable[[float], None]) -> Iterator[Tensor]:
        """The vector of each of the card's windows, (1, D)."""
        card = self.card
        size = min(round(card.window_s * card.sr), self.extractor.nb_max_samples)
        total = 1 + max(0.0, clip.duration - card.window_s) / card.hop_s
        for n, y in enumerate(windows(clip, card.sr, size, round(card.hop_s * card.sr))):
            report(min(n / total, 1.0))
            yield self._vector(*self._features(y))
        report(1.0)

    def _inside(self, clip: Clip, layers: Sequence[str], report: Callable[[float], None]) -> dict[str, Activation]:
        """The input and the stages of windows of the greatest length, side by side."""
        sr, longest = self.card.sr, self.extractor.nb_max_samples
        modules = {name: f"{ENCODER}.layers.{int(name[6:]) - 1}" for name in layers if name != "input"}
        parts: dict[str, list[FloatArray]] = {name: [] for name in layers}
        total = max(1.0, clip.duration * sr / longest)
        for n, y in enumerate(windows(clip, sr, longest, longest)):
            report(min(n / total, 1.0))
            features, is_longer = self._features(y)
            if "input" in layers:
                parts["input"].append(features[0, 0, : -(-y.size // self.extractor.hop_length)].numpy())
            if modules:
                with outputs_of(self.net, modules.values(), item=1) as kept:
                    self._vector(features, is_longer)
                for name, module in modules.items():
                    steps = self._over_time(kept[module][0][0], int(name[6:]) - 1)
                    parts[name].append(steps[: -(-y.size * len(steps) // longest)].numpy())
        report(1.0)
        return {name: self._activation(name, np.concatenate(parts[name])) for name in layers}

    def _grid(self, stage: int) -> tuple[int, int]:
        """Rows (stretches of time x frequencies) and columns (time within a stretch) of a stage."""
        rows, columns = self.net.audio_model.audio_encoder.input_resolutions[stage]
        return int(rows), int(columns)

    def _over_time(self, states: Tensor, stage: int) -> Tensor:
        """Mean over the frequencies of a stage's grid, (rows x columns, D) -> (n_steps, D), in the order of time."""
        ratio = self.net.audio_model.audio_encoder.freq_ratio
        rows, columns = self._grid(stage)
        mean: Tensor = states.view(ratio, rows // ratio, columns, -1).mean(1).flatten(0, 1)
        return mean

    def _activation(self, name: str, values: FloatArray) -> Activation:
        sr, extractor = self.card.sr, self.extractor
        if name == "input":
            times = np.arange(len(values), dtype=np.float64) * (extractor.hop_length / sr)
            return Activation(name, "input", values, ("frame", "mel"), times)
        steps = self.net.audio_model.audio_encoder.freq_ratio * self._grid(int(name[6:]) - 1)[1]
        times = (np.arange(len(values), dtype=np.float64) + 0.5) * (extractor.nb_max_samples / sr / steps)
        return Activation(name, "hidden_state", values, ("frame", "unit"), times)
