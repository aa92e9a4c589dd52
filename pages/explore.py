"""Explore: every result with its source on any two axes, with the front of each device and setup."""

from __future__ import annotations

import streamlit as st

from advisor import charts, ui, ui_explore, views_explore

with ui.page("Explore") as store:
    names = ui.device_names(store)
    chosen = ui_explore.ask(store, names)
    if chosen is None:
        st.info("Choose at least one device and one setup on the left.", icon=":material/arrow_back:")
        st.stop()

    points = views_explore.points(store, chosen.setups, names, chosen.x, chosen.y)
    if points.empty:
        st.info(
            "No result of these setups has both metrics at one image size: choose another metric or setup.",
            icon=":material/search_off:",
        )
        st.stop()

    figure = charts.metric_figure(points, chosen.x, chosen.y, "group")
    positions = ui_explore.chart(figure)
    ui_explore.counts(store, points, chosen)

    selected = points[points["position"].isin(positions)] if positions else points
    shown = views_explore.table(selected, chosen.x, chosen.y)
    st.subheader(f"{len(shown):,} selected results" if positions else f"All {len(shown):,} results")
    ui.table(shown, key="exp_table", height=380)
    ui.download(shown, "results.csv", key="exp_download")
    ui_explore.contradictions(store)
