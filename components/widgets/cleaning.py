"""Cleaning up: a new clip made of the one in hand, heard and seen beside it. The recording itself is never changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from components.audio import enhance
from components.audio.decode import Decoded
from components.audio.enhance import NoiseSettings
from components.audio.loudness import integrated_loudness
from components.errors import OtoscopeError
from components.types import Clip
from components.units import format_time
from components.widgets import cached, panes, second, sidebar, sounds, state
from components.widgets.progress import progress
from components.widgets.text import plain
from components.widgets.transport import TransportState

Step = Callable[[Clip, Path, Callable[[float], None]], Clip]

STEPS = {
    "noise": (
        "Reduce noise",
        "Takes away what sounds like the marked noise: hum, hiss, a fan. It also takes a little "
        "of the voice: always listen to what was removed.",
    ),
    "rumble": ("Cut low rumble", "Takes away everything below a frequency (high-pass): steps, wind, traffic."),
    "loudness": (
        "Set the loudness",
        "Makes all of it louder or softer by one factor, to a loudness in LUFS "
        "(ITU-R BS.1770): interviews of different loudness become alike.",
    ),
    "trim": ("Trim", "Keeps only a part: the marked stretch, or everything but the silence at both ends."),
}


def cleaning(decoded: Decoded, now: TransportState) -> None:
    """The controls of all steps, and what the last one did."""
    clip = decoded.clip
    st.caption(
        "Each step makes a new clip, with its history; the recording stays as it is. The new clip appears below each "
        "picture as the second clip. Press A or B while it plays to compare the two."
    )
    step = st.segmented_control(
        "Step",
        list(STEPS),
        format_func=lambda name: STEPS[name][0],
        default="noise",
        required=True,
        key="clean_step",
        persist_state="session",
        help="Steps can follow each other: pick the cleaned clip in the sidebar and clean that.",
    )
    st.caption(STEPS[str(step)][1])
    controls = {"noise": _noise, "rumble": _rumble, "loudness": _loudness, "trim": _trim}
    work = controls[str(step)](clip, now)
    if st.button("Make the cleaned clip", icon=":material/cleaning_services:", type="primary", disabled=work is None):
        assert work is not None
        _make(clip, work)
    _outcome(clip)


def _noise(clip: Clip, now: TransportState) -> Step | None:
    clock = panes.clock_of(clip)
    marked = now.selection
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "The marked stretch is noise",
            on_click=state.set_noise,
            args=(clock, marked.start, marked.end) if marked else (clock, 0.0, 0.0),
            disabled=marked is None,
            help="Mark half a second or more in which nobody speaks, then press this.",
        )
        noise = state.noise_of(clock)
        if noise is None:
            st.caption("No noise is marked yet: what changes slowly counts as noise then, which helps only a little.")
        else:
            st.caption(f"Noise: {format_time(noise[0])} to {format_time(noise[1])}.")
    left, middle, right = st.columns(3)
    strength = left.slider(
        "Strength",
        0.1,
        1.0,
        0.8,
        0.05,
        key="clean_strength",
        persist_state="session",
        help="How much of what counts as noise is taken away (prop_decrease). 1 takes all of it.",
    )
    threshold = middle.slider(
        "Threshold (standard deviations)",
        0.0,
        4.0,
        1.0,
        0.1,
        key="clean_threshold",
        persist_state="session",
        help="How far above the usual noise a sound must be to be kept. Higher takes more away.",
    )
    smooth = right.select_slider(
        "Smoothing over frequency (Hz)",
        (60, 125, 250, 500),
        125,
        key="clean_smooth",
        persist_state="session",
        help="Wider smoothing leaves fewer odd chirps behind, and more of the noise.",
    )
    settings = NoiseSettings(strength=strength, threshold_sd=threshold, freq_smooth_hz=float(smooth))
    return lambda clip, folder, report: enhance.reduce_noise(clip, noise, settings, folder=folder, on_progress=report)


def _rumble(clip: Clip, now: TransportState) -> Step | None:
    cutoff = st.select_slider(
        "Everything below is cut (Hz)",
        (20, 40, 60, 80, 100, 120, 150, 200, 300),
        80,
        key="clean_cutoff",
        persist_state="session",
        help="80 Hz spares all voices; 150 Hz spares most women's and children's voices.",
    )
    return lambda clip, folder, report: enhance.high_pass(clip, float(cutoff), folder=folder, on_progress=report)


def _loudness(clip: Clip, now: TransportState) -> Step | None:
    target = st.slider(
        "Loudness (LUFS)",
        -36.0,
        -12.0,
        -23.0,
        0.5,
        key="clean_lufs",
        persist_state="session",
        help="-23 LUFS is the European broadcasters' rule (EBU R 128), -16 is usual for podcasts. No sample goes "
        "beyond -1 dB of full scale: a clip with high peaks may stay softer, and the history says so.",
    )
    return lambda clip, folder, report: enhance.normalise(clip, target, folder=folder, on_progress=report)


def _trim(clip: Clip, now: TransportState) -> Step | None:
    what = st.radio(
        "Keep",
        ["the marked stretch", "all but the silence at both ends"],
        key="clean_trim",
        horizontal=True,
        persist_state="session",
        help="Mark a stretch by dragging across a picture.",
    )
    marked = now.selection
    if what == "the marked stretch":
        if marked is None:
            st.caption("Mark the stretch to keep first: drag across a picture.")
            return None
        return lambda clip, folder, report: enhance.trim(
            clip, marked.start, marked.end, folder=folder, on_progress=report
        )
    level = st.slider(
        "Silence is below (dB of full scale)",
        -80,
        -20,
        -50,
        5,
        key="clean_silence",
        persist_state="session",
        help="Raise it where the room is noisy.",
    )
    return lambda clip, folder, report: enhance.trim_silence(clip, float(level), folder=folder, on_progress=report)


def _make(clip: Clip, work: Step) -> None:
    """Do the step, keep the new clip, set it beside the old one."""
    try:
        with progress("Cleaning") as report:
            made = work(clip, cached.session_folder(), report)
    except OtoscopeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    path = sounds.store(made)
    state.hold(
        {
            "key": path.name,
            "name": made.name,
            "path": str(path),
            "history": list(made.history),
            "parent": sidebar.key_in_hand(),
            "start": enhance.begins_at(clip, made),
        }
    )
    state.wish_second(path.name)
    st.rerun()


def _outcome(clip: Clip) -> None:
    """What cleaning did to the clip that stands beside this one."""
    key = second.chosen()
    own = sidebar.held(key) if key else None
    if key is None or own is None or own.get("parent") != sidebar.key_in_hand():
        return
    try:
        after = sidebar.opened(key).clip
    except OtoscopeError:
        return  # the panes say why
    st.markdown("**What was done**")
    for sentence in after.history:
        st.markdown(f"- {plain(sentence)}")
    noise = state.noise_of(panes.clock_of(clip))
    levels = _levels(clip, noise), _levels(after, noise)
    columns = st.columns(len(levels[0]))
    for column, (name, before), (_, value), meaning in zip(columns, *levels, MEANINGS, strict=False):
        column.metric(
            name,
            "not defined" if value is None else f"{value:.1f}",
            None if value is None or before is None else f"{value - before:+.1f}",
            delta_color="off",
            help=meaning,
        )
    st.toggle(
        "Also offer what was removed",
        key="hear_removed",
        help="The difference of the two, as a third sound (C) in the player: nothing of the voice should be in it.",
    )
    st.button("Go on with the cleaned clip", on_click=_go_on, args=(key,), icon=":material/arrow_forward:")


MEANINGS = (
    "Integrated loudness after ITU-R BS.1770-4, of the mean of the channels. The small number is the change.",
    "Power outside the marked noise over the power inside it, less the noise itself. An estimate: it holds as far as "
    "the noise is the same throughout.",
)


def _levels(clip: Clip, noise: tuple[float, float] | None) -> list[tuple[str, float | None]]:
    loudness = cached.remember(
        "picture", ("lufs", clip.digest), lambda: integrated_loudness(clip.blocks(1 << 18), clip.sr)
    )
    found: list[tuple[str, float | None]] = [("Loudness (LUFS)", loudness)]
    if noise is not None and noise[1] <= clip.duration:
        ratio = cached.remember("picture", ("snr", clip.digest, noise), lambda: enhance.signal_to_noise(clip, noise))
        found.append(("Signal over noise (dB)", ratio))
    return found


def _go_on(key: str) -> None:
    """Callback: take the cleaned clip in hand."""
    state.set_widget(sidebar.CHOICE, key)
    state.set_widget(second.CHOICE, second.NONE)
