"""Which part of a series was at the machine's fullest pace, and what it says of the network."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.measure.run import Stretch
from advisor.measure.stretches import SUFFERED, fullest


def test_the_third_at_the_fullest_pace_counts() -> None:
    """Nine stretches of two times; three of them between pulses of 1 ms, the others at 2 ms and 30 % slower."""
    pulses = [1.0, 1.0, 1.0, 1.0, *[2.0] * 6]
    times = [10.0] * 6 + [13.0] * 12
    assert fullest(times, [(2 * i, ms) for i, ms in enumerate(pulses)]) == Stretch(
        pytest.approx(10.0), pytest.approx(1.0)
    )


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
