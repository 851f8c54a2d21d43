"""The player's sound: the same clock and the same level as what is analysed."""

import base64
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from components.audio import playback as playback_module
from components.audio.decode import decode
from components.audio.playback import Playback, playback, playback_of_clip
from components.audio.samples import SAMPLES
from components.audio.synth import GENERATED, generated
from components.errors import Cancelled, DecodeError
from components.types import Clip, ClipSource
from tests.bad_inputs import libav, sndfile, sound, wav, with_values


@pytest.fixture
def played(tmp_path: Path) -> Callable[[bytes], tuple[Playback, np.ndarray, int]]:
    def play(data: bytes) -> tuple[Playback, np.ndarray, int]:
        path = tmp_path / "upload"
        path.write_bytes(data)
        made = playback(path, decode(path, name="a").clip, tmp_path)
        y, sr = sf.read(str(made.data), dtype="float32", always_2d=True)
        return made, y, sr

    return play


@pytest.mark.parametrize(
    "data",
    [wav(sound(channels=2)), wav(subtype="PCM_24"), wav(subtype="FLOAT"), sndfile("FLAC", y=sound(channels=2))],
    ids=["wav", "24 bit", "float", "flac"],
)
def test_what_browsers_play_exactly_goes_as_it_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    made = playback(path, decode(data, name="a").clip, tmp_path)
    assert made.data == path
    del made
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (sndfile("MP3", y=sound(2.0, channels=2)), 2),
        (sndfile("OGG", y=sound(2.0)), 1),
        (libav("mp4"), 2),
        (libav("mp4", video=True), 2),
        (wav(subtype="ULAW"), 1),
        (wav(subtype="PCM_U8"), 1),
        (wav()[:9000], 1),
        (sndfile("AIFF", y=sound(channels=2)), 2),
    ],
    ids=["mp3", "ogg", "m4a", "mp4", "mulaw", "8 bit", "cut", "aiff"],
)
def test_the_rest_becomes_flac_with_its_own_channels_rate_and_level(played, data: bytes, channels: int) -> None:
    clip = decode(data, name="a").clip
    made, y, sr = played(data)
    assert made.mime == "audio/flac"
    assert not made.notes
    assert (y.shape, sr) == ((clip.y.size, channels), clip.source.sr)
    np.testing.assert_allclose(y.mean(axis=1), clip.y, atol=1.1 / 32768)


def test_channels_stay_apart(played) -> None:
    y = sound(channels=2) * np.float32([1, 0.25])
    _, out, _ = played(sndfile("AIFF", y=y))
    np.testing.assert_allclose(out, y, atol=1.1 / 32768)


def test_loud_samples_are_clipped_and_not_wrapped_or_scaled(played) -> None:
    y = sound() * 3
    _, out, _ = played(sndfile("AIFF", "FLOAT", y))
    np.testing.assert_allclose(out, np.clip(y, -1, 1), atol=1.1 / 32768)


def test_samples_that_are_not_numbers_are_silent(played) -> None:
    _, out, _ = played(wav(with_values(np.nan, np.inf, -np.inf, 1e30), subtype="FLOAT"))
    np.testing.assert_array_equal(out[100:104], 0)
    np.testing.assert_allclose(out[200:], sound()[200:], atol=1.1 / 32768)


def test_more_than_two_channels_are_averaged_and_said(played) -> None:
    made, out, _ = played(wav(sound(0.2, channels=6)))
    assert out.shape[1] == 1
    assert made.notes == ("The player plays the average of the 6 channels of a.",)
    np.testing.assert_allclose(out[:, 0], sound(0.2)[:, 0], atol=1.1 / 32768)


@pytest.mark.parametrize("rate", [2000, 192_000, 384_000])
def test_rates_that_browsers_do_not_play(played, rate: int) -> None:
    data = wav(sound(1.0, rate), rate)
    _, out, sr = played(data)
    assert sr == 48_000
    assert len(out) == pytest.approx(48_000, abs=48)
    middle = out[12_000:36_000, 0]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
    assert spectrum.argmax() * 48_000 / middle.size == pytest.approx(440, abs=2)


