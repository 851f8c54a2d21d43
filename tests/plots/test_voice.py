"""Figures of the voice as data: what is drawn, where, how faint, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest

from components.plots import theme, voice
from components.types import Segment, Track

VIEW = (1.0, 3.0)
AT = {"clock": "clip", "view": VIEW}
RANGE = {"floor": 75.0, "ceiling": 500.0}


def pitch_track(n: int = 400, step: float = 0.01) -> Track:
    """200 Hz, surer and surer, with a gap from frame 150 to 199."""
    values = np.full((1, n), 200.0)
    values[0, 150:200] = np.nan
    strength = np.linspace(0, 1, n)[None]
    return Track("pitch", ("pitch",), values, step * np.arange(n), "Hz", "made", strength)


def candidate_track(n: int = 400) -> Track:
    values = np.stack([np.full(n, 200.0), np.full(n, 100.0), np.full(n, 3000.0), np.full(n, np.nan)])
    strength = np.stack([np.full(n, 0.9), np.full(n, 0.3), np.full(n, 0.5), np.full(n, np.nan)])
    labels = tuple(f"candidate {k}" for k in range(1, 5))
    return Track("candidates", labels, values, 0.01 * np.arange(n), "Hz", "made", strength)


def formant_tracks(n: int = 400) -> tuple[Track, Track]:
    values = np.stack([np.full(n, f) for f in (500.0, 1500.0, 2500.0, 3500.0)])
    values[3, ::2] = np.nan
    widths = np.stack([np.full(n, b) for b in (50.0, 100.0, 399.0, 2000.0)])
    labels, times = ("F1", "F2", "F3", "F4"), 0.01 * np.arange(n)
    return Track("formants", labels, values, times, "Hz", "made"), Track("widths", labels, widths, times, "Hz", "made")


SPEECH = (Segment(0, 1.5, "speech", 0.9), Segment(2, 2.6, "speech", 0.9), Segment(4, 5, "speech", 0.9))
PAUSES = (Segment(1.5, 2, "pause", 0), Segment(2.6, 4, "pause", 0))
NUCLEI = (0.5, 1.2, 2.1, 2.4, 4.5)


def named(figure, name):
    (trace,) = [trace for trace in figure.data if trace.name.startswith(name) and trace.showlegend is not False]
    return trace


def every_figure():
    yield voice.pitch(pitch_track(), candidate_track(), **RANGE, **AT)
    yield voice.pitch(pitch_track(), **RANGE, **AT, unit="semitones")
    yield voice.formants(*formant_tracks(), **AT, ceiling=5500)
    yield voice.formants(formant_tracks()[0], **AT)
    yield voice.structure(SPEECH, PAUSES, NUCLEI, **AT)
    yield voice.structure((), (), **AT)


def test_every_figure_is_on_the_clock_and_lines_up():
    for figure in every_figure():
        layout = figure.layout
        assert layout.meta["time_axis"] == "clip"
        assert "reads" not in layout.meta
        assert (layout.margin.l, layout.margin.r) == (theme.MARGIN_LEFT, theme.MARGIN_RIGHT)
        assert layout.margin.autoexpand is False
        assert layout.xaxis.range == VIEW
        assert layout.yaxis.fixedrange
        assert theme.alt_text(figure).endswith(".")
        assert "0:01 to 0:03" in theme.alt_text(figure)


def test_pitch_is_a_line_with_a_gap_fainter_where_unsure():
    figure = voice.pitch(pitch_track(), **RANGE, **AT)
    line = named(figure, "pitch")
    assert line.connectgaps is False
    assert np.isnan(line.y).sum() == 50
    voiced = ~np.isnan(line.y)
    assert np.all(line.y[voiced] == 200)
    opacity = np.array(line.marker.opacity)
    assert np.all(np.diff(opacity[voiced]) >= 0)
    assert opacity.min() >= voice.FAINTEST
    assert line.x[0] == pytest.approx(1, abs=0.011)
    assert "median 200 Hz" in theme.alt_text(figure)
    assert figure.layout.meta["unit"] == "Hz"


def test_floor_and_ceiling_are_lines_with_their_names_on_both_axes():
    for unit, at in (("Hz", (75, 500)), ("semitones", tuple(voice.semitones([75, 500])))):
        figure = voice.pitch(pitch_track(), **RANGE, **AT, unit=unit)
        assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx(at)
        assert [a.text for a in figure.layout.annotations] == ["floor<br>75 Hz", "ceiling<br>500 Hz"]
        low, high = figure.layout.yaxis.range
        # A note stands where its line is: plotly counts exponents for it, and for the range, on a log axis.
        assert [a.y for a in figure.layout.annotations] == pytest.approx(np.log10(at) if unit == "Hz" else at)
        assert low < figure.layout.annotations[0].y < figure.layout.annotations[1].y < high


def test_semitones_are_counted_from_100_hz():
    assert voice.semitones(200.0) == pytest.approx(12)
    figure = voice.pitch(pitch_track(), candidate_track(), **RANGE, **AT, unit="semitones")
    assert np.nanmax(named(figure, "pitch").y) == pytest.approx(12)
    assert set(np.round(named(figure, "candidates").y)) == {0, 12}
    assert figure.layout.meta["unit"] == "st"
    assert figure.layout.yaxis.type != "log"


def test_candidates_outside_the_range_are_left_out_and_weak_ones_are_faint():
    dots = named(voice.pitch(pitch_track(), candidate_track(), **RANGE, **AT), "candidates")
    assert set(dots.y) == {100, 200}
    opacity = np.array(dots.marker.opacity)
    assert opacity[np.array(dots.y) == 100].max() < opacity[np.array(dots.y) == 200].min()


def test_a_long_view_has_few_points_and_says_what_they_are():
    track = pitch_track(20000)
    figure = voice.pitch(track, candidate_track(20000), **RANGE, clock="clip", view=(0, 200))
    (line,) = figure.data
    assert line.y.size <= voice.MAX_POINTS
    assert "median of 14 frames" in line.name
    assert np.nanmin(line.y) == np.nanmax(line.y) == 200
    assert np.isnan(line.y).any()


def test_nobody_speaks():
    track = Track("pitch", ("pitch",), np.full((1, 300), np.nan), 0.01 * np.arange(300), "Hz", "made")
    assert "no voice was found" in theme.alt_text(voice.pitch(track, **RANGE, **AT))
    nothing = Track("formants", ("F1",), np.full((1, 300), np.nan), 0.01 * np.arange(300), "Hz", "made")
    assert "none was found" in theme.alt_text(voice.formants(nothing, **AT))


def test_formants_differ_in_colour_and_shape_and_wide_ones_are_faint():
    figure = voice.formants(*formant_tracks(), **AT, ceiling=5500)
    dots = [trace for trace in figure.data if trace.showlegend is False]
    assert [trace.name for trace in dots] == ["F1", "F2", "F3", "F4"]
    assert len({trace.marker.color for trace in dots}) == 4
    assert len({trace.marker.symbol for trace in dots}) == 4
    faintness = [trace.marker.opacity[0] for trace in dots]
    assert faintness == sorted(faintness, reverse=True)
    assert faintness[-1] == voice.FAINTEST
    assert [trace.error_y.array[0] for trace in dots] == [25, 50, 199.5, 1000]
    assert [named(figure, f"F{k}").marker.opacity for k in (1, 4)] == [1, 1]
    assert "F1 500 Hz, F2 1500 Hz" in theme.alt_text(figure)
    assert "up to 5.5 kHz" in theme.alt_text(figure)


def test_bars_of_bandwidth_only_where_there_is_room():
    track, widths = formant_tracks(4000)
    figure = voice.formants(track, widths, clock="clip", view=(0, 40), ceiling=5500)
    dots = [trace for trace in figure.data if trace.showlegend is False]
    assert all(trace.error_y.array is None for trace in dots)
    assert all(trace.y.size <= voice.MAX_POINTS for trace in dots)
    assert "median of 3 frames" in dots[0].hovertemplate


def test_speech_and_pauses_are_bars_of_their_duration():
    figure = voice.structure(SPEECH, PAUSES, NUCLEI, **AT)
    talking, silent, marks = figure.data
    edges = [(x - w / 2, x + w / 2) for x, w in zip(talking.x, talking.width, strict=True)]
    assert np.allclose(edges, [(0, 1.5), (2, 2.6)])
    assert silent.width == pytest.approx([0.5, 1.4])
    assert max(silent.y) < min(talking.y) < min(marks.y)
    assert tuple(marks.x) == (1.2, 2.1, 2.4)
    assert silent.customdata[0].endswith("0.50 s")
    assert "1.1 s of speech, 2 pauses, syllables: 3" in theme.alt_text(figure)


def test_hours_are_few_bars():
    speech = [Segment(t, t + 0.7, "speech", 1) for t in np.arange(0, 36000, 1.0)]
    nuclei = np.arange(0, 36000, 0.3)
    figure = voice.structure(speech, (), nuclei, clock="clip", view=(0, 36000))
    assert sum(len(trace.x) for trace in figure.data) < 2000
    assert [trace.name for trace in figure.data] == ["speech", "pause"]
    assert "zoom in" in theme.alt_text(figure).lower()
    assert "zoom in" in figure.layout.annotations[0].text
    # A bar for several says so and counts what was spoken alone.
    assert "25200.0 s of speech" in theme.alt_text(figure)
    bar = figure.data[0]
    assert ": 180 stretches, 126.00 s" in bar.customdata[0]
    assert bar.width[0] == pytest.approx(179.7)
