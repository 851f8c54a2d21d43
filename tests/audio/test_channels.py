"""Each channel's outline: the extremes of its own samples, for any format and length, in little memory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from components.audio import channels as module
from components.audio.channels import channel_outlines, channel_samples
from components.errors import Cancelled, DecodeError
from tests.bad_inputs import libav, sndfile, sound, wav, with_values


def stereo(n: int, channels: int = 2) -> np.ndarray:
    """Noise, different in each channel, shape (n, channels), exact in 16 bits."""
    y = np.random.default_rng(n).integers(-32000, 32000, (n, channels)) / 32768
    return (y * np.linspace(1, 0.2, channels)).astype(np.float32)


@pytest.fixture
def stored(tmp_path: Path):
    def store(data: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return path

    return store


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_short_recording_keeps_its_samples(stored, channels):
    y = stereo(20_001, channels)
    kept = channel_outlines(stored(wav(y, subtype="FLOAT")), name="a")
    assert kept.step == 1
    assert np.array_equal(kept.low, y.T)
    assert np.array_equal(kept.high, y.T)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 5000, 65_537])
@pytest.mark.parametrize(("channels", "cells"), [(1, 256), (2, 1000), (6, 64)])
def test_a_long_one_keeps_the_extremes_of_columns(stored, monkeypatch, n, channels, cells):
    monkeypatch.setattr(module, "MAX_CELLS", cells)
    y = stereo(n, channels)
    kept = channel_outlines(stored(wav(y, subtype="FLOAT")), name="a")
    parts = [y[i : i + kept.step] for i in range(0, n, kept.step)]
    assert np.array_equal(kept.low.T, [part.min(axis=0) for part in parts])
    assert np.array_equal(kept.high.T, [part.max(axis=0) for part in parts])
    assert kept.n_samples == n
    assert kept.low.size <= max(cells, 2 * channels)
    assert kept.step == 1 or kept.low.size > cells / 2 - 2 * channels  # no coarser than it must be


@pytest.mark.parametrize(
    ("data", "can_seek"),
    [
        (wav(sound(2.0, channels=2), subtype="PCM_24"), True),
        (sndfile("FLAC", y=sound(2.0, channels=2)), True),
        (sndfile("AIFF", y=sound(2.0, channels=2)), True),
        (sndfile("MP3", y=sound(2.0, channels=2)), False),
        (sndfile("OGG", y=sound(2.0, channels=2)), False),
        (libav("mp4"), False),
    ],
    ids=["wav", "flac", "aiff", "mp3", "ogg", "m4a"],
)
def test_samples_are_read_again_only_where_they_are_found_exactly(stored, data, can_seek):
    path = stored(data)
    kept = channel_outlines(path, name="a")
    assert kept.can_seek == can_seek
    assert len(kept.low) == 2
    if can_seek:
        assert np.array_equal(channel_samples(kept, 700, 1900), kept.low[:, 700:1900])


def test_a_file_cut_short_is_not_searched(stored):
    whole = sndfile("FLAC", y=stereo(60_000))
    assert not channel_outlines(stored(whole[: len(whole) // 2]), name="a").can_seek


def test_channels_are_not_mixed_up_in_a_lossy_format(stored):
    y = np.stack([sound(2.0)[:, 0], 0.1 * sound(2.0)[:, 0]], axis=1)
    kept = channel_outlines(stored(sndfile("MP3", y=y)), name="a")
    middle = slice(8000, 24_000)
    left, right = kept.high[:, middle].max(axis=1)
    assert left == pytest.approx(y[:, 0].max(), rel=0.05)
    assert right == pytest.approx(y[:, 1].max(), rel=0.1)


def test_samples_that_are_not_numbers_are_silent(stored):
    kept = channel_outlines(stored(wav(with_values(np.nan, np.inf, 1e30), subtype="FLOAT")), name="a")
    assert np.isfinite(kept.low).all()
    assert np.abs(kept.high).max() <= 1
    assert np.array_equal(channel_samples(kept, 0, 500), kept.low[:, :500])


def test_a_file_that_has_gone(stored):
    path = stored(wav(stereo(5000)))
    kept = channel_outlines(path, name="Interview")
    path.unlink()
    assert channel_samples(kept, 0, 10) is None
    with pytest.raises(DecodeError, match=r"^Interview is no longer there: choose it again\.$"):
        channel_outlines(path, name="Interview")


def test_progress_and_cancelling(stored):
    path = stored(wav(stereo(100_000)))
    shares: list[float] = []
    channel_outlines(path, name="a", on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)

    def stop(share: float) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        channel_outlines(path, name="a", on_progress=stop)


@pytest.mark.data
def test_a_real_recording(data_dir):
    path = min((data_dir / "librosa").glob("*.ogg"), key=lambda path: path.stat().st_size)
    y, sr = sf.read(str(path), dtype="float32", always_2d=True)
    kept = channel_outlines(path, name="a")
    assert (kept.sr, kept.n_samples, len(kept.low)) == (sr, *y.shape)
    assert kept.high.max(axis=1) == pytest.approx(y.max(axis=0), abs=1e-6)
    assert kept.low.min(axis=1) == pytest.approx(y.min(axis=0), abs=1e-6)