def test_long_recordings(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(playback_module, "SHORT_S", 1)
    path = tmp_path / "upload"
    for data, mime in (
        (sndfile("MP3", y=sound(3.0)), "audio/mpeg"),
        (sndfile("OGG", y=sound(3.0)), "audio/ogg"),
        (wav(sound(3.0)), "audio/wav"),
    ):
        path.write_bytes(data)
        assert playback(path, decode(path, name="a").clip, tmp_path) == Playback(path, mime)
    # Its header gives half the length, so the browser's clock would be wrong.
    path.write_bytes(sndfile("MP3", y=sound(3.0)) * 2)
    clip = decode(path, name="a").clip
    made = playback(path, clip, tmp_path)
    assert made.data.parent == tmp_path
    assert made.data != path
    assert sf.info(str(made.data)).frames == clip.y.size


def test_a_made_file_is_private_and_goes_when_it_is_no_longer_used(tmp_path: Path) -> None:
    made = playback_of_clip(generated(next(iter(GENERATED))), tmp_path)
    assert list(tmp_path.iterdir()) == [made.data]
    if os.name != "nt":
        assert stat.S_IMODE(made.data.stat().st_mode) == 0o600
    del made
    assert not list(tmp_path.iterdir())


def test_cancelling_leaves_no_file(tmp_path: Path) -> None:
    path, folder = tmp_path / "upload", tmp_path / "folder"
    path.write_bytes(sndfile("AIFF", y=sound(3.0)))
    folder.mkdir()
    clip = decode(path, name="a").clip

    def stop(share: float) -> None:
        assert len(list(folder.iterdir())) == 1
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        playback(path, clip, folder, on_progress=stop)
    with pytest.raises(Cancelled):
        playback_of_clip(clip, folder, on_progress=stop)
    assert not list(folder.iterdir())


def test_a_file_that_is_gone_and_a_full_disk_get_a_sentence(monkeypatch, tmp_path: Path) -> None:
    path, folder = tmp_path / "upload", tmp_path / "folder"
    path.write_bytes(sndfile("AIFF"))
    folder.mkdir()
    clip = decode(path, name="a").clip

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sf.SoundFile, "write", full)
        with pytest.raises(DecodeError, match="a needs more room"):
            playback(path, clip, folder)
    assert not list(folder.iterdir())
    path.unlink()
    with pytest.raises(DecodeError, match="a is no longer there"):
        playback(path, clip, folder)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_clips_play(name: str, tmp_path: Path) -> None:
    clip = generated(name)
    made = playback_of_clip(clip, tmp_path)
    y, sr = sf.read(str(made.data), dtype="float32")
    assert sr == clip.sr
    np.testing.assert_allclose(y, clip.y, atol=1.1 / 32768)


def test_a_long_clip_from_the_disk_is_written_in_blocks(tmp_path: Path) -> None:
    y = np.random.default_rng(0).uniform(-0.9, 0.9, 700_000).astype(np.float32)
    y.tofile(tmp_path / "y")
    source = ClipSource("WAV", 1, 16_000, y.size / 16_000)
    clip = Clip("long", np.memmap(tmp_path / "y", np.float32, "r"), 16_000, "d", source)
    shares: list[float] = []
    made = playback_of_clip(clip, tmp_path, on_progress=shares.append)
    out, _ = sf.read(str(made.data), dtype="float32")
    np.testing.assert_allclose(out, y, atol=1.1 / 32768)
    assert len(shares) == 3
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.fixture(scope="module")
def page() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


DURATION = """url => new Promise((done, fail) => {
    const audio = new Audio(url);
    audio.onloadedmetadata = () => done(audio.duration);
    audio.onerror = () => fail(audio.error.message);
})"""


@pytest.mark.browser
@pytest.mark.parametrize(
    "data",
    [
        wav(sound(2.5, 44_100, 2), 44_100),
        wav(sound(2.5), subtype="FLOAT"),
        sndfile("FLAC", y=sound(2.5)),
        sndfile("MP3", y=sound(2.5, 44_100), sr=44_100),
        libav("mp4", duration=2.5),
        libav("webm", "libopus", duration=2.5, sr=48_000),
        wav(sound(2.5, 384_000), 384_000),
        wav(sound(2.5, 1000), 1000),
        wav(sound()[1:2]),
        SAMPLES[0].path.read_bytes(),
    ],
    ids=["wav", "float", "flac", "mp3", "m4a", "webm", "384k", "1k", "one sample", "sample"],
)
def test_the_browser_agrees_about_the_duration(page, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    clip = decode(path, name="a").clip
    made = playback(path, clip, tmp_path)
    url = f"data:{made.mime};base64,{base64.b64encode(made.data.read_bytes()).decode()}"
    assert page.evaluate(DURATION, url) == pytest.approx(clip.duration, abs=0.01)
