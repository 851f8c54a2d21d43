"""Figures as data: what is in the traces, on the axes and in `meta`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.errors import ParameterError
from components.features.envelope import envelope
from components.features.picture import mel_picture, mfcc_picture, picture
from components.features.spectral import rms
from components.plots import layers, scores, theme, time, timefreq
from components.types import Activation, Clip, FrameParams, Prediction, Segment

SR = 16000
VIEW = (1.0, 3.0)
PARAMS = FrameParams()


def noise(seconds: float = 4) -> Clip:
    y = np.random.default_rng(0).normal(0, 0.1, round(seconds * SR)).astype(np.float32)
    return Clip.from_array("noise", y, SR)


def prediction(n: int = 40, classes: int = 3, activation: str = "softmax") -> Prediction:
    raw = np.random.default_rng(0).random((n, classes))
    raw /= raw.sum(axis=1, keepdims=True)
    labels = tuple(f"class {k}" for k in range(classes))
    return Prediction("toy", labels, raw, activation, 0.05 + 0.1 * np.arange(n), 0.5, 0.1)


def states(n: int = 400, units: int = 16, kind: str = "hidden_state") -> Activation:
    values = np.random.default_rng(0).uniform(-1, 1, (n, units))
    return Activation("rnn", kind, values, ("frame", "unit"), 0.01 * np.arange(n))


def every_time_figure():
    clip = noise()
    at = {"clock": "clip", "view": VIEW}
    yield time.waveform(envelope(clip, *VIEW), **at)
    yield time.curve(rms(clip, PARAMS), **at)
    for scale in ("linear", "mel", "log"):
        yield timefreq.spectrogram(picture(clip, *VIEW, PARAMS, scale=scale), **at)
    yield timefreq.mel(mel_picture(clip, *VIEW, PARAMS), **at)
    yield timefreq.mfcc(mfcc_picture(clip, *VIEW, PARAMS), **at)
    yield scores.scores(prediction(), **at, threshold=0.5, events=[Segment(1, 2, "a", 0.9)])
    yield scores.class_band(prediction(), **at)
    yield layers.hidden_states(states(), **at)
    yield layers.hidden_states(states(), **at, order=range(15, -1, -1))


def test_every_figure_is_on_the_clock_and_lines_up():
    for figure in every_time_figure():
        layout = figure.layout
        assert layout.meta["time_axis"] == "clip"
        assert (layout.margin.l, layout.margin.r) == (theme.MARGIN_LEFT, theme.MARGIN_RIGHT)
        assert layout.margin.autoexpand is False
        assert layout.xaxis.automargin is False
        assert layout.yaxis.automargin is False
        assert layout.xaxis.range == VIEW
        assert layout.yaxis.fixedrange
        assert layout.uirevision == "clip"
        assert layout.legend.orientation == "h"
        sentence = theme.alt_text(figure)
        assert sentence.endswith(".")
        assert "0:01 to 0:03" in sentence
        for trace in figure.data:
            if trace.type == "heatmap":
                assert trace.z.dtype in (np.int8, np.float32)
                assert trace.z.shape[0] <= 256
                assert trace.z.shape[1] <= 1000


@pytest.mark.parametrize(("view", "title", "first"), [((0, 60), "Time (s)", None), ((0, 600), "Time (min:s)", "0:00")])
def test_long_recordings_have_ticks_in_minutes(view, title, first):
    axis = theme.time_axis(view)
    assert axis["title"]["text"] == title
    assert axis.get("ticktext", [None])[0] == first


def test_minutes():
    assert [theme.minutes(t) for t in (0, 59.94, 59.96, 150, 3750.5)] == ["0:00", "0:59.9", "1:00", "2:30", "1:02:30.5"]
    assert theme.time_ticks((100, 700)) == [120, 240, 360, 480, 600]


def test_samples_of_a_waveform_are_dots_when_they_are_few():
    clip = noise()
    few = time.waveform(envelope(clip, 1, 1.01), clock="c", view=(1, 1.01)).data
    assert len(few) == 1
    assert few[0].mode == "lines+markers"
    assert few[0].y == pytest.approx(clip.y[16000:16161])
    low, high = time.waveform(envelope(clip, 0, 4), clock="c", view=(0, 4)).data
    assert (np.asarray(low.y) <= np.asarray(high.y)).all()
    assert high.fill == "tonexty"


def test_a_long_curve_is_averaged():
    clip = noise(60)
    feature = rms(clip, FrameParams(hop_length=64, n_fft=256))
    trace = time.curve(feature, clock="c", view=(0, 60)).data[0]
    assert len(trace.y) <= time.MAX_POINTS
    assert np.mean(trace.y) == pytest.approx(feature.values.mean(), rel=1e-3)


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_the_axis_of_a_spectrogram_tells_the_true_frequency(scale):
    """Where the tick of 1 kHz is, there the tone of 1 kHz is loudest."""
    y = np.sin(2 * np.pi * 1000 * np.arange(2 * SR) / SR)
    made = picture(Clip.from_array("tone", y, SR), 0, 2, PARAMS, scale=scale)
    figure = timefreq.spectrogram(made, clock="c", view=(0, 2))
    trace, axis = figure.data[0], figure.layout.yaxis
    loud = np.flatnonzero(trace.z[:, 50] == trace.z[:, 50].max())
    if scale == "mel":
        row = axis.tickvals[axis.ticktext.index("1 kHz")]
        assert loud[0] - 1 <= row <= loud[-1] + 1
        return
    hz = trace.y0 + trace.dy * loud if scale == "linear" else np.asarray(trace.y)[loud]
    assert hz[0] * 0.97 <= 1000 <= hz[-1] * 1.03
    bottom, top = axis.range
    assert (bottom, top) == pytest.approx((0, 8000) if scale == "linear" else (np.log10(20), np.log10(8000)))


def test_c0_is_hidden_and_never_sets_the_colours():
    feature = mfcc_picture(noise(), *VIEW, PARAMS)
    hidden = timefreq.mfcc(feature, clock="c", view=VIEW).data[0]
    shown = timefreq.mfcc(feature, clock="c", view=VIEW, show_c0=True).data[0]
    assert hidden.y == tuple(f"c{k}" for k in range(1, 13))
    assert shown.y[0] == "c0"
    assert hidden.zmax == shown.zmax == -hidden.zmin
    assert np.abs(feature.values[0]).max() > hidden.zmax


def test_score_steps_are_one_hop_wide_around_their_frame():
    p = prediction()
    figure = scores.scores(p, clock="c", view=(0, 4))
    trace = figure.data[0]
    assert trace.line.shape == "hv"
    assert np.asarray(trace.x)[:-1] == pytest.approx(p.times - 0.05)
    assert trace.x[-1] == pytest.approx(p.times[-1] + 0.05)
    assert figure.layout.meta["window_s"] == 0.5
    assert "0.5 s" in figure.layout.annotations[0].text


def test_best_classes_come_first_and_peaks_survive():
    raw = np.full((20_000, 4), 0.1)
    raw[12_345, 2] = 0.97
    p = Prediction("toy", tuple("abcd"), raw, "sigmoid", 0.1 * np.arange(20_000), 0.5, 0.1)
    trace = scores.scores(p, clock="c", view=(0, 2000), n_best=1).data[0]
    assert trace.name == "c"
    assert len(trace.x) <= scores.MAX_POINTS + 1
    peak = int(np.argmax(trace.y))
    assert trace.x[peak] <= 1234.5 <= trace.x[peak + 1]
    assert max(trace.y) == pytest.approx(0.97)


def test_class_band_has_one_row_a_class():
    p = prediction(classes=60)
    trace = scores.class_band(p, clock="c", view=(0, 4)).data[0]
    assert trace.z.shape == (60, 40)
    assert trace.z.dtype == np.int8
    assert trace.z[7, 3] == round(100 * float(p.scores[3, 7]))
    raw = scores.class_band(prediction(activation="none"), clock="c", view=(0, 4)).data[0]
    assert raw.z.dtype == np.float32


def test_classes_can_be_told_apart():
    labels = [f"label {i}" for i in range(24)]
    styles = [tuple(style.values()) for style in theme.label_styles([*labels, "none"]).values()]
    assert len(set(styles)) == 25


def test_hidden_states_are_the_true_numbers_at_their_times():
    a = states()
    trace = layers.hidden_states(a, clock="c", view=VIEW).data[0]
    column = round((2.0 - trace.x0) / trace.dx)
    assert trace.z[:, column] == pytest.approx(a.values[200])
    assert trace.zmin == -trace.zmax
    order = np.arange(16)[::-1]
    turned = layers.hidden_states(a, clock="c", view=VIEW, order=order).data[0]
    assert np.array_equal(turned.z, trace.z[::-1])
    assert turned.y[0] == "15"


def test_pooling_keeps_the_extreme_with_its_sign():
    values = np.zeros((50_000, 600), np.float32)
    values[31_000, 421] = -5
    a = Activation("big", "hidden_state", values, ("frame", "unit"), 0.02 * np.arange(50_000))
    trace = layers.hidden_states(a, clock="c", view=(0, 1000)).data[0]
    assert trace.z.size <= layers.MAX_CELLS
    row, column = np.unravel_index(np.argmin(trace.z), trace.z.shape)
    assert trace.z.min() == -5
    assert abs(trace.x0 + column * trace.dx - 620) <= trace.dx / 2
    assert abs(trace.y0 + row * trace.dy - 421) <= trace.dy / 2


def test_feature_maps_and_attention_find_their_time_axis():
    times = 0.1 * np.arange(30)
    maps = np.random.default_rng(0).random((4, 8, 30))
    a = Activation("conv", "feature_map", maps, ("channel", "mel", "frame"), times)
    one = layers.hidden_states(a, clock="c", view=(0, 3), channel=2).data[0]
    assert one.z == pytest.approx(maps[2].astype(np.float32))
    mean = layers.hidden_states(a, clock="c", view=(0, 3)).data[0]
    assert mean.z == pytest.approx(maps.mean(axis=0).astype(np.float32), abs=1e-6)
    weights = np.random.default_rng(0).random((2, 30, 30))
    b = Activation("att", "attention", weights, ("head", "query", "key"), times)
    head = layers.hidden_states(b, clock="c", view=(0, 3), head=1).data[0]
    assert head.z == pytest.approx(weights[1].T.astype(np.float32))
    assert head.zmin == 0
    gate = layers.hidden_states(states(kind="gate"), clock="c", view=VIEW).data[0]
    assert (gate.zmin, gate.zmax) == (0, 1)


def test_what_has_no_time_is_refused():
    a = Activation("pool", "embedding", np.zeros((4, 8)), ("frame", "unit"))
    with pytest.raises(ParameterError, match="no times"):
        layers.hidden_states(a, clock="c", view=VIEW)


@pytest.mark.parametrize("labels", [None, True])
def test_trajectories_carry_their_times(labels):
    n = 5000
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    times = 0.02 * np.arange(n)
    names = ["a" if i < 100 else "b" for i in range(n)] if labels else None
    kw = {"clock": "c", "explained": [0.43, 0.2, 0.1], "labels": names}
    flat = layers.trajectory_2d(points, times, **kw)
    deep = layers.trajectory_3d(points, times, **kw)
    for figure in (flat, deep):
        assert figure.layout.meta["trajectory"] == "c"
        kept = figure.layout.meta["trajectory_times"]
        assert len(kept) == len(figure.data[0].x) == layers.MAX_POINTS
        assert kept[-1] == pytest.approx(times[-1])
        assert figure.data[0].x[700] == points[round(kept[700] / 0.02), 0]
        assert figure.layout.showlegend == bool(labels)
        legend = [t.name for t in figure.data if t.name in ("a", "b")]
        assert legend == (["a", "b"] if labels else [])
    assert flat.layout.xaxis.title.text == "PC 1 (43 % of variance)"
    assert deep.data[-1].name == "now"
    assert len(deep.data[-1].x) == 1


def test_a_step_shows_its_terms_unit_above_unit():
    rng = np.random.default_rng(0)
    W, h, b = rng.normal(size=(3, 12))
    figure = layers.step_numbers(
        {"W_xh x_t": W, "W_hh h_{t-1}": h, "b": b, "h_t": np.tanh(W + h + b)}, x_t=rng.normal(size=20), time=1.5
    )
    strips, inputs = figure.data
    assert strips.z.shape == (4, 12)
    assert strips.z[3] == pytest.approx(np.tanh(strips.z[:3].sum(axis=0)), abs=1e-5)
    assert strips.zmax == -strips.zmin == pytest.approx(np.abs(strips.z).max())
    assert inputs.z.shape == (1, 20)
    with pytest.raises(ParameterError):
        layers.step_numbers({"a": W, "b": b[:3]}, time=0)


def test_what_a_written_token_draws_on_is_drawn_over_the_sound():
    """Cross-attention: one row a token, counted from 0, under the sound's own frames."""
    weights = np.random.default_rng(0).random((2, 5, 40)).astype(np.float32)
    times = np.arange(40) * 0.02 + 0.01
    activation = Activation("cross_attention_1", "attention", weights, ("head", "token", "frame"), times)
    figure = layers.hidden_states(activation, clock="c", view=(0.0, 0.8), head=1)
    np.testing.assert_allclose(figure.data[0].z, weights[1], atol=1e-6)
    assert (figure.data[0].y0, figure.data[0].dy) == (0.0, 1.0)
    assert figure.layout.yaxis.title.text == "Token"


@pytest.mark.parametrize("n, rows", [(2, 1), (8, 2), (30, 6)])
def test_a_long_legend_gets_the_room_it_needs(n, rows):
    """The picture keeps its height; what grows is the space above it."""
    labels = tuple(f"label {k:02d} here" for k in range(n))
    times = np.arange(4) * 0.5
    prediction = Prediction("m", labels, np.full((4, n), 0.5, np.float32), "sigmoid", times, 1.0, 0.5)
    figure = scores.scores(prediction, clock="c", view=(0.0, 2.0), n_best=n)
    one = replace(prediction, labels=("a",), scores=prediction.scores[:, :1])
    plain = scores.scores(one, clock="c", view=(0.0, 2.0))
    more = figure.layout.height - plain.layout.height
    assert more == figure.layout.margin.t - plain.layout.margin.t == theme.LEGEND_ROW * (rows - 1)
