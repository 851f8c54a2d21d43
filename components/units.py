"""Conversions between samples, seconds, decibels and the words that a person reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.types import FloatArray

DB_FLOOR = -120.0
"""Nothing is quieter than this on any picture [dB]: below 16-bit and even 20-bit recordings' noise."""


def power_to_db(power: npt.ArrayLike, ref: float = 1.0) -> FloatArray:
    """10 log10(power / ref), not below `DB_FLOOR`; any shape, float32."""
    ratio = np.asarray(power, dtype=np.float32) / np.float32(ref)
    floor = np.float32(10.0 ** (DB_FLOOR / 10.0))
    decibels: FloatArray = np.float32(10.0) * np.log10(np.maximum(ratio, floor))
    return decibels


def format_time(seconds: float) -> str:
    """Clock time as people write it: 0:07.25, 12:05.00, 1:02:03.00."""
    hundredths = round(max(0.0, seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def format_bytes(size: float) -> str:
    """Size in the unit that keeps it short: 812 bytes, 34.2 kB, 1.5 MB, 2.0 GB (powers of 1000)."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95 or unit == "GB":
            break
    return f"{size:.1f} {unit}"


def format_hz(frequency: float) -> str:
    """Frequency with its unit: 440 Hz, 44.1 kHz."""
    return f"{frequency:.0f} Hz" if frequency < 1000 else f"{frequency / 1000:g} kHz"


def format_step(seconds: float) -> str:
    """A short time with its unit: 16 ms, 0.5 s, 1 s."""
    return f"{1000 * seconds:.3g} ms" if seconds < 0.5 else f"{seconds:.3g} s"


def format_minutes(seconds: float) -> str:
    """Ticks of long recordings: 2:30, 1:02:30, with a decimal only where there is one."""
    whole, tenths = divmod(round(seconds * 10), 10)
    minute, second = divmod(whole, 60)
    hour, minute = divmod(minute, 60)
    tail = f"{second:02d}" + (f".{tenths}" if tenths else "")
    return f"{hour}:{minute:02d}:{tail}" if hour else f"{minute}:{tail}"


def time_ticks(view: tuple[float, float], count: int = 8) -> list[float]:
    """Round times in the view, in steps of 1, 2, 5, 10, 15, 30 s, 1, 2, 5 ... min, about `count` at most."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)
    step = next((s for s in steps if (view[1] - view[0]) / s <= count), 86400)
    return [float(t) for t in np.arange(np.ceil(view[0] / step), np.floor(view[1] / step) + 1) * step]
