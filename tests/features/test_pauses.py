"""Speech, pauses and syllables: made sounds whose syllables are known, Praat itself, and phoneticians' labels."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import parselmouth
import pytest
import soundfile as sf

from components.audio import synth
from components.errors import ParameterError
from components.features import pauses
from components.features.pauses import NucleusSettings, rates, structure, syllable_nuclei
from components.types import Clip, Segment

SR = synth.SR


def clip_of(y, sr: int = SR) -> Clip:
    return Clip.from_array("made", y, sr)


def speech(*stretches: tuple[float, float], score: float = 0.9) -> tuple[Segment, ...]:
    return tuple(Segment(a, b, "speech", score) for a, b in stretches)


def syllables(n: int, *, gap: float = 0.12, lead: float = 0.3) -> tuple[np.ndarray, list[float]]:
    """n vowels of 0.15 s with silence between them, and the middle of each [s]."""
    parts, middles, t = [synth.silence(lead)], [], lead
    for k in range(n):
        parts += [synth.vowel("aeiou"[k % 5], 0.15, f0=100 + 7 * k % 90), synth.silence(gap)]
        middles.append(t + 0.075)
        t += 0.15 + gap
    return np.concatenate([*parts, synth.silence(lead)]), middles


def test_structure_of_known_speech():
    found = structure(speech((1, 2), (2.1, 3), (5, 6)), 10)
    assert [(s.start, s.end) for s in found.speech] == [(1, 3), (5, 6)]
    assert [(p.start, p.end, p.label) for p in found.pauses] == [(3, 5, "pause")]
    assert found.speaking_s == pytest.approx(3)
    assert found.pause_s == pytest.approx(2)
    assert found.speech_share == pytest.approx(0.3)
    assert found.pause_share == pytest.approx(0.4)
    assert found.mean_run_s == pytest.approx(1.5)
    assert found.longest_pause_s == pytest.approx(2)


def test_a_gap_is_a_pause_from_the_shortest_one_on():
    stretches = speech((0, 1), (1.25, 2), (2.5, 3))
    assert structure(stretches, 4, shortest_pause=0.25).n_pauses == 2
    assert structure(stretches, 4, shortest_pause=0.26).n_pauses == 1
    assert structure(stretches, 4, shortest_pause=1).n_pauses == 0
    assert structure(speech((0, 1), (1, 2)), 4, shortest_pause=0).n_pauses == 0


def test_speech_in_any_order_overlapping_or_beyond_the_end():
    found = structure((*speech((8, 12), score=0.5), *speech((1, 4), (2, 3), (3.5, 4.1))), 10)
    assert [(s.start, s.end) for s in found.speech] == [(1, 4.1), (8, 10)]
    assert found.speech[1].score == pytest.approx(0.5)
    assert structure(speech((11, 12)), 10).speech == ()


def test_joined_stretches_weigh_by_their_duration():
    found = structure((Segment(0, 3, "speech", 1.0), Segment(3.1, 4.1, "speech", 0.6)), 5)
    assert found.speech[0].score == pytest.approx(0.9)


def test_pauses_have_a_mean_a_median_and_a_longest():
    found = structure(speech((0, 1), (2, 3), (5, 6), (9, 10)), 10)
    assert (found.mean_pause_s, found.median_pause_s, found.longest_pause_s) == (2, 2, 3)


def test_no_speech_is_no_pause():
    found = structure((), 5)
    assert (found.speaking_s, found.pause_s, found.n_pauses, found.speech_share) == (0, 0, 0, 0)
    assert all(map(math.isnan, (found.mean_pause_s, found.median_pause_s, found.longest_pause_s, found.pause_share)))
    values = {m.name: m.value for m in rates(found, [1.0])}
    assert values["syllables"] == 0
    assert values["speech_rate_per_s"] == 0
    assert math.isnan(values["articulation_rate_per_s"])


@pytest.mark.parametrize(("duration", "shortest"), [(0, 0.25), (math.nan, 0.25), (5, -1), (5, math.nan)])
def test_impossible_settings_are_refused(duration, shortest):
    with pytest.raises(ParameterError):
        structure((), duration, shortest_pause=shortest)
    with pytest.raises(ParameterError):
        NucleusSettings(floor=500, ceiling=100)
    with pytest.raises(ParameterError):
        NucleusSettings(dip_db=0)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_each_vowel_between_silences_is_one_nucleus(n):
    y, middles = syllables(n)
    found = syllable_nuclei(clip_of(y))
    assert len(found) == n
    assert found == pytest.approx(middles, abs=0.06)


@pytest.mark.parametrize("sr", [8000, 22050, 44100])
def test_the_rate_and_the_level_do_not_matter(sr):
    vowels = [np.pad(synth.vowel("a", 0.2, sr=sr), sr // 10) for _ in range(5)]
    assert len(syllable_nuclei(clip_of(np.concatenate(vowels) * 0.01, sr))) == 5


def test_noise_adds_no_syllables():
    y, middles = syllables(6)
    noisy = y + 0.02 * np.random.default_rng(0).standard_normal(y.size)
    assert syllable_nuclei(clip_of(noisy)) == pytest.approx(middles, abs=0.06)


def test_bursts_of_noise_are_not_voiced():
    bursts = [np.pad(synth.noise(0.15, seed=k), SR // 10) for k in range(5)]
    assert syllable_nuclei(clip_of(np.concatenate(bursts))) == ()


def test_a_syllable_needs_a_dip_on_both_sides():
    swell = synth.vowel("a", 1.0) * (1 - 0.15 * np.cos(2 * np.pi * 4 * np.arange(SR) / SR))
    y = np.pad(swell, SR // 4)
    assert len(syllable_nuclei(clip_of(y), NucleusSettings(dip_db=1))) == 4
    assert len(syllable_nuclei(clip_of(y), NucleusSettings(dip_db=6))) == 1


def test_quiet_syllables_count_down_to_the_threshold():
    y, _ = syllables(5)
    late, _ = syllables(1)
    both = clip_of(np.concatenate([y, late * 0.04]))  # 28 dB below
    assert len(syllable_nuclei(both)) == 5
    assert len(syllable_nuclei(both, NucleusSettings(below_peak_db=35))) == 6


@pytest.mark.parametrize("y", [np.zeros(SR), np.zeros(1), np.ones(1), np.ones(SR), np.full(800, 0.1)])
def test_nothing_to_count(y):
    assert syllable_nuclei(clip_of(y)) == ()


def test_only_nuclei_inside_speech_count():
    y, middles = syllables(6)
    found = syllable_nuclei(clip_of(y), speech=speech((middles[1] - 0.1, middles[3] + 0.1)))
    assert found == pytest.approx(middles[1:4], abs=0.06)
    assert syllable_nuclei(clip_of(y), speech=()) == ()


def test_rates_of_a_known_rhythm():
    y, middles = syllables(6)
    clip = clip_of(np.concatenate([y, synth.silence(1), y]))
    end = middles[-1] + 0.1
    shift = y.size / SR + 1
    found = structure(speech((0.2, end), (0.2 + shift, end + shift)), clip.duration)
    values = {m.name: m.value for m in rates(found, [*syllable_nuclei(clip), 0.01])}
    assert values["syllables"] == 12
    assert values["speech_rate_per_s"] == pytest.approx(12 / clip.duration)
    assert values["articulation_rate_per_s"] == pytest.approx(12 / (2 * (end - 0.2)))
    assert values["run_mean_syllables"] == 6
    assert values["run_mean_s"] == pytest.approx(end - 0.2)
    assert values["pauses"] == 1


def test_measures_have_names_of_their_own_and_a_meaning():
    all_measures = rates(structure(speech((0, 1)), 2), [0.5])
    assert len({m.name for m in all_measures}) == len(all_measures)
    assert all(m.meaning.endswith(".") and m.title for m in all_measures)


def speech_like(seconds: float, sr: int) -> Clip:
    """Vowels of random pitch, length and level, some noise between them; the second half quieter."""
    rng = np.random.default_rng(3)
    parts, n = [], 0
    while n < seconds * sr:
        level = 0.3 if n < seconds * sr / 2 else 0.03
        f0 = float(rng.uniform(90, 250))
        vowel = synth.vowel("aeiou"[int(rng.integers(5))], float(rng.uniform(0.1, 0.4)), f0=f0, sr=sr) * level
        parts += [vowel, 1e-3 * rng.standard_normal(int(rng.uniform(0.02, 0.6) * sr))]
        n += parts[-2].size + parts[-1].size
    return clip_of(np.concatenate(parts)[: round(seconds * sr)], sr)


@pytest.mark.parametrize(("sr", "extra", "lost"), [(8000, 0, 1), (8000, 77, 0), (11025, 40, 1)])
def test_blocks_are_praats_numbers_of_the_whole(monkeypatch, sr, extra, lost):
    clip = speech_like(40 + extra / sr, sr)
    settings = NucleusSettings()
    monkeypatch.setattr(pauses, "BLOCK_S", 7.0)
    done = []
    times, decibels, voiced = pauses._contours(clip, settings, done.append)
    assert done == sorted(done)
    assert len(done) > 4
    assert done[-1] == 1
    step = {8000: 128, 11025: 176}[sr]
    # Frames that end exactly with the sound, or lie between two samples, would be left to chance.
    length = clip.y.size - lost
    sound = parselmouth.Sound(clip.y[:length].astype(np.float64), sr)
    intensity = sound.to_intensity(50, step / sr)
    assert times == pytest.approx(intensity.xs(), abs=1e-9)
    assert decibels == pytest.approx(intensity.values[0], abs=1e-6)
    pitch = sound.to_pitch_ac(time_step=step / sr, pitch_ceiling=500)
    nearest = np.ceil((times - pitch.x1) / pitch.dt - 0.501).astype(int)
    # Praat's pitch frames begin at the sample before their time: here rounding may move one by a sample.
    assert np.mean(voiced == (pitch.selected_array["frequency"][nearest] > 0)) > 0.998
    assert 0.2 < voiced.mean() < 0.9
    in_blocks = syllable_nuclei(clip)
    monkeypatch.undo()
    assert in_blocks == pytest.approx(syllable_nuclei(clip_of(clip.y[:length], sr)), abs=1e-9)


def test_a_recording_on_disk_gives_the_same(tmp_path, monkeypatch):
    clip = speech_like(20, 8000)
    monkeypatch.setattr(pauses, "BLOCK_S", 5.0)
    path = tmp_path / "y.f32"
    clip.y.tofile(path)
    mapped = Clip("mapped", np.memmap(path, np.float32, "r"), clip.sr, clip.digest, clip.source)
    found = syllable_nuclei(mapped)
    assert found == syllable_nuclei(clip)
    assert len(found) > 20


def vowels_marked(path: Path, duration: float) -> int:
    """Labels of vowels in a file of xlabel's that end within the clip (+40 ms); each line is end, colour, label."""
    lines = path.read_text(errors="replace").partition("#\n")[2].splitlines()
    cells = [line.split() for line in lines]
    return sum(
        float(cell[0]) < duration + 0.04
        for cell in cells
        if len(cell) >= 3 and re.match(r"[aeiouyEIOUYQ@29&]", cell[2])
    )


@pytest.mark.data
def test_counts_agree_with_the_vowels_that_phoneticians_marked(data_dir):
    marked, counted = [], []
    for path in sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::12]:
        y, sr = sf.read(path, dtype="float32")
        labels = next((data_dir / "emodb" / "lablaut").glob(f"{path.stem}*"), None)
        n = vowels_marked(labels, y.size / sr) if labels else 0
        if n:
            marked.append(n)
            counted.append(len(syllable_nuclei(clip_of(y, sr))))
    assert len(marked) >= 30
    assert np.corrcoef(marked, counted)[0, 1] > 0.6
    assert abs(np.mean(counted) - np.mean(marked)) < 2
