"""The stopwatch on real networks: which clock, and the latency of a prepared network by it."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from advisor.measure import protocol
from advisor.measure.lines import Progress
from advisor.measure.run import Latency
from advisor.measure.runtimes.interface import Prepared

WALL_CLOCK, EVENTS = "wall clock", "CUDA events"
# CUDA events resolve some 0.5 µs (CUDA runtime API, cudaEventElapsedTime) and leave out what starting the first
# kernel and waking up after the last one take, some 10 to 20 µs: below 2 ms that would be 1 % and more.
EVENTS_FROM_MS = 2.0
_PILOT_PASSES = 3
_LONG_PILOT_MS = 1000.0  # one pass of this length says enough
Say = Callable[[Progress], None]


class Event(Protocol):
    """A mark in the GPU's stream of work, as `torch.cuda.Event`."""

    def record(self) -> None: ...
    def elapsed_time(self, end: Any, /) -> float: ...


@dataclass(slots=True)
class Stopwatch:
    """Times passes by wall clock, and by events where there are some; `timer` says whose time counts.

    Attributes:
        timer: "wall clock" or "CUDA events".
        by_clock_ms: The wall clock's time of every reading; `by_events_ms` the events', empty without a GPU.
    """

    run: Callable[[], Any]
    synchronise: Callable[[], None]
    clock: Callable[[], float] = time.perf_counter
    make_event: Callable[[], Event] | None = None
    timer: str = WALL_CLOCK
    by_clock_ms: list[float] = field(default_factory=list)
    by_events_ms: list[float] = field(default_factory=list)

    def __call__(self, passes: int, /) -> float:
        """Time of one of so many passes in ms, the device idle before and after."""
        events = (self.make_event(), self.make_event()) if self.make_event else None
        run = self.run
        self.synchronise()
        start = self.clock()
        if events:
            events[0].record()
        for _ in range(passes):
            run()
        if events:
            events[1].record()
        self.synchronise()
        self.by_clock_ms.append(1000 * (self.clock() - start) / passes)
        if not events:
            return self.by_clock_ms[-1]
        self.by_events_ms.append(events[0].elapsed_time(events[1]) / passes)
        return self.by_events_ms[-1] if self.timer == EVENTS else self.by_clock_ms[-1]

    def choose_timer(self) -> None:
        """Take events where the network is long enough for them; after a first pass, as kernels are chosen in it."""
        if self.make_event:
            pilots: list[float] = []
            while len(pilots) < _PILOT_PASSES and max(pilots, default=0.0) < _LONG_PILOT_MS:
                self(1)
                pilots.append(self.by_events_ms[-1])
            self.timer = EVENTS if float(np.median(pilots)) >= EVENTS_FROM_MS else WALL_CLOCK

    def medians(self, samples: int) -> dict[str, float]:
        """Medians of the last readings by both clocks, for the record; empty where there is only one."""
        if not self.by_events_ms:
            return {}
        both = {WALL_CLOCK: self.by_clock_ms, EVENTS: self.by_events_ms}
        return {f"{name} p50 ms": float(np.median(times[-samples:])) for name, times in both.items()}


def stopwatch(prepared: Prepared, target: str) -> Stopwatch:
    """A stopwatch for a prepared network; events only where PyTorch's own stream does the work."""
    events = target.startswith("cuda") and prepared.model is not None
    make = (lambda: torch.cuda.Event(enable_timing=True)) if events else None  # type: ignore[no-untyped-call]
    return Stopwatch(prepared.run, prepared.synchronise, make_event=make)


@dataclass(frozen=True, slots=True)
class Timed:
    """A latency, with what both clocks said where there are two."""

    latency: Latency
    clocks: dict[str, float]


def latency(
    prepared: Prepared, target: str, *, limits: protocol.Limits, say: Say = lambda _: None, seed: int = 0,
    pulse: Callable[[], float] | None = None,
) -> Timed:  # fmt: skip
    """Latency of a prepared network, the garbage collector held back.

    Args:
        pulse: As of `protocol.measure`.

    Raises:
        protocol.ClockUnusable: The clock stands still or goes backwards.
    """
    watch = stopwatch(prepared, target)
    step_s = protocol.clock_step_s(watch.clock)
    with no_garbage_collection():
        if watch.make_event is None:
            found = _measure(watch, limits, step_s, say, seed, pulse)
        else:
            cold_ms = watch(1)
            watch.choose_timer()
            before = len(watch.by_clock_ms)
            found = _measure(watch, limits, step_s, say, seed, pulse)
            found = replace(found, cold_start_ms=cold_ms, warmup_passes=found.warmup_passes + before)
    if prepared.cold_start_ms is not None:
        found = replace(found, cold_start_ms=prepared.cold_start_ms)
    return Timed(found, watch.medians(found.n_samples))


def _measure(
    watch: Stopwatch, limits: protocol.Limits, step_s: float, say: Say, seed: int, pulse: Callable[[], float] | None
) -> Latency:
    return protocol.measure(
        watch, clock=watch.clock, clock_resolution_s=step_s, limits=limits, seed=seed, timer=watch.timer, say=say,
        pulse=pulse,
    )  # fmt: skip


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A collection takes 10 to 100 ms with PyTorch loaded, and would fall into some pass."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
