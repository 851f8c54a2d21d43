"""The marked stretch: its measures, hearing it alone, keeping it in a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

import streamlit as st

from components.audio.decode import Decoded
from components.exports import annotations as notes
from components.exports import frames, sound
from components.exports.annotations import Kept
from components.features.measures import analyse
from components.features.measures import measures as measures_of
from components.features.voice import LONGEST_S, WHOLE_S, FormantSettings, PitchSettings
from components.types import Clip, Measure, Selection, Tier
from components.units import format_hz, format_time
from components.widgets import cached, panes, sounds, state
from components.widgets.state import Collected
from components.widgets.text import plain
from components.widgets.transport import TransportState
from components.widgets.views import rhythm
from components.widgets.views.voice import formant_settings_in_use, pitch_settings_in_use

NOTHING = "Nothing is marked. Drag across a picture to mark a stretch, measure it and hear it alone."
IN_LINE = ("pitch_mean_hz", "pitch_sd_st", "intensity_mean_db")
LONGEST_SAVED_S = 600.0
Offer = tuple[str, Callable[[], bytes], str, str]
"""A file to take away: what it is called, how it is made, its suffix and type."""


def measured(clip: Clip, marked: Selection) -> tuple[Measure, ...]:
    """All measures of a stretch, with the settings of the pitch and formant panes."""
    pitch, formants = pitch_settings_in_use(), formant_settings_in_use()
    return cached.remember(
        "picture",
        ("measures", clip.digest, marked, pitch, formants, rhythm.shortest_pause_in_use()),
        lambda: _measure(clip, marked, pitch, formants),
    )


def _measure(clip: Clip, marked: Selection, pitch: PitchSettings, formants: FormantSettings) -> tuple[Measure, ...]:
    # Praat's objects serve all stretches of a short clip, and are most of the work.
    whole = clip.duration <= WHOLE_S
    part = () if whole else (marked.start, marked.end)
    analysis = (
        cached.remember(
            "picture", ("analysis", clip.digest, pitch, formants, part), lambda: analyse(clip, pitch, formants, *part)
        )
        if marked.duration <= LONGEST_S
        else None
    )
    pauses = rhythm.structure_of(clip, rhythm.shortest_pause_in_use()).pauses
    return measures_of(clip, marked, pitch_settings=pitch, formant_settings=formants, pauses=pauses, analysis=analysis)


def in_words(marked: Selection) -> str:
    """Start, end, duration and band of a stretch."""
    text = f"{format_time(marked.start)} to {format_time(marked.end)} · {marked.duration:.3f} s"
    if marked.low is None or marked.high is None:
        return text
    return f"{text} · {format_hz(round(marked.low))} to {format_hz(round(marked.high))}"


def value_words(measure: Measure) -> str:
    """A measure's value with as many digits as mean something, and its unit."""
    if not math.isfinite(measure.value):
        return "not defined"
    digits = {"Hz": 1, "dB": 1, "dBFS": 1, "s": 3, "%": 2, "st": 2, "": 3}.get(measure.unit, 3)
    return f"{measure.value:.{digits}f} {measure.unit}".strip()


def line(clip: Clip, now: TransportState) -> None:
    """One line under the player about the marked stretch; always there, so that nothing jumps."""
    marked = now.selection
    if marked is None:
        st.caption(NOTHING)
        return
    by_name = {measure.name: measure for measure in measured(clip, marked)}
    facts = [f"{by_name[n].title}: {value_words(by_name[n])}" for n in IN_LINE if n in by_name]
    st.caption(f"**Marked** {in_words(marked)} · " + " · ".join(map(plain, facts)))


def card(decoded: Decoded, now: TransportState) -> None:
    """The marked stretch in full: numbers, sound, and the way into the table."""
    clip, marked = decoded.clip, now.selection
    if marked is None:
        st.info(NOTHING + " On the spectrogram, drag with “band” to mark frequencies as well.")
        return
    st.markdown(f"**{in_words(marked)}**")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Label",
            key="keep_label",
            placeholder="for example: question, laughter",
            width=280,
            help="What you call this stretch in the table and in annotation files.",
        )
        st.button(
            "Keep in the table",
            icon=":material/playlist_add:",
            on_click=_keep,
            args=(clip, marked),
            help="Adds one row with these measures to “Kept stretches”.",
        )
        _hear(clip, marked)
        _save(clip, marked)
    found = measured(clip, marked)
    with st.container(key="measures"):
        st.dataframe(
            {
                "measure": [m.title for m in found],
                "value": [value_words(m) for m in found],
                "meaning": [m.meaning for m in found],
            },
            hide_index=True,
            height=min(35 * (len(found) + 1) + 3, 420),
            alt=f"{len(found)} measures of the marked stretch",
        )


