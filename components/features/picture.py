"""Time-frequency pictures at the resolution of a screen, from true frames, in a stream.

A column is the maximum of a whole number of frames, a row the maximum of the bins that it overlaps: nothing that
is loud for one frame gets lost at any zoom. Frames lie on multiples of the hop from the start of the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.fft

from components.errors import ParameterError
from components.features.spectral import full_scale_power, mel_filters, n_frames, power_blocks
from components.types import Clip, Feature, FloatArray, FrameParams, Times
from components.units import power_to_db

Scale = Literal["linear", "mel", "log"]

BLOCK_SAMPLES = 1 << 17
FEW_FRAMES = 200
"""With fewer frames than this in view the hop is made finer."""
FRAMES_A_COLUMN = 4
"""With more frames than this for each column the hop is made longer, up to half a frame."""
LOWEST_LOG_HZ = 20.0


@dataclass(frozen=True)
class Picture:
    """A spectrogram ready to be drawn.

    Attributes
    ----------
    z : level, shape (n_rows, n_columns), int8 [dB], 0 = a sine of full scale
    x0, dx : centre of the first column and width of a column [s]
    edges : edges of the rows, shape (n_rows + 1,) [Hz]
    scale : on which the rows are equally high
    params : as used; its hop_length may differ from the one asked for, see `picture`
    """

    z: npt.NDArray[np.int8]
    x0: float
    dx: float
    edges: Times
    scale: Scale
    params: FrameParams


def row_edges(scale: Scale, fmin: float, fmax: float, rows: int) -> Times:
    """Edges of `rows` rows, equally spaced on the scale from fmin to fmax, shape (rows + 1,) [Hz]."""
    if scale == "linear":
        return np.linspace(fmin, fmax, rows + 1)
    if scale == "mel":
        import librosa

        edges: Times = librosa.mel_frequencies(rows + 1, fmin=fmin, fmax=fmax)
        return edges
    return np.geomspace(fmin, fmax, rows + 1)


def view_params(params: FrameParams, n_samples: int, columns: int) -> FrameParams:
    """The hop that suits a range of n_samples: longer (to n_fft / 2) or finer (to n_fft / 16) where it must be."""
    hop = params.hop_length
    longer = max(hop, min(params.n_fft // 2, n_samples // (FRAMES_A_COLUMN * columns)))
    finer = min(hop, max(1, params.n_fft // 16, n_samples // FEW_FRAMES))
    return replace(params, hop_length=finer if finer < hop else longer)


def _reader(clip: Clip, start: int, stop: int) -> Iterator[FloatArray]:
    for first in range(start, stop, BLOCK_SAMPLES):
        yield clip.read(first, min(stop, first + BLOCK_SAMPLES))


def _pooled(
    clip: Clip,
    t0: float,
    t1: float,
    params: FrameParams,
    columns: int,
    analyse: Callable[[Iterable[FloatArray]], Iterator[FloatArray]],
    pool: np.ufunc,
) -> tuple[FloatArray, float, float]:
    """Pool what `analyse` makes of the frames from t0 to t1: values (n_columns, n_bins), x0 [s], dx [s]."""
    hop = params.hop_length
    last = n_frames(clip.y.size, hop) - 1
    k0 = min(max(0, int(np.floor(t0 * clip.sr / hop))), last)
    k1 = min(max(k0, int(np.ceil(t1 * clip.sr / hop))), last)
    group = -(-(k1 - k0 + 1) // columns)
    lead = min(k0, -(-params.n_fft // (2 * hop)))  # frames read only because the first ones overlap them
    reader = _reader(clip, (k0 - lead) * hop, min(clip.y.size, k1 * hop + params.n_fft))
    made: list[FloatArray] = []
    at = k0 - lead
    carried = 0  # frames in the unfinished column at the end of `made`
    for frames in analyse(reader):
        wanted = frames[max(0, k0 - at) : max(0, k1 + 1 - at)]
        at += len(frames)
        if not len(wanted):
            continue
        starts = np.arange(-carried, len(wanted), group)
        pooled = pool.reduceat(wanted, np.maximum(starts, 0), axis=0)
        if carried:
            pooled[0] = pool(pooled[0], made[-1][-1])
            made[-1] = made[-1][:-1]
        made.append(pooled)
        carried = (len(wanted) - int(starts[-1])) % group
    x0 = (k0 + (group - 1) / 2) * hop / clip.sr
    return np.concatenate(made), x0, group * hop / clip.sr


def picture(
    clip: Clip,
    t0: float,
    t1: float,
    params: FrameParams,
    *,
    scale: Scale = "linear",
    fmin: float = 0.0,
    fmax: float | None = None,
    columns: int = 1000,
    rows: int = 256,
    workers: int = 2,
) -> Picture:
    """Spectrogram of the frames from t0 to t1 [s] in at most `columns` x `rows` cells, in dB.

    10 log10(|STFT|^2 / full-scale sine), the maximum over the frames and bins of each cell. Where rows are
    narrower than a bin they repeat it. The hop is `params.hop_length`, but up to n_fft / 2 for ranges of more than
    4 frames a column, and down to n_fft / 16 for ranges of fewer than 200 frames; the picture says which.

    Raises
    ------
    ParameterError : when fmin is not below fmax (None: sr / 2) or the range of time is empty
    """
    top = min(fmax or clip.sr / 2, clip.sr / 2)
    bottom = max(fmin, LOWEST_LOG_HZ) if scale == "log" else fmin
    if not 0 <= bottom < top:
        raise ParameterError(
            f"There is nothing to see from {bottom:g} to {top:g} Hz; choose a lower limit below the upper one."
        )
    if not t0 < t1:
        raise ParameterError(f"There is nothing to see from {t0:g} to {t1:g} s; choose an end after the start.")
    params = view_params(params, round((min(t1, clip.duration) - max(0.0, t0)) * clip.sr), columns)
    power, x0, dx = _pooled(
        clip, t0, t1, params, columns, lambda blocks: power_blocks(blocks, params, workers), np.maximum
    )
    n_bins = power.shape[1]
    hz_per_bin = clip.sr / params.n_fft
    if scale == "linear":
        rows = min(rows, max(1, round((top - bottom) / hz_per_bin)))
    edges = row_edges(scale, bottom, top, rows)
    # Bin k stands for (k +- 1/2) * hz_per_bin; a row takes every bin that it overlaps, and there is always one.
    first = np.clip(np.floor(edges[:-1] / hz_per_bin + 0.5).astype(int), 0, n_bins - 1)
    stop = np.clip(np.ceil(edges[1:] / hz_per_bin + 0.5).astype(int), first + 1, n_bins)
    padded = np.pad(power.T, ((0, 1), (0, 0)))  # so that `stop` may be n_bins
    level = np.maximum.reduceat(padded, np.column_stack([first, stop]).ravel(), axis=0)[::2]
    z = np.rint(power_to_db(level, full_scale_power(params))).clip(-128, 127).astype(np.int8)
    return Picture(z, x0, dx, edges, scale, params)


def _view_feature(
    clip: Clip, params: FrameParams, name: str, values: FloatArray, x0: float, dx: float, bins: Times
) -> Feature:
    times = x0 + dx * np.arange(values.shape[0], dtype=np.float64)
    unit = ("Hz", "dB") if name == "mel" else ("coefficient", "")
    return Feature(name, values.T, times, bins, *unit, params)


def mel_picture(
    clip: Clip, t0: float, t1: float, params: FrameParams, *, columns: int = 1000, workers: int = 2
) -> Feature:
    """Mel spectrogram of the frames from t0 to t1 [s], shape (n_mels, at most `columns`) [dB].

    10 log10(mel power / full-scale sine); the maximum of each column's frames. Hop as in `picture`.
    """
    import librosa

    params = view_params(params, round((t1 - t0) * clip.sr), columns)
    filters = mel_filters(clip.sr, params).T / np.float32(full_scale_power(params))

    def mel(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        for power in power_blocks(blocks, params, workers):
            yield power @ filters

    values, x0, dx = _pooled(clip, t0, t1, params, columns, mel, np.maximum)
    bins = librosa.mel_frequencies(params.n_mels + 2, fmin=params.fmin, fmax=params.fmax or clip.sr / 2)[1:-1]
    return _view_feature(clip, params, "mel", power_to_db(values), x0, dx, bins)


def mfcc_picture(
    clip: Clip, t0: float, t1: float, params: FrameParams, *, columns: int = 1000, workers: int = 2
) -> Feature:
    """MFCC of the frames from t0 to t1 [s], shape (n_mfcc, at most `columns`).

    As `spectral.mfcc`; a column is the mean of its frames. Hop as in `picture`.
    """
    params = view_params(params, round((t1 - t0) * clip.sr), columns)
    filters = mel_filters(clip.sr, params).T

    def cepstra(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        for power in power_blocks(blocks, params, workers):
            S = power_to_db(power @ filters)
            c = scipy.fft.dct(S, axis=1, norm="ortho")[:, : params.n_mfcc]
            # The column of ones counts the frames, so that sums become means.
            yield np.pad(c, ((0, 0), (0, 1)), constant_values=1.0)

    sums, x0, dx = _pooled(clip, t0, t1, params, columns, cepstra, np.add)
    means = sums[:, :-1] / sums[:, -1:]
    return _view_feature(clip, params, "mfcc", means, x0, dx, np.arange(params.n_mfcc, dtype=np.float64))
