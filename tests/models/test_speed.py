"""Speed is seconds of sound per second of work, and is kept."""

import time
from pathlib import Path

import pytest

from components.models import registry, speed
from components.types import Clip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OTOSCOPE_MODELS", str(tmp_path))
    return tmp_path


class Worker:
    """Keeps one core busy for 0.05 s."""

    def predict(self, clip: Clip, on_progress: object = None) -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            sum(range(1000))


def test_the_sound_is_about_ten_seconds_of_something():
    clip = speed.made_sound()
    assert clip.duration == pytest.approx(speed.SECONDS, abs=0.5)
    assert clip.y.std() > 0.01


def test_speed_is_duration_over_work():
    clip = speed.made_sound()
    shares: list[float] = []
    assert speed.times_real_time(Worker(), clip, shares.append) == pytest.approx(clip.duration / 0.05, rel=0.2)
    assert shares == [0.5, 1.0]


def test_a_measurement_is_kept_beside_the_others(folder: Path):
    assert speed.kept() == {}
    first = speed.measure("digits-elman")
    second = speed.measure("silero-vad")
    assert speed.kept() == {"digits-elman": first, "silero-vad": second}
    assert first.times_real_time > 1
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["speed.json"]
    assert "speed" not in {card.id for card in registry.cards()}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 3}', '{"a": {"times_real_time": "x", "day": ""}}'])
def test_a_damaged_file_is_as_none(folder: Path, text: str):
    (folder / "speed.json").write_text(text)
    assert speed.kept() == {}
