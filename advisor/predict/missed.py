"""How probable it is that a search has missed something better: joint draws of what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from advisor.predict.belief import SPEED, Belief, Scales

DRAWS = 4000  # a probability of one half is then known to ±1.6 percentage points
_SEED = 0
_LEAST_CHANCE = 1e-4  # options less likely than this change nothing that is shown
MOST_TOGETHER = 600  # options of one setup, the most likely ones: drawing thousands together would take seconds
_JITTER = 1e-6  # what a correlation of nearly equal networks lacks to be positive definite


@dataclass(frozen=True, slots=True)
class Missed:
    """What may have been missed.

    Attributes:
        probability: That some unmeasured option of higher accuracy is within the budget.
        points: Of accuracy, by which the best of them is expected to beat the pick; 0 where there is none.
    """

    probability: float
    points: float


@dataclass(frozen=True, eq=False)
class Unmeasured:
    """The unmeasured options of one setup that are more accurate than the pick.

    Attributes:
        within: Shape (n,): how probable each is within the budget.
        gain: Shape (n,): its accuracy over that of the pick, points, above 0.
        correlation: Shape (n, n), of what their log latencies deviate from the prediction; None where it is not known.
    """

    within: NDArray[np.float64]
    gain: NDArray[np.float64]
    correlation: NDArray[np.float64] | None = None

    def likely(self) -> Unmeasured:
        """Those alone that can change a figure that is shown."""
        kept = np.flatnonzero(self.within >= _LEAST_CHANCE)
        between = None if self.correlation is None else self.correlation[np.ix_(kept, kept)]
        return Unmeasured(self.within[kept], self.gain[kept], between)


def missed(setups: Sequence[Unmeasured], *, draws: int = DRAWS, seed: int = _SEED) -> Missed:
    """The chance that a search has missed something, and what that would be worth.

    Networks that are alike deviate alike: where one is slower than predicted, so are its relatives, and the chance that
    one of many is within the budget is smaller than if each had a chance of its own. So latencies are drawn together
    (a Gaussian copula: normal deviations with that correlation, each option with its own probability). Setups are
    drawn independently of each other, which is not quite so where they share a device: with several of them the
    probability is an upper bound.
    """
    rng = np.random.default_rng(seed)
    most = np.zeros(draws)
    for setup in setups:
        some = setup.likely()
        if not len(some.within):
            continue
        normal = rng.standard_normal((draws, len(some.within)))
        if some.correlation is not None:
            normal = normal @ _root(some.correlation).T
        gains = np.where(normal <= ndtri(some.within), some.gain, 0.0)
        most = np.maximum(most, gains.max(axis=1))
    return Missed(float((most > 0).mean()), float(most.mean()))


def correlation(
    believed: Belief, scales: Scales, probes: NDArray[np.intp], wanted: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Shape (n_wanted, n_wanted): how the log latencies of networks deviate together from what probes predict.

    Of the Gaussian process that a predictor corrects its bases with, at its full scales; that it weighs several bases
    and scales only adds to what deviations have in common, so the correlation is rather too small than too large.
    """
    within = SPEED**2 + believed.covariance(probes, probes, scales) + scales.noise**2 * np.eye(len(probes))
    between = SPEED**2 + believed.covariance(wanted, probes, scales)
    left = SPEED**2 + believed.covariance(wanted, wanted, scales) - between @ np.linalg.solve(within, between.T)
    left[np.diag_indices_from(left)] += scales.noise**2
    deviation = np.sqrt(np.diag(left))
    return np.asarray(left / np.outer(deviation, deviation))


def _root(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.cholesky((correlation + _JITTER * np.eye(len(correlation))) / (1 + _JITTER)))
