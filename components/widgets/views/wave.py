"""Panes with time and size: the waveform, loudness, and one number a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from components.audio.channels import ChannelOutlines, channel_outlines
from components.audio.loudness import loudness_track
from components.errors import OtoscopeError
from components.exports import figures, frames
from components.features import spectral
from components.features.envelope import Envelope, channel_envelopes, envelope
from components.features.pyramid import envelope_from_pyramid
from components.plots import time as time_plots
from components.plots.theme import View
from components.types import Clip, Feature, FrameParams, Track
from components.widgets import cached
from components.widgets.progress import progress
from components.widgets.views import base
from components.widgets.views.base import Kind, Shown, Stage

COLUMNS = 1200


@dataclass(frozen=True)
class WaveSettings:
    """How the waveform is drawn."""

    channels: bool = False
    decibels: bool = False


def outline(clip: Clip, view: View, columns: int = COLUMNS) -> Envelope:
    """The outline of the visible part: from the pyramid where there is one, else from the samples."""

    def make() -> Envelope:
        pyramid = base.pyramid(clip, view)
        quick = envelope_from_pyramid(pyramid, *view, columns) if pyramid else None
        return quick or envelope(clip, *view, columns)

    return cached.remember("picture", ("envelope", clip.digest, view, columns), make)


def _wave_settings(pane: str, clip: Clip) -> WaveSettings:
    with base.popover():
        decibels = st.toggle(
            "In decibels",
            key=base.key(pane, "decibels"),
            persist_state="session",
            help="Quiet and loud parts become comparable: -6 dB is half as much movement. 0 dB is full scale.",
        )
        channels = clip.source.channels > 1 and st.toggle(
            "Each channel for itself",
            key=base.key(pane, "channels"),
            persist_state="session",
            help="The recording's own channels, left first. Otherwise their mean, which the other pictures use, too.",
        )
    return WaveSettings(channels, decibels)


def _draw_wave(stage: Stage, settings: WaveSettings) -> Shown | None:
    clip = stage.clip
    if settings.channels and stage.source is not None:
        found = _channels(clip, stage.view, stage.source)
        if found:
            return _each_channel(stage, settings, found)
    one = outline(clip, stage.view)
    figure = time_plots.waveform(
        one, clock=stage.clock, view=stage.view, height=stage.height, decibels=settings.decibels
    )
    channels = clip.source.channels
    whose = "" if channels == 1 else f"Mean of {channels} channels. "
    what = "Each sample" if one.step == 1 else f"Lowest and highest of each {one.step} samples"
    caption = f"{whose}{what}, {clip.sr} samples a second; 1 is full scale."
    return Shown(
        figure,
        caption,
        lambda: frames.outline_table(one.times, one.low, one.high, method=caption),
        lambda paper: figures.outline(one.times, one.low, one.high, paper),
    )


def _channels(clip: Clip, view: View, source: Path) -> tuple[Envelope, ...]:
    """One outline for each channel of the original; () where it cannot be read again."""

    def read() -> ChannelOutlines:
        with progress("Reading the channels") as report:
            return channel_outlines(source, name=clip.name, on_progress=report)

    try:
        found = cached.remember("sound", ("channels", clip.digest), read)
    except OtoscopeError:
        return ()
    wanted = ("channels", clip.digest, view)
    return cached.remember("picture", wanted, lambda: channel_envelopes(found, *view, COLUMNS))


def _each_channel(stage: Stage, settings: WaveSettings, found: tuple[Envelope, ...]) -> Shown:
    names = ["left", "right"] if len(found) == 2 else [f"channel {i + 1}" for i in range(len(found))]
    figure = time_plots.waveforms(
        found,
        names,
        clock=stage.clock,
        view=stage.view,
        height=max(stage.height, 75 * len(found) + 60),
        decibels=settings.decibels,
    )
    step = found[0].step
    what = "Each sample" if step == 1 else f"Lowest and highest of each {step} samples"
    caption = f"{what} of each channel, {stage.clip.source.sr} samples a second; 1 is full scale."
    named = {name: (e.times, e.low, e.high) for name, e in zip(names, found, strict=True)}
    return Shown(
        figure,
        caption,
        lambda: frames.outlines_table(named, method=caption),
        lambda paper: figures.outlines(named, paper),
    )


def _draw_loudness(stage: Stage, settings: None) -> Shown | None:
    clip = stage.clip
    track: Track = cached.remember("picture", ("loudness", clip.digest), lambda: loudness_track(clip))
    return of_track(stage, track)


def of_track(stage: Stage, track: Track) -> Shown:
    """Curves of a track as a pane."""
    figure = time_plots.tracks(track, clock=stage.clock, view=stage.view, height=stage.height)
    return base.shown_track(figure, track)


FeatureMaker = Callable[[Clip, FrameParams], Feature]

CURVES: dict[str, tuple[str, FeatureMaker, str]] = {
    "rms": ("Level (RMS)", spectral.rms, "The size of the samples in each frame."),
    "centroid": ("Brightness (spectral centroid)", spectral.spectral_centroid, "The centre of the spectrum."),
    "bandwidth": ("Spread (bandwidth)", spectral.spectral_bandwidth, "How far the spectrum spreads around its centre."),
    "rolloff": ("Roll-off", spectral.spectral_rolloff, "85 % of the spectrum lies below this frequency."),
    "flatness": ("Noisiness (flatness)", spectral.spectral_flatness, "0 for a pure tone, 1 for white noise."),
    "crossings": ("Zero crossings", spectral.zero_crossing_rate, "Many in hisses (s, f), few in vowels."),
}


def _curve_settings(pane: str, clip: Clip) -> str:
    chosen: str = st.selectbox(
        "Curve",
        list(CURVES),
        format_func=lambda name: CURVES[name][0],
        key=base.key(pane, "curve"),
        persist_state="session",
        label_visibility="collapsed",
        help=" ".join(f"{title}: {meaning}" for title, _, meaning in CURVES.values()),
        width=260,
    )
    return chosen


def _draw_curve(stage: Stage, name: str) -> Shown | None:
    if base.too_long(stage):
        return None
    title, make, meaning = CURVES[name]
    params = FrameParams()
    feature = base.true_frames(stage, params, make)
    figure = time_plots.curve(feature, clock=stage.clock, view=stage.view, height=stage.height)
    caption = f"{title}: {meaning} {base.frame_words(params, stage.clip.sr)}."
    track = base.track_of(feature, title, caption)
    return base.shown_track(figure, track)


WAVEFORM = Kind(
    "Waveform",
    "How far the air moved, over time: tall is loud. Click to hear from there; zoom in far enough and each sample is "
    "a dot.",
    150,
    _wave_settings,
    _draw_wave,
)
LOUDNESS = Kind(
    "Loudness (LUFS)",
    "How loud it is to a listener, with the ear's lower sensitivity to low and very high sounds counted in (ITU-R "
    "BS.1770). Momentary is over 0.4 s, short-term over 3 s.",
    170,
    base.no_settings,
    _draw_loudness,
)
CURVE = Kind("Curve", "One number for each frame, over time.", 150, _curve_settings, _draw_curve)
