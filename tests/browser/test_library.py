"""The Library in a real browser: a download with progress that is stopped, goes on where it stopped, and is checked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.models import hub, registry
from components.models.catalogue import HUGGING_FACE, Entry, write_entry
from tests.browser.test_app import App
from tests.hub_server import serving

pytestmark = pytest.mark.browser

MODEL, REPO, WEIGHTS = "made-up", "somebody/a-model", "model.safetensors"


def test_a_download_shows_its_progress_stops_goes_on_and_is_checked(
    chromium: Any, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What arrives is as published, but no weights: opening real ones is tested without a browser.
    config = {"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"]}
    size = 5_000_000
    known = replace(registry.card("silero-vad"), id=MODEL, title="Made <b>*up*", source="download", size_bytes=size)
    monkeypatch.setenv("OTOSCOPE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "models" / MODEL).mkdir(parents=True)
    write_entry(tmp_path / "models" / MODEL / "entry.json", Entry(card=known, module=HUGGING_FACE, repo=REPO))
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.add(REPO, {"config.json": json.dumps(config).encode(), WEIGHTS: bytes(range(250)) * (size // 250)})
        server.pause_s = 0.03
        # Another name for the same script: a server of its own, with these settings.
        window = App(chromium, serve(Path("app.py")))
        window.page.get_by_role("link", name="Library", exact=True).click()
        entry = window.page.locator(f".st-key-entry_{MODEL}")
        entry.get_by_text("Made <b>*up*").wait_for()
        assert server.requests == []

        entry.get_by_role("button", name="Download").click()
        entry.get_by_role("progressbar").wait_for()
        deadline = time.monotonic() + 20
        while hub.have_bytes(MODEL) < size / 5 and time.monotonic() < deadline:
            window.page.wait_for_timeout(100)
        entry.get_by_role("button", name="Stop").click()
        go_on = entry.get_by_role("button", name="Go on with the download")
        go_on.wait_for()
        assert size / 5 <= hub.have_bytes(MODEL) < size

        server.pause_s = 0
        go_on.click()
        alert = entry.get_by_test_id("stAlert")
        alert.wait_for()
        assert alert.inner_text().strip().endswith(".")
        # What was here already was asked for from there, not from the start again.
        assert server.asked(WEIGHTS)[-1].headers["range"].startswith("bytes=")
        assert hub.state(MODEL) != "ready"
        window.assert_sound()
        window.context.close()
