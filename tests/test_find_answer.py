"""Searches on an invented machine: what is measured, what is answered, and what is said of it. No process, no job."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from advisor.evidence.store import Store
from advisor.measure.run import Parity
from advisor.predict.known import MeasuredHere
from advisor.workflows_find_answer import Ending, FindAnswer, answer
from advisor.workflows_find_play import next_request, play
from tests.invented_search import EAGER, OPENVINO, Bench, bench, by_factor, known, two_runtimes
from tests.small_data import I7_MS

# within 20 ms, most accurate first: resnet50 224 (80.2 and 81.2, 16 ms), efficientnet_b2 288 (80.6, 18 ms),
# efficientnet_b2 256 (79.9, 14 ms), mobilenetv4_conv_medium (79.9, 10 ms); at the limit regnety_032 (81.3, 20 ms)


def steps(found: FindAnswer) -> list[tuple[str, int, bool]]:
    return [(one.candidate.architecture, one.candidate.img_size, one.kept) for one in found.path]


def reason(found: FindAnswer, rule: str) -> str:
    (one,) = (one for one in found.recommendation.reasons if one.rule == rule)
    return one.text


# -- the pick ------------------------------------------------------------------------------------------


def test_the_pick_is_the_most_accurate_that_was_measured_within_the_budget(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0)
    pick = found.recommendation.pick
    assert pick is not None
    assert (pick.weights, pick.evidence, pick.latency_ms) == ("resnet50.fb_swsl_ig1b_ft_in1k", "measured", 16.0)
    assert pick.interval == pytest.approx((15.84, 16.16))
    assert found.pick_run_id in {run.run_id for run in found.runs}
    assert found.n_measurements == len(found.path) <= 5
    assert all(one.candidate.evidence == "predicted" for one in found.path)


def test_a_calibration_that_drifted_is_told_beside_the_answer(built: Store) -> None:
    quiet = bench(built)
    (one,) = quiet.knowns
    drifted = replace(one, calibration=replace(one.calibration, drift=0.6))
    assert "drifted" not in quiet.search(max_latency_ms=19.0).recommendation.setup
    said = replace(quiet, knowns=(drifted,), requests=[]).search(max_latency_ms=19.0).recommendation.setup
    assert "(pytorch-eager fp32, measured while the machine drifted by 60 %)" in said


def test_what_looks_fast_and_is_not_is_measured_and_refused(built: Store) -> None:
    optimistic = by_factor(I7_MS, regnety_160=0.2)  # 86.0 % at 384 px, 82.6 % at 224 px: 72 ms look like 14.4
    found = bench(built, predicted=optimistic).search(max_latency_ms=19.0)
    assert steps(found)[0] == ("regnety_160", 224, False)
    assert "279 % over the budget: out." in found.path[0].followed
    assert "Outside of what was predicted" in found.path[0].followed
    pick = found.recommendation.pick
    assert pick is not None and pick.architecture == "resnet50"


def test_each_step_says_what_was_predicted_why_it_was_chosen_and_what_followed(built: Store) -> None:
    first = bench(built).search(max_latency_ms=19.0).path[0]
    interval = first.candidate.interval_of("latency_ms")
    assert interval is not None and first.candidate.latency_ms == pytest.approx(16.0)
    assert interval == pytest.approx((16.0 * np.exp(-0.1645), 16.0 * np.exp(0.1645)), rel=1e-3)
    assert first.p_within == first.candidate.p_within == pytest.approx(norm.cdf(np.log(19 / 16) / 0.1))
    assert first.expected_gain == pytest.approx(first.p_within * (81.2 - 75.8))
    assert first.why == (
        "96 % likely within 19 ms, and then the best so far, 81.20% instead of 75.80%: it promises most."
    )
    assert (first.latency_ms, first.verdict, first.status) == (16.0, "steady", "ok")
    assert first.followed == "Within the budget, and the best so far."


def test_without_anything_within_the_budget_an_answer_at_all_comes_first(built: Store) -> None:
    machine = Bench(built, (known(I7_MS),), {"pytorch-eager": I7_MS})
    first = machine.search(max_latency_ms=16.0).path[0]  # resnet50 is the more accurate, but one half likely
    assert first.candidate.architecture == "mobilenetv4_conv_medium"
    assert first.why == "Nothing is within the budget yet; over 99 % likely within 16 ms, at 79.90%."


def test_a_median_within_the_budget_whose_interval_crosses_it_is_no_answer(built: Store) -> None:
    found = bench(built, half_width=0.2).search(max_latency_ms=19.0, confirm=1)
    assert steps(found) == [("resnet50", 224, False)]
    assert found.path[0].followed.startswith("Its median keeps the budget, the upper end of its interval, 19.2 ms")
    assert found.pick_run_id == "run-probe"


def test_a_noisy_median_whose_interval_crosses_the_budget_is_measured_again_and_then_out(built: Store) -> None:
    found = bench(built, half_width=0.2, noisy=("resnet50",)).search(max_latency_ms=19.0, confirm=2)
    assert steps(found) == [("resnet50", 224, False)] * 2
    crosses = "Its median keeps the budget, the upper end of its interval, 19.2 ms, does not"
    assert found.path[0].followed == f"{crosses}. Noisy (Busy), so it may be measured once more."
    assert found.path[1].followed == f"{crosses}: out. Noisy (Busy)."
    assert found.pick_run_id == "run-probe"


def test_a_network_that_cannot_be_measured_is_shown_and_skipped(built: Store) -> None:
    machine = bench(built)
    machine.true_ms = {"pytorch-eager": {key: ms for key, ms in I7_MS.items() if key[0] != "resnet50"}}
    found = machine.search(max_latency_ms=19.0)
    assert (found.path[0].status, found.path[0].kept) == ("failed", False)
    assert found.path[0].followed == "Could not be measured, so it is out: resnet50 does not run here."
    pick = found.recommendation.pick
    assert pick is not None and pick.weights == "efficientnet_b2.ra_in1k"
    assert found.runs[0].status == "failed"


def test_a_noisy_measurement_is_made_once_more_and_then_taken_marked(built: Store) -> None:
    found = bench(built, noisy=("resnet50",)).search(max_latency_ms=17.5)
    assert steps(found) == [("resnet50", 224, True), ("resnet50", 224, True)]
    assert found.path[0].followed.endswith("Noisy (Busy), so it may be measured once more.")
    assert found.path[1].why.startswith("The best so far, but noisy: measured again")
    assert found.path[1].followed.endswith("so it is taken as it is.")
    pick = found.recommendation.pick
    assert pick is not None and (pick.architecture, pick.verdict) == ("resnet50", "noisy")
    assert "is noisy" in reason(found, "noisy-measurement")


def test_a_noisy_measurement_over_the_budget_is_not_the_last_word(built: Store) -> None:
    machine = bench(built, predicted=by_factor(I7_MS, regnety_032=0.5), noisy=("regnety_032",))
    first = machine.search(max_latency_ms=19.0, confirm=1).path[0]
    assert (first.candidate.architecture, first.kept) == ("regnety_032", False)
    assert first.followed.startswith("68 % over the budget. Noisy (Busy), so it may be measured once more.")


def test_a_noisy_answer_stays_where_no_measurement_is_left(built: Store) -> None:
    found = bench(built, noisy=("resnet50",)).search(max_latency_ms=19.0, confirm=1)
    assert found.recommendation.pick is not None and found.recommendation.pick.verdict == "noisy"
    assert found.ended == "The one measurement that was allowed is made."


def test_what_was_measured_before_needs_no_second_measurement(built: Store) -> None:
    earlier = {("resnet50", 224): MeasuredHere("run-before", 15.0, (14.9, 15.1), "steady")}
    machine = Bench(built, (known(I7_MS, measured=earlier, deviation=0.02),), {"pytorch-eager": I7_MS})
    found = machine.search(max_latency_ms=18.0)
    assert "resnet50" not in [one.architecture for one in machine.requests]
    pick = found.recommendation.pick
    assert pick is not None and (pick.latency_ms, found.pick_run_id) == (15.0, "run-before")
    assert found.p_missed == pytest.approx(0.0, abs=0.01)


def test_a_noisy_measurement_of_before_is_repeated(built: Store) -> None:
    earlier = {("resnet50", 224): MeasuredHere("run-before", 15.0, (14.0, 17.0), "noisy")}
    machine = Bench(built, (known(I7_MS, measured=earlier, deviation=0.02),), {"pytorch-eager": I7_MS})
    found = machine.search(max_latency_ms=18.0)
    assert steps(found) == [("resnet50", 224, True)]
    assert found.recommendation.pick is not None and found.recommendation.pick.latency_ms == 16.0


def test_ties_are_named_but_the_most_accurate_is_the_pick(built: Store) -> None:
    """resnet50's 81.2 % and 80.2 % have the same speed; regnety_032 (81.3 %) cannot be told from the first."""
    earlier = {
        ("resnet50", 224): MeasuredHere("run-a", 15.0, (14.9, 15.1), "steady"),
        ("regnety_032", 224): MeasuredHere("run-b", 19.0, (18.9, 19.1), "steady"),
    }
    machine = Bench(built, (known(I7_MS, measured=earlier),), {"pytorch-eager": I7_MS})
    found = machine.search(confirm=0).recommendation
    assert found.pick is not None and found.pick.weights == "regnety_032.ra_in1k"
    assert [one.weights for one in found.ties] == ["resnet50.fb_swsl_ig1b_ft_in1k"]
    assert found.runner_up is not None and found.runner_up.architecture == "resnet50"
    assert found.by_family["RegNet"] == found.pick and found.by_family["ResNeSt"] is None
    assert [one.latency_ms for one in found.front] == [15.0, 19.0]
    assert found.feasible == 4  # three weights of resnet50, one of regnety_032


