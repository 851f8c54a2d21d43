import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from components.errors import ParameterError
from components.exports import sound
from components.exports.sound import flac_bytes, wav_bytes, wav_holds, write_sound

ALL_16 = (np.arange(-32768, 32768) / 32768).astype(np.float32)
NOISE = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)


def read(data: bytes | Path) -> tuple[np.ndarray, int]:
    y, sr = sf.read(io.BytesIO(data) if isinstance(data, bytes) else str(data), dtype="float32")
    return y, sr


@pytest.mark.parametrize("write", [wav_bytes, flac_bytes])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_every_16_bit_sample_comes_back_as_it_was(write: Any, subtype: str) -> None:
    data, clipped = write(ALL_16, 16000, subtype)
    y, sr = read(data)
    assert sr == 16000 and clipped == 0
    assert np.array_equal(y, ALL_16)
    assert sf.info(io.BytesIO(data)).subtype == subtype


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24)])
def test_other_samples_are_at_most_half_a_step_off(subtype: Any, bits: int) -> None:
    y, _ = read(wav_bytes(NOISE, 8000, subtype)[0])
    error = np.abs(y.astype(np.float64) - NOISE)
    assert error.max() <= 2.0**-bits


def test_float_is_exact_and_clips_nothing() -> None:
    loud = NOISE * 3
    data, clipped = wav_bytes(loud, 44100, "FLOAT")
    assert clipped == 0 and np.array_equal(read(data)[0], loud)


def test_clipping_is_counted() -> None:
    loud = np.array([0.5, 1.0, 1.5, -1.0, -2.0, np.nan, np.inf], np.float32)
    data, clipped = wav_bytes(loud, 8000)
    assert clipped == 4
    full = 32767 / 32768
    assert read(data)[0].tolist() == [0.5, pytest.approx(full), pytest.approx(full), -1, -1, 0, 0]
    data, clipped = wav_bytes(loud, 8000, "FLOAT")
    assert clipped == 2 and np.array_equal(read(data)[0], np.array([0.5, 1, 1.5, -1, -2, 0, 0], np.float32))


@pytest.mark.parametrize("format", ["WAV", "FLAC", "RF64", "W64"])
def test_a_stream_of_stereo_blocks_comes_back(format: Any, tmp_path: Path) -> None:
    stereo = np.stack([ALL_16, ALL_16[::-1]], axis=1)
    path = tmp_path / "x"
    blocks = (stereo[start : start + 999] for start in range(0, len(stereo), 999))
    assert write_sound(blocks, 22050, 2, path, format) == 0
    assert np.array_equal(read(path)[0], stereo)
    found = sf.info(str(path))
    assert (found.format, found.samplerate, found.channels) == (format, 22050, 2)


def test_what_is_too_long_for_a_wav_file_is_refused_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wav_holds(24 * 3600 * 12000, 1, "PCM_16") and not wav_holds(24 * 3600 * 48000, 1, "PCM_16")
    monkeypatch.setattr(sound, "WAV_LIMIT", 1500)
    blocks = [NOISE[:500], NOISE[:500]]
    with pytest.raises(ParameterError, match="choose RF64 or FLAC"):
        write_sound(blocks, 8000, 1, tmp_path / "x.wav")
    assert write_sound(blocks, 8000, 1, tmp_path / "x.rf64", "RF64") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.rf64"]


def test_one_sentence_for_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="choose 16 or 24 bits"):
        flac_bytes(NOISE, 8000, "FLOAT")
    with pytest.raises(ParameterError, match="no sound to save"):
        wav_bytes(NOISE[:0], 8000)
    with pytest.raises(ParameterError, match="9 channels could not be written"):
        write_sound([np.zeros((10, 9), np.float32)], 8000, 9, tmp_path / "x.flac", "FLAC")
    assert not list(tmp_path.iterdir())


def test_a_stopped_export_leaves_no_file(tmp_path: Path) -> None:
    def stopped() -> Iterator[np.ndarray]:
        yield NOISE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sound(stopped(), 8000, 1, tmp_path / "x.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.data
def test_real_recordings_come_back_sample_for_sample(data_dir: Path) -> None:
    for path in sorted((data_dir / "fsdd").glob("*_0.wav"))[:10]:
        y, sr = read(path)
        for write in (wav_bytes, flac_bytes):
            again, sr_again = read(write(y, sr)[0])
            assert sr_again == sr and np.array_equal(again, y)
