"""Hugging Face models of any id or folder: one adapter for each kind of head, chosen by config.json.

Light to import: PyTorch and transformers come with `load`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from components.models.base import AudioModel
from components.models.hf import checkpoint
from components.models.hf.checkpoint import AST, WAVEFORM_TYPES, Head, weight_files
from components.models.hf.facts import AstGeometry, class_labels, geometry_of, layers_of
from components.models.hf.windows import CLASSIFIER_HOP_S, CONTEXT_S, OWN_S
from components.types import OWN_WORDS, ModelCard

__all__ = ["describe", "load", "weight_files"]

ADAPTERS: dict[Head, str] = {
    "ctc": "components.models.hf.ctc",
    "classification": "components.models.hf.classification",
    "encoder": "components.models.hf.encoder",
    "whisper": "components.models.hf.whisper",
    "clap": "components.models.hf.clap",
}
TASKS: dict[Head, str] = {
    "ctc": "speech to text",
    "classification": "audio classification",
    "encoder": "layers of a speech encoder",
    "whisper": "speech to text",
    "clap": OWN_WORDS,
}
SUMMARIES: dict[Head, str] = {
    "ctc": "Writes down speech, character by character, with the times of the words.",
    "classification": "Gives each stretch of sound a score for each of its labels.",
    "encoder": "Has no answers of its own; it is here to be looked into, layer by layer.",
    "whisper": "Writes down speech, with the times of the words.",
    "clap": "Tells how well your own words fit each stretch of sound.",
}
NOT_STATED = "not stated here: see the model's page"


def load(path: Path, card: ModelCard, *, trust_bin: bool = False) -> AudioModel:
    """The model whose files lie in the folder `path`, ready to listen.

    Parameters
    ----------
    path : the folder with config.json and the weights; nothing is fetched and no code in it is run
    card : what is known about the model; labels, layers and the like are completed from the files
    trust_bin : True only for a curated model at its pinned revision: its pytorch_model.bin may be read, by
        torch.load with weights_only=True

    Raises
    ------
    ModelError : not an audio model, or its files may not or cannot be loaded; one sentence
    """
    head = checkpoint.check(path, trust_bin=trust_bin)
    model: AudioModel = importlib.import_module(ADAPTERS[head]).load(path, card, trust_bin=trust_bin)
    return model


def describe(folder: Path, *, id: str) -> ModelCard:
    """A card for any model, from its small files alone: the weights need not be there yet.

    Raises
    ------
    ModelError : see `checkpoint.check_description`
    """
    config = checkpoint.read_config(folder)
    head = checkpoint.check_description(folder)
    sr, window_s, hop_s = _clock(config, head, _sampling_rate(folder))
    kinds = layers_of(config) if config.get("model_type") in (*WAVEFORM_TYPES, AST) else {}
    return ModelCard(
        id=id,
        title=id.rsplit("/", 1)[-1] if "/" in id else folder.name,
        summary=SUMMARIES[head],
        family="transformer",
        task=TASKS[head],
        labels=class_labels(config) if head == "classification" else (),
        sr=sr,
        window_s=window_s,
        hop_s=hop_s,
        layers=tuple(kinds),
        emits=tuple(kinds.values()),
        source="download",
        size_bytes=sum(path.stat().st_size for path in checkpoint.weights_in(folder)),
        licence=NOT_STATED,
        citation=NOT_STATED,
        training_data=NOT_STATED,
        held_out=(),
        caveats=("Nobody of this project has checked this model: read its page before you trust it.",),
        homepage=f"https://huggingface.co/{id}" if id.count("/") == 1 and not Path(id).is_absolute() else "",
    )


def _clock(config: dict[str, Any], head: Head, sr: int) -> tuple[int, float, float]:
    """Rate [Hz], sound behind one score [s], step between scores [s]."""
    if config.get("model_type") == AST:
        patches = AstGeometry.of(config, sr)
        return sr, patches.window_s, patches.hop_s
    if head in ("whisper", "clap"):
        # Their adapters know better; a card that is not loaded yet says what the models are made for.
        return sr, *((30.0, 30.0) if head == "whisper" else (10.0, 10.0))
    geometry = geometry_of(config, sr)
    hop_s = CLASSIFIER_HOP_S if head == "classification" else geometry.hop / geometry.sr
    return sr, OWN_S + 2 * CONTEXT_S, hop_s


def _sampling_rate(folder: Path) -> int:
    """The rate that the preprocessor's settings ask for [Hz]; 16 kHz where they do not say."""
    for name in checkpoint.PREPROCESSORS:
        if (folder / name).is_file():
            settings = checkpoint.read_json(folder / name)
            found = settings.get("sampling_rate") or settings.get("feature_extractor", {}).get("sampling_rate")
            if found:
                return int(found)
    return 16000
