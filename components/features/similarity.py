"""What sounds alike: moments compared by the numbers that a model has for them.

Two moments are compared by the cosine of the angle between their numbers, after the mean of all moments has been
taken away from both: a network's numbers share a large common part, and without it every moment would be like every
other. 1 is the same, 0 has nothing in common beyond the average, -1 is opposite. A similarity is therefore relative
to what it was compared among: it cannot be held against one from another clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError
from components.types import FloatArray, Times

MOST = 400
"""Rows and columns of a similarity matrix: more than a screen shows, little enough for a browser."""
SAME = 1e-5
"""Moments nearer to the mean than this share of its size hold nothing but rounding."""


@dataclass(frozen=True)
class Similarity:
    """Every moment of a clip against every other, or against those in view.

    Attributes
    ----------
    values : cosine, shape (n_rows, n_columns), -1 to 1
    row_times, column_times : centres [s], shape (n_rows,), (n_columns,)
    """

    values: FloatArray
    row_times: Times
    column_times: Times


@dataclass(frozen=True)
class Moment:
    """A moment that is like another: centre [s], similarity (-1 to 1), the clip's key where there are several."""

    time: float
    similarity: float
    clip: str = ""


def self_similarity(
    values: npt.ArrayLike, times: Times, *, view: tuple[float, float] | None = None, most: int = MOST
) -> Similarity:
    """How alike a clip's moments are.

    Parameters
    ----------
    values : shape (n_frames, n_units)
    times : centres in order, shape (n_frames,) [s]
    view : range [s] whose moments are the columns; None for all, and a symmetric matrix
    most : rows and columns at most; where there are more frames, neighbours are averaged before they are compared

    Raises
    ------
    ParameterError : when values is not a table of finite numbers with a row for each time
    """
    frames = _centred(_table(values, times))
    seen = slice(None) if view is None else _in_view(times, view)
    rows, row_times = _pooled(frames, times, most)
    columns, column_times = _pooled(frames[seen], times[seen], most)
    return Similarity(_cosine(rows, columns), row_times, column_times)


def nearest_moments(
    values: npt.ArrayLike, times: Times, index: int, count: int = 8, apart_s: float = 1.0
) -> tuple[Moment, ...]:
    """The moments most like frame `index`, the most alike first, at least `apart_s` [s] from it and each other.

    Neighbours have heard nearly the same sound, so without that distance a moment's nearest are its neighbours.

    Raises
    ------
    ParameterError : as `self_similarity`; or no such frame
    """
    frames = _table(values, times)
    if not 0 <= index < len(frames):
        raise ParameterError(f"There is no frame {index} among {len(frames)}.")
    frames = _centred(frames)
    alike = _cosine(frames[index : index + 1], frames)[0]
    alike[np.abs(times - times[index]) < apart_s - 1e-6] = -np.inf
    return _best(alike, times, count, apart_s)


def nearest_across(
    query: npt.ArrayLike,
    clips: Mapping[str, tuple[npt.ArrayLike, Times]],
    count: int = 8,
    *,
    own: npt.ArrayLike | None = None,
    apart_s: float = 1.0,
) -> tuple[Moment, ...]:
    """The moments of other clips most like a query, the most alike first.

    Parameters
    ----------
    query : one frame, shape (n_units,)
    clips : values (n_frames, n_units) and times (n_frames,) [s] of each clip, by its key
    count : how many moments in all
    own : values of the clip that the query is from, which count for the mean
    apart_s : moments of one clip are at least this far apart [s]

    What is taken away is the mean of the clips' means (the query's own clip among them): a long clip counts no more
    than a short one.

    Raises
    ------
    ParameterError : as `self_similarity`
    """
    tables = {name: _table(values, times) for name, (values, times) in clips.items()}
    if not tables:
        return ()
    means = [table.mean(axis=0) for table in tables.values()]
    if own is not None:
        means.append(np.asarray(own, np.float64).mean(axis=0))
    mean = np.mean(means, axis=0)
    asked = _centred(np.asarray(query, np.float64)[None], mean)
    found: list[Moment] = []
    for name, table in tables.items():
        alike = _cosine(asked, _centred(table, mean))[0]
        found += [Moment(m.time, m.similarity, name) for m in _best(alike, clips[name][1], count, apart_s)]
    return tuple(sorted(found, key=lambda moment: -moment.similarity)[:count])


Table = npt.NDArray[np.float64]


def _table(values: npt.ArrayLike, times: Times) -> Table:
    table: Table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all() or len(table) != len(times):
        raise ParameterError("Only a table of finite numbers, one row for each moment, can be compared.")
    return table


def _centred(table: Table, mean: Table | None = None) -> Table:
    """The rows without their mean, or the mean given; rows that are the mean but for rounding are zero."""
    middle = table.mean(axis=0) if mean is None else mean
    rest: Table = table - middle
    rest[np.linalg.norm(rest, axis=1) <= SAME * np.linalg.norm(middle)] = 0.0
    return rest


def _cosine(rows: Table, columns: Table) -> FloatArray:
    """Cosine of each row with each column's vector; zero vectors are alike, and like nothing else."""
    sizes = np.linalg.norm(rows, axis=1), np.linalg.norm(columns, axis=1)
    units = [table / np.where(size > 0, size, 1.0)[:, None] for table, size in zip((rows, columns), sizes, strict=True)]
    alike = np.clip(units[0] @ units[1].T, -1.0, 1.0).astype(np.float32)
    alike[np.ix_(sizes[0] == 0, sizes[1] == 0)] = 1.0
    return alike


def _pooled(frames: Table, times: Times, most: int) -> tuple[Table, Times]:
    """Means of groups of neighbours, and their mean times, so that there are at most `most`."""
    group = -(-len(frames) // most)
    starts = np.arange(0, len(frames), group)
    counts = np.diff(np.append(starts, len(frames)))
    return np.add.reduceat(frames, starts, axis=0) / counts[:, None], np.add.reduceat(times, starts) / counts


def _in_view(times: Times, view: tuple[float, float]) -> slice:
    """The frames in the view and one to each side; at least one."""
    first = max(0, int(np.searchsorted(times, view[0])) - 1)
    stop = int(np.searchsorted(times, view[1], "right")) + 1
    return slice(min(first, len(times) - 1), max(stop, first + 1))


def _best(alike: FloatArray, times: Times, count: int, apart_s: float) -> tuple[Moment, ...]:
    """The `count` highest of `alike`, each at least apart_s from the ones before; -inf is never chosen."""
    rest = alike.copy()
    chosen: list[Moment] = []
    while len(chosen) < count and np.isfinite(rest).any():
        i = int(rest.argmax())
        chosen.append(Moment(float(times[i]), float(alike[i])))
        rest[np.abs(times - times[i]) < apart_s - 1e-6] = -np.inf
    return tuple(chosen)
