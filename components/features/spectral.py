"""Spectral features: librosa's definitions, computed in blocks so that an hour costs no more memory than a minute.

All frames are centred (frame t is centred on sample t * hop_length, zeros beyond the ends), as librosa's
`center=True, pad_mode="constant"`; the tests hold every function here against librosa on the whole signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.signal

from components.errors import ParameterError
from components.types import Clip, Feature, FloatArray, FrameParams, Times
from components.units import power_to_db

BLOCK_FRAMES = 512

WINDOWS = {
    "hann": "a good compromise; librosa's and most programs' default",
    "hamming": "a little sharper in frequency, with more leakage far off; usual in speech recognition",
    "blackman": "less leakage, blurrier in frequency: faint tones beside loud ones",
    "gaussian": "Praat's: no leakage to be seen; counts as half as long as it is",
    "boxcar": "no window at all: sharpest in frequency, with much leakage",
}
"""The windows that are offered, with a word on each. Other names that scipy.signal.get_window takes work too."""


def n_frames(n_samples: int, hop_length: int) -> int:
    """Number of centred frames of a signal: 1 + n_samples // hop_length."""
    return 1 + n_samples // hop_length


def frame_times(count: int, sr: int, hop_length: int) -> Times:
    """Centres of the first `count` frames, shape (count,) [s]."""
    return np.arange(count, dtype=np.float64) * (hop_length / sr)


@lru_cache(maxsize=32)
def fft_window(params: FrameParams) -> FloatArray:
    """The analysis window, zero-padded to n_fft on both sides, shape (n_fft,).

    "gaussian" is Praat's: (exp(-48 x^2) - exp(-12)) / (1 - exp(-12)) for x from -1/2 to 1/2 over win_length, which
    Praat calls a window of half that length. All others are scipy's, periodic.

    Raises
    ------
    ParameterError : for a name that scipy does not know

    Source: Praat's Sound_to_Spectrogram ("Gaussian").
    """
    length = params.win_length or params.n_fft
    if params.window == "gaussian":
        x = np.arange(length) / length - 0.5
        window = (np.exp(-48 * x**2) - np.exp(-12)) / (1 - np.exp(-12))
    else:
        try:
            window = scipy.signal.get_window(params.window, length, fftbins=True)
        except ValueError as error:
            raise ParameterError(
                f"There is no window called {params.window!r}; choose one of {', '.join(WINDOWS)}."
            ) from error
    left = (params.n_fft - length) // 2
    return np.pad(window, (left, params.n_fft - length - left)).astype(np.float32)


def full_scale_power(params: FrameParams) -> float:
    """Power that a sine of amplitude 1 shows in its bin: (sum of the window / 2) squared. 0 dB on our pictures."""
    return float(fft_window(params).sum() / 2) ** 2


