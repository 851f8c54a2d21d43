from itertools import pairwise

import librosa
import numpy as np
import pytest

from components.errors import ParameterError
from components.features import picture as p
from components.features.spectral import full_scale_power, mel_spectrogram, mfcc, power_spectrogram
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
    assert p.view_params(PARAMS, SR * 3, 1000).hop_length == 240
    assert p.view_params(PARAMS, SR * 10, 1000).hop_length == 256
    assert p.view_params(PARAMS, SR * 3600, 1000).hop_length == 512
    assert p.view_params(PARAMS, 100, 1000).hop_length == 64
    coarse = FrameParams(hop_length=4000)
    assert p.view_params(coarse, SR * 3600, 1000).hop_length == 4000


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
