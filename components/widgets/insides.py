"""What a model holds while it listens: states over time, their path, one step in numbers."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from components.errors import OtoscopeError
from components.features.projection import nearest, project, units_of
from components.models import registry
from components.models.events import labels_at
from components.plots import layers as layer_plots
from components.plots.theme import View
from components.types import Activation, Clip, ModelCard, Prediction, Times
from components.widgets import cached, panes, state
from components.widgets.progress import progress
from components.widgets.text import refuse
from components.widgets.transport import TransportState

LONGEST_S = 120.0
"""The inside of a model is shown for at most this long a stretch at a time."""

KINDS = {
    "input": ("input", "What the model is given: the sound as rows of numbers, one column for each moment."),
    "term": ("a summand", "One of the summands that make up the next hidden state: red adds, blue takes away."),
    "hidden_state": (
        "hidden state",
        "The model's memory at each moment. Each row is one unit (one number of the memory), red above zero, blue "
        "below. A band that keeps its colour is something remembered; a vertical edge is a change of mind.",
    ),
    "cell_state": ("cell state", "The long-term memory of an LSTM: it changes only as far as the gates let it."),
    "gate": ("gate", "How far each unit's gate is open, from 0 (shut) to 1: what is taken in, kept, or let out."),
    "feature_map": (
        "feature map",
        "What a learned filter finds, by frequency and time: strong where its pattern is in the sound.",
    ),
    "attention": (
        "attention",
        "Where each moment looks: a bright cell means that the moment below it draws on the moment to its left.",
    ),
    "embedding": ("embedding", "The numbers by which the model tells the labels apart, moment by moment."),
}
"""Name and explanation of each kind of activation."""
FIRST_SHOWN = ("hidden_state", "embedding", "feature_map")


def stretch(clip: Clip, now: TransportState) -> View:
    """The part of the clip to look into: all of a short one, the visible part of a long one. Else stops the page."""
    if clip.duration <= LONGEST_S:
        return panes.whole(clip)
    view = panes.view_of(clip, now)
    if view[1] - view[0] > LONGEST_S:
        st.info(
            f"Inside looks at up to {LONGEST_S / 60:.0f} minutes at a time: drag across the spectrogram above to "
            "choose a part."
        )
        st.stop()
    return view


def inspect(clip: Clip, part: View, card: ModelCard, layers: tuple[str, ...]) -> dict[str, Activation]:
    """The layers' activations over a part of the clip, with the times of the whole clip."""

    def look() -> dict[str, Activation]:
        with progress(f"Looking into {card.title}") as report:
            found = registry.load(card.id).inspect(clip.section(*part), layers, report)
        return {name: replace(a, times=None if a.times is None else a.times + part[0]) for name, a in found.items()}

    try:
        return cached.remember("activation", (clip.digest, part, card.id, layers), look)
    except OtoscopeError as error:
        refuse(error)


def layer(card: ModelCard) -> str:
    """Which layer to look at; a hidden state first, as that is what most people come for."""
    kind_of = card.kinds
    best = next((name for kind in FIRST_SHOWN for name in card.layers if kind_of[name] == kind), card.layers[0])
    chosen: str = st.selectbox(
        "Layer",
        card.layers,
        index=card.layers.index(best),
        format_func=lambda name: _layer_title(name, KINDS[kind_of[name]][0]),
        key=f"layer_{card.id}",
        persist_state="session",
        help="Where in the model to look: from what it is given, at the top of the list, to what it decides by.",
    )
    return chosen


def _layer_title(name: str, kind: str) -> str:
    words = name.replace("_", " ") if name.replace("_", "").isalnum() and "_t" not in name else name
    return words if kind in words else f"{words} ({kind})"


def hidden_states(clip: Clip, now: TransportState, activation: Activation) -> None:
    """A layer's values over time."""
    title, help_text = KINDS[activation.kind]
    panes.heading(f"{title[0].upper()}{title[1:]} over time", help_text)
    channel, head = None, 0
    if activation.dims[0] == "channel":
        channel = _part("Filter", "mean of all", activation, "Each filter looks for its own pattern.")
    if activation.dims[0] == "head":
        head = _part("Head", None, activation, "Each head looks in its own way.") or 0
    figure = layer_plots.hidden_states(
        activation,
        clock=panes.clock_of(clip),
        view=panes.view_of(clip, now),
        channel=channel,
        head=head,
        height=320,
    )
    panes.chart("hidden_states", figure)


