"""Predictions as CSV text: UTF-8, comma, one header line, a decimal point, seconds.

A text cell that begins with = + - @, a tab or a line break would be run as a formula by a spreadsheet, and file
names come from strangers. Such a cell gets an apostrophe in front; take that one character off to get the name
back. Numbers are written as they are.

All functions give lines of text with their line ends, in pieces, so that a long recording's table need not be in
memory at once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from components.types import Prediction, Segment

PREDICTION_COLUMNS = ("file", "model", "start_s", "end_s", "label", "score")
CLIP_COLUMNS = ("file", "model", "duration_s", "label", "score", "error")
EVENT_COLUMNS = ("start_s", "end_s", "label", "score")
FILE_EVENT_COLUMNS = ("file", "model", *EVENT_COLUMNS)
TRANSCRIPT_COLUMNS = ("file", "model", "start_s", "end_s", "text", "score")

MANY_LABELS = 50
BEST = 10
"""Of models with more than MANY_LABELS labels, the best so many of each frame are written."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_CHUNK_FRAMES = 4096


def harmless(text: str) -> str:
    """The text, with an apostrophe in front if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def line(*cells: str | float | None) -> str:
    """One line: text made harmless and quoted where needed, numbers to 6 digits, None as an empty cell."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(
        harmless(cell) if isinstance(cell, str) else "" if cell is None else f"{cell:.6g}" for cell in cells
    )
    # The writer quotes only those line breaks that it writes itself, so it writes both.
    return out.getvalue()[:-2] + "\n"


def table(columns: Sequence[str], lines: Iterable[str]) -> bytes:
    """A whole file: the header and the lines."""
    return (line(*columns) + "".join(lines)).encode()


def prediction_lines(
    prediction: Prediction, *, file: str, duration_s: float, all_labels: bool = False
) -> Iterator[str]:
    """One line per frame and label (PREDICTION_COLUMNS), frames in order, in pieces of some thousand frames.

    A frame stands from its centre - hop / 2 to its centre + hop / 2, clamped to the clip, 0 to `duration_s`.
    Of more than MANY_LABELS labels only the BEST of each frame are written, the best first, unless `all_labels`.
    """
    head = line(file, prediction.model)[:-1]
    labels = [line(label)[:-1] for label in prediction.labels]
    best_only = len(labels) > MANY_LABELS and not all_labels
    half = prediction.hop_s / 2
    every = range(len(labels))
    for first in range(0, prediction.times.size, _CHUNK_FRAMES):
        frames = slice(first, first + _CHUNK_FRAMES)
        times, scores = prediction.times[frames], prediction.scores[frames]
        starts = np.clip(times - half, 0.0, duration_s).tolist()
        ends = np.clip(times + half, 0.0, duration_s).tolist()
        chosen = np.argsort(-scores, axis=1, kind="stable")[:, :BEST].tolist() if best_only else [every] * len(starts)
        piece = []
        for start, end, row, columns in zip(starts, ends, scores.tolist(), chosen, strict=True):
            frame = f"{head},{start:.6f},{end:.6f}"
            piece += [f"{frame},{labels[k]},{row[k]:.6g}\n" for k in columns]
        yield "".join(piece)


def clip_line(
    *,
    file: str,
    model: str,
    duration_s: float | None = None,
    label: str = "",
    score: float | None = None,
    error: str = "",
) -> str:
    """One line per recording (CLIP_COLUMNS): what it is as a whole, or the sentence that says why not."""
    duration = "" if duration_s is None else f"{duration_s:.6f}"
    return line(file, model, duration, label, score, error)


def event_lines(events: Iterable[Segment], *, file: str | None = None, model: str | None = None) -> Iterator[str]:
    """One line per event: EVENT_COLUMNS, or FILE_EVENT_COLUMNS where file and model are given."""
    for event in events:
        times = f"{event.start:.6f}", f"{event.end:.6f}"
        names = () if file is None or model is None else (file, model)
        yield line(*names, *times, event.label, event.score)


def transcript_lines(prediction: Prediction, *, file: str, duration_s: float) -> Iterator[str]:
    """What was said (TRANSCRIPT_COLUMNS): one line per word, or per sentence, as the model times them.

    A transcript that comes without times is one line for the whole recording; without a transcript there is none.
    """
    if prediction.text is None:
        return
    if prediction.text.strip() and not prediction.segments:
        yield line(file, prediction.model, f"{0:.6f}", f"{duration_s:.6f}", prediction.text.strip(), None)
    for word in prediction.segments:
        yield line(file, prediction.model, f"{word.start:.6f}", f"{word.end:.6f}", word.label, word.score)
