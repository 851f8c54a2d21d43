"""Sound for the browser straight from the disk: any part of a file on request, nothing of it in the server's memory.

`st.audio` would read the whole file into memory. Here a session puts its files on a `Shelf` and gets addresses that
nobody can guess; the app's own route serves them in parts (HTTP range requests), so that a three-hour recording plays
at once and seeks anywhere. The addresses die with the session.
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Disposition": "inline",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
GONE = "This sound is no longer here: load the page again, or choose the recording again."

_sounds: dict[str, tuple[Path, str]] = {}
"""Path and type of every sound that may be heard now, by token."""
_lock = threading.Lock()


class Shelf:
    """The files that one session may hear. Safe to use from several threads."""

    def __init__(self) -> None:
        self._tokens: dict[Path, str] = {}

    def url(self, path: Path, mime: str) -> str:
        """Where the browser finds the file, relative to the address of the app: always the same for the same file."""
        with _lock:
            token = self._tokens.setdefault(path, secrets.token_urlsafe(32))
            _sounds[token] = (path, mime)
        return f"sound/{token}"

    def forget(self, path: Path) -> None:
        """Serve this file no longer."""
        with _lock:
            token = self._tokens.pop(path, None)
            if token is not None:
                _sounds.pop(token, None)

    def close(self) -> None:
        """Serve none of these files any longer."""
        with _lock:
            for token in self._tokens.values():
                _sounds.pop(token, None)
            self._tokens.clear()


def _sound(request: Request) -> Response:
    """Answer with the file, or the part of it that was asked for."""
    with _lock:
        path, mime = _sounds.get(request.path_params["token"], (None, ""))
    if path is None:
        return PlainTextResponse(GONE, 404, HEADERS)
    try:
        facts = path.stat()
    except OSError:
        return PlainTextResponse(GONE, 404, HEADERS)
    return FileResponse(path, headers=HEADERS, media_type=mime, stat_result=facts)


# The second is for an app that lives below a path of its own (server.baseUrlPath).
ROUTES = (Route("/sound/{token}", _sound), Route("/{base:path}/sound/{token}", _sound))
