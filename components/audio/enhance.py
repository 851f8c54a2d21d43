"""Cleaning up sound. Each step gives a new clip that says in its history what was done; the old one stays as it is.

All of it works block by block, so that hours cost no more memory than a minute; results longer than 10 minutes go into
a private file, as decoded recordings do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from components.audio.decode import Store
from components.audio.filters import band_limited, transition
from components.errors import OtoscopeError, ParameterError
from components.types import Clip, FloatArray, Times
from components.units import format_hz

Progress = Callable[[float], None]

BLOCK_SAMPLES = 1 << 18
SHORTEST_S = 0.1
"""Shortest marked noise, and shortest clip to clean [s]."""
LONGEST_NOISE_S = 10.0
"""More of a marked stretch than this makes its mean no better [s]."""
FRAME_S = 0.02
SNR_FRAME_S = 0.05
NOISE_PERCENTILE = 10
LOWEST_CUTOFF = 10.0
_NORMALISED = "Loudness normalised"
_CUT = re.compile(r"\(samples (\d+) to \d+\)\.$")

# The gate that is told no noise. With noisereduce's own values for all settings it lost 12 dB on speech at 15 dB; with
# these and the defaults below it lost on none of 27 mixtures (three readers; white, pink and rain noise; 5 to 15 dB)
# and gained 0.15 to 1.5 dB.
BLIND_TIME_S, BLIND_THRESHOLD, BLIND_SLOPE = 0.5, -0.85, 5.0
BLIND_MARGIN = 8
"""How many times BLIND_TIME_S the gate is given on both sides of a block: what it forgets of the rest is e**-8."""

SNR_MARKED = "Signal-to-noise ratio estimated from the marked noise, taken to be the same throughout."
SNR_BLIND = (
    f"Signal-to-noise ratio estimated from levels alone: the quietest {NOISE_PERCENTILE} % of frames of 50 ms are "
    "taken for noise. Mark a stretch of noise for a better estimate."
)


@dataclass(frozen=True)
class NoiseSettings:
    """How noise is gated out.

    Attributes
    ----------
    strength : share of what is taken for noise that is taken away, 0 to 1 (noisereduce's prop_decrease)
    threshold_sd : with a marked noise, how many standard deviations above its mean level [dB] sound begins in each
        frequency bin (n_std_thresh_stationary)
    freq_smooth_hz, time_smooth_ms : how far the gate is smoothed over frequency [Hz] and time [ms]; at least the
        width of two bins and one hop are used
    n_fft : samples in a frame, with a hop of a quarter; None for the power of two nearest to 32 ms

    With these defaults and a marked noise, speech with noise added at 5, 10 and 15 dB gained 5.4, 4.5 and 3.6 dB (at
    least 2.9; three readers of LibriSpeech; white, pink and rain noise; 16 kHz). noisereduce's own values lost 5 dB at
    15 dB, above all because smoothing over 500 Hz smears the gate over the harmonics of voices.
    """

    strength: float = 0.8
    threshold_sd: float = 1.0
    freq_smooth_hz: float = 125.0
    time_smooth_ms: float = 30.0
    n_fft: int | None = None

    def __post_init__(self) -> None:
        _require(0 < self.strength <= 1, "The strength of noise reduction lies above 0 and at most at 1.")
        _require(-5 <= self.threshold_sd <= 10, "The noise threshold lies between -5 and 10 standard deviations.")
        _require(0 <= self.freq_smooth_hz <= 5000, "Smoothing over frequency lies between 0 and 5000 Hz.")
        _require(0 <= self.time_smooth_ms <= 1000, "Smoothing over time lies between 0 and 1000 ms.")
        _require(
            self.n_fft is None or (64 <= self.n_fft <= 16384 and self.n_fft % 4 == 0),
            "The frame of noise reduction (n_fft) holds 64 to 16384 samples, a multiple of 4.",
        )


def high_pass(clip: Clip, cutoff: float, *, folder: Path | None = None, on_progress: Progress | None = None) -> Clip:
    """The clip without what lies below `cutoff` [Hz]: rumble, wind, hum. What lies above is unchanged, not delayed.

    Raises
    ------
    ParameterError : a cutoff below 10 Hz or not below sr / 2
    """
    _require(
        LOWEST_CUTOFF <= cutoff < clip.sr / 2,
        f"The high-pass needs a cutoff from {LOWEST_CUTOFF:.0f} Hz to below {format_hz(clip.sr / 2)}, "
        "half this clip's sampling rate.",
    )
    step = (
        f"High-pass filter: from {cutoff:g} Hz on unchanged, below {cutoff - transition(cutoff):g} Hz "
        "at least 60 dB weaker (linear phase, Kaiser window)."
    )
    blocks = band_limited(clip.blocks(BLOCK_SAMPLES), clip.sr, cutoff, None)
    return _made(clip, blocks, clip.y.size, "(high-pass)", step, folder, on_progress)


def reduce_noise(
    clip: Clip,
    noise: tuple[float, float] | None,
    settings: NoiseSettings,
    *,
    folder: Path | None = None,
    on_progress: Progress | None = None,
) -> Clip:
    """The clip with its steady noise turned down, by noisereduce's spectral gate; as long and as loud as before.

    Parameters
    ----------
    noise : start and end [s] of a stretch that holds nothing but the noise. In each frequency bin, what does not rise
        `threshold_sd` standard deviations above the mean level there is turned down. None: each bin is compared with
        its own mean over about half a second, which helps much less
    settings : see `NoiseSettings`

    Blocks are given as much of their surroundings as the gate looks at, so that the result is that of the whole file:
    the same with a marked noise (unless a bin rises 80 dB above it, where noisereduce lets all of a block pass),
    within 0.1 % without.

    Source: T. Sainburg, noisereduce (doi 10.5281/zenodo.3243139); the frames begin with the clip's first sample.

    Raises
    ------
    ParameterError : a silent clip or noise, a clip or noise shorter than 0.1 s, a noise beyond the clip's end
    """
    from importlib.metadata import version

    import noisereduce

    _require(
        clip.duration >= SHORTEST_S, f"{clip.name} is too short to be cleaned: it must last at least {SHORTEST_S} s."
    )
    _require(_has_sound(clip), f"{clip.name} is silent: there is no noise to reduce.")
    n_fft = settings.n_fft or _power_of_two(0.032 * clip.sr)
    hop = n_fft // 4
    # noisereduce refuses less than two bins and one hop. A hair more, so that its division does not round down.
    freq = max(settings.freq_smooth_hz, 2 * clip.sr / n_fft * (1 + 1e-9))
    time = max(settings.time_smooth_ms, 1000 * hop / clip.sr * (1 + 1e-9))
    gate = partial(
        noisereduce.reduce_noise,
        sr=clip.sr,
        prop_decrease=settings.strength,
        freq_mask_smooth_hz=freq,
        time_mask_smooth_ms=time,
        n_fft=n_fft,
        chunk_size=None,
        padding=0,
        n_jobs=1,
        use_torch=False,
    )
    reach = 2 * n_fft + time / 1000 * clip.sr
    if noise is None:
        gate = partial(
            gate,
            time_constant_s=BLIND_TIME_S,
            thresh_n_mult_nonstationary=BLIND_THRESHOLD,
            sigmoid_slope_nonstationary=BLIND_SLOPE,
        )
        reach += BLIND_MARGIN * BLIND_TIME_S * clip.sr
        kind = f"non-stationary spectral gate, compared with the mean over {BLIND_TIME_S:g} s"
        threshold = f"threshold {BLIND_THRESHOLD:g}, slope {BLIND_SLOPE:g}"
    else:
        y_noise = _noise_of(clip, noise, n_fft)
        gate = partial(gate, stationary=True, y_noise=y_noise, n_std_thresh_stationary=settings.threshold_sd)
        kind = f"stationary spectral gate, noise from {noise[0]:.2f} to {noise[0] + y_noise.size / clip.sr:.2f} s"
        threshold = f"threshold {settings.threshold_sd:g} SD above the noise's mean"
    step = (
        f"Noise reduced with noisereduce {version('noisereduce')}, {kind}, strength {settings.strength:g}, "
        f"{threshold}, smoothed over {freq:.0f} Hz and {time:.0f} ms, n_fft {n_fft}, hop_length {hop}."
    )
    blocks = _gated(clip, gate, hop, margin=-(-round(reach) // hop) * hop)
    return _made(clip, blocks, clip.y.size, "(cleaned)", step, folder, on_progress)


def normalise(
    clip: Clip,
    target_lufs: float = -23.0,
    *,
    peak_dbfs: float = -1.0,
    folder: Path | None = None,
    on_progress: Progress | None = None,
) -> Clip:
    """The clip brought to a loudness of `target_lufs` (integrated, ITU-R BS.1770-4) by one gain for all of it.

    gain = min(target_lufs - loudness, peak_dbfs - peak) [dB], the peak being that of the samples, not the true peak
    between them. Where the peak holds the gain back, the history says so and which loudness was reached.

    Raises
    ------
    ParameterError : a target outside -70 to 0 LUFS, a peak outside -60 to 0 dBFS, a clip shorter than 0.4 s or silent
    """
    from components.audio.loudness import integrated_loudness

    _require(-70 <= target_lufs <= 0, "The loudness to reach lies between -70 and 0 LUFS.")
    _require(-60 <= peak_dbfs <= 0, "The highest peak lies between -60 and 0 dBFS.")
    peak = 0.0

    def measured() -> Iterator[FloatArray]:
        nonlocal peak
        seen = 0
        for block in clip.blocks(BLOCK_SAMPLES):
            peak = max(peak, float(np.abs(block).max()))
            yield block
            seen += block.size
            if on_progress is not None:
                on_progress(0.5 * seen / clip.y.size)

    loudness = integrated_loudness(measured(), clip.sr)
    _require(not np.isnan(loudness), f"{clip.name} is too short for a loudness in LUFS: it must last at least 0.4 s.")
    _require(np.isfinite(loudness), f"{clip.name} is silent (below -70 LUFS): there is nothing to normalise.")
    wanted, room = target_lufs - loudness, peak_dbfs - 20 * float(np.log10(peak))
    gain = min(wanted, room)
    step = f"{_NORMALISED} from {loudness:.1f} to {loudness + gain:.1f} LUFS (ITU-R BS.1770-4): {gain:+.2f} dB"
    if room < wanted:
        step += f"; the target of {target_lufs:g} LUFS was not reached, because no sample may exceed {peak_dbfs:g} dBFS"
    factor = np.float32(10 ** (gain / 20))
    blocks = (block * factor for block in clip.blocks(BLOCK_SAMPLES))
    second_half = None if on_progress is None else lambda share: on_progress(0.5 + 0.5 * share)
    return _made(clip, blocks, clip.y.size, "(normalised)", f"{step}.", folder, second_half)


def trim(clip: Clip, t0: float, t1: float, *, folder: Path | None = None, on_progress: Progress | None = None) -> Clip:
    """The samples from t0 to t1 [s], rounded to the nearest sample.

    Raises
    ------
    ParameterError : a stretch that is empty or outside the clip
    """
    start, stop = _samples(clip, t0, t1)
    return _cut(clip, start, stop, "Trimmed", folder, on_progress)


def trim_silence(
    clip: Clip,
    threshold_db: float = -50.0,
    *,
    keep_s: float = 0.1,
    folder: Path | None = None,
    on_progress: Progress | None = None,
) -> Clip:
    """The clip without silence before its first and after its last sound; pauses within it stay.

    Silence is what stays below `threshold_db` [dB], the level of 20 ms re an RMS of 1 (full scale); `keep_s` [s] of it
    are kept on both sides.

    Raises
    ------
    ParameterError : a threshold that is not below 0 dB, a negative keep_s, a clip that is below it throughout
    """
    _require(threshold_db < 0, "The threshold of silence lies below 0 dB, full scale.")
    _require(keep_s >= 0, "The silence to keep on both sides lasts 0 s or more.")
    frame, keep = _frame_length(clip.sr, FRAME_S), round(keep_s * clip.sr)
    power = _frame_powers(clip, frame)
    loud = np.flatnonzero(power > 10 ** (threshold_db / 10))
    _require(
        loud.size > 0,
        f"All of {clip.name} is quieter than {threshold_db:g} dB of full scale: choose a lower threshold.",
    )
    start = max(0, int(loud[0]) * frame - keep)
    stop = min(clip.y.size, (int(loud[-1]) + 1) * frame + keep)
    how = f"Silence at both ends trimmed (below {threshold_db:g} dB of full scale over 20 ms, {keep_s:g} s kept)"
    return _cut(clip, start, stop, how, folder, on_progress)


def begins_at(clip: Clip, made: Clip) -> float:
    """Where `made`, a clip made of `clip` by the steps of this file, begins in it [s]: above 0 after trimming."""
    steps = made.history[len(clip.history) :]
    return sum(int(found[1]) for step in steps if (found := _CUT.search(step))) / clip.sr


def difference(before: Clip, after: Clip, *, folder: Path | None = None) -> Clip:
    """What was removed: before - after, sample by sample.

    Meant for steps that keep the length and the level (noise reduction, high-pass). After a normalisation the
    difference would be the sound itself at another level, so that is refused.

    Raises
    ------
    ParameterError : clips of different length or sampling rate, a normalisation between them
    """
    _require(
        (before.sr, before.y.size) == (after.sr, after.y.size),
        "What was removed can be heard only where the length stayed the same: compare with the clip before trimming.",
    )
    steps = after.history[len(before.history) :]
    _require(
        not any(step.startswith(_NORMALISED) for step in steps),
        "What was removed can be heard only where the level stayed the same: compare with the clip before normalising.",
    )
    pairs = zip(before.blocks(BLOCK_SAMPLES), after.blocks(BLOCK_SAMPLES), strict=True)
    step = " ".join(["What was removed, the sound before less the sound after.", *steps])
    return _made(before, (a - b for a, b in pairs), before.y.size, "(removed)", step, folder, None)


def signal_to_noise(clip: Clip, noise: tuple[float, float] | None) -> float:
    """Estimated signal-to-noise ratio [dB], 10 log10((P - N) / N), P and N being mean squares.

    With a marked stretch of noise, N is its power and P that of all the rest. Without (None), P is the power of the
    whole clip and N the 10th percentile of the powers of frames of 50 ms (digital silence left out): pauses must make
    up a tenth of the clip, else N holds sound and the estimate is too low. On read speech with white, pink and rain
    noise at 5 to 15 dB the first was 0.2 dB too low to 0.5 dB too high in the mean, the second 0.6 dB too low to 2.3 dB
    too high, most with the pink noise, whose level wavers. Both take the noise to be steady. After noise reduction they
    say how quiet the pauses became, not how well the sound came through. `SNR_MARKED` and `SNR_BLIND` are captions.

    Returns -inf where nothing rises above the noise, inf where the noise is digital silence.

    Raises
    ------
    ParameterError : a noise shorter than 0.1 s, beyond the clip or all of it; a silent clip
    """
    if noise is None:
        power = _frame_powers(clip, _frame_length(clip.sr, SNR_FRAME_S))
        power = power[power > 0]
        _require(power.size > 0, f"{clip.name} is silent: there is no signal-to-noise ratio.")
        return _ratio_db(float(power.mean()), float(np.percentile(power, NOISE_PERCENTILE)))
    start, stop = _noise_samples(clip, noise)
    rest = clip.y.size - (stop - start)
    _require(rest > 0, "The marked noise is the whole clip: mark a part of it that holds nothing but noise.")
    marked = _energy(_stretch(clip, start, stop))
    others = _energy(_stretch(clip, 0, start)) + _energy(_stretch(clip, stop, clip.y.size))
    return _ratio_db(others / rest, marked / (stop - start))


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise ParameterError(message)


def _made(
    clip: Clip,
    blocks: Iterable[FloatArray],
    n_samples: int,
    suffix: str,
    step: str,
    folder: Path | None,
    on_progress: Progress | None,
) -> Clip:
    """A new clip of the blocks, in memory or in a file of `folder`, that continues the clip's name and history."""
    store = Store(clip.sr, folder, expected=n_samples)
    try:
        for block in blocks:
            store.add(np.ascontiguousarray(block, np.float32))
            if on_progress is not None:
                on_progress(store.size / n_samples)
        y = store.finish()
    except OSError:
        store.drop()
        raise OtoscopeError(
            f"{clip.name} needs more room than the disk has left: free some space and try again."
        ) from None
    except BaseException:
        store.drop()
        raise
    name = clip.name if clip.name.endswith(suffix) else f"{clip.name} {suffix}"
    return Clip(name, y, clip.sr, store.digest, clip.source, (*clip.history, step))


def _stretch(clip: Clip, start: int, stop: int) -> Iterator[FloatArray]:
    """Samples start..stop in blocks."""
    for first in range(start, stop, BLOCK_SAMPLES):
        yield clip.read(first, min(stop, first + BLOCK_SAMPLES))


def _cut(clip: Clip, start: int, stop: int, how: str, folder: Path | None, on_progress: Progress | None) -> Clip:
    """Samples start..stop as a new clip. Its history names them, so that `begins_at` finds them there."""
    t0, t1 = start / clip.sr, stop / clip.sr
    step = f"{how} to {t0:.3f} to {t1:.3f} s of {clip.duration:.3f} s (samples {start} to {stop})."
    return _made(clip, _stretch(clip, start, stop), stop - start, "(trimmed)", step, folder, on_progress)


def _samples(clip: Clip, t0: float, t1: float) -> tuple[int, int]:
    start, stop = round(t0 * clip.sr), round(t1 * clip.sr)
    _require(
        0 <= start < stop <= clip.y.size,
        f"The stretch from {t0:.2f} to {t1:.2f} s does not lie within {clip.name}, which lasts {clip.duration:.2f} s: "
        "mark a stretch inside it.",
    )
    return start, stop


def _noise_samples(clip: Clip, noise: tuple[float, float]) -> tuple[int, int]:
    start, stop = _samples(clip, *noise)
    _require(
        stop - start >= round(SHORTEST_S * clip.sr),
        f"The marked noise lasts {(stop - start) / clip.sr:.2f} s: mark at least {SHORTEST_S} s of it.",
    )
    return start, stop


def _noise_of(clip: Clip, noise: tuple[float, float], n_fft: int) -> FloatArray:
    """The samples of the marked noise, shape (n,), at most 10 s."""
    start, stop = _noise_samples(clip, noise)
    _require(
        stop - start >= n_fft,
        f"The marked noise is shorter than one frame of {n_fft} samples: mark at least {n_fft / clip.sr:.2f} s of it.",
    )
    y = clip.read(start, min(stop, start + round(LONGEST_NOISE_S * clip.sr)))
    _require(bool(y.any()), "The marked noise is digital silence: mark a stretch where the noise can be heard.")
    return y


def _has_sound(clip: Clip) -> bool:
    return any(block.any() for block in clip.blocks(BLOCK_SAMPLES))


def _power_of_two(samples: float) -> int:
    return max(64, 1 << round(math.log2(samples)))


def _gated(clip: Clip, gate: Callable[..., Any], hop: int, margin: int) -> Iterator[FloatArray]:
    """The gate's result in blocks; each is computed with `margin` samples (zeros beyond the clip) on both sides.

    Blocks and margins are whole numbers of hops, so that all frames lie where those of the whole clip lie.
    """
    size = max(BLOCK_SAMPLES, margin) // hop * hop
    for start in range(0, clip.y.size, size):
        stop = min(start + size, clip.y.size)
        first = start - margin
        y = np.zeros(-(-(stop + margin - first) // hop) * hop, np.float32)
        known = clip.read(first, first + y.size)
        offset = max(0, -first)
        y[offset : offset + known.size] = known
        if y.any():
            # The gate divides by its own means: harmless where they vanish with the sound.
            with np.errstate(all="ignore"):
                y = gate(y=y)
        yield y[margin : margin + stop - start]


def _frame_length(sr: int, seconds: float) -> int:
    return max(1, round(seconds * sr))


def _frame_powers(clip: Clip, frame: int) -> Times:
    """Mean square of consecutive frames of `frame` samples, shape (n_frames,); the last one may be shorter."""
    parts = []
    for y in clip.blocks(max(1, BLOCK_SAMPLES // frame) * frame):
        edges = np.arange(0, y.size, frame)
        lengths = np.diff(edges, append=y.size)
        parts.append(np.add.reduceat(np.square(y, dtype=np.float64), edges) / lengths)
    return np.concatenate(parts)


def _energy(blocks: Iterable[FloatArray]) -> float:
    """Sum of the squares."""
    return sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)


def _ratio_db(power: float, noise: float) -> float:
    if noise <= 0:
        return float("inf")
    return float(10 * np.log10(power / noise - 1)) if power > noise else float("-inf")
