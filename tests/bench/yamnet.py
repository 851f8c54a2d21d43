"""YAMNet beside the TensorFlow Lite interpreter: CPU time for the same minute, and ESC-10 with both.

`python tests/bench/yamnet.py [--accuracy]`. The recordings and weights are those of OTOSCOPE_DATA.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("OTOSCOPE_DATA", ROOT.parent / "shared"))
WEIGHTS = SHARED / "models" / "yamnet" / "lite-model_yamnet_classification_tflite_1.tflite"
ROUNDS = 9
PATCH, HOP, SR = 15600, 7680, 16000
MATCHES = {
    "baby_cry": {"Baby cry, infant cry", "Crying, sobbing"},
    "chainsaw": {"Chainsaw"},
    "clock_tick": {"Clock", "Tick", "Tick-tock"},
    "dog_bark": {"Dog", "Bark", "Bow-wow"},
    "fire_crackling": {"Fire", "Crackle"},
    "helicopter": {"Helicopter"},
    "person_sneeze": {"Sneeze"},
    "rain": {"Rain", "Raindrop", "Rain on surface"},
    "rooster": {"Chicken, rooster", "Crowing, cock-a-doodle-doo"},
    "sea_waves": {"Ocean", "Waves, surf"},
}
"""AudioSet classes that say what an ESC-10 class says."""


def interpreter() -> Callable[[np.ndarray], np.ndarray]:
    """The published network in its own runtime, on one thread: samples at 16 kHz -> scores of whole patches."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(WEIGHTS), num_threads=1)
    runner.allocate_tensors()
    into, out = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]

    def scores(y: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, y.size - PATCH + 1, HOP):
            runner.set_tensor(into, y[start : start + PATCH])
            runner.invoke()
            found.append(runner.get_tensor(out)[0])
        return np.array(found)

    return scores


def ours():
    """Our YAMNet with the same weights."""
    import torch

    from components.models import catalogue, yamnet

    torch.set_num_threads(1)
    return yamnet.load(WEIGHTS, catalogue.read_entry(catalogue.FOLDER / "yamnet.json").card)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call, all threads [s]."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def bench() -> None:
    """Print CPU seconds per minute of audio for the interpreter and for ours, measured in turns."""
    if not WEIGHTS.is_file():
        print("\nYAMNet: its weights are not here (set OTOSCOPE_DATA).")
        return
    import torch

    from components.types import Clip

    y = (0.1 * np.random.default_rng(0).standard_normal(60 * SR)).astype(np.float32)
    clip, model, theirs = Clip.from_array("a minute", y, SR), ours(), interpreter()
    jobs: dict[str, tuple[list[float], Callable[[], object]]] = {
        "interpreter, 8 bits": ([], lambda: theirs(y)),
        "ours": ([], lambda: model.predict(clip)),
    }
    for _ in range(ROUNDS + 1):
        for times, work in jobs.values():
            times.append(cpu_seconds(work))
    medians = [statistics.median(times[1:]) for times, _ in jobs.values()]  # the first round warms up
    kind = str(next(model.net.blocks.parameters()).dtype).removeprefix("torch.")
    print(f"\nYAMNet, one thread, {ROUNDS} rounds in turns ({kind}, PyTorch {torch.__version__})\n")
    print(f"{'':<24}{'CPU s a minute of audio':>26}")
    for name, median in zip(jobs, medians, strict=True):
        print(f"{name:<24}{median:26.3f}")
    print(f"{'ours / interpreter':<24}{medians[1] / medians[0]:26.2f}")


def accuracy() -> None:
    """Print how well YAMNet knows ESC-10: by its classes, beside the interpreter, and by its embedding."""
    from sklearn.linear_model import LogisticRegression

    from components.audio.decode import decode
    from components.audio.transform import resample

    model, theirs = ours(), interpreter()
    rows = []
    for path in sorted((SHARED / "data" / "esc10").glob("*/*.ogg")):
        clip = decode(path, name=path.name).clip
        y = resample(clip, SR)
        y = np.pad(y, (0, -(y.size - PATCH) % HOP))
        embedding = model.inspect(clip, ["embedding"])["embedding"].values.mean(axis=0)
        rows.append((path.parent.name, path.name[0], model.predict(clip).scores, theirs(y), embedding))
    labels = model.card.labels
    fold = np.array([row[1] for row in rows])
    for name, which in (("ours", 2), ("interpreter, 8 bits", 3)):
        hits = np.array([matches(row[0], labels, row[which]) for row in rows])
        print_folds(f"a match among the five best, {name}", {k: hits[fold == k].mean() for k in sorted(set(fold))})
    X, sounds = np.array([row[4] for row in rows]), np.array([row[0] for row in rows])
    shares = {}
    for k in sorted(set(fold)):
        probe = LogisticRegression(max_iter=2000).fit(X[fold != k], sounds[fold != k])
        shares[k] = probe.score(X[fold == k], sounds[fold == k])
    print_folds("from the mean embedding, logistic regression", shares)


def matches(sound: str, labels: tuple[str, ...], scores: np.ndarray) -> bool:
    """Whether one of the five best classes of a clip, (n_frames, 521) averaged over it, says what the sound is."""
    best = scores.mean(axis=0).argsort()[-5:]
    return any(labels[k] in MATCHES[sound] for k in best)


def print_folds(what: str, shares: dict[str, float]) -> None:
    """One line: the mean over the folds, and each."""
    each = ", ".join(f"{share:.4f}" for share in shares.values())
    print(f"ESC-10, {what}: {np.mean(list(shares.values())):.4f} ({each})")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    bench()
    if "--accuracy" in sys.argv:
        accuracy()
