"""Beside what a job was asked for: its sentinel, what follows from its results, its time, what the machine can do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from advisor.errors import BadQuestion, StoreLocked
from advisor.measure.jobs import Jobs
from advisor.measure.request import Request
from advisor.measure.run import Roof, Run
from advisor.measure.sweep import Drift
from tests.job_place import Place, asked, hosts, interrupted_run, left_by_a_dead_owner, says, submit
from tests.waiting import runs, until

ROOF = Roof("fp32", 1, 2e11, 2e10)
DRIFTING = Request(architecture="drifting")


# -- the sentinel --------------------------------------------------------------------------------------


def test_a_sweep_ends_with_the_drift_of_its_sentinel(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "ok", sweep_id="sweep-1", sentinel=DRIFTING)
    assert jobs.wait(job_id).n_total == 3
    (drift,) = place.sweeps
    assert drift == Drift("sweep-1", job_id, "drifting", 10.0, 11.0)
    assert drift.marked
    assert [run.request.architecture for run in place.saved] == ["drifting", "ok", "drifting"]


def test_a_drift_that_the_store_refuses_is_saved_later(place: Place) -> None:
    place.refuse = StoreLocked("Held.")
    jobs = place.jobs()
    state = jobs.wait(submit(jobs, "ok", sweep_id="sweep-1", sentinel=DRIFTING))
    assert len(state.unsaved) == 4
    place.refuse = None
    jobs.recover()
    assert [drift.job_id for drift in place.sweeps] == [state.job_id]


def test_a_cancelled_sweep_has_no_drift(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, "gate_1", sweep_id="sweep-1", sentinel=DRIFTING)
    until(lambda: place.begun("gate_1"), "the request")
    jobs.cancel(job_id)
    jobs.wait(job_id)
    assert [(drift.before_ms, drift.after_ms, drift.drift) for drift in place.sweeps] == [(10.0, None, None)]


# -- what follows from the results, and the time for it --------------------------------------------------


def in_turn(*architectures: str) -> Callable[[tuple[Run, ...]], Request | None]:
    """Chooses these one after the other, whatever was measured."""
    left = iter(asked(*architectures))
    return lambda _runs: next(left, None)


def test_what_follows_is_chosen_from_the_runs_so_far_but_those_of_the_sentinel(place: Place) -> None:
    told: list[list[str]] = []
    following = in_turn("ok_2", "refuse_3")

    def follow(runs: tuple[Run, ...]) -> Request | None:
        told.append([f"{run.request.architecture} {run.status}" for run in runs])
        return following(runs)

    jobs = place.jobs()
    job_id = submit(jobs, "ok", sentinel=DRIFTING, follow=follow, n_expected=5)
    state = jobs.wait(job_id)
    assert told == [["ok ok"], ["ok ok", "ok_2 ok"], ["ok ok", "ok_2 ok", "refuse_3 failed"]]
    assert [run.request.architecture for run in place.saved] == ["drifting", "ok", "ok_2", "refuse_3", "drifting"]
    assert (state.status, state.n_total, state.n_done, state.n_failed, state.left) == ("done", 5, 5, 1, ())
    assert [drift.after_ms for drift in place.sweeps] == [11.0]


def test_a_job_that_only_follows_counts_what_may_come_for_every_program(place: Place) -> None:
    owner, other = place.jobs(), place.jobs()
    job_id = submit(owner, follow=in_turn("gate_1"), n_expected=3)
    until(lambda: says(other, job_id, "timing 1/100"), "the progress on disk")
    for state in (owner.state(job_id), other.state(job_id)):
        assert (state.current, state.left) == (asked("gate_1")[0], tuple(asked("gate_1")))
        assert (state.n_total, state.n_done, state.n_to_come) == (3, 0, 2)
    place.open("gate_1")
    state = other.wait(job_id)
    assert (state.status, state.n_total, state.n_done, state.n_to_come) == ("done", 1, 1, 0)


def test_nothing_that_follows_is_a_job_that_is_done(place: Place) -> None:
    jobs = place.jobs()
    state = jobs.wait(submit(jobs, follow=lambda _runs: None))
    assert (state.status, state.n_total, place.saved) == ("done", 0, [])


def test_what_is_chosen_from_results_passes_over_failures_but_a_list_of_them_has_failed(place: Place) -> None:
    jobs = place.jobs()
    chosen = jobs.wait(submit(jobs, follow=in_turn("refuse_1", "refuse_2"), n_expected=2))
    assert (chosen.status, chosen.n_done, chosen.n_failed, chosen.n_left) == ("done", 2, 2, 0)
    given = jobs.wait(submit(jobs, "refuse_1", "refuse_2"))
    assert (given.status, given.n_done, given.n_failed) == ("failed", 2, 2)


def test_a_choice_that_cannot_be_made_fails_the_job_and_keeps_its_runs(place: Place) -> None:
    def follow(_runs: tuple[Run, ...]) -> Request | None:
        raise BadQuestion("No weights pass these limits: relax one.")

    jobs = place.jobs()
    state = jobs.wait(submit(jobs, "ok", follow=follow, n_expected=3))
    assert (state.status, state.last_reason) == ("failed", "No weights pass these limits: relax one.")
    assert [run.run_id for run in place.saved] == list(state.run_ids)
    assert jobs.wait(submit(jobs, "ok")).status == "done"


def test_cancelling_what_followed_asks_for_nothing_more(place: Place) -> None:
    jobs = place.jobs()
    job_id = submit(jobs, follow=in_turn("ok", "forever", "ok_3"), n_expected=3)
    until(lambda: place.begun("forever"), "the child")
    jobs.cancel(job_id)
    state = jobs.wait(job_id)
    assert (state.status, state.left, state.n_to_come) == ("cancelled", tuple(asked("forever")), 1)
    assert state.n_left == 2
    assert not place.begun("ok_3")


def test_what_followed_is_recorded_as_interrupted_when_the_owner_died(place: Place) -> None:
    reached = replace(interrupted_run("20250101T000001-000000-aa"), n_done=1, followed=tuple(asked("gate_2")))
    job_id = left_by_a_dead_owner(place, reached, "ok", n_expected=4)
    jobs = place.jobs()
    jobs.recover()
    state = jobs.state(job_id)
    assert (state.status, state.left) == ("interrupted", tuple(asked("gate_2")))
    assert state.last_reason.endswith("ended before it was done: 1 of at most 5 requests was measured.")
    assert [run.request.architecture for run in place.saved] == ["gate_2"]


@pytest.mark.parametrize("manner", ["given", "following"])
def test_when_its_time_is_up_a_job_begins_nothing_but_its_sentinel_and_is_done(place: Place, manner: str) -> None:
    jobs = ten_seconds_each(place)
    names = ("ok", "ok_2", "ok_3")
    options: dict[str, Any] = {"follow": in_turn(*names), "n_expected": 3} if manner == "following" else {}
    given = () if manner == "following" else names
    state = jobs.wait(submit(jobs, *given, sentinel=DRIFTING, budget_s=25.0, **options))
    assert [run.request.architecture for run in place.saved] == ["drifting", "ok", "ok_2", "drifting"]
    assert (state.status, state.n_total, state.n_done, state.out_of_time) == ("done", 4, 4, True)
    assert state.left == tuple(asked(*given[2:]))
    assert [drift.after_ms for drift in place.sweeps] == [11.0]


def test_a_job_that_begins_its_last_request_in_time_was_given_enough(place: Place) -> None:
    jobs = ten_seconds_each(place)
    state = jobs.wait(submit(jobs, "ok", "ok_2", "ok_3", budget_s=25.0))
    assert (state.n_done, state.seconds, state.out_of_time) == (3, 30.0, False)


def ten_seconds_each(place: Place) -> Jobs:
    """A queue by whose clock each measurement takes ten seconds."""
    now_s = [0.0]

    def save(run: Run) -> None:
        now_s[0] += 10
        place.save(run)

    return place.jobs(save=save, stopwatch=lambda: now_s[0])


@pytest.mark.parametrize("budget_s", [0.0, -1.0, float("nan")])
def test_no_time_to_measure_is_refused(place: Place, budget_s: float) -> None:
    with pytest.raises(BadQuestion, match="more than 0 s"):
        submit(place.jobs(), "ok", budget_s=budget_s)


# -- roofs ---------------------------------------------------------------------------------------------


def test_a_roof_is_measured_once_after_the_first_timing_and_saved(place: Place) -> None:
    saved: list[tuple[str, str]] = []
    jobs = place.jobs(
        roof_of=lambda _request: None, save_roof=lambda request, roof: saved.append((request.precision, roof.precision))
    )
    jobs.wait(jobs.submit(asked("ok", "ok_too", "ok_bf16", threads=2), title="Roofs"))
    assert [name for event, name in place.events() if event == "begin"] == ["ok", "roof", "ok_too", "ok_bf16", "roof"]
    assert saved == [("fp32", "fp32"), ("bf16", "bf16")]
    assert roofs(place) == [Roof(precision, 2, 1e11, 1e10) for precision in ("fp32", "fp32", "bf16")]


def test_the_first_latency_is_told_while_the_roof_is_measured(place: Place) -> None:
    told = []
    jobs = place.jobs(
        roof_of=lambda _request: None, save_roof=lambda _request, _roof: told.append(jobs.states()[0].now)
    )
    jobs.wait(submit(jobs, "ok"))
    assert [now.text for now in told if now is not None] == [
        "measuring what the machine can do: the median is 10 ms"
    ]  # fmt: skip


def test_a_known_roof_is_not_measured_again(place: Place) -> None:
    jobs = place.jobs(roof_of=lambda _request: ROOF)
    jobs.wait(submit(jobs, "ok"))
    assert not place.begun("roof")
    assert roofs(place) == [ROOF]


def test_a_run_is_put_under_the_roof_of_the_precision_that_was_really_used(place: Place) -> None:
    jobs = place.jobs(roof_of=lambda _request: None)
    jobs.wait(jobs.submit(asked("ok", threads=2, precision="bf16"), title="One"))  # the child says that it used fp32
    assert roofs(place) == [Roof("fp32", 2, 1e11, 1e10)]
    assert [name for event, name in place.events() if event == "begin"] == ["ok", "roof"]


def test_a_roof_in_a_precision_that_no_request_has_is_measured_once_a_program_and_saved(place: Place) -> None:
    saved: list[Roof] = []
    jobs = place.jobs(roof_of=lambda _request: ROOF, save_roof=lambda _request, roof: saved.append(roof))
    jobs.wait(jobs.submit(asked("ok_tf32", "ok_2_tf32", threads=2), title="On a GPU"))
    assert saved == [Roof("tf32", 2, 1e11, 1e10)]
    assert roofs(place) == saved * 2


def test_a_result_whose_roof_the_store_cannot_tell_is_kept_without(place: Place) -> None:
    def locked(_request: Request) -> Roof | None:
        raise StoreLocked("Held.")

    jobs = place.jobs(roof_of=locked)
    assert jobs.wait(submit(jobs, "ok")).n_failed == 0
    assert roofs(place) == [None]


def test_cancelling_while_the_roof_is_measured_keeps_the_result(place: Place) -> None:
    (place.folder / "roof.held").touch()
    jobs = place.jobs(roof_of=lambda _request: None)
    job_id = submit(jobs, "ok", "ok_2")
    until(lambda: place.begun("roof"), "the roof")
    jobs.cancel(job_id)
    state = jobs.wait(job_id)
    assert (state.status, state.left) == ("cancelled", tuple(asked("ok_2")))
    assert [run.status for run in place.saved] == ["ok", "cancelled"]
    assert roofs(place) == [None]


def roofs(place: Place) -> list[Roof | None]:
    return [run.measured.roof for run in place.saved if run.measured is not None]


# -- the warm process ----------------------------------------------------------------------------------


def test_the_warm_process_is_started_ahead_and_stays_between_jobs(place: Place) -> None:
    jobs = place.jobs()
    jobs.warm()
    (pid,) = until(lambda: hosts(place), "the warm process")
    jobs.wait(submit(jobs, "ok"))
    jobs.wait(submit(jobs, "ok_too"))
    assert hosts(place) == [pid]
    jobs.close()
    assert not runs(pid)


def test_warming_up_leaves_a_timing_of_another_program_alone(place: Place) -> None:
    owner, other = place.jobs(), place.jobs()
    job_id = submit(owner, "gate_1")
    until(lambda: place.begun("gate_1"), "the timing")
    other.warm()
    until(lambda: "warming up" not in [thread.name for thread in threading.enumerate()], "the end of warming up")
    assert len(hosts(place)) == 1
    place.open("gate_1")
    owner.wait(job_id)
