"""What is measured beside the latency when it is asked for; a part that cannot be becomes a note, not a failure."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import nn

from advisor.measure import protocol
from advisor.measure.lines import Progress
from advisor.measure.request import Request
from advisor.measure.run import BatchPoint, EndToEnd, Features, Latency, Throughput, Training, Work
from advisor.measure.runtimes import eager
from advisor.measure.runtimes.interface import Prepared, Runtime
from advisor.measure.runtimes.watched_passes import waiting
from advisor.measure.workers import (
    build,
    end_to_end,
    failures,
    features,
    node_times,
    operator_times,
    operators,
    throughput,
    timing,
    training,
)

_LEAST_S = 1.0  # no part is begun with less
_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "amp-fp16": 2, "amp-bf16": 2, "int8": 1}
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
T = TypeVar("T")


@dataclass(slots=True)
class Parts:
    """The measured parts of a run, each None until it is there.

    Attributes:
        until_s: By `time.monotonic`; parts that know how share the time that is left.
        notes: What a reader must know, one sentence each.
        counted: Operators of one batch, in fp32; None where they could not be counted.
    """

    request: Request
    threads: int
    runtime: Runtime
    until_s: float
    say: Callable[[Progress], None]
    notes: list[str] = field(default_factory=list)
    counted: operators.Count | None = None
    work: Work | None = None
    throughput: Throughput | None = None
    training: Training | None = None
    end_to_end: EndToEnd | None = None
    features: Features | None = None

    @property
    def left_s(self) -> float:
        """Time that is left for all parts."""
        return self.until_s - time.monotonic()

    def count(self, built: build.Built) -> None:
        """Count the operators of one batch; from shapes alone, before the network is moved or cast."""
        example = torch.empty(self.request.batch_size, *built.facts.shape, device="meta")
        self.counted = self._tried("The work of a pass", lambda: operators.count(built.model, example))
        if self.counted is not None and self.counted.uncounted:
            self.notes.append(f"Not counted among the MACs: {', '.join(self.counted.uncounted)}.")

    def measure(self, prepared: Prepared, facts: build.Facts, latency: Latency) -> None:
        """Measure all that is asked for; short parts first, those that can use any time last."""
        if self.counted is not None:
            width = _BYTES.get(prepared.precision_used, 4)
            self.work = Work(self.counted.macs, self.counted.bytes * width / 4, (), self.counted.counter)
        asked = self.request.extras
        if "operators" in asked:
            self.say(Progress("timing operators"))
            profiled = self._part("Times of operators", lambda: self._operators(prepared, facts, latency))
            self.work = profiled or self.work
        if "end-to-end" in asked:
            self.say(Progress("end to end"))
            self.end_to_end = self._part("The way from JPEG to result", lambda: self._end_to_end(prepared, facts))
        if "features" in asked:
            self.say(Progress("backbone"))
            self.features = self._part("The backbone", lambda: self._features(facts))
        if "train" in asked:
            self.say(Progress("training"))
            self.training = self._part("The training step", self._training)
        if "throughput" in asked:
            self.throughput = self._part("The batch sweep", lambda: self._throughput(prepared, facts, latency))

    def _part(self, name: str, work: Callable[[], T]) -> T | None:
        if self.left_s < _LEAST_S:
            self.notes.append(f"{name}: no time was left to measure it; raise --time-limit.")
            return None
        return self._tried(name, work)

    def _tried(self, name: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        # A network can fail in any way that its code can, and the latency is already there: it must not be lost.
        except Exception as exc:
            traceback.print_exc()
            self.notes.append(f"{name} could not be measured: {failures.in_words(exc, self.request)}")
            return None

    def _operators(self, prepared: Prepared, facts: build.Facts, latency: Latency) -> Work | None:
        model, run, request = prepared.model, prepared.run, self.request
        if model is None or prepared.nodes:
            return self._steps(prepared, latency)
        if request.runtime == "pytorch-compile":  # it has not told of its steps: eager mode's stand for them
            example = eager.place(model, build.images(facts, request.batch_size), request)
            run = eager.prepared(model, model, example, request).run
            self.notes.append("Times of operators are those of eager mode, scaled to the compiled network's latency.")
        return operator_times.profile(
            run, operators.weights_of(model), p50_ms=latency.p50, synchronise=prepared.synchronise,
            target=request.target, bytes_per_value=_BYTES.get(prepared.precision_used),
            budget_s=min(operator_times.BUDGET_S, 0.2 * self.left_s),
            wait=waiting(request, synchronise=prepared.synchronise),
        )  # fmt: skip

    def _steps(self, prepared: Prepared, latency: Latency) -> Work | None:
        if not prepared.nodes or self.counted is None:
            self.notes.append(f"{self.request.runtime} does not tell here what its steps take.")
            return None
        self.notes.append(
            f"Times of operators are those of {self.request.runtime}'s own steps: a convolution, product or "
            "attention with all that is fused into it; what only moves values counts as other."
        )
        return node_times.work(
            self.counted.operators, prepared.nodes, p50_ms=latency.p50,
            least_ms=latency.fullest_ms, watching_ms=prepared.watching_ms,
            bytes_per_value=_BYTES.get(prepared.precision_used, 4),
        )  # fmt: skip

    def _end_to_end(self, prepared: Prepared, facts: build.Facts) -> EndToEnd:
        described = nn.Module()  # only its description is read
        described.pretrained_cfg = facts.config  # type: ignore[assignment]
        return end_to_end.measure(
            prepared.run, prepared.synchronise, described, facts.shape, batch_size=self.request.batch_size,
            target=self.request.target if prepared.model is not None else "cpu",
            dtype=_TYPES.get(self.request.precision, torch.float32), layout=self.request.layout,
            limits=self._limits(),
        )  # fmt: skip

    def _features(self, facts: build.Facts) -> Features:
        height, width = self.request.features_hw or facts.shape[1:]
        return features.measure(
            facts.architecture, height, width, batch_size=self.request.batch_size, target=self.request.target,
            precision=self.request.precision, layout=self.request.layout,
            limits=self._limits(),
        )  # fmt: skip

    def _training(self) -> Training:
        found, notes = training.measure(self.request, limits=self._limits())
        self.notes += notes
        if self.request.runtime == "pytorch-compile":
            self.notes.append("The training step is that of eager mode, not of the compiled network.")
        if found.ci95 is None:
            self.notes.append(f"The training step is the median of only {_steps(found.n_samples)}; raise --time-limit.")
        return found

    def _throughput(self, prepared: Prepared, facts: build.Facts, latency: Latency) -> Throughput:
        request = self.request
        known = BatchPoint(
            request.batch_size, request.batch_size * 1000 / latency.p50, latency.p50, latency.n_samples
        )  # fmt: skip

        def at(batch_size: int) -> BatchPoint:
            self.say(Progress("batch sweep", done=batch_size, detail="images a batch"))
            if batch_size == request.batch_size:
                return known
            model = prepared.model or build.build(facts.architecture, request.img_size).model
            ready = self.runtime.prepare(
                model, build.images(facts, batch_size), request, threads=self.threads, say=lambda _: None
            )
            p50 = timing.latency(ready, request.target, limits=self._limits()).latency
            return BatchPoint(batch_size, 1000 * batch_size / p50.p50, p50.p50, p50.n_samples)

        found = throughput.sweep(
            at,
            clock=time.monotonic,
            budget_s=self.left_s,
            is_out_of_memory=lambda exc: failures.of_memory(exc, request),
            in_words=lambda exc: failures.in_words(exc, request),
        )
        few = throughput.FEWEST_SAMPLES
        if thin := ", ".join(str(point.batch_size) for point in found.curve if point.n_samples < few):
            self.notes.append(
                f"Throughput at batch {thin} is from fewer than {few} samples, too few to decide the best batch size; "
                "raise --time-limit."
            )
        return found

    def _limits(self) -> protocol.Limits:
        """For one of many short measurements in the time that is left."""
        return replace(protocol.SHORT, max_s=min(protocol.SHORT.max_s, 0.3 * max(self.left_s, _LEAST_S)))


def _steps(n: int) -> str:
    return "1 step" if n == 1 else f"{n} steps"
