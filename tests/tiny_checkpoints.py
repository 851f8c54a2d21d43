"""Tiny Hugging Face checkpoints with seeded random weights: real classes, real files, true strides, no download."""

import json
from pathlib import Path
from typing import Any

import torch

LETTERS = "ETAOINSHRDLU"
VOCABULARY = {token: k for k, token in enumerate(("<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS))}
EMOTIONS = ("neutral", "happy", "angry", "sad")
SPEECH: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (24,) * 7,  # the kernels and strides stay those of the real models: 25 ms every 20 ms
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 20,
    "vocab_size": len(VOCABULARY),
    "pad_token_id": 0,  # CTC's blank
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _seeded(cls: Any, config: Any, *, head: str | None = None, scale: float = 1.0, attention: float = 0.2) -> Any:
    """A network with the same random weights at each call.

    `scale` spreads the outputs of its head. Random attention spreads evenly over the whole window, where trained
    attention is mostly local: so `attention`, the size of what it adds to a state, is small.
    """
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = cls(config)
        for name, weight in net.named_parameters():
            if "norm" in name:
                continue
            spread = attention if "attention.out_proj" in name else 0.6
            torch.nn.init.normal_(weight, std=spread / max(1, weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1)
        if head:
            net.get_submodule(head).weight.data.mul_(scale)
            _balance(net.eval(), net.get_submodule(head))
    return net.eval()


def _balance(net: Any, head: Any) -> None:
    """Shift the outputs so that each has its turn: on noise their means are equal, the first (CTC's blank) above."""
    shape = (1, net.config.max_length, net.config.num_mel_bins) if hasattr(net.config, "max_length") else (1, 32000)
    with torch.inference_mode():
        logits = net(torch.randn(shape)).logits
    mean = logits.reshape(-1, logits.shape[-1]).mean(0)
    mean[0] -= 1.0
    mean[1:4] += 1e3 * (logits.ndim == 3)  # <s>, </s>, <unk> of a vocabulary: never
    head.bias.data.sub_(mean)


def _save(net: Any, folder: Path, extractor: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    net.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def _extractor(*, do_normalize: bool = True) -> Any:
    from transformers import Wav2Vec2FeatureExtractor

    return Wav2Vec2FeatureExtractor(do_normalize=do_normalize)


def _vocabulary(folder: Path) -> None:
    from transformers import Wav2Vec2CTCTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vocab.json"
    path.write_text(json.dumps(VOCABULARY), "utf-8")
    Wav2Vec2CTCTokenizer(str(path)).save_pretrained(folder)


def _labels(names: tuple[str, ...]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}


def wav2vec2_ctc(folder: Path, *, attention: float = 0.2, **changes: Any) -> Path:
    """Wav2Vec2ForCTC as the base models: group norm over the whole recording, layer norm after each block."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(**SPEECH | changes)
    net = _seeded(Wav2Vec2ForCTC, config, head="lm_head", scale=6.0, attention=attention)
    _vocabulary(folder)
    return _save(net, folder, _extractor())


def hubert_ctc(folder: Path, *, attention: float = 0.2) -> Path:
    """HubertForCTC as the large models: layer norm in the convolutions, layer norm before each block."""
    from transformers import HubertConfig, HubertForCTC

    changes = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
    net = _seeded(HubertForCTC, HubertConfig(**SPEECH | changes), head="lm_head", scale=6.0, attention=attention)
    _vocabulary(folder)
    return _save(net, folder, _extractor())


def hubert_classification(folder: Path) -> Path:
    """HubertForSequenceClassification that weighs all its layers, as superb/hubert-base-superb-er does."""
    from transformers import HubertConfig, HubertForSequenceClassification

    config = HubertConfig(**SPEECH, **_labels(EMOTIONS), use_weighted_layer_sum=True)
    net = _seeded(HubertForSequenceClassification, config, head="classifier", scale=8.0)
    return _save(net, folder, _extractor(do_normalize=False))


def wav2vec2_classification(folder: Path, **changes: Any) -> Path:
    """Wav2Vec2ForSequenceClassification on its last layer."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

    config = Wav2Vec2Config(**SPEECH | changes, **_labels(EMOTIONS))
    net = _seeded(Wav2Vec2ForSequenceClassification, config, head="classifier", scale=8.0)
    return _save(net, folder, _extractor())


def wav2vec2_encoder(folder: Path) -> Path:
    """Wav2Vec2Model: no head."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return _save(_seeded(Wav2Vec2Model, Wav2Vec2Config(**SPEECH)), folder, _extractor())


def hubert_encoder(folder: Path) -> Path:
    """HubertModel: no head."""
    from transformers import HubertConfig, HubertModel

    return _save(_seeded(HubertModel, HubertConfig(**SPEECH)), folder, _extractor())


def wavlm_encoder(folder: Path) -> Path:
    """WavLMModel: relative positions, which only the eager way of attention knows."""
    from transformers import WavLMConfig, WavLMModel

    return _save(_seeded(WavLMModel, WavLMConfig(**SPEECH)), folder, _extractor())


def ast(folder: Path, *, max_length: int = 204) -> Path:
    """ASTForAudioClassification of a spectrogram of `max_length` frames of 10 ms (the real one has 1024)."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    names = ("speech", "music", "dog", "rain", "bell", "silence")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = ASTConfig(**sizes, max_length=max_length, num_mel_bins=64, **_labels(names))
    net = _seeded(ASTForAudioClassification, config, head="classifier.dense", scale=4.0)
    return _save(net, folder, ASTFeatureExtractor(max_length=max_length, num_mel_bins=64))


def as_bin(folder: Path) -> Path:
    """The same checkpoint with its weights as pytorch_model.bin instead of safetensors."""
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


class _Trap:
    """When a careless program unpickles it, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def as_trap(folder: Path, sprung: Path, name: str = "pytorch_model.bin") -> Path:
    """The same checkpoint with a pickle for weights that makes the file `sprung` where it is loaded carelessly."""
    torch.save({"lm_head.weight": _Trap(sprung)}, folder / name)
    (folder / "model.safetensors").unlink(missing_ok=True)
    return folder
