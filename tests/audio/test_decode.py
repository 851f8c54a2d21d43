"""Opening recordings: every format gives the sound that is in it, every other file one plain sentence."""

import gc
import io
import os
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.audio import decode as decode_module
from components.audio.decode import decode
from components.audio.readers import _as_setup, _gathered, display_name
from components.errors import Cancelled, DecodeError
from components.types import digest_of
from tests.bad_inputs import BAD_INPUTS, BadInput, libav, mp3_claiming, sndfile, sound, wav

FORBIDDEN = set("<>[]`*$/\\")
NOT_TONES = {"silence.wav", "constant.wav", "inf.wav", "nan.wav", "huge.wav", "opposite.wav"}


def peak_hz(y: np.ndarray, sr: int) -> float:
    spectrum = np.abs(np.fft.rfft(y * np.hanning(y.size)))
    return float(np.fft.rfftfreq(y.size, 1 / sr)[spectrum.argmax()])


def ids(case: BadInput) -> str:
    return case.name[:30].encode("ascii", "replace").decode() or "no name"


@pytest.mark.parametrize("case", BAD_INPUTS, ids=ids)
@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
def test_every_input_gives_sound_or_one_sentence(case: BadInput, as_file: bool, tmp_path: Path, capfd) -> None:
    source: bytes | Path = case.make()
    if as_file:
        suffix = Path(display_name(case.name)).suffix
        path = tmp_path / f"upload{suffix}"
        path.write_bytes(source)
        source = path
    try:
        decoded = decode(source, name=case.name)
    except DecodeError as error:
        outcome, sentences = "error", (str(error),)
    else:
        outcome, sentences = ("note" if decoded.notes else "ok"), decoded.notes
        clip = decoded.clip
        assert np.isfinite(clip.y).all()
        assert clip.sr <= 48_000
        assert clip.digest == digest_of(clip.y, clip.sr)
        if clip.duration > 0.19 and case.name not in NOT_TONES:
            assert peak_hz(clip.y, clip.sr) == pytest.approx(440, abs=6)
    assert outcome == case.expected
    assert any(case.words in sentence for sentence in sentences) or not case.words
    for sentence in sentences:
        assert sentence.startswith(display_name(case.name))
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert str(tmp_path) not in sentence
        assert not FORBIDDEN & set(sentence)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_folder_a_missing_and_a_forbidden_file(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(DecodeError, match=r"^talks is a folder: .*\.$"):
        decode(tmp_path, name="talks")
    with pytest.raises(DecodeError, match=r"^gone\.wav is no longer there: .*\.$"):
        decode(tmp_path / "gone.wav", name="gone.wav")
    locked = tmp_path / "locked.wav"
    locked.write_bytes(wav())

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # a superuser reads every file, so no mode bits here
    with pytest.raises(DecodeError, match=r"^locked\.wav cannot be read because you may not read it: .*\.$"):
        decode(locked, name="locked.wav")


def test_the_limit_on_size() -> None:
    data = wav()
    assert decode(data, name="a.wav", max_bytes=len(data)).clip.duration == 1
    with pytest.raises(DecodeError, match=r"^a\.wav has 32\.0 kB, more than the limit of 32\.0 kB: .*\.$"):
        decode(data, name="a.wav", max_bytes=len(data) - 1)


def test_longer_than_a_day_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(decode_module, "MAX_DURATION_S", 1)
    with pytest.raises(DecodeError, match="24 hours"):
        decode(wav(sound(2.0)), name="a.wav")


def test_a_full_disk_is_said(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decode_module, "MEMORY_S", 1)
    with pytest.raises(DecodeError, match="room"):
        decode(wav(sound(3.0)), name="a.wav", folder=tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\talk.wav", "talk.wav"),
        ("<b>x<\u202e>.wav", "‹b›x‹ ›.wav"),
        ("![a](http://x)", "x)"),
        ("a\x00b\nc.wav", "a b c.wav"),
        ("..", "recording"),
        ("", "recording"),
        ("Cafe\u0301.wav", "Café.wav"),
    ],
)
def test_display_name(name: str, shown: str) -> None:
    assert display_name(name) == shown


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=400))
def test_display_name_is_always_short_and_harmless(name: str) -> None:
    shown = display_name(name)
    assert 1 <= len(shown) <= 80
    assert shown.isprintable()
    assert not FORBIDDEN & set(shown)
    assert display_name(shown) == shown


