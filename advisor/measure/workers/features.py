"""A network as a backbone: the feature maps that a detector or segmenter takes from it, at any height and width."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor

from advisor.measure import protocol
from advisor.measure.request import Request
from advisor.measure.run import Features
from advisor.measure.runtimes import eager
from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers import build, timing, weights

# timm refuses with whatever the network's own code meets first
_REFUSALS = (AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
_REASON = 160  # characters of timm's own complaint that a sentence repeats


def measure(
    architecture: str,
    height: int,
    width: int,
    *,
    batch_size: int = 1,
    target: str = "cpu",
    precision: str = "fp32",
    layout: str = "nchw",
    limits: protocol.Limits = protocol.SHORT,
    say: timing.Say = lambda _: None,
) -> Features:
    """Time timm's `features_only` variant in eager mode, with as many threads as PyTorch now has.

    Args:
        height: Of the images, px; so is `width`.
        precision: One that PyTorch can be asked for.

    Returns:
        With the latency of one batch.

    Raises:
        CannotRun: timm has no feature maps of this architecture, or not at this size.
    """
    request = Request(
        architecture=architecture, target=target, precision=precision, layout=layout, batch_size=batch_size
    )
    model = backbone(architecture, height, width)
    example = eager.place(model, _images(model, batch_size, height, width), request)
    prepared = eager.prepared(model, model, example, request)
    with build.sizes_in_words(architecture, (height, width), _native(model)), eager.kernels_in_words(request):
        found = timing.latency(prepared, target, limits=limits, say=say).latency
    info = model.feature_info
    return Features(
        height, width, found.p50, protocol.known_interval(found),
        tuple(int(r) for r in info.reduction()), tuple(int(c) for c in info.channels()), found.n_samples,
    )  # fmt: skip


def backbone(architecture: str, height: int, width: int) -> Any:
    """timm's `features_only` variant for images of that size: eval mode, ordinary weights, on the CPU.

    Raises:
        CannotRun: timm has none of this architecture, or not at this size.
    """
    postponed = weights.Postponed()
    with postponed:
        model = _create(architecture, height, width)
    weights.settle(model.eval(), postponed, seed=build.SEED)
    with build.sizes_in_words(architecture, (height, width), _native(model)):
        weights.calibrate(model, (_channels(model), height, width), seed=build.SEED)
    return model


def _create(architecture: str, height: int, width: int) -> Any:
    """Told the size where it has to know it: those that do not ask for it take any."""
    attempts: tuple[dict[str, Any], ...] = ({"img_size": (height, width)}, {})
    for size in attempts:
        try:
            return timm.create_model(architecture, pretrained=False, features_only=True, **size)
        except _REFUSALS as exc:
            if size and isinstance(exc, TypeError) and "img_size" in str(exc):
                continue
            said = " ".join(str(exc).split())[:_REASON] or type(exc).__name__
            raise CannotRun(
                f"timm has no feature maps of {architecture} at {height} x {width} px ({said}); try another size or "
                "architecture."
            ) from exc
    raise AssertionError("the second attempt names no image size")


def _images(model: Any, batch_size: int, height: int, width: int) -> Tensor:
    """Random images like normalised ones; the same arguments give the same ones."""
    generator = torch.Generator().manual_seed(build.SEED)
    return torch.randn(batch_size, _channels(model), height, width, generator=generator)


def _channels(model: Any) -> int:
    return int(model.pretrained_cfg["input_size"][0])


def _native(model: Any) -> tuple[int, int]:
    _, height, width = model.pretrained_cfg["input_size"]
    return int(height), int(width)
