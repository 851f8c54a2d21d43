"""What a model makes of the clip in hand: its card, its scores over time, its events, what to take away."""

from __future__ import annotations

import json

import streamlit as st

from components.analyse import SHORTEST_EVENT_S, analyse_clip, clip_provenance
from components.audio.decode import Decoded
from components.errors import OtoscopeError
from components.exports import tables
from components.models.events import clip_label, find_events
from components.plots import scores as score_plots
from components.types import Clip, ModelCard, Prediction, Segment
from components.units import format_bytes, format_time
from components.widgets import cached, panes, state
from components.widgets.progress import progress
from components.widgets.text import plain, refuse
from components.widgets.transport import TransportState

ASK_FIRST_S = 600.0
"""A model is not set to work on a longer clip before the user says so."""
CROWDED_S = 120.0
"""Of longer clips the scores are drawn as strips unless the user wants curves, which would hide each other."""


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
    with st.expander("The model's card", icon=":material/id_card:"):
        st.markdown(_card_text(card))


def _card_text(card: ModelCard) -> str:
    facts = [
        f"**Listens at** {card.sr} Hz; each score has heard {card.window_s:.3g} s of sound, a new one comes every "
        f"{1000 * card.hop_s:.3g} ms.",
        f"**Labels** {plain(', '.join(card.labels))}",
        f"**Trained on** {plain(card.training_data)}",
        f"**Weights** {card.source}, {format_bytes(card.size_bytes)}; licence {card.licence}",
        f"**To cite** {plain(card.citation)}",
        "**Mind that**",
    ]
    folds = [
        f"{plain(score.metric)}: " + ", ".join(f"{name} {value:.0%}" for name, value in score.folds)
        for score in card.held_out
    ]
    lines = [*facts, *(f"- {plain(caveat)}" for caveat in card.caveats)]
    if folds:
        lines += ["**Held out, one by one**", *(f"- {fold}" for fold in folds)]
    return "\n\n".join(lines)


def listen(clip: Clip, card: ModelCard) -> Prediction:
    """The model's scores for the clip; asks first when the clip is long. Stops the page when there are none."""
    key = (clip.digest, card.id)
    above = st.empty()
    if clip.duration > ASK_FIRST_S and not cached.has("prediction", key):
        if not above.button(f"Let {card.title} listen to all {format_time(clip.duration)}", type="primary"):
            st.info("This clip is long: the model starts when you say so. A click on anything stops it again.")
            st.stop()
        above.button("Stop", icon=":material/stop:")
    try:
        with progress(f"{card.title} is listening") as report:
            prediction = cached.remember("prediction", key, lambda: analyse_clip(clip, card.id, report))
    except OtoscopeError as error:
        refuse(error)
    above.empty()
    return prediction


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
    prediction: Prediction,
    *,
    threshold: float | None = None,
    events: tuple[Segment, ...] = (),
) -> None:
    """Scores over time, the best classes as curves or all of them as strips."""
    panes.heading(
        "Scores over time",
        "How sure the model is of each label, from 0 to 1, at each moment. A step is as wide as the model's own step; "
        "each score has heard the sound around it for as long as the note on the right says.",
    )
    view = panes.view_of(clip, now)
    clock = panes.clock_of(clip)
    crowded = clip.duration > CROWDED_S
    as_strips = len(prediction.labels) > 1 and st.toggle(
        "All labels, as strips", value=crowded, key=f"strips_{crowded}", persist_state="session"
    )
    if as_strips:
        figure = score_plots.class_band(prediction, clock=clock, view=view)
    else:
        figure = score_plots.scores(prediction, clock=clock, view=view, threshold=threshold, events=events)
    panes.chart("predictions", figure)


def events_of(prediction: Prediction, threshold: float) -> tuple[Segment, ...]:
    """The stretches above the threshold."""
    return find_events(prediction, threshold, SHORTEST_EVENT_S)


def events(found: tuple[Segment, ...]) -> None:
    """The list of events; a click on a row plays it."""
    panes.heading(
        f"Events ({len(found)})",
        "Stretches in which a label stays at or above the threshold. Click a row to hear it.",
    )
    with st.container(key="events"):
        if not found:
            st.caption("No label stays at or above the threshold. Lower it to see weaker candidates.")
            return
        st.dataframe(
            {
                "start (s)": [e.start for e in found],
                "end (s)": [e.end for e in found],
                "label": [e.label for e in found],
                "score": [e.score for e in found],
            },
            column_config={
                "start (s)": st.column_config.NumberColumn(format="%.2f"),
                "end (s)": st.column_config.NumberColumn(format="%.2f"),
                "score": st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1),
            },
            hide_index=True,
            height=min(38 * (len(found) + 1), 320),
            key="events_table",
            on_select=lambda: _hear_chosen(found),
            selection_mode="single-row",
            alt=f"{len(found)} events with start, end, label and score",
        )


def _hear_chosen(found: tuple[Segment, ...]) -> None:
    rows = state.widget_value("events_table").selection.rows
    if rows and rows[0] < len(found):
        state.wish_to_hear(found[rows[0]].start, found[rows[0]].end)


def downloads(
    decoded: Decoded, card: ModelCard, prediction: Prediction, found: tuple[Segment, ...], least: float
) -> None:
    """Events and frames as CSV, with the provenance beside them; each is made when it is asked for."""
    clip = decoded.clip
    stem = f"{prediction.model}-{clip.digest[:8]}"

    def events_csv() -> bytes:
        return tables.table(tables.EVENT_COLUMNS, tables.event_lines(found))

    def frames_csv() -> bytes:
        lines = tables.prediction_lines(prediction, file=clip.name, duration_s=clip.duration)
        return tables.table(tables.PREDICTION_COLUMNS, lines)

    def provenance_json() -> str:
        settings = {"threshold": least, "shortest_event_s": SHORTEST_EVENT_S}
        return json.dumps(clip_provenance(decoded, card.id, settings), indent=2, ensure_ascii=False)

    with st.container(horizontal=True):
        for label, make, name, mime in (
            ("Events (CSV)", events_csv, f"{stem}-events.csv", "text/csv"),
            ("Every frame (CSV)", frames_csv, f"{stem}-frames.csv", "text/csv"),
            ("How it was made (JSON)", provenance_json, f"{stem}-provenance.json", "application/json"),
        ):
            st.download_button(label, make, name, mime, icon=":material/download:", on_click="ignore")
