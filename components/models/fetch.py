"""Fetching files over the internet: asked for by name, checked by their hash, resumed where they broke off.

Nothing is sent but the names of the files: no account, no token, no word about this machine.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from components.errors import ModelError
from components.models.base import OnProgress
from components.models.catalogue import RemoteFile
from components.units import format_bytes

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 30.0
"""A server that says nothing for so long counts as out of reach [s]."""
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416
ROOM_BYTES = 100_000_000
"""What must stay free on the disk."""

SMALL_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "normalizer.json",
)  # fmt: skip
"""What is fetched of a Hugging Face repository beside its weights."""
SAFETENSORS, SAFETENSORS_INDEX, PICKLED = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True)
class Plan:
    """What is fetched of one model: kept from the first press of the button to the last.

    Attributes
    ----------
    files : the small ones first
    repo, revision : of a Hugging Face model; the revision is the full one
    trust_bin : the weights may come in a .bin file
    """

    files: tuple[RemoteFile, ...]
    repo: str = ""
    revision: str = ""
    trust_bin: bool = False

    def url(self, file: RemoteFile) -> str:
        """Where a file is."""
        return file.url or f"{endpoint()}/{self.repo}/resolve/{self.revision}/{quote(file.name)}"


def endpoint() -> str:
    """Where Hugging Face models come from: HF_ENDPOINT, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


@contextmanager
def writing() -> Iterator[None]:
    """Whatever keeps the folder for models from being written becomes one sentence."""
    try:
        yield
    except OSError as error:
        raise ModelError(_cannot_write(error)) from error


