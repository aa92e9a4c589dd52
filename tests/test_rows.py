"""A run as rows of the speed table: what each row is of, and that the store's schema takes it."""

from __future__ import annotations

import pandas as pd
import pytest

from advisor.evidence import schema
from advisor.measure.rows import software, speed_rows
from advisor.measure.run import Memory
from tests import run_data


def test_latency_row_has_the_median_and_the_conditions_it_was_under() -> None:
    (row,) = speed_rows(run_data.run("r1", 8.0, batch_size=2, layout="nhwc", threads=4)).to_dict("records")
    assert (row["latency_ms"], row["throughput_per_s"]) == (8.0, 2 * 1000 / 8.0)
    assert (row["task"], row["batch_size"], row["img_size"], row["threads"]) == ("infer", 2, 224, "4")
    assert (row["runtime"], row["layout"], row["software"]) == ("pytorch-eager", "nhwc", "torch 2.15.0, timm 1.0.31")
    assert (row["source_id"], row["source_file"], row["evidence"]) == ("own-measurement", "r1", "measured")
    assert (row["peak_memory_mb"], row["suspect"], row["note"]) == (150.0, False, "")


def test_precision_is_the_one_that_was_really_used() -> None:
    rows = speed_rows(run_data.run("r1", runtime="openvino", precision="auto", precision_used="bf16"))
    assert rows["precision"].tolist() == ["bf16"]
    assert rows["software"].tolist() == ["torch 2.15.0, timm 1.0.31, openvino 2026.4.0"]


def test_sweep_gives_a_row_for_each_other_batch_size_and_training_one_of_its_own() -> None:
    rows = speed_rows(run_data.run("r1", 10.0, parts={"throughput": run_data.CURVE, "training": run_data.TRAINING}))
    found = list(zip(rows["task"], rows["batch_size"], rows["latency_ms"], rows["throughput_per_s"], strict=True))
    assert found == [("infer", 1, 10.0, 100.0), ("infer", 4, 20.0, 200.0), ("train", 8, 400.0, 20.0)]
    assert rows["precision"].tolist() == ["fp32", "fp32", "amp-bf16"]
    assert rows["peak_memory_mb"].iloc[[0, 2]].tolist() == [150.0, 900.0]
    assert pd.isna(rows["peak_memory_mb"].iloc[1])  # the peak is of the latency's batch size alone


def test_peak_memory_is_that_of_the_gpu_allocator_where_there_is_one() -> None:
    memory = Memory(peak_allocated_mb=70.0, peak_reserved_mb=90.0, peak_rss_mb=900.0, weights_file_mb=102.0)
    assert speed_rows(run_data.run("r1", target="cuda:0", parts={"memory": memory}))["peak_memory_mb"].tolist() == [
        70.0
    ]


def test_noisy_run_says_so_in_its_note() -> None:
    rows = speed_rows(run_data.run("r1", reasons=("Warm-up never settled.", "Others used 0.8 cores.")))
    assert rows["note"].tolist() == ["noisy: Warm-up never settled. Others used 0.8 cores."]


def test_failed_run_gives_no_row_but_the_columns() -> None:
    rows = speed_rows(run_data.failed("r1"))
    assert rows.empty
    assert list(rows.columns) == [*schema.COLUMNS["speed"], "evidence"]


def test_schema_takes_the_rows_as_they_are() -> None:
    rows = speed_rows(run_data.run("r1", 8.123456789, parts={"throughput": run_data.CURVE}))
    text = rows[list(schema.COLUMNS["speed"])].astype(object)
    text["suspect"] = ""
    typed, rejects = schema.typed("speed", text.where(text.notna(), "").astype(str))
    assert not rejects
    pd.testing.assert_frame_equal(typed.drop(columns="line"), rows.drop(columns="evidence"), check_dtype=False)
    assert rows.dtypes[["batch_size", "img_size", "latency_ms", "peak_memory_mb"]].tolist() == ["float64"] * 4


def test_software_of_a_gpu_names_cuda() -> None:
    environment = {"versions": {"torch": "2.15.0", "timm": "1.0.31"}, "runtime": {"cuda": "13.0", "tf32": True}}
    assert software("pytorch-eager", environment) == "torch 2.15.0, timm 1.0.31, CUDA 13.0"


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"torch": "2.15.0", "onnxruntime-gpu": "1.31.0"}, "torch 2.15.0, onnxruntime-gpu 1.31.0"),
        ({"torch": "2.15.0", "timm": None}, "torch 2.15.0"),
        ({}, ""),
    ],
)
def test_software_names_what_is_installed(versions: dict[str, str | None], said: str) -> None:
    assert software("onnxruntime", {"versions": versions}) == said


def test_memory_of_the_host_is_never_taken_for_that_of_a_gpu() -> None:
    here = run_data.run("r1")
    there = run_data.run("r2", target="cuda:0")
    assert (here.peak_memory_mb, there.peak_memory_mb) == (150.0, None)
    on_gpu = Memory(peak_allocated_mb=90.0, peak_reserved_mb=100.0, peak_rss_mb=900.0, weights_file_mb=102.0)
    assert run_data.run("r3", target="cuda:0", parts={"memory": on_gpu}).peak_memory_mb == 90.0
