"""The models that can be downloaded, as written down in `catalogue/*.json`: what they are and where they come from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components.models.base import card_of
from components.types import ModelCard

FOLDER = Path(__file__).resolve().parent / "catalogue"
"""One file a model, named by its id."""

HUGGING_FACE = "components.models.hf"
"""The module that opens checkpoints in Hugging Face's format."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download, and how to tell that it arrived as published.

    Attributes
    ----------
    name : what it is called in the model's folder
    url : where it is; "" where the repository and revision say it
    size : in bytes; None where it is not known before
    sha256, git_blob : hex; one of them is given. git_blob is the SHA-1 of b"blob <size>\\0" and the bytes.
    """

    name: str
    url: str = ""
    size: int | None = None
    sha256: str = ""
    git_blob: str = ""

    def __post_init__(self) -> None:
        if not (self.sha256 or self.git_blob):
            raise ValueError(f"{self.name} has no hash to check it by.")


@dataclass(frozen=True)
class Entry:
    """A model that can be downloaded.

    Attributes
    ----------
    card : what is known before its weights are here
    module : the module that loads it
    files : what to download; () where a Hugging Face repository says it
    repo, revision : of a Hugging Face model; revision "" where none is pinned
    trust_bin : weights in a .bin file are allowed, at the pinned revision, where there is no safetensors file
    """

    card: ModelCard
    module: str
    files: tuple[RemoteFile, ...] = ()
    repo: str = ""
    revision: str = ""
    trust_bin: bool = False


def read_entry(path: Path) -> Entry:
    """The entry in one JSON file: the fields of `Entry`, with `files` and `card` as objects."""
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    files = tuple(RemoteFile(**file) for file in fields.pop("files", ()))
    return Entry(card=card_of(fields.pop("card")), files=files, **fields)


def write_entry(path: Path, entry: Entry) -> None:
    """Write what `read_entry` reads."""
    path.write_text(json.dumps(asdict(entry), indent=1, ensure_ascii=False), "utf-8")


@cache
def entries() -> dict[str, Entry]:
    """All entries by id, sorted by it."""
    found = (read_entry(path) for path in sorted(FOLDER.glob("*.json")))
    return {entry.card.id: entry for entry in found}
