"""The app: page config and navigation. Start it with `streamlit run app.py`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from advisor import ui

page = st.navigation(list(ui.routes().values()), position="top")
st.set_page_config(
    page_title=f"{page.title} · Backbone advisor",
    page_icon=Path(__file__).parent / ".streamlit" / "icon.png",
    layout="wide",
    initial_sidebar_state=320,
)
ui.mark_routed()
page.run()
