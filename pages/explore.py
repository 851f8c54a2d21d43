"""Explore: see a sound, mark a stretch, measure it, clean it, take it away."""

import streamlit as st

from components.widgets import desk, drawers, panes, second, selecting, sidebar, sounds

st.title("Explore")
st.caption("See a sound: how loud it is, which frequencies it holds, what a voice does; mark any part to measure it.")

decoded = sidebar.in_hand()
second.obey()
now = panes.player(
    decoded,
    selectable=True,
    sounds=sounds.of(sidebar.key_in_hand(), decoded),
    below=lambda now: selecting.line(decoded.clip, now),
)
desk.show(decoded, now)
drawers.drawers(decoded, now)
