"""Every page without a browser: it draws something at once, with each model, and says one sentence about a bad file."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from components.models import registry

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


def open_page(page: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.run()
    if page != "explore":
        at.switch_page(f"pages/{page}.py").run()
    return at


def charts(at: AppTest) -> int:
    return len(at.get("plotly_chart"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_alive_on_a_sample(page):
    at = open_page(page)
    assert not at.exception
    assert not at.error
    assert charts(at) >= 3


@pytest.mark.parametrize("page", ["predict", "inside"])
@pytest.mark.parametrize("card", registry.cards(), ids=lambda card: card.id)
def test_every_model_can_be_chosen(page, card):
    at = open_page(page)
    at.button_group(key="family").set_value(card.family).run()
    at.selectbox(key=f"model_{card.family}").set_value(card.id).run()
    assert not at.exception
    assert not at.error
    assert charts(at) >= 2


@pytest.mark.parametrize("card", registry.cards(), ids=lambda card: card.id)
def test_every_layer_can_be_looked_at(card):
    at = open_page("inside")
    at.button_group(key="family").set_value(card.family).run()
    at.selectbox(key=f"model_{card.family}").set_value(card.id).run()
    for layer in card.layers:
        at.selectbox(key=f"layer_{card.id}").set_value(layer).run()
        assert not at.exception, layer
        assert not at.error, layer
        assert charts(at) >= 3, layer


def test_every_sample_and_made_sound_opens():
    at = open_page("explore")
    for key in at.sidebar.selectbox(key="clip_in_hand").options:
        at.sidebar.selectbox(key="clip_in_hand").set_value(key).run()
        assert not at.exception, key
        assert not at.error, key


def test_pages_are_short_and_define_nothing():
    for path in [ROOT / "app.py", *(ROOT / "pages").glob("[a-z]*.py")]:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 60, path.name
        assert "def " not in text, path.name
