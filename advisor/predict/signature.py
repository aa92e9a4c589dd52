"""What decides the time of an operator on a device, read from its shapes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from advisor.measure.run import Operator

POINTWISE, DENSE, STEM, DEPTHWISE, GROUPED, PRODUCT, ATTENTION, NORMALISATION, ELEMENTWISE, REDUCTION = CLASSES = (
    "pointwise", "dense k x k", "stem", "depthwise", "grouped convolution", "matrix product", "attention",
    "normalisation", "element-wise", "reduction",
)  # fmt: skip

# the counter's classes that are classes here too; "other" is divided by `_of_other`
_SAME = {
    "pointwise convolution": POINTWISE, "dense convolution": DENSE, "depthwise convolution": DEPTHWISE,
    "grouped convolution": GROUPED, "linear": PRODUCT, "attention": ATTENTION, "normalisation": NORMALISATION,
    "activation": ELEMENTWISE, "other": ELEMENTWISE,
}  # fmt: skip
_COLOURS = (3, 4)  # of an image, perhaps with alpha; so few channels leave vector units half empty
# make few values of many; the same names with two tensors are element-wise
_REDUCING = frozenset({
    "mean", "sum", "prod", "amax", "amin", "max", "min", "aminmax", "argmax", "argmin", "logsumexp", "all", "any",
    "topk",
})  # fmt: skip
_ADDED_TO = frozenset({"addmm", "addmv", "baddbmm", "addbmm", "_addmm_activation"})  # their first input is a bias

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """An operator of a forward pass; equal ones do equal work.

    Attributes:
        name: As PyTorch calls it: "conv2d", "linear", "cat", ...
        kind: One of `CLASSES`.
        macs: Multiply-adds of convolutions and products; 0 for all others.
        bytes: Inputs, weights and outputs, each once.
        weight_bytes: The part of `bytes` that does not grow with the batch.
        kernel_height, kernel_width: Of a convolution; the height holds all sides but the last. This and all up to
            `out_width` are 1 where the operator is no convolution.
        in_height, in_width: Of the tensor that a convolution reads, px; `out_...` of the one that it makes.
        products: Every operator with MACs is that many matrix products of (rows x inner) by (inner x columns), so
            macs = products * rows * inner * columns. A convolution: groups, output positions, input channels a
            group x kernel, output channels a group. Attention: heads, queries, both widths together, keys.
        out_values: Values that it writes.
        shapes: Of all inputs, ">", and all outputs: "1x3x8x8 4x3x3x3 > 1x4x8x8".
    """

    name: str
    kind: str
    macs: int
    bytes: int
    weight_bytes: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    groups: int
    in_channels: int
    out_channels: int
    in_height: int
    in_width: int
    out_height: int
    out_width: int
    products: int
    rows: int
    inner: int
    columns: int
    out_values: int
    shapes: str

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise ValueError(f"'{self.kind}' is no class of operators")
        if self.macs != self.products * self.rows * self.inner * self.columns:
            raise ValueError(f"{self.macs} MACs of {self.name} are not those of its matrix products")
        if not 0 <= self.weight_bytes <= self.bytes:
            raise ValueError(f"{self.weight_bytes} of {self.bytes} bytes of {self.name} cannot be weights")


def signature(operator: Operator) -> Signature:
    """The signature of an operator of a forward pass.

    Raises:
        ValueError: The counter has a class that is not known here.
    """
    convolves = bool(operator.kernel)
    inputs, outputs = operator.inputs, operator.outputs
    read, made = (inputs[0], outputs[0]) if convolves else ((1, 1), (1, 1))
    in_height, in_width = _folded(read[2:])
    out_height, out_width = _folded(made[2:])
    kernel_height, kernel_width = _folded(operator.kernel)
    stride_height, stride_width = _folded(operator.stride)
    products, rows, inner, columns = _matrices(operator)
    return Signature(
        name=operator.name, kind=_kind(operator), macs=operator.macs, bytes=operator.bytes,
        weight_bytes=operator.weight_bytes, kernel_height=kernel_height, kernel_width=kernel_width,
        stride_height=stride_height, stride_width=stride_width, groups=operator.groups, in_channels=read[1],
        out_channels=made[1], in_height=in_height, in_width=in_width, out_height=out_height, out_width=out_width,
        products=products, rows=rows, inner=inner, columns=columns, out_values=sum(map(prod, outputs)),
        shapes=f"{_text(inputs)} > {_text(outputs)}",
    )  # fmt: skip


def _kind(operator: Operator) -> str:
    if operator.kind not in _SAME:
        raise ValueError(f"the counter's class '{operator.kind}' is not known to the predictor")
    kind = _SAME[operator.kind]
    if kind in (POINTWISE, DENSE) and len(operator.kernel) == 2 and operator.inputs[0][1] in _COLOURS:
        return STEM
    fewer = operator.name in _REDUCING and prod(operator.outputs[0]) < prod(operator.inputs[0])
    return REDUCTION if operator.kind == "other" and (fewer or "_pool" in operator.name) else kind


def _matrices(operator: Operator) -> tuple[int, int, int, int]:
    """(products, rows, inner, columns) of an operator that multiplies, else zeros."""
    if not operator.macs:
        return 0, 0, 0, 0
    found = _convolved(operator) if operator.kernel else _multiplied(operator)
    # of another form, such as a recurrent layer: no matrices, but the multiply-adds are kept
    return found if prod(found) == operator.macs else (1, 1, operator.macs, 1)


def _convolved(operator: Operator) -> tuple[int, int, int, int]:
    read, made, groups = operator.inputs[0], operator.outputs[0], operator.groups
    kernel = prod(operator.kernel)
    if "transpose" in operator.name:  # each input value is spread over a kernel
        return groups, read[0] * prod(read[2:]), read[1] // groups, made[1] // groups * kernel
    return groups, made[0] * prod(made[2:]), read[1] // groups * kernel, made[1] // groups


def _multiplied(operator: Operator) -> tuple[int, int, int, int]:
    factors, made = operator.inputs[operator.name in _ADDED_TO :], operator.outputs[0]
    if "attention" in operator.name:
        query, key, value = factors[:3]
        return prod(query[:-2]), query[-2], query[-1] + value[-1], key[-2]
    left, right = factors[:2]
    if len(right) <= 2 or len(made) <= 2:  # by one matrix: all rows together
        return 1, prod(made[:-1]), left[-1], made[-1]
    return prod(made[:-2]), made[-2], left[-1], made[-1]


def _folded(sides: Shape) -> tuple[int, int]:
    """(height, width) of any number of sides, with the same product."""
    return (prod(sides[:-1]), sides[-1]) if sides else (1, 1)


def _text(shapes: tuple[Shape, ...]) -> str:
    return " ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)
