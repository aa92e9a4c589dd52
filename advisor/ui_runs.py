"""Results of measuring: one network on every runtime side by side, and one run with all that is known of it."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from advisor import ui, ui_job, views_beside, views_history, views_measure, workflows_measure
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
def stored(_store: Store, home: str, run_id: str) -> Run:
    """A stored run with its raw times; a run never changes, so it is kept."""
    return workflows_measure.run(_store, run_id)


def run_of(store: Store, run_id: str) -> Run:
    """A stored run with its raw times."""
    return stored(store, str(store.home), run_id)


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


def subject(store: Store, runs: pd.DataFrame, run_id: str) -> None:
    """One network at one size: every setup of it side by side, and one of them in full."""
    ids = views_history.beside(runs, run_id)
    found = [run_of(store, one) for one in ids]
    verdicts = dict(zip(runs["run_id"], runs["verdict"], strict=True))
    compared = views_beside.side_by_side(found, verdicts)
    one = next(run for run in found if run.run_id == run_id)
    machine = runs[runs["run_id"] == run_id]["device"].iloc[0]
    size = f" at {one.measured.img_size} px" if one.measured else ""
    st.markdown(f"#### `{one.request.architecture}`{size}, batch {one.request.batch_size}, on {machine}")
    st.markdown(
        f"{ui.evidence_badge('measured')} {views_beside.side_by_side_sentence(compared, one.request.architecture)}"
    )
    text_table(views_beside.side_by_side_text(compared), key="side")
    for row in compared[compared["reason"] != ""].to_dict("records"):
        st.caption(f"✗ {row['setup']}: {row['reason']}")
    timed = list(compared[compared["latency_ms"].notna()]["run_id"])
    if not timed:
        return
    setups = dict(zip(compared["run_id"], compared["setup"], strict=True))
    chosen = timed[0] if run_id not in timed else run_id
    if len(timed) > 1:
        key = f"mea_setup_{run_id}"
        st.session_state.setdefault(key, timed[0] if run_id == ids[0] else chosen)
        if st.session_state[key] not in timed:
            st.session_state[key] = timed[0]
        chosen = st.pills(
            "In full", timed, key=key, required=True, format_func=setups.__getitem__, label_visibility="collapsed"
        )  # fmt: skip
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
    """Open Recommend with this machine as its device, without limits: the most accurate of what was measured."""
    runs = ui_job.history(store)
    mine = set(runs[(runs["device_id"] == run.device_id) & (runs["status"] == "ok")]["architecture"])
    known = store.frame("catalogue")
    families = set(known[known["architecture"].isin(mine)]["family"])
    question = Question(run.device_id, families=FOUR_FAMILIES if families & set(FOUR_FAMILIES) else ("all",))
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


def _raw_times(store: Store, run: Run) -> None:
    assert run.measured is not None
    latency = run.measured.latency


def _why(store: Store, run: Run) -> None:
    for sentence in views_measure.why(run):
        st.markdown(sentence)
    text_table(views_measure.operator_table(run), key="operators")


def _batches(store: Store, run: Run) -> None:
    assert run.measured is not None
    assert run.measured.throughput is not None
    text_table(views_measure.batch_table(run), key="batches")
    st.caption(f"★ the best. The sweep ended: {run.measured.throughput.stopped}.")


def _training(store: Store, run: Run) -> None:
    training = views_measure.training_figures(run)
    if training:
        _figures(training)
    _figures(views_measure.memory_figures(run))


def _stages(store: Store, run: Run) -> None:
    assert run.measured is not None
    if run.measured.end_to_end is not None:
        st.markdown(views_measure.end_to_end_sentence(run))
        text_table(views_measure.stage_table(run), key="stages")
    if run.measured.features is not None:
        st.markdown(views_measure.feature_sentence(run))


def _published(store: Store, run: Run) -> None:
    nearest = workflows_measure.nearest_published(store, run)
    if nearest is None:
        st.info("Nobody has published a speed of this network on such hardware.", icon=":material/search_off:")
    else:
        badge, source = ui.evidence_badge("published"), ui.source_link(store, nearest.source_id)
        st.markdown(f"{badge} The nearest published setup. {nearest.text} {source}")
    metric, rows = views_beside.published_elsewhere(store, run)


def _environment(store: Store, run: Run) -> None:
    ui.table(views_measure.environment_table(run), key=f"mea_environment_{run.run_id}", height=420)
