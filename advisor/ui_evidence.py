"""The pieces of the Evidence page: sources, the matrix of claims, import and export."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from advisor import ui, views_evidence, views_explore, workflows
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.records import ClaimResult, Device

_SOURCE_HEADS = {
    "url": st.column_config.LinkColumn("link", display_text="open"),
    "n_speed": st.column_config.NumberColumn("speed", format="localized"),
    "n_accuracy": st.column_config.NumberColumn("accuracy", format="localized"),
    "n_complexity": st.column_config.NumberColumn("complexity", format="localized"),
    "n_training_cost": st.column_config.NumberColumn("training cost", format="localized"),
    "rows": st.column_config.NumberColumn("rows", format="localized"),
    "title": st.column_config.TextColumn("title", width="large"),
}


def sources(store: Store) -> None:
    """Every source with its licence and the rows it stands behind."""
    shown = views_evidence.sources(store)
    st.caption(f"{len(shown)} sources, {int(shown['rows'].sum()):,} rows; every figure in this app names one of them.")
    st.dataframe(shown, key="evi_sources", hide_index=True, column_config=_SOURCE_HEADS, height=560)
    ui.download(shown, "sources.csv", key="evi_sources_download")


def claims(store: Store) -> None:
    """How the field's claims hold, device by device, with the figures and the rows behind each verdict."""
    devices = list(ui.devices(store).values())
    kinds = list(dict.fromkeys(d.kind for d in devices))
    chosen = st.pills("Kind of device", kinds, selection_mode="multi", format_func=ui.kind_label, key="evi_kinds")
    everything = st.toggle("Also devices on which nothing can be decided", key="evi_everything")
    found = workflows.all_claims(store)  # after the widgets, which are there at once: the first time it takes a while
    shown = views_evidence.matrix(found, [d for d in devices if not chosen or d.kind in chosen], everything=everything)
    titles = views_evidence.claim_titles()
    st.caption(f"{len(shown)} devices, {len(titles)} claims. Choose a cell for its figures and the rows behind it.")
    if shown.empty:
        st.info(
            "No claim can be decided on these devices: show all, or choose another kind.", icon=":material/search_off:"
        )
        st.stop()
    heads = {
        c: st.column_config.TextColumn(views_evidence.SHORT[c], help=title, width="small")
        for c, title in titles.items()
    }
    event = st.dataframe(
        shown.drop(columns=["device_id"]), key=f"evi_matrix_{'-'.join(chosen)}", hide_index=True, height=380,
        column_config={"device": st.column_config.TextColumn("device", pinned=True)} | heads,
        on_select="rerun", selection_mode="single-cell",
    )  # fmt: skip
    _drill_down(store, found, shown, [(int(row), str(column)) for row, column in event["selection"]["cells"]])
    st.subheader("Claims that no device decides")
    for one in views_evidence.deviceless(found):
        _result(one)
    with st.expander("How often each claim holds"):
        st.dataframe(views_evidence.verdict_counts(shown), hide_index=True, key="evi_counts")


def _drill_down(store: Store, found: list[ClaimResult], shown: pd.DataFrame, cells: list[tuple[int, str]]) -> None:
    titles = views_evidence.claim_titles()
    row, column = next(((r, c) for r, c in cells if c in titles and r < len(shown)), (0, next(iter(titles))))
    one = views_evidence.by_claim(found).get((str(shown["device_id"].iloc[row]), column))
    if one is None:
        return
    st.subheader(f"{shown['device'].iloc[row]}: {one.title}")
    _result(one, titled=False)
    if one.row_ids:
        behind = views_explore.rows_behind(store, one.row_ids)
        ui.table(behind, key="evi_rows", height=260)
        ui.download(behind, f"{one.claim_id}-{one.device_id}.csv", key="evi_rows_download")


def _result(one: ClaimResult, *, titled: bool = True) -> None:
    title = f"**{one.title}** " if titled else ""
    rule = f" *Holds when {one.holds_when}.*" if one.holds_when else ""
    st.markdown(f"{ui.verdict_badge(one.verdict)} {title}{one.figures}{rule} :gray[:small[{one.source}]]")


def exchange(store: Store) -> None:
    """Results in, results out, and how to fetch newer ones."""
    left, right = st.columns(2, gap="large")
    with left:
        _import(store)
    with right:
        _export(store, list(ui.devices(store).values()))
        st.subheader("Refresh")
        st.markdown("Newer timm tables are fetched, checked row by row and swapped in one step by the command line:")
        st.code("python -m advisor refresh", language="bash")


def _import(store: Store) -> None:
    st.subheader("Import results")
    st.caption("CSV or Parquet with the columns of an export. Every row is checked; importing twice changes nothing.")
    upload = st.file_uploader("Results file", type=["csv", "parquet"], key="evi_upload")
    if upload is None or not st.button("Import", key="evi_import", type="primary"):
        return
    try:
        report = views_evidence.import_upload(store, upload.name, upload.getvalue())
    except AdvisorError as exc:  # the rest of the page stays
        st.error(str(exc), icon=":material/error:")
        return
    st.success(
        f"Saved {report.n_new:,} new rows of {report.n_rows:,} ({report.kind}); {report.n_known:,} were known already, "
        f"{len(report.rejects):,} rejected.",
        icon=":material/check:",
    )
    if report.rejects:
        ui.table(views_evidence.rejects(report), key="evi_rejects")


def _export(store: Store, devices: list[Device]) -> None:
    st.subheader("Export results")
    kind = st.segmented_control("Kind", ["speed", "accuracy"], default="speed", required=True, key="evi_kind")
    form = st.segmented_control("Format", ["csv", "parquet"], default="csv", required=True, key="evi_form")
    device_id = None
    if kind == "speed":
        ids: list[str | None] = [None, *(d.device_id for d in devices)]
        device_id = st.selectbox(
            "Device", ids, key="evi_device", filter_mode="contains",
            format_func=lambda d: "all devices" if d is None else ui.device_option(store, d),
        )  # fmt: skip
    st.download_button(
        "Export", data=partial(views_evidence.export_bytes, store, kind, device_id, form), key="evi_export",
        file_name=f"{kind}-{device_id or 'all'}.{form}", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
