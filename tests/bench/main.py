"""python run.py bench [models] [long] [alone] [clip] [yamnet] [pipeline]: time and memory, each job in its own process.

Figures on a shared machine are noisy: read the medians and the ratios. Nothing here is a test.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def peak_mb() -> float:
    """Largest resident memory of this process so far [MB].

    On Linux from /proc: what getrusage tells there begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def child(job: str, *arguments: str, env: dict[str, str] | None = None) -> dict[str, float]:
    """Run one job of this file in a fresh process; what it measured."""
    done = subprocess.run(
        [sys.executable, __file__, "--job", job, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def job_model(model_id: str, minutes: str) -> dict[str, float]:
    """CPU seconds and peak memory of one model on `minutes` of sound that lies on the disk."""
    import torch

    from components.models import registry
    from components.types import Clip, ClipSource
    from tests.bench.recordings import busy_sound

    torch.set_num_threads(1)
    model = registry.load(model_id)
    sr = model.card.sr
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples"
        chunk = busy_sound(1, sr)
        with path.open("wb") as file:
            for _ in range(round(float(minutes))):
                file.write(chunk.tobytes())
        y = np.memmap(path, np.float32, "r")
        clip = Clip("bench", y, sr, f"{model_id} {minutes}", ClipSource("generated", 1, sr, y.size / sr))
        model.predict(Clip.from_array("warm", chunk[: sr * 2], sr))
        begun, cpu = time.perf_counter(), time.process_time()
        model.predict(clip)
        return {"wall": time.perf_counter() - begun, "cpu": time.process_time() - cpu, "peak": peak_mb()}


def job_long(path: str) -> dict[str, float]:
    """One long recording without a browser."""
    from tests.bench.long import job

    return job(path, peak_mb)


def bench_models() -> None:
    """Speed and memory of every shipped model on one core."""
    from components.models import registry

    print("\nModels, one core: 60 minutes of sound\n")
    print(f"{'model':<22}{'CPU s':>8}{'x real time':>13}{'peak MB 1 min':>15}{'60 min':>8}{'more MB':>9}")
    for card in registry.cards():
        if card.source == "download":
            continue
        short, long = (child("model", card.id, minutes, env=ONE_CORE) for minutes in ("1", "60"))
        more = long["peak"] - short["peak"]
        speed = 3600 / long["cpu"]
        print(f"{card.id:<22}{long['cpu']:8.1f}{speed:13.0f}{short['peak']:15.0f}{long['peak']:8.0f}{more:9.0f}")


def bench_long() -> None:
    """Recordings of a minute to three hours, without and with a browser."""
    from tests.bench.long import bench

    bench(child)


def bench_alone() -> None:
    """The same without the browser's part, which takes most of the time."""
    from tests.bench.long import bench

    bench(child, browser=False)


def bench_clip() -> None:
    """A 10 s clip in the browser: until six panes are drawn, and until a changed setting is."""
    from tests.bench.browser import bench

    bench()


def bench_yamnet() -> None:
    """YAMNet beside the TensorFlow Lite interpreter."""
    from tests.bench.yamnet import bench

    bench()


def bench_pipeline() -> None:
    """Hugging Face models beside transformers.pipeline."""
    from tests.bench.hf import bench

    bench()


BENCHES: dict[str, Callable[[], None]] = {
    "models": bench_models,
    "long": bench_long,
    "alone": bench_alone,
    "clip": bench_clip,
    "yamnet": bench_yamnet,
    "pipeline": bench_pipeline,
}


def main() -> int:
    """Run the benches named, or all."""
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        jobs: dict[str, Callable[..., dict[str, float]]] = {"model": job_model, "long": job_long}
        print(json.dumps(jobs[options.job[0]](*options.job[1:])))
        return 0
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    for name in options.names or [name for name in BENCHES if name != "alone"]:
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
