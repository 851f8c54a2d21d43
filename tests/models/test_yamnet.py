import csv
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import flatbuffers
import h5py
import numpy as np
import pytest
import tflite
import torch
import torch.nn.functional as F

from components.audio.decode import decode
from components.audio.transform import resample
from components.errors import Cancelled, ModelError
from components.models import catalogue, tflite_weights, yamnet
from components.types import Clip

SR = 16000
CARD = catalogue.read_entry(catalogue.FOLDER / "yamnet.json").card
NAMES = tuple(f"sound {k}" for k in range(521))

Arrays = dict[str, np.ndarray]


def random_arrays(seed: int = 0) -> Arrays:
    """The arrays of a Keras YAMNet by layer, with random weights of a size that keeps the scores apart."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}

    def convolution(name: str, kernel: str, shape: tuple[int, ...], n_out: int) -> None:
        fan_in = np.prod(shape[:2]) * (1 if "depthwise" in name else shape[2])
        arrays[f"{name}/{kernel}"] = rng.normal(0, np.sqrt(2 / fan_in), shape)
        arrays[f"{name}/bn/beta"] = rng.normal(0.2, 0.2, n_out)
        arrays[f"{name}/bn/moving_mean"] = rng.normal(0, 0.2, n_out)
        arrays[f"{name}/bn/moving_variance"] = rng.uniform(0.5, 2.0, n_out)

    n_in = 1
    for k, (_, n_out) in enumerate(yamnet.BLOCKS, start=1):
        if k == 1:
            convolution("layer1/conv", "kernel", (3, 3, 1, n_out), n_out)
        else:
            convolution(f"layer{k}/depthwise_conv", "depthwise_kernel", (3, 3, n_in, 1), n_in)
            convolution(f"layer{k}/pointwise_conv", "kernel", (1, 1, n_in, n_out), n_out)
        n_in = n_out
    arrays["dense/kernel"] = rng.normal(0, 0.1, (1024, 521))
    arrays["dense/bias"] = rng.normal(-1, 0.5, 521)
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def write_h5(path: Path, arrays: Arrays) -> Path:
    """As Keras's save_weights does it: a group for each layer, in it each weight by its full name."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[f"{name.rsplit('/', 1)[0]}/{name}:0"] = values
    return path


def write_names(path: Path, names: tuple[str, ...] = NAMES) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "mid", "display_name"])
        writer.writerows([k, f"/m/{k}", name] for k, name in enumerate(names))


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return random_arrays()


@pytest.fixture(scope="module")
def folder(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the download leaves it: weights and class names."""
    path = tmp_path_factory.mktemp("yamnet")
    write_h5(path / "yamnet.h5", arrays)
    write_names(path / "yamnet_class_map.csv")
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> yamnet.Yamnet:
    return yamnet.load(folder, CARD)


@pytest.fixture(scope="module")
def exact(folder: Path) -> yamnet.Yamnet:
    """The model in float32, whatever this processor can do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yamnet, "working_type", lambda: torch.float32)
        return yamnet.load(folder, CARD)


def sound(duration_s: float, sr: int = SR, seed: int = 0) -> Clip:
    """Noise whose level rises and falls."""
    rng = np.random.default_rng(seed)
    t = np.arange(max(1, round(duration_s * sr))) / sr
    y = 0.3 * np.sin(2 * np.pi * 0.4 * t) ** 2 * rng.standard_normal(t.size)
    return Clip.from_array("sound", np.clip(y, -1, 1), sr)


def burst(duration_s: float, at: float) -> Clip:
    """Silence with 10 ms of noise around the time `at` [s]."""
    y = np.zeros(round(duration_s * SR), np.float32)
    start = round((at - 0.005) * SR)
    y[start : start + 160] = 0.5 * np.random.default_rng(0).standard_normal(160)
    return Clip.from_array("burst", y, SR)


# The published network again, from its description: one patch at a time, nothing folded, in float64.