def test_a_confirmation_times_the_latency_alone_and_as_exactly_as_any(built: Store) -> None:
    machine = bench(built)
    machine.search(max_latency_ms=19.0, confirm=1)
    (request,) = machine.requests
    assert (request.architecture, request.img_size, request.threads) == ("resnet50", 224, 2)
    assert (request.extras, request.timing_s) == ((), None)


# -- the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unfinished", "said"), [
    (True, "It ended early after 1 measurement."), (False, "The one measurement that was allowed is made."),
])  # fmt: skip
def test_a_search_ended_early_only_where_more_could_have_followed(built: Store, unfinished: bool, said: str) -> None:
    machine = bench(built)
    case = machine.case(max_latency_ms=19.0, families=("MobileNet", "EfficientNet"))
    request = next_request(case, [], confirm=1)
    assert request is not None
    played = play(case, [machine.measure(request)])
    assert played.next is not None
    assert answer(case, played, Ending("interrupted", unfinished=unfinished, problem="It was closed.")).ended == said


# -- limits --------------------------------------------------------------------------------------------


def test_the_other_limits_are_those_of_recommend(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0, licence="commercial", pretraining="imagenet-1k", max_params_m=20)
    pick = found.recommendation.pick
    assert pick is not None and pick.weights == "efficientnet_b2.ra_in1k"
    assert found.recommendation.rejected["licence"] >= 3
    assert set(found.recommendation.rejected) == {"licence", "pretraining", "max_params_m"}


