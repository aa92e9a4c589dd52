"""Signatures of operators: their class, their matrix products, their shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from advisor.predict.signature import Signature, signature
from tests.cost_profiles import CONV, Seen, Shape, conv


@pytest.mark.parametrize(
    ("operator", "kind", "matrices"),
    [
        (conv(16, 32, kind="dense convolution"), "dense k x k", (1, 100, 16 * 9, 32)),
        (conv(3, 32, kind="dense convolution"), "stem", (1, 100, 3 * 9, 32)),
        (conv(3, 32, kernel=(1, 1), kind="pointwise convolution"), "stem", (1, 100, 3, 32)),
        (conv(16, 32, kernel=(1, 1), kind="pointwise convolution"), "pointwise", (1, 100, 16, 32)),
        (conv(16, 16, groups=16, kind="depthwise convolution"), "depthwise", (16, 100, 9, 1)),
        (conv(3, 3, groups=3, kind="depthwise convolution"), "depthwise", (3, 100, 9, 1)),
        (conv(16, 32, groups=4, kind="grouped convolution"), "grouped convolution", (4, 100, 4 * 9, 8)),
        (
            signature(Seen("conv_transpose2d", "dense convolution", 4 * 25 * 6 * 4, ((1, 4, 5, 5), (4, 6, 2, 2)),
                           ((1, 6, 10, 10),), (2, 2), (2, 2))),
            "stem", (1, 25, 4, 24),
        ),
        (
            signature(Seen("linear", "linear", 15 * 10 * 7, ((3, 5, 10), (7, 10), (7,)), ((3, 5, 7),))),
            "matrix product", (1, 15, 10, 7),
        ),
        (
            signature(Seen("addmm", "linear", 5 * 10 * 7, ((7,), (5, 10), (10, 7)), ((5, 7),))),
            "matrix product", (1, 5, 10, 7),
        ),
        (
            signature(Seen("matmul", "attention", 6 * 5 * 4 * 5, ((2, 3, 5, 4), (2, 3, 4, 5)), ((2, 3, 5, 5),))),
            "attention", (6, 5, 4, 5),
        ),
        (
            signature(Seen("scaled_dot_product_attention", "attention", 6 * 5 * 9 * (4 + 8),
                           ((2, 3, 5, 4), (2, 3, 9, 4), (2, 3, 9, 8)), ((2, 3, 5, 8),))),
            "attention", (6, 5, 12, 9),
        ),
        (
            signature(Seen("lstm", "linear", 770, ((7, 1, 10), (1, 10), (40, 10)), ((7, 1, 10),))),
            "matrix product", (1, 1, 770, 1),
        ),
        (signature(Seen("softmax", "attention", 0, ((2, 5),), ((2, 5),))), "attention", (0, 0, 0, 0)),
        (signature(Seen("relu", "activation", 0, ((2, 5),), ((2, 5),))), "element-wise", (0, 0, 0, 0)),
        (signature(Seen("batch_norm", "normalisation", 0, ((2, 5),), ((2, 5),))), "normalisation", (0, 0, 0, 0)),
        (signature(Seen("mean", "other", 0, ((2, 5),), ((2, 1),))), "reduction", (0, 0, 0, 0)),
        (signature(Seen("max_pool2d", "other", 0, ((1, 4, 5, 5),), ((1, 4, 5, 5),))), "reduction", (0, 0, 0, 0)),
        (
            signature(Seen("conv1d", "dense convolution", 32 * 3, ((1, 1, 32), (1, 1, 3)), ((1, 1, 32),), (3,), (1,))),
            "dense k x k", (1, 32, 3, 1),
        ),  # of ECA: over channels, not over an image
        (conv(2, 1, kernel=(7, 7), kind="dense convolution"), "dense k x k", (1, 100, 98, 1)),
        (signature(Seen("max", "other", 0, ((2, 5), (2, 5)), ((2, 5),))), "element-wise", (0, 0, 0, 0)),
        (signature(Seen("cat", "other", 0, ((2, 5), (2, 5)), ((4, 5),))), "element-wise", (0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_signature_has_the_class_and_the_matrices_of_an_operator(
    operator: Signature, kind: str, matrices: Shape
) -> None:
    assert operator.kind == kind
    assert (operator.products, operator.rows, operator.inner, operator.columns) == matrices


def test_signature_keeps_kernel_sizes_and_shapes() -> None:
    found = signature(Seen(
        "conv2d", "dense convolution", 64 * 15 * 12 * 8 * 7, ((1, 8, 30, 24), (64, 8, 1, 7), (64,)),
        ((1, 64, 15, 12),), (1, 7), (2, 2),
    ))  # fmt: skip
    assert (found.kernel_height, found.kernel_width, found.stride_height, found.stride_width) == (1, 7, 2, 2)
    assert (found.in_channels, found.in_height, found.in_width) == (8, 30, 24)
    assert (found.out_channels, found.out_height, found.out_width) == (64, 15, 12)
    assert found.out_values == 64 * 15 * 12
    assert found.shapes == "1x8x30x24 64x8x1x7 64 > 1x64x15x12"


def test_a_class_that_the_counter_has_and_we_do_not_know_is_no_silent_zero() -> None:
    with pytest.raises(ValueError, match="'quantum' is not known"):
        signature(Seen("teleport", "quantum", 0, ((1,),), ((1,),)))


@pytest.mark.parametrize("change", [{"kind": "fast"}, {"rows": 99}, {"weight_bytes": 5000}])
def test_signatures_check_themselves(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no class|not those of its matrix products|cannot be weights"):
        replace(CONV, **change)
