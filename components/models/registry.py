"""Which models there are. Cards are read without PyTorch; a model's own module is imported when it is loaded."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import sys
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType

from components.errors import ModelError
from components.models import hub
from components.models.base import AudioModel, read_card
from components.types import ModelCard

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
"""One folder a model: card.json beside its weights."""

WEIGHT_SUFFIXES = (".safetensors", ".skops")

LINE_UPS = ("digits", "sounds", "emotion")
FAMILY = {"classical": "classical", "cnn": "cnn", "elman": "rnn", "lstm": "rnn", "transformer": "transformer"}
"""The five models of each line-up, and the module of each."""

MODULES = {
    **{f"{task}-{kind}": f"components.models.{module}" for task in LINE_UPS for kind, module in FAMILY.items()},
    "speech-music": "components.models.cnn",
    "silero-vad": "components.models.silero",
}
"""Module of each model that is here at once: it has `load(folder) -> AudioModel`, and `weight_files(folder)` where a
package holds its weights."""

KEPT_DOWNLOADS = 4
"""So many downloaded models stay in memory, the least recently used going first: Compare shows four at once."""


def cards() -> tuple[ModelCard, ...]:
    """The cards of all models, in the order in which a list shows them: those that are here at once come first."""
    return (*map(_shipped_card, MODULES), *map(hub.card, hub.all_entries()))


def card(model_id: str) -> ModelCard:
    """The card of one model; ModelError names the nearest ids where there is none of this one."""
    return _shipped_card(model_id) if model_id in MODULES else hub.card(_known(model_id))


def state(model_id: str) -> hub.State:
    """Whether a model can be loaded ("ready"), was downloaded in part, or has to be downloaded first."""
    return "ready" if model_id in MODULES else hub.state(_known(model_id))


def load(model_id: str) -> AudioModel:
    """The model, ready to listen; loaded once and shared. Models hold no state between calls.

    Raises
    ------
    ModelError : no such model; weights that are not here yet, and how to get them; damaged weights
    """
    model = _load_shipped(model_id) if model_id in MODULES else _load_downloaded(model_id, hub.stamp(_known(model_id)))
    _one_thread()
    return model


def load_from(model_id: str, path: Path) -> AudioModel:
    """A downloadable model, from weights that lie in a file or folder of the user's. Nothing is remembered."""
    if model_id in MODULES:
        raise ModelError(f"{model_id} comes with its weights: it takes none from a file.")
    model = hub.load_from(_known(model_id), path)
    _one_thread()
    return model


def weight_files(model_id: str) -> tuple[Path, ...]:
    """The files that hold a model's weights, sorted by name."""
    if model_id not in MODULES:
        return hub.weight_files(_known(model_id), hub.weights_path(model_id))
    folder = WEIGHTS / model_id
    if card(model_id).source == "package":
        files: tuple[Path, ...] = _module(model_id).weight_files(folder)
        return files
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix in WEIGHT_SUFFIXES))


def weights_digest(model_id: str, path: Path | None = None) -> str:
    """Hex SHA-256 of the weight files, one after the other, in the order of `weight_files`.

    With `path`, of the weights that lie there instead.
    """
    if path is not None:
        return _digest(hub.weight_files(_known(model_id), path.expanduser().absolute()))
    return _kept_digest(model_id, "" if model_id in MODULES else hub.stamp(_known(model_id)))


@cache
def _kept_digest(model_id: str, stamp: str) -> str:
    return _digest(weight_files(model_id))


def _digest(files: Iterable[Path]) -> str:
    sha = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                sha.update(chunk)
    return sha.hexdigest()


@cache
def _shipped_card(model_id: str) -> ModelCard:
    try:
        return read_card(WEIGHTS / model_id)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"The card of {model_id} is missing or damaged: get the folder components/weights/{model_id} again."
        ) from error


@cache
def _load_shipped(model_id: str) -> AudioModel:
    card(model_id)
    try:
        model: AudioModel = _module(model_id).load(WEIGHTS / model_id)
    except ModelError:
        raise
    except Exception as error:  # each format has its own errors for a damaged file
        raise ModelError(
            f"The weights of {model_id} are missing or damaged: get the folder components/weights/{model_id} "
            "again, or let `python run.py` install the packages again."
        ) from error
    return model


@lru_cache(maxsize=KEPT_DOWNLOADS)
def _load_downloaded(model_id: str, stamp: str) -> AudioModel:
    return hub.load(model_id)


def _one_thread() -> None:
    """Let PyTorch, where a model brought it, work on one core for each clip.

    The models are small: ten minutes through Silero take 0.5 s on one thread and on two, but 4.4 s on two when
    somebody else keeps a core busy, because the threads wait for each other thousands of times.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _known(model_id: str) -> str:
    """The id, if there is such a model."""
    names = (*MODULES, *hub.all_entries())
    if model_id not in names:
        near = difflib.get_close_matches(model_id, names, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`python run.py models` lists those there are."
        raise ModelError(f"There is no model {model_id!r}. {hint}")
    return model_id


def _module(model_id: str) -> ModuleType:
    return importlib.import_module(MODULES[model_id])
