"""Letting a model listen to recordings: the one way to do it, for the pages and for the command line alike."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from components.audio.decode import Decoded, decode
from components.audio.readers import display_name
from components.errors import ModelError, OtoscopeError, ParameterError
from components.exports import tables
from components.exports.provenance import FileFacts, provenance
from components.models import registry
from components.models.base import AudioModel, OnProgress
from components.models.events import clip_label, find_events
from components.types import OWN_WORDS, Clip, Prediction

SUFFIXES = frozenset(
    (
        ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".avi", ".caf", ".flac", ".flv",
        ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".oga", ".ogg",
        ".opus", ".rf64", ".snd", ".tta", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wmv", ".wv",
    )
)  # fmt: skip
"""What is taken for sound or video inside a folder. A file that is named itself is always tried."""

PREDICTIONS, EVENTS, CLIPS, TRANSCRIPTS = "predictions.csv", "events.csv", "clips.csv", "transcripts.csv"
PROVENANCE = "provenance.json"
OUTPUTS = (PREDICTIONS, EVENTS, CLIPS, TRANSCRIPTS, PROVENANCE)
"""The files that `analyse_files` writes, and writes over."""

THRESHOLD = 0.5
"""Lowest score of an event where nobody says otherwise."""
SHORTEST_EVENT_S = 0.05
"""Shorter events are left out [s]: single frames that cross the threshold for a moment."""
MAX_BYTES = 1 << 40


@cache
def app_version() -> str:
    """Otoscope's version, from pyproject.toml."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    version: str = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
    return version


def chosen_model(model_id: str, *, weights: Path | None = None, labels: Sequence[str] = ()) -> AudioModel:
    """The model, ready to listen.

    Parameters
    ----------
    weights : a file or folder of the user's with the weights of a downloadable model; None for those installed
    labels : the user's own words, for models that score those (task OWN_WORDS)

    Raises
    ------
    ModelError : no such model, one that cannot be loaded, or one that does not take words
    """
    model = registry.load_from(model_id, weights) if weights else registry.load(model_id)
    if not labels:
        return model
    if model.card.task != OWN_WORDS:
        raise ModelError(f"{model.card.title} has labels of its own: leave out --labels, or choose a CLAP model.")
    with_labels: Callable[[Sequence[str]], AudioModel] = model.with_labels  # type: ignore[attr-defined]
    return with_labels(labels)


def analyse_clip(
    clip: Clip, model_id: str, on_progress: OnProgress | None = None, *, labels: Sequence[str] = ()
) -> Prediction:
    """What the model says about the clip, frame by frame; the same numbers on every page and in every table.

    Raises
    ------
    ModelError : see `chosen_model`
    """
    return chosen_model(model_id, labels=labels).predict(clip, on_progress)


@dataclass(frozen=True)
class Found:
    """A recording to analyse: where it is, and its name in the tables."""

    path: Path
    file: str


@dataclass(frozen=True)
class Summary:
    """What became of the recordings: how many there were, how many failed, whether all had their turn."""

    files: int
    failed: int
    complete: bool


def find_recordings(paths: Sequence[Path]) -> list[Found]:
    """The files named, and the recordings in the folders named and all folders below, each file once.

    In the order of the arguments, inside a folder by name. Hidden files and folders (.name) and links to folders
    are passed over. Inside a folder a recording's name in the tables is its path from there, with slashes; on its
    own it is the file's name. Where two would have the same name, the folders above are put in front.

    Raises
    ------
    ParameterError : a folder without a recording, or one that cannot be opened
    """
    found: dict[Path, int] = {}  # path -> how many of its last parts make up the name
    for path in paths:
        if not path.is_dir():
            found.setdefault(_absolute(path), 1)
            continue
        inside = list(_walk(path))
        if not inside:
            raise ParameterError(f"No sound or video was found in the folder {path.name or path}: name another.")
        for file in inside:
            found.setdefault(_absolute(file), len(file.relative_to(path).parts))
    while True:
        names = {path: "/".join(path.parts[-depth:]) for path, depth in found.items()}
        counts = Counter(names.values())
        alike = [p for p, name in names.items() if counts[name] > 1 and found[p] < len(p.parts) - 1]
        if not alike:
            return [Found(path, name) for path, name in names.items()]
        for path in alike:
            found[path] += 1


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (Path.resolve would follow links and change names)


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise ParameterError(f"The folder {Path(error.filename).name} cannot be opened: check who may read it.")

    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(here) / name


