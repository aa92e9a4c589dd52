"""This machine, third part: what every network takes here, as a chart and as a table that can be searched."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from advisor import charts_predict, ui, ui_runs, views_calibrate
from advisor.evidence.store import Store
from advisor.metrics import METRICS
from advisor.predict.known import Known

_HEIGHT_PX = 380
_HEADS = {
    "architecture": st.column_config.TextColumn("network", width="medium"),
    "img_size": st.column_config.NumberColumn("px", format="%d"),
    "p50_ms": st.column_config.NumberColumn("latency p50 (ms)", format="%.4g"),
    "lo90_ms": st.column_config.NumberColumn("90 % interval from", format="%.4g"),
    "hi90_ms": st.column_config.NumberColumn("to (ms)", format="%.4g"),
    "accuracy": st.column_config.NumberColumn(METRICS["top1"].title, format="%.2f", help="Of its best weights."),
    "weights": st.column_config.TextColumn("best weights", width="medium"),
}


def every_network(store: Store, found: Sequence[Known], limit_ms: float | None, version: str) -> None:
    """What every network takes in one of the calibrated setups.

    Args:
        version: Of the store that `found` is known from.
    """
    st.subheader("Every network on this machine")
    labels = [views_calibrate.setup_label(one) for one in found]
    if st.session_state.get("zoo_setup") not in labels:
        st.session_state["zoo_setup"] = labels[0]
    if len(labels) > 1:
        st.pills("Setup", labels, key="zoo_setup", required=True, persist_state="session", label_visibility="collapsed")
    shown = st.session_state["zoo_setup"]
    one = found[labels.index(shown)]
    networks, figure = _networks(store, version, one.calibration.calibration_id, limit_ms, one)
    st.markdown(
        f"{ui.evidence_badge('predicted')} {ui.evidence_badge('measured')} "
        f"{views_calibrate.networks_sentence(networks, one)}"
    )
    if networks["accuracy"].notna().any():
        alt = "Every network over latency and accuracy; the table has every figure."
        ui_runs.chart(figure, key="zoo_chart", alt=alt)
    text = st.text_input(
        "Search", key="zoo_text", placeholder="Any part of a network, its weights or its family",
        persist_state="session", icon=":material/search:", label_visibility="collapsed",
    )  # fmt: skip
    table = views_calibrate.network_table(networks, shown, text or "")
    if table.empty:
        st.info("No network is called like that.", icon=":material/search_off:")
        return
    st.dataframe(
        table, key="zoo_table", hide_index=True, height=_HEIGHT_PX, column_config=_HEADS, placeholder="–", lazy=True,
        alt="The latency of every network in this setup, predicted or measured.",
    )  # fmt: skip
    ui.download(table, "this-machine.csv", key="zoo_download")


@st.cache_resource(show_spinner=False, max_entries=8)
def _networks(
    _store: Store, version: str, calibration_id: str, limit_ms: float | None, _one: Known
) -> tuple[pd.DataFrame, go.Figure]:
    """The networks of a setup and their chart, kept until any result changes (`version`); do not modify them.

    A measurement in one setup, or new accuracies, change what is shown of all others.
    """
    networks = views_calibrate.networks(_one, _store.frame("scored"))
    known = networks[networks["accuracy"].notna()]
    return networks, charts_predict.zoo_figure(known, METRICS["top1"].title, limit_ms=limit_ms)
