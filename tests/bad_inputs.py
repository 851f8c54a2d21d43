"""Files that people (and attackers) really bring, made here from nothing: a table for the tests of every door."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from fractions import Fraction
from typing import Literal, NamedTuple

import av
import numpy as np
import soundfile as sf

SR = 16_000


class BadInput(NamedTuple):
    """A file: its name, how to make its bytes, what must come of it, and words of the sentence that must say so."""

    name: str
    make: Callable[[], bytes]
    expected: Literal["error", "ok", "note"]
    words: str = ""


def sound(duration: float = 1.0, sr: int = SR, channels: int = 1) -> np.ndarray:
    """A 440 Hz sine of amplitude 0.5, shape (n_samples, channels)."""
    y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(duration * sr)) / sr)
    return np.repeat(y[:, None], channels, axis=1).astype(np.float32)


def sndfile(format: str, subtype: str | None = None, y: np.ndarray | None = None, sr: int = SR) -> bytes:
    """The bytes of a file that libsndfile writes."""
    buffer = io.BytesIO()
    sf.write(buffer, sound(sr=sr) if y is None else y, sr, format=format, subtype=subtype)
    return buffer.getvalue()


def wav(y: np.ndarray | None = None, sr: int = SR, subtype: str = "PCM_16") -> bytes:
    """The bytes of a WAV file."""
    return sndfile("WAV", subtype, y, sr)


def libav(
    container: str, codec: str | None = "aac", *, video: bool = False, duration: float = 1.0, sr: int = 44100
) -> bytes:
    """The bytes of a file that libav writes: a tone, and with `video` a grey picture at 10 frames a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        streams = []
        if video:
            picture = out.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
            streams.append(picture)
        track = None
        if codec is not None:
            track = out.add_stream(codec, rate=sr, layout="stereo")
            track.bit_rate = 128_000
            streams.append(track)
        for number in range(round(duration * 10) if video else 0):
            shot = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 128, np.uint8), format="rgb24")
            shot.pts, shot.time_base = number, Fraction(1, 10)
            out.mux(picture.encode(shot))
        if track is not None:
            y = np.ascontiguousarray(sound(duration, sr, 2).T)
            for start in range(0, y.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(y[:, start : start + 1024]), format="fltp", layout="stereo"
                )
                frame.sample_rate, frame.pts, frame.time_base = sr, start, Fraction(1, sr)
                resampled = av.AudioResampler(track.format.name, "stereo", sr).resample(frame)
                out.mux([packet for one in resampled for packet in track.encode(one)])
        for stream in streams:
            out.mux(stream.encode(None))
    return buffer.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def wav_header(*, channels: int = 1, sr: int = SR, size: int | None = None, samples: bytes = b"") -> bytes:
    """A 16-bit WAV file written by hand, with whatever its header should claim."""
    claimed = len(samples) if size is None else size
    fmt = struct.pack("<HHIIHH", 1, channels, sr, sr * channels * 2 & 0xFFFFFFFF, channels * 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", claimed) + samples
    return b"RIFF" + struct.pack("<I", min(claimed + 36, 0xFFFFFFFF)) + body


def pcm(duration: float = 1.0) -> bytes:
    return (sound(duration)[:, 0] * 32767).astype("<i2").tobytes()


def with_values(*values: float) -> np.ndarray:
    y = sound()
    y[100 : 100 + len(values), 0] = values
    return y


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("a.wav")
        entry.size = len(wav())
        archive.addfile(entry, io.BytesIO(wav()))
    return buffer.getvalue()


def flac_claiming(frames: int) -> bytes:
    """A FLAC file whose STREAMINFO claims that many samples."""
    data = bytearray(sndfile("FLAC", y=sound(2.0)))
    data[21] = data[21] & 0xF0 | frames >> 32 & 0x0F
    data[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(data)


def mp3_claiming(frames: int) -> bytes:
    """An MP3 file whose Xing table claims that many MPEG frames."""
    data = bytearray(sndfile("MP3", y=sound(3.0, 44100), sr=44100))
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 8 : at + 12] = struct.pack(">I", frames)
    return bytes(data)


MARKUP = "<img src=x onerror=alert(1)>![x](y)`$*.wav"

BAD_INPUTS = (
    BadInput("empty.wav", lambda: b"", "error", "empty"),
    BadInput("notes.txt", lambda: b"These are my field notes.\n" * 20, "error", "text"),
    BadInput("notes.mp3", lambda: "Größe, Straße, Übung\n".encode() * 20, "error", "text"),
    BadInput("utf16.txt", lambda: "interview".encode("utf-16") * 50, "error", "text"),
    BadInput("photo.wav", lambda: b"\x89PNG\r\n\x1a\n" + bytes(400), "error", "picture"),
    BadInput("photo.jpg", lambda: b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(400), "error", "picture"),
    BadInput("report.pdf", lambda: b"%PDF-1.7\n" + bytes(400), "error", "PDF"),
    BadInput("thesis.docx.wav", lambda: zipped("word/document.xml", b"<w/>"), "error", "office document"),
    BadInput("old.doc", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "error", "office document"),
    BadInput("all.zip", lambda: zipped("a.wav", wav()), "error", "ZIP"),
    BadInput("bomb.zip", lambda: zipped("bomb.wav", bytes(20_000_000)), "error", "ZIP"),
    BadInput("talk.wav.gz", lambda: gzip.compress(wav()), "error", "GZIP"),
    BadInput("talks.tar", tarred, "error", "TAR"),
    BadInput("list.m3u", lambda: b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n", "error", "playlist"),
    BadInput("list.wav", lambda: b"ffconcat version 1.0\nfile '/etc/hostname'\n", "error", "text"),
    BadInput("logo.svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "error", "text"),
    BadInput("page.html", lambda: b"<!DOCTYPE html><html><script>alert(1)</script></html>", "error", "text"),
    BadInput("song.mid", lambda: b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0", "error", "notes, not sound"),
    BadInput("zeros.wav", lambda: bytes(5000), "error", "not a sound file"),
    BadInput("numbers.raw", lambda: pcm(0.2), "error", "not a sound file"),
    BadInput("header.wav", lambda: wav()[:20], "error", "cut off"),
    BadInput("header.flac", lambda: sndfile("FLAC")[:30], "error", "cut off"),
    BadInput("header.ogg", lambda: sndfile("OGG")[:60], "error", "cut off"),
    BadInput("header.m4a", lambda: libav("mp4")[:40], "error", "cut off"),
    BadInput("index_lost.mp4", lambda: half(libav("mp4", duration=2)), "error", "cut off"),
    BadInput("no_samples.wav", lambda: wav(np.zeros((0, 1), np.float32)), "error", "no samples"),
    BadInput("no_samples.aiff", lambda: sndfile("AIFF", y=np.zeros((0, 1), np.float32)), "error", "no samples"),
    BadInput("no_channels.wav", lambda: wav_header(channels=0, samples=pcm()), "error", "cut off or damaged"),
    BadInput(
        "all_nan.wav", lambda: wav(np.full((900, 1), np.nan, np.float32), subtype="FLOAT"), "error", "not numbers"
    ),
    BadInput("one_hertz.wav", lambda: wav_header(sr=1, samples=pcm()), "error", "sampling rate of 1 Hz"),
    BadInput("rate.wav", lambda: wav_header(sr=0x7FFFFFFF, samples=pcm()), "error", "sampling rate"),
    BadInput("rate2.wav", lambda: wav_header(sr=0x80000000, samples=pcm()), "error", ""),
    BadInput("silent_film.mp4", lambda: libav("mp4", None, video=True), "error", "video without sound"),
    BadInput("silent_film.mkv", lambda: libav("matroska", None, video=True), "error", "video without sound"),
    BadInput("bought.m4p", lambda: libav("mp4").replace(b"mp4a", b"drms"), "error", "copy-protected"),
    BadInput("half.wav", lambda: half(wav()), "note", "cut off"),
    BadInput("half.aiff", lambda: half(sndfile("AIFF")), "note", "cut off"),
    BadInput("half.flac", lambda: half(sndfile("FLAC", y=sound(4.0))), "note", "cut off"),
    BadInput("half.ogg", lambda: half(sndfile("OGG", "OPUS", sound(5.0, 48000), 48000)), "note", "cut off"),
    BadInput("half.mp3", lambda: half(sndfile("MP3", y=sound(5.0))), "note", "cut off"),
    BadInput("four_gigabytes.wav", lambda: wav_header(size=0xF0000000, samples=pcm()), "note", "cut off"),
    BadInput("billion.flac", lambda: flac_claiming(10**9), "note", "cut off"),
    BadInput("long.mp3", lambda: mp3_claiming(10**6), "note", "cut off"),
    BadInput("short.mp3", lambda: mp3_claiming(3), "ok"),
    BadInput("streamed.wav", lambda: wav_header(size=0xFFFFFFFF, samples=pcm()), "ok"),
    BadInput("nan.wav", lambda: wav(with_values(np.nan), subtype="FLOAT"), "note", "not numbers"),
    BadInput("inf.wav", lambda: wav(with_values(np.inf, -np.inf), subtype="FLOAT"), "note", "not numbers"),
    BadInput("huge.wav", lambda: wav(with_values(3e38), subtype="FLOAT"), "note", "absurdly large"),
    BadInput("int_as_float.wav", lambda: wav(sound() * 32768, subtype="FLOAT"), "note", "beyond full scale"),
    BadInput("64_channels.wav", lambda: wav(sound(0.2, channels=64)), "note", "64 channels"),
    BadInput("opposite.wav", lambda: wav(sound(channels=2) * np.float32([1, -1])), "note", "cancel"),
    BadInput("384k.wav", lambda: wav(sound(sr=384_000), 384_000), "note", "384 kHz"),
    BadInput("one_sample.wav", lambda: wav(sound()[1:2]), "ok"),
    BadInput("one_sample_384k.wav", lambda: wav(sound()[1:2], 384_000), "note", "384 kHz"),
    BadInput("silence.wav", lambda: wav(np.zeros((SR, 1), np.float32)), "ok"),
    BadInput("constant.wav", lambda: wav(np.full((SR, 1), 0.5, np.float32)), "ok"),
    BadInput("8bit.wav", lambda: wav(subtype="PCM_U8"), "ok"),
    BadInput("24bit.wav", lambda: wav(subtype="PCM_24"), "ok"),
    BadInput("32bit.wav", lambda: wav(subtype="PCM_32"), "ok"),
    BadInput("double.wav", lambda: wav(subtype="DOUBLE"), "ok"),
    BadInput("mulaw.wav", lambda: wav(subtype="ULAW"), "ok"),
    BadInput("alaw.au", lambda: sndfile("AU", "ALAW"), "ok"),
    BadInput("adpcm.wav", lambda: wav(subtype="IMA_ADPCM"), "ok"),
    BadInput("ms_adpcm.wav", lambda: wav(subtype="MS_ADPCM"), "ok"),
    BadInput("apple.aiff", lambda: sndfile("AIFF"), "ok"),
    BadInput("really_wav.raw", wav, "ok"),
    BadInput("really_wav.mp3", wav, "ok"),
    BadInput("music.m4a", lambda: libav("mp4"), "ok"),
    BadInput("stream.aac", lambda: libav("adts"), "ok"),
    BadInput("browser.webm", lambda: libav("webm", "libopus", sr=48000), "ok"),
    BadInput("phone.wma", lambda: libav("asf", "wmav2"), "ok"),
    BadInput("film.mp4", lambda: libav("mp4", video=True), "ok"),
    BadInput("film.mkv", lambda: libav("matroska", video=True), "ok"),
    BadInput("film.mov", lambda: libav("mov", video=True), "ok"),
    BadInput("../../etc/passwd\\..\\talk.wav", wav, "ok"),
    BadInput(MARKUP, wav, "ok"),
    BadInput("bell\x07tab\tline\nright\u202eleft.wav", wav, "ok"),
    BadInput("long" * 75 + ".wav", wav, "ok"),
    BadInput("Übung 日本語 🎤.wav", wav, "ok"),
    BadInput("", wav, "ok"),
)
