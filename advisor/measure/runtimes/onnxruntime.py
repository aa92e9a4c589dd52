"""ONNX Runtime on the CPU, or on a GPU where its CUDA provider is installed; sequential, all optimisations."""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from advisor.measure.request import Request
from advisor.measure.runtimes.interface import CannotRun, Node, Prepared
from advisor.measure.runtimes.onnx_export import (
    INPUT,
    OUTPUT,
    by_tracing_or_newer,
    first_line,
    in_one_sentence,
    memory_ran_out,
    missing_package,
    onnx_model,
    scratch,
)
from advisor.measure.runtimes.onnxruntime_nodes import WATCHING_MS, nodes
from advisor.measure.runtimes.watched_passes import Wait, waiting

_NAME = "ONNX Runtime"
_OPTIMISED, _WEIGHTS = "optimised.onnx", "optimised.bin"
# where the weights of an operator stand among its inputs; 1 where it is not listed
_WEIGHT_AT = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}
# operators that do nearly all multiply-adds, after ONNX Runtime has fused what it can
_HEAVY = frozenset({
    "Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "ConvInteger", "QLinearConv", "ConvTranspose",
    "Gemm", "FusedGemm", "QGemm", "GemmFastGelu", "MatMul", "FusedMatMul", "MatMulInteger", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "QLinearMatMul", "Attention", "QAttention",
})  # fmt: skip


def missing() -> str | None:
    """Why ONNX Runtime cannot be used here, in one sentence; None when it can."""
    return missing_package(_NAME, ("onnxruntime", "onnx"))


def prepare(
    model: nn.Module, example: torch.Tensor, request: Request, *, threads: int, say: Callable[[str], None]
) -> Prepared:
    """Export the network, let ONNX Runtime optimise it, and bind the example on the device that computes.

    Raises:
        CannotRun: It is not installed, has no provider for the device, or cannot convert or run the network.
    """
    library = _library()
    providers = _providers(library, request.target)
    if request.precision == "fp16":  # a copy: the caller may need the network in fp32 again
        model, example = copy.deepcopy(model).half(), example.half()
    with in_one_sentence(f"{_NAME} cannot run {request.architecture}"), contextlib.ExitStack() as stack:
        # In fp32 there is nothing to read back: kernels follow the type of the tensors, and no option allows less.
        # So the usual case leaves no file behind, even if it is killed.
        folder = None if request.precision == "fp32" else stack.enter_context(scratch())
        say("converting")
        source = stack.enter_context(onnx_model(model, example, by_tracing_or_newer))
        if request.precision == "int8" and folder is not None:
            say("quantising")
            source = _quantised(source, example.numpy(), folder)
        say("compiling")
        steps: tuple[Node, ...] = ()
        if "operators" in request.extras and request.target == "cpu":  # a GPU's steps end after their calls do
            steps = _steps(library, source, providers, threads, example.numpy(), waiting(request))
        session = library.InferenceSession(source, _options(library, threads, folder), providers=providers)
        _check_provider(session, providers, request.target)
        operators = Counter[str]() if folder is None else _precisions(folder / _OPTIMISED)
        _check_precision(request.precision, operators)
        binding = _bound(library, session, example.numpy(), request.target)
    return Prepared(
        run=_run(session, binding),
        synchronise=lambda: None,  # a run ends with the provider's own synchronisation
        output=lambda: _output(session, binding),
        precision_used=request.precision,
        environment=_environment(library, session) | ({"precisions": dict(operators)} if operators else {}),
        notes=_notes(request, operators),
        threads_used=session.get_session_options().intra_op_num_threads or None,
        nodes=steps,
        watching_ms=WATCHING_MS,
    )


def _library() -> Any:
    """ONNX Runtime's package, told to report nothing over the network, which its releases do unless asked not to."""
    if (reason := missing()) is not None:
        raise CannotRun(reason)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is loaded
    with in_one_sentence(f"{_NAME} cannot be loaded; reinstall it"):
        library: Any = importlib.import_module("onnxruntime")
        library.disable_telemetry_events()
        return library


