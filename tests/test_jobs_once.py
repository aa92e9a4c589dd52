"""One job for those who ask for the same: two tabs that click within a moment, two programs with one home."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from advisor.errors import BadQuestion
from tests.job_place import Place, asked, interrupted_run, left_by_a_dead_owner, submit

CLICKS = 6


@pytest.mark.parametrize("programs", [1, 2])
def test_all_who_ask_at_the_same_moment_get_one_job(place: Place, programs: int) -> None:
    queues = [place.jobs() for _ in range(programs)]
    together = threading.Barrier(CLICKS)

    def click(i: int) -> str:
        together.wait()
        return queues[i % programs].submit_once(asked("gate_1", "gate_2"), title="Both")

    with ThreadPoolExecutor(CLICKS) as pool:
        found = set(pool.map(click, range(CLICKS)))
    assert len(found) == 1
    assert {state.job_id for state in queues[0].states()} == found


def test_the_order_of_the_requests_makes_no_other_job_but_another_setup_does(place: Place) -> None:
    jobs = place.jobs()
    first = jobs.submit_once(asked("gate_1", "gate_2"), title="Both")
    assert jobs.submit_once(asked("gate_2", "gate_1"), title="Both") == first
    others = {
        jobs.submit_once(asked("gate_1", "gate_2", threads=1), title="Both"),
        jobs.submit_once(asked("gate_1"), title="One"),
    }
    assert len(others | {first}) == 3


def test_a_job_that_is_cancelled_or_has_ended_is_not_taken_for_a_new_one(place: Place) -> None:
    jobs = place.jobs()
    cancelled = jobs.submit_once(asked("gate_1"), title="First")
    jobs.cancel(cancelled)
    assert jobs.submit_once(asked("gate_1"), title="Second") != cancelled
    done = jobs.submit_once(asked("ok"), title="Done")
    place.open("gate_1")
    assert jobs.wait(done).status == "done"
    assert jobs.submit_once(asked("ok"), title="Again") != done


def test_a_job_of_a_program_that_died_is_measured_again(place: Place) -> None:
    left = left_by_a_dead_owner(place, interrupted_run("run-1"), "ok")
    jobs = place.jobs()
    again = jobs.submit_once(asked("ok"), title="Again")
    assert again != left
    assert jobs.wait(again).status == "done"


def test_a_sweep_or_a_job_with_a_time_is_more_than_its_requests(place: Place) -> None:
    jobs = place.jobs()
    busy = submit(jobs, "gate_1")
    sweep, timed = submit(jobs, "ok", sweep_id="sweep-1"), submit(jobs, "ok", budget_s=60.0)
    assert jobs.submit_once(asked("ok"), title="Alone") not in (busy, sweep, timed)


def test_nothing_to_measure_is_refused(place: Place) -> None:
    with pytest.raises(BadQuestion, match="nothing to measure"):
        place.jobs().submit_once([], title="Nothing")
