"""From what somebody wants to know to the models that can tell: by task, with reasons, limits and published figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.types import OWN_WORDS, ModelCard


@dataclass(frozen=True)
class Route:
    """Tasks that serve a question: words that occur in their names, and why they serve it."""

    words: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Question:
    """What somebody wants to know.

    Attributes
    ----------
    key, text : short name; the question as people ask it
    answer : what kind of model answers it
    routes : the tasks that do, the best first
    limits : what no model here can do, and what to be careful with
    figures : the column of `HEAR` that tells most about it; "" for none
    """

    key: str
    text: str
    answer: str
    routes: tuple[Route, ...]
    limits: tuple[str, ...]
    figures: str = ""


@dataclass(frozen=True)
class Advice:
    """A model for a question, and why."""

    card: ModelCard
    reason: str
    ready: bool


HEAR_TASKS = {
    "ESC-50": "50 kinds of everyday sound",
    "CREMA-D": "six acted emotions",
    "Speech Commands": "twelve short spoken commands",
}
HEAR = {
    "YAMNet": (83.8, 45.3, 41.0),
    "OpenL3": (75.1, 55.0, 76.3),
    "Wav2Vec 2.0": (56.1, 65.6, 87.9),
    "HuBERT": (60.3, 69.0, 95.4),
}
"""Per cent right on the three tasks of HEAR_TASKS, each with a small classifier on the model's frozen embedding."""
HEAR_SOURCE = "J. Turian et al., HEAR: Holistic Evaluation of Audio Representations, PMLR 176, 2022"
HEAR_LESSON = (
    "Models that were made for sounds lose on speech, and models that were made for speech lose on sounds: choose by "
    "what you want to know, not by size."
)

_VOICE = Route(
    ("speech activity",), "Marks when somebody speaks, 31 times a second; it does not tell who, nor what is said."
)
_BROAD = Route(("speech, music", "speech / music", "speech/music"), "Tells speech, music and other sound apart.")
_EVENTS = Route(
    ("sound events",),
    "Knows hundreds of everyday sounds, speech and music among them, each scored for itself: several can be there.",
)
_WORDS = Route(
    (OWN_WORDS,),
    "You type the sounds to look for in your own words. It must choose among your words, so add some for the rest.",
)

QUESTIONS = (
    Question(
        "who",
        "Who speaks when?",
        "First find out when anybody speaks at all, then tell the voices apart by ear.",
        (_VOICE, _BROAD),
        (
            "Otoscope has no model yet that tells one speaker from another (speaker diarisation).",
            "Singing, laughter and a television in the room can count as speech.",
        ),
    ),
    Question(
        "said",
        "What is said?",
        "Models that write down speech, or that know a few words.",
        (
            Route(
                ("speech recognition", "speech to text", "transcri"),
                "Writes down what is said, with a time for each word.",
            ),
            Route(
                ("keyword", "speech commands", "spoken commands"),
                "Knows a few short words and nothing else: fast, and good for demonstrations.",
            ),
            Route(("spoken digits",), "Knows the English digits and nothing else; works at once, offline."),
        ),
        (
            "A transcript is a draft: names, dialects, noise and people who talk at once go wrong most.",
            "Whisper can write sentences that nobody said, above all into pauses and noise: listen where it matters.",
            "Choose a model of the language that is spoken.",
        ),
        "Speech Commands",
    ),
    Question(
        "how",
        "How is it said?",
        "Models that were trained on actors: they tell how much a voice sounds like an acted emotion.",
        (
            Route(
                ("emotion",),
                "Scores how much a voice sounds like actors who play an emotion; not what the speaker feels.",
            ),
        ),
        (
            "An acted-emotion score is no measurement of feelings, lies or moods, and other languages and ages than "
            "those of the actors can shift it.",
            "Pitch, loudness and pauses can be measured without any model: see Explore.",
        ),
        "CREMA-D",
    ),
    Question(
        "sounds",
        "What sounds are there?",
        "Models that know many everyday sounds, or those that you name.",
        (
            _EVENTS,
            _WORDS,
            Route(("environmental sounds",), "Knows ten kinds of sound and nothing else; works at once, offline."),
            _BROAD,
        ),
        ("Scores for rare sounds are low even when they are right: lower the threshold and listen.",),
        "ESC-50",
    ),
    Question(
        "alike",
        "Which clips are alike?",
        "Models without labels: they turn each moment into numbers (an embedding), and moments that sound alike get "
        "similar numbers.",
        (
            Route(("sound embedding",), "Made for sounds and music: places what sounds alike close together."),
            Route(
                (
                    "speech embedding",
                    "speech encoder",
                    "speech representation",
                    "embedding",
                    "encoder",
                    "hidden states",
                ),
                "Made for speech: places like sounds of speech close together, whoever speaks.",
            ),
            _EVENTS,
        ),
        (
            "Alike can mean the same speaker, the same words, the same room or the same microphone: the model does not "
            "say which.",
        ),
        "ESC-50",
    ),
    Question(
        "any",
        "Is there speech, music or noise at all?",
        "What people need first on any recording: which parts are worth a closer look.",
        (_BROAD, _VOICE, _EVENTS),
        ("Speech over music is both; a model that must choose names the louder one.",),
    ),
    Question(
        "learn",
        "How do such models work?",
        "The same task solved in five ways: classical, CNN, Elman RNN, LSTM and transformer. Open them on Inside, and "
        "side by side on Compare.",
        (
            Route(("spoken digits",), "Easy to hear and to say oneself: the best one to begin with."),
            Route(("environmental sounds",), "The same five families on sounds that are not speech."),
            Route(("emotion",), "The same five families on a task at which even people often disagree."),
        ),
        ("They are small, so that they can be looked into: larger ones are more often right.",),
    ),
)


def route_to(question: Question, card: ModelCard) -> int | None:
    """Which of the question's routes, counted from 0, a model's task is on; None for none."""
    task = card.task.lower()
    return next((i for i, route in enumerate(question.routes) if any(word in task for word in route.words)), None)


def advise(question: Question, cards: Sequence[ModelCard], is_ready: Callable[[str], bool]) -> tuple[Advice, ...]:
    """The models for a question: those that are ready first, then by the order of its routes, then small ones first."""
    found = []
    for card in cards:
        route = route_to(question, card)
        if route is not None:
            ready = is_ready(card.id)
            order = (not ready, route, 0 if ready else card.size_bytes)
            found.append((order, Advice(card, question.routes[route].reason, ready)))
    return tuple(advice for _, advice in sorted(found, key=lambda entry: entry[0]))
