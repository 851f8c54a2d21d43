"""The app in Chromium: how long until a person sees something, and what that costs the server."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.long import views
from tests.bench.recordings import make_recording

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
CLIPS = 10
LIMIT_S = 180
QUIET_MS = 4000

# What the page is made of: change it here when the page changes.
LONG_PANES = ["waveform", "spectrogram"]
"""Panes of Explore as it opens that show all of a recording of any length."""
ADD_PANE = ".st-key-add_pane button"
SIX_PANES_ENTRY = "Show panes for voices"
SIX_PANES = ["waveform", "spectrogram", "pitch", "intensity", "formants", "harmonicity"]
SETTING = ".st-key-spectrogram-preset input"
"""A list of at least two entries whose change draws SETTING_PANE anew."""
SETTING_PANE = "spectrogram"
UPLOAD = '[data-testid="stFileUploaderDropzoneInput"]'
SET_VIEW = "view => window.__otoscope.newest().setRange(view)"

MARK = """() => {
  window.__seen = new Set([...document.querySelectorAll(".js-plotly-plot")].map((gd) => gd.data?.[0]));
}"""
"""Remember what is drawn now, to tell it from what comes."""
DRAWN_ANEW = """([panes, from, to]) => panes.every((pane) => {
  const gd = document.querySelector(`.st-key-${pane} .js-plotly-plot`);
  if (!gd?._fullLayout?._size || !gd.querySelector(".main-svg") || !gd.data?.[0]) return false;
  if (window.__seen?.has(gd.data[0])) return false;
  if (to === null) return true;
  const [left, right] = gd._fullLayout.xaxis.range;
  return Math.abs(left - from) < 0.02 * (to - from) && Math.abs(right - to) < 0.02 * (to - from);
})"""
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """The app on a free port; its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield f"http://localhost:{port}", process.pid
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser, or None where there is none."""
    path = next((p for n in ("chromium", "google-chrome", "chrome") if (p := shutil.which(n))), None)
    if path is None:
        print("\nNo Chromium or Chrome here: the browser is not measured.")
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def explore(browser: Any) -> Iterator[tuple[Any, int]]:
    """Explore in a fresh server, drawn and quiet; the page and the server's process id."""
    with server() as (address, pid):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_function(DRAWN_ANEW, arg=[LONG_PANES, 0, None], timeout=60_000)
        page.wait_for_timeout(QUIET_MS)  # what is loaded beforehand is loaded
        yield page, pid
        page.close()


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process [MB] (VmHWM: its highest so far); 0 where /proc does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1000


def until_drawn(page: Any, do: Callable[[], None], panes: list[str], view: tuple[float, float | None]) -> float:
    """Seconds from `do` until all these panes are painted anew and show the view [s]."""
    page.evaluate(MARK)
    begun = time.perf_counter()
    do()
    page.wait_for_function(DRAWN_ANEW, arg=[panes, *view], timeout=1000 * LIMIT_S, polling=20)
    page.evaluate(PAINTED)
    return time.perf_counter() - begun


def upload(page: Any, path: Path, panes: list[str], duration: float) -> float:
    """Seconds from the choice of a file to all these panes on the screen."""
    return until_drawn(page, lambda: page.locator(UPLOAD).set_input_files(str(path)), panes, (0.0, duration))


def measure_long(browser: Any, path: Path, duration: float) -> dict[str, float]:
    """One recording in a fresh server: seconds to its overview, for the median and the slowest zoom; server's MB."""
    with explore(browser) as (page, pid):
        before = memory_mb(pid)
        opened = upload(page, path, LONG_PANES, duration)
        page.wait_for_timeout(QUIET_MS)
        zooms = [
            until_drawn(page, lambda view=view: page.evaluate(SET_VIEW, list(view)), LONG_PANES, view)
            for view in views(duration)
        ]
        return {
            "open": opened,
            "zoom": statistics.median(zooms),
            "slowest": max(zooms),
            "more": memory_mb(pid) - before,
            "highest": memory_mb(pid, "VmHWM") - before,
        }


def measure_clips(browser: Any, folder: Path) -> tuple[list[float], list[float]]:
    """CLIPS times a new 10 s clip: seconds from its choice to six panes, and from a changed setting to its picture."""
    opened, changed = [], []
    with explore(browser) as (page, _):
        page.locator(ADD_PANE).first.click()
        page.get_by_text(SIX_PANES_ENTRY, exact=True).click()
        page.wait_for_function(DRAWN_ANEW, arg=[SIX_PANES, 0, None], timeout=60_000)
        for number in range(CLIPS):
            path = folder / f"clip-{number}.wav"
            make_recording(path, 1 / 6, "pcm_s16le", seed=number)
            opened.append(upload(page, path, SIX_PANES, 10.0))
            page.locator(SETTING).click()
            option = page.get_by_role("option").nth((number + 1) % 2)
            option.wait_for()
            changed.append(until_drawn(page, option.click, [SETTING_PANE], (0.0, None)))
            page.wait_for_timeout(500)
    return opened, changed


def bench() -> None:
    """Print what a 10 s clip takes."""
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        if browser is None:
            return
        opened, changed = measure_clips(browser, Path(folder))
    print(f"\nA 10 s clip in the browser, 44.1 kHz stereo wav (median and slowest of {CLIPS})\n")
    for name, times in (("from the choice of the file to six panes", opened), ("a changed setting", changed)):
        print(f"{name:<44}{statistics.median(times):8.2f} s{max(times):8.2f} s")
