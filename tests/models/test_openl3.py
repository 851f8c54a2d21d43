import gzip
import io
from dataclasses import replace
from pathlib import Path

import h5py
import librosa
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from components.audio.transform import resample
from components.errors import Cancelled, ModelError
from components.models import openl3
from components.models.catalogue import entries
from components.models.openl3 import CONTENTS, KINDS, VARIANTS, FrontEnd, OpenL3, count_windows, load, weight_files
from components.types import Clip, ModelCard

SR = 48000
IDS = [f"openl3-{representation}-{content}" for representation in VARIANTS for content in CONTENTS]
POOLS = {"linear": ((32, 24), (8, 8)), "mel128": ((16, 24), (4, 8)), "mel256": ((32, 24), (8, 8))}


def card_of(model_id: str) -> ModelCard:
    return entries()[model_id].card


def random_weights(seed: int = 0) -> list[dict[str, np.ndarray]]:
    """The weights of one file in the order of its layers, as Keras shapes and names them."""
    rng = np.random.default_rng(seed)

    def norm(n: int) -> dict[str, np.ndarray]:
        return {
            "gamma": rng.uniform(0.7, 1.3, n),
            "beta": rng.normal(0, 0.2, n),
            "moving_mean": rng.normal(0, 0.3, n),
            "moving_variance": rng.uniform(0.7, 1.4, n),
        }

    def conv(n_in: int, n_out: int) -> dict[str, np.ndarray]:
        kernel = rng.normal(0, np.sqrt(2 / (9 * n_in)), (3, 3, n_in, n_out))
        return {"kernel": kernel, "bias": rng.normal(0, 0.05, n_out)}

    layers = [{k: v + (-35 if k == "moving_mean" else 150 * (k == "moving_variance")) for k, v in norm(1).items()}]
    widths = (1, 64, 64, 128, 128, 256, 256, 512, 512)
    for i in range(8):
        layers.append(conv(widths[i], widths[i + 1]))
        if i < 7:
            layers.append(norm(widths[i + 1]))
    return [{k: v.astype(np.float32) for k, v in layer.items()} for layer in layers]


WEIGHTS = random_weights()


def keras_file(
    weights: list[dict[str, np.ndarray]], *, first: int = 1, kapre: bool = False, whole_model: bool = False
) -> bytes:
    """A file as Keras writes it: layers without weights between the others, names numbered from `first`, bytes."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        names = []

        def layer(name: str, arrays: dict[str, np.ndarray]) -> None:
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, values in arrays.items():
                group[f"{name}/{key}:0"] = values
            names.append(name.encode())

        layer("input_1", {})
        if kapre:
            layer("melspectrogram_1", {"real_kernels": np.zeros((8, 1, 1, 5)), "Variable": np.zeros((5, 4))})
        for i, arrays in enumerate(weights):
            kind = "conv2d" if "kernel" in arrays else "batch_normalization"
            layer("audio_embedding_layer" if i == len(weights) - 1 else f"{kind}_{first + i}", arrays)
            layer(f"activation_{i}", {})
        root.attrs["layer_names"] = names
    return held.getvalue()


KERAS_FILE = keras_file(WEIGHTS)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openl3") / "weights.h5"
    path.write_bytes(KERAS_FILE)
    return path


def opened(model_id: str, path: Path) -> OpenL3:
    return load(path, card_of(model_id))


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network in float32, wherever the tests run."""
    monkeypatch.setattr(openl3, "working_type", lambda: torch.float32)


