"""Sound as a file that any program opens, sample for sample.

Whole-number formats are written as round(y * 2^(bits - 1)), the reverse of how they are read: a 16-bit recording
comes back as it was. A plain WAV file ends at 4 GB; beyond that choose RF64 (WAV for long files), W64 or FLAC.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError
from components.types import FloatArray

SoundFormat = Literal["WAV", "FLAC", "RF64", "W64"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]

_BITS = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}
WAV_LIMIT = (1 << 32) - 4096
"""Bytes of samples that a plain WAV file holds: its lengths are 32-bit numbers, and the header needs some room."""
_BLOCK_SAMPLES = 1 << 18


def wav_bytes(y: FloatArray, sr: int, subtype: Subtype = "PCM_16") -> tuple[bytes, int]:
    """A WAV file of samples in [-1, 1] and how many samples were clipped, see `write_sound`.

    Parameters
    ----------
    y : shape (n_samples,) or (n_samples, n_channels)
    sr : sampling rate [Hz]
    subtype : 16 or 24 bits, or 32-bit float, which clips nothing
    """
    return _bytes(y, sr, "WAV", subtype)


def flac_bytes(y: FloatArray, sr: int, subtype: Subtype = "PCM_16") -> tuple[bytes, int]:
    """A FLAC file (smaller, without loss, 16 or 24 bits) and how many samples were clipped, see `write_sound`."""
    return _bytes(y, sr, "FLAC", subtype)


def wav_holds(n_samples: int, channels: int, subtype: Subtype) -> bool:
    """Whether a plain WAV file can hold so many samples; otherwise RF64, W64 or FLAC can."""
    return n_samples * channels * _BITS[subtype] // 8 <= WAV_LIMIT


def write_sound(
    blocks: Iterable[FloatArray],
    sr: int,
    channels: int,
    path: Path,
    format: SoundFormat = "WAV",
    subtype: Subtype = "PCM_16",
) -> int:
    """Write a stream of sample blocks to a file at constant memory. A file that cannot be finished is removed.

    Parameters
    ----------
    blocks : shape (n,), or (n, channels) where there are several, samples in [-1, 1]
    sr : sampling rate [Hz]
    path : an existing file is replaced

    Returns
    -------
    How many samples were clipped: in whole-number formats those beyond full scale are cut to it. Samples that are
    not numbers become 0 in any format, and count too.

    Raises
    ------
    ParameterError : no samples, too many for a plain WAV file, or a format that cannot hold this rate, these channels
        or this subtype

    Source: libsndfile.
    """
    try:
        return _write(blocks, sr, channels, str(path), format, subtype)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _bytes(y: FloatArray, sr: int, format: SoundFormat, subtype: Subtype) -> tuple[bytes, int]:
    out = io.BytesIO()
    blocks = (y[start : start + _BLOCK_SAMPLES] for start in range(0, len(y), _BLOCK_SAMPLES))
    clipped = _write(blocks, sr, 1 if y.ndim == 1 else y.shape[1], out, format, subtype)
    return out.getvalue(), clipped


def _write(
    blocks: Iterable[FloatArray],
    sr: int,
    channels: int,
    target: str | io.BytesIO,
    format: SoundFormat,
    subtype: Subtype,
) -> int:
    import soundfile as sf

    if not sf.check_format(format, subtype):
        raise ParameterError(f"A {format} file cannot hold {subtype} samples: choose 16 or 24 bits, or WAV.")
    written = clipped = 0
    try:
        with sf.SoundFile(target, "w", sr, channels, subtype, format=format) as out:
            for block in blocks:
                samples, beyond = _as_stored(block, subtype)
                written += len(samples)
                clipped += beyond
                if format == "WAV" and not wav_holds(written, channels, subtype):
                    raise ParameterError("The sound is too long for a WAV file of 4 GB: choose RF64 or FLAC.")
                out.write(samples)
    except sf.LibsndfileError as error:
        raise ParameterError(
            f"A {format} file of {sr} Hz and {channels} channels could not be written ({error.error_string}): "
            "choose another format."
        ) from None
    if not written:
        raise ParameterError("There is no sound to save: mark a longer stretch.")
    return clipped


def _as_stored(block: FloatArray, subtype: Subtype) -> tuple[npt.NDArray[Any], int]:
    """The samples as numbers that libsndfile stores unchanged, and how many are not what they were."""
    finite = np.isfinite(block)
    lost = block.size - int(np.count_nonzero(finite))
    if lost:
        block = np.where(finite, block, np.float32(0))
    if subtype == "FLOAT":
        return np.asarray(block, np.float32), lost
    bits = _BITS[subtype]
    full = 2 ** (bits - 1)
    lost += int(np.count_nonzero(np.abs(block) > 1))
    # float64, because float32 cannot hold the largest 24-bit numbers and a rounding at once.
    whole = np.clip(np.rint(np.asarray(block, np.float64) * full), -full, full - 1)
    # libsndfile takes the highest bits of a 32-bit number.
    return (whole.astype(np.int16), lost) if bits == 16 else (whole.astype(np.int32) << 8, lost)
