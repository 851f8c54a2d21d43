"""Speech recognisers that write a character (or none) for each frame: Wav2Vec 2.0, HuBERT and their kin with CTC.

CTC (connectionist temporal classification): equal neighbours count once and the blank counts for nothing, so that
"HH_EE_LL_LLOO" reads HELLO.

Source: Graves et al. 2006; transformers' pipeline("automatic-speech-recognition"), whose text this is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.errors import ModelError
from components.models.base import OnProgress
from components.models.hf.checkpoint import load_net, load_part
from components.models.hf.facts import distinct
from components.models.hf.precision import Dtype, quickest
from components.models.hf.speech import Speech
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction, Segment


class Ctc:
    """A CTC model as an `AudioModel`."""

    def __init__(self, card: ModelCard, net: Any, folder: Path, tokenizer: Any) -> None:
        self.net = net
        self.speech = Speech(net, folder)
        self.tokenizer = tokenizer
        labels = distinct(tuple(tokenizer.convert_ids_to_tokens(list(range(net.lm_head.out_features)))))
        notes = (
            f"{tokenizer.pad_token} is the blank: no new character. It wins most frames and is listed as a label.",
            "The text is what is likeliest frame by frame (greedy), without a language model.",
        )
        self.card = self.speech.complete(card, folder, labels, notes)

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """Probabilities of the tokens for each frame, the text, and the words with their times.

        A word's times are those of the pipeline's `return_timestamps="word"`: its first frame's start and its last
        one's end on the grid of hops. Its score is the mean of its frames' highest probabilities.
        """
        parts: list[FloatArray] = []
        for heard in self.speech.hear(clip, on_progress):
            with torch.inference_mode():
                logits = self.net.lm_head(heard.hidden.to(self.net.dtype)).float()
                parts.append(logits.softmax(-1).numpy())
        scores = np.concatenate(parts)
        card = self.card
        text, segments = self._words(scores, clip.duration)
        return Prediction(
            card.id,
            card.labels,
            scores,
            "softmax",
            self.speech.times(len(scores)),
            card.window_s,
            card.hop_s,
            segments,
            text,
        )

    def _words(self, scores: FloatArray, duration: float) -> tuple[str, tuple[Segment, ...]]:
        """The text, and its words as segments."""
        decoded = self.tokenizer.decode(scores.argmax(axis=1), output_word_offsets=True)
        best = scores.max(axis=1)
        segments = []
        for word in decoded["word_offsets"]:
            first, last = int(word["start_offset"]), int(word["end_offset"])
            start, end = (min(k * self.card.hop_s, duration) for k in (first, last))
            segments.append(Segment(start, end, word["word"], float(best[first:last].mean())))
        return decoded["text"], tuple(segments)

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        return self.speech.inspect(self.card, clip, layers, on_progress)


def load(folder: Path, card: ModelCard, *, trust_bin: bool = False, dtype: Dtype = "auto") -> Ctc:
    """The recogniser in `folder`; see `components.models.hf.load`."""
    from transformers import AutoModelForCTC, AutoTokenizer, Wav2Vec2CTCTokenizer

    net = load_net(folder, AutoModelForCTC, trust_bin=trust_bin)
    tokenizer = load_part(folder, AutoTokenizer)
    if not isinstance(tokenizer, Wav2Vec2CTCTokenizer):
        raise ModelError(
            f"The vocabulary of {folder.name} is of a kind ({type(tokenizer).__name__}) that Otoscope cannot read: "
            "choose a model that writes letters."
        )
    return quickest(net, lambda net: Ctc(card, net, folder, tokenizer), dtype)
