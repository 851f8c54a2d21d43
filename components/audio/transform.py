"""Streams of samples: changing a clip's rate, making blocks ahead of their use. Memory does not grow with the clip."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar, cast

import numpy as np
import soxr

from components.types import Clip, FloatArray

BLOCK_S = 10.0


def at_rate(blocks: Iterable[FloatArray], sr_in: int, sr_out: int, channels: int = 1) -> Iterator[FloatArray]:
    """Consecutive blocks brought from sr_in to sr_out [Hz]; together equal to one resampling of the whole.

    Blocks are of shape (n,), or (n, channels) where there are several. A signal shorter than one sample at the new
    rate gives its last sample.

    Source: soxr's `ResampleStream`, quality HQ, the resampler of librosa's default.
    """
    if sr_in == sr_out:
        yield from blocks
        return
    stream = soxr.ResampleStream(sr_in, sr_out, channels, dtype="float32", quality="HQ")
    block, made = np.zeros(0, np.float32), 0
    for block in blocks:
        out = stream.resample_chunk(np.ascontiguousarray(block))
        made += len(out)
        if len(out):
            yield out
    out = stream.resample_chunk(np.zeros((0, *block.shape[1:]), np.float32), last=True)
    if len(out) or not made:
        yield out if len(out) else block[-1:]


def resampled_blocks(clip: Clip, sr: int, block_s: float = BLOCK_S) -> Iterator[FloatArray]:
    """The clip at `sr` [Hz] in consecutive blocks, shape (n,) each; see `at_rate`."""
    return at_rate(clip.blocks(max(1, round(block_s * clip.sr))), clip.sr, sr)


def resample(clip: Clip, sr: int) -> FloatArray:
    """The whole clip at `sr` [Hz] in memory, shape (round(n_samples * sr / clip.sr),) give or take one sample."""
    return np.concatenate(list(resampled_blocks(clip, sr)))


T = TypeVar("T")
_END = object()


@dataclass(frozen=True)
class _Failure:
    error: BaseException


def _offer(item: object, line: Queue[object], given_up: Event) -> bool:
    """Put the item into the line as soon as there is room; False when nobody wants it any more."""
    while not given_up.is_set():
        try:
            line.put(item, timeout=0.05)
        except Full:
            continue
        return True
    return False


def _make(items: Iterator[object], line: Queue[object], given_up: Event) -> None:
    try:
        if all(_offer(item, line, given_up) for item in items):
            _offer(_END, line, given_up)
    except BaseException as error:  # raised again in `ahead`
        _offer(_Failure(error), line, given_up)


def ahead(items: Iterator[T], depth: int = 4) -> Generator[T, None, None]:
    """The same items, made up to `depth` ahead in a thread of their own.

    Decoders, numpy, hashing and writing all let go of Python's lock, so that making the items and using them take
    a core each. An error in the making is raised where the items are used. When the user of the items stops early,
    the thread has ended before this returns: nothing reads from a file that is about to be closed.
    """
    line: Queue[object] = Queue(depth)
    given_up = Event()
    worker = Thread(target=_make, args=(items, line, given_up), name="ahead", daemon=True)
    worker.start()
    try:
        while (item := line.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield cast("T", item)
    finally:
        given_up.set()
        worker.join()