def sound(duration_s: float, sr: int = SR, seed: int = 0) -> np.ndarray:
    """A buzz that glides and swells, in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(max(1, round(duration_s * sr))) / sr
    buzz = sum(np.sin(2 * np.pi * k * (200 * t + 30 * np.sin(2 * t))) / k for k in range(1, 9))
    return (0.2 * buzz * np.sin(2 * np.pi * 1.3 * t) ** 2 + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


def seen_by(representation: str, window: np.ndarray) -> np.ndarray:
    """The front end by librosa, as OpenL3 0.4 describes it: shape (rows, columns)."""
    if representation == "linear":
        S = np.abs(librosa.stft(window, n_fft=512, hop_length=242, center=False))
    else:
        n_mels = int(representation[3:])
        y = np.pad(window, (0, 198 * 242 + 2048 - SR))
        S = librosa.feature.melspectrogram(
            y=y, sr=SR, n_fft=2048, hop_length=242, n_mels=n_mels, center=False, power=1.0
        )
    decibels = librosa.power_to_db(S, ref=1.0, amin=1e-10, top_db=80.0)
    return decibels - decibels.max()


def reference(seen: np.ndarray, pools: tuple[tuple[int, int], ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The published network with its normalisations apart: the blocks' maps (C, H, W), the embeddings (H, W, C)."""
    x = torch.from_numpy(seen)[None, None]
    steps = iter(WEIGHTS)

    def norm(x: torch.Tensor) -> torch.Tensor:
        w = {k: torch.from_numpy(v)[:, None, None] for k, v in next(steps).items()}
        return w["gamma"] * (x - w["moving_mean"]) / torch.sqrt(w["moving_variance"] + 1e-3) + w["beta"]

    def conv(x: torch.Tensor) -> torch.Tensor:
        w = {k: torch.from_numpy(v) for k, v in next(steps).items()}
        return F.conv2d(x, w["kernel"].permute(3, 2, 0, 1), w["bias"], padding=1)

    x, maps = norm(x), []
    for _ in range(3):
        x = F.relu(norm(conv(x)))
        x = F.max_pool2d(F.relu(norm(conv(x))), 2)
        maps.append(x[0].numpy())
    x = conv(F.relu(norm(conv(x))))
    maps.append(x[0].numpy())
    return maps, [F.max_pool2d(x, pool)[0].permute(1, 2, 0).numpy().ravel() for pool in pools]


@pytest.mark.parametrize("representation", VARIANTS)
def test_front_end_equals_librosa(representation: str) -> None:
    windows = np.stack([sound(1.0), 1e-3 * sound(1.0, seed=1)])
    seen = FrontEnd(VARIANTS[representation])(torch.from_numpy(windows)).numpy()
    rows, columns = {"linear": (257, 197), "mel128": (128, 199), "mel256": (256, 199)}[representation]
    assert seen.shape == (2, rows, columns)
    assert seen.shape[2] == VARIANTS[representation].n_columns
    for window, found in zip(windows, seen, strict=True):
        assert found == pytest.approx(seen_by(representation, window), abs=1e-2)
        assert found.max() == 0 and found.min() >= -80


@pytest.mark.parametrize("n_mels", [128, 256])
def test_mel_filters_are_slaneys_of_librosa(n_mels: int) -> None:
    ours = FrontEnd(VARIANTS[f"mel{n_mels}"]).mel
    theirs = librosa.filters.mel(sr=SR, n_fft=2048, n_mels=n_mels, fmin=0.0, fmax=SR / 2, htk=False, norm="slaney")
    assert ours is not None
    assert ours.numpy() == pytest.approx(theirs, abs=1e-9)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("representation", VARIANTS)
