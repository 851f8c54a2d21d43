"""Pitch, intensity, formants and harmonicity of a voice: Praat's own numbers, through praat-parselmouth.

The samples go to Praat as float64 at the clip's own rate, and Praat's float64 results come back untouched. A clip of
up to `WHOLE_S` is always analysed as a whole, as a Praat script does that makes the Pitch of a Sound and then asks
about a range of it: each view of it shows the same frames. Of a longer clip the part asked for is analysed with
`MARGIN_S` on both sides, placed so that its frames are those of the whole clip (Praat centres the frames in the sound
that it is given) to within a quarter of a sample. Most frames are the same to the last digit then. What can differ:
frames whose pitch path was decided further away than the margin, formants by about 1 Hz (Praat resamples the part
anew) and, beyond `LONGEST_S`, what counts as silence: Praat judges that by the loudest sample that it is given.

Source: Boersma (1993), Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of
a sampled sound; Boersma and Weenink, Praat; Jadoul, Thompson and de Boer (2018), Introducing Parselmouth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, Literal

import numpy as np

from components.errors import ParameterError
from components.types import Clip, Times, Track

PitchMethod = Literal["ac", "cc"]

WHOLE_S = 40.0
"""Clips up to this long are analysed as a whole, whatever part is asked for [s]."""
LONGEST_S = 600.0
"""Most that is analysed in one call [s]: Praat keeps Python's lock all the while, and needs up to 0.9 GB for it."""
MARGIN_S = 2.0
"""Sound analysed before and after the part asked for [s]."""
N_FORMANTS = 4
WIDE_FLOOR, WIDE_CEILING = 60.0, 750.0
"""Range of the first pass of Hirst and De Looze [Hz]: wide enough for most adults and children."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ParameterError(message)


@dataclass(frozen=True)
class PitchSettings:
    """Settings of Praat's "To Pitch (ac)..." and "To Pitch (cc)...", with Praat's standard values.

    The ceiling is the 500 Hz of Praat's sound window (the command itself proposes 600 Hz).

    Attributes
    ----------
    floor, ceiling : lowest and highest pitch looked for [Hz]; the ceiling is at most sr / 2
    method : "ac" autocorrelation (for intonation), "cc" cross-correlation (for voice research)
    time_step : from frame to frame [s]; 0 is Praat's choice, 0.75 / floor ("ac") or 0.25 / floor ("cc")
    silence_threshold : frames below this share of the loudest sample count as silent
    voicing_threshold : strength that a candidate needs to count as voiced
    octave_cost : how much higher candidates are preferred, per octave
    octave_jump_cost, voiced_unvoiced_cost : how much jumps and changes of voicing are avoided
    max_candidates : candidates kept for each frame
    very_accurate : twice the window
    """

    floor: float = 75.0
    ceiling: float = 500.0
    method: PitchMethod = "ac"
    time_step: float = 0.0
    silence_threshold: float = 0.03
    voicing_threshold: float = 0.45
    octave_cost: float = 0.01
    octave_jump_cost: float = 0.35
    voiced_unvoiced_cost: float = 0.14
    max_candidates: int = 15
    very_accurate: bool = False

    def __post_init__(self) -> None:
        _require(
            10 <= self.floor < self.ceiling,
            f"The pitch floor is {self.floor:g} Hz and the ceiling {self.ceiling:g} Hz; "
            "choose a floor of at least 10 Hz that is below the ceiling.",
        )
        _require(self.method in ("ac", "cc"), f"The pitch method is {self.method!r}; choose 'ac' or 'cc'.")
        _require(
            self.time_step == 0 or 0.0005 <= self.time_step <= 1,
            f"The time step is {self.time_step:g} s; choose 0 (automatic) or 0.0005 to 1 s.",
        )
        _require(
            2 <= self.max_candidates <= 100,
            f"The number of pitch candidates is {self.max_candidates}; choose 2 to 100.",
        )

    @property
    def window_s(self) -> float:
        """Sound under one frame [s]: 3 longest periods ("ac") or 2 ("cc"); 6 or 3 where it is to be very accurate."""
        periods = 3 * (1 + self.very_accurate) if self.method == "ac" else 2 + self.very_accurate
        return periods / self.floor

    @property
    def step_s(self) -> float:
        """From frame to frame [s]."""
        return self.time_step or (0.75 if self.method == "ac" else 0.25) / self.floor


@dataclass(frozen=True)
class FormantSettings:
    """Settings of Praat's "To Formant (burg)...", with Praat's standard values.

    Attributes
    ----------
    ceiling : highest formant looked for [Hz]: about 5000 for men, 5500 for women, up to 8000 for young children; at
        most sr / 2, so that a telephone's 8 kHz give five formants below 4000 Hz
    max_formants : number of formants looked for below the ceiling; halves are allowed
    window_length : effective length of the Gaussian window [s]; twice as much sound lies under it
    pre_emphasis : from here on the spectrum is raised by 6 dB per octave [Hz]
    time_step : from frame to frame [s]; 0 is Praat's choice, window_length / 4
    """

    ceiling: float = 5500.0
    max_formants: float = 5.0
    window_length: float = 0.025
    pre_emphasis: float = 50.0
    time_step: float = 0.0

    def __post_init__(self) -> None:
        _require(
            1000 <= self.ceiling <= 20000,
            f"The formant ceiling is {self.ceiling:g} Hz; choose 1000 to 20000 Hz, 5000 for men, 5500 for women.",
        )
        _require(1 <= self.max_formants <= 10, f"The number of formants is {self.max_formants:g}; choose 1 to 10.")
        _require(
            0.005 <= self.window_length <= 0.5,
            f"The window for formants is {self.window_length:g} s; choose 0.005 to 0.5 s.",
        )
        _require(self.pre_emphasis > 0, f"Pre-emphasis starts at {self.pre_emphasis:g} Hz; choose more than 0 Hz.")
        _require(
            self.time_step == 0 or 0.0005 <= self.time_step <= 1,
            f"The time step is {self.time_step:g} s; choose 0 (automatic) or 0.0005 to 1 s.",
        )

    @property
    def window_s(self) -> float:
        """Sound under one frame [s]."""
        return 2 * self.window_length

    @property
    def step_s(self) -> float:
        """From frame to frame [s]."""
        return self.time_step or self.window_length / 4


def _count(n_samples: int, sr: int, window_s: float, step_s: float) -> int:
    """How many frames Praat puts into a sound, by the same floating-point formula."""
    return floor((n_samples * (1 / sr) - window_s) / step_s) + 1


def part_to_analyse(clip: Clip, t0: float | None, t1: float | None, window_s: float, step_s: float) -> tuple[int, int]:
    """First sample, and the one after the last, that Praat is given for the frames from t0 to t1 [s].

    Raises
    ------
    ParameterError : when that is more than `LONGEST_S`, or an empty range
    """
    t0, t1 = max(0.0, t0 or 0.0), clip.duration if t1 is None else min(t1, clip.duration)
    _require(t0 < t1, f"There is no sound from {t0:g} to {t1:g} s; choose a part of the recording.")
    _require(
        t1 - t0 <= LONGEST_S,
        f"A voice is measured over at most {LONGEST_S / 60:g} minutes at a time, and this is {(t1 - t0) / 60:.0f}; "
        "zoom in or select less.",
    )
    n = _count(clip.y.size, clip.sr, window_s, step_s)
    if clip.duration <= WHOLE_S or (t0 <= MARGIN_S and t1 >= clip.duration - MARGIN_S) or n < 3:
        return 0, clip.y.size
    first = (clip.duration - (n - 1) * step_s) / 2  # centre of the first frame
    k0 = min(max(0, floor((t0 - MARGIN_S - first) / step_s)), n - 3)
    k1 = max(k0 + 2, min(n - 1, ceil((t1 + MARGIN_S - first) / step_s)))
    start = stop = 0
    # The first and the last frame may fill the clip's ends so exactly that rounding would push one out and with it
    # the others by half a step: then do without them.
    for a, b in ((k0, k1), (max(k0, 1), min(k1, n - 2))):
        twice_centre = round((2 * first + (a + b) * step_s) * clip.sr)  # start + stop
        # Half a step to spare, so that the number of frames is certain whatever the rounding to samples.
        start = max(
            0, twice_centre - clip.y.size, floor((twice_centre - ((b - a + 0.5) * step_s + window_s) * clip.sr) / 2)
        )
        stop = twice_centre - start
        if _count(stop - start, clip.sr, window_s, step_s) == b - a + 1:
            break
    return start, stop


def praat_sound(clip: Clip, start: int, stop: int) -> Any:
    """parselmouth.Sound of the samples start..stop as float64, on the clip's clock."""
    import parselmouth

    return parselmouth.Sound(clip.read(start, stop).astype(np.float64), float(clip.sr), start / clip.sr)


