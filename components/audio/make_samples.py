"""Make the shipped recordings anew: `python -m components.audio.make_samples` (needs espeak-ng 1.51 on the path)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from components.audio.decode import decode
from components.audio.samples import FOLDER
from components.audio.synth import SCALE, SR, melody, noise, silence
from components.audio.transform import resample
from components.types import FloatArray

LOW, HIGH = "en-us+m3", "en-gb+f4"
LOW_DIGITS = ("seven", "three", "zero", "nine", "two")
HIGH_DIGITS = ("four", "one", "eight", "five", "six")
SENTENCE = "The north wind and the sun were arguing which of them was stronger."
DIALOGUE = (
    ("en-gb-scotland+m7", "How long have you lived here?"),
    ("en-us+f2", "Since I was a child."),
    ("en-gb-scotland+m7", "And what has changed?"),
    ("en-us+f2", "Almost everything, but the river sounds the same."),
)


def spoken(text: str, voice: str) -> FloatArray:
    """What espeak-ng says at 140 words a minute, at 16 kHz, without the silence at its ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", str(path), text], check=True)
        y = resample(decode(path, name="spoken.wav").clip, SR)
    loud = np.flatnonzero(np.abs(y) > 1e-3)
    return y[loud[0] : loud[-1] + 1]


def with_pauses(parts: Sequence[FloatArray], pause_s: float) -> FloatArray:
    """The parts with a pause before, between and behind them [s], the loudest sample at 0.7."""
    pause = silence(pause_s, sr=SR)
    y = np.concatenate([pause, *(piece for part in parts for piece in (part, pause))])
    return np.asarray(0.7 * y / np.abs(y).max(), np.float32)


def main() -> None:
    """Write the five files."""
    low = with_pauses([spoken(word, LOW) for word in LOW_DIGITS], 0.6)
    sounds = {
        "digits_low": low,
        "digits_high": with_pauses([spoken(word, HIGH) for word in HIGH_DIGITS], 0.6),
        "sentence": with_pauses([spoken(SENTENCE, "en-gb-x-rp+m1")], 0.3),
        "dialogue": with_pauses([spoken(text, voice) for voice, text in DIALOGUE], 0.7),
    }
    duration = low.size / SR
    notes = melody([(number, duration / len(SCALE)) for number, _ in SCALE], amplitude=0.15)
    behind = np.zeros_like(low)
    behind[: notes.size] = notes[: low.size]
    sounds["mixture"] = low + behind + noise(duration, colour="pink", amplitude=0.08, seed=1)[: low.size]
    for name, y in sounds.items():
        sf.write(FOLDER / f"{name}.flac", y, SR, subtype="PCM_16")


if __name__ == "__main__":
    main()
