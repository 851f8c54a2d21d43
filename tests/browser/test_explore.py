"""Explore's desk as a person uses it: mark, measure, hear a band, clean, keep, save and open again."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import parselmouth
import pytest
import soundfile as sf
from parselmouth.praat import call
from praatio import textgrid
from pympi.Elan import Eaf

from components.audio.decode import decode
from components.features.measures import measures
from components.features.voice import FormantSettings, PitchSettings
from components.types import Selection
from components.widgets.selecting import value_words
from tests.browser.test_app import App

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
TRANSPORT = "[...window.__otoscope.transports.values()][0]"
SELECTION = f"""() => {{
  const {{ start, end, low, high }} = {TRANSPORT}.selection;
  return [start, end, low, high];
}}"""
AUDIBLE = f"() => {TRANSPORT}.voices.filter((v) => v.audible).map((v) => v.name).join()"
TIME = f"() => {TRANSPORT}.time"


@pytest.fixture(scope="module")
def speech(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of a LibriSpeech recording as a wav."""
    y, sr = sf.read(data_dir / "librosa" / "198-209-0000.ogg", frames=5 * 22050)
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    sf.write(path, y, sr)
    return path


@pytest.fixture
def app(chromium: Any, serve: Callable[[Path], str], speech: Path) -> Iterator[App]:
    window = App(chromium, serve(ROOT / "app.py"))
    window.upload(speech, 5.0)
    yield window
    window.assert_sound()
    window.context.close()


def drag(app: App, chart: str, t0: float, t1: float, low: float = 0.4, high: float = 0.6, mode: str = "select") -> None:
    """Mark from t0 to t1 [s] on a chart; low and high are shares of its height, from its lower edge."""
    app.page.locator(f"button[data-mode={mode}]").click()
    app.page.locator('[data-testid="stMain"]').evaluate("(main) => main.scrollTo(0, 0)")
    head = app.head(chart)
    begin, end = head["range"]

    def x(t: float) -> float:
        return head["left"] + (t - begin) / (end - begin) * head["width"]

    app.page.mouse.move(x(t0), head["top"] + (1 - low) * head["height"])
    app.page.mouse.down()
    app.page.mouse.move(x((t0 + t1) / 2), head["top"] + (1 - (low + high) / 2) * head["height"], steps=3)
    app.page.mouse.move(x(t1), head["top"] + (1 - high) * head["height"], steps=3)
    app.page.mouse.up()
    app.page.get_by_text(re.compile("^Marked")).first.wait_for()
    app.settle("waveform", "spectrogram")


def marked(app: App) -> Selection:
    """What the browser says is marked."""
    return Selection(*app.page.evaluate(SELECTION))


def read_table(app: App, name: str) -> dict[str, str]:
    """The first two columns of a table, as a screen reader finds them."""
    rows = app.page.wait_for_function(
        f"""() => {{
          const rows = [...document.querySelectorAll('.st-key-{name} canvas table tbody tr')]
            .map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent.trim()));
          return rows.length > 3 ? rows : null;
        }}""",
        timeout=20_000,
    ).json_value()
    return {row[0]: row[1] for row in rows}


def open_drawer(app: App, name: str) -> None:
    app.page.get_by_role("tab", name=name).click()
    app.settle()


def test_a_stretch_is_marked_and_measured_as_the_library_measures_it(app: App, speech: Path) -> None:
    drag(app, "waveform", 1.0, 2.2)
    where = marked(app)
    assert (where.start, where.end) == pytest.approx((1.0, 2.2), abs=0.02)
    shown = read_table(app, "measures")
    clip = decode(speech, name="speech.wav").clip
    expected = measures(clip, where, pitch_settings=PitchSettings(), formant_settings=FormantSettings())
    assert len(shown) >= 8
    by_title = {m.title: value_words(m) for m in expected}
    same = [title for title in shown if title in by_title]
    assert len(same) >= 8
    assert {title: shown[title] for title in same} == {title: by_title[title] for title in same}


def samples(app: App, name: str) -> tuple[np.ndarray, int]:
    """The samples that the browser is sent for the sound of that name."""
    url = app.page.evaluate(f"(name) => {TRANSPORT}.data.sounds.find((s) => s.name === name)?.url", name)
    assert url, name
    got = app.page.request.get(app.page.url.split("?")[0].rstrip("/") + "/" + url)
    assert got.status == 200
    y, sr = sf.read(io.BytesIO(got.body()))
    return y, sr


def test_a_band_is_heard_alone(app: App, speech: Path) -> None:
    drag(app, "spectrogram", 1.0, 3.0, 0.3, 0.6, mode="band")
    where = marked(app)
    assert where.low is not None
    assert where.high is not None
    app.page.get_by_role("button", name="Hear this band alone").click()
    name = app.page.wait_for_function(
        f"() => {TRANSPORT}.data.sounds.map((s) => s.name).find((name) => name.includes('Hz'))"
    ).json_value()
    y, sr = samples(app, name)
    assert y.size == pytest.approx(where.duration * sr, abs=2)
    power = np.abs(np.fft.rfft(y * np.hanning(y.size))) ** 2
    f = np.fft.rfftfreq(y.size, 1 / sr)
    inside = (f >= where.low) & (f <= where.high)
    # Beyond the slopes of the filter nothing is left.
    far = (f < where.low * 0.7 - 50) | (f > where.high * 1.3 + 50)
    assert power[far].max() < 1e-5 * power[inside].max()
    clip = decode(speech, name="speech.wav").clip
    part = clip.section(where.start, where.end).y
    original = np.abs(np.fft.rfft(part[: y.size] * np.hanning(min(part.size, y.size)))) ** 2
    assert power[inside].sum() == pytest.approx(original[inside[: original.size]].sum(), rel=0.05)


