"""The main paths through the app as a person takes them, in a real browser with real recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

from components.audio.samples import SAMPLES
from components.models import registry

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SAMPLES_S = sf.info(SAMPLES[0].path).duration

# Every chart on the clock: where its playhead is and where the player's time should be [px], and its range [s].
HEADS = """() => {
  const [t] = window.__otoscope.transports.values();
  return [...t.charts.values()].filter((c) => c.line && c.gd.clientWidth && c.gd.isConnected).map(({gd, line}) => {
    const {_offset, _length, range} = gd._fullLayout.xaxis;
    const box = gd.getBoundingClientRect();
    return {
      name: gd.closest('[class*="st-key-"]:not([class*="_chart"])').className.match(/st-key-(\\w+)/)[1],
      range: range.map(Number), left: box.left + _offset, width: _length,
      top: box.top + gd._fullLayout._size.t, height: gd._fullLayout._size.h, dx: gd._fullData[0].dx ?? null,
      shown: line.style.display !== "none",
      off: line.getBoundingClientRect().left + 1 - box.left
        - (_offset + (t.time - range[0]) / (range[1] - range[0]) * _length),
    };
  });
}"""
TIME = "() => [...window.__otoscope.transports.values()][0].time"
DURATION = "() => [...window.__otoscope.transports.values()][0].audio.duration"
LAST_X = """() => Math.max(...[...document.querySelectorAll('.st-key-waveform .js-plotly-plot')].map(
  (gd) => gd._fullLayout.xaxis.range[1]))"""
CURVES = """() => JSON.stringify(
  document.querySelector('.st-key-predictions .js-plotly-plot')?._fullData?.map(
    (trace) => [trace.name, [...trace.y].slice(0, 60).map((v) => +v)]) ?? null)"""


STEP = """() => {
  const drawn = document.querySelector('.st-key-step .js-plotly-plot')?._fullData;
  if (!drawn) return null;
  const {y, z} = drawn[0];
  return Object.fromEntries([...y].map((name, i) => [name, [...z[i]].map(Number)]));
}"""


class App:
    """The app in one browser window, and what one sees of it."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 1200}, **options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("request", self._note)
        self.page.goto(url)
        self.settle("waveform", "spectrogram", "mfcc")

    def _note(self, request: Any) -> None:
        if not re.match(r"(https?|wss?)://(localhost|127\.0\.0\.1)[:/]|data:|blob:", request.url):
            self.strangers.append(request.url)

    def settle(self, *names: str) -> None:
        """Wait until no run is under way and the named charts are drawn and on the clock."""
        self.page.wait_for_function("() => document.querySelector('[data-testid=stStatusWidget]') === null")
        for name in names:
            self.page.wait_for_function(
                f"() => {{ const gd = document.querySelector('.st-key-{name} .js-plotly-plot');"
                " return gd && gd._fullLayout && gd.querySelector('.main-svg') && gd.clientWidth > 0; }",
                timeout=60_000,
            )
        self.page.wait_for_function("() => document.querySelector('[data-testid=stStatusWidget]') === null")
        self.page.wait_for_function(
            "() => [...window.__otoscope.transports.values()][0]?.audio?.readyState >= 1", timeout=20_000
        )
        for name in names:
            if name != "trajectory":
                self.page.wait_for_function(f"() => ({HEADS})().some((head) => head.name === '{name}')", timeout=20_000)
        self.page.wait_for_timeout(400)

    def heads(self) -> dict[str, dict[str, Any]]:
        return {head["name"]: head for head in self.page.evaluate(HEADS)}

    def head(self, name: str) -> dict[str, Any]:
        """One chart of `heads`, as soon as it is there: a run in between may have taken it away for a moment."""
        found = self.page.wait_for_function(f"() => ({HEADS})().find((head) => head.name === '{name}')", timeout=20_000)
        return found.json_value()

    def upload(self, path: Path, seconds: float) -> None:
        self.page.locator('[data-testid="stFileUploaderDropzoneInput"]').set_input_files(str(path))
        self.page.wait_for_function(f"() => Math.abs(({LAST_X})() - {seconds}) < 0.1", timeout=60_000)
        self.settle("waveform")

    def go(self, page: str, *names: str) -> None:
        self.page.get_by_role("link", name=page, exact=True).click()
        self.page.get_by_role("heading", name=page, exact=True).wait_for()
        self.settle(*names)

    def choose(self, model_id: str, *names: str) -> None:
        card = registry.card(model_id)
        self._pick(self.page.locator(".st-key-task"), card.task[:1].upper() + card.task[1:])
        # Streamlit writes a widget's key into its class, with hyphens for all that is no letter, digit or underscore.
        models = self.page.locator(".st-key-model_" + re.sub(r"[^\w-]", "-", card.task))
        models.wait_for()
        name = card.title.rpartition(", ")[2]
        buttons = models.get_by_role("radio", name=re.compile(f"^({re.escape(name)}|{re.escape(card.title)})$"))
        if buttons.count():
            buttons.click()
        else:
            self._pick(models, card.title)
        self.settle(*names)

    def _pick(self, box: Any, option: str) -> None:
        if option not in box.inner_text():
            box.get_by_role("combobox").click()
            self.page.get_by_role("option", name=option, exact=True).click()

    def space(self) -> None:
        """The space bar, with nothing on the page holding the keyboard."""
        self.page.evaluate("() => document.activeElement?.blur()")
        self.page.keyboard.press("Space")

    def assert_sound(self) -> None:
        """No exception on the page, no error in the console, no request to anywhere else."""
        assert self.page.locator('[data-testid="stException"]').count() == 0
        assert self.faults == []
        assert self.strangers == []


