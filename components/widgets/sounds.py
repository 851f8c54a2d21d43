"""What can be heard on the clock of the clip in hand: the recording, and what was made of it."""

from __future__ import annotations

from pathlib import Path

from components.audio.decode import Decoded
from components.audio.enhance import difference
from components.audio.filters import band_limited
from components.errors import OtoscopeError
from components.exports.sound import write_sound
from components.types import Clip, Selection
from components.units import format_hz
from components.widgets import cached, second, sidebar, state
from components.widgets.transport import Sound

ORIGINAL = "Original"
REMOVED = "Removed"
SECOND = "Second clip"
LONGEST_BAND_S = 600.0
FADE_S = 0.005


def url_of(key: str, clip: Clip) -> str:
    """Where the browser finds the sound of a clip."""
    sound = sidebar.playback_of(key, clip)
    return cached.shelf().url(sound.data, sound.mime)


def of(key: str, decoded: Decoded) -> tuple[Sound, ...]:
    """The clip's own sound first, then a second clip that is aligned with it, what was removed, and the band."""
    clip = decoded.clip
    own = sidebar.held(key)
    found = [Sound("Cleaned" if own and "parent" in own else ORIGINAL, url_of(key, clip))]
    beside = second.chosen()
    if beside is not None and not second.on_own_clock():
        found += _beside(clip, beside)
    band = state.band_of(clip.digest)
    if band is not None:
        path, name, start = band
        found.append(Sound(name, cached.shelf().url(Path(path), "audio/wav"), start))
    return tuple(found)


def _beside(clip: Clip, key: str) -> list[Sound]:
    """The aligned second clip, and what cleaning has taken away where it is the clip's cleaned self."""
    try:
        other = sidebar.opened(key).clip
    except OtoscopeError:
        return []  # the panes say why
    start = second.begin(clip, other, key)
    made = sidebar.held(key)
    cleaned = made is not None and made.get("parent") == sidebar.key_in_hand()
    found = [Sound("Cleaned" if cleaned else SECOND, url_of(key, other), start)]
    if cleaned and state.removed_wanted():
        found += _removed(clip, other)
    return found


def _removed(before: Clip, after: Clip) -> list[Sound]:
    """Before minus after, where the two can be subtracted."""
    kept = ("removed", before.digest, after.digest)

    def make() -> Path:
        gone = difference(before, after, folder=cached.session_folder())
        return store(gone)

    try:
        path = cached.remember("sound", kept, make)
    except OtoscopeError:
        return []  # a cleaned clip of another length or level: the page says that nothing can be subtracted
    return [Sound(REMOVED, cached.shelf().url(path, "audio/wav"))]


def store(clip: Clip) -> Path:
    """Write a clip as float WAV into the session's folder: exactly its samples."""
    path = cached.fresh_file(".wav")
    write_sound(clip.blocks(1 << 18), clip.sr, 1, path, "WAV", "FLOAT")
    return path


def make_band(clip: Clip, marked: Selection) -> tuple[str, str, float]:
    """The marked band of the marked stretch alone, as a sound: path, name, where it begins [s].

    Filtered with the sound around it, then cut, so that the filter does not ring in at the edges.
    """
    around = Selection(max(0.0, marked.start - 0.5), min(clip.duration, marked.end + 0.5))
    part = clip.section(around.start, around.end)
    import numpy as np

    y = np.concatenate(list(band_limited(part.blocks(1 << 18), clip.sr, marked.low, marked.high)))
    first = round((marked.start - around.start) * clip.sr)
    y = y[first : first + max(1, round(marked.duration * clip.sr))]
    band = Clip.from_array(clip.name, y, clip.sr, clip.source)
    low, high = marked.low or 0.0, marked.high or clip.sr / 2
    return str(store(band)), f"{format_hz(low)} to {format_hz(high)}", marked.start
