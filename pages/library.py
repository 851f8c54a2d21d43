"""Library: all models, what they are for, how to get them."""

import streamlit as st

from components.widgets import library

st.title("Library")
st.caption(
    "All models: what each is for, how far to trust it, and how to get it. Nothing is fetched before you press a "
    "button that says how much, from where, and under which licence."
)

asked = library.question()
library.answer(asked)
found = library.rows(asked)
shown = library.chosen(found)
brought = library.another()
library.reached()
library.carry_out(library.listed(shown, len(found)) or brought)
