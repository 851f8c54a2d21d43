import errno
import hashlib
import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from components.errors import Cancelled, ModelError
from components.models import catalogue, fetch, hf, hub, registry
from components.models.catalogue import Entry, RemoteFile
from components.types import Clip, ModelCard
from tests.hub_server import HubServer, serving
from tests.tiny_checkpoints import as_bin, wav2vec2_ctc, wav2vec2_encoder

MODEL = "made-up"
REPO = "somebody/a-model"
NAME = "made-up.h5"
WEIGHTS = bytes(range(256)) * 1200
DESCRIBE = hf.describe
CONFIG = {"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"]}
CARD = ModelCard(
    id=MODEL,
    title="Made Up",
    summary="A model of the tests.",
    family="cnn",
    task="tests",
    labels=(),
    sr=16000,
    window_s=1.0,
    hop_s=0.5,
    layers=(),
    emits=(),
    source="download",
    size_bytes=len(WEIGHTS),
    licence="none",
    citation="none",
    training_data="none",
    held_out=(),
    caveats=("It hears nothing.",),
    revision="v1",
)


def git_blob(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def opened(path: Path, card: ModelCard, **options: object) -> SimpleNamespace:
    """Stands in for a module's `load`: reads the weights, completes the card."""
    data = b"".join(file.read_bytes() for file in weight_files(path))
    if data[:1] != WEIGHTS[:1]:
        raise ValueError("traceback material")
    return SimpleNamespace(card=replace(card, labels=("a", "b")), options=options, path=path)


def weight_files(path: Path) -> tuple[Path, ...]:
    suffixes = (".h5", ".tflite", ".safetensors", ".bin")
    return (path,) if path.is_file() else tuple(sorted(file for file in path.iterdir() if file.suffix in suffixes))


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: HubServer) -> Path:
    """A folder for models and a hub of its own for each test; nothing of this machine's settings."""
    monkeypatch.setenv("OTOSCOPE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setitem(sys.modules, "made_up", SimpleNamespace(load=opened, weight_files=weight_files))
    return tmp_path


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, server: HubServer) -> Entry:
    """A model of one plain file, as the catalogue names it."""
    server.plain[f"/files/{NAME}"] = WEIGHTS
    file = RemoteFile(NAME, f"{server.url}/files/{NAME}", len(WEIGHTS), git_blob=git_blob(WEIGHTS))
    return offer(monkeypatch, Entry(card=CARD, module="made_up", files=(file,)))


