"""How slow the machine is, beside its full pace of which the predictor speaks: as it was in its last measurements.

What is measured on a machine that others use too is measured in whatever moment it meets: beside that, predictions of
the full pace alone are too low, and their intervals too narrow by the unrest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from advisor.measure.stretches import Stretch
from advisor.predict.pace import AT_FULL_PACE, pulse_slowdown

if TYPE_CHECKING:  # these load scipy, which other commands need not wait for
    from advisor.predict.predictor import Posterior
    from advisor.predict.search import Outcome


LAST = 10  # measurements that tell how slow the machine is
# Measurements that tell how far from that the next one may meet it: some minutes of them, for a machine may be at one
# pace for a minute and at another the next.
_LATELY = 40
# Neighbours make a machine at most about that many times slower. A run beyond that, beside the median run, met one that
# stood still for a moment: during one of 27 runs on a virtual one it was some 30 times slower by its pulse.
_STOOD_STILL = 3.0


@dataclass(frozen=True, slots=True)
class Slowness:
    """How many times slower than at its full pace the machine is expected to be while the next network is measured.

    Setups suffer more or less of one moment of the machine (see `suffering`): it is that of the machine, by its
    pulse, or, `scaled` by what a setup suffers, that of the setup's networks.

    Attributes:
        log: The logarithm.
        deviation: Its standard deviation.
    """

    log: float = 0.0
    deviation: float = 0.0

    @classmethod
    def of_runs(cls, slowdowns: Sequence[float]) -> Slowness:
        """As in those measurements, newest first: the last few tell how slow, all of them how far from that it may be.

        Those that met it standing still are cut short. At full pace where there are none.
        """
        logs = _moving(_logs(slowdowns))
        if not len(logs):
            return cls()
        log = float(np.mean(logs[:LAST]))
        return cls(log, float(np.sqrt(np.mean(np.square(logs - log)))))

    @property
    def times(self) -> float:
        """How many times slower, on average by factors."""
        return float(np.exp(self.log))

    @property
    def told(self) -> bool:
        """Whether the machine is expected to be slower than at its full pace."""
        return self.times > AT_FULL_PACE

    @property
    def words(self) -> str:
        """By how much slower, in percent."""
        return f"{100 * (self.times - 1):.0f} %"

    @property
    def sentence(self) -> str:
        """Of which moment of the machine predictions speak; empty where that is its full pace."""
        if not self.told:
            return ""
        return (
            f"Predictions are of the machine as it was in its last measurements, {self.words} slower on average than "
            "at its full pace."
        )

    def after(self, slowdowns: Sequence[float]) -> Slowness:
        """As in those measurements, and as was expected before: that counts as one more, for a single one may have met
        a slow moment."""
        logs = _moving([self.log, *_logs(slowdowns)])
        within = self.deviation**2 / len(logs)
        return Slowness(float(np.mean(logs)), float(np.sqrt(np.var(logs) + within)))

    def scaled(self, suffers: float) -> Slowness:
        """That of networks that suffer by that power."""
        return Slowness(suffers * self.log, suffers * self.deviation)

    def of(
        self, believed: Posterior, suffers: float | NDArray[np.float64] = 1.0,
        unlike: float | NDArray[np.float64] = 0.0,
    ) -> Posterior:  # fmt: skip
        """What is believed of latencies at full pace, for the machine as it is.

        Args:
            suffers: The power of each network, or of all.
            unlike: The standard deviation of each power.
        """
        deviation = np.hypot(believed.deviation, self._deviation(suffers, unlike))
        return replace(believed, mean=believed.mean + suffers * self.log, deviation=deviation)

    def _deviation(self, suffers: float | NDArray[np.float64], unlike: float | NDArray[np.float64]) -> Any:
        """The standard deviation of the product of the logarithm and a power that does not depend on it."""
        return np.hypot(suffers * self.deviation, unlike * np.hypot(self.log, self.deviation))

    def beside(self, tested: Mapping[int, Outcome], suffers: NDArray[np.float64] | None = None) -> dict[int, Outcome]:
        """What was measured, each with how much slower the machine was then than it is now.

        Args:
            suffers: The power of each option; None is that of the slowness itself.
        """
        return {
            option: replace(one, slowdown=one.slowdown / self.times ** (1.0 if suffers is None else suffers[option]))
            for option, one in tested.items()
        }


FULL_PACE = Slowness()


def of_last(stretches: Iterable[Stretch | None], full_ms: float | None) -> Slowness:
    """How slow the machine was, by its pulse, in the last runs of which that is known.

    Args:
        stretches: Of each run, newest first.
        full_ms: The pulse at full pace.
    """
    told = islice((one for one in stretches if one is not None), _LATELY)
    return Slowness.of_runs([pulse_slowdown(one, full_ms) for one in told])


def _moving(logs: Sequence[float]) -> NDArray[np.float64]:
    """The same, those of runs during which the machine stood still no more than `_STOOD_STILL` times the median."""
    return np.minimum(logs, np.median(logs) + np.log(_STOOD_STILL)) if logs else np.array([])


def _logs(slowdowns: Sequence[float]) -> list[float]:
    return [float(np.log(one)) if one > AT_FULL_PACE else 0.0 for one in slowdowns]
