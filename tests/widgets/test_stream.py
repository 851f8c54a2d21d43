"""Sounds from the disk: the part that is asked for, to those who know the address, as long as the session lives."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.widgets.stream import GONE, ROUTES, Shelf

ROOT = Path(__file__).resolve().parents[2]
DATA = bytes(range(256)) * 4000


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=ROUTES)) as client:
        yield client


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Interview with Ms Secret.mp3"
    path.write_bytes(DATA)
    return path


def test_the_whole_file_with_its_type_and_without_its_name(client, shelf, path):
    answer = client.get(shelf.url(path, "audio/mpeg"))
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "inline"
    assert "access-control-allow-origin" not in answer.headers
    assert "Secret" not in str(answer.headers)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("0-99", 0, 100), ("700000-", 700_000, len(DATA)), ("-5", len(DATA) - 5, len(DATA))],
)
def test_a_part_of_it(client, shelf, path, asked, start, stop):
    answer = client.get(shelf.url(path, "audio/mpeg"), headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == DATA[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert int(answer.headers["content-length"]) == stop - start


def test_several_parts_at_once(client, shelf, path):
    answer = client.get(shelf.url(path, "audio/mpeg"), headers={"Range": "bytes=10-19,500000-500009"})
    assert answer.status_code == 206
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + answer.content).get_payload()
    assert [part["Content-Range"] for part in parts] == [
        f"bytes 10-19/{len(DATA)}",
        f"bytes 500000-500009/{len(DATA)}",
    ]
    assert DATA[10:20] in answer.content
    assert DATA[500_000:500_010] in answer.content


def test_a_part_beyond_the_end_is_refused_and_head_sends_no_sound(client, shelf, path):
    url = shelf.url(path, "audio/mpeg")
    assert client.get(url, headers={"Range": f"bytes={len(DATA)}-"}).status_code == 416
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(DATA)
    assert client.post(url).status_code == 405


def test_an_address_is_steady_unguessable_and_a_sessions_own(shelf, path, tmp_path):
    first = shelf.url(path, "audio/mpeg")
    assert shelf.url(path, "audio/mpeg") == first
    other = Shelf()
    urls = {first, other.url(path, "audio/mpeg"), shelf.url(tmp_path / "b", "audio/wav")}
    other.close()
    assert len(urls) == 3
    for url in urls:
        assert url.startswith("sound/")  # relative: resolves beside every page of the app
        assert len(url) >= 6 + 43  # 256 bits
        assert "Secret" not in url


def test_what_is_forgotten_closed_unknown_or_deleted_is_gone(client, path, tmp_path):
    shelf, other = Shelf(), Shelf()
    second = tmp_path / "second"
    second.write_bytes(b"x")
    urls = [shelf.url(path, "audio/mpeg"), shelf.url(second, "audio/wav"), other.url(path, "audio/mpeg")]
    assert [client.get(url).status_code for url in urls] == [200, 200, 200]
    shelf.forget(path)
    shelf.forget(path)
    assert [client.get(url).status_code for url in urls] == [404, 200, 200]
    assert shelf.url(path, "audio/mpeg") != urls[0]
    shelf.close()
    assert [client.get(url).status_code for url in urls] == [404, 404, 200]
    path.unlink()
    for url in (urls[2], "sound/guess"):
        answer = client.get(url)
        assert (answer.status_code, answer.text) == (404, GONE)
        assert answer.headers["cache-control"] == "no-store"
    other.close()


def test_an_app_below_a_path_of_its_own(client, shelf, path):
    assert client.get(f"/lab/otoscope/{shelf.url(path, 'audio/mpeg')}").content == DATA


def test_many_threads_share_a_shelf(shelf, tmp_path):
    paths = [tmp_path / str(i % 10) for i in range(400)]
    with ThreadPoolExecutor(8) as pool:
        urls = list(pool.map(lambda p: shelf.url(p, "audio/wav"), paths))
    assert len(set(urls)) == 10
    assert all(url == shelf.url(p, "audio/wav") for url, p in zip(urls, paths, strict=True))


SCRIPT = """
import sys
import streamlit as st
from components.widgets.stream import ROUTES, Shelf
with open(sys.argv[1], "w") as file:
    file.write(Shelf().url(__import__("pathlib").Path(sys.argv[2]), "audio/mpeg"))
app = st.App("frame.py", routes=ROUTES)
"""


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_real_server_serves_parts(path, tmp_path):
    script, told = tmp_path / "server.py", tmp_path / "url"
    script.write_text(SCRIPT, "utf-8")
    (tmp_path / "frame.py").write_text("", "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    process = subprocess.Popen(
        [*command, "--server.headless", "true", "--", str(told), str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert get(f"{address}/_stcore/health")[0] == 200
                break
            except urllib.error.URLError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        url = f"{address}/{told.read_text('utf-8')}"
        # As a browser asks, which offers to unpack what is packed: a packed part would be no part of the sound.
        assert get(url, **{"Range": "bytes=1000-1099", "Accept-Encoding": "gzip"}) == (206, DATA[1000:1100])
        assert get(url, **{"Accept-Encoding": "gzip"}) == (200, DATA)
        assert get(f"{address}/sound/guess") == (404, GONE.encode())
    finally:
        process.terminate()
        process.wait(20)
