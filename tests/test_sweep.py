"""Sweeps: the same plan gives the same order, resuming leaves out what is done, bad plans are refused in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import BadQuestion
from advisor.measure.request import Request
from advisor.measure.stretches import Stretch
from advisor.measure.sweep import (
    Drift,
    Estimate,
    default_s,
    estimate,
    left,
    plan,
    plan_of,
    read_plan,
    sweep_id,
)
from tests.run_data import run

REQUESTS = [Request(architecture=f"net_{number}") for number in range(20)]
VERSIONS = {"torch": "2.15.0", "openvino": None}


def test_the_order_is_random_but_decided_by_the_seed_alone() -> None:
    first = plan(REQUESTS, seed=1)
    assert set(first.requests) == set(REQUESTS)
    assert first.requests == plan(list(reversed(REQUESTS)) + REQUESTS[:5], seed=1).requests
    assert first.requests != plan(REQUESTS, seed=2).requests
    assert list(first.requests) != sorted(first.requests, key=lambda request: request.key)


def test_the_sentinel_is_small_and_runs_where_most_of_the_sweep_does() -> None:
    mixed = [Request(architecture="a"), Request(architecture="b", target="cuda:0"),
             Request(architecture="c", target="cuda:0")]  # fmt: skip
    sentinel = plan(mixed).sentinel
    assert (sentinel.architecture, sentinel.target, sentinel.runtime) == (
        "mobilenetv3_small_100", "cuda:0", "pytorch-eager",
    )  # fmt: skip


def test_an_empty_plan_is_refused() -> None:
    with pytest.raises(BadQuestion, match="names no model"):
        plan([])


@given(st.sets(st.integers(0, 19)))
def test_resuming_measures_what_is_not_done_in_the_same_order(done: set[int]) -> None:
    whole = plan(REQUESTS, seed=3)
    keys = {REQUESTS[number].key for number in done}
    rest = left(whole, keys)
    assert [request for request in whole.requests if request in rest] == list(rest)
    assert {request.key for request in rest} == {request.key for request in REQUESTS} - keys


def test_a_sweep_is_the_same_for_the_same_plan_device_and_versions_only() -> None:
    name = sweep_id(plan(REQUESTS, seed=1), device_ids=["cpu-1"], versions=VERSIONS)
    assert name == sweep_id(plan(REQUESTS[::-1], seed=2), device_ids={"cpu-1"}, versions=dict(VERSIONS))
    others = [
        sweep_id(plan(REQUESTS[1:]), device_ids=["cpu-1"], versions=VERSIONS),
        sweep_id(plan(REQUESTS), device_ids=["cpu-2"], versions=VERSIONS),
        sweep_id(plan(REQUESTS), device_ids=["cpu-1"], versions=VERSIONS | {"torch": "2.16.0"}),
        sweep_id(plan(REQUESTS, sentinel=REQUESTS[0]), device_ids=["cpu-1"], versions=VERSIONS),
    ]
    assert len({name, *others}) == 5


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "drift", "marked"),
    [(10.0, 10.4, 0.04, False), (10.0, 10.6, 0.06, True), (10.0, 9.4, 0.06, True), (None, 9.0, None, False),
     (10.0, None, None, False)],
)  # fmt: skip
def test_drift_is_the_sentinels_change_in_either_direction(
    before_ms: float | None, after_ms: float | None, drift: float | None, marked: bool
) -> None:
    found = Drift("sweep", "job", "mobilenetv3_small_100", before_ms, after_ms)
    assert found.drift == (None if drift is None else pytest.approx(drift))
    assert found.marked is marked


def test_a_sentinel_tells_by_what_it_met_of_the_machines_full_pace() -> None:
    whole = run("r", 15.0).measured
    assert whole is not None and whole.latency.fullest_ms == 15.0  # an older run, without pulses
    assert replace(whole.latency, stretch=Stretch(10.0, 1.0, 1.0)).fullest_ms == 10.0


def test_an_estimate_goes_by_the_same_request_then_by_those_alike_then_by_a_default() -> None:
    known, alike = Request(architecture="a"), Request(architecture="b")
    other = Request(architecture="a", runtime="openvino", extras=("throughput",))
    earlier = [(known, 9.0), (known, 4.0), (Request(architecture="c"), 6.0), (Request(architecture="d"), 20.0)]
    assert estimate([known], earlier) == Estimate(4.0, 1)
    assert estimate([alike], earlier) == Estimate((6.0 + 9.0) / 2, 1)  # the median of 4, 6, 9 and 20
    assert estimate([other], earlier) == Estimate(default_s(other), 0) == Estimate(12.0 + 15.0, 0)
    assert estimate([known, alike, other], earlier).seconds == 4.0 + 7.5 + 27.0
    assert estimate([], earlier) == Estimate(0.0, 0)


def test_no_request_is_estimated_above_its_time_limit() -> None:
    short = Request(architecture="a", time_limit_s=5.0)
    assert estimate([short], []).seconds == 5.0
    assert estimate([short], [(short, 60.0)]).seconds == 5.0


TOML = """
seed = 7
sentinel = "resnet18"
[defaults]
runtime = ["pytorch-eager", "openvino"]
time_limit_s = 20
[[models]]
architecture = "resnet50"
img_size = [160, 224]
[[models]]
architecture = "regnety_032"
runtime = "onnxruntime"
extras = ["throughput"]
"""


def test_a_plan_file_gives_one_request_for_each_combination(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(TOML)
    read = read_plan(file)
    assert {(r.architecture, r.runtime, r.img_size, r.extras, r.time_limit_s) for r in read.requests} == {
        ("resnet50", "pytorch-eager", 160, (), 20.0), ("resnet50", "pytorch-eager", 224, (), 20.0),
        ("resnet50", "openvino", 160, (), 20.0), ("resnet50", "openvino", 224, (), 20.0),
        ("regnety_032", "onnxruntime", None, ("throughput",), 20.0),
    }  # fmt: skip
    assert read.sentinel.architecture == "resnet18"


def test_json_plans_read_the_same(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"models": ["resnet50", {"architecture": "resnet18", "features_hw": [64, 96]}]}))
    assert {(r.architecture, r.features_hw) for r in read_plan(file).requests} == {
        ("resnet50", None), ("resnet18", (64, 96)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "A plan is a table"),
        ({"modles": []}, "unknown key 'modles'; known: seed, sentinel, defaults, models"),
        ({"models": []}, "names no model"),
        ({"models": "resnet50"}, "'models' of the plan must be a list"),
        ({"models": ["resnet50"], "seed": "x"}, "'seed' of the plan must be a whole number, not 'x'"),
        ({"models": ["resnet50"], "seed": True}, "must be a whole number, not 'True'"),
        ({"models": ["resnet50"], "defaults": 3}, "'defaults' of the plan must be a table"),
        ({"models": ["resnet50", 7]}, "Model 2 of the plan must be a name or a table, not '7'"),
        ({"models": [{"arch": "resnet50"}]}, "Model 1 of the plan has an unknown key 'arch'; known: architecture"),
        ({"models": [{"runtime": "openvino"}]}, "Model 1 of the plan has no 'architecture'"),
        ({"models": ["../weights.pt"]}, "Model 1 of the plan: '../weights.pt' is not a name that timm lists"),
        ({"models": [{"architecture": "a", "batch_size": "two"}]}, "Model 1 of the plan: Expected 'int', got 'str'"),
        ({"models": [{"architecture": "a", "runtime": ["openvino", "tvm"]}]}, "must be one of .*, not 'tvm'"),
        ({"models": ["a"], "sentinel": 3}, "The sentinel of the plan must be a name or a table"),
        ({"models": ["a"], "sentinel": "a/b"}, "The sentinel of the plan: 'a/b'"),
        ({"models": ["a"], "sentinel": {"architecture": "a", "img_size": []}}, "The sentinel of the plan asks for 0"),
        ({"models": ["a"], "sentinel": {"architecture": "a", "threads": [1, 2]}}, "must be one request, not 2"),
        ({"models": [{"architecture": "a", "threads": [1] * 900, "img_size": [8] * 900}]}, "asks for 810000 requests"),
    ],
)
def test_a_bad_plan_is_refused_in_one_sentence(content: Any, words: str) -> None:
    with pytest.raises(BadQuestion, match=words) as caught:
        plan_of(content)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plan.toml", b"models = [", "is no TOML"),
        ("plan.json", b'{"models": ["a"', "is no JSON"),
        ("plan.toml", b"\xff\xfe", "is no TOML"),
        ("plan.json", b"[" * 100_000, "is no JSON"),
        ("missing.toml", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_in_one_sentence(
    tmp_path: Path, name: str, text: bytes | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text)
    with pytest.raises(BadQuestion, match=words):
        read_plan(tmp_path / name)