def test_mono_is_the_mean_of_the_channels() -> None:
    y = np.random.default_rng(0).uniform(-0.9, 0.9, (5000, 2)).astype(np.float32)
    clip = decode(wav(y, 44_100, "FLOAT"), name="a.wav").clip
    np.testing.assert_allclose(clip.y, y.mean(axis=1), atol=1e-7)
    assert (clip.source.format, clip.source.channels, clip.source.sr) == ("WAV", 2, 44_100)
    assert clip.source.duration_s == pytest.approx(5000 / 44_100)


def test_high_rates_equal_one_resampling_of_the_whole() -> None:
    y = np.random.default_rng(0).uniform(-0.9, 0.9, 200_000).astype(np.float32)
    clip = decode(wav(y[:, None], 192_000, "FLOAT"), name="a.wav").clip
    whole = soxr.resample(y, 192_000, 48_000, quality="HQ")
    assert abs(clip.y.size - whole.size) <= 1
    n = min(clip.y.size, whole.size)
    np.testing.assert_allclose(clip.y[:n], whole[:n], atol=1e-5)


@pytest.mark.parametrize("sr", [8000, 22_050, 44_100, 48_000])
def test_mp3_is_as_long_and_as_aligned_as_what_went_in(sr: int) -> None:
    y = sound(2.0, sr)
    data = sndfile("MP3", y=y, sr=sr)
    clip = decode(data, name="a.mp3").clip
    assert clip.y.size == len(y)
    reference, _ = sf.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_allclose(clip.y, reference, atol=2e-4)


def test_an_mp3_is_read_to_its_end_whatever_its_header_says() -> None:
    honest = decode(sndfile("MP3", y=sound(3.0, 44_100), sr=44_100), name="a.mp3").clip
    assert decode(mp3_claiming(3), name="a.mp3").clip.duration == pytest.approx(honest.duration, abs=0.06)
    twice = sndfile("MP3", y=sound(3.0, 44_100), sr=44_100) * 2
    assert decode(twice, name="a.mp3").clip.duration == pytest.approx(2 * honest.duration, abs=0.12)


