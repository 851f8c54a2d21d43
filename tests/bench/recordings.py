"""Recordings to measure with: made here, of any length, as fast as the disk takes them."""

from pathlib import Path

import numpy as np


def busy_sound(minutes: float, sr: int, seed: int = 0) -> np.ndarray:
    """Vowels, noise, tones and pauses, shape (n_samples,), the same at each call with the same seed."""
    from components.audio import synth

    rng = np.random.default_rng(seed)
    vowels = [synth.vowel(name, 0.3, sr=sr) for name in "aeiou"]
    parts = [part for v in vowels for part in (v, synth.silence(0.2, sr=sr), 0.1 * synth.noise(0.3, sr=sr))]
    period = np.concatenate([*parts, synth.chirp(200, min(3000, sr / 3), 2.0, sr=sr)]).astype(np.float32)
    y = np.tile(period, int(np.ceil(minutes * 60 * sr / period.size)))[: int(minutes * 60 * sr)]
    return y + rng.normal(scale=1e-3, size=y.size).astype(np.float32)


def make_recording(path: Path, minutes: float, codec: str, *, sr: int = 44100, seed: int = 0) -> None:
    """Write a stereo file of about `minutes` with PyAV: one minute is coded, and its packets written again and again.

    Each MP3 minute begins as a file does, without looking back, so the joints are sound; the coder's padding makes
    it some 30 ms longer.
    """
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sr, layout="stereo")
        coder = av.CodecContext.create(codec, "w")
        coder.sample_rate, coder.layout, coder.format = sr, "stereo", stream.codec_context.format
        packets = []
        for block in np.array_split(busy_sound(min(1, minutes), sr, seed), 60):
            stereo = np.clip(np.stack([block, 0.8 * block]), -1, 1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
            frame.sample_rate = sr
            packets += _coded(coder, frame)
        packets += _coded(coder, None)
        at = 0
        for _ in range(max(1, round(minutes))):
            for data, duration in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, coder.time_base
                packet.pts = packet.dts = at
                packet.duration = duration
                container.mux(packet)
                at += duration


def _coded(coder, frame) -> list[tuple[bytes, int]]:
    return [(bytes(packet), packet.duration) for packet in coder.encode(frame)]
