"""Filters delay nothing, blocks equal the whole, noise reduction helps on real speech; each step says what it did."""

import re

import numpy as np
import pytest
import scipy.signal

from components.audio import enhance
from components.audio.enhance import (
    NoiseSettings,
    begins_at,
    difference,
    high_pass,
    normalise,
    reduce_noise,
    signal_to_noise,
    trim,
    trim_silence,
)
from components.audio.filters import band_limited, transition
from components.audio.loudness import integrated_loudness
from components.errors import Cancelled, ParameterError
from components.types import Clip, ClipSource

SR = 16000
NOISE = (0.2, 0.8)


def noise(seconds, level=0.1, sr=SR, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * sr))).astype(np.float32)


def vowel(seconds, sr=SR):
    """Bursts of harmonics of a gliding 120 Hz, after a second of silence."""
    t = np.arange(round(seconds * sr)) / sr
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t)) / sr
    y = sum(np.sin(k * phase) / k for k in range(1, 25))
    bursts = scipy.signal.sosfiltfilt(scipy.signal.butter(2, 10, output="sos", fs=sr), np.sin(2 * np.pi * 1.3 * t) > 0)
    return (0.1 * y * np.clip(bursts, 0, 1) * (t > 1)).astype(np.float32)


def snr(clean, y):
    """True signal-to-noise ratio [dB], the clean signal being known."""
    return 10 * np.log10(np.square(clean).sum() / np.square(y - clean).sum())


def filtered(y, low, high, block=1000, sr=SR):
    blocks = (y[i : i + block] for i in range(0, y.size, block))
    return np.concatenate(list(band_limited(blocks, sr, low, high)))


def level_db(y, low, high, sr=SR):
    power = np.abs(np.fft.rfft(y * np.hanning(y.size))) ** 2
    frequencies = np.fft.rfftfreq(y.size, 1 / sr)
    return 10 * np.log10(power[(frequencies >= low) & (frequencies <= high)].mean())


@pytest.mark.parametrize(("low", "high"), [(400, 1200), (80, None), (None, 3000), (25, 7900)])
def test_only_the_band_is_left_and_it_is_unchanged(low, high):
    y = noise(20)
    out = filtered(y, low, high, block=50_000)
    assert level_db(out, low or 0, high or SR / 2) == pytest.approx(level_db(y, low or 0, high or SR / 2), abs=0.1)
    for beyond in ([(0, low - transition(low))] if low else []) + ([(high + transition(high), SR / 2)] if high else []):
        assert level_db(out, *beyond) < level_db(y, *beyond) - 60


def test_a_filter_delays_nothing():
    y = noise(1)
    out = filtered(y, 400, 1200)
    assert out.size == y.size and out.dtype == np.float32
    assert np.correlate(out, y, "full").argmax() == y.size - 1


@pytest.mark.parametrize("block", [7, 4001, 100_000])
def test_filtered_blocks_equal_the_whole(block):
    y = noise(6)[:90_001]
    # The reference is convolved directly, sample by sample.
    from components.audio.filters import _taps

    whole = scipy.signal.convolve(y, _taps(SR, 300, 900), mode="same", method="direct")
    np.testing.assert_allclose(filtered(y, 300, 900, block), whole, atol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 10, 3000])
def test_a_sound_shorter_than_the_filter_keeps_its_length(n_samples):
    assert filtered(noise(1)[:n_samples], 100, None).size == n_samples


def test_a_band_as_wide_as_the_sound_changes_nothing():
    y = noise(0.1)
    for low, high in ((None, None), (0, 8000), (2, 7999)):
        np.testing.assert_array_equal(filtered(y, low, high), y)


@pytest.mark.parametrize(("low", "high"), [(900, 300), (8000, None), (9000, 10_000), (None, 0), (500, 500)])
def test_an_empty_band_is_refused_at_once(low, high):
    with pytest.raises(ParameterError):
        band_limited(iter(()), SR, low, high)


