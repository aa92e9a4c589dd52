"""Predictions held against the measurements that came after them, and how they tighten from probe to probe. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles

_SPREAD = (0.05, 0.5, 0.95)  # quantiles over networks


@dataclass(frozen=True, slots=True)
class Foretold:
    """A network that was measured after it had been predicted; `lo90_ms` and `hi90_ms` are the 90 % interval."""

    architecture: str
    img_size: int
    p50_ms: float
    lo90_ms: float
    hi90_ms: float
    measured_ms: float

    @property
    def inside(self) -> bool:
        """Whether the measurement lies within the interval."""
        return self.lo90_ms <= self.measured_ms <= self.hi90_ms

    @property
    def error(self) -> float:
        """|predicted / measured - 1|."""
        return abs(self.p50_ms / self.measured_ms - 1)


@dataclass(frozen=True, slots=True)
class Step:
    """What is believed after so many probes.

    Attributes:
        ratio: The upper end of the 90 % interval over its lower end: 5 % quantile, median and 95 % quantile over all
            networks.
        then: The probe that was measured next, as it had been predicted; None after the last one.
    """

    n_probes: int
    ratio: tuple[float, float, float]
    then: Foretold | None


def step(n_probes: int, believed: Posterior, profiles: Profiles, then: Probe | None) -> Step:
    """What is believed after `n_probes`, and how it did for the probe that came next.

    Args:
        believed: Of every row of the profiles.
    """
    latencies = believed.quantiles()
    low, middle, high = np.quantile(latencies[:, 2] / latencies[:, 0], _SPREAD)
    found = foretold(believed, profiles, [] if then is None else [then])
    return Step(n_probes, (float(low), float(middle), float(high)), found[0] if found else None)


def foretold(believed: Posterior, profiles: Profiles, later: Sequence[Probe]) -> list[Foretold]:
    """How predictions did for networks measured later, in their order; those without a profile are left out.

    Args:
        believed: Of every row of the profiles, before those measurements.
    """
    known = [probe for probe in later if probe.key in profiles.positions]
    if not known:
        return []
    latencies = believed.quantiles()[profiles.rows([probe.key for probe in known])]
    return [
        Foretold(probe.architecture, probe.img_size, float(p50), float(low), float(high), probe.latency_ms)
        for probe, (low, p50, high) in zip(known, latencies, strict=True)
    ]
