"""The pictures of a sound: each in a container of its own name, on the clock of the page's player."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import streamlit as st

from components.audio.decode import Decoded
from components.features import spectral
from components.features.envelope import envelope
from components.features.picture import Scale, mel_picture, mfcc_picture, picture
from components.plots import time as time_plots
from components.plots import timefreq
from components.plots.theme import View, alt_text
from components.types import Clip, Feature, FrameParams
from components.widgets import cached, sidebar, state
from components.widgets.pickers import PictureSettings
from components.widgets.text import plain
from components.widgets.transport import TransportState, transport

LONGEST_FRAMES_S = 600.0
"""Features that are drawn from true frames are computed for at most this long a view."""

CONFIG = {
    "displaylogo": False,
    "showTips": False,
    "doubleClick": "reset",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d"],
}


def clock_of(clip: Clip) -> str:
    """The name under which player and pictures of a clip find each other."""
    return clip.digest[:16]


def whole(clip: Clip) -> View:
    """The view of all of a clip."""
    return (0.0, clip.duration)


def _stay_on_top() -> None:
    """Keep the player in sight while the page scrolls below it."""
    background = st.get_option(f"theme.{st.context.theme.type or 'light'}.backgroundColor")
    wrapper = '[data-testid="stLayoutWrapper"]:has(> .st-key-player)'
    rules = f"position: sticky; top: 0; z-index: 90; background: {background}; padding: .4rem 0;"
    st.html(f"<style>{wrapper} {{{rules}}}</style>")


def player(decoded: Decoded, *, report_time: bool = False) -> TransportState:
    """The page's one player: name and facts of the clip, the transport, what is visible.

    With `report_time` a pause reruns the page, so that it can show the moment under the playhead.
    """
    clip = decoded.clip
    sound = sidebar.playback_in_hand(decoded)
    clock = clock_of(clip)
    _stay_on_top()
    with st.container(key="player", gap="xxsmall"):
        st.markdown(f"**{plain(clip.name)}** :small[{plain(sidebar.facts(decoded))}]")
        with st.container(key="player_audio"):
            st.audio(sound.data, format=sound.mime)
        now = transport(
            clock,
            audio_key="player_audio",
            duration=clip.duration,
            view=state.view_of(clock),
            seek=state.wish(),
            report_time=report_time,
        )
    state.set_view(clock, now.view)
    for note in sound.notes:
        st.caption(plain(note))
    return now


def chart(name: str, figure: Any) -> None:
    """A figure in the keyed container `name`."""
    with st.container(key=name):
        st.plotly_chart(figure, key=f"{name}_chart", alt=alt_text(figure), config=CONFIG)


def heading(title: str, help_text: str) -> None:
    """The name of a pane, with how to read it."""
    st.markdown(f"##### {title}", help=help_text)


def view_of(clip: Clip, now: TransportState) -> View:
    """The visible range, all of the clip by default."""
    return now.view or whole(clip)


def waveform(clip: Clip, now: TransportState, height: int = 150) -> None:
    """The outline of the samples; the samples themselves when zoomed in."""
    heading(
        "Waveform",
        "How far the air moved, over time: tall is loud. Drag to zoom in, click to hear from there, double-click to "
        "see all. Zoom in far enough and each sample is a dot.",
    )
    view = view_of(clip, now)
    outline = cached.remember("picture", ("envelope", clip.digest, view), lambda: envelope(clip, *view, 1200))
    chart("waveform", time_plots.waveform(outline, clock=clock_of(clip), view=view, height=height))


def spectrogram(
    clip: Clip, now: TransportState, settings: PictureSettings, *, height: int = 280, name_step: bool = True
) -> None:
    """Which frequencies, when."""
    heading(
        "Spectrogram",
        "Which frequencies sound when: time from left to right, low to high from bottom to top, brighter is stronger. "
        "0 dB is the strongest sine that the recording can hold.",
    )
    view = view_of(clip, now)
    draw = _mel_bands if settings.scale == "mel bands" else _frequencies
    used = draw(clip, view, settings, height)
    asked = settings.params.hop_length
    if name_step and used != asked:
        st.caption(
            f"For a view of this length a frame is drawn every {1000 * used / clip.sr:.1f} ms "
            f"(the setting is {1000 * asked / clip.sr:.1f} ms); zoom to change that."
        )


def _frequencies(clip: Clip, view: View, settings: PictureSettings, height: int) -> int:
    """Draw the spectrogram on its scale; the hop that was used."""
    scale = cast("Scale", settings.scale)
    cells = cached.remember(
        "picture",
        ("picture", clip.digest, view, settings.params, scale, settings.fmin, settings.fmax),
        lambda: picture(clip, *view, settings.params, scale=scale, fmin=settings.fmin, fmax=settings.fmax),
    )
    figure = timefreq.spectrogram(
        cells,
        clock=clock_of(clip),
        view=view,
        height=height,
        db_range=settings.db_range,
        colours=settings.colours,
    )
    chart("spectrogram", figure)
    return cells.params.hop_length


def _mel_bands(clip: Clip, view: View, settings: PictureSettings, height: int) -> int:
    """Draw the mel bands; the hop that was used."""
    key = ("mel bands", clip.digest, view, settings.params)
    feature = cached.remember("picture", key, lambda: mel_picture(clip, *view, settings.params))
    chart("spectrogram", timefreq.mel(feature, clock=clock_of(clip), view=view, height=height))
    return feature.params.hop_length


def mfcc(clip: Clip, now: TransportState, settings: PictureSettings) -> None:
    """The numbers that classical models hear."""
    heading(
        "MFCC",
        "Mel-frequency cepstral coefficients: the shape of the spectrum in a dozen numbers per frame, what speech "
        "models were fed for decades. c1: dark or bright; c2 and c3: roughly which vowel; higher ones: finer detail.",
    )
    left, right = st.columns([2, 5])
    orders = ("values", "delta", "delta delta")
    shown = left.segmented_control(
        "Show",
        orders,
        default="values",
        required=True,
        key="mfcc_order",
        label_visibility="collapsed",
        persist_state="session",
        help="The coefficients, how they change (delta), or how that change changes (delta delta).",
    )
    show_c0 = right.toggle("Show c0 (loudness; dwarfs the others)", key="mfcc_c0", persist_state="session")
    view = view_of(clip, now)
    if _too_long(clip, view):
        return
    if shown == "values":
        key = ("mfcc", clip.digest, view, settings.params)
        feature = cached.remember("picture", key, lambda: mfcc_picture(clip, *view, settings.params))
    else:
        feature = spectral.delta(_frames(clip, view, settings.params, spectral.mfcc), order=orders.index(shown))
    chart("mfcc", timefreq.mfcc(feature, clock=clock_of(clip), view=view, show_c0=show_c0))


FeatureMaker = Callable[[Clip, FrameParams], Feature]

CURVES: dict[str, tuple[FeatureMaker, str]] = {
    "rms": (spectral.rms, "Loudness (RMS): the size of the samples in each frame."),
    "spectral_centroid": (spectral.spectral_centroid, "Brightness (spectral centroid): the spectrum's centre."),
    "zero_crossing_rate": (spectral.zero_crossing_rate, "Zero crossings: many in hisses (s, f), few in vowels."),
}


def curves(clip: Clip, now: TransportState, settings: PictureSettings) -> None:
    """One number per frame: loudness, brightness, zero crossings."""
    chosen = st.pills(
        "Curves",
        list(CURVES),
        format_func=lambda name: CURVES[name][1].split(":")[0],
        selection_mode="multi",
        key="curves",
        persist_state="session",
        help="One number for each frame, over time.",
    )
    for name in chosen:
        make, meaning = CURVES[name]
        st.caption(meaning)
        view = view_of(clip, now)
        if not _too_long(clip, view):
            feature = _frames(clip, view, settings.params, make)
            chart(name, time_plots.curve(feature, clock=clock_of(clip), view=view))


def _too_long(clip: Clip, view: View) -> bool:
    """Whether the view is longer than true frames are computed for; says so."""
    if min(clip.duration, view[1] - view[0]) <= LONGEST_FRAMES_S:
        return False
    st.info(f"This picture shows up to {LONGEST_FRAMES_S / 60:.0f} minutes at a time: zoom in to see it.")
    return True


def _frames(clip: Clip, view: View, params: FrameParams, make: FeatureMaker) -> Feature:
    """A feature's true frames: of the whole clip, or of the visible part of a long one."""
    if clip.duration <= LONGEST_FRAMES_S:
        view = whole(clip)
    key = (make.__name__, clip.digest, view, params)
    return cached.remember("picture", key, lambda: spectral.of_view(make, clip, *view, params))
