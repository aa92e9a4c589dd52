"""The machine's pace: pulses between two runs, slowdowns beside the full pace, and which run of a network counts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from advisor.evidence.store import Store
from advisor.measure.stretches import SUFFERED, Stretch, stretch
from advisor.predict.pace import (
    AT_FULL_PACE,
    at_full_pace,
    doubt,
    doubt_of_mean,
    full_pulse_ms,
    least_ms,
    slowdown,
    slowdowns,
    stored_stretch,
    stretch_of,
    together,
    undisturbed,
)
from advisor.predict.probe import Probe
from advisor.predict.suffering import UNKNOWN
from advisor.workflows import DATA
from advisor.workflows_known import own_latencies
from tests.run_data import latency, run, save


def at(latency_ms: float, pulse_ms: float) -> Stretch:
    """A run that was at one pulse all along."""
    return Stretch(latency_ms, pulse_ms, pulse_ms)


def probe(name: str, latency_ms: float, pulse_ms: float | None = None, *, mean_ms: float | None = None) -> Probe:
    """A probe whose median was that, and what it took on average that or another latency, at that pulse."""
    return Probe(name, 224, latency_ms, stretch=None if pulse_ms is None else at(mean_ms or latency_ms, pulse_ms))


def test_what_a_run_stores_beside_its_pulse_counts() -> None:
    stored = '{"latency_ms": 9.0, "pulse_ms": 1.1, "least_ms": 1.0}'
    assert stored_stretch(10.0, stored, None, "[1.3, 1.3]") == Stretch(9.0, 1.1, 1.0)
    assert stored_stretch(10.0, "null", None, None) is None


def test_what_an_older_run_says_is_worked_out_from_its_times_and_pulses() -> None:
    """A run of before that stores none is read as it would be today."""
    series = "[[10.0, 12.0], [[0, 1.0], [1, 1.44], [2, 1.0]]]"
    assert stored_stretch(11.0, None, series, "[1.3, 1.3]") == stretch([10.0, 12.0], [(0, 1.0), (1, 1.44), (2, 1.0)])


def test_a_store_is_read_whatever_its_runs_keep_of_their_pulses(tmp_path: Path) -> None:
    """The times are in a column of their own; a stretch, where there is one, in the content."""
    store, pulses = Store(tmp_path, DATA), ((0, 1.0), (1, 1.44), (3, 1.0))
    before = replace(latency(10.0), pulses=pulses)
    kept = {"a": replace(before, stretch=at(9.0, 1.1)), "b": before, "c": latency(10.0)}
    for name, one in kept.items():
        save(store, run(name, 10.0, parts={"latency": one}))
    found = own_latencies(store).set_index("run_id")["stretch"].to_dict()
    assert found == {"a": at(9.0, 1.1), "b": stretch(before.times_ms, pulses), "c": None}
    assert found["b"] is not None


def test_an_even_older_run_counts_as_a_whole_midway_between_its_two_pulses_by_factors() -> None:
    for series in (None, "[[], null]", "[[10.0], null]"):
        assert stored_stretch(10.0, None, series, "[1.0, 1.44]") == Stretch(10.0, pytest.approx(1.2), 1.0)
    older = run("r", 10.0, parts={"environment": {"pulse_ms": [1.44, 1.0]}}).measured
    assert older is not None and stretch_of(older) == Stretch(10.0, pytest.approx(1.2), 1.0)


@pytest.mark.parametrize("taken", ["null", "[]", "[0.0, 1.0]", "[-1.0]", '["1"]', "1.0", '{"before": 1.0}', None])
def test_a_run_without_a_usable_pulse_has_no_stretch(taken: str | None) -> None:
    assert stored_stretch(10.0, None, None, taken) is None
    assert least_ms([None, Stretch(10.0, 1.2, 1.1)]) == [1.1]


def test_a_run_is_as_slow_as_its_median_is_beside_its_network_at_full_pace() -> None:
    """Its median is 15 ms, its mean 12 ms at 1.2 times the pulse: 10.56 ms at full pace, 15 / 10.56."""
    assert slowdown(15.0, at(12.0, 1.2), 1.0) == pytest.approx(15 / (12 / 1.2**SUFFERED))
    assert slowdown(15.0, at(12.0, 1.2), 1.0, 1.4) == pytest.approx(15 / (12 / 1.2**1.4))
    assert slowdown(12.0, at(12.0, 0.9), 1.0) == 1.0  # a lucky moment is no faster machine
    assert slowdown(12.0, None, 1.0) == slowdown(12.0, at(12.0, 1.2), None) == 1.0


def test_what_a_run_took_on_average_counts_and_is_corrected_for_what_its_pulse_was_slower() -> None:
    quiet = [probe(name, 10.0, 1.0) for name in "abc"]
    slowed, skewed, untold = probe("d", 12.0, 1.2), probe("e", 20.0, 1.0, mean_ms=11.0), probe("f", 9.0)
    corrected = at_full_pace([*quiet, slowed, skewed, untold])
    assert [one.latency_ms for one in corrected] == pytest.approx([10, 10, 10, 12 / 1.2**SUFFERED, 11, 9])
    assert [one.slow for one in corrected] == pytest.approx([0, 0, 0, math.log(1.2), 0, 0])


def test_a_machine_that_was_slow_all_along_is_known_by_its_full_pace_of_before() -> None:
    slow = [probe(name, 10.0, 1.2) for name in "abc"]
    assert [one.latency_ms for one in at_full_pace(slow)] == pytest.approx([10] * 3)
    corrected = at_full_pace(slow, full_ms=1.0)
    assert [one.latency_ms for one in corrected] == pytest.approx([10 / 1.2**SUFFERED] * 3)
    assert [one.slow for one in corrected] == pytest.approx([math.log(1.2)] * 3)


def test_probes_at_full_pace_leave_nothing_unknown_and_a_slow_one_alone_what_one_may_suffer() -> None:
    assert doubt_of_mean(np.zeros(4), 0.15) == 0.0
    assert doubt_of_mean(np.array([math.log(2)]), 0.15) == pytest.approx(UNKNOWN.doubt * math.log(2))


@pytest.mark.parametrize("slow", [[0.0, 0.7], [0.5, 0.5, 0.5], [0.1, 0.4, 0.9, 0.0, 0.3]])
def test_what_several_slow_probes_leave_unknown_is_that_of_their_best_mean(slow: list[float]) -> None:
    """Against weights found by a general optimiser."""
    single, by = 0.15, np.array(slow)
    covariance = doubt(by) + single**2 * np.eye(len(by))
    best = minimize(lambda w: w @ covariance @ w / w.sum() ** 2, np.ones(len(by)), tol=1e-12).fun
    assert doubt_of_mean(by, single) ** 2 == pytest.approx(best - single**2 / len(by), rel=1e-4)
    assert doubt_of_mean(np.append(by, 0.0), single) < doubt_of_mean(by, single), "one more at full pace"


def test_the_pulse_at_full_pace_is_what_is_usual_among_those_as_fast_as_one_that_a_tenth_of_the_runs_met() -> None:
    met = [1.0, 1.1, *([1.3] * 9)]  # a tenth met 1.1 or less: what lies within 5 % of that
    assert full_pulse_ms(met) == pytest.approx(1.05)
    two_states = [1.0, 1.03, 1.02, 1.02, 1.15, 1.16, 1.14, 1.13]
    assert full_pulse_ms(two_states) == pytest.approx(1.02)
    assert full_pulse_ms([]) is None


def test_full_pace_is_what_the_fastest_pulses_of_runs_tell_and_one_lucky_run_does_not_change_it() -> None:
    """Never at it on average, each of those runs met it for a moment."""
    runs = [Stretch(10.0, slow, 1.0) for slow in (1.1, 1.2, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5)]
    assert slowdowns(runs) == pytest.approx([1.1, 1.2, *([1.5] * 8)])
    assert slowdowns([*runs, Stretch(10.0, 0.5, 0.5)])[:2] == pytest.approx([1.1, 1.2])


def test_a_run_over_a_quarter_slower_than_another_of_its_network_was_disturbed() -> None:
    networks = [("a", 224), ("b", 224), ("a", 224), ("a", 192), ("a", 224)]
    found = undisturbed(networks, [12.4, 9.0, 10.0, 13.0, 12.6], np.ones(5))
    assert found.tolist() == [True, True, True, True, False]


def test_a_run_in_a_slow_moment_may_be_as_much_slower_or_quicker_as_its_correction_is_in_doubt() -> None:
    """By 0.3 of the slowdown: twice as slow, by exp(1.645 * 0.3 ln 2) = 1.408."""
    for slow in ([2.0, 1.0], [1.0, 2.0]):
        found = [undisturbed("aa", [10.0, ms], np.array(slow)).tolist() for ms in (17.5, 17.7)]
        assert found == [[True, True], [True, False]]


def test_a_run_without_a_pulse_counts_as_it_is() -> None:
    runs = [None, at(9.0, 1.0), None, at(9.0, 1.0), at(9.0, 1.5)]
    assert slowdowns(runs).tolist() == pytest.approx([1, 1, 1, 1, 1.5])
    assert slowdowns([None, None]).tolist() == [1, 1]
    assert len(slowdowns([])) == 0


def test_slowdowns_do_not_depend_on_the_unit_of_the_pulse() -> None:
    pulses = np.random.default_rng(0).uniform(1, 2, 20).tolist()
    in_us, in_ms = ([at(9.0, unit * pulse) for pulse in pulses] for unit in (1000, 1))
    assert slowdowns(in_us) == pytest.approx(slowdowns(in_ms))


def counted(*runs: tuple[object, float, float | None], noisy: tuple[bool, ...] = ()) -> list[int]:
    """Which of those runs stand for their networks; each is its network, its latency and its pulse."""
    networks, latencies, pulses = zip(*runs, strict=True)
    stretches = [None if pulse is None else at(ms, pulse) for ms, pulse in zip(latencies, pulses, strict=True)]
    return [row for row, _ in together(networks, latencies, stretches, noisy or [False] * len(runs))]


FULL = [("b", 5.0, 1.0), ("c", 5.0, 1.0), ("d", 5.0, 1.0)]


def test_of_several_runs_of_a_network_the_one_at_the_fullest_pace_stands_for_it() -> None:
    slow, full = ("a", 14.0, 1.5), ("a", 12.0, 1.0)
    assert counted(slow, full, *FULL)[0] == 1
    assert counted(*FULL, full, slow)[0] == 3


def test_a_run_that_was_disturbed_does_not_count_though_its_pulse_was_full() -> None:
    """As where threads waited for one another: a second a pass, and a pulse as ever."""
    stalled, slow = ("a", 400.0, 1.0), ("a", 12.0, 1.2)
    assert counted(stalled, slow, *FULL)[0] == 1
    assert counted(slow, *FULL, stalled)[0] == 0
    ((_, told), *_) = together("aa", [400.0, 12.0], [at(400.0, 1.0), at(12.0, 1.2)], [False, False])
    assert told == Stretch(pytest.approx(12.0), pytest.approx(1.2), 1.2)


def test_of_several_runs_at_full_pace_a_steady_one_stands_for_it_and_of_those_the_fastest() -> None:
    within = math.nextafter(AT_FULL_PACE, 0)
    runs = [("a", 10.0, 1.0), ("a", 9.0, within), ("a", 8.5, 1.0), *FULL]
    assert counted(*runs)[0] == 2
    assert counted(*runs, noisy=(False, False, True, False, False, False))[0] == 1


def test_all_runs_of_a_network_count_the_slower_ones_less() -> None:
    """At full pace alike; else by the variance of what each says of it."""
    ((_, alike),) = together("aa", [10.0, 12.1], [at(10.0, 1.0), at(12.1, 1.0)], [False, True], 1.0)
    assert alike == Stretch(pytest.approx(11.0), pytest.approx(1.0), 1.0)
    ((row, told),) = together("aa", [12.1, 10.0], [Stretch(12.1, 1.44, 1.0), at(10.0, 1.0)], [False, False], 1.0)
    assert row == 1 and told is not None
    share = math.log(told.latency_ms / 10.0) / math.log(1.21)
    assert 0.1 < share < 0.5
    assert math.log(told.pulse_ms) == pytest.approx(share * math.log(1.44))


def test_a_run_whose_own_times_disagree_counts_less() -> None:
    sure, vague = at(10.0, 1.0), Stretch(12.1, 1.0, 1.0, error=0.2)
    ((_, told),) = together("aa", [10.0, 12.1], [sure, vague], [False, False])
    assert told is not None and 10.0 < told.latency_ms < 10.2
    (alone,) = at_full_pace([Probe("a", 224, 12.1, stretch=vague)])
    assert alone.unsure == pytest.approx(0.2)


def test_runs_of_one_network_are_compared_at_one_pace() -> None:
    """A stalled one may have met a faster pulse than the other ever did."""
    ((_, told),) = together("aa", [45.0, 90.0], [Stretch(45.0, 1.0, 1.0), Stretch(90.0, 1.3, 0.9)], [False, False])
    assert told is not None and told.latency_ms == pytest.approx(45.0)


def test_runs_that_agree_at_full_pace_say_the_same_together() -> None:
    runs = [at(10.0 * slow**SUFFERED, slow) for slow in (1.0, 1.1, 1.2, 1.3)]
    ((_, told),) = together("aaaa", [one.latency_ms for one in runs], runs, [False] * 4)
    assert told is not None and told.at(1.0) == pytest.approx(10.0)


def test_networks_come_once_each_in_order_of_name_and_size() -> None:
    sized = [(("b", 224), 1.0, None), (("a", 224), 2.0, None), (("b", 224), 3.0, None), (("a", 160), 1.0, None)]
    assert counted(*sized) == [3, 1, 0]


def test_runs_without_a_pulse_count_by_their_times() -> None:
    assert counted(("a", 2.0, None), ("a", 1.9, None)) == [1]
