"""Makers of tiny Whisper and CLAP checkpoints with random weights, in the format and the files of the real ones."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    GenerationConfig,
    RobertaTokenizer,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from components.models.base import AudioModel
from components.types import Clip, ClipSource

TEXT = (
    "the quick brown fox jumps over the lazy dog while speech and music mix with rain, wind and traffic. "
    "this is a sound of applause, birdsong, silence or laughter in the hall; somebody speaks, others listen! "
) * 3
LANGUAGES = ("en", "de", "zh")
N_TIMESTAMPS = 1501


def _bpe(size: int, specials: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-level BPE learnt from TEXT, `specials` first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False, min_frequency=1)
    tokenizer.train_from_iterator([TEXT], trainer)
    made = json.loads(tokenizer.to_str())["model"]
    return made["vocab"], [tuple(merge) for merge in made["merges"]]


def _whisper_tokenizer() -> WhisperTokenizer:
    vocab, merges = _bpe(320, [])
    tokenizer = WhisperTokenizer(vocab=vocab, merges=merges)
    # The order of the real vocabulary: text, <|endoftext|>, the other specials, the timestamps.
    specials = ["<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), "<|translate|>", "<|transcribe|>"]
    specials += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": specials})
    tokenizer.add_tokens([f"<|{0.02 * k:.2f}|>" for k in range(N_TIMESTAMPS)])
    return tokenizer


def _whisper_generation(tokenizer: WhisperTokenizer, english_only: bool, max_new_tokens: int) -> GenerationConfig:
    token = tokenizer.convert_tokens_to_ids
    settings: dict[str, Any] = {
        "decoder_start_token_id": token("<|startoftranscript|>"),
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|endoftext|>"),
        "pad_token_id": token("<|endoftext|>"),
        "no_timestamps_token_id": token("<|notimestamps|>"),
        "prev_sot_token_id": token("<|startofprev|>"),
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "max_new_tokens": max_new_tokens,
        "is_multilingual": not english_only,
        "alignment_heads": [[0, 1], [1, 0]],
        "begin_suppress_tokens": [token("Ġ"), token("<|endoftext|>")],
        "suppress_tokens": [token(name) for name in ("<|startoftranscript|>", "<|translate|>", "<|transcribe|>")]
        + [token(name) for name in ("<|startoflm|>", "<|startofprev|>", "<|nospeech|>")],
    }
    if english_only:
        settings["forced_decoder_ids"] = [[1, token("<|notimestamps|>")]]
    else:
        settings["forced_decoder_ids"] = [[1, None], [2, token("<|transcribe|>")]]
        settings["lang_to_id"] = {f"<|{code}|>": token(f"<|{code}|>") for code in LANGUAGES}
        settings["task_to_id"] = {task: token(f"<|{task}|>") for task in ("translate", "transcribe")}
    return GenerationConfig(**settings)


def whisper(folder: Path, *, english_only: bool = False, max_new_tokens: int = 24, seed: int = 0) -> Path:
    """A Whisper of two layers, with three languages (or English only) and timestamps, that writes gibberish."""
    tokenizer = _whisper_tokenizer()
    generation = _whisper_generation(tokenizer, english_only, max_new_tokens)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=16,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=64,
        init_std=0.3,
        decoder_start_token_id=generation.decoder_start_token_id,
        bos_token_id=generation.bos_token_id,
        eos_token_id=generation.eos_token_id,
        pad_token_id=generation.pad_token_id,
        begin_suppress_tokens=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = WhisperForConditionalGeneration(config)
        with torch.no_grad():
            # Timestamps are as many as four times the text tokens: with equal weights nothing else would be said.
            net.model.decoder.embed_tokens.weight[-N_TIMESTAMPS:] *= 0.3
            for layer in net.model.decoder.layers:
                # So that each token looks somewhere else in the sound.
                layer.encoder_attn.q_proj.weight *= 3.0
    net.generation_config = generation
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)
    return folder


def clap(folder: Path, *, fusion: bool = False, seed: int = 0) -> Path:
    """A CLAP of two stages and two text layers, listening at 8 kHz, with windows of up to 10 s as the real one."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocab, merges = _bpe(320, specials)
    tokenizer = RobertaTokenizer(vocab=vocab, merges=merges)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 130,
        "initializer_factor": 5.0,
        "projection_dim": 16,
    }
    audio = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "patch_embeds_hidden_size": 16,
        "depths": [1, 2],
        "num_attention_heads": [2, 2],
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "projection_dim": 16,
        "initializer_factor": 5.0,
        "enable_fusion": fusion,
        "fusion_type": "aff_2d" if fusion else None,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=16))
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=320,
        fft_window_size=512,
        frequency_min=50,
        frequency_max=4000,
        truncation="fusion" if fusion else "rand_trunc",
        padding="repeatpad",
    ).save_pretrained(folder)
    return folder


def peak_bytes(model: AudioModel, minutes: float, file: Path) -> int:
    """The most memory that numpy's arrays take while the model listens to minutes of noise kept in `file`."""
    sr = 8000
    noise = np.random.default_rng(0).normal(0, 0.1, sr * 60).astype(np.float32)
    y = np.memmap(file, np.float32, "w+", shape=(round(minutes * noise.size),))
    for start in range(0, y.size, noise.size):
        y[start : start + noise.size] = noise[: y.size - start]
    clip = Clip("noise", y, sr, "digest", ClipSource("generated", 1, sr, y.size / sr))
    tracemalloc.start()
    try:
        model.predict(clip)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