def _peak(clip: Clip, start: int, stop: int) -> float:
    """Largest distance of a sample from the mean: what Praat measures silence by."""
    y = clip.read(start, stop)
    mean = float(y.mean(dtype=np.float64))
    return max(float(y.max()) - mean, mean - float(y.min()))


def _silence_factor(clip: Clip, start: int, stop: int) -> float:
    """What to multiply a silence threshold by, so that a part is judged by the loudest sample of the whole clip."""
    if (start, stop) == (0, clip.y.size) or clip.duration > LONGEST_S:
        return 1.0
    peak = _peak(clip, start, stop)
    return _peak(clip, 0, clip.y.size) / peak if peak > 0 else 1.0


def _analysed(
    clip: Clip,
    t0: float | None,
    t1: float | None,
    window_s: float,
    step_s: float,
    analyse: Callable[[Any, float], Any],
) -> tuple[Any, Any] | None:
    """Praat's Sound and what `analyse(sound, silence factor)` makes of it; None where the clip is too short."""
    import parselmouth

    start, stop = part_to_analyse(clip, t0, t1, window_s, step_s)
    if (stop - start) / clip.sr < window_s:
        return None
    sound = praat_sound(clip, start, stop)
    try:
        return sound, analyse(sound, _silence_factor(clip, start, stop))
    except parselmouth.PraatError:  # with settings in their range: too few samples under a window
        return None


