"""Finished results on their way into the store: on the disk first, tried again until they are saved."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from advisor.errors import AdvisorError, StoreError
from advisor.measure import job_state
from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import Reached, Record
from advisor.measure.killing import end_leftover
from advisor.measure.lines import BrokenLine, plain, run_of, typed
from advisor.measure.run import Run
from advisor.measure.sweep import Drift

DRIFT = "sweep"  # the name under which a drift is kept; a run is kept under its id
_log = logging.getLogger(__name__)


class NotSaved(NamedTuple):
    """What a job has finished that is not in the store yet.

    Attributes:
        names: Ids of the runs, and `DRIFT`.
        reason: Why.
        store_refuses: Whether the store takes nothing now.
        in_memory: Those of the names that the disk did not take either: they are lost when this process ends.
    """

    names: tuple[str, ...] = ()
    reason: str = ""
    store_refuses: bool = False
    in_memory: tuple[str, ...] = ()


class Keeper:
    """Saves results, and loses none that cannot be saved now.

    Args:
        save: Puts one run into the store; may be told the same run again after a kill.
        save_sweep: Puts a drift into the store, under the same terms.
    """

    def __init__(self, files: JobFiles, save: Callable[[Run], Any], save_sweep: Callable[[Drift], Any]) -> None:
        self._files, self._save, self._save_sweep = files, save, save_sweep
        self._in_memory: dict[tuple[str, str], Run | Drift] = {}  # finished while the disk took nothing
        self._ever_held: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def keep(self, job_id: str, name: str, result: Run | Drift) -> None:
        """Put a finished result on the disk; where that is full it is held in memory."""
        if not self._on_disk(job_id, name, result):
            with self._lock:
                self._in_memory[job_id, name] = result
                self._ever_held.add((job_id, name))

    def _on_disk(self, job_id: str, name: str, result: Run | Drift) -> bool:
        try:
            self._files.keep(job_id, name, plain(result))
        except OSError:
            return False
        return True

    def save(self, job_id: str) -> NotSaved:
        """Save all that a job has finished; what is left of it."""
        reason, store_refuses = self.save_from_memory(), False
        for name in self._files.kept(job_id):
            failure = self._put(name, self._files.read_kept(job_id, name))
            if failure is None:
                self._files.forget_kept(job_id, name)
                continue
            reason = str(failure)
            store_refuses = isinstance(failure, StoreError)
            if store_refuses:
                break  # the others would wait for the same store
        in_memory = self._held(job_id)
        left = tuple(sorted({*self._files.kept(job_id), *in_memory}))
        return NotSaved(left, reason if left else "", store_refuses, in_memory)

    def unsaved_run(self, job_id: str, run_id: str) -> Run | None:
        """A finished run that is not in the store yet, from the disk or from memory; None where it is in neither."""
        with contextlib.suppress(AdvisorError, BrokenLine, KeyError, TypeError, ValueError):  # a damaged file
            with self._lock:
                held = self._in_memory.get((job_id, run_id))
            if isinstance(held, Run):
                return held
            kept = self._files.read_kept(job_id, run_id)
            return None if kept is None or run_id == DRIFT else run_of(kept)
        return None

    def _held(self, job_id: str) -> tuple[str, ...]:
        """The names of a job's results that are in memory alone."""
        with self._lock:
            return tuple(sorted(name for own, name in self._in_memory if own == job_id))

    def save_from_memory(self) -> str:
        """Save what the disk did not take; why that failed, or ""."""
        reason = ""
        for (job_id, name), result in list(self._in_memory.items()):
            failure = self._put(name, plain(result))
            reason = reason if failure is None else str(failure)
            if failure is None or self._on_disk(job_id, name, result):  # there may be room on the disk by now
                with self._lock:
                    self._in_memory.pop((job_id, name), None)
        return reason

    def recover(self) -> None:
        """End and record what dead processes left behind, and save every result that is not saved yet."""
        store_refuses = False
        for job_id in self._files.ids():
            state = self._files.state(job_id)
            if state is None or not state.ended:
                continue
            if state.status == "interrupted":
                self._end_run_of(job_id)
            if not store_refuses and (state.unsaved or self._files.kept(job_id)):
                store_refuses = self._save_again(job_id)
        self.save_from_memory()

    def _save_again(self, job_id: str) -> bool:
        """Save what an ended job has kept, and note what is left; whether the store takes nothing now."""
        with self._files.taken_over(job_id) as ours:
            left = self.save(job_id) if ours else NotSaved()
            reached = self._files.reached(job_id)
            # what another process holds, or held when it died, is known to that process alone
            theirs = {name for name in reached.in_memory if (job_id, name) not in self._ever_held}
            theirs.difference_update(self._files.kept(job_id))
            found = replace(
                reached, unsaved=tuple(sorted({*left.names, *theirs})),
                in_memory=tuple(sorted({*left.in_memory, *theirs})),
                unsaved_reason=left.reason or (reached.unsaved_reason if theirs else ""),
            )  # fmt: skip
            if ours and found != reached:
                with contextlib.suppress(OSError):
                    self._files.write_reached(job_id, found)
        return left.store_refuses

    def _end_run_of(self, job_id: str) -> None:
        """End what was measured when the owner of a job died, and make a run of it; once."""
        with self._files.taken_over(job_id) as ours:
            record, reached = self._files.record(job_id), self._files.reached(job_id)
            if not ours or record is None or reached.under_way is None:
                return
            if reached.under_way.run_id not in reached.run_ids:
                found = self._end_under_way(record, reached)
                with contextlib.suppress(OSError):
                    self._files.write_reached(job_id, found)

    def _end_under_way(self, record: Record, reached: Reached) -> Reached:
        """Make a run of what was under way when its owner died, unless it had just been finished."""
        at_work, job_id = reached.under_way, record.job_id
        assert at_work is not None
        for process in (at_work.host, at_work.child):  # the host first, which would go on to report
            if process is not None:
                end_leftover(*process)
        in_memory = self._in_memory.get((job_id, at_work.run_id))
        finished = self._files.read_kept(job_id, at_work.run_id) if in_memory is None else plain(in_memory)
        if finished is None:
            self.keep(job_id, at_work.run_id, Run(
                run_id=at_work.run_id, job_id=job_id, sweep_id=record.sweep_id, status="interrupted",
                reason="The program that measured it ended before it was done.", device_id=at_work.device_id,
                request=job_state.steps(record, reached)[reached.n_done], started_at=at_work.started_at, seconds=0.0,
            ))  # fmt: skip
        ids = (*reached.run_ids, at_work.run_id)
        if isinstance(finished, dict) and finished.get("status") in ("ok", "failed"):
            n_failed = reached.n_failed + (finished["status"] == "failed")
            reached = replace(reached, n_done=reached.n_done + 1, n_failed=n_failed, under_way=None)
            reached = job_state.interrupted(record, replace(reached, status="running"))
        return replace(reached, run_ids=ids)

    def _put(self, name: str, value: Any) -> AdvisorError | str | None:
        """Save a result given as plain values; why that failed, None where it is saved."""
        try:
            if name == DRIFT:
                self._save_sweep(typed(value, Drift))
            else:
                self._save(run_of(value))
        except AdvisorError as exc:
            return exc
        except Exception as exc:  # a fault in saving must neither stop measuring nor lose the result
            _log.exception("the result %s could not be saved", name)
            return f"The result {name} could not be saved, a fault of ours: {type(exc).__name__}: {exc}."
        return None
