"""python run.py bench [models] [hour] [browser] [yamnet] [pipeline]: time and memory, each job in its own process.

Figures on a shared machine are noisy: read the medians and the ratios. Nothing here is a test.
"""

import argparse
import json
import os
import statistics
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


def busy_sound(minutes: float, sr: int) -> np.ndarray:
    """Vowels, noise, tones and pauses, shape (n_samples,), the same at each call."""
    from components.audio import synth

    rng = np.random.default_rng(0)
    vowels = [synth.vowel(name, 0.3, sr=sr) for name in "aeiou"]
    parts = [part for v in vowels for part in (v, synth.silence(0.2, sr=sr), 0.1 * synth.noise(0.3, sr=sr))]
    period = np.concatenate([*parts, synth.chirp(200, min(3000, sr / 3), 2.0, sr=sr)]).astype(np.float32)
    y = np.tile(period, int(np.ceil(minutes * 60 * sr / period.size)))[: int(minutes * 60 * sr)]
    return y + rng.normal(scale=1e-3, size=y.size).astype(np.float32)


def job_model(model_id: str, minutes: str) -> dict[str, float]:
    """CPU seconds and peak memory of one model on `minutes` of sound that lies on the disk."""
    import torch

    from components.models import registry
    from components.types import Clip, ClipSource

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


def job_hour(path: str) -> dict[str, float]:
    """Seconds from a file to its waveform and spectrogram, and the memory that takes."""
    from components.audio.decode import decode
    from components.features.envelope import envelope
    from components.features.picture import picture
    from components.types import Clip, FrameParams

    warm = Clip.from_array("warm", busy_sound(0.05, 44100), 44100)
    picture(warm, 0, warm.duration, FrameParams())
    before, begun = peak_mb(), time.perf_counter()
    clip = decode(Path(path), name="hour").clip
    decoded = time.perf_counter()
    envelope(clip, 0, clip.duration, 1500)
    picture(clip, 0, clip.duration, FrameParams())
    done = time.perf_counter()
    return {
        "decode": decoded - begun,
        "pictures": done - decoded,
        "total": done - begun,
        "more_mb": peak_mb() - before,
    }


def make_recording(path: Path, minutes: float, codec: str, sr: int = 44100) -> None:
    """Write a stereo file of `minutes` with PyAV, a minute at a time."""
    import av

    minute = busy_sound(min(1, minutes), sr)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sr, layout="stereo")
        for _ in range(max(1, round(minutes))):
            for block in np.array_split(minute, 60):
                stereo = np.clip(np.stack([block, 0.8 * block]), -1, 1).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
                frame.sample_rate = sr
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


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


def bench_hour() -> None:
    """An hour from the file to its overview, without a browser."""
    print("\nOne hour, 44.1 kHz stereo: file to waveform and spectrogram of all of it (median of 3)\n")
    print(f"{'file':<8}{'decode s':>10}{'pictures s':>12}{'total s':>9}{'more MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for suffix, codec in (("mp3", "libmp3lame"), ("wav", "pcm_s16le")):
            path = Path(folder) / f"hour.{suffix}"
            make_recording(path, 60, codec)
            runs = [child("hour", str(path)) for _ in range(3)]
            m = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            print(f"{suffix:<8}{m['decode']:10.2f}{m['pictures']:12.2f}{m['total']:9.2f}{m['more_mb']:9.0f}")


def bench_browser() -> None:
    """The same hour through the app in Chromium."""
    from tests.bench.browser import bench

    bench(make_recording)


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
    "hour": bench_hour,
    "browser": bench_browser,
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
        jobs: dict[str, Callable[..., dict[str, float]]] = {"model": job_model, "hour": job_hour}
        print(json.dumps(jobs[options.job[0]](*options.job[1:])))
        return 0
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    for name in options.names or BENCHES:
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
