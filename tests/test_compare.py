"""Models side by side, one architecture across devices, device against device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from advisor.advice.compare import across_devices, device_against_device, side_by_side
from advisor.errors import BadQuestion, UnknownName
from advisor.evidence.store import Store
from advisor.metrics import METRICS

NAN = float("nan")


def run(architecture: str, img_size: int = 224, **facts: Any) -> dict[str, Any]:
    """A run on 'dev', eager fp32 at batch 1, with neither speed unless given."""
    base = {
        "row_id": f"{architecture}:{sorted(facts.items())}", "source_id": "s", "model": architecture,
        "architecture": architecture, "img_size": img_size, "device_id": "dev", "task": "infer",
        "runtime": "eager", "software": "", "threads": "", "unit": "", "precision": "fp32", "layout": "",
        "batch_size": 1.0, "throughput_per_s": NAN, "latency_ms": NAN, "evidence": "published",
    }  # fmt: skip
    return base | facts


def scored_row(weights: str, img_size: int, top1: float) -> dict[str, Any]:
    """Weights whose other accuracies, counts and sizes follow from the top-1."""
    others = dict.fromkeys(("real", "v2", "a", "r", "sketch"), top1 - 10)
    counts = {"params_m": top1, "gmacs": top1 / 10, "acts_m": NAN, "file_mb": 4 * top1}
    names = {"weights": weights, "architecture": weights.partition(".")[0], "img_size": img_size}
    return {**names, "top1": top1, **others, **counts}


SCORED = pd.DataFrame([
    scored_row("x.a", 224, 70.0), scored_row("y.a", 224, 75.0), scored_row("y.a", 288, 76.0),
    scored_row("z.a", 224, 80.0), scored_row("z.b", 224, 79.0),
])  # fmt: skip


def frame(*runs: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(runs))


def one(table: pd.DataFrame, metric: str) -> pd.Series:
    (row,) = [r for _, r in table[table["metric"] == metric].iterrows()]
    return row


def test_every_row_is_a_metric_of_the_registry_and_every_model_a_column() -> None:
    table = side_by_side(SCORED, {"dev": frame(run("x", latency_ms=2.0))}, ["x.a", "z.a"])
    assert set(table["metric"]) <= set(METRICS)
    assert list(table.columns[6:]) == ["x.a @ 224", "z.a @ 224"]
    assert one(table, "robust")["x.a @ 224"] == pytest.approx((70 + 5 * 60) / 6)


def test_the_best_follows_the_direction_of_the_metric() -> None:
    table = side_by_side(SCORED, {}, ["x.a", "z.a"])
    assert one(table, "top1")["best"] == ("z.a @ 224",)
    assert one(table, "params_m")["best"] == ("x.a @ 224",)
    assert one(table, "acts_m")["best"] == ()  # unknown for both
    assert one(table, "img_size")["best"] == ()  # equal for both


def test_speeds_in_one_row_are_of_one_setup() -> None:
    runs = frame(
        run("x", latency_ms=2.0), run("z", latency_ms=4.0),
        run("x", latency_ms=1.0, runtime="fast"), run("y", latency_ms=3.0, runtime="fast", precision="fp16"),
    )  # fmt: skip
    table = side_by_side(SCORED, {"dev": runs}, ["x.a", "z.a", "y.a@224"])
    latency = table[table["metric"] == "latency_ms"].set_index("conditions")
    assert list(latency.index) == ["eager, fp32, batch 1", "fast, fp16, batch 1"]
    assert latency.iloc[0][["x.a @ 224", "z.a @ 224"]].to_list() == [2.0, 4.0]
    assert np.isnan(latency.iloc[0]["y.a @ 224"])
    assert latency.iloc[0]["best"] == ("x.a @ 224",)
    assert latency.iloc[1]["y.a @ 224"] == 3.0


def test_measured_speeds_have_rows_of_their_own_and_noisy_ones_are_named() -> None:
    own = {"evidence": "measured", "verdict": "noisy"}
    runs = frame(run("x", latency_ms=2.0), run("z", latency_ms=4.0), run("x", latency_ms=3.0, **own))
    table = side_by_side(SCORED, {"dev": runs.iloc[1:]}, ["x.a", "z.a"])
    rows = table[table["metric"] == "latency_ms"].set_index("conditions")
    setup = "eager, fp32, batch 1"
    assert rows["x.a @ 224"].dropna().to_dict() == {f"{setup}, measured": 3.0}
    assert rows["z.a @ 224"].dropna().to_dict() == {setup: 4.0}
    assert rows["noisy"].to_dict() == {f"{setup}, measured": ("x.a @ 224",), setup: ()}


def test_an_unsaid_image_size_is_the_one_with_runs_then_the_most_accurate() -> None:
    with_run = {"dev": frame(run("y", 224, latency_ms=2.0))}
    assert "y.a @ 224" in side_by_side(SCORED, with_run, ["x.a", "y.a"])
    assert "y.a @ 288" in side_by_side(SCORED, {}, ["x.a", "y.a"])


@pytest.mark.parametrize("weights", [["x.a"], ["x.a", "x.a"], [f"x.{n}" for n in range(9)]])
def test_fewer_than_two_and_more_than_eight_models_are_refused(weights: list[str]) -> None:
    with pytest.raises(BadQuestion, match="2 to 8"):
        side_by_side(SCORED, {}, weights)


def test_unknown_weights_and_sizes_are_named() -> None:
    with pytest.raises(UnknownName, match="z\\.a"):
        side_by_side(SCORED, {}, ["x.a", "z.c"])
    with pytest.raises(BadQuestion, match="it has one at 224, 288 px"):
        side_by_side(SCORED, {}, ["x.a", "y.a@300"])


DEVICES = pd.DataFrame({"device_id": ["dev", "other"], "name": ["Dev", "Other"], "kind": ["gpu", "cpu"]})


def test_one_architecture_has_a_row_for_each_setup_and_metric_latency_first_best_first() -> None:
    runs = frame(
        run("x", latency_ms=4.0, throughput_per_s=250.0), run("x", latency_ms=3.0, runtime="fast"),
        run("x", throughput_per_s=900.0, batch_size=64.0), run("x", latency_ms=9.0, device_id="other"),
        run("y", latency_ms=1.0),
    )  # fmt: skip
    table = across_devices(runs, DEVICES, "x")
    assert list(zip(table["metric"], table["device"], table["value"], strict=True)) == [
        ("latency_ms", "Dev", 3.0), ("latency_ms", "Dev", 4.0), ("latency_ms", "Other", 9.0),
        ("throughput_per_s", "Dev", 900.0), ("throughput_per_s", "Dev", 250.0),
    ]  # fmt: skip


def test_results_of_the_same_setup_are_counted_never_averaged() -> None:
    table = across_devices(frame(run("x", latency_ms=4.0), run("x", latency_ms=5.0, source_id="t")), DEVICES, "x")
    assert table[["value", "n_rows", "source_id"]].to_numpy().tolist() == [[4.0, 2, "s"]]


def test_suspect_runs_and_other_image_sizes_are_left_out() -> None:
    runs = frame(run("x", latency_ms=4.0), run("x", 288, latency_ms=8.0), run("x", latency_ms=0.1, runtime="odd"))
    runs["suspect"] = runs["runtime"] == "odd"
    assert across_devices(runs, DEVICES, "x")["value"].to_list() == [4.0, 8.0]
    assert across_devices(runs, DEVICES, "x", 288)["value"].to_list() == [8.0]
    with pytest.raises(UnknownName):
        across_devices(runs, DEVICES, "nothing")


def latencies(device_id: str, ms: dict[str, float], **facts: Any) -> list[dict[str, Any]]:
    return [run(name, device_id=device_id, latency_ms=value, **facts) for name, value in ms.items()]


def test_a_device_twice_as_fast_on_all_moves_no_model() -> None:
    ms = {"x": 2.0, "y": 4.0, "z": 8.0}
    half = {name: value / 2 for name, value in ms.items()}
    found = device_against_device(frame(*latencies("a", ms)), frame(*latencies("b", half)), SCORED)
    assert (found.metric, found.n_common, found.rank_agreement, found.median_ratio) == ("latency_ms", 3, 1.0, 2.0)
    assert (found.gaining, found.losing, found.jaccard) == ((), (), 1.0)
    assert found.front_shared == ("x @ 224", "y @ 224", "z @ 224")
    assert "b is 2 times as fast as a" in found.text


def test_the_model_that_falls_behind_is_the_mover_and_leaves_the_front() -> None:
    side_a = frame(*latencies("a", {"x": 2.0, "y": 4.0, "z": 8.0}))
    side_b = frame(*latencies("b", {"x": 1.0, "y": 40.0, "z": 4.0}))
    found = device_against_device(side_a, side_b, SCORED)
    (loser,) = found.losing
    assert (loser.architecture, loser.relative) == ("y", pytest.approx(0.05))  # 0.1 times, where the median is 2
    assert (found.front_only_a, found.front_only_b) == (("y @ 224",), ())
    assert found.jaccard == pytest.approx(2 / 3)
    assert found.rank_agreement == pytest.approx(0.5)  # ranks 1 2 3 and 1 3 2: 1 - 6 * 2 / (3 * 8)


def test_latencies_of_different_batch_sizes_are_never_compared() -> None:
    side_a = frame(*latencies("a", {"x": 2.0, "y": 4.0}))
    side_b = frame(*latencies("b", {"x": 200.0, "y": 400.0}, batch_size=256.0))
    found = device_against_device(side_a, side_b, SCORED)
    assert (found.metric, found.n_common, found.models.empty) == (None, 0, True)
    assert "no model" in found.text


def test_each_side_is_the_one_setup_that_shares_most_models() -> None:
    narrow = latencies("a", {"x": 0.1}, runtime="narrow")
    side_a = frame(*narrow, *latencies("a", {"x": 2.0, "y": 4.0, "z": 8.0}))
    found = device_against_device(side_a, frame(*latencies("b", {"x": 1.0, "y": 2.0, "z": 4.0})), SCORED)
    assert (found.setup_a, found.models["value_a"].to_list()) == ("eager, fp32, batch 1", [2.0, 4.0, 8.0])


def test_a_measured_side_says_so_and_how_much_of_it_is_noisy() -> None:
    own = [run(name, device_id="a", latency_ms=ms, evidence="measured", verdict=verdict)
           for name, ms, verdict in (("x", 1.0, "steady"), ("y", 2.0, "noisy"))]  # fmt: skip
    found = device_against_device(frame(*own), frame(*latencies("b", {"x": 2.0, "y": 4.0})), SCORED)
    assert (found.setup_a, found.setup_b) == (
        "eager, fp32, batch 1, measured, 1 of 2 noisy", "eager, fp32, batch 1",
    )  # fmt: skip


def test_two_models_have_no_rank_agreement() -> None:
    side = frame(*latencies("a", {"x": 2.0, "y": 4.0}))
    assert device_against_device(side, side, SCORED).rank_agreement is None


def test_devices_without_results_have_nothing_in_common() -> None:
    empty = frame(run("x")).iloc[:0]
    assert device_against_device(empty, empty, SCORED).n_common == 0


def test_row_order_does_not_matter() -> None:
    side_a = frame(*latencies("a", {"x": 2.0, "y": 4.0, "z": 8.0}), *latencies("a", {"x": 2.0}, source_id="t"))
    side_b = frame(*latencies("b", {"x": 1.0, "y": 40.0, "z": 4.0}))
    forward = device_against_device(side_a, side_b, SCORED)
    backward = device_against_device(side_a.iloc[::-1], side_b.iloc[::-1], SCORED.iloc[::-1])
    assert forward == backward
    pd.testing.assert_frame_equal(forward.models, backward.models)


def test_shipped_rank_agreement_is_that_of_pandas_and_the_setups_are_named(shipped: Store) -> None:
    runs = [shipped.frame("runs", device_id=d, task="infer") for d in ("i7-12700h", "i9-10940x")]
    found = device_against_device(*runs, shipped.frame("scored"), names=("Core i7", "Core i9"))
    assert found.metric == "latency_ms"
    assert found.n_common > 1000
    ranks = found.models[["value_a", "value_b"]].rank()
    assert found.rank_agreement == pytest.approx(ranks["value_a"].corr(ranks["value_b"]))
    assert "pytorch-compile, fp32, nchw, batch 1" in found.setup_a
    assert found.setup_a in found.text
    assert found.setup_b in found.text


def test_shipped_resnet50_stands_on_many_devices(shipped: Store) -> None:
    rows = shipped.query("speed_rows", device_ids=[])
    table = across_devices(rows, shipped.frame("devices"), "resnet50", 224)
    assert table["device_id"].nunique() > 20
    assert not table["device"].isna().any()
    latency = table[(table["metric"] == "latency_ms") & (table["task"] == "infer")]["value"]
    assert latency.is_monotonic_increasing
