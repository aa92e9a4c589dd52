"""One request, from asking the measuring process to a finished run; whatever happens becomes a run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from advisor.errors import AdvisorError, BadQuestion
from advisor.measure import machine, verdict
from advisor.measure.host import Host
from advisor.measure.job_state import Record, RunIds, UnderWay, utc
from advisor.measure.killing import started_s
from advisor.measure.lines import Progress, request_values
from advisor.measure.request import Request
from advisor.measure.run import Measured, Roof, Run, Status, Steadiness, product_precision
from advisor.measure.talk import Outcome

ROOF_LIMIT_S = 60.0
STARTING = Progress("starting")
ROOF_STAGE = "measuring what the machine can do"
Judge = Callable[[Measured], tuple[Steadiness, tuple[str, ...]]]


class Job(Protocol):
    """What measuring needs of the job it is for."""

    record: Record

    def begin(self, under_way: UnderWay) -> None:
        """A run has begun, or its child has."""

    def progress(self, now: Progress) -> None:
        """Something happens."""

    def stopped(self) -> Status | None:
        """How the run ends if it is to stop now, "cancelled" or "interrupted"; None where it goes on."""


def judged(found: Measured) -> tuple[Steadiness, tuple[str, ...]]:
    """Verdict and reasons of what was measured on this machine."""
    return verdict.verdict(found, usable_cores=machine.usable_threads())


def device_id_of(target: str) -> str:
    """The store's id of a target; raises `BadQuestion` where it is not there."""
    return machine.machine(target).device_id


class Measurer:
    """Turns requests into runs; used by one thread at a time. The arguments are those of `jobs.Jobs`."""

    def __init__(
        self, host: Host, clock: Callable[[], float], *, device_id: Callable[[str], str], judge: Judge,
        roof_of: Callable[[Request], Roof | None] | None, save_roof: Callable[[Request, Roof], Any],
    ) -> None:  # fmt: skip
        self._host, self._clock, self._run_ids = host, clock, RunIds(clock)
        self._device_id, self._judge = device_id, judge
        self._roof_of, self._save_roof = roof_of, save_roof
        self._roofs: dict[tuple[object, ...], Roof | None] = {}  # None: it cannot be measured here

    def measure(self, job: Job, request: Request) -> Run:
        """Measure a request for a job, whatever comes of it."""
        began_s = time.monotonic()
        under_way = UnderWay(run_id=self._run_ids.next(), started_at=utc(self._clock()))
        verdict: Steadiness | None = None
        reasons: tuple[str, ...] = ()
        try:
            device_id, host = self._device_id(request.target), _alive(self._host.pid)
            under_way = replace(under_way, device_id=device_id, host=host)
            job.begin(under_way)
            job.progress(STARTING)
            outcome = self._ask(job, under_way, "measure", request_values(request), request.time_limit_s)
            outcome = self._under_its_roof(job, request, under_way, outcome)
        except AdvisorError as exc:
            outcome = Outcome("failed", reason=str(exc))
        if outcome.ending == "answered":
            try:
                verdict, reasons = self._judge(outcome.value)
            except (ValueError, ArithmeticError) as exc:  # well-typed figures that make no sense
                outcome = Outcome("failed", reason=f"Its figures make no sense: {exc}.")
        seconds = time.monotonic() - began_s
        status, reason = _ending(outcome, job, seconds)
        return Run(
            run_id=under_way.run_id, job_id=job.record.job_id, sweep_id=job.record.sweep_id, status=status,
            reason=reason, device_id=under_way.device_id, request=request, started_at=under_way.started_at,
            seconds=seconds, verdict=verdict, verdict_reasons=reasons,
            measured=outcome.value if status == "ok" else None,
        )  # fmt: skip

    def _ask(
        self, job: Job, under_way: UnderWay, kind: str, value: dict[str, Any], time_limit_s: float
    ) -> Outcome:  # fmt: skip
        def on_line(what: str, told: Any) -> None:
            if what == "progress":
                job.progress(told)
                return
            child, host = _alive(told), _alive(self._host.pid)
            if child is not None:
                job.begin(replace(under_way, child=child, host=host))

        return self._host.ask(
            kind, value, on_line=on_line, should_stop=lambda: job.stopped() is not None, time_limit_s=time_limit_s
        )

    def _under_its_roof(self, job: Job, request: Request, under_way: UnderWay, outcome: Outcome) -> Outcome:
        """The same with what the machine can do in the precision that was really used, where that can be had.

        Asked for after the timing: so a first latency is there some 2 s sooner.
        """
        found = outcome.value
        if self._roof_of is None or not isinstance(found, Measured):
            return outcome
        threads = request.threads or machine.usable_threads()
        question = {
            "target": request.target, "precision": product_precision(found.precision_used), "threads": threads,
        }  # fmt: skip
        so_far = Progress(ROOF_STAGE, detail=f"the median is {found.latency.p50:.3g} ms")
        with contextlib.suppress(AdvisorError):  # a locked store: a result without its roof is better than none
            roof = self._roof(job, request, under_way, question, so_far)
            return replace(outcome, value=replace(found, roof=roof))
        return outcome

    def _roof(
        self, job: Job, request: Request, under_way: UnderWay, question: dict[str, Any], so_far: Progress
    ) -> Roof | None:  # fmt: skip
        """What the machine can do in a target, precision and threads: known, or measured; None where it cannot be."""
        assert self._roof_of is not None
        key = tuple(question.values())
        if key not in self._roofs:
            asked = _of_the_roof(request, question)
            roof = None if asked is None else self._roof_of(asked)
            if roof is None:
                job.progress(so_far)
                outcome = self._ask(job, under_way, "roof", question, ROOF_LIMIT_S)
                if outcome.ending == "stopped":
                    return None
                if isinstance(outcome.value, tuple) and outcome.value:
                    roof = outcome.value[0]
                    with contextlib.suppress(AdvisorError):  # the next process measures it again
                        self._save_roof(asked or request, roof)
            self._roofs[key] = roof
        return self._roofs[key]


def _alive(pid: int | None) -> tuple[int, float] | None:
    """A process with when it was started, as `UnderWay` has it; None where there is none."""
    start_s = None if pid is None else started_s(pid)
    return None if pid is None or start_s is None else (pid, start_s)


def _of_the_roof(request: Request, question: dict[str, Any]) -> Request | None:
    """A request by which a roof is known; None where no request has its precision, as that of TF32."""
    with contextlib.suppress(BadQuestion):
        return replace(request, precision=question["precision"], threads=question["threads"])
    return None


def _ending(outcome: Outcome, job: Job, seconds: float) -> tuple[Status, str]:
    if outcome.ending == "answered":
        return "ok", ""
    if outcome.ending == "failed":
        return "failed", outcome.reason
    if job.stopped() == "cancelled":
        return "cancelled", f"Cancelled after {seconds:.1f} s."
    return "interrupted", f"The program was closed after {seconds:.1f} s."
