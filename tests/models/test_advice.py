"""The adviser goes by task, offers what is ready first, and has an answer for every model there is."""

from dataclasses import replace

import pytest

from components.models import advice, registry

CARDS = registry.cards()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_every_model_serves_a_question(card):
    assert any(advice.route_to(question, card) is not None for question in advice.QUESTIONS), card.task


@pytest.mark.parametrize("question", advice.QUESTIONS, ids=lambda question: question.key)
def test_every_question_is_answered_with_reasons_and_limits(question):
    found = advice.advise(question, CARDS, lambda _: True)
    assert question.limits
    assert found
    assert all(one.reason.endswith(".") for one in found)
    assert len({one.card.id for one in found}) == len(found)
    assert question.figures in ("", *advice.HEAR_TASKS)


def question(key: str) -> advice.Question:
    return next(q for q in advice.QUESTIONS if q.key == key)


def test_who_speaks_when_says_that_speakers_are_not_told_apart():
    asked = question("who")
    assert "silero-vad" in {one.card.id for one in advice.advise(asked, CARDS, lambda _: True)}
    assert any("tells one speaker from another" in limit for limit in asked.limits)


def test_what_is_ready_comes_first_then_the_better_route_then_the_smaller_one():
    base = registry.card("silero-vad")
    cards = [
        replace(base, id="own words", task="your own words", size_bytes=5),
        replace(base, id="big", task="sound events", size_bytes=90),
        replace(base, id="small", task="sound events", size_bytes=10),
        replace(base, id="shipped", task="environmental sounds"),
        replace(base, id="digits", task="spoken digits"),
    ]
    found = advice.advise(question("sounds"), cards, lambda model_id: model_id == "shipped")
    assert [one.card.id for one in found] == ["shipped", "small", "big", "own words"]
    assert [one.ready for one in found] == [True, False, False, False]


def test_published_figures_say_that_sound_models_lose_on_speech_and_the_reverse():
    columns = list(advice.HEAR_TASKS)
    sounds, speech = columns.index("ESC-50"), columns.index("Speech Commands")
    assert max(advice.HEAR, key=lambda name: advice.HEAR[name][sounds]) == "YAMNet"
    assert min(advice.HEAR, key=lambda name: advice.HEAR[name][speech]) == "YAMNet"
    assert all(len(row) == len(columns) for row in advice.HEAR.values())