def offer(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> Entry:
    monkeypatch.setattr(hub, "entries", lambda: {MODEL: entry})
    return entry


@pytest.fixture
def offer_repo(monkeypatch: pytest.MonkeyPatch, server: HubServer) -> Callable[..., str]:
    """Puts a repository on the hub and into the catalogue, opened without PyTorch; gives its revision."""
    monkeypatch.setattr(hf, "load", opened, raising=False)
    monkeypatch.setattr(hf, "weight_files", weight_files, raising=False)
    monkeypatch.setattr(hf, "describe", lambda folder, *, id: replace(CARD, id=id), raising=False)

    def offer_it(files: dict[str, bytes], config: dict[str, object] = CONFIG, **fields: object) -> str:
        revision = server.add(REPO, {"config.json": json.dumps(config).encode(), **files})
        pinned = {"revision": revision, **fields}
        offer(monkeypatch, Entry(card=CARD, module=catalogue.HUGGING_FACE, repo=REPO, **pinned))
        return revision

    return offer_it


def test_a_download_tells_how_far_it_is_and_is_ready_at_the_end(entry: Entry, server: HubServer) -> None:
    assert (hub.state(MODEL), hub.have_bytes(MODEL)) == ("missing", 0)
    shares: list[float] = []
    path = hub.download(MODEL, shares.append)
    assert (path / NAME).read_bytes() == WEIGHTS
    assert [file.name for file in path.iterdir()] == [NAME]
    assert shares == sorted(shares) and len(shares) > 3 and shares[-1] == 1.0 and max(shares[:-1]) < 1.0
    assert hub.state(MODEL) == registry.state(MODEL) == "ready"
    assert registry.card(MODEL).labels == ("a", "b")
    assert registry.card(MODEL) in registry.cards()
    hub.download(MODEL)
    assert len(server.requests) == 1


def test_nothing_is_sent_but_the_name_of_the_file(entry: Entry, server: HubServer) -> None:
    hub.download(MODEL)
    (request,) = server.requests
    assert set(request.headers) <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert request.headers["user-agent"] == "otoscope"


def test_models_are_kept_where_only_the_user_looks(place: Path) -> None:
    folder = hub.models_folder()
    assert folder == place / "models"
    if os.name != "nt":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_setting_models_lie_in_the_users_own_data(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.delenv("OTOSCOPE_MODELS")
    monkeypatch.setattr("platformdirs.user_data_path", lambda *names, **options: place.joinpath(*names))
    assert hub.models_folder() == place / "otoscope" / "models"


def test_after_an_interruption_it_goes_on_where_it_stopped(entry: Entry, server: HubServer) -> None:
    server.cut[NAME] = 100_000
    with pytest.raises(ModelError, match=r"Made Up broke off.*press again; it goes on where it stopped.*\.$"):
        hub.download(MODEL)
    assert (hub.state(MODEL), hub.have_bytes(MODEL)) == ("partial", 100_000)
    with pytest.raises(ModelError, match="not on this machine yet"):
        hub.load(MODEL)
    shares: list[float] = []
    path = hub.download(MODEL, shares.append)
    assert (path / NAME).read_bytes() == WEIGHTS
    assert server.requests[-1].headers["range"] == "bytes=100000-"
    assert server.sent[NAME] == len(WEIGHTS)
    assert shares[0] > 100_000 / len(WEIGHTS)


def test_where_a_server_cannot_go_on_it_starts_again(entry: Entry, server: HubServer) -> None:
    server.cut[NAME] = 100_000
    with pytest.raises(ModelError):
        hub.download(MODEL)
    server.ranges = False
    assert (hub.download(MODEL) / NAME).read_bytes() == WEIGHTS


@pytest.mark.parametrize("size", [len(WEIGHTS), None])
def test_a_part_that_is_whole_is_only_checked(
    entry: Entry, server: HubServer, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    offer(monkeypatch, replace(entry, files=(replace(entry.files[0], size=size),)))
    server.cut[NAME] = 1000
    with pytest.raises(ModelError):
        hub.download(MODEL)
    (part,) = hub.weights_path(MODEL).glob("*.part")
    part.write_bytes(WEIGHTS)
    hub.download(MODEL)
    assert hub.state(MODEL) == "ready"
    assert server.sent[NAME] == 1000


def test_a_size_that_nobody_knows_before_is_no_hindrance(
    entry: Entry, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, replace(entry, files=(replace(entry.files[0], size=None),)))
    server.cut[NAME] = 1000
    with pytest.raises(ModelError, match="broke off"):
        hub.download(MODEL)
    shares: list[float] = []
    hub.download(MODEL, shares.append)
    assert shares[0] < 0.9 and shares[-1] == 1.0
    assert server.sent[NAME] == len(WEIGHTS)


def test_a_wrong_hash_is_refused_and_nothing_of_it_kept(entry: Entry, server: HubServer) -> None:
    server.wrong = {NAME}
    with pytest.raises(ModelError, match=r"made-up.h5 of Made Up did not arrive as it was published.*\.$"):
        hub.download(MODEL)
    assert (hub.state(MODEL), hub.have_bytes(MODEL)) == ("missing", 0)
    server.wrong = set()
    hub.download(MODEL)
    assert hub.state(MODEL) == "ready"


@pytest.mark.parametrize("sent", [WEIGHTS[:-1000], WEIGHTS + WEIGHTS])
def test_a_file_of_another_size_is_refused(entry: Entry, server: HubServer, sent: bytes) -> None:
    server.plain[f"/files/{NAME}"] = sent
    with pytest.raises(ModelError, match="did not arrive as it was published"):
        hub.download(MODEL)
    assert hub.state(MODEL) == "missing"


@pytest.mark.parametrize("more", [-1000, 1000])
def test_the_hash_decides_and_not_the_size(entry: Entry, monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    offer(monkeypatch, replace(entry, files=(replace(entry.files[0], size=len(WEIGHTS) + more),)))
    hub.download(MODEL)
    assert hub.state(MODEL) == "ready"


def test_a_damaged_part_from_before_is_found_out(entry: Entry, server: HubServer) -> None:
    server.cut[NAME] = 1000
    with pytest.raises(ModelError):
        hub.download(MODEL)
    (part,) = hub.weights_path(MODEL).glob("*.part")
    part.write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="thrown away"):
        hub.download(MODEL)
    hub.download(MODEL)
    assert hub.state(MODEL) == "ready"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "people who have an account"),
        (403, "people who have an account"),
        (404, "has no Made Up"),
        (429, "too many requests"),
        (500, "trouble of its own"),
        (503, "trouble of its own"),
    ],
)
def test_a_refusal_is_one_sentence(entry: Entry, server: HubServer, status: int, words: str) -> None:
    server.status[NAME] = status
    with pytest.raises(ModelError, match=rf"{words}.*\.$"):
        hub.download(MODEL)
    assert hub.state(MODEL) == "missing"


