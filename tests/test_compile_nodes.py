"""Steps of compiled networks, told by PyTorch's profiler."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from advisor.measure.request import Request  # noqa: E402
from advisor.measure.run import BATCH_NORMS, REST  # noqa: E402
from advisor.measure.runtimes import compile as compiling  # noqa: E402
from advisor.measure.runtimes import compile_nodes  # noqa: E402
from advisor.measure.runtimes.interface import Kind, Node  # noqa: E402
from advisor.measure.workers import node_times, operators  # noqa: E402

NOTHING = [None, None, None]


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding", "dilation"),
    list(itertools.product((13, 32), (1, 3, 5), (1, 2), (0, 2), (1, 2))),
)
def test_a_convolution_makes_what_pytorch_says(
    side: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:  # fmt: skip
    read, weights = torch.empty(2, 8, side, side + 4, device="meta"), torch.empty(6, 4, kernel, kernel, device="meta")
    made = functional.conv2d(read, weights, None, stride, padding, dilation, groups=2)
    given = [*NOTHING, *([value] * 2 for value in (stride, padding, dilation)), False, [0, 0], 2]
    shapes = [list(read.shape), list(weights.shape), [], [], [], [], [], [], []]
    assert compile_nodes.node("aten::convolution", shapes, given, 0.5) == Node(
        Kind.CONVOLUTION, (tuple(read.shape), tuple(weights.shape)), tuple(made.shape), 0.5
    )


def test_a_transposed_convolution_is_one_of_the_other_steps() -> None:
    """As it is where operators are looked for among the steps."""
    given = [*NOTHING, [2, 2], [0, 0], [1, 1], True, [0, 0], 1]
    shapes = [[1, 8, 7, 7], [8, 4, 2, 2], [], [], [], [], [], [], []]
    assert compile_nodes.node("aten::convolution", shapes, given, 0.5) == Node(Kind.OTHER, (), (), 0.5)


def test_products_and_attention_are_told_by_their_factors() -> None:
    a, b, many = [7, 24], [24, 10], [3, 7, 24]
    assert compile_nodes.node("aten::mm", [a, b, [7, 10]], NOTHING, 1.0) == Node(
        Kind.PRODUCT, ((7, 24), (24, 10)), (7, 10), 1.0
    )
    assert compile_nodes.node("aten::addmm", [[10], a, b], NOTHING, 1.0).inputs == ((7, 24), (24, 10))
    assert compile_nodes.node("aten::bmm", [many, [3, 24, 10]], NOTHING, 1.0).output == (3, 7, 10)
    attention = compile_nodes.node(
        "aten::_scaled_dot_product_flash_attention_for_cpu", [[1, 2, 50, 16], [1, 2, 12, 16], [1, 2, 12, 8], [], []],
        [None] * 5, 1.0,
    )  # fmt: skip
    assert (attention.kind, attention.inputs[2], attention.output) == (Kind.ATTENTION, (1, 2, 12, 8), (1, 2, 50, 8))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("graph_0_cpp_fused__native_batch_norm_legit_no_training_silu_3", Kind.BATCH_NORMALISATION),
        ("graph_0_cpp_fused_native_layer_norm_transpose_view_1", Kind.NORMALISATION),
        ("graph_0_cpp_fused__unsafe_view_gelu_5", Kind.ACTIVATION), ("graph_0_cpp_fused_relu_2", Kind.ACTIVATION),
        ("graph_0_cpp_fused_add_7", Kind.OTHER), ("graph_0_cpp_fused_max_pool2d_with_indices_3", Kind.OTHER),
        ("graph_0_cpp_fused_exp_mul_5", Kind.OTHER), ("graph_0_cpp_fused_clone_expand_view_6", Kind.MOVE),
        ("graph_0_cpp_fused_cat_9", Kind.MOVE), ("graph_0_cpp_fused_convolution_0", Kind.MOVE),
        ("TorchDynamo Cache Lookup", Kind.OTHER),
    ],
)  # fmt: skip
def test_a_kernel_is_what_its_name_tells(name: str, kind: Kind) -> None:
    assert compile_nodes.node(name, [], [], 1.0) == Node(kind, (), (), 1.0)


class Small(nn.Module):
    """Convolutions with and without groups, normalisation, an activation, a pool and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False)
        self.head = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.stem(images)
        return self.head((found + self.depthwise(found)).mean((2, 3)))


