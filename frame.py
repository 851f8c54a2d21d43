"""Otoscope's frame: page settings, navigation and the clip in hand."""

import streamlit as st

from components.widgets.cached import warm_up
from components.widgets.sidebar import sidebar

# A picture of our own: Streamlit fetches its material icons for the tab from the internet.
st.set_page_config(page_title="Otoscope", page_icon="components/widgets/icon.png", layout="wide")
page = st.navigation(
    {
        "Listen": [st.Page("pages/explore.py", title="Explore", icon=":material/graphic_eq:", default=True)],
        "Models": [
            st.Page("pages/predict.py", title="Predict", icon=":material/label:"),
            st.Page("pages/inside.py", title="Inside", icon=":material/neurology:"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
        ],
        "Library": [st.Page("pages/library.py", title="Library", icon=":material/local_library:")],
    }
)
sidebar()
page.run()
warm_up()
