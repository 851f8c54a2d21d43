"""Decibels by definition, and numbers as people write them."""

import numpy as np
import pytest

from components import units


def test_decibels():
    np.testing.assert_allclose(units.power_to_db([1, 10, 100, 0.5]), [0, 10, 20, -3.0103], atol=1e-4)
    np.testing.assert_allclose(units.power_to_db([1, 100, 0.25], ref=4.0), [-6.0206, 13.9794, -12.0412], atol=1e-4)
    np.testing.assert_allclose(units.power_to_db(np.zeros(3)), units.DB_FLOOR, atol=1e-4)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.00"),
        (7.254, "0:07.25"),
        (59.999, "1:00.00"),
        (725, "12:05.00"),
        (3723.5, "1:02:03.50"),
        (-1, "0:00.00"),
    ],
)
def test_times(seconds, text):
    assert units.format_time(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (812, "812 bytes"),
        (34_200, "34.2 kB"),
        (999_960, "1.0 MB"),
        (1.5e6, "1.5 MB"),
        (2e9, "2.0 GB"),
        (5e12, "5000.0 GB"),
    ],
)
def test_sizes(size, text):
    assert units.format_bytes(size) == text


@pytest.mark.parametrize(("hz", "text"), [(440, "440 Hz"), (44100, "44.1 kHz"), (8000, "8 kHz")])
def test_frequencies(hz, text):
    assert units.format_hz(hz) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.016, "16 ms"), (0.0125, "12.5 ms"), (0.48, "480 ms"), (0.5, "0.5 s"), (1, "1 s")]
)
def test_steps(seconds, text):
    assert units.format_step(seconds) == text