def same(x: torch.Tensor, kernel: torch.Tensor, stride: int, groups: int) -> torch.Tensor:
    """TensorFlow's convolution with padding "SAME"; x (1, channels, height, width), kernel (out, in, height, width)."""
    pads = []
    for size, k in ((x.shape[3], kernel.shape[3]), (x.shape[2], kernel.shape[2])):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=groups)


def reference_log_mel(y: np.ndarray) -> np.ndarray:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([y[k : k + 400] * window for k in range(0, y.size - 399, 160)])
    magnitude = np.abs(np.fft.rfft(frames, 512))
    edges = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    weights = np.zeros((257, 64))
    for i in range(1, 257):
        m = 1127 * np.log(1 + i * 31.25 / 700)
        for j in range(64):
            rise, fall = (m - edges[j]) / (edges[j + 1] - edges[j]), (edges[j + 2] - m) / (edges[j + 2] - edges[j + 1])
            weights[i, j] = max(0.0, min(rise, fall))
    return np.log(magnitude @ weights + 0.001)


def reference_scores(y: np.ndarray, arrays: Arrays) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Scores and embeddings of each patch of y, and the maps of the first patch after each block."""
    W = {name: torch.from_numpy(values).double() for name, values in arrays.items()}

    def normalised(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, beta = (W[f"{name}/bn/{k}"][:, None, None] for k in ("moving_mean", "moving_variance", "beta"))
        return torch.relu((x - mean) / torch.sqrt(var + 1e-4) + beta)

    mel = torch.from_numpy(reference_log_mel(y))
    scores, embeddings, maps = [], [], []
    for start in range(0, len(mel) - 95, 48):
        x = mel[None, None, start : start + 96]
        for k, (stride, _) in enumerate(yamnet.BLOCKS, start=1):
            if k == 1:
                x = normalised(same(x, W["layer1/conv/kernel"].permute(3, 2, 0, 1), stride, 1), "layer1/conv")
            else:
                name = f"layer{k}/depthwise_conv"
                depthwise = W[f"{name}/depthwise_kernel"].permute(2, 3, 0, 1)
                x = normalised(same(x, depthwise, stride, x.shape[1]), name)
                name = f"layer{k}/pointwise_conv"
                x = normalised(same(x, W[f"{name}/kernel"].permute(3, 2, 0, 1), 1, 1), name)
            if start == 0:
                maps.append(x[0].numpy())
        embeddings.append(x[0].mean((1, 2)))
        scores.append(torch.sigmoid(embeddings[-1] @ W["dense/kernel"] + W["dense/bias"]))
    return torch.stack(scores).numpy(), torch.stack(embeddings).numpy(), maps


@pytest.fixture(scope="module")
def reference(arrays: Arrays) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    y = sound(2.5).y
    return reference_scores(np.pad(y, (0, -(y.size - 15600) % 7680)), arrays)


def test_weights_of_keras_give_the_published_network(exact: yamnet.Yamnet, reference) -> None:
    scores, embeddings, _ = reference
    clip = sound(2.5)
    prediction = exact.predict(clip)
    assert prediction.labels == NAMES
    assert scores.std(axis=0).mean() > 1e-3  # patches differ, so that the comparison says something
    np.testing.assert_allclose(prediction.scores, scores, atol=2e-5)
    embedding = exact.inspect(clip, ["embedding"])["embedding"]
    np.testing.assert_allclose(embedding.values, embeddings, rtol=1e-3, atol=1e-4)


def test_the_fast_number_type_stays_near_the_exact_one(model: yamnet.Yamnet, exact: yamnet.Yamnet) -> None:
    difference = np.abs(model.predict(sound(5)).scores - exact.predict(sound(5)).scores)
    assert difference.mean() < 5e-3


def test_feature_maps_are_those_of_the_published_network(exact: yamnet.Yamnet, reference) -> None:
    """Up to three quarters of the first patch, the maps are that patch's own."""
    maps = reference[2]
    found = exact.inspect(sound(2.5), [f"layer{k}" for k in range(1, 15)])
    for k, (activation, patch) in enumerate(zip(found.values(), maps, strict=True), start=1):
        assert activation.dims == ("channel", "mel", "frame")
        theirs = patch.transpose(0, 2, 1)
        n_rows = theirs.shape[2]
        start, stop = (1, 2) if n_rows == 3 else (0, 3 * n_rows // 4)
        ours = activation.values[:, :, : stop - start]
        np.testing.assert_allclose(ours, theirs[:, :, start:stop], rtol=1e-3, atol=1e-3, err_msg=f"layer{k}")


def test_the_input_is_the_log_mel_spectrogram_every_10_ms(model: yamnet.Yamnet) -> None:
    clip = sound(20.3)  # more than one batch
    heard = model.inspect(clip, ["input"])["input"]
    theirs = reference_log_mel(clip.y)
    assert heard.dims == ("frame", "mel")
    np.testing.assert_allclose(heard.values[: len(theirs)], theirs, atol=1e-3)
    np.testing.assert_allclose(heard.times, 0.0125 + 0.01 * np.arange(len(heard.values)))
    assert 0 <= len(heard.values) - len(theirs) <= 48  # zeros until the last patch is full


def test_mel_bands_are_not_librosas() -> None:
    weights = yamnet.mel_weights()
    assert weights.shape == (257, 64)
    assert not weights[0].any()
    # Neighbouring triangles, linear in mel, add up to one between the first and the last centre.
    inside = slice(round(200 / 31.25), round(7200 / 31.25))
    assert weights[inside].sum(axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("n_samples", [1, 400, 15599, 15600, 15601, 23280, 23281, 160000, 262800, 262801])
def test_patches_cover_every_sample_as_the_published_padding_does(n_samples: int) -> None:
    y = np.arange(1, n_samples + 1, dtype=np.float32)
    clip = Clip.from_array("ramp", y, SR)
    count = max(1, 1 + -(-(n_samples - 15600) // 7680))
    for batch in (1, 4, 32):
        found = [
            stretch[k : k + 15600]
            for stretch in yamnet._stretches(clip, batch)
            for k in range(0, stretch.size - 15600 + 1, 7680)
        ]
        whole = np.pad(y, (0, 15600 + (count - 1) * 7680 - n_samples))
        assert len(found) == count
        for k, patch in enumerate(found):
            assert np.array_equal(patch, whole[k * 7680 : k * 7680 + 15600])


def test_scores_do_not_depend_on_the_batches(exact: yamnet.Yamnet) -> None:
    clip = sound(5)
    whole = exact.predict(clip)
    few = yamnet.Yamnet(exact.card, exact.net)
    few.batch = 3
    np.testing.assert_allclose(few.predict(clip).scores, whole.scores, atol=1e-5)
    maps = exact.inspect(clip, exact.card.layers)
    for layer, activation in few.inspect(clip, exact.card.layers).items():
        np.testing.assert_allclose(activation.values, maps[layer].values, rtol=1e-3, atol=1e-3, err_msg=layer)
        assert np.array_equal(activation.times, maps[layer].times)


@pytest.mark.parametrize("at", [0.3, 2.0, 4.44])
def test_a_burst_changes_exactly_the_scores_that_have_heard_it(model: yamnet.Yamnet, at: float) -> None:
    heard, quiet = model.predict(burst(5, at)), model.predict(Clip.from_array("silence", np.zeros(5 * SR), SR))
    changed = np.abs(heard.scores - quiet.scores).max(axis=1) > 1e-6
    assert np.array_equal(changed, np.abs(heard.times - at) < heard.window_s / 2)
    assert heard.times == pytest.approx(0.4875 + 0.48 * np.arange(len(heard.times)))


@pytest.mark.parametrize("at", [0.7, 2.05, 2.4])
def test_a_burst_is_in_the_middle_of_its_trace_in_a_feature_map(exact: yamnet.Yamnet, at: float) -> None:
    layers = [f"layer{k}" for k in range(1, 5)]  # later ones have heard nearly half of a patch
    heard = exact.inspect(burst(5, at), layers)
    quiet = exact.inspect(Clip.from_array("silence", np.zeros(5 * SR), SR), layers)
    for layer in layers:
        changed = np.abs(heard[layer].values - quiet[layer].values).max(axis=(0, 1)) > 1e-4
        times = heard[layer].times[changed]
        assert (times[0] + times[-1]) / 2 == pytest.approx(at, abs=np.diff(heard[layer].times)[0] / 2 + 0.011), layer


def test_each_layer_has_its_own_clock(model: yamnet.Yamnet) -> None:
    found = model.inspect(sound(3), model.card.layers)
    assert tuple(found) == model.card.layers
    assert tuple(activation.kind for activation in found.values()) == model.card.emits
    hops = {layer: np.diff(activation.times) for layer, activation in found.items()}
    for layer, hop in hops.items():
        assert np.ptp(hop) < 1e-9, layer
    assert [round(float(hops[f"layer{k}"][0]), 3) for k in (1, 3, 5, 7, 13)] == [0.02, 0.04, 0.08, 0.16, 0.48]
    assert found["layer2"].values.shape[:2] == (64, 32)
    assert found["layer14"].values.shape[:2] == (1024, 2)
    assert found["embedding"].values.shape == (6, 1024)
    for activation in found.values():
        assert activation.times[0] >= 0
        assert activation.times[-1] <= 3 + model.card.window_s


def test_the_embedding_is_what_the_scores_are_read_from(model: yamnet.Yamnet) -> None:
    clip = sound(3)
    embedding = model.inspect(clip, ["embedding"])["embedding"]
    prediction = model.predict(clip)
    assert np.array_equal(embedding.times, prediction.times)
    logits = embedding.values @ model.net.head.weight.numpy().T + model.net.head.bias.numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), prediction.scores, atol=1e-5)


@pytest.mark.parametrize(
    ("y", "sr"),
    [
        (np.zeros(24000), 8000),
        ([0.5], 8000),
        ([0.5], 192000),
        (np.ones(32000), 16000),
        (np.random.default_rng(0).uniform(-1, 1, 192000 * 2), 192000),
    ],
    ids=["silence", "one sample", "one sample at 192 kHz", "direct current", "192 kHz"],
)
def test_odd_clips_get_scores_and_activations(model: yamnet.Yamnet, y, sr: int) -> None:
    clip = Clip.from_array("odd", y, sr)
    prediction = model.predict(clip)
    assert np.isfinite(prediction.scores).all()
    assert prediction.scores.min() >= 0 and prediction.scores.max() <= 1
    assert abs(prediction.times[-1] - clip.duration) <= model.card.window_s
    for activation in model.inspect(clip, model.card.layers).values():
        assert activation.values.size and np.isfinite(activation.values).all()


def test_progress_rises_to_one_and_cancelling_leaves_the_model_sound(model: yamnet.Yamnet) -> None:
    clip = sound(34)
    before = model.predict(clip)
    for work in (model.predict, lambda c, on: model.inspect(c, ["layer9"], on)):
        shares: list[float] = []
        work(clip, shares.append)
        assert len(shares) > 2 and shares == sorted(shares)
        assert shares[0] >= 0 and shares[-1] == 1.0

        def stop(share: float) -> None:
            raise Cancelled("Stopped.")

        with pytest.raises(Cancelled):
            work(clip, stop)
    assert np.array_equal(model.predict(clip).scores, before.scores)


def test_an_unknown_layer_is_named(model: yamnet.Yamnet) -> None:
    with pytest.raises(ModelError, match=r"layer15.*\.$"):
        model.inspect(sound(1), ["layer15"])


# Files


def test_the_last_layer_may_have_any_name(arrays: Arrays, folder: Path, tmp_path: Path) -> None:
    other = {name.replace("dense/", "logits/"): values for name, values in arrays.items()}
    state = yamnet.from_h5(write_h5(tmp_path / "old.h5", other)).state
    for name, values in yamnet.from_h5(folder / "yamnet.h5").state.items():
        assert torch.equal(state[name], values)


def test_names_come_with_the_weights_or_are_said_to_be_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "yamnet.h5", tmp_path)
    card = yamnet.load(tmp_path, CARD).card
    assert card.labels[0] == "Human sounds: voice (class 0)"
    assert card.labels[69] == "Animals: pets (class 69)"
    assert card.caveats == (yamnet.NO_NAMES, *CARD.caveats)
    write_names(tmp_path / "yamnet_class_map.csv")
    card = yamnet.load(tmp_path / "yamnet.h5", CARD).card
    assert (card.labels, card.caveats) == (NAMES, CARD.caveats)
    write_names(tmp_path / "yamnet_class_map.csv", (*NAMES[:519], "echo", "echo"))
    assert yamnet.load(tmp_path, CARD).card.labels[519:] == ("echo (class 519)", "echo (class 520)")
    write_names(tmp_path / "yamnet_class_map.csv", NAMES[:7])
    assert yamnet.load(tmp_path, CARD).card.caveats[0] == yamnet.NO_NAMES


def test_groups_hold_each_class_once() -> None:
    groups = yamnet.label_groups()
    assert [k for _, first, stop in groups for k in range(first, stop)] == list(range(521))
    assert len({name for name, _, _ in groups}) == len(groups)


def test_a_folder_must_say_which_weights_are_meant(folder: Path, tmp_path: Path) -> None:
    assert yamnet.weight_files(folder) == (folder / "yamnet.h5",)
    with pytest.raises(ModelError, match=r"neither.*\.$"):
        yamnet.weight_files(tmp_path)
    (tmp_path / "one.tflite").touch()
    assert yamnet.weight_files(tmp_path) == (tmp_path / "one.tflite",)
    (tmp_path / "two.tflite").touch()
    with pytest.raises(ModelError, match=r"one\.tflite, two\.tflite.*\.$"):
        yamnet.weight_files(tmp_path)
    (tmp_path / "yamnet.h5").touch()
    assert yamnet.weight_files(tmp_path) == (tmp_path / "yamnet.h5",)


def other_tflite() -> bytes:
    """A valid TensorFlow Lite file of a network without any operator."""
    builder = flatbuffers.Builder(0)
    tflite.SubGraphStart(builder)
    graph = tflite.SubGraphEnd(builder)
    tflite.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddSubgraphs(builder, graphs)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def wrong_files(folder: Path, arrays: Arrays) -> Iterator[tuple[str, str]]:
    """(name, what the sentence says) of files that are not YAMNet's, written into `folder`."""
    (folder / "empty.h5").touch()
    yield "empty.h5", "neither yamnet.h5 nor"
    (folder / "text.tflite").write_text("not a model")
    yield "text.tflite", "neither yamnet.h5 nor"
    yield "absent.h5", "no file"
    whole = write_h5(folder / "whole.h5", arrays).read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    yield "cut.h5", "damaged"
    write_h5(folder / "other.h5", {"conv/kernel": np.zeros((3, 3), np.float32)})
    yield "other.h5", "not YAMNet"
    write_h5(folder / "narrow.h5", arrays | {"layer5/pointwise_conv/kernel": np.zeros((1, 1, 128, 255), np.float32)})
    yield "narrow.h5", "layer5/pointwise_conv/kernel of shape"
    write_h5(folder / "headless.h5", {name: v for name, v in arrays.items() if not name.startswith("dense")})
    yield "headless.h5", "not YAMNet"
    write_h5(folder / "broken.h5", arrays | {"dense/bias": np.full(521, np.nan, np.float32)})
    yield "broken.h5", "no numbers"
    (folder / "header.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)) * 4)
    yield "header.tflite", "damaged"
    (folder / "other.tflite").write_bytes(other_tflite())
    yield "other.tflite", "not YAMNet"


def test_a_wrong_file_is_refused_in_one_sentence(arrays: Arrays, tmp_path: Path) -> None:
    for name, says in wrong_files(tmp_path, arrays):
        with pytest.raises(ModelError) as caught:
            yamnet.load(tmp_path / name, CARD)
        sentence = str(caught.value)
        assert name in sentence and says in sentence, sentence
        assert sentence.endswith(".") and "\n" not in sentence


# The published weights


@pytest.fixture(scope="module")
def published(data_dir: Path) -> Path:
    files = sorted((data_dir.parent / "models" / "yamnet").glob("*.tflite"))
    if not files:
        pytest.skip("the weights of YAMNet are not here")
    return files[0]


@pytest.fixture(scope="module")
def genuine(published: Path) -> yamnet.Yamnet:
    return yamnet.load(published, CARD)


def recordings(data_dir: Path) -> list[Clip]:
    """Two seconds each of 20 environmental sounds, 8 of speech, 6 of music and animals."""
    paths = [path for kind in sorted((data_dir / "esc10").iterdir()) for path in sorted(kind.glob("*.ogg"))[4::16]]
    paths += sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::51]
    paths += sorted((data_dir / "librosa").glob("*.ogg"))
    return [decode(path, name=path.name).clip.section(0, 2) for path in paths]


class Interpreter:
    """The published network in its own runtime: samples of one patch -> scores and embedding."""

    def __init__(self, path: Path) -> None:
        runtime = pytest.importorskip("ai_edge_litert.interpreter")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # keeping the tensors is meant for debugging, as here
            self.runner = runtime.Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
        self.runner.allocate_tensors()
        self.into, self.out = self.runner.get_input_details()[0], self.runner.get_output_details()[0]
        details = self.runner.get_tensor_details()
        self.embedding = next(d for d in details if tuple(d["shape"]) == (1, 1, 1, 1024))
        self.step = next(
            d["quantization"][0] for d in details if tuple(d["shape"]) == (1, 521) and d["quantization"][0]
        )
        """One step of the 8-bit logits: what is nearer than this is the same to the interpreter."""

    def __call__(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.runner.set_tensor(self.into["index"], y)
        self.runner.invoke()
        scale, zero = self.embedding["quantization"]
        embedding = (self.runner.get_tensor(self.embedding["index"]).ravel().astype(np.float32) - zero) * scale
        return self.runner.get_tensor(self.out["index"])[0].copy(), embedding


@pytest.mark.data
def test_published_weights_hear_as_in_their_own_runtime(
    genuine: yamnet.Yamnet, published: Path, data_dir: Path
) -> None:
    interpreter = Interpreter(published)
    clips = recordings(data_dir)
    assert len(clips) >= 30
    differences, agree, cosines = [], [], []
    for clip in clips:
        y = resample(clip, SR)
        y = np.pad(y, (0, max(15600 - y.size, -(y.size - 15600) % 7680)))
        theirs = [interpreter(y[k : k + 15600]) for k in range(0, y.size - 15599, 7680)]
        ours, embeddings = genuine.predict(clip), genuine.inspect(clip, ["embedding"])["embedding"].values
        for mine, heard, (scores, embedding) in zip(ours.scores, embeddings, theirs, strict=True):
            differences.append(np.abs(mine - scores).mean())
            logits = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / np.clip(1 - scores, 1e-6, 1))
            # A tenth of a step more, since the scores are rounded once again, to 1/256.
            agree.append(logits[mine.argmax()] >= logits.max() - 1.1 * interpreter.step)
            cosines.append(heard @ embedding / np.linalg.norm(heard) / np.linalg.norm(embedding))
    assert np.mean(differences) < 5e-4
    assert np.mean(agree) >= 0.98
    assert np.mean(cosines) > 0.998


@pytest.mark.data
def test_published_file_brings_its_names_and_they_stand_in_our_groups(genuine: yamnet.Yamnet, published: Path) -> None:
    labels = genuine.card.labels
    assert labels == tflite_weights.read_labels(published)
    assert genuine.card.caveats == CARD.caveats
    first = {name: labels[start] for name, start, _ in genuine.card.label_groups}
    last = {name: labels[stop - 1] for name, _, stop in genuine.card.label_groups}
    edges = {
        "Human sounds: voice": ("Speech", "Whistling"),
        "Human sounds: breathing, coughing": ("Breathing", "Sniff"),
        "Human sounds: walking, running": ("Run", "Walk, footsteps"),
        "Human sounds: eating, digestion": ("Chewing, mastication", "Fart"),
        "Human sounds: groups of people": ("Cheering", "Children playing"),
        "Animals: pets": ("Domestic animals, pets", "Caterwaul"),
        "Animals: on the farm": ("Livestock, farm animals, working animals", "Honk"),
        "Animals: wild": ("Wild animals", "Whale vocalization"),
        "Music: instruments": ("Musical instrument", "Scratching (performance technique)"),
        "Music: genres": ("Pop music", "Independent music"),
        "Music: songs and uses": ("Song", "Wedding music"),
        "Music: moods": ("Happy music", "Scary music"),
        "Nature: wind": ("Wind", "Wind noise (microphone)"),
        "Nature: thunderstorm": ("Thunderstorm", "Thunder"),
        "Nature: water": ("Water", "Gurgling"),
        "Nature: fire": ("Fire", "Crackle"),
        "Things: vehicles": ("Vehicle", "Skateboard"),
        "Things: engines": ("Engine", "Accelerating, revving, vroom"),
        "Things: at home": ("Door", "Writing"),
        "Things: alarms and signals": ("Alarm", "Steam whistle"),
        "Things: mechanisms": ("Mechanisms", "Single-lens reflex camera"),
        "Things: tools": ("Tools", "Drill"),
        "Things: explosions": ("Explosion", "Boom"),
        "Things: wood": ("Wood", "Crack"),
        "Things: glass": ("Glass", "Shatter"),
        "Things: liquids": ("Liquid", "Boiling"),
        "Things: others": ("Sonar", "Basketball bounce"),
        "Source unclear: impacts": ("Bang", "Bouncing"),
        "Source unclear: surfaces in contact": ("Whip", "Tearing"),
        "Source unclear: onomatopoeia": ("Beep, bleep", "Crunch"),
        "Source unclear: silence": ("Silence", "Silence"),
        "Source unclear: tones and effects": ("Sine wave", "Pulse"),
        "Background: rooms and places": ("Inside, small room", "Echo"),
        "Background: noise": ("Noise", "Vibration"),
        "Background: broadcast and field recordings": ("Television", "Field recording"),
    }
    assert {name: (first[name], last[name]) for name in edges} == edges


@pytest.mark.data
def test_published_names_serve_weights_that_have_none(folder: Path, published: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "yamnet.h5", tmp_path)
    shutil.copy(published, tmp_path / "other.tflite")
    assert yamnet.load(tmp_path, CARD).card.labels[0] == "Speech"


@pytest.mark.data
def test_published_weights_know_environmental_sounds(genuine: yamnet.Yamnet, data_dir: Path) -> None:
    """24 clips; all 320 are in tests/bench/yamnet.py, with .86."""
    sounds = {
        "clock_tick": {"Clock", "Tick", "Tick-tock"},
        "dog_bark": {"Dog", "Bark", "Bow-wow"},
        "person_sneeze": {"Sneeze"},
        "rain": {"Rain", "Raindrop", "Rain on surface"},
    }
    hits = []
    for kind, names in sounds.items():
        for path in sorted((data_dir / "esc10" / kind).glob("*.ogg"))[::5][:6]:
            scores = genuine.predict(decode(path, name=path.name).clip).scores.mean(axis=0)
            hits.append(any(genuine.card.labels[k] in names for k in scores.argsort()[-5:]))
    assert np.mean(hits) >= 0.8


@pytest.mark.data
def test_a_published_file_cut_short_is_refused(published: Path, tmp_path: Path) -> None:
    whole = published.read_bytes()
    for share in (0.001, 0.3, 0.9):
        cut = tmp_path / "cut.tflite"
        cut.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ModelError, match=r"cut\.tflite is damaged.*\.$"):
            yamnet.load(cut, CARD)
