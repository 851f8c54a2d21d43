"""What a folder of Hugging Face files holds, whether it may be loaded, and loading it: no network, no code of others.

Of a downloaded model only data is read: JSON, safetensors, and for curated models `pytorch_model.bin` with
`weights_only=True`. Everything else that could carry a program (other pickles, Python files) is never opened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from components.errors import ModelError

Head = Literal["ctc", "classification", "whisper", "clap", "encoder"]

WAVEFORM_TYPES = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "unispeech",
    "unispeech-sat",
    "data2vec-audio",
    "wav2vec2-conformer",
)
"""Model types (`model_type` in config.json) that hear the waveform through strided convolutions."""
AST = "audio-spectrogram-transformer"
HEADS: dict[str, Head] = {
    "ForCTC": "ctc",
    "ForSequenceClassification": "classification",
    "ForAudioClassification": "classification",
    "ForPreTraining": "encoder",
    "ForXVector": "encoder",
    "ForAudioFrameClassification": "encoder",
    "Model": "encoder",
}
"""Head by the end of the architecture's name. Of the last four only the encoder is used."""
KNOWN = "Wav2Vec 2.0, HuBERT, WavLM, data2vec, UniSpeech, AST, Whisper and CLAP"

CONFIG = "config.json"
SAFETENSORS, SAFETENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
BIN = "pytorch_model.bin"
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("vocab.json", "tokenizer.json")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
SETTINGS = (CONFIG, *PREPROCESSORS, "tokenizer_config.json", "generation_config.json")
"""JSON files in which a model can ask for code of its own (`auto_map`)."""
UNUSED_AT_INFERENCE = ("masked_spec_embed",)
"""Weights that only training needs: checkpoints may lack them."""


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model's folder.

    Raises
    ------
    ModelError : no such folder or file, or it is not a JSON object
    """
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}: give the folder that holds the model's config.json.")
    if not (folder / CONFIG).is_file():
        raise ModelError(f"The folder {folder.name} has no config.json: choose the folder that holds a model's files.")
    return read_json(folder / CONFIG)


def head_of(config: dict[str, Any]) -> Head:
    """Which adapter a model needs, by `model_type` and the first of `architectures`.

    Raises
    ------
    ModelError : not an audio model, or one with a head that Otoscope has no adapter for; says what it is
    """
    model_type = str(config.get("model_type") or "")
    architecture = _architecture(config)
    if model_type == "whisper" and architecture in ("", "WhisperForConditionalGeneration"):
        return "whisper"
    if model_type == "clap" and architecture in ("", "ClapModel"):
        return "clap"
    if model_type in WAVEFORM_TYPES or model_type == AST:
        for ending, head in HEADS.items():
            if architecture.endswith(ending):
                return head
        if not architecture:
            return "encoder"
    what = architecture or model_type
    if not what:
        raise ModelError("The model's config.json does not say what kind of model it is (model_type is missing).")
    raise ModelError(
        f"This model is a {what}{f' ({model_type})' if model_type and model_type != what else ''}, which Otoscope "
        f"cannot listen with: choose a model of the kinds {KNOWN}."
    )


def check(folder: Path, *, trust_bin: bool = False) -> Head:
    """Whether the model in `folder` may and can be loaded; its head. Opens nothing but JSON.

    As `check_description`, and the weights.

    Parameters
    ----------
    folder : the model's files
    trust_bin : the files are those of a curated model at its pinned revision, whose pytorch_model.bin may be read

    Raises
    ------
    ModelError : it asks for code of its own, has only pickled weights, or a piece is missing; one sentence each
    """
    head = check_description(folder)
    _weights(folder, trust_bin=trust_bin)
    return head


def check_description(folder: Path) -> Head:
    """Whether a model can be loaded, as far as its small files tell; its head.

    Raises
    ------
    ModelError : it is no audio model, asks for code of its own, or a piece is missing; one sentence each
    """
    head = head_of(read_config(folder))
    refuse_code(folder)
    _refuse_addons(folder)
    if not any((folder / name).is_file() for name in PREPROCESSORS):
        raise ModelError(
            f"The model {folder.name} has no preprocessor_config.json, so it is not known how it wants its sound: "
            "get that file from the model's page and put it into the folder."
        )
    if head in ("ctc", "whisper", "clap") and not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelError(
            f"The model {folder.name} has no vocabulary (vocab.json or tokenizer.json), so its numbers cannot be "
            "turned into text: get that file from the model's page and put it into the folder."
        )
    return head


def weights_in(folder: Path) -> tuple[Path, ...]:
    """The files with the weights, as far as they are there already."""
    return tuple(sorted(folder.glob("*.safetensors"))) or tuple(folder.glob(BIN))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights, sorted by name: safetensors where there are any, else pytorch_model.bin."""
    return _weights(folder, trust_bin=True)


