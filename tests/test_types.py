"""The types refuse what does not fit, and keep what they are given from being changed."""

import numpy as np
import pytest

from components.errors import ParameterError
from components.types import Activation, Clip, ClipSource, Feature, FrameParams, Prediction, Segment, digest_of


def test_a_clip_is_read_only_float32_with_a_digest_of_every_sample():
    y = np.linspace(-1, 1, 2_000_000)
    clip = Clip.from_array("a", y, 16000)
    assert clip.y.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        clip.y[0] = 0
    y[1_234_567] += 0.1
    assert Clip.from_array("a", y, 16000).digest != clip.digest
    assert Clip.from_array("b", clip.y, 8000).digest != clip.digest
    assert digest_of(clip.y, 16000) == clip.digest


def test_a_mapped_clip_reads_like_one_in_memory(tmp_path):
    y = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    (tmp_path / "y").write_bytes(y.tobytes())
    mapped = Clip(
        "m", np.memmap(tmp_path / "y", np.float32, "r"), 1000, digest_of(y, 1000), ClipSource("WAV", 1, 1000, 10)
    )
    held = Clip.from_array("m", y, 1000)
    for start, stop in ((0, 10), (9_990, 20_000), (-5, 3), (500, 500)):
        np.testing.assert_array_equal(mapped.read(start, stop), held.read(start, stop))
    np.testing.assert_array_equal(np.concatenate(list(mapped.blocks(999))), y)
    assert mapped.section(2, 3).digest == held.section(2, 3).digest


@pytest.mark.parametrize(("t0", "t1", "n"), [(0, 1, 100), (0.5, 0.5, 1), (0.99, 5, 1), (-3, 0.1, 10), (7, 9, 1)])
def test_a_section_is_clamped_and_never_empty(t0, t1, n):
    assert Clip.from_array("a", np.arange(100), 100).section(t0, t1).y.size == n


@pytest.mark.parametrize(
    "make",
    [
        lambda: Clip.from_array("a", np.zeros(0), 8000),
        lambda: Clip.from_array("a", np.zeros((2, 5)), 8000),
        lambda: Clip.from_array("a", np.zeros(5), 0),
        lambda: FrameParams(n_fft=8),
        lambda: FrameParams(hop_length=0),
        lambda: FrameParams(win_length=2048),
        lambda: FrameParams(n_mfcc=65),
        lambda: FrameParams(fmin=100, fmax=50),
        lambda: Segment(2, 1, "x", 0.5),
        lambda: Feature("f", np.zeros((2, 3)), np.zeros(4), np.zeros(2), "", "", FrameParams()),
        lambda: Prediction("m", ("a",), np.zeros((3, 2)), "softmax", np.zeros(3), 0.1, 0.1),
        lambda: Activation("l", "gate", np.zeros((3, 2)), ("frame",)),
        lambda: Activation("l", "gate", np.zeros((3, 2)), ("frame", "unit"), np.zeros(2)),
        lambda: Activation("l", "gate", np.zeros((3, 2)), ("channel", "unit"), np.zeros(3)),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make):
    with pytest.raises(ParameterError, match=r"\.$"):
        make()
