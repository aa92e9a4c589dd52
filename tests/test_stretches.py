"""Which part of a series was at the machine's fullest pace, and what it says of the network."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.measure.stretches import SUFFERED, Stretch, fullest, n_at


def test_the_stretches_at_the_fullest_pace_count() -> None:
    """Ten stretches of two times: four between pulses of 1 ms, the others at 2 ms, or midway, and 30 % slower."""
    pulses = [1.0] * 5 + [2.0] * 6
    times = [10.0] * 8 + [13.0] * 12
    assert fullest(times, [(2 * i, ms) for i, ms in enumerate(pulses)]) == Stretch(
        pytest.approx(10.0), pytest.approx(1.0)
    )


def test_all_that_is_about_as_fast_as_the_third_fastest_counts() -> None:
    """Lucky moments at 0.8 and 0.9, the third at 1.0: 1.04 is of that pace, 1.06 is not."""
    each = [0.8, 0.9, 1.0, 1.04, 1.06]
    pulses, after = [1.0], list[float]()
    for pace in each:
        pulses.append(pace**2 / pulses[-1])  # midway between by factors
        after.append(10.0 * pace**SUFFERED)
    found = fullest([*after[:4], 99.0], list(enumerate(pulses)))
    middle = math.exp(np.log(each[:4]).mean())
    assert found == Stretch(pytest.approx(10.0 * middle**SUFFERED), pytest.approx(middle))


def test_the_pace_of_a_stretch_lies_midway_between_its_two_pulses_by_factors() -> None:
    assert fullest([10.0], [(0, 1.0), (1, 1.44)]) == Stretch(pytest.approx(10.0), pytest.approx(1.2))


def test_at_least_three_stretches_are_heard_and_brought_to_one_pace() -> None:
    """Each as slow as its pulse lets one expect: the latency is that at the pulse midway between them."""
    slow = np.array([1.0, 1.1, 1.3])
    pulses = [(0, 1.0), (1, 1.0), (2, 1.21), (3, 1.69 / 1.21)]
    middle = math.exp(np.log(slow).mean())
    assert fullest((10 * slow**SUFFERED).tolist(), pulses) == Stretch(
        pytest.approx(10 * middle**SUFFERED), pytest.approx(middle)
    )


def test_the_median_leaves_out_what_a_pulse_did_not_see() -> None:
    assert fullest([10.0, 10.0, 10.0, 900.0], [(0, 1.0), (1, 1.0), (3, 1.0), (4, 1.0)]) == Stretch(
        pytest.approx(10.0), pytest.approx(1.0)
    )


def test_every_time_counts_once_whatever_its_stretch() -> None:
    times, pulses = [10.0, 12.0, 14.0, 11.0], [(0, 1.0), (3, 1.0), (4, 1.0)]
    found = fullest(times, pulses)
    assert found is not None and found.latency_ms == pytest.approx(math.sqrt(12.0 * 11.0))


@pytest.mark.parametrize("pulses", [[], [(0, 1.0)], [(0, 1.0), (0, 1.0)]])
def test_without_times_between_two_pulses_there_is_none(pulses: list[tuple[int, float]]) -> None:
    assert fullest([10.0], pulses) is None


def test_stretches_at_a_pace_are_counted() -> None:
    pulses = [(0, 1.0), (2, 1.0), (2, 1.0), (4, 1.21), (6, 1.0)]
    assert [n_at(pulses, ms) for ms in (0.9, 1.0, 1.101)] == [0, 1, 3]
    assert n_at(pulses[:1], 1.0) == 0
