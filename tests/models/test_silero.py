import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from components.audio.transform import resample
from components.models import registry
from components.models.silero import Silero, weight_files
from components.types import Clip

SR = 16000


@pytest.fixture(scope="module")
def model() -> Silero:
    loaded = registry.load("silero-vad")
    assert isinstance(loaded, Silero)
    return loaded


@pytest.fixture(scope="module")
def theirs() -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(weight_files(Path())[0]), map_location="cpu")


def reference(net: torch.jit.ScriptModule, y: np.ndarray) -> np.ndarray:
    """The package's own model, block by block as the package runs it."""
    net.reset_states()
    blocks = torch.from_numpy(np.pad(y, (0, -len(y) % 512))).split(512)
    with torch.no_grad():
        return np.array([net(block, SR).item() for block in blocks])


def sweep(duration_s: float) -> np.ndarray:
    t = np.arange(round(duration_s * SR)) / SR
    noise = np.random.default_rng(0).standard_normal(t.size)
    return (0.3 * np.sin(2 * np.pi * (100 + 40 * t) * t) + 0.01 * noise).astype(np.float32)


def opened(path: Path) -> Clip:
    y, sr = sf.read(path, dtype="float32", always_2d=True)
    return Clip.from_array(path.name, y.mean(axis=1), sr)


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 24_000, 25 * SR + 7])
def test_equals_the_package_on_generated_sound(model: Silero, theirs: torch.jit.ScriptModule, n_samples: int) -> None:
    """25 s are more than one block of the resampler, so the LSTM's state is carried over."""
    y = sweep(26.0)[:n_samples]
    scores = model.predict(Clip.from_array("sweep", y, SR)).scores[:, 0]
    assert scores == pytest.approx(reference(theirs, y), abs=1e-4)


@pytest.mark.data
def test_equals_the_package_on_speech(model: Silero, theirs: torch.jit.ScriptModule, data_dir: Path) -> None:
    files = [data_dir / "librosa" / "198-209-0000.ogg", *sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::100]]
    for path in files:
        y = resample(opened(path), SR)
        scores = model.predict(Clip.from_array(path.name, y, SR)).scores[:, 0]
        assert scores == pytest.approx(reference(theirs, y), abs=1e-4)
        assert scores.max() > 0.9


@pytest.mark.data
def test_tells_speech_from_music(model: Silero, data_dir: Path) -> None:
    def share(name: str) -> float:
        clip = opened(next((data_dir / "librosa").glob(name)))
        return float((model.predict(clip).scores > 0.5).mean())

    assert share("5703-47212-0000.ogg") > 0.8
    assert share("sorohanro*.ogg") < 0.05


@pytest.mark.data
def test_the_figures_on_the_card_are_true(model: Silero, data_dir: Path) -> None:
    """On every eighth recording; the card gives the figures of all."""

    def active(clip: Clip, start: float = 0.0, end: float = np.inf) -> np.ndarray:
        prediction = model.predict(clip)
        return prediction.scores[(prediction.times >= start) & (prediction.times <= end), 0] >= 0.5

    labels = {path.name[:7]: path for path in (data_dir / "emodb" / "lablaut").glob("*.lablaut")}
    sentences = []
    for path in sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::8]:
        # After the head that ends in "#": the end of each phone [s], a colour, the phone.
        _, _, phones = labels[path.stem].read_text("latin1").partition("#\n")
        ends = [float(line.split()[0]) for line in phones.splitlines()]
        sentences.append(active(opened(path), ends[0], ends[-1]))
    assert np.concatenate(sentences).mean() == pytest.approx(0.943, abs=0.02)

    sounds = [active(opened(path)) for path in sorted((data_dir / "esc10").glob("*/*.ogg"))[::8]]
    assert np.concatenate(sounds).mean() == pytest.approx(0.0066, abs=0.006)
    song = next((data_dir / "librosa").glob("Karissa*.ogg"))
    assert active(opened(song)).mean() == pytest.approx(0.22, abs=0.02)


def test_silence_is_no_speech(model: Silero) -> None:
    assert model.predict(Clip.from_array("silence", np.zeros(SR), SR)).scores.max() < 0.1


def test_a_frame_is_the_centre_of_its_block(model: Silero) -> None:
    times = model.predict(Clip.from_array("silence", np.zeros(5 * 512), SR)).times
    assert times == pytest.approx([0.016, 0.048, 0.080, 0.112, 0.144])


def test_gates_and_states_obey_the_formula(model: Silero) -> None:
    clip = Clip.from_array("sweep", sweep(25.0), SR)
    found = {name: a.values for name, a in model.inspect(clip, model.card.layers).items()}
    i, f, g, o = (found[name] for name in ("input_gate", "forget_gate", "cell_candidate", "output_gate"))
    c, h = found["cell_state"], found["hidden_state"]
    assert h.shape == (782, 128)
    assert c[1:] == pytest.approx(f[1:] * c[:-1] + i[1:] * g[1:], abs=1e-5)
    assert c[0] == pytest.approx(i[0] * g[0], abs=1e-6)
    assert h == pytest.approx(o * np.tanh(c), abs=1e-5)
    # The gates themselves: from the encoder's output and the state before, with the network's own weights.
    W, U, b_ih, b_hh = (w.numpy() for w in model.net.lstm.all_weights[0])
    before = np.vstack([np.zeros((1, 128), np.float32), h[:-1]])
    terms = found["encoder"] @ W.T + before @ U.T + b_ih + b_hh
    assert f == pytest.approx(1 / (1 + np.exp(-terms[:, 128:256])), abs=1e-5)
    assert g == pytest.approx(np.tanh(terms[:, 256:384]), abs=1e-5)


def test_what_is_shown_is_what_was_scored(model: Silero) -> None:
    clip = Clip.from_array("sweep", sweep(12.0), SR)
    hidden = model.inspect(clip, ["hidden_state"])["hidden_state"]
    scores = model.net.probability(torch.tensor(hidden.values)).numpy()
    prediction = model.predict(clip)
    assert scores == pytest.approx(prediction.scores, abs=1e-5)
    assert np.array_equal(hidden.times, prediction.times)


def test_loading_imports_neither_the_package_nor_torchaudio_and_takes_one_core() -> None:
    code = (
        "import sys, torch; from components.models import registry; torch.set_num_threads(2);"
        "registry.load('silero-vad');"
        "print(sorted({'silero_vad', 'torchaudio'} & set(sys.modules)), torch.get_num_threads())"
    )
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"
