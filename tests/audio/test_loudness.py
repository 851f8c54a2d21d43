"""Loudness against the EBU's own cases and against pyloudnorm."""

import numpy as np
import pyloudnorm
import pytest

from components.audio import loudness
from components.errors import ParameterError
from components.types import Clip

SR = 48000


def sine(level: float, seconds: float, sr: int = SR, hz: float = 1000.0) -> np.ndarray:
    """A sine with its peak at `level` [dB re full scale]."""
    return (10 ** (level / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr)).astype(np.float32)


def test_the_filter_is_the_printed_one_at_48_khz():
    shelf, high_pass = loudness.k_weighting(48000)
    assert shelf == pytest.approx(
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585], abs=1e-8
    )
    assert high_pass == pytest.approx([1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-8)


def test_ebu_sines_read_their_level():
    """EBU Tech 3341, cases 1 and 2: a stereo sine of 1 kHz at -23 (-33) dBFS is -23 (-33) LUFS, one channel 3 less."""
    for level in (-23, -33):
        y = sine(level, 3)
        assert loudness.integrated_loudness([np.stack([y, y], axis=1)], SR) == pytest.approx(level, abs=0.02)
        assert loudness.integrated_loudness([y], SR) == pytest.approx(level - 3.01, abs=0.02)


def test_ebu_gating():
    """EBU Tech 3341, case 3 (shortened): what is softer by more than 10 LU does not count; nor does silence."""
    y = np.concatenate([sine(-36, 2), sine(-23, 12), sine(-36, 2), np.zeros(4 * SR, np.float32)])
    stereo = np.stack([y, y], axis=1)
    assert loudness.integrated_loudness([stereo], SR) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("sr", [8000, 11025, 16000, 22050, 44100, 48000])
def test_made_sounds_equal_pyloudnorm(sr):
    rng = np.random.default_rng(0)
    meter = pyloudnorm.Meter(sr)
    t = np.arange(round(5.3 * sr)) / sr
    sounds = (
        rng.normal(0, 0.05, t.size),
        rng.normal(0, 0.1, t.size) * (np.sin(t * 3) > 0),
        0.1 * np.sin(2 * np.pi * 60 * t),
        0.1 * np.sin(2 * np.pi * 3000 * t) + 0.05 * np.sin(2 * np.pi * 200 * t),
    )
    for y in sounds:
        y = y.astype(np.float32)
        got = loudness.integrated_loudness([y], sr)
        assert got == pytest.approx(meter.integrated_loudness(y.astype(np.float64)), abs=0.1)


@pytest.mark.data
def test_real_clips_equal_pyloudnorm(data_dir):
    import soundfile

    paths = [
        *sorted((data_dir / "fsdd").glob("*.wav"))[::500],
        *sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::150],
        *sorted((data_dir / "esc10").glob("*/*.ogg"))[::80],
    ]
    checked = 0
    for path in paths:
        y, sr = soundfile.read(path)
        # Whole steps of 100 ms: a last, incomplete block is left out by BS.1770 and filled with silence by pyloudnorm.
        y = y[: y.size * 10 // sr * sr // 10]
        want = pyloudnorm.Meter(sr).integrated_loudness(y) if y.size > 0.4 * sr else -np.inf
        if np.isfinite(want):
            assert loudness.integrated_loudness([y], sr) == pytest.approx(want, abs=0.1), path.name
            checked += 1
    assert checked >= 6


@pytest.mark.parametrize("sr", [8000, 11025])
def test_blocks_of_any_size_give_the_same(sr):
    y = np.random.default_rng(0).normal(0, 0.1, 3 * sr + 7)
    whole = loudness.integrated_loudness([y], sr)
    for size in (1000, sr // 10, sr // 10 + 1, 9999):
        blocks = (y[i : i + size] for i in range(0, y.size, size))
        assert loudness.integrated_loudness(blocks, sr) == pytest.approx(whole, abs=1e-9)


def test_silence_short_clips_and_low_rates():
    assert loudness.integrated_loudness([np.zeros(SR)], SR) == -np.inf
    assert np.isnan(loudness.integrated_loudness([np.ones(SR // 10)], SR))
    assert np.isnan(loudness.integrated_loudness([], SR))
    assert np.isnan(loudness.loudness_range([np.zeros(4 * SR)], SR))
    with pytest.raises(ParameterError, match="4000 Hz"):
        loudness.integrated_loudness([np.ones(2000)], 2000)
    assert loudness.loudness_track(Clip.from_array("short", np.ones(10), SR)).times.size == 0


def test_ebu_loudness_range():
    """EBU Tech 3342, cases 1 and 2: 20 s each at two levels that lie 10 (5) LU apart."""
    for low, want in ((-30, 10), (-25, 5)):
        y = np.concatenate([sine(-20, 20, 8000), sine(low, 20, 8000)])
        assert loudness.loudness_range([np.stack([y, y], axis=1)], 8000) == pytest.approx(want, abs=1)


def test_a_track_follows_the_sound():
    sr = 8000
    y = np.concatenate([np.zeros(2 * sr), sine(-20, 5, sr), sine(-40, 5, sr)])
    track = loudness.loudness_track(Clip.from_array("steps", y, sr))
    momentary, short_term = track.values
    assert track.times[0] == pytest.approx(0.2)
    assert np.diff(track.times) == pytest.approx(0.1)
    assert track.times[-1] == pytest.approx(11.8)
    at = {t: int(np.abs(track.times - t).argmin()) for t in (1.0, 1.5, 4.5, 6.8, 7.2, 9.5, 10.5)}
    assert np.isnan(momentary[at[1.0]])  # digital silence
    assert momentary[at[4.5]] == pytest.approx(loudness.integrated_loudness([sine(-20, 2, sr)], sr), abs=0.05)
    assert momentary[at[6.8]] - momentary[at[7.2]] == pytest.approx(20, abs=0.1)
    assert short_term[at[4.5]] - short_term[at[9.5]] == pytest.approx(20, abs=0.1)
    assert np.isnan(short_term[:12]).all()  # the window would begin before the clip
    assert np.isfinite(short_term[at[10.5]])
    assert "mono mix" in track.method