def framed_blocks(blocks: Iterable[FloatArray], params: FrameParams) -> Iterator[FloatArray]:
    """Centred frames of a stream of sample blocks, up to BLOCK_FRAMES at a time, shape (k, n_fft), not windowed.

    The rows of all yields together are the frames of the concatenated signal.
    """
    n_fft, hop = params.n_fft, params.hop_length
    held = np.zeros(n_fft // 2, np.float32)  # samples that frames to come still need
    skip = 0  # samples to pass over, when the hop is longer than the frame
    seen = done = 0
    tail = np.zeros(n_fft - n_fft // 2 + hop, np.float32)

    def take(samples: FloatArray, limit: int | None) -> Iterator[FloatArray]:
        nonlocal held, skip, done
        dropped = min(skip, samples.size)
        skip -= dropped
        held = np.concatenate([held, samples[dropped:]])
        count = max(0, 1 + (held.size - n_fft) // hop) if held.size >= n_fft else 0
        if limit is not None:
            count = min(count, limit - done)
        frames = np.lib.stride_tricks.sliding_window_view(held, n_fft)[::hop] if count else held
        for first in range(0, count, BLOCK_FRAMES):
            yield frames[first : min(count, first + BLOCK_FRAMES)]
        done += count
        skip += max(0, count * hop - held.size)
        held = held[count * hop :].copy()

    for block in blocks:
        seen += block.size
        yield from take(block, None)
    yield from take(tail, n_frames(seen, hop))


def power_blocks(blocks: Iterable[FloatArray], params: FrameParams, workers: int = 1) -> Iterator[FloatArray]:
    """Power spectrogram |STFT|^2 of a stream of sample blocks, shape (k, 1 + n_fft // 2) each: rows are frames.

    Equals np.abs(librosa.stft(y, n_fft=..., hop_length=..., pad_mode="constant")).T ** 2 within float32.
    """
    window = fft_window(params)
    for frames in framed_blocks(blocks, params):
        spectrum = scipy.fft.rfft(frames * window, axis=-1, workers=workers, overwrite_x=True)
        yield spectrum.real**2 + spectrum.imag**2


@lru_cache(maxsize=32)
def mel_filters(sr: int, params: FrameParams) -> FloatArray:
    """librosa's mel filter bank (Slaney scale and norm), shape (n_mels, 1 + n_fft // 2)."""
    from librosa.filters import mel

    filters: FloatArray = mel(sr=sr, n_fft=params.n_fft, n_mels=params.n_mels, fmin=params.fmin, fmax=params.fmax)
    return filters


def mel_blocks(blocks: Iterable[FloatArray], sr: int, params: FrameParams) -> Iterator[FloatArray]:
    """Mel power spectrogram of a stream of sample blocks at `sr`, in blocks of shape (k, n_mels)."""
    filters = mel_filters(sr, params).T
    for power in power_blocks(blocks, params):
        yield power @ filters


def _feature(
    clip: Clip, params: FrameParams, name: str, values: FloatArray, bins: Times, bin_unit: str, value_unit: str
) -> Feature:
    times = frame_times(values.shape[1], clip.sr, params.hop_length)
    return Feature(name, values, times, bins, bin_unit, value_unit, params)


def power_spectrogram(clip: Clip, params: FrameParams) -> Feature:
    """Power spectrogram |STFT|^2, shape (1 + n_fft // 2, n_frames), bins in Hz."""
    values = np.concatenate(list(power_blocks(clip.blocks(1 << 18), params))).T
    bins = np.fft.rfftfreq(params.n_fft, 1 / clip.sr).astype(np.float64)
    return _feature(clip, params, "spectrogram", values, bins, "Hz", "power")


def mel_spectrogram(clip: Clip, params: FrameParams) -> Feature:
    """Mel power spectrogram, shape (n_mels, n_frames), bins are the bands' centres in Hz."""
    import librosa

    values = np.concatenate(list(mel_blocks(clip.blocks(1 << 18), clip.sr, params))).T
    edges = librosa.mel_frequencies(params.n_mels + 2, fmin=params.fmin, fmax=params.fmax or clip.sr / 2)
    return _feature(clip, params, "mel", values, edges[1:-1], "Hz", "power")


def mfcc(clip: Clip, params: FrameParams) -> Feature:
    """Mel-frequency cepstral coefficients, shape (n_mfcc, n_frames): DCT-II (ortho) of the mel spectrogram in dB.

    As librosa.feature.mfcc, but with a fixed floor (`units.DB_FLOOR`) in place of 80 dB below the clip's own
    maximum, so that a section has the same numbers as the whole.
    """
    import librosa

    S = power_to_db(mel_spectrogram(clip, params).values)
    values = librosa.feature.mfcc(S=S, n_mfcc=params.n_mfcc)
    return _feature(clip, params, "mfcc", values, np.arange(params.n_mfcc, dtype=np.float64), "coefficient", "")


def delta(feature: Feature, order: int = 1) -> Feature:
    """Local slope over 9 frames (Savitzky-Golay), of first or second order, same shape; ends are extended."""
    import librosa

    values = librosa.feature.delta(feature.values, width=9, order=order, mode="nearest")
    name = f"{feature.name} " + "delta" * order
    return Feature(name, values, feature.times, feature.bins, feature.bin_unit, "per frame", feature.params)


def rms(clip: Clip, params: FrameParams) -> Feature:
    """Root mean square of the samples of each frame, shape (1, n_frames), 1 = full-scale square wave."""
    parts = [np.sqrt(np.mean(np.square(f), axis=1)) for f in framed_blocks(clip.blocks(1 << 18), params)]
    return _feature(clip, params, "rms", np.concatenate(parts)[None], np.zeros(1), "", "amplitude")


def zero_crossing_rate(clip: Clip, params: FrameParams) -> Feature:
    """Sign changes from sample to sample as a share of the frame's samples, shape (1, n_frames)."""
    parts = [
        np.count_nonzero(np.diff(np.signbit(f), axis=1), axis=1) / params.n_fft
        for f in framed_blocks(clip.blocks(1 << 18), params)
    ]
    return _feature(clip, params, "zero_crossing_rate", np.concatenate(parts)[None], np.zeros(1), "", "share")


def spectral_centroid(clip: Clip, params: FrameParams) -> Feature:
    """Centre of gravity of the magnitude spectrum, shape (1, n_frames) [Hz]; 0 in digital silence.

    sum_k f_k |X_k| / sum_k |X_k|, as librosa.feature.spectral_centroid.
    """
    frequencies = np.fft.rfftfreq(params.n_fft, 1 / clip.sr).astype(np.float32)
    parts = []
    for power in power_blocks(clip.blocks(1 << 18), params):
        magnitude = np.sqrt(power)
        parts.append((magnitude @ frequencies) / np.maximum(magnitude.sum(axis=1), np.finfo(np.float32).tiny))
    return _feature(clip, params, "spectral_centroid", np.concatenate(parts)[None], np.zeros(1), "", "Hz")


def spectral_bandwidth(clip: Clip, params: FrameParams) -> Feature:
    """Spread of the magnitude spectrum around its centroid, shape (1, n_frames) [Hz]; 0 in digital silence.

    sqrt(sum_k |X_k| (f_k - centroid)^2 / sum_k |X_k|), as librosa.feature.spectral_bandwidth (p = 2).
    """
    frequencies = np.fft.rfftfreq(params.n_fft, 1 / clip.sr).astype(np.float32)
    parts = []
    for power in power_blocks(clip.blocks(1 << 18), params):
        share = np.sqrt(power)
        share /= np.maximum(share.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        distance = frequencies - (share @ frequencies)[:, None]
        parts.append(np.sqrt((share * distance**2).sum(axis=1)))
    return _feature(clip, params, "spectral_bandwidth", np.concatenate(parts)[None], np.zeros(1), "", "Hz")


def spectral_rolloff(clip: Clip, params: FrameParams, share: float = 0.85) -> Feature:
    """Frequency below which `share` of the magnitude lies, shape (1, n_frames) [Hz]; 0 in digital silence.

    The first bin k with sum_(j <= k) |X_j| >= share * sum_j |X_j|, as librosa.feature.spectral_rolloff.
    """
    parts = []
    for power in power_blocks(clip.blocks(1 << 18), params):
        up_to = np.cumsum(np.sqrt(power), axis=1)
        parts.append(np.argmax(up_to >= share * up_to[:, -1:], axis=1))
    values = (np.concatenate(parts) * (clip.sr / params.n_fft)).astype(np.float32)
    return _feature(clip, params, "spectral_rolloff", values[None], np.zeros(1), "", "Hz")


def spectral_flatness(clip: Clip, params: FrameParams) -> Feature:
    """How noise-like each frame is, shape (1, n_frames): near 0 for a tone, 1 for white noise and digital silence.

    Geometric by arithmetic mean of the power spectrum, not below 1e-10, as librosa.feature.spectral_flatness.
    """
    parts = []
    for power in power_blocks(clip.blocks(1 << 18), params):
        power = np.maximum(power, np.float32(1e-10))
        parts.append(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1))
    return _feature(clip, params, "spectral_flatness", np.concatenate(parts)[None], np.zeros(1), "", "share")


def of_view(
    make: Callable[[Clip, FrameParams], Feature], clip: Clip, t0: float, t1: float, params: FrameParams
) -> Feature:
    """`make` of the part of a clip from t0 to t1 [s]: the frames that the whole clip has there, with its times.

    Reads one frame more on both sides, so that the frames at the edges are the same ones too.
    """
    hop = params.hop_length
    margin = -(-params.n_fft // hop) * hop
    start = max(0, int(t0 * clip.sr) // hop * hop - margin)
    stop = min(clip.y.size, int(t1 * clip.sr) + margin)
    if start == 0 and stop == clip.y.size:
        return make(clip, params)
    feature = make(Clip.from_array(clip.name, clip.read(start, stop), clip.sr, clip.source), params)
    times = feature.times + start / clip.sr
    inside = (times >= t0 - hop / clip.sr) & (times <= t1 + hop / clip.sr)
    return replace(feature, values=feature.values[:, inside], times=times[inside])
