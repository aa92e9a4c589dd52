"""OpenVINO on the CPU, set for latency: one stream, one synchronous request, the precision read back."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from advisor.measure.request import Request
from advisor.measure.runtimes.interface import CannotRun, Node, Prepared
from advisor.measure.runtimes.onnx_export import (
    by_tracing,
    in_one_sentence,
    memory_ran_out,
    missing_package,
    onnx_model,
)
from advisor.measure.runtimes.openvino_nodes import WATCHING_MS, nodes, text
from advisor.measure.runtimes.watched_passes import waiting

_NAME = "OpenVINO"
# our precision -> OpenVINO's hint; "auto" gives none, and then a CPU with native bfloat16 takes that
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_OURS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8", "f64": "fp64"}
# Layers of the compiled graph that do nearly all multiply-adds. Elementwise ones may stay in another precision.
_HEAVY = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul", "ScaledDotProductAttention"})
# what is read back from the compiled network: OpenVINO's name -> ours
_PROPERTIES = {
    "PERFORMANCE_HINT": "performance_hint",
    "EXECUTION_MODE_HINT": "execution_mode",
    "INFERENCE_PRECISION_HINT": "precision_hint",
    "NUM_STREAMS": "streams",
    "INFERENCE_NUM_THREADS": "threads",
    "ENABLE_CPU_PINNING": "cpu_pinning",
    "ENABLE_HYPER_THREADING": "hyper_threading",
    "SCHEDULING_CORE_TYPE": "core_type",
    "CPU_DENORMALS_OPTIMIZATION": "denormals_as_zero",
    "TBB_PARTITIONER": "tbb_partitioner",
    "RUNTIME_REQUIREMENTS": "requirements",
}


def missing() -> str | None:
    """Why OpenVINO cannot be used here, in one sentence; None when it can."""
    return missing_package(_NAME, ("openvino", "onnx"))


def prepare(
    model: nn.Module, example: torch.Tensor, request: Request, *, threads: int, say: Callable[[str], None]
) -> Prepared:
    """Compile the network for this CPU and bind the example to its input, so that a pass copies nothing in.

    Raises:
        CannotRun: It is not installed, or cannot convert or compile the network.
    """
    library = _library()
    core = library.Core()
    say("converting")
    with in_one_sentence(f"{_NAME} cannot convert {request.architecture}"):
        network, reader = _network(library, core, model, example)
        say("compiling")
        config = _config(request.precision, threads)
        steps: tuple[Node, ...] = ()
        if "operators" in request.extras:
            steps = nodes(library, core, network, example, config, waiting(request))
        compiled = core.compile_model(network, "CPU", config)
        infer_request = compiled.create_infer_request()
    infer_request.set_input_tensor(library.Tensor(example.numpy()))  # copied, so that nothing else must live on

    def output() -> np.ndarray:
        infer_request.infer()
        return np.array(infer_request.get_output_tensor(0).data, dtype=np.float32)

    layers = _precisions(compiled)
    used = layers.most_common(1)[0][0] if layers else _OURS.get(_hint(compiled), _hint(compiled))
    environment = _environment(library, core, compiled) | {"converted_by": reader, "precisions": dict(layers)}
    return Prepared(
        run=infer_request.infer,
        synchronise=lambda: None,  # infer() returns when the output is there
        output=output,
        precision_used=used,
        environment=environment,
        notes=_notes(request, threads, used, layers, environment),
        threads_used=_count(environment.get("threads")),
        nodes=steps,
        watching_ms=WATCHING_MS,
    )


def _library() -> Any:
    """OpenVINO's package, imported without the one that reports each import and conversion over the network."""
    if (reason := missing()) is not None:
        raise CannotRun(reason)
    # It is optional to OpenVINO, which has a stand-in for it that does nothing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with in_one_sentence(f"{_NAME} cannot be loaded; reinstall it"):
        return importlib.import_module("openvino")


def _network(library: Any, core: Any, model: nn.Module, example: torch.Tensor) -> tuple[Any, str]:
    """The network in OpenVINO's form, and who read it.

    Through ONNX, because exporting and reading take 0.4 to 3 s where `convert_model` takes 2.3 to 10 s, for ResNet,
    ResNeSt, EfficientNet, MobileNet, RegNet, ViT, Swin and ConvNeXt alike, with the same output to 1e-6 and the same
    latency within the noise. The few networks that cannot be traced to ONNX (HaloNet, VOLO, CSATv2) go the longer
    way; what PyTorch's newer exporter makes of CSATv2 is read, but computed wrongly by 20 %.
    """
    try:
        with onnx_model(model, example, by_tracing) as source:
            return core.read_model(source), "ONNX"
    except CannotRun as not_exported:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing, as for ONNX
            try:
                return library.convert_model(model, example_input=example, input=[list(example.shape)]), "convert_model"
            except Exception as exc:  # as in in_one_sentence
                if memory_ran_out(exc):
                    raise
                raise not_exported from exc  # the reason of the usual way says more


def _config(precision: str, threads: int) -> dict[str, Any]:
    """What `benchmark_app -hint latency -nstreams 1 -nthreads N` sets, and the precision that is asked for."""
    config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": threads}
    if precision in _HINTS:
        config["INFERENCE_PRECISION_HINT"] = _HINTS[precision]
    return config


def _precisions(compiled: Any) -> Counter[str]:
    """How many of the heavy layers run in which precision, from the graph that is executed."""
    counted: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ops():
        told = node.get_rt_info()
        if text(told["layerType"]) in _HEAVY:
            precision = text(told["runtimePrecision"]).lower()
            counted[_OURS.get(precision, precision)] += 1
    return counted


def _hint(compiled: Any) -> str:
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())


def _environment(library: Any, core: Any, compiled: Any) -> dict[str, Any]:
    """Version, and the properties as they are, not as they were asked for."""
    known = set(compiled.get_property("SUPPORTED_PROPERTIES"))
    told = {ours: _plain(compiled.get_property(name)) for name, ours in _PROPERTIES.items() if name in known}
    return told | {
        "precision_hint": _hint(compiled),
        "openvino": library.get_version(),
        "device": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
        "capabilities": sorted(map(str, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))),
        "binding": "input bound once, output copied by infer()",
    }


def _count(value: Any) -> int | None:
    """A number of threads; 0 is OpenVINO's word for a number that it has not told."""
    return value if isinstance(value, int) and value > 0 else None


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _notes(
    request: Request, threads: int, used: str, layers: Counter[str], environment: dict[str, Any]
) -> tuple[str, ...]:
    notes = []
    if request.precision not in ("auto", used):
        notes.append(f"{request.precision} was asked for; {_NAME} computes in {used} on this CPU.")
    if len(layers) > 1:
        parts = ", ".join(f"{n} in {precision}" for precision, n in sorted(layers.items()))
        notes.append(f"Its convolutions and matrix products are mixed: {parts}.")
    if (really := environment.get("threads")) not in (None, threads):
        notes.append(f"{threads} threads were asked for; {_NAME} uses {really}.")
    if request.layout == "nhwc":
        notes.append(f"{_NAME} chooses its own memory layout: nhwc was asked for and changes nothing.")
    return tuple(notes)