def praat_pitch(
    clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None
) -> tuple[Any, Any] | None:
    """Praat's Sound and Pitch for t0 to t1 [s]; None where the clip is too short. See `pitch`."""

    def analyse(sound: Any, silence_factor: float) -> Any:
        make = sound.to_pitch_ac if settings.method == "ac" else sound.to_pitch_cc
        return make(
            settings.time_step or None,
            settings.floor,
            settings.max_candidates,
            settings.very_accurate,
            settings.silence_threshold * silence_factor,
            settings.voicing_threshold,
            settings.octave_cost,
            settings.octave_jump_cost,
            settings.voiced_unvoiced_cost,
            settings.ceiling,
        )

    return _analysed(clip, t0, t1, settings.window_s, settings.step_s, analyse)


def praat_intensity(
    clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None
) -> tuple[Any, Any] | None:
    """Praat's Sound and Intensity for t0 to t1 [s]; None where the clip is too short. See `intensity`."""
    window_s, step_s = 6.4 / settings.floor, 0.8 / settings.floor
    return _analysed(clip, t0, t1, window_s, step_s, lambda sound, _: sound.to_intensity(settings.floor))


def praat_formants(
    clip: Clip, settings: FormantSettings, t0: float | None = None, t1: float | None = None
) -> tuple[Any, Any] | None:
    """Praat's Sound and Formant for t0 to t1 [s]; None where the clip is too short. See `formants`."""
    # Praat does analyse sounds of fewer samples than it predicts from, and writes beyond its memory then.
    if settings.window_s * min(clip.sr, 2 * settings.ceiling) < 4 * settings.max_formants:
        return None

    def analyse(sound: Any, _: float) -> Any:
        return sound.to_formant_burg(
            settings.time_step or None,
            settings.max_formants,
            settings.ceiling,
            settings.window_length,
            settings.pre_emphasis,
        )

    return _analysed(clip, t0, t1, settings.window_s, settings.step_s, analyse)


def praat_harmonicity(
    clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None
) -> tuple[Any, Any] | None:
    """Praat's Sound and Harmonicity for t0 to t1 [s]; None where the clip is too short. See `harmonicity`."""

    def analyse(sound: Any, silence_factor: float) -> Any:
        return sound.to_harmonicity_cc(0.01, settings.floor, 0.1 * silence_factor, 1.0)

    return _analysed(clip, t0, t1, 2 / settings.floor, 0.01, analyse)


