"""The job panel: every measurement that is queued or runs on this machine, whoever started it, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from advisor import views_jobs, workflows_measure
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.measure.job_state import JobState
from advisor.measure.request import Request

_FAILURES_SHOWN = 5
_ENDINGS_SHOWN = 3  # jobs whose end is told, the newest ones


def start(store: Store, requests: Sequence[Request], *, title: str) -> None:
    """Queue requests and show their results; where a job is at them already, show that one instead.

    A second click, in this tab or another, may come before the page has told of the first, and measuring twice helps
    nobody.

    Raises:
        AdvisorError: They cannot be queued.
    """
    follow(workflows_measure.submit_once(store, requests, title=title))


def follow(job_id: str) -> None:
    """Show the results of a job that this session started, and how jobs end from now on."""
    state = st.session_state
    state["mea_job"], state["mea_watched"] = job_id, [job_id]
    state.pop("mea_job_complaint", None)


def history(store: Store) -> pd.DataFrame:
    """Every run that is not deleted, newest first; kept until any result changes, so not to be modified."""
    return store.frame("own_runs", with_deleted=False)


def estimate_s(store: Store, requests: Sequence[Request]) -> float:
    """Seconds that requests will take, kept until another run is stored."""
    return _estimate_s(store, store.version(), tuple(requests)) if requests else 0.0


@st.cache_data(show_spinner=False, max_entries=64)
def _estimate_s(_store: Store, version: str, requests: tuple[Request, ...]) -> float:
    return workflows_measure.estimate_s(_store, requests)


def panel(store: Store) -> list[JobState]:
    """Draw the jobs and look again while any is queued or running; all jobs, newest first."""
    jobs = workflows_measure.jobs(store).states()
    state = st.session_state
    active = [job for job in reversed(jobs) if not job.ended]
    watched = [*state.get("mea_watched", []), *(job.job_id for job in active)]
    state["mea_watched"] = list(dict.fromkeys(watched))
    state["mea_seen"] = _seen(jobs)
    # no timer at all where nothing runs, and a slower one while timing
    st.fragment(_panel, run_every=views_jobs.poll_s(active))(store)
    return jobs


def _seen(jobs: Sequence[JobState]) -> tuple[object, ...]:
    """What the rest of the page depends on: when it changes, the whole page is drawn anew."""
    active = [job for job in jobs if not job.ended]
    return (views_jobs.poll_s(active), *((job.job_id, job.status, job.run_ids) for job in jobs))


def _panel(store: Store) -> None:
    try:
        jobs = workflows_measure.jobs(store).states()
        if _seen(jobs) != st.session_state["mea_seen"]:
            st.rerun()
        _draw(store, jobs)
    except AdvisorError as exc:  # a fragment runs outside the page's own guard
        st.error(str(exc), icon=":material/error:")


def _draw(store: Store, jobs: Sequence[JobState]) -> None:
    active = [job for job in reversed(jobs) if not job.ended]
    with st.container(key="jobs"):
        # an error stays until the next click, as the panel may be drawn anew at any moment
        if complaint := st.session_state.get("mea_job_complaint"):
            st.error(complaint, icon=":material/error:")
        for job in active:
            _card(store, job)
        watched = st.session_state["mea_watched"]
        told = [job for job in jobs if job.ended and job.job_id in watched]
        ended = [job for job in told if job.status != "interrupted" or job.n_to_come]  # the others can be resumed
        for job in ended[:_ENDINGS_SHOWN]:
            _ending(store, job)
        dismissed = st.session_state.get("mea_dismissed", [])
        for job in views_jobs.to_resume(jobs, history(store), dismissed)[:3]:
            _resumable(store, job)


def _card(store: Store, job: JobState) -> None:
    """One job that is queued or runs; always the same lines, so that nothing moves while it goes on."""
    with st.container(border=True, key=f"job_{job.job_id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            owner = views_jobs.owner_words(job)
            st.markdown(f"**{job.title}**" + (f" :gray[{owner}]" if owner else ""), width="content")
            st.button(
                "Cancel", key=f"cancel_{job.job_id}", icon=":material/close:", on_click=_cancel,
                args=(store, job.job_id), disabled=views_jobs.cancelling(job),
            )  # fmt: skip
        st.progress(_furthest(job), text=views_jobs.now_words(job))
        current = [job.current] if job.current is not None else []
        left_s = views_jobs.left_s(job, estimate_s(store, job.left), estimate_s(store, current))
        failures = views_jobs.failures(history(store), job.job_id) if job.n_failed else []
        st.caption(views_jobs.time_words(job, left_s) + "".join(f" · ✗ {sentence}" for sentence in failures[-1:]))


def _furthest(job: JobState) -> float:
    """How far a job has come; never less than before, though more samples may turn out to be needed."""
    reached: dict[str, float] = st.session_state.setdefault("mea_reached", {})
    reached[job.job_id] = max(views_jobs.share(job), reached.get(job.job_id, 0.0))
    return reached[job.job_id]


def _cancel(store: Store, job_id: str) -> None:
    st.session_state.pop("mea_job_complaint", None)
    try:
        workflows_measure.jobs(store).cancel(job_id)
    except AdvisorError as exc:
        st.session_state["mea_job_complaint"] = str(exc)


def _ending(store: Store, job: JobState) -> None:
    """How a job that this session has seen ended, and each of its failures."""
    failures = views_jobs.failures(history(store), job.job_id)
    lines = [views_jobs.ended_words(job), *(f"- {sentence}" for sentence in failures[:_FAILURES_SHOWN])]
    if len(failures) > _FAILURES_SHOWN:
        lines.append(f"- and {len(failures) - _FAILURES_SHOWN} more in History")
    if job.unsaved:
        lines.append(f"- {len(job.unsaved)} results are kept but not in the store yet: {job.unsaved_reason}")
    shown = st.warning if failures or job.status != "done" or job.unsaved else st.success
    shown("\n".join(lines))


def _resumable(store: Store, job: JobState) -> None:
    """A job that its program did not end: what is left of it is one click away."""
    with st.container(border=True, key=f"job_{job.job_id}"):
        st.markdown(f":orange-badge[:material/power_off: interrupted] **{job.title}** {job.last_reason}")
        with st.container(horizontal=True):
            st.button(
                f"Measure the {len(job.left)} that are left" if len(job.left) > 1 else "Measure it again",
                key=f"resume_{job.job_id}", icon=":material/replay:", on_click=_resume, args=(store, job),
            )  # fmt: skip
            st.button("Dismiss", key=f"dismiss_{job.job_id}", type="tertiary", on_click=_dismiss, args=(job.job_id,))


def _resume(store: Store, job: JobState) -> None:
    try:
        start(store, job.left, title=job.title)
        _dismiss(job.job_id)
    except AdvisorError as exc:
        st.session_state["mea_job_complaint"] = str(exc)


def _dismiss(job_id: str) -> None:
    st.session_state.pop("mea_job_complaint", None)
    st.session_state["mea_dismissed"] = [*st.session_state.get("mea_dismissed", []), job_id]
