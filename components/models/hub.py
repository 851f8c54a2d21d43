"""Downloads: getting a model's weights onto this machine, once, checked, and only when somebody asks for it.

Each model has a folder in `models_folder()`:

    <id>/<id>/           what was downloaded; a file on its way is called <name>.part
    <id>/plan.json       what is being fetched, at which revision, with the hash of each file
    <id>/entry.json      of a model that the user added: what the catalogue says of the others
    <id>/card.json       the card, completed from the weights
    <id>/installed.json  written last, in one step: only with it the model counts as ready
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from components.errors import ModelError
from components.models.base import AudioModel, OnProgress, read_card
from components.models.catalogue import HUGGING_FACE, Entry, RemoteFile, entries, read_entry, write_entry
from components.models.fetch import Plan, bytes_in, endpoint, fetch_all, hub_plan, is_as_published, writing
from components.types import ModelCard
from components.units import format_bytes

State = Literal["ready", "partial", "missing"]

LONGEST = 80
"""Characters that are taken over of what a stranger's model says of itself."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def models_folder() -> Path:
    """Where downloaded models are kept: OTOSCOPE_MODELS, or a folder in the user's own data. Made when missing."""
    named = os.environ.get("OTOSCOPE_MODELS")
    if named:
        folder = Path(named).expanduser().absolute()
    else:
        import platformdirs

        folder = platformdirs.user_data_path("otoscope", appauthor=False) / "models"
    with suppress(OSError):  # whoever writes into it says why that fails
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def host(model_id: str) -> str:
    """The name of the machine on the internet that a model is downloaded from; "" for a local folder."""
    entry = _entry(model_id)
    if entry.files:
        return urlsplit(entry.files[0].url).hostname or ""
    return (urlsplit(endpoint()).hostname or "") if entry.repo else ""


