"""Figures as data: what is in the traces, on the axes and in `meta`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.errors import ParameterError
from components.features.envelope import envelope
from components.features.picture import chroma_picture, mel_picture, mfcc_picture, picture
from components.features.spectral import rms
from components.plots import layers, scores, theme, time, timefreq
from components.types import Activation, Clip, FrameParams, Prediction, Segment, Track
from components.units import format_minutes, time_ticks

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


def pitch(n: int = 400, strength: bool = True) -> Track:
    """A glide from 100 to 300 Hz with a gap in the middle, every 10 ms."""
    hz = np.linspace(100, 300, n)
    hz[n // 2 : n // 2 + 20] = np.nan
    sure = np.linspace(0, 1, n)[None] if strength else None
    return Track("pitch", ("pitch",), hz[None], 0.01 * np.arange(n), "Hz", "made for a test", sure)


def formants(n: int = 400) -> Track:
    hz = np.array([[500.0], [1500.0], [2500.0], [3500.0]]) * np.ones(n)
    return Track("formants", ("F1", "F2", "F3", "F4"), hz, 0.01 * np.arange(n), "Hz", "made for a test")


def every_time_figure():
    clip = noise()
    at = {"clock": "clip", "view": VIEW}
    outline = envelope(clip, *VIEW)
    yield time.waveform(outline, **at)
    yield time.waveform(outline, **at, decibels=True, name="left channel")
    yield time.waveforms([outline] * 2, ["left", "right"], **at)
    yield time.waveforms([outline] * 2, ["left", "right"], **at, decibels=True)
    yield time.curve(rms(clip, PARAMS), **at)
    yield time.onsets(time.curve(rms(clip, PARAMS), **at), np.array([0.5, 1.5, 2.5]))
    yield time.tracks(pitch(), **at)
    yield time.tracks(formants(), **at, log=True)
    for scale in ("linear", "mel", "log", "constant-q"):
        cells = picture(clip, *VIEW, PARAMS, scale=scale)
        yield timefreq.spectrogram(cells, **at)
        yield timefreq.overlay(timefreq.spectrogram(cells, **at, reference="loudest"), formants(), view=VIEW)
    yield timefreq.mel(mel_picture(clip, *VIEW, PARAMS), **at)
    yield timefreq.mfcc(mfcc_picture(clip, *VIEW, PARAMS), **at)
    yield timefreq.mfcc(mfcc_picture(clip, *VIEW, PARAMS, delta=2), **at)
    yield timefreq.chroma(chroma_picture(clip, *VIEW, PARAMS), **at)
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
        assert layout.meta.get("reads") in (None, "frequency")
        if layout.meta.get("reads") == "frequency":
            # The cross-hair finds Hz by the edges of the rows, or on the axis itself.
            edges = layout.meta.get("row_edges")
            assert (layout.yaxis.type == "category") == (edges is not None)
            assert edges is None or len(edges) == figure.data[0].z.shape[0] + 1
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
    ticks = [format_minutes(t) for t in (0, 59.94, 59.96, 150, 3750.5)]
    assert ticks == ["0:00", "0:59.9", "1:00", "2:30", "1:02:30.5"]
    assert time_ticks((100, 700)) == [120, 240, 360, 480, 600]


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


@pytest.mark.parametrize("scale", ["linear", "mel", "log", "constant-q"])
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
    if scale == "constant-q":
        assert 10**bottom < 32.71 < 33 < 10**top < 8000
        return
    assert (bottom, top) == pytest.approx((0, 8000) if scale == "linear" else (np.log10(20), np.log10(8000)))


def test_c0_is_hidden_and_never_sets_the_colours():
    feature = mfcc_picture(noise(), *VIEW, PARAMS)
    hidden = timefreq.mfcc(feature, clock="c", view=VIEW).data[0]
    shown = timefreq.mfcc(feature, clock="c", view=VIEW, show_c0=True).data[0]
    assert [row.split(":")[0] for row in hidden.y] == [f"c{k}" for k in range(1, 13)]
    assert shown.y[0] == "c0: overall level"
    assert hidden.zmax == shown.zmax == -hidden.zmin
    assert np.abs(feature.values[0]).max() > hidden.zmax


def test_coefficients_say_what_they_mean_and_deltas_that_they_are_changes():
    figure = timefreq.mfcc(mfcc_picture(noise(), *VIEW, PARAMS), clock="c", view=VIEW)
    meanings = figure.layout.meta["meanings"]
    assert "dark" in meanings["c1"]
    assert "12 half waves" in meanings["c12"]
    assert figure.layout.yaxis.ticktext == tuple(meanings)
    # On the middle of a row the tick would replace the row's name, with its meaning, in the hover text.
    assert all(0 < tick - row < 0.1 for row, tick in enumerate(figure.layout.yaxis.tickvals))
    change = timefreq.mfcc(mfcc_picture(noise(), *VIEW, PARAMS, delta=1), clock="c", view=VIEW)
    assert change.layout.meta["meanings"]["Δc1"].startswith("change of: dark")
    assert change.layout.meta["unit"] == "per frame"
    many = timefreq.mfcc(mfcc_picture(noise(), *VIEW, FrameParams(n_mfcc=30)), clock="c", view=VIEW)
    assert len(many.layout.yaxis.ticktext) <= 15


def test_levels_by_the_loudest_cell():
    cells = picture(noise(), *VIEW, PARAMS)
    plain = timefreq.spectrogram(cells, clock="c", view=VIEW)
    loudest = timefreq.spectrogram(cells, clock="c", view=VIEW, reference="loudest")
    peak = int(cells.z.max())
    assert plain.data[0].z.max() == peak < -10
    assert np.array_equal(loudest.data[0].z, np.clip(cells.z.astype(int) - peak, -128, 127))
    assert (plain.layout.meta["unit"], loudest.layout.meta["unit"]) == ("dB", "dB re loudest")
    assert "to 0 dB re loudest" in theme.alt_text(loudest)


@pytest.mark.parametrize("scale", ["mel", "mel bands", "linear", "log", "constant-q"])
def test_a_curve_lies_over_the_tone_that_it_measures(scale):
    """1 kHz as a track is drawn on the loudest row of a tone of 1 kHz, on every kind of axis."""
    tone = Clip.from_array("tone", 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * SR) / SR), SR)
    at = {"clock": "c", "view": (0, 2)}
    if scale == "mel bands":
        figure = timefreq.mel(mel_picture(tone, 0, 2, PARAMS), **at)
    else:
        figure = timefreq.spectrogram(picture(tone, 0, 2, PARAMS, scale=scale), **at)
    times = 0.01 * np.arange(200)
    track = Track("pitch", ("pitch",), np.full((1, 200), 1000.0), times, "Hz", "made for a test")
    drawn = timefreq.overlay(figure, track, view=(0, 2))
    assert len(figure.data) == 1  # a copy was drawn on
    cells, points = drawn.data
    column = cells.z[:, cells.z.shape[1] // 2].astype(float)
    loud = np.flatnonzero(column >= column.max() - 1)
    assert np.asarray(points.customdata) == pytest.approx(1000)
    assert points.x[0] == 0
    height = float(points.y[100])
    if drawn.layout.meta.get("row_edges"):
        assert points.yaxis == "y2"
        assert drawn.layout.yaxis2.range == (-0.5, len(column) - 0.5)
        assert loud[0] - 0.5 <= height <= loud[-1] + 0.5
    else:
        rows = np.asarray(cells.y) if cells.y is not None else cells.y0 + cells.dy * np.arange(len(column))
        assert height == 1000
        assert loud[0] <= np.abs(rows - height).argmin() <= loud[-1]
    assert "pitch 1000 to 1000 Hz" in theme.alt_text(drawn)


def test_an_overlay_leaves_out_what_is_not_there_and_keeps_the_height_of_the_picture():
    figure = timefreq.spectrogram(picture(noise(), *VIEW, PARAMS, scale="mel"), clock="c", view=VIEW)
    one = timefreq.overlay(figure, pitch(), view=VIEW)
    assert np.isfinite(np.asarray(one.data[1].y)).all()
    assert len(one.data[1].x) == len(one.data[1].marker.opacity) < 202
    assert not one.layout.showlegend
    four = timefreq.overlay(figure, formants(), view=VIEW)
    assert [trace.name for trace in four.data[1:]] == ["F1", "F2", "F3", "F4"]
    assert len({trace.marker.color for trace in four.data[1:]}) == 4
    assert four.layout.height - figure.layout.height == four.layout.margin.t - figure.layout.margin.t > 0
    none = Track("pitch", ("pitch",), np.full((1, 400), np.nan), 0.01 * np.arange(400), "Hz", "made for a test")
    assert "none in view" in theme.alt_text(timefreq.overlay(figure, none, view=VIEW))


def test_tracks_keep_their_gaps_and_say_how_sure_they_are():
    trace = time.tracks(pitch(), clock="c", view=(0, 4)).data[0]
    y = np.asarray(trace.y)
    assert np.isnan(y[200:220]).all()
    assert np.isfinite(y[:200]).all()
    assert not trace.connectgaps
    assert trace.marker.opacity[0] < trace.marker.opacity[300] <= 1
    plain = time.tracks(pitch(strength=False), clock="c", view=(0, 4))
    assert plain.data[0].mode == "lines"
    assert plain.layout.meta["unit"] == "Hz"
    lonely = np.full((1, 400), np.nan)
    lonely[0, 7] = 100.0
    island = time.tracks(Track("x", ("x",), lonely, 0.01 * np.arange(400), "", ""), clock="c", view=(0, 4))
    assert island.data[0].mode == "lines+markers"


def test_a_long_track_is_averaged_without_its_gaps():
    values = np.full((1, 60_000), 200.0)
    values[0, ::3] = np.nan
    values[0, 30_000:40_000] = np.nan
    track = Track("pitch", ("pitch",), values, 0.01 * np.arange(60_000), "Hz", "made for a test", values / 400)
    figure = time.tracks(track, clock="c", view=(0, 600))
    y = np.asarray(figure.data[0].y)
    assert y.size <= time.MAX_POINTS
    assert y[np.isfinite(y)] == pytest.approx(200)
    assert np.isnan(y).mean() == pytest.approx(1 / 6, abs=0.01)


def test_a_logarithmic_track_has_round_ticks_within_its_limits():
    axis = time.tracks(pitch(), clock="c", view=(0, 4), log=True, limits=(75, 500)).layout.yaxis
    assert axis.range[0] < np.log10(75) < np.log10(500) < axis.range[1]
    assert axis.ticktext == ("100", "200", "300", "500")
    nothing = Track("x", ("x",), np.zeros((1, 0)), np.zeros(0), "Hz", "", np.zeros((1, 0)))
    assert "no value in view" in theme.alt_text(time.tracks(nothing, clock="c", view=(0, 4), log=True))
    figure = timefreq.spectrogram(picture(noise(), *VIEW, PARAMS, scale="mel"), clock="c", view=VIEW)
    assert "none in view" in theme.alt_text(timefreq.overlay(figure, nothing, view=VIEW))


def test_levels_of_a_waveform_are_decibels():
    clip = noise()
    outline = envelope(clip, 0, 4)
    figure = time.waveform(outline, clock="c", view=(0, 4), decibels=True)
    y = np.asarray(figure.data[0].y)[:-2]  # the last two close the area at the floor
    assert y.max() == pytest.approx(20 * np.log10(np.abs(clip.y).max()), abs=1e-3)
    silence = envelope(Clip.from_array("silence", np.zeros(4 * SR), SR), 0, 4)
    assert set(time.waveform(silence, clock="c", view=(0, 4), decibels=True).data[0].y) == {-60}


@pytest.mark.parametrize("decibels", [False, True])
def test_channels_lie_one_below_the_other_on_one_scale(decibels):
    loud, soft = noise(), Clip.from_array("soft", noise().y / 10, SR)
    outlines = [envelope(loud, *VIEW), envelope(soft, *VIEW)]
    figure = time.waveforms(outlines, ["left", "right"], clock="c", view=VIEW, decibels=decibels)
    by_row = {0: [], 1: []}
    for trace in figure.data:
        y = np.asarray(trace.y)
        by_row[0 if y.mean() > -0.5 else 1].append(y)
    assert all(np.abs(y).max() <= 0.5 for y in by_row[0])
    assert all(np.abs(y + 1).max() <= 0.5 for y in by_row[1])
    height = [max(y.max() for y in by_row[row]) - min(y.min() for y in by_row[row]) for row in (0, 1)]
    if decibels:
        assert height[0] - height[1] == pytest.approx((1 - time.GAP) * 20 / 60, abs=1e-3)
    else:
        assert height[0] == pytest.approx(10 * height[1], rel=1e-3)
    assert figure.layout.yaxis.ticktext[0].startswith("left<br>")
    assert "unit" not in figure.layout.meta  # a height in this picture is no reading


def test_marks_are_drawn_where_they_are_and_only_in_view():
    base = time.curve(rms(noise(), PARAMS), clock="c", view=VIEW)
    marked = time.onsets(base, np.array([0.5, 1.5, 2.5]), name="beats")
    trace = marked.data[1]
    assert list(trace.x) == [1.5] * 3 + [2.5] * 3
    assert list(trace.y[:2]) == [0, 1]
    assert marked.layout.yaxis3.range == (0, 1)
    assert "Marked: 2 beats." in theme.alt_text(marked)
    assert len(base.data) == 1
    many = time.onsets(base, np.linspace(1, 3, 5000))
    assert len(many.data) == 1
    assert "too many" in theme.alt_text(many)


def test_chroma_names_the_note():
    y = np.sin(2 * np.pi * 440 * np.arange(2 * SR) / SR)
    feature = chroma_picture(Clip.from_array("a", y, SR), 0, 2, FrameParams(4096, 1024))
    figure = timefreq.chroma(feature, clock="c", view=(0, 2))
    trace = figure.data[0]
    assert trace.y[trace.z.mean(axis=1).argmax()] == "A"
    assert trace.y[0] == "C"
    assert "A is the strongest note" in theme.alt_text(figure)
    silent = chroma_picture(Clip.from_array("s", np.zeros(SR), SR), 0, 1, PARAMS)
    assert "silence" in theme.alt_text(timefreq.chroma(silent, clock="c", view=(0, 1)))


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
