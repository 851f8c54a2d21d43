import numpy as np
import pytest

from components.plots import theme
from components.plots.similarity import similarity_matrix


def matrix(n: int, m: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, m)).astype(np.float32)


def test_is_on_the_clock_with_time_on_both_axes() -> None:
    times = 0.05 + 0.1 * np.arange(40)
    values = matrix(40, 40)
    figure = similarity_matrix(values, times, clock="clip", view=(1.0, 3.0), window_s=1.0)
    layout, (trace,) = figure.layout, figure.data
    assert layout.meta["time_axis"] == "clip" and layout.meta["window_s"] == 1.0
    assert layout.xaxis.range == (1.0, 3.0)
    assert layout.yaxis.range == pytest.approx((0.0, 4.0))
    assert layout.yaxis.fixedrange and layout.yaxis.title.text == "Other moment (s)"
    assert (layout.margin.l, layout.margin.r) == (theme.MARGIN_LEFT, theme.MARGIN_RIGHT)
    assert (trace.x0, trace.y0) == pytest.approx((0.05, 0.05))
    assert (trace.dx, trace.dy) == pytest.approx((0.1, 0.1))
    assert trace.z.dtype == np.int8
    assert trace.z / 100 == pytest.approx(values, abs=0.005)
    assert (trace.zmin, trace.zmax) == (-100, 100)
    sentence = theme.alt_text(figure)
    assert "0:01 to 0:03" in sentence and "0:00 to 0:04" in sentence and sentence.endswith(".")


def test_a_part_of_the_clip_against_all_of_it() -> None:
    rows, columns = 150.0 + 0.5 * np.arange(300), 200.0 + 0.1 * np.arange(21)
    figure = similarity_matrix(matrix(300, 21), columns, clock="c", view=(200.0, 202.0), row_times=rows)
    trace = figure.data[0]
    assert trace.z.shape == (300, 21)
    assert (trace.x0, trace.dx, trace.y0, trace.dy) == pytest.approx((200.0, 0.1, 150.0, 0.5))
    assert figure.layout.yaxis.title.text == "Other moment (min:s)"
    assert "3:00" in figure.layout.yaxis.ticktext
    assert "window_s" not in figure.layout.meta


def test_the_largest_matrix_is_a_quarter_of_a_megabyte_for_the_browser() -> None:
    figure = similarity_matrix(matrix(400, 400), 0.1 * np.arange(400), clock="c", view=(0.0, 40.0))
    assert len(figure.to_json()) < 250_000


def test_a_single_moment_can_be_drawn() -> None:
    figure = similarity_matrix(np.ones((1, 1), np.float32), np.array([0.3]), clock="c", view=(0.0, 0.6))
    assert figure.data[0].z.tolist() == [[100]]
    assert np.isfinite(figure.layout.yaxis.range).all()
