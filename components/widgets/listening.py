"""What a model makes of the clip in hand: its card, its scores over time, its events, what to take away."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from components.analyse import SHORTEST_EVENT_S, analyse_clip, clip_provenance
from components.audio.decode import Decoded
from components.errors import OtoscopeError
from components.exports import tables
from components.models.events import clip_label, find_events
from components.plots import scores as score_plots
from components.types import OWN_WORDS, Clip, ModelCard, Prediction, Segment
from components.units import format_time
from components.widgets import cached, cards, panes, pickers, state
from components.widgets.progress import progress
from components.widgets.text import plain, refuse
from components.widgets.transport import TransportState

ASK_FIRST_S = 600.0
"""A model is not set to work on a longer clip before the user says so."""
MANY_LABELS = 24
"""More labels than this are not drawn at once."""
CROWDED_S = 120.0
"""Of longer clips, and of letters, the scores are drawn as strips unless the user wants curves, which are a tangle."""


def card(card: ModelCard) -> None:
    """The model in plain words: what it is for, and how far to trust it."""
    st.markdown(plain(card.summary))
    for score in card.held_out:
        worst = min(score.folds, key=lambda fold: fold[1])[0] if score.folds else ""
        st.markdown(
            f"{plain(score.metric[:1].upper() + score.metric[1:])}: **{score.score:.0%}** "
            f":small[(worst: {score.worst:.0%}, {plain(worst)})]",
            help=plain(score.protocol),
        )
    if not card.held_out:
        st.caption("How often it is wrong was not measured by this project; the card says what was tried.")
    if card.caveats:
        st.caption(plain(card.caveats[0]))
    with st.expander("The model's card", icon=":material/id_card:"):
        st.markdown("\n\n".join([*cards.lines(card), f"**To cite** {plain(card.citation)}"]))


def listen(clip: Clip, card: ModelCard, words: tuple[str, ...] = ()) -> Prediction:
    """The model's scores for the clip; asks first when the clip is long. Stops the page when there are none."""
    key = (clip.digest, card.id, *words)
    above = st.empty()
    if clip.duration > ASK_FIRST_S and not cached.has("prediction", key):
        if not above.button(f"Let {card.title} listen to all {format_time(clip.duration)}", type="primary"):
            st.info("This clip is long: the model starts when you say so. A click on anything stops it again.")
            st.stop()
        above.button("Stop", icon=":material/stop:")
    try:
        with progress(f"{plain(card.title)} is listening") as report:
            prediction = cached.remember("prediction", key, lambda: analyse_clip(clip, card.id, report, labels=words))
    except OtoscopeError as error:
        refuse(error)
    above.empty()
    return prediction


def transcript(prediction: Prediction) -> None:
    """What was said, where the model writes it: the text, and each word to click and hear."""
    if prediction.text is None:
        return
    panes.heading(
        "What was said",
        "The text as the model wrote it. It writes something for every sound that resembles speech, and it may leave "
        "out, mishear or make up words: check what matters by ear. Click a word in the list to hear it.",
    )
    if not prediction.text.strip():
        st.caption("The model heard no words.")
        return
    with st.container(border=True, height=160 if len(prediction.text) > 800 else "content"):
        st.text(prediction.text)


def findings(
    clip: Clip, now: TransportState, card: ModelCard, prediction: Prediction
) -> tuple[tuple[Segment, ...], float | None]:
    """The verdict and the scores over time, with the threshold that makes events of them below.

    Gives the events and that threshold; None where the model finds its stretches itself.
    """
    if not prediction.labels:
        return (), None
    if prediction.text is not None:
        predictions(clip, now, card, prediction)
        return prediction.segments, None
    settled = st.container()
    least = pickers.threshold(card)
    found = find_events(prediction, least, SHORTEST_EVENT_S)
    with settled:
        verdict(prediction)
        predictions(clip, now, card, prediction, threshold=least, events=found)
    return found, least


def verdict(prediction: Prediction) -> None:
    """The one label for the whole clip, with the caution it needs."""
    label, score = clip_label(prediction)
    st.markdown(
        f"For the whole clip the best label is **{label}** (score {score:.2f} of 1).",
        help="The mean score over the frames in which the model hears something. A model must answer with one of "
        "its labels even when the sound is something else.",
    )


