"""A base-size Wav2Vec 2.0 (12 layers of 768, random weights) on a minute of speech: transformers' pipeline and ours.

One thread, each way in a process of its own, the same file. The random attention is silenced, or the text would
depend on the length of each way's windows, which trained attention hardly does; the work is the same.
"""

import difflib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "conv_dim": (512,) * 7,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}
WAYS = {
    "pipeline, whole file": ("pipeline", "0"),
    "pipeline, 20 s chunks": ("pipeline", "20"),
    "ours, float32": ("ours", "float32"),
    "ours, bfloat16": ("ours", "bfloat16"),
}
SECONDS = 60


def speech() -> np.ndarray:
    """A minute of the sample recordings, shape (n_samples,), at 16 kHz."""
    from components.audio.decode import decode
    from components.audio.samples import SAMPLES
    from components.audio.transform import resample

    parts = [resample(decode(sample.path, name=sample.name).clip, 16000) for sample in SAMPLES]
    y = np.concatenate(parts)
    return np.tile(y, SECONDS * 16000 // y.size + 1)[: SECONDS * 16000]


def job(folder: str, way: str, option: str) -> dict[str, object]:
    """Text, CPU seconds and peak memory of one way."""
    import torch

    from tests.bench.main import peak_mb

    torch.set_num_threads(1)
    y = speech()
    if way == "pipeline":
        from transformers import pipeline

        asr = pipeline("automatic-speech-recognition", folder)

        def run() -> str:
            return str(asr(y.copy(), chunk_length_s=int(option))["text"])
    else:
        from components.models import hf
        from components.models.hf import ctc
        from components.types import Clip

        model = ctc.load(Path(folder), hf.describe(Path(folder), id="bench"), dtype=option)
        clip = Clip.from_array("speech", y, 16000)

        def run() -> str:
            return str(model.predict(clip).text)

    run()
    cpus = []
    for _ in range(3):
        cpu = time.process_time()
        text = run()
        cpus.append(time.process_time() - cpu)
    return {"text": text, "cpu": statistics.median(cpus), "peak": peak_mb()}


def bench() -> None:
    """Print the ways side by side; the text of each against the pipeline's on the whole file."""
    from tests.tiny_checkpoints import wav2vec2_ctc

    print(f"\nWav2Vec 2.0 base (random weights), one thread, {SECONDS} s of speech (median of 3)\n")
    print(f"{'way':<24}{'CPU s':>8}{'of the pipeline':>17}{'peak MB':>9}{'same text':>11}")
    with tempfile.TemporaryDirectory() as folder:
        wav2vec2_ctc(Path(folder), attention=0.0, **BASE)
        first: dict[str, object] = {}
        for name, arguments in WAYS.items():
            done = subprocess.run(
                [sys.executable, "-W", "ignore", __file__, folder, *arguments],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | ONE_CORE | {"PYTHONPATH": str(ROOT)},
            )
            found = json.loads(done.stdout.splitlines()[-1])
            first = first or found
            same = difflib.SequenceMatcher(None, str(first["text"]), found["text"], autojunk=False).ratio()
            share = found["cpu"] / float(str(first["cpu"]))
            print(f"{name:<24}{found['cpu']:8.2f}{share:17.2f}{found['peak']:9.0f}{same:11.3f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(job(*sys.argv[1:])))
    else:
        bench()
