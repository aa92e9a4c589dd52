"""Steady or noisy: whether a measurement may be trusted, and every reason in words and figures.

One reason is enough for *noisy*; the figures stay what they are. A reason that looks at the times says that the
series itself is shaky; one that looks at the machine says that the next run may differ, however smooth this was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from advisor.measure.protocol import Limits, interval_error, median_interval
from advisor.measure.run import Latency, Load, Measured, Steadiness
from advisor.metrics import METRICS

# medians of the thirds of a series may differ by this much: what warm-up calls settled
DRIFT = Limits().settle
# p90 over p50. A steady machine spreads by 2 to 5 %, which puts p90 at 1.03 to 1.06; at 1.25 one pass in ten takes a
# quarter longer, as much as a normal spread of 20 % would give, and the median no longer says what a user sees.
HEAVY_TAIL = 1.25
# Cores that others may take beyond those we leave free: a page that polls takes some 0.05, a busy process 0.9. One
# disturbed thread holds up all others of ours at the end of each operator, so the machine's size does not matter.
BUSY_CORES = 0.25
_FEEDING_THREADS = 1  # that a GPU is fed by
# ... and of the whole machine even where we leave cores free: they share its caches, memory and power
BUSY_SHARE = 0.25
# time withheld lengthens the times by as much; more than this hides what the interval promises
STEAL_SHARE = Limits().precision
# the sentinel after a sweep against before it
SWEEP_DRIFT = 0.05

_FEWEST_OF_A_THIRD = 3
_MS = METRICS["latency_ms"].show


def verdict(
    found: Measured, *, usable_cores: float, sweep_drift: float | None = None
) -> tuple[Steadiness, tuple[str, ...]]:
    """Whether a measurement is steady, and why or why not, one sentence each.

    Args:
        found: What was measured.
        usable_cores: Cores that affinity and quota let us use, 1.5 for a quota of a core and a half.
        sweep_drift: Relative change of the sweep's sentinel from before it to after it; None outside of sweeps.
    """
    reasons = [
        *_of_the_times(found.latency),
        *_of_the_machine(found.load, found.threads, usable_cores, found.environment),
    ]
    if sweep_drift is not None and abs(sweep_drift) > SWEEP_DRIFT:
        way = "slower" if sweep_drift > 0 else "faster"
        reasons.append(
            f"The machine drifted during the sweep: its sentinel ran {_percent(abs(sweep_drift))} {way} after it than "
            f"before it, more than {_percent(SWEEP_DRIFT)}."
        )
    return ("noisy", tuple(reasons)) if reasons else ("steady", (_steady(found),))


def drift(times_ms: tuple[float, ...]) -> tuple[float, float, float] | None:
    """Medians of the three thirds of a series in ms where they differ by more than `DRIFT`, else None.

    They must also differ beyond chance: the intervals of the lowest and the highest must not overlap. Without
    that, a third to a half of the steady series that end as soon as their median is known to ±2 % would be
    called drifting, since the median of a third is only known to ±3.5 %.
    """
    if len(times_ms) < 3 * _FEWEST_OF_A_THIRD:
        return None
    thirds = np.array_split(np.asarray(times_ms), 3)
    first, middle, last = (float(np.median(third)) for third in thirds)
    lowest, highest = int(np.argmin([first, middle, last])), int(np.argmax([first, middle, last]))
    if max(first, middle, last) <= (1 + DRIFT) * min(first, middle, last):
        return None
    if median_interval(thirds[lowest], seed=0)[1] >= median_interval(thirds[highest], seed=0)[0]:
        return None
    return first, middle, last


def _of_the_times(latency: Latency) -> list[str]:
    limits, reasons = Limits(), []
    if not latency.settled:
        reasons.append(
            f"Warm-up never settled: after {latency.warmup_passes} passes two windows in a row still differed by more "
            f"than {_percent(limits.settle)}."
        )
    if latency.n_samples < limits.min_samples:
        reasons.append(f"Time was up after {latency.n_samples} samples; {limits.min_samples} are asked for.")
    error = interval_error(latency.p50, latency.ci95)
    if error > limits.precision:
        reasons.append(
            f"The median is known to ±{_percent(error)} only (95 % interval of {latency.n_samples} samples), not to "
            f"±{_percent(limits.precision)}."
        )
    thirds = drift(latency.times_ms)
    if thirds is not None:
        shown = ", then ".join(map(_MS, thirds))
        reasons.append(
            f"The times drifted: the medians of the three thirds are {shown}, "
            f"{_percent(max(thirds) / min(thirds) - 1)} apart."
        )
    if latency.p90 > HEAVY_TAIL * latency.p50:
        reasons.append(
            f"One pass in ten took {_MS(latency.p90)} or more, {_percent(latency.p90 / latency.p50 - 1)} above the "
            f"median of {_MS(latency.p50)}."
        )
    if latency.dropped:
        times = "once" if latency.dropped == 1 else f"{latency.dropped} times"
        reasons.append(f"The clock stood still or went backwards {times}; those readings were left out.")
    return reasons


def _of_the_machine(load: Load, threads: int, usable_cores: float, environment: dict[str, Any]) -> list[str]:
    reasons = []
    if _is_busy(load.other_cores, threads, usable_cores, environment):
        reasons.append(f"Other processes took {load.other_cores:.2f} cores while timing; close them and measure again.")
    if others := _others_on_gpu(environment):
        reasons.append(f"{others} other process{'es' if others > 1 else ''} computed on the GPU.")
    if load.steal_share > STEAL_SHARE:
        reasons.append(f"The hypervisor withheld {_percent(load.steal_share)} of the CPU time (steal).")
    if load.throttled:
        reasons.append(f"The machine was held back while timing: {load.throttled}.")
    if threads > usable_cores:
        reasons.append(f"{threads} threads ran where only {usable_cores:g} cores may be used.")
    return reasons


def _others_on_gpu(environment: dict[str, Any]) -> int:
    """Processes of others that computed on the GPU before or after timing, whichever were more."""
    states = (environment.get("gpu"), (environment.get("after") or {}).get("gpu"))
    return max((state or {}).get("other_processes") or 0 for state in states)


def _is_busy(other_cores: float, threads: int, usable_cores: float, environment: dict[str, Any]) -> bool:
    """Whether others were in the way: on cores of ours, or on much of the machine.

    Others are counted on the whole machine, so in a container with a quota the machine's own cores count too.
    Two threads of one physical core slow each other, so only physical cores are free ones. A GPU has one thread that
    feeds it and memory of its own, so it is only disturbed when no core is left for that thread.
    """
    cores = float(environment.get("physical_cores") or usable_cores)
    if str(environment.get("target", "cpu")).startswith("cuda"):
        return other_cores - max(0.0, cores - _FEEDING_THREADS) > BUSY_CORES
    free = max(0.0, cores - threads)
    whole = max(usable_cores, float(environment.get("logical_cores") or 0))
    return other_cores - free > BUSY_CORES or other_cores > BUSY_SHARE * whole


def _steady(found: Measured) -> str:
    latency = found.latency
    timed_s = sum(latency.times_ms) * latency.block / 1000
    return (
        f"{latency.n_samples} samples over {timed_s:.1f} s give the median to "
        f"±{_percent(interval_error(latency.p50, latency.ci95))}; p90 is {_percent(latency.p90 / latency.p50 - 1)} "
        f"above it, nothing drifted, and other processes took {found.load.other_cores:.2f} cores."
    )


def _percent(share: float) -> str:
    """5 %, 3.4 %, 0.52 %: one digit more below 1 %."""
    percent = 100 * share
    return f"{percent:.2f} %" if percent < 0.995 else f"{percent:.1f} %".replace(".0 %", " %")
