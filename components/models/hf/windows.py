"""Long recordings in overlapping windows of feature frames, at constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.models.base import OnProgress

Array = npt.NDArray[Any]

OWN_S = 17.4
"""Seconds that a window answers for. Longer ones cost more attention, shorter ones more overlap."""
CONTEXT_S = 1.3
"""Seconds that it hears on each side besides: just more than the reach of the position convolution (1.28 s)."""

CLASSIFIER_HOP_S = 0.5
"""Seconds from one score of a speech classifier to the next."""


@dataclass(frozen=True)
class Window:
    """A stretch of frames: `x` of shape (n, D), of which frames before..before + count are its own.

    `start` is the index of x's first frame in the whole recording.
    """

    x: Array
    start: int
    before: int
    count: int


def windows(blocks: Iterator[Array], own: int, context: int) -> Iterator[Window]:
    """Cut consecutive blocks of frames, (n, D) each, into windows that overlap by their contexts.

    Each window holds `own` frames of its own and up to `context` on either side; at the ends of the recording there
    is no context. Together their own frames are all frames, once. A recording of up to own + context frames is one
    window. At most one window and one block are held.
    """
    held: list[Array] = []
    size = start = before = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        while size > before + own + context:
            x = np.concatenate(held)
            yield Window(x[: before + own + context], start, before, own)
            cut = max(0, before + own - context)
            held, size, start = [x[cut:]], size - cut, start + cut
            before = before + own - cut
    if size > before:
        yield Window(np.concatenate(held), start, before, size - before)


def shares(on_progress: OnProgress | None, *weights: float) -> list[Callable[[float], None]]:
    """One report for each part of the work, which add up: a part's share (0 to 1) counts with its weight.

    The whole is told after each report and never falls. The last part's 1.0 says that all is done.
    """
    done = [0.0] * len(weights)
    total = sum(weights)

    def part(index: int) -> Callable[[float], None]:
        def report(share: float) -> None:
            done[index] = max(done[index], min(share, 1.0))
            finished = index == len(weights) - 1 and share >= 1.0
            if on_progress:
                on_progress(1.0 if finished else sum(map(float.__mul__, done, map(float, weights))) / total)

        return report

    return [part(index) for index in range(len(weights))]