def test_no_network_is_one_sentence_with_a_way_on(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, replace(entry, files=(replace(entry.files[0], url="http://127.0.0.1:9/made-up.h5"),)))
    with pytest.raises(ModelError, match=r"could not be started.*check the internet.*use a folder instead.*\.$"):
        hub.download(MODEL)


def test_a_server_that_falls_silent_is_given_up(
    entry: Entry, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.1)
    server.pause_s = 0.5
    with pytest.raises(ModelError, match="broke off"):
        hub.download(MODEL)
    assert 0 < hub.have_bytes(MODEL) < len(WEIGHTS)


@pytest.mark.parametrize("url", ["http://example.org/made-up.h5", "ftp://example.org/made-up.h5", "file:///etc/hosts"])
def test_nothing_is_fetched_without_encryption(entry: Entry, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    offer(monkeypatch, replace(entry, files=(replace(entry.files[0], url=url),)))
    with pytest.raises(ModelError, match=r"without encryption.*\.$"):
        hub.download(MODEL)


def test_a_server_cannot_send_us_on_to_an_unencrypted_place(entry: Entry, server: HubServer) -> None:
    server.moved[f"/files/{NAME}"] = "http://example.org/made-up.h5"
    with pytest.raises(ModelError, match=r"example.org .*without encryption.*\.$"):
        hub.download(MODEL)


def test_cancelling_keeps_what_arrived(entry: Entry, server: HubServer) -> None:
    def stop(share: float) -> None:
        if share > 0.3:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        hub.download(MODEL, stop)
    have = hub.have_bytes(MODEL)
    assert hub.state(MODEL) == "partial" and have > 0.3 * len(WEIGHTS)
    hub.download(MODEL)
    assert server.requests[-1].headers["range"] == f"bytes={have}-"


def test_two_at_once_do_not_disturb_each_other(entry: Entry, server: HubServer) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def wait(share: float) -> None:
        arrived.set()
        go_on.wait(10)

    first = threading.Thread(target=hub.download, args=(MODEL, wait))
    first.start()
    assert arrived.wait(10)
    for ask in (hub.download, hub.remove, lambda model_id: hub.use_folder(model_id, Path())):
        with pytest.raises(ModelError, match=r"in another window.*\.$"):
            ask(MODEL)
    go_on.set()
    first.join()
    assert hub.state(MODEL) == "ready"
    assert server.sent[NAME] == len(WEIGHTS)


def test_a_full_disk_is_said_before_and_during(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
        with pytest.raises(ModelError, match=r"no room for Made Up: it needs 307.2 kB more, and 1.0 MB are free.*\.$"):
            hub.download(MODEL)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_stream", full)
        with pytest.raises(ModelError, match=r"disk is full.*\.$"):
            hub.download(MODEL)


def test_a_folder_that_cannot_be_written_is_a_sentence(
    entry: Entry, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "a file").touch()
    monkeypatch.setenv("OTOSCOPE_MODELS", str(place / "a file"))
    assert hub.state(MODEL) == "missing"
    with pytest.raises(ModelError, match=r"folder for models cannot be written.*\.$"):
        hub.download(MODEL)


def test_half_an_installation_never_counts(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, card: ModelCard) -> None:
        raise ValueError("traceback material")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["made_up"], "load", broken)
        with pytest.raises(ModelError, match=r"weights of Made Up in made-up cannot be opened \(ValueError\).*\.$"):
            hub.download(MODEL)
    assert hub.state(MODEL) == "partial"
    hub.download(MODEL)
    assert hub.state(MODEL) == "ready"


def test_it_loads_without_the_network_once_it_is_here(entry: Entry, server: HubServer) -> None:
    hub.download(MODEL)
    server.requests.clear()
    model = registry.load(MODEL)
    assert model is registry.load(MODEL)
    assert model.card == registry.card(MODEL)
    assert registry.weight_files(MODEL) == (hub.weights_path(MODEL) / NAME,)
    assert registry.weights_digest(MODEL) == hashlib.sha256(WEIGHTS).hexdigest()
    assert not server.requests


def test_removing_deletes_it_and_what_was_loaded(entry: Entry) -> None:
    hub.download(MODEL)
    before = registry.load(MODEL)
    home = hub.weights_path(MODEL).parent
    hub.remove(MODEL)
    assert not home.exists()
    assert registry.state(MODEL) == "missing"
    assert registry.card(MODEL) == CARD
    with pytest.raises(ModelError, match=r"not on this machine yet: get it \(307.2 kB\).*run.py download made-up`\.$"):
        registry.load(MODEL)
    hub.remove(MODEL)
    hub.download(MODEL)
    assert registry.load(MODEL) is not before


def test_a_part_can_be_removed(entry: Entry, server: HubServer) -> None:
    server.cut[NAME] = 1000
    with pytest.raises(ModelError):
        hub.download(MODEL)
    hub.remove(MODEL)
    assert (hub.state(MODEL), hub.have_bytes(MODEL)) == ("missing", 0)


def test_a_folder_of_the_users_is_used_where_it_is(entry: Entry, server: HubServer, place: Path) -> None:
    mine = place / "mine"
    mine.mkdir()
    (mine / NAME).write_bytes(WEIGHTS)
    assert hub.use_folder(MODEL, mine) == mine == hub.weights_path(MODEL)
    assert registry.state(MODEL) == "ready"
    assert registry.load(MODEL).path == mine
    assert registry.weights_digest(MODEL) == hashlib.sha256(WEIGHTS).hexdigest()
    hub.remove(MODEL)
    assert (mine / NAME).read_bytes() == WEIGHTS
    assert registry.state(MODEL) == "missing"
    hub.use_folder(MODEL, mine / NAME)
    assert registry.load(MODEL).path == mine / NAME
    assert registry.card(MODEL).revision == CARD.revision == "v1"
    assert not server.requests


def test_a_folder_that_is_gone_is_said(entry: Entry, place: Path) -> None:
    (place / NAME).write_bytes(WEIGHTS)
    hub.use_folder(MODEL, place / NAME)
    (place / NAME).unlink()
    assert registry.state(MODEL) == "missing"
    with pytest.raises(ModelError, match=r"made-up.h5, is not there any more.*\.$"):
        registry.load(MODEL)


def test_a_folder_is_checked_before_it_is_used(entry: Entry, place: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no file or folder nowhere.*\.$"):
        hub.use_folder(MODEL, place / "nowhere")
    (place / NAME).write_bytes(WEIGHTS + b"more")
    with pytest.raises(ModelError, match=r"made-up.h5 is not the published file.*\.$"):
        hub.use_folder(MODEL, place / NAME)
    (place / "mine.tflite").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"cannot be opened \(ValueError\).*\.$"):
        hub.use_folder(MODEL, place / "mine.tflite")
    assert hub.state(MODEL) == "missing"


def test_weights_can_be_lent_for_once(entry: Entry, place: Path) -> None:
    (place / "mine.tflite").write_bytes(WEIGHTS)
    model = registry.load_from(MODEL, place / "mine.tflite")
    assert model.card.size_bytes == len(WEIGHTS)
    assert model.card.revision == "brought by you: its version was not checked"
    assert registry.state(MODEL) == "missing"
    assert registry.weights_digest(MODEL, place / "mine.tflite") == hashlib.sha256(WEIGHTS).hexdigest()


def test_of_a_repository_only_what_is_needed_is_fetched(offer_repo: Callable[..., str], server: HubServer) -> None:
    needed = {"config.json", "vocab.json", fetch.SAFETENSORS}
    others = ("pytorch_model.bin", "training_args.bin", "model.h5", "flax_model.msgpack", "run.py", "README.md",
              "scheduler.pt", "tf_model.h5", "onnx.onnx")  # fmt: skip
    revision = offer_repo({fetch.SAFETENSORS: WEIGHTS, "vocab.json": b"{}"} | dict.fromkeys(others, b"evil"))
    path = hub.download(MODEL)
    assert {file.name for file in path.iterdir()} == needed
    assert {request.path.rsplit("/", 1)[-1] for request in server.requests[1:]} == needed
    assert registry.card(MODEL).revision == revision
    for request in server.requests:
        assert request.headers["user-agent"] == "otoscope"
        assert not {"authorization", "cookie"} & set(request.headers)
        assert "hf_secret" not in str(request)


def test_weights_in_pieces_are_fetched_with_their_index(offer_repo: Callable[..., str]) -> None:
    shards = {f"model-0000{k}-of-00002.safetensors": WEIGHTS for k in (1, 2)}
    offer_repo({fetch.SAFETENSORS_INDEX: b"{}", **shards})
    path = hub.download(MODEL)
    assert {file.name for file in path.iterdir()} == {"config.json", fetch.SAFETENSORS_INDEX, *shards}


def test_a_repository_goes_on_where_it_stopped_at_the_same_revision(
    offer_repo: Callable[..., str], server: HubServer
) -> None:
    first = offer_repo({fetch.SAFETENSORS: WEIGHTS}, revision="")
    server.cut[fetch.SAFETENSORS] = 100_000
    with pytest.raises(ModelError, match="broke off"):
        hub.download(MODEL)
    assert hub.have_bytes(MODEL) == 100_000 + len(json.dumps(CONFIG))
    server.add(REPO, {"config.json": b"{}", fetch.SAFETENSORS: WEIGHTS[::-1]})
    path = hub.download(MODEL)
    assert (path / fetch.SAFETENSORS).read_bytes() == WEIGHTS
    assert server.sent[fetch.SAFETENSORS] == len(WEIGHTS)
    assert registry.card(MODEL).revision == f"{first} (pinned at the first download)"


def test_a_part_of_another_version_is_not_gone_on_with(offer_repo: Callable[..., str], server: HubServer) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS[::-1]})
    server.cut[fetch.SAFETENSORS] = 1000
    with pytest.raises(ModelError):
        hub.download(MODEL)
    revision = offer_repo({fetch.SAFETENSORS: WEIGHTS})
    path = hub.download(MODEL)
    assert (path / fetch.SAFETENSORS).read_bytes() == WEIGHTS
    assert registry.card(MODEL).revision == revision


