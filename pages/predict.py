"""Predict: let a model listen, see what it says frame by frame, hear its events."""

import streamlit as st

from components.widgets import alike, listening, panes, pickers, sidebar

st.title("Predict")
st.caption("Let a model listen to the clip, see how sure it is of each label at each moment, and hear what it found.")

decoded = sidebar.in_hand()
clip = decoded.clip
now = panes.player(decoded, report_time=True)

card = pickers.model()
listening.card(card)
words = pickers.own_words(card)
prediction = listening.listen(clip, card, words)

panes.waveform(clip, now, height=120)
listening.transcript(prediction)
events, threshold = listening.findings(clip, now, card, prediction)
listening.events(prediction, events)
alike.alike(clip, now, card)
listening.downloads(decoded, card, prediction, events, threshold)
