"""ONNX Runtime and OpenVINO compute what PyTorch computes, say in which precision, and fail in one sentence."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from advisor.measure.request import Request
from advisor.measure.run import MOVES, REST, RESTS
from advisor.measure.runtimes import onnx_export
from advisor.measure.runtimes.interface import CannotRun, Prepared, load
from advisor.measure.workers import node_times, operators
from advisor.measure.workers.build import build, images

pytestmark = pytest.mark.timm

RUNTIMES = ("onnxruntime", "openvino")
# Largest relative difference from fp32 that rounding to 8 (bf16) or 11 (fp16) significant bits gives in a few layers,
# and the least: an output closer than that was not computed in this precision.
ERRORS = {"fp32": (0.0, 1e-5), "fp16": (1e-5, 5e-3), "bf16": (2e-4, 5e-2)}


class Small(nn.Module):
    """Three convolutions, two of them with equal biases, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3)
        for layer in (self.first, self.second):
            nn.init.zeros_(layer.bias)
        self.head = nn.Linear(32, 10)

    def features(self, x: Any) -> Any:
        return self.second(self.first(self.stem(x).relu()).relu()).relu()

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x).mean((2, 3)))


class OddPooling(Small):
    """Pools 26 px to 3 x 3, for which ONNX has no operator."""

    def forward(self, x: Any) -> Any:
        return self.head(nn.functional.adaptive_avg_pool2d(self.features(x), 3).amax((2, 3)))