def test_high_pass_takes_the_hum_and_leaves_the_voice():
    t = np.arange(4 * SR) / SR
    hum, tone = 0.3 * np.sin(2 * np.pi * 50 * t), 0.2 * np.sin(2 * np.pi * 100 * t)
    before = Clip.from_array("interview.wav", hum + tone, SR, ClipSource("MP3", 2, 44100, 4.0))
    after = high_pass(before, 80)
    inner = slice(SR // 2, -SR // 2)
    np.testing.assert_allclose(after.y[inner], tone[inner], atol=2e-3)
    np.testing.assert_allclose(difference(before, after).y[inner], hum[inner], atol=2e-3)
    assert after.name == "interview.wav (high-pass)" and after.source == before.source
    assert after.digest != before.digest and before.history == ()
    assert "from 80 Hz on" in after.history[0] and "below 60 Hz" in after.history[0]
    assert high_pass(after, 80).name == after.name


@pytest.mark.parametrize("cutoff", [0, 5, 8000, float("nan")])
def test_high_pass_refuses_a_cutoff_out_of_range(cutoff):
    with pytest.raises(ParameterError, match="cutoff"):
        high_pass(Clip.from_array("a", noise(0.2), SR), cutoff)


def test_marked_noise_is_turned_down_and_what_was_removed_can_be_heard():
    clean = vowel(6)
    power = np.square(clean[SR:]).mean()
    before = Clip.from_array("vowel", clean + noise(6, np.sqrt(power / 10**1.3)), SR)
    after = reduce_noise(before, NOISE, NoiseSettings())
    spoken = slice(SR, None)
    assert snr(clean[spoken], before.y[spoken]) == pytest.approx(13, abs=0.2)
    assert snr(clean[spoken], after.y[spoken]) > 17
    assert signal_to_noise(after, NOISE) > signal_to_noise(before, NOISE) + 8
    removed = difference(before, after)
    np.testing.assert_allclose(removed.y + after.y, before.y, atol=1e-6)
    assert removed.name == "vowel (removed)" and after.name == "vowel (cleaned)"
    assert removed.history[0].endswith(after.history[0])
    for fact in (r"noisereduce \d", "stationary", "0.20 to 0.80 s", "strength 0.8", "1 SD", "125 Hz", "n_fft 512"):
        assert re.search(fact, after.history[0]), fact


@pytest.mark.parametrize("marked", [NOISE, None])
def test_blocks_of_noise_reduction_equal_the_whole_file(monkeypatch, marked):
    import noisereduce

    clip = Clip.from_array("vowel", vowel(25, 8000) + noise(25, 0.03, 8000), 8000)
    settings = NoiseSettings(n_fft=256)
    monkeypatch.setattr(enhance, "BLOCK_SAMPLES", 20_000)
    found = reduce_noise(clip, marked, settings)
    how = (
        {"time_constant_s": 0.5, "thresh_n_mult_nonstationary": -0.85, "sigmoid_slope_nonstationary": 5}
        if marked is None
        else {"stationary": True, "y_noise": clip.y[1600:6400], "n_std_thresh_stationary": 1.0}
    )
    whole = noisereduce.reduce_noise(
        clip.y, 8000, prop_decrease=0.8, freq_mask_smooth_hz=125, time_mask_smooth_ms=30, n_fft=256,
        chunk_size=None, padding=64 * 1000, **how,
    )  # fmt: skip
    np.testing.assert_allclose(found.y, whole, atol=1e-6 if marked else 3e-4)


@pytest.mark.data
@pytest.mark.parametrize("name", ["198-209-0000", "3436-172162-0000", "5703-47212-0000"])
def test_the_defaults_help_on_real_speech(data_dir, name):
    import soundfile
    import soxr

    y, sr = soundfile.read(data_dir / "librosa" / f"{name}.ogg", dtype="float32")
    speech = soxr.resample(y, sr, SR)[: 6 * SR]
    clean = np.concatenate([np.zeros(SR, np.float32), speech])
    for true in (5, 15):
        added = noise(7, np.sqrt(np.square(speech).mean() / 10 ** (true / 10)))
        clip = Clip.from_array(name, clean + added, SR)
        assert signal_to_noise(clip, NOISE) == pytest.approx(true, abs=1)
        for marked, gain in ((NOISE, 2.0), (None, 0.0)):
            after = reduce_noise(clip, marked, NoiseSettings())
            assert snr(speech, after.y[SR:]) > snr(speech, clip.y[SR:]) + gain


@pytest.mark.parametrize(
    ("y", "marked", "message"),
    [
        (np.zeros(SR), None, "silent"),
        (noise(0.05), None, "too short"),
        (noise(1), (0.2, 0.25), "at least 0.1 s"),
        (noise(1), (0.5, 1.5), "mark a stretch inside"),
        (noise(1), (0.8, 0.2), "mark a stretch inside"),
        (np.concatenate([np.zeros(SR), noise(1)]), (0.2, 0.8), "digital silence"),
    ],
)
def test_noise_reduction_says_what_it_needs(y, marked, message):
    with pytest.raises(ParameterError, match=message):
        reduce_noise(Clip.from_array("a.wav", y, SR), marked, NoiseSettings())


def test_noise_shorter_than_a_frame_is_refused():
    with pytest.raises(ParameterError, match=r"at least 0\.26 s"):
        reduce_noise(Clip.from_array("a", noise(1), SR), (0.1, 0.3), NoiseSettings(n_fft=4096))


@pytest.mark.parametrize("wrong", [{"strength": 0}, {"strength": 1.1}, {"n_fft": 10}, {"time_smooth_ms": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        NoiseSettings(**wrong)


@pytest.mark.parametrize("sr", [8000, 44100])
def test_any_smoothing_works_at_any_rate_and_silence_stays_silent(sr):
    y = np.concatenate([noise(1, 0.01, sr), np.zeros(sr, np.float32)])
    for marked in ((0.2, 0.8), None):
        settings = NoiseSettings(freq_smooth_hz=0, time_smooth_ms=0, strength=1)
        out = reduce_noise(Clip.from_array("a", y, sr), marked, settings).y
        assert out.size == y.size and np.isfinite(out).all()
        assert np.abs(out[round(1.2 * sr) :]).max() < 1e-6


@pytest.mark.parametrize(("level", "target"), [(0.02, -23), (0.2, -30), (0.05, -20)])
def test_normalising_reaches_the_target(level, target):
    import pyloudnorm

    clip = Clip.from_array("a", noise(3, level), SR)
    after = normalise(clip, target)
    assert pyloudnorm.Meter(SR).integrated_loudness(after.y.astype(np.float64)) == pytest.approx(target, abs=0.1)
    assert f"to {target:.1f} LUFS" in after.history[0] and "not reached" not in after.history[0]
    gain = after.y[5] / clip.y[5]
    np.testing.assert_allclose(after.y, clip.y * gain, rtol=1e-5)


def test_the_peak_holds_the_gain_back_and_the_history_says_so():
    y = noise(3, 0.01)
    y[SR] = 0.5
    after = normalise(Clip.from_array("a", y, SR), -20, peak_dbfs=-1)
    assert np.abs(after.y).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    reached = integrated_loudness([after.y], SR)
    assert reached < -25
    assert f"to {reached:.1f} LUFS" in after.history[0] and "target of -20 LUFS was not reached" in after.history[0]


@pytest.mark.parametrize(("y", "message"), [(np.zeros(SR), "silent"), (noise(0.2), "at least 0.4 s")])
def test_what_has_no_loudness_cannot_be_normalised(y, message):
    with pytest.raises(ParameterError, match=message):
        normalise(Clip.from_array("a", y, SR))


def test_trimming_is_exact_and_says_where_it_began():
    clip = Clip.from_array("a", noise(3), SR)
    once = trim(clip, 0.5, 2.5)
    np.testing.assert_array_equal(once.y, clip.y[8000:40000])
    twice = trim(once, 0.25, 1.0)
    np.testing.assert_array_equal(twice.y, clip.y[12000:24000])
    assert twice.history == (
        "Trimmed to 0.500 to 2.500 s of 3.000 s (samples 8000 to 40000).",
        "Trimmed to 0.250 to 1.000 s of 2.000 s (samples 4000 to 16000).",
    )
    assert twice.name == "a (trimmed)" and once.digest != twice.digest
    assert begins_at(clip, twice) == 0.75 and begins_at(once, twice) == 0.25
    assert begins_at(clip, high_pass(clip, 100)) == 0
    with pytest.raises(ParameterError, match="mark a stretch inside"):
        trim(clip, 2, 4)


def test_silence_at_both_ends_goes_and_pauses_stay():
    y = np.zeros(5 * SR)
    y[SR : 2 * SR] = y[3 * SR : 4 * SR] = noise(1)
    y += noise(5, 1e-4, seed=1)
    clip = Clip.from_array("a", y, SR)
    after = trim_silence(clip)
    assert begins_at(clip, after) == pytest.approx(0.9) and after.duration == pytest.approx(3.2)
    assert trim_silence(clip, keep_s=0).duration == pytest.approx(3.0)
    assert trim_silence(clip, -90).y.size == clip.y.size
    with pytest.raises(ParameterError, match="lower threshold"):
        trim_silence(clip, -10)


def test_a_difference_needs_the_same_length_and_level():
    clip = Clip.from_array("a", noise(2), SR)
    with pytest.raises(ParameterError, match="length"):
        difference(clip, trim(clip, 0, 1))
    with pytest.raises(ParameterError, match="level"):
        difference(clip, high_pass(normalise(clip, -30), 80))
    normal = normalise(clip, -30)
    assert difference(normal, high_pass(normal, 80)).history[0] == normal.history[0]


def test_the_signal_to_noise_ratio_of_a_known_mixture():
    t = np.arange(4 * SR) / SR
    tone = np.where(t >= 1, 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 440 * t), 0)
    clip = Clip.from_array("a", tone + noise(4, 0.1 / np.sqrt(10)), SR)
    assert signal_to_noise(clip, (0, 1)) == pytest.approx(10, abs=0.2)
    # Without a mark the second without the tone counts as part of the sound.
    assert signal_to_noise(clip, None) == pytest.approx(10 + 10 * np.log10(3 / 4), abs=0.8)


def test_the_signal_to_noise_ratio_at_its_limits():
    silent_start = Clip.from_array("a", np.concatenate([np.zeros(SR), noise(1)]), SR)
    assert signal_to_noise(silent_start, (0, 1)) == np.inf
    assert signal_to_noise(silent_start, (1, 2)) == -np.inf
    with pytest.raises(ParameterError, match="whole clip"):
        signal_to_noise(silent_start, (0, 2))
    with pytest.raises(ParameterError, match="silent"):
        signal_to_noise(Clip.from_array("a", np.zeros(SR), SR), None)


@pytest.fixture
def hour(tmp_path):
    """An hour at 8 kHz in a file: a noise of a second, again and again."""
    path = tmp_path / "hour.f32"
    second = noise(1, 0.05, 8000)
    with path.open("wb") as file:
        for _ in range(60):
            file.write(np.tile(second, 60).data)
    samples = np.memmap(path, np.float32, "r")
    return Clip("hour", samples, 8000, "digest of an hour", ClipSource("WAV", 1, 8000, 3600.0))


def test_an_hour_is_filtered_in_a_file_and_in_constant_memory(hour, tmp_path):
    import tracemalloc

    folder = tmp_path / "made"
    folder.mkdir()
    shares = []
    high_pass(hour.section(0, 1), 100)  # so that libraries are not counted
    tracemalloc.start()
    after = high_pass(hour, 100, folder=folder, on_progress=shares.append)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The store of the first ten minutes is set aside (8000 * 600 * 4 bytes), never written.
    assert most < hour.y.nbytes / 3
    assert isinstance(after.y, np.memmap) and after.y.size == hour.y.size
    assert shares == sorted(shares) and shares[-1] == 1
    assert [path.parent for path in folder.rglob("*.f32")] == [folder]
    part = high_pass(hour.section(1700, 1702), 100)
    np.testing.assert_allclose(after.read(1701 * 8000, 1701 * 8000 + 800), part.y[8000:8800], atol=1e-4)
    del after
    assert not list(folder.iterdir())


def test_work_that_is_cancelled_leaves_no_file(hour, tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()

    def stop(share):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        reduce_noise(hour, (0, 1), NoiseSettings(), folder=folder, on_progress=stop)
    assert not list(folder.iterdir())
