"""Compare: several models on one clip, where they agree, what they hold inside."""

import streamlit as st

from components.widgets import comparing, insides, panes, sidebar

st.title("Compare")
st.caption(
    "Let several models listen to the same clip: see where they agree, and hear the moments in which they do not."
)

decoded = sidebar.in_hand()
clip = decoded.clip
now = panes.player(decoded)

cards = comparing.models()
heard = comparing.listen(clip, cards)
panes.spectrogram(clip, now, height=160)
comparing.labels(clip, now, heard)
comparing.agree(clip, now, heard)
comparing.scores(clip, now, heard)
comparing.inside(clip, now, insides.stretch(clip, now), heard)
