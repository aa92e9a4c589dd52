"""Which classes of operators take a network's time, in eager mode."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from advisor.measure.run import Operator, OperatorClass, TimedOperator, Work
from advisor.measure.workers import operator_classes as classes
from advisor.measure.workers.operators import COUNTER, Watching, calls_of

BUDGET_S = 1.0  # a dozen passes of a mid-sized network on two cores
_MIN_ROUNDS = 3  # of one plain and one timed pass each
_MAX_ROUNDS = 30
_LEAST_BETWEEN = 0.01  # share of a pass; less is within the noise of the difference that it is
_CHUNK = 100  # operators queued on a GPU at a time: it takes about a thousand launches before it makes the host wait
_SLEEP_CYCLES = 20_000_000  # of the GPU, some 10 ms: longer than the host takes to queue a chunk


def profile(
    run: Callable[[], Any],
    weights: Iterable[Tensor],
    *,
    p50_ms: float,
    synchronise: Callable[[], None] = lambda: None,
    target: str = "cpu",
    bytes_per_value: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    budget_s: float = BUDGET_S,
    wait: Callable[[], float] = lambda: 0.0,
) -> Work:
    """What one eager forward pass does, and how its latency divides over the classes of operators.

    Every operator is timed by itself: on a CPU by the clock around it, on a CUDA device by events between
    operators that are already queued. Watching them slows the pass down, so their sum is not trusted as a latency:
    passes without watching are timed in turn with watched ones, what they take beyond the sum of the operators is
    a row of its own, "between operators", and all rows are scaled so that they add up to `p50_ms`.

    Args:
        run: A forward pass as `Prepared.run`, not compiled; the network must do the same operators each time.
        weights: What does not come from the input: see `operators.weights_of`.
        p50_ms: The measured latency that is divided.
        bytes_per_value: As in `operators.count`.
        wait: Is called before every two passes, and gives how long that took, s; it does not count.
    """
    calls, _ = calls_of(run, weights, bytes_per_value)
    marks: _Marks = _CudaMarks(target) if target.startswith("cuda") else _ClockMarks(clock, synchronise)
    plain_ms: list[float] = []
    watched_ms: list[list[float]] = []
    end = clock() + budget_s
    while len(plain_ms) < _MIN_ROUNDS or (clock() < end and len(plain_ms) < _MAX_ROUNDS):
        end += wait()
        synchronise()
        start = clock()
        run()
        synchronise()
        plain_ms.append(1000 * (clock() - start))
        with torch.inference_mode(), _Timing(marks):
            run()
        watched_ms.append(marks.collect())
    watched = np.array(watched_ms)
    # the least of both: what other processes add to a pass is no part of it
    between = 1 - float(watched.sum(axis=1).min()) / min(plain_ms)
    counted = [call for call in calls if call is not None]
    return Work(
        macs=sum(o.macs for o in counted), bytes=sum(o.bytes for o in counted),
        operators=divided(calls, np.median(watched, axis=0), between=between, p50_ms=p50_ms), counter=COUNTER,
        timed=distinct(calls, watched),
    )  # fmt: skip


def divided(
    calls: Iterable[Operator | None], each_ms: Iterable[float], *, between: float, p50_ms: float
) -> tuple[OperatorClass, ...]:
    """A latency over classes, largest first, in proportion to the times of their operators.

    Args:
        calls: Operators in order, None for views, whose little time counts as "other".
        each_ms: The time of each.
        between: Share of a pass in which no operator runs; less than 1 % is taken as none.
        p50_ms: What the rows add up to.
    """
    spent: dict[str, float] = defaultdict(float)
    macs: dict[str, float] = defaultdict(float)
    for call, ms in zip(calls, each_ms, strict=True):
        kind = classes.OTHER if call is None else call.kind
        spent[kind] += float(ms)
        macs[kind] += 0 if call is None else call.macs
    between = between if between > _LEAST_BETWEEN else 0.0
    whole = sum(spent.values()) / (1 - between)
    if between:
        spent[classes.BETWEEN] = between * whole
    rows = (OperatorClass(kind, p50_ms * ms / whole, ms / whole, macs[kind]) for kind, ms in spent.items())
    return tuple(sorted(rows, key=lambda row: (-row.time_ms, row.name)))


def distinct(calls: Sequence[Operator | None], each_ms: np.ndarray) -> tuple[TimedOperator, ...]:
    """Every distinct operator with its count and its median time.

    Args:
        calls: Operators of a pass in order, None for views.
        each_ms: Shape (passes, calls).
    """
    places: dict[Operator, list[int]] = defaultdict(list)
    for place, call in enumerate(calls):
        if call is not None:
            places[call].append(place)
    return tuple(
        TimedOperator(**asdict(call), count=len(where), time_ms=float(np.median(each_ms[:, where])))
        for call, where in places.items()
    )


class _Timing(Watching):
    def __init__(self, marks: _Marks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._marks = marks

    def seen(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._marks.before()
        made = func(*args, **kwargs)
        self._marks.after()
        return made


class _Marks(Protocol):
    """Times of the operators of one pass."""

    def before(self) -> None: ...
    def after(self) -> None: ...
    def collect(self) -> list[float]:
        """The times in ms in order, and start anew."""


class _ClockMarks:
    """The clock before and after each operator, the device idle at both."""

    def __init__(self, clock: Callable[[], float], synchronise: Callable[[], None]) -> None:
        self._clock, self._synchronise = clock, synchronise
        self._start = 0.0
        self._ms: list[float] = []

    def before(self) -> None:
        self._start = self._clock()

    def after(self) -> None:
        self._synchronise()
        self._ms.append(1000 * (self._clock() - self._start))

    def collect(self) -> list[float]:
        found, self._ms = self._ms, []
        return found


class _CudaMarks:
    """Events between operators that wait in the GPU's queue, so that the host's slowness is not in their times."""

    def __init__(self, target: str) -> None:
        self._device = torch.device(target)
        self._events: list[Any] = []
        self._ms: list[float] = []

    def before(self) -> None:
        if len(self._events) > _CHUNK:
            self._settle()
        if not self._events:
            torch.cuda._sleep(_SLEEP_CYCLES)  # type: ignore[no-untyped-call]
            self._record()

    def after(self) -> None:
        self._record()

    def collect(self) -> list[float]:
        self._settle()
        found, self._ms = self._ms, []
        return found

    def _record(self) -> None:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._events.append(event)

    def _settle(self) -> None:
        torch.cuda.synchronize(self._device)
        self._ms += [first.elapsed_time(second) for first, second in zip(self._events, self._events[1:], strict=False)]
        self._events = []
