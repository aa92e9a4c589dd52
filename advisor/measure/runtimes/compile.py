"""PyTorch's compiler (TorchInductor, its default mode) for one batch and image size."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from advisor.measure.request import Request
from advisor.measure.runtimes import compile_cache, compile_nodes, eager
from advisor.measure.runtimes.interface import CannotRun, Node, Prepared
from advisor.measure.runtimes.watched_passes import waiting

_COMPILERS = ("g++", "c++", "clang++", "cl")
_REASON = 200  # characters of the compiler's own complaint that a sentence repeats
_PASSES = 2  # the first compiles, the second finds out that nothing changed


def missing() -> str | None:
    """Why nothing can be compiled for a CPU here, in one sentence; None when it can."""
    asked = os.environ.get("CXX")
    if any(shutil.which(name) for name in ([asked] if asked else _COMPILERS)):
        return None
    what = f"the compiler that CXX names, '{asked[:80]}', is not found" if asked else "there is no C++ compiler"
    return f"torch.compile cannot build its kernels because {what}: install g++ or clang++."


def prepare(
    model: nn.Module, example: Tensor, request: Request, *, threads: int, say: Callable[[str], None]
) -> Prepared:
    """Compile by running the network: the first pass compiles, the second finds out that nothing changed.

    What was compiled before in this process is forgotten: a module compiled for more than eight shapes would run
    in eager mode from the ninth on, without a word (`torch._dynamo.config.recompile_limit`).

    Raises:
        CannotRun: There is no compiler, or the network cannot be compiled.
    """
    reason = missing() if request.target == "cpu" else _triton_missing()
    if reason is not None:
        raise CannotRun(reason)
    example = eager.place(model, example, request)
    # exactly these shapes: a second batch size would else be compiled for any, which is slower
    torch._dynamo.reset()
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled = torch.compile(model, dynamic=False)
    found = eager.prepared(compiled, model, example, request)
    say("compiling")
    steps = tuple[Node, ...]()
    watch = "operators" in request.extras and request.target == "cpu"  # a GPU's kernels end after their calls do
    try:
        with eager.kernels_in_words(request), compile_nodes.told() if watch else contextlib.nullcontext():
            cold_start_ms = _cold_start_ms(found)
            if watch:
                steps = compile_nodes.nodes(found.run, waiting(request))
    # TorchDynamo's errors have no base of their own in the public interface
    except (torch._dynamo.exc.TorchDynamoException, torch._dynamo.exc.FailOnRecompileLimitHit) as exc:
        said = " ".join(str(exc).split())[:_REASON]
        raise CannotRun(f"torch.compile cannot compile {request.architecture}: {said.rstrip('.')}.") from exc
    return replace(
        found,
        cold_start_ms=cold_start_ms,
        nodes=steps,
        watching_ms=compile_nodes.WATCHING_MS,
        notes=(*found.notes, f"The cold start of {cold_start_ms / 1000:.1f} s includes compiling."),
    )


def _cold_start_ms(network: Prepared) -> float:
    """Run it until it is compiled; what the first pass took."""
    mended, took_ms = 0, list[float]()
    while len(took_ms) < _PASSES:
        network.synchronise()
        began = time.perf_counter()
        try:
            network.run()
        except torch._dynamo.exc.TorchDynamoException as exc:
            if mended == compile_cache.MOST or not compile_cache.forget_half_written(str(exc)):
                raise
            mended += 1
            continue
        network.synchronise()
        took_ms.append(1000 * (time.perf_counter() - began))
    return took_ms[0]


def _triton_missing() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "torch.compile needs Triton to build kernels for a GPU: install the PyTorch build for CUDA."
    return None
