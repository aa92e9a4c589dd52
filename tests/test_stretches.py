"""What a series of times says beside the machine's pulse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.measure.stretches import SUFFERED, Stretch, stretch


def test_a_series_counts_as_a_whole_beside_its_average_pulse() -> None:
    """A restless machine: every stretch takes as much longer as its pulse lets one expect."""
    pulses_ms = np.random.default_rng(0).uniform(1.0, 2.5, 31)
    paces = np.sqrt(pulses_ms[:-1] * pulses_ms[1:])
    found = stretch((10.0 * paces**SUFFERED).tolist(), list(enumerate(pulses_ms.tolist())))
    assert found is not None
    assert found.pulse_ms == pytest.approx(math.exp(np.log(paces).mean()))
    assert found.at(1.0) == pytest.approx(10.0)
    assert found.least_ms == pulses_ms.min()


def test_the_pace_of_a_stretch_lies_midway_between_its_two_pulses_by_factors() -> None:
    assert stretch([10.0], [(0, 1.0), (1, 1.44)]) == Stretch(pytest.approx(10.0), pytest.approx(1.2), 1.0)


def test_what_passes_took_is_averaged_by_factors_within_a_stretch_and_over_them() -> None:
    times, pulses = [10.0, 40.0, 5.0, 20.0], [(0, 1.0), (2, 1.0), (3, 1.0), (4, 1.0)]
    found = stretch(times, pulses)
    assert found is not None and found.latency_ms == pytest.approx((20.0 * 5.0 * 20.0) ** (1 / 3))


def test_what_a_pulse_did_not_see_is_left_out_where_there_is_enough_else() -> None:
    """One of ten stretches stalled: the fifth at either end does not count."""
    times, pulses = [10.0] * 9 + [900.0], [(place, 1.0) for place in range(11)]
    assert stretch(times, pulses) == Stretch(pytest.approx(10.0), pytest.approx(1.0), 1.0, pytest.approx(0.0))


def test_how_far_its_own_times_agree_is_a_standard_error() -> None:
    """Three of eight stretches took a third as long, by pulses alike: six are left, two of them those."""
    times, pulses = [70.0] * 3 + [210.0] * 5, [(place, 1.0) for place in range(9)]
    found = stretch(times, pulses)
    assert found is not None
    assert found.latency_ms == pytest.approx(70 ** (2 / 6) * 210 ** (4 / 6))
    assert found.error == pytest.approx(np.std(np.log([70.0] * 2 + [210.0] * 4)) / math.sqrt(6))


def test_a_network_suffers_by_its_own_power() -> None:
    one = Stretch(20.0, 2.0, 1.5)
    assert one.at(2.0) == 20.0
    assert (one.at(1.0), one.at(1.0, 1.0)) == (pytest.approx(20 / 2**SUFFERED), pytest.approx(10.0))


@pytest.mark.parametrize("pulses", [[], [(0, 1.0)], [(0, 1.0), (0, 1.0)]])
def test_without_times_between_two_pulses_there_is_none(pulses: list[tuple[int, float]]) -> None:
    assert stretch([10.0], pulses) is None
