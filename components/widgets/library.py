"""All models there are: what each is for, how far to trust it, how fast it is here, and how to get it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from components.errors import OtoscopeError
from components.models import advice, hub, registry, speed
from components.models.base import OnProgress
from components.models.catalogue import entries
from components.models.fetch import endpoint
from components.types import ModelCard
from components.units import format_bytes, format_step
from components.widgets import cards, state
from components.widgets.progress import progress
from components.widgets.text import plain

FAMILIES = {"classical": "classical", "cnn": "CNN", "rnn": "RNN or LSTM", "transformer": "transformer"}
STATES = {"ready": "ready", "missing": "to download", "partial": "download begun"}
ANY = "any"
REACHED = "library_reached"
BEGUN = 0.05
"""A download counts as begun when so much of it is here: less is the description, fetched when it was looked up."""


@dataclass(frozen=True)
class Wish:
    """Something that takes a while, to be done when the page is drawn.

    Attributes
    ----------
    text : what is going on, for the progress bar
    work : does it, reports how far it is, and says what was reached
    slot : where on the page its progress and its failure are shown
    """

    text: str
    work: Callable[[OnProgress], str]
    slot: st.delta_generator.DeltaGenerator


@dataclass(frozen=True)
class Row:
    """A model in the list: its card, its state, whether the user brought it, why it is advised ("": nobody asked)."""

    card: ModelCard
    state: hub.State
    own: bool
    reason: str = ""


def question() -> advice.Question | None:
    """What the user wants to know; None while nothing is asked."""
    by_key = {asked.key: asked for asked in advice.QUESTIONS}
    chosen = st.pills(
        "What do you want to know?",
        list(by_key),
        format_func=lambda key: by_key[key].text,
        key="question",
        persist_state="session",
        help="Choose a question to see only the models that can help with it, and why. Click it again for all models.",
    )
    return by_key[chosen] if chosen else None


def answer(asked: advice.Question | None) -> None:
    """What can be known, what cannot, and what others measured."""
    if asked is None:
        return
    with st.container(border=True, key="answer"):
        st.markdown(f"**{asked.text}** {asked.answer}")
        st.markdown("\n".join(f"- {limit}" for limit in asked.limits))
        if asked.figures:
            _figures(asked.figures)


def _figures(column: str) -> None:
    with st.expander("What others measured", icon=":material/monitoring:"):
        task = advice.HEAR_TASKS[column]
        st.markdown(
            f"Per cent right, with a small classifier on the numbers (embedding) that each model gives. For this "
            f"question look at **{column}**: {task}. {advice.HEAR_LESSON}"
        )
        columns = {
            f"{name}: {about}": [row[i] for row in advice.HEAR.values()]
            for i, (name, about) in enumerate(advice.HEAR_TASKS.items())
        }
        st.dataframe(
            {"model": list(advice.HEAR), **columns},
            column_config={name: st.column_config.NumberColumn(format="%.1f") for name in columns},
            hide_index=True,
            key="hear_table",
            alt="Published scores of four models on three tasks",
        )
        st.caption(f"Not measured by Otoscope. Source: {advice.HEAR_SOURCE}.")


def rows(asked: advice.Question | None) -> list[Row]:
    """The models for the question, or all: the user's own first, then as the registry lists them."""
    cards = registry.cards()
    states = {card.id: _state(card) for card in cards}
    own = set(hub.all_entries()) - set(entries())
    if asked is not None:
        found = advice.advise(asked, cards, lambda model_id: states[model_id] == "ready")
        return [Row(one.card, states[one.card.id], one.card.id in own, one.reason) for one in found]
    listing = [Row(card, states[card.id], card.id in own) for card in cards]
    return sorted(listing, key=lambda row: not row.own)


def _state(card: ModelCard) -> hub.State:
    """The state of a model; one of which little more than the description is here counts as not fetched."""
    found = registry.state(card.id)
    little = found == "partial" and hub.have_bytes(card.id) < BEGUN * card.size_bytes
    return "missing" if little else found


def chosen(found: Sequence[Row]) -> list[Row]:
    """Those that pass the filters, which offer only what there is."""
    tasks = sorted({row.card.task for row in found})
    families = [family for family in FAMILIES if any(row.card.family == family for row in found)]
    states = [name for name in STATES if any(row.state == name for row in found)]
    languages = sorted({language for row in found for language in row.card.languages}, key=cards.language)
    columns = st.columns(4)
    task = _filter(columns[0], "Task", tasks, str)
    family = _filter(columns[1], "Family", families, lambda name: FAMILIES[name])
    here = _filter(columns[2], "On this machine", states, lambda name: STATES[name])
    language = _filter(columns[3], "Language of the speech", languages, cards.language)
    return [
        row
        for row in found
        if task in (ANY, row.card.task)
        and family in (ANY, row.card.family)
        and here in (ANY, row.state)
        and (language == ANY or not row.card.languages or language in row.card.languages)
    ]


