"""The app of test_transport.py: clock_page.py, and the sounds that it has made, served with byte ranges."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

# Ends with the server; the page writes into it.
_folder = tempfile.TemporaryDirectory()
os.environ["CLOCK_SOUNDS"] = _folder.name


async def sound(request: Request) -> FileResponse:
    return FileResponse(Path(_folder.name) / Path(request.path_params["name"]).name, media_type="audio/wav")


app = st.App("clock_page.py", routes=[Route("/sound/{name}", sound)])