def _hear(clip: Clip, marked: Selection) -> None:
    banded, short = marked.low is not None, marked.duration <= sounds.LONGEST_BAND_S
    st.button(
        "Hear this band alone",
        icon=":material/filter_alt:",
        on_click=_make_band,
        args=(clip, marked),
        disabled=not (banded and short),
        help="Everything above and below the marked frequencies is filtered away. "
        + ("" if banded else "Mark a band first: drag across the spectrogram with “band” chosen in the player. ")
        + ("" if short else f"For stretches of up to {sounds.LONGEST_BAND_S / 60:.0f} minutes."),
    )


def _make_band(clip: Clip, marked: Selection) -> None:
    """Callback: make the band's sound and play it."""
    made = sounds.make_band(clip, marked)
    state.set_band(clip.digest, made)
    state.wish_to_hear(marked.start, marked.end, made[1])


def _save(clip: Clip, marked: Selection) -> None:
    if marked.duration > LONGEST_SAVED_S:
        return
    stem = f"{clip.digest[:8]}-{marked.start:.2f}-{marked.end:.2f}"

    def samples() -> bytes:
        part = clip.section(marked.start, marked.end)
        return sound.wav_bytes(part.y, part.sr)[0]

    def packed() -> bytes:
        part = clip.section(marked.start, marked.end)
        return sound.flac_bytes(part.y, part.sr)[0]

    for name, make, suffix in (("WAV", samples, "wav"), ("FLAC", packed, "flac")):
        st.download_button(
            name,
            make,
            f"{stem}.{suffix}",
            f"audio/{suffix}",
            icon=":material/download:",
            on_click="ignore",
            key=f"save_{suffix}",
            help="The marked stretch as a sound file: mono, 16 bits.",
        )


def _keep(clip: Clip, marked: Selection) -> None:
    """Callback: one more row."""
    label = str(state.widget_value("keep_label") or "").strip()
    rows = state.collected()
    found = [
        (m.name, m.title, m.value if math.isfinite(m.value) else None, m.unit, m.meaning)
        for m in measured(clip, marked)
    ]
    row: Collected = {
        "clip": clip.name,
        "digest": clip.digest,
        "label": label or f"stretch {len(rows) + 1}",
        "start": marked.start,
        "end": marked.end,
        "low": marked.low,
        "high": marked.high,
        "measures": found,
    }
    state.set_collected([*rows, row])
    state.set_widget("keep_label", "")
    st.toast(plain(f"Kept “{row['label']}”: {len(rows) + 1} in the table."), icon=":material/playlist_add_check:")


def as_rows(measures: Iterable[Measure]) -> list[tuple[str, str, float | None, str, str]]:
    """Measures as plain values, which a session and JSON can keep."""
    return [(m.name, m.title, m.value if math.isfinite(m.value) else None, m.unit, m.meaning) for m in measures]


