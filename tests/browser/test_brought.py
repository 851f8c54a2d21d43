"""Models that a user brings as files go through the whole app, on a minute of real sound."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from components.models import registry
from tests import tiny_checkpoints
from tests.browser.test_app import App

pytestmark = [pytest.mark.browser, pytest.mark.data]

ROOT = Path(__file__).resolve().parents[2]
SR, SECONDS = 22050, 60
SOURCES = (
    "librosa/198-209-0000.ogg",
    "librosa/3436-172162-0000.ogg",
    "librosa/5703-47212-0000.ogg",
    "librosa/Kevin_MacLeod_-_Vibe_Ace.ogg",
)


@pytest.fixture(scope="module")
def minute(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three readers, then music, to a minute."""
    parts = []
    for name in SOURCES:
        y, sr = soundfile.read(data_dir / name, dtype="float32")
        parts.append(y if sr == SR else soxr.resample(y, sr, SR))
    path = tmp_path_factory.mktemp("minute") / "minute.wav"
    soundfile.write(path, np.concatenate(parts)[: SECONDS * SR], SR)
    return path


@pytest.fixture
def window(
    chromium: Any, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, minute: Path
) -> Any:
    """The app on a server with an empty models folder, the minute of sound in hand."""
    monkeypatch.setenv("OTOSCOPE_MODELS", str(tmp_path / "models"))
    # Another name for the same script: a server of its own, with these settings.
    window = App(chromium, serve(ROOT / "tests" / ".." / "app.py"))
    window.upload(minute, float(SECONDS))
    yield window
    window.assert_sound()
    window.context.close()


def add_folder(window: App, folder: Path, task: str) -> str:
    """Bring a checkpoint through the Library's field; its id."""
    page = window.page
    before = {card.id for card in registry.cards()}
    field = page.get_by_label("Model id, such as owner/name, or a folder on this machine")
    if not field.is_visible():
        page.get_by_text("Bring another model, from Hugging Face or from a folder").click()
    field.fill(str(folder))
    field.press("Enter")
    page.get_by_role("button", name="Use this folder").click()
    page.get_by_test_id("stAlert").get_by_text(f"{folder.name} is in the list, and ready.").wait_for(timeout=60_000)
    (card,) = (card for card in registry.cards() if card.id not in before)
    assert card.task == task
    return card.id


def test_yamnet_a_ctc_and_a_classification_model_go_through_predict_inside_and_compare(
    window: App, data_dir: Path, tmp_path: Path
) -> None:
    weights = next((data_dir.parent / "models" / "yamnet").glob("*.tflite"), None)
    if weights is None:
        pytest.skip("YAMNet's weights are not here")
    page = window.page
    page.get_by_role("link", name="Library", exact=True).click()
    entry = page.locator(".st-key-entry_yamnet")
    entry.get_by_role("button", name="Use a folder instead").click()
    page.get_by_label("Folder or file").fill(str(weights))
    page.get_by_label("Folder or file").press("Enter")
    page.get_by_role("button", name="Use it").click()
    page.get_by_test_id("stAlert").get_by_text("YAMNet is ready.").wait_for(timeout=60_000)
    ctc, classifier = tmp_path / "letters", tmp_path / "voices"
    for make, folder in ((tiny_checkpoints.wav2vec2_ctc, ctc), (tiny_checkpoints.hubert_classification, classifier)):
        folder.mkdir()
        make(folder)
    ids = {
        "yamnet": "YAMNet",
        add_folder(window, ctc, "speech to text"): "letters",
        add_folder(window, classifier, "audio classification"): "voices",
    }

    window.go("Predict", "predictions")
    for model_id, title in ids.items():
        window.choose(model_id, "predictions")
        assert window.head("predictions")["range"] == window.head("waveform")["range"]
        if title == "YAMNet":
            # It knows speech from music, and says so where they are.
            page.get_by_text("For the whole clip the best label is").get_by_text("Speech").wait_for()
        if title == "letters":
            page.get_by_role("heading", name=re.compile(r"^Words \(\d+\)")).wait_for()

    window.go("Inside", "predictions", "hidden_states")
    for model_id in ids:
        window.choose(model_id, "hidden_states", "trajectory")
        page.evaluate("() => [...window.__otoscope.transports.values()][0].seek(30)")
        window.settle("hidden_states", "trajectory")
        assert abs(window.head("hidden_states")["off"]) < 2

    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_role("heading", name="Compare", exact=True).wait_for()
    chosen = page.locator(".st-key-compared")
    chosen.get_by_role("button", name="Clear all").click()
    for title in ids.values():
        chosen.get_by_role("combobox").fill(title)  # a long list draws only what is in sight
        page.get_by_role("option", name=title, exact=True).click()
    page.keyboard.press("Escape")
    charts = ("labels", "scores_0", "scores_1", "states_0", "states_1", "states_2")
    window.settle(*charts)
    heads = [window.head(name) for name in ("spectrogram", *charts)]
    assert max(abs(head["off"]) for head in heads) < 2
    assert {tuple(head["range"]) for head in heads} == {tuple(heads[0]["range"])}
