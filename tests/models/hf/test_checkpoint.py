import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCTC

from components.errors import ModelError
from components.models import hf
from components.models.hf import checkpoint
from tests import tiny_checkpoints as tiny

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.wav2vec2_ctc(tmp_path_factory.mktemp("made") / "w2v")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A checkpoint that the test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "w2v"))


def change(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | settings), "utf-8")


HEADS = {
    ("wav2vec2", "Wav2Vec2ForCTC"): "ctc",
    ("hubert", "HubertForCTC"): "ctc",
    ("wavlm", "WavLMForCTC"): "ctc",
    ("data2vec-audio", "Data2VecAudioForCTC"): "ctc",
    ("unispeech-sat", "UniSpeechSatForSequenceClassification"): "classification",
    ("audio-spectrogram-transformer", "ASTForAudioClassification"): "classification",
    ("wav2vec2", "Wav2Vec2ForPreTraining"): "encoder",
    ("wavlm", "WavLMForXVector"): "encoder",
    ("hubert", "HubertModel"): "encoder",
    ("hubert", ""): "encoder",
    ("whisper", "WhisperForConditionalGeneration"): "whisper",
    ("clap", "ClapModel"): "clap",
}


@pytest.mark.parametrize(("model_type", "architecture"), HEADS)
def test_the_head_follows_from_the_config(model_type: str, architecture: str) -> None:
    config = {"model_type": model_type, "architectures": [architecture] if architecture else None}
    assert checkpoint.head_of(config) == HEADS[model_type, architecture]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"model_type": "wav2vec2", "architectures": ["EmotionHead"]}, "EmotionHead"),
        (
            {"model_type": "whisper", "architectures": ["WhisperForAudioClassification"]},
            "WhisperForAudioClassification",
        ),
        ({"model_type": "vits"}, "vits"),
        ({}, "model_type"),
    ],
)
def test_another_model_is_refused_by_its_name(config: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=rf"{named}.*\.$"):
        checkpoint.head_of(config)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_a_model_that_brings_code_is_refused(folder: Path, name: str) -> None:
    change(folder / name, auto_map={"AutoModel": "modeling.Net"})
    (folder / "modeling.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(ModelError, match=rf"program of its own.*{name}"):
        hf.load(folder, hf.describe(folder, id="x"))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "no weights"),
        ("preprocessor_config.json", "preprocessor_config.json"),
        ("vocab.json", "vocabulary"),
    ],
)
def test_a_missing_piece_is_named(folder: Path, missing: str, said: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=rf"{said}.*\.$"):
        checkpoint.check(folder)


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder"):
        checkpoint.check(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["{", "[1, 2]", "\x00\xff"])
def test_a_damaged_file_is_named(folder: Path, name: str, text: str) -> None:
    (folder / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=name):
        checkpoint.check(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [("adapter_config.json", {"base_model_name_or_path": "x/y"}), ("config.json", {"quantization_config": {}})],
)
def test_what_needs_more_than_its_own_weights_is_refused(folder: Path, name: str, content: dict[str, Any]) -> None:
    if not (folder / name).exists():
        (folder / name).write_text("{}")
    change(folder / name, **content)
    with pytest.raises(ModelError, match=name.removesuffix(".json").replace("config", "") or "quantization"):
        checkpoint.check(folder)


def test_a_bin_is_opened_only_where_it_is_trusted(folder: Path, made: Path) -> None:
    tiny.as_bin(folder)
    card = hf.describe(folder, id="x")
    with pytest.raises(ModelError, match=r"pickle.*safetensors"):
        hf.load(folder, card)
    assert hf.load(folder, card, trust_bin=True).card.size_bytes == (folder / "pytorch_model.bin").stat().st_size
    theirs = checkpoint.load_net(folder, AutoModelForCTC, trust_bin=True).state_dict()
    ours = checkpoint.load_net(made, AutoModelForCTC).state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_safetensors_are_preferred_and_the_bin_beside_them_is_not_opened(folder: Path, made: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    sprung = folder / "sprung"
    tiny.as_trap(folder, sprung)
    (folder / "model.safetensors").write_bytes(weights)
    checkpoint.load_net(folder, AutoModelForCTC, trust_bin=True)
    assert not sprung.exists()
    assert checkpoint.weight_files(folder) == (folder / "model.safetensors",)


@pytest.mark.parametrize("trust_bin", [False, True])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "training_args.bin"])
def test_a_pickle_that_runs_a_program_never_runs_it(folder: Path, name: str, trust_bin: bool) -> None:
    sprung = folder / "sprung"
    tiny.as_trap(folder, sprung, name)
    with pytest.raises(ModelError):
        checkpoint.load_net(folder, AutoModelForCTC, trust_bin=trust_bin)
    assert not sprung.exists()


