"""What each step of a network takes in OpenVINO, by its own performance counters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import torch

from advisor.measure.runtimes.interface import Kind, Node, by_type
from advisor.measure.runtimes.watched_passes import Wait, watched_passes

_KINDS = by_type({
    Kind.CONVOLUTION: ("Convolution",),
    Kind.PRODUCT: ("FullyConnected", "MatMul"),
    Kind.ATTENTION: ("Softmax", "ScaledDotProductAttention"),
    Kind.NORMALISATION: ("MVN", "RMS", "NormalizeL2"),
    Kind.MOVE: (
        "Transpose", "Reorder", "Concatenation", "Split", "Reshape", "Pad", "StridedSlice", "Slice", "Gather",
        "GatherND", "Tile", "Broadcast", "Roll", "DepthToSpace", "SpaceToDepth", "ShuffleChannels", "ScatterUpdate",
        "ScatterNDUpdate", "MemoryInput", "Convert",
    ),
})  # fmt: skip
_MS = timedelta(milliseconds=1)


def nodes(
    library: Any, core: Any, network: Any, example: torch.Tensor, config: dict[str, Any], wait: Wait
) -> tuple[Node, ...]:  # fmt: skip
    """The steps that take any time, in the order in which OpenVINO tells of them.

    The network is compiled once more for it: counters cost each step a look at the clock, which is not to be in the
    latency that is measured.

    Args:
        wait: As of `watched_passes`.
    """
    compiled = core.compile_model(network, "CPU", config | {"PERF_COUNT": True})
    request = compiled.create_infer_request()
    request.set_input_tensor(library.Tensor(example.numpy()))

    def once() -> dict[str, float]:
        request.infer()
        return {told.node_name: told.real_time / _MS for told in request.profiling_info}

    passes = watched_passes(once, wait)
    found = []
    for step in compiled.get_runtime_model().get_ops():
        time_ms = float(np.median([each.get(step.get_friendly_name(), 0.0) for each in passes]))
        if time_ms > 0:
            inputs = tuple(tuple(port.get_shape()) for port in step.inputs())
            found.append(Node(_kind(step.get_rt_info()), inputs, tuple(step.output(0).get_shape()), time_ms))
    return tuple(found)


def _kind(told: Any) -> Kind:
    """What a step does. Attention that was made one step goes by the name of any, but tells what it was made from."""
    of_type = _KINDS.get(text(told["layerType"]), Kind.OTHER)
    fused = of_type == Kind.OTHER and "softmax" in text(told["originalLayersNames"]).lower()
    return Kind.ATTENTION if fused else of_type


def text(value: Any) -> str:
    """A value of the run-time information, wrapped by some versions of OpenVINO and plain in others."""
    return str(value.astype(str) if hasattr(value, "astype") else value)
