"""How fast the machine was while networks were measured: their pulses beside the pulse at full pace.

A machine that others use too runs everything a fifth to a third slower for seconds or minutes. On two shared cores, a
network's latency moves with its pulse one to one: 155 networks, each measured twice, differed by 12 % (standard
deviation of the logarithm), and by 8 % once each was divided by its slowdown. What comes and goes within a measurement
shows in its times: a calibration during which everything was disturbed erred by 11 % (median of 40 networks) from
medians, and by 9 % from the quickest stretch of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.predict.probe import Probe

# The machine's full pace is not its fastest pulse, which may be a lucky moment, but one that a quarter reaches.
_FULL = 0.25
AT_FULL_PACE = 1.05  # slowdowns up to this are the pulse's own spread
# What is not known of a latency that was divided by its slowdown, as a share of the logarithm of that: some networks
# suffer half as much as the pulse, some half as much again.
DOUBT = 0.5
# A pulse this much slower than the other one of its run lost a core for a moment, and tells nothing of the run.
_INTERRUPTED = 1.5
_STRETCHES, _LEAST_TIMES = 6, 5  # a series is cut into so many, or fewer, so that each has enough times for a median


def pulse_of(taken: Any) -> float | None:
    """The pulse during a run, ms, from `pulse_ms` of its environment: before it and after it; None in runs without."""
    if not isinstance(taken, list) or not taken or not all(isinstance(ms, int | float) and ms > 0 for ms in taken):
        return None
    kept = [ms for ms in taken if ms <= _INTERRUPTED * min(taken)]
    return float(np.exp(np.mean(np.log(kept))))


def quickest_ms(times_ms: Sequence[float]) -> float | None:
    """The least median of stretches of a series of times, in their order: the one that was least disturbed."""
    if not len(times_ms):
        return None
    stretches = np.array_split(np.asarray(times_ms, dtype=np.float64), _n_stretches(len(times_ms)))
    return min(float(np.median(stretch)) for stretch in stretches)


def _n_stretches(n_times: int) -> int:
    return max(1, min(_STRETCHES, n_times // _LEAST_TIMES))


def slowdowns(pulses_ms: Sequence[float | None]) -> NDArray[np.float64]:
    """Shape (n_runs,): how many times slower than at its full pace the machine was; 1 where that is not known.

    Args:
        pulses_ms: Of runs in one setup.
    """
    pulses = np.array([np.nan if ms is None else ms for ms in pulses_ms], dtype=np.float64)
    known = np.isfinite(pulses)
    if not known.any():
        return np.ones(len(pulses))
    return np.where(known, pulses / np.quantile(pulses[known], _FULL), 1.0)


def fullest(probes: Sequence[Probe]) -> list[Probe]:
    """Every network once, in order of name and size: of several runs the one at the fullest pace, then the faster.

    What others do on a machine makes a network slower and never faster.
    """
    slow = np.maximum(slowdowns([probe.pulse_ms for probe in probes]), AT_FULL_PACE)
    found: dict[tuple[str, int], tuple[float, float, Probe]] = {}
    for probe, by in zip(probes, slow.tolist(), strict=True):
        known = found.get(probe.key)
        if known is None or (by, probe.latency_ms) < known[:2]:
            found[probe.key] = by, probe.latency_ms, probe
    return [found[key][2] for key in sorted(found)]


def at_full_pace(probes: Sequence[Probe]) -> tuple[list[Probe], NDArray[np.float64]]:
    """Every network once, with the latency that it has at the machine's full pace, and how much that is in doubt.

    The quickest stretch of a series is quicker than its median by chance too: what it is in the least disturbed quarter
    of the probes is added back to all.

    Args:
        probes: Of one setup.

    Returns:
        The probes, in order of name and size, and a standard deviation of each logarithm.
    """
    once = fullest(probes)
    slow = slowdowns([probe.pulse_ms for probe in once])
    by_chance = [probe.latency_ms / probe.quickest_ms for probe in once if probe.quickest_ms is not None]
    usual = float(np.quantile(by_chance, _FULL)) if by_chance else 1.0
    latencies = [probe.latency_ms if probe.quickest_ms is None else usual * probe.quickest_ms for probe in once]
    corrected = [
        replace(probe, latency_ms=ms / by) for probe, ms, by in zip(once, latencies, slow.tolist(), strict=True)
    ]
    return corrected, DOUBT * np.abs(np.log(slow))
