"""What each step of a compiled network takes on a CPU, by PyTorch's profiler.

TorchInductor leaves convolutions, products and attention to the libraries that eager mode calls, and makes kernels of
its own of all else. It names each of these after the operators in it, and where it is asked to, the profiler sees them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from advisor.measure.runtimes.interface import Kind, Node
from advisor.measure.runtimes.watched_passes import UNSEEN, Wait, watched_passes

_PASS = "a pass of the network"
# events that stand around what a graph does, and are no step
_AROUND = (_PASS, "Torch-Compiled Region", "## Call CompiledFxGraph")
WATCHING_MS = 0.01  # two cores of an AMD EPYC: 0 to 13 us a step in three networks
_MOST_PASSES = 10  # reading what the profiler has seen takes longer than the passes
_FUSED = "cpp_fused"
_CONVOLUTION, _TRANSPOSED = "aten::convolution", 6  # and the place of that argument
_PRODUCTS = {  # by the places of their factors
    "aten::mm": (0, 1), "aten::bmm": (0, 1), "aten::addmm": (1, 2), "aten::baddbmm": (1, 2),
}  # fmt: skip
_FOR_CONVOLUTION = "convolution"  # in the name of a kernel: it lays out what one reads
_ATTENTION = "aten::_scaled_dot_product"
# What the name of a kernel tells of it, the first that is in it; one with none of these only moves values.
_SIGNS = {
    Kind.BATCH_NORMALISATION: ("native_batch_norm",),
    Kind.NORMALISATION: ("native_layer_norm", "native_group_norm", "var_mean"),
    Kind.ACTIVATION: ("elu", "silu", "sigmoid", "hardswish", "hardtanh", "tanh", "softplus", "erf", "clamp", "mish"),
    Kind.OTHER: (
        "add", "mul", "sub", "div", "mean", "sum", "softmax", "pool", "pow", "sqrt", "_exp_", "upsample", "max", "min",
        "norm",
    ),
}  # fmt: skip


def told() -> contextlib.AbstractContextManager[Any]:
    """While it compiles, the profiler is told of each of TorchInductor's own kernels; that costs nothing unwatched."""
    return torch._inductor.config.patch({"cpp.enable_kernel_profile": True})  # type: ignore[no-any-return]


def nodes(run: Callable[[], Any], wait: Wait) -> tuple[Node, ...]:
    """The steps in order; none where passes differ in what they do.

    Args:
        run: One pass of a network that was compiled within `told`.
        wait: As of `watched_passes`.
    """

    def once() -> None:
        with record_function(_PASS):
            run()

    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as watched:
        watched_passes(once, wait, most=_MOST_PASSES)
    passes = [list(_steps(event)) for event in watched.events() if event.name == _PASS][UNSEEN:]
    if len({tuple(step.name for step in steps) for steps in passes}) != 1:
        return ()
    times_us = np.median([[step.cpu_time_total for step in steps] for steps in passes], axis=0)
    return together([
        (step.name, node(step.name, step.input_shapes, step.concrete_inputs, float(us) / 1000))
        for step, us in zip(passes[0], times_us, strict=True)
    ])  # fmt: skip


def _steps(event: Any) -> Iterator[Any]:
    for child in event.cpu_children:
        if child.name.startswith(_AROUND):
            yield from _steps(child)
        else:
            yield child


def node(name: str, shapes: Sequence[Sequence[int]], given: Sequence[Any], time_ms: float) -> Node:
    """A step from what the profiler tells of it.

    Args:
        name: Of an operator of ATen ("aten::mm") or of a kernel of TorchInductor's own.
        shapes: Of what it reads, empty where that is no tensor.
        given: Its arguments where they are no tensors: numbers, or lists of them.
    """
    read = tuple(tuple(shape) for shape in shapes)
    if name == _CONVOLUTION and not given[_TRANSPOSED]:
        return Node(Kind.CONVOLUTION, read[:2], _made(read[0], read[1], given), time_ms)
    if name in _PRODUCTS:
        left, right = (read[place] for place in _PRODUCTS[name])
        return Node(Kind.PRODUCT, (left, right), (*left[:-1], right[-1]), time_ms)
    if name.startswith(_ATTENTION):
        return Node(Kind.ATTENTION, read[:3], (*read[0][:-1], read[2][-1]), time_ms)
    return Node(_kind(name), (), (), time_ms)


def together(steps: Sequence[tuple[str, Node]]) -> tuple[Node, ...]:
    """The steps, by name; what lays out the weights of convolutions anew in each pass is part of those.

    A kernel may lay out the weights of several while it normalises what one of them reads, which takes little beside
    that: resnet34's take 8 ms in all, of 31, where its other normalisations take 0.7 (two EPYC cores). So all that
    such kernels take is divided among the convolutions by the weights that are laid out.
    """
    found, laid_out_ms = list[Node](), 0.0
    for name, step in steps:
        if _FUSED in name and _FOR_CONVOLUTION in name:
            laid_out_ms += step.time_ms
        else:
            found.append(step)
    weights = [_laid_out(step) for step in found]
    if not sum(weights):
        return (*found, *([Node(Kind.MOVE, (), (), laid_out_ms)] if laid_out_ms else []))
    each_ms = [laid_out_ms * n / sum(weights) for n in weights]
    return tuple(replace(step, time_ms=step.time_ms + ms) for step, ms in zip(found, each_ms, strict=True))


def _laid_out(step: Node) -> int:
    """Weights of a convolution that lie elsewhere with channels last; those of one pixel or one channel do not."""
    if step.kind != Kind.CONVOLUTION:
        return 0
    _, channels, *kernel = step.inputs[1]
    return prod(step.inputs[1]) if channels > 1 and prod(kernel) > 1 else 0


def _kind(name: str) -> Kind:
    if _FUSED not in name:
        return Kind.OTHER
    return next((kind for kind, signs in _SIGNS.items() if any(sign in name for sign in signs)), Kind.MOVE)


def _made(read: Sequence[int], weights: Sequence[int], given: Sequence[Any]) -> tuple[int, ...]:
    """The shape of what a convolution makes, from those of what it reads and the stride, padding and dilation given."""
    each = zip(read[2:], weights[2:], *given[3:6], strict=True)
    sides = (
        (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for side, kernel, stride, padding, dilation in each
    )
    return (read[0], weights[0], *sides)
