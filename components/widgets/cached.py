"""What a session keeps so that it need not be computed twice. Nothing here is shared between users.

Keys name a clip by its digest, never by its samples: Streamlit samples large arrays when it hashes them, and two
recordings that differ in one sample would share an answer.
"""

from __future__ import annotations

import importlib
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from components.features.pyramid import Building
from components.widgets.stream import Shelf

T = TypeVar("T")

KEEP = {
    "recording": 3, "playback": 4, "prediction": 24, "activation": 8, "embedding": 20, "picture": 120, "pyramid": 3,
    "sound": 12,
}  # fmt: skip
"""How many answers of each kind a session keeps, the least recently used going first."""


SLOW_IMPORTS = ("torch", "librosa.filters", "sklearn.decomposition", "components.models.silero", "transformers")
"""What takes a second or more to import, in the order in which a user comes to need it."""


class _Session:
    """One user's private folder and answers."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="otoscope-"))
        self.shelf = Shelf()
        self.answers: dict[str, OrderedDict[Hashable, object]] = {kind: OrderedDict() for kind in KEEP}

    def close(self) -> None:
        self.shelf.close()
        _stop(self.answers)
        self.answers.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def _stop(answers: dict[str, OrderedDict[Hashable, object]]) -> None:
    """End what is still being made in the background."""
    for made in answers["pyramid"].values():
        if isinstance(made, Building):
            made.cancel()


@st.cache_resource(scope="session", show_spinner=False, on_release=_Session.close)
def _session() -> _Session:
    return _Session()


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Once a server, in the background: import what the next click needs while the user looks at the first picture."""

    def load() -> None:
        for name in SLOW_IMPORTS:
            importlib.import_module(name)

    threading.Thread(target=load, name="warm-up", daemon=True).start()


def session_folder() -> Path:
    """The session's private folder (mode 0700): deleted with the session."""
    return _session().folder


def shelf() -> Shelf:
    """What the session's browser may hear."""
    return _session().shelf


def fresh_file(suffix: str) -> Path:
    """An empty file under an unguessable name in the private folder, for this user alone to read."""
    path = session_folder() / f"{secrets.token_hex(16)}{suffix}"
    path.touch(mode=0o600)
    return path


def store_file(data: bytes) -> Path:
    """Keep bytes that the user brought under an unguessable name in the private folder."""
    path = fresh_file("")
    path.write_bytes(data)
    return path


def has(kind: str, key: Hashable) -> bool:
    """Whether the answer is there already."""
    return key in _session().answers[kind]


def remember(kind: str, key: Hashable, make: Callable[[], T]) -> T:
    """The answer kept under `key`, made with `make` when it is not there.

    Plain memory in place of st.cache_data: `make` may draw a progress bar, values are not copied, and a run that
    the user interrupts leaves nothing behind.
    """
    answers = _session().answers[kind]
    if key not in answers:
        answers[key] = make()
        while len(answers) > KEEP[kind]:
            _, dropped = answers.popitem(last=False)
            if isinstance(dropped, Building):
                dropped.cancel()
    answers.move_to_end(key)
    return answers[key]  # type: ignore[return-value]


def all_of(kind: str, first: Hashable) -> list[Any]:
    """The answers of a kind whose key begins with `first`."""
    found = list(_session().answers[kind].items())
    return [answer for key, answer in found if isinstance(key, tuple) and key[0] == first]


def forget_clip(path: Path) -> None:
    """Delete a file that the user brought, and all that was computed in this session."""
    shelf().forget(path)
    path.unlink(missing_ok=True)
    _stop(_session().answers)
    for answers in _session().answers.values():
        answers.clear()
