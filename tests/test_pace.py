"""The machine's pace: pulses between two runs, slowdowns beside the full pace, and which run of a network counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.predict.pace import (
    AT_FULL_PACE,
    DOUBT,
    at_full_pace,
    full_pulse_ms,
    fullest,
    pulse_of,
    quickest_ms,
    slowdowns,
)
from advisor.predict.probe import Probe


def test_the_pulse_of_a_run_lies_midway_between_the_two_by_factors() -> None:
    assert pulse_of([1.0, 1.44]) == pulse_of([1.44, 1.0]) == pytest.approx(1.2)
    assert pulse_of([3]) == pytest.approx(3.0)


def test_a_pulse_that_was_interrupted_tells_nothing() -> None:
    assert pulse_of([2.1, 1.1]) == pulse_of([1.1, 2.1]) == pytest.approx(1.1)


def test_the_quickest_stretch_of_a_series_is_what_a_burst_leaves_alone() -> None:
    assert quickest_ms([9.0] * 20 + [5.0] * 10 + [9.0] * 30) == 5.0  # the third of six stretches of ten
    assert quickest_ms([7.0, 6.5, 9.0]) == 7.0  # too few to be cut: the median
    assert quickest_ms([]) is None


def test_stretches_keep_the_order_of_the_times() -> None:
    times = np.random.default_rng(1).lognormal(0, 0.1, 60)
    assert quickest_ms(np.sort(times).tolist()) == pytest.approx(float(np.median(np.sort(times)[:10])))
    assert quickest_ms([4.0, 6.0] * 30) == 5.0  # no stretch is quicker than another


def test_what_a_quick_stretch_is_by_chance_is_added_back() -> None:
    """Undisturbed probes are 2 % quicker in their quickest stretch; one was disturbed for most of its time."""
    quiet = [Probe(name, 224, 10.2, pulse_ms=1.0, quickest_ms=10.0) for name in "abcde"]
    disturbed = Probe("f", 224, 30.0, pulse_ms=1.0, quickest_ms=20.0)
    corrected, doubt = at_full_pace([*quiet, disturbed])
    assert [one.latency_ms for one in corrected] == pytest.approx([10.2] * 5 + [20.4])
    assert doubt.tolist() == [0] * 6


def test_where_most_of_a_few_passes_were_stalled_the_least_time_counts() -> None:
    """Of five passes three lost a core: their median tells of the machine and not of the network."""
    assert quickest_ms([16.0, 900.0, 17.0, 400.0, 800.0]) == 16.0
    assert quickest_ms([900.0, 16.0, 800.0, 400.0, 900.0] * 6) == 16.0
    assert quickest_ms([16.0, 17.0, 900.0, 18.0, 800.0]) == 18.0  # most were not stalled: as ever


def test_disturbed_probes_do_not_tell_what_a_quick_stretch_is_by_chance() -> None:
    """Three in four lost half of their time; the other one was quicker by 2 % in its quickest stretch."""
    quiet = Probe("a", 224, 10.2, pulse_ms=1.0, quickest_ms=10.0)
    disturbed = [Probe(name, 224, 40.0, pulse_ms=1.0, quickest_ms=20.0) for name in "bcd"]
    assert [one.latency_ms for one in at_full_pace([quiet, *disturbed])[0]] == pytest.approx([10.2] + [20.4] * 3)
    assert [one.latency_ms for one in at_full_pace(disturbed)[0]] == pytest.approx([20.0] * 3)


def test_a_latency_is_divided_by_its_slowdown_and_doubted() -> None:
    quiet = [Probe(name, 224, 10.0, pulse_ms=1.0) for name in "abc"]
    suffered = 10.0 * 1.2
    corrected, doubt = at_full_pace([*quiet, Probe("d", 224, suffered, pulse_ms=1.2), Probe("e", 224, 9.0)])
    assert [one.latency_ms for one in corrected] == pytest.approx([10, 10, 10, 10, 9])
    assert doubt == pytest.approx([0, 0, 0, DOUBT * math.log(1.2), 0])


def test_a_machine_that_was_slow_all_along_is_known_by_its_full_pace_of_before() -> None:
    slow = [Probe(name, 224, 10.0, pulse_ms=1.2) for name in "abc"]
    assert [one.latency_ms for one in at_full_pace(slow)[0]] == pytest.approx([10] * 3)
    corrected, doubt = at_full_pace(slow, full_ms=1.0)
    assert [one.latency_ms for one in corrected] == pytest.approx([10 / 1.2] * 3)
    assert doubt == pytest.approx([DOUBT * math.log(1.2)] * 3)


def test_the_pulse_at_full_pace_is_what_is_usual_among_those_as_fast_as_one_that_a_quarter_reach() -> None:
    assert full_pulse_ms([1.3, None, 1.0, 1.2, 1.1, 1.4]) == pytest.approx(1.05)  # 1.0 and 1.1, within 5 % of 1.1
    two_states = [1.0, 1.03, 1.02, 1.02, 1.15, 1.16, 1.14, 1.13]
    assert full_pulse_ms(two_states) == pytest.approx(1.02)
    assert full_pulse_ms([None]) is None


@pytest.mark.parametrize("taken", [None, [], [0.0, 1.0], [-1.0], ["1"], 1.0, {"before": 1.0}])
def test_a_run_without_a_usable_pulse_has_none(taken: object) -> None:
    assert pulse_of(taken) is None


def test_full_pace_is_what_a_quarter_of_the_runs_reach_and_one_lucky_pulse_does_not_change_it() -> None:
    pulses = [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.3, 1.3]
    assert slowdowns(pulses)[1:] == pytest.approx([1, 1, 1, 1, 1, 1.3, 1.3])
    assert slowdowns(pulses)[0] == pytest.approx(0.5)


def test_a_run_without_a_pulse_counts_as_it_is() -> None:
    assert slowdowns([None, 1.0, None, 1.0, 1.5]).tolist() == pytest.approx([1, 1, 1, 1, 1.5])
    assert slowdowns([None, None]).tolist() == [1, 1]
    assert len(slowdowns([])) == 0


def test_slowdowns_do_not_depend_on_the_unit_of_the_pulse() -> None:
    pulses = np.random.default_rng(0).uniform(1, 2, 20)
    assert slowdowns((1000 * pulses).tolist()) == pytest.approx(slowdowns(pulses.tolist()))


def counted(*runs: tuple[object, float, float | None], noisy: tuple[bool, ...] = ()) -> list[int]:
    """Which of those runs count; each is its network, its latency and its pulse."""
    networks, latencies, pulses = zip(*runs, strict=True)
    return fullest(networks, latencies, pulses, noisy or [False] * len(runs))


FULL = [("b", 5.0, 1.0), ("c", 5.0, 1.0), ("d", 5.0, 1.0)]


def test_of_several_runs_of_a_network_the_one_at_the_fullest_pace_counts() -> None:
    slow, full = ("a", 10.0, 1.5), ("a", 12.0, 1.0)
    assert counted(slow, full, *FULL)[0] == 1
    assert counted(*FULL, full, slow)[0] == 3


def test_a_run_that_was_disturbed_does_not_count_though_its_pulse_was_full() -> None:
    """As where threads waited for one another: a second a pass, and a pulse as ever."""
    stalled, slow = ("a", 400.0, 1.0), ("a", 12.0, 1.2)
    assert counted(stalled, slow, *FULL)[0] == 1
    assert counted(slow, *FULL, stalled)[0] == 0


def test_of_several_runs_at_full_pace_a_steady_one_counts_and_of_those_the_fastest() -> None:
    within = math.nextafter(AT_FULL_PACE, 0)
    runs = [("a", 10.0, 1.0), ("a", 9.0, within), ("a", 8.5, 1.0), *FULL]
    assert counted(*runs)[0] == 2
    assert counted(*runs, noisy=(False, False, True, False, False, False))[0] == 1


def test_networks_come_once_each_in_order_of_name_and_size() -> None:
    sized = [(("b", 224), 1.0, None), (("a", 224), 2.0, None), (("b", 224), 3.0, None), (("a", 160), 1.0, None)]
    assert counted(*sized) == [3, 1, 0]


def test_runs_without_a_pulse_count_by_their_times() -> None:
    assert counted(("a", 2.0, None), ("a", 1.9, None)) == [1]
