"""The recordings that ship: each made by this project, so that everything works with no file at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("samples")


@dataclass(frozen=True)
class Sample:
    """A shipped recording: its name, one plain line about it, where it is."""

    name: str
    about: str
    path: Path


SAMPLES = (
    Sample(
        "Digits, a deep voice", 'A computer voice says "seven, three, zero, nine, two".', FOLDER / "digits_low.flac"
    ),
    Sample("Digits, a high voice", 'Another says "four, one, eight, five, six".', FOLDER / "digits_high.flac"),
    Sample(
        "A sentence", '"The north wind and the sun were arguing which of them was stronger."', FOLDER / "sentence.flac"
    ),
    Sample("Two people talking", "Two computer voices take turns, with pauses.", FOLDER / "dialogue.flac"),
    Sample(
        "Digits, noise and a melody", "The same digits with pink noise and eight notes behind.", FOLDER / "mixture.flac"
    ),
)
