"""What sounds alike, on a model that ships, without a browser."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from streamlit.testing.v1 import AppTest

from components.models import registry
from components.widgets import alike

SR = 16000


def app(time: float | None = None, layer: str | None = "h_t", model: str = "digits-elman", view: object = None) -> None:
    from components.models import registry
    from components.widgets import alike, sidebar
    from components.widgets.transport import TransportState

    sidebar.sidebar()
    clip = sidebar.in_hand().clip
    alike.alike(clip, TransportState(view, time), registry.card(model), layer)


def pattern(seed: int) -> np.ndarray:
    """Half a second of four tones in an order of its own."""
    t = np.arange(SR // 8) / SR
    tones = np.random.default_rng(seed).permutation([300, 700, 1300, 2300])
    return np.concatenate([0.3 * np.sin(2 * np.pi * f * t) for f in tones]).astype(np.float32)


def recording(folder: Path, name: str, parts: list[np.ndarray]) -> dict[str, str]:
    path = folder / f"{name}.wav"
    sf.write(path, np.concatenate(parts), SR)
    return {"key": name, "name": f"{name}.wav", "path": str(path)}


@pytest.fixture
def held(tmp_path: Path) -> list[dict[str, str]]:
    """In hand: pattern 1 at 0 s, and again at 4 s, others between. The second clip has it at 2 s."""
    rest = [pattern(seed) for seed in range(2, 9)]
    first = recording(tmp_path, "first", [pattern(1), *rest, pattern(1), pattern(20)])
    second = recording(tmp_path, "second", [pattern(30), *rest[:3], pattern(1), pattern(31)])
    return [first, second]


def opened(held: list[dict[str, str]], **options: object) -> AppTest:
    at = AppTest.from_function(app, default_timeout=60, kwargs=options)
    at.session_state["otoscope_held_clips"] = held
    at.session_state["clip_in_hand"] = held[0]["key"]
    at.run()
    assert not at.exception
    return at


def table(at: AppTest, key: str) -> dict[str, list[float]]:
    (found,) = [frame for frame in at.dataframe if key in frame.proto.id]
    return {str(name): list(column) for name, column in found.value.items()}


def test_the_passage_that_comes_again_is_the_moment_most_alike(held: list[dict[str, str]]) -> None:
    at = opened(held[:1], time=0.3)
    assert len(at.get("plotly_chart")) == 1
    here = table(at, "alike_here")
    assert here["moment (s)"][0] == pytest.approx(4.3, abs=0.1)
    assert here["similarity"][0] > 0.9
    assert here["similarity"] == sorted(here["similarity"], reverse=True)
    gaps = np.abs(np.subtract.outer(here["moment (s)"], here["moment (s)"]))
    assert gaps[~np.eye(len(gaps), dtype=bool)].min() >= 1.0 - 1e-6
    assert any("Open or record other clips" in caption.value for caption in at.caption)


def test_the_slider_chooses_another_moment(held: list[dict[str, str]]) -> None:
    at = opened(held[:1])
    assert at.slider[0].value == 0
    before = table(at, "alike_here")["moment (s)"]
    at.slider[0].set_value(150).run()
    assert not at.exception
    assert table(at, "alike_here")["moment (s)"] != before
    assert any("0:02.4" in caption.value for caption in at.caption)


def test_hearing_a_row_does_not_change_the_question(held: list[dict[str, str]]) -> None:
    at = opened(held[:1], time=4.8)
    assert at.slider[0].value == pytest.approx(4.8 / 0.016, abs=1)
    for wish in (("1", 3.8, 4.8), ("2", 4.8, 5.0), ("3", 4.0, 4.62)):
        at = AppTest.from_function(app, default_timeout=60, kwargs={"time": 4.8})
        at.session_state["otoscope_held_clips"] = held[:1]
        at.session_state["clip_in_hand"] = held[0]["key"]
        at.session_state["otoscope_wish"] = wish
        at.run()
        assert not at.exception
        assert at.slider[0].value == 0


def test_other_clips_are_listened_to_when_asked_for_and_only_once(
    held: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_files = []
    decode = alike.decode
    monkeypatch.setattr(alike, "decode", lambda path, **how: (opened_files.append(path.name), decode(path, **how))[1])
    at = opened(held, time=0.3)
    assert not opened_files
    at.button(key="alike_compare").click().run()
    assert not at.exception
    there = table(at, "alike_elsewhere")
    assert set(there["clip"]) == {"second.wav"}
    assert there["moment (s)"][0] == pytest.approx(2.3, abs=0.1)
    assert opened_files == ["second.wav"]
    at.slider[0].set_value(100).run()
    assert not at.exception
    assert opened_files == ["second.wav"]
    assert table(at, "alike_elsewhere")["moment (s)"]


def test_a_clip_that_cannot_be_opened_is_named_and_the_others_are_compared(
    held: list[dict[str, str]], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no sound")
    at = opened([*held, {"key": "broken", "name": "broken.wav", "path": str(broken)}])
    at.button(key="alike_compare").click().run()
    assert not at.exception
    assert ["broken" in warning.value for warning in at.warning] == [True]
    assert set(table(at, "alike_elsewhere")["clip"]) == {"second.wav"}


def test_a_model_with_labels_shows_nothing_unless_a_layer_is_named(held: list[dict[str, str]]) -> None:
    at = opened(held, layer=None)
    assert not at.get("plotly_chart") and not at.slider


def test_a_part_of_the_clip_is_compared_with_all_of_it(held: list[dict[str, str]]) -> None:
    at = opened(held[:1], view=(1.0, 2.0), model="silero-vad", layer="encoder")
    assert len(at.get("plotly_chart")) == 1
    assert at.slider[0].max > 100


def test_a_clip_of_one_frame_is_too_short(tmp_path: Path) -> None:
    at = opened([recording(tmp_path, "short", [np.zeros(100, np.float32)])], model="silero-vad", layer="encoder")
    assert [info.value for info in at.info] == ["The clip is too short for this model to compare its moments."]


def test_a_layer_without_a_row_for_each_moment_is_refused_in_a_sentence(held: list[dict[str, str]]) -> None:
    at = opened(held[:1], model="digits-transformer", layer="attention_1")
    assert "layer attention" in at.info[0].value and "cannot be compared." in at.info[0].value
    assert not at.get("plotly_chart")


def test_a_long_clip_is_compared_when_asked_for_and_two_minutes_at_most(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(70 * SR).astype(np.float32)
    long = recording(tmp_path, "long", [noise])
    at = opened([long], model="silero-vad", layer="encoder")
    assert not at.get("plotly_chart")
    (ask,) = [button for button in at.button if button.label.startswith("Compare the moments of 1:10")]
    ask.click().run()
    assert not at.exception
    assert len(at.get("plotly_chart")) == 1
    longer = recording(tmp_path, "longer", [noise, noise])
    at = opened([longer], model="silero-vad", layer="encoder")
    assert "up to 2 minutes" in at.info[0].value
    at = opened([longer], model="silero-vad", layer="encoder", view=(30.0, 50.0))
    assert len(at.get("plotly_chart")) == 1


def test_the_layer_is_the_first_embedding_or_the_last_hidden_state() -> None:
    assert alike.layer_of(registry.card("digits-cnn")) == "embedding"
    assert alike.layer_of(registry.card("silero-vad")) == "encoder"
    assert alike.layer_of(registry.card("digits-elman")) == "h_t"


def test_the_numbers_can_be_taken_away() -> None:
    values, times = np.arange(6, dtype=np.float32).reshape(2, 3) / 8, np.array([0.0, 0.1])
    text = "".join(alike.lines(values, times))
    assert [[float(cell) for cell in row] for row in csv.reader(io.StringIO(text))] == [
        [0.0, 0.0, 0.125, 0.25],
        [0.1, 0.375, 0.5, 0.625],
    ]
