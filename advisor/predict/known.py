"""What is known of one setup of this machine: every network measured there, and all others predicted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.stretches import Stretch
from advisor.predict import suffering
from advisor.predict.calibration import Asked, Calibration, drift_words
from advisor.predict.columns import Setup
from advisor.predict.pace import AT_FULL_PACE, slowdowns
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.slowness import FULL_PACE, Slowness

if TYPE_CHECKING:
    from advisor.predict.deviations import Deviations
    from advisor.predict.predictor import Posterior

# A median is nearly normal, so its central 90 % interval is this share of its 95 % one: 1.645 / 1.960.
_90_OF_95 = 0.8392
COLUMNS = ("architecture", "img_size", "p50_ms", "lo90_ms", "hi90_ms", "evidence", "run_id")


@dataclass(frozen=True, slots=True)
class MeasuredHere:
    """A network that was measured in the setup: the run, its median with the 95 % interval in ms, its verdict.

    Attributes:
        stretch: The run beside the machine's pulse; None where its pace is not known.
    """

    run_id: str
    p50: float
    ci95: tuple[float, float]
    verdict: str
    stretch: Stretch | None = None

    @property
    def interval90(self) -> tuple[float, float]:
        """The central 90 % interval of the median, ms."""
        low, high = self.ci95
        return self.p50 - _90_OF_95 * (self.p50 - low), self.p50 + _90_OF_95 * (high - self.p50)


@dataclass(frozen=True, eq=False)
class Known:
    """One calibrated setup of this machine, with the software that is installed now.

    Attributes:
        calibration: The one that holds: a complete one before others, then the newest.
        stale: Why it does not hold any more; empty but for a stale one.
        n_probes: Different networks that predictions are made from: all measured here in this setup, whether by this
            calibration or otherwise.
        posterior: What is believed of every row of `profiles` at the machine's full pace.
        measured: By row of `profiles`: the newest steady run of each network, else its newest noisy one.
        probes: What predictions are made from: a run of each of the same networks, with what all say beside the pulse.
        full_ms: The pulse at its full pace, by all setups; None where none is known.
        slowness: How slow the machine was, by its pulse, in its last measurements.
        powers: What each row of `profiles` suffers of a slow machine, see `suffering`; None if all suffer alike.
        elsewhere: How networks deviated in such a setup of other machines, where that is a guess for this one.
    """

    setup: Setup
    asked: Asked
    calibration: Calibration
    stale: tuple[str, ...]
    n_probes: int
    posterior: Posterior
    profiles: Profiles
    measured: dict[int, MeasuredHere]
    probes: tuple[Probe, ...] = ()
    full_ms: float | None = None
    slowness: Slowness = FULL_PACE
    powers: NDArray[np.float64] | None = None
    elsewhere: tuple[Deviations, ...] = ()

    @property
    def n_predicted(self) -> int:
        """Networks, at the sizes that have a profile, that were not measured."""
        return len(self.profiles) - len(self.measured)

    @property
    def n_noisy(self) -> int:
        """Probes of which there is no steady run."""
        return sum(one.verdict == "noisy" for one in self.measured.values())

    @property
    def caveat(self) -> str:
        """What to know before its predictions decide, as the end of '12 were measured'; or empty."""
        if self.calibration.drifted:
            return f" while the machine drifted by {drift_words(self.calibration.drift or 0.0)}"
        return f", {self.n_noisy} of them noisily" if self.n_noisy else ""

    @property
    def slowed(self) -> NDArray[np.float64]:
        """How many times slower than at its full pace the machine was, of each probe during which it was."""
        slow = slowdowns([probe.stretch for probe in self.probes], self.full_ms)
        return np.asarray(slow[slow > AT_FULL_PACE])

    @property
    def suffers(self) -> float:
        """The power of the machine's slowdown by which its networks are slower, as is usual: see `suffering`."""
        return suffering.usual(self.probes)

    @cached_property
    def each_suffers(self) -> NDArray[np.float64]:
        """That power of every row of `profiles`."""
        return np.full(len(self.posterior.mean), self.suffers) if self.powers is None else self.powers

    @cached_property
    def unlike(self) -> float:
        """How far networks are from that, a standard deviation."""
        expected = np.full(len(self.probes), self.suffers)
        if self.powers is not None:
            expected = self.powers[self.profiles.rows([probe.key for probe in self.probes])]
        return suffering.doubt_of_each(self.probes, expected.tolist())

    @property
    def slower(self) -> Slowness:
        """How slow its networks are, as is usual, as the machine was in its last measurements."""
        return self.slowness.scaled(self.suffers)

    @property
    def as_it_is(self) -> Posterior:
        """What is believed of every row of `profiles`, the machine as slow as in its last measurements."""
        return self.slowness.of(self.posterior, self.each_suffers, self.unlike)

    @property
    def interval_ratio(self) -> float:
        """The upper end of the 90 % interval over the lower one, the median of all that are predicted."""
        found = self.frame()
        predicted = found[found["evidence"] == "predicted"]
        return float((predicted["hi90_ms"] / predicted["lo90_ms"]).median())

    def frame(self) -> pd.DataFrame:
        """One row a profile, in their order, with `COLUMNS`: measured where it was measured, else predicted.

        `lo90_ms` and `hi90_ms` are the central 90 % interval: of a latency as it would be measured now, the machine as
        slow as it was last, or of a measured median.
        """
        latencies = self.as_it_is.quantiles()[:, [1, 0, 2]]
        evidence: list[Literal["measured", "predicted"]] = ["predicted"] * len(latencies)
        run_ids: list[str | None] = [None] * len(latencies)
        for row, one in self.measured.items():
            latencies[row] = (one.p50, *one.interval90)
            evidence[row], run_ids[row] = "measured", one.run_id
        p50, low, high = np.asarray(latencies).T
        models = self.profiles.models
        return pd.DataFrame({
            "architecture": models["architecture"].to_numpy(object), "img_size": models["img_size"].to_numpy(),
            "p50_ms": p50, "lo90_ms": low, "hi90_ms": high, "evidence": evidence,
            "run_id": np.array(run_ids, dtype=object),
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network takes in a setup of this machine.

    Attributes:
        p50_ms: The median; `lo90_ms` and `hi90_ms` are the central 90 % interval around it.
        evidence: "measured" where it was measured in this setup, else "predicted".
        run_id, verdict: Of the run where it was measured.
        slowness: How slow the machine is taken to be; at its full pace where it was measured.
    """

    architecture: str
    img_size: int
    p50_ms: float
    lo90_ms: float
    hi90_ms: float
    evidence: Literal["measured", "predicted"]
    setup: Setup
    calibration_id: str
    run_id: str | None = None
    verdict: str | None = None
    slowness: Slowness = FULL_PACE