def _by(command: str, parameters: str) -> str:
    import parselmouth

    return f"Praat {parselmouth.PRAAT_VERSION} (parselmouth {parselmouth.__version__}), {command}: {parameters}."


def _pitch_method(settings: PitchSettings) -> str:
    accurate = ", very accurate" if settings.very_accurate else ""
    return _by(
        f"To Pitch ({settings.method})",
        f"floor {settings.floor:g} Hz, ceiling {settings.ceiling:g} Hz, time step {settings.step_s:.4g} s, "
        f"{settings.max_candidates} candidates{accurate}, silence threshold {settings.silence_threshold:g}, "
        f"voicing threshold {settings.voicing_threshold:g}, octave cost {settings.octave_cost:g}, "
        f"octave-jump cost {settings.octave_jump_cost:g}, voiced/unvoiced cost {settings.voiced_unvoiced_cost:g}",
    )


def cut(track: Track, t0: float | None, t1: float | None) -> Track:
    """The frames of a track from t0 to t1 [s] and one more on both sides, so that lines reach the edges of a view."""
    if t0 is None and t1 is None:
        return track
    slack = 1e-4  # a frame that rounding puts just outside is inside
    low = 0 if t0 is None else max(0, int(np.searchsorted(track.times, t0 - slack)) - 1)
    high = None if t1 is None else int(np.searchsorted(track.times, t1 + slack)) + 1
    return replace(
        track,
        values=track.values[:, low:high],
        times=track.times[low:high],
        strength=None if track.strength is None else track.strength[:, low:high],
    )


def _no_frames(name: str, labels: tuple[str, ...], unit: str, method: str, *, strength: bool = False) -> Track:
    none = np.zeros((len(labels), 0))
    return Track(name, labels, none, np.zeros(0), unit, method, none if strength else None)


def pitch_and_candidates(
    clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None
) -> tuple[Track, Track]:
    """`pitch` and `pitch_candidates` of one analysis."""
    method = _pitch_method(settings)
    made = praat_pitch(clip, settings, t0, t1)
    if made is None:
        chosen = _no_frames("pitch", ("pitch",), "Hz", method, strength=True)
        return chosen, replace(chosen, name="pitch candidates", labels=("candidate 1",))
    candidates = made[1].to_array()
    frequency, strength = candidates["frequency"], candidates["strength"]
    # Praat keeps the candidate "unvoiced" among the others, at 0 Hz, and the chosen one first.
    there = frequency > 0
    voiced = there[:1] & (frequency[:1] < min(settings.ceiling, clip.sr / 2))
    times = made[1].xs()
    labels = tuple(f"candidate {i + 1}" for i in range(len(frequency)))
    frequency, strength = np.where(there, frequency, np.nan), np.where(there, strength, 0.0)
    f0, sure = np.where(voiced, frequency[:1], np.nan), np.where(voiced, strength[:1], 0.0)
    chosen = Track("pitch", ("pitch",), f0, times, "Hz", method, sure)
    others = Track("pitch candidates", labels, frequency, times, "Hz", method, strength)
    return cut(chosen, t0, t1), cut(others, t0, t1)


def pitch(clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None) -> Track:
    """Pitch, shape (1, n_frames) [Hz]; NaN where unvoiced. Praat's "To Pitch (ac)..." or "To Pitch (cc)...".

    Parameters
    ----------
    t0, t1 : the part wanted [s]; None for the start and the end of the clip

    Returns
    -------
    Track whose `strength` is that of the chosen candidate, 0 where unvoiced; without frames where the clip is
    shorter than the window

    Raises
    ------
    ParameterError : when more than `LONGEST_S` is asked for at once
    """
    return pitch_and_candidates(clip, settings, t0, t1)[0]


def pitch_candidates(clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None) -> Track:
    """All pitch candidates that Praat weighed, shape (n_candidates, n_frames) [Hz], and their strengths.

    The first is the chosen one; NaN (strength 0) where there are fewer, and for the candidate "unvoiced". Praat lists
    a few above the ceiling, too, and counts them as unvoiced. Otherwise as `pitch`.
    """
    return pitch_and_candidates(clip, settings, t0, t1)[1]