def _filter(
    column: st.delta_generator.DeltaGenerator, label: str, options: Sequence[str], name: Callable[[str], str]
) -> str:
    choice: str = column.selectbox(
        label,
        [ANY, *options],
        format_func=lambda option: option if option == ANY else name(option),
        key=f"filter_{label}_{'_'.join(options)}",
        persist_state="session",
    )
    return choice


def listed(found: Sequence[Row], among: int) -> Wish | None:
    """The models as cards or as a table, and what the user wants done with one of them."""
    ready = sum(row.state == "ready" for row in found)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{len(found)} of {among} models; {ready} ready.", width="content")
        form = st.segmented_control(
            "Show as",
            ("cards", "table"),
            default="cards",
            required=True,
            key="library_form",
            label_visibility="collapsed",
            persist_state="session",
        )
    if not found:
        st.info("No model passes these filters: set one of them to “any”.")
        return None
    if form == "table":
        return _table(found)
    wishes = [_entry(row) for row in found]
    return next(filter(None, wishes), None)


def _table(found: Sequence[Row]) -> Wish | None:
    """One line a model; a click on a row shows its card below."""
    speeds = speed.kept()
    slot = st.container()
    picked = st.dataframe(
        {
            "model": [row.card.title for row in found],
            "task": [row.card.task for row in found],
            "family": [FAMILIES[row.card.family] for row in found],
            "state": [STATES[row.state] for row in found],
            "size (MB)": [row.card.size_bytes / 1e6 for row in found],
            "held out": [100 * row.card.held_out[0].score if row.card.held_out else None for row in found],
            "speed here": [speeds[i].times_real_time if (i := row.card.id) in speeds else None for row in found],
            "hears (s)": [row.card.window_s for row in found],
            "a score every (ms)": [1000 * row.card.hop_s for row in found],
            "languages": [", ".join(map(cards.language, row.card.languages)) for row in found],
            "licence": [row.card.licence for row in found],
            "trained on": [row.card.training_data for row in found],
        },
        column_config={
            "size (MB)": st.column_config.NumberColumn(format="%.1f"),
            "held out": st.column_config.NumberColumn(
                format="%.0f %%",
                help="The first score on the model's card, on data that it never heard. Models of different tasks "
                "cannot be compared by it.",
            ),
            "speed here": st.column_config.NumberColumn(
                format="%.3g x",
                help="Times real time: seconds of sound that one core of this machine gets through in a second.",
            ),
            "hears (s)": st.column_config.NumberColumn(format="%.3g"),
            "a score every (ms)": st.column_config.NumberColumn(format="%.3g"),
        },
        hide_index=True,
        placeholder="–",
        height=min(36 * (len(found) + 1), 560),
        key="library_table",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{len(found)} models with task, family, state, licence, languages, scores and speed",
    )
    st.caption("Click a row to see its card and to get it.")
    wish = _measure_all(found, slot)
    for index in picked["selection"]["rows"]:
        if index < len(found):
            wish = _entry(found[index]) or wish
    return wish


def _measure_all(found: Sequence[Row], slot: st.delta_generator.DeltaGenerator) -> Wish | None:
    """A button that measures the speed of all that are ready and were not measured yet."""
    waiting = [row.card for row in found if row.state == "ready" and row.card.id not in speed.kept()]
    if not waiting or not st.button(f"Measure the speed of {len(waiting)} models", icon=":material/speed:"):
        return None

    def work(report: OnProgress) -> str:
        for i, card in enumerate(waiting):
            speed.measure(card.id, lambda share, done=i: report((done + share) / len(waiting)))  # type: ignore[misc]
        return f"{len(waiting)} models measured."

    return Wish("Measuring", work, slot)


def _state_text(row: Row) -> str:
    if row.state == "ready":
        return {"shipped": "ready: comes with Otoscope", "package": "ready: comes with a package"}.get(
            row.card.source, "ready"
        )
    size = format_bytes(row.card.size_bytes) if row.card.size_bytes else "unknown size"
    if row.state == "missing":
        return f"needs a download of {size}"
    return f"{format_bytes(hub.have_bytes(row.card.id))} of {size} here"


STATE_COLOURS = {"ready": "green", "missing": "gray", "partial": "orange"}


