"""The session file: all that it takes to open the same screen again, in one zip.

"name.otoscope.zip" holds `session.json` (UTF-8) and, where the user wants it, the recording's own file under
`audio/`. The JSON has plain values only; NaN, which JSON lacks, is null in measures. Nothing in it says who made it or
where, and equal sessions give equal files.

A session file may come from a stranger: every size, name and type is checked before it is used, nothing is run, and
nothing is written but the one file that the caller names.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias

from components.errors import DecodeError, ParameterError
from components.exports.annotations import Kept
from components.types import Measure, Selection
from components.units import format_bytes

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

VERSION = 1
SUFFIX = ".otoscope.zip"
MEMBER = "session.json"
AUDIO_FOLDER = "audio/"
MAX_JSON = 8_000_000
"""Bytes of `session.json`: more than a thousand selections with thirty measures each."""
MAX_AUDIO = 4_000_000_000
"""Bytes of the recording in it, below the size from which a zip file needs its 64-bit form."""

_MAX_MEMBERS = 32
_MAX_DIRECTORY = 1 << 16
_MAX_RATIO = 200
"""A recording does not shrink more than this; a file made to fill the disk does."""
_BLOCK = 1 << 20
_END_OF_ZIP = struct.Struct("<4s4H2LH")
_WHEN = (1980, 1, 1, 0, 0, 0)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_NOT_ONE = "This is not a session file: choose one that Otoscope saved, its name ends with .otoscope.zip."
_DAMAGED = "This session file is damaged ({}): save it again or ask its sender for it once more."


@dataclass(frozen=True)
class ClipFacts:
    """Which recording the session is about.

    Attributes
    ----------
    name : as shown to the user
    digest : of the decoded samples and their rate (`Clip.digest`): the recording that is opened again must have it
    sha256 : of the recording's file; None where there is none (made or recorded in the browser)
    sr : of the clip [Hz]
    duration : [s]
    history : what was done to it since it was decoded, finished sentences
    """

    name: str
    digest: str
    sha256: str | None
    sr: int
    duration: float
    history: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """What a screen is made of.

    Attributes
    ----------
    app_version : of the Otoscope that saved it
    clip : the recording
    settings : name to plain value, whatever the pages keep
    panes : the views in order from the top, each with its settings
    view : visible range [s]; None for all of it
    selections : what the user kept
    provenance : how the numbers were made (`provenance.provenance`), plain values
    """

    app_version: str
    clip: ClipFacts
    settings: Mapping[str, JSON]
    panes: tuple[Mapping[str, JSON], ...] = ()
    view: tuple[float, float] | None = None
    selections: tuple[Kept, ...] = ()
    provenance: Mapping[str, JSON] | None = None


@dataclass(frozen=True)
class SessionAudio:
    """The recording inside a session file: its name (one plain file name) and its size [bytes]."""

    name: str
    size: int
    _source: Path | bytes
    _member: str

    def copy_to(self, path: Path) -> None:
        """Write the recording to `path`, in blocks; what cannot be read to its end is removed.

        Raises
        ------
        DecodeError : it is damaged, or it is not as long as it says
        """
        try:
            with _opened(self._source) as archive, archive.open(self._member) as inside, path.open("wb") as out:
                left = self.size
                while block := inside.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise DecodeError(_DAMAGED.format("its recording is longer than it says"))
                    out.write(block)
            if left:
                raise DecodeError(_DAMAGED.format("its recording is shorter than it says"))
        except OSError:
            path.unlink(missing_ok=True)
            raise DecodeError(
                "The recording in this session file needs more room than the disk has left: free some space and open "
                "it again."
            ) from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def safe_name(name: str, otherwise: str = "recording") -> str:
    """The name without path parts and without what any file system refuses, at most 120 characters."""
    plain = _UNSAFE.sub("_", PurePosixPath(name.replace("\\", "/")).name).strip(" .")
    stem, dot, ending = plain.rpartition(".")
    if dot and len(ending) <= 12:
        plain = stem[: 119 - len(ending)].strip(" .") + dot + ending
    plain = plain[:120].strip(" .") or otherwise
    return f"_{plain}" if _RESERVED.match(plain) else plain


def session_name(clip_name: str) -> str:
    """Name of the session file of a clip: "interview.otoscope.zip"."""
    plain = safe_name(clip_name, "session")
    stem = plain.rpartition(".")[0] or plain
    return stem + SUFFIX


def session_bytes(session: Session, audio: tuple[str, Path | bytes] | None = None) -> bytes:
    """The session file in memory; see `write_session`."""
    out = io.BytesIO()
    _write(session, out, audio)
    return out.getvalue()


def write_session(session: Session, path: Path, audio: tuple[str, Path | bytes] | None = None) -> None:
    """Write the session file, at constant memory. A file that cannot be finished is removed.

    Parameters
    ----------
    path : an existing file is replaced
    audio : name and content of the recording's own file, to be stored as it is; None leaves it out

    Raises
    ------
    ParameterError : a setting is no plain finite value, there are too many, or the recording is larger than MAX_AUDIO
    """
    try:
        with path.open("wb") as out:
            _write(session, out, audio)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read_session(source: Path | bytes, *, max_bytes: int = 1_000_000_000) -> tuple[Session, SessionAudio | None]:
    """Open a session file: what it says, and its recording, if it brought it, to be copied out.

    Whoever opens the recording compares its digest with `session.clip.digest`.

    Parameters
    ----------
    source : the file, which must stay where it is until the recording is copied out, or its bytes
    max_bytes : largest file, and largest recording in it

    Raises
    ------
    DecodeError : not a session file, damaged, too large, made by a newer Otoscope; one sentence says which
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > max_bytes + MAX_JSON:
        raise DecodeError(
            f"This file of {format_bytes(size)} is too large: session files may have {format_bytes(max_bytes)}."
        )
    with _opened(source) as archive:
        members = [info for info in archive.infolist() if not info.filename.endswith("/")]
        names = [info.filename for info in members]
        if MEMBER not in names or len(set(names)) < len(names):
            raise DecodeError(_NOT_ONE)
        for info in members:
            _check_member(info, max_bytes if info.filename != MEMBER else MAX_JSON)
        sounds = [info for info in members if info.filename.startswith(AUDIO_FOLDER)]
        if len(sounds) > 1:
            raise DecodeError(_DAMAGED.format("it holds more than one recording"))
        with archive.open(MEMBER) as inside:
            session = _parse(inside.read(MAX_JSON + 1))
    if not sounds:
        return session, None
    return session, SessionAudio(_audio_name(sounds[0].filename), sounds[0].file_size, source, sounds[0].filename)


