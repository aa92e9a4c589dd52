"""Operators found again among the steps of a runtime that fuses them and pads their channels."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from advisor.measure.run import BATCH_NORMS, MOVES, REST, Operator, TimedOperator
from advisor.measure.runtimes.interface import Kind, Node
from advisor.measure.workers import node_times

DENSE = Operator(
    "conv2d", "dense convolution", 24 * 9 * 40 * 8 * 8, 900, 100, (3, 3), (1, 1), 1, ((1, 40, 8, 8), (24, 40, 3, 3)),
    ((1, 24, 8, 8),),
)  # fmt: skip
DEPTHWISE = Operator(
    "conv2d", "depthwise convolution", 24 * 9 * 8 * 8, 300, 50, (3, 3), (1, 1), 24, ((1, 24, 8, 8), (24, 1, 3, 3)),
    ((1, 24, 8, 8),),
)  # fmt: skip
LINEAR = Operator("linear", "linear", 49 * 24 * 10, 200, 80, (), (), 1, ((7, 7, 24), (10, 24)), ((7, 7, 10),))
RELU = Operator("relu", "activation", 0, 100, 0, (), (), 1, ((1, 24, 8, 8),), ((1, 24, 8, 8),))
NETWORK = (DENSE, RELU, DENSE, RELU, DEPTHWISE, LINEAR)


def by_name(found: tuple[TimedOperator, ...]) -> dict[str, tuple[int, float]]:
    return {one.kind if one.name != REST else REST: (one.count, one.time_ms) for one in found}


def steps() -> list[Node]:
    """As OpenVINO tells them: real channel counts, weights of groups in five dimensions."""
    return [
        Node(Kind.CONVOLUTION, ((1, 40, 8, 8), (24, 40, 3, 3), (24,)), (1, 24, 8, 8), 3.0),
        Node(Kind.CONVOLUTION, ((1, 40, 8, 8), (24, 40, 3, 3), (24,)), (1, 24, 8, 8), 5.0),
        Node(Kind.CONVOLUTION, ((1, 24, 8, 8), (24, 1, 1, 3, 3)), (1, 24, 8, 8), 2.0),
        Node(Kind.PRODUCT, ((49, 24), (10, 24)), (49, 10), 1.0),
        Node(Kind.OTHER, ((1, 24, 8, 8),), (1, 24, 8, 8), 0.25),
    ]


def test_steps_are_found_by_their_shapes_and_the_rest_is_one_entry() -> None:
    found = by_name(node_times.distinct(NETWORK, steps()))
    assert found == {
        "dense convolution": (2, 4.0), "depthwise convolution": (1, 2.0), "linear": (1, 1.0), REST: (1, 0.25),
    }  # fmt: skip


def test_channels_that_were_padded_to_whole_blocks_are_the_same_channels() -> None:
    """As ONNX Runtime tells them: 40 channels are 48, 24 are 32; weights of groups have one channel each."""
    padded = [
        Node(Kind.CONVOLUTION, ((1, 48, 8, 8), (32, 48, 3, 3)), (1, 32, 8, 8), 4.0),
        Node(Kind.CONVOLUTION, ((1, 32, 8, 8), (32, 1, 3, 3)), (1, 32, 8, 8), 2.0),
    ]
    found = by_name(node_times.distinct((DENSE, DEPTHWISE), padded))
    assert found == {"dense convolution": (1, 4.0), "depthwise convolution": (1, 2.0), REST: (1, 0.0)}


def test_other_steps_of_equal_shapes_stay_in_the_rest() -> None:
    """Products of attention have no weights, but may have the shapes of one that has."""
    twice = [Node(Kind.PRODUCT, ((49, 24), (10, 24)), (49, 10), ms) for ms in (1.0, 3.0)]
    assert by_name(node_times.distinct((LINEAR,), twice)) == {"linear": (1, 2.0), REST: (1, 2.0)}


HEADS = (1, 2, 50, 16)  # of queries, keys and values; 12 keys alone
KEYS = (1, 2, 12, 16)
SELF = Operator(
    "scaled_dot_product_attention", "attention", 2 * 50 * 12 * 32, 400, 0, (), (), 1, (HEADS, KEYS, KEYS), (HEADS,),
)  # fmt: skip
SCORES = (1, 2, 50, 12)


def test_attention_is_found_as_one_step_and_taken_apart() -> None:
    whole = Node(Kind.ATTENTION, (HEADS, KEYS, SCORES, KEYS), HEADS, 7.0)  # a mask stands before the values
    apart = [
        Node(Kind.PRODUCT, (HEADS, (1, 2, 16, 12)), SCORES, 2.0), Node(Kind.ATTENTION, (SCORES,), SCORES, 0.5),
        Node(Kind.PRODUCT, (SCORES, KEYS), HEADS, 1.0),
    ]  # fmt: skip
    assert by_name(node_times.distinct((SELF,), [whole])) == {"attention": (1, 7.0), REST: (1, 0.0)}
    assert by_name(node_times.distinct((SELF,), apart)) == {"attention": (1, 3.5), REST: (1, 0.0)}
    # one of two was made one step: together they take what all steps take
    assert by_name(node_times.distinct((SELF, SELF), [whole, *apart]))["attention"] == (2, pytest.approx(10.5 / 2))


def test_a_product_of_attention_by_itself_is_found_as_well() -> None:
    """As networks write it that add to the scores: a product, a softmax, a product."""
    product = Operator("matmul", "attention", 2 * 50 * 12 * 16, 300, 0, (), (), 1, (HEADS, (1, 2, 16, 12)), (SCORES,))
    scale = Operator("softmax", "attention", 0, 100, 0, (), (), 1, (SCORES,), (SCORES,))
    steps = [
        Node(Kind.PRODUCT, ((2, 50, 16), (2, 16, 12)), (2, 50, 12), 2.0), Node(Kind.ATTENTION, (SCORES,), SCORES, 0.5),
    ]  # fmt: skip
    found = {one.name: one.time_ms for one in node_times.distinct((product, scale), steps)}
    assert found == {"matmul": 2.0, "softmax": 0.5, REST: 0.0}


def test_a_factor_may_be_laid_out_the_other_way() -> None:
    turned = Node(Kind.PRODUCT, ((1, 2, 16, 50), (1, 2, 12, 16)), SCORES, 2.0)
    assert by_name(node_times.distinct((SELF,), [turned]))["attention"] == (1, 2.0)


def test_both_products_of_attention_may_have_one_shape() -> None:
    square = (1, 2, 16, 16)
    one = Operator(SELF.name, "attention", 2 * 16 * 16 * 32, 400, 0, (), (), 1, (square,) * 3, (square,))
    both = [Node(Kind.PRODUCT, (square, square), square, ms) for ms in (1.0, 2.0)]
    assert by_name(node_times.distinct((one,), both)) == {"attention": (1, 3.0), REST: (1, 0.0)}


def test_other_steps_are_told_by_what_they_do() -> None:
    kinds = {
        Kind.BATCH_NORMALISATION: 0.5,
        Kind.NORMALISATION: 1.0,
        Kind.ACTIVATION: 2.0,
        Kind.MOVE: 4.0,
        Kind.OTHER: 8.0,
        Kind.ATTENTION: 16.0,
    }
    nodes = [Node(kind, ((1, 24, 8, 8),), (1, 24, 8, 8), ms) for kind, ms in kinds.items() for _ in range(2)]
    found = {(one.name, one.kind): one.time_ms for one in node_times.distinct((), nodes)}
    assert found == {
        (BATCH_NORMS, "normalisation"): 1.0, (REST, "normalisation"): 2.0, (REST, "activation"): 4.0,
        (MOVES, "other"): 8.0,
        (REST, "other"): 16.0 + 32.0,  # a softmax that belongs to no operator is one of the others
    }  # fmt: skip


def test_an_operator_without_a_step_is_not_told_apart() -> None:
    found = by_name(node_times.distinct((LINEAR, DENSE), steps()[3:]))
    assert found == {"linear": (1, 1.0), REST: (1, 0.25)}


def test_nothing_is_lost_whatever_is_found() -> None:
    for network in (NETWORK, NETWORK[:1], ()):
        found = node_times.distinct(network, steps())
        assert sum(one.count * one.time_ms for one in found) == pytest.approx(11.25)


@pytest.mark.parametrize(("least_ms", "watching_ms", "added_ms"), [(10.25, 0.5, 0.2), (5.625, 0.01, 0.01)])
def test_what_watching_adds_is_taken_off_every_step_alike(
    least_ms: float, watching_ms: float, added_ms: float
) -> None:  # fmt: skip
    """At its fullest pace the network takes 1 ms less than its five steps, however long by its median: 0.2 ms each.

    Of a pass watched at half its pace no more is taken off than watching can have added: what is left is a slow moment
    of all steps, the small ones too.
    """
    found = node_times.work(
        NETWORK, steps(), p50_ms=13.0, least_ms=least_ms, watching_ms=watching_ms, bytes_per_value=4
    )  # fmt: skip
    each = {"dense convolution": (2, 4.0), "depthwise convolution": (1, 2.0), "linear": (1, 1.0), REST: (1, 0.25)}
    assert by_name(found.timed) == {name: (n, pytest.approx(ms - added_ms)) for name, (n, ms) in each.items()}


def test_classes_add_up_to_the_latency_and_to_all_multiply_adds() -> None:
    for p50_ms in (10.25, 20.0):
        found = node_times.work(NETWORK, steps(), p50_ms=p50_ms, least_ms=p50_ms, watching_ms=0.5, bytes_per_value=2)
        assert sum(row.time_ms for row in found.operators) == pytest.approx(p50_ms)
        assert sum(row.macs for row in found.operators) == found.macs == sum(one.macs for one in NETWORK)
        assert found.bytes == sum(one.bytes for one in NETWORK) / 2
