from itertools import pairwise

import librosa
import numpy as np
import pytest

from components.errors import ParameterError
from components.features import picture as p
from components.features.music import chroma
from components.features.spectral import delta, full_scale_power, mel_spectrogram, mfcc, power_spectrogram
from components.types import Clip, FrameParams
from components.units import power_to_db

SR = 16000
PARAMS = FrameParams()
RANGES = [(0.0, 10.0), (3.0, 9.0), (4.9, 6.1), (5.2, 5.3)]


def clip_of(y: np.ndarray, sr: int = SR) -> Clip:
    return Clip.from_array("test", y.astype(np.float32), sr)


def tone(hz: float, seconds: float = 10, amplitude: float = 1.0) -> Clip:
    return clip_of(amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * SR)) / SR))


def noise(seconds: float = 10) -> Clip:
    return clip_of(np.random.default_rng(1).normal(0, 0.1, round(seconds * SR)))


@pytest.mark.parametrize("t", RANGES)
@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_a_tone_is_in_the_row_of_its_frequency_and_at_full_scale(t, scale):
    for hz in (101.0, 440.0, 3210.0):
        made = p.picture(tone(hz), *t, PARAMS, scale=scale)
        row = np.searchsorted(made.edges, hz, "right") - 1
        middle = made.z[:, made.z.shape[1] // 2]
        assert middle[row] == middle.max()
        assert -2 <= middle[row] <= 0  # a Hann window loses at most 1.42 dB between two bins


@pytest.mark.parametrize("t", RANGES)
@pytest.mark.parametrize("hop", [64, 200])
def test_a_click_is_in_the_column_that_covers_it(t, hop):
    y = np.zeros(10 * SR)
    y[round(5.2345 * SR)] = 1
    params = FrameParams(n_fft=256, hop_length=hop)
    made = p.picture(clip_of(y), *t, params)
    loud = made.z.max(axis=0).astype(int)
    # A column is loudest where its frames' centres come nearest: at most half a column or half a hop away.
    column = np.flatnonzero(loud == loud.max()).mean()
    slack = max(made.dx, made.params.hop_length / SR) / 2 + 1e-9
    assert abs(made.x0 + column * made.dx - 5.2345) <= slack


@pytest.mark.parametrize("t", RANGES)
@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_cells_stay_within_the_limits(t, scale):
    made = p.picture(noise(), *t, PARAMS, scale=scale)
    assert made.z.dtype == np.int8
    assert made.z.shape[0] <= 256
    assert made.z.shape[1] <= 1000
    assert made.edges.size == made.z.shape[0] + 1
    # The columns cover the range.
    assert made.x0 - made.dx / 2 <= t[0]
    assert made.x0 + (made.z.shape[1] - 0.5) * made.dx >= t[1] - made.params.hop_length / SR


def test_columns_are_the_maximum_of_the_true_frames():
    clip = noise()
    S = power_to_db(power_spectrogram(clip, PARAMS).values, full_scale_power(PARAMS))
    made = p.picture(clip, 2, 9, PARAMS, columns=150, rows=513)
    k0 = int(np.floor(2 * SR / 256))
    group = round(made.dx * SR / 256)
    for j in (0, 1, 17, 100):
        truth = S[:, k0 + j * group : k0 + (j + 1) * group].max(axis=1)
        rows = np.minimum(np.arange(512), 511)
        # Row r of a linear scale lies between bins r and r + 1 and overlaps both.
        expected = np.rint(np.maximum(truth[rows], truth[rows + 1]))
        assert np.abs(made.z[:, j] - expected).max() <= 1


def test_frames_at_the_edge_of_a_view_hear_what_lies_beyond_it():
    clip = noise()
    whole = p.picture(clip, 0, 10, PARAMS, columns=10_000)
    part = p.picture(clip, 4, 8, PARAMS, columns=10_000)
    first = round((part.x0 - whole.x0) / whole.dx)
    assert whole.dx == part.dx
    assert np.abs(whole.z[:, first : first + part.z.shape[1]].astype(int) - part.z).max() <= 1


def test_the_hop_suits_the_range():
    # The hop by a whole number, so that the frames asked for are among the ones shown.
    assert p.view_params(PARAMS, SR * 3, 1000).hop_length == 128
    assert p.view_params(PARAMS, SR * 10, 1000).hop_length == 256
    assert p.view_params(PARAMS, SR * 3600, 1000).hop_length == 512
    assert p.view_params(PARAMS, 100, 1000).hop_length == 64
    coarse = FrameParams(hop_length=4000)
    assert p.view_params(coarse, SR * 3600, 1000).hop_length == 4000
    # The window counts, not the zeros around it: no longer than half of it, so that nothing falls between frames.
    short = FrameParams(n_fft=1024, win_length=128, hop_length=30)
    assert p.view_params(short, SR * 3600, 1000).hop_length == 60
    assert p.view_params(short, 100, 1000).hop_length == 8


def test_mel_scale_is_librosas():
    edges = p.row_edges("mel", 50, 22050.0, 200)
    assert edges[[0, -1]] == pytest.approx([50, 22050])
    assert librosa.hz_to_mel(edges) == pytest.approx(np.linspace(*librosa.hz_to_mel(edges[[0, -1]]), 201))


@pytest.mark.parametrize("y", [np.zeros(1), np.ones(1), np.zeros(800), np.zeros(SR)])
def test_silence_and_next_to_nothing(y):
    for scale in ("linear", "mel", "log"):
        made = p.picture(clip_of(y), 0, y.size / SR, PARAMS, scale=scale)
        assert made.z.size
        assert made.z.max() <= 0
    assert p.mel_picture(clip_of(y), 0, y.size / SR, PARAMS).values.shape[0] == 64


def test_an_empty_range_is_refused():
    with pytest.raises(ParameterError, match="lower limit"):
        p.picture(noise(1), 0, 1, PARAMS, fmin=9000)
    with pytest.raises(ParameterError, match="end after the start"):
        p.picture(noise(1), 1, 1, PARAMS)


def test_mel_and_mfcc_are_the_features_pooled():
    clip = noise()
    view = FrameParams()
    S = mel_spectrogram(clip, view)
    made = p.mel_picture(clip, 0, 10, view)
    assert made.values == pytest.approx(power_to_db(S.values, full_scale_power(view)), abs=0.01)
    assert made.times == pytest.approx(S.times)
    assert made.bins == pytest.approx(S.bins)
    C = mfcc(clip, view)
    assert p.mfcc_picture(clip, 0, 10, view).values == pytest.approx(C.values, abs=0.01)
    pooled = p.mfcc_picture(clip, 0, 10, view, columns=200)
    starts = np.arange(0, C.times.size, -(-C.times.size // 200))
    for j, (a, b) in enumerate(pairwise(starts)):
        assert pooled.values[:, j] == pytest.approx(C.values[:, a:b].mean(axis=1), abs=0.01)
        assert pooled.times[j] == pytest.approx(C.times[a:b].mean())


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("t", [(0.0, 3.0), (0.6, 1.9)])
def test_delta_pictures_are_the_deltas_of_the_whole(order, t):
    clip = noise(3)
    view = FrameParams(hop_length=128)
    D = delta(mfcc(clip, view), order=order)
    made = p.mfcc_picture(clip, *t, view, delta=order, columns=2000)
    assert made.params.hop_length == (128 if t == (0.0, 3.0) else 64)
    if made.params.hop_length == 128:
        assert made.values == pytest.approx(D.values, abs=0.02)
    else:
        D = delta(mfcc(clip, made.params), order=order)
        first = round(made.times[0] * SR / 64)
        assert made.values == pytest.approx(D.values[:, first : first + made.times.size], abs=0.02)
    assert made.name == D.name


def test_a_chroma_picture_is_the_mean_of_its_frames():
    clip = noise(3)
    whole = chroma(clip, FrameParams(hop_length=128))
    made = p.chroma_picture(clip, 0, 3, FrameParams(hop_length=128), columns=100)
    group = -(-whole.times.size // 100)
    assert made.values[:, 7] == pytest.approx(whole.values[:, 7 * group : 8 * group].mean(axis=1), abs=1e-4)
    assert made.times[7] == pytest.approx(whole.times[7 * group : 8 * group].mean())


def test_constant_q_is_librosas():
    """Levels are librosa's as whole decibels, where there is more than the floor, on a stretch of the middle."""
    y = noise(4).y * np.linspace(0.1, 1, 4 * SR, dtype=np.float32)
    made = p.picture(clip_of(y), 1.5, 2.5, FrameParams(), scale="constant-q")
    hop = made.params.hop_length
    centres = np.sqrt(made.edges[1:] * made.edges[:-1])
    C = librosa.cqt(y, sr=SR, hop_length=hop, fmin=centres[0], n_bins=centres.size, bins_per_octave=24, tuning=0.0)
    lengths, _ = librosa.filters.wavelet_lengths(
        freqs=centres, sr=SR, alpha=np.full(centres.size, (2 ** (1 / 12) - 1) / (2 ** (1 / 12) + 1))
    )
    first = round(made.x0 * SR / hop)
    want = 20 * np.log10(2 * np.abs(C) / np.sqrt(lengths)[:, None])[:, first : first + made.z.shape[1]]
    assert round(made.dx * SR) == hop
    difference = np.abs(made.z - want)[want > -80]
    assert np.quantile(difference, 0.999) <= 0.6
    assert difference.max() < 2  # in the dips between two partials float32 shows


@pytest.mark.parametrize("bins", [24, 36])
def test_constant_q_has_440_hz_in_its_row_at_full_scale(bins):
    made = p.picture(tone(440, 2), 0, 2, PARAMS, scale="constant-q", bins_per_octave=bins)
    row = np.searchsorted(made.edges, 440) - 1
    middle = made.z[:, made.z.shape[1] // 2]
    assert (middle.argmax(), middle[row]) == (row, 0)
    assert np.sqrt(made.edges[row] * made.edges[row + 1]) == pytest.approx(440)
    assert made.edges[1:] / made.edges[:-1] == pytest.approx(2 ** (1 / bins))
    assert made.edges[0] < 32.71 < made.edges[1]
    assert made.edges[-1] < SR / 2
    assert made.z.size <= 256 * 1000


def test_constant_q_shows_a_click_where_it_is_across_its_blocks(monkeypatch):
    monkeypatch.setattr(p, "CONSTANT_Q_FRAMES", 40)
    y = np.zeros(2 * SR)
    y[round(1.2345 * SR)] = 1
    made = p.picture(clip_of(y), 0.5, 2, PARAMS, scale="constant-q", fmin=1000)
    column = made.z[-5:].astype(int).max(axis=0).argmax()
    assert abs(made.x0 + column * made.dx - 1.2345) <= made.dx


def test_constant_q_says_what_it_cannot_do():
    long = Clip.from_array("long", np.zeros(601 * 100, np.float32), 100)
    with pytest.raises(ParameterError, match="zoom in"):
        p.picture(long, 0, 601, PARAMS, scale="constant-q")
    with pytest.raises(ParameterError, match="12 to 60"):
        p.picture(noise(1), 0, 1, PARAMS, scale="constant-q", bins_per_octave=6)
    with pytest.raises(ParameterError, match="wider range"):
        p.picture(long, 0, 1, PARAMS, scale="constant-q", fmin=49)


def dips(level: np.ndarray, tops: np.ndarray, middles: np.ndarray) -> float:
    """How far the level falls from the tops to the middles between them [dB]."""
    return float(np.median(level[tops]) - np.median(level[middles]))


def test_broad_band_shows_pulses_and_narrow_band_shows_harmonics():
    """Pulses 10 ms apart, which are harmonics 100 Hz apart: each preset tells one of the two."""
    y = np.zeros(SR)
    y[:: SR // 100] = 0.5
    seen = {}
    for preset in ("speech, broad band", "speech, narrow band"):
        params = p.preset_params(preset, SR)
        made = p.picture(clip_of(y), 0.3, 0.7, params, fmax=5000, columns=10_000, rows=10_000)
        times = made.x0 + made.dx * np.arange(made.z.shape[1])
        hz = (made.edges[1:] + made.edges[:-1]) / 2
        pulses = np.arange(0.4, 0.6, 0.01)
        harmonics = np.arange(1000, 3000, 100)
        at = [np.abs(times - t).argmin() for t in pulses], [np.abs(times - t - 0.005).argmin() for t in pulses]
        on = [np.abs(hz - f).argmin() for f in harmonics], [np.abs(hz - f - 50).argmin() for f in harmonics]
        in_time = dips(made.z[len(hz) // 2].astype(float), *map(np.array, at))
        in_frequency = dips(made.z[:, len(times) // 2].astype(float), *map(np.array, on))
        seen[preset] = in_time, in_frequency
    assert seen["speech, broad band"][0] > 10
    assert seen["speech, broad band"][1] < 3
    assert seen["speech, narrow band"][0] < 3
    assert seen["speech, narrow band"][1] > 10


@pytest.mark.parametrize("sr", [1000, 8000, 44100, 384000])
@pytest.mark.parametrize("preset", list(p.PRESETS))
def test_presets_fit_every_rate(preset, sr):
    params = p.preset_params(preset, sr)
    chosen = p.PRESETS[preset]
    assert params.hop_length <= (params.win_length or params.n_fft) / 2
    if chosen.window_ms and sr >= 8000:
        spans = params.win_length / sr * 1000 / (2 if chosen.window == "gaussian" else 1)
        assert spans == pytest.approx(chosen.window_ms, rel=0.02)
        assert params.n_fft >= min(65536, 2 * params.win_length)
        assert params.n_fft < 4 * params.win_length
    assert chosen.meaning.endswith(".")
    made = p.picture(clip_of(np.random.default_rng(0).normal(0, 0.1, sr // 4), sr), 0, 0.25, params, scale=chosen.scale)
    assert made.z.max() > -60


def test_the_general_preset_is_the_default():
    assert p.preset_params("general", 44100) == FrameParams()
