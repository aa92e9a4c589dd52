"""What every runtime offers to the measuring process; one module of this folder implements it for one runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import nn

from advisor.measure.request import Request

_MODULES = {
    "pytorch-eager": "eager",
    "pytorch-compile": "compile",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
# What a runtime imports, if it takes long and starts no thread: TorchInductor most of a second.
IMPORTED_ONCE = {"pytorch-compile": "torch._inductor.compile_fx"}


class CannotRun(Exception):
    """The runtime is missing, cannot convert the network, or cannot do what is asked; one sentence."""


class Kind(Enum):
    """What a step does.

    `PRODUCT` is one of two matrices, `ATTENTION` a softmax or the whole of it in one step, `MOVE` only takes values to
    other places; `BATCH_NORMALISATION` is there where it was not folded into weights. Anything else that works on
    values, as a sum, is `OTHER`.
    """

    CONVOLUTION, PRODUCT, ATTENTION, BATCH_NORMALISATION, NORMALISATION, ACTIVATION, MOVE, OTHER = range(8)


def by_type(types: Mapping[Kind, Sequence[str]]) -> dict[str, Kind]:
    """The kind of each type of step that a runtime names."""
    return {name: kind for kind, names in types.items() for name in names}


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a network as a runtime carries it out, which may be several operators of PyTorch in one.

    Attributes:
        inputs: Shapes; a convolution's second one is its weights', of which the last two are the kernel.
        output: The shape of its first output.
        time_ms: Of one of them, in passes that were watched.
    """

    kind: Kind
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    time_ms: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network ready to be timed on one example batch.

    Attributes:
        run: One forward pass of the batch; on a GPU it may return before the device is done.
        synchronise: Returns when the device has nothing left to do; does nothing on a CPU.
        output: The logits of the example as fp32, shape (batch, classes), for parity.
        precision_used: What the runtime says it computes in, never what was asked for: "fp32", "bf16", ...
        environment: Versions and flags of the runtime, plain JSON values.
        notes: What a reader must know, one sentence each.
        model: The PyTorch module that runs, for training and operator times; None in other runtimes.
        threads_used: Threads inside operators as read back from the runtime; None where it does not say.
        nodes: What each step takes in a runtime of its own, in order, where "operators" was asked for and it tells.
        watching_ms: What being watched adds to each of them, at most.
        cold_start_ms: The very first pass where getting ready has made it already; else the first one timed is it.
    """

    run: Callable[[], Any]
    synchronise: Callable[[], None]
    output: Callable[[], np.ndarray]
    precision_used: str
    environment: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    model: nn.Module | None = None
    threads_used: int | None = None
    nodes: tuple[Node, ...] = ()
    watching_ms: float = 0.0
    cold_start_ms: float | None = None


class Runtime(Protocol):
    """The functions of each module of this folder."""

    def missing(self) -> str | None:
        """Why this runtime cannot be used here, in one sentence with what to install; None when it can."""

    def prepare(
        self, model: nn.Module, example: torch.Tensor, request: Request, *, threads: int, say: Callable[[str], None]
    ) -> Prepared:
        """Make the network ready.

        Args:
            model: In eval mode, fp32, contiguous, on the CPU; it may be moved and cast.
            example: fp32 batch on the CPU, shape (batch, 3, height, width).
            threads: Intra-operator threads to use.
            say: Takes the stage ("converting", "compiling") whenever it changes.

        Raises:
            CannotRun: In one sentence.
        """


def load(name: str) -> Runtime:
    """The runtime of that name of `request.RUNTIMES`."""
    return cast(Runtime, importlib.import_module(f"advisor.measure.runtimes.{_MODULES[name]}"))
