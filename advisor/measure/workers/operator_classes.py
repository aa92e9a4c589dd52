"""Which class a PyTorch operator belongs to, and how many multiply-adds it does: formulas over shapes only."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod

DENSE, POINTWISE, DEPTHWISE, GROUPED = (
    "dense convolution", "pointwise convolution", "depthwise convolution", "grouped convolution",
)  # fmt: skip
LINEAR, ATTENTION, NORMALISATION, ACTIVATION, OTHER = "linear", "attention", "normalisation", "activation", "other"
# not a class of operators but what passes while none runs: Python, dispatch, launching kernels
BETWEEN = "between operators"
CLASSES: tuple[str, ...] = (
    DENSE, POINTWISE, DEPTHWISE, GROUPED, LINEAR, ATTENTION, NORMALISATION, ACTIVATION, OTHER,
)  # fmt: skip

# Operators by the name of their schema without overload and without the "_" of the in-place variant.
GENERAL_CONVOLUTIONS = frozenset({"convolution", "_convolution", "convolution_overrideable"})
CONVOLUTIONS = GENERAL_CONVOLUTIONS | {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "_conv_depthwise2d", "thnn_conv2d", "_slow_conv2d_forward",
}  # fmt: skip
# name -> position of the left and of the right factor
PRODUCTS: dict[str, tuple[int, int]] = {
    "mm": (0, 1), "bmm": (0, 1), "matmul": (0, 1), "mv": (0, 1), "dot": (0, 1), "addmm": (1, 2), "addmv": (1, 2),
    "baddbmm": (1, 2), "addbmm": (1, 2), "_addmm_activation": (1, 2),
}  # fmt: skip
LINEARS = frozenset({"linear", "mkldnn_linear", "_mkldnn_linear", "_linear_pointwise"})
RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
FUSED_ATTENTION = frozenset({
    "scaled_dot_product_attention", "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_attention_math",
    "_scaled_dot_product_attention_math_for_mps",
})  # fmt: skip
# taken apart into operators of this list before they are counted
COMPOSED = frozenset({"einsum", "chain_matmul", "linalg_multi_dot", "inner", "tensordot", "bilinear"})
_NORMALISATIONS = frozenset({
    "batch_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "_batch_norm_no_update", "_batch_norm_with_update", "_batch_norm_impl_index", "cudnn_batch_norm",
    "miopen_batch_norm", "layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm",
    "rms_norm", "_fused_rms_norm", "linalg_vector_norm", "norm", "var_mean", "std_mean", "var", "std",
})  # fmt: skip
_ACTIVATIONS = frozenset({
    "relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "silu", "gelu", "sigmoid", "tanh", "elu", "selu", "celu",
    "leaky_relu", "rrelu", "mish", "softplus", "prelu", "_prelu_kernel", "glu", "log_sigmoid", "threshold",
    "hardshrink", "softshrink",
})  # fmt: skip
_SOFTMAX = frozenset({"softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax"})
# what would multiply and add, but has no formula here: reported, never taken for free
_UNCOUNTED_PARTS = ("conv", "mm", "matmul", "attention", "attn", "fft", "lstm", "gru", "rnn", "grid_sampl", "cdist")


@functools.cache
def plain_name(schema_name: str) -> str:
    """'aten::relu_' as 'relu'; operators outside aten keep their namespace."""
    namespace, _, name = schema_name.rpartition("::")
    if not name.startswith("__"):
        name = name.rstrip("_")
    return name if namespace in ("aten", "") else f"{namespace}::{name}"


def convolution_class(in_channels: int, kernel: Sequence[int], groups: int) -> str:
    """Depthwise: one input channel a group; grouped: several; pointwise: a 1 x 1 kernel over all channels."""
    if groups > 1:
        return DEPTHWISE if groups == in_channels else GROUPED
    return POINTWISE if prod(kernel) == 1 else DENSE


def convolution_macs(weight: Sequence[int], inputs: Sequence[int], outputs: Sequence[int], *, transposed: bool) -> int:
    """Multiply-adds of a convolution, bias not counted.

    Each output value sums over (input channels / groups) x kernel values, which is what a weight of shape
    (out, in / groups, *kernel) holds an output channel. A transposed convolution (weight (in, out / groups,
    *kernel)) spreads each input value instead.
    """
    return prod(inputs if transposed else outputs) * prod(weight[1:])


def product_macs(left: Sequence[int], outputs: Sequence[int]) -> int:
    """Multiply-adds of a matrix product: every value of the result sums over the last side of the left factor."""
    return prod(outputs) * left[-1]


def attention_macs(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> int:
    """Both products of scaled dot-product attention, query x key^T and weights x value; the softmax not counted.

    Shapes are (..., length, width); keys and values of grouped-query attention count once a query head.
    """
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def recurrent_macs(inputs: Sequence[int], weights: Sequence[Sequence[int]]) -> int:
    """Of an LSTM and its like: every weight matrix multiplies a vector at each step; inputs are (..., width)."""
    return prod(inputs[:-1]) * sum(prod(shape) for shape in weights if len(shape) == 2)


def other_class(name: str) -> str:
    """The class of an operator that does no product. A softmax counts as attention, wherever it stands."""
    if name in _NORMALISATIONS:
        return NORMALISATION
    if name in _ACTIVATIONS:
        return ACTIVATION
    return ATTENTION if name in _SOFTMAX else OTHER


def uncounted(name: str) -> bool:
    """Whether an operator without a formula may well multiply and add: then it is listed, not taken as free."""
    if other_class(name) != OTHER or name == "comm":
        return False
    return "::" in name or any(part in name for part in _UNCOUNTED_PARTS)
