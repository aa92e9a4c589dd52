"""Searches on an invented machine that is slower for a while: what is measured again, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from advisor.evidence.store import Store
from advisor.measure.stretches import SUFFERED, Stretch
from advisor.predict.known import MeasuredHere
from advisor.predict.probe import Probe
from advisor.predict.slowness import Slowness
from advisor.predict.suffering import UNKNOWN
from advisor.records import Candidate
from advisor.workflows_find_play import next_request, play
from tests.invented_search import FULL_MS, PROBE, Bench, bench, known
from tests.small_data import I7_MS
from tests.test_find_answer import reason, steps

NAMES = ("mobilenetv2_100", "efficientnet_b0", "resnet50", "regnety_008")  # probes


def test_what_is_over_the_budget_in_a_slow_moment_is_measured_once_more(built: Store) -> None:
    found = bench(built, slow={"resnet50": (1.5,)}).search(max_latency_ms=17.5)
    assert [one for one in steps(found) if one[0] == "resnet50"] == [("resnet50", 224, False), ("resnet50", 224, True)]
    assert found.path[0].followed.startswith(
        "37 % over the budget. The machine was 50 % slower than at its full pace, so it may be measured once more."
    )
    assert sorted(one.slowdown for one in found.path) == pytest.approx([1.0, 1.0, 1.5])
    pick = found.recommendation.pick
    assert pick is not None and (pick.architecture, pick.latency_ms) == ("resnet50", 16.0)
    assert reason(found, "slow-moments") == (
        "1 of 3 measurements for this question ran while the machine was up to 50 % slower than at its full pace. "
        "Chances and predictions here are of a machine that is 11 % slower, as those measurements let one expect: what "
        "keeps the limit at full pace may break it in such a moment."
    )  # the fourth root of 1.5: two at full pace, and one that is taken to have been


def test_a_slowdown_is_as_much_as_the_setups_probes_suffer(built: Store) -> None:
    """Their products are left to matrix units: where the pulse is 1.5 times that of full pace, it is 1.5**1.4."""
    probes = tuple(Probe(name, 224, 10.0, suffers=by) for name, by in zip(NAMES, (1.3, 1.4, 1.9, None), strict=True))
    knowns = (known(I7_MS, measured=PROBE, probes=probes),)
    machine = Bench(built, knowns, {"pytorch-eager": I7_MS}, slow={"resnet50": (1.5**1.4,)}, suffered=1.4)
    (slow,) = (one for one in machine.search(max_latency_ms=17.5).path if one.slowdown > 1)
    assert (slow.candidate.architecture, slow.slowdown) == ("resnet50", pytest.approx(1.5**1.4))


def test_one_slow_moment_makes_each_setup_slower_by_what_it_suffers(built: Store) -> None:
    """OpenVINO, which suffers by 1.4, was 1.5**1.4 times slower: eager mode is expected to be 1.5**0.7 slower."""
    shared = (Probe(NAMES[0], 224, 10.0, suffers=1.4),)
    fast = known({key: 0.5 * ms for key, ms in I7_MS.items()}, runtime="openvino", precision="bf16", probes=shared)
    true_ms = {"pytorch-eager": I7_MS, "openvino": {key: 0.5 * ms for key, ms in I7_MS.items()}}
    slow = {name: (1.5**1.4,) for name, _ in I7_MS}
    machine = Bench(built, (known(I7_MS, measured=PROBE), fast), true_ms, slow=slow, suffered=1.4)
    case = machine.case(max_latency_ms=9.0)
    request = next_request(case, [], confirm=1)
    assert request is not None and request.runtime == "openvino"
    played = play(case, [machine.measure(request)])
    later = np.exp(played.believed.mean - case.first.mean)
    others = np.arange(len(case.options)) != played.steps[0].option
    for place, suffered in enumerate((SUFFERED, 1.4)):
        expected = 1.5 ** (suffered / 2)  # one measurement at 1.5, and the full pace that was expected before
        assert later[others & (case.options.known == place)] == pytest.approx(expected)


def test_a_search_whose_networks_suffer_nothing_of_a_slow_machine_knows_that_it_is_slow(built: Store) -> None:
    probes = tuple(Probe(name, 224, 10.0, suffers=0.0) for name in NAMES[:3])
    slow = {name: (1.4,) for name, _ in I7_MS}
    machine = Bench(built, (known(I7_MS, measured=PROBE, probes=probes),), {"pytorch-eager": I7_MS}, slow=slow)
    case = machine.case(max_latency_ms=17.5)
    request = next_request(case, [], confirm=1)
    assert request is not None
    played = play(case, [machine.measure(request)])
    assert played.slowness.log == pytest.approx(np.log(1.4) / 2), "one at 1.4, and the full pace expected before"
    others = np.arange(len(case.options)) != played.steps[0].option
    assert played.believed.mean[others] == pytest.approx(case.first.mean[others]), "they do not suffer of it"


def test_networks_on_matrix_units_are_in_more_doubt_while_the_machine_is_slow(built: Store) -> None:
    """Their products suffer three times as much as what else they do, and have more or less of a network."""
    alike, apart = (tuple(Probe(name, 224, 10.0, suffers=by) for name, by in zip(NAMES, powers, strict=False))
                    for powers in ((1.0, 1.0, 1.0), (0.6, 1.0, 1.4)))  # fmt: skip
    moment = Slowness(float(np.log(1.5)), 0.2)
    doubts = []
    for probes in (alike, apart):
        machine = Bench(built, (known(I7_MS, measured=PROBE, probes=probes),), {"pytorch-eager": I7_MS})
        case = replace(machine.case(max_latency_ms=17.5), slowness=moment)
        doubts.append(play(case, []).believed.deviation ** 2 - case.first.deviation**2)
    slow = moment.log**2 + moment.deviation**2
    assert doubts[0] == pytest.approx(np.full(len(doubts[0]), 0.2**2 + UNKNOWN.doubt**2 * slow))
    assert doubts[1] - doubts[0] == pytest.approx(0.32 / 3 * slow)


def test_on_a_machine_that_stays_slow_predictions_and_what_was_missed_are_of_that_machine(built: Store) -> None:
    """Everything takes 1.4 times as long as predicted for the full pace, the pick too, and is measured so."""
    machine = bench(built, slow={name: (1.4,) * 5 for name, _ in I7_MS})
    found, quiet = machine.search(max_latency_ms=30.0), bench(built).search(max_latency_ms=30.0)
    pick, accuracy = found.recommendation.pick, {(o.architecture, o.img_size): o.accuracy for o in every(machine)}
    assert pick is not None and pick.latency_ms is not None and pick.latency_ms <= 30.0
    able = [key for key in accuracy if 1.4 * I7_MS.get(key, 99.0) * 1.01 <= 30.0]
    assert accuracy[pick.architecture, pick.img_size] == max(accuracy[key] for key in able)
    assert found.p_missed < 0.05
    assert quiet.recommendation.pick is not None and pick.accuracy is not None
    assert (quiet.recommendation.pick.accuracy or 0.0) > pick.accuracy, "at full pace there was more to have"
    (*_, last) = (one for one in found.path if one.candidate.latency_ms is not None)
    true_ms = I7_MS[last.candidate.architecture, last.candidate.img_size]
    assert last.candidate.latency_ms == pytest.approx(true_ms * 1.4 ** (1 - 1 / len(found.path)), rel=0.01)


def test_on_a_machine_that_was_slow_before_too_predictions_are_of_that_from_the_first_on(built: Store) -> None:
    """Everything takes 1.4 times as long as at full pace, as it did in the measurements before."""
    slow = {name: (1.4,) * 5 for name, _ in I7_MS}
    found, unwarned = (bench(built, slow=slow, before=before).search(max_latency_ms=30.0) for before in ((1.4,), ()))
    for one in found.path:
        assert one.candidate.latency_ms == pytest.approx(one.latency_ms, rel=0.01), "predicted as it was measured"
    assert found.n_measurements == 3 < unwarned.n_measurements
    picks = [one.recommendation.pick and one.recommendation.pick.architecture for one in (found, unwarned)]
    assert picks[0] == picks[1] is not None
    assert found.p_missed < 0.01
    assert reason(found, "slow-moments").startswith(
        "In its last measurements before this question the machine was on average 40 % slower than at its full pace. "
    )


def test_what_is_over_the_budget_in_two_slow_moments_is_out(built: Store) -> None:
    found = bench(built, slow={"resnet50": (1.5, 1.4)}).search(max_latency_ms=17.5)
    assert [one for one in steps(found) if one[0] == "resnet50"] == [("resnet50", 224, False)] * 2
    (_, second) = (one for one in found.path if one.candidate.architecture == "resnet50")
    assert second.followed.startswith("28 % over the budget: out. The machine was 40 % slower than at its full pace.")
    assert found.recommendation.pick is not None and found.recommendation.pick.architecture != "resnet50"


def test_what_is_within_the_budget_in_a_slow_moment_is_so_at_any_time(built: Store) -> None:
    found = bench(built, slow={"resnet50": (1.1, 1.1)}).search(max_latency_ms=19.0)
    assert [one for one in steps(found) if one[0] == "resnet50"] == [("resnet50", 224, True)]
    assert found.recommendation.pick is not None and found.recommendation.pick.latency_ms == pytest.approx(17.6)


def test_at_full_pace_throughout_nothing_is_said_of_it(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0)
    assert "slow-moments" not in {one.rule for one in found.recommendation.reasons}


def test_a_slow_measurement_of_before_is_no_last_word_either(built: Store) -> None:
    slow = MeasuredHere("run-before", 24.0, (23.9, 24.1), "steady", Stretch(24.0, 1.5 * FULL_MS, FULL_MS))
    earlier = {("resnet50", 224): slow}
    machine = Bench(built, (known(I7_MS, measured=earlier, deviation=0.02),), {"pytorch-eager": I7_MS})
    assert ("resnet50", 224, True) in steps(machine.search(max_latency_ms=18.0))


def every(machine: Bench) -> list[Candidate]:
    return [Candidate.from_row(row) for row in machine.case().options.candidates.to_dict("records")]


# -- larger images -------------------------------------------------------------------------------------


def test_larger_images_of_a_network_over_the_budget_are_out(built: Store) -> None:
    """At 224 px it took 40 ms; that it was predicted to take 32 at 288 px is no promise any more."""
    earlier = {("regnety_032", 224): MeasuredHere("run-a", 40.0, (39.9, 40.1), "steady")}
    machines = [
        Bench(built, (known(I7_MS, measured=measured),), {"pytorch-eager": I7_MS}) for measured in ({}, earlier)
    ]  # fmt: skip
    open_, closed = (machine.search(max_latency_ms=35.0, families=("RegNet",)) for machine in machines)
    assert ("regnety_032", 288, True) in steps(open_)
    assert "regnety_032" not in [one[0] for one in steps(closed)]
    assert closed.p_missed == pytest.approx(0.0, abs=0.01)  # though 32 ms was 82 % likely to be within 35
