"""Compare in a real browser: all models on one clock, and a disagreement that can be heard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_app import TIME, App

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
CHARTS = ("labels", "agreement", "scores_0", "scores_1", "states_0", "states_1")


def test_models_are_stacked_under_one_playhead_and_a_disagreement_is_heard(
    chromium: Any, serve: Callable[[Path], str]
) -> None:
    window = App(chromium, serve(ROOT / "app.py"))
    window.go("Compare", *CHARTS)
    window.page.evaluate("() => [...window.__otoscope.transports.values()][0].seek(1.2)")
    window.settle(*CHARTS)
    heads = [window.head(name) for name in ("spectrogram", *CHARTS)]
    assert max(abs(head["off"]) for head in heads) < 2
    assert max(head["left"] for head in heads) - min(head["left"] for head in heads) < 1
    assert {tuple(head["range"]) for head in heads} == {tuple(heads[0]["range"])}
    window.page.wait_for_function(
        "() => document.querySelectorAll('[class*=st-key-trajectory_] .js-plotly-plot .main-svg').length >= 2"
    )

    table = window.page.locator(".st-key-disagreements [data-testid=stDataFrame]")
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    window.page.mouse.click(box["x"] + 14, box["y"] + 52)
    window.page.wait_for_function(f"() => Math.abs(({TIME})() - 1.2) > 0.05")
    window.assert_sound()
    window.context.close()
