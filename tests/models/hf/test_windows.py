from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCTC

from components.errors import Cancelled
from components.models.hf.checkpoint import load_net, read_config
from components.models.hf.facts import geometry_of
from components.models.hf.waveform import Moments, Waveform
from components.models.hf.windows import shares, windows
from components.types import Clip
from tests import tiny_checkpoints as tiny


def cut(sizes: list[int]) -> list[np.ndarray]:
    frames = np.arange(sum(sizes))[:, None]
    return np.split(frames, np.cumsum(sizes)[:-1])


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12), own=st.integers(1, 20), context=st.integers(0, 20))
def test_windows_own_every_frame_once_and_hear_their_neighbours(sizes: list[int], own: int, context: int) -> None:
    total = sum(sizes)
    owned: list[int] = []
    for window in windows(iter(cut(sizes)), own, context):
        first = window.start + window.before
        assert window.x[:, 0].tolist() == list(range(window.start, window.start + len(window.x)))
        assert window.start == max(0, first - context)
        assert window.start + len(window.x) >= min(total, first + window.count + context)
        assert len(window.x) <= own + 2 * context
        owned += window.x[window.before : window.before + window.count, 0].tolist()
    assert owned == list(range(total))


def test_a_recording_of_one_window_and_its_context_is_one_window() -> None:
    assert len(list(windows(iter(cut([9])), 7, 2))) == 1
    assert len(list(windows(iter(cut([10])), 7, 2))) == 2


def test_shares_of_the_work_add_up_and_never_fall() -> None:
    told: list[float] = []
    first, second = shares(told.append, 1.0, 3.0)
    for report, share in ((first, 0.5), (second, 0.5), (first, 0.2), (first, 1.0), (second, 0.9), (second, 1.0)):
        report(share)
    assert told == pytest.approx([0.125, 0.5, 0.5, 0.625, 0.925, 1.0])


def test_progress_may_cancel() -> None:
    def stop(share: float) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        shares(stop, 1.0)[0](0.5)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise that swells, on a constant: its level, mean and colour differ from part to part."""
    n = round(seconds * 16000)
    rng = np.random.default_rng(seed)
    return (0.3 + np.linspace(0.01, 0.4, n) * rng.standard_normal(n)).astype(np.float32)


def test_moments_are_those_of_the_samples_and_of_the_filters_frames() -> None:
    y = noise(0.5)
    sums = Moments(10, 5)
    for part in np.split(y, [1, 3, 8, 1700, 1703, 5000]):
        sums.add(part)
    frames = np.lib.stride_tricks.sliding_window_view(y.astype(np.float64), 10)[::5]
    assert sums.mean == pytest.approx(y.mean(dtype=np.float64))
    assert sums.scale == pytest.approx(np.sqrt(y.var(dtype=np.float64) + 1e-7))
    assert sums.frames == len(frames)
    assert sums.frame_first == pytest.approx(frames.sum(axis=0))
    assert sums.frame_second == pytest.approx(frames.T @ frames)


@pytest.fixture(scope="module", params=["wav2vec2_ctc", "hubert_ctc"])
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    folder: Path = getattr(tiny, request.param)(tmp_path_factory.mktemp("made"))
    return load_net(folder, AutoModelForCTC), read_config(folder)


@pytest.mark.parametrize("n_samples", [400, 719, 720, 16000, 54321])
def test_streamed_convolutions_are_those_of_the_whole_file(net: Any, n_samples: int) -> None:
    """Every layer, with the group norm over the whole file, from blocks of a second."""
    network, config = net
    y = noise(4)[:n_samples]
    front = Waveform(network.base_model.feature_extractor, geometry_of(config, 16000), do_normalize=True)
    clip = Clip.from_array("noise", y, 16000)
    level = front.level(clip, lambda share: None)
    blocks = list(front.features(clip, level, range(1, 8)))

    x = torch.from_numpy((y - y.mean()) / np.sqrt(y.var() + 1e-7))[None, None]
    for number, layer in enumerate(front.layers, 1):
        with torch.inference_mode():
            x = layer(x)
        ours = np.concatenate([block[number] for block in blocks])
        assert ours.shape == (x.shape[2], x.shape[1])
        assert np.abs(ours - x[0].T.numpy()).max() < 1e-4 * float(x.abs().max())
    assert len(ours) == front.geometry.frames(n_samples)


def test_times_are_the_centres_of_what_a_frame_hears(net: Any) -> None:
    """A click in silence moves exactly the frames whose 25 ms hold it."""
    network, config = net
    geometry = geometry_of(config, 16000)
    assert (geometry.hop, geometry.window) == (320, 400)
    front = Waveform(network.base_model.feature_extractor, geometry, do_normalize=False)
    level = front.level(Clip.from_array("silence", np.zeros(16000), 16000), lambda share: None)
    quiet = torch.zeros(1, 16000)
    loud = quiet.clone()
    loud[0, 8000] = 1.0
    for layers in (1, 4, 7):
        moved = (front.convolve(loud, level)[layers - 1] - front.convolve(quiet, level)[layers - 1])[0].abs().sum(0)
        times = geometry.times(len(moved), layers=layers)
        hears = np.abs(times - 8000.5 / 16000) < geometry.reach(layers) / 2 / 16000
        assert np.array_equal(moved.numpy() > 0, hears)
