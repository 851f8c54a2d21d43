"""Which models there are. Cards are read without PyTorch; a model's own module is imported when it is loaded."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from components.errors import ModelError
from components.models.base import AudioModel, read_card
from components.types import ModelCard

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
"""One folder a model: card.json beside its weights."""

WEIGHT_SUFFIXES = (".safetensors", ".skops")

MODULES = {
    "digits-classical": "components.models.classical",
    "digits-cnn": "components.models.cnn",
    "digits-elman": "components.models.rnn",
    "digits-lstm": "components.models.rnn",
    "digits-transformer": "components.models.transformer",
    "silero-vad": "components.models.silero",
}
"""Module of each model: it has `load(folder) -> AudioModel`, and `weight_files(folder)` if a package has them."""


@cache
def cards() -> tuple[ModelCard, ...]:
    """The cards of all models, in the order in which a list shows them."""
    return tuple(card(model_id) for model_id in MODULES)


@cache
def card(model_id: str) -> ModelCard:
    """The card of one model; ModelError names the nearest ids where there is none of this one."""
    folder = _folder(model_id)
    try:
        return read_card(folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"The card of {model_id} is missing or damaged: get the folder components/weights/{model_id} again."
        ) from error


@cache
def load(model_id: str) -> AudioModel:
    """The model, ready to listen; loaded once and shared. Models hold no state between calls."""
    folder = _folder(model_id)
    card(model_id)
    try:
        model: AudioModel = _module(model_id).load(folder)
    except ModelError:
        raise
    except Exception as error:  # each format has its own errors for a damaged file
        raise ModelError(
            f"The weights of {model_id} are missing or damaged: get the folder components/weights/{model_id} "
            "again, or let `python run.py` install the packages again."
        ) from error
    _one_thread()
    return model


def weight_files(model_id: str) -> tuple[Path, ...]:
    """The files that hold a model's weights, sorted by name."""
    folder = _folder(model_id)
    if card(model_id).source == "package":
        files: tuple[Path, ...] = _module(model_id).weight_files(folder)
        return files
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix in WEIGHT_SUFFIXES))


@cache
def weights_digest(model_id: str) -> str:
    """Hex SHA-256 of the weight files, one after the other, in the order of `weight_files`."""
    sha = hashlib.sha256()
    for path in weight_files(model_id):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                sha.update(chunk)
    return sha.hexdigest()


def _one_thread() -> None:
    """Let PyTorch, where a model brought it, work on one core for each clip.

    The models are small: ten minutes through Silero take 0.5 s on one thread and on two, but 4.4 s on two when
    somebody else keeps a core busy, because the threads wait for each other thousands of times.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _folder(model_id: str) -> Path:
    if model_id not in MODULES:
        near = difflib.get_close_matches(model_id, MODULES, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(MODULES)}."
        raise ModelError(f"There is no model {model_id!r}. {hint}")
    return WEIGHTS / model_id


def _module(model_id: str) -> ModuleType:
    return importlib.import_module(MODULES[model_id])
