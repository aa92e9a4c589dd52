"""The app: page config and navigation. Start it with `streamlit run app.py`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from advisor import ui

st.set_page_config(
    page_title="Backbone advisor",
    page_icon=Path(__file__).parent / ".streamlit" / "icon.png",
    layout="wide",
    initial_sidebar_state=320,
)
page = st.navigation(
    [
        st.Page("pages/recommend.py", title="Recommend", icon=":material/my_location:", default=True),
        st.Page("pages/explore.py", title="Explore", icon=":material/scatter_plot:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
        st.Page("pages/evidence.py", title="Evidence", icon=":material/fact_check:"),
    ],
    position="top",
)
with ui.sentences():
    page.run()