def _entry(row: Row) -> Wish | None:
    """One model: what it is in three lines, what to do with it, and its whole card in a drawer."""
    card = row.card
    with st.container(border=True, key=f"entry_{card.id}", gap="xsmall"):
        left, right = (
            st.columns([5, 2], gap="medium") if card.source == "download" else (st.container(gap="xxsmall"), None)
        )
        with left, st.container(gap="xxsmall"):
            badges = [f":{STATE_COLOURS[row.state]}-badge[{plain(_state_text(row))}]"]
            badges += [
                f":blue-badge[{plain(name)}]"
                for name in (card.task, FAMILIES[card.family], *map(cards.language, card.languages[:3]))
            ]
            if len(card.languages) > 3:
                badges.append(f":blue-badge[{len(card.languages) - 3} more languages]")
            st.markdown(f"**{plain(card.title)}** {' '.join(badges)}")
            st.markdown(plain(card.summary))
            if row.reason:
                st.markdown(f":small[**Why** {plain(row.reason)}]")
            facts = _facts(card)
            st.caption(plain(facts[:1].upper() + facts[1:]))
            wish = _details(card, row.state == "ready")
        if right is not None:
            with right, st.container(gap="xsmall"):
                wish = _actions(row) or wish
        return wish


def _facts(card: ModelCard) -> str:
    """One line: how right it is, what it hears, whose it is."""
    facts = []
    if card.held_out:
        score = card.held_out[0]
        facts.append(f"{score.metric}: {score.score:.0%} (worst fold {score.worst:.0%})")
    facts.append(f"hears {card.window_s:.3g} s at a time, a score every {format_step(card.hop_s)}")
    facts.append(f"licence {card.licence}")
    measured = speed.kept().get(card.id)
    if measured:
        facts.append(f"{_times(measured)} here")
    return " · ".join(facts)


def _times(measured: speed.Speed) -> str:
    return f"{measured.times_real_time:.3g} times real time"


def _actions(row: Row) -> Wish | None:
    """What can be done with the weights of a model that does not come with Otoscope: get, bring, delete them."""
    card = row.card
    slot = st.container()
    if row.state == "ready":
        return _delete(card, slot)
    wish = _download(row, slot)
    with st.popover("Use a folder instead", icon=":material/folder_open:", width="stretch"):
        wish = _folder(card, slot) or wish
    if row.own or row.state == "partial":
        label = "Remove it from the list" if row.own else "Delete what is here of it"
        if st.button(label, key=f"drop_{card.id}", type="tertiary", icon=":material/delete:"):
            return Wish("Deleting", lambda _: _removed(card), slot)
    return wish


def _download(row: Row, slot: st.delta_generator.DeltaGenerator) -> Wish | None:
    card = row.card
    host = hub.host(card.id)
    if not host:
        st.caption("Its folder is not there any more.")
        return None
    size = format_bytes(card.size_bytes) if card.size_bytes else "size not known"
    go_on = row.state == "partial"
    pressed = st.button(
        "Go on with the download" if go_on else f"Download {size}",
        key=f"download_{card.id}",
        icon=":material/download:",
        type="primary",
        width="stretch",
    )
    st.caption(plain(f"{size[:1].upper()}{size[1:]} from {host}; licence: {card.licence}."))
    if not pressed:
        return None

    def work(report: OnProgress) -> str:
        hub.download(card.id, report)
        return f"{card.title} is ready."

    return Wish(f"Fetching {plain(card.title)}", work, slot)


def _folder(card: ModelCard, slot: st.delta_generator.DeltaGenerator) -> Wish | None:
    st.markdown(
        "For machines without internet: fetch the model's files on another machine, bring them here, and name the "
        "folder (or the one file) that holds them. They stay where they are; nothing is copied or sent."
    )
    if card.homepage:
        st.caption(f"They are described at {plain(card.homepage)}")
    path = st.text_input("Folder or file", key=f"folder_{card.id}", placeholder="/path/to/the/folder")
    if not st.button("Use it", key=f"use_{card.id}", disabled=not path.strip()):
        return None

    def work(report: OnProgress) -> str:
        report(0.0)
        hub.use_folder(card.id, Path(path.strip()))
        return f"{card.title} is ready."

    return Wish(f"Checking the weights of {plain(card.title)}", work, slot)


