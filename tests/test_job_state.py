"""Where a job stands: what its owner wrote, and whether the owner lives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.job_state import (
    ENDED,
    JobState,
    Reached,
    Record,
    RunIds,
    UnderWay,
    ahead_of,
    interrupted,
    is_job_id,
    job_id_of,
    job_state,
    number_of,
    utc,
    waiting_for,
)
from advisor.measure.lines import Progress
from advisor.measure.request import Request

A, B, C = (Request(architecture=name) for name in ("resnet18", "resnet34", "resnet50"))
SENTINEL = Request(architecture="mobilenetv3_small_100")
RECORD = Record(job_id="000007-0123abcd", title="Three", created_at="2025-01-01T00:00:00+00:00", owner_pid=1,
                requests=(A, B, C))  # fmt: skip
SWEEP = replace(RECORD, sentinel=SENTINEL)
AT_WORK = UnderWay(run_id="r2", started_at="2025-01-01T00:00:09+00:00", device_id="cpu-1")
RUNNING = Reached(status="running", n_done=1, now=Progress("timing", 3, 30), under_way=AT_WORK, run_ids=("r1",))


def seen(record: Record, reached: Reached, *, alive: bool = True, cancel_asked: bool = False) -> JobState:
    return job_state(record, reached, alive=alive, owner_here=False, cancel_asked=cancel_asked)


def test_a_running_job_says_what_it_measures_now_and_what_is_left() -> None:
    state = seen(RECORD, RUNNING)
    assert (state.status, state.current, state.left) == ("running", B, (B, C))
    assert (state.n_total, state.n_done, state.now) == (3, 1, Progress("timing", 3, 30))


@pytest.mark.parametrize("status", ["queued", "running"])
def test_without_its_owner_a_job_is_interrupted_and_says_what_was_not_measured(status: str) -> None:
    state = seen(RECORD, replace(RUNNING, status=status), alive=False)
    assert (state.status, state.now) == ("interrupted", None)
    assert (state.current, state.left) == (B, (B, C))
    assert state.last_reason == (
        "The program that ran it ended before it was done: 2 of 3 requests were not measured."
    )  # fmt: skip


@pytest.mark.parametrize("status", ENDED)
@pytest.mark.parametrize("alive", [True, False])
def test_an_ended_job_stays_as_it_ended(status: str, alive: bool) -> None:
    assert seen(RECORD, Reached(status=status, last_reason="So."), alive=alive).status == status
    assert interrupted(RECORD, Reached(status=status)) == Reached(status=status)


@pytest.mark.parametrize(
    ("n_done", "current", "left"),
    [(0, SENTINEL, (A, B, C)), (1, A, (A, B, C)), (3, C, (C,)), (4, SENTINEL, ()), (5, None, ())],
)
def test_the_sentinel_is_a_step_but_no_request_that_is_left(
    n_done: int, current: Request | None, left: tuple[Request, ...]
) -> None:
    state = seen(SWEEP, replace(RUNNING, n_done=n_done))
    assert (state.n_total, state.current, state.left) == (5, current, left)


FOLLOWING = replace(SWEEP, requests=(A,), n_expected=3)


@pytest.mark.parametrize(
    ("changes", "current", "left", "n_total", "n_to_come"),
    [
        ({"n_done": 1}, A, (A,), 6, 3),
        ({"n_done": 2, "under_way": None}, None, (), 6, 3),
        ({"n_done": 2, "followed": (B,)}, B, (B,), 6, 2),
        ({"n_done": 4, "followed": (B, C, A, B)}, A, (A, B), 7, 0),  # more than was expected
        ({"n_done": 3, "followed": (B,), "closed_at": 2}, SENTINEL, (), 4, 0),
        ({"n_done": 4, "followed": (B,), "closed_at": 2, "under_way": None}, None, (), 4, 0),
    ],
)
def test_a_job_that_chooses_what_follows_counts_what_may_come(
    changes: dict[str, Any], current: Request | None, left: tuple[Request, ...], n_total: int, n_to_come: int
) -> None:
    state = seen(FOLLOWING, replace(RUNNING, **changes))
    assert (state.current, state.left, state.n_total, state.n_to_come) == (current, left, n_total, n_to_come)


def test_requests_for_which_no_time_was_left_are_no_steps_but_are_left() -> None:
    state = seen(replace(SWEEP, budget_s=60.0), replace(RUNNING, n_done=2, closed_at=1, out_of_time=True))
    assert (state.current, state.left, state.n_total) == (SENTINEL, (B, C), 3)
    assert (state.budget_s, state.out_of_time) == (60.0, True)


def test_an_interrupted_job_that_chooses_says_how_many_at_most_there_would_have_been() -> None:
    state = seen(FOLLOWING, replace(RUNNING, n_done=3, followed=(B, C)), alive=False)
    assert state.last_reason.endswith("2 of at most 4 requests were measured.")


def test_a_cancelled_job_that_still_runs_says_that_it_is_being_cancelled() -> None:
    assert seen(RECORD, RUNNING, cancel_asked=True).now == Progress("cancelling")
    assert seen(RECORD, Reached(status="cancelled"), cancel_asked=True).now is None


@given(st.sampled_from(["queued", "running", *ENDED]), st.integers(0, 5), st.booleans(), st.booleans(), st.booleans())
def test_queued_and_running_need_a_living_owner(
    status: str, n_done: int, alive: bool, cancel_asked: bool, at_work: bool
) -> None:
    reached = Reached(status=status, n_done=n_done, under_way=AT_WORK if at_work else None)
    state = seen(SWEEP, reached, alive=alive, cancel_asked=cancel_asked)
    assert alive or state.ended
    assert len(state.left) + max(0, min(n_done, 4) - 1) == 3


def test_the_oldest_living_job_is_ahead_whatever_the_clock_said() -> None:
    def job(number: int, status: str, created_at: str) -> JobState:
        record = replace(RECORD, job_id=f"{number:06d}-0123abcd", created_at=created_at)
        return seen(record, Reached(status=status))

    others = [
        job(4, "running", "2025-01-01T00:00:09+00:00"), job(3, "queued", "2025-06-01T00:00:00+00:00"),
        job(2, "done", "2025-01-01T00:00:00+00:00"), job(9, "queued", "2024-01-01T00:00:00+00:00"),
    ]  # fmt: skip
    ahead = ahead_of("000007-0123abcd", others)
    assert ahead is not None
    assert number_of(ahead.job_id) == 3
    assert ahead_of("000003-ffffffff", others) is None


def test_a_waiting_job_says_for_what_and_whose() -> None:
    state = seen(RECORD, Reached())
    assert waiting_for(state).text == "waiting for Three (started by another process)"
    assert waiting_for(replace(state, owner_here=True)).text == "waiting for Three"
    assert waiting_for(None).text == "waiting for another measurement to end"


def test_job_ids_sort_by_number_and_name_no_path() -> None:
    assert number_of(job_id_of(1_234_567)) == 1_234_567
    assert is_job_id(job_id_of(1))
    for text in ("", "..", "../../etc/passwd", "000001", "000001-0123abcd/..", "000001-0123ABCD\n", "1-0123abcd"):
        assert not is_job_id(text)


def test_run_ids_sort_by_time_and_stay_in_order_when_the_clock_goes_back() -> None:
    times = iter([1_735_689_600.0, 1_735_689_601.5, 1_735_600_000.0, 1_735_689_601.5, 1_735_689_700.0])
    ids = RunIds(lambda: next(times))
    made = [ids.next() for _ in range(5)]
    assert made == sorted(made)
    assert len({name.rpartition("-")[0] for name in made}) == 5
    assert made[0].startswith("20250101T000000-000000-")
    assert made[4].startswith("20250101T000140-000000-")


def test_two_processes_never_make_the_same_run_id_at_the_same_instant() -> None:
    assert RunIds(lambda: 0.0).next() != RunIds(lambda: 0.0).next()


def test_times_are_utc_to_the_second() -> None:
    assert utc(1_735_689_601.9) == "2025-01-01T00:00:01+00:00"
