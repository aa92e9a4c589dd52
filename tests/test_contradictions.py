"""Contradictions: small hand-made frames, and the cases that are known to stand in the shipped data."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from advisor.evidence import contradictions as c
from advisor.evidence.contradictions import contradictions
from advisor.evidence.schema import COLUMNS
from advisor.evidence.store import Store

_DEFAULTS: dict[str, dict[str, Any]] = {
    "speed": {
        "architecture": "resnet50", "device_id": "t4", "task": "infer", "runtime": "tensorrt", "precision": "fp16",
        "batch_size": 1.0, "img_size": 224.0, "throughput_per_s": float("nan"), "latency_ms": float("nan"),
    },
    "accuracy": {
        "architecture": "resnet50", "dataset": "imagenet-1k", "metric": "top1", "img_size": 224.0,
        "protocol": "eval",
    },
    "complexity": {"architecture": "resnet50", "metric": "params_m", "img_size": float("nan")},
}  # fmt: skip


def rows(kind: str, *given: dict[str, Any]) -> pd.DataFrame:
    """Rows of a kind with everything unsaid at its default, numbered a, b, c ... unless a source is given."""
    full = []
    for position, one in enumerate(given):
        letter = "abcdefgh"[position]
        base = dict.fromkeys(COLUMNS[kind], "") | {"suspect": False, "evidence": "published"}
        base |= {"source_id": letter, "row_id": f"{letter}:{position}", "source_file": f"{letter}.md"}
        full.append(base | _DEFAULTS[kind] | one)
    return pd.DataFrame(full, columns=[*COLUMNS[kind], "row_id", "evidence"]).astype({"suspect": bool})


def found(kind: str, *given: dict[str, Any]) -> pd.DataFrame:
    """The contradictions among rows of one kind alone."""
    frames = {other: rows(other) for other in _DEFAULTS} | {kind: rows(kind, *given)}
    return contradictions(frames["speed"], frames["accuracy"], frames["complexity"])


def test_no_rows_give_an_empty_frame_with_all_columns() -> None:
    assert list(found("speed")) == list(c.COLUMNS)
    assert found("speed").empty


def test_latencies_of_one_setup_that_differ_by_more_than_the_tolerance_are_a_contradiction() -> None:
    (row,) = found("speed", {"latency_ms": 10.0}, {"latency_ms": 11.1}).to_dict("records")
    assert row["kind"] == c.LATENCY
    assert (row["subject"], row["low"], row["high"], row["n_rows"]) == ("resnet50", 10.0, 11.1, 2)
    assert row["ratio_or_difference"] == pytest.approx(1.11)
    assert row["sources"] == ("a", "b")
    assert row["row_ids"] == ("a:0", "b:1")
    assert row["conditions"] == "t4, infer, tensorrt, fp16, batch 1, 224 px"


def test_latencies_within_the_tolerance_are_no_contradiction() -> None:
    assert found("speed", {"latency_ms": 10.0}, {"latency_ms": 10.99}).empty


@pytest.mark.parametrize(
    ("column", "other"),
    [("device_id", "v100"), ("task", "train"), ("runtime", "onnxruntime"), ("precision", "fp32"),
     ("layout", "nhwc"), ("batch_size", 8.0), ("img_size", 288.0), ("threads", "4"), ("unit", "gpu")],
)  # fmt: skip
def test_speeds_of_different_setups_never_contradict(column: str, other: Any) -> None:
    assert found("speed", {"latency_ms": 10.0}, {"latency_ms": 30.0, column: other}).empty


def test_latency_and_throughput_are_never_compared_with_each_other() -> None:
    assert found("speed", {"latency_ms": 10.0}, {"throughput_per_s": 10_000.0}).empty


def test_an_unstated_software_version_of_the_same_source_hides_no_contradiction() -> None:
    silent, stated = {"latency_ms": 3.0, "source_id": "a"}, {"latency_ms": 9.0, "source_id": "a", "software": "8.0"}
    (row,) = found("speed", stated, silent).to_dict("records")
    assert row["conditions"].endswith("software version not stated by 1 of 2 rows")
    assert found("speed", stated, silent | {"source_id": "b"}).empty


def test_suspect_rows_and_results_of_the_users_own_are_left_out() -> None:
    assert found("speed", {"latency_ms": 3.0}, {"latency_ms": 9.0, "suspect": True}).empty
    assert found("speed", {"latency_ms": 3.0}, {"latency_ms": 9.0, "evidence": "measured"}).empty


def test_the_same_weights_half_a_point_apart_are_not_yet_a_contradiction() -> None:
    first = {"tag": "a1_in1k", "value": 80.5}
    assert found("accuracy", first, {"tag": "a1_in1k", "value": 81.0}).empty
    (row,) = (
        found("accuracy", first, {"tag": "a1_in1k", "value": 81.1})
        .query(f"kind == '{c.SAME_WEIGHTS}'")
        .to_dict("records")
    )
    assert row["subject"] == "resnet50.a1_in1k"
    assert row["ratio_or_difference"] == pytest.approx(0.6)


def test_a_thousand_images_allow_more_than_half_a_point() -> None:
    few = {"protocol": "eval on 1000 images, torch fp32"}  # ±2.5 points at 80 %
    assert found("accuracy", few | {"value": 79.0}, few | {"value": 81.0}).empty
    assert len(found("accuracy", few | {"value": 78.0}, few | {"value": 82.0})) == 1


def test_quantised_and_float_accuracy_are_different_conditions() -> None:
    assert found("accuracy", {"value": 80.0}, {"value": 75.0, "protocol": "eval, int8"}).empty


def test_weights_whose_extra_data_are_stated_do_not_contradict_imagenet_1k_weights() -> None:
    assert found("accuracy", {"value": 76.0}, {"value": 81.1, "tag": "fb_swsl_ig1b_ft_in1k"}).empty
    assert found("accuracy", {"value": 76.0}, {"value": 81.1, "model": "r50_noisystudent"}).empty


def test_an_image_size_in_the_models_name_counts_as_stated() -> None:
    named = {"value": 84.0, "img_size": float("nan"), "model": "resnet-50_in1k-384px"}
    assert found("accuracy", {"value": 80.0}, named).empty


def test_a_difference_within_one_source_is_shown_by_document() -> None:
    same = {"source_id": "a"}
    (row,) = found("speed", same | {"latency_ms": 3.0}, same | {"latency_ms": 9.0}).to_dict("records")
    assert "(a: a.md 3, b.md 9 ms)" in row["explanation"]


def test_gmacs_and_gflops_are_never_compared() -> None:
    assert found("complexity", {"metric": "gmacs", "value": 4.1}, {"metric": "gflops", "value": 8.2}).empty


def test_millions_and_billions_of_the_same_count_are_compared() -> None:
    assert found("complexity", {"metric": "gmacs", "value": 0.3}, {"metric": "mmacs", "value": 300.0}).empty
    assert len(found("complexity", {"metric": "gmacs", "value": 0.3}, {"metric": "mmacs", "value": 330.0})) == 1


def test_a_factor_of_two_in_gflops_is_explained() -> None:
    (row,) = found("complexity", {"metric": "gflops", "value": 4.1}, {"metric": "gflops", "value": 8.2}).to_dict(
        "records"
    )
    assert "multiply-add is counted as two operations" in row["explanation"]


def test_row_order_does_not_matter() -> None:
    given = [
        {"latency_ms": 10.0, "source_id": "a"},
        {"latency_ms": 20.0, "source_id": "b"},
        {"latency_ms": 15.0, "source_id": "c"},
    ]
    forward, backward = rows("speed", *given), rows("speed", *given).iloc[::-1]
    none = rows("accuracy"), rows("complexity")
    pd.testing.assert_frame_equal(contradictions(forward, *none), contradictions(backward, *none))


@pytest.fixture(scope="module")
def evidence(shipped: Store) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return (
        shipped.query("speed_rows", device_ids=[]),
        shipped.query("accuracy_rows"),
        shipped.query("complexity"),
    )


@pytest.fixture(scope="module")
def known(evidence: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    return contradictions(*evidence)


def one(known: pd.DataFrame, kind: str, subject: str, conditions: str) -> dict[str, Any]:
    match = known[(known["kind"] == kind) & (known["subject"] == subject)]
    match = match[match["conditions"].str.startswith(conditions)]
    assert len(match) == 1, match
    return dict(match.iloc[0])


def test_the_edge_tpu_pages_disagree_on_efficientnet_edgetpu(known: pd.DataFrame) -> None:
    for name, low, high, img_size in (("es", 77.0, 78.9, 224), ("em", 78.6, 80.1, 240), ("el", 80.2, 81.2, 300)):
        row = one(known, c.OTHER_WEIGHTS, f"efficientnet_{name}", f"imagenet-1k, top1, {img_size} px, quantised")
        assert f"efficientnet-tpu {low:g}" in row["explanation"]
        assert f"coral-models-page {high:g}" in row["explanation"]


def test_paddleclas_prints_two_latencies_of_dpn_on_the_v100(known: pd.DataFrame) -> None:
    row = one(known, c.LATENCY, "dpn68", "v100, infer, tensorrt, TensorRT 8.0.3.4, fp32, batch 1, 224 px")
    assert (row["low"], row["high"]) == (2.82, 8.18)
    assert row["sources"] == ("paddleclas", "paddleclas-readme")


def test_resnet50_recipes_stand_five_points_apart(known: pd.DataFrame) -> None:
    row = one(known, c.OTHER_WEIGHTS, "resnet50", "imagenet-1k, top1, 224 px, float")
    assert (row["low"], row["high"]) == (75.81, 81.0)
    assert row["n_rows"] >= 30
    assert {"timm-eval", "torchvision-weights", "resnet-strikes-back-2021"} <= set(row["sources"])


def test_pycls_retrained_efficientnets_stand_far_below_googles(
    known: pd.DataFrame, evidence: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
) -> None:
    row = one(known, c.OTHER_WEIGHTS, "efficientnet_b5", "imagenet-1k, top1, 456 px, float")
    behind = evidence[1].set_index("row_id").loc[list(row["row_ids"])]
    pycls = behind[behind["source_id"] == "pycls-model-zoo"]["value"]
    google = behind[(behind["source_id"] == "efficientnet-tpu") & (behind["tag"] == "aa_in1k")]["value"]
    assert (pycls.tolist(), google.tolist()) == ([78.3], [83.6])
    assert row["low"] == 78.3


def test_two_pages_of_torch2trt_disagree_on_densenet201(known: pd.DataFrame) -> None:
    row = one(known, c.THROUGHPUT, "densenet201", "jetson-agx-xavier, infer, tensorrt")
    assert (row["low"], row["high"]) == (30.2, 90.9)


def test_misprinted_parameters_are_found(known: pd.DataFrame) -> None:
    row = one(known, c.PARAMETERS, "resnet34", "params_m")
    assert (row["low"], row["high"]) == (2.18, 21.81)  # MMPreTrain, PaddleClas


def test_every_row_id_is_in_the_store_and_every_sentence_ends(
    known: pd.DataFrame, evidence: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
) -> None:
    ids = set().union(*(frame["row_id"] for frame in evidence))
    assert {row_id for group in known["row_ids"] for row_id in group} <= ids
    assert known["explanation"].str.fullmatch(r".*\.").all()
    assert not known.duplicated(["kind", "subject", "conditions"]).any()
