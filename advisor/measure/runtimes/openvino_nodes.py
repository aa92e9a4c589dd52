"""What each step of a network takes in OpenVINO, by its own performance counters."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch

from advisor.measure.runtimes.interface import Kind, Node, by_type
from advisor.measure.runtimes.watched_passes import UNSEEN, Wait, watched_passes

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
# Two cores of an AMD EPYC: seven networks of 49 to 308 steps took -0.6 to 0.6 us a step longer than unwatched.
WATCHING_MS = 0.0005


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

    def once() -> tuple[float, dict[str, float]]:
        began = time.perf_counter()
        request.infer()
        took_s = time.perf_counter() - began
        return took_s, {told.node_name: told.real_time / _MS for told in request.profiling_info}

    each_ms = of_quickest(watched_passes(once, wait))
    found = []
    for step in compiled.get_runtime_model().get_ops():
        time_ms = each_ms.get(step.get_friendly_name(), 0.0)
        if time_ms > 0:
            inputs = tuple(tuple(port.get_shape()) for port in step.inputs())
            found.append(Node(_kind(step.get_rt_info()), inputs, tuple(step.output(0).get_shape()), time_ms))
    return tuple(found)


def of_quickest(passes: Sequence[tuple[float, Mapping[str, float]]], unseen: int = UNSEEN) -> dict[str, float]:
    """What each step took on average in that half of the passes, one after the other, that was the quickest.

    Counters are averages over all passes so far, in whole microseconds: the first pass, which may take several times
    as long as others, would be in all of them. The average of some passes follows from those before and after it.

    Args:
        passes: Of each, what it took and the counters after it.
        unseen: Passes before them.
    """
    seconds = [0.0, *itertools.accumulate(took_s for took_s, _ in passes)]
    n = max((len(passes) - 1) // 2, min(len(passes) - 1, 4))

    def took(end: int) -> float:
        return seconds[end + 1] - seconds[end + 1 - n]

    end = min(range(n, len(passes)), key=took)
    before, after = passes[end - n][1], passes[end][1]
    made = unseen + end + 1
    # of a step that takes hardly a microsecond nothing may be left but what was rounded: its average says more then
    return {name: max(made * ms - (made - n) * before.get(name, 0.0), 0.0) / n or ms for name, ms in after.items()}


def _kind(told: Any) -> Kind:
    """What a step does. Attention that was made one step goes by the name of any, but tells what it was made from."""
    of_type = _KINDS.get(text(told["layerType"]), Kind.OTHER)
    fused = of_type == Kind.OTHER and "softmax" in text(told["originalLayersNames"]).lower()
    return Kind.ATTENTION if fused else of_type


def text(value: Any) -> str:
    """A value of the run-time information, wrapped by some versions of OpenVINO and plain in others."""
    return str(value.astype(str) if hasattr(value, "astype") else value)
