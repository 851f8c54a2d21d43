"""Panes of the voice, with Praat's numbers: pitch, intensity, formants, harmonicity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from components.features import voice
from components.features.voice import FormantSettings, PitchMethod, PitchSettings
from components.plots import voice as voice_plots
from components.plots.voice import PitchUnit
from components.types import Clip, Track
from components.widgets import cached, state
from components.widgets.text import plain
from components.widgets.views import base, wave
from components.widgets.views.base import Kind, Shown, Stage

PITCH_PANE, FORMANT_PANE = "pitch", "formants"
"""Their settings also hold for the measures and for what is drawn over the spectrogram."""

T = TypeVar("T")
LONGEST_S = {"pitch": 600.0, "intensity": 600.0, "formants": 60.0, "harmonicity": 120.0}
"""The longest view of each: Praat holds up all other work of the server while it computes, formants longest."""
LONGEST_WARNED_S = 120.0
METHODS: dict[PitchMethod, str] = {"ac": "autocorrelation", "cc": "cross-correlation"}
UNITS: tuple[PitchUnit, ...] = ("Hz", "semitones")
VOICES = {5000: "low voices (5000 Hz)", 5500: "high voices (5500 Hz)", 8000: "children (8000 Hz)"}


def analysed(stage: Stage, name: str, analyse: Callable[..., T], *settings: object) -> T:
    """A Praat analysis: of the whole clip, or of the visible part of a long one."""
    clip = stage.clip
    part = () if clip.duration <= voice.WHOLE_S else stage.view
    wanted = (name, clip.digest, settings, part)
    return cached.remember("picture", wanted, lambda: analyse(clip, *settings, *part))


def pitch_settings_in_use() -> PitchSettings:
    """What the (first) pitch pane is set to."""
    low, high = state.widget_value(base.key(PITCH_PANE, "range")) or (75, 500)
    method: PitchMethod = state.widget_value(base.key(PITCH_PANE, "method")) or "ac"
    return PitchSettings(floor=float(low), ceiling=float(high), method=method)


def formant_settings_in_use() -> FormantSettings:
    """What the (first) formant pane is set to."""
    return FormantSettings(ceiling=float(state.widget_value(base.key(FORMANT_PANE, "ceiling")) or 5500))


def overlaid(stage: Stage, name: str) -> tuple[Track, ...]:
    """The track that is drawn over a spectrogram; () where the view is too long."""
    if min(stage.clip.duration, stage.view[1] - stage.view[0]) > LONGEST_S[name]:
        return ()
    if name == "pitch":
        return (analysed(stage, "pitch", voice.pitch, pitch_settings_in_use()),)
    return (analysed(stage, "formants", voice.formants, formant_settings_in_use()),)


def _pitch_settings(pane: str, clip: Clip) -> tuple[PitchSettings, PitchUnit, bool]:
    with base.popover():
        low, high = st.slider(
            "Floor and ceiling (Hz)",
            30,
            1000,
            (75, 500),
            5,
            key=base.key(pane, "range"),
            persist_state="session",
            help="Praat looks for the pitch between these. 75 to 300 suits low voices, 100 to 500 high ones, up to 800 "
            "children and song. A wrong range makes pitch jump by an octave.",
        )
        method = st.segmented_control(
            "Method",
            list(METHODS),
            default="ac",
            required=True,
            format_func=METHODS.__getitem__,
            key=base.key(pane, "method"),
            persist_state="session",
            help="Autocorrelation is the best for intonation, cross-correlation for voice quality.",
        )
        unit = st.segmented_control(
            "Unit",
            UNITS,
            default="Hz",
            required=True,
            key=base.key(pane, "unit"),
            persist_state="session",
            help="Semitones (12 an octave, counted from 100 Hz) fit how we hear: equal steps sound equal.",
        )
        candidates = st.toggle(
            "Show all candidates",
            True,
            key=base.key(pane, "candidates"),
            persist_state="session",
            help="Grey dots: other pitches that would fit, darker is better. The line is the path that Praat takes.",
        )
    low, high = (low, high) if high >= low + 20 else (low, low + 20)
    return PitchSettings(floor=float(low), ceiling=float(high), method=method), unit, candidates


def _draw_pitch(stage: Stage, chosen: tuple[PitchSettings, PitchUnit, bool]) -> Shown | None:
    if base.too_long(stage, LONGEST_S["pitch"]):
        return None
    settings, unit, show_candidates = chosen
    track, candidates = analysed(stage, "candidates", voice.pitch_and_candidates, settings)
    _warn(stage, track, settings)
    figure = voice_plots.pitch(
        track,
        candidates if show_candidates else None,
        clock=stage.clock,
        view=stage.view,
        floor=settings.floor,
        ceiling=settings.ceiling,
        unit=unit,
        height=stage.height,
    )
    return base.shown_track(figure, track)


def _warn(stage: Stage, track: Track, settings: PitchSettings) -> None:
    """Say where floor or ceiling look wrong for this voice."""
    if min(stage.clip.duration, stage.view[1] - stage.view[0]) > LONGEST_WARNED_S:
        return
    warning = voice.pitch_warning(track, settings, analysed(stage, "wide pitch", voice.wide_pitch, settings))
    if warning:
        st.warning(plain(warning), icon=":material/warning:")


def _draw_intensity(stage: Stage, settings: None) -> Shown | None:
    if base.too_long(stage, LONGEST_S["intensity"]):
        return None
    return wave.of_track(stage, analysed(stage, "intensity", voice.intensity, pitch_settings_in_use()))


def _draw_harmonicity(stage: Stage, settings: None) -> Shown | None:
    if base.too_long(stage, LONGEST_S["harmonicity"]):
        return None
    return wave.of_track(stage, analysed(stage, "harmonicity", voice.harmonicity, pitch_settings_in_use()))


def _formant_settings(pane: str, clip: Clip) -> FormantSettings:
    ceiling = st.selectbox(
        "For",
        list(VOICES),
        1,
        format_func=lambda hz: f"For {VOICES[hz]}",
        key=base.key(pane, "ceiling"),
        persist_state="session",
        label_visibility="collapsed",
        width=240,
        help="Praat looks for five formants below this frequency: 5000 Hz suits most men's voices, 5500 Hz most "
        "women's, 8000 Hz children's.",
    )
    return FormantSettings(ceiling=float(ceiling))


def _draw_formants(stage: Stage, settings: FormantSettings) -> Shown | None:
    if base.too_long(stage, LONGEST_S["formants"]):
        return None
    track, widths = analysed(stage, "bandwidths", voice.formants_and_bandwidths, settings)
    figure = voice_plots.formants(
        track, widths, clock=stage.clock, view=stage.view, height=stage.height, ceiling=settings.ceiling
    )
    return base.shown_track(figure, track)


PITCH = Kind(
    "Pitch",
    "How high the voice is, as Praat finds it: a line where there is voice, a gap where there is none. The dashed "
    "lines are the floor and ceiling between which it looks; a voice that touches them needs others.",
    220,
    _pitch_settings,
    _draw_pitch,
)
INTENSITY = Kind(
    "Intensity",
    "How strong the sound is, as Praat measures it, in dB. Only differences within a recording mean something: nobody "
    "knows how far the microphone was.",
    160,
    base.no_settings,
    _draw_intensity,
)
FORMANTS = Kind(
    "Formants",
    "The resonances of mouth and throat (F1 to F4), as Praat finds them: F1 goes up as the mouth opens, F2 as the "
    "tongue goes forward. Meaningful in vowels only.",
    240,
    _formant_settings,
    _draw_formants,
)
HARMONICITY = Kind(
    "Harmonicity (HNR)",
    "How much stronger the regular part of the voice is than the noise in it, in dB: 20 dB means 99 % of the energy "
    "is regular. Low in whispers, hoarse voices, and noise.",
    160,
    base.no_settings,
    _draw_harmonicity,
)