def _cannot_write(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: make room and press again; the download goes on where it stopped."
    return (
        f"The folder for models cannot be written ({error.strerror or error}): check who may write there, "
        "or name another folder with OTOSCOPE_MODELS."
    )


def hub_plan(repo: str, revision: str = "", *, trust_bin: bool = False) -> tuple[Plan, Any]:
    """Ask the hub which files a repository holds at a revision (or now), and choose those that are needed.

    Returns the plan, with the full revision, and what the repository says of itself (its `card_data`, or None).

    Raises
    ------
    ModelError : no such repository, no way to it, or nothing in it that may be opened
    """
    info = _model_info(repo, revision)
    sha = str(info.sha or "")
    if not sha or not sha.startswith(revision):
        raise ModelError(f"The server answered with another revision of {repo} than asked for: try again later.")
    sizes = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    names = [name for name in SMALL_FILES if name in sizes]
    weights = _weight_names(repo, set(sizes), trust_bin=trust_bin and bool(revision))
    files = []
    for name in [*names, *weights]:
        sibling = sizes[name]
        sha256 = sibling.lfs.sha256 if sibling.lfs else ""
        try:
            files.append(RemoteFile(name, size=sibling.size, sha256=sha256, git_blob=sibling.blob_id or ""))
        except ValueError as error:
            raise ModelError(f"The server gives no hash for {name} of {repo}, so it could not be checked.") from error
    return Plan(tuple(files), repo, sha, trust_bin=PICKLED in weights), info.card_data


def _is_small(name: str) -> bool:
    return name in SMALL_FILES or name == SAFETENSORS_INDEX


def _weight_names(repo: str, names: set[str], *, trust_bin: bool) -> list[str]:
    """The files with the weights: safetensors, or a .bin where it is trusted; anything else is refused."""
    if SAFETENSORS in names:
        return [SAFETENSORS]
    shards = sorted(name for name in names if SHARD.fullmatch(name))
    if shards and SAFETENSORS_INDEX in names:
        return [SAFETENSORS_INDEX, *shards]
    if PICKLED in names and trust_bin:
        return [PICKLED]
    if PICKLED in names or any(name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")) for name in names):
        raise ModelError(
            f"{repo} offers its weights only as a Python pickle, a format that can run any program when it is opened, "
            "so Otoscope does not fetch it: ask its author for a safetensors file, or choose another model."
        )
    raise ModelError(f"{repo} holds no weights in the safetensors format, so Otoscope cannot use it.")


def _model_info(repo: str, revision: str) -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import httpx2
    from huggingface_hub import HfApi, errors

    _refuse_plain_http(endpoint())
    # No token, and no list of what is installed here: the defaults would send both.
    api = HfApi(endpoint=endpoint(), token=False, headers={"user-agent": "otoscope"})
    try:
        return api.model_info(repo, revision=revision or None, files_metadata=True, timeout=TIMEOUT_S)
    except errors.OfflineModeIsEnabled as error:
        raise ModelError(
            f"{repo} was not fetched, because HF_HUB_OFFLINE is set on this machine: unset it, or bring the model in "
            "a folder."
        ) from error
    except errors.GatedRepoError as error:
        raise ModelError(_status_sentence(403, repo, endpoint())) from error
    except errors.RepositoryNotFoundError as error:  # also what the hub says of private ones
        raise ModelError(_status_sentence(404, repo, endpoint())) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(_status_sentence(error.response.status_code, repo, endpoint())) from error
    except httpx2.HTTPError as error:
        raise ModelError(_network_sentence(repo, endpoint(), have=False)) from error


def _refuse_plain_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        return
    raise ModelError(f"{parts.hostname or url} can only be reached without encryption, so nothing is fetched from it.")


def _client() -> httpx2.Client:
    import httpx2

    def check(request: httpx2.Request) -> None:
        _refuse_plain_http(str(request.url))  # also where a server sends us on

    headers = {"user-agent": "otoscope", "accept-encoding": "identity"}
    return httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S, headers=headers, event_hooks={"request": [check]})


def fetch_all(
    plan: Plan,
    folder: Path,
    title: str,
    *,
    about_bytes: int = 0,
    small_only: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Bring the files of the plan into `folder`, one after the other, each checked before it gets its name.

    Parameters
    ----------
    plan : what to fetch; what is in the folder already is not fetched again
    title : of the model, for sentences
    about_bytes : the size of all of it, where the plan does not know
    small_only : leave the weights for later
    on_progress : told the share of all bytes that are here, at most 0.99: 1 is for what is installed

    Raises
    ------
    ModelError : one sentence for whatever goes wrong; what arrived is kept unless it was not as published
    """
    total = max(sum(file.size or 0 for file in plan.files), 1)
    if any(file.size is None for file in plan.files):
        total = max(total, about_bytes)
    here = 0

    def report(of_this: int) -> None:
        if on_progress:
            on_progress(min((here + of_this) / total, 0.99))

    with writing():
        folder.mkdir(parents=True, exist_ok=True)
    _check_room(folder, total, title)
    with _client() as client:
        for file in plan.files:
            if small_only and not _is_small(file.name):
                continue
            target = folder / file.name
            if not target.exists():
                _fetch(client, plan.url(file), file, target, title, report)
            here += target.stat().st_size
            report(0)


def _check_room(folder: Path, total: int, title: str) -> None:
    have = bytes_in(folder)
    free = shutil.disk_usage(folder).free
    if total - have + ROOM_BYTES > free:
        raise ModelError(
            f"There is no room for {title}: it needs {format_bytes(total - have)} more, and {format_bytes(free)} are "
            "free on the disk with the folder for models. Make room, or name another folder with OTOSCOPE_MODELS."
        )


def bytes_in(folder: Path) -> int:
    """Size of the files in a folder [bytes]; 0 where there is no such folder."""
    size = 0
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # it gets its final name at this moment
            size += path.stat().st_size
    return size


def _fetch(
    client: httpx2.Client, url: str, file: RemoteFile, target: Path, title: str, report: Callable[[int], None]
) -> None:
    """Bring one file, going on where an earlier attempt stopped."""
    import httpx2

    part = target.with_name(f"{target.name}.part")
    have = part.stat().st_size if part.exists() else 0
    whole = have > 0 and have == file.size
    if not whole:
        try:
            with writing():
                whole = _stream(client, url, file, part, have, report)
        except httpx2.HTTPStatusError as error:
            raise ModelError(_status_sentence(error.response.status_code, title, url)) from error
        except httpx2.HTTPError as error:
            raise ModelError(_network_sentence(title, url, have=part.exists())) from error
    if not is_as_published(part, file):
        if not whole:
            raise ModelError(_network_sentence(title, url, have=True))
        part.unlink()
        raise ModelError(
            f"{file.name} of {title} did not arrive as it was published (its hash differs), so it was thrown away: "
            f"try again. If it happens again, something between here and {urlsplit(url).hostname} changes files; "
            "bring the model in a folder then."
        )
    with writing():
        part.replace(target)


def _stream(
    client: httpx2.Client, url: str, file: RemoteFile, part: Path, have: int, report: Callable[[int], None]
) -> bool:
    """Append to `part` what is missing of it, or start again where the server cannot; whether that is all there is."""
    with client.stream("GET", url, headers={"range": f"bytes={have}-"} if have else {}) as response:
        if response.status_code == RANGE_NOT_SATISFIABLE:
            return True
        response.raise_for_status()
        if response.status_code != PARTIAL_CONTENT:
            have = 0
        with part.open("ab" if have else "wb") as out:
            for chunk in response.iter_raw():
                out.write(chunk)
                have += len(chunk)
                report(have)
                if file.size is not None and have > file.size:
                    return True  # there may be no end to it
        # Only a server that said how much would come can be held to it.
        return "content-length" in response.headers


def is_as_published(path: Path, file: RemoteFile) -> bool:
    """Whether a file's bytes have the hash that was published."""
    sha = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as data:
        while chunk := data.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest() == (file.sha256 or file.git_blob)


def _network_sentence(title: str, url: str, *, have: bool) -> str:
    what = "broke off" if have else "could not be started"
    return (
        f"The download of {title} {what}, because {urlsplit(url).hostname} cannot be reached: check the internet "
        "connection and press again; it goes on where it stopped. Without internet, bring the model in a folder "
        '("use a folder instead").'
    )


def _status_sentence(status: int, title: str, url: str) -> str:
    """What a server's refusal means, and what to do."""
    name = urlsplit(url).hostname
    if status in (401, 403):
        return (
            f"{name} gives {title} only to people who have an account and accepted its terms, and Otoscope sends no "
            'account: get it with your browser, then choose "use a folder instead".'
        )
    if status == 404:
        return f"{name} has no {title}, or not this version of it: check its name, or bring the model in a folder."
    if status == 429:
        return f"{name} has had too many requests from here: wait some minutes and press again."
    return f"{name} has trouble of its own (status {status}): press again in some minutes; it goes on where it stopped."
