"""Loudness as broadcasters measure it, ITU-R BS.1770-4 and EBU R 128, in a stream: memory does not grow with the clip.

The signal is K-weighted (a shelf that lifts what the head lifts, and a high-pass), squared, and added up in steps of
100 ms; everything here is made of those steps' sums, ten numbers for each second of sound.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError
from components.types import Clip, FloatArray, Times, Track

LOWEST_SR = 4000
"""Below it there is no room for the shelf at 1.7 kHz."""
STEPS_PER_S = 10
MOMENTARY_STEPS, SHORT_TERM_STEPS = 4, 30
ABSOLUTE_GATE, RELATIVE_GATE, RANGE_GATE = -70.0, -10.0, -20.0
OFFSET = -0.691
"""So that a sine of 997 Hz in one channel reads its level [dB]."""

BLOCK_SAMPLES = 1 << 18

Floats = npt.NDArray[np.float64]


def _warped(frequency: float, sr: int) -> float:
    """The analogue frequency that the bilinear transform brings to `frequency` [Hz], re 2 sr."""
    return float(np.tan(np.pi * frequency / sr))


def k_weighting(sr: int) -> Floats:
    """Second-order sections of the K-weighting filter at `sr` [Hz], shape (2, 6), as scipy.signal.sosfilt takes them.

    The standard prints the coefficients for 48 kHz alone. These are the analogue filters behind them (a shelf of
    4 dB at 1682 Hz and a high-pass at 38 Hz), brought to `sr` by the bilinear transform; at 48 kHz they are the
    printed ones.

    Raises
    ------
    ParameterError : below 4 kHz

    Source: ITU-R BS.1770-4, annex 1; B. De Man, Evaluation of implementations of the EBU R128 loudness measurement
    (2018), for the analogue parameters.
    """
    if sr < LOWEST_SR:
        raise ParameterError(
            f"Loudness in LUFS needs a sampling rate of at least {LOWEST_SR} Hz, and this clip has {sr} Hz; "
            "use the RMS level instead."
        )
    gain, q, k = 10 ** (3.999843853973347 / 20), 0.7071752369554196, _warped(1681.974450955533, sr)
    middle = gain**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (gain + middle * k / q + k * k) / a0,
        2 * (k * k - gain) / a0,
        (gain - middle * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    q, k = 0.5003270373238773, _warped(38.13547087602444, sr)
    a0 = 1 + k / q + k * k
    # The printed numerator is 1, -2, 1: 0.04 dB too much in the pass band. Other rates get the same 0.04 dB.
    k48 = _warped(38.13547087602444, 48000)
    b0 = (1 + k48 / q + k48 * k48) / a0
    high_pass = [b0, -2 * b0, b0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high_pass])


def _step_powers(blocks: Iterable[FloatArray], sr: int) -> Floats:
    """Mean square of the K-weighted signal in each whole step of 100 ms, added over the channels, shape (n_steps,)."""
    from scipy.signal import sosfilt

    sos = k_weighting(sr)
    state: Floats | None = None
    steps: list[Floats] = []
    held, done = np.zeros(0), 0
    for block in blocks:
        y = np.asarray(block, np.float64).reshape(len(block), -1)
        if state is None:
            state = np.zeros((2, 2, y.shape[1]))
        weighted, state = sosfilt(sos, y, axis=0, zi=state)
        held = np.concatenate([held, np.square(weighted).sum(axis=1)])
        # Step i begins at sample i * sr // 10: whole samples at any rate.
        start = done * sr // STEPS_PER_S
        whole = ((start + held.size + 1) * STEPS_PER_S - 1) // sr
        edges = np.arange(done, whole + 1) * sr // STEPS_PER_S - start
        if whole > done:
            steps.append(np.add.reduceat(held[: edges[-1]], edges[:-1]) / np.diff(edges))
            held, done = held[edges[-1] :], whole
    return np.concatenate(steps) if steps else np.zeros(0)


def _windows(steps: Floats, count: int) -> Floats:
    """Mean of each run of `count` steps, shape (n_steps - count + 1,), none when there are fewer."""
    if steps.size < count:
        return np.zeros(0)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(steps, count).mean(axis=1), np.float64)


def _lufs(power: npt.ArrayLike) -> Floats:
    """OFFSET + 10 log10(power); -inf for digital silence."""
    with np.errstate(divide="ignore"):
        return np.asarray(OFFSET + 10 * np.log10(np.asarray(power, np.float64)))


def _gated(power: Floats, relative: float) -> Floats:
    """The powers above -70 LUFS and above `relative` [LU] re the mean of those."""
    loud = power[_lufs(power) >= ABSOLUTE_GATE]
    return loud[_lufs(loud) > _lufs(loud.mean()) + relative] if loud.size else loud


def integrated_loudness(blocks: Iterable[FloatArray], sr: int) -> float:
    """Loudness of the whole, "integrated" [LUFS], of consecutive blocks of samples.

    L = -0.691 + 10 log10(mean over the gating blocks of the K-weighted mean square, added over the channels). Gating
    blocks last 400 ms and begin every 100 ms; an incomplete one at the end is left out; counted are those above
    -70 LUFS and above the mean of these less 10 LU. Blocks are of shape (n,), or (n, channels) for up to three front
    channels (all weighted 1).

    Returns -inf where nothing is above -70 LUFS (silence), NaN for less than 400 ms of sound.

    Raises
    ------
    ParameterError : below 4 kHz

    Source: ITU-R BS.1770-4. Held against pyloudnorm in the tests.
    """
    power = _windows(_step_powers(blocks, sr), MOMENTARY_STEPS)
    if not power.size:
        return float("nan")
    counted = _gated(power, RELATIVE_GATE)
    return float(_lufs(counted.mean())) if counted.size else float("-inf")


def loudness_range(blocks: Iterable[FloatArray], sr: int) -> float:
    """How far soft and loud passages lie apart [LU]: the 95th less the 10th percentile of the short-term loudness.

    Counted are windows of 3 s (every 100 ms) above -70 LUFS and above their mean less 20 LU. NaN for less than 3 s
    of sound and for silence.

    Source: EBU Tech 3342.
    """
    counted = _gated(_windows(_step_powers(blocks, sr), SHORT_TERM_STEPS), RANGE_GATE)
    if not counted.size:
        return float("nan")
    low, high = np.percentile(_lufs(counted), (10, 95))
    return float(high - low)


def loudness_track(clip: Clip) -> Track:
    """Loudness over time [LUFS], every 100 ms: momentary (windows of 400 ms) and short-term (windows of 3 s).

    A value stands at the centre of its window. NaN in digital silence and where the window would reach beyond the
    clip; no moments at all for less than 400 ms.

    Source: EBU Tech 3341.
    """
    steps = _step_powers(clip.blocks(BLOCK_SAMPLES), clip.sr)
    momentary, short_term = (_windows(steps, n) for n in (MOMENTARY_STEPS, SHORT_TERM_STEPS))
    values = np.full((2, momentary.size), np.nan)
    values[0] = _lufs(momentary)
    # Both lie on the grid of 100 ms: the first 3 s are centred 1.3 s after the first 400 ms.
    later = (SHORT_TERM_STEPS - MOMENTARY_STEPS) // 2
    values[1, later : later + short_term.size] = _lufs(short_term)
    values[~np.isfinite(values)] = np.nan
    times: Times = (MOMENTARY_STEPS / 2 + np.arange(momentary.size)) / STEPS_PER_S
    return Track(
        "loudness",
        ("momentary (0.4 s)", "short-term (3 s)"),
        values,
        times,
        "LUFS",
        "Loudness by ITU-R BS.1770-4 of the mono mix, momentary (windows of 0.4 s) and short-term (3 s), every 0.1 s, "
        "ungated",
    )
