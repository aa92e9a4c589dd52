"""What a job is and where it stands: pure functions of what its owner wrote and whether the owner still lives."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from advisor.measure.lines import Progress
from advisor.measure.request import Request

Status = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
ENDED: tuple[Status, ...] = ("done", "failed", "cancelled", "interrupted")

_JOB_ID = re.compile(r"(\d{6,12})-[0-9a-f]{8}")
_OWNER_GONE = "The program that ran it ended before it was done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was submitted; written once and never changed.

    Attributes:
        job_id: See `job_id_of`; its number, not the clock, says who came first.
        created_at: UTC, ISO 8601, to the second.
        requests: In the order in which they run.
        sentinel: A model measured before and after the requests of a sweep, or None.
        n_expected: Most requests that are expected to follow those, chosen from what was measured; 0 where none does.
        budget_s: After how many seconds of running no further request is begun, see `Reached.out_of_time`.
        expected_s: How long it is expected to run at most, where time decides how many requests follow; else None.
    """

    job_id: str
    title: str
    created_at: str
    owner_pid: int
    requests: tuple[Request, ...]
    sweep_id: str = ""
    sentinel: Request | None = None
    n_expected: int = 0
    budget_s: float | None = None
    expected_s: float | None = None

    @property
    def fixed(self) -> bool:
        """Whether it measures its requests and nothing else, however long that takes."""
        return (self.sweep_id, self.sentinel, self.n_expected, self.budget_s) == ("", None, 0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """The run that has begun and is not finished.

    Attributes:
        device_id: "" until it is known, or where the target is not there.
        child: The measuring process and when it was started, see `killing.started_s`; None before there is one.
        host: The warm process that the child is from, likewise: one that is stopped does not end with its owner.
    """

    run_id: str
    started_at: str
    device_id: str = ""
    child: tuple[int, float] | None = None
    host: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a job has come, as its owner last wrote it.

    Attributes:
        n_done: Steps with a result, ok or failed; the first `n_done` of `steps`.
        seconds: Since the job started running, by a clock that never goes back.
        run_ids: Of every run that the job made, cancelled ones too.
        followed: The requests that were chosen from what was measured, in the order in which they were chosen.
        closed_at: How many of the requests are measured, once it is known that no further one is begun; else None.
        out_of_time: Whether that is because the time of the job was up.
        last_reason: Why the last step failed, or why the job ended early.
        unsaved: The runs that could not be saved yet, with the reason in `unsaved_reason`.
        in_memory: Those of them that the disk did not take either.
    """

    status: Status = "queued"
    n_done: int = 0
    n_failed: int = 0
    now: Progress | None = None
    under_way: UnderWay | None = None
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float = 0.0
    run_ids: tuple[str, ...] = ()
    followed: tuple[Request, ...] = ()
    closed_at: int | None = None
    out_of_time: bool = False
    last_reason: str = ""
    unsaved: tuple[str, ...] = ()
    unsaved_reason: str = ""
    in_memory: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """One job as pages and the command line show it.

    Attributes:
        owner_here: Whether a thread of this process runs it.
        n_total: Steps in all, the sentinel's two and those that may follow included; `n_done` of them have a result,
            `n_failed` a failed one.
        current: What is measured now, or was when it was interrupted.
        created_at, started_at, finished_at: UTC, ISO 8601, to the second; None until then.
        seconds: How long it has run, by a clock that never goes back.
        left: The requests without a result, in order; what a job that ended early did not measure.
        n_to_come: How many of `n_total` may follow, though not known yet which; 0 once it is known that none does.
        budget_s: After how many seconds of running no further request is begun; None where they are not limited.
        expected_s: How long it is expected to run at most, where time decides how many requests follow; else None.
        out_of_time: Whether requests were left out because those seconds were up.
        unsaved: Ids of the runs that the store refused; `Jobs.unsaved_runs` gives them.
        in_memory: Those of them that the disk refused too; all others are kept in the job's folder.
    """

    job_id: str
    title: str
    status: Status
    owner_here: bool
    n_total: int
    n_done: int
    n_failed: int
    now: Progress | None
    current: Request | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    seconds: float
    run_ids: tuple[str, ...]
    last_reason: str
    sweep_id: str
    left: tuple[Request, ...]
    unsaved: tuple[str, ...]
    unsaved_reason: str
    in_memory: tuple[str, ...] = ()
    n_to_come: int = 0
    budget_s: float | None = None
    expected_s: float | None = None
    out_of_time: bool = False

    @property
    def time_share(self) -> float:
        """How much of `expected_s` is over, 0 to 1; 0 where that is not known."""
        return 0.0 if self.expected_s is None else min(self.seconds / self.expected_s, 1.0)

    @property
    def lost_if_closed(self) -> bool:
        """Whether results of it are lost when the program that measured them ends."""
        return bool(self.in_memory)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED

    @property
    def n_left(self) -> int:
        """How many requests have no result, those that may follow among them; the sentinel's two runs do not count."""
        return len(self.left) + self.n_to_come


def asked(record: Record, reached: Reached) -> tuple[Request, ...]:
    """The requests of a job that are known by now, in order: those submitted and those that followed."""
    return (*record.requests, *reached.followed)


def steps(record: Record, reached: Reached) -> tuple[Request, ...]:
    """Everything that is measured, as far as it is known by now, in order: the requests between two of the sentinel."""
    around = () if record.sentinel is None else (record.sentinel,)
    return (*around, *asked(record, reached)[: reached.closed_at], *around)


def interrupted(record: Record, reached: Reached) -> Reached:
    """What a job that its owner can no longer end has come to; an ended one is left as it is."""
    if reached.status in ENDED:
        return reached
    return replace(reached, status="interrupted", now=None, last_reason=f"{_OWNER_GONE}: {_told(record, reached)}.")


def job_state(record: Record, reached: Reached, *, alive: bool, owner_here: bool, cancel_asked: bool) -> JobState:
    """A job's state from its files.

    Args:
        alive: Whether its owner still lives.
        cancel_asked: Whether someone has asked to cancel it; shown until the owner has done so.
    """
    reached = reached if alive else interrupted(record, reached)
    running = reached.status == "running"
    order, n_to_come = steps(record, reached), _n_to_come(record, reached)
    at_work = reached.under_way is not None and reached.n_done < len(order)
    return JobState(
        job_id=record.job_id, title=record.title, status=reached.status, owner_here=owner_here,
        n_total=len(order) + n_to_come, n_done=reached.n_done, n_failed=reached.n_failed,
        now=Progress("cancelling") if running and cancel_asked else reached.now,
        current=order[reached.n_done] if at_work else None,
        created_at=record.created_at, started_at=reached.started_at, finished_at=reached.finished_at,
        seconds=reached.seconds, run_ids=reached.run_ids, last_reason=reached.last_reason, sweep_id=record.sweep_id,
        left=_left(record, reached), unsaved=reached.unsaved, unsaved_reason=reached.unsaved_reason,
        in_memory=reached.in_memory, n_to_come=n_to_come, budget_s=record.budget_s, expected_s=record.expected_s,
        out_of_time=reached.out_of_time,
    )  # fmt: skip


def ahead_of(job_id: str, jobs: Iterable[JobState]) -> JobState | None:
    """The oldest job that is still to end and was submitted before this one; None where it is this one's turn."""
    older = [job for job in jobs if not job.ended and number_of(job.job_id) < number_of(job_id)]
    return min(older, key=lambda job: number_of(job.job_id), default=None)


def waiting_for(job: JobState | None) -> Progress:
    """What a queued job says; None where the one ahead is not known."""
    if job is None:
        return Progress("waiting for another measurement to end")
    return Progress(f"waiting for {job.title}{'' if job.owner_here else ' (started by another process)'}")


def job_id_of(number: int) -> str:
    """A new id of a job with this place in the queue; safe as a file name and in a URL."""
    return f"{number:06d}-{secrets.token_hex(4)}"


def is_job_id(text: str) -> bool:
    """Whether a text has the form of a job's id, so that it may name a folder."""
    return _JOB_ID.fullmatch(text) is not None


def number_of(job_id: str) -> int:
    """The place in the queue that a job's id holds: lower came first."""
    match = _JOB_ID.fullmatch(job_id)
    assert match is not None
    return int(match[1])


def utc(clock_s: float) -> str:
    """A reading of the wall clock as UTC, ISO 8601, to the second."""
    return datetime.fromtimestamp(clock_s, UTC).isoformat(timespec="seconds")


class RunIds:
    """Ids of runs: sortable by time, unique across processes, in order even when the clock goes back.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)

    def next(self) -> str:
        """A new id, e.g. "20250131T120000-123456-9f86d081"; sorts after all earlier ones of this process."""
        with self._lock:
            now = datetime.fromtimestamp(self._clock(), UTC)
            self._last = max(now, self._last + timedelta(microseconds=1))
            return f"{self._last:%Y%m%dT%H%M%S-%f}-{secrets.token_hex(4)}"


def _left(record: Record, reached: Reached) -> tuple[Request, ...]:
    return asked(record, reached)[_n_measured(record, reached) :]


def _n_measured(record: Record, reached: Reached) -> int:
    """How many requests have a result, the sentinel not among them."""
    most = len(asked(record, reached)) if reached.closed_at is None else reached.closed_at
    return min(max(0, reached.n_done - (record.sentinel is not None)), most)


def _n_to_come(record: Record, reached: Reached) -> int:
    return 0 if reached.closed_at is not None else max(0, record.n_expected - len(reached.followed))


def _told(record: Record, reached: Reached) -> str:
    """What an interrupted job has not measured, in words."""
    known = len(asked(record, reached))
    if to_come := _n_to_come(record, reached):
        measured = _n_measured(record, reached)
        return f"{measured} of at most {known + to_come} requests {_was(measured)} measured"
    missing = len(_left(record, reached))
    return f"{missing} of {known} requests {_was(missing)} not measured"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
