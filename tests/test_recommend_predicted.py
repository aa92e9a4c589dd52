"""Recommend with predicted speeds: which evidence speaks, what the interval guards, what stands apart."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import pandas as pd
import pytest

from advisor.advice.explain import explain
from advisor.advice.predicted import Guesses, percent, probability_within
from advisor.advice.recommend import candidates, recommend
from advisor.advice.setups import choose_runs
from advisor.answer_json import recommendation
from advisor.evidence.store import Store
from advisor.records import Candidate, Question, Reason, Recommendation
from tests import guessed
from tests.guessed import apart, guess, here

I7 = "i7-12700h"


def runs_of(store: Store) -> pd.DataFrame:
    return store.frame("runs", device_id=I7, task="infer")


def ask(store: Store, guesses: Guesses | None, **limits: object) -> Recommendation:
    question = Question(I7, **({"families": ("all",)} | limits))  # type: ignore[arg-type]
    return recommend(store.frame("scored"), runs_of(store), question, "the i7", guesses=guesses)


def picked(answer: Recommendation) -> Candidate:
    assert answer.pick is not None
    return answer.pick


def reason(answer: Recommendation, rule: str) -> Reason:
    (found,) = (one for one in answer.reasons if one.rule == rule)
    return found


# -- the probability of meeting a budget ---------------------------------------------------------------


@pytest.mark.parametrize("limit", [8.0, 9.0, 10.0])
def test_probability_is_that_of_a_log_normal_with_that_interval(limit: float) -> None:
    deviation = math.log(1.2) / NormalDist().inv_cdf(0.95)
    expected = NormalDist(math.log(9.0), deviation).cdf(math.log(limit))
    found = probability_within(guessed.rows(guess("resnet50", 9.0)), Question(I7, max_latency_ms=limit))
    assert found[0] == pytest.approx(expected)


def test_hi90_is_met_with_19_in_20_and_the_median_as_likely_as_not() -> None:
    rows = guessed.rows(guess("resnet50", 9.0, wide=1.5))
    assert probability_within(rows, Question(I7, max_latency_ms=13.5))[0] == pytest.approx(0.95)
    assert probability_within(rows, Question(I7, max_latency_ms=9.0))[0] == pytest.approx(0.5)


def test_limit_on_throughput_is_a_limit_on_the_latency_of_the_batch() -> None:
    rows = guessed.rows(guess("resnet50", 40.0, batch_size=8.0))  # 8 images in 40 ms: 200 a second
    by_rate = probability_within(rows, Question(I7, batch_size=8, min_throughput=160.0))
    by_time = probability_within(rows, Question(I7, batch_size=8, max_latency_ms=50.0))
    assert by_rate[0] == pytest.approx(by_time[0])
    both = Question(I7, batch_size=8, max_latency_ms=45.0, min_throughput=160.0)
    assert probability_within(rows, both)[0] < by_rate[0]  # the tighter of the two


def test_known_speeds_and_questions_without_limit_have_no_probability(ready: Store) -> None:
    answer = ask(ready, here(guess("vit_base_patch16_224", 9.0)))
    assert {one.p_within for one in answer.front} == {None}
    limited = ask(ready, here(guess("vit_base_patch16_224", 9.0)), max_latency_ms=50)
    assert {one.p_within is None for one in limited.front if one.evidence != "predicted"} == {True}


@pytest.mark.parametrize(("p", "shown"), [(0.71, "71 %"), (0.9996, "over 99 %"), (0.001, "under 1 %")])
def test_certainty_is_never_claimed(p: float, shown: str) -> None:
    assert percent(p) == shown


# -- the guard -----------------------------------------------------------------------------------------


def test_predicted_candidate_within_its_95_percent_quantile_is_the_pick_and_says_so(ready: Store) -> None:
    pick = picked(ask(ready, here(guess("vit_base_patch16_224", 10.0)), max_latency_ms=12.0))
    assert (pick.architecture, pick.evidence, pick.latency_ms) == ("vit_base_patch16_224", "predicted", 10.0)
    assert (pick.latency_lo90_ms, pick.latency_hi90_ms) == pytest.approx((10 / 1.2, 12.0))
    assert pick.p_within == pytest.approx(0.95)
    assert pick.interval is None  # that is of measured medians


def test_pick_that_is_only_predicted_asks_to_be_confirmed(ready: Store) -> None:
    answer = ask(ready, here(guess("vit_base_patch16_224", 10.0)), max_latency_ms=12.0)
    said = reason(answer, "only-predicted")
    assert said.text == (
        "The speed of vit_base_patch16_224 here is predicted, not measured: 10 ms (90 % interval 8.33–12 ms, 95 % "
        "likely to keep the limit). Confirm it before relying on it."
    )
    assert said.source == "predicted from 12 networks"


def test_candidate_whose_median_alone_meets_the_limit_is_listed_apart(ready: Store) -> None:
    answer = ask(ready, here(guess("vit_base_patch16_224", 10.0)), max_latency_ms=11.0)
    assert picked(answer).evidence == "published"
    (other,) = answer.might_win
    deviation = math.log(1.2) / NormalDist().inv_cdf(0.95)
    assert other.candidate.p_within == pytest.approx(NormalDist().cdf(math.log(1.1) / deviation))
    assert other.gain_points == pytest.approx(85.1 - picked(answer).accuracy)  # type: ignore[operator]
    assert "could also meet it: probability 81 %" in other.text
    assert other.text.endswith("measure it.")
    assert other.candidate.weights not in {one.weights for one in answer.front}


def test_candidate_whose_median_breaks_the_limit_is_not_listed(ready: Store) -> None:
    answer = ask(ready, here(guess("vit_base_patch16_224", 10.0)), max_latency_ms=9.9)
    assert answer.might_win == ()


def test_candidate_that_breaks_another_limit_is_not_listed(ready: Store) -> None:
    guesses = here(guess("vit_base_patch16_224", 10.0))
    assert ask(ready, guesses, max_latency_ms=11.0, max_params_m=50).might_win == ()
    assert ask(ready, guesses, max_latency_ms=11.0, families=("RegNet",)).might_win == ()


def test_listed_candidates_are_likelier_the_less_they_gain(ready: Store) -> None:
    answer = ask(
        ready,
        here(
            guess("vit_base_patch16_224", 10.5, wide=1.5),
            guess("resnest101e", 10.6, wide=1.5, img_size=256),  # less accurate and less likely
            guess("tf_efficientnetv2_s", 9.5, wide=1.5, img_size=384),
        ),
        max_latency_ms=11.0,
    )
    assert [one.candidate.architecture for one in answer.might_win] == ["vit_base_patch16_224", "tf_efficientnetv2_s"]
    chances = [one.candidate.p_within or 0.0 for one in answer.might_win]
    assert chances == sorted(chances)


def test_unknown_memory_of_a_prediction_does_not_pass(ready: Store) -> None:
    answer = ask(ready, here(guess("vit_base_patch16_224", 1.0)), max_memory_mb=100)
    assert answer.pick is None
    assert answer.might_win == ()


def test_throughput_limit_is_guarded_by_the_slow_end(ready: Store) -> None:
    guesses = here(guess("vit_base_patch16_224", 10.0))  # 100 a second, at worst 83.3
    assert picked(ask(ready, guesses, min_throughput=83.0)).evidence == "predicted"
    assert picked(ask(ready, guesses, min_throughput=84.0)).evidence == "published"


def test_asking_again_with_the_moved_limit_admits_the_prediction(ready: Store) -> None:
    guesses = here(guess("vit_base_patch16_224", 10.0))
    change = next(w for w in ask(ready, guesses, max_latency_ms=11.0).what_if if w.limit == "max_latency_ms")
    assert change.to == pytest.approx(12.0)
    assert change.text.endswith("at 224 px (speed predicted).")
    again = picked(ask(ready, guesses, max_latency_ms=float(change.to)))
    assert again.weights == change.weights


def test_a_nearest_miss_that_is_only_predicted_says_so(ready: Store) -> None:
    miss = ask(ready, here(guess("vit_base_patch16_224", 2.0)), max_latency_ms=2.1, min_accuracy=84).nearest_miss
    assert miss is not None
    assert "vit_base_patch16_224" in miss.text and ", speed predicted)" in miss.text
    published = ask(ready, here(guess("vit_base_patch16_224", 99.0)), max_latency_ms=1.0).nearest_miss
    assert published is not None and "predicted" not in published.text


# -- which evidence speaks -----------------------------------------------------------------------------


def test_published_row_hides_a_prediction_of_the_same_setup(ready: Store) -> None:
    (twin,) = runs_of(ready).query("architecture == 'regnety_032' and img_size == 224").to_dict("records")
    same = {name: twin[name] for name in guessed.SETUP}
    only = {"families": ("RegNet",)}
    answer = ask(ready, here(guess("regnety_032", 2.0, **same)), max_latency_ms=19, **only)  # published: 20 ms
    assert picked(answer).weights == "regnety_008.pycls_in1k"
    assert answer.might_win == ()
    other = ask(ready, here(guess("regnety_032", 2.0, **(same | {"software": "later"}))), max_latency_ms=19, **only)
    assert (picked(other).weights, picked(other).evidence) == ("regnety_032.ra_in1k", "predicted")


def test_row_that_states_throughput_alone_does_not_hide_a_predicted_latency(ready: Store) -> None:
    runs = runs_of(ready).copy()
    mine = (runs["architecture"] == "regnety_032") & (runs["img_size"] == 224)
    runs.loc[mine, "latency_ms"] = math.nan
    (twin,) = runs[mine].to_dict("records")
    rows = guessed.rows(guess("regnety_032", 5.0, **{name: twin[name] for name in guessed.SETUP}))
    chosen = choose_runs(runs, Question(I7, max_latency_ms=20), "the i7", rows).runs
    assert chosen.set_index("architecture").loc["regnety_032", "latency_ms"].tolist() == [32.0, 5.0]
    rates = choose_runs(runs, Question(I7, min_throughput=1), "the i7", rows).runs
    assert (rates["evidence"] == "published").all()


def test_known_run_within_the_limits_speaks_before_a_faster_prediction(ready: Store) -> None:
    answer = ask(ready, here(guess("regnety_032", 2.0)), max_latency_ms=20, families=("RegNet",))
    assert (picked(answer).weights, picked(answer).evidence) == ("regnety_032.ra_in1k", "published")


def test_prediction_speaks_where_the_known_run_is_too_slow(ready: Store) -> None:
    pick = picked(ask(ready, here(guess("regnety_032", 10.0)), max_latency_ms=12, families=("RegNet",)))
    assert (pick.weights, pick.evidence, pick.runtime) == ("regnety_032.ra_in1k", "predicted", "openvino")


def test_noisy_run_speaks_before_a_prediction(ready: Store) -> None:
    runs = runs_of(ready).copy()
    runs["verdict"] = ["noisy" if name == "regnety_032" else None for name in runs["architecture"]]
    question = Question(I7, max_latency_ms=20, families=("RegNet",))
    guesses = here(guess("regnety_032", 2.0))
    answer = recommend(ready.frame("scored"), runs, question, "the i7", guesses=guesses)
    assert (picked(answer).latency_ms, picked(answer).verdict) == (20, "noisy")


@pytest.mark.parametrize(("wide", "evidence"), [(1.1, "predicted"), (1.27, "published")])
def test_where_accuracy_ties_a_prediction_wins_only_if_it_surely_outruns(
    ready: Store, wide: float, evidence: str
) -> None:
    """resnest50d, 81.0 % at a published 25 ms; resnet50 at 288 px, 81.2 % at up to 22 or 25.4 predicted ms."""
    answer = ask(
        ready, here(guess("resnet50", 20.0, img_size=288, wide=wide)), max_latency_ms=25.5, licence="commercial",
        families=("ResNeSt", "ResNet"),
    )  # fmt: skip
    assert len({answer.pick.weights if answer.pick else "", *(one.weights for one in answer.ties)}) == 2
    assert picked(answer).evidence == evidence


def test_answer_does_not_depend_on_the_order_of_predictions(ready: Store) -> None:
    given = [guess("vit_base_patch16_224", 10.0), guess("resnest101e", 8.0, img_size=256), guess("resnet50", 2.0)]
    forward, backward = here(*given), here(*given[::-1], *given)
    assert ask(ready, forward, max_latency_ms=11) == ask(ready, backward, max_latency_ms=11)


def test_setup_and_reason_count_models_known_and_predicted(ready: Store) -> None:
    answer = ask(ready, here(guess("vit_base_patch16_224", 10.0, img_size=384), guess("convnext_tiny", 10.0)))
    assert answer.setup.endswith("Answers from 20 models published and 1 predicted there.")
    alone = ask(ready, None)
    assert "predicted" not in alone.setup
    assert "measured-and-predicted" not in {one.rule for one in alone.reasons}


# -- beside the answer ---------------------------------------------------------------------------------


def test_what_stands_apart_changes_nothing_but_what_might_win(ready: Store) -> None:
    lacking = guess("vit_base_patch16_224", 3.0, img_size=256)
    scored = ready.frame("scored")
    scored = pd.concat([scored, _at(scored, "vit_base_patch16_224", 256)], ignore_index=True)
    question = Question(I7, max_latency_ms=20, families=("all",))
    before = recommend(scored, runs_of(ready), question, "the i7")
    after = recommend(scored, runs_of(ready), question, "the i7", guesses=apart(lacking))
    assert replace(after, might_win=()) == before
    (other,) = after.might_win
    assert other.candidate.img_size == 256
    assert other.text.endswith("not published for the i7.")
    assert "might win: predicted 3 ms (90 % interval 2.5–3.6 ms)" in other.text


def _at(scored: pd.DataFrame, architecture: str, img_size: int) -> pd.DataFrame:
    """The rows of an architecture as if they were tested at another size, where nothing is published."""
    return scored[scored["architecture"] == architecture].assign(img_size=img_size)


def test_network_with_a_published_row_does_not_stand_apart(ready: Store) -> None:
    answer = ask(ready, apart(guess("vit_base_patch16_224", 3.0)), max_latency_ms=20)
    assert answer.might_win == ()


def test_families_without_results_are_named_with_the_best_predicted_or_the_reason(ready: Store) -> None:
    runs = runs_of(ready)
    runs = runs[~runs["architecture"].str.startswith("resnest")]
    question = Question(I7, max_latency_ms=20, families=("ResNeSt", "RegNet"))
    guesses = apart(guess("resnest50d", 10.0), refused="None is predicted either: not enough evidence.")
    answer = recommend(ready.frame("scored"), runs, question, "the i7", guesses=guesses)
    said = reason(answer, "predicted-family")
    assert said.text == (
        "ResNeSt has no published result on the i7 that could answer. Predicted, the best of it within the limits is "
        "resnest50d.in1k at 224 px, 81.00%, at 10 ms (90 % interval 8.33–12 ms, over 99 % likely to keep the limit)."
    )
    assert picked(answer).family == "RegNet"
    refused = recommend(
        ready.frame("scored"), runs, question, "the i7", guesses=apart(guess("resnet18", 1.0), refused="Too few.")
    )
    assert reason(refused, "families-not-predicted").text == (
        "ResNeSt has no published result on the i7 that could answer. Too few."
    )


# -- in words and JSON ---------------------------------------------------------------------------------


def test_explaining_a_prediction_over_the_limit_gives_its_quantile_and_probability(ready: Store) -> None:
    question = Question(I7, max_latency_ms=11, families=("all",))
    guesses = here(guess("vit_base_patch16_224", 10.0))
    chosen = choose_runs(runs_of(ready), question, "the i7", guesses.joining)
    frame = candidates(ready.frame("scored"), chosen, question)
    answer = recommend(ready.frame("scored"), runs_of(ready), question, "the i7", guesses=guesses)
    (found,) = explain(frame, question, answer, "vit_base_patch16_224")
    assert found.text == (
        "vit_base_patch16_224.augreg2_in21k_ft_in1k at 224 px is out: the 95 % quantile of its predicted latency, "
        "12 ms, is 1 ms (9 %) over the limit of 11 ms. The limit on speed is kept with a probability of 81 %."
    )


def test_json_tells_predictions_from_everything_else(ready: Store) -> None:
    found = recommendation(ask(ready, here(guess("vit_base_patch16_224", 10.0)), max_latency_ms=12.0))
    pick = found["pick"]
    assert (pick["evidence"], pick["latency_ms"], pick["interval"]) == ("predicted", 10.0, None)
    assert (pick["latency_lo90_ms"], pick["latency_hi90_ms"]) == pytest.approx((8.3333, 12.0), abs=1e-3)
    assert pick["p_within"] == pytest.approx(0.95)
    assert found["question"]["evidence"] == "auto"
    published = next(one for one in found["front"] if one["evidence"] == "published")
    assert (published["latency_lo90_ms"], published["p_within"]) == (None, None)
    listed = recommendation(ask(ready, here(guess("vit_base_patch16_224", 10.0)), max_latency_ms=11.0))["might_win"]
    assert listed[0]["candidate"]["evidence"] == "predicted"
