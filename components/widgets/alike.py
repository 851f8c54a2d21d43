"""What sounds alike: the moments of a clip, and of the session's clips, compared by what a model makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import streamlit as st

from components.audio.decode import decode
from components.errors import OtoscopeError
from components.exports import tables
from components.features.projection import nearest, units_of
from components.features.similarity import Moment, nearest_across, nearest_moments, self_similarity
from components.models import registry
from components.plots.similarity import similarity_matrix
from components.plots.theme import View
from components.types import Activation, Clip, FloatArray, ModelCard, Times
from components.units import format_time
from components.widgets import cached, insides, panes, sidebar, state
from components.widgets.progress import progress
from components.widgets.text import plain
from components.widgets.transport import TransportState

ASK_FIRST_S = 60.0
"""A longer stretch is compared when the user says so: embeddings can take as long as the sound lasts."""
LEAST_APART_S = 1.0
SHORTEST_HEARD_S = 1.0
ROW_TOLERANCE_S = 0.25
"""The player stops up to this long after the end of what a row asked it to play."""
COUNT = 8
MOST_CLIPS = 20

Frames = tuple[FloatArray, Times]


def layer_of(card: ModelCard) -> str | None:
    """The layer by whose numbers moments are compared: the first embedding, else the last hidden state."""
    kind_of = card.kinds
    embeddings = [name for name in card.layers if kind_of[name] == "embedding"]
    states = [name for name in card.layers if kind_of[name] == "hidden_state"]
    return next(iter(embeddings or states[::-1]), None)


def alike(clip: Clip, now: TransportState, card: ModelCard, layer: str | None = None) -> None:
    """Which moments sound alike, within the clip and among the session's clips, and the numbers to take away.

    Nothing for a model that has labels, unless a layer of frames and units is named.
    """
    layer = layer or (None if card.labels else layer_of(card))
    if layer is None:
        return
    part = panes.whole(clip) if clip.duration <= insides.LONGEST_S else panes.view_of(clip, now)
    if part[1] - part[0] > insides.LONGEST_S:
        st.info(
            f"What sounds alike is shown for up to {insides.LONGEST_S / 60:.0f} minutes at a time: drag across the "
            "picture above to choose a part."
        )
        return
    activation = _inspect(clip, part, card, layer)
    if activation is None:
        return
    frames = _units(activation)
    if frames is None:
        st.info(f"The layer {plain(layer)} has no row of numbers for each moment, so its moments cannot be compared.")
        return
    values, times = frames
    if len(times) < 2:
        st.info("The clip is too short for this model to compare its moments.")
        return
    _matrix(clip, now, card, frames)
    t = _moment(clip, now, times)
    apart = max(card.window_s, LEAST_APART_S)
    _nearest_here(clip, card, t, nearest_moments(values, times, t, COUNT, apart))
    _nearest_elsewhere(card, layer, frames, t, apart)
    _download(clip, card, layer, frames)


def _inspect(clip: Clip, part: View, card: ModelCard, layer: str) -> Activation | None:
    """The layer over a part of the clip; None before the user asked for a long one."""
    if part[1] - part[0] <= ASK_FIRST_S or cached.has("activation", (clip.digest, part, card.id, (layer,))):
        return insides.inspect(clip, part, card, (layer,))[layer]
    above = st.empty()
    if not above.button(f"Compare the moments of {format_time(part[1] - part[0])}", type="primary"):
        st.caption("This may take as long as the sound itself; a click on anything stops it.")
        return None
    above.button("Stop", icon=":material/stop:", key="stop_alike")
    found = insides.inspect(clip, part, card, (layer,))[layer]
    above.empty()
    return found


def _units(activation: Activation) -> Frames | None:
    values = units_of(activation)
    return None if values is None or activation.times is None else (values, activation.times)


def _matrix(clip: Clip, now: TransportState, card: ModelCard, frames: Frames) -> None:
    panes.heading(
        "What sounds alike",
        "Each cell compares two moments: the one below it and the one to its left. Red: alike; white: no more alike "
        "than any two; blue: unlike. A moment is always like itself, hence the line from corner to corner. A red line "
        "beside that one is a passage that comes again; a red square is a stretch that stays the same.",
    )
    values, times = frames
    view = panes.view_of(clip, now)
    found = self_similarity(values, times, view=None if view == panes.whole(clip) else view)
    figure = similarity_matrix(
        found.values,
        found.column_times,
        row_times=found.row_times,
        clock=panes.clock_of(clip),
        view=view,
        window_s=card.window_s,
    )
    panes.chart("alike", figure)
    st.caption(
        "Similarity is the cosine of the angle between two moments' numbers, without the mean of all moments: 1 is "
        "the same, 0 is nothing in common beyond the average, -1 is opposite. It holds within this comparison only."
    )


def _moment(clip: Clip, now: TransportState, times: Times) -> int:
    """The frame under the paused playhead, or the one chosen with the slider since."""
    key = f"alike_{panes.clock_of(clip)}"
    if now.time is not None and now.time != state.widget_value("alike_heard") and not _from_a_row(now.time):
        state.set_widget("alike_heard", now.time)
        state.set_widget(key, nearest(times, now.time))
    last = len(times) - 1
    if (state.widget_value(key) or 0) > last:
        state.set_widget(key, last)
    panes.heading(
        "Moments like this one",
        "The playhead picks the moment when the sound is paused; the slider picks any. Click a row to hear it.",
    )
    chosen: int = st.slider(
        "Moment (frame)",
        0,
        last,
        key=key,
        persist_state="session",
        help="Frames are counted from the start of what is compared.",
    )
    st.caption(f"This one: {format_time(float(times[chosen]))}")
    return chosen


def _from_a_row(time: float) -> bool:
    """Whether the player stands where a click on a row sent it, or stopped after it: the list must stay as it is."""
    wish = state.wish()
    return wish is not None and any(at is not None and abs(time - at) < ROW_TOLERANCE_S for at in wish[1:3])


def _nearest_here(clip: Clip, card: ModelCard, t: int, moments: Sequence[Moment]) -> None:
    """The clip's own moments most like the one chosen; a click on a row plays it."""
    if not moments:
        st.caption("No other moment of this clip is far enough away to be compared.")
        return
    with st.container(key="alike_moments"):
        _table(
            f"alike_here_{panes.clock_of(clip)}_{t}",  # another list, another selection
            {"moment (s)": [m.time for m in moments]},
            moments,
            lambda m: state.wish_to_hear(*_heard(m.time, clip.duration, card)),
        )


