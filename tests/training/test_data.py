from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from components.features.spectral import mel_filters
from components.models import frames
from components.training import data
from components.training.recipes.digits import FRONT, TASK


def tone(digit: int, speaker: str, seconds: float = 0.4) -> data.Example:
    n = int(FRONT.sr * seconds)
    t = np.arange(n) / FRONT.sr
    y = 0.3 * np.sin(2 * np.pi * (300 + 150 * digit) * t) * np.hanning(n)
    return data.Example(y.astype(np.float32), speaker, digit)


@pytest.fixture
def scenes() -> data.Scenes:
    utterances = [tone(k, s) for s in ("anna", "bob") for k in range(10)]
    return data.Scenes(TASK, utterances, [], np.random.default_rng(0))


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(slope: float) -> None:
    y = data.coloured_noise(np.random.default_rng(0), 2**17, slope)
    f, power = welch(y, FRONT.sr, nperseg=1024)
    band = (f > 50) & (f < 3500)
    fitted = np.polyfit(np.log(f[band]), np.log(power[band]), 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.1)
    assert np.sqrt(np.mean(y**2)) == pytest.approx(1, rel=1e-3)


def test_active_frames_are_where_it_sounds() -> None:
    y = np.zeros(8000, np.float32)
    y[3000:5000] = 0.1 * np.random.default_rng(0).standard_normal(2000)
    at = frames.times_of(FRONT, 1 + y.size // 128)[data.active_frames(TASK, y)]
    assert at[0] == pytest.approx(3000 / 8000, abs=0.02)
    assert at[-1] == pytest.approx(5000 / 8000, abs=0.02)


def test_labels_of_a_sequence_are_where_the_digits_are(scenes: data.Scenes) -> None:
    """The strongest frequency of each labelled digit is that digit's tone (within speed and noise)."""
    right = total = 0
    for _ in range(16):
        scene = scenes.sequence()
        assert 18000 < scene.y.size <= 24000
        assert scene.labels.size == 1 + scene.y.size // 128
        for first, stop, digit in scene.events:
            cut = scene.y[first * 128 : stop * 128]
            f, power = welch(cut, FRONT.sr, nperseg=min(1024, cut.size))
            total += 1
            right += abs(f[power.argmax()] / (300 + 150 * digit) - 1) < 0.14
            assert set(scene.labels[first:stop]) == {digit}
    assert total > 20
    assert right / total > 0.9


def test_a_single_digit_is_all_there(scenes: data.Scenes) -> None:
    scene = scenes.single(3)
    ((first, stop, digit),) = scene.events
    assert digit == 3
    assert 0.2 < (stop - first) * FRONT.hop_s < 0.5


def test_nothing_is_none(scenes: data.Scenes) -> None:
    scene = scenes.nothing()
    assert set(scene.labels) == {TASK.none}


def test_unwarped_filters_are_the_models_own() -> None:
    np.testing.assert_allclose(
        data.warped_filters(FRONT.sr, FRONT.params, 0), mel_filters(FRONT.sr, FRONT.params).T, atol=1e-7
    )


def test_warped_filters_look_at_higher_frequencies() -> None:
    """Power of one bin at frequency f appears in the band of f / (1 + step / 50)."""
    power = np.zeros(129, np.float32)
    power[48] = 1.0
    straight = (power @ data.warped_filters(FRONT.sr, FRONT.params, 0)).argmax()
    assert (power @ data.warped_filters(FRONT.sr, FRONT.params, 8)).argmax() < straight
    assert (power @ data.warped_filters(FRONT.sr, FRONT.params, -8)).argmax() > straight


def test_features_without_augmentation_are_what_a_model_hears() -> None:
    from components.types import Clip

    y = tone(4, "anna", 1.0).y
    silence, *blocks = frames.log_mel_blocks(FRONT, Clip.from_array("x", y, FRONT.sr))
    x, beside = data.features(TASK, None, y)
    np.testing.assert_allclose(x, np.concatenate(blocks), atol=1e-4)
    np.testing.assert_allclose(beside, silence[0], atol=1e-4)


def test_augmentation_repeats_with_its_seed() -> None:
    y = tone(4, "anna").y
    a, b, c = (data.features(TASK, np.random.default_rng(seed), y)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1


def test_long_pauses_inside_a_recording_are_none() -> None:
    """Two bursts 1 s apart: with a gap_s of 0.5 the pause between them is none, but for 0.3 s beside each."""
    y = 1e-5 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    for start in (2000, 12000):
        y[start : start + 2000] += 0.1 * np.random.default_rng(1).standard_normal(2000).astype(np.float32)
    labels = data.frame_labels(replace(TASK, gap_s=0.5), y, 4)
    at = frames.times_of(FRONT, labels.size)
    assert set(labels[(at > 0.28) & (at < 0.47)]) == {4}
    assert set(labels[(at > 0.85) & (at < 1.15)]) == {TASK.none}
    assert set(labels[(at > 0.55) & (at < 0.75)]) == {data.IGNORED}
    assert set(data.frame_labels(TASK, y, 4)[(at > 0.28) & (at < 1.72)]) == {4}


def test_digital_silence_is_none() -> None:
    assert set(data.frame_labels(TASK, np.zeros(4000, np.float32), 3)) == {TASK.none}


def test_where_noise_is_a_class_only_hum_and_very_faint_noise_are_none(scenes: data.Scenes) -> None:
    task = replace(TASK, noise_is_none=False)
    quiet = data.Scenes(task, scenes.examples, [], np.random.default_rng(0))
    for _ in range(30):
        y = quiet.nothing().y
        f, power = welch(y, FRONT.sr, nperseg=2048)
        tonal = power[(f > 40) & (f < 400)].max() / (np.median(power) + 1e-30) > 100
        assert tonal or np.sqrt(np.mean(y**2)) < 1e-4


def test_masks_are_no_wider_than_asked() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for _ in range(200):
        x = rng.standard_normal((100, 32)).astype(np.float32)
        before = x.copy()
        data._mask(rng, x, 8, 14)
        bands, stretch = (x != before).all(axis=0).sum(), (x != before).all(axis=1).sum()
        widths.append((bands, stretch))
    bands, stretch = np.max(widths, axis=0)
    assert bands == 8
    assert stretch == 14