class _Outputs:
    """The tables as they grow, under hidden names; they take their real names all together at the end."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._parts = {name: folder / f".{name}.part" for name in OUTPUTS}
        for part in self._parts.values():
            stack.callback(part.unlink, missing_ok=True)
        self.texts = {
            name: stack.enter_context(part.open("w", encoding="utf-8", newline=""))
            for name, part in self._parts.items()
        }
        self.texts[PREDICTIONS].write(tables.line(*tables.PREDICTION_COLUMNS))
        self.texts[EVENTS].write(tables.line(*tables.FILE_EVENT_COLUMNS))
        self.texts[CLIPS].write(tables.line(*tables.CLIP_COLUMNS))
        self.texts[TRANSCRIPTS].write(tables.line(*tables.TRANSCRIPT_COLUMNS))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is written inside stays only if all of it was written."""
        marks: list[tuple[TextIO, int]] = [(text, text.tell()) for text in self.texts.values()]
        try:
            yield
        except BaseException:
            for text, mark in marks:
                text.seek(mark)
                text.truncate()
            raise

    def publish(self) -> None:
        for name, part in self._parts.items():
            self.texts[name].close()
            part.replace(self.folder / name)


def analyse_files(
    paths: Sequence[Path],
    model_id: str,
    out: Path,
    *,
    all_labels: bool = False,
    threshold: float = THRESHOLD,
    weights: Path | None = None,
    labels: Sequence[str] = (),
    show_progress: bool = True,
) -> Summary:
    """Let a model listen to files and folders; write OUTPUTS into the folder `out`, over those of an earlier run.

    A recording that fails becomes a line of clips.csv with its sentence, and the rest goes on. After Ctrl+C the
    tables hold the recordings that were finished, and provenance.json says that they are not complete.

    Parameters
    ----------
    all_labels : write all labels of each frame, also of models with very many
    threshold : lowest score of an event, in the model's unit
    weights, labels : see `chosen_model`
    show_progress : draw a progress bar on stderr, if that is a screen

    Raises
    ------
    ModelError : see `chosen_model`
    ParameterError : a folder without recordings, or an `out` that cannot be written
    """
    registry.card(model_id)
    recordings = find_recordings(paths)
    model = chosen_model(model_id, weights=weights, labels=labels)
    started = datetime.now(UTC)
    facts: list[FileFacts] = []
    complete = True
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            outputs = _Outputs(out, stack)
            bar = stack.enter_context(_bar(len(recordings), show_progress))
            try:
                for found in recordings:
                    file = _analyse_file(found, model, outputs, all_labels, threshold, bar)
                    facts.append(file)
            except KeyboardInterrupt:
                complete = False
            record = provenance(
                app_version=app_version(),
                card=model.card,
                weights_sha256=registry.weights_digest(model_id, weights),
                parameters={
                    "all_labels": all_labels,
                    "threshold": threshold,
                    "shortest_event_s": SHORTEST_EVENT_S,
                }
                | ({"labels": ", ".join(labels)} if labels else {}),
                files=facts,
                started=started,
                finished=datetime.now(UTC),
                complete=complete,
            )
            json.dump(record, outputs.texts[PROVENANCE], indent=2, ensure_ascii=False)
            outputs.publish()
    except OSError as error:
        raise ParameterError(
            f"The tables could not be written into the folder {out.name or out} ({error.strerror}): "
            "choose another with --out, or make room on the disk."
        ) from error
    return Summary(len(recordings), sum(file.error is not None for file in facts), complete)


