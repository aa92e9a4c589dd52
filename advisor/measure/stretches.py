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
_SHARE, _FEWEST = 1 / 3, 3  # of the stretches between two pulses, those at the fullest pace count


def fullest(times_ms: Sequence[float], pulses: Sequence[tuple[int, float]]) -> Stretch | None:
    """The third of a series that was at the fullest pace; None of one with no times between two pulses.

    Args:
        times_ms: In order.
        pulses: As of `Latency`.
    """
    between = [
        (math.log(first_ms * second_ms) / 2, math.log(float(np.median(times_ms[begin:end]))))
        for (begin, first_ms), (end, second_ms) in itertools.pairwise(pulses)
        if end > begin
    ]  # fmt: skip
    if not between:
        return None
    kept = np.array(sorted(between)[: max(_FEWEST, math.ceil(_SHARE * len(between)))])
    pulse, latency = kept.T
    usual = float(pulse.mean())
    return Stretch(math.exp(float(np.median(latency - SUFFERED * (pulse - usual)))), math.exp(usual))
