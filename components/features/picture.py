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
from components.features.music import NOTES, chroma_blocks
from components.features.spectral import full_scale_power, mel_filters, n_frames, power_blocks
from components.types import Clip, Feature, FloatArray, FrameParams, Times
from components.units import power_to_db

Scale = Literal["linear", "mel", "log", "constant-q"]

BLOCK_SAMPLES = 1 << 17
FEW_FRAMES = 200
"""With fewer frames than this in view the hop is made finer."""
FRAMES_A_COLUMN = 4
"""With more frames than this for each column the hop is made longer, up to half a frame."""
LOWEST_LOG_HZ = 20.0
LOWEST_CONSTANT_Q_HZ = 440 * 2 ** (-45 / 12)
"""C1, 32.7 Hz; the filters of the octave below would be longer than 2 s."""
LONGEST_CONSTANT_Q_S = 600.0
CONSTANT_Q_HOP_S = 0.012
"""Longest step of the constant-Q transform: half the length of its filters at about 1.5 kHz."""
CONSTANT_Q_FRAMES = 2048
RESAMPLER_S = 0.3
"""What librosa's halving of the rate, octave by octave, hears beyond the filters."""
DELTA_FRAMES = 4
"""Frames on each side that a delta looks at."""


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
    bins_per_octave : of the constant-Q transform; 0 on the other scales
    """

    z: npt.NDArray[np.int8]
    x0: float
    dx: float
    edges: Times
    scale: Scale
    params: FrameParams
    bins_per_octave: int = 0


@dataclass(frozen=True)
class Preset:
    """Settings of a spectrogram that suit one kind of sound.

    Attributes
    ----------
    title, meaning : name; one plain sentence on what it shows
    window_ms : length of the analysis window [ms], as Praat counts it for "gaussian" (half of what it spans);
        None for a window of 1024 samples at any rate
    hop : step between frames, as a share of the samples under the window
    window : name of the window
    scale : of the rows
    fmin, fmax : lowest and highest frequency [Hz]; fmax None for all there is
    db_range : levels that the colours span [dB]
    colours : name of the colour scale
    """

    title: str
    meaning: str
    window_ms: float | None
    hop: float
    window: str
    scale: Scale
    fmin: float
    fmax: float | None
    db_range: tuple[float, float]
    colours: str


PRESETS: dict[str, Preset] = {
    "general": Preset(
        "General",
        "All frequencies as the ear spaces them, for any sound.",
        None,
        1 / 4,
        "hann",
        "mel",
        0.0,
        None,
        (-90.0, 0.0),
        "Magma",
    ),
    "speech, broad band": Preset(
        "Speech, broad band",
        "Sharp in time: formants are broad dark bars, and each pulse of the voice is a thin upright line.",
        5.0,
        1 / 8,
        "gaussian",
        "linear",
        0.0,
        5000.0,
        (-70.0, -20.0),
        "Greys",
    ),
    "speech, narrow band": Preset(
        "Speech, narrow band",
        "Sharp in frequency: the harmonics of the voice are level lines that rise and fall with its melody.",
        30.0,
        1 / 8,
        "gaussian",
        "linear",
        0.0,
        5000.0,
        (-80.0, -25.0),
        "Greys",
    ),
    "music": Preset(
        "Music",
        "Each octave equally high, with a long window: neighbouring notes are apart, chords and melodies can be read.",
        93.0,
        1 / 8,
        "hann",
        "log",
        30.0,
        12000.0,
        (-85.0, -5.0),
        "Magma",
    ),
    "birds": Preset(
        "Birds",
        "High frequencies, evenly spaced and quick: calls and songs, without traffic and wind below.",
        10.0,
        1 / 4,
        "hann",
        "linear",
        1000.0,
        12000.0,
        (-90.0, -20.0),
        "Viridis",
    ),
}


def preset_params(preset: str | Preset, sr: int) -> FrameParams:
    """The frames of a preset (or its name) at `sr` [Hz].

    win_length is the window in samples (twice `window_ms` for "gaussian", which Praat counts by half); n_fft the
    next power of two, doubled, so that the rows are finer than the window alone would make them.
    """
    chosen = PRESETS[preset] if isinstance(preset, str) else preset
    if chosen.window_ms is None:
        return FrameParams(window=chosen.window, hop_length=round(FrameParams.n_fft * chosen.hop))
    spans = 2 if chosen.window == "gaussian" else 1
    length = max(16, round(spans * chosen.window_ms / 1000 * sr))
    n_fft = min(65536, 2 * 2 ** int(np.ceil(np.log2(length))))
    hop_length = max(1, round(chosen.hop * length))
    return FrameParams(n_fft=n_fft, hop_length=hop_length, win_length=length, window=chosen.window)


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
    """The hop that suits a range of n_samples: the one asked for as far as it can be.

    Where a column would have more than 4 frames, as many times the hop as that needs, up to half the window; where
    there would be fewer than 200 frames, a whole part of the hop, not below a sixteenth of the window. So the frames
    that were asked for are among the ones that are computed, or the other way round.
    """
    hop, length = params.hop_length, params.win_length or params.n_fft
    longest = min(length // 2, n_samples // (FRAMES_A_COLUMN * columns))
    finest = max(1, length // 16, n_samples // FEW_FRAMES)
    if finest < hop:
        return replace(params, hop_length=-(-hop // -(-hop // finest)))
    return replace(params, hop_length=hop * max(1, longest // hop))


def _span(clip: Clip, t0: float, t1: float, hop: int, columns: int) -> tuple[int, int, int]:
    """First and last frame of the range from t0 to t1 [s], and how many of them make a column."""
    last = n_frames(clip.y.size, hop) - 1
    k0 = min(max(0, int(np.floor(t0 * clip.sr / hop))), last)
    k1 = min(max(k0, int(np.ceil(t1 * clip.sr / hop))), last)
    return k0, k1, -(-(k1 - k0 + 1) // columns)


def _pool(blocks: Iterable[FloatArray], group: int, pool: np.ufunc) -> FloatArray:
    """Every `group` frames made into one: blocks of shape (k, n_bins) to (n_columns, n_bins)."""
    made: list[FloatArray] = []
    carried = 0  # frames in the unfinished column at the end of `made`
    for frames in blocks:
        if not len(frames):
            continue
        starts = np.arange(-carried, len(frames), group)
        pooled = pool.reduceat(frames, np.maximum(starts, 0), axis=0)
        if carried:
            pooled[0] = pool(pooled[0], made[-1][-1])
            made[-1] = made[-1][:-1]
        made.append(pooled)
        carried = (len(frames) - int(starts[-1])) % group
    return np.concatenate(made)


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
    context: int = 0,
) -> tuple[FloatArray, float, float]:
    """Pool what `analyse` makes of the frames from t0 to t1: values (n_columns, n_bins), x0 [s], dx [s].

    `context`: frames on both sides that a frame's analysis looks at.
    """
    hop = params.hop_length
    k0, k1, group = _span(clip, t0, t1, hop, columns)
    lead = min(k0, -(-params.n_fft // (2 * hop)) + context)  # frames read only because the first ones need them
    reader = _reader(clip, (k0 - lead) * hop, min(clip.y.size, (k1 + context) * hop + params.n_fft))

    def wanted() -> Iterator[FloatArray]:
        at = k0 - lead
        for frames in analyse(reader):
            yield frames[max(0, k0 - at) : max(0, k1 + 1 - at)]
            at += len(frames)

    x0 = (k0 + (group - 1) / 2) * hop / clip.sr
    return _pool(wanted(), group, pool), x0, group * hop / clip.sr


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
    bins_per_octave: int = 24,
    workers: int = 2,
) -> Picture:
    """Spectrogram of the frames from t0 to t1 [s] in at most `columns` x `rows` cells, in dB.

    10 log10(|STFT|^2 / full-scale sine), the maximum over the frames and bins of each cell. Where rows are
    narrower than a bin they repeat it. The hop is `params.hop_length` as far as the range allows, see `view_params`;
    the picture says which.

    On the scale "constant-q" each row is a filter of librosa.cqt, `bins_per_octave` of them (24 or 36, say), in tune
    with A4 = 440 Hz; n_fft, the window and `rows` do not apply. See `constant_q`.

    Raises
    ------
    ParameterError : when fmin is not below fmax (None: sr / 2), the range of time is empty, or too long for
        "constant-q" (10 minutes)
    """
    top = min(fmax or clip.sr / 2, clip.sr / 2)
    bottom = max(fmin, LOWEST_LOG_HZ) if scale == "log" else fmin
    if not 0 <= bottom < top:
        raise ParameterError(
            f"There is nothing to see from {bottom:g} to {top:g} Hz; choose a lower limit below the upper one."
        )
    if not t0 < t1:
        raise ParameterError(f"There is nothing to see from {t0:g} to {t1:g} s; choose an end after the start.")
    if scale == "constant-q":
        return constant_q(
            clip, t0, t1, params, fmin=fmin, fmax=top, columns=columns, rows=rows, bins_per_octave=bins_per_octave
        )
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
    return Picture(_decibels(level, full_scale_power(params)), x0, dx, edges, scale, params)


def _decibels(power: FloatArray, full_scale: float) -> npt.NDArray[np.int8]:
    return np.rint(power_to_db(power, full_scale)).clip(-128, 127).astype(np.int8)


def constant_q_frequencies(sr: int, fmin: float, fmax: float, bins_per_octave: int) -> Times:
    """Centres of the constant-Q filters between fmin and fmax [Hz], bins_per_octave to an octave, A4 among them.

    From C1 (32.7 Hz) at the lowest, to where the highest filter's pass band still lies below sr / 2.
    """
    first = np.ceil(bins_per_octave * np.log2(max(fmin, LOWEST_CONSTANT_Q_HZ) / LOWEST_CONSTANT_Q_HZ) - 1e-6)
    width = 1.51 * _relative_width(bins_per_octave)  # of a Hann window's pass band, and a little more
    highest = min(fmax * 2 ** (-0.5 / bins_per_octave), sr / 2 / (1 + width / 2))
    last = np.floor(bins_per_octave * np.log2(highest / LOWEST_CONSTANT_Q_HZ) + 1e-6)
    centres: Times = LOWEST_CONSTANT_Q_HZ * 2 ** (np.arange(first, last + 1) / bins_per_octave)
    return centres


def _relative_width(bins_per_octave: int) -> float:
    """1 / Q: the distance of a filter's neighbours by twice its own frequency, as librosa has it."""
    square = 2 ** (2 / bins_per_octave)
    return float((square - 1) / (square + 1))


