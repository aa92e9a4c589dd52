"""Why weights whose speed is only predicted are, or are not, the answer."""

from __future__ import annotations

from advisor.advice.explain import Explanation, explain
from advisor.advice.recommend import candidates, recommend
from advisor.advice.setups import choose_runs
from advisor.evidence.store import Store
from advisor.records import Question, Recommendation
from tests.guessed import guess, here

I7 = "i7-12700h"


def explained(store: Store, name: str, *guesses: dict[str, object]) -> tuple[Recommendation, dict[int, Explanation]]:
    """The answer within 22 ms on the i7, and why weights are not it, by image size."""
    question = Question(I7, max_latency_ms=22.0, families=("all",), licence="commercial")
    runs, scored = store.frame("runs", device_id=I7, task="infer"), store.frame("scored")
    given = here(*guesses)
    answer = recommend(scored, runs, question, "the i7", guesses=given)
    frame = candidates(scored, choose_runs(runs, question, "the i7", given.joining), question)
    return answer, {one.candidate.img_size: one for one in explain(frame, question, answer, name)}


def test_a_prediction_is_dominated_by_what_is_faster_than_its_slow_end(ready: Store) -> None:
    """resnet50 at 288 px, 81.2 % at 18 ms and at most 21.6; regnety_032 has 81.3 % at 20 ms."""
    answer, found = explained(ready, "resnet50.a1_in1k", guess("resnet50", 18.0, img_size=288))
    one = found[288]
    assert ("resnet50.a1_in1k", 288) not in {(on_front.weights, on_front.img_size) for on_front in answer.front}
    assert one.dominated_by is not None and one.dominated_by.weights == "regnety_032.ra_in1k"
    assert one.text == (
        "resnet50.a1_in1k at 288 px fits the limits but regnety_032.ra_in1k at 224 px is at least as good in both: "
        "81.30% against 81.20%, 20 ms against 21.6 ms (the 95 % quantile of what is predicted)."
    )


def test_a_prediction_whose_slow_end_is_faster_is_on_the_front(ready: Store) -> None:
    answer, found = explained(ready, "resnet50.a1_in1k", guess("resnet50", 16.5, img_size=288, wide=1.1))
    one = found[288]
    assert ("resnet50.a1_in1k", 288) in {(on_front.weights, on_front.img_size) for on_front in answer.front}
    assert one.dominated_by is None