def test_cleaning_makes_a_second_clip_and_a_key_switches_between_the_two(app: App) -> None:
    open_drawer(app, "Clean up")
    app.page.get_by_role("radio", name="Cut low rumble").click()
    app.settle()
    app.page.get_by_role("button", name="Make the cleaned clip").click()
    app.page.locator(".st-key-spectrogram_second .js-plotly-plot").wait_for(timeout=30_000)
    app.settle("waveform", "spectrogram", "spectrogram_second")
    assert app.page.get_by_text("What was done").is_visible()
    before, sr = samples(app, "Original")
    after, _ = samples(app, "Cleaned")
    assert before.size == after.size
    low = np.fft.rfftfreq(before.size, 1 / sr) < 40
    rumble = [float((np.abs(np.fft.rfft(y))[low] ** 2).sum()) for y in (before, after)]
    assert rumble[1] < 0.01 * rumble[0]
    # Axes line up to the pixel.
    heads = app.heads()
    assert len({round(h["left"]) for h in heads.values()}) == 1
    assert len({round(h["width"]) for h in heads.values()}) == 1
    app.space()
    app.page.wait_for_timeout(500)
    assert app.page.evaluate(AUDIBLE) == "Original"
    at = app.page.evaluate(TIME)
    app.page.keyboard.press("b")
    assert app.page.evaluate(AUDIBLE) == "Cleaned"
    assert at <= app.page.evaluate(TIME) < at + 1
    app.page.keyboard.press("a")
    assert app.page.evaluate(AUDIBLE) == "Original"
    app.space()


def keep(app: App, label: str) -> None:
    box = app.page.get_by_role("textbox", name="Label")
    box.fill(label)
    box.press("Tab")
    app.settle()
    app.page.get_by_role("button", name="Keep in the table").click()
    app.page.get_by_text(re.compile(f"Kept “{re.escape(label)}”")).wait_for()
    app.settle()


def download(app: App, button: str) -> bytes:
    with app.page.expect_download(timeout=30_000) as got:
        app.page.get_by_role("button", name=button, exact=True).click()
    return Path(got.value.path()).read_bytes()


def test_kept_stretches_go_to_praat_and_elan_and_the_screen_comes_back(
    app: App, chromium: Any, serve: Callable[[Path], str], speech: Path, tmp_path: Path
) -> None:
    wheres = []
    for t0, t1, label in ((0.5, 1.0, "first"), (2.0, 2.75, 'second "quoted" – ü')):
        drag(app, "waveform", t0, t1)
        wheres.append(marked(app))
        keep(app, label)
    labels = ["first", 'second "quoted" – ü']
    open_drawer(app, "Kept stretches")

    (tmp_path / "k.TextGrid").write_bytes(download(app, "Praat (TextGrid)"))
    grid = textgrid.openTextgrid(str(tmp_path / "k.TextGrid"), includeEmptyIntervals=False)
    entries = grid.getTier("stretches").entries
    assert [e.label for e in entries] == labels
    assert [(e.start, e.end) for e in entries] == [pytest.approx((w.start, w.end), abs=1e-5) for w in wheres]
    praat = parselmouth.read(str(tmp_path / "k.TextGrid"))
    assert call(praat, "Get total duration") == pytest.approx(5.0, abs=1e-3)
    (tmp_path / "k.eaf").write_bytes(download(app, "ELAN (eaf)"))
    found = sorted(Eaf(str(tmp_path / "k.eaf")).get_annotation_data_for_tier("stretches"))
    assert [row[2] for row in found] == labels
    assert [row[:2] for row in found] == [pytest.approx((1000 * w.start, 1000 * w.end), abs=1) for w in wheres]
    header, *rows = download(app, "CSV").decode().splitlines()
    assert header.startswith("label,start_s,end_s")
    assert len(rows) == 2

    # Another screen: a pane less, another preset, a zoom.
    app.page.locator(".st-key-head_mfcc").get_by_role("button").last.click()
    app.page.get_by_role("menuitem", name="Remove").click()
    app.page.locator(".st-key-mfcc .js-plotly-plot").wait_for(state="detached")
    app.page.get_by_role("button", name="Zoom to selection").click()
    app.settle("waveform", "spectrogram")
    view = app.head("spectrogram")["range"]
    open_drawer(app, "Save and reopen")
    path = tmp_path / "screen.otoscope.zip"
    path.write_bytes(download(app, "Session file"))

    other = App(chromium, serve(ROOT / "app.py"))
    other.upload(speech, 5.0)
    open_drawer(other, "Save and reopen")
    other.page.locator('[data-testid="stFileUploaderDropzoneInput"]').last.set_input_files(str(path))
    other.page.locator(".st-key-mfcc .js-plotly-plot").wait_for(state="detached", timeout=30_000)
    other.settle("waveform", "spectrogram", "pitch")
    assert other.head("spectrogram")["range"] == pytest.approx(view, abs=1e-3)
    assert marked(other) == wheres[-1]
    open_drawer(other, "Kept stretches")
    assert download(other, "Praat (TextGrid)") == (tmp_path / "k.TextGrid").read_bytes()
    other.assert_sound()
    other.context.close()
