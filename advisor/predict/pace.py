"""How fast the machine was while networks were measured: their pulses beside the pulse at full pace.

A machine that others use too runs everything slower for seconds or minutes, some networks more than others: those of
many small operators, whose threads wait for each other often, and those that read many weights. The pulse is what tells
such a moment; how much a network suffers it tells roughly. What comes and goes within a measurement shows in its times,
so the quickest stretch of each counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.predict.probe import Probe

# The machine's full pace is not its fastest pulse, which may be a lucky moment, but what is usual among those that are
# about as fast as one that a quarter reaches.
_FAST = 0.25
AT_FULL_PACE = 1.05  # slowdowns up to this are the pulse's own spread
DISTURBED = 1.25  # a run, or a pass, this much slower than another of its network was disturbed, whatever its pulse
# Networks suffer as the pulse does, give or take all of it: some hardly do, some twice as much.
DOUBT = 1.0
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
    """The least median of stretches of a series of times, in their order: the one that was least disturbed.

    Where even that one was disturbed, as where most of a few passes had to wait for a core, the least time.
    """
    if not len(times_ms):
        return None
    stretches = np.array_split(np.asarray(times_ms, dtype=np.float64), _n_stretches(len(times_ms)))
    quickest, least = min(float(np.median(stretch)) for stretch in stretches), float(min(times_ms))
    return least if quickest > DISTURBED * least else quickest


def _n_stretches(n_times: int) -> int:
    return max(1, min(_STRETCHES, n_times // _LEAST_TIMES))


def slowdowns(pulses_ms: Sequence[float | None], full_ms: float | None = None) -> NDArray[np.float64]:
    """Shape (n_runs,): how many times slower than at its full pace the machine was; 1 where that is not known.

    Args:
        pulses_ms: Of runs on one device.
        full_ms: The pulse at its full pace; None takes that of these runs.
    """
    full_ms = full_pulse_ms(pulses_ms) if full_ms is None else full_ms
    return np.array([1.0 if ms is None or full_ms is None else ms / full_ms for ms in pulses_ms])


def full_pulse_ms(pulses_ms: Sequence[float | None]) -> float | None:
    """The pulse of the machine at its full pace, of those taken during runs on it; None where none was."""
    known = [ms for ms in pulses_ms if ms is not None]
    return float(np.median([ms for ms in known if ms <= AT_FULL_PACE * np.quantile(known, _FAST)])) if known else None


def fullest(
    networks: Sequence[Hashable], latencies_ms: Sequence[float], pulses_ms: Sequence[float | None],
    noisy: Sequence[bool],
) -> list[int]:  # fmt: skip
    """Which run of every network counts, in order of network: of those that were not disturbed the one at the fullest
    pace, then a steady one, then the fastest.

    What others do on a machine makes a network slower and never faster, and does not always show in the pulse.

    Args:
        networks: Of each run, comparable.
    """
    runs = pd.DataFrame({"network": list(networks), "ms": latencies_ms, "noisy": noisy})
    runs["slow"] = np.maximum(slowdowns(pulses_ms), AT_FULL_PACE)
    counted = runs[runs["ms"] <= DISTURBED * runs.groupby("network")["ms"].transform("min")]
    ranked = counted.sort_values(["network", "slow", "noisy", "ms"], kind="stable")
    return [int(row) for row in ranked.drop_duplicates("network").index]


def at_full_pace(
    probes: Sequence[Probe], full_ms: float | None = None
) -> tuple[list[Probe], NDArray[np.float64]]:  # fmt: skip
    """Every network once, with the latency that it has at the machine's full pace, and how much that is in doubt.

    The quickest stretch of a series is quicker than its median by chance too: what is usual among the probes is added
    back to all, but for those of which most was disturbed.

    Args:
        probes: Of one setup.
        full_ms: As of `slowdowns`.

    Returns:
        The probes, in order of name and size, and a standard deviation of each logarithm.
    """
    columns = zip(*((probe.key, probe.latency_ms, probe.pulse_ms, probe.noisy) for probe in probes), strict=True)
    once = [probes[row] for row in fullest(*columns)]
    slow = slowdowns([probe.pulse_ms for probe in once], full_ms)
    by_chance = [probe.latency_ms / probe.quickest_ms for probe in once if probe.quickest_ms is not None]
    undisturbed = [factor for factor in by_chance if factor <= DISTURBED]
    usual = float(np.median(undisturbed)) if undisturbed else 1.0
    latencies = [probe.latency_ms if probe.quickest_ms is None else usual * probe.quickest_ms for probe in once]
    full = np.array(latencies) / slow
    corrected = [replace(probe, latency_ms=ms) for probe, ms in zip(once, full.tolist(), strict=True)]
    return corrected, DOUBT * np.abs(np.log(slow))
