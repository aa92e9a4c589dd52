"""Programs that die or compete while they measure: real processes, a measuring process without torch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import UnderWay
from advisor.measure.jobs import Jobs
from advisor.measure.request import Request
from advisor.measure.run import Run
from tests.conftest import ROOT
from tests.job_place import FAKE
from tests.waiting import runs, until

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts programs with one home; kills what is left of them."""
    started: list[subprocess.Popen[str]] = []

    def program(*architectures: str, manner: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.crash.owner", str(folder / "home"), *architectures]
        environ = os.environ | {"OWNER": manner}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield program
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def jobs(folder: Path) -> Iterator[Jobs]:
    """This process, with the same home."""
    saved: list[Run] = []
    queue = Jobs(
        folder / "home", save=saved.append, host_command=FAKE, device_id=lambda _target: "cpu-1",
        judge=lambda _found: ("steady", ()), machine_lock=folder / "machine.lock",
    )  # fmt: skip
    queue.saved = saved  # type: ignore[attr-defined]
    yield queue
    queue.close()


def measuring(program: subprocess.Popen[str], folder: Path) -> tuple[str, UnderWay]:
    """The program's job, once its child measures."""
    assert program.stdout is not None
    assert program.stdout.readline() == "imported\n"
    (folder / "go").touch()
    job_id = program.stdout.readline().split()[0]
    files = JobFiles(folder / "home")

    def under_way() -> UnderWay | None:
        found = files.reached(job_id).under_way
        return found if found is not None and found.child is not None else None

    found = until(under_way, "the child")
    assert found is not None
    until((folder / "events").exists, "the child's first act")
    return job_id, found


def hosts(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "hosts").read_text().split()]


@pytest.mark.parametrize("architecture", ["grandchild", "sigstop"])
def test_after_kill_9_of_the_owner_nothing_runs_the_job_is_interrupted_and_the_next_runs(
    start: Start, folder: Path, jobs: Jobs, architecture: str
) -> None:
    owner = start(architecture)
    job_id, under_way = measuring(owner, folder)
    assert under_way.child is not None
    assert jobs.state(job_id).status == "running"
    family = [under_way.child[0], *hosts(folder)]
    if architecture == "grandchild":
        family.append(int(until((folder / "grandchild").exists, "it") and (folder / "grandchild").read_text()))
    owner.kill()
    owner.wait()
    state = jobs.state(job_id)
    assert (state.status, state.left) == ("interrupted", (Request(architecture=architecture),))
    until(lambda: not any(map(runs, family)), "the end of all that it started", limit_s=1.0)
    following = jobs.submit([Request(architecture="ok")], title="Next")
    assert jobs.wait(following).status == "done"
    saved: list[Run] = jobs.saved  # type: ignore[attr-defined]
    assert [(run.run_id == under_way.run_id, run.status) for run in saved] == [(True, "interrupted"), (False, "ok")]


def test_a_child_that_outlives_its_dead_owner_is_ended_before_the_next_timing(
    start: Start, folder: Path, jobs: Jobs
) -> None:
    owner = start("forever")
    _, under_way = measuring(owner, folder)
    assert under_way.child is not None
    (host,) = hosts(folder)
    os.kill(host, signal.SIGSTOP)  # so that it neither sees its owner's death nor breaks the child's lifeline
    owner.kill()
    owner.wait()
    assert runs(under_way.child[0])
    try:
        assert jobs.wait(jobs.submit([Request(architecture="ok")], title="Next")).status == "done"
        assert not runs(under_way.child[0])
        assert not runs(host)
        begun_s = [float(line.split()[3]) for line in (folder / "events").read_text().splitlines()]
        assert len(begun_s) == 3  # the forever child never ended by itself
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(host, signal.SIGKILL)


def test_two_programs_that_submit_at_once_never_time_at_the_same_time(start: Start, folder: Path) -> None:
    names = [[f"slow_{program}{number}" for number in range(2)] for program in "ab"]
    programs = [start(*those) for those in names]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "imported\n"
    (folder / "go").touch()
    ids = [job_id for program in programs for job_id in program.communicate(timeout=60)[0].split()]
    assert [program.returncode for program in programs] == [0, 0]
    rows = [line.split() for line in (folder / "events").read_text().splitlines()]
    rows.sort(key=lambda row: float(row[3]))
    assert [row[0] for row in rows] == ["begin", "end"] * 4
    assert all(begin[1] == end[1] for begin, end in zip(rows[::2], rows[1::2], strict=True))
    files = JobFiles(folder / "home")
    by_arrival = [record.requests[0].architecture for job_id in sorted(ids) if (record := files.record(job_id))]
    assert [row[1] for row in rows[::2]] == by_arrival
    saved = [json.loads(line) for line in (folder / "saved").read_text().splitlines()]
    assert len({run["run_id"] for run in saved}) == 4


def test_a_job_of_another_process_is_cancelled_at_once(start: Start, folder: Path, jobs: Jobs) -> None:
    owner = start("forever")
    job_id, under_way = measuring(owner, folder)
    assert under_way.child is not None
    began_s = time.monotonic()
    jobs.cancel(job_id)
    until(lambda: not runs(under_way.child[0] if under_way.child else 0), "the end of the child", limit_s=2.0)
    assert time.monotonic() - began_s < 1.0  # some 0.2 s on a machine with nothing else to do
    assert jobs.wait(job_id).status == "cancelled"
    assert owner.wait(timeout=20) == 0


def test_a_program_that_just_ends_leaves_nothing_running(start: Start, folder: Path, jobs: Jobs) -> None:
    owner = start("forever", manner="leave")
    job_id, under_way = measuring(owner, folder)
    assert under_way.child is not None
    assert owner.wait(timeout=20) == 0
    assert not any(map(runs, [under_way.child[0], *hosts(folder)]))
    assert jobs.state(job_id).status == "interrupted"
    saved = [json.loads(line)["status"] for line in (folder / "saved").read_text().splitlines()]
    assert saved == ["interrupted"]