def intensity(clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None) -> Track:
    """Intensity, shape (1, n_frames) [dB]; NaN in digital silence. Praat's "To Intensity...", mean subtracted.

    The minimum pitch is the floor of the pitch settings, as in Praat's sound window: the window is 6.4 / floor long,
    the step 0.8 / floor. 0 dB is a pressure of 2e-5 where a full-scale sample is 1, so that a full-scale sine has
    91 dB: only a calibrated recording makes that a sound pressure level. Part and errors as in `pitch`.
    """
    method = _by("To Intensity", f"minimum pitch {settings.floor:g} Hz, mean pressure subtracted")
    made = praat_intensity(clip, settings, t0, t1)
    if made is None:
        return _no_frames("intensity", ("intensity",), "dB", method)
    values = made[1].values
    # Praat writes -300 dB where there is no sound at all.
    return cut(
        Track("intensity", ("intensity",), np.where(values > -300, values, np.nan), made[1].xs(), "dB", method), t0, t1
    )


def _formant_labels() -> tuple[str, ...]:
    return tuple(f"F{i + 1}" for i in range(N_FORMANTS))


def _formant_method(settings: FormantSettings) -> str:
    return _by(
        "To Formant (burg)",
        f"ceiling {settings.ceiling:g} Hz, {settings.max_formants:g} formants, window {settings.window_length:g} s, "
        f"pre-emphasis from {settings.pre_emphasis:g} Hz, time step {settings.step_s:.4g} s",
    )


def formants_and_bandwidths(
    clip: Clip, settings: FormantSettings, t0: float | None = None, t1: float | None = None
) -> tuple[Track, Track]:
    """`formants` and `formant_bandwidths` of one analysis."""
    method, labels = _formant_method(settings), _formant_labels()
    made = praat_formants(clip, settings, t0, t1)
    if made is None:
        none = _no_frames("formants", labels, "Hz", method)
        return none, replace(none, name="formant bandwidths")
    formant, times = made[1], made[1].xs()
    numbers = range(1, N_FORMANTS + 1)
    centres = np.array([[formant.get_value_at_time(i, t) for t in times] for i in numbers])
    widths = np.array([[formant.get_bandwidth_at_time(i, t) for t in times] for i in numbers])
    return (
        cut(Track("formants", labels, centres, times, "Hz", method), t0, t1),
        cut(Track("formant bandwidths", labels, widths, times, "Hz", method), t0, t1),
    )


def formants(clip: Clip, settings: FormantSettings, t0: float | None = None, t1: float | None = None) -> Track:
    """Formants F1 to F4, shape (4, n_frames) [Hz]; NaN where there are fewer. Praat's "To Formant (burg)...".

    Linear prediction finds resonances in any sound: only in vowels do they mean something. Part and errors as in
    `pitch`.
    """
    return formants_and_bandwidths(clip, settings, t0, t1)[0]


def formant_bandwidths(
    clip: Clip, settings: FormantSettings, t0: float | None = None, t1: float | None = None
) -> Track:
    """Bandwidths of F1 to F4, shape (4, n_frames) [Hz]; the times are those of `formants`."""
    return formants_and_bandwidths(clip, settings, t0, t1)[1]


def harmonicity(clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None) -> Track:
    """Harmonics-to-noise ratio, shape (1, n_frames) [dB]; NaN where unvoiced. Praat's "To Harmonicity (cc)...".

    Time step 0.01 s, minimum pitch the floor of the pitch settings, silence threshold 0.1, 1 period per window:
    Praat's standard values. 0 dB means as much noise as voice, 20 dB 1 % of noise. Part and errors as in `pitch`.
    """
    method = _by(
        "To Harmonicity (cc)",
        f"time step 0.01 s, minimum pitch {settings.floor:g} Hz, silence threshold 0.1, 1 period per window",
    )
    made = praat_harmonicity(clip, settings, t0, t1)
    if made is None:
        return _no_frames("harmonicity", ("harmonicity",), "dB", method)
    values = made[1].values
    # Praat writes -200 dB where it finds no voice.
    return cut(
        Track("harmonicity", ("harmonicity",), np.where(values > -200, values, np.nan), made[1].xs(), "dB", method),
        t0,
        t1,
    )