def _constant_q_hop(params: FrameParams, sr: int, n_samples: int, columns: int) -> int:
    """The hop asked for as far as it can be, between 1 and 12 ms; a power of two: librosa halves the rate with it."""
    wanted = max(params.hop_length, n_samples // (FRAMES_A_COLUMN * columns))
    wanted = min(wanted, max(sr // 1000, n_samples // FEW_FRAMES), int(CONSTANT_Q_HOP_S * sr))
    return 1 << int(np.log2(max(1, wanted)))


def constant_q(
    clip: Clip,
    t0: float,
    t1: float,
    params: FrameParams,
    *,
    fmin: float,
    fmax: float,
    columns: int = 1000,
    rows: int = 256,
    bins_per_octave: int = 24,
) -> Picture:
    """Constant-Q picture of the frames from t0 to t1 [s]: as sharp in notes in the bass as in the treble, in dB.

    20 log10 of |librosa.cqt| by what a sine of full scale shows there (half the root of the filter's length). Long in
    the bass (1.1 s at 33 Hz with 24 bins an octave), short in the treble. Columns and levels as in `picture`; where
    there are more than `rows` filters the columns become fewer. Block by block, each read with as much around it as
    the longest filter hears.

    Raises
    ------
    ParameterError : for more than 10 minutes, fewer than 12 or more than 60 bins an octave, no filter in the range
    """
    import librosa

    seconds = min(t1, clip.duration) - max(0.0, t0)
    if seconds > LONGEST_CONSTANT_Q_S:
        raise ParameterError(
            f"The constant-Q picture shows up to {LONGEST_CONSTANT_Q_S / 60:.0f} minutes at a time: zoom in to see it."
        )
    if not 12 <= bins_per_octave <= 60:
        raise ParameterError(f"{bins_per_octave} bins an octave cannot be drawn; choose 12 to 60.")
    centres = constant_q_frequencies(clip.sr, fmin, fmax, bins_per_octave)
    if not centres.size:
        raise ParameterError(
            f"The constant-Q picture has no row between {fmin:g} and {fmax:g} Hz; choose a wider range of frequency."
        )
    columns = max(1, min(columns, columns * rows // centres.size))
    hop = _constant_q_hop(params, clip.sr, round(seconds * clip.sr), columns)
    k0, k1, group = _span(clip, t0, t1, hop, columns)
    lengths = clip.sr / (_relative_width(bins_per_octave) * centres)
    margin = -(-int(lengths[0] / 2 + RESAMPLER_S * clip.sr) // hop)  # frames
    shortest = 4 * int(lengths[0])  # else librosa warns that a filter is longer than the signal

    def frames() -> Iterator[FloatArray]:
        for first in range(k0, k1 + 1, CONSTANT_Q_FRAMES):
            stop = min(k1 + 1, first + CONSTANT_Q_FRAMES)
            start = (first - margin) * hop
            y = clip.read(start, (stop + margin) * hop)
            y = np.pad(y, (max(0, -start), 0))
            y = np.pad(y, (0, max(0, (stop - first + 2 * margin) * hop - y.size, shortest - y.size)))
            C = librosa.cqt(
                y,
                sr=clip.sr,
                hop_length=hop,
                fmin=centres[0],
                n_bins=centres.size,
                bins_per_octave=bins_per_octave,
                tuning=0.0,
            )[:, margin : margin + stop - first]
            yield (np.abs(C) ** 2 * (4 / lengths[:, None])).T.astype(np.float32)

    power = _pool(frames(), group, np.maximum)
    half = 2 ** (0.5 / bins_per_octave)
    edges = np.append(centres / half, centres[-1] * half)
    x0, dx = (k0 + (group - 1) / 2) * hop / clip.sr, group * hop / clip.sr
    used = replace(params, hop_length=hop)
    return Picture(_decibels(power.T, 1.0), x0, dx, edges, "constant-q", used, bins_per_octave)


def _view_feature(
    name: str, values: FloatArray, x0: float, dx: float, bins: Times, units: tuple[str, str], params: FrameParams
) -> Feature:
    """A feature of pooled frames, `values` of shape (n_columns, n_bins)."""
    times = x0 + dx * np.arange(values.shape[0], dtype=np.float64)
    return Feature(name, values.T, times, bins, *units, params)


def _counted(frames: FloatArray) -> FloatArray:
    """With a column of ones, which counts the frames, so that sums become means."""
    return np.pad(frames, ((0, 0), (0, 1)), constant_values=1.0)


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
    return _view_feature("mel", power_to_db(values), x0, dx, bins, ("Hz", "dB"), params)


def mfcc_picture(
    clip: Clip,
    t0: float,
    t1: float,
    params: FrameParams,
    *,
    delta: Literal[0, 1, 2] = 0,
    columns: int = 1000,
    workers: int = 2,
) -> Feature:
    """MFCC of the frames from t0 to t1 [s], or their delta or delta delta, shape (n_mfcc, at most `columns`).

    As `spectral.mfcc` and `spectral.delta` ("mfcc", "mfcc delta", "mfcc deltadelta"); a column is the mean of its
    frames. Hop as in `picture`.
    """
    params = view_params(params, round((t1 - t0) * clip.sr), columns)
    filters = mel_filters(clip.sr, params).T

    def cepstra(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        for power in power_blocks(blocks, params, workers):
            S = power_to_db(power @ filters)
            yield scipy.fft.dct(S, axis=1, norm="ortho")[:, : params.n_mfcc]

    def analyse(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        frames = cepstra(blocks)
        yield from map(_counted, _slopes(frames, delta) if delta else frames)

    sums, x0, dx = _pooled(clip, t0, t1, params, columns, analyse, np.add, context=DELTA_FRAMES if delta else 0)
    bins = np.arange(params.n_mfcc, dtype=np.float64)
    name, unit = ("mfcc " + "delta" * delta, "per frame") if delta else ("mfcc", "")
    return _view_feature(name, sums[:, :-1] / sums[:, -1:], x0, dx, bins, ("coefficient", unit), params)


def _slopes(blocks: Iterable[FloatArray], order: int) -> Iterator[FloatArray]:
    """Savitzky-Golay slope (order 1 or 2) over 9 frames of a stream of frames; the ends are extended."""
    from scipy.signal import savgol_coeffs

    width = 2 * DELTA_FRAMES + 1
    weights = savgol_coeffs(width, polyorder=order, deriv=order, use="dot").astype(np.float32)
    held: FloatArray | None = None

    def slopes(frames: FloatArray) -> FloatArray:
        return np.asarray(np.lib.stride_tricks.sliding_window_view(frames, width, axis=0) @ weights, np.float32)

    for block in blocks:
        if len(block):
            held = np.concatenate([np.repeat(block[:1], DELTA_FRAMES, axis=0) if held is None else held, block])
            if len(held) >= width:
                yield slopes(held)
                held = held[1 - width :]
    if held is not None:
        yield slopes(np.concatenate([held, np.repeat(held[-1:], DELTA_FRAMES, axis=0)]))


def chroma_picture(
    clip: Clip, t0: float, t1: float, params: FrameParams, *, columns: int = 1000, workers: int = 2
) -> Feature:
    """Chroma of the frames from t0 to t1 [s], shape (12, at most `columns`).

    As `music.chroma`; a column is the mean of its frames. Hop as in `picture`.
    """
    params = view_params(params, round((t1 - t0) * clip.sr), columns)

    def notes(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        yield from map(_counted, chroma_blocks(blocks, clip.sr, params, workers))

    sums, x0, dx = _pooled(clip, t0, t1, params, columns, notes, np.add)
    bins = np.arange(NOTES, dtype=np.float64)
    return _view_feature("chroma", sums[:, :-1] / sums[:, -1:], x0, dx, bins, ("note", "share"), params)
