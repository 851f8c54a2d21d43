"""Panes with time and frequency: spectrogram, mel-frequency cepstral coefficients, notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import streamlit as st

from components.exports import figures, frames
from components.exports.figures import Paper
from components.features.picture import (
    PRESETS,
    Picture,
    Scale,
    chroma_picture,
    mfcc_picture,
    picture,
    preset_params,
)
from components.features.pyramid import picture_from_pyramid
from components.features.spectral import WINDOWS
from components.plots import timefreq
from components.types import Clip, Feature, FrameParams, Times
from components.units import format_hz
from components.widgets import cached, state
from components.widgets.views import base, voice
from components.widgets.views.base import Kind, Shown, Stage

SCALES = {
    "mel": "Mel: spaced roughly as we hear, with more room for low frequencies.",
    "linear": "Linear: each Hz has the same height; harmonics are evenly spaced.",
    "log": "Log: each octave has the same height.",
    "constant-q": "Constant-Q: each note has the same height and its own frame, long for low notes.",
}
COLOURS = {
    "Magma": "black, purple, orange",
    "Viridis": "blue, green, yellow",
    "Cividis": "blue, yellow",
    "Greys": "grey",
}
Reference = Literal["full scale", "loudest"]
REFERENCES = {"full scale": "a sine of full scale", "loudest": "the loudest in view"}
USUAL_MS = 0
"""Choice of frame length: 1024 samples, what most models are given."""
WINDOWS_MS = (USUAL_MS, 3, 5, 8, 10, 15, 20, 25, 30, 46, 64, 93, 128, 186, 256)
OVERLAPS = {2: "50 %", 4: "75 %", 8: "87.5 %"}
FFT_FITS = 0
"""Choice of n_fft: the next power of two that holds the window twice."""
CUSTOM = "Own settings"
LONGEST_CQ_S = 600.0


@dataclass(frozen=True)
class SpectrogramSettings:
    """How the spectrogram is drawn."""

    params: FrameParams
    scale: str
    fmin: float
    fmax: float
    db_range: tuple[float, float]
    reference: Reference
    colours: str
    bins_per_octave: int = 24
    overlay: tuple[str, ...] = ()


def usual(clip: Clip) -> SpectrogramSettings:
    """The spectrogram as it is drawn before anybody changes it."""
    preset = PRESETS["general"]
    return SpectrogramSettings(
        preset_params(preset, clip.sr),
        preset.scale,
        preset.fmin,
        min(preset.fmax or clip.sr / 2, clip.sr / 2),
        preset.db_range,
        "full scale",
        preset.colours,
    )


def _apply_preset(pane: str, sr: int) -> None:
    """Callback: set all controls to those of the chosen preset."""
    name = state.widget_value(base.key(pane, "preset"))
    if name not in PRESETS:
        return
    preset = PRESETS[name]
    values: dict[str, Any] = {
        "scale": preset.scale,
        "window_ms": round(preset.window_ms or USUAL_MS),
        "overlap": round(1 / preset.hop),
        "window": preset.window,
        "n_fft": FFT_FITS,
        "range": (preset.fmin, min(preset.fmax or sr / 2, sr / 2)),
        "db_range": preset.db_range,
        "colours": preset.colours,
        "reference": "full scale",
    }
    state.set_settings({base.key(pane, name): value for name, value in values.items()})


def _own(pane: str) -> None:
    """Callback: a control was changed, so this is no preset any more."""
    state.set_widget(base.key(pane, "preset"), CUSTOM)


def _spectrogram_settings(pane: str, clip: Clip) -> SpectrogramSettings:
    nyquist = clip.sr / 2
    first = usual(clip)
    st.selectbox(
        "Preset",
        [*PRESETS, CUSTOM],
        format_func=lambda name: CUSTOM if name == CUSTOM else PRESETS[name].title,
        key=base.key(pane, "preset"),
        on_change=_apply_preset,
        args=(pane, clip.sr),
        persist_state="session",
        label_visibility="collapsed",
        help=" ".join(f"{preset.title}: {preset.meaning}" for preset in PRESETS.values()),
        width=230,
    )
    with base.popover():
        scale = st.segmented_control(
            "Frequency axis",
            list(SCALES),
            default=first.scale,
            required=True,
            key=base.key(pane, "scale"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help=" ".join(SCALES.values()),
        )
        window_ms = st.selectbox(
            "Frame length (window)",
            WINDOWS_MS,
            format_func=lambda ms: f"{ms} ms" if ms else f"1024 samples ({1024000 / clip.sr:.0f} ms)",
            key=base.key(pane, "window_ms"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help="Long frames separate close frequencies, short frames close moments. One cannot have both.",
        )
        left, right = st.columns(2)
        overlap = left.selectbox(
            "Overlap",
            list(OVERLAPS),
            1,
            format_func=OVERLAPS.__getitem__,
            key=base.key(pane, "overlap"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help="How much of a frame the next one shares. Very long or short views use a step that fits them.",
        )
        window = right.selectbox(
            "Window",
            list(WINDOWS),
            key=base.key(pane, "window"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help=" ".join(f"{name.capitalize()}: {meaning}." for name, meaning in WINDOWS.items()),
        )
        params = _params(window_ms, overlap, window, clip.sr)
        n_fft = left.selectbox(
            "Fourier length (n_fft)",
            [FFT_FITS, *(2**k for k in range(7, 17))],
            format_func=lambda n: f"fits ({params.n_fft})" if n == FFT_FITS else str(n),
            key=base.key(pane, "n_fft"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help="Samples in each Fourier transform. Beyond the window it only draws the same picture more finely.",
        )
        reference = right.selectbox(
            "0 dB is",
            list(REFERENCES),
            key=base.key(pane, "reference"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            format_func=REFERENCES.__getitem__,
            help="Full scale makes recordings comparable; the loudest in view makes faint ones visible.",
        )
        low, high = st.slider(
            "Frequencies shown (Hz)",
            0.0,
            nyquist,
            (first.fmin, first.fmax),
            nyquist / 200,
            key=base.key(pane, "range"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            format="%.0f",
            help=f"This clip holds frequencies up to half its sampling rate, {format_hz(nyquist)}.",
        )
        quiet, loud = st.slider(
            "Levels shown (dB)",
            -120,
            0,
            (int(first.db_range[0]), int(first.db_range[1])),
            5,
            key=base.key(pane, "db_range"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help="Raise the lower end to hide noise.",
        )
        colours = left.selectbox(
            "Colours",
            list(COLOURS),
            format_func=lambda name: f"{name} ({COLOURS[name]})",
            key=base.key(pane, "colours"),
            on_change=_own,
            args=(pane,),
            persist_state="session",
            help="All of them can be read with any kind of colour vision.",
        )
        per_octave = right.selectbox(
            "Rows an octave",
            [12, 24, 36],
            1,
            key=base.key(pane, "per_octave"),
            persist_state="session",
            disabled=scale != "constant-q",
            help="For constant-Q: 12 is one row a semitone.",
        )
        overlay = st.pills(
            "Drawn over it",
            ["pitch", "formants"],
            selection_mode="multi",
            key=base.key(pane, "overlay"),
            persist_state="session",
            help="Praat's pitch and formants, with the settings of those panes.",
        )
    if n_fft != FFT_FITS:
        params = replace(params, n_fft=max(n_fft, _power_of_two(params.win_length or params.n_fft)))
    high = max(high, low + nyquist / 50)
    return SpectrogramSettings(
        params,
        str(scale),
        low,
        min(high, nyquist),
        (float(quiet), float(max(loud, quiet + 5))),
        cast("Reference", reference),
        colours,
        per_octave,
        tuple(overlay),
    )


def _params(window_ms: int, overlap: int, window: str, sr: int) -> FrameParams:
    """Frames of that length, overlap (2 for a half) and window, with a Fourier length that fits them."""
    chosen = replace(PRESETS["general"], window_ms=float(window_ms) or None, hop=1 / overlap, window=window)
    return preset_params(chosen, sr)


def _power_of_two(n: int) -> int:
    return 1 << max(4, (n - 1).bit_length())


def _cells(clip: Clip, view: tuple[float, float], s: SpectrogramSettings) -> Picture:
    """The visible part of the spectrogram: from the pyramid where there is one, else from the samples."""
    scale = cast("Scale", s.scale)
    fmin = max(s.fmin, 20.0) if s.scale in ("log", "constant-q") else s.fmin

    def make() -> Picture:
        pyramid = base.pyramid(clip, view, s.params) if s.scale != "constant-q" else None
        quick = picture_from_pyramid(pyramid, *view, scale=scale, fmin=fmin, fmax=s.fmax) if pyramid else None
        return quick or picture(
            clip, *view, s.params, scale=scale, fmin=fmin, fmax=s.fmax, bins_per_octave=s.bins_per_octave
        )

    wanted = ("picture", clip.digest, view, s.params, s.scale, fmin, s.fmax, s.bins_per_octave)
    return cached.remember("picture", wanted, make)


def _draw_spectrogram(stage: Stage, s: SpectrogramSettings) -> Shown | None:
    clip, view = stage.clip, stage.view
    if s.scale == "constant-q" and base.too_long(stage, LONGEST_CQ_S):
        return None
    s = replace(s, fmax=min(s.fmax, clip.sr / 2))
    if s.fmin >= s.fmax:
        st.info(f"{clip.name} holds nothing above {format_hz(clip.sr / 2)}: show lower frequencies.")
        return None
    cells = _cells(clip, view, s)
    figure = timefreq.spectrogram(
        cells,
        clock=stage.clock,
        view=view,
        height=stage.height,
        db_range=s.db_range,
        colours=s.colours,
        reference=s.reference,
    )
    for name in s.overlay:
        for track in voice.overlaid(stage, name):
            figure = timefreq.overlay(figure, track, view=view)
    how = (
        f"constant-Q, {s.bins_per_octave} rows an octave"
        if s.scale == "constant-q"
        else base.frame_words(cells.params, clip.sr)
    )
    caption = (
        f"{how[:1].upper()}{how[1:]}; {s.scale} axis, "
        f"{base.range_words(float(cells.edges[0]), float(cells.edges[-1]))}; "
        f"{s.db_range[0]:.0f} to {s.db_range[1]:.0f} dB, 0 dB = "
        f"{REFERENCES[s.reference]}; "
        f"a cell shows the highest level in it."
    )
    feature = of_cells(cells)
    y_scale = {"linear": "linear", "mel": "rows"}.get(s.scale, "log")
    return Shown(
        figure,
        caption,
        lambda: frames.feature_table(feature, method=caption),
        _heat(
            feature,
            y_label="Frequency",
            value_label="dB",
            y_scale=y_scale,
            vmin=s.db_range[0],
            vmax=s.db_range[1],
            colours=s.colours,
        ),
    )


def of_cells(cells: Picture) -> Feature:
    """A picture as numbers: one row for each of its rows, at the row's centre."""
    edges = cells.edges
    centres: Times = (
        np.sqrt(edges[:-1] * edges[1:]) if cells.scale in ("log", "constant-q") else (edges[:-1] + edges[1:]) / 2
    )
    times: Times = cells.x0 + cells.dx * np.arange(cells.z.shape[1], dtype=np.float64)
    z = cells.z.astype(np.float32)
    return Feature("spectrogram", z, times, centres, "Hz", "dB", cells.params)


