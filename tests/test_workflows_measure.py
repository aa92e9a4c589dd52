"""How a wish is spread over networks and runtimes, and what a finished job says."""

from __future__ import annotations

import pytest

from advisor import workflows_measure
from advisor.errors import BadQuestion
from advisor.measure.request import Request, default_time_limit_s
from advisor.workflows_measure import Wanted, requests

OFFERED = [("pytorch-eager", "fp32"), ("pytorch-eager", "bf16"), ("onnxruntime", "fp32"), ("openvino", "auto")]


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows_measure.machine, "offers", lambda _target: OFFERED)


def spread(found: list[Request]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.runtime, one.precision, one.extras) for one in found]


def test_every_runtime_is_asked_and_what_only_pytorch_can_do_is_measured_once() -> None:
    found = requests(["resnet50"], Wanted(extras=("train", "end-to-end")))
    assert spread(found) == [
        ("pytorch-eager", "fp32", ("train", "end-to-end")),
        ("pytorch-eager", "bf16", ("end-to-end",)),
        ("onnxruntime", "fp32", ("end-to-end",)),
        ("openvino", "auto", ("end-to-end",)),
    ]


def test_a_precision_keeps_the_runtimes_that_take_it() -> None:
    found = requests(["resnet50"], Wanted(precision="int8"))
    assert spread(found) == [("onnxruntime", "int8", ())]


def test_an_extra_that_no_setup_can_do_is_refused_rather_than_dropped() -> None:
    with pytest.raises(BadQuestion, match="'train' is measured with PyTorch only"):
        requests(["resnet50"], Wanted(precision="int8", extras=("train",)))


def test_a_wrong_layout_is_refused_even_where_no_runtime_would_look_at_it() -> None:
    with pytest.raises(BadQuestion, match="--layout must be one of"):
        requests(["resnet50"], Wanted(precision="int8", layout="foo"))


def test_weights_and_sizes_name_networks_and_each_request_stands_once() -> None:
    found = requests(["resnet50.a1_in1k", "resnet50", ("resnet50", 160)], Wanted(runtime="onnxruntime", img_size=224))
    assert [(one.architecture, one.img_size) for one in found] == [("resnet50", 224), ("resnet50", 160)]


def test_what_takes_longer_gets_more_time_unless_the_user_says_how_much() -> None:
    (one,) = requests(["resnet50"], Wanted(runtime="pytorch-compile", extras=("max-batch",)))
    assert one.time_limit_s == default_time_limit_s("pytorch-compile", ("max-batch",)) > 240
    (one,) = requests(["resnet50"], Wanted(runtime="pytorch-compile", time_limit_s=20))
    assert one.time_limit_s == 20
    with pytest.raises(BadQuestion, match="--time-limit must be"):
        requests(["resnet50"], Wanted(runtime="pytorch-compile", time_limit_s=0))
