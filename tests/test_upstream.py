"""timm's raw tables against the rows we ship; the excerpts are copied from huggingface/pytorch-image-models."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from advisor.errors import RefreshFailed
from advisor.evidence.published import read_text
from advisor.evidence.schema import COLUMNS
from advisor.evidence.upstream import FOLDER, Names, Setup, convert, device_id, kind_of

DATA = Path(__file__).parent.parent / "data"

I7 = "benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv"
PRO_6000 = "benchmark-infer-amp_bf16-nchw-pt291-cu130-pro6000maxq-dynamo.csv"
TRAIN = "benchmark-train-amp-nchw-pt112-cu113-rtx3090.csv"
OLD = "benchmark-infer-amp-nchw-pt113-cu117-rtx3090.csv"
INFER_HEADER = (
    "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,infer_gmacs,infer_macts\n"
)
OLD_HEADER = (
    "model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,infer_gmacs,infer_macts,param_count\n"
)
ACCURACY_HEADER = (
    "model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation,top1_diff,top5_diff,rank_diff\n"
)
BENCHMARKS = {
    I7: INFER_HEADER
    + """test_byobnet,160,930.48,1.062,1,0.46,0.03,0.43
regnetx_002,224,237.37,4.191,1,2.68,0.2,2.16
mobilenetv4_conv_small,256,199.91,4.979,1,3.77,0.25,2.57
ecaresnext50t_32x4d,224,46.88,21.304,1,15.41,2.7,10.09
resnest14d,224,45.77,21.821,1,10.61,2.76,7.33
""",
    PRO_6000: INFER_HEADER
    + """levit_128s,224,76601.43,26.711,2048,7.76,0.3,1.88
mobileone_s0,224,45703.24,44.778,2048,2.08,0.28,3.79
mobileone_s1,224,27108.76,75.505,2048,4.76,0.83,6.27
repvit_m1,224,26333.95,77.727,2048,5.07,0.82,6.17
ghostnetv3_050,224,43394.78,47.155,2048,2.85,0.05,2.28
mobilenetv2_075,224,30411.19,50.467,1536,2.64,0.22,5.86
""",
    TRAIN: """model,train_samples_per_sec,train_step_time,train_batch_size,train_img_size,param_count
tinynet_e,10001.12,50.423,512,106,2.04
ssl_resnet18,2760.71,185.109,512,224,11.69
mnasnet_b1,2053.54,248.485,512,224,4.38
efficientnet_b0,1459.11,262.1,384,224,5.29
ecaresnext50t_32x4d,834.39,459.653,384,224,15.41
densenet121d,678.22,375.614,256,224,8.0
repvgg_b0,1217.24,419.512,512,224,15.82
""",
    OLD: OLD_HEADER
    + """gluon_resnet50_v1b,3027.43,338.23,1024,224,4.11,11.11,25.56
deit3_small_patch16_224_in21ft1k,3023.02,338.721,1024,224,4.61,11.95,22.06
efficientnet_b2a,2767.64,369.979,1024,288,1.12,16.2,9.11
regnetz_005,6208.75,164.916,1024,224,0.52,5.86,7.12
""",
}
IMAGENET_A = (
    ACCURACY_HEADER
    + """\