def test_the_trap_of_these_tests_works(folder: Path) -> None:
    sprung = folder / "sprung"
    torch.load(tiny.as_trap(folder, sprung) / "pytorch_model.bin", weights_only=False)  # noqa: TID251
    assert sprung.exists()


def shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for name, part in halves.items():
        save_file({key: weights[key] for key in part}, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: name for name, part in halves.items() for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def test_weights_in_parts(folder: Path, made: Path) -> None:
    shard(folder)
    assert [path.name for path in checkpoint.weight_files(folder)] == ["model-1.safetensors", "model-2.safetensors"]
    ours = checkpoint.load_net(folder, AutoModelForCTC).lm_head.weight
    assert torch.equal(ours, checkpoint.load_net(made, AutoModelForCTC).lm_head.weight)
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match="lacks model-2"):
        checkpoint.check(folder)


@pytest.mark.parametrize("part", ["../other.safetensors", "model.bin", "/etc/passwd"])
def test_parts_lie_in_the_folder_and_are_safetensors(folder: Path, part: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": part}}))
    with pytest.raises(ModelError, match="index"):
        checkpoint.check(folder)


def test_the_names_of_older_checkpoints_are_known(folder: Path, made: Path) -> None:
    """Those that are on the hub: weight norm by its old names, nothing that only training needs."""
    weights = load_file(folder / "model.safetensors")
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for new, old in names.items():
        name = f"wav2vec2.encoder.pos_conv_embed.conv.{new}"
        weights[name.replace(new, old)] = weights.pop(name)
    weights.pop("wav2vec2.masked_spec_embed", None)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    ours, theirs = (checkpoint.load_net(path, AutoModelForCTC).wav2vec2.encoder for path in (folder, made))
    assert torch.equal(ours.pos_conv_embed.conv.weight, theirs.pos_conv_embed.conv.weight)


def test_weights_that_would_be_random_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "lm_head" not in k}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 2 parts.*lm_head"):
        checkpoint.load_net(folder, AutoModelForCTC)


def test_truncated_weights_are_a_sentence(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"damaged.*\.$"):
        checkpoint.load_net(folder, AutoModelForCTC)


def test_a_config_that_asks_to_record_everything_leaves_no_hooks(folder: Path) -> None:
    change(folder / "config.json", output_hidden_states=True, output_attentions=True)
    net = checkpoint.load_net(folder, AutoModelForCTC)
    net(torch.zeros(1, 4000))
    assert not any(module._forward_hooks for module in net.modules())
    assert not net.training
    assert not any(weight.requires_grad for weight in net.parameters())


def test_describe_tells_a_model_from_its_files(folder: Path) -> None:
    card = hf.describe(folder, id="somebody/w2v")
    assert (card.id, card.title, card.homepage) == ("somebody/w2v", "w2v", "https://huggingface.co/somebody/w2v")
    assert (card.sr, card.hop_s, card.task) == (16000, 0.02, "speech to text")
    assert card.size_bytes == (folder / "model.safetensors").stat().st_size
    assert card.layers[:2] == ("conv_1", "conv_2")
    assert {"layer_3", "attention_3"} <= set(card.layers)
    assert "checked" in card.caveats[0]
    loaded = hf.load(folder, card).card
    assert (loaded.layers, loaded.emits, loaded.sr, loaded.window_s) == (
        card.layers,
        card.emits,
        card.sr,
        card.window_s,
    )


def test_describing_needs_neither_torch_nor_transformers(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from components.models import hf; "
        "hf.describe(Path(sys.argv[1]), id='x'); "
        "assert not {'torch', 'transformers', 'librosa'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True)
