"""Inside: what a model holds while it listens."""

import streamlit as st

from components.widgets import insides, listening, panes, pickers, sidebar

st.title("Inside")
st.caption("Follow a model's hidden states on the same clock as the sound: what it keeps, when it changes its mind.")

decoded = sidebar.in_hand()
clip = decoded.clip
now = panes.player(decoded, report_time=True)

card = pickers.model()
prediction = listening.listen(clip, card, pickers.own_words(card))
panes.spectrogram(clip, now, height=180)
listening.predictions(clip, now, card, prediction)

part = insides.stretch(clip, now)
layer = insides.layer(card)
activation = insides.inspect(clip, part, card, (layer,))[layer]
insides.hidden_states(clip, now, activation)
insides.trajectory(clip, now, activation, prediction)
insides.step(clip, now, part, card)
