"""A server on this machine that speaks the protocol of the Hugging Face hub, and fails when it is told to."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STORED_APART = (".safetensors", ".bin", ".h5", ".pt")
"""The hub keeps such files elsewhere (LFS), tells their SHA-256, and sends a client on to them."""
PIECE = 1 << 14


@dataclass
class Request:
    """What a client asked for, headers in lower case."""

    path: str
    headers: dict[str, str]


@dataclass
class HubServer:
    """The repositories (name -> file -> bytes), what was asked and sent, and what goes wrong.

    Attributes
    ----------
    url : where it listens
    repos, plain : files of repositories as they are now; other files by path
    commits : what was in a repository at each revision, like (repo, revision) -> files
    card_data : what a repository says of itself
    requests, sent : the requests in order; bytes sent of each file
    cut : file -> close the connection after so many bytes, once
    wrong : files that are sent with another first byte
    status : file -> answer with this status ("api" for the question what there is)
    moved : path -> where a client is sent instead
    error_code : what the hub adds to a refusal
    ranges : whether parts of a file can be asked for
    pause_s : wait so long between pieces [s]
    """

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    commits: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    card_data: dict[str, object] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    cut: dict[str, int] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    error_code: str = ""
    ranges: bool = True
    pause_s: float = 0.0

    def add(self, repo: str, files: Mapping[str, bytes] | Path) -> str:
        """Offer a repository: its files, or those of a folder. Its revision."""
        if isinstance(files, Path):
            files = {path.name: path.read_bytes() for path in files.iterdir()}
        self.repos[repo] = dict(files)
        self.commits[repo, self.revision(repo)] = self.repos[repo]
        return self.revision(repo)

    def revision(self, repo: str) -> str:
        """A repository's commit: another one whenever its files change."""
        return hashlib.sha1(repr(sorted(self.repos[repo].items())).encode()).hexdigest()

    def info(self, repo: str) -> dict[str, object]:
        """What the hub says of a repository, with the facts of each file."""
        siblings = []
        for name, data in self.repos[repo].items():
            blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
            facts: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith(STORED_APART):
                facts["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(facts)
        return {
            "id": repo, "modelId": repo, "sha": self.revision(repo), "private": False, "gated": False, "tags": [],
            "downloads": 0, "likes": 0, "cardData": self.card_data, "siblings": siblings,
        }  # fmt: skip

    def asked(self, name: str) -> list[Request]:
        """The requests for a file's bytes."""
        return [request for request in self.requests if request.path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *words: object) -> None:
        """The tests read `HubServer.requests`."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.hub.requests.append(Request(path, {name.lower(): value for name, value in self.headers.items()}))
        parts = path.strip("/").split("/")
        if path in self.hub.moved:
            self._answer(302, b"", {"location": self.hub.moved[path]})
        elif parts[:2] == ["api", "models"]:
            self._say(parts)
        elif len(parts) == 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], parts[4], path)
        elif parts[0] == "elsewhere":
            self._send(parts[-1], self.hub.commits["/".join(parts[1:3]), parts[3]][parts[-1]])
        elif path in self.hub.plain and parts[-1] not in self.hub.status:
            self._send(parts[-1], self.hub.plain[path])
        else:
            self._refuse(self.hub.status.get(parts[-1], 404))

    def _say(self, parts: list[str]) -> None:
        repo, revision = "/".join(parts[2:4]), (parts[5] if len(parts) > 5 else "")
        if "api" in self.hub.status:
            self._refuse(self.hub.status["api"])
        elif repo not in self.hub.repos:
            self.hub.error_code = "RepoNotFound"
            self._refuse(401)
        elif not self.hub.revision(repo).startswith(revision):
            self.hub.error_code = "RevisionNotFound"
            self._refuse(404)
        else:
            self._answer(200, json.dumps(self.hub.info(repo)).encode(), {"content-type": "application/json"})

    def _file(self, repo: str, revision: str, name: str, path: str) -> None:
        if name in self.hub.status:
            self._refuse(self.hub.status[name])
        elif name not in self.hub.commits.get((repo, revision), {}):
            self._refuse(404)
        elif name.endswith(STORED_APART):
            self._answer(302, b"", {"location": f"{self.hub.url}/elsewhere/{repo}/{revision}/{name}"})
        else:
            self._send(name, self.hub.commits[repo, revision][name])

    def _refuse(self, status: int) -> None:
        self._answer(status, b"no", {"x-error-code": self.hub.error_code} if self.hub.error_code else {})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _send(self, name: str, data: bytes) -> None:
        asked = self.headers.get("range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and self.hub.ranges else 0
        if start >= len(data) > 0:
            self._refuse(416)
            return
        if name in self.hub.wrong:
            data = bytes([data[0] ^ 1]) + data[1:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("content-range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("content-length", str(len(data) - start))
        self.end_headers()
        stop = start + self.hub.cut.pop(name, len(data))
        for first in range(start, min(stop, len(data)), PIECE):
            piece = data[first : min(first + PIECE, stop)]
            self.wfile.write(piece)
            self.wfile.flush()
            self.hub.sent[name] += len(piece)
            time.sleep(self.hub.pause_s)
        self.close_connection = self.close_connection or stop < len(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *request: object) -> None:
        """A client that goes away in the middle is what some tests are about."""


@contextmanager
def serving() -> Iterator[HubServer]:
    """A hub on a port of its own, until the context ends."""
    hub = HubServer()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
