"""The queue: one timing at a time, first come first served, and no finished result is ever lost."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import BadQuestion, StoreLocked, StoreUnusable, UnknownName
from advisor.measure import job_files
from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import JobState, Reached, UnderWay
from advisor.measure.jobs import Jobs
from advisor.measure.lines import Progress, plain
from advisor.measure.request import Request
from advisor.measure.run import Roof, Run
from advisor.measure.sweep import Drift
from tests.test_host import FAKE
from tests.waiting import runs, until

ROOF = Roof("fp32", 1, 2e11, 2e10)


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


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("FAKE_DIR", str(tmp_path))
    made = Place(tmp_path)
    yield made
    for jobs in made.opened:
        jobs.close()


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


def left_by_a_dead_owner(place: Place, reached: Reached, *architectures: str) -> str:
    """A job whose owner was killed: its record is there, its lock is free."""
    record, lock = JobFiles(place.home).create(
        asked(*architectures), title="Left", sweep_id="", sentinel=None, created_at="2025-01-01T00:00:00+00:00"
    )
    JobFiles(place.home).write_reached(record.job_id, reached)
    lock.release()
    return record.job_id


def interrupted_run(run_id: str) -> Reached:
    under_way = UnderWay(run_id=run_id, started_at="2025-01-01T00:00:01+00:00", device_id="cpu-1")
    return Reached(status="running", under_way=under_way, now=Progress("timing", 5, 30))


# -- one job -----------------------------------------------------------------------------------------


def test_a_job_measures_its_requests_and_saves_each(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "ok", "ok_too", sweep_id="sweep-1")
    state = jobs.wait(job_id)
    assert (state.status, state.n_done, state.n_failed, state.n_total) == ("done", 2, 0, 2)
    assert [run.request.architecture for run in place.saved] == ["ok", "ok_too"]
    assert state.run_ids == tuple(run.run_id for run in place.saved) == tuple(sorted(state.run_ids))
    first = place.saved[0]
    assert (first.status, first.verdict, first.device_id) == ("ok", "steady", "cpu-1")
    assert (first.job_id, first.sweep_id) == (job_id, "sweep-1")
    assert first.measured is not None
    assert first.measured.latency.times_ms == (9.9, 10.0, 10.1)
    assert state.started_at is not None
    assert state.finished_at is not None
    assert not list((place.home / "jobs" / job_id / "kept").iterdir())


def test_waiting_tells_each_change_in_order(place: Place) -> None:
    jobs, seen = place.jobs(), list[JobState]()
    jobs.wait(submit(jobs, "slow"), seen.append)
    done = [state.now.done for state in seen if state.now is not None and state.now.stage == "timing"]
    assert len(done) > 2
    assert done == sorted(done)
    assert seen[-1].status == "done"
    assert seen[-1].now is None


def test_a_failed_request_stops_no_other(place: Place) -> None:
    jobs = place.jobs()
    state = jobs.wait(submit(jobs, "ok", "sigkill", "exit_3", "ok_too"))
    assert (state.status, state.n_done, state.n_failed) == ("done", 4, 2)
    assert [run.status for run in place.saved] == ["ok", "failed", "failed", "ok"]
    assert "SIGKILL" in place.saved[1].reason
    assert state.last_reason == place.saved[2].reason
    assert place.saved[1].measured is None


def test_a_job_of_which_everything_failed_has_failed(place: Place) -> None:
    jobs = place.jobs()
    assert jobs.wait(submit(jobs, "refuse", "silent")).status == "failed"


def test_a_child_that_hangs_is_ended_at_the_time_limit(place: Place) -> None:
    jobs = place.jobs()
    job_id = jobs.submit(asked("forever", time_limit_s=1.0), title="Hangs")
    child = child_of(place, job_id)
    assert jobs.wait(job_id).last_reason == "It took longer than its time limit of 1 s and was ended."
    assert not runs(child)


def test_a_device_that_is_not_there_fails_its_request_alone(place: Place) -> None:
    def device_id(target: str) -> str:
        if target != "cpu":
            raise BadQuestion(f"{target} is not there.")
        return "cpu-1"

    jobs = place.jobs(device_id=device_id)
    jobs.wait(jobs.submit([*asked("ok", target="cuda:3"), *asked("ok")], title="Two"))
    assert [(run.status, run.reason, run.device_id) for run in place.saved] == [
        ("failed", "cuda:3 is not there.", ""), ("ok", "", "cpu-1"),
    ]  # fmt: skip


def test_figures_that_make_no_sense_are_a_failure(place: Place) -> None:
    def judge(_found: Any) -> Any:
        raise ZeroDivisionError("float division by zero")

    jobs = place.jobs(judge=judge)
    jobs.wait(submit(jobs, "ok"))
    assert place.saved[0].reason == "Its figures make no sense: float division by zero."


def test_a_measuring_process_that_is_not_there_fails_in_one_sentence(place: Place) -> None:
    jobs = place.jobs(host_command=["/nowhere/python"])
    state = jobs.wait(submit(jobs, "ok"))
    assert state.status == "failed"
    assert state.last_reason.startswith("The measuring process could not be started: No such file")


def test_nothing_to_measure_is_refused(place: Place) -> None:
    with pytest.raises(BadQuestion, match="nothing to measure"):
        place.jobs().submit([], title="None")


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    jobs = Jobs(tmp_path / "home", save=lambda _run: None, host_command=FAKE)
    with pytest.raises(StoreUnusable, match=f"{tmp_path / 'home' / 'jobs'} cannot be written to: Not a directory"):
        jobs.submit(asked("ok"), title="None")
    assert jobs.states() == []
    jobs.close()


@pytest.mark.parametrize("job_id", ["000009-0123abcd", "../../etc", ""])
def test_an_unknown_job_is_named(place: Place, job_id: str) -> None:
    jobs = place.jobs()
    for ask in (jobs.state, jobs.cancel, jobs.wait):
        with pytest.raises(UnknownName, match="Unknown job"):
            ask(job_id)


# -- the queue ---------------------------------------------------------------------------------------


def test_timings_of_two_tabs_and_two_programs_never_overlap_and_go_by_arrival(place: Place) -> None:
    one, other = place.jobs(), place.jobs()
    first = submit(one, "gate_1")
    until(lambda: place.begun("gate_1"), "the first")
    rest = [submit(other, "ok_2"), submit(one, "ok_3"), submit(other, "ok_4"), submit(one, "ok_5")]
    place.open("gate_1")
    for job_id in (first, *rest):
        one.wait(job_id)
    names = ["gate_1", "ok_2", "ok_3", "ok_4", "ok_5"]
    assert place.events() == [(event, name) for name in names for event in ("begin", "end")]


def test_timings_of_two_homes_never_overlap(place: Place) -> None:
    one, other = place.jobs(), place.jobs(home=place.folder / "other home")
    first = submit(one, "gate_1")
    until(lambda: place.begun("gate_1"), "the first")
    second = submit(other, "ok_2")
    until(lambda: _says(other, second, "waiting for another measurement to end"), "the words of the other home")
    place.open("gate_1")
    assert [one.wait(first).status, other.wait(second).status] == ["done", "done"]
    assert place.events() == [(event, name) for name in ("gate_1", "ok_2") for event in ("begin", "end")]


def test_jobs_go_by_arrival_even_when_the_clock_goes_back(place: Place) -> None:
    clock = [1_735_689_600.0]
    jobs = place.jobs(clock=lambda: clock[0])
    submit(jobs, "gate_1")
    until(lambda: place.begun("gate_1"), "the first")
    clock[0] -= 86_400
    second = submit(jobs, "ok_2")
    clock[0] -= 86_400
    third = submit(jobs, "ok_3")
    place.open("gate_1")
    jobs.wait(second)
    state = jobs.wait(third)
    assert [name for event, name in place.events() if event == "begin"] == ["gate_1", "ok_2", "ok_3"]
    assert [run.run_id for run in place.saved] == sorted(run.run_id for run in place.saved)
    assert [state.job_id for state in jobs.states()][:2] == [third, second]
    assert state.seconds >= 0


def test_a_waiting_job_says_for_what_in_its_own_words(place: Place) -> None:
    one, other = place.jobs(), place.jobs()
    submit(one, "gate_1")
    until(lambda: place.begun("gate_1"), "the first")
    tab, program = submit(one, "ok_2"), submit(other, "ok_3")
    until(lambda: _says(one, tab, "waiting for gate_1"), "the second tab's words")
    until(lambda: _says(other, program, "waiting for gate_1 (started by another process)"), "the program's words")
    assert one.state(program).status == "queued"
    place.open("gate_1")
    assert one.wait(program).status == "done"


def test_another_program_finds_the_running_job_with_its_progress(place: Place) -> None:
    owner, other = place.jobs(), place.jobs()
    job_id = submit(owner, "gate_1", "ok_2")
    until(lambda: _says(other, job_id, "timing 1/100"), "the progress on disk")
    (state,) = other.states()
    assert (state.job_id, state.status, state.owner_here) == (job_id, "running", False)
    assert (state.current, state.left) == (asked("gate_1")[0], tuple(asked("gate_1", "ok_2")))
    assert owner.state(job_id).owner_here
    place.open("gate_1")
    assert other.wait(job_id).status == "done"


def test_progress_is_written_a_few_times_a_second_however_often_it_comes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[float, Progress | None]] = []
    write = JobFiles.write_reached

    def count(self: JobFiles, job_id: str, reached: Reached) -> None:
        written.append((time.monotonic(), reached.now))
        write(self, job_id, reached)

    monkeypatch.setattr(JobFiles, "write_reached", count)
    jobs = place.jobs()
    jobs.wait(submit(jobs, "slow"))  # says 100 times where it is
    timing_s = [at_s for at_s, now in written if now is not None and now.stage == "timing"]
    assert len(timing_s) >= 1
    assert len(timing_s) <= 1 + (timing_s[-1] - timing_s[0]) / 0.2


# -- cancelling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["its owner", "another program"])
def test_cancelling_ends_the_child_at_once_and_shows_what_is_left(place: Place, by: str) -> None:
    owner, other = place.jobs(), place.jobs()
    job_id = submit(owner, "ok", "grandchild", "ok_too")
    until((place.folder / "grandchild").exists, "the grandchild")
    child, grandchild = child_of(place, job_id), int((place.folder / "grandchild").read_text())
    began_s = time.monotonic()
    (owner if by == "its owner" else other).cancel(job_id)
    until(lambda: not runs(child) and not runs(grandchild), "the end of the family", limit_s=2.0)
    assert time.monotonic() - began_s < 1.0  # some 0.2 s on a machine with nothing else to do
    state = other.wait(job_id)
    assert (state.status, state.n_done) == ("cancelled", 1)
    assert state.left == tuple(asked("grandchild", "ok_too"))
    assert [run.status for run in place.saved] == ["ok", "cancelled"]
    assert place.saved[1].reason.startswith("Cancelled after ")
    assert owner.wait(submit(owner, "ok")).status == "done"


@pytest.mark.parametrize("by", ["its owner", "another program"])
def test_cancelling_a_queued_job_measures_nothing_of_it(place: Place, by: str) -> None:
    owner, other = place.jobs(), place.jobs()
    first, queued = submit(owner, "gate_1"), submit(owner, "ok_2")
    (owner if by == "its owner" else other).cancel(queued)
    state = owner.wait(queued)
    assert (state.status, state.last_reason) == ("cancelled", "Cancelled before it began.")
    assert not owner.state(first).ended
    place.open("gate_1")
    owner.wait(first)
    assert not place.begun("ok_2")


def test_cancelling_what_has_ended_changes_nothing(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "ok")
    state = jobs.wait(job_id)
    jobs.cancel(job_id)
    assert jobs.state(job_id) == state


def test_closing_interrupts_what_runs_and_what_waits(place: Place) -> None:
    jobs, other = place.jobs(), place.jobs()
    running, queued = submit(jobs, "ok", "forever"), submit(jobs, "ok_2")
    until(lambda: place.begun("forever"), "the child")
    child = child_of(place, running)
    jobs.close()
    assert not runs(child)
    assert [other.state(job_id).status for job_id in (running, queued)] == ["interrupted"] * 2
    assert other.state(running).left == tuple(asked("forever"))
    assert [run.status for run in place.saved] == ["ok", "interrupted"]
    with pytest.raises(BadQuestion, match="closing"):
        submit(jobs, "ok")


# -- owners that died -------------------------------------------------------------------------------


def test_a_job_of_a_dead_owner_is_interrupted_for_everyone_and_blocks_nobody(place: Place) -> None:
    job_id = left_by_a_dead_owner(place, interrupted_run("20250101T000001-000000-aa"), "gate_1", "ok_2")
    one, other = place.jobs(), place.jobs()
    for jobs in (one, other):
        state = jobs.state(job_id)
        assert (state.status, state.left) == ("interrupted", tuple(asked("gate_1", "ok_2")))
    assert one.wait(submit(one, "ok_3")).status == "done"


def test_what_a_dead_owner_measured_is_recorded_as_interrupted_once(place: Place) -> None:
    job_id = left_by_a_dead_owner(place, interrupted_run("20250101T000001-000000-aa"), "gate_1", "ok_2")
    jobs = place.jobs()
    for _ in range(2):
        jobs.recover()
    (run,) = place.saved
    assert (run.run_id, run.status, run.job_id) == ("20250101T000001-000000-aa", "interrupted", job_id)
    assert run.reason == "The program that measured it ended before it was done."
    assert run.request.architecture == "gate_1"
    assert jobs.state(job_id).run_ids == (run.run_id,)


def test_a_result_finished_in_the_instant_before_the_kill_counts(place: Place) -> None:
    jobs = place.jobs()
    jobs.wait(submit(jobs, "ok"))
    (finished,) = place.saved
    place.saved.clear()
    job_id = left_by_a_dead_owner(place, interrupted_run(finished.run_id), "ok", "ok_2")
    JobFiles(place.home).keep(job_id, finished.run_id, plain(finished))
    jobs.recover()
    assert place.saved == [finished]
    state = jobs.state(job_id)
    assert (state.status, state.n_done, state.left) == ("interrupted", 1, tuple(asked("ok_2")))


@pytest.mark.parametrize("name", ["job.json", "reached.json"])
def test_damaged_files_of_a_job_break_no_other(place: Place, name: str) -> None:
    job_id = left_by_a_dead_owner(place, Reached(status="running"), "ok")
    (place.home / "jobs" / job_id / name).write_bytes(b'{"job_id": "00')
    jobs = place.jobs()
    assert jobs.wait(submit(jobs, "ok")).status == "done"
    assert all(state.ended for state in jobs.states())
    assert (job_id in [state.job_id for state in jobs.states()]) == (name == "reached.json")


# -- saving ------------------------------------------------------------------------------------------


def test_a_result_that_the_store_refuses_is_kept_and_saved_with_the_next(place: Place) -> None:
    place.refuse = StoreLocked("Another process (12) holds the store.")
    jobs = place.jobs()
    state = jobs.wait(submit(jobs, "ok", "ok_too"))
    assert (state.status, state.n_done, place.saved) == ("done", 2, [])
    assert state.unsaved == state.run_ids
    assert state.unsaved_reason == "Another process (12) holds the store."
    assert not state.lost_if_closed
    assert tuple(run.run_id for run in jobs.unsaved_runs(state.job_id)) == state.run_ids
    place.refuse = None
    jobs.wait(submit(jobs, "ok_3"))
    assert [run.request.architecture for run in place.saved] == ["ok", "ok_too", "ok_3"]
    assert jobs.state(state.job_id).unsaved == ()


def test_a_kept_result_is_saved_to_the_last_digit_at_the_next_start(place: Place) -> None:
    first = place.jobs()
    place.refuse = StoreUnusable("The disk is full.")
    job_id = submit(first, "ok")
    first.wait(job_id)
    first.close()
    (kept,) = (place.home / "jobs" / job_id / "kept").iterdir()
    content = json.loads(kept.read_text())
    place.refuse = None
    second = place.jobs()
    second.warm()
    until(lambda: place.saved, "the kept result")
    assert plain(place.saved[0]) == content
    until(lambda: second.state(job_id).unsaved == (), "its record")
    assert not kept.exists()


def test_a_fault_in_saving_neither_stops_the_job_nor_loses_its_results(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.refuse = RuntimeError("a bug")
    jobs = place.jobs()
    state = jobs.wait(submit(jobs, "ok", "ok_too"))
    assert (state.status, state.n_done) == ("done", 2)
    assert "RuntimeError: a bug" in state.unsaved_reason
    assert len(state.unsaved) == 2


def test_with_a_full_disk_a_job_is_refused_in_words(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill_disk(monkeypatch)
    with pytest.raises(StoreUnusable, match="cannot be written to: No space left on device"):
        submit(place.jobs(), "ok")


def test_with_disk_and_store_refusing_a_result_is_held_until_one_takes_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "gate_1")
    until(lambda: place.begun("gate_1"), "the measurement")
    with monkeypatch.context() as full:
        _fill_disk(full)
        place.refuse = StoreUnusable("The disk is full.")
        place.open("gate_1")
        state = jobs.wait(job_id)
        assert (len(state.unsaved), state.unsaved_reason) == (1, "The disk is full.")
        assert state.lost_if_closed
        (run,) = jobs.unsaved_runs(job_id)
        assert (run.run_id, run.request.architecture) == (state.unsaved[0], "gate_1")
    place.refuse = None
    jobs.wait(submit(jobs, "ok_too"))
    assert sorted(run.request.architecture for run in place.saved) == ["gate_1", "ok_too"]
    jobs.recover()
    state = jobs.state(job_id)
    assert (state.unsaved, state.lost_if_closed, jobs.unsaved_runs(job_id)) == ((), False, [])


def test_a_result_in_memory_alone_reaches_the_disk_as_soon_as_there_is_room(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = place.jobs()
    job_id = submit(owner, "gate_1")
    until(lambda: place.begun("gate_1"), "the measurement")
    place.refuse = StoreUnusable("The disk is full.")
    with monkeypatch.context() as full:
        _fill_disk(full)
        place.open("gate_1")
        owner.wait(job_id)
    owner.recover()  # room on the disk, not yet in the store
    other = place.jobs()
    other.recover()
    state = other.state(job_id)
    assert (state.unsaved, state.lost_if_closed) == (state.run_ids, False)
    assert [run.run_id for run in other.unsaved_runs(job_id)] == list(state.run_ids)


def test_what_another_program_holds_in_memory_is_not_called_saved(place: Place) -> None:
    held = Reached(status="done", run_ids=("r1",), unsaved=("r1",), in_memory=("r1",), unsaved_reason="Full.")
    job_id = left_by_a_dead_owner(place, held, "ok")
    jobs = place.jobs()
    jobs.recover()
    state = jobs.state(job_id)
    assert (state.unsaved, state.lost_if_closed, state.unsaved_reason) == (("r1",), True, "Full.")


def test_half_a_file_is_not_left_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "jobs" / "000001-0123abcd" / "kept").mkdir(parents=True)
    monkeypatch.setattr(job_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        JobFiles(tmp_path).keep("000001-0123abcd", "r1", {"status": "ok"})
    assert list((tmp_path / "jobs" / "000001-0123abcd" / "kept").iterdir()) == []


def test_a_disk_that_fills_up_while_measuring_stops_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "gate_1", "ok_2")
    until(lambda: place.begun("gate_1"), "the measurement")
    _fill_disk(monkeypatch)
    place.open("gate_1")
    state = jobs.wait(job_id)
    assert (state.status, state.n_done, state.unsaved) == ("done", 2, ())
    assert [run.status for run in place.saved] == ["ok", "ok"]
    monkeypatch.undo()
    jobs.recover()
    assert place.jobs().state(job_id).status == "done", "written down as soon as there is room"
    assert [run.status for run in place.saved] == ["ok", "ok"]


def test_a_damaged_kept_result_stays_and_holds_up_no_other(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    job_id = left_by_a_dead_owner(place, Reached(status="done"), "ok")
    kept = place.home / "jobs" / job_id / "kept" / "20250101T000000-000000-aa.json"
    kept.write_bytes(b'{"run_id": "2025')
    jobs = place.jobs()
    assert jobs.wait(submit(jobs, "ok")).unsaved == ()
    assert len(place.saved) == 1
    assert kept.exists()
    assert jobs.state(job_id).unsaved == (kept.stem,)


def test_old_jobs_are_forgotten_but_not_their_unsaved_results(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "KEPT_JOBS", 2)
    unsaved = left_by_a_dead_owner(place, Reached(status="done"), "ok")
    JobFiles(place.home).keep(unsaved, "20250101T000000-000000-aa", {"status": "ok"})
    others = [left_by_a_dead_owner(place, Reached(status="done"), "ok") for _ in range(5)]
    assert JobFiles(place.home).ids() == [unsaved, *others[2:]]


# -- sweeps and roofs ----------------------------------------------------------------------------------


def test_a_sweep_ends_with_the_drift_of_its_sentinel(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "ok", sweep_id="sweep-1", sentinel=Request(architecture="drifting"))
    assert jobs.wait(job_id).n_total == 3
    (drift,) = place.sweeps
    assert drift == Drift("sweep-1", job_id, "drifting", 10.0, 11.0)
    assert drift.marked
    assert [run.request.architecture for run in place.saved] == ["drifting", "ok", "drifting"]


def test_a_drift_that_the_store_refuses_is_saved_later(place: Place) -> None:
    place.refuse = StoreLocked("Held.")
    jobs = place.jobs()
    state = jobs.wait(submit(jobs, "ok", sweep_id="sweep-1", sentinel=Request(architecture="drifting")))
    assert len(state.unsaved) == 4
    place.refuse = None
    jobs.recover()
    assert [drift.job_id for drift in place.sweeps] == [state.job_id]


def test_a_cancelled_sweep_has_no_drift(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "gate_1", sweep_id="sweep-1", sentinel=Request(architecture="drifting"))
    until(lambda: place.begun("gate_1"), "the request")
    jobs.cancel(job_id)
    jobs.wait(job_id)
    assert [(drift.before_ms, drift.after_ms, drift.drift) for drift in place.sweeps] == [(10.0, None, None)]


def test_a_roof_is_measured_once_saved_and_handed_to_each_measurement(place: Place) -> None:
    saved: list[tuple[Request, Roof]] = []
    jobs = place.jobs(roof_of=lambda _request: None, save_roof=lambda request, roof: saved.append((request, roof)))
    wanted = [*asked("ok", threads=2), *asked("ok_too", threads=2), *asked("ok_3", threads=2, precision="amp-bf16")]
    jobs.wait(jobs.submit(wanted, title="Roofs"))
    assert [name for event, name in place.events() if event == "begin"] == ["roof", "ok", "ok_too", "roof", "ok_3"]
    assert [(request.precision, roof.precision) for request, roof in saved] == [("fp32", "fp32"), ("bf16", "bf16")]
    roofs = [run.measured.environment["roof"]["precision"] for run in place.saved if run.measured is not None]
    assert roofs == ["fp32", "fp32", "bf16"]


def test_a_known_roof_is_not_measured_again(place: Place) -> None:
    jobs = place.jobs(roof_of=lambda _request: ROOF)
    jobs.wait(submit(jobs, "ok"))
    assert not place.begun("roof")
    assert place.saved[0].measured is not None
    assert place.saved[0].measured.environment["roof"] == plain(ROOF)


def test_a_run_is_put_under_the_roof_of_the_precision_that_was_really_used(place: Place) -> None:
    jobs = place.jobs(roof_of=lambda _request: None)
    jobs.wait(jobs.submit(asked("ok", threads=2, precision="bf16"), title="One"))  # the child says that it used fp32
    (run,) = place.saved
    assert run.measured is not None
    assert run.measured.roof == Roof("fp32", 2, 1e11, 1e10)
    assert [name for event, name in place.events() if event == "begin"] == ["roof", "ok", "roof"]


def test_a_roof_in_a_precision_that_no_request_has_is_measured_once_a_program_and_saved(place: Place) -> None:
    saved: list[Roof] = []
    known = {"fp32": ROOF}
    jobs = place.jobs(roof_of=lambda r: known[r.precision], save_roof=lambda _request, roof: saved.append(roof))
    jobs.wait(jobs.submit(asked("ok_tf32", "ok_2_tf32", threads=2), title="On a GPU"))
    assert saved == [Roof("tf32", 2, 1e11, 1e10)]
    assert [run.measured.roof for run in place.saved if run.measured is not None] == saved * 2


# -- the warm process ----------------------------------------------------------------------------------


def test_the_warm_process_is_started_ahead_and_stays_between_jobs(place: Place) -> None:
    jobs = place.jobs()
    jobs.warm()
    (pid,) = until(lambda: _hosts(place), "the warm process")
    jobs.wait(submit(jobs, "ok"))
    jobs.wait(submit(jobs, "ok_too"))
    assert _hosts(place) == [pid]
    jobs.close()
    assert not runs(pid)


def test_warming_up_leaves_a_timing_of_another_program_alone(place: Place) -> None:
    owner, other = place.jobs(), place.jobs()
    job_id = submit(owner, "gate_1")
    until(lambda: place.begun("gate_1"), "the timing")
    other.warm()
    until(lambda: "warming up" not in [thread.name for thread in threading.enumerate()], "the end of warming up")
    assert len(_hosts(place)) == 1
    place.open("gate_1")
    owner.wait(job_id)


def _says(jobs: Jobs, job_id: str, text: str) -> bool:
    now = jobs.state(job_id).now
    return now is not None and now.text == text


def _hosts(place: Place) -> list[int]:
    file = place.folder / "hosts"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def _fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_values: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job_files, "_replace", refuse)