def test_a_short_revision_stands_for_the_full_one(offer_repo: Callable[..., str], server: HubServer) -> None:
    revision = offer_repo({fetch.SAFETENSORS: WEIGHTS})
    offer_repo({fetch.SAFETENSORS: WEIGHTS}, revision=revision[:7])
    hub.download(MODEL)
    assert registry.card(MODEL).revision == revision


def test_a_revision_that_is_not_there_is_a_sentence(offer_repo: Callable[..., str]) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS}, revision="f" * 40)
    with pytest.raises(ModelError, match=r"not this version of it.*\.$"):
        hub.download(MODEL)


def test_a_pickle_is_fetched_only_when_trusted_and_pinned(offer_repo: Callable[..., str], server: HubServer) -> None:
    revision = offer_repo({fetch.PICKLED: WEIGHTS})
    for fields in ({}, {"trust_bin": True, "revision": ""}):
        offer_repo({fetch.PICKLED: WEIGHTS}, **fields)
        with pytest.raises(ModelError, match=r"only as a Python pickle.*\.$"):
            hub.download(MODEL)
    assert not server.asked(fetch.PICKLED)
    offer_repo({fetch.PICKLED: WEIGHTS}, trust_bin=True, revision=revision)
    path = hub.download(MODEL)
    assert (path / fetch.PICKLED).read_bytes() == WEIGHTS
    assert registry.load(MODEL).options == {"trust_bin": True}
    offer_repo({fetch.PICKLED: WEIGHTS}, trust_bin=False, revision=revision)
    assert hub.load(MODEL).options == {}


