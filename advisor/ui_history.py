"""The history of this machine: filter it, see one run in full, compare two, delete with a way back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from advisor import charts_measure, ui, ui_job, ui_runs, views_beside, views_history, views_measure, workflows_measure
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.measure.request import RUNTIMES

_HEADS = {
    "started": st.column_config.DatetimeColumn("started (UTC)", format="YYYY-MM-DD HH:mm"),
    "setup": st.column_config.TextColumn("runtime and precision used"),
    "latency_ms": st.column_config.NumberColumn("p50 (ms)", format="%.4g"),
    "interval": st.column_config.TextColumn("95 % interval"),
    "throughput_per_s": st.column_config.NumberColumn("img/s", format="%.4g"),
    "img_size": st.column_config.NumberColumn("px", format="%d"),
    "batch_size": st.column_config.NumberColumn("batch", format="%d"),
    "threads": st.column_config.NumberColumn("threads", format="%d"),
    "why": st.column_config.TextColumn("why", width="large"),
}
_HEIGHT_PX = 320
NAMES = ("A", "B")


def history(store: Store) -> None:
    """The table of all runs; one selected row is shown in full, two are compared, any can be deleted."""
    runs = ui_job.history(store)
    _undo(store)
    if runs.empty:
        st.info(ui_runs.EMPTY, icon=":material/timer:")
        return
    found = _filtered(runs)
    if found.empty:
        st.info("No run is like that: clear a filter.", icon=":material/search_off:")
        return
    chosen, hidden = _chosen(runs, found)
    with st.container(horizontal=True, vertical_alignment="center", key="mea_selected"):
        st.caption(_selected_words(len(runs), len(found), len(chosen), len(hidden)), width="content")
        if hidden:
            st.button(
                "Unselect what is hidden", key="mea_unselect", type="tertiary", on_click=_unselect, args=(hidden,)
            )
    if chosen:
        st.button(
            f"Delete {len(chosen)} run{'s' if len(chosen) > 1 else ''}", icon=":material/delete:", key="mea_delete",
            on_click=_delete, args=(store, chosen),
        )  # fmt: skip
    if len(chosen) == 1:
        ui_runs.subject(store, runs, chosen[0], opened=chosen[0])
    elif len(chosen) == 2:
        compared(store, chosen)


def _chosen(runs: pd.DataFrame, found: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Draw the table; the ids of all selected runs, newest first, and of those among them that a filter hides."""
    before = set(st.session_state.get("mea_chosen", [])) - set(found["run_id"])
    hidden = [run_id for run_id in runs["run_id"] if run_id in before]
    selected = {*_table(found), *hidden}
    chosen = [run_id for run_id in runs["run_id"] if run_id in selected]
    st.session_state["mea_chosen"] = chosen
    return chosen, hidden


def _selected_words(n_runs: int, n_found: int, n_chosen: int, n_hidden: int) -> str:
    if not n_chosen:
        return f"{n_found:,} of {n_runs:,} runs. Select one to see it in full, two to compare them."
    if not n_hidden:
        return f"{n_chosen} selected of {n_found:,}."
    return f"{n_chosen} selected, {n_hidden} of them hidden by the filters."


def _unselect(hidden: Sequence[str]) -> None:
    st.session_state["mea_chosen"] = [run_id for run_id in st.session_state["mea_chosen"] if run_id not in hidden]


def _filtered(runs: pd.DataFrame) -> pd.DataFrame:
    first, second, third = st.columns([2, 2, 2], vertical_alignment="bottom")
    text = first.text_input(
        "Model", key="mea_h_text", placeholder="Any part of a name", persist_state="session", icon=":material/search:"
    )
    known = [name for name in RUNTIMES if name in set(runs["runtime"])]
    runtimes = second.multiselect("Runtime", known, key="mea_h_runtimes", persist_state="session", placeholder="All")
    ended = third.multiselect(
        "How it ended", list(views_history.OUTCOMES), key="mea_h_ended", persist_state="session", placeholder="All"
    )
    return views_history.filtered(runs, text=text or "", runtimes=runtimes, ended=ended)


