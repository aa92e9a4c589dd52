"""What each step of a network takes in ONNX Runtime, by its own profile."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from advisor.measure.runtimes.interface import Kind, Node, by_type
from advisor.measure.runtimes.watched_passes import Wait, watched_passes

_KINDS = by_type({
    Kind.CONVOLUTION: ("Conv", "FusedConv", "NhwcConv", "NhwcFusedConv"),
    Kind.PRODUCT: ("Gemm", "FusedGemm", "MatMul", "FusedMatMul"),
    Kind.ATTENTION: ("Softmax", "Attention", "MultiHeadAttention"),
    Kind.BATCH_NORMALISATION: ("BatchNormalization",),
    Kind.NORMALISATION: (
        "LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "InstanceNormalization",
        "GroupNormalization", "LpNormalization", "ReduceL2",
    ),
    Kind.ACTIVATION: (
        "Gelu", "QuickGelu", "FastGelu", "BiasGelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Erf", "Exp",
        "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Softplus", "Mish", "Clip",
    ),
    Kind.MOVE: (
        "Transpose", "Reshape", "Split", "Slice", "Concat", "ReorderInput", "ReorderOutput", "Expand", "Tile", "Pad",
        "Gather", "GatherND", "GatherElements", "ScatterND", "Squeeze", "Unsqueeze", "Flatten", "DepthToSpace",
        "SpaceToDepth",
    ),
})  # fmt: skip
# Two cores of an AMD EPYC: four networks of 49 to 516 steps took 4 us a step longer together than unwatched.
WATCHING_MS = 0.005
_END = "_kernel_time"  # of the name of an event that tells of a step


def nodes(session: Any, run: Callable[[], None], wait: Wait) -> tuple[Node, ...]:
    """The steps in order.

    Args:
        session: Made with `enable_profiling`; it ends here, and what it wrote is removed.
        run: One pass of it.
        wait: As of `watched_passes`.
    """
    n = len(watched_passes(run, wait))
    written = Path(session.end_profiling())
    events = json.loads(written.read_text())
    written.unlink()
    times_ms: dict[str, list[float]] = defaultdict(list)
    told: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_END):
            times_ms[event["name"]].append(event["dur"] / 1000)
            told[event["name"]] = event["args"]
    return tuple(
        Node(
            _KINDS.get(args["op_name"], Kind.OTHER), _shapes(args["input_type_shape"]),
            next(iter(_shapes(args["output_type_shape"])), ()), float(np.median(times_ms[name][-n:])),
        )
        for name, args in told.items()
    )  # fmt: skip


def _shapes(tensors: list[dict[str, list[int]]]) -> tuple[tuple[int, ...], ...]:
    """From ONNX Runtime's form: [{"float": [1, 3, 224, 224]}, ...]."""
    return tuple(tuple(shape) for tensor in tensors for shape in tensor.values())
