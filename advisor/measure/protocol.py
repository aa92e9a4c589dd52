"""The stopwatch's rules: warm-up, blocks, when to stop, and the figures of a series of times.

Nothing here knows what is timed nor which clock: both are given, so the same rules serve latency, training
steps, batch sweeps and single stages, on a CPU and on a GPU. All raw times are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from advisor.measure.lines import Progress
from advisor.measure.resampling import median_interval as median_interval
from advisor.measure.run import Latency
from advisor.measure.stretches import Pulses, stretch

# a block is at least this many steps of the clock long, so that the clock costs less than 0.1 %
BLOCK_STEPS = 1000
# p99 of fewer samples would be an extrapolation beyond the largest one
P99_SAMPLES = 100
# from one look at the interval to the next the samples grow by this factor: all looks together then cost
# some four times the last one, and at most 30 % more samples are taken than needed
_LOOK_GROWTH = 1.3
# progress lines; each wakes another process
_SAY_EVERY_S = 0.2
# A line disturbs the caches by well under a millisecond: a pass after it that nobody records costs more than
# it saves where a pass is this long.
_RESTORE_BELOW_MS = 20.0
# A network whose first pass takes this share of the time for timing (a tenth of the whole time limit, see
# `limits_within`) has no time for a warm-up: its passes are few and long, and every one counts.
SLOW_SHARE = 0.1 / 0.35
# a second pass this much shorter shows that the first was slow only because it was the first
_ONLY_COLD = 0.5
# readings that no clock can mean: so many in a row, or this share of all, and the clock cannot be used
_MOST_BAD_IN_A_ROW = 8
_MOST_BAD_SHARE = 0.1


class ClockUnusable(Exception):
    """The clock stands still or goes backwards too often to time anything; one sentence."""


class Stopwatch(Protocol):
    """What is timed: runs that many passes and returns the ms of one, synchronised with the device."""

    def __call__(self, passes: int, /) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to stop. Times are in s, shares of 1.

    Attributes:
        precision: Both ends of the interval of the median must be this close to it, relative.
        min_samples: Samples that must be there.
        min_s: Sum of the recorded times that must be there.
        max_s: Timing ends here whatever was reached, but not before one sample. For passes above `SLOW_SHARE` of
            it no pass is begun that would end later.
        settle: Medians of two successive warm-up windows must be this close, relative.
        warmup_max_s: Warm-up ends here, settled or not.
        window_readings: Least readings of a warm-up window ...
        window_s: ... and least time of one.
        long_window_s: Two readings make a window where they take this long: passes of a second need no five.
    """

    precision: float = 0.02
    min_samples: int = 30
    min_s: float = 1.0
    max_s: float = 20.0
    settle: float = 0.03
    warmup_max_s: float = 10.0
    window_readings: int = 5
    window_s: float = 0.05
    long_window_s: float = 1.0


# for one point of a batch sweep, a training step, a stage of a longer way: a median to some 5 %
SHORT = Limits(
    precision=0.05, min_samples=5, min_s=0.2, max_s=3.0, warmup_max_s=2.0, window_readings=3, window_s=0.02,
    long_window_s=0.5,
)  # fmt: skip


def limits_within(time_limit_s: float, timing_s: float | None = None, *, limits: Limits = Limits()) -> Limits:
    """The same limits with warm-up and timing cut so that both fit well into the time of the whole process.

    Half of the time is left to starting, building and converting; a time limit above some 60 s gives slow
    networks more time than usual, since 30 samples of 2 s each need a minute.

    Args:
        time_limit_s: What is left for the whole process.
        timing_s: The most that timing may take, and half of it warming up.
    """
    most_s = float("inf") if timing_s is None else timing_s
    return replace(
        limits,
        warmup_max_s=min(limits.warmup_max_s, 0.15 * time_limit_s, 0.5 * most_s),
        max_s=min(0.35 * time_limit_s, most_s),
    )


def clock_step_s(clock: Callable[[], float], *, readings: int = 200) -> float:
    """What one reading of a clock costs or can tell apart, whichever is larger, in s.

    The median of the smallest differences between readings in a row: `time.get_clock_info` says 1 ns for a
    clock whose reading takes 50 ns, and only the latter matters for the length of a block.

    Raises:
        ClockUnusable: It does not move forward.
    """
    steps: list[float] = []
    last = clock()
    # a coarse clock is read many times before it moves: 16 ms at 50 ns a reading are 300,000
    for _ in range(2_000_000):
        now = clock()
        if now != last:
            steps.append(now - last)
            last = now
        if len(steps) == readings:
            break
    forward = [step for step in steps if step > 0]
    if not forward:
        raise ClockUnusable("The clock stands still, so nothing can be timed; restart the machine or try another one.")
    return float(np.median(forward))