def test_memory_is_judged_by_what_was_measured(built: Store) -> None:
    found = bench(built, memory_mb={"resnet50": 600.0}).search(max_latency_ms=19.0, max_memory_mb=300.0)
    assert steps(found)[0] == ("resnet50", 224, False)
    assert found.path[0].followed == "Its peak memory, 600 MB, is over the limit of 300 MB: out."
    pick = found.recommendation.pick
    assert pick is not None and pick.architecture != "resnet50" and pick.peak_memory_mb == 150.0
    # 86.6 M parameters of 4 bytes cannot fit, so these are not even tried
    assert found.recommendation.rejected["max_memory_mb"] >= 2


def test_a_throughput_is_a_latency_too(built: Store) -> None:
    found = bench(built).search(max_latency_ms=30.0, min_throughput=100.0)  # 10 ms
    pick = found.recommendation.pick
    assert pick is not None and pick.latency_ms is not None and pick.latency_ms <= 10.0


# -- what may be missed --------------------------------------------------------------------------------


def test_the_chance_of_having_missed_something_is_that_of_what_is_left(built: Store) -> None:
    """Only regnety_032 at 224 px is better than resnet50 and near the limit, which is its median."""
    earlier = {("resnet50", 224): MeasuredHere("run-a", 15.0, (14.9, 15.1), "steady")}
    machine = Bench(built, (known(I7_MS, measured=earlier),), {"pytorch-eager": I7_MS})
    found = machine.search(max_latency_ms=20.0, confirm=0, families=("ResNet", "RegNet"))
    assert found.p_missed == pytest.approx(0.5, abs=0.03)
    assert found.missed_points == pytest.approx(0.5 * 0.1, abs=0.005)
    assert "with a probability of 5" in reason(found, "what-may-be-missed")


