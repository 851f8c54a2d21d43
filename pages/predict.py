"""Predict: let a model listen, see what it says frame by frame, hear its events."""

import streamlit as st

from components.widgets import listening, panes, pickers, sidebar

st.title("Predict")
st.caption("Let a model listen to the clip, see how sure it is of each label at each moment, and hear what it found.")

decoded = sidebar.in_hand()
clip = decoded.clip
now = panes.player(decoded)

card = pickers.model()
listening.card(card)
prediction = listening.listen(clip, card)

panes.waveform(clip, now, height=120)
settled = st.container()
threshold = pickers.threshold(card)
events = listening.events_of(prediction, threshold)
with settled:
    listening.verdict(prediction)
    listening.predictions(clip, now, prediction, threshold=threshold, events=events)
listening.events(events)
listening.downloads(decoded, card, prediction, events, threshold)