def test_every_convolution_and_product_of_a_compiled_network_is_found_among_its_steps() -> None:
    if compiling.missing() is not None:
        pytest.skip("no C++ compiler")
    network, images = Small().eval(), torch.randn(1, 3, 64, 64)
    request = Request(architecture="made_up", runtime="pytorch-compile", extras=("operators",))
    steps = compiling.prepare(network, images, request, threads=1, say=lambda _: None).nodes
    counted = operators.count(network, images).operators
    found = {(one.name, one.kind): one for one in node_times.distinct(counted, steps)}
    assert {name for name, _ in found} == {"conv2d", "linear", BATCH_NORMS, REST}
    assert [(kind, one.count) for (name, kind), one in found.items() if name == "conv2d"] == [
        ("dense convolution", 1), ("depthwise convolution", 1)
    ]  # fmt: skip
    assert all(step.time_ms > 0 for step in steps)
    assert (BATCH_NORMS, "normalisation") in found, "TorchInductor's own kernels are told one by one"


def _convolution(*weights: int) -> Node:
    return Node(Kind.CONVOLUTION, ((1, 8, 4, 4), weights), (1, weights[0], 4, 4), 3.0)


def test_kernels_that_lay_weights_out_are_part_of_the_convolutions_that_want_them() -> None:
    norm, laid_out = Node(Kind.BATCH_NORMALISATION, (), (), 1.0), Node(Kind.MOVE, (), (), 0.5)
    steps = [
        ("graph_0_cpp_fused_convolution_0", laid_out), ("graph_0_cpp_fused__native_batch_norm_relu_1", norm),
        ("aten::convolution", _convolution(8, 8, 3, 3)),
        ("graph_0_cpp_fused__native_batch_norm_convolution_relu_2", norm),
        ("aten::convolution", _convolution(16, 8, 3, 3)), ("aten::convolution", _convolution(64, 8, 1, 1)),
        ("aten::convolution", _convolution(8, 1, 3, 3)), ("graph_0_cpp_fused_cat_3", laid_out),
    ]  # fmt: skip
    found = compile_nodes.together(steps)
    assert [(step.kind, step.time_ms) for step in found] == [
        (Kind.BATCH_NORMALISATION, 1.0), (Kind.CONVOLUTION, 3.5), (Kind.CONVOLUTION, 4.0), (Kind.CONVOLUTION, 3.0),
        (Kind.CONVOLUTION, 3.0), (Kind.MOVE, 0.5),
    ], "in halves and wholes: 1.5 ms for one that has twice the weights of the other"  # fmt: skip
    without = compile_nodes.together([steps[0], steps[5]])
    assert [(step.kind, step.time_ms) for step in without] == [(Kind.CONVOLUTION, 3.0), (Kind.MOVE, 0.5)]


def test_steps_that_change_from_pass_to_pass_are_not_told() -> None:
    passes = itertools.count()

    def run() -> None:
        a = torch.ones(4, 4)
        a @ a if next(passes) % 2 else a + a

    assert compile_nodes.nodes(run, lambda: 0.0) == ()


def test_a_step_outside_of_compiled_graphs_counts_as_well() -> None:
    a, b = torch.ones(8, 4), torch.ones(4, 6)
    found = compile_nodes.nodes(lambda: torch.mm(a, b), lambda: 0.0)
    assert [(node.kind, node.inputs, node.output) for node in found] == [(Kind.PRODUCT, ((8, 4), (4, 6)), (8, 6))]
