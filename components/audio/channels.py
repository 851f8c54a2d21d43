"""Each channel of a recording: a clip is the mean of them, this is how they differ.

One pass over the file keeps the lowest and the highest sample of narrow columns, a few megabytes for any length. The
samples themselves are read again from the disk where that is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf

from components.audio.readers import mended, open_recording
from components.errors import DecodeError
from components.types import FloatArray

MAX_CELLS = 1 << 21
"""Columns that are kept of all channels together: 16 MB with their two extremes; an hour in stereo has 172 a second."""

_SAMPLED = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Codings in which libsndfile finds any sample exactly."""


@dataclass(frozen=True)
class ChannelOutlines:
    """Lowest and highest sample of each column of each channel.

    Attributes
    ----------
    path : the recording
    sr : its own rate [Hz]; the clip's may be lower, its clock is the same
    n_samples : its length, each channel
    step : samples in a column, a power of 2; 1 means true samples
    low, high : shape (n_channels, n_columns)
    can_seek : whether `channel_samples` finds samples in the file
    """

    path: Path
    sr: int
    n_samples: int
    step: int
    low: FloatArray
    high: FloatArray
    can_seek: bool


class _Extremes:
    """Takes samples in any number: when the room is full, pairs of columns become one."""

    def __init__(self, channels: int) -> None:
        self._room = max(2, MAX_CELLS // channels // 2 * 2)
        # Pages that are never written cost nothing.
        self._low = np.empty((channels, self._room), np.float32)
        self._high = np.empty((channels, self._room), np.float32)
        self._rest = np.empty((channels, 0), np.float32)
        self._count = 0
        self.step = 1
        self.n_samples = 0

    def add(self, y: FloatArray) -> None:
        """Samples, shape (n_channels, n)."""
        self.n_samples += y.shape[1]
        rows = np.concatenate([self._rest, y], axis=1)
        while rows.shape[1] >= self.step:
            count = min(rows.shape[1] // self.step, self._room - self._count)
            self._put(rows[:, : count * self.step].reshape(len(rows), count, self.step))
            rows = rows[:, count * self.step :]
            if self._count == self._room:
                self._fold()
        self._rest = rows.copy()

    def _put(self, columns: FloatArray) -> None:
        where = slice(self._count, self._count + columns.shape[1])
        self._low[:, where] = columns.min(axis=2)
        self._high[:, where] = columns.max(axis=2)
        self._count = where.stop

    def _fold(self) -> None:
        half = self._room // 2
        self._low[:, :half] = self._low.reshape(-1, half, 2).min(axis=2)
        self._high[:, :half] = self._high.reshape(-1, half, 2).max(axis=2)
        self._count = half
        self.step *= 2

    def finish(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest of each column, shape (n_channels, n_columns); the last may hold fewer samples."""
        if self._rest.shape[1]:
            self._put(self._rest[:, None, :])
        return self._low[:, : self._count].copy(), self._high[:, : self._count].copy()


def channel_outlines(source: Path, *, name: str, on_progress: Callable[[float], None] | None = None) -> ChannelOutlines:
    """Decode a recording once, in blocks, and keep the outline of each of its channels.

    Parameters
    ----------
    source : the file that the clip was decoded from
    name : of the clip, for the sentence
    on_progress : called with the share done, 0 to 1; what it raises stops the work

    Raises
    ------
    DecodeError : the file cannot be opened any more
    """
    try:
        # It was opened once already, so its size was within the limit then.
        size = source.stat().st_size
    except OSError:
        raise DecodeError(f"{name} is no longer there: choose it again.") from None
    with open_recording(source, name, size) as recording:
        extremes = _Extremes(recording.channels)
        for raw in recording.blocks:
            extremes.add(np.ascontiguousarray(mended(raw).T))
            if on_progress is not None:
                on_progress(min(1.0, recording.share()))
        sr, channels = recording.sr, recording.channels
    low, high = extremes.finish()
    can_seek = _can_seek(source, sr, channels, extremes.n_samples)
    return ChannelOutlines(source, sr, extremes.n_samples, extremes.step, low, high, can_seek)


def _can_seek(source: Path, sr: int, channels: int, n_samples: int) -> bool:
    """Whether libsndfile sees the same samples in the file as were decoded, and finds each of them exactly."""
    try:
        with source.open("rb") as raw, sf.SoundFile(raw) as file:
            same = (file.samplerate, file.channels, file.frames) == (sr, channels, n_samples)
            return same and file.subtype.startswith(_SAMPLED)
    except (sf.SoundFileError, TypeError, ValueError, OSError):
        return False


def channel_samples(outlines: ChannelOutlines, start: int, stop: int) -> FloatArray | None:
    """Samples start..stop of each channel from the file, shape (n_channels, stop - start); None where it has gone."""
    try:
        with outlines.path.open("rb") as raw, sf.SoundFile(raw) as file:
            file.seek(start)
            y: npt.NDArray[np.float32] = file.read(stop - start, dtype="float32", always_2d=True)
    except (sf.SoundFileError, OSError):
        return None
    return mended(y).T if len(y) == stop - start else None
