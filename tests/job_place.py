"""A home with a queue over a measuring process without torch, for tests of jobs; what that does is in `fake_worker`."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from advisor.measure import job_files
from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import Reached, UnderWay
from advisor.measure.jobs import Jobs
from advisor.measure.lines import Progress
from advisor.measure.request import Request
from advisor.measure.run import Run
from advisor.measure.sweep import Drift
from tests.waiting import until

FAKE = (sys.executable, "-S", str(Path(__file__).parent / "fake_worker.py"))


@dataclass
class Place:
    """A home with a store that can be made to refuse."""

    folder: Path
    saved: list[Run] = field(default_factory=list)
    sweeps: list[Drift] = field(default_factory=list)
    refuse: Exception | None = None
    opened: list[Jobs] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def jobs(self, *manner: str, **options: Any) -> Jobs:
        """One more program with this home."""
        defaults: dict[str, Any] = {"device_id": lambda _target: "cpu-1", "judge": lambda _found: ("steady", ())}
        defaults |= {"host_command": (*FAKE, *manner), "save": self.save, "save_sweep": self.save_sweep}
        defaults |= {"machine_lock": self.folder / "machine.lock"}  # other tests may run on this machine
        self.opened.append(Jobs(options.pop("home", self.home), **(defaults | options)))
        return self.opened[-1]

    def save(self, run: Run) -> None:
        if self.refuse is not None:
            raise self.refuse
        if run.run_id not in [known.run_id for known in self.saved]:
            self.saved.append(run)

    def save_sweep(self, drift: Drift) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.sweeps.append(drift)

    def open(self, gate: str) -> None:
        (self.folder / f"{gate}.open").touch()

    def events(self) -> list[tuple[str, str]]:
        """What children did, in order: ("begin", architecture), ("end", architecture)."""
        file = self.folder / "events"
        rows = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(row[0], row[1]) for row in sorted(rows, key=lambda row: float(row[3]))]

    def begun(self, architecture: str) -> bool:
        return ("begin", architecture) in self.events()


def asked(*architectures: str, **options: Any) -> list[Request]:
    return [Request(architecture=name, **options) for name in architectures]


def submit(jobs: Jobs, *architectures: str, **options: Any) -> str:
    return jobs.submit(asked(*architectures), title=" and ".join(architectures), **options)


def child_of(place: Place, job_id: str) -> int:
    """The measuring child of a job, once its owner has written it down."""
    under_way = until(lambda: JobFiles(place.home).reached(job_id).under_way, "the child of the job")
    return under_way.child[0] if under_way.child else until(lambda: _child(place, job_id), "the child")


def _child(place: Place, job_id: str) -> int:
    under_way = JobFiles(place.home).reached(job_id).under_way
    return under_way.child[0] if under_way is not None and under_way.child is not None else 0


def left_by_a_dead_owner(place: Place, reached: Reached, *architectures: str, **options: Any) -> str:
    """A job whose owner was killed: its record is there, its lock is free."""
    record, lock = JobFiles(place.home).create(
        asked(*architectures), title="Left", sweep_id="", created_at="2025-01-01T00:00:00+00:00",
        **({"sentinel": None} | options),
    )  # fmt: skip
    JobFiles(place.home).write_reached(record.job_id, reached)
    lock.release()
    return record.job_id


def interrupted_run(run_id: str) -> Reached:
    under_way = UnderWay(run_id=run_id, started_at="2025-01-01T00:00:01+00:00", device_id="cpu-1")
    return Reached(status="running", under_way=under_way, now=Progress("timing", 5, 30))


def says(jobs: Jobs, job_id: str, text: str) -> bool:
    now = jobs.state(job_id).now
    return now is not None and now.text == text


def hosts(place: Place) -> list[int]:
    file = place.folder / "hosts"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_values: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job_files, "_replace", refuse)
