"""The part of a series of times during which the machine was at its fullest pace, by the pulses between them.

What slows a shared machine down comes and goes within a second, so most series have some of its full pace in them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from advisor.measure.run import Stretch

# A network whose pulse is slower by a factor is slower by that factor to this power: of 17 pairs of networks and
# runtimes on two cores of an Intel Xeon that others used too, series at 1.0 to 2.1 times the pulse of full pace came
# nearest to one another with it (of 0.4, 0.55, 0.7 and 0.85).
SUFFERED = 0.7
FEWEST = 3  # stretches tell more than the chance of one
ABOUT = 1.05  # pulses within this factor are of one pace: as far apart as those of a quiet machine


def fullest(times_ms: Sequence[float], pulses: Sequence[tuple[int, float]]) -> Stretch | None:
    """The stretches of a series about as fast by their pulse as the third fastest; None of one with no stretch.

    Args:
        times_ms: In order.
        pulses: As of `Latency`.
    """
    between = [
        (pulse_ms, float(np.median(times_ms[begin:end]))) for begin, end, pulse_ms in _stretches(pulses)
    ]  # fmt: skip
    if not between:
        return None
    pulse, latency = np.log(np.array(sorted(between))).T
    kept = pulse <= pulse[:FEWEST][-1] + math.log(ABOUT)
    usual = float(pulse[kept].mean())
    to_usual = latency[kept] - SUFFERED * (pulse[kept] - usual)
    return Stretch(math.exp(float(np.median(to_usual))), math.exp(usual))


def n_at(pulses: Sequence[tuple[int, float]], pulse_ms: float) -> int:
    """How many stretches were at that pulse or a faster one."""
    return sum(found_ms <= pulse_ms for _, _, found_ms in _stretches(pulses))


def _stretches(pulses: Sequence[tuple[int, float]]) -> list[tuple[int, int, float]]:
    """Of the times between two pulses the first, the one after the last, and the pulse midway between by factors."""
    return [
        (begin, end, math.sqrt(first_ms * second_ms))
        for (begin, first_ms), (end, second_ms) in itertools.pairwise(pulses)
        if end > begin
    ]
