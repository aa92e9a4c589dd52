"""Sums of classes whose factors probes teach."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.predict.factors import Sums, with_factors

CLASSES = np.random.default_rng(0).uniform(0.1, 5.0, (30, 3))  # ms of three classes in thirty networks
ROWS = np.arange(12)
LATENCY_MS = np.random.default_rng(1).uniform(10.0, 50.0, 12)
FACTORS = np.array([0.5, 2.0, 0.0])


def summed(wanted_ms: NDArray[np.float64], *, shrink: float = 1e-9, rows: NDArray[np.intp] = ROWS) -> Sums:
    return with_factors(CLASSES, rows, wanted_ms, LATENCY_MS[: len(rows)], expected=np.ones(3), shrink=shrink)


def test_factors_that_hold_exactly_are_found() -> None:
    true_ms = CLASSES @ FACTORS
    found = summed(true_ms[ROWS])
    assert found.everywhere == pytest.approx(true_ms, rel=1e-5)
    assert found.at_probes == pytest.approx(true_ms[ROWS], rel=1e-4)


def test_no_factor_is_negative() -> None:
    wanted_ms = np.maximum(CLASSES @ np.array([1.0, 1.0, -0.3]), 0.0)[ROWS]
    assert (summed(wanted_ms, shrink=1e-6).everywhere > 0).all()
    alone = np.diag([1.0, 1.0, 1.0])
    found = with_factors(
        np.vstack([CLASSES[ROWS], alone]), ROWS, wanted_ms, LATENCY_MS, expected=np.ones(3), shrink=1e-6
    )
    assert (found.everywhere[-3:] >= 0).all() and found.everywhere[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_probe_is_told_by_the_others_alone() -> None:
    wanted_ms = (CLASSES @ FACTORS)[ROWS] * np.random.default_rng(2).uniform(0.7, 1.4, 12)
    found = summed(wanted_ms, shrink=0.01)
    for place in (0, 5, 11):
        without = np.delete(ROWS, place)
        others = with_factors(
            CLASSES, without, wanted_ms[without], LATENCY_MS[without], expected=np.ones(3), shrink=0.01
        )
        assert found.at_probes[place] == pytest.approx(others.everywhere[place])
        assert found.probe_doubt[place] == pytest.approx(others.doubt[place])


def test_what_is_not_known_of_a_probe_is_not_taken_for_nothing() -> None:
    true_ms = CLASSES @ FACTORS
    unknown = np.where(ROWS < 4, np.nan, true_ms[ROWS])
    assert summed(unknown).everywhere == pytest.approx(true_ms, rel=1e-5)


def test_a_class_that_no_probe_has_is_expected_to_be_as_fast_as_the_others_and_doubted() -> None:
    """Without data a factor is the common speed, give or take all of it."""
    classes = CLASSES.copy()
    classes[ROWS, 2] = 0.0
    wanted_ms = 2.0 * classes[ROWS].sum(axis=1)
    found = with_factors(classes, ROWS, wanted_ms, LATENCY_MS, expected=np.ones(3), shrink=0.01)
    assert found.everywhere == pytest.approx(2.0 * classes.sum(axis=1))
    doubt_of_known = np.sqrt(np.maximum(found.doubt[12:] ** 2 - (2.0 * classes[12:, 2]) ** 2, 0.0))
    assert (found.doubt[12:] > 2.0 * classes[12:, 2]).all()
    assert (doubt_of_known < found.doubt[12:]).all() and (found.doubt[ROWS] < 0.5 * found.everywhere[ROWS]).all()


def test_doubt_is_that_of_bayesian_regression() -> None:
    one = CLASSES[:, :1]
    found = with_factors(one, ROWS, 3.0 * one[ROWS, 0], LATENCY_MS, expected=np.ones(1), shrink=0.04)
    precision = np.square(3.0 * one[ROWS, 0] / LATENCY_MS).sum() / 0.04 + 1.0  # of the factor, in common speeds
    assert found.doubt == pytest.approx(3.0 * one[:, 0] / np.sqrt(precision))


def test_what_takes_no_time_in_any_probe_takes_none_anywhere() -> None:
    found = summed(np.zeros(12))
    assert not found.everywhere.any() and not found.doubt.any() and not found.at_probes.any()


def test_a_common_speed_that_is_held_is_as_if_so_many_probes_had_shown_it() -> None:
    one, wanted_ms = CLASSES[:, :1], 3.0 * CLASSES[ROWS, 0]
    shown = float((CLASSES[ROWS, 0] / LATENCY_MS).sum())
    for held in (0.0, 0.5, 100.0):
        found = with_factors(one, ROWS, wanted_ms, LATENCY_MS, expected=np.ones(1), shrink=1e9, held=held)
        assert found.everywhere == pytest.approx((3.0 * shown + held) / (shown + held) * one[:, 0], rel=1e-4)