def measure(
    time_passes: Stopwatch,
    *,
    clock: Callable[[], float],
    clock_resolution_s: float,
    limits: Limits = Limits(),
    seed: int = 0,
    timer: str = "wall clock",
    say: Callable[[Progress], None] = lambda _: None,
    pulse: Callable[[], float] | None = None,
) -> Latency:
    """Time passes until their median is known well enough, or time is up.

    Args:
        time_passes: What is timed.
        clock: Monotone seconds, for the limits; the times themselves are what `time_passes` returns.
        clock_resolution_s: Of the clock behind `time_passes`: see `clock_step_s`.
        seed: Of the resampling.
        timer: What the times are from, for the record.
        say: Takes progress, at most five times a second, never between the two readings of a time.
        pulse: Takes the machine's pulse, ms, between samples: see `workers.pulse`.

    Raises:
        ClockUnusable: Too many readings were not above zero, or not finite.
    """
    watch = _Watch(time_passes, clock, say)
    cold_start_ms = watch.first()
    kept = _slow_pass(watch, cold_start_ms, limits)
    warm = _Warm(1, 1, settled=False) if kept else _warm_up(watch, limits, clock_resolution_s)
    pulses = Pulses(pulse)
    timed = _time(watch, warm.block, limits, seed, kept, pulses)
    pulses.take(len(timed.times_ms), watch.elapsed_s)
    times = np.asarray(timed.times_ms)
    p50, p90 = np.quantile(times, [0.5, 0.9])
    return Latency(
        times_ms=tuple(timed.times_ms),
        block=warm.block,
        p50=float(p50),
        p90=float(p90),
        p99=float(np.quantile(times, 0.99)) if len(times) >= P99_SAMPLES else None,
        mad=float(np.median(np.abs(times - p50))),
        ci95=timed.interval,
        cold_start_ms=cold_start_ms,
        settled=warm.settled,
        warmup_passes=warm.passes,
        stopped="precise" if timed.precise else "time limit",
        timer=timer,
        dropped=watch.dropped,
        pulses=tuple(pulses.taken),
        stretch=stretch(timed.times_ms, pulses.taken),
    )


def known_interval(found: Latency) -> tuple[float, float] | None:
    """The interval of a short measurement's median; None where it has too few samples to have one."""
    return found.ci95 if found.n_samples >= SHORT.min_samples else None


def interval_error(middle: float, interval: tuple[float, float]) -> float:
    """How far the farther end of an interval is from the median, relative: 0.02 is ±2 %."""
    return max(interval[1] - middle, middle - interval[0]) / middle


class _Watch:
    """Reads the stopwatch, leaves out what no clock can mean, and knows how long a phase has taken."""

    def __init__(self, time_passes: Stopwatch, clock: Callable[[], float], say: Callable[[Progress], None]) -> None:
        self._time_passes, self._clock, self._say = time_passes, clock, say
        self._now = clock()
        self._said_at: float | None = None
        self._stage = ""
        self._clock_s = self._passes_s = self._total_s = 0.0
        self._readings = self._bad_in_a_row = 0
        self.dropped = 0

    @property
    def elapsed_s(self) -> float:
        """Time in this phase; a clock that stands still or goes backwards cannot make it endless."""
        self._look()
        return max(self._clock_s, self._passes_s)

    def restart(self) -> None:
        """A new phase begins."""
        self._look()
        self._clock_s = self._passes_s = 0.0

    def read(self, passes: int) -> float | None:
        """Time of one pass in ms, None where the clock says nonsense.

        Raises:
            ClockUnusable: It says so too often.
        """
        time_ms = float(self._time_passes(passes))
        self._readings += 1
        if 0 < time_ms < math.inf:  # NaN fails too
            self._bad_in_a_row = 0
            self._passes_s += time_ms * passes / 1000
            return time_ms
        self.dropped += 1
        self._bad_in_a_row += 1
        few = self.dropped <= max(_MOST_BAD_IN_A_ROW, _MOST_BAD_SHARE * self._readings)
        if self._bad_in_a_row > _MOST_BAD_IN_A_ROW or not few:
            raise ClockUnusable(
                f"The clock stood still or went backwards in {self.dropped} of {self._readings} readings, so nothing "
                "can be timed; check the machine's clock source, or measure on another machine."
            )
        return None

    def first(self) -> float:
        """The very first pass, in ms. It cannot be repeated, so the other clock stands in for a bad reading."""
        self._look()
        before = self._clock_s
        time_ms = self.read(1)
        self._look()
        if time_ms is not None:
            return time_ms
        if self._clock_s > before:
            return 1000 * (self._clock_s - before)
        raise ClockUnusable(
            "The clock stood still or went backwards during the first pass, so nothing can be timed; check the "
            "machine's clock source, or measure on another machine."
        )

    def tell(self, progress: Progress) -> bool:
        """Say what happens now unless something was said a moment ago; the first of a stage is always said."""
        self._look()
        new = progress.stage != self._stage
        if not new and self._said_at is not None and self._total_s - self._said_at < _SAY_EVERY_S:
            return False
        self._stage, self._said_at = progress.stage, self._total_s
        self._say(progress)
        return True

    def _look(self) -> None:
        now = self._clock()
        if now > self._now:  # a step back counts as no time
            self._clock_s += now - self._now
            self._total_s += now - self._now
        self._now = now