def test_trust_ends_where_the_user_brings_the_file(offer_repo: Callable[..., str], place: Path) -> None:
    offer_repo({fetch.PICKLED: WEIGHTS}, trust_bin=True)
    (place / fetch.PICKLED).write_bytes(WEIGHTS)
    hub.use_folder(MODEL, place)
    assert registry.load(MODEL).options == {}
    assert registry.card(MODEL).revision == "brought by you: its version was not checked"


def test_safetensors_come_before_a_trusted_pickle(offer_repo: Callable[..., str], server: HubServer) -> None:
    offer_repo({fetch.PICKLED: WEIGHTS, fetch.SAFETENSORS: WEIGHTS}, trust_bin=True)
    hub.download(MODEL)
    assert not server.asked(fetch.PICKLED)
    assert registry.load(MODEL).options == {}


@pytest.mark.parametrize("name", ["model.pt", "weights.pkl", "last.ckpt", "pytorch_model-00001-of-00002.bin"])
def test_any_other_pickle_is_refused(offer_repo: Callable[..., str], server: HubServer, name: str) -> None:
    offer_repo({name: WEIGHTS}, trust_bin=True)
    with pytest.raises(ModelError, match=r"Python pickle, a format that can run any program.*\.$"):
        hub.download(MODEL)
    assert not server.asked(name)