def _heat(feature: Feature, **how: Any) -> Callable[[Paper], bytes]:
    """Draws a feature for print."""
    return lambda paper: figures.heat(feature, paper, **how)


@dataclass(frozen=True)
class MfccSettings:
    """How the cepstral coefficients are computed and drawn."""

    params: FrameParams
    order: Literal[0, 1, 2]
    show_c0: bool


ORDERS = ("values", "delta", "delta delta")


def _mfcc_settings(pane: str, clip: Clip) -> MfccSettings:
    order = st.segmented_control(
        "Show",
        ORDERS,
        default="values",
        required=True,
        key=base.key(pane, "order"),
        label_visibility="collapsed",
        persist_state="session",
        help="The coefficients, how they change (delta), or how that change changes (delta delta).",
    )
    with base.popover():
        n_mfcc = st.slider(
            "Coefficients",
            8,
            30,
            13,
            key=base.key(pane, "n_mfcc"),
            persist_state="session",
            help="13 is usual for speech.",
        )
        window_ms = st.select_slider(
            "Frame length (window)",
            WINDOWS_MS,
            25,
            format_func=lambda ms: f"{ms} ms",
            key=base.key(pane, "window_ms"),
            persist_state="session",
            help="20 to 30 ms is usual for speech.",
        )
        show_c0 = st.toggle(
            "Show c0 (loudness; dwarfs the others)",
            key=base.key(pane, "c0"),
            persist_state="session",
            help="c0 is the overall level: it is so much larger that the others lose their colours.",
        )
    win_length = max(16, round(window_ms * clip.sr / 1000))
    params = FrameParams(_power_of_two(win_length), max(1, win_length * 2 // 5), win_length, n_mels=64, n_mfcc=n_mfcc)
    return MfccSettings(params, cast("Literal[0, 1, 2]", ORDERS.index(str(order))), show_c0)


def _draw_mfcc(stage: Stage, s: MfccSettings) -> Shown | None:
    if base.too_long(stage):
        return None
    clip, view = stage.clip, stage.view
    params = replace(s.params, fmax=None)
    wanted = ("mfcc", clip.digest, view, params, s.order)
    feature = cached.remember("picture", wanted, lambda: mfcc_picture(clip, *view, params, delta=s.order))
    figure = timefreq.mfcc(feature, clock=stage.clock, view=view, height=stage.height, show_c0=s.show_c0)
    how = "" if s.order == 0 else f"{ORDERS[s.order].capitalize()} over 9 frames of "
    caption = (
        f"{how}{params.n_mfcc} coefficients of {params.n_mels} mel bands; {base.frame_words(feature.params, clip.sr)}. "
        "c1: dark or bright; c2 and c3: roughly which vowel; higher ones: finer detail."
    )
    return Shown(
        figure,
        caption,
        lambda: frames.feature_table(feature, method=caption),
        _heat(feature, y_label="Coefficient", value_label="value", y_scale="rows", colours="RdBu_r"),
    )


def _draw_chroma(stage: Stage, settings: None) -> Shown | None:
    if base.too_long(stage):
        return None
    params = FrameParams(n_fft=4096, hop_length=1024)
    clip, view = stage.clip, stage.view
    wanted = ("chroma", clip.digest, view)
    feature = cached.remember("picture", wanted, lambda: chroma_picture(clip, *view, params))
    figure = timefreq.chroma(feature, clock=stage.clock, view=stage.view, height=stage.height)
    caption = f"Each column is divided by its largest value; A is 440 Hz. {base.frame_words(params, stage.clip.sr)}."
    return Shown(
        figure,
        caption,
        lambda: frames.feature_table(feature, method=caption),
        _heat(feature, y_label="Note", value_label="share", y_scale="rows", vmin=0.0, vmax=1.0),
    )


SPECTROGRAM = Kind(
    "Spectrogram",
    "Which frequencies sound when: time from left to right, low to high from bottom to top, brighter is stronger. "
    "0 dB is the strongest sine that the recording can hold.",
    280,
    _spectrogram_settings,
    _draw_spectrogram,
)
MFCC = Kind(
    "MFCC",
    "Mel-frequency cepstral coefficients: the shape of the spectrum in a dozen numbers per frame, what speech models "
    "were fed for decades. c1: dark or bright; c2 and c3: roughly which vowel; higher ones: finer detail.",
    240,
    _mfcc_settings,
    _draw_mfcc,
)
CHROMA = Kind(
    "Notes (chroma)",
    "How strong each of the twelve notes is, whatever its octave: chords show as three or four bright rows.",
    220,
    base.no_settings,
    _draw_chroma,
)