class Broken(Small):
    """Raises what it was given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Any) -> Any:
        raise self.error


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def example() -> Any:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def prepare(model: nn.Module, example: Any, runtime: str, *, threads: int = 1, **asked: Any) -> Prepared:
    request = Request(architecture="small", runtime=runtime, **asked)
    return load(runtime).prepare(model, example, request, threads=threads, say=lambda _: None)


def difference(prepared: Prepared, model: nn.Module, example: Any) -> float:
    """Largest difference from eager fp32, over the largest value."""
    with torch.inference_mode():
        expected = model(example).numpy()
    found = prepared.output()
    assert found.dtype == np.float32 and found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_output_is_that_of_pytorch(runtime: str, small: nn.Module, example: Any) -> None:
    prepared = prepare(small, example, runtime)
    prepared.run()
    prepared.synchronise()
    assert prepared.precision_used == "fp32"
    assert prepared.threads_used == prepared.environment["threads"]
    assert difference(prepared, small, example) < 1e-5
    assert prepared.notes == ()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_network_of_timm_is_converted_right(runtime: str) -> None:
    built = build("mobilenetv3_small_050", 64)
    example = images(built.facts, 1)
    assert difference(prepare(built.model, example, runtime), built.model, example) < 1e-4


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("architecture", ["mobilenetv3_small_050", "test_vit"])
def test_steps_are_told_and_each_operator_with_macs_is_found_among_them(runtime: str, architecture: str) -> None:
    built = build(architecture, None)
    example = images(built.facts, 1)
    counted = operators.count(built.model, torch.empty(example.shape, device="meta")).operators
    prepared = prepare(built.model, example, runtime, extras=("operators",))
    assert difference(prepared, built.model, example) < 1e-4
    found = node_times.distinct(counted, prepared.nodes)
    wanted = {one for one in counted if one.macs}  # attention too, be it one step or taken apart
    assert {(one.kind, one.inputs, one.outputs) for one in found if one.name not in RESTS} == {
        (one.kind, one.inputs, one.outputs) for one in wanted
    }
    assert {one.name for one in found} & set(RESTS) == {MOVES, REST}, "they fold batch normalisation into weights"
    assert all(one.time_ms >= 0 for one in found)
    assert sum(one.count * one.time_ms for one in found) == pytest.approx(sum(n.time_ms for n in prepared.nodes))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_steps_are_not_told_unless_asked_for(runtime: str, small: nn.Module, example: Any) -> None:
    assert prepare(small, example, runtime).nodes == ()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "auto"])
def test_openvino_tells_the_precision_that_its_rounding_shows(precision: str, small: nn.Module, example: Any) -> None:
    prepared = prepare(small, example, "openvino", precision=precision)
    least, most = ERRORS[prepared.precision_used]
    assert least <= difference(prepared, small, example) <= most
    assert prepared.environment["precisions"] == {prepared.precision_used: 4}
    told = [note for note in prepared.notes if "was asked for" in note]
    assert bool(told) == (precision not in ("auto", prepared.precision_used))
    assert all(precision in note and prepared.precision_used in note for note in told)


def test_fp16_without_kernels_is_refused_and_leaves_the_network_as_it_was(small: nn.Module, example: Any) -> None:
    try:
        prepared = prepare(small, example, "onnxruntime", precision="fp16")
    except CannotRun as refused:
        assert "has no fp16 kernels here for most of this network (4 in fp32)" in str(refused)
    else:  # CPUs of ARM have them
        least, most = ERRORS["fp16"]
        assert least <= difference(prepared, small, example) <= most
    assert {parameter.dtype for parameter in small.parameters()} == {torch.float32}


def test_int8_quantises_every_layer_even_where_biases_are_equal(small: nn.Module, example: Any) -> None:
    prepared = prepare(small, example, "onnxruntime", precision="int8")
    assert prepared.precision_used == "int8"
    assert prepared.environment["precisions"] == {"int8": 4}
    assert any("calibrated on noise" in note for note in prepared.notes)
    assert 1e-4 < difference(prepared, small, example) < 0.2


def test_openvino_uses_no_more_threads_than_there_are_and_says_so(small: nn.Module, example: Any) -> None:
    prepared = prepare(small, example, "openvino", threads=1000)
    really = prepared.environment["threads"]
    assert 1 <= really <= (os.cpu_count() or 1)
    assert f"1000 threads were asked for; OpenVINO uses {really}." in prepared.notes


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_environment_holds_what_was_read_back(runtime: str, small: nn.Module, example: Any) -> None:
    environment = prepare(small, example, runtime).environment
    assert environment["threads"] == 1
    assert environment[runtime].startswith(importlib.metadata.version(runtime))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_memory_layout_is_the_runtimes_own_choice(runtime: str, small: nn.Module, example: Any) -> None:
    notes = prepare(small, example, runtime, layout="nhwc").notes
    assert len(notes) == 1 and "chooses its own memory layout" in notes[0]


def test_nothing_is_reported_over_the_network(small: nn.Module, example: Any) -> None:
    for runtime in RUNTIMES:
        prepare(small, example, runtime)
    assert sys.modules["openvino_telemetry"] is None
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_missing_package_is_named(runtime: str, small: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(runtime)
    assert module.missing() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == runtime else ModuleType(name))
    reason = module.missing()
    assert reason is not None and reason.endswith(f"is not installed: run 'pip install {runtime}'.")
    with pytest.raises(CannotRun, match="is not installed"):
        prepare(small, torch.zeros(1, 3, 32, 32), runtime)


def test_gpu_without_its_provider_is_refused(small: nn.Module, example: Any) -> None:
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has the CUDA provider")
    with pytest.raises(CannotRun, match="has no CUDA provider, so it cannot run on cuda:0"):
        prepare(small, example, "onnxruntime", target="cuda:0")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_failed_conversion_is_one_short_sentence(runtime: str, example: Any) -> None:
    error = ValueError("no such\tshape " + "x" * 300 + "\n%1 : Float(1, 3) = aten::what()")
    with pytest.raises(CannotRun) as refused:
        prepare(Broken(error).eval(), example, runtime)
    sentence = str(refused.value)
    assert "no such shape xxx" in sentence and "aten" not in sentence and "\n" not in sentence
    assert len(sentence) < 400


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_memory_that_runs_out_while_converting_stays_that(runtime: str, example: Any) -> None:
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    with pytest.raises(MemoryError, match="you tried to allocate 8 bytes"):
        prepare(Broken(error).eval(), example, runtime)


def test_what_onnx_cannot_express_goes_another_way_or_says_what_to_install(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = OddPooling().eval()
    prepared = prepare(model, example, "openvino")
    assert prepared.environment["converted_by"] == "convert_model"
    assert difference(prepared, model, example) < 1e-5
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(CannotRun, match=r"adaptive_avg_pool2d.*pip install onnxscript"):
        prepare(model, example, "onnxruntime")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_network_too_large_for_one_message_leaves_no_file(
    runtime: str, small: nn.Module, example: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(onnx_export, "_MOST_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written: list[str] = []

    def say(_: str) -> None:
        written.extend(path.name for path in tmp_path.rglob("*.onnx"))

    request = Request(architecture="small", runtime=runtime)
    prepared = load(runtime).prepare(small, example, request, threads=1, say=say)
    if runtime == "onnxruntime":  # OpenVINO has read it before it compiles
        assert "model.onnx" in written
    assert list(tmp_path.iterdir()) == []
    assert difference(prepared, small, example) < 1e-5


def test_folders_of_killed_processes_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    nobody = 2**22 + 1  # above the largest process id of Linux
    folders = {
        name: tmp_path / f"advisor-onnx-{name}" for name in (f"{nobody}-old", f"{nobody}-fresh", f"{os.getpid()}-a")
    }
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"weights")
        if not name.endswith("fresh"):
            os.utime(folder, (0, 0))
    with onnx_export.scratch() as own:
        assert sorted(tmp_path.iterdir()) == sorted([own, folders[f"{nobody}-fresh"], folders[f"{os.getpid()}-a"]])
    assert not own.exists()


def test_attention_is_exported_in_parts_and_fused_again_afterwards(small: nn.Module, example: Any) -> None:
    seen: list[bool] = []

    class Attending(Small):
        fused_attn = True

        def forward(self, x: Any) -> Any:
            seen.append(self.fused_attn)
            return super().forward(x)

    model = Attending().eval()
    prepare(model, example, "onnxruntime")
    assert set(seen) == {False}
    assert model.fused_attn
