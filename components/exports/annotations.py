"""Stretches and points for annotation programs: Praat TextGrid, ELAN, Audacity labels, and a table.

In all but Audacity's format the stretches of one tier must not overlap: those that do go into further tiers, named
"name (2)", "name (3)" ... Nothing in a file says who made it or where.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from components.errors import ParameterError
from components.exports import tables
from components.types import Measure, Segment, Selection, Tier

TOUCHING_S = 1e-6
"""Less than this is rounding, not an overlap and not a duration [s]."""

SELECTION_COLUMNS = ("label", "start_s", "end_s", "low_hz", "high_hz")

_MEDIA_TYPES = {
    "wav": "audio/x-wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "m4a": "audio/mp4", "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm",
    "aif": "audio/x-aiff", "aiff": "audio/x-aiff",
}  # fmt: skip
# What neither XML nor a line of text may hold: control characters other than tab and line break, halves of
# surrogate pairs, the two non-characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Kept:
    """A selection that the user kept.

    Attributes
    ----------
    label : the user's word for it
    selection : where it is
    measures : what was measured over it
    """

    label: str
    selection: Selection
    measures: tuple[Measure, ...] = ()


def kept_tier(name: str, rows: Iterable[Kept]) -> Tier:
    """Kept selections as a tier, in order of their start; their scores are NaN."""
    segments = [Segment(row.selection.start, row.selection.end, row.label, math.nan) for row in rows]
    return Tier(name, tuple(sorted(segments, key=lambda s: (s.start, s.end))))


def lanes(segments: Iterable[Segment]) -> list[list[Segment]]:
    """The segments in as few rows as it takes for none to overlap another, each row in order of time.

    Segments that share less than `TOUCHING_S` only touch.
    """
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.start, s.end)):
        row = next((row for row in rows if _follows(segment, row[-1])), None)
        if row is None:
            row = []
            rows.append(row)
        row.append(segment)
    return rows


def _follows(segment: Segment, last: Segment) -> bool:
    # Two points at one moment do not overlap in time, but no program keeps both in a tier.
    return last.end <= segment.start + TOUCHING_S and segment.end - last.start >= TOUCHING_S


def textgrid(tiers: Sequence[Tier], duration: float) -> bytes:
    """A Praat TextGrid, long text format, UTF-8.

    Stretches become interval tiers with the gaps filled by empty intervals, points (stretches of no duration) point
    tiers; a tier that has both becomes two. White space around labels is not kept, times below 0.1 ms become 0.

    Parameters
    ----------
    tiers : what to write; a stretch that ends after the recording is cut to it
    duration : of the recording [s]

    Raises
    ------
    ParameterError : there is no tier, or a stretch begins after the end of the recording

    Source: Praat's manual, "TextGrid file formats"; written by praatio.
    """
    from praatio.utilities.textgrid_io import getTextgridAsStr

    names = _Names()
    made = []
    for tier in _checked(tiers, duration):
        points = [s for s in tier.segments if s.end - s.start < TOUCHING_S]
        stretches = [s for s in tier.segments if s.end - s.start >= TOUCHING_S]
        if stretches or not points:
            made += [
                _praat_tier("IntervalTier", names.new(tier.name), _intervals(row, duration), duration)
                for row in lanes(stretches) or [[]]
            ]
        for row in lanes(points):
            entries = [(_praat_time(min(s.start, duration)), _clean(s.label).strip()) for s in row]
            name = f"{tier.name} (points)" if stretches else tier.name
            made.append(_praat_tier("TextTier", names.new(name), entries, duration))
    text: str = getTextgridAsStr({"xmin": 0.0, "xmax": duration, "tiers": made}, "long_textgrid", True)
    return text.encode()


def elan(tiers: Sequence[Tier], duration: float, media_name: str, *, made: datetime | None = None) -> bytes:
    """An ELAN annotation document (.eaf) that expects its recording in the same folder.

    ELAN's clock ticks in milliseconds: times are rounded to them, and what is shorter, points too, lasts one.

    Parameters
    ----------
    tiers : what to write; a stretch that ends after the recording is cut to it
    duration : of the recording [s]
    media_name : name of the recording's file; path parts are taken off
    made : with time zone, the date that the file must state; None for 1970-01-01, so that equal tiers give equal files

    Raises
    ------
    ParameterError : there is no tier, or a stretch begins after the end of the recording

    Source: "EAF Annotation Format", version 2.8; written by pympi-ling.
    """
    from pympi import Eaf
    from pympi.Elan import to_string

    eaf = Eaf(author="")
    eaf.adocument["DATE"] = (made or datetime.fromtimestamp(0, UTC)).astimezone(UTC).isoformat(timespec="seconds")
    eaf.remove_tier("default")
    media = _clean(PurePosixPath(media_name.replace("\\", "/")).name)
    mime = _MEDIA_TYPES.get(media.rpartition(".")[2].lower(), "unknown")
    eaf.add_linked_file(f"./{media}", relpath=f"./{media}", mimetype=mime)
    names = _Names()
    for tier in _checked(tiers, duration):
        rounded = [_in_ms(segment, duration) for segment in tier.segments]
        for row in lanes(rounded) or [[]]:
            name = names.new(tier.name)
            eaf.add_tier(name)
            for s in row:
                eaf.add_annotation(name, round(s.start), round(s.end), _clean(s.label))
    # ELAN wants its time slots in order of time, pympi numbers them in the order of the annotations.
    order = sorted(eaf.timeslots, key=lambda slot: (eaf.timeslots[slot], int(slot[2:])))
    new = {slot: f"ts{n}" for n, slot in enumerate(order, 1)}
    eaf.timeslots = {new[slot]: eaf.timeslots[slot] for slot in order}
    for aligned, *_ in eaf.tiers.values():
        for key, (start, end, value, svg) in aligned.items():
            aligned[key] = (new[start], new[end], value, svg)
    document: bytes = to_string(eaf, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + document


def audacity(tiers: Sequence[Tier], kept: Iterable[Kept] = ()) -> bytes:
    """An Audacity label track: a line "start, end, label" for each stretch, with tabs between, in order of start.

    Kept selections with a band have a second line that begins with a backslash, with their frequencies, as Audacity
    has for its spectral selections. A label track is one row: where there are several tiers, the tier's name stands
    before the label. Tabs and line breaks in labels become spaces.

    Raises
    ------
    ParameterError : there is neither a tier nor a selection

    Source: Audacity's manual, "Importing and Exporting Labels".
    """
    rows = list(kept)
    if not tiers and not rows:
        raise ParameterError("There is nothing to save: mark a stretch first.")
    several = len(tiers) > 1
    marks: list[tuple[float, float, str, Selection | None]] = [
        (s.start, s.end, f"{tier.name}: {s.label}" if several else s.label, None)
        for tier in tiers
        for s in tier.segments
    ]
    marks += [(row.selection.start, row.selection.end, row.label, row.selection) for row in rows]
    lines = []
    for start, end, label, selection in sorted(marks, key=lambda mark: mark[:2]):
        lines.append(f"{start:.6f}\t{end:.6f}\t{' '.join(_clean(label).split())}\n")
        if selection is not None and selection.low is not None:
            lines.append(f"\\\t{selection.low:.6f}\t{selection.high:.6f}\n")
    return "".join(lines).encode()


def selections_csv(rows: Sequence[Kept]) -> bytes:
    """A table with one row a selection: SELECTION_COLUMNS, then a column for each measure's name.

    Columns come in the order in which the measures are first met; a measure that a row lacks, or whose value is not
    defined, is an empty cell.
    """
    names = list(dict.fromkeys(measure.name for row in rows for measure in row.measures))
    return tables.table([*SELECTION_COLUMNS, *names], (_selection_line(row, names) for row in rows))


def _selection_line(row: Kept, names: Sequence[str]) -> str:
    values = {measure.name: measure.value for measure in row.measures}
    numbers = [values.get(name, math.nan) for name in names]
    where = row.selection
    times = f"{where.start:.6f}", f"{where.end:.6f}"
    return tables.line(
        _clean(row.label), *times, where.low, where.high, *(v if math.isfinite(v) else None for v in numbers)
    )


class _Names:
    """Gives every tier a name of its own."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def new(self, name: str) -> str:
        plain = " ".join(_clean(name).split()) or "unnamed"
        name, count = plain, 1
        while name in self.taken:
            count += 1
            name = f"{plain} ({count})"
        self.taken.add(name)
        return name


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def _checked(tiers: Sequence[Tier], duration: float) -> Sequence[Tier]:
    if not tiers:
        raise ParameterError("There is nothing to save: mark a stretch first.")
    for tier in tiers:
        for s in tier.segments:
            if not (math.isfinite(s.end) and -TOUCHING_S < s.start < duration + TOUCHING_S):
                raise ParameterError(
                    f"“{s.label}” of {tier.name}, from {s.start:g} to {s.end:g} s, lies outside the recording of "
                    f"{duration:g} s: remove it and save again."
                )
    return tiers


def _intervals(row: Sequence[Segment], duration: float) -> list[tuple[float, float, str]]:
    """The row's stretches, cut to the recording, with no overlap left by rounding."""
    entries: list[tuple[float, float, str]] = []
    at = 0.0
    for s in row:
        start, end = max(at, _praat_time(s.start)), _praat_time(min(duration, s.end))
        if end > start:
            entries.append((start, end, _clean(s.label).strip()))
            at = end
    return entries


def _praat_time(seconds: float) -> float:
    """A moment that all readers understand: praatio does not read numbers like 5e-05, so these become 0."""
    return float(seconds) if seconds >= 1e-4 else 0.0


def _praat_tier(kind: str, name: str, entries: Sequence[tuple[object, ...]], duration: float) -> dict[str, object]:
    return {"class": kind, "name": name, "xmin": 0.0, "xmax": duration, "entries": entries}


def _in_ms(s: Segment, duration: float) -> Segment:
    """The segment on ELAN's clock, at least a tick long and inside the recording [ms]."""
    last = max(1, round(duration * 1000))
    start = min(max(0, round(s.start * 1000)), last - 1)
    return Segment(start, max(start + 1, min(last, round(s.end * 1000))), s.label, s.score)
