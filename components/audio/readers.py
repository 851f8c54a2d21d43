"""Opening a recording of any format: one sentence when it cannot be, blocks of float32 when it can.

libsndfile reads the plain formats, libav (PyAV) the rest. MP3 and FLAC go to libav alone: libsndfile ends an MP3
where a wrong length in the header tells it to, and needs twice the time for FLAC. Nothing here trusts a file's name,
and libav may open no other file or address: it is given an open file and a fixed list of containers, so a playlist
leads nowhere.
"""

from __future__ import annotations

import errno
import io
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf

from components.errors import DecodeError
from components.types import FloatArray
from components.units import format_bytes

BLOCK_FRAMES = 1 << 14
MIN_SR, MAX_SR = 1000, 1_000_000
MAX_NAME = 80
ABSURD = 1e6
"""Samples beyond this (120 dB over full scale) are damage, not sound."""

CHOOSE = "choose a recording such as WAV, MP3, FLAC, OGG, M4A or MP4"

_SNDFILE_FORMATS = {
    "AIFF", "AU", "CAF", "IRCAM", "NIST", "OGG", "RF64", "SVX", "VOC", "W64", "WAV", "WAVEX",
}  # fmt: skip

# A demuxer passes if any of its names is here. No playlists, no concat, no image or text formats.
_AV_FORMATS = (
    "mov,mp4,m4a,3gp,matroska,webm,asf,aac,mp3,ogg,wav,flac,aiff,avi,flv,mpegts,mpeg,amr,caf,ac3,eac3,dts,wv,ape,tta"
)
_EXACT_LENGTH = {"mov", "matroska", "asf", "flac", "wav", "aiff", "caf", "wv", "ape", "tta"}
_MAX_BAD_PACKETS = 1000

_NOT_SOUND = (
    (b"PK\x03\x04", "is a ZIP archive or an office document"),
    (b"PK\x05\x06", "is an empty ZIP archive"),
    (b"\x1f\x8b", "is a GZIP archive"),
    (b"BZh", "is a BZIP2 archive"),
    (b"\xfd7zXZ", "is an XZ archive"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
    (b"Rar!", "is a RAR archive"),
    (b"(\xb5/\xfd", "is a Zstandard archive"),
    (b"%PDF", "is a PDF document"),
    (b"\xd0\xcf\x11\xe0", "is an office document"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"GIF8", "is a picture"),
    (b"MThd", "is a MIDI file and holds notes, not sound: render it to WAV first, then open that"),
    (b"#EXTM3U", "is a playlist and holds no sound itself: open the recordings that it lists"),
    (b"[playlist]", "is a playlist and holds no sound itself: open the recordings that it lists"),
)
_SOUND_STARTS = (
    b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"\x1aE\xdf\xa3", b"0&\xb2u",
)  # fmt: skip
_SAFE = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "`": "'", "*": "·", "$": "＄", "~": "-", "|": "-"})


