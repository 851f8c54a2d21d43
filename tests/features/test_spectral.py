"""Spectral features against librosa on the whole signal, and against physics."""

import librosa
import numpy as np
import pytest

from components.errors import ParameterError
from components.features import spectral
from components.types import Clip, FrameParams

SR = 22050
PARAMS = [
    FrameParams(),
    FrameParams(512, 700),
    FrameParams(2048, 512, 1000),
    FrameParams(1024, 1024, window="hamming"),
]


def noise(n: int) -> Clip:
    return Clip.from_array("noise", np.random.default_rng(0).normal(scale=0.1, size=n), SR)


def tone(frequency: float, seconds: float = 1.0, amplitude: float = 0.5, sr: int = SR) -> Clip:
    t = np.arange(int(seconds * sr)) / sr
    return Clip.from_array("tone", amplitude * np.sin(2 * np.pi * frequency * t), sr)


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")  # librosa's, about the shortest signals
@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("n", [1, 50, 511, 4999, 70000])
def test_power_equals_librosa(n, params):
    clip = noise(n)
    want = np.abs(librosa.stft(
        clip.y, n_fft=params.n_fft, hop_length=params.hop_length, win_length=params.win_length,
        window=params.window, pad_mode="constant",
    )) ** 2  # fmt: skip
    got = spectral.power_spectrogram(clip, params)
    assert got.values.shape == want.shape
    np.testing.assert_allclose(got.values, want, atol=1e-5 * want.max())


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("block", [1, 100, 1023, 5000])
def test_the_size_of_the_blocks_does_not_matter(block, params):
    clip = noise(6000)
    whole = np.concatenate(list(spectral.power_blocks([clip.y], params)))
    parts = np.concatenate(list(spectral.power_blocks(clip.blocks(block), params)))
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_mel_and_mfcc_equal_librosa():
    clip = noise(SR)
    params = FrameParams(n_mels=40, n_mfcc=20, fmin=50, fmax=8000)
    S = librosa.feature.melspectrogram(
        y=clip.y, sr=SR, n_fft=1024, hop_length=256, n_mels=40, fmin=50, fmax=8000, pad_mode="constant"
    )
    np.testing.assert_allclose(spectral.mel_spectrogram(clip, params).values, S, rtol=1e-4, atol=1e-8)
    want = librosa.feature.mfcc(S=librosa.power_to_db(S, top_db=None, amin=1e-12), n_mfcc=20)
    np.testing.assert_allclose(spectral.mfcc(clip, params).values, want, atol=2e-3)


def test_rms_zero_crossings_and_centroid_equal_librosa():
    clip = noise(SR)
    params = FrameParams()
    frame = {"frame_length": 1024, "hop_length": 256}
    np.testing.assert_allclose(
        spectral.rms(clip, params).values, librosa.feature.rms(y=clip.y, pad_mode="constant", **frame), rtol=1e-5
    )
    inner = slice(3, -3)  # librosa pads zero crossings with the edge's sample
    np.testing.assert_allclose(
        spectral.zero_crossing_rate(clip, params).values[:, inner],
        librosa.feature.zero_crossing_rate(clip.y, **frame)[:, inner],
        atol=2 / 1024,
    )
    np.testing.assert_allclose(
        spectral.spectral_centroid(clip, params).values,
        librosa.feature.spectral_centroid(y=clip.y, sr=SR, n_fft=1024, hop_length=256, pad_mode="constant"),
        rtol=1e-4,
    )


def test_bandwidth_rolloff_and_flatness_equal_librosa():
    y = noise(SR).y * np.sin(np.arange(SR) / 3000).astype(np.float32) ** 4  # loud and soft frames
    clip = Clip.from_array("noise", y, SR)
    frame = {"n_fft": 1024, "hop_length": 256, "pad_mode": "constant"}
    for make, want in (
        (spectral.spectral_bandwidth, librosa.feature.spectral_bandwidth(y=y, sr=SR, **frame)),
        (spectral.spectral_rolloff, librosa.feature.spectral_rolloff(y=y, sr=SR, **frame)),
        (spectral.spectral_flatness, librosa.feature.spectral_flatness(y=y, **frame)),
    ):
        np.testing.assert_allclose(make(clip, FrameParams()).values, want, rtol=1e-3)


@pytest.mark.data
def test_features_of_real_clips_equal_librosa(data_dir):
    import soundfile

    frame = {"n_fft": 1024, "hop_length": 256, "pad_mode": "constant"}
    for path in sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::100]:
        y, sr = soundfile.read(path, dtype="float32")
        clip = Clip.from_array(path.name, y, sr)
        for make, want in (
            (spectral.spectral_centroid, librosa.feature.spectral_centroid(y=y, sr=sr, **frame)),
            (spectral.spectral_bandwidth, librosa.feature.spectral_bandwidth(y=y, sr=sr, **frame)),
            (spectral.spectral_rolloff, librosa.feature.spectral_rolloff(y=y, sr=sr, **frame)),
            (spectral.spectral_flatness, librosa.feature.spectral_flatness(y=y, **frame)),
        ):
            got = make(clip, FrameParams()).values
            close = np.isclose(got, want, rtol=1e-3, atol=1e-6)
            # Where the sum comes to 85 % exactly between two bins, float32 may decide for the next one.
            assert close.mean() > 0.995
            assert np.abs(got - want).max() <= max(1e-3 * np.abs(want).max(), sr / 1024 + 1)


