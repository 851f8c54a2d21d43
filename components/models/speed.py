"""How fast a model is on this machine: measured when somebody asks, and kept beside the downloaded models."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from components.audio import synth
from components.models import hub, registry
from components.models.base import AudioModel, OnProgress
from components.types import Clip

SECONDS = 10.0
RUNS = 2
"""The best of so many counts: whatever else the machine does can only slow a run down."""


@dataclass(frozen=True)
class Speed:
    """One measurement.

    Attributes
    ----------
    times_real_time : seconds of sound that one core listens to in one second
    day : when it was measured, ISO 8601
    """

    times_real_time: float
    day: str


def made_sound() -> Clip:
    """Vowels, clicks, a melody and noise, about `SECONDS` long: something for every kind of model to do."""
    notes = [(60 + k, 0.25) for k in (0, 4, 7, 12, 7, 4)]
    parts = [synth.vowel(name, 0.5) for name in "aeiou"] * 2
    parts += [synth.clicks(8, 1.0), synth.melody(notes), synth.noise(1.5, colour="pink"), synth.silence(1.0)]
    return Clip.from_array("made sound", np.concatenate(parts), synth.SR)


def times_real_time(model: AudioModel, clip: Clip, on_progress: OnProgress | None = None) -> float:
    """Seconds of sound for each second of one core's work, clip.duration / CPU time, the best of `RUNS`.

    CPU time is that of all threads together, so that a model which keeps two cores busy counts for both.
    """
    best = math.inf
    for run in range(RUNS):
        begun = time.process_time()
        model.predict(clip)
        best = min(best, time.process_time() - begun)
        if on_progress:
            on_progress((run + 1) / RUNS)
    # A clock that does not move within a run says no more than "faster than a tick of it".
    return clip.duration / max(best, time.get_clock_info("process_time").resolution, 1e-6)


def measure(model_id: str, on_progress: OnProgress | None = None) -> Speed:
    """Measure a model that is ready, and keep the answer.

    Raises
    ------
    ModelError : it cannot be loaded
    """
    model = registry.load(model_id)
    clip = made_sound()
    model.predict(clip.section(0, 1))  # what a model does only once is not its speed
    speed = Speed(times_real_time(model, clip, on_progress), datetime.now(UTC).date().isoformat())
    _write({**kept(), model_id: speed})
    return speed


def kept() -> dict[str, Speed]:
    """What was measured on this machine, by model; {} where nothing was, or the file is damaged."""
    try:
        values = json.loads(_path().read_text("utf-8"))
        return {
            model_id: Speed(float(fields["times_real_time"]), str(fields["day"])) for model_id, fields in values.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _path() -> Path:
    return hub.models_folder() / "speed.json"


def _write(speeds: dict[str, Speed]) -> None:
    part = _path().with_name("speed.json.new")
    with suppress(OSError):  # where nothing can be kept it is measured again next time
        part.write_text(json.dumps({model_id: asdict(speed) for model_id, speed in speeds.items()}, indent=1), "utf-8")
        part.replace(_path())
