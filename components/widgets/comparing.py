"""Several models on the clip in hand: what each says, where they agree, what they hold inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import streamlit as st

from components.analyse import analyse_clip
from components.errors import OtoscopeError
from components.features import agreement
from components.features.projection import project, units_of
from components.models import registry
from components.models.events import NONE, clip_label, labels_at
from components.plots import agreement as agreement_plots
from components.plots import layers as layer_plots
from components.plots import scores as score_plots
from components.plots.theme import View
from components.types import Activation, Clip, ModelCard, Prediction
from components.units import format_time
from components.widgets import cached, panes, pickers, state
from components.widgets.insides import FIRST_SHOWN, KINDS
from components.widgets.listening import ASK_FIRST_S, CROWDED_S
from components.widgets.progress import progress
from components.widgets.text import plain
from components.widgets.transport import TransportState

MOST = 4
"""Models that fit below each other on a screen."""
FAMILIES_FIRST = ("cnn", "rnn", "transformer", "classical")
"""The page opens with models of the first two of these that one task has."""
MOST_CURVES = 8
DECIDING = "what it decides by"
MOST_STRETCHES = 12


@dataclass(frozen=True)
class Heard:
    """A model and what it says of the clip."""

    card: ModelCard
    prediction: Prediction


@dataclass(frozen=True)
class Named:
    """What each model names, on one grid: names of the codes, codes (n_models, n_steps), the step [s]."""

    names: tuple[str, ...]
    codes: agreement.Codes
    step: float


def first_two(cards: Sequence[ModelCard]) -> list[str]:
    """Two models to open with: of different families, both of the task that has most of them."""
    of_task: dict[str, dict[str, str]] = {}
    for card in cards:
        of_task.setdefault(card.task, {}).setdefault(card.family, card.id)
    best = max(of_task.values(), key=len, default={})
    return [best[family] for family in FAMILIES_FIRST if family in best][:2]


def models() -> list[ModelCard]:
    """Two to four models, chosen among all that are ready; else the page ends with what to do."""
    ready = {card.id: card for card in registry.cards() if registry.state(card.id) == "ready"}
    chosen = st.multiselect(
        "Models",
        sorted(ready, key=lambda i: ready[i].task),
        default=first_two(list(ready.values())),
        format_func=lambda i: ready[i].title if i in ready else i,
        max_selections=MOST,
        key="compared",
        persist_state="session",
        help=f"Two to {MOST} models that listen to the same clip. Models of one task can be checked against each "
        "other; models of different tasks are shown below each other. More models: page Models.",
    )
    if len(chosen) < 2:
        st.info("Choose a second model above to compare it with.")
        st.stop()
    return [ready[i] for i in chosen]


def short_titles(heard: Sequence[Heard]) -> list[str]:
    """The titles without the words with which all of them begin ("Spoken digits, ")."""
    parts = [one.card.title.rpartition(", ") for one in heard]
    alike = len({head for head, _, _ in parts}) == 1
    return [tail if alike else f"{head}{comma}{tail}" for head, comma, tail in parts]


def listen(clip: Clip, cards: Sequence[ModelCard]) -> list[Heard]:
    """What each model says of the clip; one that fails shows its sentence and the rest goes on."""
    words = {card.id: pickers.own_words(card) for card in cards}
    waiting = [card for card in cards if not cached.has("prediction", (clip.digest, card.id, *words[card.id]))]
    above = st.empty()
    if clip.duration > ASK_FIRST_S and waiting:
        titles = " and ".join(card.title for card in waiting)
        if not above.button(f"Let {titles} listen to all {format_time(clip.duration)}", type="primary"):
            st.info("This clip is long: the models start when you say so. A click on anything stops them again.")
            st.stop()
        above.button("Stop", icon=":material/stop:")
    heard = []
    for card in cards:
        try:
            heard.append(Heard(card, _prediction(clip, card, words[card.id])))
        except OtoscopeError as error:
            st.error(plain(str(error)), icon=":material/error:")
    above.empty()
    if not heard:
        st.stop()
    return heard


def _prediction(clip: Clip, card: ModelCard, words: tuple[str, ...]) -> Prediction:
    def hear() -> Prediction:
        with st.spinner(f"Opening {plain(card.title)}"):  # a large one takes seconds before it can report
            registry.load(card.id)
        with progress(f"{plain(card.title)} is listening") as report:
            return analyse_clip(clip, card.id, report, labels=words)

    # Under the same key as on Predict: what was heard there is there.
    return cached.remember("prediction", (clip.digest, card.id, *words), hear)


def name_on_one_grid(clip: Clip, heard: Sequence[Heard]) -> Named:
    """The best label of each model at the same moments; models without labels may not be among them."""

    def read() -> Named:
        times, step = agreement.grid(clip.duration)
        names, codes = agreement.encode([labels_at(one.prediction, times) for one in heard])
        return Named(names, codes, step)

    key = ("named", clip.digest, *(one.card.id for one in heard), *(one.prediction.labels for one in heard))
    return cached.remember("picture", key, read)


def with_labels(heard: Sequence[Heard]) -> list[Heard]:
    """Those that name something; the others give embeddings."""
    return [one for one in heard if one.prediction.labels]


def sharing(heard: Sequence[Heard]) -> list[Heard]:
    """The most models that have the same labels ("none" apart), in their order; fewer than two are none."""
    groups: dict[frozenset[str], list[Heard]] = {}
    for one in with_labels(heard):
        groups.setdefault(frozenset(one.prediction.labels) - {NONE}, []).append(one)
    most = max(groups.values(), key=len, default=[])
    return most if len(most) > 1 else []


def labels(clip: Clip, now: TransportState, heard: Sequence[Heard]) -> None:
    """The best label of each model over time, strip under strip."""
    named = with_labels(heard)
    for one in heard:
        if one not in named:
            st.info(
                f"{plain(one.card.title)} has no labels: it turns sound into numbers (an embedding). Its numbers are "
                "drawn further below."
            )
    if not named:
        return
    panes.heading(
        "Best label of each model",
        "What each model would say at each moment if it had to name one thing. Grey: nothing of what it knows. "
        "Click to hear.",
    )
    view = panes.view_of(clip, now)
    on_grid = name_on_one_grid(clip, named)
    strips = []
    for one, title, row in zip(named, short_titles(named), on_grid.codes, strict=True):
        starts, stops, codes = agreement.runs(row, on_grid.step, *view)
        said = tuple(on_grid.names[k] for k in codes)
        strips.append(agreement_plots.Strip(title, one.prediction.labels, starts, stops, said))
    panes.chart("labels", agreement_plots.label_strips(strips, clock=panes.clock_of(clip), view=view))
    for one in named:
        if one.prediction.text:
            st.markdown(f"{plain(one.card.title)} wrote: {plain(one.prediction.text)}")


def agree(clip: Clip, now: TransportState, heard: Sequence[Heard]) -> None:
    """Where the models name the same, how often, and where to listen when they do not."""
    named = with_labels(heard)
    if len(named) < 2:
        return
    same = sharing(heard)
    if same:
        _agreement(clip, now, same)
        apart = [plain(one.card.title) for one in named if one not in same]
        if apart:
            st.caption(f"Left out here, as the labels differ: {', '.join(apart)}.")
    else:
        st.info(
            "These models name different things, so they can neither agree nor disagree. They are shown below each "
            "other, and the table shows which of their labels go together."
        )
    _together(clip, named)


def _agreement(clip: Clip, now: TransportState, same: Sequence[Heard]) -> None:
    panes.heading(
        "Where they agree",
        "How many of the models name the same label at each moment; “none” counts as a label. Models that agree can "
        "still be wrong together.",
    )
    named = name_on_one_grid(clip, same)
    figure = agreement_plots.agreement(
        agreement.of_one_mind(named.codes),
        len(same),
        named.step,
        clock=panes.clock_of(clip),
        view=panes.view_of(clip, now),
    )
    panes.chart("agreement", figure)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        _pairs(same, named)
    with right:
        _stretches(same, named)


def _pairs(same: Sequence[Heard], named: Named) -> None:
    panes.heading(
        "Two by two",
        "Share of the clip in which both name the same label. Two models that often say “none” agree often by chance "
        "alone; Cohen's kappa takes that off: 1 is perfect agreement, 0 is what chance would give, below 0 is less "
        "than chance. κ = (pₒ − pₑ) / (1 − pₑ), with pₒ the share of agreement and pₑ the share expected by chance.",
    )
    found = agreement.pairs(named.codes)
    if len(found) == 1:
        (pair,) = found
        with st.container(horizontal=True):
            st.metric("Same label (share of the clip)", f"{pair.share:.0%}", width="content")
            st.metric("Beyond chance (Cohen's kappa)", _kappa(pair.kappa), width="content")
    else:
        titles = short_titles(same)
        st.dataframe(
            {
                "models": [f"{titles[p.first]} – {titles[p.second]}" for p in found],
                "same label": [100 * p.share for p in found],
                "Cohen's kappa": [_kappa(p.kappa) for p in found],
            },
            column_config={
                "same label": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
            },
            hide_index=True,
            key="pairs_table",
            alt=f"Agreement of {len(found)} pairs of models",
        )
    if any(np.isnan(p.kappa) for p in found):
        st.caption("Kappa needs more than one label in the clip: there is nothing that chance could get wrong.")


def _kappa(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _stretches(same: Sequence[Heard], named: Named) -> None:
    found = agreement.disagreements(named.codes, named.names, named.step, MOST_STRETCHES)
    panes.heading(
        "Where they disagree",
        f"The {MOST_STRETCHES} longest stretches in which not all name the same, the longest first, with what each "
        "names for most of it. Click a row to hear it.",
    )
    with st.container(key="disagreements"):
        if not found:
            st.caption("They name the same label throughout.")
            return
        titles = short_titles(same)
        st.dataframe(
            {
                "start (s)": [s.start for s in found],
                "length (s)": [s.end - s.start for s in found],
                **{title: [s.labels[i] for s in found] for i, title in enumerate(titles)},
            },
            column_config={
                "start (s)": st.column_config.NumberColumn(format="%.2f", width="small"),
                "length (s)": st.column_config.NumberColumn(format="%.2f", width="small"),
            },
            hide_index=True,
            height=min(36 * (len(found) + 1), 260),
            key="disagreements_table",
            on_select=lambda: _hear_chosen(found),
            selection_mode="single-row",
            alt=f"{len(found)} stretches in which the models disagree, with what each names",
        )


def _hear_chosen(found: Sequence[agreement.Stretch]) -> None:
    rows = state.widget_value("disagreements_table").selection.rows
    if rows and rows[0] < len(found):
        state.wish_to_hear(found[rows[0]].start, found[rows[0]].end)


def _together(clip: Clip, named: Sequence[Heard]) -> None:
    """Which labels of two models stand at the same moments."""
    with st.expander("Which labels go together", icon=":material/grid_on:"):
        choices = list(combinations(range(len(named)), 2))
        titles = short_titles(named)
        i, j = choices[0]
        if len(choices) > 1:
            i, j = st.selectbox(
                "Two models",
                choices,
                format_func=lambda pair: f"{titles[pair[0]]} – {titles[pair[1]]}",
                key=f"together_{len(named)}",
                persist_state="session",
            )
        on_grid = name_on_one_grid(clip, named)
        counts = agreement.together(on_grid.codes[i], on_grid.codes[j], len(on_grid.names))
        panes.chart("together", agreement_plots.together(counts, on_grid.names, titles[i], titles[j]))
        st.caption(
            "Share of the clip, in per cent, in which the first model names what stands at the left while the second "
            "names what stands below. Where both have the same labels, all that is not on equal labels is disagreement."
        )


def scores(clip: Clip, now: TransportState, heard: Sequence[Heard]) -> None:
    """Scores over time of each model, below each other."""
    named = with_labels(heard)
    if not named:
        return
    panes.heading(
        "Scores over time",
        "How sure each model is of each label, at each moment. A step is as wide as the model's own step; each score "
        "has heard the sound around it for as long as the note on the right says.",
    )
    crowded = clip.duration > CROWDED_S
    as_strips = st.toggle(
        "All labels, as strips", value=crowded, key=f"compared_strips_{crowded}", persist_state="session"
    )
    view, clock = panes.view_of(clip, now), panes.clock_of(clip)
    for i, one in enumerate(named):
        whole = ""
        if one.prediction.text is None:
            label, score = clip_label(one.prediction)
            whole = f" :small[for the whole clip: {plain(label)}, score {score:.2f}]"
        st.markdown(f"**{plain(one.card.title)}**{whole}")
        if as_strips and len(one.prediction.labels) > 1:
            classes = sorted(score_plots.best_classes(one.prediction, 24))
            figure = score_plots.class_band(one.prediction, clock=clock, view=view, classes=classes)
        else:
            figure = score_plots.scores(one.prediction, clock=clock, view=view, n_best=MOST_CURVES, height=190)
        panes.chart(f"scores_{i}", figure)


def inside(clip: Clip, now: TransportState, part: View, heard: Sequence[Heard]) -> None:
    """The same view into each model: a layer's values over time below each other, their paths side by side."""
    panes.heading(
        "What they hold inside",
        "One layer of each model over time: each row is one number of it, red above zero, blue below. Look for the "
        "moments at which one model changes and the other does not.",
    )
    kind = _kind_of_layer(heard)
    if kind != DECIDING:
        st.caption(KINDS[kind][1])
    seen = []
    for i, one in enumerate(heard):
        activation = _activation(clip, part, one.card, kind)
        if activation is None:
            continue
        seen.append((one, activation))
        figure = layer_plots.hidden_states(
            activation, clock=panes.clock_of(clip), view=panes.view_of(clip, now), height=220
        )
        panes.chart(f"states_{i}", figure)
    _trajectories(clip, seen)


