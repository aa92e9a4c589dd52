"""The job panel in words: how far, how long, what is left, what failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from advisor import views_jobs
from advisor.evidence.store import Store
from advisor.measure.job_state import JobState
from advisor.measure.lines import Progress
from advisor.measure.request import Request
from tests.measured_runs import history
from tests.run_data import failed, save

EAGER, OPENVINO = Request(architecture="resnet50"), Request(architecture="resnet50", runtime="openvino")


def job(**changes: Any) -> JobState:
    fields: dict[str, Any] = {
        "job_id": "000007-0000000a", "title": "resnet50, 2 setups", "status": "running", "owner_here": True,
        "n_total": 2, "n_done": 1, "n_failed": 0, "now": Progress("timing", 34, 100, 0.031), "current": OPENVINO,
        "created_at": "2026-07-01T09:00:00+00:00", "started_at": "2026-07-01T09:00:00+00:00", "finished_at": None,
        "seconds": 12.0, "run_ids": ("a",), "last_reason": "", "sweep_id": "", "left": (OPENVINO,), "unsaved": (),
        "unsaved_reason": "",
    }  # fmt: skip
    return JobState(**(fields | changes))


@pytest.fixture
def runs(small: Store) -> pd.DataFrame:
    small.ensure()
    save(small, *history())
    return small.runs()


def test_what_happens_now_names_the_network_and_the_interval() -> None:
    assert views_jobs.now_words(job()) == "resnet50, openvino fp32: timing 34/100, ±3.1 %"


def test_a_queued_job_says_what_it_waits_for() -> None:
    queued = job(status="queued", now=Progress("waiting for resnet18, openvino"), current=None, n_done=0)
    assert views_jobs.now_words(queued) == "waiting for resnet18, openvino"
    assert views_jobs.time_words(queued, 25.0) == "2 to measure, about 25 s"


def test_the_bar_never_goes_back_within_a_request() -> None:
    stages = [
        Progress("choosing what to measure next"), Progress("building"), Progress("converting"),
        Progress("warming up"), Progress("timing", 1, 100), Progress("timing", 90, 100),
        Progress("timing", 120, 100), Progress("batch sweep"), Progress("measuring what the machine can do"),
    ]  # fmt: skip
    shares = [views_jobs.share(job(now=now)) for now in stages]
    assert shares == sorted(shares)
    assert 0.5 <= shares[0] < shares[-1] < 1.0  # one of two is done


def test_time_left_shrinks_while_the_request_goes_on() -> None:
    begun = views_jobs.left_s(job(now=Progress("building")), 20.0, 20.0)
    later = views_jobs.left_s(job(now=Progress("timing", 90, 100)), 20.0, 20.0)
    assert 1.0 <= later < begun <= 20.0


def test_counts_of_done_and_failed_stand_beside_the_time() -> None:
    assert views_jobs.time_words(job(n_failed=1), 8.0) == "1 of 2 done, 1 failed · 12 s so far · about 8 s left"


def test_nothing_is_polled_where_nothing_runs_and_less_often_while_timing() -> None:
    assert views_jobs.poll_s([]) is None
    assert views_jobs.poll_s([job(seconds=0.5)]) == views_jobs.FAST_S <= 0.5
    assert views_jobs.poll_s([job(seconds=30.0)]) == views_jobs.SLOW_S >= 1.0
    assert views_jobs.poll_s([job(status="queued", seconds=0.0)]) == views_jobs.FAST_S


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "done", "n_done": 2}, "✓ resnet50, 2 setups · done: 2 of 2 measured in 12 s."),
        ({"status": "done", "n_done": 2, "n_failed": 1}, "1 of 2 measured in 12 s, 1 failed."),
        ({"status": "cancelled", "last_reason": "Cancelled after 3.2 s."}, "1 of 2 measured in 12 s: Cancelled after"),
        ({"status": "done", "n_done": 2, "budget_s": 10.0, "out_of_time": True}, "in 12 s, none begun after 10 s."),
    ],
)
def test_how_a_job_ended_is_one_sentence(changes: dict[str, Any], says: str) -> None:
    assert says in views_jobs.ended_words(job(**changes))


def test_what_may_still_follow_is_counted_and_estimated() -> None:
    queued = job(status="queued", now=None, n_done=0, n_total=9, n_to_come=7, left=(EAGER, OPENVINO))
    assert views_jobs.time_words(queued, 25.0) == "up to 9 to measure, about 25 s"
    assert views_jobs.left_s(queued, 20.0, 0.0) > 20.0
    begun = job(n_done=2, n_total=9, n_to_come=6, left=(OPENVINO,), seconds=8.0, now=None)
    assert views_jobs.time_words(begun, 4.0) == "2 of up to 9 done · 8 s so far · about 4 s left"
    assert views_jobs.left_s(begun, 5.0, 5.0) == 5.0 + 6 * 8.0 / 2


@pytest.mark.parametrize("limit", ["budget_s", "expected_s"])
def test_no_more_time_is_left_than_a_job_was_given_but_for_the_request_under_way(limit: str) -> None:
    limited: dict[str, Any] = {limit: 60.0}
    begun = job(n_done=2, n_total=20, n_to_come=18, left=(), seconds=50.0, now=Progress("building"), **limited)
    assert views_jobs.left_s(begun, 0.0, 5.0) == 10.0
    assert views_jobs.left_s(replace(begun, seconds=70.0), 5.0, 5.0) == pytest.approx(5.0, rel=0.05)


def test_a_job_that_goes_on_as_long_as_there_is_time_has_come_as_far_as_its_time() -> None:
    begun = job(n_done=2, n_total=20, n_to_come=18, seconds=15.0, now=Progress("starting"), expected_s=60.0)
    assert views_jobs.share(begun) == 15 / 60
    assert views_jobs.share(replace(begun, n_done=10)) == 10 / 20  # faster than expected
    assert views_jobs.share(replace(begun, seconds=90.0)) == 1.0


def test_what_an_interrupted_job_would_have_chosen_is_not_offered(runs: pd.DataFrame) -> None:
    broken = job(status="interrupted", left=(OPENVINO,))
    assert views_jobs.to_resume([replace(broken, n_to_come=2), broken], runs) == [broken]


def test_failures_of_a_job_are_told_with_their_setup(runs: pd.DataFrame) -> None:
    (sentence,) = views_jobs.failures(runs, "000002-00000002")
    assert sentence == "mobilenetv3_large_100, pytorch-compile fp32: torch.compile found no C++ compiler."


def test_what_an_interrupted_job_left_is_offered_until_it_is_measured(runs: pd.DataFrame, small: Store) -> None:
    broken = job(status="interrupted", left=(OPENVINO,))
    assert views_jobs.to_resume([broken, job()], runs) == [broken]
    assert views_jobs.to_resume([broken], runs, dismissed=[broken.job_id]) == []
    answered = replace(history()[1], run_id="later", request=OPENVINO)  # an hour after the job
    save(small, answered, failed("lost", runtime="openvino"))
    assert views_jobs.to_resume([broken], small.runs()) == []


def test_a_job_is_named_after_its_networks() -> None:
    assert views_jobs.title_of([EAGER]) == "resnet50, pytorch-eager"
    assert views_jobs.title_of([EAGER, OPENVINO]) == "resnet50, 2 setups"
    many = [Request(architecture=f"net_{i}") for i in range(5)]
    assert views_jobs.title_of(many) == "net_0, net_1 and 3 more, 5 setups"


def test_the_estimate_before_a_click_counts_setups() -> None:
    assert views_jobs.estimate_words(25.0, [EAGER, OPENVINO]) == "about 25 s for 2 setups"
    assert views_jobs.estimate_words(6.0, [EAGER]) == "about 6 s for 1 setup"
