"""Convolutions that ONNX Runtime cannot compute on blocks of channels: which these are, and what they take."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from advisor.measure.workers import operators
from advisor.measure.workers.build import build
from advisor.predict.blocked import copied, in_blocks, unblocked
from advisor.predict.operator_model import taught
from advisor.predict.profile import OPERATOR_COLUMNS, Profiles
from advisor.predict.signature import signature
from tests.invented_devices import setup_of
from tests.timed_operators import Law, linear_law, probe_of

PX = 14
# channels read and made, groups, kernel; of groups, widths that are whole blocks of 8 and of 16 or of neither, since
# vectors of AVX2 hold 8
CONVOLUTIONS = [
    (160, 160, 5, 3), (160, 160, 8, 3), (168, 168, 14, 3), (120, 120, 6, 1), (160, 160, 5, 1),  # grouped
    (72, 72, 72, 3), (88, 88, 88, 5), (90, 90, 90, 3), (30, 30, 30, 3), (12, 12, 12, 3),  # depthwise
    (30, 30, 1, 3), (60, 60, 1, 3), (62, 64, 1, 3), (64, 62, 1, 3), (6, 32, 1, 3), (90, 180, 1, 1), (92, 184, 1, 1),
]  # fmt: skip


def convolution(reads: int, makes: int, groups: int, kernel: int) -> pd.DataFrame:
    """The operator that a layer of PyTorch is counted as."""
    layer = torch.nn.Conv2d(reads, makes, kernel, padding=kernel // 2, groups=groups, bias=False, device="meta")
    (found,) = operators.count(layer, torch.empty(1, reads, PX, PX, device="meta")).operators
    values = signature(found)
    return pd.DataFrame([[getattr(values, name) for name in OPERATOR_COLUMNS]], columns=list(OPERATOR_COLUMNS))


def computed_in_blocks(reads: int, makes: int, groups: int, kernel: int, folder: Path) -> bool:
    """Whether ONNX Runtime itself does: its nodes for that are of a domain of their own."""
    weights = np.ones((makes, reads // groups, kernel, kernel), np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[kernel] * 2, group=groups, pads=[kernel // 2] * 4)
    image = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, PX, PX])
        for name, channels in (("x", reads), ("y", makes))
    ]
    graph = helper.make_graph([node], "one", image[:1], image[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that such a file is of this machine alone
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (conv,) = [one for one in onnx.load(options.optimized_model_filepath).graph.node if one.op_type == "Conv"]
    return "nchwc" in conv.domain


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="blocks of channels are of x86")
@pytest.mark.parametrize("shape", CONVOLUTIONS)
def test_what_cannot_be_computed_on_blocks_is_what_onnx_runtime_does_not(
    shape: tuple[int, int, int, int], tmp_path: Path
) -> None:
    assert unblocked(convolution(*shape)).tolist() == [not computed_in_blocks(*shape, tmp_path)]


@pytest.mark.parametrize(
    ("shape", "expected"), [((30, 30, 1, 3), True), ((90, 180, 1, 1), False), ((60, 60, 1, 3), False)]
)
def test_patches_are_those_that_unfolding_copies(shape: tuple[int, int, int, int], expected: bool) -> None:
    reads, _, _, kernel = shape
    patches = torch.nn.functional.unfold(torch.empty(1, reads, PX, PX), kernel, padding=kernel // 2)
    assert copied(convolution(*shape)).tolist() == [patches.numel() if expected else 0.0]


def test_other_operators_and_other_runtimes_have_none() -> None:
    built = build("test_vit", None)
    counted = operators.count(built.model, torch.empty(1, 3, 160, 160, device="meta")).operators
    values = [[getattr(signature(one), name) for name in OPERATOR_COLUMNS] for one in counted]
    assert not copied(pd.DataFrame(values, columns=list(OPERATOR_COLUMNS))).any()
    here = setup_of("here")
    assert in_blocks(replace(here, kind="cpu", runtime="onnxruntime", precision="fp32"))
    for other in ({"runtime": "openvino"}, {"precision": "int8"}, {"kind": "gpu"}):
        assert not in_blocks(replace(here, **({"kind": "cpu", "runtime": "onnxruntime"} | other)))  # type: ignore[arg-type]


def copying(law: Law) -> Law:
    """A runtime that computes all convolutions of several pixels alike, but copies patches first where it must."""

    def found(frame: pd.DataFrame) -> NDArray[np.float64]:
        convolves = frame["kind"].isin(["dense k x k", "grouped convolution", "depthwise"]).to_numpy()
        ms = 0.01 + 5e-9 * frame["macs"].to_numpy(np.float64) + 2e-7 * copied(frame)
        return np.where(convolves, ms, law(frame))

    return found


def test_patches_that_are_copied_are_told_from_what_is_computed(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = copying(linear_law(2))
    probes = tuple(probe_of(profiles, row, law) for row in rows)
    true_ms = law(profiles.operators)
    asked = (copied(profiles.operators) > 0) & (profiles.operators["kind"] != "depthwise").to_numpy()
    assert asked.sum() > 100
    off = []
    for blocks in (True, False):
        found = taught(profiles, probes, tuple(rates), 1, in_blocks=blocks)
        assert found is not None
        off.append(float(np.median(np.abs(np.log(found.each_ms / true_ms)[asked]))))
    assert off[0] < 0.5 * off[1]
