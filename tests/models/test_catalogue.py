import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from components.models import catalogue
from components.models.catalogue import Entry, RemoteFile, entries, read_entry, write_entry

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = list(entries().values())
HUGGING_FACE = [entry for entry in ENTRIES if entry.repo]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.card.id)
def test_each_card_says_what_a_user_must_know(entry: Entry) -> None:
    card = entry.card
    assert (catalogue.FOLDER / f"{card.id}.json").is_file()
    assert card.source == "download"
    assert card.title and card.summary.endswith(".") and card.licence and card.citation and card.training_data
    assert card.caveats and all(caveat.endswith(".") for caveat in card.caveats)
    assert card.published == () or all(sentence.endswith(".") for sentence in card.published)
    assert card.size_bytes > 1_000_000
    assert urlsplit(card.homepage).scheme == "https"
    assert (ROOT / (entry.module.replace(".", "/") + ".py")).is_file() or entry.module == catalogue.HUGGING_FACE


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.card.id)
def test_each_download_is_pinned_and_encrypted(entry: Entry) -> None:
    assert bool(entry.files) != bool(entry.repo)
    for file in entry.files:
        assert urlsplit(file.url).scheme == "https"
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) or re.fullmatch(r"[0-9a-f]{40}", file.git_blob)
        assert Path(file.name).name == file.name
    if entry.repo:
        assert re.fullmatch(r"[0-9a-f]{40}|", entry.revision)
        assert entry.card.revision == entry.revision


def test_a_pickle_is_trusted_only_at_a_pinned_revision() -> None:
    for entry in ENTRIES:
        assert not entry.trust_bin or len(entry.revision) == 40


def test_there_are_the_systems_that_everybody_names() -> None:
    assert len(ENTRIES) >= 12
    repos = {entry.repo for entry in HUGGING_FACE}
    for name in ("wav2vec2-base-960h", "hubert-base-superb-er", "ast-finetuned-audioset", "whisper-tiny", "clap-htsat"):
        assert any(name in repo for repo in repos)
    assert len(repos) == len(HUGGING_FACE) >= 12


def test_emotion_is_called_acted() -> None:
    for entry in ENTRIES:
        if "emotion" in entry.card.id:
            assert entry.card.caveats[0].startswith("Acted")
            assert "acted" in entry.card.summary.lower()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    for entry in ENTRIES:
        write_entry(tmp_path / "entry.json", entry)
        assert read_entry(tmp_path / "entry.json") == entry


def test_a_file_without_a_hash_is_no_entry() -> None:
    with pytest.raises(ValueError, match="no hash"):
        RemoteFile("weights.h5", "https://example.org/weights.h5", 12)


def test_the_catalogue_is_read_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from components.models import hub; assert hub.all_entries();"
        "heavy = {'torch', 'transformers', 'h5py', 'huggingface_hub', 'httpx2', 'platformdirs', 'filelock'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
