"""The pieces of the Explore page: what to draw, the chart that selects, the contradictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from advisor import ui, views, views_explore
from advisor.evidence.contradictions import KINDS
from advisor.evidence.store import Store
from advisor.metrics import METRICS

_DEFAULT_DEVICES = ("i7-12700h", "rtx-4090")
_X, _Y = "throughput_per_s", "top1"
_MOST_DEVICES = 8  # as many as there are colours and symbols


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to draw: rows of `views_explore.setups_of` and two metrics."""

    setups: pd.DataFrame
    x: str
    y: str


def ask(store: Store, names: Mapping[str, str]) -> Chosen | None:
    """Devices, setups and axes; None while nothing is chosen. Devices and axes stand in the link."""
    default = [d for d in _DEFAULT_DEVICES if d in names] or list(names)[:1]
    ui.seed("devices", list(names), default)
    ui.seed("x", views_explore.AXES, _X)
    ui.seed("y", views_explore.AXES, _Y)
    with st.sidebar:
        devices = st.multiselect(
            "Devices", list(names), key="devices", persist_state="session", filter_mode="contains",
            format_func=lambda d: ui.device_option(store, d), max_selections=_MOST_DEVICES,
        )  # fmt: skip
        setups = views_explore.setups_of(store, devices, names)
        labels = st.multiselect(
            "Setups", list(setups["label"]), default=views_explore.largest_of_each(setups),
            key=f"setups-{'-'.join(devices)}", max_selections=_MOST_DEVICES,
            help="Setups are never pooled: each keeps its own front. The number counts its models.",
        )  # fmt: skip
        x = st.selectbox("Horizontal", views_explore.AXES, key="x", persist_state="session", format_func=_title)
        y = st.selectbox("Vertical", views_explore.AXES, key="y", persist_state="session", format_func=_title)
    ui.remember(devices=default, x=_X, y=_Y)
    picked = setups[setups["label"].isin(labels)]
    return Chosen(picked, x, y) if len(picked) else None


def _title(name: str) -> str:
    return METRICS[name].title


def chart(figure: go.Figure) -> list[int]:
    """Draw the chart; the positions of the points selected by click, box or lasso."""
    event = st.plotly_chart(
        figure, key="exp_chart", on_select="rerun", selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False}, alt="Results on the two chosen metrics; the table below has every figure.",
    )  # fmt: skip
    return views.positions_of(event["selection"]["points"])


def counts(store: Store, points: pd.DataFrame, chosen: Chosen) -> None:
    """How many points there are, which are suspect, and what could not be drawn."""
    suspect, missing = int(points["suspect"].sum()), views_explore.left_out(store, chosen.setups)
    notes = [f"{len(points):,} points; lines are the front of each device and setup"]
    if suspect:
        notes.append(f"{suspect:,} suspect, drawn as × and never on a front")
    if missing:
        notes.append(f"{missing:,} results of these devices name no timm architecture or image size (see Evidence)")
    st.caption(". ".join(notes) + ". Click, or select a region, to filter the table.")
    ui.predictions_elsewhere(chosen.setups["device_id"], ui.devices(store))


def contradictions(store: Store) -> None:
    """Where sources contradict each other about one network: both figures, and why they may differ."""
    with st.expander("Where published figures contradict each other", key="exp_contra", on_change="rerun") as opened:
        if not opened.open:
            return
        found = _contradictions(store, store.version())
        kind = st.selectbox("Kind", ["all", *KINDS], key="exp_contra_kind")
        shown = (found if kind == "all" else found[found["kind"] == kind]).reset_index(drop=True)
        st.caption("Both figures stay in the store and neither is preferred. Choose a row for the rows behind it.")
        event = st.dataframe(
            shown.drop(columns=["row_ids"]), key="exp_contra_table", hide_index=True, height=320,
            on_select="rerun", selection_mode="single-row", column_config=_HEADS,
        )  # fmt: skip
        for position in event["selection"]["rows"]:
            one = shown.iloc[position]
            st.markdown(str(one["explanation"]))
            ui.table(views_explore.rows_behind(store, list(one["row_ids"])), key="exp_contra_rows")


_HEADS = {
    "ratio_or_difference": st.column_config.NumberColumn(
        "difference", format="%.3g", help="Points for accuracies, high over low for the rest."
    ),
    "low": st.column_config.NumberColumn("low", format="%.5g"),
    "high": st.column_config.NumberColumn("high", format="%.5g"),
    "n_rows": st.column_config.NumberColumn("rows", format="%d"),
    "explanation": st.column_config.TextColumn("explanation", width="large"),
}


@st.cache_data(show_spinner="Comparing the sources", max_entries=2)
def _contradictions(_store: Store, version: str) -> pd.DataFrame:
    """Kept until any result changes; `version` is the key."""
    return views_explore.contradicting(_store)