def test_a_repository_without_weights_is_refused(offer_repo: Callable[..., str]) -> None:
    offer_repo({"model.onnx": WEIGHTS})
    with pytest.raises(ModelError, match=r"no weights in the safetensors format.*\.$"):
        hub.download(MODEL)


def test_code_of_others_is_refused_before_the_weights_are_fetched(
    offer_repo: Callable[..., str], server: HubServer
) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS}, config=CONFIG | {"auto_map": {"AutoModel": "run.Model"}})
    with pytest.raises(ModelError, match=r"a program of its own.*auto_map in config.json.*\.$"):
        hub.download(MODEL)
    assert not server.asked(fetch.SAFETENSORS)


def test_a_gated_model_is_a_sentence(offer_repo: Callable[..., str], server: HubServer) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS})
    server.status["config.json"] = 401
    with pytest.raises(ModelError, match=r"only to people who have an account.*use a folder instead.*\.$"):
        hub.download(MODEL)
    server.status, server.error_code = {"api": 403}, "GatedRepo"
    hub.remove(MODEL)
    with pytest.raises(ModelError, match=r"only to people who have an account.*\.$"):
        hub.download(MODEL)


def test_a_hub_in_trouble_is_a_sentence(offer_repo: Callable[..., str], server: HubServer) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS})
    server.status["api"] = 500
    with pytest.raises(ModelError, match=r"trouble of its own \(status 500\).*\.$"):
        hub.download(MODEL)


