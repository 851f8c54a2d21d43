import functools
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import ModelError
from components.models import registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of Silero's folder in a place of its own, with nothing kept from before."""
    shutil.copytree(registry.WEIGHTS / "silero-vad", tmp_path / "silero-vad")
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    for function in (registry._shipped_card, registry._load_shipped):
        monkeypatch.setattr(registry, function.__name__, functools.cache(function.__wrapped__))
    return tmp_path


def test_each_card_carries_the_id_of_its_folder() -> None:
    for model_id in registry.MODULES:
        assert registry.card(model_id).id == model_id
        assert (registry.WEIGHTS / model_id / "card.json").is_file()


def test_no_folder_of_weights_is_forgotten() -> None:
    folders = {path.name for path in registry.WEIGHTS.iterdir() if path.is_dir()}
    assert folders <= set(registry.MODULES)


def test_cards_do_not_import_the_heavy_libraries() -> None:
    code = (
        "import sys; from components.models.registry import cards; assert cards();"
        "print(sorted({'torch', 'transformers', 'sklearn', 'librosa', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("ask", [registry.card, registry.load, registry.weights_digest])
def test_an_unknown_id_is_answered_with_near_ones(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(ModelError, match=r"no model 'silero'.*silero-vad\?$"):
        ask("silero")
    with pytest.raises(ModelError, match=r"no model 'xyz'. `python run.py models` lists.*\.$"):
        ask("xyz")


@pytest.mark.parametrize("model_id", ["../weights/silero-vad", "", "/", "silero-vad/"])
def test_an_id_is_never_taken_for_a_path(model_id: str) -> None:
    with pytest.raises(ModelError):
        registry.load(model_id)


def test_a_model_is_loaded_once() -> None:
    assert registry.load("silero-vad") is registry.load("silero-vad")


def test_the_digest_is_of_the_weight_files() -> None:
    for model_id in registry.MODULES:
        data = b"".join(path.read_bytes() for path in registry.weight_files(model_id))
        assert data
        assert registry.weights_digest(model_id) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("damage", ["", "{}", '{"id": 1}', "not json"])
def test_a_damaged_card_is_a_sentence(elsewhere: Path, damage: str) -> None:
    (elsewhere / "silero-vad" / "card.json").write_text(damage)
    for ask in (registry.card, registry.load):
        with pytest.raises(ModelError, match=r"card of silero-vad is missing or damaged: .*\.$"):
            ask("silero-vad")


def test_damaged_weights_are_a_sentence(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.models import silero

    cut = elsewhere / "cut.jit"
    cut.write_bytes(silero.weight_files(elsewhere)[0].read_bytes()[:1000])
    monkeypatch.setattr(silero, "weight_files", lambda folder: (cut,))
    with pytest.raises(ModelError, match=r"weights of silero-vad are missing or damaged: .*\.$"):
        registry.load("silero-vad")


def test_a_missing_package_is_a_sentence(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"silero-vad is not installed.*\.$"):
        registry.load("silero-vad")
