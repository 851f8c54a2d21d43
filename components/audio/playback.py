"""What the browser's player gets: the recording with its own channels, on the same clock as the analysis."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from components.audio.readers import ABSURD, Recording, mended, open_recording, peak
from components.audio.transform import at_rate
from components.errors import DecodeError
from components.types import Clip, FloatArray

SHORT_S = 600
MIN_SR, MAX_SR, NEW_SR = 3_000, 96_000, 48_000
"""Rates that browsers play [Hz]; others are brought to NEW_SR."""

_WAV_CODECS = {"PCM_16", "PCM_24", "PCM_32", "FLOAT"}
_LONG_AS_IT_IS = {
    ("MP3", "mp3float"): "audio/mpeg",
    ("OGG", "VORBIS"): "audio/ogg",
    ("OGG", "OPUS"): "audio/ogg",
    ("MOV", "aac"): "audio/mp4",
    ("MATROSKA", "opus"): "audio/webm",
    ("MATROSKA", "vorbis"): "audio/webm",
}
_CLOCK_S = 0.05


@dataclass(frozen=True)
class Playback:
    """Sound for the browser, served from the disk.

    Attributes
    ----------
    data : path of the file. One that was made for this goes when this object does, like a long clip's samples
    mime : "audio/wav", "audio/flac" ...
    notes : what was changed besides the format, finished sentences
    """

    data: Path
    mime: str
    notes: tuple[str, ...] = ()


def playback(source: Path, clip: Clip, folder: Path, *, on_progress: Callable[[float], None] | None = None) -> Playback:
    """Make what the player of a decoded clip plays.

    Sound WAV and FLAC files, and long MP3, Ogg, M4A and WebM files whose stated length is the clip's own, go as
    they are. All else is decoded as for the analysis and coded as 16-bit FLAC at its own rate and level, so that
    a second in the player is a second on the pictures; samples beyond full scale are clipped.

    Parameters
    ----------
    source : the file that `clip` was decoded from
    clip : the clip
    folder : a private folder for the FLAC file, where one is made
    on_progress : called with the share done, 0 to 1; what it raises stops the work and leaves no file behind

    Raises
    ------
    DecodeError : the file cannot be opened any more, or the disk has no room for the FLAC file
    """
    try:
        # It was opened once already, so its size was within the limit then.
        size = source.stat().st_size
    except OSError:
        raise DecodeError(f"{clip.name} is no longer there: choose it again.") from None
    with open_recording(source, clip.name, size) as recording:
        mime = _mime_as_it_is(recording, clip)
    if mime is not None:
        return Playback(source, mime)
    with open_recording(source, clip.name, size) as recording:
        return _made(recording, clip.name, folder, on_progress)


def playback_of_clip(clip: Clip, folder: Path, *, on_progress: Callable[[float], None] | None = None) -> Playback:
    """The same for a clip that was made or changed, not opened: a 16-bit FLAC file of its samples in `folder`.

    Written block by block: any length at constant memory.

    Raises
    ------
    DecodeError : the disk has no room for it
    """
    done = 0

    def blocks() -> Iterator[FloatArray]:
        nonlocal done
        for block in clip.blocks(1 << 18):
            done += block.size
            yield block[:, None]

    recording = Recording("generated", "", clip.sr, 1, clip.y.size, blocks(), lambda: done / clip.y.size)
    return _made(recording, clip.name, folder, on_progress)


def _made(recording: Recording, name: str, folder: Path, on_progress: Callable[[float], None] | None) -> Playback:
    """A FLAC file of the recording, for as long as what is returned is in use."""
    # mkstemp: readable by this user alone, a name that nobody can guess.
    handle, file = tempfile.mkstemp(prefix="playback-", suffix=".flac", dir=folder)
    os.close(handle)
    path = Path(file)
    try:
        _write_flac(path, recording, on_progress)
    except (OSError, sf.SoundFileError):
        _remove(path)
        raise DecodeError(
            f"{name} needs more room for its playback than the disk has left: free some space and open it again."
        ) from None
    except BaseException:
        _remove(path)
        raise
    made = Playback(path, "audio/flac", _notes(recording, name))
    weakref.finalize(made, _remove, path)
    return made


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _notes(recording: Recording, name: str) -> tuple[str, ...]:
    if recording.channels <= 2:
        return ()
    return (f"The player plays the average of the {recording.channels} channels of {name}.",)


def _mime_as_it_is(recording: Recording, clip: Clip) -> str | None:
    """The type under which a browser plays the file itself at the right clock and level, or None."""
    if recording.channels > 2 or not MIN_SR <= recording.sr <= MAX_SR or recording.has_video or recording.cut:
        return None
    off = abs((recording.n_frames or 0) / recording.sr - clip.duration)
    if recording.format in ("WAV", "WAVEX") and recording.codec in _WAV_CODECS and off < 1e-3:
        sound = recording.codec != "FLOAT" or all(peak(block) <= ABSURD for block in recording.blocks)
        return "audio/wav" if sound else None
    if recording.format == "FLAC" and off < 1e-3:
        return "audio/flac"
    if clip.duration > SHORT_S and off < _CLOCK_S:
        return _LONG_AS_IT_IS.get((recording.format, recording.codec))
    return None


def _write_flac(path: Path, recording: Recording, on_progress: Callable[[float], None] | None) -> None:
    sr = recording.sr if MIN_SR <= recording.sr <= MAX_SR else NEW_SR
    channels = recording.channels if recording.channels <= 2 else 1
    with sf.SoundFile(str(path), "w", sr, channels, "PCM_16", format="FLAC", compression_level=0.0) as out:
        for block in at_rate(_for_player(recording, channels), recording.sr, sr, channels):
            out.write(np.clip(block, -1.0, 1.0))
            if on_progress is not None:
                on_progress(min(1.0, recording.share()))


def _for_player(recording: Recording, channels: int) -> Iterator[FloatArray]:
    """Finite blocks (n, channels)."""
    for raw in recording.blocks:
        block = mended(raw)
        yield block if channels == recording.channels else block.mean(axis=1, keepdims=True, dtype=np.float32)
