"""The nearest published setup: which row is chosen, what is compared, and what is said to differ."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from advisor.evidence.schema import COLUMNS, NUMBERS, WHOLE_NUMBERS
from advisor.evidence.store import Store
from advisor.measure.nearest import Nearest, nearest
from advisor.measure.request import Request
from advisor.measure.run import BatchPoint, Latency, Load, Measured, Memory, Run, Throughput

DEVICES = pd.DataFrame(
    [
        ("i7-12700h", "Core i7-12700H", "cpu"), ("i9-10940x", "Core i9-10940X", "cpu"),
        ("raspberry-pi-5-cpu", "Raspberry Pi 5, CPU", "iot"), ("samsung-galaxy-s24", "Samsung Galaxy S24", "phone"),
        ("rtx-4090", "GeForce RTX 4090", "gpu"), ("epyc", "AMD EPYC 7763", "cpu"),
    ],
    columns=["device_id", "name", "kind"],
)  # fmt: skip
PUBLISHED = {
    "architecture": "resnet50", "device_id": "i7-12700h", "task": "infer", "runtime": "pytorch-eager",
    "software": "torch 2.8.0", "threads": "8", "precision": "fp32", "layout": "nchw", "batch_size": 1.0,
    "img_size": 224.0, "latency_ms": 13.0, "throughput_per_s": 1000 / 13, "suspect": False, "evidence": "published",
    "source_id": "timm-benchmark",
}  # fmt: skip


def rows(*changes: dict[str, Any]) -> pd.DataFrame:
    """Speed rows: `PUBLISHED` with these changes, named r1, r2, ... in order."""
    empty = {c: float("nan") if c in (*NUMBERS, *WHOLE_NUMBERS) else "" for c in COLUMNS["speed"]}
    return pd.DataFrame([empty | PUBLISHED | {"row_id": f"r{i}"} | change for i, change in enumerate(changes, 1)])


def run(
    *,
    p50: float = 29.9,
    curve: tuple[BatchPoint, ...] = (),
    environment: dict[str, Any] | None = None,
    precision_used: str = "fp32",
    threads: int = 2,
    **asked: Any,
) -> Run:
    request = Request(**({"architecture": "resnet50", "img_size": 224} | asked))
    latency = Latency((p50,) * 30, 1, p50, p50, None, 0.0, (p50, p50), p50, True, 5, "precise", "wall clock")
    here = {"cpu": "AMD EPYC", "versions": {"torch": "2.15.0", "openvino": "2026.4.1"}} | (environment or {})
    measured = Measured(
        img_size=request.img_size or 224, threads=threads, precision_used=precision_used, params=25_557_032,
        latency=latency, memory=Memory(None, None, 100.0, 102.0), load=Load(0.0, 0.0), environment=here, seconds={},
        throughput=Throughput(curve, curve[-1].batch_size, curve[-1].throughput_per_s, "memory") if curve else None,
    )  # fmt: skip
    return Run("1", "j", "", "ok", "", "here", request, "2026-01-01T00:00:00", 9.0, "steady", (), measured)


def found(of: Run, *changes: dict[str, Any]) -> Nearest:
    answer = nearest(of, rows(*changes), DEVICES)
    assert answer is not None
    return answer


def test_text_names_both_figures_and_every_difference() -> None:
    answer = found(run(), {})
    assert answer.text == (
        "Core i7-12700H, pytorch-eager, fp32, 8 threads, torch 2.8, channels first, 224 px, batch 1: 13 ms; "
        "here 29.9 ms (2.3x slower); differs in: CPU, threads 8 → 2, torch 2.8 → 2.15."
    )
    assert answer.ratio == pytest.approx(29.9 / 13)
    assert answer.differences == ("CPU", "threads 8 → 2", "torch 2.8 → 2.15")
    assert (answer.row_id, answer.source_id, answer.device) == ("r1", "timm-benchmark", "Core i7-12700H")


# each: what is nearer, what is further; the first differs in more that matters less
@pytest.mark.parametrize(
    ("nearer", "further"),
    [
        ({"device_id": "i9-10940x", "runtime": "tflite", "precision": "int8", "threads": "64"}, {"img_size": 256.0}),
        ({"runtime": "tflite", "precision": "int8", "threads": "64"}, {"batch_size": 2.0}),
        ({"img_size": 256.0}, {"img_size": 384.0}),
        ({"batch_size": 8.0}, {"img_size": 288.0}),
        ({"runtime": "pytorch-compile", "precision": "bf16", "threads": ""}, {"runtime": "onnxruntime"}),
        ({"precision": "tf32", "layout": "nhwc", "threads": "64"}, {"precision": "int8"}),
        ({"precision": "", "threads": "64"}, {"precision": "int8"}),
        ({"threads": "2", "layout": "nhwc", "software": ""}, {"threads": "4"}),
        ({"software": "torch 1.13"}, {"layout": "nhwc"}),
        ({"software": "torch 2.9.1, CUDA 13.0"}, {"software": "torch 2.1.0"}),
        ({"device_id": "i9-10940x"}, {"device_id": "samsung-galaxy-s24", "unit": "CPU", "runtime": "qnn-dlc"}),
        ({}, {}),
    ],
)
def test_what_matters_more_decides(nearer: dict[str, Any], further: dict[str, Any]) -> None:
    """In whatever order the rows come; equal ones by row id."""
    table = rows(nearer, further)
    for shuffled in (table, table[::-1]):
        answer = nearest(run(), shuffled, DEVICES)
        assert answer is not None
        assert answer.row_id == "r1"
    apart = [nearest(run(), table[table["row_id"] == name], DEVICES) for name in ("r1", "r2")]
    assert apart[0] is not None
    assert apart[1] is not None
    assert apart[0].distance < apart[1].distance or nearer == further


def test_same_cpu_outweighs_same_runtime() -> None:
    mine = run(environment={"cpu": "12th Gen Intel Core i7-12700H"})
    answer = found(mine, {"device_id": "i9-10940x"}, {"runtime": "onnxruntime", "precision": "int8"})
    assert answer.device == "Core i7-12700H"
    assert "CPU" not in answer.differences


def test_brand_without_a_model_is_no_model() -> None:
    """A hypervisor that shows only "AMD EPYC" does not make the machine an EPYC 7763."""
    assert "CPU" in found(run(), {"device_id": "epyc"}).differences
    assert "CPU" not in found(run(environment={"cpu": "AMD EPYC 7763"}), {"device_id": "epyc"}).differences


def test_another_size_or_batch_gets_no_ratio() -> None:
    for change, words in (
        ({"img_size": 288.0}, "image size 288 → 224 px"),
        ({"batch_size": 8.0}, "batch 8 → 1"),
        ({"batch_size": float("nan")}, "batch not stated there (1 here)"),
        ({"img_size": float("nan")}, "image size not stated there (224 px here)"),
    ):
        answer = found(run(), change)
        assert (answer.ratio, answer.here) == (None, None)
        assert words in answer.differences
        assert "no ratio" in answer.text


def test_batch_sweep_is_compared_at_the_published_batch() -> None:
    """100 ms for 8 images are 80 a second; published 160: twice the time."""
    swept = run(curve=(BatchPoint(1, 1000 / 29.9, 29.9, 30), BatchPoint(8, 80.0, 100.0, 30)))
    answer = found(swept, {"batch_size": 8.0, "throughput_per_s": 160.0, "latency_ms": 50.0})
    assert (answer.metric, answer.published) == ("throughput_per_s", 160.0)
    assert answer.here == pytest.approx(80.0)
    assert answer.ratio == pytest.approx(2.0)
    assert "batch" not in " ".join(answer.differences)


def test_throughput_alone_is_compared_as_throughput() -> None:
    answer = found(run(p50=10.0), {"latency_ms": float("nan"), "throughput_per_s": 50.0})
    assert (answer.metric, answer.here) == ("throughput_per_s", pytest.approx(100.0))
    assert answer.ratio == pytest.approx(0.5)
    assert "2.0x faster" in answer.text


@pytest.mark.parametrize(
    ("p50", "words"),
    [
        (13.0, "about as fast"),
        (13.6, "about as fast"),
        (13.9, "7 % slower"),
        (12.2, "7 % faster"),
        (6.5, "2.0x faster"),
    ],
)
def test_ratio_is_said_in_words(p50: float, words: str) -> None:
    assert f"({words})" in found(run(p50=p50), {}).text


def test_values_that_are_not_stated_are_said_not_guessed() -> None:
    answer = found(run(), {"threads": "", "precision": "", "layout": "", "software": ""})
    assert answer.differences == (
        "CPU", "precision not stated there (fp32 here)", "threads not stated there (2 here)",
        "layout not stated there (channels first here)", "torch version not stated there (2.15 here)",
    )  # fmt: skip


def test_precision_is_the_one_really_used() -> None:
    mine = run(runtime="openvino", precision="auto", precision_used="bf16")
    assert "fp32 → bf16" in found(mine, {"runtime": "openvino-latency"}).differences


def test_versions_of_different_runtimes_are_not_compared() -> None:
    answer = found(run(runtime="openvino"), {})
    assert "pytorch-eager → openvino" in answer.differences
    assert not any("torch 2" in words for words in answer.differences)


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": "rtx-4090"}, {"device_id": "samsung-galaxy-s24", "unit": "NPU"}, {"suspect": True},
        {"task": "train"}, {"evidence": "measured"}, {"architecture": "resnet101"},
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_left_out(change: dict[str, Any]) -> None:
    assert nearest(run(), rows(change), DEVICES) is None
    assert found(run(), change, {"img_size": 384.0}).row_id == "r2"


def test_boards_count_by_the_part_that_ran() -> None:
    assert found(run(), {"device_id": "raspberry-pi-5-cpu"}).device == "Raspberry Pi 5, CPU"


def test_gpu_is_compared_with_gpus_and_not_by_threads() -> None:
    mine = run(target="cuda:0", environment={"gpu": {"name": "NVIDIA GeForce RTX 4090"}})
    answer = found(mine, {}, {"device_id": "rtx-4090", "threads": "", "software": "torch 2.15.0, CUDA 13.0"})
    assert (answer.device, answer.differences) == ("GeForce RTX 4090", ())
    assert answer.text.endswith("; the setup is the same as far as stated.")


def test_failed_run_has_no_nearest() -> None:
    failed = dataclasses.replace(run(), status="failed", reason="out of memory", measured=None, verdict=None)
    assert nearest(failed, rows({}), DEVICES) is None


def test_shipped_data_gives_the_i7_or_i9_for_a_cpu(shipped: Store) -> None:
    """timm's own CPU tables are the only published ones of resnet50 with size and batch."""
    table = shipped.query("speed_rows", device_ids=[])
    answer = nearest(run(), table, shipped.frame("devices"))
    assert answer is not None
    assert answer.source_id == "timm-benchmark"
    assert answer.device in ("Core i7-12700H", "Core i9-10940X")
    row = table.set_index("row_id").loc[answer.row_id]
    assert (row["architecture"], row["img_size"], row["batch_size"]) == ("resnet50", 224, 1)
    assert answer.ratio == pytest.approx(29.9 / row["latency_ms"])
    assert "pytorch-compile → pytorch-eager" in answer.differences


def test_shipped_data_gives_the_same_gpu_at_a_swept_batch(shipped: Store) -> None:
    curve = (BatchPoint(1, 500.0, 2.0, 30), BatchPoint(1024, 2000.0, 512.0, 30))
    mine = run(
        target="cuda:0", precision="amp-fp16", precision_used="amp-fp16", layout="nhwc", curve=curve,
        environment={"gpu": {"name": "NVIDIA GeForce RTX 4090"}},
    )  # fmt: skip
    answer = nearest(mine, shipped.query("speed_rows", device_ids=[]), shipped.frame("devices"))
    assert answer is not None
    assert (answer.device, answer.metric) == ("GeForce RTX 4090", "throughput_per_s")
    assert answer.here == pytest.approx(2000.0)
    assert "GPU" not in answer.differences
