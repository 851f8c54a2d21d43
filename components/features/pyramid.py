"""Outline and spectrogram of a very long recording, computed once, so that any zoom of it comes at once.

A pyramid holds the true frames of `picture` and the true samples of `envelope`, pooled (maximum, minimum) in narrow
base columns that lie in two files of the session's private folder. Pooling commutes: the maximum of base columns is
the maximum of their frames, so a picture from a pyramid is the one that `picture` makes of the same columns. One
level is enough: a view that is narrow beside the base is computed directly in a fraction of a second, and all of a
three-hour recording is read and pooled faster than that.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from components.errors import Cancelled, OtoscopeError
from components.features.envelope import Envelope, pooled, sample_range
from components.features.picture import LOWEST_LOG_HZ, Picture, Scale, row_edges, view_params
from components.features.spectral import full_scale_power, power_blocks
from components.types import Clip, FloatArray, FrameParams
from components.units import power_to_db

WORTHWHILE_S = 600.0
"""Shorter clips are drawn directly: all of a ten-minute recording takes a fraction of a second."""
BASE_S = 1 / 8
"""Width of a base column of the spectrogram [s], rounded to whole frames."""
BASE_SAMPLES = 256
"""Samples in a base column of the outline."""
LEAST_POOLED = 4
"""Views with fewer base columns than this for each column of the screen are better computed directly."""
READ_BYTES = 1 << 24
BLOCK_SAMPLES = 1 << 17


@dataclass(frozen=True)
class Pyramid:
    """What was computed beforehand of a clip. Its files go when it does.

    Attributes
    ----------
    digest, sr, n_samples : of the clip
    params : of the frames, see `base_params`
    group : frames in a base column of the spectrogram
    n_columns : base columns of the spectrogram
    levels : file of int8 [dB], shape (n_columns, 1 + n_fft // 2)
    outline : file of float32, lowest and highest of each BASE_SAMPLES samples, shape (n, 2)
    """

    digest: str
    sr: int
    n_samples: int
    params: FrameParams
    group: int
    n_columns: int
    levels: Path
    outline: Path

    @property
    def column_s(self) -> float:
        """Width of a base column of the spectrogram [s]."""
        return self.group * self.params.hop_length / self.sr


def base_params(params: FrameParams) -> FrameParams:
    """What a pyramid depends on: the transform, with the hop that `picture` takes for long views.

    Settings that differ only in the rest share a pyramid.
    """
    plain = FrameParams(params.n_fft, params.hop_length, params.win_length, params.window)
    return view_params(plain, n_samples=1 << 62, columns=1)


def build(clip: Clip, params: FrameParams, folder: Path, on_progress: Callable[[float], None] | None = None) -> Pyramid:
    """Compute the pyramid of a clip, in blocks: constant memory.

    Parameters
    ----------
    clip, params : what to compute
    folder : a private folder for the two files
    on_progress : called with the share done, 0 to 1; what it raises stops the work and leaves no file behind

    Raises
    ------
    OtoscopeError : the disk has no room for the files
    """
    params = base_params(params)
    group = max(1, round(BASE_S * clip.sr / params.hop_length))
    paths: list[Path] = []
    try:
        with _private_file(folder, paths) as levels, _private_file(folder, paths) as outline:
            blocks = _outlined(clip, outline, on_progress)
            n_columns = 0
            for power in _base_columns(power_blocks(blocks, params), group):
                levels.write(_to_int8(power_to_db(power, full_scale_power(params))).data)
                n_columns += len(power)
    except OSError:
        _remove(paths)
        raise OtoscopeError(
            f"The overview of {clip.name} needs more room than the disk has left: free some space and open it again."
        ) from None
    except BaseException:
        _remove(paths)
        raise
    pyramid = Pyramid(clip.digest, clip.sr, clip.y.size, params, group, n_columns, *paths)
    weakref.finalize(pyramid, _remove, paths)
    return pyramid


def _private_file(folder: Path, paths: list[Path]) -> BinaryIO:
    # mkstemp: readable by this user alone, a name that nobody can guess.
    handle, path = tempfile.mkstemp(prefix="pyramid-", dir=folder)
    paths.append(Path(path))
    return os.fdopen(handle, "wb")


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _to_int8(level: FloatArray) -> npt.NDArray[np.int8]:
    """Decibels as in a `Picture`."""
    return np.rint(level).clip(-128, 127).astype(np.int8)


def _outlined(clip: Clip, file: BinaryIO, on_progress: Callable[[float], None] | None) -> Iterator[FloatArray]:
    """The clip's blocks, with the extremes of each one's columns written on the way."""
    done = 0
    for block in clip.blocks(BLOCK_SAMPLES):
        file.write(np.column_stack([pooled(block, BASE_SAMPLES, extreme) for extreme in (np.min, np.max)]).data)
        yield block
        done += block.size
        if on_progress is not None:
            on_progress(done / clip.y.size)


def _base_columns(blocks: Iterable[FloatArray], group: int) -> Iterator[FloatArray]:
    """The maximum of each `group` consecutive rows, shape (k, n_bins) at a time; the last one may have fewer."""
    held: FloatArray | None = None
    for block in blocks:
        rows = block if held is None else np.concatenate([held, block])
        whole = len(rows) // group * group
        if whole:
            yield pooled(rows[:whole], group, np.max)
        held = rows[whole:].copy()
    if held is not None and len(held):
        yield held.max(axis=0, keepdims=True)


def _read(
    path: Path, dtype: npt.DTypeLike, width: int, start: int, stop: int, group: int
) -> Iterator[npt.NDArray[Any]]:
    """Rows start..stop of a file of rows, a whole number of groups at a time.

    A plain read: pages touched through a memory map would stay in the server's resident memory.
    """
    size = width * np.dtype(dtype).itemsize
    rows = group * max(1, READ_BYTES // (group * size))
    for first in range(start, stop, rows):
        count = min(rows, stop - first)
        yield np.fromfile(path, dtype, count * width, offset=first * size).reshape(count, width)


def picture_from_pyramid(
    pyramid: Pyramid,
    t0: float,
    t1: float,
    *,
    scale: Scale = "linear",
    fmin: float = 0.0,
    fmax: float | None = None,
    columns: int = 1000,
    rows: int = 256,
) -> Picture | None:
    """The picture of t0 to t1 [s] as `picture` makes it, from the pyramid.

    Columns begin at multiples of the base column. None where `picture` must be asked: for views so short that a
    column would hold fewer than LEAST_POOLED base columns, for constant-Q, and for empty ranges, about which it has
    a sentence.
    """
    params, sr = pyramid.params, pyramid.sr
    top = min(fmax or sr / 2, sr / 2)
    bottom = max(fmin, LOWEST_LOG_HZ) if scale == "log" else fmin
    c0 = max(0, int(np.floor(t0 / pyramid.column_s)))
    c1 = min(pyramid.n_columns, int(np.ceil(t1 / pyramid.column_s)))
    group = -(-(c1 - c0) // columns)
    if group < LEAST_POOLED or scale == "constant-q" or not 0 <= bottom < top:
        return None
    n_bins = 1 + params.n_fft // 2
    hz_per_bin = sr / params.n_fft
    if scale == "linear":
        rows = min(rows, max(1, round((top - bottom) / hz_per_bin)))
    edges = row_edges(scale, bottom, top, rows)
    # The same bins for each row as in `picture`.
    first = np.clip(np.floor(edges[:-1] / hz_per_bin + 0.5).astype(int), 0, n_bins - 1)
    stop = np.clip(np.ceil(edges[1:] / hz_per_bin + 0.5).astype(int), first + 1, n_bins)
    cells = [pooled(block, group, np.max) for block in _read(pyramid.levels, np.int8, n_bins, c0, c1, group)]
    level = np.pad(np.concatenate(cells).T, ((0, 1), (0, 0)))  # so that `stop` may be n_bins
    z = np.maximum.reduceat(level, np.column_stack([first, stop]).ravel(), axis=0)[::2]
    frames = group * pyramid.group
    x0 = (c0 * pyramid.group + (frames - 1) / 2) * params.hop_length / sr
    return Picture(z, x0, frames * params.hop_length / sr, edges, scale, params)


def envelope_from_pyramid(pyramid: Pyramid, t0: float, t1: float, columns: int = 1000) -> Envelope | None:
    """The outline of t0 to t1 [s] as `envelope` makes it, from the pyramid.

    A column is a whole number of base columns. None for views so short that `envelope` must be asked.
    """
    sr = pyramid.sr
    start, stop = sample_range(t0, t1, sr, pyramid.n_samples)
    group = -(-(stop - start) // (columns * BASE_SAMPLES))
    if stop - start < LEAST_POOLED * BASE_SAMPLES * columns:
        return None
    step = group * BASE_SAMPLES
    start -= start % step
    low, high = [], []
    for block in _read(pyramid.outline, np.float32, 2, start // BASE_SAMPLES, -(-stop // BASE_SAMPLES), group):
        low.append(pooled(block[:, 0], group, np.min))
        high.append(pooled(block[:, 1], group, np.max))
    edges = np.arange(start, stop, step)
    return Envelope((edges + step / 2) / sr, np.concatenate(low), np.concatenate(high), step)


@dataclass
class _Progress:
    """What the thread of a `Building` tells and is told."""

    share: float = 0.0
    pyramid: Pyramid | None = None
    failure: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def report(self, share: float) -> None:
        if self.cancelled.is_set():
            raise Cancelled("Stopped.")
        self.share = share


def _work(clip: Clip, params: FrameParams, folder: Path, progress: _Progress) -> None:
    try:
        progress.pyramid = build(clip, params, folder, progress.report)
    except Cancelled:
        pass
    except OtoscopeError as error:
        progress.failure = str(error)


class Building:
    """A pyramid in the making, in a thread of its own. The thread stops when the last reference to this goes."""

    def __init__(self, clip: Clip, params: FrameParams, folder: Path) -> None:
        self._progress = _Progress()
        self._duration = clip.duration
        self._thread = threading.Thread(
            target=_work, args=(clip, params, folder, self._progress), name="pyramid", daemon=True
        )
        self._thread.start()
        weakref.finalize(self, self._progress.cancelled.set)

    @property
    def running(self) -> bool:
        """Whether it is still being built."""
        return self._thread.is_alive()

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return self._progress.share

    @property
    def pyramid(self) -> Pyramid | None:
        """What came of it; None until then, and when it was cancelled or failed."""
        return self._progress.pyramid

    @property
    def failure(self) -> str:
        """Why it could not be built, one finished sentence; "" as long as nothing went wrong."""
        return self._progress.failure

    def wait(self, seconds: float | None = None) -> Pyramid | None:
        """The pyramid as soon as it is there; None when it takes longer than `seconds` or there will be none."""
        self._thread.join(seconds)
        return self.pyramid

    def in_time_for(self, view_s: float) -> Pyramid | None:
        """The pyramid, waited for where that is sooner than to compute a picture of `view_s` seconds directly.

        A second of sound costs about the same in both; so all of a recording is best drawn from its pyramid at once,
        and two threads need not share the machine.
        """
        return self.wait() if (1 - self.share) * self._duration <= view_s else self.pyramid

    def cancel(self) -> None:
        """Stop; when this returns the thread has ended and the files are gone."""
        self._progress.cancelled.set()
        self._thread.join()
        self._progress.pyramid = None