def test_a_hub_out_of_reach_is_a_sentence(offer_repo: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"could not be started.*use a folder instead.*\.$"):
        hub.download(MODEL)
    monkeypatch.setenv("HF_ENDPOINT", "http://example.org")
    with pytest.raises(ModelError, match=r"example.org .*without encryption.*\.$"):
        hub.download(MODEL)


def test_a_machine_set_to_stay_offline_is_a_sentence(
    offer_repo: Callable[..., str], server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*\.$"):
        hub.download(MODEL)
    assert not server.requests


def test_any_model_of_the_hub_can_be_added(offer_repo: Callable[..., str], server: HubServer) -> None:
    offer_repo({})
    repo = "else/other.model"
    server.card_data = {"license": "mit", "language": ["de", "en"]}
    revision = server.add(repo, {"config.json": json.dumps(CONFIG).encode(), fetch.SAFETENSORS: WEIGHTS})
    shares: list[float] = []
    card = hub.add(f" https://huggingface.co/{repo} ", shares.append)
    assert (card.id, card.title, card.licence, card.languages) == ("hf--else--other.model", repo, "mit", ("de", "en"))
    assert card.revision == f"{revision} (pinned at the first download)"
    assert card.labels == ("a", "b")
    assert shares[-1] == 1.0
    assert card == registry.card(card.id) == registry.cards()[-1]
    assert registry.load(card.id).card == card
    server.add(repo, {"config.json": b"{}"})
    server.requests.clear()
    assert hub.add(repo) == card
    assert not server.requests
    hub.remove(card.id)
    assert card.id not in [known.id for known in registry.cards()]


def test_adding_goes_on_where_it_stopped(offer_repo: Callable[..., str], server: HubServer) -> None:
    offer_repo({})
    server.add("else/other", {"config.json": json.dumps(CONFIG).encode(), fetch.SAFETENSORS: WEIGHTS})
    server.cut[fetch.SAFETENSORS] = 100_000
    with pytest.raises(ModelError, match="broke off"):
        hub.add("else/other")
    assert registry.state("hf--else--other") == "partial"
    assert registry.card("hf--else--other").size_bytes == len(WEIGHTS) + len(json.dumps(CONFIG))
    hub.add("else/other")
    assert server.sent[fetch.SAFETENSORS] == len(WEIGHTS)


def test_adding_a_model_of_the_catalogue_downloads_that(offer_repo: Callable[..., str]) -> None:
    offer_repo({fetch.SAFETENSORS: WEIGHTS})
    assert hub.add(REPO.upper()).id == MODEL
    assert hub.state(MODEL) == "ready"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "BertModel"),
        (CONFIG | {"auto_map": {}}, "auto_map"),
    ],
)
def test_what_is_no_audio_model_is_refused_before_its_weights(
    offer_repo: Callable[..., str],
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, object],
    words: str,
) -> None:
    offer_repo({})
    monkeypatch.setattr(hf, "describe", DESCRIBE)
    server.add("else/other", {"config.json": json.dumps(config).encode(), fetch.SAFETENSORS: WEIGHTS})
    with pytest.raises(ModelError, match=rf"{words}.*\.$"):
        hub.add("else/other")
    assert not server.asked(fetch.SAFETENSORS)
    assert [card.id for card in registry.cards()][-1] == MODEL


