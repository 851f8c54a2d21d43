"""Taking a picture away: for print, and the numbers under it. Each file is made when it is asked for."""

from __future__ import annotations

import streamlit as st

from components.analyse import app_version
from components.exports import frames
from components.exports.figures import FileFormat, Paper
from components.units import format_time
from components.widgets.views.base import Shown, Stage


def pane(pane_id: str, title: str, stage: Stage, shown: Shown) -> None:
    """The drawer of one pane: PNG and SVG at print size, CSV and Parquet."""
    clip, view = stage.clip, stage.view
    stem = f"{pane_id}-{clip.digest[:8]}-{view[0]:.2f}-{view[1]:.2f}"
    caption = (
        f"{clip.name}, {format_time(view[0])} to {format_time(view[1])}. {shown.caption} Otoscope {app_version()}."
    )

    def printed(fmt: FileFormat) -> bytes:
        return shown.printed(Paper(title, caption, view, fmt=fmt))

    offers = (
        ("PNG", lambda: printed("png"), "png", "image/png", "A picture for a document, 300 dots per inch."),
        ("SVG", lambda: printed("svg"), "svg", "image/svg+xml", "A picture that can be scaled and edited."),
        ("CSV", lambda: frames.csv_bytes(shown.table()), "csv", "text/csv", "The numbers under the picture."),
        (
            "Parquet",
            lambda: frames.parquet_bytes(shown.table()),
            "parquet",
            "application/octet-stream",
            "The same numbers for R and Python, with their units.",
        ),
    )
    about = "This picture, and the numbers under it."
    with st.popover("Save", icon=":material/download:", type="tertiary", help=about):
        for label, make, suffix, mime, meaning in offers:
            st.download_button(
                label,
                make,
                f"{stem}.{suffix}",
                mime,
                on_click="ignore",
                key=f"take_{pane_id}_{suffix}",
                help=meaning,
                width="stretch",
            )