def _providers(library: Any, target: str) -> list[Any]:
    if target == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in library.get_available_providers():
        raise CannotRun(
            f"The installed {_NAME} has no CUDA provider, so it cannot run on {target}: "
            "run 'pip install onnxruntime-gpu' in place of onnxruntime, or measure on cpu."
        )
    # TF32 has 10 bits of mantissa: fp32 means fp32. Kernels are chosen by timing all, as cuDNN's benchmark mode.
    cuda = {"device_id": target.partition(":")[2] or "0", "use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}
    return [("CUDAExecutionProvider", cuda), "CPUExecutionProvider"]


def _check_provider(session: Any, providers: list[Any], target: str) -> None:
    """ONNX Runtime goes on without a word on the CPU where CUDA's libraries cannot be loaded."""
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:
        raise CannotRun(
            f"{_NAME} could not start {wanted} on {target}: the CUDA and cuDNN libraries that it was built for are "
            "not found; install onnxruntime-gpu with its CUDA packages, or measure on cpu."
        )


def _options(library: Any, threads: int, folder: Path | None) -> Any:
    """Threads, order and optimisation; with a folder the optimised network is written there, its weights apart."""
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors: a network optimised for this CPU is what we want, no need to warn of it
    if folder is not None:
        options.optimized_model_filepath = str(folder / _OPTIMISED)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
    return options


def _bound(library: Any, session: Any, image: np.ndarray, target: str) -> Any:
    """The example as the session's input and an output that it allocates, both on the device that computes."""
    device, _, number = target.partition(":")
    binding = session.io_binding()
    # memory of its own: a value made from an array would share the array's, and must not outlive it
    value = library.OrtValue.ortvalue_from_shape_and_type(image.shape, image.dtype, device, int(number or 0))
    value.update_inplace(np.ascontiguousarray(image))
    binding.bind_ortvalue_input(INPUT, value)
    binding.bind_output(OUTPUT, device, int(number or 0))
    return binding


def _steps(
    library: Any, source: bytes | str, providers: list[Any], threads: int, image: np.ndarray, wait: Wait
) -> tuple[Node, ...]:  # fmt: skip
    """What each step takes, in a session of its own: one that writes a profile is slower."""
    with scratch() as folder:
        options = _options(library, threads, None)
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = library.InferenceSession(source, options, providers=providers)
        return nodes(session, _run(session, _bound(library, session, image, "cpu")), wait)


def _run(session: Any, binding: Any) -> Callable[[], None]:
    def run() -> None:
        try:
            session.run_with_iobinding(binding)
        except Exception as exc:  # its exceptions have no base but Exception
            raise (MemoryError if memory_ran_out(exc) else RuntimeError)(first_line(exc)) from exc

    return run


def _output(session: Any, binding: Any) -> np.ndarray:
    _run(session, binding)()
    return np.asarray(binding.copy_outputs_to_cpu()[0], dtype=np.float32)


def _quantised(source: bytes | str, image: np.ndarray, folder: Path) -> str:
    # the module imports onnx and onnxruntime, which must be known to be there
    onnx_int8 = importlib.import_module("advisor.measure.runtimes.onnx_int8")
    return str(onnx_int8.quantise(source, image, folder))


def _precisions(path: Path) -> Counter[str]:
    """How many of the heavy operators have weights of which precision in the network that ONNX Runtime runs.

    It inserts casts where a provider has no kernel for a type (fp16 on most CPUs) and leaves operators in float
    that it cannot fuse with their (de)quantisation.
    """
    onnx: Any = importlib.import_module("onnx")
    kinds = onnx.TensorProto
    names = {
        kinds.FLOAT: "fp32",
        kinds.FLOAT16: "fp16",
        kinds.BFLOAT16: "bf16",
        kinds.INT8: "int8",
        kinds.UINT8: "int8",
    }
    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name: names.get(tensor.data_type, "fp32") for tensor in graph.initializer}
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    counted: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type not in _HEAVY:
            continue
        weight = node.input[_WEIGHT_AT.get(node.op_type, 1)]
        if weight in weights:
            counted[weights[weight]] += 1
        elif made_by.get(weight) == "DequantizeLinear":
            counted["fp32"] += 1
    return counted


def _environment(library: Any, session: Any) -> dict[str, Any]:
    """Versions, and the session's options as they are."""
    options = session.get_session_options()
    return {
        "onnxruntime": library.__version__,
        "build": library.get_build_info(),
        "providers": session.get_providers(),
        "provider_options": session.get_provider_options(),
        "threads": options.intra_op_num_threads,
        "inter_op_threads": options.inter_op_num_threads,
        "execution_mode": options.execution_mode.name,
        "graph_optimisation": options.graph_optimization_level.name,
        "spinning": "default (on)",
        "memory_arena": options.enable_cpu_mem_arena,
        "binding": "input and output bound on the device once, nothing copied by a pass",
    }


def _check_precision(asked: str, operators: Counter[str]) -> None:
    """A network that computes mostly in another precision is slower than one asked for in that, and less exact.

    Raises:
        CannotRun: With how many operators compute in what.
    """
    if operators and operators.most_common(1)[0][0] != asked:
        raise CannotRun(
            f"{_NAME} has no {asked} kernels here for most of this network ({_counts(operators)}), so it would cast "
            "to and fro and be slower: ask for fp32."
        )


def _counts(operators: Counter[str]) -> str:
    return ", ".join(f"{n} in {precision}" for precision, n in sorted(operators.items()))


def _notes(request: Request, operators: Counter[str]) -> tuple[str, ...]:
    notes = []
    if len(operators) > 1:
        notes.append(f"Its convolutions and matrix products are mixed: {_counts(operators)}.")
    if request.precision == "int8":
        notes += importlib.import_module("advisor.measure.runtimes.onnx_int8").NOTES
    if request.precision == "fp32" and request.target != "cpu":
        notes.append(f"{_NAME} was told not to use TF32, which PyTorch's convolutions use unless told otherwise.")
    if request.layout == "nhwc":
        notes.append(f"{_NAME} chooses its own memory layout: nhwc was asked for and changes nothing.")
    return tuple(notes)
