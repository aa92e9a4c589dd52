"""This machine, first part: which setups are calibrated, one click to calibrate, and how predictions tighten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from advisor import (
    charts_predict,
    ui,
    ui_job,
    ui_runs,
    views_calibrate,
    views_measure,
    workflows_calibrate,
    workflows_foretold,
    workflows_measure,
)
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.measure import machine
from advisor.measure.job_state import JobState
from advisor.measure.request import LAYOUTS, precisions_of, runtimes_on
from advisor.predict.calibration import is_of
from advisor.predict.known import Known
from advisor.workflows_calibrate import Asked, Calibration

if TYPE_CHECKING:
    from advisor.predict.foretold import Step

EMPTY = (
    "Nothing is calibrated here yet. Press **Calibrate this machine**: a dozen small networks are measured, and from "
    "then on every network that timm lists has a predicted latency here, with an honest interval."
)
NO_TORCH = (
    "PyTorch and timm are not installed, so nothing can be measured here: run 'pip install -r requirements.txt' and "
    "start the app again."
)
_MOST_BUTTONS = 6
_FIRST_STEP = 3  # probes, the fewest that predict anything
_LAYOUTS = {"nchw": "channels first", "nhwc": "channels last"}
_DEFAULTS: dict[str, Any] = {
    "cal_runtime": "pytorch-eager", "cal_precision": None, "cal_layout": LAYOUTS[0], "cal_batch": 1,
    "cal_threads": None, "cal_budget": None,
}  # fmt: skip


def pick_target() -> str:
    """The CPU or GPU that the page is about."""
    targets = list(machine.targets())
    ui.seed("on", targets, targets[0])
    if len(targets) > 1:
        st.segmented_control("Device", targets, key="on", required=True, persist_state="session")
    return str(st.session_state["on"])


def ask(store: Store, target: str) -> None:
    """The machine, the button that calibrates it, and what is calibrated where the defaults will not do."""
    state = st.session_state
    ui.give_first(_DEFAULTS)
    if state["cal_runtime"] not in runtimes_on(target):
        state["cal_runtime"] = runtimes_on(target)[0]
    if state["cal_precision"] not in (None, *precisions_of(state["cal_runtime"])):
        state["cal_precision"] = None  # of the runtime before
    st.markdown(views_calibrate.headline(machine.machine(target), machine.usable_threads()))
    asked, wrong = _asked(target)
    if not machine.offers(target):
        wrong = NO_TORCH
    with st.container(horizontal=True, vertical_alignment="center", key="cal_start"):
        st.button(
            "Calibrate this machine", type="primary", icon=":material/speed:", key="cal_go",
            on_click=_submit, args=(store, [asked]), disabled=asked is None or bool(wrong),
        )  # fmt: skip
        if asked is not None and not wrong:
            st.markdown(
                f"{asked.label}: {workflows_calibrate.N_PROBES} small networks, as far as they fit into "
                f"{views_measure.duration(_budget_s())}, and a reference network before and after them; then every "
                "network is predicted."
            )
    if wrong:
        st.error(wrong, icon=":material/error:")
    _advanced(target)
    if complaint := state.pop("cal_complaint", None):
        st.error(complaint, icon=":material/error:")


def _budget_s() -> float:
    given = st.session_state["cal_budget"]
    return workflows_calibrate.BUDGET_S if given is None else float(given)


def _asked(target: str) -> tuple[Asked | None, str]:
    """The setup of the form; nothing and one sentence where there is no such setup."""
    state = st.session_state
    batch, most_s = state["cal_batch"], workflows_calibrate.MAX_BUDGET_S
    if not 0 < _budget_s() <= most_s:
        return None, f"Seconds for the probes must be more than 0 and at most {most_s:g}, not {_budget_s():g}."
    try:
        found = workflows_calibrate.asked(
            target, runtime=state["cal_runtime"], precision=state["cal_precision"], layout=state["cal_layout"],
            batch_size=1 if batch is None else batch, threads=state["cal_threads"],
        )  # fmt: skip
    except AdvisorError as exc:
        return None, in_words(str(exc))
    return found, ""


def in_words(sentence: str) -> str:
    """A sentence about options of the command line, about the widgets of this page."""
    for option, label in (
        ("--budget-s", "Seconds for the probes"), ("--precision", "Precision"), ("--runtime", "Runtime"),
        ("--layout", "Memory layout"), ("--batch-size", "Batch size"), ("--threads", "Threads"),
    ):  # fmt: skip
        sentence = sentence.replace(option, label)
    return sentence


def _advanced(target: str) -> None:
    state = st.session_state
    with st.expander("Advanced", key="cal_advanced", on_change="rerun") as opened:
        if opened.open:
            first, second, third = st.columns(3)
            first.selectbox("Runtime", list(runtimes_on(target)), key="cal_runtime", persist_state="session")
            second.selectbox(
                "Precision", precisions_of(state["cal_runtime"]), index=None, key="cal_precision",
                persist_state="session", placeholder="fp32",
            )  # fmt: skip
            third.selectbox(
                "Memory layout", list(LAYOUTS), key="cal_layout", persist_state="session",
                format_func=_LAYOUTS.__getitem__, help="Channels last is for the PyTorch runtimes.",
            )  # fmt: skip
            first, second, third = st.columns(3)
            _number(first.number_input, "Batch size", "cal_batch", "1")
            _number(second.number_input, "Threads", "cal_threads", f"{machine.usable_threads()}, all usable")
            _number(third.number_input, "Seconds for the probes", "cal_budget", f"{workflows_calibrate.BUDGET_S:g}")
    changed = sum(state[key] != value for key, value in _DEFAULTS.items())
    if changed:
        st.caption(f"{changed} advanced setting{'s are' if changed > 1 else ' is'} not at the default.")


def _number(widget: Callable[..., Any], label: str, key: str, empty: str) -> None:
    widget(label, key=key, value=None, step=1, format="%d", placeholder=empty, persist_state="session")


def _submit(store: Store, wanted: Sequence[Asked]) -> None:
    """Before the page runs again: queue calibrations; one that is under way already is shown instead."""
    state = st.session_state
    try:
        for asked in wanted:
            same = [job for job in workflows_measure.jobs(store).states()
                    if not job.ended and is_of(job.sweep_id, asked)]  # fmt: skip
            job_id = same[0].job_id if same else workflows_calibrate.submit_calibration(
                store, asked, budget_s=_budget_s()
            )  # fmt: skip
            ui_job.follow(job_id)
        state["mac_panel"] = "calibrate"
    except AdvisorError as exc:
        state["cal_complaint"] = in_words(str(exc))


# -- what is known -------------------------------------------------------------------------------------


def settled(store: Store, jobs: Sequence[JobState]) -> str:
    """The version of the store when the last job ended, for which all is worked out.

    While something is measured it stays as it is: learning anew takes a second of the cores that are being timed.
    """
    state = st.session_state
    ended = {job.job_id for job in jobs if job.ended}
    if state.get("mac_ended") != ended or len(ended) == len(jobs):
        state["mac_ended"], state["mac_version"] = ended, store.version()
    return str(state["mac_version"])


def known(store: Store, target: str, jobs: Sequence[JobState], version: str) -> list[Known]:
    """Every calibrated setup of a target, of any batch size.

    Args:
        version: Of the store when the last job ended.
    """
    with st.spinner("Predicting every network from what was measured here"):
        return views_calibrate.under_way(_known(store, version, target), jobs)


@st.cache_resource(show_spinner=False, max_entries=8)
def _known(_store: Store, version: str, target: str) -> list[Known]:
    """Kept until a job has ended; `version` is the key."""
    return workflows_calibrate.known(_store, target, batch_size=None)


def calibrated(store: Store, target: str, found: Sequence[Known], jobs: Sequence[JobState]) -> None:
    """Which setups are calibrated, which are to be calibrated again and why, and a button for each that is missing."""
    stale, device_id = workflows_calibrate.stale_calibrations(store), machine.machine(target).device_id
    old = views_calibrate.outdated(stale, found, target, device_id)
    offers, planned = machine.offers(target), workflows_calibrate.N_PROBES
    going_on = any(views_calibrate.is_calibration(job) and not job.ended for job in jobs)
    if not found and not old and offers and not going_on:
        st.info(EMPTY, icon=":material/speed:")
    if found:
        ui_runs.text_table(views_calibrate.calibration_table(found, planned), key="calibrations")
        for sentence in views_calibrate.skipped_sentences(found):
            st.caption(f"✗ {sentence}")
    again = [
        (f"repeat_{place}", f"**{views_calibrate.setup_label(one)}**: {why}", one.asked)
        for place, one in enumerate(found) if (why := views_calibrate.to_repeat(one, planned))
    ]  # fmt: skip
    for made in views_calibrate.too_few(workflows_calibrate.calibrations(store), stale, found, target):
        st.warning(views_calibrate.too_few_words(made), icon=":material/hourglass_disabled:")
    for place, gone in enumerate(old):
        before = gone.calibration.asked
        # all threads that may be used now, should that be what has changed
        anew = workflows_calibrate.asked(
            target, runtime=before.runtime, precision=before.precision, layout=before.layout,
            batch_size=before.batch_size,
        )  # fmt: skip
        again.append((f"again_{place}", views_calibrate.outdated_words(gone), anew))
    _again(store, again)
    if found or old:
        _missing(store, target, views_calibrate.not_calibrated(offers, found, old))


def _again(store: Store, which: Sequence[tuple[str, str, Asked]]) -> None:
    """Why setups should be calibrated again, each beside the button that does.

    Args:
        which: Of each the name of its button, why, and what is calibrated.
    """
    if not which:
        return
    with st.container(border=True, key="cal_again"):
        for name, why, asked in which:
            with st.container(horizontal=True, vertical_alignment="center", key=f"cal_{name}_row"):
                st.markdown(why)
                st.button(
                    "Calibrate again", key=f"cal_{name}", icon=":material/replay:", on_click=_submit,
                    args=(store, [asked]),
                )  # fmt: skip
        if len(which) > 1:
            every = [asked for _, _, asked in which]
            st.button("All of them again", key="cal_every", type="tertiary", on_click=_submit, args=(store, every))


def _missing(store: Store, target: str, missing: Sequence[tuple[str, str]]) -> None:
    if not missing:
        return
    wanted = [workflows_calibrate.asked(target, runtime=r, precision=p) for r, p in missing[:_MOST_BUTTONS]]
    with st.container(horizontal=True, vertical_alignment="center", key="cal_missing"):
        st.markdown("Installed and not calibrated yet:", width="content")
        for asked in wanted:
            st.button(
                asked.label, key=f"cal_{asked.runtime}_{asked.precision}", icon=":material/add:", on_click=_submit,
                args=(store, [asked]), help=f"Calibrate {asked.label}; it shares what the other setups have taught.",
            )  # fmt: skip
        if len(wanted) > 1:
            st.button("All of them", key="cal_all", type="tertiary", on_click=_submit, args=(store, wanted))


# -- while it runs -------------------------------------------------------------------------------------


def live(store: Store, jobs: Sequence[JobState], found: Sequence[Known]) -> None:
    """How the predictions of the calibration that runs, or that this session has seen end, tighten probe by probe."""
    job = _shown(jobs)
    if job is None:
        return
    made = workflows_calibrate.calibration_of(store, job.job_id)
    steps = [] if made is None else _steps(store, job, made, [one.calibration for one in found])
    told = [step.then for step in steps if step.then is not None]
    left, right = st.columns(2, gap="medium")
    with left:
        figure = charts_predict.tightening_figure(steps, workflows_calibrate.N_PROBES)
        ui_runs.chart(figure, key="cal_tightening", alt="How wide the intervals of all networks are after each probe.")
    with right:
        figure = charts_predict.foretold_figure(told)
        ui_runs.chart(figure, key="cal_foretold", alt="Each probe as it had been predicted from those before it.")
    st.caption(views_calibrate.tightening_words(steps, 0 if made is None else len(made.run_ids)))


def _steps(store: Store, job: JobState, made: Calibration, beside: Sequence[Calibration]) -> list[Step]:
    """The steps so far; all of them once it has ended.

    Before that a look works out one more at most: each takes up to a second of the cores that are being timed. So who
    comes late lags behind by as many probes.
    """
    kept, n = _kept(str(store.home)).setdefault(made.calibration_id, _Kept()), len(made.run_ids)
    reached = n if job.ended else min(n, max(kept.n_probes + 1, _FIRST_STEP))
    if reached != kept.n_probes:
        part = replace(made, run_ids=made.run_ids[:reached])
        kept.steps, kept.n_probes = workflows_foretold.tightening(store, part, beside=beside), reached
    return kept.steps


@dataclass
class _Kept:
    """The steps of a calibration, with the number of probes that they were worked out from."""

    n_probes: int = 0
    steps: list[Step] = field(default_factory=list)


@st.cache_resource(show_spinner=False, max_entries=2)
def _kept(home: str) -> dict[str, _Kept]:
    """By calibration, for all sessions of this server."""
    return {}


def _shown(jobs: Sequence[JobState]) -> JobState | None:
    """The calibration that runs, else the newest that this session has watched end; not one before a later search."""
    mine = [job for job in jobs if views_calibrate.is_calibration(job)]
    running = [job for job in mine if job.status == "running"]
    watched = [job for job in mine if job.job_id in st.session_state.get("mea_watched", ()) and job.ended]
    return next(iter([*running, *watched]), None)