def _kind_of_layer(heard: Sequence[Heard]) -> str:
    """What to look at: what each model decides by, or one kind of numbers that some of them hold."""
    holders = {kind: sum(kind in one.card.emits for one in heard) for kind in KINDS}
    kinds = [DECIDING, *(kind for kind in KINDS if holders[kind])]
    names = {kind: KINDS[kind][0] + ("" if count == len(heard) else f" ({count})") for kind, count in holders.items()}
    chosen: str = st.segmented_control(
        "Kind of layer",
        kinds,
        default=DECIDING,
        required=True,
        format_func=lambda kind: names.get(kind, kind),
        key=f"compared_kind_{'_'.join(kinds)}",
        persist_state="session",
        help="The last layer that each model has as a memory, an embedding or filters; or one kind of numbers. A "
        f"number in brackets: only so many of the {len(heard)} models have them.",
    )
    return chosen


def _layers_of(card: ModelCard, kind: str) -> list[str]:
    """The layers that hold that kind; of DECIDING, the first of FIRST_SHOWN that the model has."""
    if kind == DECIDING:
        kind = next((first for first in FIRST_SHOWN if first in card.emits), "")
    return [name for name, held in card.kinds.items() if held == kind]


def _words(layer: str) -> str:
    """A layer's name as words; "h_t" is a symbol and stays."""
    return layer if layer.endswith("_t") else layer.replace("_", " ")


