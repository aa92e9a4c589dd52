"""Results of measuring: one network on every runtime side by side, and one run with all that is known of it."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from advisor import (
    charts_compare,
    charts_measure,
    ui,
    ui_job,
    views_beside,
    views_history,
    views_measure,
    workflows,
    workflows_measure,
)
from advisor.evidence.store import Store
from advisor.links import to_link
from advisor.measure.job_state import JobState
from advisor.measure.run import Run
from advisor.records import FOUR_FAMILIES, Question
from advisor.views import markdown_table

EMPTY = (
    "Nothing has been measured on this machine yet. Press **Measure on this machine**: the result appears here, and "
    "Recommend can answer for this machine from then on."
)
_VERDICTS = {"steady": (":material/check_circle:", "green"), "noisy": (":material/warning:", "orange")}


@st.cache_resource(show_spinner=False, max_entries=128)
def stored(_store: Store, home: str, run_id: str, verdict_reasons: str) -> Run:
    """A stored run with its raw times, kept; later runs may change its verdict, but nothing else of it."""
    return workflows_measure.run(_store, run_id)


def run_of(store: Store, run_id: str) -> Run:
    """A stored run with its raw times."""
    runs = ui_job.history(store)
    told = runs.loc[runs["run_id"] == run_id, "verdict_reasons"]
    return stored(store, str(store.home), run_id, " ".join(map(str, told)))


def result(store: Store, jobs: Sequence[JobState]) -> None:
    """The result of the job that this session started, else of the newest; one network at a time."""
    runs = ui_job.history(store)
    job_id = _shown_job(jobs, runs)
    if job_id is None:
        st.info(EMPTY, icon=":material/timer:")
        return
    found = views_history.subjects(runs, list(runs[runs["job_id"] == job_id]["run_id"]))
    if not found:
        st.info("The results appear here, one after the other, as soon as they are there.", icon=":material/timer:")
        return
    shown = found[0]
    if len(found) > 1:
        names = {run_id: _name(runs, run_id) for run_id in found}
        shown = st.selectbox("Result of", found, format_func=names.__getitem__, key=f"mea_subject_{job_id}")
    subject(store, runs, shown)


def _shown_job(jobs: Sequence[JobState], runs: pd.DataFrame) -> str | None:
    """The job whose results are on show: the one started here, else one that runs, else the newest with results."""
    chosen = st.session_state.get("mea_job")
    if chosen is None:
        chosen = next((job.job_id for job in jobs if job.status == "running"), None)
    known = set(runs["job_id"])
    going_on = any(job.job_id == chosen and not job.ended for job in jobs)
    if chosen in known or going_on:
        return str(chosen)
    timed = runs[runs["status"] == "ok"]
    newest = timed if len(timed) else runs
    return None if newest.empty else str(newest["job_id"].iloc[0])


def _name(runs: pd.DataFrame, run_id: str) -> str:
    row = runs[runs["run_id"] == run_id].iloc[0]
    size = "" if pd.isna(row["img_size"]) else f" · {row['img_size']:.0f} px"
    return f"{row['architecture']}{size} · batch {row['batch_size']:.0f}"


def text_table(frame: pd.DataFrame, *, key: str) -> None:
    """A small table of text: dense, and scrolled where it is wider than the page."""
    with st.container(key=f"text_{key}"):
        st.markdown(markdown_table(frame))


def chart(figure: go.Figure, *, key: str, alt: str) -> None:
    """A chart of a measurement; the table or the figures beside it say the same."""
    st.plotly_chart(figure, key=key, config=ui.PLOTLY_CONFIG, alt=alt)


def subject(store: Store, runs: pd.DataFrame, run_id: str, *, opened: str | None = None) -> None:
    """One network at one size: every setup of it side by side, and one of them in full.

    Args:
        opened: The run to show in full at first; None takes the fastest.
    """
    ids = views_history.beside(runs, run_id)
    found = [run_of(store, one) for one in ids]
    verdicts = dict(zip(runs["run_id"], runs["verdict"], strict=True))
    compared = views_beside.side_by_side(found, verdicts)
    one = next(run for run in found if run.run_id == run_id)
    machine = runs[runs["run_id"] == run_id]["device"].iloc[0]
    size = f" at {one.measured.img_size} px" if one.measured else ""
    st.markdown(f"#### `{one.request.architecture}`{size}, batch {one.request.batch_size}, on {machine}")
    timed = list(compared[compared["latency_ms"].notna()]["run_id"])
    said = views_beside.side_by_side_sentence(compared, one.request.architecture)
    st.markdown(f"{ui.evidence_badge('measured')} {said}" if timed else said)
    left, right = st.columns([3, 2], gap="medium") if len(timed) > 1 else (st.container(), None)
    with left:
        text_table(views_beside.side_by_side_text(compared), key="side")
        for row in compared[compared["reason"] != ""].to_dict("records"):
            st.caption(f"✗ {row['setup']}: {row['reason']}")
    if not timed:
        return
    if right is not None:
        figure = charts_measure.runtimes_figure(compared).update_layout(margin_t=24)  # it has no legend
        with right:
            chart(figure, key=f"mea_runtimes_{run_id}", alt="Latency of each setup.")
    setups = dict(zip(compared["run_id"], compared["setup"], strict=True))
    chosen: str = opened if opened is not None and opened in timed else timed[0]
    if len(timed) > 1:
        key = f"mea_setup_{opened or ''}_{run_id}"
        st.session_state.setdefault(key, chosen)
        if st.session_state[key] not in timed:
            st.session_state[key] = timed[0]
        chosen = st.pills(
            "In full", timed, key=key, required=True, format_func=setups.__getitem__, label_visibility="collapsed"
        ) or chosen  # fmt: skip
    listed = runs[runs["run_id"] == chosen].iloc[0]
    in_full(store, run_of(store, chosen), str(listed["verdict"]), str(listed["verdict_reasons"]))


def in_full(store: Store, run: Run, verdict: str, reasons: str) -> None:
    """One run: its verdict, its figures, what to do with it, and everything behind it in tabs."""
    icon, colour = _VERDICTS[verdict]
    st.markdown(f":{colour}-badge[{icon} {verdict}] {reasons}")
    _figures(views_measure.figures(run))
    with st.container(horizontal=True, key="mea_use"):
        if st.button("Use in the advisor", icon=":material/recommend:", key=f"use_{run.run_id}"):
            _use(store, run)
        name = f"{run.request.architecture}-{run.run_id}"
        st.download_button(
            "Raw times (CSV)", data=lambda: views_measure.times_csv(run), file_name=f"{name}.csv", mime="text/csv",
            key=f"csv_{run.run_id}", icon=":material/download:", on_click="ignore", type="tertiary",
        )  # fmt: skip
        st.download_button(
            "Whole run (JSON)", data=lambda: views_measure.run_json(run), file_name=f"{name}.json",
            mime="application/json", key=f"json_{run.run_id}", icon=":material/download:", on_click="ignore",
            type="tertiary",
        )  # fmt: skip
    if run.measured is not None and run.measured.notes:
        st.caption(" ".join(run.measured.notes))
    _tabs(store, run)


def _figures(figures: Mapping[str, str]) -> None:
    cells = [f"<div><span>{html.escape(k)}</span><b>{html.escape(v)}</b></div>" for k, v in figures.items()]
    st.html(f'<div class="figures">{"".join(cells)}</div>')


def _use(store: Store, run: Run) -> None:
    """Open Recommend with this machine as its device, without limits: the most accurate of what was measured.

    The families that were measured here are asked for beside the four, or the network on show might be left out.
    """
    runs = ui_job.history(store)
    mine = set(runs[(runs["device_id"] == run.device_id) & (runs["status"] == "ok")]["architecture"])
    known = store.frame("catalogue")
    measured = set(known[known["architecture"].isin(mine)]["family"]) & set(workflows.families(store))
    question = Question(run.device_id, families=(*FOUR_FAMILIES, *sorted(measured - set(FOUR_FAMILIES))))
    st.switch_page(ui.routes()["Recommend"], query_params=to_link(question))


# -- the tabs ------------------------------------------------------------------------------------------------


def _tabs(store: Store, run: Run) -> None:
    """Only tabs that have content; only the open one is drawn."""
    found = run.measured
    assert found is not None
    parts: dict[str, Callable[[Store, Run], None] | None] = {
        "Raw times": _raw_times,
        "Why this fast": _why if found.work is not None else None,
        "Batch sweep": _batches if found.throughput is not None else None,
        "Training and memory": _training,
        "End to end": _stages if found.end_to_end or found.features else None,
        "Against published": _published,
        "Environment": _environment,
    }
    names = [name for name, draw in parts.items() if draw is not None]
    key = f"mea_tabs_{len(names)}_{'sweep' if found.throughput else ''}_{'why' if found.work else ''}"
    for tab, name in zip(st.tabs(names, key=key, on_change="rerun"), names, strict=True):
        draw = parts[name]
        if tab.open and draw is not None:
            with tab:
                draw(store, run)


def _raw_times(_store: Store, run: Run) -> None:
    assert run.measured is not None
    latency = run.measured.latency
    left, right = st.columns(2, gap="medium")
    with left:
        chart(
            charts_measure.histogram_figure(latency), key=f"mea_hist_{run.run_id}", alt="How often each time occurred."
        )
    with right:
        chart(charts_measure.times_figure(latency), key=f"mea_times_{run.run_id}", alt="Every raw time in its order.")
    st.caption(views_measure.timing_sentence(run))


def _why(store: Store, run: Run) -> None:
    assert run.measured is not None
    assert run.measured.work is not None
    for sentence in views_measure.why(run):
        st.markdown(sentence)
    left, right = st.columns(2, gap="medium")
    with left:
        figure = charts_measure.operator_figure(run.measured.work)
        chart(figure, key=f"mea_ops_{run.run_id}", alt="Share of time and of multiply-adds by class of operators.")
        text_table(views_measure.operator_table(run), key="operators")
    with right:
        if run.measured.roof is not None and run.roof_fraction is not None:  # the roof behind the figure above
            runs = ui_job.history(store)
            noisy = set(runs[runs["verdict"] == "noisy"]["run_id"])
            beside = [run_of(store, run_id) for run_id in views_history.under_the_same_roof(runs, run)]
            figure = charts_measure.roofline_figure([run.measured.roof], [run, *beside], this=run.run_id, noisy=noisy)
            chart(figure, key=f"mea_roof_{run.run_id}", alt="Achieved speed against arithmetic intensity.")
    st.caption(
        f"Counted by {run.measured.work.counter}; times of operators add up to more than a pass, as each is watched."
    )


def _batches(_store: Store, run: Run) -> None:
    assert run.measured is not None
    assert run.measured.throughput is not None
    left, right = st.columns([3, 2], gap="medium")
    with left:
        figure = charts_measure.batch_figure(run.measured.throughput)
        chart(figure, key=f"mea_batch_{run.run_id}", alt="Throughput over the batch size.")
    with right:
        text_table(views_measure.batch_table(run), key="batches")
        st.caption(f"★ the best. The sweep ended: {run.measured.throughput.stopped}.")


def _training(_store: Store, run: Run) -> None:
    training = views_measure.training_figures(run)
    if training:
        _figures(training)
    _figures(views_measure.memory_figures(run))


def _stages(_store: Store, run: Run) -> None:
    assert run.measured is not None
    if run.measured.end_to_end is not None:
        st.markdown(views_measure.end_to_end_sentence(run))
        figure = charts_measure.end_to_end_figure(run.measured.end_to_end)
        chart(figure, key=f"mea_stages_{run.run_id}", alt="The stages from JPEG to logits.")
        text_table(views_measure.stage_table(run), key="stages")
    if run.measured.features is not None:
        st.markdown(views_measure.feature_sentence(run))


def _published(store: Store, run: Run) -> None:
    nearest = workflows_measure.nearest_published(store, run)
    if nearest is None:
        st.info("Nobody has published a speed of this network on such hardware.", icon=":material/search_off:")
    else:
        badge, source = ui.evidence_badge("published"), ui.source_link(store, nearest.source_id)
        shaky = " Ours is noisy, so the ratio may not repeat." if run.verdict == "noisy" else ""
        st.markdown(f"{badge} The nearest published setup: {nearest.text}{shaky} {source}")
    metric, rows = views_beside.published_elsewhere(store, run)
    if rows.empty:
        return
    figure = charts_compare.device_figure(rows, metric).update_layout(dragmode=False)
    chart(
        figure, key=f"mea_elsewhere_{run.run_id}", alt="The same network on other devices; the table has the figures."
    )
    ui.table(
        rows[["device", "kind", metric, "setup", "evidence", "verdict", "source_id"]],
        key=f"mea_else_table_{run.run_id}", height=240,
    )  # fmt: skip


def _environment(_store: Store, run: Run) -> None:
    ui.table(views_measure.environment_table(run), key=f"mea_environment_{run.run_id}", height=420)