def display_name(name: str) -> str:
    """A file's name fit to be shown: no folders, no control characters, nothing that Markdown or HTML acts on.

    At most 80 characters, the ending kept; "recording" where nothing is left.
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFC", last))
    shown = " ".join(plain.translate(_SAFE).split()).strip(". ")
    if len(shown) > MAX_NAME:
        shown = f"{shown[: MAX_NAME - 16]}…{shown[-15:]}"
    return shown or "recording"


def peak(block: FloatArray) -> float:
    """Largest magnitude; nan where any sample is."""
    return float(np.maximum(block.max(), -block.min()))


def mended(block: FloatArray) -> FloatArray:
    """The block with zeros for samples that are not numbers or beyond `ABSURD`, same shape."""
    if peak(block) <= ABSURD:
        return block
    return np.where(np.abs(block) <= ABSURD, block, np.float32(0))


@dataclass
class Recording:
    """A file opened as sound.

    Attributes
    ----------
    format, codec : container and coding as the decoder names them ("WAV" and "PCM_16", "MP3" and "mp3float")
    sr, channels : of the original
    n_frames : length the file claims [samples], where it claims one; often wrong
    blocks : the samples in order, arrays of shape (n, channels), n about BLOCK_FRAMES; runs once
    share : how much has been read, 0 to 1
    has_video : there is a moving picture beside the sound
    cut : the file ends early or is damaged; complete only once `blocks` has run to its end
    """

    format: str
    codec: str
    sr: int
    channels: int
    n_frames: int | None
    blocks: Iterator[FloatArray]
    share: Callable[[], float]
    has_video: bool = False
    cut: bool = field(default=False)


@contextmanager
def open_recording(source: Path | bytes, name: str, max_bytes: int = 1_000_000_000) -> Iterator[Recording]:
    """Open a file, or the bytes of one, as sound; closed on leaving.

    Raises
    ------
    DecodeError : one sentence that says why this is not a recording that can be opened
    """
    shown = display_name(name)
    head = _first_bytes(source, shown, max_bytes)
    _refuse_other_things(head, shown)
    mpeg_or_flac = head.startswith((b"ID3", b"fLaC")) or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    with ExitStack() as stack:
        for opener in (_open_av,) if mpeg_or_flac else (_open_sndfile, _open_av):
            recording = opener(source, shown, stack)
            if recording is None:
                continue
            if not MIN_SR <= recording.sr <= MAX_SR:
                raise DecodeError(
                    f"{shown} claims a sampling rate of {recording.sr} Hz: Otoscope opens rates from {MIN_SR} to "
                    f"{MAX_SR} Hz, so please export it again at such a rate."
                )
            first = next(recording.blocks, None)
            if first is None:
                continue
            recording.blocks = itertools.chain([first], recording.blocks)
            yield recording
            return
    raise DecodeError(_why_not(head, shown))


def _first_bytes(source: Path | bytes, shown: str, max_bytes: int) -> bytes:
    try:
        if isinstance(source, Path) and source.is_dir():
            raise DecodeError(f"{shown} is a folder: choose the recordings inside it.")
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        head = source[:4096] if isinstance(source, bytes) else _read_head(source)
    except FileNotFoundError:
        raise DecodeError(f"{shown} is no longer there: choose it again.") from None
    except OSError as error:
        reason = "you may not read it" if error.errno in (errno.EACCES, errno.EPERM) else "the disk gave an error"
        raise DecodeError(f"{shown} cannot be read because {reason}: copy it elsewhere and try again.") from None
    if size > max_bytes:
        raise DecodeError(
            f"{shown} has {format_bytes(size)}, more than the limit of {format_bytes(max_bytes)}: "
            "save it as MP3 or FLAC, or cut it into parts."
        )
    if not head:
        raise DecodeError(f"{shown} is empty (0 bytes): record or export it again.")
    return head


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _refuse_other_things(head: bytes, shown: str) -> None:
    for start, what in _NOT_SOUND:
        if head.startswith(start):
            hint = "" if ":" in what else _hint(what)
            raise DecodeError(f"{shown} {what}{hint}.")
    if head[257:262] == b"ustar":
        raise DecodeError(f"{shown} is a TAR archive{_hint('archive')}.")


def _hint(what: str) -> str:
    return ": unpack it and open the recordings inside" if "archive" in what else f", not sound: {CHOOSE}"


def _why_not(head: bytes, shown: str) -> str:
    if head.startswith(_SOUND_STARTS) or head[4:8] == b"ftyp":
        if head.startswith((b"RIFF", b"FORM")) and _declares_no_samples(head):
            return f"{shown} holds no samples: record or export it again."
        return f"{shown} is cut off or damaged near its beginning: copy or export it again."
    if _is_text(head):
        return f"{shown} is text, not sound: {CHOOSE}."
    return f"{shown} is not a sound file that Otoscope knows: {CHOOSE}."


def _declares_no_samples(head: bytes) -> bool:
    data = max(head.find(b"data"), head.find(b"SSND"))
    return data > 0 and head[data + 4 : data + 8] in (b"\0\0\0\0", b"\0\0\0\x08") and len(head) <= data + 16


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return not any(byte < 9 or 13 < byte < 27 for byte in head)


def _as_file(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


class _Steady:
    """An open file that stays where it is when told to go nowhere: libsndfile seeks where a damaged header says."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell = file.tell
        self.read = file.read

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with suppress(OSError, ValueError, OverflowError):
            self._file.seek(offset, whence)
        return self.tell()