def _activation(clip: Clip, part: View, card: ModelCard, kind: str) -> Activation | None:
    """A layer of that kind over a part of the clip, with the times of the whole clip; None with a word why not."""
    layers = _layers_of(card, kind)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.markdown(f"**{plain(card.title)}**")
    if not layers:
        held = ", ".join(KINDS[k][0] for k in dict.fromkeys(card.emits)) or "nothing that can be shown"
        left.caption(f"It does not have that. It has: {held}.")
        return None
    layer = layers[-1]
    if len(layers) > 1:
        layer = right.selectbox(
            f"Layer of {card.title}",
            layers,
            index=len(layers) - 1,
            format_func=_words,
            key=f"compared_layer_{card.id}_{card.kinds[layer]}",
            label_visibility="collapsed",
            persist_state="session",
        )
    name = _words(layer)
    what = KINDS[card.kinds[layer]][0]
    left.caption(plain(name if what in name else f"{name}: {what}"))

    def look() -> dict[str, Activation]:
        with progress(f"Looking into {plain(card.title)}") as report:
            found = registry.load(card.id).inspect(clip.section(*part), (layer,), report)
        return {name: replace(a, times=None if a.times is None else a.times + part[0]) for name, a in found.items()}

    try:
        # Under the same key as on Inside: what was looked at there is there.
        return cached.remember("activation", (clip.digest, part, card.id, (layer,)), look)[layer]
    except OtoscopeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None


