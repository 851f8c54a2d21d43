"""Recordings of 1, 10, 60 and 180 minutes: from the file to the overview, zooming, memory. One table."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import numpy as np

MINUTES = (1, 10, 60, 180)
CODECS = {"mp3": "libmp3lame", "wav": "pcm_s16le"}
LONGEST = {"mp3": 180, "wav": 60}
"""Minutes; a longer wav file is larger than the app opens."""
ROUNDS = 3
ZOOMS = 20
SHORTEST_VIEW_S = 5.0


def views(duration: float) -> Iterator[tuple[float, float]]:
    """The same ZOOMS views at each call, from a few seconds to half of the recording, anywhere in it [s]."""
    rng = np.random.default_rng(0)
    for _ in range(ZOOMS):
        width = math.exp(rng.uniform(math.log(SHORTEST_VIEW_S), math.log(duration / 2)))
        start = rng.uniform(0, duration - width)
        yield start, start + width


def job(path: str, peak_mb: Callable[[], float]) -> dict[str, float]:
    """One recording without a browser: seconds to its overview and for a zoom, and the memory that takes."""
    from components.audio.decode import decode
    from components.features.envelope import envelope
    from components.features.picture import picture
    from components.features.pyramid import WORTHWHILE_S, build, envelope_from_pyramid, picture_from_pyramid
    from components.types import Clip, FrameParams

    params = FrameParams()
    warm = Clip.from_array("warm", np.zeros(44100), 44100)
    picture(warm, 0, warm.duration, params)
    before, begun = peak_mb(), time.perf_counter()
    clip = decode(Path(path), name="recording").clip
    envelope(clip, 0, clip.duration, 1500)
    picture(clip, 0, clip.duration, params)
    opened = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        pyramid = build(clip, params, Path(folder)) if clip.duration > WORTHWHILE_S else None
        built = time.perf_counter()
        times = []
        for view in views(clip.duration):
            at = time.perf_counter()
            if pyramid is None or envelope_from_pyramid(pyramid, *view, 1500) is None:
                envelope(clip, *view, 1500)
            if pyramid is None or picture_from_pyramid(pyramid, *view) is None:
                picture(clip, *view, params)
            times.append(time.perf_counter() - at)
    return {
        "open": opened - begun,
        "pyramid": built - opened,
        "zoom": statistics.median(times),
        "slowest": max(times),
        "more": peak_mb() - before,
    }


def bench(child: Callable[..., dict[str, float]], *, browser: bool = True) -> None:
    """Print the table; columns of what was not measured hold a dash."""
    from tests.bench.browser import chromium, measure_long
    from tests.bench.recordings import make_recording

    print(f"\nLong recordings, 44.1 kHz stereo (medians of {ROUNDS}; a zoom is the median of {ZOOMS} views)\n")
    print(f"{'':<14}{'without a browser':^44}{'in the browser':^44}".rstrip())
    names = ("open s", "zoom s", "slowest", "pyramid s", "MB more")
    columns = "".join(f"{name:>{len(name) + 2}}" for name in names)
    names = ("open s", "zoom s", "slowest", "MB more", "highest MB more")
    print(f"{'recording':<14}{columns}{''.join(f'{name:>{len(name) + 2}}' for name in names)}")
    with tempfile.TemporaryDirectory() as folder, chromium() if browser else nullcontext() as running:
        for minutes, suffix in product(MINUTES, CODECS):
            if minutes > LONGEST[suffix]:
                continue
            path = Path(folder) / f"{minutes}-minutes.{suffix}"
            make_recording(path, minutes, CODECS[suffix])
            alone = _medians([child("long", str(path)) for _ in range(ROUNDS)])
            seen = _medians([measure_long(running, path, minutes * 60) for _ in range(ROUNDS)]) if running else {}
            print(f"{minutes:>4} min {suffix:<5}{_cells(alone, 'pyramid')}{_cells(seen, 'highest')}", flush=True)
            path.unlink()


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _cells(measured: dict[str, float], own: str) -> str:
    """The figures in the order of the head of the table."""
    if not measured:
        return "".join(f"{'-':>{width}}" for width in (8, 8, 9, 9, 17))
    seconds = "".join(f"{measured[key]:{width}.2f}" for key, width in (("open", 8), ("zoom", 8), ("slowest", 9)))
    if own == "pyramid":
        return f"{seconds}{measured[own]:11.2f}{measured['more']:9.0f}"
    return f"{seconds}{measured['more']:9.0f}{measured[own]:17.0f}"
