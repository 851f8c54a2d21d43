"""Every page without a browser: it draws something at once, with each model, and says one sentence about a bad file."""

import csv
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from components import cli
from components.audio.samples import SAMPLES
from components.audio.synth import GENERATED
from components.models import registry
from components.types import ModelCard
from tests.bad_inputs import BAD_INPUTS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


def open_page(page: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "frame.py"), default_timeout=60)
    at.run()
    if page != "explore":
        at.switch_page(f"pages/{page}.py").run()
    return at


READY = [card for card in registry.cards() if card.source != "download"]
NOT_HERE = [card for card in registry.cards() if card.source == "download"]


def choose(at: AppTest, card: ModelCard) -> None:
    """Pick the model's task, then the model: a row of buttons or a list."""
    at.selectbox(key="task").set_value(card.task).run()
    key = f"model_{card.task}"
    buttons = [group for group in at.button_group if group.key == key]
    (buttons[0] if buttons else at.selectbox(key=key)).set_value(card.id).run()


def charts(at: AppTest) -> int:
    return len(at.get("plotly_chart"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_alive_on_a_sample(page):
    at = open_page(page)
    assert not at.exception
    assert not at.error
    if page == "library":
        assert any(card.title in plainly(text.value) for text in at.markdown for card in registry.cards())
    else:
        assert charts(at) >= 2


@pytest.mark.parametrize("card", READY, ids=lambda card: card.id)
def test_every_model_can_be_chosen(card):
    at = open_page("predict")
    choose(at, card)
    assert not at.exception
    assert not at.error
    assert charts(at) >= 2


@pytest.mark.parametrize("page", ["predict", "inside"])
def test_a_model_that_is_not_here_says_how_to_get_it(page):
    at = open_page(page)
    for card in NOT_HERE:
        choose(at, card)
        assert not at.exception, card.id
        assert not at.error, card.id
        assert any(plainly(info.value).startswith(f"{card.title} is not on this machine yet") for info in at.info)


KINDS = ("digits-", "silero", "emotion-classical")
"""Models that between them have all the layers that there are; the other line-ups are the digits' architectures."""


@pytest.mark.parametrize("card", [c for c in READY if c.id.startswith(KINDS)], ids=lambda card: card.id)
def test_every_layer_can_be_looked_at(card):
    at = open_page("inside")
    choose(at, card)
    for layer in card.layers:
        at.selectbox(key=f"layer_{card.id}").set_value(layer).run()
        assert not at.exception, layer
        assert not at.error, layer
        assert charts(at) >= 3, layer


def test_every_sample_and_made_sound_opens():
    at = open_page("explore")
    for key in [f"sample:{sample.name}" for sample in SAMPLES] + [f"made:{name}" for name in GENERATED]:
        at.session_state["clip_in_hand"] = key
        at.run()
        assert not at.exception, key
        assert not at.error, key


def test_pages_are_short_and_define_nothing():
    for path in [ROOT / "app.py", ROOT / "frame.py", *(ROOT / "pages").glob("[a-z]*.py")]:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 60, path.name
        assert "def " not in text, path.name


def plainly(text: str) -> str:
    """Markdown's escapes taken off again."""
    return text.replace("\\", "")


def test_every_bad_input_gets_its_sentence_on_the_page_and_on_the_command_line(tmp_path):
    refused = [case for case in BAD_INPUTS if case.expected == "error"]
    noted = [case for case in BAD_INPUTS if case.expected == "note"]
    assert len(refused) >= 25
    held = []
    for i, case in enumerate([*refused, *noted]):
        path = tmp_path / f"{i}"
        path.write_bytes(case.make())
        held.append({"key": str(i), "name": case.name, "path": str(path)})
    at = AppTest.from_file(str(ROOT / "frame.py"), default_timeout=60)
    at.session_state["otoscope_held_clips"] = held
    at.run()
    said = {}
    for clip, case in zip(held, [*refused, *noted], strict=True):
        at.session_state["clip_in_hand"] = clip["key"]
        at.run()
        assert not at.exception, case.name
        sentences = [plainly(alert.value) for alert in (at.error if case in refused else at.warning)]
        assert any(case.words in sentence for sentence in sentences), (case.name, sentences)
        assert len(at.error) == (case in refused), case.name
        said[case.name] = sentences

    for clip in held[: len(refused)]:
        Path(clip["path"]).rename(tmp_path / clip["name"])
    files = [str(tmp_path / case.name) for case in refused]
    assert cli.main(["analyse", *files, "--model", "silero-vad", "--out", str(tmp_path / "out")]) == 1
    with (tmp_path / "out" / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [case.name for case in refused]
    for row in rows:
        assert [row["error"]] == said[row["file"]]


@pytest.mark.parametrize("scale", ["mel", "linear", "log", "mel bands"])
@pytest.mark.parametrize("clip", ["made:Silence", "sample:A sentence"])
def test_every_frequency_axis_can_be_drawn(scale, clip):
    at = open_page("explore")
    at.session_state["clip_in_hand"] = clip
    at.button_group(key="scale").set_value(scale).run()
    assert not at.exception
    assert charts(at) == 3
    at.button_group(key="mfcc_order").set_value("delta delta").run()
    at.button_group(key="curves").set_value(["rms", "spectral_centroid", "zero_crossing_rate"]).run()
    assert not at.exception
    assert charts(at) == 6