def _write(session: Session, out: IO[bytes], audio: tuple[str, Path | bytes] | None) -> None:
    text = _as_json(session)
    with zipfile.ZipFile(out, "w") as archive:
        _add(archive, MEMBER, text, zipfile.ZIP_DEFLATED)
        if audio is not None:
            # Recordings are compressed already, or shrink little: stored, they cost no time.
            _add(archive, AUDIO_FOLDER + safe_name(audio[0]), audio[1], zipfile.ZIP_STORED)


def _add(archive: zipfile.ZipFile, name: str, content: Path | bytes, compression: int) -> None:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size > MAX_AUDIO:
        raise ParameterError(
            f"A recording of {format_bytes(size)} does not fit into a session file: save the session without it."
        )
    info = zipfile.ZipInfo(name, _WHEN)
    info.compress_type = compression
    info.create_system = 3  # the same on every system; Unix, so that the name is not changed
    info.external_attr = 0o600 << 16
    info.file_size = size
    with archive.open(info, "w") as inside, _stream(content) as stream:
        shutil.copyfileobj(stream, inside, _BLOCK)


def _stream(content: Path | bytes) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _as_json(session: Session) -> bytes:
    record = {
        "format": "otoscope session",
        "version": VERSION,
        "app_version": session.app_version,
        "clip": asdict(session.clip),
        "settings": session.settings,
        "panes": session.panes,
        "view": session.view,
        "selections": [_kept_record(kept) for kept in session.selections],
        "provenance": session.provenance,
    }
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1, default=_mapping)
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"A setting cannot be saved ({error}): set it to a plain finite value.") from None
    data = text.encode(errors="replace")  # halves of surrogate pairs, from a file system that is not UTF-8
    if len(data) > MAX_JSON:
        raise ParameterError("There are too many selections for a session file: save them as a table.")
    return data


def _mapping(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__}")


def _kept_record(kept: Kept) -> dict[str, Any]:
    measures = [asdict(m) | {"value": m.value if math.isfinite(m.value) else None} for m in kept.measures]
    return {"label": kept.label, **asdict(kept.selection), "measures": measures}


@contextmanager
def _opened(source: Path | bytes) -> Iterator[zipfile.ZipFile]:
    """The archive, once it is certain that its directory is small; errors of zipfile as sentences."""
    try:
        with _stream(source) as stream:
            _check_end(stream)
            with zipfile.ZipFile(stream) as archive:
                yield archive
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError) as error:
        raise DecodeError(_DAMAGED.format("it cannot be unpacked")) from error


