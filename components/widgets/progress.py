"""A wait that shows how far it is, and that the user can end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def progress(text: str) -> Iterator[Callable[[float], None]]:
    """A progress bar for the time of a `with`: the value is a callback for the share done, 0 to 1.

    Streamlit ends the run at a callback when the user clicks anything else: nothing half done is kept.
    The bar appears only when the work takes longer than a blink.
    """
    slot = st.empty()
    begun = shown = time.monotonic()

    def report(share: float) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - begun < 0.3 or (now - shown < 0.1 and share < 1):
            return
        shown = now
        share = min(max(share, 0.0), 1.0)
        rest = (now - begun) * (1 - share) / max(share, 1e-3)
        left = f", about {rest:.0f} s left" if share > 0.02 and rest >= 1.5 else ""
        slot.progress(share, f"{text} {share:.0%}{left}")

    try:
        yield report
    finally:
        slot.empty()