def _table(
    key: str, columns: dict[str, list[str] | list[float]], moments: Sequence[Moment], chosen: Callable[[Moment], None]
) -> None:
    """Moments as rows, with their similarity; a click on one calls `chosen` with it."""

    def click() -> None:
        rows = state.widget_value(key).selection.rows
        if rows and rows[0] < len(moments):
            chosen(moments[rows[0]])

    st.dataframe(
        {**columns, "similarity": [m.similarity for m in moments]},
        column_config={
            "moment (s)": st.column_config.NumberColumn(format="%.2f"),
            "similarity": st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1),
        },
        hide_index=True,
        height=min(35 * (len(moments) + 1) + 3, 340),
        key=key,
        on_select=click,
        selection_mode="single-row",
        alt=f"{len(moments)} moments, the most alike first, with their similarity",
    )


def _nearest_elsewhere(card: ModelCard, layer: str, frames: Frames, t: int, apart: float) -> None:
    """The moments of the session's other clips most like the one chosen; a click goes to that clip and plays it."""
    in_hand = state.widget_value(sidebar.CHOICE)
    others = {held["key"]: held for held in state.held_clips() if held["key"] != in_hand}
    panes.heading(
        "Among your other clips",
        "The moments most like this one in the other recordings that you brought in this session. Click a row to go "
        "to that recording and hear it.",
    )
    if not others:
        st.caption("Open or record other clips in the sidebar to compare them with this one.")
        return
    keys = list(others)[:MOST_CLIPS]
    names = {key: others[key]["name"] for key in keys}
    missing = [key for key in keys if not cached.has("embedding", _key(key, card, layer))]
    above = st.empty()
    if missing:
        clips = "1 clip" if len(missing) == 1 else f"{len(missing)} clips"
        if not above.button(f"Compare with {clips}", key="alike_compare"):
            return
        above.button("Stop", icon=":material/stop:", key="alike_stop")
    there: dict[str, Frames] = {}
    for key in keys:
        try:
            found = _frames_of_held(key, names[key], Path(others[key]["path"]), card, layer)
        except OtoscopeError as error:
            st.warning(plain(str(error)), icon=":material/warning:")
            continue
        if found is not None:
            there[key] = found
    above.empty()
    if not there:
        return
    values, _ = frames
    moments = nearest_across(values[t], there, COUNT, own=values, apart_s=apart)
    with st.container(key="alike_clips"):
        _table(
            f"alike_elsewhere_{in_hand}_{t}",
            {"clip": [names[m.clip] for m in moments], "moment (s)": [m.time for m in moments]},
            moments,
            lambda m: _go_to(m, card),
        )
    more = f" and of {len(others)} clips the newest {MOST_CLIPS}" if len(others) > MOST_CLIPS else ""
    st.caption(f"Of each clip the first {insides.LONGEST_S / 60:.0f} minutes are compared{more}.")