def load_net(
    folder: Path, cls: Any, *, trust_bin: bool = False, attn: Literal["sdpa", "eager"] = "sdpa", dtype: str = "float32"
) -> Any:
    """The network in `folder` with its weights, in eval mode, without gradients.

    Parameters
    ----------
    folder : the model's files; see `check`, which is done first
    cls : a class of transformers with `from_pretrained`, e.g. AutoModelForCTC
    trust_bin : see `check`
    attn : how attention is computed; "eager" also gives its weights. "eager" where the class knows nothing else
    dtype : "float32" or "bfloat16"

    Raises
    ------
    ModelError : see `check`; also where the file lacks weights that `cls` needs: they would be random numbers
    """
    import torch
    from transformers.utils import logging

    check(folder, trust_bin=trust_bin)
    is_bin = weight_files(folder)[0].name == BIN
    logging.disable_progress_bar()  # it would write to the terminal of whoever started the app
    logging.set_verbosity_error()  # missing weights are told below, in a sentence
    options = {
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": not is_bin,
        "weights_only": True,  # a .bin is a pickle: read tensors and nothing that could run
        "dtype": getattr(torch, dtype),
        "output_loading_info": True,
        # A checkpoint may ask to record everything, through hooks that would stay in the network for good.
        "output_hidden_states": False,
        "output_attentions": False,
    }
    try:
        try:
            net, info = cls.from_pretrained(folder, attn_implementation=attn, **options)
        except ValueError:  # some architectures (WavLM) have only the eager way
            net, info = cls.from_pretrained(folder, attn_implementation="eager", **options)
    except Exception as error:  # transformers, safetensors and torch each have their own for a damaged file
        raise ModelError(
            f"The weights of {folder.name} are damaged or do not fit its config.json: get the model again."
        ) from error
    _refuse_random(folder, info)
    return net.eval().requires_grad_(False)


def load_part(folder: Path, cls: Any) -> Any:
    """A feature extractor, tokenizer or processor of `folder`; `cls` is a class of transformers, e.g. AutoTokenizer.

    Raises
    ------
    ModelError : its files are missing or damaged
    """
    try:
        return cls.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as many kinds of error as there are files
        what = {"AutoFeatureExtractor": "settings of the sound", "AutoTokenizer": "vocabulary"}.get(
            cls.__name__, "files"
        )
        raise ModelError(
            f"The {what} of the model {folder.name} cannot be read ({_first_line(error)}): get the model again."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The settings in a JSON file; ModelError where it is damaged or holds something else."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} of the model {path.parent.name} is damaged: get the model again.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} of the model {path.parent.name} is not a list of settings: get the model again.")
    return found


def _architecture(config: dict[str, Any]) -> str:
    architectures = config.get("architectures")
    return str(architectures[0]) if isinstance(architectures, list) and architectures else ""


def refuse_code(folder: Path) -> None:
    """Raise ModelError where a model asks for code of its own."""
    for name in SETTINGS:
        if (folder / name).is_file() and "auto_map" in read_json(folder / name):
            raise ModelError(
                f"The model {folder.name} wants to run a program of its own on this computer (auto_map in {name}); "
                "Otoscope runs no code from models. Choose a model that transformers knows by itself."
            )


def _refuse_addons(folder: Path) -> None:
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"The folder {folder.name} holds an add-on to another model (adapter_config.json), not a model: "
            "ask its author for the merged model."
        )
    if "quantization_config" in read_config(folder):
        raise ModelError(
            f"The weights of {folder.name} are compressed in a way that needs further programs "
            "(quantization_config): get the model that it was made from."
        )


def _weights(folder: Path, *, trust_bin: bool) -> tuple[Path, ...]:
    """The files with the weights; ModelError where there are none that may be opened."""
    if (folder / SAFETENSORS).is_file():
        return (folder / SAFETENSORS,)
    if (folder / SAFETENSORS_INDEX).is_file():
        return _shards(folder)
    if not (folder / BIN).is_file():
        others = sorted(
            path.name for path in folder.glob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt")
        )
        raise ModelError(
            f"The model {folder.name} has no weights that Otoscope opens: it looks for {SAFETENSORS}"
            + (f", and {', '.join(others)} can hide a program. " if others else ". ")
            + "Get that file from the model's page and put it into the folder."
        )
    if not trust_bin:
        raise ModelError(
            f"The weights of {folder.name} come only as {BIN}, a pickle: such a file can hide a program, so Otoscope "
            f"opens it only for models of its own list. Ask the author for {SAFETENSORS}, or convert it in a place "
            "where nothing can be harmed."
        )
    return (folder / BIN,)


def _shards(folder: Path) -> tuple[Path, ...]:
    parts = read_json(folder / SAFETENSORS_INDEX).get("weight_map")
    names = sorted({str(name) for name in parts.values()}) if isinstance(parts, dict) else []
    if not names or any(Path(name).name != name or Path(name).suffix != ".safetensors" for name in names):
        raise ModelError(f"{SAFETENSORS_INDEX} of the model {folder.name} is damaged: get the model again.")
    for name in names:
        if not (folder / name).is_file():
            raise ModelError(f"The model {folder.name} lacks {name}, a part of its weights: get that file too.")
    return tuple(folder / name for name in names)


def _refuse_random(folder: Path, info: dict[str, Any]) -> None:
    """Weights that the file does not hold are random numbers after loading: no score may come of them."""
    missing = sorted(name for name in info["missing_keys"] if not name.endswith(UNUSED_AT_INFERENCE))
    missing += sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if missing:
        raise ModelError(
            f"The weights of {folder.name} lack {len(missing)} parts that its config.json names ({missing[0]}): "
            "this is not the model that it says it is, or the file is damaged; get the model again."
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120].rstrip(".")