def _trajectories(clip: Clip, seen: Sequence[tuple[Heard, Activation]]) -> None:
    """The path of each layer's values, two beside each other."""
    paths = [
        (one, a.layer, a.times, frames)
        for one, a in seen
        if a.times is not None and (frames := units_of(a)) is not None
    ]
    if not paths:
        return
    panes.heading(
        "Trajectories",
        "Each dot is one moment: moments in which the layer holds similar numbers lie close together. The line joins "
        "them in time, and the mark follows the sound in all of them. Click a dot to hear its moment.",
    )
    colour = st.segmented_control(
        "Colour by", ("time", "best label"), default="best label", required=True, key="colour", persist_state="session"
    )
    cells = st.columns(2, gap="medium") if len(paths) > 1 else [st.container()]
    for i, (one, layer, times, frames) in enumerate(paths):
        path = project(frames, 2)
        by_label = colour == "best label" and one.prediction.labels
        figure = layer_plots.trajectory_2d(
            path.points,
            times,
            clock=panes.clock_of(clip),
            explained=path.explained,
            labels=labels_at(one.prediction, times) if by_label else None,
            all_labels=one.prediction.labels,
            height=380,
        )
        if len(paths) > 1:
            figure.update_layout(showlegend=False)  # no room for one; the strips above have the same colours
        with cells[i % len(cells)]:
            st.caption(f"{plain(one.card.title)}, {plain(_words(layer))}")
            panes.chart(f"trajectory_{i}", figure)
    st.caption(
        "Labels have the colours of the strips above. The axes are the two main directions in which each layer's "
        "numbers vary (principal components, PCA), for each model its own: shapes can be compared, places cannot."
    )
