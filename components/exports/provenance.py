"""How numbers were made, so that somebody else can make them again.

Nothing in it says who made them or where: no user, no machine's name, no path.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import pairwise
from typing import Any

from components.types import ClipSource, ModelCard

PACKAGES = (
    "numpy", "scipy", "soxr", "soundfile", "av", "librosa", "torch", "transformers", "tokenizers", "scikit-learn",
    "silero-vad", "h5py", "tflite", "praat-parselmouth", "noisereduce", "praatio", "pympi-ling", "pyarrow",
    "matplotlib",
)  # fmt: skip
"""The packages that the numbers depend on."""

RESAMPLER = "soxr HQ"


@dataclass(frozen=True)
class FileFacts:
    """What is written down about one recording.

    Attributes
    ----------
    file : its name, as in the tables
    sha256 : of the file's bytes; None where there is no file (a recording from the microphone, a made sound)
    clip_digest, clip_sr : of the decoded samples, their rate [Hz]; None where decoding failed
    source : the original's format, channels, rate and duration
    notes : what the decoder had to say
    history : what was done to the recording since (`Clip.history`)
    error : why it was not analysed
    """

    file: str
    sha256: str | None
    clip_digest: str | None = None
    clip_sr: int | None = None
    source: ClipSource | None = None
    notes: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    error: str | None = None


def resampling(source_sr: int, clip_sr: int, model_sr: int) -> list[str]:
    """The changes of rate between the file and the model, in order; empty where there is none."""
    rates = (source_sr, clip_sr, model_sr)
    return [f"{a} Hz -> {b} Hz ({RESAMPLER})" for a, b in pairwise(rates) if a != b]


def card_digest(card: ModelCard) -> str:
    """Hex SHA-256 of the card's fields as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(asdict(card), sort_keys=True).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Version of each of PACKAGES that is installed."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def provenance(
    *,
    app_version: str,
    card: ModelCard | None = None,
    weights_sha256: str | None = None,
    parameters: Mapping[str, str | float | bool | None],
    files: Sequence[FileFacts],
    started: datetime,
    finished: datetime,
    complete: bool = True,
) -> dict[str, Any]:
    """All of it as plain values for `json.dumps`.

    Parameters
    ----------
    card, weights_sha256 : of the model; None where no model took part
    parameters : settings that change the tables (threshold, all_labels ...)
    files : the recordings, in the order of the tables
    started, finished : with time zone; written in UTC
    complete : False where the user stopped the work early
    """
    return {
        "otoscope": app_version,
        "started_utc": _utc(started),
        "finished_utc": _utc(finished),
        "complete": complete,
        "model": None if card is None else _model(card, weights_sha256),
        "parameters": dict(parameters),
        "files": [_facts(file, None if card is None else card.sr) for file in files],
        "python": platform.python_version(),
        "packages": package_versions(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _model(card: ModelCard, weights_sha256: str | None) -> dict[str, Any]:
    return {
        "id": card.id,
        "weights_sha256": weights_sha256,
        "card_sha256": card_digest(card),
        "sr": card.sr,
        "window_s": card.window_s,
        "hop_s": card.hop_s,
    }


def _facts(file: FileFacts, model_sr: int | None) -> dict[str, Any]:
    facts = asdict(file)
    facts["notes"], facts["history"] = list(file.notes), list(file.history)
    steps = file.source and file.clip_sr and resampling(file.source.sr, file.clip_sr, model_sr or file.clip_sr)
    facts["resampling"] = steps or []
    return facts


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
