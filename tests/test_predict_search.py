"""Predict, then confirm: what is measured, what is answered, and what is said of having missed something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.predict.predictor import Posterior
from advisor.predict.search import Found, find

ACCURACY = np.array([70.0, 75.0, 80.0, 82.0, 85.0])
TRUE_MS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def search(budget_ms: float, *, off: float = 1.0, deviation: float = 0.2, measured: dict[int, float] | None = None,
           limit: int = 5) -> Found:  # fmt: skip
    """A search where predictions are all off by a factor, until something is confirmed."""

    def predict(confirmed: list[int], _latencies_ms: list[float]) -> Posterior:
        factor = 1.0 if confirmed else off
        return Posterior(np.log(TRUE_MS * factor), np.full(5, deviation))

    return find(
        ACCURACY, measured or {}, budget_ms, predict=predict, measure=lambda c: float(TRUE_MS[c]),
        max_confirmations=limit,
    )  # fmt: skip


def test_the_most_accurate_within_the_budget_is_measured_first_and_answered() -> None:
    found = search(5.0, deviation=0.05)
    assert found.pick == 2
    assert found.confirmed == (2,)
    assert found.p_missed < 1e-6


def test_optimistic_predictions_break_no_budget() -> None:
    found = search(5.0, off=0.5, measured={1: 2.0})  # the one of 8 ms looks like 4
    assert found.confirmed[0] == 3
    assert found.pick == 2


def test_a_probe_that_is_best_needs_no_confirmation() -> None:
    assert search(5.0, deviation=0.05, measured={2: 4.0}) == Found(2, (), pytest.approx(0.0, abs=1e-6))


def test_nothing_within_the_budget_is_no_answer() -> None:
    found = search(0.5, deviation=0.05)
    assert found.pick is None


def test_what_may_have_been_missed_is_said() -> None:
    found = search(8.0, measured={2: 4.0}, limit=0)  # the next one meets its budget with a chance of one half
    assert found.pick == 2
    assert found.p_missed == pytest.approx(0.5, abs=0.01)


@given(off=st.floats(0.3, 3.0), budget=st.floats(0.5, 20.0), limit=st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_answers_are_measured_and_within_the_budget(off: float, budget: float, limit: int) -> None:
    found = search(budget, off=off, limit=limit)
    assert len(found.confirmed) <= limit
    assert found.pick is None or (found.pick in found.confirmed and TRUE_MS[found.pick] <= budget)
