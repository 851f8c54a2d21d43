"""The choices on the pages: plain words, the term beside it, kept from page to page."""

from __future__ import annotations

import streamlit as st

from components.models import registry
from components.types import OWN_WORDS, ModelCard
from components.units import format_bytes
from components.widgets.text import plain


def model() -> ModelCard:
    """What to listen for, then the model that does it; the choice is the same on every page.

    A model that is not on this machine ends the page with the way to get it.
    """
    by_task: dict[str, dict[str, ModelCard]] = {}
    for card in registry.cards():
        by_task.setdefault(card.task, {})[card.id] = card
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    task = left.selectbox(
        "Listen for",
        list(by_task),
        format_func=lambda name: name[:1].upper() + name[1:],
        key="task",
        persist_state="session",
        help="What the model was trained to find. Spoken digits, environmental sounds and acted emotion are each there "
        "in five kinds, so that the kinds can be compared.",
    )
    of_task = by_task[task]
    first = next((i for i, card in of_task.items() if card.family == "rnn"), next(iter(of_task)))
    with right:
        chosen = _model_of(task, of_task, first)
    card = of_task[chosen]
    if registry.state(card.id) != "ready":
        st.markdown(plain(card.summary))
        st.info(f"{plain(card.title)} is not on this machine yet: it {_need(card)}.", icon=":material/download:")
        st.page_link("pages/library.py", label="Get it in the Library", icon=":material/local_library:")
        st.stop()
    return card


MOST_BUTTONS = 6
FAMILIES_HELP = (
    "Classical: measured features and a statistical classifier. CNN: learned filters that slide over the spectrogram. "
    "RNN and LSTM: step by step, with a memory. Transformer: each moment looks at all others (attention). The card, "
    "below, says what the model was trained on and how often it is wrong."
)


def _model_of(task: str, of_task: dict[str, ModelCard], first: str) -> str:
    """One model of a task: as buttons where they fit, else as a list."""
    # What the titles of a task have in common ("Spoken digits, ") need not be read again.
    heads = {card.title.rpartition(", ")[0] for card in of_task.values()}
    names = {
        i: (card.title.rpartition(", ")[2] if len(heads) == 1 else card.title)
        + ("" if registry.state(i) == "ready" else " (not here yet)")
        for i, card in of_task.items()
    }
    key = f"model_{task}"
    if len(of_task) <= MOST_BUTTONS and sum(map(len, names.values())) < 90:
        chosen = st.segmented_control(
            "Model",
            list(of_task),
            format_func=names.__getitem__,
            default=first,
            required=True,
            key=key,
            persist_state="session",
            help=FAMILIES_HELP,
        )
    else:
        chosen = st.selectbox(
            "Model",
            list(of_task),
            index=list(of_task).index(first),
            format_func=names.__getitem__,
            key=key,
            persist_state="session",
            help=FAMILIES_HELP,
        )
    return str(chosen)


def _need(card: ModelCard) -> str:
    size = f" of {format_bytes(card.size_bytes)}" if card.size_bytes else ""
    return f"needs a download{size}, or its files in a folder"


def own_words(card: ModelCard) -> tuple[str, ...]:
    """The words that the user wants to hear about, for models that score those; () for all others."""
    if card.task != OWN_WORDS:
        return ()
    typed = st.text_input(
        "Your own words, with commas between them",
        ", ".join(card.labels),
        key=f"words_{card.id}",
        persist_state="session",
        help='The model says which of these fits each moment best, so add what else there may be ("silence", '
        '"something else"). Short descriptions such as "a crowd cheering" work better than single words.',
    )
    return tuple(dict.fromkeys(word.strip() for word in typed.split(",") if word.strip()))


def threshold(card: ModelCard) -> float:
    """The lowest score that counts as an event."""
    value: float = st.slider(
        "Threshold",
        0.05,
        0.95,
        0.5,
        0.05,
        key=f"threshold_{card.id}",
        persist_state="session",
        help="An event is a stretch in which a label's score stays at or above this. Lower it to find more, and "
        "more that is wrong; raise it for fewer and surer ones.",
    )
    return value
