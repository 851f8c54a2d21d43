"""The Library page against a hub on this machine: what it lists, what it fetches and when, what it says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from components.models import hub, registry, speed
from tests import tiny_checkpoints
from tests.hub_server import HubServer, serving

PAGE = Path(__file__).resolve().parents[2] / "pages" / "library.py"
REPO, MODEL = "somebody/a-model", "hf--somebody--a-model"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.hubert_classification(tmp_path_factory.mktemp("checkpoint") / "a model")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> Iterator[HubServer]:
    with serving() as server:
        monkeypatch.setenv("OTOSCOPE_MODELS", str(tmp_path / "models"))
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("NO_PROXY", "*")
        server.add(REPO, checkpoint)
        server.card_data = {"license": "mit <b>*x*", "language": "de"}
        yield server


def page() -> AppTest:
    at = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    """All text on the page, Markdown's escapes taken off."""
    return "\n".join(part.value for part in [*at.markdown, *at.caption, *at.error, *at.info]).replace("\\", "")


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    return at


def look_up(at: AppTest, name: str) -> AppTest:
    at.text_input(key="another_model").set_value(name).run()
    return press(at, "add_model")


def test_every_model_is_listed_and_nothing_is_asked_of_anybody(server: HubServer) -> None:
    at = page()
    text = said(at)
    for card in registry.cards():
        assert f"**{card.title}**" in text
        assert card.licence in text
    at.button_group(key="library_form").set_value("table").run()
    assert not at.exception
    assert len(at.dataframe[0].value) == len(registry.cards())
    assert server.requests == []


def test_a_question_leaves_the_models_that_can_help_with_their_reasons(server: HubServer) -> None:
    at = page()
    at.button_group(key="question").set_value("sounds").run()
    assert "per cent right" in said(at).lower()
    assert "ESC-50" in said(at)
    at.button_group(key="question").set_value("who").run()
    text = said(at)
    assert "**Silero VAD**" in text
    assert "**Why** Marks when somebody speaks" in text
    assert "tells one speaker from another" in text
    assert "**Spoken digits, CNN**" not in text


def test_filters_leave_what_passes_them(server: HubServer) -> None:
    at = page()
    boxes = {box.label: box for box in at.selectbox}
    boxes["Task"].set_value("spoken digits").run()
    boxes = {box.label: box for box in at.selectbox}
    boxes["Family"].set_value("rnn").run()
    titles = [part.value.split("**")[1] for part in at.markdown if part.value.startswith("**")]
    assert titles == [card.title for card in registry.cards() if (card.task, card.family) == ("spoken digits", "rnn")]


def test_a_model_of_any_name_is_looked_up_then_fetched_by_its_own_button(server: HubServer) -> None:
    at = look_up(page(), REPO)
    assert not at.error
    # Its size, source and licence are on the page before a byte of the weights is sent.
    assert server.asked(WEIGHTS) == []
    text = said(at)
    assert f"**{REPO}**" in text
    assert "licence: mit <b>*x*" in text
    assert "from 127.0.0.1" in text
    # Markup in what strangers wrote is drawn as text.
    assert not any("<b>" in part.value.replace("\\<", "") for part in [*at.markdown, *at.caption])

    assert at.button(key=f"download_{MODEL}").label.startswith("Download ")
    press(at, f"download_{MODEL}")
    assert not at.error
    assert hub.state(MODEL) == "ready"
    assert f"download_{MODEL}" not in {button.key for button in at.button}
    press(at, f"delete_{MODEL}")
    assert MODEL not in {card.id for card in registry.cards()}
    assert not at.error


def test_an_interrupted_download_says_so_and_goes_on(server: HubServer, checkpoint: Path) -> None:
    at = look_up(page(), REPO)
    size = (checkpoint / WEIGHTS).stat().st_size
    server.cut = {WEIGHTS: size // 2}
    press(at, f"download_{MODEL}")
    assert len(at.error) == 1
    assert hub.state(MODEL) == "partial"
    at.run()
    assert at.button(key=f"download_{MODEL}").label == "Go on with the download"
    press(at, f"download_{MODEL}")
    assert not at.error
    assert hub.state(MODEL) == "ready"
    assert server.sent[WEIGHTS] == size


def test_a_name_that_nobody_has_gets_a_sentence(server: HubServer) -> None:
    at = look_up(page(), "nobody/nothing")
    assert len(at.error) == 1
    assert "nobody/nothing" in said(at)


def test_a_curated_model_is_not_fetched_by_its_name(server: HubServer) -> None:
    known = next((entry for entry in hub.all_entries().values() if entry.repo), None)
    if known is None:
        pytest.skip("the catalogue names no Hugging Face model")
    at = look_up(page(), known.repo)
    assert not at.error
    assert server.requests == []


def test_a_folder_is_used_where_it_lies(server: HubServer, checkpoint: Path) -> None:
    at = look_up(page(), str(checkpoint))
    assert not at.error
    (card,) = (card for card in registry.cards() if card.id.startswith("folder--"))
    assert registry.state(card.id) == "ready"
    assert server.requests == []
    assert "They stay there" in said(at)
    press(at, f"delete_{card.id}")
    assert (checkpoint / WEIGHTS).is_file()


def test_a_folder_stands_in_for_a_download(server: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    at = look_up(page(), REPO)
    for path, state in ((tmp_path / "no such folder", "partial"), (checkpoint, "ready")):
        at.text_input(key=f"folder_{MODEL}").set_value(str(path)).run()
        press(at, f"use_{MODEL}")
        assert hub.state(MODEL) == state
        assert len(at.error) == (state != "ready")
    assert server.asked(WEIGHTS) == []


def test_the_card_can_be_opened_cited_and_its_speed_measured(server: HubServer) -> None:
    at = page()
    at.session_state["card_silero-vad"] = True
    at.run()
    card = registry.card("silero-vad")
    assert [code.value for code in at.code] == [card.citation]
    assert all(caveat in said(at) for caveat in card.caveats)
    press(at, "measure_silero-vad")
    assert list(speed.kept()) == ["silero-vad"]
    assert "times real time on one core" in said(at)
