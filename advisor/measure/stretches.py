"""The machine's pulse between the times of a series, and the part of it during which it was at its fullest pace.

What slows a shared machine down comes and goes within a second, so most series have some of its full pace in them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# From one pulse to the next: what slows a shared machine down comes and goes within a second, and a pulse takes some
# 4 ms.
_PULSE_EVERY_S = 0.1
# A network whose pulse is slower by a factor is slower by that factor to this power: of 17 pairs of networks and
# runtimes on two cores of an Intel Xeon that others used too, series at 1.0 to 2.1 times the pulse of full pace came
# nearest to one another with it (of 0.4, 0.55, 0.7 and 0.85).
SUFFERED = 0.7
_FEWEST = 3  # stretches tell more than the chance of one
_ABOUT = 1.05  # pulses within this factor are of one pace: as far apart as those of a quiet machine


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a series of times during which the machine was at its fullest pace.

    Attributes:
        latency_ms: Of one pass, as one of `Latency`.
        pulse_ms: How fast the machine was meanwhile, see `workers.pulse`.
    """

    latency_ms: float
    pulse_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What takes the machine's pulse, and how long to wait for which.

    Attributes:
        pulse: Takes it, ms.
        full_ms: Timing goes on until some stretches were at this pulse; None waits for none.
        patience_s: But so long at the most, s.
    """

    pulse: Callable[[], float]
    full_ms: float | None = None
    patience_s: float = 0.0


class Pulses:
    """The machine's pulse, taken between samples every now and then."""

    def __init__(self, pace: Pace | None) -> None:
        self._pace, self._last_s = pace, -math.inf
        self.taken: list[tuple[int, float]] = []

    def due(self, now_s: float) -> bool:
        """Whether it is time for the next one."""
        return self._pace is not None and now_s - self._last_s >= _PULSE_EVERY_S

    def take(self, samples: int, now_s: float) -> None:
        """Take it, after so many samples."""
        if self._pace is not None:
            self.taken.append((samples, self._pace.pulse()))
            self._last_s = now_s

    def wanting(self, waited_s: float) -> bool:
        """Whether the machine was not at its full pace for long enough, and is still to be waited for."""
        pace = self._pace
        if pace is None or pace.full_ms is None or waited_s >= pace.patience_s:
            return False
        return n_at(self.taken, pace.full_ms) < _FEWEST


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
    kept = pulse <= pulse[:_FEWEST][-1] + math.log(_ABOUT)
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
