"""One measurement in a process of its own: build the network, get the runtime ready, time it and the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl
import torch

from advisor.measure import machine, protocol
from advisor.measure.lines import Progress
from advisor.measure.request import Request
from advisor.measure.run import Latency, Measured, Parity
from advisor.measure.runtimes import eager, interface
from advisor.measure.runtimes.interface import CannotRun, Prepared, Runtime
from advisor.measure.workers import allocator, build, failures, parity, timing
from advisor.measure.workers.memory import Meter
from advisor.measure.workers.parts import Parts
from advisor.measure.workers.pulse import pulse

# of the time limit; the rest is for ending, and for what takes longer than expected
USABLE_SHARE = 0.9
# progress stage -> phase of `Measured.seconds`
_PHASES = {
    "building": "build", "converting": "convert", "quantising": "convert",
    "compiling": "convert", "warming up": "warm up", "timing": "time",
}  # fmt: skip
# of the environment, what may change while a network runs
_CHANGING = ("cpu_clock_mhz", "load_average", "memory_available_mb", "gpu")
_POOL_FACTS = ("user_api", "internal_api", "num_threads", "version")
_IN_TORCH = ("pytorch-eager", "pytorch-compile")
Say = Callable[[Progress], None]


class Phases:
    """Passes progress on, and adds up how long each phase takes, in s."""

    def __init__(self, say: Say, clock: Callable[[], float], began_s: float) -> None:
        self._say, self._clock = say, clock
        self._phase, self._since = "start", began_s
        self.seconds: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        self.enter(_PHASES.get(progress.stage, progress.stage))
        self._say(progress)

    def enter(self, phase: str) -> None:
        """Another phase begins, unless it is the one already under way."""
        if phase != self._phase:
            now = self._clock()
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
            self._phase, self._since = phase, now


def measure(request: Request, say: Say, *, began_s: float | None = None) -> Measured:
    """Measure one request in this process, which must be fresh.

    The largest batch is not looked for here: that needs processes of its own, see `largest_batch`.

    Args:
        request: What to measure.
        say: Takes progress.
        began_s: When the request came in, by `time.monotonic`.

    Raises:
        UnknownName, CannotRun, protocol.ClockUnusable: In one sentence.
        Exception: Whatever the network or the runtime raises; `failures.in_words` makes a sentence of it.
    """
    began_s = time.monotonic() if began_s is None else began_s
    phases = Phases(say, time.monotonic, began_s)
    phases(Progress("building"))
    threads, runtime, kept = set_threads(request.threads), _runtime(request), allocator.keep_freed_memory()
    parts = Parts(request, threads, runtime, began_s + USABLE_SHARE * request.time_limit_s, phases)
    meter = Meter(request.target, in_torch=request.runtime in _IN_TORCH)
    built = build.build(request.architecture, request.img_size)
    facts = built.facts
    parts.count(built)
    expected = _reference(request, built, phases)
    prepared = _prepare(request, runtime, built, threads, phases)
    del built  # a runtime with weights of its own needs the network no more: it is not to be counted as memory

    phases.enter("settle")
    before = machine.environment(request.target)
    load = machine.LoadMeter(request.target)
    meter.reset()
    load.start()
    timed = _latency(request, prepared, facts, parts.left_s, phases)
    phases.enter("finish")
    found_load, memory = load.stop(), meter.peaks(facts.weights_file_mb)
    found_parity = _judged(request, prepared, expected, parts, timed.latency)
    parts.notes[:0] = (*prepared.notes, *_size_note(facts), *filter(None, [meter.note()]))
    parts.measure(prepared, facts, timed.latency)
    after = machine.environment(request.target)
    phases.enter("end")
    return Measured(
        img_size=facts.shape[2],
        threads=prepared.threads_used or threads,
        precision_used=prepared.precision_used,
        params=facts.params,
        latency=timed.latency,
        memory=memory,
        load=found_load,
        environment=before | {"freed_memory_kept": kept} | _state(prepared, timed, after),
        seconds=phases.seconds,
        parity=found_parity,
        throughput=parts.throughput,
        training=parts.training,
        end_to_end=parts.end_to_end,
        features=parts.features,
        work=parts.work,
        notes=tuple(parts.notes),
    )


def set_threads(threads: int | None) -> int:
    """Use so many threads inside operators and one beside them; None takes the cores that this process may use."""
    threads = threads or machine.usable_threads()
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return threads


def _runtime(request: Request) -> Runtime:
    runtime = interface.load(request.runtime)
    if (reason := runtime.missing()) is not None:
        raise CannotRun(reason)
    return runtime


def _reference(request: Request, built: build.Built, phases: Phases) -> np.ndarray | None:
    """What the network means, before a runtime changes it; None for eager fp32, which is the reference itself."""
    if request.runtime == "pytorch-eager" and request.precision == "fp32":
        return None
    phases.enter("reference")
    facts = built.facts
    with build.sizes_in_words(facts.architecture, facts.shape[1:], facts.native):
        return parity.reference(built.model, build.images(facts, min(request.batch_size, parity.IMAGES)))


def _prepare(request: Request, runtime: Runtime, built: build.Built, threads: int, phases: Phases) -> Prepared:
    phases.enter("convert")
    example = build.images(built.facts, request.batch_size)
    return runtime.prepare(
        built.model, example, request, threads=threads, say=lambda stage: phases(Progress(stage))
    )  # fmt: skip


def _latency(
    request: Request, prepared: Prepared, facts: build.Facts, left_s: float, phases: Phases
) -> timing.Timed:  # fmt: skip
    limits = protocol.limits_within(max(left_s, 1.0), request.timing_s)
    with (
        build.sizes_in_words(facts.architecture, facts.shape[1:], facts.native),
        eager.kernels_in_words(request),
    ):
        take = pulse(request.target, synchronise=eager.synchroniser(request.target))
        return timing.latency(prepared, request.target, limits=limits, say=phases, pulse=take)


def _judged(
    request: Request, prepared: Prepared, expected: np.ndarray | None, parts: Parts, latency: Latency
) -> Parity | None:  # fmt: skip
    """How far the runtime is from eager fp32; a note where that cannot be had: the latency is there already."""
    if parts.left_s < latency.p50 / 1000:
        parts.notes.append("Its output was not compared with PyTorch's: no time was left; raise --time-limit.")
        return None
    try:
        found = prepared.output()
    except Exception as exc:  # allocators raise classes of their own
        if not failures.of_memory(exc, request):
            raise
        parts.notes.append("Its output was not compared with PyTorch's: memory ran out for a copy of it.")
        return None
    return _parity(request, prepared.precision_used, found, expected)


def _parity(request: Request, precision: str, found: np.ndarray, expected: np.ndarray | None) -> Parity | None:
    """How far the runtime is from eager fp32; eager mode itself is not judged, but for being finite."""
    if expected is None:
        if not np.isfinite(found).all():
            raise CannotRun(
                f"{request.architecture} in {precision} on {request.target} gives values that are not finite, so its "
                "time means nothing; choose another precision or device."
            )
        return None
    at_least = float("inf") if request.runtime == "pytorch-eager" else 0.0
    compared = parity.compare(expected, found, precision=precision, target=request.target, at_least=at_least)
    if not compared.ok and np.isfinite(compared.max_rel):
        built = build.build(request.architecture, request.img_size)
        own = parity.eager_error(built.model, build.images(built.facts, parity.IMAGES), expected, precision)
        if own is not None:
            at_least = parity.YARDSTICK * own
            compared = parity.compare(expected, found, precision=precision, target=request.target, at_least=at_least)
    parity.check(compared, runtime=request.runtime, precision=precision)
    return compared


def _size_note(facts: build.Facts) -> tuple[str, ...]:
    """Images that are not square in words: a run keeps one side."""
    _, height, width = facts.shape
    if height == width:
        return ()
    return (f"Images are {height} px high and {width} px wide; the image size of this run is their width.",)


def _state(prepared: Prepared, timed: timing.Timed, after: dict[str, Any]) -> dict[str, Any]:
    """What the environment has beside the machine: the runtime's own words, clocks, and what has changed since."""
    return {
        "runtime": prepared.environment,
        "clocks": timed.clocks,
        # who may use how many threads; the files behind them are this machine's own business
        "thread_pools": [{name: pool.get(name) for name in _POOL_FACTS} for pool in threadpoolctl.threadpool_info()],
        "after": {name: after[name] for name in _CHANGING if after.get(name) is not None},
    }