def _key(held: str, card: ModelCard, layer: str) -> tuple[str, ...]:
    return ("alike", held, card.id, layer)


def _frames_of_held(held: str, name: str, path: Path, card: ModelCard, layer: str) -> Frames | None:
    """The layer over the start of another of the user's clips, made once."""

    def listen() -> Frames | None:
        with progress(f"Opening {plain(name)}") as report:
            clip = decode(path, name=name, folder=cached.session_folder(), on_progress=report).clip
        with progress(f"{plain(card.title)} listens to {plain(name)}") as report:
            part = clip.section(0.0, insides.LONGEST_S)
            return _units(registry.load(card.id).inspect(part, (layer,), report)[layer])

    return cached.remember("embedding", _key(held, card, layer), listen)


def _heard(time: float, duration: float | None, card: ModelCard) -> tuple[float, float]:
    """Start and end of what a moment has heard [s], long enough to be recognised."""
    half = max(card.window_s, SHORTEST_HEARD_S) / 2
    return max(0.0, time - half), time + half if duration is None else min(duration, time + half)


def _go_to(moment: Moment, card: ModelCard) -> None:
    """Callback: take another clip in hand, and hear the moment."""
    state.set_widget(sidebar.CHOICE, moment.clip)
    state.wish_to_hear(*_heard(moment.time, None, card))


def _download(clip: Clip, card: ModelCard, layer: str, frames: Frames) -> None:
    """The numbers themselves: a line a moment, a column a unit."""
    values, times = frames

    def csv() -> bytes:
        columns = ("time_s", *(f"unit_{i}" for i in range(values.shape[1])))
        return tables.table(columns, lines(values, times))

    name = f"{card.id}-{clip.digest[:8]}-{layer}.csv"
    label = f"Every moment's {values.shape[1]} numbers (CSV)"
    st.download_button(label, csv, name, "text/csv", icon=":material/download:", on_click="ignore")


def lines(values: FloatArray, times: Times) -> Iterator[str]:
    """One line a moment: its time [s] and its numbers."""
    for time, row in zip(times.tolist(), values.tolist(), strict=True):
        yield tables.line(f"{time:.6f}", *row)