def table(clip: Clip) -> None:
    """The kept stretches: rename, hear, delete, take away."""
    rows = state.collected()
    if not rows:
        st.info("No stretch is kept yet. Mark one, then press “Keep in the table” under “Marked stretch”.")
        return
    values = [{name: value for name, _, value, *_ in row["measures"]} for row in rows]
    names = list(dict.fromkeys(name for one in values for name in one))
    edited = st.data_editor(
        {
            "label": [row["label"] for row in rows],
            "clip": [row["clip"] for row in rows],
            "start_s": [row["start"] for row in rows],
            "end_s": [row["end"] for row in rows],
            "low_hz": [row["low"] for row in rows],
            "high_hz": [row["high"] for row in rows],
        }
        | {name: [one.get(name) for one in values] for name in names},
        disabled=["clip", "start_s", "end_s", "low_hz", "high_hz", *names],
        hide_index=True,
        key=f"kept_{len(rows)}",
        alt=f"{len(rows)} kept stretches with their measures",
    )
    labels = [str(label or "") for label in cast("dict[str, list[str]]", edited)["label"]]
    if labels != [row["label"] for row in rows]:
        state.set_collected([{**row, "label": label} for row, label in zip(rows, labels, strict=True)])
        rows = state.collected()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        at = st.selectbox(
            "Row",
            range(len(rows)),
            format_func=lambda i: f"{i + 1}: {rows[i]['label']}" if i < len(rows) else "",
            key="kept_row",
            width=260,
            help="One of the kept stretches, to hear, to show again or to delete.",
        )
        here = rows[at]["digest"] == clip.digest
        st.button(
            "Show and hear it",
            on_click=_show,
            args=(clip, rows[at]),
            disabled=not here,
            icon=":material/play_arrow:",
            help="" if here else "It belongs to another recording: pick that in the sidebar first.",
        )
        st.button("Delete it", on_click=_delete, args=(at,), icon=":material/delete:")
    _save_table(clip, rows)


def _show(clip: Clip, row: Collected) -> None:
    """Callback: mark the stretch again and play it."""
    state.set_selection(panes.clock_of(clip), Selection(row["start"], row["end"], row["low"], row["high"]))
    state.wish_to_hear(row["start"], row["end"])


def _delete(at: int) -> None:
    """Callback: take a row out."""
    rows = state.collected()
    state.set_collected(rows[:at] + rows[at + 1 :])


def kept_of(rows: Iterable[Collected], digest: str | None = None) -> tuple[Kept, ...]:
    """The kept stretches, of one clip or of all, as exports take them."""
    return tuple(
        Kept(
            row["label"],
            Selection(row["start"], row["end"], row["low"], row["high"]),
            tuple(Measure(n, t, math.nan if v is None else v, u, m) for n, t, v, u, m in row["measures"]),
        )
        for row in rows
        if digest in (None, row["digest"])
    )


def _tiers(clip: Clip, rows: list[Collected]) -> tuple[Tier, ...]:
    """The kept stretches of this clip, and speech, pauses and syllables where a pane shows them."""
    own = kept_of(rows, clip.digest)
    shown = any(pane["kind"] == "structure" for pane in state.panes())
    return (
        *((notes.kept_tier("stretches", own),) if own else ()),
        *(rhythm.tiers(clip, rhythm.shortest_pause_in_use()) if shown else ()),
    )


def _save_table(clip: Clip, rows: list[Collected]) -> None:
    """All rows as tables; those of the clip in hand for annotation programs."""
    # Found now: the files are made in a thread that knows nothing of the session.
    kept, here, found = kept_of(rows), kept_of(rows, clip.digest), _tiers(clip, rows)
    parquet = "application/octet-stream"
    tables: tuple[Offer, ...] = (
        ("CSV", lambda: notes.selections_csv(kept), "csv", "text/csv"),
        ("Parquet", lambda: frames.parquet_bytes(frames.selections_table(kept)), "parquet", parquet),
    )
    annotations: tuple[Offer, ...] = (
        ("Praat (TextGrid)", lambda: notes.textgrid(found, clip.duration), "TextGrid", "text/plain"),
        ("ELAN (eaf)", lambda: notes.elan(found, clip.duration, clip.name), "eaf", "application/xml"),
        ("Audacity (labels)", lambda: notes.audacity((), here), "txt", "text/plain"),
    )
    own = "The kept stretches of the clip in hand, with speech and pauses where that pane is shown."
    with st.container(horizontal=True):
        _offer(clip, tables, "All kept stretches with their measures.", disabled=False)
        _offer(clip, annotations, own, disabled=not here)


def _offer(clip: Clip, offers: tuple[Offer, ...], about: str, *, disabled: bool) -> None:
    for label, make, suffix, mime in offers:
        st.download_button(
            label,
            make,
            f"stretches-{clip.digest[:8]}.{suffix}",
            mime,
            icon=":material/download:",
            on_click="ignore",
            disabled=disabled,
            key=f"kept_{suffix}",
            help=about,
        )
