"""Whether a runtime computes what the network means: its output against eager fp32."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from advisor.measure.run import Parity
from advisor.measure.runtimes.interface import CannotRun

IMAGES = 2  # of the batch that are compared: networks treat images alike, and the reference takes time

# Largest difference over the largest value of the reference. A wrong conversion gives about 1, since random
# weights make outputs that have nothing in common. Rounding errors grow with depth: in fp32 to some 1e-4, with
# TF32 a thousand times coarser, in fp16 to 0.01 and in bf16 to 0.1 for most networks.
_TOLERANCE = {"fp32": 0.002, "tf32": 0.02, "fp16": 0.03, "bf16": 0.1}
# Some networks multiply rounding errors (EfficientNet-B4 in bf16: 0.3; StarNets, whose layers multiply what they make,
# in fp32: 0.01). Then eager mode in the same precision is the measure, how far fp32 is from fp64 that of fp32 itself,
# and a runtime that rounds at other places may be so many times as far off.
YARDSTICK = 3.0
_COMPARED_WITH = {"fp32": torch.float64, "fp16": torch.float16, "bf16": torch.bfloat16}


def reference(model: nn.Module, example: Tensor) -> np.ndarray:
    """Eager fp32 output for the first images of a batch, on the CPU; the network must not be cast yet."""
    with torch.inference_mode():
        return np.asarray(model(example[:IMAGES]).numpy())


def tolerance(precision: str, target: str) -> float | None:
    """What `compare` allows at a precision; None where it is not judged, as int8 depends on calibration."""
    kind = precision.removeprefix("amp-")
    if kind == "fp32" and target != "cpu":
        kind = "tf32"  # what convolutions on CUDA compute in unless told otherwise
    return _TOLERANCE.get(kind)


def eager_error(model: nn.Module, example: Tensor, expected: np.ndarray, precision: str) -> float | None:
    """How far rounding in a precision takes eager mode itself, relative; None where that is not known, as in int8.

    In fp16 and bf16 that is how far it is from the reference, in fp32 how far the reference is from fp64. The network,
    in fp32 on the CPU, is cast for good.
    """
    kind = _COMPARED_WITH.get(precision.removeprefix("amp-"))
    if kind is None:
        return None
    try:
        with torch.inference_mode():
            found = model.to(kind)(example[:IMAGES].to(kind)).float().numpy()
    except RuntimeError:  # a network that makes constants of one type whatever its weights are, or has no kernel
        return None
    return compare(expected, found, precision=precision, target="cpu").max_rel


def compare(expected: np.ndarray, found: np.ndarray, *, precision: str, target: str, at_least: float = 0.0) -> Parity:
    """How far a runtime's output is from the reference's images; not finite or of another shape is infinitely far.

    Args:
        expected: Shape (images, classes).
        found: Shape (batch, classes), with at least those images.
        at_least: What is allowed whatever the precision says; infinite where nothing is judged but that all is
            finite.
    """
    allowed = tolerance(precision, target)
    allowed = None if allowed is None or at_least == float("inf") else max(allowed, at_least)
    found = found[: len(expected)]
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Parity(float("inf"), float("inf"), allowed, ok=False)
    max_abs = float(np.abs(found.astype(np.float64) - expected).max(initial=0))
    max_rel = max_abs / max(float(np.abs(expected).max(initial=0)), float(np.finfo(np.float32).tiny))
    return Parity(max_abs, max_rel, allowed, ok=allowed is None or max_rel <= allowed)


def check(parity: Parity, *, runtime: str, precision: str) -> None:
    """Fail a run whose output is not that of the network.

    Raises:
        CannotRun: With both figures.
    """
    if parity.ok:
        return
    allowed = "finite values are expected" if parity.tolerance is None else f"{parity.tolerance:g} is allowed"
    raise CannotRun(
        f"{runtime} in {precision} computes something else than PyTorch in fp32: its output differs by "
        f"{parity.max_abs:.3g}, {parity.max_rel:.2g} of the largest value, where {allowed}; choose another runtime "
        "or precision."
    )
