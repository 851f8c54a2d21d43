"""From a file of any format to a `Clip`: mono float32, at most 48 kHz, in memory or in a private file."""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from components.audio.readers import ABSURD, Recording, display_name, mended, open_recording, peak
from components.audio.transform import ahead, at_rate
from components.errors import DecodeError
from components.types import Clip, ClipSource, FloatArray
from components.units import format_hz, format_time

MAX_CLIP_SR = 48_000
MEMORY_S = 600
MAX_DURATION_S = 24 * 3600


@dataclass(frozen=True)
class Decoded:
    """A clip, and what its user must know about it: finished sentences, often none."""

    clip: Clip
    notes: tuple[str, ...]


def decode(
    source: Path | bytes,
    *,
    name: str,
    folder: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
    max_bytes: int = 1_000_000_000,
) -> Decoded:
    """Open a recording as a clip: the mean of its channels, rates above 48 kHz brought to 48 kHz.

    Parameters
    ----------
    source : the file, or its bytes
    name : its name as the user gave it, shown after `display_name`
    folder : where the samples of recordings longer than 10 minutes go, into a file that only this user may read
        and that is removed with the clip; a fresh private folder by default
    on_progress : called with the share done, 0 to 1; what it raises stops the work and leaves no file behind
    max_bytes : largest file that is opened

    Raises
    ------
    DecodeError : one sentence that names the file and says why it cannot be opened
    """
    shown = display_name(name)
    with open_recording(source, name, max_bytes) as recording:
        sr = min(recording.sr, MAX_CLIP_SR)
        mono = _Mono(recording)
        store = Store(sr, folder, expected=(recording.n_frames or 0) * sr // recording.sr)
        try:
            with closing(ahead(mono.read())) as raw:
                for block in at_rate(mono.blocks(raw), recording.sr, sr):
                    store.add(block)
                    if store.size > MAX_DURATION_S * sr:
                        raise DecodeError(f"{shown} is longer than 24 hours: cut it into parts.")
                    if on_progress is not None:
                        on_progress(min(1.0, mono.share))
            if mono.broken == mono.seen:
                raise DecodeError(f"{shown} holds no usable sample, only values that are not numbers: export it again.")
            y = store.finish()
        except OSError:
            store.drop()
            raise DecodeError(
                f"{shown} needs more room than the disk has left: free some space and open it again."
            ) from None
        except BaseException:
            store.drop()
            raise
    if on_progress is not None:
        on_progress(1.0)
    facts = ClipSource(recording.format, recording.channels, recording.sr, mono.seen / recording.sr)
    clip = Clip(shown, y, sr, store.digest, facts)
    return Decoded(clip, tuple(_notes(shown, clip, recording, mono)))


class _Mono:
    """Averages the channels and keeps count of what its user should be told."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.seen = self.broken = 0
        self.peak = self.energy = self.channel_energy = 0.0
        self.has_bad = False
        self.share = 0.0

    def read(self) -> Iterator[FloatArray]:
        """The recording's own blocks, shape (n, channels), for a thread of their own."""
        for raw in self.recording.blocks:
            # Asked here, in the thread that reads: the decoder must not be asked by another while it works.
            self.share = self.recording.share()
            yield raw

    def blocks(self, raws: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """The samples as mono blocks, shape (n,)."""
        weights = np.full(self.recording.channels, 1 / self.recording.channels, np.float32)
        for raw in raws:
            block = mended(raw)
            if block is not raw:
                self.has_bad = True
                self.broken += int(np.count_nonzero(~(np.abs(raw) <= ABSURD).any(axis=1)))
            y = block @ weights
            self.seen += len(y)
            self.peak = max(self.peak, peak(block))
            if len(weights) > 1:
                flat = block.ravel(order="K")
                self.energy += float(y @ y)
                self.channel_energy += float(flat @ flat) / len(weights)
            yield y


class Store:
    """Takes blocks of samples: in memory as long as they are short, in a private file after that.

    Of a recording that is `expected` to be long all samples go into the file, so that ten minutes of it need not be
    in memory first. Headers lie: what turns out short is read back.
    """

    def __init__(self, sr: int, folder: Path | None, expected: int) -> None:
        self._limit = MEMORY_S * sr
        self._expected = expected
        self._folder = folder
        # Pages that are never written cost nothing, so a short clip does not pay for the ten minutes.
        self._memory: FloatArray = np.empty(self._limit, np.float32)
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._own_folder: Path | None = None
        self._sha = hashlib.sha256(str(sr).encode())
        self.size = 0

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()

    def add(self, block: FloatArray) -> None:
        self._sha.update(block.data)
        if self._file is None and max(self._expected, self.size + block.size) > self._limit:
            self._spill()
        if self._file is None:
            self._memory[self.size : self.size + block.size] = block
        else:
            self._file.write(block.data)
        self.size += block.size

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = self._own_folder = Path(tempfile.mkdtemp(prefix="otoscope-"))
        # mkstemp: readable by this user alone, a name that nobody can guess.
        handle, path = tempfile.mkstemp(prefix="clip-", suffix=".f32", dir=self._folder)
        self._path = Path(path)
        self._file = os.fdopen(handle, "wb")
        self._file.write(self._memory[: self.size].data)
        self._memory = np.empty(0, np.float32)

    def finish(self) -> FloatArray:
        if self._file is None or self._path is None:
            y = self._memory[: self.size]
            return y if self.size > self._limit // 2 else y.copy()
        self._file.close()
        if self.size <= self._limit:
            short = np.fromfile(self._path, np.float32)
            _remove(self._path, self._own_folder)
            return short
        samples: FloatArray = np.memmap(self._path, np.float32, "r")
        weakref.finalize(samples, _remove, self._path, self._own_folder)
        return samples

    def drop(self) -> None:
        if self._file is not None and self._path is not None:
            with suppress(OSError):
                self._file.close()
            _remove(self._path, self._own_folder)


def _remove(path: Path, folder: Path | None) -> None:
    with suppress(OSError):
        path.unlink()
    if folder is not None:
        with suppress(OSError):
            folder.rmdir()


def _notes(shown: str, clip: Clip, recording: Recording, mono: _Mono) -> Iterator[str]:
    if recording.cut:
        yield f"{shown} is cut off or damaged: what could be read of it lasts {format_time(clip.duration)}."
    if mono.has_bad:
        yield f"{shown} holds samples that are not numbers or are absurdly large: they were replaced by silence."
    if recording.channels > 2:
        yield f"{shown} has {recording.channels} channels: the pictures and models use their average."
    if mono.channel_energy > 0 and mono.energy < 1e-3 * mono.channel_energy:
        yield (
            f"{shown} has channels that cancel each other when averaged: export one of them alone to see what it holds."
        )
    if mono.peak > 4:
        yield f"{shown} goes {mono.peak:.3g} times beyond full scale: its levels in dB cannot be trusted."
    if recording.sr > MAX_CLIP_SR:
        yield f"{shown} was brought from {format_hz(recording.sr)} to {format_hz(clip.sr)}."