def test_what_has_no_chance_is_not_listed_as_promising(built: Store) -> None:
    """regnety_032 at 288 px and regnety_160 are more accurate too, but at 32 ms and more as good as never within 20."""
    earlier = {("resnet50", 224): MeasuredHere("run-a", 15.0, (14.9, 15.1), "steady")}
    machine = Bench(built, (known(I7_MS, measured=earlier),), {"pytorch-eager": I7_MS})
    (one,) = machine.search(max_latency_ms=20.0, confirm=0, families=("ResNet", "RegNet")).promising
    assert (one.candidate.weights, one.candidate.img_size) == ("regnety_032.ra_in1k", 224)
    assert (one.p_within, one.expected_gain) == (pytest.approx(0.5), pytest.approx(0.5 * 0.1))


def test_what_is_hardly_possible_has_no_figure_of_what_it_would_gain(built: Store) -> None:
    earlier = {("resnet50", 224): MeasuredHere("run-a", 15.0, (14.9, 15.1), "steady")}
    machine = Bench(built, (known(I7_MS, measured=earlier, deviation=0.02),), {"pytorch-eager": I7_MS})
    assert reason(machine.search(max_latency_ms=18.0, confirm=0), "what-may-be-missed") == (
        "Some unmeasured candidate is more accurate and within the budget too with a probability of under 1 %. "
        "Reckoned from the predictions' intervals."
    )


def test_without_anything_to_beat_no_gain_is_told(built: Store) -> None:
    machine = Bench(built, (known(I7_MS),), {"pytorch-eager": I7_MS})
    assert machine.search(max_latency_ms=19.0, confirm=1).path[0].expected_gain is None
    assert {one.expected_gain for one in machine.search(max_latency_ms=19.0, confirm=0).promising} == {None}


# -- licences ------------------------------------------------------------------------------------------


def test_a_licence_that_forbids_commercial_use_is_told(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0)
    assert reason(found, "licence-to-mind") == (
        "The licence of resnet50.fb_swsl_ig1b_ft_in1k is 'cc-by-nc-4.0', which forbids commercial use. With --licence "
        "commercial only licences known to allow it pass."
    )


def test_a_licence_that_allows_commercial_use_needs_no_word(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0, licence="commercial")
    assert "licence-to-mind" not in {one.rule for one in found.recommendation.reasons}


# -- runtimes ------------------------------------------------------------------------------------------


def test_model_and_runtime_are_chosen_together_and_the_runtime_is_priced(built: Store) -> None:
    """Within 18.5 ms OpenVINO has regnety_032 at 288 px, 16 ms and 82.0 %; eager mode resnet50, 16 ms and 81.2 %."""
    found = two_runtimes(built).search(max_latency_ms=18.5, families=("RegNet", "ResNet"))
    pick, worth = found.recommendation.pick, found.runtime_worth
    assert pick is not None and (pick.weights, pick.img_size) == ("regnety_032.ra_in1k", 288)
    assert (pick.runtime, pick.precision) == OPENVINO
    assert worth is not None and worth.baseline is not None
    assert (worth.baseline.runtime, worth.baseline.precision) == EAGER
    assert (worth.baseline.weights, worth.baseline.evidence) == ("resnet50.fb_swsl_ig1b_ft_in1k", "predicted")
    assert worth.gain_points == pytest.approx(82.0 - 81.2)
    assert worth.text.startswith("openvino bf16 instead of pytorch-eager fp32: +0.8 points within the same 18.5 ms")
    assert worth.text.endswith("takes 16 ms there, predicted).")


