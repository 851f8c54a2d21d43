"""What lies below Explore's panes: the marked stretch, the kept ones, cleaning, saving."""

from __future__ import annotations

import streamlit as st

from components.audio.decode import Decoded
from components.widgets import cleaning, saving, selecting
from components.widgets.transport import TransportState


def drawers(decoded: Decoded, now: TransportState) -> None:
    """One drawer at a time; only the open one is computed."""
    names = ("Marked stretch", "Kept stretches", "Clean up", "Save and reopen")
    marked, kept, clean, save = st.tabs(names, on_change="rerun", key="drawer")
    if marked.open:
        with marked:
            selecting.card(decoded, now)
    if kept.open:
        with kept:
            selecting.table(decoded.clip)
    if clean.open:
        with clean:
            cleaning.cleaning(decoded, now)
    if save.open:
        with save:
            saving.saving(decoded, now)