def test_network_equals_the_published_definition(representation: str, weights: Path) -> None:
    """One window: half a second of zeros, and half a second of sound."""
    y = sound(0.5)
    model = opened(f"openl3-{representation}-music", weights)
    activations = model.inspect(Clip.from_array("c", y, SR), list(KINDS))
    found = {name: a.values for name, a in activations.items()}
    seen = seen_by(representation, np.pad(y, (SR // 2, 0)))
    maps, embeddings = reference(seen, POOLS[representation])
    assert found["embedding"].shape == (1, 512) and found["embedding_6144"].shape == (1, 6144)
    for name, theirs in zip(("embedding", "embedding_6144"), embeddings, strict=True):
        assert found[name][0] == pytest.approx(theirs, abs=2e-3 * float(np.abs(theirs).max()))
    half = 256 if representation == "linear" else 1024
    for i, theirs in enumerate(maps, 1):
        middle = theirs[:, :, round((SR / 2 - half) / 242) // 2 ** min(i, 3)]
        assert found[f"block_{i}"].shape == (*middle.shape, 1)
        assert found[f"block_{i}"][:, :, 0] == pytest.approx(middle, abs=2e-3 * float(np.abs(theirs).max()))
    # After its middle: ten columns, the nearest to each 5 ms.
    centres = (np.arange(seen.shape[1]) * 242 + half) / SR - 0.5
    assert activations["input"].times == pytest.approx(0.0025 + 0.005 * np.arange(10))
    nearest = [np.abs(centres - t).argmin() for t in activations["input"].times]
    assert found["input"] == pytest.approx(seen[:, nearest], abs=1e-2)


@pytest.mark.skipif(openl3.working_type() is torch.float32, reason="this processor has no bfloat16")
def test_bfloat16_keeps_the_embeddings(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip.from_array("c", sound(0.8), SR)
    fast = opened("openl3-mel128-music", weights).inspect(clip, ["embedding"])["embedding"].values
    monkeypatch.setattr(openl3, "working_type", lambda: torch.float32)
    slow = opened("openl3-mel128-music", weights).inspect(clip, ["embedding"])["embedding"].values
    assert not np.array_equal(fast, slow)
    lengths = np.linalg.norm(fast, axis=1) * np.linalg.norm(slow, axis=1)
    assert ((fast * slow).sum(axis=1) / lengths).min() > 0.9995


@pytest.mark.parametrize("model_id", IDS)
def test_each_variant_opens_and_its_card_is_completed(model_id: str, weights: Path) -> None:
    _, representation, _ = model_id.split("-")
    model = opened(model_id, weights)
    card = model.card
    size = weights.stat().st_size
    assert card == replace(card_of(model_id), layers=tuple(KINDS), emits=tuple(KINDS.values()), size_bytes=size)
    assert (card.id, card.labels, card.sr, card.window_s, card.hop_s) == (model_id, (), SR, 1.0, 0.1)
    assert model.front_end.variant == VARIANTS[representation]


def test_the_official_packed_file_in_its_folder(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "openl3_audio_mel256_env-v0_4_0.h5.gz"
    path.write_bytes(gzip.compress(KERAS_FILE, 1))
    (tmp_path / "readme.txt").write_text("not weights")
    assert weight_files(tmp_path) == weight_files(path) == (path,)
    packed = load(tmp_path, card_of("openl3-mel256-env"))
    plain = opened("openl3-mel256-env", weights)
    assert packed.card.size_bytes == path.stat().st_size
    assert all(torch.equal(a, b) for a, b in zip(packed.net.parameters(), plain.net.parameters(), strict=True))


@pytest.mark.parametrize(
    "options",
    [{"first": 17}, {"kapre": True}, {"whole_model": True}],
    ids=["names numbered otherwise", "with the layer of kapre", "a whole model"],
)
def test_weights_are_matched_by_order(options: dict[str, int], tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "other.h5"
    path.write_bytes(keras_file(WEIGHTS, **options))
    usual = opened("openl3-mel256-env", weights).net.state_dict()
    other = opened("openl3-mel256-env", path).net.state_dict()
    assert usual.keys() == other.keys()
    assert all(torch.equal(usual[name], other[name]) for name in usual)


def of_other_shapes() -> bytes:
    layers = [dict(layer) for layer in WEIGHTS]
    layers[3]["kernel"] = layers[3]["kernel"][..., :32]
    return keras_file(layers)


def without_layers() -> bytes:
    held = io.BytesIO()
    h5py.File(held, "w").close()
    return held.getvalue()


def with_a_group_for_a_weight() -> bytes:
    held = io.BytesIO(KERAS_FILE)
    with h5py.File(held, "r+") as file:
        del file["conv2d_2/conv2d_2/bias:0"]
        file.create_group("conv2d_2/conv2d_2/bias:0")
    return held.getvalue()


WRONG = {
    "cut.h5": lambda: KERAS_FILE[: len(KERAS_FILE) // 2],
    "cut.h5.gz": lambda: gzip.compress(KERAS_FILE[:1_000_000], 1)[:-1000],
    "text.h5": lambda: b"<html>not found</html>",
    "text.h5.gz": lambda: b"<html>not found</html>",
    "nothing.h5": lambda: b"",
    "empty.h5": without_layers,
    "other shapes.h5": of_other_shapes,
    "a group for a weight.h5": with_a_group_for_a_weight,
    "other order.h5": lambda: keras_file([WEIGHTS[1], WEIGHTS[0], *WEIGHTS[2:]]),
    "a layer less.h5": lambda: keras_file(WEIGHTS[:-1]),
    "bomb.h5.gz": lambda: gzip.compress(KERAS_FILE[:100] + bytes(80_000_000), 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gets_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(WRONG[name]())
    with pytest.raises(ModelError, match=r"is damaged or holds something other.*get openl3_audio_mel128_env.*\.$"):
        load(path, card_of("openl3-mel128-env"))


def test_a_file_of_another_variant_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "openl3_audio_mel256_music-v0_4_0.h5"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"by its name, the variant mel256 music: .*\.$"):
        load(path, card_of("openl3-mel128-music"))


def test_a_folder_must_hold_one_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds 0 files .* needs one: openl3_audio_linear_env-v0_4_0\.h5\.gz\.$"):
        load(tmp_path, card_of("openl3-linear-env"))
    (tmp_path / "a.h5").write_bytes(b"")
    (tmp_path / "b.h5").write_bytes(b"")
    with pytest.raises(ModelError, match="holds 2 files"):
        load(tmp_path, card_of("openl3-linear-env"))


@pytest.mark.parametrize("n_samples", [1, 100, 23_999, 24_000, 24_001, 28_800, 28_801, 48_000, 480_000, 1_200_007])
def test_windows_are_those_of_openl3(n_samples: int) -> None:
    """Half a window of zeros before the clip, then as many hops as reach its end; 25 s are several blocks."""
    y = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    padded = np.pad(y, (24_000, 0))
    count = 1 if padded.size <= SR else 1 + int(np.ceil((padded.size - SR) / 4800))
    padded = np.pad(padded, (0, (count - 1) * 4800 + SR - padded.size))
    theirs = np.lib.stride_tricks.sliding_window_view(padded, SR)[::4800]
    ours = np.concatenate(list(openl3.windows_of(Clip.from_array("c", y, SR))))
    assert count == count_windows(n_samples) == len(ours)
    assert np.array_equal(ours, theirs)


def test_windows_of_another_rate_are_of_the_resampled_clip() -> None:
    clip = Clip.from_array("c", sound(21.0, 44100), 44100)
    ours = np.concatenate(list(openl3.windows_of(clip)))
    whole = np.concatenate(list(openl3.windows_of(Clip.from_array("c", resample(clip, SR), SR))))
    assert np.array_equal(ours, whole)


def test_ten_seconds_give_the_published_shapes_and_hop(weights: Path) -> None:
    model = opened("openl3-mel128-music", weights)
    clip = Clip.from_array("c", sound(10.0), SR)
    shares: list[float] = []
    found = model.inspect(clip, ["embedding", "embedding_6144"], shares.append)
    times = np.arange(96) / 10
    for name, size in (("embedding", 512), ("embedding_6144", 6144)):
        assert found[name].values.shape == (96, size)
        assert found[name].dims == ("frame", "unit")
        assert found[name].times == pytest.approx(times)
    assert shares == sorted(shares) and shares[-1] == 1.0
    prediction = model.predict(clip)
    assert prediction.labels == () and prediction.scores.shape == (96, 0)
    assert np.array_equal(prediction.times, found["embedding"].times)
    # 6144 numbers are 4 x 3 places of 512 channels; the largest over the places is the short embedding.
    places = found["embedding_6144"].values.reshape(96, 12, 512)
    assert places.max(axis=1) == pytest.approx(found["embedding"].values)


@pytest.mark.parametrize("sr", [8000, 44100, 48000])
def test_a_click_is_seen_at_its_time(sr: int, weights: Path) -> None:
    """In the layer "input", which runs no network."""
    y = 1e-4 * np.random.default_rng(0).standard_normal(3 * sr)
    y[round(1.2345 * sr)] = 1.0
    model = opened("openl3-linear-env", weights)
    seen = model.inspect(Clip.from_array("c", y, sr), ["input"])["input"]
    assert seen.dims == ("frequency", "frame") and seen.values.shape[0] == 257
    assert seen.times is not None
    assert np.diff(seen.times) == pytest.approx(0.005)
    low = seen.values[5:35].mean(axis=0)
    low[np.abs(seen.times - 1.2345) > 0.4] = -80  # a window that has not heard the click has its own loudest moment
    loud = seen.times[low > low.max() - 5]
    assert loud.mean() == pytest.approx(1.2345, abs=0.004)
    assert np.ptp(loud) < 0.012


@pytest.mark.parametrize("n_samples", [1, 400, 8000])
def test_short_and_silent_clips(n_samples: int, weights: Path) -> None:
    model = opened("openl3-mel128-env", weights)
    found = model.inspect(Clip.from_array("silence", np.zeros(n_samples), 8000), list(KINDS))
    assert tuple(found) == tuple(KINDS)
    assert tuple(a.kind for a in found.values()) == model.card.emits
    assert all(np.isfinite(a.values).all() and a.values.size for a in found.values())
    assert np.all(found["input"].values == 0)  # all alike is all at the maximum


def test_only_what_is_asked_for_is_computed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened("openl3-mel128-env", weights)
    clip = Clip.from_array("c", sound(0.1), SR)
    ran: list[int] = []
    block = model.net.block
    monkeypatch.setattr(model.net, "block", lambda i, x: (ran.append(i), block(i, x))[1])
    assert model.inspect(clip, []) == {}
    assert list(model.inspect(clip, ["input"])) == ["input"]
    model.predict(clip)
    assert ran == []
    assert list(model.inspect(clip, ["block_2", "block_1"])) == ["block_2", "block_1"]
    assert ran == [1, 2]
    with pytest.raises(ModelError, match=r"no layer called dense.*\.$"):
        model.inspect(clip, ["dense"])


def test_cancelling_stops_and_leaves_the_model_sound(weights: Path) -> None:
    model = opened("openl3-mel128-env", weights)
    clip = Clip.from_array("c", sound(0.7), SR)

    def stop(share: float) -> None:
        raise Cancelled("Stopped.")

    for work in (lambda: model.predict(clip, stop), lambda: model.inspect(clip, ["block_1"], stop)):
        with pytest.raises(Cancelled):
            work()
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert not any(module.training for module in model.net.modules())
    first = model.inspect(clip, ["block_1"])["block_1"].values
    assert np.array_equal(model.inspect(clip, ["block_1"])["block_1"].values, first)


def test_the_catalogue_names_the_official_files() -> None:
    found = {model_id: entry for model_id, entry in entries().items() if model_id.startswith("openl3-")}
    assert sorted(found) == sorted(IDS)
    blobs = set()
    for model_id, entry in found.items():
        _, representation, content = model_id.split("-")
        (file,) = entry.files
        name = f"openl3_audio_{representation}_{content}-v0_4_0.h5.gz"
        assert (entry.module, file.name) == ("components.models.openl3", name)
        assert file.url == f"https://github.com/marl/openl3/raw/models/{name}"
        assert len(file.git_blob) == 40
        blobs.add(file.git_blob)
        assert entry.card.labels == () and entry.card.task == "sound embeddings" and entry.card.family == "cnn"
        assert "CC BY 4.0" in entry.card.licence and "Cramer" in entry.card.citation
    assert len(blobs) == 6
