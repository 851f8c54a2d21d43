import numpy as np
import pytest
import torch

from components.models import rnn
from components.models.around import SLOPE, running_statistics
from components.models.classical import SLOPE as MFCC_SLOPE
from components.models.classical import Window, window_statistics
from components.types import FrameParams

PARAMS = FrameParams(n_fft=512, hop_length=256, n_mels=16, n_mfcc=4)
LOUD, SILENT = 0.0, float(np.log(1e-4))
"""Levelled log-mel of a sounding frame and of a frame of silence."""


def material(T: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.full((2, T, 16), LOUD), torch.randn(2, T, 4, generator=generator)


def test_statistics_are_those_of_the_frames_around() -> None:
    log_mel, z = material(60)
    found = running_statistics(log_mel, z, 10)
    own = z[:, 30 - 10 : 30 + 11]
    slope = (z[:, 20 + SLOPE : 41 + SLOPE] - z[:, 20 - SLOPE : 41 - SLOPE]) / 2
    expected = [own.mean(dim=1)]
    expected += [(x.std(dim=1, unbiased=False) + 0.05).log() for x in (own, slope)]
    torch.testing.assert_close(found[:, 30], torch.cat(expected, dim=1), atol=1e-5, rtol=1e-5)


def test_a_pause_hardly_counts() -> None:
    log_mel, z = material(60)
    without = running_statistics(log_mel, z, 10)[:, 30, :4]
    log_mel[:, 35:], z[:, 35:] = SILENT, 9.0
    with_pause = running_statistics(log_mel, z, 10)[:, 30, :4]
    torch.testing.assert_close(with_pause, z[:, 20:35].mean(dim=1), atol=0.02, rtol=0)
    assert (with_pause - without).abs().max() > 0.02


def test_statistics_do_not_depend_on_what_is_further_away() -> None:
    log_mel, z = material(80)
    whole = running_statistics(log_mel, z, 10)[:, 30:50]
    part = running_statistics(log_mel[:, 18:62], z[:, 18:62], 10)[:, 12:32]
    torch.testing.assert_close(part, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [rnn.Elman, rnn.Lstm])
def test_a_recurrent_network_gets_one_x_for_each_frame(make: type[rnn.Elman | rnn.Lstm]) -> None:
    net = make(PARAMS, 3, 8, (-2, 0, 2), 10)
    assert (net.left, net.right) == (12, 12)
    x = net.stack(torch.randn(1, 12 + 5 + 12, 16))
    assert x.shape == (1, 5, rnn.size_of_x(PARAMS, (-2, 0, 2), 10))


def test_elman_starts_with_memories_from_short_to_long() -> None:
    net = rnn.Elman(PARAMS, 3, 8, (0,))
    rnn.start_with_memory(net, 100)
    kept = net.W_hh.detach().diag()
    assert kept[0] == pytest.approx(1 / 2)
    assert kept[-1] == pytest.approx(0.99)
    assert (kept.diff() > 0).all()
    assert net.W_hh.count_nonzero() == 8


def test_the_lstm_forgets_as_slowly_as_it_was_told() -> None:
    """Without input the cell keeps sigmoid(b_f) of itself: 1 - 1 / tau."""
    net = rnn.Lstm(PARAMS, 3, 8, (0,))
    rnn.start_with_memory(net, 100)
    bias = net.lstm.get_parameter("bias_ih_l0") + net.lstm.get_parameter("bias_hh_l0")
    forget = torch.sigmoid(bias[8:16]).detach()
    assert forget[0] == pytest.approx(1 / 2)
    assert forget[-1] == pytest.approx(0.99)


def test_window_statistics_are_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    window = Window(context=10, parts=0, statistics=True)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    log_mel = np.full((40 + 2 * MFCC_SLOPE, 16), LOUD, np.float32)
    found = window_statistics(window, log_mel, x)
    assert found.shape == (20, 6)
    np.testing.assert_allclose(found[7], np.concatenate([x[7:28].mean(axis=0), x[7:28].std(axis=0)]), atol=1e-5)
    log_mel[:] = SILENT  # nothing sounds: all frames count alike again
    np.testing.assert_allclose(window_statistics(window, log_mel, x), found, atol=1e-4)