FEWEST_FRAMES = 10
"""With fewer voiced frames than this nothing is said about the range."""
SHARE_OUTSIDE = 0.1
"""Share of the voiced frames outside the range, or close to its edges, that calls for a warning."""
CLOSE = 0.03
"""Share of the floor or ceiling that counts as close to it."""
SHARE_JUMPS = 0.02
"""Share of the steps between voiced frames that are jumps of about an octave, from which on a warning is due."""


def wide_pitch(clip: Clip, settings: PitchSettings, t0: float | None = None, t1: float | None = None) -> Track:
    """Pitch looked for from `WIDE_FLOOR` to `WIDE_CEILING`, or further where the settings do: see `pitch_warning`."""
    low, high = min(settings.floor, WIDE_FLOOR), max(settings.ceiling, WIDE_CEILING)
    return pitch(clip, replace(settings, floor=low, ceiling=high), t0, t1)


def _voiced(track: Track) -> Times:
    values: Times = track.values[0][~np.isnan(track.values[0])]
    return values


def _octave_jumps(values: Times) -> tuple[int, int]:
    """How many steps between voiced frames there are, and how many of them are 10 to 14 semitones."""
    steps = np.abs(np.diff(np.log2(values)))
    steps = steps[~np.isnan(steps)]
    return steps.size, int(np.count_nonzero((steps > 10 / 12) & (steps < 14 / 12)))


def _range_problem(
    track: Track, settings: PitchSettings, found: Times, advised_floor: float, advised_ceiling: float
) -> str | None:
    floor_hz, ceiling_hz = f"{settings.floor:g} Hz", f"{settings.ceiling:g} Hz"
    # A wide look also finds single frames of creak and noise: they count only where the bulk of the pitch agrees.
    share = float(np.mean(found < settings.floor))
    if share > SHARE_OUTSIDE and advised_floor < settings.floor:
        return f"The pitch floor of {floor_hz} looks too high for this voice: {share:.0%} of its pitch lies below it"
    share = float(np.mean(found > settings.ceiling))
    if share > SHARE_OUTSIDE and advised_ceiling > settings.ceiling:
        return f"The pitch ceiling of {ceiling_hz} looks too low for this voice: {share:.0%} of its pitch lies above it"
    values = _voiced(track)
    if values.size < FEWEST_FRAMES:
        return None
    if (share := float(np.mean(values < settings.floor * (1 + CLOSE)))) > SHARE_OUTSIDE:
        return f"The pitch floor of {floor_hz} looks too high: {share:.0%} of the pitch lies right at it"
    if (share := float(np.mean(values > settings.ceiling * (1 - CLOSE)))) > SHARE_OUTSIDE:
        return f"The pitch ceiling of {ceiling_hz} looks too low: {share:.0%} of the pitch lies right at it"
    steps, jumps = _octave_jumps(track.values[0])
    if jumps > max(2.0, SHARE_JUMPS * steps):
        return f"The pitch jumps by an octave {jumps} times, so the range of {floor_hz} to {ceiling_hz} may be wrong"
    return None


def pitch_warning(track: Track, settings: PitchSettings, wide: Track | None = None) -> str | None:
    """One sentence where the pitch floor or ceiling look wrong for this voice, with what to try; None where not.

    A floor that is too high or a ceiling that is too low mostly shows in a second look over a wide range (`wide`, of
    `wide_pitch`): a voice of 400 Hz below a ceiling of 300 Hz is taken for a clean 200 Hz. Besides, pitch right at the
    edge of the range and jumps of an octave are looked for. Advised are a floor of 0.75 Q1 and a ceiling of 1.5 Q3, or
    2.5 Q3 for lively speech, where Q1 and Q3 are the quartiles of the pitch found.

    Source: De Looze and Hirst (2008), Detecting changes in key and range for the automatic modelling and coding of
    intonation; Hirst (2011), The analysis by synthesis of speech melody.
    """
    found = _voiced(track if wide is None else wide)
    if found.size < FEWEST_FRAMES:
        return None
    q1, q3 = (float(q) for q in np.quantile(found, [0.25, 0.75]))
    problem = _range_problem(track, settings, found, 0.75 * q1, 1.5 * q3)
    if problem is None:
        return None
    return (
        f"{problem}; try a floor of {5 * round(0.75 * q1 / 5)} Hz and a ceiling of {10 * round(0.15 * q3)} Hz "
        f"(up to {10 * round(0.25 * q3)} Hz for lively speech)."
    )
