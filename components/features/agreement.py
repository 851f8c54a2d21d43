"""Where several listeners name the same thing, and where they do not.

All of them are read on one grid of moments, as codes of shape (n_listeners, n_steps): the same number, the same label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError
from components.types import Times

Codes = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]

FINEST_S, COARSEST_S = 0.01, 0.1
MANY_STEPS = 100_000


@dataclass(frozen=True)
class Pair:
    """How far two listeners agree.

    Attributes
    ----------
    first, second : which two, as rows of the codes
    share : share of the moments at which both name the same label, 0 to 1
    kappa : Cohen's kappa; NaN where both name one and the same label throughout
    """

    first: int
    second: int
    share: float
    kappa: float


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in which not all name the same: start and end [s], what each names for most of it."""

    start: float
    end: float
    labels: tuple[str, ...]


def grid(duration: float) -> tuple[Times, float]:
    """Moments at which listeners to a clip of `duration` [s] are compared: centres (n_steps,) [s] and the step [s].

    The step is `FINEST_S`; in long recordings it grows, up to `COARSEST_S`, so that there are at most `MANY_STEPS`.
    """
    step = min(max(FINEST_S, duration / MANY_STEPS), COARSEST_S)
    n_steps = max(1, int(np.ceil(duration / step - 1e-6)))
    return (np.arange(n_steps, dtype=np.float64) + 0.5) * step, step


def encode(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], Codes]:
    """The names that occur, in order of their first occurrence row by row, and the rows as their numbers.

    Raises
    ------
    ParameterError : no row, or rows of different length
    """
    if not rows or len({len(row) for row in rows}) != 1:
        raise ParameterError("Listeners can only be compared on the same moments.")
    names: dict[str, int] = {}
    codes = [[names.setdefault(name, len(names)) for name in row] for row in rows]
    return tuple(names), np.asarray(codes, np.int32)


def together(a: npt.ArrayLike, b: npt.ArrayLike, n: int) -> Counts:
    """How many moments `a` names i while `b` names j, shape (n, n), for codes (n_steps,) below n."""
    counts = np.bincount(np.asarray(a, np.int64) * n + np.asarray(b, np.int64), minlength=n * n)
    return counts.reshape(n, n)


def cohens_kappa(counts: npt.ArrayLike) -> float:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e), of a table of `together`; 1 is perfect, 0 is chance.

    p_o is the share of moments on the diagonal, p_e what it would be if both kept their own shares of each label but
    did not heed each other. NaN where p_e is 1: both name one and the same label throughout.

    Source: J. Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    p = np.asarray(counts, np.float64)
    p = p / p.sum()
    expected = float(p.sum(axis=1) @ p.sum(axis=0))
    return float((np.trace(p) - expected) / (1 - expected)) if expected < 1 else float("nan")


def pairs(codes: Codes) -> tuple[Pair, ...]:
    """Every two of the listeners."""
    n = int(codes.max()) + 1
    found = []
    for i in range(len(codes)):
        for j in range(i + 1, len(codes)):
            counts = together(codes[i], codes[j], n)
            found.append(Pair(i, j, float(np.trace(counts) / counts.sum()), cohens_kappa(counts)))
    return tuple(found)


def of_one_mind(codes: Codes) -> npt.NDArray[np.int32]:
    """How many listeners name the label that most of them name, at each moment, shape (n_steps,)."""
    same = codes[:, None, :] == codes[None, :, :]
    most: npt.NDArray[np.int32] = same.sum(axis=0, dtype=np.int32).max(axis=0)
    return most


def disagreements(codes: Codes, names: Sequence[str], step: float, most: int = 20) -> tuple[Stretch, ...]:
    """The longest stretches in which not all name the same, the longest first, at most `most`.

    A stretch's labels are the combination that stands for most of it.
    """
    differ = (codes != codes[0]).any(axis=0)
    edges = np.flatnonzero(np.diff(differ.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    longest = edges[np.argsort(-(edges[:, 1] - edges[:, 0]), kind="stable")][:most]
    found = []
    for first, stop in longest:
        kinds, counts = np.unique(codes[:, first:stop], axis=1, return_counts=True)
        said = kinds[:, counts.argmax()]
        found.append(Stretch(float(first * step), float(stop * step), tuple(names[k] for k in said)))
    return tuple(found)


def runs(row: Codes, step: float, t0: float, t1: float, most: int = 400) -> tuple[Times, Times, Codes]:
    """One listener from t0 to t1 [s] as runs of one label: starts, stops [s] and codes, (n_runs,) each.

    Where there are more than `most` moments they are taken in groups, each the label that most of it has, so that a
    picture need not draw what is narrower than a line.
    """
    first = min(max(0, int(t0 / step)), row.size - 1)
    stop = max(first + 1, min(int(np.ceil(t1 / step)), row.size))
    part = row[first:stop]
    group = -(-part.size // most)
    n = int(part.max()) + 1
    column = np.arange(part.size) // group
    votes = np.bincount(column * n + part, minlength=(int(column[-1]) + 1) * n).reshape(-1, n)
    winners = votes.argmax(axis=1).astype(np.int32)
    begins = np.flatnonzero(np.diff(winners, prepend=-1))
    ends = np.append(begins[1:], winners.size)
    starts = np.asarray((first + begins * group) * step, np.float64)
    return starts, np.asarray(np.minimum(first + ends * group, stop) * step, np.float64), winners[begins]
