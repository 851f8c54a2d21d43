"""Explore: see a sound."""

import streamlit as st

from components.widgets import panes, pickers, sidebar

st.title("Explore")
st.caption("See a sound: how loud it is, which frequencies it holds, and the numbers that models are given.")

decoded = sidebar.in_hand()
clip = decoded.clip
now = panes.player(decoded)

panes.waveform(clip, now)
settings = pickers.picture_settings(clip)
panes.spectrogram(clip, now, settings)
panes.mfcc(clip, now, settings)
panes.curves(clip, now, settings)
