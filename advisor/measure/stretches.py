"""What a pass took in a series of times, and the machine's pulse meanwhile.

What slows a shared machine down comes and goes within milliseconds, so that a pass of a network meets some of its full
pace and some of its slow moments, and so does a pulse: a single one says little of the passes beside it. All of a
series together say more: on two cores of an Intel Xeon that others used too, series of one network came nearer to each
other when each was corrected by its average pulse than when the third of it with the fastest pulses was taken (standard
deviation of a logarithm 0.06 instead of 0.16 in ONNX Runtime, 158 series of 25 networks; 0.09 instead of 0.17 in
OpenVINO in bfloat16, 255 of 34; 0.11 instead of 0.13 in eager mode, 465 of 23).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# From one pulse to the next: a pulse takes some 4 ms.
_PULSE_EVERY_S = 0.1
# A network whose pulse is slower by a factor is slower by that factor to this power, more or less: of these series 0.65
# in ONNX Runtime and 0.75 in eager mode, and on two cores of an AMD EPYC, 0.8 to 1.6 in four runtimes.
SUFFERED = 1.0
_APART = 0.2  # share at either end, by what passes took beside their pulse, that something else may have disturbed


@dataclass(frozen=True, slots=True)
class Stretch:
    """A series of times beside the machine's pulse.

    Attributes:
        latency_ms: Of one pass, as one of `Latency`: the mean, by factors.
        pulse_ms: How fast the machine was meanwhile, see `workers.pulse`: the mean, by factors.
        least_ms: The fastest pulse.
        error: The standard error of the logarithm of the latency beside the pulse.
    """

    latency_ms: float
    pulse_ms: float
    least_ms: float
    error: float = 0.0

    def at(self, pulse_ms: float, suffers: float = SUFFERED) -> float:
        """What a pass takes, ms, while the pulse is that.

        Args:
            suffers: The power of the machine's slowdown by which the network is slower itself.
        """
        return float(self.latency_ms * (pulse_ms / self.pulse_ms) ** suffers)


class Pulses:
    """The machine's pulse, taken between samples every now and then."""

    def __init__(self, pulse: Callable[[], float] | None) -> None:
        self._pulse, self._last_s = pulse, -math.inf
        self.taken: list[tuple[int, float]] = []

    def due(self, now_s: float) -> bool:
        """Whether it is time for the next one."""
        return self._pulse is not None and now_s - self._last_s >= _PULSE_EVERY_S

    def take(self, samples: int, now_s: float) -> None:
        """Take it, after so many samples."""
        if self._pulse is not None:
            self.taken.append((samples, self._pulse()))
            self._last_s = now_s


def stretch(times_ms: Sequence[float], pulses: Sequence[tuple[int, float]]) -> Stretch | None:
    """A series beside its pulses; None of one with no times between two of them.

    Args:
        times_ms: In order.
        pulses: As of `Latency`.
    """
    logs = np.log(times_ms)
    between = [(math.log(pulse_ms), logs[begin:end].mean()) for begin, end, pulse_ms in _stretches(pulses)]
    if not between:
        return None
    pulse, latency = np.array(between).T
    usual = float(pulse.mean())
    # scipy.stats.trim_mean, which takes every measuring process a second to load
    each, apart = np.sort(latency - SUFFERED * (pulse - usual)), int(_APART * len(latency))
    middle = each[apart : len(each) - apart]
    error = float(middle.std() / math.sqrt(len(middle)))
    least_ms = min(pulse_ms for _, pulse_ms in pulses)
    return Stretch(math.exp(float(middle.mean())), math.exp(usual), least_ms, error)


def _stretches(pulses: Sequence[tuple[int, float]]) -> list[tuple[int, int, float]]:
    """Of the times between two pulses the first, the one after the last, and the pulse midway between by factors."""
    return [
        (begin, end, math.sqrt(first_ms * second_ms))
        for (begin, first_ms), (end, second_ms) in itertools.pairwise(pulses)
        if end > begin
    ]
