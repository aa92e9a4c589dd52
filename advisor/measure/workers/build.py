"""Networks by timm's names, with ordinary random weights, at the image size that is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import nn

from advisor.errors import UnknownName
from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers import weights

SEED = 0  # of weights and images: equal requests time equal numbers
DISTINCT = 32  # random images in a batch; more are repeated, as making them would take longer than using them
_REASON = 160  # characters of a network's own complaint that a sentence repeats


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a network once it is built, to be kept when the network itself is let go.

    Attributes:
        shape: Channels, height and width of its images.
        native: Height and width that it was designed for, px.
        params: Parameters, with the classifier.
        weights_file_mb: Parameters and buffers as stored in a file, in fp32 and MB.
        config: timm's description of its weights, with crop, mean and deviation of its images.
    """

    architecture: str
    shape: tuple[int, int, int]
    native: tuple[int, int]
    params: int
    weights_file_mb: float
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Built:
    """A network in fp32, contiguous, on the CPU, with ordinary random weights."""

    model: nn.Module
    facts: Facts


def build(architecture: str, img_size: int | None = None, *, train: bool = False) -> Built:
    """Build a network, in eval mode unless it is to be trained; the same arguments give the same weights.

    Args:
        architecture: A name that timm lists.
        img_size: Side in px; None takes the native size.
        train: Leave it in training mode.

    Raises:
        UnknownName: timm lists no such name; offers close ones.
        CannotRun: The network cannot be built at that size.
    """
    channels, height, width = native_shape(architecture)
    shape = (channels, height, width) if img_size is None else (channels, img_size, img_size)
    postponed = weights.Postponed()
    with sizes_in_words(architecture, shape[1:], (height, width)):
        with postponed:
            model = create(architecture, None if shape[1:] == (height, width) else img_size)
        weights.settle(model.eval(), postponed, seed=SEED)
        weights.calibrate(model, shape, seed=SEED)
    model.train(train)
    facts = Facts(
        architecture, shape, (height, width), sum(p.numel() for p in model.parameters()),
        sum(t.numel() * t.element_size() for t in model.state_dict().values()) / 1e6,
        dict(getattr(model, "pretrained_cfg", None) or {}),
    )  # fmt: skip
    return Built(model, facts)


def images(facts: Facts, batch_size: int) -> torch.Tensor:
    """A batch of random images, like normalised ones: mean 0, deviation 1; at most `DISTINCT` different ones."""
    few = torch.randn(min(batch_size, DISTINCT), *facts.shape, generator=torch.Generator().manual_seed(SEED))
    return repeated(few, batch_size)


def repeated(few: torch.Tensor, batch_size: int) -> torch.Tensor:
    """A batch from fewer images in turn, on their device and in their layout, with no memory beside it."""
    if len(few) == batch_size:
        return few
    plain = few.is_contiguous()
    memory_format = torch.contiguous_format if plain else torch.channels_last
    batch = torch.empty((batch_size, *few.shape[1:]), dtype=few.dtype, device=few.device, memory_format=memory_format)
    for start in range(0, batch_size, len(few)):
        batch[start : start + len(few)].copy_(few[: batch_size - start])
    return batch


@contextlib.contextmanager
def sizes_in_words(architecture: str, size: tuple[int, int], native: tuple[int, int]) -> Iterator[None]:
    """Turn whatever a network says to a size that is not its own into one sentence; of its own size it may fail.

    Raises:
        CannotRun: Names the native size.
    """
    try:
        yield
    # Networks refuse sizes by assertions, and by shapes that do not match anywhere in them.
    except (AssertionError, ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as exc:
        if size == native or is_out_of_memory(exc):
            raise
        said = " ".join(str(exc).split())[:_REASON].rstrip(".") or type(exc).__name__
        raise CannotRun(
            f"{architecture} does not take images of {_px(size)}: ask for its native size, {_px(native)} ({said})."
        ) from exc


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether memory ran out, of the GPU or under the process's limit."""
    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(exc).lower()
    return isinstance(exc, RuntimeError) and any(
        sign in words
        for sign in (
            "out of memory",
            "can't allocate memory",
            "bad_alloc",
            "not enough memory",
            "cublas_status_alloc_failed",
            "cudnn_status_alloc_failed",
        )
    )


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]} px" if size[0] == size[1] else f"{size[0]} x {size[1]} px"


def native_shape(architecture: str) -> tuple[int, int, int]:
    """Channels, height and width that the network's default weights were trained with."""
    if not timm.is_model(architecture):
        hint = "Search with 'python -m advisor models --search TEXT'."
        raise UnknownName("architecture", architecture, timm.list_models(), hint=hint)
    cfg = get_pretrained_cfg(architecture)
    channels, height, width = (3, 224, 224) if cfg is None else cfg.input_size
    return channels, height, width


def create(architecture: str, img_size: int | None) -> nn.Module:
    """The network, told the image size where it has to know it: those that do not ask for it take any."""
    if img_size is not None:
        try:
            return timm.create_model(architecture, pretrained=False, img_size=img_size)
        except TypeError as exc:
            if "img_size" not in str(exc):
                raise
    return timm.create_model(architecture, pretrained=False)
