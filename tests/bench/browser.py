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

ROOT = Path(__file__).resolve().parents[2]
DRAWN = """([name, end]) => {
  const gd = document.querySelector(`.st-key-${name} .js-plotly-plot`);
  return gd && gd._fullLayout && gd._fullLayout._size && Math.abs(gd._fullLayout.xaxis.range[1] - end) < 0.6
    && gd.querySelector('.main-svg') !== null;
}"""
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


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


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process [MB] (VmHWM: its highest so far); 0 where /proc does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1000


def wait_drawn(page, name: str, end: float, limit_s: float = 120) -> float:
    """Seconds until the chart `name` is drawn up to `end` [s]."""
    begun = time.perf_counter()
    page.wait_for_function(DRAWN, arg=[name, end], timeout=1000 * limit_s, polling=20)
    return time.perf_counter() - begun


def upload(page, path: Path, end: float) -> float:
    """Seconds from the choice of a file to its waveform and spectrogram on the screen."""
    begun = time.perf_counter()
    page.locator('[data-testid="stFileUploaderDropzoneInput"]').set_input_files(str(path))
    wait_drawn(page, "waveform", end)
    wait_drawn(page, "spectrogram", end)
    return time.perf_counter() - begun


def bench(make_recording: Callable[..., None]) -> None:
    """Print the times and memory of a 10 s clip and of an hour."""
    browser_path = next((p for n in ("chromium", "google-chrome", "chrome") if (p := shutil.which(n))), None)
    if browser_path is None:
        print("\nNo Chromium or Chrome here: the browser is not measured.")
        return
    from playwright.sync_api import sync_playwright

    print("\nIn the browser: from the choice of a file to its waveform and spectrogram\n")
    print(f"{'file':<12}{'seconds (median of 3)':>24}{'server MB more':>16}{'highest MB more':>17}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        for name, minutes, codec in (("10 s wav", 1 / 6, "pcm_s16le"), ("hour mp3", 60, "libmp3lame")):
            path = Path(folder) / f"{name.replace(' ', '-')}.{name[-3:]}"
            make_recording(path, minutes, codec)
            times, grown, highest = [], [], []
            for _ in range(3):
                with server() as (address, pid):
                    page = browser.new_page(viewport={"width": 1280, "height": 900})
                    page.goto(address)
                    page.wait_for_selector(".st-key-spectrogram .js-plotly-plot", timeout=60000)
                    page.wait_for_timeout(4000)  # what is loaded beforehand is loaded
                    before = memory_mb(pid)
                    times.append(upload(page, path, minutes * 60))
                    page.wait_for_timeout(2000)
                    grown.append(memory_mb(pid) - before)
                    highest.append(memory_mb(pid, "VmHWM") - before)
                    page.close()
            print(
                f"{name:<12}{statistics.median(times):24.2f}{statistics.median(grown):16.0f}"
                f"{statistics.median(highest):17.0f}"
            )
        browser.close()
