"""Steady or noisy: every reason alone, at both sides of its bound, with its figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from advisor.measure.run import Load, Measured
from advisor.measure.verdict import drift, verdict
from tests.timed_runs import measured, spread

QUIET = Load(other_cores=0.03, steal_share=0.0)
SMOOTH = spread(10.0, 0.03)


def only_reason(found: Measured, *, usable_cores: float = 2, sweep_drift: float | None = None) -> str:
    steadiness, reasons = verdict(found, usable_cores=usable_cores, sweep_drift=sweep_drift)
    assert steadiness == "noisy"
    assert len(reasons) == 1
    return reasons[0]


def is_steady(found: Measured, *, usable_cores: float = 2, sweep_drift: float | None = None) -> bool:
    return verdict(found, usable_cores=usable_cores, sweep_drift=sweep_drift)[0] == "steady"


def test_steady_measurement_says_on_what_that_rests() -> None:
    steadiness, (reason,) = verdict(measured([10.0] * 100), usable_cores=2)
    assert steadiness == "steady"
    assert reason == (
        "100 samples over 1.0 s give the median to ±0.00 %; p90 is 0.00 % above it, nothing drifted, and other "
        "processes took 0.03 cores."
    )


def test_warm_up_that_never_settled_is_noisy() -> None:
    assert only_reason(measured(SMOOTH, settled=False)).startswith("Warm-up never settled: after 20 passes")


def test_wide_interval_is_noisy_with_its_width() -> None:
    found = measured(spread(10.0, 0.15, n=60))
    low, high = found.latency.ci95
    width = max(high / found.latency.p50 - 1, 1 - low / found.latency.p50)
    assert width > 0.02
    assert f"The median is known to ±{100 * width:.1f} % only (95 % interval of 60 samples)" in only_reason(found)


def test_too_few_samples_are_noisy_however_alike() -> None:
    reason = only_reason(measured([2000.0] * 10))
    assert reason == "Time was up after 10 samples; 30 are asked for."


def test_growing_times_are_drift() -> None:
    growing = [10 * 1.0004**i for i in range(400)]
    reasons = verdict(measured(growing), usable_cores=2)[1]
    # medians of the thirds are the passes 66.5, 200 and 333 of a geometric series: 1.0004^266.5 = 1.112
    assert any("10.27 ms, then 10.83 ms, then 11.42 ms, 11.2 % apart" in reason for reason in reasons)


def test_drift_is_judged_at_three_percent() -> None:
    assert drift((*spread(10, 0.01), *spread(10.25, 0.01), *spread(10.2, 0.01))) is None
    assert drift((*spread(10, 0.01), *spread(10.5, 0.01), *spread(10.2, 0.01))) == pytest.approx(
        (10, 10.5, 10.2), rel=0.01
    )


def test_machine_that_changes_its_pace_late_is_drift() -> None:
    reasons = verdict(measured([10.0] * 130 + [10.4] * 70), usable_cores=2)[1]
    assert (
        "The times drifted: the medians of the three thirds are 10 ms, then 10 ms, then 10.4 ms, 4 % apart." in reasons
    )


def test_steady_series_of_just_enough_samples_are_rarely_called_drifting() -> None:
    # a spread of 8 % over 100 samples puts the thirds' medians 3 % apart by chance in about one of two cases
    series = [tuple(spread(10, 0.08, n=100, seed=seed)) for seed in range(60)]
    apart = [np.ptp([np.median(third) for third in np.array_split(times, 3)]) > 0.3 for times in series]
    assert np.mean(apart) > 0.3
    assert np.mean([drift(times) is not None for times in series]) < 0.05


def test_heavy_tail_is_noisy_and_bimodal_times_have_one() -> None:
    times = ([10.0] * 8 + [14.0] * 2) * 30
    assert only_reason(measured(times)) == ("One pass in ten took 14 ms or more, 40 % above the median of 10 ms.")
    assert is_steady(measured(([10.0] * 8 + [12.0] * 2) * 30))


def test_readings_that_were_dropped_are_told() -> None:
    assert "backwards once" in only_reason(measured(SMOOTH, dropped=1))
    assert "backwards 7 times" in only_reason(measured(SMOOTH, dropped=7))


@pytest.mark.parametrize(
    ("other_cores", "threads", "usable_cores", "environment", "busy"),
    [
        (0.10, 2, 2, {}, False),  # a page that polls
        (0.90, 2, 2, {}, True),  # one busy core out of two
        (0.90, 1, 2, {}, True),  # also where we leave it free: half of the machine
        (0.90, 4, 8, {}, False),  # fits on the cores that we leave free
        (0.90, 8, 8, {}, True),  # one of our eight threads is held up, and so all
        (4.60, 4, 8, {}, True),
        (3.00, 4, 8, {}, True),  # free cores, but a third of the machine's memory bandwidth and power
        (0.90, 8, 16, {"physical_cores": 8, "logical_cores": 16}, True),  # the free threads share our cores
        (6.00, 2, 2, {"physical_cores": 32, "logical_cores": 64}, False),  # a quota of 2 on a large machine
        (0.90, 2, 2, {"physical_cores": None, "logical_cores": None}, True),
        # a GPU is fed by one thread: others may have all cores but one
        (0.90, 2, 2, {"target": "cuda:0"}, False),
        (1.30, 2, 2, {"target": "cuda:0"}, True),
        (14.0, 16, 16, {"target": "cuda:0", "physical_cores": 16, "logical_cores": 32}, False),
        (16.0, 16, 16, {"target": "cuda:0", "physical_cores": 16, "logical_cores": 32}, True),
        (0.90, 1, 1, {"target": "cuda:0"}, True),
        (0.90, 2, 2, {"target": "mps"}, True),  # shares its memory with the cores
    ],
)
def test_other_processes_in_the_way_are_noisy(
    other_cores: float, threads: int, usable_cores: float, environment: dict[str, Any], busy: bool
) -> None:
    found = measured(SMOOTH, load=Load(other_cores, 0.0), threads=threads, environment=environment)
    if busy:
        assert f"Other processes took {other_cores:.2f} cores" in only_reason(found, usable_cores=usable_cores)
    else:
        assert is_steady(found, usable_cores=usable_cores)


def test_others_on_the_gpu_are_noisy() -> None:
    assert only_reason(measured(SMOOTH, environment={"gpu": {"other_processes": 1}})) == (
        "1 other process computed on the GPU."
    )
    for gpu in (None, {"other_processes": None}, {"other_processes": 0}):
        assert is_steady(measured(SMOOTH, environment={"gpu": gpu, "after": {"gpu": gpu}}))


def test_others_that_came_to_the_gpu_while_timing_are_noisy() -> None:
    found = measured(SMOOTH, environment={"gpu": {"other_processes": 0}, "after": {"gpu": {"other_processes": 2}}})
    assert only_reason(found) == "2 other processes computed on the GPU."


def test_time_withheld_by_the_hypervisor_is_noisy() -> None:
    assert "withheld 4.1 % of the CPU time" in only_reason(measured(SMOOTH, load=Load(0.0, 0.041)))
    assert is_steady(measured(SMOOTH, load=Load(0.0, 0.019)))


def test_throttling_is_told_in_its_own_words() -> None:
    found = measured(SMOOTH, load=Load(0.0, 0.0, "the CPU slowed down for heat 3 times"))
    assert only_reason(found) == "The machine was held back while timing: the CPU slowed down for heat 3 times."


def test_more_threads_than_usable_cores_are_noisy() -> None:
    assert only_reason(measured(SMOOTH), usable_cores=1.5) == "2 threads ran where only 1.5 cores may be used."
    assert is_steady(measured(SMOOTH), usable_cores=2)


def test_drift_of_the_sweep_marks_it_either_way_beyond_five_percent() -> None:
    assert "sentinel ran 7 % slower after it" in only_reason(measured(SMOOTH), sweep_drift=0.07)
    assert "sentinel ran 5.5 % faster after it" in only_reason(measured(SMOOTH), sweep_drift=-0.055)
    assert is_steady(measured(SMOOTH), sweep_drift=0.05)


def test_every_reason_is_told() -> None:
    found = measured(
        spread(10, 0.4, n=20), load=Load(1.0, 0.1, "the clock was held down"), threads=4, settled=False, dropped=2
    )
    steadiness, reasons = verdict(found, usable_cores=2, sweep_drift=0.2)
    assert steadiness == "noisy"
    assert len(reasons) == 10
    assert all(reason.endswith(".") for reason in reasons)
