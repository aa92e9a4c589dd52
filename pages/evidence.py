"""Evidence: where every figure is from, how the claims hold by device, and results going in and out."""

from __future__ import annotations

import streamlit as st

from advisor import ui, ui_evidence

VIEWS = {
    "claims": ("Claims", ui_evidence.claims),
    "sources": ("Sources", ui_evidence.sources),
    "exchange": ("Import, export, refresh", ui_evidence.exchange),
}

with ui.page("Evidence") as store:
    ui.seed("show", list(VIEWS), "claims")
    view = st.segmented_control(
        "What to show",
        list(VIEWS),
        required=True,
        format_func=lambda name: VIEWS[name][0],
        key="show",
        persist_state="session",
        label_visibility="collapsed",
    )
    ui.remember(show="claims")
    VIEWS[view][1](store)