def _table(found: pd.DataFrame) -> list[str]:
    """The table of runs; the ids of its selected rows, in its order.

    Positions mean other rows once a run arrives or a filter changes: the table is then a new one, in which the
    same runs are selected again.
    """
    kept = st.session_state.get("mea_chosen", [])
    rows = [i for i, run_id in enumerate(found["run_id"]) if run_id in kept]
    key = f"mea_history_{zlib.crc32(','.join(found['run_id']).encode()):x}"
    event = st.dataframe(
        views_history.table(found), key=key, hide_index=True, height=_HEIGHT_PX, column_config=_HEADS,
        on_select="rerun", selection_mode="multi-row", selection_default={"selection": {"rows": rows}},
        placeholder="–", alt="Every run of this machine, newest first.",
    )  # fmt: skip
    return [str(found["run_id"].iloc[i]) for i in event["selection"]["rows"] if i < len(found)]


def compared(store: Store, run_ids: Sequence[str]) -> None:
    """Two runs: which is faster, by how much, how surely, and in what they differ."""
    try:
        found = workflows_measure.compare_runs(store, run_ids[0], run_ids[1])
    except AdvisorError as exc:
        st.info(str(exc), icon=":material/info:")
        return
    runs = [ui_runs.run_of(store, run_id) for run_id in run_ids]
    st.markdown(f"#### {found.verdict[0].upper()}{found.verdict[1:]}.")
    badge = ui.evidence_badge("measured")
    for name, run in zip(NAMES, runs, strict=True):
        assert run.measured is not None
        latency = run.measured.latency
        st.markdown(
            f"{badge} **{name}** {views_measure.title(run)} · {latency.p50:,.4g} ms "
            f"({views_measure.interval(*latency.ci95)}) · {run.started_at[:16].replace('T', ' ')} UTC"
        )
    latencies = [run.measured.latency for run in runs if run.measured is not None]
    figure = charts_measure.comparison_figure(latencies[0], latencies[1], NAMES).update_layout(margin_t=8)
    ui_runs.chart(figure, key=f"mea_compared_{'_'.join(run_ids)}", alt="The raw times of both runs, A above B.")
    for caveat in found.caveats:
        st.caption(caveat)
    differences = views_beside.comparison_table(found, NAMES)
    if differences.empty:
        st.caption("The setups are the same in everything that is recorded.")
        return
    ui_runs.text_table(differences, key="differences")


def _delete(store: Store, run_ids: Sequence[str]) -> None:
    try:
        workflows_measure.delete_runs(store, run_ids)
        st.session_state["mea_deleted"] = [*st.session_state.get("mea_deleted", []), list(run_ids)]
    except AdvisorError as exc:
        st.session_state["mea_complaint"] = str(exc)


def _undo(store: Store) -> None:
    """After deleting: the way back, the last deletion first, as long as the session lasts."""
    batches = st.session_state.get("mea_deleted", [])
    if not batches:
        return
    deleted = batches[-1]
    said = f"{len(deleted)} run{'s' if len(deleted) > 1 else ''} deleted: out of this history and of every answer."
    if len(batches) > 1:
        said += f" {len(batches) - 1} earlier deletion{'s' if len(batches) > 2 else ''} can be undone after it."
    with st.container(horizontal=True, vertical_alignment="center", border=True, key="mea_undo_box"):
        st.markdown(said, width="content")
        st.button("Undo", key="mea_undo", icon=":material/undo:", on_click=_restore, args=(store,))


def _restore(store: Store) -> None:
    batches = st.session_state.get("mea_deleted", [])
    if not batches:  # a second click on the last one
        return
    try:
        workflows_measure.restore_runs(store, batches[-1])
        st.session_state["mea_deleted"] = batches[:-1]
    except AdvisorError as exc:
        st.session_state["mea_complaint"] = str(exc)
