from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from components.models import hf
from components.models.hf.checkpoint import load_net
from components.types import Clip
from tests import tiny_checkpoints as tiny


@pytest.fixture(scope="module", params=["wav2vec2_encoder", "hubert_encoder", "wavlm_encoder"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = getattr(tiny, request.param)(tmp_path_factory.mktemp("made") / request.param)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return hf.load(folder, hf.describe(folder, id="tiny"))


def hum(seconds: float, sr: int) -> Clip:
    t = np.arange(round(seconds * sr)) / sr
    return Clip.from_array("hum", 0.2 * np.sin(2 * np.pi * 200 * t) * np.sin(2 * np.pi * 2 * t), sr)


def test_it_has_no_labels_but_a_frame_every_20_ms(model: Any) -> None:
    prediction = model.predict(hum(2.0, 44100))
    assert model.card.labels == prediction.labels == ()
    assert prediction.scores.shape == (99, 0)
    assert np.diff(prediction.times) == pytest.approx(0.02)
    assert "embedding" in model.card.layers


def test_its_embedding_is_the_last_hidden_state(model: Any, folder: Path) -> None:
    clip = hum(2.0, 16000)
    x = AutoFeatureExtractor.from_pretrained(folder)(clip.y, sampling_rate=16000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        reference = load_net(folder, AutoModel)(x, output_hidden_states=True)
    found = model.inspect(clip, ["projected", "layer_2", "embedding"])
    assert found["embedding"].dims == ("frame", "unit")
    assert np.abs(found["embedding"].values - reference.last_hidden_state[0].numpy()).max() < 1e-5
    for name, number in (("projected", 0), ("layer_2", 2)):
        assert np.abs(found[name].values - reference.hidden_states[number][0].numpy()).max() < 1e-5


def test_frames_of_predict_are_those_of_inspect(model: Any) -> None:
    clip = hum(21.3, 22050)
    assert np.array_equal(model.predict(clip).times, model.inspect(clip, ["embedding"])["embedding"].times)


def test_attention_rows_sum_to_one(model: Any) -> None:
    attention = model.inspect(hum(1.0, 16000), ["attention_2"])["attention_2"]
    assert attention.dims == ("head", "query", "key")
    averaged = "mean of all heads" in model.card.caveats[-1]
    assert attention.values.shape == (1 if averaged else 4, 49, 49)
    assert np.abs(attention.values.sum(axis=2) - 1).max() < 1e-4