def _check_end(stream: IO[bytes]) -> None:
    """Refuse what is not a plain small zip before zipfile reads its directory, which may be made to fill the memory."""
    size = stream.seek(0, io.SEEK_END)
    if size < _END_OF_ZIP.size:
        raise DecodeError(_NOT_ONE)
    stream.seek(size - _END_OF_ZIP.size)
    mark, *_, entries, directory, _start, comment = _END_OF_ZIP.unpack(stream.read(_END_OF_ZIP.size))
    if mark != b"PK\x05\x06" or comment:
        raise DecodeError(_NOT_ONE)
    stream.seek(max(0, size - _END_OF_ZIP.size - 20))
    has_64_bit_form = stream.read(4) == b"PK\x06\x07"
    if entries > _MAX_MEMBERS or directory > _MAX_DIRECTORY or has_64_bit_form:
        raise DecodeError(_NOT_ONE)
    stream.seek(0)


def _check_member(info: zipfile.ZipInfo, max_bytes: int) -> None:
    name = info.filename
    if info.flag_bits & 1:
        raise DecodeError("This session file is locked with a password: unlock it first.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DecodeError(_DAMAGED.format("it is packed in an unusual way"))
    if name.startswith("/") or "\\" in info.orig_filename or ".." in name.split("/"):
        raise DecodeError(_DAMAGED.format("a name in it points to another folder"))
    if info.file_size > max_bytes:
        raise DecodeError(
            f"This session file holds {format_bytes(info.file_size)} where {format_bytes(max_bytes)} are the limit: "
            "save it without the recording."
        )
    if info.file_size > _BLOCK + _MAX_RATIO * info.compress_size:
        raise DecodeError(_DAMAGED.format("its content does not have the size of a recording"))


def _audio_name(member: str) -> str:
    name = member.removeprefix(AUDIO_FOLDER)
    if not name or name != safe_name(name):
        raise DecodeError(_DAMAGED.format("the name of its recording is no plain file name"))
    return name


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def _parse(data: bytes) -> Session:
    try:
        record = json.loads(data.decode("utf-8"), parse_constant=_finite, parse_float=_finite)
        # Halves of surrogate pairs may stand in JSON as \ud800 and could be shown or saved nowhere.
        json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DecodeError(_DAMAGED.format("its settings cannot be read")) from error
    try:
        return _session(record)
    except _Unfit as error:
        raise DecodeError(_DAMAGED.format(str(error))) from None


class _Unfit(Exception):
    """A value of the wrong type, inside `_parse` only."""


def _session(record: Any) -> Session:
    top = _dict(record, "its settings")
    if top.get("format") != "otoscope session":
        raise DecodeError(_NOT_ONE)
    version = _count(top.get("version"), "its version")
    if version > VERSION:
        raise DecodeError(f"This session was saved by a newer Otoscope ({top.get('app_version')}): update this one.")
    clip = _dict(top.get("clip"), "the clip")
    view = top.get("view")
    return Session(
        app_version=_text(top.get("app_version"), "the app's version"),
        clip=ClipFacts(
            name=_text(clip.get("name"), "the clip's name"),
            digest=_text(clip.get("digest"), "the clip's digest"),
            sha256=None if clip.get("sha256") is None else _text(clip["sha256"], "the file's digest"),
            sr=_count(clip.get("sr"), "the sampling rate"),
            duration=_number(clip.get("duration"), "the duration"),
            history=tuple(_text(step, "the history") for step in _list(clip.get("history"), "the history")),
        ),
        settings=_dict(top.get("settings"), "the settings"),
        panes=tuple(_dict(pane, "a pane") for pane in _list(top.get("panes"), "the panes")),
        view=None if view is None else _range(view),
        selections=tuple(_kept(kept) for kept in _list(top.get("selections"), "the selections")),
        provenance=None if top.get("provenance") is None else _dict(top["provenance"], "the provenance"),
    )


def _kept(value: Any) -> Kept:
    record = _dict(value, "a selection")
    band = [None if record.get(k) is None else _number(record[k], "a selection") for k in ("low", "high")]
    start, end = (_number(record.get(k), "a selection") for k in ("start", "end"))
    try:
        selection = Selection(start, end, *band)
    except ParameterError as error:
        raise _Unfit("a selection is empty") from error
    measures = tuple(_measure(m) for m in _list(record.get("measures"), "the measures"))
    return Kept(_text(record.get("label"), "a label"), selection, measures)


def _measure(value: Any) -> Measure:
    record = _dict(value, "a measure")
    name, title, unit, meaning = (_text(record.get(k), "a measure") for k in ("name", "title", "unit", "meaning"))
    number = math.nan if record.get("value") is None else _number(record["value"], "a measure")
    return Measure(name, title, number, unit, meaning)


def _range(value: Any) -> tuple[float, float]:
    ends = [_number(end, "the visible range") for end in _list(value, "the visible range")]
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise _Unfit("the visible range is empty")
    return ends[0], ends[1]


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unfit(f"{what} cannot be read")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Unfit(f"{what} cannot be read")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _Unfit(f"{what} is no text")
    return value


def _number(value: Any, what: str) -> float:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise _Unfit(f"{what} is no number")


def _count(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _Unfit(f"{what} is no whole number above 0")
    return value
