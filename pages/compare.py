"""Compare: models side by side, one model across devices, recipes of one architecture, two devices."""

from __future__ import annotations

import streamlit as st

from advisor import ui, ui_compare

VIEWS = {
    "models": ("Models side by side", ui_compare.models),
    "devices": ("One model across devices", ui_compare.across_devices),
    "recipes": ("Recipes of one architecture", ui_compare.recipes),
    "two-devices": ("Device against device", ui_compare.two_devices),
}

with ui.page("Compare") as store:
    ui.seed("view", list(VIEWS), "models")
    view = st.segmented_control(
        "What to compare",
        list(VIEWS),
        required=True,
        format_func=lambda name: VIEWS[name][0],
        key="view",
        persist_state="session",
        label_visibility="collapsed",
    )
    VIEWS[view][1](store)
