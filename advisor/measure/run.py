"""One finished measurement and its parts, as the worker reports and the store keeps them.

Units are in the names: ms, MB (10^6 bytes), images per second, MACs. A part that was not asked for, or could
not be measured, is None; `notes` then says why. Values are rounded only where they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from advisor.measure.request import Request
from advisor.measure.stretches import Stretch

Status = Literal["ok", "failed", "cancelled", "interrupted"]
Steadiness = Literal["steady", "noisy"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Forward passes of one batch.

    Attributes:
        times_ms: Every raw time in order; with `block` above 1 each is the mean of `block` passes.
        block: Passes between two readings of the clock.
        p99: None below 100 samples.
        mad: Median absolute deviation from the median, unscaled.
        ci95: Bootstrap 95 % interval of the median.
        cold_start_ms: The very first pass of the network once it is ready for its runtime; of a compiled one with
            compiling. PyTorch itself is warm by then: it has run the network to draw its weights.
        settled: Whether warm-up reached two successive windows within 3 %.
        warmup_passes: Passes before the first kept one.
        stopped: "precise", or "time limit" where the interval is still wider than asked for.
        timer: "wall clock" or "CUDA events", whichever the times are from.
        dropped: Readings left out because the clock stood still or went backwards.
        pulses: The machine's pulse between the times, see `workers.pulse`: how many of them were there when it was
            taken, and its ms; in order.
        stretch: What they say beside their pulses; None in runs without.
    """

    times_ms: tuple[float, ...]
    block: int
    p50: float
    p90: float
    p99: float | None
    mad: float
    ci95: tuple[float, float]
    cold_start_ms: float
    settled: bool
    warmup_passes: int
    stopped: str
    timer: str
    dropped: int = 0
    pulses: tuple[tuple[int, float], ...] = ()
    stretch: Stretch | None = None

    @property
    def n_samples(self) -> int:
        """How many raw times there are."""
        return len(self.times_ms)

    @property
    def fullest_ms(self) -> float:
        """Of one pass at the fullest pace that the machine was at; the median where its pace is not known."""
        return self.p50 if self.stretch is None else self.stretch.at(self.stretch.least_ms)


@dataclass(frozen=True, slots=True)
class BatchPoint:
    """Throughput at one batch size: p50 of `n_samples` samples."""

    batch_size: int
    throughput_per_s: float
    latency_ms: float
    n_samples: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """A sweep over batch sizes; `stopped` says why it ended (no longer rising, memory, time)."""

    curve: tuple[BatchPoint, ...]
    best_batch_size: int
    best_per_s: float
    stopped: str


@dataclass(frozen=True, slots=True)
class Training:
    """Forward, backward and optimiser step of one batch.

    Attributes:
        ci95: Of the median; None for fewer than five steps, whose range says little of it.
        stopped: As of `Latency`; None in runs of versions that did not keep it.
    """

    batch_size: int
    precision: str
    optimiser: str
    step_ms: float
    ci95: tuple[float, float] | None
    throughput_per_s: float
    times_ms: tuple[float, ...]
    peak_memory_mb: float | None
    stopped: str | None = None

    @property
    def n_samples(self) -> int:
        """How many raw times there are."""
        return len(self.times_ms)


@dataclass(frozen=True, slots=True)
class LargestBatch:
    """The largest batches that ran three full passes, and what is left of them after 10 % headroom.

    `advised_...` is None where something else than memory ended the search: the batch is then a lower bound.
    """

    infer: int | None
    train: int | None
    advised_infer: int | None
    advised_train: int | None
    limit: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Peaks while timing: of the GPU's allocator, or of the process above its state before building."""

    peak_allocated_mb: float | None
    peak_reserved_mb: float | None
    peak_rss_mb: float | None
    weights_file_mb: float


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the runtime's output is from eager fp32 on the same input and weights.

    Attributes:
        max_rel: Largest absolute difference over the largest absolute value of the reference.
        tolerance: What `max_rel` may be at this precision; None where it is not judged (int8).
    """

    max_abs: float
    max_rel: float
    tolerance: float | None
    ok: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an image's way from JPEG to logits, p50, and its share of the whole."""

    name: str
    latency_ms: float
    share: float


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """One JPEG at a time: decode, resize, normalise, copy, forward."""

    image: str
    stages: tuple[Stage, ...]
    total_ms: float


@dataclass(frozen=True, slots=True)
class Features:
    """`features_only` at a given size: what a detector or segmenter would pay for the backbone.

    Attributes:
        ci95: Of the median; None for fewer than five samples.
        n_samples: None in runs of versions that did not keep it.
    """

    height: int
    width: int
    latency_ms: float
    ci95: tuple[float, float] | None
    reductions: tuple[int, ...]
    channels: tuple[int, ...]
    n_samples: int | None = None


