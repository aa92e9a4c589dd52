"""A search in words and points: no option of the command line on a page, and each measurement beside its prediction."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from advisor import views_find, workflows_measure
from advisor.evidence.store import Store
from advisor.predict.calibration import Asked
from advisor.records import Candidate, Question, Recommendation
from advisor.workflows_find_answer import FindAnswer, Promising
from advisor.workflows_find_path import Confirmation
from tests import run_data

ASKED = Question("cpu", max_latency_ms=25.0)


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
    question: Question = ASKED, **more: Any,
) -> FindAnswer:  # fmt: skip
    recommendation = Recommendation(
        question=question, setup="", axis="latency_ms", pick=pick, ties=(), runner_up=None,
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


def test_a_gain_too_small_for_its_figure_is_not_told() -> None:
    said = views_find.missed_words(answer(pick=PICK, p_missed=0.02, missed_points=0.004))
    assert said == "It is unlikely (2 %) that something that was not measured is more accurate and within the budget."


def test_a_limit_on_memory_is_left_open_by_what_may_be_missed() -> None:
    found = answer(p_missed=0.6, question=Question("cpu", max_latency_ms=25.0, max_memory_mb=100.0))
    assert views_find.missed_words(found).endswith(
        "is within the budget. Whether it keeps the limit on memory only measuring can tell."
    )


def test_a_chance_is_never_certain() -> None:
    promising = tuple(Promising(candidate("d.x", 81.0, 26.0), p, None) for p in (0.9999, 0.5))
    said = views_find.promising_words(answer(promising=promising))
    assert ["over 99 % likely" in said[0], "50 % likely" in said[1]] == [True, True]


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
    "Nothing keeps to 140 MB of peak memory: x needs the least. --max-memory-mb 150 would do.",
    "Of what was measured no peak memory is known, and --max-memory-mb is 140 MB: drop it.",
    "--max-latency-ms must be a number above 0, not -3.",
    "The licence is 'cc-by-nc-4.0'. With --licence commercial only licences known to allow it pass.",
    "openvino fp32 was not considered, since its calibration does not hold: it was made with torch 2.14, and 2.15 is "
    "installed now: calibrate again with 'python -m advisor calibrate --runtime openvino'.",
    "--confirm must be 0 to 100, not 200.",
    "A search needs --max-latency-ms: the most that one forward pass of one batch may take.",
])  # fmt: skip
def test_a_page_names_no_command_and_no_option(sentence: str) -> None:
    said = views_find.in_words(sentence)
    assert "--" not in said
    assert "python" not in said
    assert said.endswith(".")


@pytest.mark.parametrize(("sentence", "said"), [
    ("--max-latency-ms must be a number above 0, not -3.", "'Latency at most (ms)' must be a number above 0, not -3."),
    ("--min-accuracy is in percent and cannot exceed 100, not 101.",
     "'Accuracy at least (%)' is in percent and cannot exceed 100, not 101."),
    ("The nearest miss is a (80.00%): move --max-params-m from 3 to 5.12 and allow --licence any.",
     "The nearest miss is a (80.00%): move 'Parameters at most (M)' from 3 to 5.12 and set 'Licence' to any."),
    ("The nearest miss is a (80.00%): allow --families Vision Transformer.",
     "The nearest miss is a (80.00%): add Vision Transformer to 'Families'."),
    ("openvino fp32 was not considered, since its calibration does not hold any more (It was made with torch 2.14, and "
     "2.15 is installed now: calibrate again.): run 'python -m advisor calibrate'.",
     "openvino fp32 was not considered, since its calibration does not hold any more (It was made with torch 2.14, and "
     "2.15 is installed now): calibrate it above."),
])  # fmt: skip
def test_options_are_told_by_the_labels_of_their_widgets(sentence: str, said: str) -> None:
    assert views_find.in_words(sentence) == said


def test_a_limit_to_relax_keeps_its_unit_on_a_page() -> None:
    said = views_find.in_words("--max-latency-ms 3.1 would probably do. --max-memory-mb 150 would do.")
    assert said == "A limit of 3.1 ms would probably do. A limit of 150 MB on peak memory would do."


def test_setups_that_only_lack_a_calibration_are_told_in_one_sentence() -> None:
    notes = [f"{name} was not considered, since it is installed but not calibrated: run 'python -m advisor calibrate'."
             for name in ("onnxruntime fp32", "openvino auto")]  # fmt: skip
    why = "its calibration does not hold: it was made with torch 2.14, and 2.15 is installed now"
    stale = f"openvino fp32 was not considered, since {why}: calibrate again with 'python -m advisor calibrate'."
    assert views_find.left_out([notes[0], stale, notes[1]]) == (
        "Not considered, since not calibrated yet: onnxruntime fp32, openvino auto. Calibrate them above. openvino "
        f"fp32 was not considered, since {why}: calibrate it above."
    )


def test_the_path_tells_both_figures_and_marks_what_failed_or_was_noisy() -> None:
    path = (
        confirmation(PICK, 21.0), confirmation(candidate("b.x", 82.0, 24.0), None, kept=False),
        confirmation(candidate("c.x", 81.0, 24.0), 26.0, kept=False, verdict="noisy"),
    )  # fmt: skip
    table = views_find.path_table(path)
    assert list(table["#"]) == ["1", "2", "3"]
    assert table["Predicted, 90 % interval (ms)"][0] == "20 (18–22)"
    assert table["Measured, 95 % interval (ms)"].tolist() == [
        "✓ **21** (20.79–21.21)",
        "✗ failed",
        "✗ **26** (25.74–26.26) ≈ noisy",
    ]


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


def test_each_point_says_which_level_its_interval_has() -> None:
    found = views_find.points(answer(confirmation(PICK, 21.0), pick=PICK))
    assert found[["evidence", "level", "low_ms", "high_ms"]].to_numpy().tolist() == [
        ["predicted", "90 %", pytest.approx(18.0), pytest.approx(22.0)],
        ["measured", "95 %", pytest.approx(20.79), pytest.approx(21.21)],
    ]


def test_reasons_of_a_noisy_run_do_not_stretch_the_path() -> None:
    why = "Noisy (The thirds disagree (by 7 %). Other processes took 0.7 cores), so it is taken as it is."
    one = replace(confirmation(PICK, 21.0, verdict="noisy"), followed=f"Within the budget. {why}")
    assert views_find.path_table([one])["What came of it"][0] == "Within the budget. Noisy, so it is taken as it is."


def test_a_pick_that_was_measured_before_the_search_is_in_the_chart_too() -> None:
    picked = candidate("e.x", 79.0, 15.0, evidence="measured", verdict="steady")
    found = views_find.points(answer(pick=picked))
    assert found[["label", "evidence", "picked"]].to_numpy().tolist() == [["e.x", "measured", True]]


def test_how_much_was_measured_and_why_it_ended() -> None:
    done = answer(confirmation(PICK, 21.0), pick=PICK, ended="The one measurement that was allowed is made.")
    assert views_find.counted(done) == "1 measurement in 12 s. The one measurement that was allowed is made."


# -- before a click and while it goes on ---------------------------------------------------------------


def test_how_long_a_search_takes_is_no_more_than_the_time_it_is_given() -> None:
    assert views_find.estimate_words(5, 7.9, 300.0) == "at most 5 measurements, about 40 s"
    assert views_find.estimate_words(100, 7.9, 300.0) == "at most 100 measurements, none of them begun after 5 min"
    assert views_find.estimate_words(0, 7.9, 300.0).startswith("nothing is measured")
    asked = [Asked("cpu", name, "fp32", "nchw", 1, 2) for name in ("onnxruntime", "openvino", "pytorch-compile")]
    assert views_find.probing_words(asked, 125.0) == (
        "first a few probes of onnxruntime, openvino and pytorch-compile, not calibrated yet: about 2 min"
    )
    assert views_find.probing_words(asked[:1], 60.0).endswith("of onnxruntime, not calibrated yet: about 60 s")


def test_how_long_a_measurement_takes_is_told_from_those_alike(ready: Store) -> None:
    assert views_find.usual_s(workflows_measure.runs(ready)) == 6.0
    runs = [run_data.run("r1"), run_data.run("r2", timing_s=1.5), run_data.run("r3", extras=("operators",))]
    seconds = (20.0, 4.0, 60.0)  # in full; a probe; one with more than its latency
    run_data.save(ready, *(replace(one, seconds=s) for one, s in zip(runs, seconds, strict=True)))
    assert views_find.usual_s(workflows_measure.runs(ready)) == 20.0


def test_what_a_search_has_measured_so_far_is_told_in_order_and_judged(ready: Store) -> None:
    later = {"started_at": "2026-07-01T10:05:00+00:00"}
    run_data.save(ready, run_data.run("r1", 20.0), run_data.run("r2", 24.9, architecture="vit", **later))
    found = views_find.so_far_table(workflows_measure.runs(ready), 25.0)
    assert found.to_dict("list") == {
        "#": ["1", "2"], "Network": ["`resnet50` · 224 px", "`vit` · 224 px"], "With": ["pytorch-eager fp32"] * 2,
        # the upper end of the second one's interval is beyond the limit
        "Measured, 95 % interval (ms)": ["✓ **20** (19.8–20.2)", "✗ **24.9** (24.65–25.15)"],
    }  # fmt: skip


@pytest.mark.parametrize(("calibrated", "running", "says"), [
    ([], [], "Calibrate this machine first: a search needs predictions."),
    ([8], [], "This machine is calibrated for batch size 8, not for 1: choose another 'Batch size' here, or calibrate "
              "for 1 above."),
    ([4, 16, 8], [], "This machine is calibrated for batch sizes 4, 8 and 16, not for 1: choose another 'Batch size' "
                     "here, or calibrate for 1 above."),
    ([8], [1], "A search can begin when the calibration has ended."),
    ([1], [], ""),
    ([1, 8], [8], ""),
])  # fmt: skip
def test_why_no_search_can_begin_is_told(calibrated: list[int], running: list[int], says: str) -> None:
    found: Any = [
        SimpleNamespace(setup=SimpleNamespace(batch_size=n), calibration=SimpleNamespace(status=status))
        for status, sizes in (("complete", calibrated), ("running", running))
        for n in sizes
    ]
    assert views_find.lacking_words(found, 1) == says