def _open_sndfile(source: Path | bytes, shown: str, stack: ExitStack) -> Recording | None:
    try:
        # An open file and not its path: libsndfile would take a name in .mp3 for a promise.
        file = stack.enter_context(sf.SoundFile(_Steady(stack.enter_context(_as_file(source)))))
    except (sf.SoundFileError, TypeError, ValueError, OSError):
        # A TypeError is soundfile's word for a name that ends in .raw.
        return None
    if file.format not in _SNDFILE_FORMATS:
        return None
    recording = Recording(
        format=file.format,
        codec=file.subtype,
        sr=file.samplerate,
        channels=file.channels,
        n_frames=file.frames,
        blocks=iter(()),
        share=lambda: file.tell() / max(1, file.frames),
        cut=_is_short_of_its_header(file.extra_info) or (file.format == "OGG" and _ogg_has_no_end(source)),
    )

    def blocks() -> Iterator[FloatArray]:
        done = 0
        size = max(1, min(BLOCK_FRAMES, (1 << 20) // file.channels))
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except (sf.SoundFileError, OSError):
                block = np.zeros((0, file.channels), np.float32)
            if not len(block):
                recording.cut |= done < file.frames
                return
            done += len(block)
            yield block

    recording.blocks = blocks()
    return recording


def _is_short_of_its_header(log: str) -> bool:
    """Whether libsndfile's log of a WAV or AIFF header says that samples are missing at the end.

    Recorders that write into a pipe leave 0 or the largest number as the length: that is no lie.
    """
    for found in re.finditer(r"^ *(?:data|SSND) : (-?\d+) \(should be (\d+)\)", log, re.MULTILINE):
        claimed, real = int(found[1]) & 0xFFFFFFFF, int(found[2])
        if claimed > real + 8 and claimed & 0x7FFFFF00 != 0x7FFFFF00:
            return True
    return False


def _ogg_has_no_end(source: Path | bytes) -> bool:
    """Whether the last Ogg page lacks the mark that ends a stream (RFC 3533, header type flag 4)."""
    with _as_file(source) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 70_000))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page < 0 or len(tail) < page + 6 or not tail[page + 5] & 4