def test_a_folder_can_be_added(offer_repo: Callable[..., str], place: Path) -> None:
    offer_repo({})
    mine = place / "My model, no. 1"
    mine.mkdir()
    (mine / fetch.SAFETENSORS).write_bytes(WEIGHTS)
    card = hub.add(str(mine))
    assert card.id.startswith("folder--My-model-no.-1-")
    assert registry.load(card.id).path == mine
    assert hub.add(str(mine)) == card
    assert hub.host(card.id) == ""
    hub.remove(card.id)
    assert (mine / fetch.SAFETENSORS).is_file()
    assert card.id not in [known.id for known in registry.cards()]


@pytest.mark.parametrize("name", ["", "nothing", "a/b/c", "../x/y", "https://example.org/a/b", "own er/name"])
def test_a_name_that_names_nothing_is_a_sentence(name: str) -> None:
    with pytest.raises(ModelError, match=r"neither a folder.*nor a model's id.*\.$"):
        hub.add(name)


def test_a_repository_that_is_not_there_is_a_sentence(server: HubServer) -> None:
    with pytest.raises(ModelError, match=r"has no no/body.*\.$"):
        hub.add("no/body")


@pytest.mark.parametrize("model_id", ["../made-up", "", "/", "a/b", ".made-up", "silero-vad", "nothing"])
@pytest.mark.parametrize("ask", [hub.download, hub.load, hub.card, lambda model_id: hub.use_folder(model_id, Path())])
def test_an_id_is_never_taken_for_a_path(model_id: str, ask: Callable[[str], object]) -> None:
    with pytest.raises(ModelError, match=r"There is no model .* to download"):
        ask(model_id)


def test_where_a_model_comes_from_can_be_told(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.host(MODEL) == "127.0.0.1"
    offer(monkeypatch, replace(entry, files=(), repo=REPO))
    monkeypatch.delenv("HF_ENDPOINT")
    assert hub.host(MODEL) == "huggingface.co"


def test_a_real_checkpoint_from_the_hub_to_the_transcript(tmp_path: Path, server: HubServer) -> None:
    """Added by its name, with PyTorch's own loading; afterwards the hub is not needed any more."""
    server.add("some/speech", wav2vec2_ctc(tmp_path / "tiny"))
    card = hub.add("some/speech")
    assert card.task == "speech to text" and card.labels and card.layers
    server.requests.clear()
    clip = Clip.from_array("noise", np.random.default_rng(0).standard_normal(16000) / 10, 16000)
    model = registry.load(card.id)
    assert model.card == registry.card(card.id)
    assert model.predict(clip).labels == card.labels
    assert card.size_bytes == sum(path.stat().st_size for path in registry.weight_files(card.id))
    assert not server.requests


def test_a_real_pickle_needs_trust(tmp_path: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = as_bin(wav2vec2_encoder(tmp_path / "tiny"))
    revision = server.add(REPO, folder)
    trusted = Entry(card=CARD, module=catalogue.HUGGING_FACE, repo=REPO, revision=revision, trust_bin=True)
    offer(monkeypatch, trusted)
    with pytest.raises(ModelError, match=r"pytorch_model.bin.*\.$"):
        hub.use_folder(MODEL, folder)
    hub.download(MODEL)
    assert registry.load(MODEL).card.layers


@pytest.mark.parametrize("name", ["installed.json", "card.json"])
def test_damaged_notes_of_our_own_hide_no_model(entry: Entry, name: str) -> None:
    path = hub.download(MODEL)
    (path.parent / name).write_text("{")
    assert registry.card(MODEL).title == "Made Up"
    assert registry.load(MODEL).card.labels == ("a", "b")
    assert registry.card(MODEL).labels == ("a", "b")
