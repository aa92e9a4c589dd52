"""Where a job of measuring stands, in words and shares: what the job panel shows. Pure; no Streamlit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import pandas as pd

from advisor.measure.job_state import JobState
from advisor.measure.lines import Progress
from advisor.measure.request import Request
from advisor.views_measure import duration

# stage -> how far into one request it is when it begins; timing takes most of the time
_BEGINS = {
    "starting": 0.0, "choosing what to measure next": 0.0, "cancelling": 0.0, "building": 0.02,
    "converting": 0.06, "quantising": 0.08, "compiling": 0.1, "warming up": 0.2,
    "timing": 0.35,
}  # fmt: skip
_ENDS = 0.85  # of the timing; parity, memory, the extras and what the machine can do come after
FAST_S, SLOW_S = 0.5, 1.5  # between two looks at the jobs
_FAST_FOR_S = 4.0  # a new job is watched closely for so long
_USUAL_S = 6.0  # what a request that is not chosen yet takes, as long as none is done
_SIGNS = {"done": "✓", "failed": "✗", "cancelled": "■", "interrupted": "↯"}


def poll_s(active: Sequence[JobState]) -> float | None:
    """How long to wait between two looks: shorter while a job is young, never where none runs.

    A look costs some 10 ms of a core here and as much in a browser on this machine, so it is rare while timing.
    """
    if not active:
        return None
    running = [job for job in active if job.status == "running"]
    return SLOW_S if running and min(job.seconds for job in running) > _FAST_FOR_S else FAST_S


def step_share(now: Progress | None) -> float:
    """How far the request under way has come, 0 to 1, from its stage."""
    if now is None:
        return 0.0
    begins = _BEGINS.get(now.stage, _ENDS)
    if now.stage == "timing" and now.total:
        return begins + (_ENDS - begins) * min(now.done / now.total, 1.0)
    return begins


def share(job: JobState) -> float:
    """How far a job has come, 0 to 1."""
    if job.ended or not job.n_total:
        return 1.0
    within = step_share(job.now) if job.status == "running" else 0.0
    return min(max((job.n_done + within) / job.n_total, job.time_share), 1.0)


def now_words(job: JobState) -> str:
    """What happens now, with what is measured: 'resnet50, openvino fp32: timing 34/100, ±3.1 %'."""
    if job.status == "queued":
        return job.now.text if job.now else "waiting for its turn"
    doing = job.now.text if job.now else "starting"
    if job.current is None:
        return doing
    current = job.current
    return f"{current.architecture}, {current.runtime} {current.precision}: {doing}"


def time_words(job: JobState, left_s: float) -> str:
    """How long it has run and how long it will take, with how much of it is done."""
    n_total = f"up to {job.n_total}" if job.n_to_come else f"{job.n_total}"
    if job.status == "queued":
        return f"{n_total} to measure, about {duration(left_s)}"
    counted = f"{job.n_done} of {n_total} done" + (f", {job.n_failed} failed" if job.n_failed else "")
    return f"{counted} · {duration(job.seconds)} so far · about {duration(left_s)} left"


def left_s(job: JobState, estimate_s: float, current_s: float) -> float:
    """Seconds left: what is estimated for all requests without a result, less what the current one has taken.

    What may follow takes as long as what is done, but no request is begun after the time that the job was given.

    Args:
        current_s: The estimate of the request under way alone; no more than that is taken off.
    """
    each_s = job.seconds / job.n_done if job.n_done else _USUAL_S
    running = job.status == "running"
    taken_s = current_s * step_share(job.now) if running else 0.0
    more_s = estimate_s + job.n_to_come * each_s - taken_s
    for most_s in (job.budget_s, job.expected_s):
        if most_s is not None:
            more_s = min(more_s, max(most_s - job.seconds, current_s - taken_s))
    return max(more_s, 1.0) if running else more_s


def owner_words(job: JobState) -> str:
    """Where a job was started, when not here."""
    return "" if job.owner_here else "started by another process"


def ended_words(job: JobState) -> str:
    """How a job has ended, in one sentence."""
    measured = job.n_done - job.n_failed
    counted = f"{measured} of {job.n_total} measured"
    took = f" in {duration(job.seconds)}" if job.seconds else ""
    if job.out_of_time and job.budget_s is not None:
        took += f", none begun after {duration(job.budget_s)}"
    if job.status == "done":
        said = f"{counted}{took}, {job.n_failed} failed" if job.n_failed else f"{counted}{took}"
    else:
        said = f"{counted}{took}: {job.last_reason}" if job.last_reason else f"{counted}{took}"
    return f"{_SIGNS.get(job.status, '')} {job.title} · {job.status}: {said}{'' if said.endswith('.') else '.'}"


def cancelling(job: JobState) -> bool:
    """Whether someone has asked to cancel a job that still runs."""
    return job.now is not None and job.now.stage == "cancelling"


def failures(runs: pd.DataFrame, job_id: str) -> list[str]:
    """The failures of a job, oldest first, one sentence each.

    Args:
        runs: The history as `workflows_measure.runs` gives it.
    """
    rows = runs[(runs["job_id"] == job_id) & (runs["status"] == "failed")]
    return [
        f"{row['architecture']}, {row['runtime']} {row['precision']}: {row['reason']}"
        for row in rows.iloc[::-1].to_dict("records")
    ]


def to_resume(jobs: Sequence[JobState], runs: pd.DataFrame, dismissed: Collection[str] = ()) -> list[JobState]:
    """Interrupted jobs of which something is still to be measured: no later run has answered it.

    A job that chooses what follows is left to whoever started it: the requests that are left are not all of it.
    """
    found = []
    for job in jobs:
        if job.status != "interrupted" or not job.left or job.n_to_come or job.job_id in dismissed:
            continue
        later = runs[(runs["status"] == "ok") & (runs["started_at"] >= _utc(job.created_at))]
        if not {request.key for request in job.left} <= set(later["request_key"]):
            found.append(job)
    return found


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def title_of(requests: Sequence[Request]) -> str:
    """What a job is called: its networks and how many setups of them."""
    names = list(dict.fromkeys(request.architecture for request in requests))
    shown = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    return f"{shown}, {len(requests)} setups" if len(requests) > 1 else f"{shown}, {requests[0].runtime}"


def estimate_words(seconds: float, requests: Sequence[Request]) -> str:
    """'about 25 s for 5 setups', before a click."""
    networks = len({request.architecture for request in requests})
    of = f" of {networks} models" if networks > 1 else ""
    return f"about {duration(seconds)} for {len(requests)} setup{'s' if len(requests) > 1 else ''}{of}"
