"""What the operators of a network take in a runtime that fuses them, read from the runtime's own steps.

A runtime folds normalisation, activations and sums into the convolution or product before them, takes attention apart
or makes it one step, and lays tensors out as it likes. So only convolutions, products and attention are told apart,
each with what was folded into it; all other steps are one entry for each class of them. Which step is which operator
follows from their shapes: two of equal shapes do equal work.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from math import prod

from advisor.measure.run import BATCH_NORMS, BLOCK, MOVES, REST, Operator, TimedOperator, Work
from advisor.measure.runtimes.interface import Kind, Node
from advisor.measure.workers import operator_classes as classes
from advisor.measure.workers.operator_times import divided
from advisor.measure.workers.operators import COUNTER

_OTHERS = (REST, classes.OTHER)
_REST_OF = {  # by the kind of steps: name and class of the entry that they are in where no operator is found for them
    Kind.BATCH_NORMALISATION: (BATCH_NORMS, classes.NORMALISATION),
    Kind.NORMALISATION: (REST, classes.NORMALISATION),
    Kind.ACTIVATION: (REST, classes.ACTIVATION),
    Kind.MOVE: (MOVES, classes.OTHER),
}
_LEAST_LEFT = 0.1  # of a step's time, when what watching adds to each is taken off
_Key = tuple[object, ...]


def work(
    operators: Sequence[Operator], nodes: Sequence[Node], *, p50_ms: float, least_ms: float, watching_ms: float,
    bytes_per_value: int,
) -> Work:  # fmt: skip
    """What one pass does, and how its latency divides.

    Args:
        operators: Of one pass, counted in fp32.
        nodes: Of the same network.
        p50_ms: The measured latency.
        least_ms: That at the machine's fullest pace. As far as the steps take longer, watching them did: each is given
            an equal part.
        watching_ms: The most of such a part. What is left is a slow moment, which all steps share in proportion.
        bytes_per_value: Of the precision used.
    """
    timed = distinct(operators, _unwatched(nodes, least_ms, watching_ms))
    each = [one for one in timed for _ in range(one.count)]
    return Work(
        macs=sum(o.macs for o in operators), bytes=sum(o.bytes for o in operators) * bytes_per_value / 4,
        operators=divided(each, [one.time_ms for one in each], between=0.0, p50_ms=p50_ms), counter=COUNTER,
        timed=timed,
    )  # fmt: skip


def distinct(operators: Sequence[Operator], nodes: Sequence[Node]) -> tuple[TimedOperator, ...]:
    """Every distinct operator that steps were found for, with its count and mean time; at the end `RESTS`, all else."""
    steps, left_ms = defaultdict[_Key, list[Node]](list), defaultdict[tuple[str, str], float](float)
    for node in nodes:
        steps[_of_node(node)].append(node)
        left_ms[_REST_OF.get(node.kind, _OTHERS)] += node.time_ms
    counts = Counter(operators)
    wanted = Counter[_Key]()
    for one, n in counts.items():
        for key in _of_operator(one):
            wanted[key] += n
    found = []
    for one, n in counts.items():
        time_ms = 0.0
        for key in _of_operator(one):
            # more steps than operators: what else has such shapes takes as long
            share = 1 / max(wanted[key], len(steps[key]))
            for node in steps[key]:
                time_ms += share * node.time_ms
                left_ms[_REST_OF.get(node.kind, _OTHERS)] -= n * share * node.time_ms
        if time_ms > 0:
            found.append(TimedOperator(**asdict(one), count=n, time_ms=time_ms))
    for (name, kind), time_ms in left_ms.items():
        rest = Operator(name, kind, 0, 0, 0, (), (), 1, (), ())
        found.append(TimedOperator(**asdict(rest), count=1, time_ms=max(time_ms, 0.0)))
    return tuple(found)


def _unwatched(nodes: Sequence[Node], least_ms: float, watching_ms: float) -> list[Node]:
    """The steps without what watching them adds."""
    longer_ms = max(sum(node.time_ms for node in nodes) - least_ms, 0.0) / max(len(nodes), 1)
    added_ms = min(longer_ms, watching_ms)
    return [
        Node(node.kind, node.inputs, node.output, max(node.time_ms - added_ms, _LEAST_LEFT * node.time_ms))
        for node in nodes
    ]


def _of_operator(one: Operator) -> tuple[_Key, ...]:
    """What tells the steps that it may be made of; nothing of what is neither convolution, product nor attention."""
    if one.kernel and "transpose" not in one.name:
        read, made = one.inputs[0], one.outputs[0]
        return ((Kind.CONVOLUTION, one.kernel, made[2:], _blocks(read[1]), _blocks(made[1]), one.groups == 1),)
    if one.macs and len(one.inputs) > 1 and (one.kind == classes.LINEAR or one.name in classes.PRODUCTS):
        left = one.inputs[classes.PRODUCTS.get(one.name, (0, 1))[0]]
        return (_product(left, one.outputs[0]),)
    if one.macs and one.kind == classes.ATTENTION and len(one.inputs) > 2:
        query, key, value = one.inputs[:3]
        scores = (*query[:-1], key[-2])
        steps = (_product(query, scores), _softmax(scores), _product(scores, (*query[:-1], value[-1])))
        return ((Kind.ATTENTION, prod(query), prod(key), prod(value)), *steps)
    return (_softmax(one.outputs[0]),) if one.kind == classes.ATTENTION and one.outputs else ()


def _of_node(node: Node) -> _Key:
    if node.kind == Kind.CONVOLUTION and len(node.output) > 2 and len(node.inputs) > 1:
        read, weights, sides = node.inputs[0], node.inputs[1], len(node.output) - 2
        # the weights of groups have one dimension more, or fewer channels than are read
        whole = len(weights) == 2 + sides and weights[1] == read[1]
        return Kind.CONVOLUTION, weights[-sides:], node.output[2:], _blocks(read[1]), _blocks(node.output[1]), whole
    if node.kind == Kind.PRODUCT and node.inputs and node.inputs[0] and node.output:
        return _product(node.inputs[0], node.output)
    if node.kind == Kind.ATTENTION and len(node.inputs) > 2:
        return Kind.ATTENTION, *(prod(node.inputs[place]) for place in (0, 1, -1))
    return _softmax(node.output) if node.kind == Kind.ATTENTION else ()


def _product(left: Sequence[int], made: Sequence[int]) -> _Key:
    """Rows, what each value sums over, and columns: however a factor is laid out."""
    rows = prod(made[:-1])
    return Kind.PRODUCT, rows, prod(left) // max(rows, 1), made[-1]


def _softmax(made: Sequence[int]) -> _Key:
    return Kind.ATTENTION, prod(made)


def _blocks(channels: int) -> int:
    return -(-channels // BLOCK)
