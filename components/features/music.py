"""Music: notes, onsets and beats, by librosa's definitions, in blocks where they are long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from components.features.spectral import frame_times, mel_blocks, power_blocks
from components.types import Clip, Feature, FloatArray, FrameParams, Times
from components.units import power_to_db

BLOCK_SAMPLES = 1 << 18
NOTES = 12
TOP_DB = 80.0
"""What is quieter than the loudest mel band by more than this makes no onset (librosa's default)."""
FEW_ONSETS, FEW_BEATS = 8, 6
UNSTEADY = 0.15
"""Below this correlation of the onset strength with itself one beat later there is no pulse to speak of."""


@lru_cache(maxsize=8)
def _chroma_filters(sr: int, n_fft: int) -> FloatArray:
    from librosa.filters import chroma

    filters: FloatArray = chroma(sr=sr, n_fft=n_fft, tuning=0.0, n_chroma=NOTES).T
    return filters


def chroma_blocks(blocks: Iterable[FloatArray], sr: int, params: FrameParams, workers: int = 1) -> Iterator[FloatArray]:
    """Chroma of a stream of sample blocks, shape (k, 12) each, C first: rows are frames, their largest value is 1."""
    filters = _chroma_filters(sr, params.n_fft)
    for power in power_blocks(blocks, params, workers):
        notes = power @ filters
        peak = notes.max(axis=1, keepdims=True)
        yield np.divide(notes, peak, out=notes, where=peak > np.finfo(np.float32).tiny)


def chroma(clip: Clip, params: FrameParams) -> Feature:
    """How strong each of the twelve notes is, whatever its octave, shape (12, n_frames), C first, 1 = the strongest.

    librosa.feature.chroma_stft of the power spectrogram with tuning 0 (A4 = 440 Hz): the power of all bins near a
    note, summed over the octaves, each frame divided by its maximum. Silence gives zeros. Low notes need long
    frames: below about sr / n_fft * 17 Hz two neighbouring notes share a bin.
    """
    values = np.concatenate(list(chroma_blocks(clip.blocks(BLOCK_SAMPLES), clip.sr, params))).T
    times = frame_times(values.shape[1], clip.sr, params.hop_length)
    return Feature("chroma", values, times, np.arange(NOTES, dtype=np.float64), "note", "share", params)


def onset_strength(clip: Clip, params: FrameParams) -> Feature:
    """How much louder the mel bands become from frame to frame, shape (1, n_frames) [dB per frame]: peaks are onsets.

    mean over the bands of max(0, S_t - S_(t-1)), S the mel spectrogram in dB, not below 80 dB under its maximum;
    later by half a frame, so that a click has its peak where it is. As librosa.onset.onset_strength. Reads the clip
    twice (once for the maximum), block by block.
    """
    loudest = max(float(mel.max()) for mel in mel_blocks(clip.blocks(BLOCK_SAMPLES), clip.sr, params))
    floor = float(power_to_db(loudest)) - TOP_DB
    parts = [np.zeros(1 + params.n_fft // (2 * params.hop_length), np.float32)]
    before: FloatArray | None = None
    for mel in mel_blocks(clip.blocks(BLOCK_SAMPLES), clip.sr, params):
        S = np.maximum(power_to_db(mel), np.float32(floor))
        rise = np.diff(S, axis=0, prepend=S[:1] if before is None else before)
        parts.append(np.maximum(rise, 0).mean(axis=1)[1 if before is None else 0 :])
        before = S[-1:]
    count = sum(part.size for part in parts[1:]) + 1
    values = np.concatenate(parts)[None, :count]
    times = frame_times(count, clip.sr, params.hop_length)
    return Feature("onset_strength", values, times, np.zeros(1), "", "dB per frame", params)


def _rate(feature: Feature) -> float:
    """Sampling rate of the clip that a feature was made of, from its frames [Hz]."""
    step = (feature.times[-1] - feature.times[0]) / (feature.times.size - 1)
    return float(feature.params.hop_length / step)


def onsets(feature: Feature) -> Times:
    """Moments at which something begins, of an onset strength, shape (n_onsets,) [s].

    librosa.onset.onset_detect with its defaults: peaks that stand out of their surroundings.
    """
    from librosa.onset import onset_detect

    if feature.times.size < 2:
        return np.zeros(0)
    frames = onset_detect(onset_envelope=feature.values[0], sr=_rate(feature), hop_length=feature.params.hop_length)
    return np.asarray(feature.times[frames], np.float64)


@dataclass(frozen=True)
class Tempo:
    """Beats of a piece.

    Attributes
    ----------
    bpm : beats a minute; NaN where there is none
    beats : moments of the beats, shape (n_beats,) [s]
    steadiness : correlation of the onset strength with itself one beat later, in [-1, 1]
    note : one sentence for the user where the number should not be trusted, else None
    """

    bpm: float
    beats: Times
    steadiness: float
    note: str | None


def _correlation(x: FloatArray, lag: int) -> float:
    """Correlation of a curve with itself `lag` frames later; 0 where there are too few frames or no change."""
    if not 0 < lag < x.size - 1:
        return 0.0
    centred = x - x.mean()
    energy = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / energy if energy else 0.0


def tempo(onset: Feature) -> Tempo:
    """Tempo and beats of an onset strength.

    librosa.beat.beat_track, not trimmed (which would drop the beats of soft beginnings and ends): the most regular
    period, with a preference for about 120 beats a minute (half or double the tempo that people tap is the usual
    error), then the beats that fit it and the onsets best. The first call of a process takes some seconds, in which
    numba compiles.
    """
    if onset.times.size < 2 or not onset.values.any():
        return Tempo(float("nan"), np.zeros(0), 0.0, "There is no onset here, so there is no tempo.")
    from librosa.beat import beat_track

    rate, hop = _rate(onset), onset.params.hop_length
    bpm, frames = beat_track(onset_envelope=onset.values[0], sr=rate, hop_length=hop, trim=False)
    bpm = float(np.atleast_1d(bpm)[0])
    steadiness = max(_correlation(onset.values[0], round(60 / bpm * rate / hop) + k) for k in (-1, 0, 1))
    count = onsets(onset).size
    note = None
    if count < FEW_ONSETS or len(frames) < FEW_BEATS:
        note = f"Only {count} onsets and {len(frames)} beats: too few for a tempo that means something."
    elif steadiness < UNSTEADY:
        note = "The onsets keep no steady beat, as in speech or free playing: this tempo means little."
    return Tempo(bpm, onset.times[frames], steadiness, note)
