"""PyTorch's compiler (TorchInductor, its default mode) for one batch and image size."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

from advisor.measure.request import Request
from advisor.measure.runtimes import eager
from advisor.measure.runtimes.interface import CannotRun, Prepared

_COMPILERS = ("g++", "c++", "clang++", "cl")
_REASON = 200  # characters of the compiler's own complaint that a sentence repeats


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

    Raises:
        CannotRun: There is no compiler, or the network cannot be compiled.
    """
    reason = missing() if request.target == "cpu" else _triton_missing()
    if reason is not None:
        raise CannotRun(reason)
    example = eager.place(model, example, request)
    # exactly these shapes: a second batch size would else be compiled for any, which is slower
    compiled = torch.compile(model, dynamic=False)
    found = eager.prepared(compiled, model, example, request)
    say("compiling")
    try:
        with eager.kernels_in_words(request):
            for _ in range(2):
                found.run()
                found.synchronise()
    # TorchDynamo's errors have no base of their own in the public interface
    except torch._dynamo.exc.TorchDynamoException as exc:
        said = " ".join(str(exc).split())[:_REASON]
        raise CannotRun(f"torch.compile cannot compile {request.architecture}: {said.rstrip('.')}.") from exc
    return found


def _triton_missing() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "torch.compile needs Triton to build kernels for a GPU: install the PyTorch build for CUDA."
    return None