def all_entries() -> dict[str, Entry]:
    """The catalogue, and after it what the user added, by id."""
    added = {}
    for path in sorted(models_folder().glob("*/entry.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):  # one damaged file must not hide all models
            added[path.parent.name] = read_entry(path)
    return entries() | added


def card(model_id: str) -> ModelCard:
    """A model's card: completed from its weights where they are here."""
    if state(model_id) == "ready":
        with suppress(OSError, ValueError, TypeError, KeyError):  # a card can be had from the catalogue again
            return read_card(_home(model_id))
    return _entry(model_id).card


def state(model_id: str) -> State:
    """Whether a model can be loaded, was downloaded in part, or is not here."""
    home = _home(model_id)
    if (home / "installed.json").is_file():
        return "ready" if weights_path(model_id).exists() else "missing"
    return "partial" if have_bytes(model_id) else "missing"


def have_bytes(model_id: str) -> int:
    """How much of a download is here [bytes]."""
    return bytes_in(_files(model_id))


def weights_path(model_id: str) -> Path:
    """The folder (or single file) with a model's weights: the download's, or the one that the user named."""
    linked = _read_json(_home(model_id) / "installed.json").get("path")
    return Path(linked) if linked else _files(model_id)


def stamp(model_id: str) -> str:
    """Changes whenever other weights are installed: a key for what is computed from them."""
    path = weights_path(model_id)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    installed = _home(model_id) / "installed.json"
    return f"{installed.read_text('utf-8') if installed.is_file() else ''} {changed}"


def load(model_id: str) -> AudioModel:
    """The model, from the weights that are here.

    Raises
    ------
    ModelError : they are not here, and how to get them
    """
    entry = _entry(model_id)
    if state(model_id) != "ready":
        raise ModelError(_how_to_get(model_id, entry.card))
    installed = _read_json(_home(model_id) / "installed.json")
    known = replace(entry.card, revision=installed.get("revision", entry.card.revision))
    trust_bin = entry.trust_bin and bool(installed.get("trust_bin"))
    model = _open(entry, weights_path(model_id), known, trust_bin=trust_bin)
    if model.card != card(model_id):
        with suppress(OSError):  # a newer Otoscope may know more than the card that was written then
            _write_json(_home(model_id) / "card.json", asdict(model.card))
    return model


def load_from(model_id: str, path: Path) -> AudioModel:
    """The model, from weights in a file or folder of the user's; nothing is remembered.

    Raises
    ------
    ModelError : no such file, not the published one, or one that cannot be opened
    """
    entry = _entry(model_id)
    path = path.expanduser().absolute()
    if not path.exists():
        raise ModelError(f"There is no file or folder {path.name or path}: check the path to the weights.")
    revision = entry.card.revision if _is_published(entry, path) else "brought by you: its version was not checked"
    return _open(entry, path, replace(entry.card, revision=revision), trust_bin=False)


def weight_files(model_id: str, path: Path) -> tuple[Path, ...]:
    """The files that hold a model's weights in `path`."""
    files: tuple[Path, ...] = importlib.import_module(_entry(model_id).module).weight_files(path)
    return files


def download(model_id: str, on_progress: OnProgress | None = None) -> Path:
    """Fetch a model's weights, or what is missing of them, check and install them.

    Parameters
    ----------
    on_progress : told the share of the bytes that are here, 0 to 1; what it raises (`Cancelled`) ends the
        download, and the next one goes on from there

    Raises
    ------
    ModelError : one sentence for whatever goes wrong; what arrived is kept unless it was not as published
    """
    from components.models.hf import checkpoint

    entry = _entry(model_id)
    with _alone(model_id, entry.card.title):
        if state(model_id) != "ready":
            plan = _plan(model_id, entry)
            about, title = entry.card.size_bytes, entry.card.title
            if plan.repo:
                fetch_all(plan, _files(model_id), title, small_only=True, on_progress=on_progress)
                # Before gigabytes are fetched: no audio model, or one that wants a program of its own to be run.
                checkpoint.head_of(checkpoint.read_config(_files(model_id)))
                checkpoint.refuse_code(_files(model_id))
            fetch_all(plan, _files(model_id), title, about_bytes=about, on_progress=on_progress)
            _install(model_id, entry, plan)
    if on_progress:
        on_progress(1.0)
    return weights_path(model_id)


def use_folder(model_id: str, path: Path) -> Path:
    """Use weights that lie in a folder (or are one file) of the user's: for machines without internet.

    The files stay where they are. They are loaded once, and compared with the published hash where there is one.

    Raises
    ------
    ModelError : no such folder, not the published files, or ones that cannot be opened
    """
    entry = _entry(model_id)
    path = path.expanduser().absolute()
    with _alone(model_id, entry.card.title):
        model = load_from(model_id, path)
        shutil.rmtree(_files(model_id), ignore_errors=True)
        _mark_installed(model_id, model.card, path=path)
    return path


def remove(model_id: str) -> None:
    """Delete a download, whole or in part, or forget a folder. The user's own folder is never touched."""
    home = _home(model_id)
    with _alone(model_id, model_id):
        try:
            (home / "installed.json").unlink(missing_ok=True)
            if home.is_dir():
                shutil.rmtree(home)
        except OSError as error:
            raise ModelError(
                f"{model_id} could not be deleted ({error.strerror}): close what uses it, and try again."
            ) from error


def add(name: str, on_progress: OnProgress | None = None) -> ModelCard:
    """Bring in a model that is not in the catalogue, with its weights; see `look_up` and `download`."""
    known = look_up(name, on_progress)
    if state(known.id) != "ready":
        download(known.id, on_progress)
    return card(known.id)


def look_up(name: str, on_progress: OnProgress | None = None) -> ModelCard:
    """List a model that is not in the catalogue: a Hugging Face id ("owner/name") or a folder on this machine.

    Of a Hugging Face model only the small files are fetched, at the revision that it has now; it stays at that. A
    folder is ready at once. A model of the catalogue is found by its Hugging Face id.

    Raises
    ------
    ModelError : no such model, no audio model, or one that brings code of its own; no way to the hub
    """
    name = name.strip()
    if name and Path(name).expanduser().is_dir():
        return _add_folder(Path(name).expanduser().absolute())
    name = name.removeprefix("https://huggingface.co/").rstrip("/")
    if not _REPO.fullmatch(name):
        raise ModelError(
            f"{name!r} is neither a folder on this machine nor a model's id on Hugging Face: write owner/name."
        )
    curated = [model_id for model_id, entry in entries().items() if entry.repo.lower() == name.lower()]
    model_id = curated[0] if curated else f"hf--{name.replace('/', '--')}"
    if not curated and model_id not in all_entries():
        _describe_remote(model_id, name, on_progress)
    return card(model_id)


def _add_folder(folder: Path) -> ModelCard:
    from components.models import hf

    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip(".-") or "model"
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:6]
    model_id = f"folder--{stem}-{digest}"
    with _alone(model_id, folder.name):
        entry = Entry(card=hf.describe(folder, id=model_id), module=HUGGING_FACE)
        model = _open(entry, folder, entry.card, trust_bin=False)
        with writing():
            _home(model_id).mkdir(parents=True, exist_ok=True)
            write_entry(_home(model_id) / "entry.json", entry)
        _mark_installed(model_id, model.card, path=folder)
    return card(model_id)


def _describe_remote(model_id: str, repo: str, on_progress: OnProgress | None) -> None:
    """Fetch the small files of a model that nobody described yet, and write its entry from them."""
    from components.models import hf

    with _alone(model_id, repo):
        plan, said = hub_plan(repo)
        _keep_plan(model_id, plan)
        fetch_all(plan, _files(model_id), repo, small_only=True, on_progress=on_progress)
        try:
            stub = hf.describe(_files(model_id), id=model_id)
        except ModelError:
            shutil.rmtree(_home(model_id), ignore_errors=True)  # it is not listed, so nobody could remove it
            raise
        languages = getattr(said, "language", None) or ()
        languages = [languages] if isinstance(languages, str) else languages
        stub = replace(
            stub,
            title=repo,
            source="download",
            size_bytes=sum(file.size or 0 for file in plan.files),
            licence=str(getattr(said, "license", None) or stub.licence)[:LONGEST],
            languages=tuple(str(language)[:LONGEST] for language in languages),
            revision=_first_pin(plan.revision),
            homepage=f"{endpoint()}/{repo}",
        )
        with writing():
            write_entry(_home(model_id) / "entry.json", Entry(card=stub, module=HUGGING_FACE, repo=repo))


def _first_pin(revision: str) -> str:
    return f"{revision} (pinned at the first download)"


def _how_to_get(model_id: str, known: ModelCard) -> str:
    linked = _read_json(_home(model_id) / "installed.json").get("path")
    if linked:
        return (
            f"The folder with the weights of {known.title}, {Path(linked).name}, is not there any more: "
            "connect its disk, or name another on the Library page."
        )
    return (
        f"{known.title} is not on this machine yet: get it ({format_bytes(known.size_bytes)}) on the Library page or "
        f"with `python run.py download {model_id}`."
    )


def _home(model_id: str) -> Path:
    if not _ID.fullmatch(model_id):
        raise ModelError(f"There is no model {model_id!r} to download.")
    return models_folder() / model_id


def _files(model_id: str) -> Path:
    """Where a download's files lie: the folder has the model's name, since sentences name it."""
    return _home(model_id) / model_id


def _entry(model_id: str) -> Entry:
    entry = entries().get(model_id) or all_entries().get(model_id)
    if entry is None:
        raise ModelError(f"There is no model {model_id!r} to download: `python run.py models` lists those there are.")
    return entry


def _open(entry: Entry, path: Path, known: ModelCard, *, trust_bin: bool) -> AudioModel:
    """Load a model with its module; whatever a library says about damaged weights becomes a sentence."""
    module = importlib.import_module(entry.module)
    options = {"trust_bin": True} if trust_bin else {}
    try:
        size = sum(file.stat().st_size for file in module.weight_files(path))
        model: AudioModel = module.load(path, replace(known, size_bytes=size), **options)
    except ModelError:
        raise
    except Exception as error:  # each format has its own errors for a damaged file
        raise ModelError(
            f"The weights of {known.title} in {path.name} cannot be opened ({type(error).__name__}): they are damaged, "
            "or of another model. Remove it and download it again, or name another folder."
        ) from error
    return model


def _is_published(entry: Entry, path: Path) -> bool:
    """Whether `path` holds the published files; ModelError for one that carries their name and is another."""
    found = 0
    for file in entry.files:
        mine = path / file.name if path.is_dir() else path
        if mine.name != file.name or not mine.is_file():
            continue
        if not is_as_published(mine, file):
            raise ModelError(
                f"{file.name} is not the published file of {entry.card.title} (its hash differs): "
                "copy it again, or rename it if it is meant to be another."
            )
        found += 1
    return 0 < found == len(entry.files)


def _install(model_id: str, entry: Entry, plan: Plan) -> None:
    known = entry.card
    if plan.repo:
        known = replace(known, revision=plan.revision if entry.revision else _first_pin(plan.revision))
    complete = _open(entry, _files(model_id), known, trust_bin=plan.trust_bin).card
    gc.collect()  # nothing may hold the files open: they may be removed at once
    _mark_installed(model_id, complete, trust_bin=plan.trust_bin)


def _mark_installed(model_id: str, complete: ModelCard, *, path: Path | None = None, trust_bin: bool = False) -> None:
    """Write the completed card and, as the last step, the mark that the model is ready."""
    home = _home(model_id)
    with writing():
        home.mkdir(parents=True, exist_ok=True)
        _write_json(home / "card.json", asdict(complete))
        facts = {"path": path and str(path), "revision": complete.revision, "trust_bin": trust_bin}
        _write_json(home / "installed.json", facts)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    part = path.with_name(f"{path.name}.new")
    part.write_text(json.dumps(values, indent=1, ensure_ascii=False), "utf-8")
    part.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    """The values in a file that we wrote; {} where it is missing or damaged."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


@contextmanager
def _alone(model_id: str, title: str) -> Iterator[None]:
    """One at a time for each model, in all windows and programs."""
    import filelock

    lock = filelock.FileLock(models_folder() / f".{model_id}.lock", timeout=0)
    with writing():
        try:
            lock.acquire()
        except filelock.Timeout as error:  # it is an OSError, too
            raise ModelError(f"{title} is being fetched in another window: wait until that is done.") from error
    try:
        yield
    finally:
        lock.release()


def _plan(model_id: str, entry: Entry) -> Plan:
    """What to fetch: as planned at the first attempt, so that the parts fit together."""
    kept = _read_json(_home(model_id) / "plan.json")
    if kept:
        plan = Plan(**{**kept, "files": tuple(RemoteFile(**file) for file in kept["files"])})
        if plan.repo == entry.repo and plan.revision.startswith(entry.revision) and entry.files in ((), plan.files):
            return plan
    plan = Plan(entry.files) if entry.files else hub_plan(entry.repo, entry.revision, trust_bin=entry.trust_bin)[0]
    _keep_plan(model_id, plan)
    return plan


def _keep_plan(model_id: str, plan: Plan) -> None:
    """Write the plan down; what was fetched by another one goes."""
    with writing():
        shutil.rmtree(_files(model_id), ignore_errors=True)
        _home(model_id).mkdir(parents=True, exist_ok=True)
        _write_json(_home(model_id) / "plan.json", asdict(plan))
