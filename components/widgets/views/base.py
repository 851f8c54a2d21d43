"""What every pane of Explore is made of: where it draws, what it hands back, how its controls are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from components.exports import figures, frames
from components.exports.figures import Paper
from components.features import spectral
from components.features.picture import PRESETS, preset_params
from components.features.pyramid import WORTHWHILE_S, Building, Pyramid, base_params
from components.plots.theme import View
from components.types import Clip, Feature, FrameParams, Track
from components.units import format_hz
from components.widgets import cached

LONGEST_FRAMES_S = 600.0
"""What is drawn from true frames is computed for at most this long a view."""


@dataclass(frozen=True)
class Stage:
    """Where a pane draws.

    Attributes
    ----------
    clip : the sound
    view : visible range on the clip's own time [s]
    clock : the clock that the picture is on
    height : of the picture [px]
    source : the file that the clip was opened from; None for a made sound
    """

    clip: Clip
    view: View
    clock: str
    height: int
    source: Path | None


@dataclass(frozen=True)
class Shown:
    """A pane's picture.

    Attributes
    ----------
    figure : go.Figure on the clock
    caption : how it was made, with all parameters, one or two sentences
    table : gives the numbers under it as a pyarrow.Table
    printed : draws it for print
    """

    figure: Any
    caption: str
    table: Callable[[], Any]
    printed: Callable[[Paper], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of pane.

    Attributes
    ----------
    title, meaning : its name; how to read it, two plain sentences
    height : in pixels, at medium size
    settings : draws the controls of a pane (id, clip) and gives what they say
    draw : makes the picture; None where the view is too long for it (it has said so)
    """

    title: str
    meaning: str
    height: int
    settings: Callable[[str, Clip], Any]
    draw: Callable[[Stage, Any], Shown | None]


def key(pane: str, name: str) -> str:
    """Key of a control of a pane; a session file keeps the values of all of them."""
    return f"{pane}-{name}"


def popover() -> Any:
    """The drawer with a pane's settings."""
    return st.popover("Settings", icon=":material/tune:", type="tertiary", help="How this picture is made.")


def no_settings(pane: str, clip: Clip) -> None:
    """For panes without controls."""


def format_span(seconds: float) -> str:
    """A round span of time in words: 60 seconds, 10 minutes."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def too_long(stage: Stage, longest_s: float = LONGEST_FRAMES_S) -> bool:
    """Whether the view is longer than true frames are computed for; says so."""
    if min(stage.clip.duration, stage.view[1] - stage.view[0]) <= longest_s:
        return False
    st.info(f"This picture shows up to {format_span(longest_s)} at a time: zoom in to see it.")
    return True


def true_frames(stage: Stage, params: FrameParams, make: Callable[[Clip, FrameParams], Feature]) -> Feature:
    """A feature's true frames: of the whole clip, or of the visible part of a long one."""
    clip = stage.clip
    view = (0.0, clip.duration) if clip.duration <= LONGEST_FRAMES_S else stage.view
    kept = (make.__name__, clip.digest, view, params)
    return cached.remember("picture", kept, lambda: spectral.of_view(make, clip, *view, params))


def pyramid(clip: Clip, view: View, params: FrameParams | None = None) -> Pyramid | None:
    """What is computed beforehand of a very long clip; None for shorter ones, and until it is finished.

    The first call begins it, in the background; it is waited for where that is quicker than to do without.
    """
    if clip.duration < WORTHWHILE_S:
        return None
    usual = preset_params(PRESETS["general"], clip.sr)
    return building(clip, params or usual).in_time_for(view[1] - view[0])


def preparing(clip: Clip) -> float | None:
    """How far the pyramids of a clip are, 0 to 1; None where none is in the making."""
    shares = [kept.share for kept in cached.all_of("pyramid", clip.digest) if kept.running]
    return min(shares) if shares else None


def building(clip: Clip, params: FrameParams) -> Building:
    """The pyramid in the making."""
    folder = cached.session_folder()
    wanted = (clip.digest, base_params(params))
    return cached.remember("pyramid", wanted, lambda: Building(clip, params, folder))


def frame_words(params: FrameParams, sr: int) -> str:
    """Frame, window and step with their units, for captions."""
    length = params.win_length or params.n_fft
    return (
        f"{params.window.capitalize()} window of {length} samples ({1000 * length / sr:.1f} ms), "
        f"n_fft {params.n_fft}, step {params.hop_length} ({1000 * params.hop_length / sr:.1f} ms)"
    )


def range_words(low: float, high: float) -> str:
    """A range of frequencies for captions."""
    return f"{format_hz(low)} to {format_hz(high)}"


def track_of(feature: Feature, title: str, method: str) -> Track:
    """A feature with one number a frame as a curve."""
    values = np.asarray(feature.values[:1], np.float64)
    return Track(feature.name, (title,), values, feature.times, feature.value_unit, method)


def shown_track(figure: Any, track: Track) -> Shown:
    """A picture of curves, with their numbers and their print."""
    label = f"{track.name.capitalize()} ({track.unit})" if track.unit else track.name.capitalize()
    return Shown(
        figure,
        track.method,
        lambda: frames.track_table(track),
        lambda paper: figures.curves(track, paper, y_label=label),
    )
