"""What is believed of a setup before any probe: a Gaussian process over all networks, built from other devices.

log latency = a base: log of the additive model with the rates that devices of the same kind share, plus the mean
              deviation pattern of those devices; or the whole column of one other setup
            + shares of the terms x corrections of the rates            (how this device's rates differ)
            + patterns of published columns x their weights             (what this device has in common with each)
            + a smooth function of the network's features, and one of its family
            + noise.
All corrections and weights are normal around 0, with scales learned by leaving devices out (`priors`). A correction is
of a rate's logarithm, so no rate turns negative; it is linear to first order, which a device's common speed, free to
move, does not touch. This is scikit-learn's `GaussianProcessRegressor` in purpose; its kernels cannot share a scale
between devices nor take patterns as inputs, and the algebra is a dozen lines.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.predict.additive import floored, pooled_rates, shares
from advisor.predict.columns import Setup
from advisor.predict.costs import TERM_GROUP, Likeness, costs, likeness, near, same_family
from advisor.predict.history import History, Pattern

SPEED = 2.0  # standard deviation of the logarithm of a device's common speed: a factor of 7 either way
_SAME, _OTHER = 4, 5  # places of the scales in `Scales`, after the four of the terms


@dataclass(frozen=True, slots=True)
class Scales:
    """Standard deviations of logarithms, but `length`, which is one of features.

    Attributes:
        macs, bytes, weights, counts: Of the corrections of the rates of these terms.
        same, other: Of the weights of patterns of devices of the same kind, of another kind.
        features, length: Of the smooth function of features and how far it reaches.
        family: Of what a family has in common.
        noise: Of what nothing explains, the noise of a measurement included.
    """

    macs: float = 0.5
    bytes: float = 0.5
    weights: float = 0.5
    counts: float = 0.5
    same: float = 0.4
    other: float = 0.3
    features: float = 0.08
    length: float = 1.5
    family: float = 0.05
    noise: float = 0.05


@dataclass(frozen=True, eq=False)
class Belief:
    """The prior of one setup over all profiles of a history.

    Attributes:
        rates: Shape (n_terms,): ms per unit of each term that devices of the kind share, but for the common speed.
        bases: Shape (n_bases, n): log ms, but for the common speed. The first is what devices of the kind share; each
            other one is a published column, completed. The probes say which to trust.
        loadings: Shape (n, n_factors): what each unknown number adds to the logarithm.
        scale_of: Shape (n_factors,): which scale the number has, a place in `Scales`.
    """

    rates: NDArray[np.float64]
    bases: NDArray[np.float64]
    loadings: NDArray[np.float64]
    scale_of: NDArray[np.intp]
    alike: Likeness

    @property
    def mean(self) -> NDArray[np.float64]:
        """The base that devices of the kind share."""
        return np.asarray(self.bases[0])

    def covariance(self, first: NDArray[np.intp], second: NDArray[np.intp], scales: Scales) -> NDArray[np.float64]:
        """Shape (n_first, n_second): of the logarithms of noise-free latencies, but for the common speed."""
        return self.shared(first, second, scales) + self.particular(first, second, scales)

    def variance(self, rows: NDArray[np.intp], scales: Scales) -> NDArray[np.float64]:
        """Shape (n_rows,): the diagonal of `covariance`."""
        return self.shared_variance(rows, scales) + scales.features**2 + scales.family**2

    def shared(self, first: NDArray[np.intp], second: NDArray[np.intp], scales: Scales) -> NDArray[np.float64]:
        """Shape (n_first, n_second): the part of the covariance that rates and patterns make."""
        return np.asarray((self.loadings[first] * self._variances(scales)) @ self.loadings[second].T)

    def shared_variance(self, rows: NDArray[np.intp], scales: Scales) -> NDArray[np.float64]:
        """Shape (n_rows,): the diagonal of `shared`."""
        return np.asarray(self.loadings[rows] ** 2 @ self._variances(scales))

    def particular(self, first: NDArray[np.intp], second: NDArray[np.intp], scales: Scales) -> NDArray[np.float64]:
        """Shape (n_first, n_second): the part that like networks and families have for themselves."""
        a, b = self.alike.only(first), self.alike.only(second)
        return scales.features**2 * near(a, b, scales.length) + scales.family**2 * same_family(a, b)

    def _variances(self, scales: Scales) -> NDArray[np.float64]:
        return np.asarray(np.square(np.array(astuple(scales))[self.scale_of]))


def belief(past: History, setup: Setup) -> Belief:
    """What the devices of a history let one expect of a setup; a history with that device in it is leaking.

    Raises:
        ValueError: The history is empty.
    """
    same = [p for p in past.patterns if (p.setup.kind, p.setup.task) == (setup.kind, setup.task)]
    other = [p for p in past.patterns if (p.setup.kind, p.setup.task) != (setup.kind, setup.task)]
    if not past.patterns:
        raise ValueError("nothing is known of any device")
    terms = costs(past.profiles, setup.batch_size)
    rates = floored(pooled_rates([_costs_of(past, p) for p in same or other]), terms)
    factors = [shares(rates, terms)]
    mean = np.log(terms @ rates)
    scale_of = [TERM_GROUP]
    if same:
        weights = _each_device_once(same)
        patterns = np.column_stack([p.deviation for p in same])
        mean = mean + patterns @ (weights / weights.sum())
        factors.append(patterns * np.sqrt(weights))
        scale_of.append(np.full(len(same), _SAME))
    if other:
        factors.append(np.column_stack([p.deviation for p in other]) / np.sqrt(len(other)))
        scale_of.append(np.full(len(other), _OTHER))
    columns = [np.log(terms @ floored(p.rates, terms)) + p.deviation for p in past.patterns]
    bases = np.vstack([mean, *columns])
    return Belief(rates, bases, np.hstack(factors), np.concatenate(scale_of), likeness(past.profiles))


def _costs_of(past: History, pattern: Pattern) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    column = pattern.column
    return costs(past.profiles, column.setup.batch_size)[column.rows], column.latency_ms


def _each_device_once(patterns: list[Pattern]) -> NDArray[np.float64]:
    names = [pattern.setup.device_id for pattern in patterns]
    return np.array([1 / names.count(name) for name in names])
