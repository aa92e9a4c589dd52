"""Evidence: where every figure is from, how the claims hold by device, and results going in and out."""

from __future__ import annotations

import streamlit as st

from advisor import ui, ui_evidence

VIEWS = {
    "claims": ("Claims", ui_evidence.claims),
    "sources": ("Sources", ui_evidence.sources),
    "exchange": ("Import, export, refresh", ui_evidence.exchange),
}

store = ui.open_page("Evidence")
view = st.segmented_control(
    "What to show",
    list(VIEWS),
    default="claims",
    required=True,
    format_func=lambda name: VIEWS[name][0],
    key="show",
    bind="query-params",
    label_visibility="collapsed",
)
VIEWS[view][1](store)
