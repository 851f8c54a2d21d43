"""Changing a clip's rate, in a stream: memory does not grow with the recording."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from components.types import Clip, FloatArray

BLOCK_S = 10.0


def resampled_blocks(clip: Clip, sr: int, block_s: float = BLOCK_S) -> Iterator[FloatArray]:
    """The clip at `sr` [Hz] in consecutive blocks, shape (n,) each; together equal to one resampling of the whole.

    Source: soxr's `ResampleStream`, quality HQ, the resampler of librosa's default.
    """
    size = max(1, round(block_s * clip.sr))
    if sr == clip.sr:
        yield from clip.blocks(size)
        return
    stream = soxr.ResampleStream(clip.sr, sr, 1, dtype="float32", quality="HQ")
    for start in range(0, clip.y.size, size):
        block = clip.read(start, start + size)
        out = stream.resample_chunk(np.ascontiguousarray(block), last=start + size >= clip.y.size)
        if out.size:
            yield out


def resample(clip: Clip, sr: int) -> FloatArray:
    """The whole clip at `sr` [Hz] in memory, shape (round(n_samples * sr / clip.sr),) give or take one sample.

    A clip so short that nothing is left of it gives one zero sample.
    """
    blocks = list(resampled_blocks(clip, sr))
    return np.concatenate(blocks) if blocks else np.zeros(1, np.float32)