def test_tones_are_narrow_and_noise_is_flat():
    steady = slice(4, -4)
    pure, hiss = tone(3000), noise(SR)
    assert spectral.spectral_flatness(pure, FrameParams()).values[0, steady].max() < 0.01
    assert spectral.spectral_flatness(hiss, FrameParams()).values[0, steady].min() > 0.4
    assert spectral.spectral_rolloff(pure, FrameParams()).values[0, steady] == pytest.approx(3000, abs=2 * SR / 1024)
    assert np.median(spectral.spectral_rolloff(hiss, FrameParams()).values) == pytest.approx(0.85 * SR / 2, rel=0.02)
    # Evenly spread from 0 to sr / 2: the standard deviation of a rectangle.
    spread = np.median(spectral.spectral_bandwidth(hiss, FrameParams()).values)
    assert spread == pytest.approx(SR / 2 / np.sqrt(12), rel=0.03)
    silence = Clip.from_array("silence", np.zeros(SR), SR)
    assert not spectral.spectral_rolloff(silence, FrameParams()).values.any()
    assert not spectral.spectral_bandwidth(silence, FrameParams()).values.any()
    assert spectral.spectral_flatness(silence, FrameParams()).values == pytest.approx(1, abs=1e-5)


def test_the_gaussian_window_is_as_wide_as_praat_says():
    """A window that Praat calls 30 ms long spans 60 ms and has a bandwidth of 1.2983 / 0.03 s = 43 Hz at -3 dB."""
    params = FrameParams(n_fft=65536, win_length=round(0.06 * SR), window="gaussian")
    window = spectral.fft_window(params)
    power = np.abs(np.fft.rfft(window)) ** 2
    half = np.flatnonzero(power < power[0] / 2)[0] * SR / 65536
    assert 2 * half == pytest.approx(1.2983 / 0.03, rel=0.02)
    assert abs(int(window.argmax()) - 32768) <= 1  # the frame's centre
    assert window.max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("window", [*spectral.WINDOWS, "nuttall"])
def test_a_full_scale_sine_is_0_db_under_every_window(window):
    params = FrameParams(1024, 256, window=window)
    peak = spectral.power_spectrogram(tone(SR / 1024 * 40, amplitude=1.0), params).values[:, 10:-10].max()
    assert 10 * np.log10(peak / spectral.full_scale_power(params)) == pytest.approx(0, abs=0.01)


def test_an_unknown_window_is_named():
    with pytest.raises(ParameterError, match="hamming"):
        spectral.power_spectrogram(noise(2000), FrameParams(window="round"))


@pytest.mark.parametrize("frequency", [110, 440, 3000])
def test_a_sine_has_its_centroid_its_peak_its_level_and_its_crossings_where_it_is(frequency):
    clip = tone(frequency, amplitude=0.5)
    params = FrameParams(4096, 1024)
    inner = slice(4, -4)
    assert np.median(spectral.spectral_centroid(clip, params).values[0, inner]) == pytest.approx(frequency, rel=0.05)
    power = spectral.power_spectrogram(clip, params)
    peak = power.bins[power.values[:, inner].mean(axis=1).argmax()]
    assert peak == pytest.approx(frequency, abs=SR / 4096)
    assert np.median(spectral.rms(clip, params).values) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    crossings = np.median(spectral.zero_crossing_rate(clip, params).values[0, inner])
    assert crossings * SR / 2 == pytest.approx(frequency, rel=0.02, abs=4)


def test_full_scale_is_0_db():
    params = FrameParams(1024, 256)
    on_a_bin = tone(SR / 1024 * 40, amplitude=1.0)
    peak = spectral.power_spectrogram(on_a_bin, params).values[:, 10:-10].max()
    assert 10 * np.log10(peak / spectral.full_scale_power(params)) == pytest.approx(0, abs=0.01)


def test_silence_has_no_centroid_and_the_floor_as_its_level():
    clip = Clip.from_array("silence", np.zeros(SR), SR)
    assert not spectral.spectral_centroid(clip, FrameParams()).values.any()
    assert np.isfinite(spectral.mfcc(clip, FrameParams()).values).all()


def test_a_ramp_has_a_delta_of_its_slope():
    feature = spectral.rms(noise(SR), FrameParams())
    ramp = type(feature)(
        "ramp", np.arange(feature.times.size)[None] * 0.5, feature.times, feature.bins, "", "", feature.params
    )
    np.testing.assert_allclose(spectral.delta(ramp).values[0, 5:-5], 0.5, rtol=1e-5)
    np.testing.assert_allclose(spectral.delta(ramp, order=2).values[0, 5:-5], 0, atol=1e-5)


@pytest.mark.parametrize("make", [spectral.mfcc, spectral.rms, spectral.power_spectrogram, spectral.spectral_bandwidth])
@pytest.mark.parametrize("t0,t1", [(0.0, 0.4), (1.23, 1.5), (2.5, 3.0)])
def test_a_part_has_the_frames_of_the_whole(make, t0, t1):
    clip = noise(3 * SR)
    params = FrameParams(1024, 300)
    whole, part = make(clip, params), spectral.of_view(make, clip, t0, t1, params)
    first = int(np.argmin(np.abs(whole.times - part.times[0])))
    assert part.times[0] <= t0 + 300 / SR
    assert part.times[-1] >= t1 - 300 / SR
    np.testing.assert_allclose(whole.times[first : first + part.times.size], part.times, atol=1e-9)
    wanted = whole.values[:, first : first + part.times.size]
    np.testing.assert_allclose(part.values, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
