"""Resampling in a stream equals resampling at once; items made ahead are the same items, and their thread ends."""

import threading

import numpy as np
import pytest
import soxr

from components.audio.transform import ahead, resample, resampled_blocks
from components.types import Clip


def clip(sr: int, seconds: float = 3.0, frequency: float = 440.0) -> Clip:
    t = np.arange(int(sr * seconds)) / sr
    return Clip.from_array("tone", 0.5 * np.sin(2 * np.pi * frequency * t), sr)


@pytest.mark.parametrize(("sr_in", "sr_out"), [(44100, 16000), (8000, 16000), (16000, 16000), (48000, 8000)])
@pytest.mark.parametrize("block_s", [0.01, 0.37, 10])
def test_blocks_equal_the_whole(sr_in, sr_out, block_s):
    source = clip(sr_in)
    whole = source.y if sr_in == sr_out else soxr.resample(source.y, sr_in, sr_out, quality="HQ")
    blocks = np.concatenate(list(resampled_blocks(source, sr_out, block_s)))
    assert abs(blocks.size - whole.size) <= 1
    n = min(blocks.size, whole.size)
    np.testing.assert_allclose(blocks[:n], whole[:n], atol=1e-4)


def test_a_tone_stays_where_it_is():
    y = resample(clip(44100), 16000)
    spectrum = np.abs(np.fft.rfft(y * np.hanning(y.size)))
    assert np.fft.rfftfreq(y.size, 1 / 16000)[spectrum.argmax()] == pytest.approx(440, abs=1)


def test_what_is_above_half_the_new_rate_is_gone():
    assert np.abs(resample(clip(44100, frequency=6000), 8000)[400:-400]).max() < 1e-3


def test_one_sample_is_enough():
    assert resample(Clip.from_array("a", np.ones(1), 192_000), 8000).size >= 1


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "ahead"]


def test_items_come_in_order_and_the_thread_ends():
    assert list(ahead(iter(range(1000)), depth=3)) == list(range(1000))
    assert not threads()


def test_an_error_in_the_making_arrives_after_what_was_made():
    def broken():
        yield 1
        raise OSError("gone")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="gone"):
        next(items)
    assert not threads()


def test_stopping_early_stops_the_making():
    made = []
    items = ahead((made.append(i) or i for i in range(10**9)), depth=2)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert not threads()
    assert len(made) <= 6
