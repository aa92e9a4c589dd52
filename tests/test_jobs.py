"""The queue: one timing at a time, first come first served; what becomes of a job while its program lives."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import BadQuestion, StoreUnusable, UnknownName
from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import JobState, Reached
from advisor.measure.jobs import Jobs
from advisor.measure.lines import Progress
from tests.job_place import FAKE, Place, asked, child_of, says, submit
from tests.waiting import runs, until

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
    until(lambda: says(other, second, "waiting for another measurement to end"), "the words of the other home")
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
    until(lambda: says(one, tab, "waiting for gate_1"), "the second tab's words")
    until(lambda: says(other, program, "waiting for gate_1 (started by another process)"), "the program's words")
    assert one.state(program).status == "queued"
    place.open("gate_1")
    assert one.wait(program).status == "done"


def test_another_program_finds_the_running_job_with_its_progress(place: Place) -> None:
    owner, other = place.jobs(), place.jobs()
    job_id = submit(owner, "gate_1", "ok_2")
    until(lambda: says(other, job_id, "timing 1/100"), "the progress on disk")
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