@pytest.fixture
def app(chromium: Any, serve: Callable[[Path], str]) -> Iterator[App]:
    window = App(chromium, serve(ROOT / "app.py"))
    yield window
    window.assert_sound()
    window.context.close()


@pytest.fixture(scope="session")
def speech(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of a LibriSpeech recording as a wav."""
    y, sr = sf.read(data_dir / "librosa" / "198-209-0000.ogg", frames=5 * 22050)
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    sf.write(path, y, sr)
    return path


def encode(path: Path, y: np.ndarray, sr: int, *, video: bool) -> None:
    """AAC in an MPEG-4 file, with a moving picture or without."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=sr, layout="mono")
        if video:
            pictures = container.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
            for i in range(int(10 * y.size / sr)):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 5 * i % 255, np.uint8), format="rgb24")
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(y.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = sr
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def test_a_real_recording_plays_under_one_playhead(app: App, speech: Path) -> None:
    app.upload(speech, 5.0)
    assert app.page.evaluate(DURATION) == pytest.approx(5.0, abs=0.01)
    before = app.page.evaluate(TIME)
    app.space()
    seen = set()
    for _ in range(10):
        app.page.wait_for_timeout(120)
        seen |= {name for name, head in app.heads().items() if head["shown"]}
    app.space()
    app.page.wait_for_timeout(200)
    assert app.page.evaluate(TIME) > before + 0.5
    worst = max(abs(head["off"]) for head in app.heads().values())
    assert {"waveform", "spectrogram", "mfcc", "pitch"} <= seen
    assert worst < 2


def test_a_click_seeks_and_a_drag_zooms_every_picture_and_brings_finer_ones(app: App, speech: Path) -> None:
    app.upload(speech, 5.0)
    picture = app.head("spectrogram")
    y = picture["top"] + 40
    app.page.mouse.click(picture["left"] + 0.4 * picture["width"], y)
    app.page.wait_for_timeout(300)
    assert app.page.evaluate(TIME) == pytest.approx(2.0, abs=0.03)

    coarse = picture["dx"]
    app.page.locator("button[data-mode=zoom]").click()
    app.page.mouse.move(picture["left"] + 0.2 * picture["width"], y)
    app.page.mouse.down()
    app.page.mouse.move(picture["left"] + 0.25 * picture["width"], y, steps=4)
    app.page.mouse.move(picture["left"] + 0.3 * picture["width"], y, steps=4)
    app.page.mouse.up()
    app.page.wait_for_function(
        f"() => ({HEADS})().every((h) => Math.abs(h.range[0] - 1) < 0.03 && Math.abs(h.range[1] - 1.5) < 0.03)"
    )
    app.page.wait_for_function(f"() => ({HEADS})().find((h) => h.name === 'spectrogram')?.dx < {coarse} / 2")
    app.settle("waveform", "spectrogram")
    # The view goes along to the next page.
    app.go("Predict", "predictions")
    assert app.head("predictions")["range"] == pytest.approx([1, 1.5], abs=0.03)


@pytest.mark.parametrize("video", [False, True], ids=["m4a", "mp4"])
def test_m4a_and_mp4_open_and_play(app: App, speech: Path, tmp_path: Path, video: bool) -> None:
    y, sr = sf.read(speech)
    path = tmp_path / ("clip.mp4" if video else "clip.m4a")
    encode(path, y[: 3 * sr], sr, video=video)
    app.upload(path, 3.0)
    assert app.page.evaluate(DURATION) == pytest.approx(3.0, abs=0.1)
    app.space()
    app.page.wait_for_timeout(700)
    assert app.page.evaluate(TIME) > 0.2


def test_another_model_says_something_else_and_an_event_can_be_heard(app: App) -> None:
    app.go("Predict", "predictions")
    said = "null"
    for model_id in ("digits-cnn", "digits-transformer", "silero-vad"):
        app.choose(model_id, "predictions")
        # In time, for the choice of a model is no promise of how fast it listens.
        app.page.wait_for_function(f"(before) => ![before, 'null'].includes(({CURVES})())", arg=said, timeout=30_000)
        app.settle("predictions")
        said = app.page.evaluate(CURVES)
    assert '"speech"' in said
    table = app.page.locator(".st-key-events [data-testid=stDataFrame]")
    box = table.bounding_box()
    app.page.mouse.click(box["x"] + 14, box["y"] + 52)
    app.page.wait_for_function(f"() => ({TIME})() > 0.05")
    app.settle("predictions")


def test_inside_shows_the_states_and_the_path_of_every_kind_of_model(app: App) -> None:
    app.go("Inside", "predictions")
    for card in (card for card in registry.cards() if card.id.startswith(("digits-", "silero"))):
        app.choose(card.id, "hidden_states", "trajectory")
        states = app.head("hidden_states")
        app.page.evaluate("() => [...window.__otoscope.transports.values()][0].seek(1)")
        app.settle("hidden_states", "trajectory")
        assert abs(app.head("hidden_states")["off"]) < 2, card.id
        assert states["range"] == app.head("predictions")["range"], card.id
        if "term" in card.emits:
            # The step is that of the playhead, and its numbers are those of the formula.
            app.page.get_by_text(re.compile(r"Frame \d+ of \d+: (0\.99|1\.00)\d s")).wait_for()
            rows = app.page.wait_for_function(STEP, timeout=20_000).json_value()
            total = [sum(terms) for terms in zip(rows["W_xh x_t"], rows["W_hh h_{t-1}"], rows["b"], strict=True)]
            np.testing.assert_allclose(rows["h_t"], np.tanh(total), atol=1e-5)
        app.page.evaluate("() => [...window.__otoscope.transports.values()][0].seek(0)")


def test_a_bad_file_gets_one_sentence_and_nothing_is_lost(app: App, speech: Path, tmp_path: Path) -> None:
    app.upload(speech, 5.0)
    bad = tmp_path / "notes <b>*x*.wav"
    bad.write_bytes(b"not sound at all, but words")
    app.page.locator('[data-testid="stFileUploaderDropzoneInput"]').set_input_files(str(bad))
    alert = app.page.locator('[data-testid="stAlertContentError"]').first
    alert.wait_for()
    assert "‹b›·x·" in alert.inner_text()
    assert alert.locator("b, em").count() == 0
    app.page.get_by_role("combobox", name=re.compile("Clip in hand")).click()
    app.page.get_by_role("option", name="speech.wav").click()
    app.settle("waveform", "spectrogram")


def test_two_windows_do_not_see_each_others_recordings(
    app: App, chromium: Any, serve: Callable[[Path], str], speech: Path
) -> None:
    app.upload(speech, 5.0)
    other = App(chromium, serve(ROOT / "app.py"))
    other.page.get_by_role("combobox", name=re.compile("Clip in hand")).click()
    assert "speech.wav" not in other.page.get_by_role("listbox").inner_text()
    other.context.close()


def test_a_recording_is_made_and_forgotten(chromium: Any, serve: Callable[[Path], str]) -> None:
    window = App(chromium, serve(ROOT / "app.py"), permissions=["microphone"])
    button = window.page.locator('[data-testid="stAudioInputActionButton"]').first
    button.click()
    window.page.wait_for_timeout(1500)
    button.click()
    window.page.get_by_text("Recording 1").first.wait_for()
    window.settle("waveform", "spectrogram")
    assert window.page.evaluate(DURATION) > 0.5
    window.page.get_by_role("button", name="Forget this clip").click()
    window.page.wait_for_function(f"() => Math.abs(({LAST_X})() - {SAMPLES_S}) < 0.1")
    assert window.page.get_by_text("Recording 1").count() == 0
    window.assert_sound()
    window.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots(chromium: Any, serve: Callable[[Path], str], scheme: str, tmp_path: Path) -> None:
    """Makes the README's picture where OTOSCOPE_SCREENSHOTS names a folder; checks that the theme is obeyed."""
    folder = Path(os.environ.get("OTOSCOPE_SCREENSHOTS", tmp_path))
    window = App(chromium, serve(ROOT / "app.py"), color_scheme=scheme)
    window.go("Inside", "predictions")
    window.choose("digits-elman", "hidden_states", "trajectory")
    window.page.evaluate("() => [...window.__otoscope.transports.values()][0].seek(1.2)")
    window.settle("hidden_states")
    window.page.screenshot(path=str(folder / f"inside-{scheme}.png"))
    background = window.page.evaluate("() => getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    window.assert_sound()
    window.context.close()
