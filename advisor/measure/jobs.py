"""The queue of measurements: one timing at a time on this machine, first come first served within a home.

A job is run by a thread of the process that submitted it; its record lives in `home/jobs`, where every other
process with the same home finds it. A result is on the disk before it is saved, so that neither a kill nor a
store that is locked or full loses it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from advisor.errors import AdvisorError, BadQuestion
from advisor.measure import job_state
from advisor.measure.host import IDLE_S, Host
from advisor.measure.job_files import JobFiles, unwritable
from advisor.measure.job_state import JobState, utc
from advisor.measure.keeping import DRIFT, Keeper
from advisor.measure.lines import Progress
from advisor.measure.measuring import Judge, Measurer, device_id_of, judged
from advisor.measure.own_job import PROGRESS_S, OwnJob
from advisor.measure.request import Request
from advisor.measure.run import Roof, Run
from advisor.measure.sweep import Drift

POLL_S = 0.15  # how often a waiting job looks whether it is its turn
IDLE_CHECK_S = 30.0
CHOOSING = Progress("choosing what to measure next")
CLOSE_S = 10.0  # a thread that is saving may take so long
_log = logging.getLogger(__name__)
# from the runs so far, without those of the sentinel, to what is measured next; None where nothing is
Follow = Callable[[tuple[Run, ...]], Request | None]


class Jobs:
    """The jobs of a home, those of other processes too; use one per process.

    Args:
        home: Folder of the user's own data; the jobs are in `jobs/` below it.
        save: Puts one finished run into the store, and does nothing where a run of that id is there already:
            after a kill it may be told the same run again. An `AdvisorError` keeps the run until a later try.
        save_sweep: Puts the sentinel's drift of a sweep into the store, under the same terms.
        roof_of: What the machine can do at a request's target, precision and threads, None where not known yet. Its
            request has threads, and the precision that was really used.
        save_roof: Puts a roof that was measured for a request into the store, with the roof's own precision, which
            a request need not have ("tf32").
        device_id: The store's id of a target; raises `AdvisorError` where the target is not there.
        judge: Verdict and reasons of what was measured.
        clock: Wall clock, seconds since 1970; it may go back.
        stopwatch: Seconds of a clock that never goes back, for how long a job has run.
        host_command: What to start instead of the measuring process, for tests.
        idle_s: After how long without a request the measuring process ends.
        machine_lock: A file that all homes of this machine share; `turn.of_this_machine` unless a test says otherwise.
    """

    def __init__(
        self, home: Path, *, save: Callable[[Run], Any], save_sweep: Callable[[Drift], Any] = lambda _drift: None,
        roof_of: Callable[[Request], Roof | None] | None = None,
        save_roof: Callable[[Request, Roof], Any] = lambda _request, _roof: None,
        device_id: Callable[[str], str] = device_id_of, judge: Judge = judged,
        clock: Callable[[], float] = time.time, stopwatch: Callable[[], float] = time.monotonic,
        host_command: Sequence[str] | None = None, idle_s: float = IDLE_S, machine_lock: Path | None = None,
    ) -> None:  # fmt: skip
        self._files = JobFiles(home, machine_lock=machine_lock)
        self._host = Host(host_command, idle_s=idle_s)
        self._keeper = Keeper(self._files, save, save_sweep)
        self._measurer = Measurer(
            self._host, clock, device_id=device_id, judge=judge, roof_of=roof_of, save_roof=save_roof
        )  # fmt: skip
        self._clock, self._stopwatch = clock, stopwatch
        self._own: dict[str, OwnJob] = {}  # those whose end is not on the disk yet
        self._mine: set[str] = set()
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._caretaker: threading.Thread | None = None
        atexit.register(self.close)

    def submit(
        self, requests: Sequence[Request], *, title: str, sweep_id: str = "", sentinel: Request | None = None,
        follow: Follow | None = None, n_expected: int = 0, budget_s: float | None = None,
        expected_s: float | None = None,
    ) -> str:  # fmt: skip
        """Put a job at the end of the queue; returns its id at once.

        Args:
            sentinel: Measured before everything else and after it.
            follow: Asked for one more request after the given ones, of which there may be none, until it gives None;
                in the job's thread, while nothing is measured. If it raises an `AdvisorError` the job has failed.
            n_expected: Most requests that `follow` will give, so that progress has a total.
            budget_s: So long after the job started running no further request is begun; the sentinel still runs, and
                the job is done.
            expected_s: How long it is expected to run at most, where `follow` goes on as long as there is time:
                progress is then told by the time too.

        Raises:
            BadQuestion: There is nothing to measure, or no time for it.
            StoreUnusable: The job's files cannot be written.
        """
        if not requests and follow is None:
            raise BadQuestion("There is nothing to measure: name at least one model.")
        if budget_s is not None and not budget_s > 0:  # NaN fails too
            raise BadQuestion(f"The time to measure in must be more than 0 s, not {budget_s:g} s.")
        if self._closing.is_set():
            raise BadQuestion("The program is closing: start it again to measure.")
        record, lock = self._files.create(
            requests, title=title, sweep_id=sweep_id, sentinel=sentinel, created_at=utc(self._clock()),
            n_expected=n_expected if follow is None else max(n_expected, 1), budget_s=budget_s,
            expected_s=expected_s,
        )  # fmt: skip
        job = OwnJob(record, lock, self._files, self._changed, self._closing, stopwatch=self._stopwatch)
        job.thread = threading.Thread(target=self._work, args=(job, follow), name=f"job {record.job_id}", daemon=True)
        with self._changed:
            self._own[record.job_id] = job
            self._mine.add(record.job_id)
        job.thread.start()
        return record.job_id

    def submit_once(self, requests: Sequence[Request], *, title: str) -> str:
        """The id of a job, of whatever process, that is to measure just these requests already; else of a new one.

        Two who ask at the same moment get the same job.

        Raises:
            BadQuestion: There is nothing to measure.
            StoreUnusable: The job's files cannot be written.
        """
        with self._files.queue():
            return self._same(requests) or self.submit(requests, title=title)

    def _same(self, requests: Sequence[Request]) -> str | None:
        """The oldest job that measures these requests and nothing else, and that nobody has cancelled."""
        asked = {request.key for request in requests}
        for job_id in self._files.not_known_to_have_ended():
            record = self._files.record(job_id)
            if record is None or not record.fixed or {request.key for request in record.requests} != asked:
                continue
            own = self._own.get(job_id)
            cancelled = self._files.cancel_asked(job_id) if own is None else own.cancel_asked
            if not cancelled and not self.state(job_id).ended:
                return job_id
        return None

    def state(self, job_id: str) -> JobState:
        """One job, of any process.

        Raises:
            UnknownName: There is no such job.
        """
        own = self._own.get(job_id)
        if own is not None:
            return job_state.job_state(
                own.record, own.reached, alive=True, owner_here=True, cancel_asked=own.cancel_asked
            )
        state = self._files.state(self._files.check(job_id))
        if state is None:  # its record is damaged or was just forgotten
            raise BadQuestion(f"The record of job {job_id} cannot be read: start the measurement again.")
        return replace(state, owner_here=job_id in self._mine)

    def states(self) -> list[JobState]:
        """All jobs of every process with this home, newest first."""
        found = []
        for job_id in reversed(self._files.ids()):
            with contextlib.suppress(AdvisorError):  # damaged, or not complete yet
                found.append(self.state(job_id))
        return found

    def unsaved_runs(self, job_id: str) -> list[Run]:
        """The finished runs of a job that the store has not taken yet, in order.

        Raises:
            UnknownName: There is no such job.
        """
        found = (self._keeper.unsaved_run(job_id, name) for name in self.state(job_id).unsaved)
        return [run for run in found if run is not None]

    def cancel(self, job_id: str) -> None:
        """Cancel a job, of whatever process; what it measures now is killed within some 0.2 s.

        Raises:
            UnknownName: There is no such job.
        """
        own = self._own.get(job_id)
        if own is not None:
            own.cancelled.set()
        elif not self.state(job_id).ended:
            self._files.ask_cancel(job_id)

    def wait(self, job_id: str, on_change: Callable[[JobState], None] = lambda _state: None) -> JobState:
        """Block until a job has ended, telling each change; returns its last state."""
        seen: JobState | None = None
        while True:
            state = self.state(job_id)
            if state != seen:
                on_change(state)
                seen = state
            if state.ended:
                return state
            with self._changed:
                self._changed.wait(PROGRESS_S)

    def warm(self) -> None:
        """Start the measuring process, so that a click finds it ready, and save what an earlier one could not.

        Returns at once. While another process measures nothing is started: imports would disturb its timing.
        """
        if self._closing.is_set():
            return
        threading.Thread(target=self._warm, name="warming up", daemon=True).start()

    def recover(self) -> None:
        """End and record what dead processes left behind, and save every result that is not saved yet."""
        for job in list(self._own.values()):
            if job.reached.status in job_state.ENDED:  # the disk was full when it ended
                job.write_again()
                self._let_go(job)
        self._keeper.recover()

    def close(self) -> None:
        """End the running job as interrupted, and the measuring process; called at the end of the process too."""
        atexit.unregister(self.close)
        self._closing.set()
        for job in list(self._own.values()):
            if job.thread is not None and job.thread is not threading.current_thread():
                job.thread.join(CLOSE_S)
        self._host.close()
        self._keeper.save_from_memory()

    # the thread of a job

    def _work(self, job: OwnJob, follow: Follow | None) -> None:
        self._care()
        try:
            try:
                with self._turn(job) as ours:
                    status, reason = self._run_steps(job, follow) if ours else _early_end(job)
            except (AdvisorError, OSError) as exc:
                reason = str(unwritable(self._files.folder, exc) if isinstance(exc, OSError) else exc)
                status = "failed"
            except Exception as exc:  # a bug must end this job in plain sight, not vanish in a thread
                _log.exception("job %s broke", job.record.job_id)
                status, reason = "failed", f"The job broke, which is a fault of ours: {type(exc).__name__}: {exc}."
            self._finish(job, status, reason)
        finally:
            job.lock.release()

    @contextlib.contextmanager
    def _turn(self, job: OwnJob) -> Iterator[bool]:
        """Wait until no older job is left and nobody measures; False where the job is stopped before."""
        with self._files.turn() as turn:
            while job.stopped() is None:
                older = self._ahead(job.record.job_id)
                if older is None and turn.take():
                    break
                job.note(now=job_state.waiting_for(older))
                job.cancelled.wait(POLL_S)
            yield turn.taken

    def _ahead(self, job_id: str) -> JobState | None:
        """The oldest job that comes before this one; looks only at those not known to have ended."""
        others = [other for other in self._files.not_known_to_have_ended() if other != job_id]
        states = []
        for other in others:
            with contextlib.suppress(AdvisorError):
                states.append(self.state(other))
        return job_state.ahead_of(job_id, states)

    def _run_steps(self, job: OwnJob, follow: Follow | None) -> tuple[job_state.Status, str]:
        """Measure everything in order; how the job ended, and why where that is not the last step's reason."""
        job.start(utc(self._clock()))
        self.recover()  # a child of a dead owner would disturb the timing
        sentinel, runs = job.record.sentinel, list[Run]()
        before = None if sentinel is None else self._step(job, sentinel)
        goes_on = sentinel is None or before is not None
        while goes_on and (request := self._next(job, follow, tuple(runs))) is not None:
            run = self._step(job, request)
            goes_on = run is not None
            runs += [run] if run is not None else []
        if sentinel is not None:
            after = self._step(job, sentinel) if goes_on else None
            goes_on = after is not None
            self._keep_drift(job, sentinel, before, after)
        if not goes_on:
            return _early_end(job)
        # one that chooses from results passes over what failed; whoever asked for it says what it came to
        all_failed = follow is None and 0 < job.reached.n_done == job.reached.n_failed
        return ("failed" if all_failed else "done"), ""

    def _next(self, job: OwnJob, follow: Follow | None, runs: tuple[Run, ...]) -> Request | None:
        """What is measured after those runs; None where nothing is, or where the time of the job is up."""
        given, n_done, budget_s = job.record.requests, len(runs), job.record.budget_s
        more = n_done < len(given) or follow is not None
        out_of_time = more and budget_s is not None and job.seconds >= budget_s
        request = None
        if not out_of_time:
            request = given[n_done] if n_done < len(given) else _followed(job, follow, runs)
        if request is None:
            job.note(closed_at=n_done, out_of_time=out_of_time)
        return request

    def _step(self, job: OwnJob, request: Request) -> Run | None:
        """Measure one request and save its run; None where the job was stopped before there was a result."""
        run = self._measurer.measure(job, request)
        counted = run.status in ("ok", "failed")
        self._keeper.keep(job.record.job_id, run.run_id, run)
        job.note(
            n_done=job.reached.n_done + counted, n_failed=job.reached.n_failed + (run.status == "failed"),
            run_ids=(*job.reached.run_ids, run.run_id), now=None, under_way=None,
            last_reason=run.reason or job.reached.last_reason,
        )  # fmt: skip
        self._save(job)
        return run if counted else None

    def _keep_drift(self, job: OwnJob, sentinel: Request, before: Run | None, after: Run | None) -> None:
        """Save how far the sentinel moved between its two runs; None stands for one without a result."""
        each_ms = [
            None if run is None or run.measured is None else run.measured.latency.fullest_ms for run in (before, after)
        ]
        drift = Drift(job.record.sweep_id, job.record.job_id, sentinel.architecture, *each_ms)
        self._keeper.keep(job.record.job_id, DRIFT, drift)
        self._save(job)

    def _save(self, job: OwnJob) -> None:
        left = self._keeper.save(job.record.job_id)
        job.note(unsaved=left.names, unsaved_reason=left.reason, in_memory=left.in_memory)

    def _finish(self, job: OwnJob, status: job_state.Status, reason: str) -> None:
        job.end(status=status, finished_at=utc(self._clock()), last_reason=reason or job.reached.last_reason)
        self._let_go(job)

    def _let_go(self, job: OwnJob) -> None:
        with self._changed:
            if job.on_disk:  # else this process alone knows how it ended
                self._own.pop(job.record.job_id, None)
            self._changed.notify_all()

    # the measuring process

    def _warm(self) -> None:
        with contextlib.suppress(AdvisorError, OSError):  # a click will say what is wrong
            self._files.folder.mkdir(parents=True, exist_ok=True)
            with self._files.turn() as turn:
                if not turn.take():
                    return
                self._host.start()
            self.recover()
            self._care()

    def _care(self) -> None:
        """See to it that the measuring process ends when nobody uses it."""
        with self._changed:
            if self._caretaker is None:
                self._caretaker = threading.Thread(target=self._watch_idle, name="idle measuring", daemon=True)
                self._caretaker.start()

    def _watch_idle(self) -> None:
        while not self._closing.wait(IDLE_CHECK_S):
            self._host.close_if_idle()


def _early_end(job: OwnJob) -> tuple[job_state.Status, str]:
    """How a job that was stopped has ended, and why."""
    if job.cancel_asked:
        return "cancelled", job.reached.last_reason or "Cancelled before it began."
    return "interrupted", "The program was closed before it was done."


def _followed(job: OwnJob, follow: Follow | None, runs: tuple[Run, ...]) -> Request | None:
    """The request that follows those runs, taken down before it is measured; None where none does."""
    if follow is None:
        return None
    job.progress(CHOOSING)
    request = follow(runs)
    if request is not None:
        job.note(followed=(*job.reached.followed, request))
    return request
