"""The additive model: a latency is the sum of a network's costs, each times a rate that is never negative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from advisor.predict.costs import TERM_GROUP

_MAX_STEPS = 5000  # of the solver; it needs a few per term
_ROWS_OF_A_COLUMN = 400  # in a pooled fit, so that no setup speaks louder because it has more networks
# A rate of 0 could never be corrected by a probe: every term keeps this share of the latency in the networks that
# have most of it (the 2 % that have most).
_LEAST_SHARE, _MOST = 0.02, 0.02


def fit_rates(costs: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rates (ms per unit of each term) with the least sum of squared relative errors.

    Args:
        costs: Shape (n, n_terms).
        latency_ms: Shape (n,).

    Returns:
        Shape (n_terms,), none negative. Solved by non-negative least squares (Lawson and Hanson 1974).
    """
    relative = costs / latency_ms[:, None]
    largest = relative.max(axis=0)
    largest = np.where(largest > 0, largest, 1.0)  # terms of which no network has anything
    rates, _ = nnls(relative / largest, np.ones(len(relative)), maxiter=_MAX_STEPS)
    return np.asarray(rates / largest)


def pooled_rates(fits: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Rates common to several setups, each first scaled to the same speed: the shape of a device, not its speed.

    Args:
        fits: Costs and latencies of each setup, as for `fit_rates`.
    """
    parts = []
    for costs, latency_ms in fits:
        step = -(-len(costs) // _ROWS_OF_A_COLUMN)
        relative = (costs / latency_ms[:, None])[::step]
        parts.append(relative / np.median(relative[:, TERM_GROUP == 0].sum(axis=1)))  # MACs per ms
    stacked = np.vstack(parts)
    return fit_rates(stacked, np.ones(len(stacked)))


def floored(rates: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same rates, but none so small that the term plays no part in any of those networks."""
    latency = costs @ rates
    has = costs > 0
    per_unit = np.where(has, latency[:, None] / np.where(has, costs, 1.0), np.inf)
    lowest = np.quantile(np.where(np.isfinite(per_unit), per_unit, 1e300), _MOST, axis=0)
    return np.where(has.any(axis=0), np.maximum(rates, np.where(lowest < 1e299, _LEAST_SHARE * lowest, 0.0)), rates)


def shares(rates: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n, n_terms): which part of the latency each term has; rows sum to 1."""
    parts = costs * rates
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))