def _mp3_states_its_length(source: Path | bytes) -> bool:
    """Whether the first MPEG frame carries a Xing, Info or VBRI table; without one libav guesses the length."""
    with _as_file(source) as file:
        head = file.read(10)
        tag = 0
        if head[:3] == b"ID3" and len(head) == 10:
            for byte in head[6:]:
                tag = tag << 7 | byte & 0x7F
            tag += 10
        file.seek(tag)
        frame = file.read(2048)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _open_av(source: Path | bytes, shown: str, stack: ExitStack) -> Recording | None:
    import av

    av.logging.set_level(None)
    file = stack.enter_context(_as_file(source))
    size = max(1, file.seek(0, io.SEEK_END))
    file.seek(0)
    try:
        container = av.open(file, options={"format_whitelist": _AV_FORMATS}, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    stack.enter_context(container)
    stream = _sound_track(container, shown)
    if stream is None:
        return None
    family = container.format.name.split(",")[0]
    exact = _mp3_states_its_length(source) if family == "mp3" else family in _EXACT_LENGTH
    recording = Recording(
        format=family.upper(),
        codec=stream.codec_context.name,
        sr=0,
        channels=0,
        n_frames=None,
        blocks=iter(()),
        share=lambda: min(1.0, file.tell() / size),
        has_video=_has_video(container),
    )
    frames = _av_frames(container, stream, recording)
    # The header of an HE-AAC file may give half its rate, so rate and channels are those of the first frame.
    first = next(frames, None)
    if first is None:
        return None
    recording.sr, recording.channels = first.sample_rate, first.layout.nb_channels
    length = _claimed_length(container, stream, recording.has_video)
    if length is not None:
        recording.n_frames = round(length * recording.sr)

    def blocks() -> Iterator[FloatArray]:
        done = 0
        try:
            for block in _gathered(_as_setup(itertools.chain([first], frames), first)):
                done += len(block)
                yield block
        except (av.error.FFmpegError, OSError, ValueError):  # a damaged stream that changes to something impossible
            recording.cut = True
        # Half a second is more than any coder's padding.
        if exact and recording.n_frames is not None:
            recording.cut |= done < recording.n_frames - recording.sr // 2

    recording.blocks = blocks()
    return recording


def _sound_track(container: Any, shown: str) -> Any | None:
    if not container.streams.audio:
        if _has_video(container):
            raise DecodeError(f"{shown} is a video without sound: choose one that has a sound track.")
        return None
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise DecodeError(f"{shown} is coded in a way that Otoscope cannot read: save it as WAV, FLAC or MP3.")
    try:
        tag = stream.codec_context.codec_tag
    except UnicodeDecodeError:  # four bytes of a damaged header
        return None
    if tag in ("drms", "enca"):
        raise DecodeError(f"{shown} is copy-protected: choose a version without protection.")
    return stream


def _has_video(container: Any) -> bool:
    """Whether there is a moving picture; a cover is none."""
    import av

    return any(not video.disposition & av.stream.Disposition.attached_pic for video in container.streams.video)


def _claimed_length(container: Any, stream: Any, has_video: bool) -> Fraction | None:
    """Length of the sound track as the container states it [s]."""
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    if container.duration and not has_video:
        return Fraction(container.duration, 1_000_000)
    return None


def _av_frames(container: Any, stream: Any, recording: Recording) -> Iterator[Any]:
    """Decoded frames from the start; damaged packets are passed over."""
    import av

    bad = 0
    packets = container.demux(stream)
    while bad < _MAX_BAD_PACKETS:
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else None
        except (av.error.FFmpegError, OSError, ValueError):
            bad += 1
            recording.cut = True
            continue
        if frames is None:
            return
        for frame in frames:
            if frame.samples:
                yield frame


def _as_setup(frames: Iterator[Any], first: Any) -> Iterator[Any]:
    """The frames, all as planar float with the rate and the channels of the first."""
    import av

    wanted = setup = ("fltp", first.layout.name, first.sample_rate)
    resampler = None
    for frame in frames:
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        frame.pts = None  # the samples follow one another, whatever a damaged clock says
        if now != setup:
            if resampler is not None:
                yield from resampler.resample(None)
            setup = now
            resampler = None
            if now != wanted:
                resampler = av.AudioResampler(format="fltp", layout=first.layout, rate=first.sample_rate)
        if resampler is None:
            yield frame
        else:
            yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def _gathered(frames: Iterator[Any]) -> Iterator[FloatArray]:
    """The samples of planar float frames in arrays of shape (n, channels), n BLOCK_FRAMES but for the last."""
    import av

    fifo = av.AudioFifo()
    tick = None
    for frame in frames:
        tick = tick or Fraction(1, frame.sample_rate)
        frame.pts, frame.time_base = None, tick
        fifo.write(frame)
        while fifo.samples >= BLOCK_FRAMES:
            yield fifo.read(BLOCK_FRAMES).to_ndarray().T
    if fifo.samples:
        yield fifo.read(0, partial=True).to_ndarray().T