def _part(label: str, all_of_them: str | None, activation: Activation, help_text: str) -> int | None:
    """Which channel or head of a layer to draw; None for all."""
    count = activation.values.shape[0]
    first = [all_of_them] if all_of_them else []
    options = first + [f"{label.lower()} {i + 1} of {count}" for i in range(count)]
    chosen = st.selectbox(
        label, options, key=f"{label}_{activation.layer}_{count}", persist_state="session", help=help_text
    )
    return None if chosen in first else options.index(chosen) - len(first)


def trajectory(clip: Clip, now: TransportState, activation: Activation, prediction: Prediction) -> None:
    """The path of a layer's values from moment to moment, in two or three dimensions."""
    frames = units_of(activation)
    if frames is None or activation.times is None:
        return
    panes.heading(
        "Trajectory",
        "Each dot is one moment: moments in which the layer holds similar numbers lie close together. The line joins "
        "them in time, and the mark follows the sound. Click a dot to hear its moment.",
    )
    left, right = st.columns([2, 5])
    dimensions = left.segmented_control(
        "Dimensions", ("2-D", "3-D"), default="2-D", required=True, key="dimensions", persist_state="session"
    )
    colours = ("time", "best label") if prediction.labels else ("time",)
    colour = right.segmented_control(
        "Colour by", colours, default=colours[-1], required=True, key=f"colour_{len(colours)}", persist_state="session"
    )
    path = project(frames, 3)
    labels = labels_at(prediction, activation.times) if colour == "best label" else None
    draw = layer_plots.trajectory_2d if dimensions == "2-D" else layer_plots.trajectory_3d
    figure = draw(
        path.points,
        activation.times,
        clock=panes.clock_of(clip),
        explained=path.explained,
        labels=labels,
        all_labels=prediction.labels,
    )
    panes.chart("trajectory", figure)
    share = path.explained[: 2 if dimensions == "2-D" else 3].sum()
    st.caption(
        f"The axes are the main directions in which the {frames.shape[1]} numbers vary (principal components, PCA). "
        f"They show {share:.0%} of the variance; the rest cannot be seen here."
    )


def step(clip: Clip, now: TransportState, part: View, card: ModelCard) -> None:
    """The numbers of one step of a recurrent network, where the model gives its terms."""
    kind_of = card.kinds
    if "term" not in kind_of.values():
        return
    panes.heading(
        "One step in numbers",
        "What the network computes at one moment: the input and the memory of the moment before, each through its "
        "weights, plus the bias; squashed by tanh between -1 and 1, that is the new memory. The playhead picks the "
        "moment when the sound is paused; the slider picks any.",
    )
    st.latex(r"h_t = \tanh(W_{xh}\, x_t + W_{hh}\, h_{t-1} + b)")
    names = tuple(name for name in card.layers if kind_of[name] in ("input", "term", "hidden_state"))
    found = inspect(clip, part, card, names)
    times = found[names[0]].times
    if times is None:
        return
    t = _moment(times, now)
    terms = {name: found[name].values[t] for name in names if kind_of[name] != "input"}
    inputs = next(found[name].values[t] for name in names if kind_of[name] == "input")
    panes.chart("step", layer_plots.step_numbers(terms, x_t=inputs, time=float(times[t])))
    table = {"unit": list(range(len(next(iter(terms.values())))))} | {name: v.tolist() for name, v in terms.items()}
    with st.expander("As a table"):
        st.dataframe(table, hide_index=True, height=240, key="step_table")


def _moment(times: Times, now: TransportState) -> int:
    """The frame chosen by the paused playhead, or by the slider since."""
    last = len(times) - 1
    if now.time is not None and now.time != state.step_time():
        state.set_step_time(now.time)
        state.set_widget("step_frame", nearest(times, now.time))
    chosen: int = st.slider(
        "Moment t (frame)",
        0,
        max(last, 1),
        key="step_frame",
        persist_state="session",
        help="Frames are counted from the start of what is shown.",
    )
    chosen = min(chosen, last)
    st.caption(f"Frame {chosen} of {last}: {times[chosen]:.3f} s")
    return chosen