def _delete(card: ModelCard, slot: st.delta_generator.DeltaGenerator) -> Wish | None:
    path = hub.weights_path(card.id)
    linked = not path.is_relative_to(hub.models_folder())
    with st.popover("Forget its folder" if linked else "Delete", icon=":material/delete:", width="stretch"):
        if linked:
            st.markdown(
                f"Its weights lie in {plain(str(path))}. They stay there; Otoscope only forgets where they are."
            )
        else:
            st.markdown(f"Delete {format_bytes(hub.have_bytes(card.id))} from this machine? It can be fetched again.")
        if st.button("Forget it" if linked else "Delete it", key=f"delete_{card.id}"):
            return Wish("Deleting", lambda _: _removed(card), slot)
    return None


def _removed(card: ModelCard) -> str:
    hub.remove(card.id)
    return f"{card.title} was removed."


def _details(card: ModelCard, ready: bool) -> Wish | None:
    """The whole card, made only when it is opened."""
    drawer = st.expander("Its card, and how to cite it", type="compact", on_change="rerun", key=f"card_{card.id}")
    if not drawer.open:
        return None
    with drawer:
        st.markdown("\n\n".join(cards.lines(card)))
        st.caption("To cite:")
        st.code(card.citation, language=None, wrap_lines=True)
        return _measure(card) if ready else None


def _measure(card: ModelCard) -> Wish | None:
    """The speed on this machine, and a button that measures it."""
    measured = speed.kept().get(card.id)
    left, right = st.columns([3, 2], vertical_alignment="center")
    left.markdown(
        f"**Speed here** {_times(measured)} on one core, measured on {measured.day}"
        if measured
        else "**Speed here** not measured yet",
        help=f"Seconds of sound that one processor core of this machine gets through in a second, measured on "
        f"{speed.SECONDS:.0f} s of made sound.",
    )
    label = "Measure again" if measured else "Measure"
    if not right.button(label, key=f"measure_{card.id}", icon=":material/speed:"):
        return None

    def work(report: OnProgress) -> str:
        return f"{card.title}: {_times(speed.measure(card.id, report))}."

    return Wish(f"Measuring {plain(card.title)}", work, st.container())


def another() -> Wish | None:
    """A field for any model of Hugging Face, or a folder on this machine."""
    with st.expander("Bring another model, from Hugging Face or from a folder", icon=":material/add:"):
        st.markdown(
            "Any speech or sound model in Hugging Face's format whose weights are in safetensors files: models that "
            "write down speech (CTC, Whisper), that name sounds or voices (audio classification), or that give "
            "embeddings. Nobody of this project has checked it; programs that come with a model are never run."
        )
        name = st.text_input(
            "Model id, such as owner/name, or a folder on this machine", key="another_model", placeholder="owner/name"
        ).strip()
        local = bool(name) and Path(name).expanduser().is_dir()
        host = urlsplit(endpoint()).hostname or "the server"
        pressed = st.button(
            "Use this folder" if local else f"Look it up at {host}",
            key="add_model",
            icon=":material/folder_open:" if local else ":material/search:",
            disabled=not name,
        )
        st.caption(
            "Nothing is fetched or sent: the files stay where they are."
            if local
            else plain(
                f"Asks {host} for the model's description, some hundred kilobytes; only its name is sent. Its size and "
                "licence then stand in the list, with a button for the weights."
            )
        )
        slot = st.container()
    if not pressed:
        return None
    return Wish(
        f"Opening {plain(name)}" if local else f"Looking up {plain(name)}", lambda report: look_up(name, report), slot
    )


def look_up(name: str, report: OnProgress) -> str:
    """Add a model to the list, without its weights: those are fetched by the button that states their size.

    Raises
    ------
    ModelError : no such model, or one that Otoscope cannot use
    """
    before = set(hub.all_entries())
    card = hub.look_up(name, report)
    if card.id in before:
        return f"{card.title} is in the list already."
    if hub.state(card.id) == "ready":
        return f"{card.title} is in the list, and ready."
    return f"{card.title} is in the list: see its size and licence there, and fetch it if you want it."


def reached() -> None:
    """Say, once, what was done in the run before."""
    said = state.widget_value(REACHED)
    if said:
        st.success(plain(said), icon=":material/check:")
        state.set_widget(REACHED, None)


def carry_out(wish: Wish | None) -> None:
    """Do what was asked for, now that the page is drawn, and draw the page anew."""
    if wish is None:
        return
    with wish.slot:
        stop = st.empty()
        stop.button("Stop", icon=":material/stop:", key="stop")
        note = st.empty()
        note.caption("Any click, or leaving this page, stops it; a download goes on later where it stopped.")
        try:
            with progress(wish.text) as report:
                said = wish.work(report)
        except OtoscopeError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        finally:
            stop.empty()
            note.empty()
    state.set_widget(REACHED, said)
    st.rerun()
