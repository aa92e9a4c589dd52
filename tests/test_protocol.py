"""The stopwatch's rules, with invented clocks and canned times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from advisor.measure.lines import Progress
from advisor.measure.protocol import (
    SHORT,
    ClockUnusable,
    Limits,
    clock_step_s,
    interval_error,
    limits_within,
    measure,
)
from advisor.measure.run import Latency

LIMITS = Limits()


class Bench:
    """A clock and passes that take the canned times; the clock moves by what each pass takes."""

    def __init__(self, times_ms: Iterable[float], *, clock_runs: bool = True, resolution_s: float = 1e-7) -> None:
        self._times: Iterator[float] = iter(times_ms)
        self.now, self.clock_runs, self.resolution_s = 100.0, clock_runs, resolution_s
        self.calls: list[int] = []
        self.said: list[tuple[float, int, Progress]] = []
        self.inside = False
        self.pulsed_at: list[int] = []
        self.pulsed_s: list[float] = []

    def clock(self) -> float:
        assert not self.inside, "the clock is read between, not inside the timed passes"
        return self.now

    def time_passes(self, passes: int) -> float:
        self.calls.append(passes)
        took = [next(self._times) for _ in range(passes)]
        if self.clock_runs:
            self.now += sum(abs(t) for t in took if math.isfinite(t)) / 1000
        return sum(took) / passes

    def say(self, progress: Progress) -> None:
        self.said.append((self.now, len(self.calls), progress))

    def pulse(self) -> float:
        """Takes 4 ms, and tells how many there were."""
        self.pulsed_at.append(len(self.calls))
        self.pulsed_s.append(self.now)
        self.now += 0.004
        return float(len(self.pulsed_at))

    def measure(self, *, limits: Limits = LIMITS, seed: int = 0, pulse: Callable[[], float] | None = None) -> Latency:
        return measure(
            self.time_passes,
            clock=self.clock,
            clock_resolution_s=self.resolution_s,
            limits=limits,
            seed=seed,
            say=self.say,
            pulse=pulse,
        )


def noisy(middle: float, spread: float, seed: int = 0) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    while True:
        yield from middle * np.exp(spread * rng.standard_normal(1000))


def test_first_pass_is_the_cold_start_and_in_no_sample() -> None:
    found = Bench(itertools.chain([500.0], itertools.repeat(10.0))).measure()
    assert found.cold_start_ms == 500.0
    assert set(found.times_ms) == {10.0}


def test_warm_up_lasts_until_two_windows_agree() -> None:
    # 12 ms passes fall from 40 ms by a tenth each window of five: 40, 30, 22, 16, 12.2, 12
    falling = [t for t in (40.0, 30.0, 22.0, 16.0, 12.2, 12.0) for _ in range(5)]
    found = Bench(itertools.chain([100.0], falling, itertools.repeat(12.0))).measure()
    assert found.settled
    assert found.warmup_passes == 30  # the windows of 12.2 and 12.0 differ by less than 3 %
    assert max(found.times_ms) == 12.0


def test_growing_times_never_settle_and_warm_up_ends_at_its_cap() -> None:
    bench = Bench(10 * 1.01**i for i in range(2000))
    found = bench.measure(limits=Limits(warmup_max_s=3, max_s=5))
    assert not found.settled
    # five passes of growth 1 % each put two windows 5 % apart; some 139 passes of 10 ms * 1.01^i are 3 s
    assert 3 <= sum(10 * 1.01**i for i in range(1, 1 + found.warmup_passes)) / 1000 <= 3.1


def test_passes_of_over_a_second_need_two_a_window() -> None:
    found = Bench(itertools.repeat(1500.0)).measure(limits=Limits(max_s=30))
    assert found.settled
    assert found.warmup_passes == 4


def test_windows_are_long_enough_for_fast_passes() -> None:
    found = Bench(itertools.repeat(0.5)).measure()
    assert found.warmup_passes == 200  # two windows of 50 ms


def test_timing_ends_once_precise_with_enough_samples_and_time() -> None:
    found = Bench(itertools.repeat(10.0)).measure()
    assert found.stopped == "precise"
    assert found.n_samples == 100  # 1 s of 10 ms
    slow = Bench(itertools.repeat(100.0)).measure()
    assert slow.n_samples == 30


def test_noisy_times_are_taken_until_the_median_is_known() -> None:
    found = Bench(noisy(20.0, 0.15)).measure()
    assert found.stopped == "precise"
    assert interval_error(found.p50, found.ci95) <= 0.02
    # the standard error of a median is 1.253 * spread / sqrt(n): 1.96 of it are 2 % at 340 samples
    assert 150 <= found.n_samples <= 700
    assert found.ci95[0] <= found.p50 <= found.ci95[1]


def test_bimodal_times_are_never_called_precise_at_half_and_half() -> None:
    rng = np.random.default_rng(1)
    found = Bench(iter(rng.choice([10.0, 13.0], 100_000))).measure(limits=Limits(max_s=6))
    assert found.stopped == "time limit"
    assert found.ci95 == (10.0, 13.0)
    assert 5.5 <= sum(found.times_ms) / 1000 <= 6.1  # some passes restored the caches


def test_the_pulse_is_taken_ten_times_a_second_before_the_first_sample_and_after_the_last() -> None:
    bench = Bench(itertools.repeat(25.0))
    found = bench.measure(pulse=bench.pulse)
    *between_s, last_s = np.diff(bench.pulsed_s)
    assert found.n_samples == 40  # 1 s of 25 ms
    assert np.all((np.array(between_s) >= 0.1) & (np.array(between_s) < 0.1 + 0.025 + 0.004)) and last_s <= 0.1 + 0.025
    after, pulses = zip(*found.pulses, strict=True)
    assert (after[0], after[-1], sorted(after)) == (0, 40, list(after))
    assert list(pulses) == [float(n) for n in range(1, len(pulses) + 1)]
    assert found.stretch is not None


def test_without_a_pulse_the_pace_is_not_known() -> None:
    found = Bench(itertools.repeat(25.0)).measure()
    assert (found.pulses, found.stretch) == ((), None)


def test_a_short_pass_right_after_a_pulse_is_not_recorded() -> None:
    """The pulse has emptied the caches of what it needs."""
    bench = Bench([])
    bench._times = (30.0 if bench.pulsed_at and len(bench.calls) == bench.pulsed_at[-1] + 1 else 10.0
                    for _ in itertools.count())  # fmt: skip
    found = bench.measure(pulse=bench.pulse)
    assert len(bench.pulsed_at) > 5
    assert set(found.times_ms) == {10.0}


def test_time_limit_ends_timing_but_leaves_one_sample() -> None:
    found = Bench(itertools.repeat(4000.0)).measure(limits=Limits(warmup_max_s=1, max_s=2))
    assert (found.n_samples, found.stopped, found.settled) == (1, "time limit", False)
    assert found.ci95 == (4000.0, 4000.0)


def test_block_is_a_thousand_steps_of_the_clock() -> None:
    bench = Bench(itertools.repeat(0.03), resolution_s=1e-6)
    found = bench.measure()
    assert found.block == math.ceil(1e-6 * 1000 / 0.03e-3) == 34  # 1 ms of passes of 0.03 ms
    assert found.p50 == pytest.approx(0.03)
    assert Bench(itertools.repeat(5.0), resolution_s=1e-6).measure().block == 1


def test_block_leaves_room_for_all_samples_where_the_clock_is_very_coarse() -> None:
    found = Bench(itertools.repeat(50.0), resolution_s=0.016).measure()
    assert found.block == math.ceil(20 / 2 / 30 / 0.05) == 7
    assert found.stopped == "precise"


def test_clock_that_stands_still_within_a_pass_gets_longer_blocks() -> None:
    class Coarse(Bench):
        """Readings are whole steps of 1 ms, though a pass takes 0.2 ms."""

        def time_passes(self, passes: int) -> float:
            began = self.now
            super().time_passes(passes)
            return 1000 * (math.floor(self.now * 1000 + 1e-6) - math.floor(began * 1000 + 1e-6)) / 1000 / passes

    found = Coarse(itertools.repeat(0.2), resolution_s=0.001).measure(limits=Limits(max_s=60))
    assert found.block * 0.2 >= 900  # a thousand steps are 1 s; two windows may see it one step off
    assert found.p50 == pytest.approx(0.2, rel=0.01)
    assert min(found.times_ms) > 0


@pytest.mark.parametrize("nonsense", [0.0, -3.0, math.nan, math.inf])
def test_readings_that_no_clock_can_mean_are_left_out_and_counted(nonsense: float) -> None:
    times = (nonsense if i % 25 == 24 else 10.0 for i in itertools.count())
    found = Bench(times).measure()
    assert set(found.times_ms) == {10.0}
    assert found.dropped == pytest.approx((found.n_samples + found.warmup_passes) / 25, abs=2)
    assert found.stopped == "precise"


@pytest.mark.parametrize(
    "times",
    [
        itertools.chain([10.0], itertools.repeat(0.0)),
        itertools.chain([10.0], itertools.repeat(-1.0)),
        itertools.chain([10.0] * 60, itertools.repeat(math.nan)),
        itertools.cycle([10.0, 10.0, -10.0]),
    ],
    ids=["zero", "backwards", "breaks later", "every third"],
)
def test_clock_that_mostly_says_nonsense_is_refused(times: Iterator[float]) -> None:
    with pytest.raises(ClockUnusable, match=r"went backwards in \d+ of \d+ readings, so nothing can be timed"):
        Bench(times).measure()


def test_first_pass_that_no_clock_saw_is_refused() -> None:
    with pytest.raises(ClockUnusable, match="first pass"):
        Bench(itertools.repeat(0.0)).measure()


def test_cold_start_comes_from_the_other_clock_where_its_own_reading_is_nonsense() -> None:
    assert Bench(itertools.chain([-700.0], itertools.repeat(10.0))).measure().cold_start_ms == pytest.approx(700)


@pytest.mark.parametrize("step_s", [0.0, -5.0, -0.001])
def test_limits_hold_though_their_clock_stands_still_or_goes_backwards(step_s: float) -> None:
    bench = Bench(noisy(10.0, 1.5), clock_runs=False)

    def clock() -> float:
        bench.now += step_s
        return bench.now

    limits = Limits(max_s=4, warmup_max_s=2)
    found = measure(bench.time_passes, clock=clock, clock_resolution_s=1e-7, limits=limits)
    assert found.stopped == "time limit"
    assert 3.5 < sum(found.times_ms) / 1000 < 5
    assert min(found.times_ms) > 0


def test_quantiles_and_mad_by_hand() -> None:
    times = [float(t) for t in range(1, 101)]
    flat = Limits(settle=1000, min_samples=100, precision=10, min_s=0, warmup_max_s=0.001)
    found = Bench(itertools.chain([7.0, 7.0], times, itertools.repeat(1000.0))).measure(limits=flat)
    # one pass (7.0) restores the caches after the first line of progress
    kept = np.array(found.times_ms)
    assert found.p50 == np.median(kept)
    assert found.p90 == np.quantile(kept, 0.9)
    assert found.p99 == np.quantile(kept, 0.99)
    assert found.mad == np.median(np.abs(kept - np.median(kept)))
    assert found.n_samples == 100


def test_p99_needs_a_hundred_samples() -> None:
    assert Bench(itertools.repeat(10.0)).measure().p99 == 10.0
    assert Bench(itertools.repeat(11.0)).measure().p99 is None  # 1 s is over after 91


def test_progress_comes_at_most_five_times_a_second_and_tells_the_error() -> None:
    bench = Bench(noisy(3.0, 0.3))
    bench.measure()
    for stage in ("warming up", "timing"):
        at = [now for now, _, progress in bench.said if progress.stage == stage]
        assert all(later - earlier >= 0.2 - 1e-9 for earlier, later in itertools.pairwise(at))
    last = bench.said[-1][2]
    assert bench.said[0][2].stage == "warming up"
    assert last.error is not None and last.total is not None and 0 < last.done <= last.total
    assert [p.done for _, _, p in bench.said if p.stage == "timing"] == sorted(
        p.done for _, _, p in bench.said if p.stage == "timing"
    )


def test_passes_after_a_line_or_a_look_are_not_recorded() -> None:
    bench = Bench(3 + i * 1e-6 for i in itertools.count())  # a pass is known by its time
    found = bench.measure()
    recorded = {round((t - 3) / 1e-6) for t in found.times_ms}
    timed = range(1 + found.warmup_passes, len(bench.calls))
    lines = [calls for _, calls, progress in bench.said if progress.stage == "timing"]
    assert len(lines) >= 4
    assert set(timed) - recorded == set(lines)  # passes count from 0: number `calls` is the one after the line


def test_slow_passes_are_not_doubled_by_their_progress() -> None:
    bench = Bench(itertools.repeat(300.0))
    found = bench.measure()
    assert len(bench.calls) <= 1 + found.warmup_passes + found.n_samples + 1


def test_same_seed_same_figures() -> None:
    limits = Limits(max_s=3)
    assert Bench(noisy(5.0, 0.2)).measure(limits=limits, seed=3) == Bench(noisy(5.0, 0.2)).measure(
        limits=limits, seed=3
    )


def test_short_limits_take_a_fraction_of_the_time() -> None:
    bench = Bench(noisy(20.0, 0.03))
    found = bench.measure(limits=SHORT)
    assert found.stopped == "precise"
    assert bench.now - 100 < 0.6
    assert found.p50 == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("time_limit_s", [1.0, 10.0, 60.0, 600.0])
def test_limits_fit_into_the_time_of_the_process(time_limit_s: float) -> None:
    limits = limits_within(time_limit_s)
    assert limits.warmup_max_s + limits.max_s <= time_limit_s / 2
    assert limits.warmup_max_s <= 10
    assert limits.min_samples == Limits().min_samples


def readings(values: Iterable[float]) -> Callable[[], float]:
    source = iter(values)
    return lambda: next(source)


def test_step_of_a_clock_is_its_smallest_difference_or_its_cost() -> None:
    assert clock_step_s(readings(i * 9e-8 for i in itertools.count())) == pytest.approx(9e-8)
    # moves by 1 ms only once in ten readings
    assert clock_step_s(readings((i // 10) * 1e-3 for i in itertools.count())) == pytest.approx(1e-3)
    # one step back does not matter
    back = itertools.chain([0.0, 1e-6, -5.0], (-5 + i * 1e-6 for i in itertools.count(1)))
    assert clock_step_s(readings(back)) == pytest.approx(1e-6)


@pytest.mark.parametrize("values", [itertools.repeat(5.0), (-float(i) for i in itertools.count())])
def test_clock_that_never_goes_forward_is_refused(values: Iterable[float]) -> None:
    with pytest.raises(ClockUnusable, match="stands still"):
        clock_step_s(readings(values))


# -- networks that take a good part of the time for one pass -----------------------------------------------


def test_a_slow_network_spends_no_pass_that_is_not_recorded() -> None:
    bench = Bench(itertools.repeat(15_000.0))
    found = bench.measure(limits=limits_within(60.0))
    assert bench.now == 100 + 15 + 15  # a first pass and one sample: a third would end after 21 s of timing
    assert (found.times_ms, found.cold_start_ms, found.settled) == ((15_000.0,), 15_000.0, False)
    assert (found.stopped, found.warmup_passes, found.block) == ("time limit", 1, 1)


def test_a_slow_network_is_timed_as_often_as_fits() -> None:
    bench = Bench(itertools.repeat(7_000.0))
    found = bench.measure(limits=limits_within(60.0))  # 21 s for timing
    assert found.times_ms == (7_000.0,) * 3
    assert bench.now == 100 + 4 * 7


def test_a_first_pass_that_alone_is_slow_leaves_the_warm_up_as_it_is() -> None:
    found = Bench(itertools.chain([15_000.0], itertools.repeat(10.0))).measure(limits=limits_within(60.0))
    assert found.settled
    assert found.n_samples == 100
    assert found.warmup_passes >= 10


def test_timing_may_be_given_less_than_the_time_limit_leaves() -> None:
    short = limits_within(60.0, 2.5)
    assert (short.max_s, short.warmup_max_s) == (2.5, 1.25)
    assert limits_within(4.0, 60.0) == limits_within(4.0), "but never more"