eva_giant_patch14_560.m30m_ft_in22k_in1k,87.573,12.427,96.893,3.107,"1,014.45",560,1.000,bicubic,-11.257,-3.007,+1
regnety_160.swag_ft_in1k,68.093,31.907,90.720,9.280,83.59,384,1.000,bicubic,-29.687,-8.880,+34
vgg11.tv_in1k,1.560,98.440,16.187,83.813,132.86,224,0.875,bilinear,-85.020,-80.093,-11
"""
)


@pytest.fixture(scope="module")
def speed() -> pd.DataFrame:
    return read_text(DATA / "published" / "timm-benchmark.speed.csv")


@pytest.fixture(scope="module")
def names(speed: pd.DataFrame) -> Names:
    catalogue = pd.read_csv(DATA / "catalogue.csv", usecols=["architecture", "params_m", "num_classes"])
    return Names.learn(catalogue, speed)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_table_becomes_the_rows_we_ship(name: str, names: Names, speed: pd.DataFrame) -> None:
    rows = convert(name, BENCHMARKS[name], names)
    ours = speed[speed["source_file"] == FOLDER + name]
    shipped = rows[["model", "img_size"]].merge(ours, on=["model", "img_size"], how="left")
    pd.testing.assert_frame_equal(rows, shipped[list(COLUMNS["speed"])], check_dtype=False, check_index_type=False)
    assert len(rows) == BENCHMARKS[name].count("\n") - 1


def test_result_table_becomes_top1_and_top5_rows(names: Names) -> None:
    rows = convert("results-imagenet-a.csv", IMAGENET_A, names)
    printed = list(csv.DictReader(io.StringIO(IMAGENET_A)))
    assert list(rows["value"]) == [row[metric] for row in printed for metric in ("top1", "top5")]
    assert list(rows["metric"]) == ["top1", "top5"] * 3
    # upstream has evaluated anew since this excerpt; everything but the value is what we ship
    shipped = read_text(DATA / "published" / "timm-eval.accuracy.csv")
    ours = shipped[shipped["source_file"] == "results/results-imagenet-a.csv"].drop(columns="value")
    keys = ["model", "metric", "img_size"]
    found = rows[keys].merge(ours, on=keys, how="left")
    setup = [c for c in COLUMNS["accuracy"] if c != "value"]
    pd.testing.assert_frame_equal(rows[setup], found[setup], check_dtype=False)


def test_every_shipped_row_states_the_setup_of_its_file_name(speed: pd.DataFrame) -> None:
    for source_file, rows in speed.groupby("source_file"):
        setup = Setup.of(str(source_file).removeprefix(FOLDER))
        assert setup is not None
        for column in ("task", "runtime", "precision", "layout", "software", "device_id"):
            assert set(rows[column]) == {getattr(setup, column)}
        assert all(note.startswith(setup.note) for note in rows["note"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rtx3090", "rtx-3090"), ("4090", "rtx-4090"), ("pro6000maxq", "rtx-pro-6000-max-q"),
     ("i9_10940x", "i9-10940x"), ("h100_sxm", "h100-sxm"), ("6090", "rtx-6090")],
)  # fmt: skip
def test_device_ids_follow_the_names_in_use(name: str, expected: str) -> None:
    assert device_id(name) == expected


def test_torch_and_cuda_versions_are_read_from_the_digits() -> None:
    setup = Setup.of("benchmark-infer-amp-nchw-pt2101-cu130-h100.csv")
    assert setup is not None
    assert (setup.software, setup.runtime, setup.device_kind) == (
        "torch 2.10.1, CUDA 13.0", "pytorch-eager", "gpu"
    )  # fmt: skip


def test_other_files_are_none_of_ours() -> None:
    assert [kind_of(name) for name in ("README.md", "results-all.csv", "model_metadata-in1k.csv")] == [None] * 3


def test_merged_network_is_noted_by_rule_when_no_row_is_known() -> None:
    catalogue = pd.DataFrame({"architecture": ["repvgg_a0"], "params_m": [9.11], "num_classes": [1000]})
    blank = Names.learn(catalogue, pd.DataFrame(columns=["model", "architecture", "tag", "note"]))
    merged = ("repvgg_a0", "", "params_m=8.31 (re-parameterised for inference)")
    assert blank.meaning("repvgg_a0", "8.31") == merged
    assert blank.meaning("repvgg_a0.rvgg_in1k", "9.11") == ("repvgg_a0", "rvgg_in1k", "")
    assert blank.meaning("repvgg_a0", "30.1") == ("", "", "params_m=30.1")
    assert blank.meaning("somenet.in1k", "1") == ("", "", "")


GOOD = BENCHMARKS[I7]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "empty"),
        ("<!DOCTYPE html><html></html>\n", 1, "web page"),
        (GOOD.replace("infer_step_time", "infer_time"), 1, "lacks the column 'infer_step_time'"),
        (GOOD.splitlines(keepends=True)[0], 1, "no rows"),
        (GOOD.replace("237.37,", ""), 3, "7 cells instead of 8"),
        (GOOD.replace("237.37", "fast"), 3, "throughput_per_s 'fast' is not a number"),
        (GOOD.replace("237.37", "-1"), 3, "out of range"),
        (GOOD.replace("10.61", "n/a"), 6, "param_count 'n/a' is not a number"),
        (GOOD[:-8], 6, "7 cells instead of 8"),
        (GOOD[:-2], 6, "cut off"),
        (GOOD.replace("resnest14d", '"resnest14d'), 6, "not CSV"),
    ],
)
def test_broken_table_is_refused_with_line_and_reason(text: str, line: int, reason: str, names: Names) -> None:
    with pytest.raises(RefreshFailed) as failure:
        convert(I7, text, names)
    assert f"{I7} line {line}: " in str(failure.value)
    assert reason in str(failure.value)


def test_accuracy_above_100_is_refused_with_the_line_of_upstream(names: Names) -> None:
    with pytest.raises(RefreshFailed, match=r"results-imagenet-a.csv line 3: value 168.093 is out of range"):
        convert("results-imagenet-a.csv", IMAGENET_A.replace("68.093", "168.093"), names)
