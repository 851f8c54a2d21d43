"""Otoscope's server: Streamlit runs frame.py for each visitor; beside it, sounds are served from the disk."""

import streamlit as st

from components.widgets.stream import ROUTES

app = st.App("frame.py", routes=ROUTES)