@dataclass(frozen=True, slots=True)
class OperatorClass:
    """One class of operators: its time, its share of the sum over operators, its MACs."""

    name: str
    time_ms: float
    share: float
    macs: float


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a forward pass, as counted from its shapes.

    Attributes:
        name: As PyTorch calls it, without namespace: "conv2d", "linear", ...
        kind: One of `workers.operator_classes.CLASSES`.
        macs: Multiply-adds of products and convolutions; 0 for everything else, as element-wise work is none.
        bytes: Inputs, weights and outputs, each once.
        weight_bytes: The part of `bytes` that does not grow with the batch.
        kernel: (height, width) of a convolution, else empty; `stride` likewise.
        groups: Of a convolution, else 1.
        inputs: Shapes of the tensors that it reads, weights included, in the order of its arguments.
        outputs: Shapes of the tensors that it makes.
    """

    name: str
    kind: str
    macs: int
    bytes: int
    weight_bytes: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    groups: int
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


# Vectors of CPUs hold that many values; ONNX Runtime computes convolutions in blocks of as many channels, and tells the
# shapes of whole blocks.
BLOCK = 16
# What stand among timed operators for all of a pass that is none of them, one of each class that takes any time: steps
# that only move values, that normalise by batch, and all others. See `workers.node_times`.
MOVES, BATCH_NORMS, REST = RESTS = (
    "all other steps that move values", "all other steps that normalise by batch", "all other steps",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TimedOperator(Operator):
    """Operators of a pass that do the same work on the same shapes.

    Attributes:
        count: How often a pass runs it.
        time_ms: Of one of them, the median over calls and passes, as it was watched.
    """

    count: int
    time_ms: float


@dataclass(frozen=True, slots=True)
class Work:
    """What one forward pass of the batch does, from which its place under the roof follows.

    Attributes:
        macs: Multiply-adds of the batch.
        bytes: Weights plus inputs and outputs of every operator once, at the precision used.
        operators: Classes by time, largest first.
        counter: Who counted, with version.
        timed: Every distinct operator in the order in which each is first run; views are none. Not scaled: their sum
            is what a pass takes while it is watched. Of a runtime that fuses operators its convolutions, products and
            attention, and `RESTS`.
    """

    macs: float
    bytes: float
    operators: tuple[OperatorClass, ...]
    counter: str
    timed: tuple[TimedOperator, ...] = ()


@dataclass(frozen=True, slots=True)
class Roof:
    """What this machine can do at one precision: best of several large products and copies.

    Attributes:
        macs_per_s: Achieved multiply-adds per second of a large matrix product.
        bytes_per_s: Achieved memory traffic (reads plus writes) of a large copy.
    """

    precision: str
    threads: int
    macs_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine was while timing, beside ourselves.

    Attributes:
        other_cores: Cores' worth of time that other processes took.
        steal_share: Share of time that the hypervisor withheld.
        throttled: Throttling that was seen, in words, or empty.
    """

    other_cores: float
    steal_share: float
    throttled: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a worker found out about one request; nothing of it is ever changed.

    Attributes:
        img_size: Side in px that was really run.
        threads: Intra-operator threads that were really used.
        precision_used: The precision that was read back from the runtime, never the one asked for.
        params: Parameters of the network with its classifier.
        work: None where the network could not be counted.
        environment: What `machine.describe` and the runtime say, plain JSON values.
        notes: What could not be measured and why, one sentence each.
        seconds: Wall time by phase: "start", "build", "convert", "warm up", "time", ...
    """

    img_size: int
    threads: int
    precision_used: str
    params: int
    latency: Latency
    memory: Memory
    load: Load
    environment: dict[str, Any]
    seconds: dict[str, float]
    parity: Parity | None = None
    throughput: Throughput | None = None
    training: Training | None = None
    largest_batch: LargestBatch | None = None
    end_to_end: EndToEnd | None = None
    features: Features | None = None
    work: Work | None = None
    roof: Roof | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One request with how it ended; `measured` is there exactly when the status is "ok".

    Attributes:
        run_id: Sortable by time of start; unique.
        device_id: The store's id of the device that was measured.
        started_at: UTC, ISO 8601, to the second.
        verdict: "steady" or "noisy", None where it failed; `verdict_reasons` says why, one sentence each.
        sweep_id: The sweep it belongs to, or "".
    """

    run_id: str
    job_id: str
    sweep_id: str
    status: Status
    reason: str
    device_id: str
    request: Request
    started_at: str
    seconds: float
    verdict: Steadiness | None = None
    verdict_reasons: tuple[str, ...] = ()
    measured: Measured | None = field(default=None)

    def __post_init__(self) -> None:
        if (self.measured is not None) != (self.status == "ok"):
            raise ValueError(f"run {self.run_id} is '{self.status}' but measured is {self.measured is not None}")

    @property
    def throughput_per_s(self) -> float | None:
        """Images per second at the run's own batch size, from its p50."""
        return None if self.measured is None else self.request.batch_size * 1000 / self.measured.latency.p50

    @property
    def peak_memory_mb(self) -> float | None:
        """The peak that counts: of the GPU's allocator, or on a CPU of the process above its state before building.

        A GPU run whose runtime does not tell is None: memory of the host is another thing.
        """
        if self.measured is None:
            return None
        memory = self.measured.memory
        return memory.peak_rss_mb if self.request.target == "cpu" else memory.peak_allocated_mb

    @property
    def roof_fraction(self) -> float | None:
        """Achieved MACs per second over what the roof allows at the run's arithmetic intensity.

        Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009: min(peak, intensity x bandwidth). None where the
        roof is of another precision than was used: a CPU's roof in fp16 may be a hundredth of its roof in bf16.
        """
        found = self.measured
        if found is None or found.work is None or found.roof is None or not found.work.bytes:
            return None
        if found.roof.precision != product_precision(found.precision_used):
            return None
        attainable = min(found.roof.macs_per_s, found.work.macs / found.work.bytes * found.roof.bytes_per_s)
        return found.work.macs / (found.latency.p50 / 1000) / attainable


def product_precision(precision: str) -> str:
    """The type in which products are computed: under mixed precision the narrow one."""
    return precision.removeprefix("amp-")
