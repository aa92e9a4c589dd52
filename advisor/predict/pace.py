"""How fast the machine was while networks were measured: their pulses beside the pulse at full pace.

A machine that others use too runs everything a fifth to a third slower for seconds or minutes. On two shared cores, a
network's latency moves with its pulse one to one: 155 networks, each measured twice, differed by 12 % (standard
deviation of the logarithm), and by 8 % once each was divided by its slowdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.predict.probe import Probe

# The machine's full pace is not its fastest pulse, which may be a lucky moment, but one that a quarter reaches.
_FULL = 0.25
AT_FULL_PACE = 1.08  # slowdowns up to this are the pulse's own spread
# What is not known of a latency that was divided by its slowdown, as a share of the logarithm of that: some networks
# suffer half as much as the pulse, some half as much again.
DOUBT = 0.5


def pulse_of(taken: Any) -> float | None:
    """The pulse during a run, ms, from `pulse_ms` of its environment: before it and after it; None in runs without.

    The faster of them: what slows one down alone was over, or had not begun, for most of the run.
    """
    if not isinstance(taken, list) or not taken or not all(isinstance(ms, int | float) and ms > 0 for ms in taken):
        return None
    return float(min(taken))


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
