"""One photograph on its way from JPEG to logits, stage by stage, prepared as timm prepares images for the network."""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn
from torchvision.transforms import Compose, Normalize

from advisor.measure import protocol
from advisor.measure.run import EndToEnd, Stage
from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers import timing

STAGES: tuple[str, ...] = ("decode", "resize", "normalise", "copy", "forward")
_PHOTOGRAPH = ("datasets", "images", "china.jpg")  # CC BY, shipped with scikit-learn: every installation has the same


def measure(
    forward: Callable[[], Any],
    synchronise: Callable[[], None],
    model: nn.Module,
    shape: tuple[int, int, int],
    *,
    batch_size: int = 1,
    target: str = "cpu",
    dtype: torch.dtype = torch.float32,
    layout: str = "nchw",
    clock: Callable[[], float] = time.perf_counter,
    limits: protocol.Limits = protocol.SHORT,
    say: timing.Say = lambda _: None,
) -> EndToEnd:
    """Time all stages in turn, pass after pass, so that each finds the caches as the one before leaves them.

    Images are decoded and resized one after the other, in one thread, from a file that is in memory.

    Args:
        forward: A forward pass of one batch, as `Prepared.run`. It may run on an example of its own: values of
            the image make no difference to the time.
        synchronise: As `Prepared.synchronise`.
        model: Only its data configuration is read: crop, interpolation, mean and standard deviation.
        shape: Channels, height and width of the images that the network takes.
        batch_size: Of `forward`; all other stages handle as many images.
        dtype: What the batch is cast to on its way to the device.

    Returns:
        Shares of the sum of the stages' medians; the total is the median of whole passes.

    Raises:
        CannotRun: The photograph is missing, or the network does not take colour images.
    """
    if shape[0] != 3:
        raise CannotRun(f"The end-to-end time needs a network for images of 3 channels; this one takes {shape[0]}.")
    to_size, to_values = transforms(model, shape)
    path = photograph()
    encoded = path.read_bytes()
    memory_format = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    spent: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def one_pass() -> float:
        marks = [clock()]
        images = [Image.open(io.BytesIO(encoded)).convert("RGB") for _ in range(batch_size)]
        marks.append(clock())
        images = [to_size(image) for image in images]
        marks.append(clock())
        values: list[Tensor] = [to_values(image) for image in images]
        marks.append(clock())
        torch.stack(values).to(target, dtype, memory_format=memory_format)
        synchronise()
        marks.append(clock())
        forward()
        synchronise()
        marks.append(clock())
        for stage, start, end in zip(STAGES, marks, marks[1:], strict=False):
            spent[stage].append(1000 * (end - start))
        return 1000 * (marks[-1] - marks[0])

    def passes(n: int) -> float:
        return sum(one_pass() for _ in range(n)) / n

    step_s = protocol.clock_step_s(clock)
    with timing.no_garbage_collection():
        total = protocol.measure(passes, clock=clock, clock_resolution_s=step_s, limits=limits, say=say)
    # the warm-up lies before the passes that were kept
    kept = total.n_samples * total.block
    medians = {stage: float(np.median(times[-kept:])) for stage, times in spent.items()}
    whole = sum(medians.values())
    stages = tuple(Stage(name, ms, ms / whole if whole else 0.0) for name, ms in medians.items())
    with Image.open(path) as image:
        name = f"{path.name} of scikit-learn, {image.width} x {image.height} px"
    return EndToEnd(name, stages, total.p50)


def photograph() -> Path:
    """The JPEG that scikit-learn ships, found without importing it (0.5 s).

    Raises:
        CannotRun: It is not installed.
    """
    spec = importlib.util.find_spec("sklearn")
    path = Path(spec.origin or "").parent.joinpath(*_PHOTOGRAPH) if spec else Path()
    if not path.is_file():
        raise CannotRun(
            "The end-to-end time needs the photograph that scikit-learn ships; install it with "
            "'pip install scikit-learn'."
        )
    return path


def transforms(model: nn.Module, shape: tuple[int, int, int]) -> tuple[Compose, Compose]:
    """timm's own transform of an image for evaluation, cut where the photograph has the network's size.

    Returns:
        Photograph to image of `shape`, and image to normalised values.
    """
    config = resolve_data_config({"input_size": shape}, model=model)  # type: ignore[no-untyped-call]
    steps = create_transform(**config).transforms
    # the last two are ToTensor and Normalize whatever comes before: border, squash or centre crop
    if not isinstance(steps[-1], Normalize):
        raise CannotRun("timm prepares images for this network in a way that cannot be split into stages.")
    return Compose(steps[:-2]), Compose(steps[-2:])
