"""One training step: forward, loss, backward and optimiser, on random images and labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from advisor.measure import protocol
from advisor.measure.lines import Progress
from advisor.measure.request import Request
from advisor.measure.run import Training
from advisor.measure.runtimes import eager
from advisor.measure.workers import build
from advisor.measure.workers.memory import Meter
from advisor.measure.workers.timing import Stopwatch, no_garbage_collection

# A step of one image says nothing of training, and batch norm refuses it where maps have shrunk to one value.
BATCH_SIZE = 8
# as timm's own benchmark script
_OPTIMISER = "SGD, momentum 0.9"
_LEARNING_RATE = 1e-4  # small, so that the values stay ordinary however many steps there are
NO_CLASSIFIER = "The network has no classifier of classes: its outputs stood in for them in the training step."


class Step:
    """A network in training mode on one batch; calling it makes one step.

    Attributes:
        precision: "fp32", or "amp-fp16" or "amp-bf16": weights are always fp32, as training in half precision
            alone does not converge.
        notes: What a reader must know.
    """

    def __init__(self, request: Request, batch_size: int) -> None:
        built = build.build(request.architecture, request.img_size, train=True)
        self.precision = "fp32" if request.precision == "fp32" else f"amp-{request.precision.removeprefix('amp-')}"
        plain = Request(
            architecture=request.architecture, target=request.target, precision=self.precision, layout=request.layout
        )
        self._model: nn.Module = built.model
        few = eager.place(built.model, build.images(built.facts, min(batch_size, build.DISTINCT)), plain)
        self._images = build.repeated(few, batch_size)
        self._autocast = eager.autocast_of(plain)
        self._optimiser = torch.optim.SGD(built.model.parameters(), lr=_LEARNING_RATE, momentum=0.9)
        fp16_on_gpu = self.precision == "amp-fp16" and request.target.startswith("cuda")
        self._scaler: Any = torch.amp.GradScaler("cuda", enabled=fp16_on_gpu)
        self._labels: Tensor | None = None
        self.notes = () if getattr(built.model, "num_classes", 0) == 1000 else (NO_CLASSIFIER,)

    def __call__(self) -> None:
        """One step."""
        self._optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            logits = self._model(self._images)
            # networks with a distilled head give two outputs
            logits = logits[0] if isinstance(logits, (tuple, list)) else logits
            logits = logits.flatten(1)
            loss = functional.cross_entropy(logits.float(), self._labels_for(logits))
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimiser)
        self._scaler.update()

    def _labels_for(self, logits: Tensor) -> Tensor:
        if self._labels is None:
            generator = torch.Generator().manual_seed(build.SEED)
            labels = torch.randint(logits.shape[1], (len(logits),), generator=generator)
            self._labels = labels.to(logits.device)
        return self._labels


def measure(
    request: Request, *, limits: protocol.Limits = protocol.SHORT, say: Callable[[Progress], None] = lambda _: None
) -> tuple[Training, tuple[str, ...]]:
    """Time of a training step, with notes; batch sizes below 2 are trained with `BATCH_SIZE` images."""
    meter = Meter(request.target)
    meter.reset()
    batch_size = request.batch_size if request.batch_size > 1 else BATCH_SIZE
    step = Step(request, batch_size)
    watch = Stopwatch(step, eager.synchroniser(request.target))
    with no_garbage_collection(), torch.enable_grad(), eager.kernels_in_words(request):
        found = protocol.measure(
            watch, clock=time.perf_counter, clock_resolution_s=protocol.clock_step_s(time.perf_counter),
            limits=limits, say=say,
        )  # fmt: skip
    training = Training(
        batch_size=batch_size,
        precision=step.precision,
        optimiser=_OPTIMISER,
        step_ms=found.p50,
        ci95=protocol.known_interval(found),
        throughput_per_s=1000 * batch_size / found.p50,
        times_ms=found.times_ms,
        peak_memory_mb=meter.peak_mb,
        stopped=found.stopped,
    )
    return training, step.notes
