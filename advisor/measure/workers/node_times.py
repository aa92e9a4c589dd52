"""What the operators of a network take in a runtime that fuses them, read from the runtime's own steps.

A runtime folds normalisation, activations and sums into the convolution or product before them, and lays tensors out
as it likes. So only convolutions and products by weights are told apart, each with what was folded into it; all other
steps together are one entry. Which step is which operator follows from their shapes: two of equal shapes do equal work.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from math import prod

from advisor.measure.run import REST, Operator, TimedOperator, Work
from advisor.measure.runtimes.interface import CONVOLUTION, PRODUCT, Node
from advisor.measure.workers import operator_classes as classes
from advisor.measure.workers.operator_times import divided
from advisor.measure.workers.operators import COUNTER

# ONNX Runtime computes convolutions in blocks of that many channels, and tells the shapes of whole blocks
_BLOCK = 16
_LEAST_LEFT = 0.1  # of a step's time, when what watching adds to each is taken off
_Key = tuple[object, ...]


def work(operators: Sequence[Operator], nodes: Sequence[Node], *, p50_ms: float, bytes_per_value: int) -> Work:
    """What one pass does, and how its latency divides.

    Args:
        operators: Of one pass, counted in fp32.
        nodes: Of the same network.
        p50_ms: The measured latency. As far as the steps take longer, watching them did: each is given an equal part.
        bytes_per_value: Of the precision used.
    """
    timed = distinct(operators, _unwatched(nodes, p50_ms))
    each = [one for one in timed for _ in range(one.count)]
    return Work(
        macs=sum(o.macs for o in operators), bytes=sum(o.bytes for o in operators) * bytes_per_value / 4,
        operators=divided(each, [one.time_ms for one in each], between=0.0, p50_ms=p50_ms), counter=COUNTER,
        timed=timed,
    )  # fmt: skip


def distinct(operators: Sequence[Operator], nodes: Sequence[Node]) -> tuple[TimedOperator, ...]:
    """Every distinct operator that steps were found for, with its count and mean time; at the end `REST`, all else."""
    steps = defaultdict[_Key, list[float]](list)
    for node in nodes:
        if (key := _of_node(node)) is not None:
            steps[key].append(node.time_ms)
    counts = Counter(operators)
    wanted = Counter[_Key]()
    for one, n in counts.items():
        if (key := _of_operator(one)) is not None:
            wanted[key] += n
    found, left_ms = [], sum(node.time_ms for node in nodes)
    for one, n in counts.items():
        key = _of_operator(one)
        if key is not None and key in steps:
            # more steps than operators: what else has such shapes, as products of attention, takes as long
            time_ms = sum(steps[key]) / max(wanted[key], len(steps[key]))
            left_ms -= n * time_ms
            found.append(TimedOperator(**asdict(one), count=n, time_ms=time_ms))
    rest = Operator(REST, classes.OTHER, 0, 0, 0, (), (), 1, (), ())
    return (*found, TimedOperator(**asdict(rest), count=1, time_ms=max(left_ms, 0.0)))


def _unwatched(nodes: Sequence[Node], p50_ms: float) -> list[Node]:
    """The steps without what watching them adds, so that together they take no longer than the latency."""
    added_ms = max(sum(node.time_ms for node in nodes) - p50_ms, 0.0) / max(len(nodes), 1)
    return [
        Node(node.kind, node.inputs, node.output, max(node.time_ms - added_ms, _LEAST_LEFT * node.time_ms))
        for node in nodes
    ]


def _of_operator(one: Operator) -> _Key | None:
    """What tells its work from its shapes; None where it is neither a convolution nor a product by weights."""
    if one.kernel and "transpose" not in one.name:
        read, made = one.inputs[0], one.outputs[0]
        return CONVOLUTION, one.kernel, made[2:], _blocks(read[1]), _blocks(made[1]), one.groups == 1
    if one.macs and one.kind == classes.LINEAR and len(one.inputs) > 1:
        left = one.inputs[classes.PRODUCTS.get(one.name, (0, 1))[0]]
        return PRODUCT, prod(one.outputs[0][:-1]), left[-1], one.outputs[0][-1]
    return None


def _of_node(node: Node) -> _Key | None:
    if node.kind == CONVOLUTION and len(node.output) > 2 and len(node.inputs) > 1:
        read, weights, sides = node.inputs[0], node.inputs[1], len(node.output) - 2
        # the weights of groups have one dimension more, or fewer channels than are read
        whole = len(weights) == 2 + sides and weights[1] == read[1]
        return CONVOLUTION, weights[-sides:], node.output[2:], _blocks(read[1]), _blocks(node.output[1]), whole
    if node.kind == PRODUCT and node.inputs and node.inputs[0] and node.output:
        return PRODUCT, prod(node.output[:-1]), node.inputs[0][-1], node.output[-1]
    return None


def _blocks(channels: int) -> int:
    return -(-channels // _BLOCK)