def predictions(
    clip: Clip,
    now: TransportState,
    card: ModelCard,
    prediction: Prediction,
    *,
    threshold: float | None = None,
    events: tuple[Segment, ...] = (),
) -> None:
    """Scores over time, the best classes as curves or all of them as strips; nothing for a model without labels."""
    if not prediction.labels:
        return
    panes.heading(
        "Scores over time",
        "How sure the model is of each label, from 0 to 1, at each moment. A step is as wide as the model's own step; "
        "each score has heard the sound around it for as long as the note below says.",
    )
    view = panes.view_of(clip, now)
    clock = panes.clock_of(clip)
    crowded = clip.duration > CROWDED_S or prediction.text is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        as_strips = len(prediction.labels) > 1 and st.toggle(
            "As strips", value=crowded, key=f"strips_{crowded}", persist_state="session"
        )
        shown = _of_group(card, prediction)
    if as_strips:
        classes = score_plots.best_classes(shown, MANY_LABELS)
        figure = score_plots.class_band(shown, clock=clock, view=view, classes=sorted(classes))
    else:
        figure = score_plots.scores(shown, clock=clock, view=view, threshold=threshold, events=events)
    panes.chart("predictions", figure)


def _of_group(card: ModelCard, prediction: Prediction) -> Prediction:
    """The prediction with the labels of one group only, where the card has groups and the user chose one."""
    if not card.label_groups:
        return prediction
    everything = "all labels"
    groups = {name: slice(first, stop) for name, first, stop in card.label_groups}
    chosen = st.selectbox(
        "Labels",
        [everything, *groups],
        key=f"group_{card.id}",
        persist_state="session",
        label_visibility="collapsed",
        help="This model has very many labels: those with the highest scores are drawn, of all or of one group.",
        width=320,
    )
    if chosen == everything:
        return prediction
    part = groups[chosen]
    return replace(prediction, labels=prediction.labels[part], scores=prediction.scores[:, part])


def events(prediction: Prediction, found: tuple[Segment, ...]) -> None:
    """The list of events, or of words; a click on a row plays it. Nothing for a model without labels."""
    if not prediction.labels:
        return
    if prediction.text is None:
        title, meaning = "Events", "Stretches in which a label stays at or above the threshold."
    else:
        title, meaning = "Words", "Each word with the time at which the model heard it, and how sure it was."
    panes.heading(f"{title} ({len(found)})", f"{meaning} Click a row to hear it.")
    with st.container(key="events"):
        if not found:
            st.caption(
                "No label stays at or above the threshold. Lower it to see weaker candidates."
                if prediction.text is None
                else "There are none."
            )
            return
        st.dataframe(
            {
                "start (s)": [e.start for e in found],
                "end (s)": [e.end for e in found],
                "label" if prediction.text is None else "word": [e.label for e in found],
                "score": [e.score for e in found],
            },
            column_config={
                "start (s)": st.column_config.NumberColumn(format="%.2f"),
                "end (s)": st.column_config.NumberColumn(format="%.2f"),
                "score": st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1),
            },
            hide_index=True,
            height=min(35 * (len(found) + 1) + 3, 320),
            key="events_table",
            on_select=lambda: _hear_chosen(found),
            selection_mode="single-row",
            alt=f"{len(found)} {title.lower()} with start, end, label and score",
        )


def _hear_chosen(found: tuple[Segment, ...]) -> None:
    rows = state.widget_value("events_table").selection.rows
    if rows and rows[0] < len(found):
        state.wish_to_hear(found[rows[0]].start, found[rows[0]].end)


def downloads(
    decoded: Decoded, card: ModelCard, prediction: Prediction, found: tuple[Segment, ...], least: float | None
) -> None:
    """Text, events and frames to take away, with the provenance beside them; each is made when it is asked for."""
    clip = decoded.clip
    stem = f"{prediction.model}-{clip.digest[:8]}"

    def events_csv() -> bytes:
        return tables.table(tables.EVENT_COLUMNS, tables.event_lines(found))

    def frames_csv() -> bytes:
        lines = tables.prediction_lines(prediction, file=clip.name, duration_s=clip.duration)
        return tables.table(tables.PREDICTION_COLUMNS, lines)

    def provenance_json() -> str:
        settings: dict[str, str | float | bool | None] = {"threshold": least, "shortest_event_s": SHORTEST_EVENT_S}
        if card.task == OWN_WORDS:
            settings["labels"] = ", ".join(prediction.labels)
        return json.dumps(clip_provenance(decoded, card.id, settings), indent=2, ensure_ascii=False)

    offers: list[tuple[str, Callable[[], str | bytes], str, str]] = []
    if prediction.text is not None:
        offers.append(("Text", lambda: prediction.text or "", f"{stem}.txt", "text/plain"))
    if prediction.labels:
        name = "Events" if prediction.text is None else "Words"
        offers.append((f"{name} (CSV)", events_csv, f"{stem}-{name.lower()}.csv", "text/csv"))
        offers.append(("Every frame (CSV)", frames_csv, f"{stem}-frames.csv", "text/csv"))
    offers.append(("How it was made (JSON)", provenance_json, f"{stem}-provenance.json", "application/json"))
    with st.container(horizontal=True):
        for label, make, file_name, mime in offers:
            st.download_button(label, make, file_name, mime, icon=":material/download:", on_click="ignore")
