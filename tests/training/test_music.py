import numpy as np
import pytest
from scipy.signal import welch

from components.training import music

SR = 16000


@pytest.mark.parametrize("band", range(len(music.BANDS)))
def test_a_piece_is_as_long_and_as_loud_as_promised(band: int) -> None:
    y = music.piece_of_music(np.random.default_rng(0), band, 3.0, SR)
    assert y.dtype == np.float32
    assert y.size == 3 * SR
    assert np.isfinite(y).all()
    assert np.sqrt(np.mean(y**2)) == pytest.approx(0.1, rel=1e-3)


def test_the_seed_is_the_piece() -> None:
    a, b, c = (music.piece_of_music(np.random.default_rng(seed), 1, 2.0, SR) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.01


def test_no_instrument_plays_in_two_bands() -> None:
    players = [instrument for band in music.BANDS for instrument in band]
    assert len(players) == len(set(players))


@pytest.mark.parametrize("instrument", [i for band in music.BANDS for i in band], ids=lambda i: i.__name__)
@pytest.mark.parametrize("f", [110.0, 440.0])
def test_a_note_has_its_pitch(instrument: music.Instrument, f: float) -> None:
    """Power is in multiples of f (of half of it, for the organ's lowest bar; of f / 10 for a bell's ratios)."""
    y = instrument(np.random.default_rng(1), f, SR, SR)
    assert y.shape == (SR,)
    at, power = welch(y, SR, nperseg=8192)
    step = {"organ": f / 2, "bell": f / 10}.get(instrument.__name__, f)
    # A string's loop is a whole number of samples long, vibrato widens the higher partials.
    near = np.abs(at / step - np.round(at / step)) * step < 12 + 0.02 * at
    assert power[near & (at > f / 4)].sum() / power.sum() > 0.8
    assert not np.isclose(np.abs(y).max(), 0)
