"""All kinds of panes, in the order in which the menu lists them."""

from components.widgets.views import frequency, rhythm, voice, wave
from components.widgets.views.base import Kind

KINDS: dict[str, Kind] = {
    "waveform": wave.WAVEFORM,
    "spectrogram": frequency.SPECTROGRAM,
    "mfcc": frequency.MFCC,
    "chroma": frequency.CHROMA,
    "pitch": voice.PITCH,
    "intensity": voice.INTENSITY,
    "formants": voice.FORMANTS,
    "harmonicity": voice.HARMONICITY,
    "structure": rhythm.STRUCTURE,
    "loudness": wave.LOUDNESS,
    "onsets": rhythm.ONSETS,
    "curve": wave.CURVE,
}