@pytest.mark.parametrize(("container", "codec", "sr"), [("mp4", "aac", 44_100), ("webm", "libopus", 48_000)])
def test_the_first_sound_track_starts_at_zero(container: str, codec: str, sr: int) -> None:
    clip = decode(libav(container, codec, duration=2.0, sr=sr), name="a").clip
    assert clip.duration == pytest.approx(2.0, abs=0.03)
    expected = sound(2.0, sr)[:, 0]
    middle = slice(sr // 2, sr)
    lag = np.argmax(np.correlate(clip.y[middle], expected[middle][40:-40], "valid")) - 40
    assert abs(lag) <= 2
    assert clip.y[middle].std() == pytest.approx(expected[middle].std(), rel=0.02)


def frame(samples: int, layout: str, sr: int, format: str) -> av.AudioFrame:
    channels = 2 if layout == "stereo" else 1
    dtype = np.float32 if format == "fltp" else np.int16
    value = 0.25 if format == "fltp" else 8192
    shape = (channels, samples) if format.endswith("p") else (1, channels * samples)
    made = av.AudioFrame.from_ndarray(np.full(shape, value, dtype), format=format, layout=layout)
    made.sample_rate, made.time_base = sr, Fraction(1, 14_112_000)
    return made


def test_a_stream_that_changes_midway_keeps_the_first_setup() -> None:
    frames = [frame(1000, "stereo", 16_000, "s16")] * 20
    frames += [frame(1000, "mono", 32_000, "fltp") for _ in range(40)]
    frames += [frame(1000, "stereo", 16_000, "fltp") for _ in range(20)]
    blocks = list(_gathered(_as_setup(iter(frames), frames[0])))
    y = np.concatenate(blocks)
    assert y.shape[1] == 2
    assert len(y) == pytest.approx(60_000, abs=100)
    np.testing.assert_allclose(y[2000:18_000], 0.25, atol=1e-3)
    np.testing.assert_allclose(y[-15_000:-1000], 0.25, atol=1e-3)


def test_a_long_recording_lives_in_a_private_file_that_goes_with_it(monkeypatch, tmp_path: Path) -> None:
    short = decode(wav(sound(3.0)), name="a.wav").clip
    monkeypatch.setattr(decode_module, "MEMORY_S", 1)
    long = decode(wav(sound(3.0)), name="a.wav", folder=tmp_path).clip
    assert isinstance(long.y, np.memmap)
    assert not long.y.flags.writeable
    assert long.y.offset == 0
    assert long.digest == short.digest
    np.testing.assert_array_equal(long.read(20_000, 20_100), short.y[20_000:20_100])
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == 4 * short.y.size
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if sys.implementation.name == "cpython":
        del long
        gc.collect()
        assert not list(tmp_path.iterdir())


def test_the_folder_of_its_own_goes_when_the_program_ends(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from components.audio import decode as module
module.MEMORY_S = 1
clip = module.decode(pathlib.Path(sys.argv[1]), name="a").clip
print(pathlib.Path(clip.y.filename).exists())
"""
    (tmp_path / "a.wav").write_bytes(wav(sound(3.0)))
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp_path / "temporary"))}
    command = [sys.executable, "-c", program, str(tmp_path / "a.wav")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "True"
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("data", [wav(sound(5.0)), sndfile("MP3", y=sound(5.0))], ids=["wav", "mp3"])
def test_cancelling_leaves_no_file(data: bytes, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decode_module, "MEMORY_S", 1)
    seen: list[int] = []

    def stop(share: float) -> None:
        seen.append(len(list(tmp_path.iterdir())))
        if share > 0.5 and seen[-1]:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        decode(data, name="a", folder=tmp_path, on_progress=stop)
    assert max(seen) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [wav(sound(5.0)), libav("mp4", duration=5)], ids=["wav", "m4a"])
def test_progress_grows_from_little_to_all(data: bytes) -> None:
    shares: list[float] = []
    decode(data, name="a", on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] == 1


WHOLE = {
    "wav": wav(sound(0.3)),
    "aiff": sndfile("AIFF", y=sound(0.3)),
    "flac": sndfile("FLAC", y=sound(0.3)),
    "ogg": sndfile("OGG", y=sound(0.3)),
    "mp3": sndfile("MP3", y=sound(0.3)),
    "mp4": libav("mp4", duration=0.3),
    "webm": libav("webm", "libopus", duration=0.3, sr=48_000),
}


def opens_or_says_why(data: bytes) -> None:
    try:
        clip = decode(data, name="fuzz").clip
    except DecodeError as error:
        assert str(error).endswith(".")
    else:
        assert np.isfinite(clip.y).all()


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=2000), st.sampled_from([b"", *(data[:16] for data in WHOLE.values())]))
def test_random_bytes_raise_nothing_else(data: bytes, start: bytes) -> None:
    opens_or_says_why(start + data)


@pytest.mark.parametrize("kind", WHOLE)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_raise_nothing_else(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE[kind])
    near_start = st.integers(0, 300) | st.integers(0, len(damaged) - 1)
    for at, value in data.draw(st.lists(st.tuples(near_start, st.integers(0, 255)), max_size=8)):
        damaged[at % len(damaged)] = value
    keep = data.draw(st.integers(len(damaged) // 8, len(damaged)))
    opens_or_says_why(bytes(damaged[:keep]))


@pytest.mark.data
def test_real_recordings_equal_soundfile(data_dir: Path) -> None:
    paths = [*sorted((data_dir / "librosa").glob("*.ogg"))[:3], *sorted((data_dir / "fsdd").glob("*.wav"))[:3]]
    assert paths
    for path in paths:
        decoded = decode(path, name=path.name)
        y, sr = sf.read(path, dtype="float32", always_2d=True)
        assert not decoded.notes
        assert decoded.clip.sr == sr
        np.testing.assert_allclose(decoded.clip.y, y.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("claimed", [0, 10**9], ids=["says nothing", "claims a billion samples"])
def test_a_short_recording_is_in_memory_whatever_its_header_claims(claimed: int, tmp_path: Path) -> None:
    """A long claim sends the samples to the disk from the start; what turns out short is read back and removed."""
    store = decode_module.Store(8000, tmp_path, expected=claimed)
    y = np.linspace(-1, 1, 5000, dtype=np.float32)
    store.add(y[:3000])
    store.add(y[3000:])
    kept = store.finish()
    assert not isinstance(kept, np.memmap)
    np.testing.assert_array_equal(kept, y)
    assert store.digest == digest_of(y, 8000)
    assert list(tmp_path.iterdir()) == []
