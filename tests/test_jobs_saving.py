"""Owners that died and stores that refuse: no finished result is ever lost, and none counts twice."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from advisor.errors import StoreLocked, StoreUnusable
from advisor.measure import job_files
from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import Reached
from advisor.measure.lines import plain
from tests.job_place import Place, asked, fill_disk, interrupted_run, left_by_a_dead_owner, submit
from tests.waiting import until

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
    fill_disk(monkeypatch)
    with pytest.raises(StoreUnusable, match="cannot be written to: No space left on device"):
        submit(place.jobs(), "ok")


def test_with_disk_and_store_refusing_a_result_is_held_until_one_takes_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "gate_1")
    until(lambda: place.begun("gate_1"), "the measurement")
    with monkeypatch.context() as full:
        fill_disk(full)
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
        fill_disk(full)
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
    fill_disk(monkeypatch)
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