@dataclass(frozen=True, slots=True)
class _Warm:
    block: int
    passes: int
    settled: bool


def _warm_up(watch: _Watch, limits: Limits, clock_resolution_s: float) -> _Warm:
    """Passes in windows until the medians of two successive ones agree; finds the block on the way."""
    block_ms = 1000 * BLOCK_STEPS * clock_resolution_s
    # a clock of 10 ms steps would ask for blocks of 10 s: rather all samples in half the time than a perfect block
    block_ms = min(block_ms, 500 * limits.max_s / limits.min_samples)
    block, passes = 1, 0
    window: list[float] = []
    medians: list[float] = []
    watch.restart()
    while watch.elapsed_s < limits.warmup_max_s:
        watch.tell(Progress("warming up", done=passes))
        time_ms = watch.read(block)
        passes += block
        if time_ms is None or time_ms * block < block_ms:
            # too short for the clock: the window starts anew with longer blocks
            block = max(2 * block, math.ceil(block_ms / time_ms) if time_ms else 1)
            window.clear()
            continue
        window.append(time_ms)
        if not _full(window, block, limits):
            continue
        medians.append(float(np.median(window)))
        window.clear()
        if len(medians) > 1 and abs(medians[-1] - medians[-2]) <= limits.settle * min(medians[-2:]):
            return _Warm(_block(medians[-1], block_ms), passes, settled=True)
    known = window or medians[-1:]
    return _Warm(_block(float(np.median(known)), block_ms) if known else block, passes, settled=False)


def _full(window: list[float], block: int, limits: Limits) -> bool:
    span_s = sum(window) * block / 1000
    enough = len(window) >= limits.window_readings and span_s >= limits.window_s
    return enough or (len(window) >= 2 and span_s >= limits.long_window_s)


def _block(time_ms: float, block_ms: float) -> int:
    return max(1, math.ceil(block_ms / time_ms))


@dataclass(frozen=True, slots=True)
class _Timed:
    times_ms: list[float]
    interval: tuple[float, float]
    precise: bool


def _slow_pass(watch: _Watch, cold_start_ms: float, limits: Limits) -> list[float]:
    """The second pass of a network that is too slow for a warm-up, as its first sample; else nothing."""
    if cold_start_ms <= 1000 * SLOW_SHARE * limits.max_s:
        return []
    watch.tell(Progress("timing", total=limits.min_samples))
    time_ms = watch.read(1)
    return [] if time_ms is None or time_ms < _ONLY_COLD * cold_start_ms else [time_ms]


def _time(
    watch: _Watch, block: int, limits: Limits, seed: int, kept: list[float], pulses: Pulses
) -> _Timed:  # fmt: skip
    """Samples until the interval of their median is narrow enough, or time is up.

    Args:
        kept: What `_slow_pass` gave: then every pass is recorded, and the next one must fit into the time.
    """
    times = list(kept)
    timed_s, look_at, error = sum(kept) / 1000, limits.min_samples, None
    slow_s = timed_s
    watch.restart()
    if slow_s and 2 * slow_s > limits.max_s:
        return _Timed(times, median_interval(times, seed=seed), precise=False)
    if not slow_s and watch.tell(Progress("timing", total=limits.min_samples)):
        watch.read(1)
    while True:
        if pulses.due(watch.elapsed_s):
            pulses.take(len(times), watch.elapsed_s)
            if not times or times[-1] * block < _RESTORE_BELOW_MS:
                watch.read(1)  # not recorded: the pulse too has emptied the caches
        time_ms = watch.read(block)
        if time_ms is not None:
            times.append(time_ms)
            timed_s += time_ms * block / 1000
        # the first sample of a slow network lies before this phase, and the next pass takes as long again
        elapsed_s = watch.elapsed_s
        over = bool(times) and (elapsed_s >= limits.max_s or (slow_s > 0 and elapsed_s + 2 * slow_s > limits.max_s))
        enough = len(times) >= look_at and timed_s >= limits.min_s
        if over or enough:
            interval = median_interval(times, seed=seed)
            error = interval_error(float(np.median(times)), interval)
            precise = len(times) >= limits.min_samples and timed_s >= limits.min_s and error <= limits.precision
            if over or precise:
                return _Timed(times, interval, precise)
            look_at = math.ceil(len(times) * _LOOK_GROWTH)
            watch.tell(_timing(times, timed_s, error, limits))
            watch.read(1)  # not recorded: looking has emptied the caches of what the passes need
        elif watch.tell(_timing(times, timed_s, error, limits)) and times and times[-1] * block < _RESTORE_BELOW_MS:
            watch.read(1)


def _timing(times: list[float], timed_s: float, error: float | None, limits: Limits) -> Progress:
    """How far timing is; the total follows from the least time and, once known, the interval's width."""
    total = float(limits.min_samples)
    if timed_s > 0:
        total = max(total, len(times) * limits.min_s / timed_s)
    if error is not None:
        # the interval narrows with the square root of the samples
        total = max(total, len(times) * (error / limits.precision) ** 2)
    return Progress("timing", done=len(times), total=max(math.ceil(total), len(times)), error=error)
