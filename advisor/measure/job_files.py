"""The files of the jobs, shared by every process with the same home: records, progress, locks, runs not yet saved.

    home/jobs/queue.lock              held while a job takes its number
    home/jobs/device.lock             held by the job that measures, see `turn.Turn`
    home/jobs/<job id>/owner.lock     held by the owner as long as it lives; the system frees it when it dies
    home/jobs/<job id>/job.json       `Record`: the job is there once this is
    home/jobs/<job id>/reached.json   `Reached`, replaced as the job goes on
    home/jobs/<job id>/cancel         someone asks to cancel
    home/jobs/<job id>/kept/          finished runs that are not in the store yet

Locks instead of process numbers say who lives: a number may be given anew, and differs between containers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from filelock import FileLock, Timeout

from advisor.errors import AdvisorError, StoreUnusable, UnknownName
from advisor.measure import job_state
from advisor.measure.job_state import JobState, Reached, Record
from advisor.measure.lines import BrokenLine, typed
from advisor.measure.request import Request
from advisor.measure.turn import Turn, of_this_machine

KEPT_JOBS = 200  # older ended ones are forgotten; their runs are in the store
_ASKED_BY_OTHERS_S = 0.1
_QUEUE_WAIT_S = 10.0
T = TypeVar("T")


class JobFiles:
    """The jobs below one home, of all processes.

    Args:
        machine_lock: A file that all homes of this machine share.
    """

    def __init__(self, home: Path, *, machine_lock: Path | None = None) -> None:
        self.folder, self._machine_lock = home / "jobs", machine_lock or of_this_machine()
        self._queue = FileLock(self.folder / "queue.lock", timeout=_QUEUE_WAIT_S)  # each thread holds it by itself
        self._ended: dict[str, tuple[tuple[int, int], JobState]] = {}  # with the stamp of the file they are from

    @contextlib.contextmanager
    def queue(self) -> Iterator[None]:
        """Hold the queue, so that nobody else adds a job meanwhile; who holds it may ask for it again.

        Raises:
            StoreUnusable: The folder cannot be written to, or another does not let go of the queue.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._queue:
                yield
        except Timeout as exc:
            raise StoreUnusable(f"Another process holds {self.folder / 'queue.lock'}: try again.") from exc
        except OSError as exc:
            raise unwritable(self.folder, exc) from exc

    def create(
        self, requests: Sequence[Request], *, title: str, sweep_id: str, sentinel: Request | None, created_at: str,
        n_expected: int = 0, budget_s: float | None = None, expected_s: float | None = None,
    ) -> tuple[Record, FileLock]:  # fmt: skip
        """A new job at the end of the queue, and its owner's lock, held.

        Raises:
            StoreUnusable: The folder cannot be written to.
        """
        with self.queue():
            self._forget_old()
            number = 1 + max(map(job_state.number_of, self.ids()), default=0)
            record = Record(
                job_id=job_state.job_id_of(number), title=title, created_at=created_at, owner_pid=os.getpid(),
                requests=tuple(requests), sweep_id=sweep_id, sentinel=sentinel, n_expected=n_expected,
                budget_s=budget_s, expected_s=expected_s,
            )  # fmt: skip
            own = self.folder / record.job_id
            (own / "kept").mkdir(parents=True)
            lock = self._owner_lock(record.job_id)
            lock.acquire(blocking=False)
            self.write_reached(record.job_id, Reached())
            _replace(own / "job.json", msgspec.json.encode(record), lasting=True)
        return record, lock

    def ids(self) -> list[str]:
        """All jobs, first come first."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError:
            return []
        return sorted(filter(job_state.is_job_id, names), key=job_state.number_of)

    def not_known_to_have_ended(self) -> list[str]:
        """The jobs that may still be queued or running, first come first; cheap enough to ask often."""
        return [job_id for job_id in self.ids() if job_id not in self._ended]

    def state(self, job_id: str) -> JobState | None:
        """A job as another process sees it; None where it is not there or damaged."""
        stamp = self._stamp(job_id)
        if self._ended.get(job_id, (None,))[0] == stamp and stamp is not None:
            return self._ended[job_id][1]
        record, reached = self.record(job_id), self.reached(job_id)
        if record is None:
            return None
        alive = True
        if reached.status not in job_state.ENDED:
            with self.taken_over(job_id) as dead:
                alive = not dead
                if dead:  # written down, so that it is asked once and reads the same to all
                    reached = job_state.interrupted(record, self.reached(job_id))
                    with contextlib.suppress(OSError):
                        self.write_reached(job_id, reached)
        cancel_asked = self.cancel_asked(job_id)
        state = job_state.job_state(record, reached, alive=alive, owner_here=False, cancel_asked=cancel_asked)
        if state.ended and stamp is not None:
            self._ended[job_id] = (stamp, state)
        return state

    def record(self, job_id: str) -> Record | None:
        """What was submitted; None where it is not there (yet) or damaged."""
        return _read(self.folder / job_id / "job.json", Record)

    def reached(self, job_id: str) -> Reached:
        """How far a job has come; as at its start where that cannot be read."""
        return _read(self.folder / job_id / "reached.json", Reached) or Reached()

    def write_reached(self, job_id: str, reached: Reached) -> None:
        """Replace how far a job has come; for its owner, or who has taken it over."""
        ended = reached.status in job_state.ENDED
        _replace(self.folder / job_id / "reached.json", msgspec.json.encode(reached), lasting=ended)

    @contextlib.contextmanager
    def taken_over(self, job_id: str) -> Iterator[bool]:
        """Whether the job's owner is dead; while it is, nobody else takes the job over."""
        lock = self._owner_lock(job_id)
        try:
            # another who asks the same holds it for a moment; the owner holds it for as long as it lives
            lock.acquire(timeout=_ASKED_BY_OTHERS_S, poll_interval=_ASKED_BY_OTHERS_S / 10)
        except (Timeout, OSError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def turn(self) -> Turn:
        """The turn to measure, not taken yet."""
        return Turn(self.folder / "device.lock", self._machine_lock)

    def ask_cancel(self, job_id: str) -> None:
        """Ask the job's owner, in whatever process, to cancel it."""
        try:
            (self.folder / job_id / "cancel").touch()
        except OSError as exc:
            raise unwritable(self.folder / job_id, exc) from exc

    def cancel_asked(self, job_id: str) -> bool:
        """Whether someone has asked to cancel a job."""
        return (self.folder / job_id / "cancel").exists()

    def keep(self, job_id: str, name: str, value: Any) -> None:
        """Keep a result until it is saved: it survives a kill from here on."""
        _replace(self.folder / job_id / "kept" / f"{name}.json", msgspec.json.encode(value), lasting=True)

    def kept(self, job_id: str) -> list[str]:
        """The names of the results that are not saved yet, oldest first."""
        try:
            return sorted(path.stem for path in (self.folder / job_id / "kept").iterdir() if path.suffix == ".json")
        except OSError:
            return []

    def read_kept(self, job_id: str, name: str) -> Any:
        """A kept result as plain values; None where it is damaged."""
        try:
            return msgspec.json.decode((self.folder / job_id / "kept" / f"{name}.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def forget_kept(self, job_id: str, name: str) -> None:
        """A kept result is saved now."""
        with contextlib.suppress(OSError):
            (self.folder / job_id / "kept" / f"{name}.json").unlink()

    def check(self, job_id: str) -> str:
        """The id itself.

        Raises:
            UnknownName: No job has it.
        """
        if not job_state.is_job_id(job_id) or not (self.folder / job_id / "job.json").exists():
            raise UnknownName("job", job_id, self.ids(), hint="'python -m advisor runs' lists what was measured.")
        return job_id

    def _owner_lock(self, job_id: str) -> FileLock:
        return FileLock(self.folder / job_id / "owner.lock", thread_local=False)

    def _stamp(self, job_id: str) -> tuple[int, int] | None:
        try:
            found = (self.folder / job_id / "reached.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _forget_old(self) -> None:
        for job_id in self.ids()[:-KEPT_JOBS]:
            state = self.state(job_id)
            if (state is None or state.ended) and not self.kept(job_id):
                shutil.rmtree(self.folder / job_id, ignore_errors=True)


def unwritable(path: Path, exc: OSError) -> StoreUnusable:
    """The error of a folder that takes no files."""
    return StoreUnusable(f"{path} cannot be written to: {exc.strerror or exc}. Free space or mend its permissions.")


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return typed(msgspec.json.decode(path.read_bytes()), kind)
    except (OSError, msgspec.DecodeError, BrokenLine, AdvisorError):
        return None


def _replace(path: Path, content: bytes, *, lasting: bool) -> None:
    """Write a file beside and move it into place; a lasting one reaches the disk before."""
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # half a file is of no use, and takes room on a full disk
            part.unlink()
        raise
