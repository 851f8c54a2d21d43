"""The Compare page: who can be compared, what is drawn, and that its disagreements are those of the models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from components.analyse import analyse_clip
from components.audio.decode import decode
from components.audio.samples import SAMPLES
from components.errors import ModelError
from components.features import agreement
from components.models import registry
from components.models.events import labels_at
from components.types import Clip, ModelCard, Prediction
from components.widgets import comparing
from components.widgets.comparing import Heard

ROOT = Path(__file__).resolve().parents[2]
CNN, LSTM, ELMAN, VAD = "digits-cnn", "digits-lstm", "digits-elman", "silero-vad"


def heard(title: str, *labels: str) -> Heard:
    scores = np.zeros((3, len(labels)), np.float32)
    card = replace(registry.card(VAD), id=title, title=title)
    return Heard(card, Prediction(title, labels, scores, "none", np.arange(3.0), 1.0, 1.0))


def test_models_are_compared_that_have_the_same_labels():
    a, b, c, d = heard("a", "x", "y"), heard("b", "y", "none", "x"), heard("c", "x"), heard("d")
    assert comparing.sharing([c, a, d, b]) == [a, b]
    assert comparing.sharing([a, c]) == []
    assert comparing.sharing([d, d]) == []


def test_titles_lose_what_all_of_them_begin_with():
    assert comparing.short_titles([heard("Spoken digits, CNN"), heard("Spoken digits, LSTM")]) == ["CNN", "LSTM"]
    assert comparing.short_titles([heard("Spoken digits, CNN"), heard("YAMNet")]) == ["Spoken digits, CNN", "YAMNet"]
    assert comparing.short_titles([heard("YAMNet"), heard("Silero")]) == ["YAMNet", "Silero"]


def test_the_page_opens_with_two_families_of_one_task():
    chosen = [registry.card(model_id) for model_id in comparing.first_two(registry.cards())]
    assert len({card.family for card in chosen}) == len(chosen) == 2
    assert len({card.task for card in chosen}) == 1
    assert comparing.first_two([]) == []


def page(*models: str, sample: int = 0) -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=60)
    at.session_state["clip_in_hand"] = f"sample:{SAMPLES[sample].name}"
    at.session_state["compared"] = list(models)
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    return "\n".join(part.value for part in [*at.markdown, *at.caption, *at.error, *at.info]).replace("\\", "")


def test_four_models_and_the_moments_in_which_they_differ():
    at = page(CNN, LSTM, ELMAN, VAD)
    assert not at.error
    assert "Left out here, as the labels differ: Silero VAD." in said(at)
    pairs, stretches = (frame.value for frame in at.dataframe)
    assert list(pairs["models"]) == ["CNN – LSTM", "CNN – Elman RNN", "LSTM – Elman RNN"]
    assert pairs["same label"].between(0, 100).all()
    # What the table says is what the models say.
    clip = decode(SAMPLES[0].path, name="clip").clip
    assert (np.diff(stretches["length (s)"]) < 1e-9).all()
    predictions = [analyse_clip(clip, model_id) for model_id in (CNN, LSTM, ELMAN)]
    moments, _ = agreement.grid(clip.duration)
    for _, row in stretches.iterrows():
        inside = (moments > row["start (s)"]) & (moments < row["start (s)"] + row["length (s)"])
        rows = [labels_at(prediction, moments[inside]) for prediction in predictions]
        said_here = set(zip(*rows, strict=True))
        assert all(len(set(labels)) > 1 for labels in said_here)
        assert (row["CNN"], row["LSTM"], row["Elman RNN"]) in said_here


def test_models_of_different_tasks_are_shown_and_not_scored_against_each_other():
    at = page(CNN, VAD)
    assert "These models name different things" in said(at)
    assert "Where they agree" not in said(at)
    assert len(at.dataframe) == 0
    assert not at.error


def test_one_model_alone_is_asked_for_company():
    at = page(CNN)
    assert "Choose a second model" in said(at)
    assert not at.get("plotly_chart")


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ModelCard], Prediction]], None]:
    """Let another function answer for the LSTM, on a clip that no other test lets it hear: answers are kept."""

    def put(answer: Callable[[ModelCard], Prediction]) -> None:
        def hear(clip: Clip, model_id: str, *rest: object, **more: object) -> Prediction:
            return answer(registry.card(model_id)) if model_id == LSTM else analyse_clip(clip, model_id)

        monkeypatch.setattr(comparing, "analyse_clip", hear)

    return put


def test_a_model_that_fails_says_why_and_the_rest_goes_on(instead):
    def fail(card: ModelCard) -> Prediction:
        raise ModelError("The weights <b>are</b> gone: get them again.")

    instead(fail)
    at = page(LSTM, CNN, ELMAN, sample=1)
    assert [error.value.replace("\\", "") for error in at.error] == ["The weights <b>are</b> gone: get them again."]
    assert "CNN" in said(at)
    assert len(at.metric) == 2


def test_a_model_without_labels_is_looked_into_only(instead):
    times = np.arange(50) * 0.1
    instead(lambda card: Prediction(card.id, (), np.zeros((50, 0), np.float32), "none", times, 1.0, 0.1))
    at = page(LSTM, CNN, ELMAN, sample=2)
    assert not at.error
    assert "Spoken digits, LSTM has no labels" in said(at)
    assert len(at.metric) == 2


@pytest.mark.parametrize("kind", ["gate", "attention"])
def test_the_same_kind_of_layer_of_each_model(kind: str):
    at = page(CNN, LSTM, "digits-transformer")
    (control,) = (group for group in at.button_group if group.key and group.key.startswith("compared_kind"))
    control.set_value(kind).run()
    assert not at.exception
    assert not at.error
    lacking = said(at).count("It does not have that. It has: ")
    assert lacking == sum(kind not in registry.card(i).emits for i in (CNN, LSTM, "digits-transformer"))


def test_a_long_clip_waits_for_the_users_word(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparing, "ASK_FIRST_S", 1.0)
    at = page(CNN, LSTM, sample=3)
    (button,) = (button for button in at.button if button.label.startswith("Let "))
    assert "Spoken digits, CNN and Spoken digits, LSTM" in button.label
    assert not at.get("plotly_chart")
    button.click().run()
    assert not at.exception
    assert len(at.metric) == 2