def test_a_measured_baseline_is_called_measured(built: Store) -> None:
    machine = two_runtimes(built)
    earlier = {("resnet50", 224): MeasuredHere("run-a", 15.0, (14.9, 15.1), "steady")}
    machine.knowns = (machine.knowns[0], known(I7_MS, measured=earlier))
    worth = machine.search(max_latency_ms=18.5, families=("RegNet", "ResNet")).runtime_worth
    assert worth is not None and worth.baseline is not None
    assert (worth.baseline.evidence, worth.baseline.latency_ms) == ("measured", 15.0)


def test_the_plain_setup_may_be_the_best(built: Store) -> None:
    worth = bench(built).search(max_latency_ms=19.0).runtime_worth
    assert worth is not None and worth.gain_points == 0.0
    assert worth.text == "The plain setup, pytorch-eager fp32, is the best one here: no other one is calibrated."


def test_without_the_plain_setup_its_calibration_is_asked_for(built: Store) -> None:
    machine = two_runtimes(built)
    machine.knowns = machine.knowns[:1]
    worth = machine.search(max_latency_ms=18.5).runtime_worth
    assert worth is not None and worth.baseline is None and "python -m advisor calibrate" in worth.text


def test_reduced_precision_says_whose_accuracy_it_is_and_how_far_the_outputs_differ(built: Store) -> None:
    machine = two_runtimes(built, parts={"parity": Parity(0.02, 0.004, 0.05, True)})
    found = machine.search(max_latency_ms=18.5)
    told = reason(found, "reduced-precision")
    assert told.startswith("The accuracy is that of the weights in fp32; in bf16 it may be a little lower.")
    assert "differed from eager fp32 by at most 0.4 % of the largest value, where 5 % is tolerated" in told


def test_reduced_precision_that_was_measured_before_says_so_too(built: Store) -> None:
    machine = two_runtimes(built, parts={"parity": Parity(0.02, 0.004, 0.05, True)})
    request = next_request(machine.case(max_latency_ms=18.5), [], confirm=1)
    assert request is not None
    run = machine.measure(request)
    assert run.measured is not None and request.precision == "bf16"
    here = MeasuredHere(run.run_id, run.measured.latency.p50, run.measured.latency.ci95, "steady")
    fast = {key: ms / 2 for key, ms in I7_MS.items()}
    earlier = {(request.architecture, request.img_size or 0): here}
    machine.knowns = (known(fast, runtime=OPENVINO[0], precision=OPENVINO[1], measured=earlier), machine.knowns[1])
    case = machine.case(max_latency_ms=18.5)
    found = answer(case, play(case, []), Ending(), earlier={run.run_id: run}.get)
    assert found.pick_run_id == run.run_id
    assert "differed from eager fp32 by at most 0.4 % of the largest value" in reason(found, "reduced-precision")


# -- the same runs, the same search --------------------------------------------------------------------


def test_a_search_cut_short_is_the_beginning_of_the_whole(built: Store) -> None:
    machine = bench(built, predicted=by_factor(I7_MS, regnety_160=0.2, vit_base_patch16_224=0.2))
    case, runs = machine.case(max_latency_ms=19.0), []
    while (request := next_request(case, runs, confirm=5)) is not None:
        runs.append(machine.measure(request))
    whole = machine.after(case, runs)
    for n in range(len(runs)):
        part = machine.after(case, runs[:n], status="running")
        assert part.path == whole.path[:n]
        assert part.ended == "" and play(case, runs[:n]).next is not None
    assert len(runs) >= 3


def test_a_cancelled_run_counts_for_nothing(built: Store) -> None:
    machine = bench(built)
    case = machine.case(max_latency_ms=19.0)
    request = next_request(case, [], confirm=5)
    assert request is not None
    run = replace(machine.measure(request), status="cancelled", measured=None, verdict=None)
    found = machine.after(case, [run], status="cancelled")
    assert found.n_measurements == 0 and found.pick_run_id == "run-probe"
    assert found.ended == "It was cancelled after 0 measurements: this is the answer so far."
