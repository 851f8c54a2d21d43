"""Every page without a browser: it draws something at once, with each model, and says one sentence about a bad file."""

import csv
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from components import cli
from components.audio.decode import decode
from components.audio.samples import SAMPLES
from components.audio.synth import GENERATED
from components.features.picture import PRESETS
from components.models import registry
from components.types import ModelCard
from components.widgets.cleaning import STEPS
from components.widgets.views.frequency import CUSTOM, SCALES
from components.widgets.views.kinds import KINDS
from components.widgets.views.wave import CURVES
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


WITH_ALL_LAYERS = ("digits-", "silero", "emotion-classical")
"""Models that between them have all the layers that there are; the other line-ups are the digits' architectures."""


@pytest.mark.parametrize("card", [c for c in READY if c.id.startswith(WITH_ALL_LAYERS)], ids=lambda card: card.id)
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


def show(at: AppTest, *kinds: str) -> None:
    """Explore with panes of these kinds."""
    at.session_state["otoscope_panes"] = [{"id": kind, "kind": kind, "height": "medium"} for kind in kinds]
    at.run()


@pytest.mark.parametrize("clip", ["made:Silence", "sample:Two people talking"])
def test_every_pane_can_be_drawn_with_each_of_its_axes_and_presets(clip):
    at = open_page("explore")
    at.session_state["clip_in_hand"] = clip
    for kind in KINDS:
        show(at, kind)
        assert not at.exception, kind
        assert not at.error, kind
        assert charts(at) == 1, kind
    show(at, "spectrogram", "mfcc", "curve", "waveform")
    for scale in SCALES:
        at.button_group(key="spectrogram-scale").set_value(scale).run()
        assert not at.exception, scale
        assert charts(at) == 4, scale
    assert at.selectbox(key="spectrogram-preset").value == CUSTOM
    for preset in PRESETS:
        at.selectbox(key="spectrogram-preset").set_value(preset).run()
        assert not at.exception, preset
        assert charts(at) == 4, preset
        assert at.button_group(key="spectrogram-scale").value == PRESETS[preset].scale
    at.button_group(key="spectrogram-overlay").set_value(["pitch", "formants"]).run()
    at.button_group(key="mfcc-order").set_value("delta delta").run()
    for curve in CURVES:
        at.selectbox(key="curve-curve").set_value(curve).run()
        assert not at.exception, curve
        assert charts(at) == 4, curve


def test_values_of_a_session_file_that_do_not_fit_give_way_to_the_usual_ones():
    at = AppTest.from_file(str(ROOT / "frame.py"), default_timeout=60)
    at.session_state["spectrogram-window_ms"] = "no number"
    at.session_state["pitch-range"] = "neither"
    at.session_state["mfcc-order"] = ["a", "list"]
    at.run()
    assert not at.exception
    assert charts(at) == 4


def test_a_second_clip_has_its_pictures_below_on_the_same_scale():
    at = open_page("explore")
    show(at, "waveform", "spectrogram")
    at.selectbox(key="second_clip").set_value("sample:Digits, a high voice").run()
    assert charts(at) == 4
    for how in ("by sound", "own clock", "by start"):
        at.button_group(key="second_how").set_value(how).run()
        assert not at.exception, how
        assert charts(at) == 4, how
    at.session_state["clip_in_hand"] = "made:Silence"
    at.run()
    assert not at.exception


def mark(at: AppTest, start: float, end: float, sample: int = 0) -> None:
    """Take a sample in hand and mark a stretch of it, as the transport does."""
    clip = decode(SAMPLES[sample].path, name="x").clip
    at.session_state["clip_in_hand"] = f"sample:{SAMPLES[sample].name}"
    at.session_state["otoscope_selection"] = {"clock": clip.digest[:16], "stretch": [start, end, None, None]}
    at.run()


def click(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click().run()


def test_a_marked_stretch_is_measured_and_kept_until_it_is_deleted():
    at = open_page("explore")
    mark(at, 0.5, 1.2)
    assert any(text.value.startswith("**Marked**") for text in at.caption)
    at.text_input(key="keep_label").set_value("=HYPERLINK()").run()
    click(at, "Keep in the table")
    kept = at.session_state["otoscope_collected"]
    assert [row["label"] for row in kept] == ["=HYPERLINK()"]
    values = {name: value for name, _, value, *_ in kept[0]["measures"]}
    assert values["duration_s"] == pytest.approx(0.7)
    assert 60 < values["pitch_mean_hz"] < 200
    at.session_state["drawer"] = "Kept stretches"
    at.run()
    click(at, "Delete it")
    assert at.session_state["otoscope_collected"] == []
    assert not at.exception


@pytest.mark.parametrize("step", ["Cut low rumble", "Set the loudness", "Trim", "Reduce noise"])
def test_each_step_of_cleaning_makes_a_new_clip_with_its_history(step):
    at = open_page("explore")
    mark(at, 0.0, 0.5, sample=4)
    show(at, "waveform")
    at.session_state["drawer"] = "Clean up"
    at.run()
    if step == "Reduce noise":
        click(at, "The marked stretch is noise")
    at.button_group(key="clean_step").set_value(next(k for k, (name, _) in STEPS.items() if name == step)).run()
    click(at, "Make the cleaned clip")
    assert not at.exception
    assert not at.error
    made = at.session_state["otoscope_held_clips"][0]
    assert len(made["history"]) == 1
    assert at.selectbox(key="second_clip").value == made["key"]
    assert charts(at) == 2
    assert any(plainly(text.value).startswith("- ") for text in at.markdown)
    click(at, "Go on with the cleaned clip")
    assert at.session_state["clip_in_hand"] == made["key"]
    assert not at.exception
