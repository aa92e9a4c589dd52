"""A search in words and points: no option of the command line on a page, and each measurement beside its prediction."""

from __future__ import annotations

from typing import Any

import pytest

from advisor import views_find
from advisor.records import Candidate, Question, Recommendation
from advisor.workflows_find_answer import FindAnswer, Promising
from advisor.workflows_find_path import Confirmation


def candidate(weights: str, accuracy: float, ms: float, *, evidence: str = "predicted", **more: Any) -> Candidate:
    row = {
        "weights": weights, "architecture": weights.partition(".")[0], "family": "ResNet", "img_size": 224,
        "accuracy": accuracy, "accuracy_name": "top1", "latency_ms": ms, "batch_size": 1, "evidence": evidence,
        "latency_lo90_ms": ms * 0.9, "latency_hi90_ms": ms * 1.1, "runtime": "openvino", "precision": "bf16",
        "device_id": "here", "task": "infer",
    }  # fmt: skip
    return Candidate.from_row(row | more)


def confirmation(one: Candidate, ms: float | None, *, kept: bool = True, verdict: str = "steady") -> Confirmation:
    return Confirmation(
        candidate=one, p_within=0.5, expected_gain=0.4, why="It promises most.", run_id="r", verdict=verdict, kept=kept,
        status="failed" if ms is None else "ok", latency_ms=ms, ci95=None if ms is None else (ms * 0.99, ms * 1.01),
        followed="Within the budget, and the best so far.",
    )  # fmt: skip


def answer(
    *path: Confirmation, pick: Candidate | None = None, p_missed: float = 0.0, promising: tuple[Promising, ...] = (),
    **more: Any,
) -> FindAnswer:  # fmt: skip
    recommendation = Recommendation(
        question=Question("cpu", max_latency_ms=25.0), setup="", axis="latency_ms", pick=pick, ties=(), runner_up=None,
        by_family={}, front=() if pick is None else (pick,), beyond_families=None, reasons=(), what_if=(),
        nearest_miss=None, rejected={}, considered=1, feasible=1,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "pick_run_id": None, "runs": (), "missed_points": 0.2, "runtime_worth": None, "not_considered": (),
        "status": "done", "ended": "", "seconds": 12.0,
    }  # fmt: skip
    return FindAnswer(recommendation, path=path, p_missed=p_missed, promising=promising, **(fields | more))


PICK = candidate("resnet50.a1", 80.2, 20.0)


@pytest.mark.parametrize(("p", "begins"), [
    (0.0, "Nothing that was not measured can be more accurate"), (0.004, "It is unlikely (under 1 %)"),
    (0.09, "It is unlikely (9 %)"), (0.3, "It is possible (30 %)"), (0.8, "It is likely (80 %)"),
])  # fmt: skip
def test_what_may_be_missed_is_told_by_how_probable_it_is(p: float, begins: str) -> None:
    said = views_find.missed_words(answer(pick=PICK, p_missed=p))
    assert said.startswith(begins)
    assert ("0.20 points" in said) == (p > 0)


def test_without_a_pick_it_is_about_being_within_the_budget_at_all() -> None:
    said = views_find.missed_words(answer(p_missed=0.6))
    assert said == "With a probability of 60 % something that was not measured is within the budget."


@pytest.mark.parametrize("sentence", [
    "openvino auto was not considered, since it is installed but not calibrated: run 'python -m advisor calibrate "
    "--runtime openvino --precision auto'.",
    "What openvino bf16 is worth against pytorch-eager fp32 is not known: calibrate that with 'python -m advisor "
    "calibrate'.",
    "Nothing was measured within 2 ms: x takes 3 ms. --max-latency-ms 3.1 would probably do.",
    "Something unmeasured probably is: allow more measurements with --confirm.",
    "--confirm must be 0 to 100, not 200.",
    "A search needs --max-latency-ms: the most that one forward pass of one batch may take.",
])  # fmt: skip
def test_a_page_names_no_command_and_no_option(sentence: str) -> None:
    said = views_find.in_words(sentence)
    assert "--" not in said
    assert "python" not in said
    assert said.endswith((".", "above."))


def test_setups_that_only_lack_a_calibration_are_told_in_one_sentence() -> None:
    notes = [f"{name} was not considered, since it is installed but not calibrated: run 'python -m advisor calibrate'."
             for name in ("onnxruntime fp32", "openvino auto")]  # fmt: skip
    stale = "openvino fp32 was not considered, since its calibration does not hold any more (Old.): run 'x'."
    assert views_find.left_out([notes[0], stale, notes[1]]) == (
        "Not considered, since not calibrated yet: onnxruntime fp32, openvino auto. Calibrate them above. openvino "
        "fp32 was not considered, since its calibration does not hold any more (Old.): calibrate it above."
    )


def test_the_path_tells_both_figures_and_marks_what_failed_or_was_noisy() -> None:
    path = (
        confirmation(PICK, 21.0), confirmation(candidate("b.x", 82.0, 24.0), None, kept=False),
        confirmation(candidate("c.x", 81.0, 24.0), 26.0, kept=False, verdict="noisy"),
    )  # fmt: skip
    table = views_find.path_table(path)
    assert list(table["#"]) == ["1", "2", "3"]
    assert table["Predicted (ms)"][0] == "20 (18–22)"
    assert table["Measured (ms)"].tolist() == ["✓ **21** (20.79–21.21)", "✗ failed", "✗ **26** (25.74–26.26) ≈ noisy"]


def test_a_measured_network_stands_in_the_chart_as_predicted_and_as_measured() -> None:
    picked = candidate("resnet50.a1", 80.2, 21.0, evidence="measured", interval=(20.8, 21.2), verdict="steady")
    other = candidate("d.x", 81.0, 26.0)
    found = views_find.points(
        answer(confirmation(PICK, 21.0), pick=picked, promising=(Promising(other, 0.4, 0.3),))
    )  # fmt: skip
    assert found[["label", "evidence", "p50_ms", "place", "picked"]].to_numpy().tolist() == [
        ["resnet50.a1", "predicted", 20.0, 0, False], ["resnet50.a1", "measured", 21.0, 1, True],
        ["d.x", "predicted", 26.0, 0, False],
    ]  # fmt: skip


def test_a_pick_that_was_measured_before_the_search_is_in_the_chart_too() -> None:
    picked = candidate("e.x", 79.0, 15.0, evidence="measured", verdict="steady")
    found = views_find.points(answer(pick=picked))
    assert found[["label", "evidence", "picked"]].to_numpy().tolist() == [["e.x", "measured", True]]


def test_how_much_was_measured_and_why_it_ended() -> None:
    done = answer(confirmation(PICK, 21.0), pick=PICK, ended="The 1 measurement that were allowed are made.")
    assert views_find.counted(done) == "1 measurement in 12 s. The 1 measurement that were allowed are made."
    assert views_find.estimate_words(5, 7.9) == "at most 5 measurements, about 40 s"
    assert views_find.estimate_words(0, 7.9).startswith("nothing is measured")
