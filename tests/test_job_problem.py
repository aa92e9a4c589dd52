"""What went wrong with a job: how it ended, and what it has left to measure."""

from __future__ import annotations

from typing import Any

import pytest

from advisor.measure.job_problem import problem
from advisor.measure.job_state import JobState
from advisor.measure.request import Request

A, B = Request(architecture="resnet18"), Request(architecture="resnet34")


def job(**changes: Any) -> JobState:
    fields: dict[str, Any] = {
        "job_id": "000007-0000000a", "title": "Two", "status": "done", "owner_here": True, "n_total": 2, "n_done": 2,
        "n_failed": 0, "now": None, "current": None, "created_at": "2026-07-01T09:00:00+00:00", "started_at": None,
        "finished_at": None, "seconds": 12.0, "run_ids": (), "last_reason": "", "sweep_id": "", "left": (),
        "unsaved": (), "unsaved_reason": "",
    }  # fmt: skip
    return JobState(**(fields | changes))


def test_a_job_that_is_done_has_no_problem_though_a_step_failed() -> None:
    assert problem(job(n_failed=1, last_reason="Out of memory."), n_kept=0) == ""


@pytest.mark.parametrize(("changes", "said"), [
    ({"status": "cancelled", "n_done": 1, "left": (B,), "last_reason": "Cancelled after 0.3 s."},
     "The job was cancelled with 1 more to measure."),
    # four of twelve probes and the sentinel; the fifth probe is under way
    ({"status": "cancelled", "n_done": 5, "left": (B,), "n_to_come": 7, "last_reason": "Cancelled after 0.3 s."},
     "The job was cancelled with up to 8 more to measure."),
    ({"status": "cancelled", "n_done": 0, "left": (A, B), "last_reason": "Cancelled before it began."},
     "The job was cancelled before anything was measured."),
    ({"status": "cancelled", "n_done": 3, "last_reason": "Cancelled after 0.3 s."},
     "The job was cancelled with nothing more to measure."),
    ({"status": "interrupted", "n_done": 1, "left": (B,), "last_reason": "The program was closed."},
     "The job was interrupted with 1 more to measure. The program was closed."),
    ({"status": "failed", "n_done": 0, "n_to_come": 12, "last_reason": "The disk is full."},
     "The job failed before anything was measured. The disk is full."),
    ({"status": "failed", "n_done": 1, "n_to_come": 2, "last_reason": "The disk is full."},
     "The job failed with up to 2 more to measure. The disk is full."),
    ({"status": "failed", "n_done": 1, "n_failed": 1, "last_reason": "It ran out of memory."},
     "The measurement failed. It ran out of memory."),
    ({"status": "failed", "n_done": 2, "n_failed": 2, "last_reason": "It ran out of memory."},
     "All 2 measurements failed. It ran out of memory."),
])  # fmt: skip
def test_an_early_end_says_how_and_what_was_still_to_come(changes: dict[str, Any], said: str) -> None:
    assert problem(job(**changes), n_kept=0) == said


@pytest.mark.parametrize(("changes", "n_kept", "said"), [
    ({}, 1, "1 result is not in the store: Held. A copy is kept; 'python -m advisor runs' saves it once that is "
            "mended."),
    ({"in_memory": ("a", "b")}, 2, "2 results are not in the store: Held. The disk did not take a copy either: what "
                                   "is printed above is all there is."),
])  # fmt: skip
def test_results_that_the_store_did_not_take_come_first(changes: dict[str, Any], n_kept: int, said: str) -> None:
    refused = job(status="cancelled", unsaved=("a", "b"), unsaved_reason="Held.", **changes)
    assert problem(refused, n_kept=n_kept) == said