def _bar(total: int, show: bool) -> tqdm[None]:
    layout = "{desc:<24.24} {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"
    return tqdm(total=total, bar_format=layout, leave=False, disable=None if show else True)


def _analyse_file(
    found: Found, model: AudioModel, outputs: _Outputs, all_labels: bool, threshold: float, bar: tqdm[None]
) -> FileFacts:
    """Analyse one recording into the tables; what there is to know about it, its error included."""
    bar.set_description_str(display_name(found.file))
    begun = bar.n
    sha256, decoded = None, None
    try:
        # Decoding is the small part of the work for most models.
        on_decoded, on_predicted = _report(bar, begun, 0.0, 0.2), _report(bar, begun, 0.2, 1.0)
        decoded = decode(found.path, name=found.path.name, on_progress=on_decoded, max_bytes=MAX_BYTES)
        sha256 = _sha256(found.path)
        prediction = model.predict(decoded.clip, on_predicted)
    except Exception as error:  # one recording must not cost the others their turn
        sentence = _sentence(error, found)
        with outputs.whole():
            outputs.texts[CLIPS].write(tables.clip_line(file=found.file, model=model.card.id, error=sentence))
        return _facts(found, sha256, decoded, sentence)
    finally:
        bar.update(begun + 1 - bar.n)
    with outputs.whole():
        _write(found.file, decoded.clip.duration, prediction, outputs.texts, all_labels, threshold)
    return _facts(found, sha256, decoded, None)


def _report(bar: tqdm[None], begun: float, low: float, high: float) -> Callable[[float], None]:
    """Moves the bar from `begun` + `low` to `begun` + `high` as the share done goes from 0 to 1."""

    def report(share: float) -> None:
        bar.update(max(0.0, begun + low + (high - low) * share - bar.n))

    return report


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(
    file: str,
    duration_s: float,
    prediction: Prediction,
    texts: Mapping[str, TextIO],
    all_labels: bool,
    threshold: float,
) -> None:
    model = prediction.model
    lines = tables.prediction_lines(prediction, file=file, duration_s=duration_s, all_labels=all_labels)
    texts[PREDICTIONS].writelines(lines)
    events = find_events(prediction, threshold, SHORTEST_EVENT_S)
    texts[EVENTS].writelines(tables.event_lines(events, file=file, model=model))
    texts[TRANSCRIPTS].writelines(tables.transcript_lines(prediction, file=file, duration_s=duration_s))
    # A model without labels gives embeddings: there is nothing to call the clip.
    label, score = clip_label(prediction) if prediction.labels else ("", None)
    clip = tables.clip_line(file=file, model=model, duration_s=duration_s, label=label, score=score)
    texts[CLIPS].write(clip)


def _sentence(error: Exception, found: Found) -> str:
    if isinstance(error, OtoscopeError):
        return str(error)
    return (
        f"{display_name(found.file)} could not be analysed because of a fault in Otoscope "
        f"({type(error).__name__}): please report it."
    )


def _facts(found: Found, sha256: str | None, decoded: Decoded | None, error: str | None) -> FileFacts:
    if decoded is None:
        return FileFacts(found.file, sha256, error=error)
    clip = decoded.clip
    return FileFacts(found.file, sha256, clip.digest, clip.sr, clip.source, decoded.notes, clip.history, error)


def clip_provenance(
    decoded: Decoded, model_id: str | None, parameters: Mapping[str, str | float | bool | None]
) -> dict[str, Any]:
    """How the numbers of one clip were made, as in provenance.json.

    Without the hash of the file's bytes, as a page has only its samples; the two times are now. `model_id` is None
    where no model took part.
    """
    now = datetime.now(UTC)
    clip = decoded.clip
    return provenance(
        app_version=app_version(),
        card=registry.card(model_id) if model_id else None,
        weights_sha256=registry.weights_digest(model_id) if model_id else None,
        parameters=parameters,
        files=[FileFacts(clip.name, None, clip.digest, clip.sr, clip.source, decoded.notes, clip.history)],
        started=now,
        finished=now,
    )
