"""Cost profiles made by hand: operators as the counter sees them, and three small networks of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.predict.profile import CostProfile, NotCounted
from advisor.predict.signature import Signature, signature

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """An operator as the counter sees it."""

    name: str
    kind: str
    macs: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    kernel: Shape = ()
    stride: Shape = ()
    groups: int = 1
    bytes: int = 1000
    weight_bytes: int = 100


def conv(channels: int, made: int, *, kernel: Shape = (3, 3), groups: int = 1, kind: str, size: int = 10) -> Signature:
    weight = (made, channels // groups, *kernel)
    macs = size * size * int(np.prod(weight))
    return signature(Seen(
        "conv2d", kind, macs, ((1, channels, size, size), weight), ((1, made, size, size),), kernel, (1, 1), groups,
    ))  # fmt: skip


CONV = conv(16, 32, kind="dense convolution")
POINT = conv(16, 32, kernel=(1, 1), kind="pointwise convolution")
RELU = signature(Seen("relu", "activation", 0, ((1, 32),), ((1, 32),), weight_bytes=0))
SMALL = CostProfile("small", 10, 500, ((CONV, 1), (RELU, 2)), (), "counter 1", "1.0")
LARGE = CostProfile("large", 10, 900, ((CONV, 3), (POINT, 1), (RELU, 4)), ("fft",), "counter 1", "1.0")
LARGE_AT_5 = CostProfile("large", 5, 900, ((POINT, 2),), (), "counter 1", "1.0")
BAD = NotCounted("odd", 7, "odd does not take images of 7 px: ask for its native size, 8 px (no).")
