"""Learn what a predictor believes before it sees a device, by leaving every known device out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.stats import norm

from advisor.predict.belief import SPEED, Belief, Scales, belief
from advisor.predict.columns import Column
from advisor.predict.history import History
from advisor.predict.predictor import Prior, posterior

_ROWS = 80  # networks of each setup that the scales are fitted on: enough to tell them, few enough for seconds
_DRAWS = 4  # of probes, of each setup, for the width of intervals
_PROBES = 15  # in the middle of what a user measures
_STEPS = 25
_START = np.log(astuple(Scales()))
# How firmly a scale stays near its start: the logarithm of a scale is normal around it with this standard deviation.
_FIRMNESS = 0.7
# ... and never further from it than this factor: with few devices a smooth function that reaches over everything
# otherwise takes the place of the corrections of the rates
_FURTHEST = 4.0
_COVERAGE = 0.9
_Task = tuple[Belief, NDArray[np.intp], NDArray[np.float64]]


def learned(past: History, *, seed: int = 0) -> Prior:
    """The scales under which the devices left out are most probable, and the widening that makes intervals honest.

    The widening is a split-conformal quantile (Papadopoulos 2002; Lei et al. 2018): of the networks of devices left
    out, each device weighing the same, 90 % lie within the widened intervals. mapie and crepes conformalise rows that
    are exchangeable; here whole devices are, and rows of one device are not, so the quantile is taken over devices
    with numpy.
    """
    rng = np.random.default_rng(seed)
    tasks = [(belief(past.without(c.setup.device_id), c.setup), c) for c in _columns(past)]
    if not tasks:
        return Prior()
    drawn: list[_Task] = []
    for believed, column in tasks:
        chosen = rng.choice(len(column.rows), min(_ROWS, len(column.rows)), replace=False)
        drawn.append((believed, column.rows[chosen], np.log(column.latency_ms[chosen])))
    bounds = [(start - np.log(_FURTHEST), start + np.log(_FURTHEST)) for start in _START]
    fit = minimize(_improbability, _START, args=(drawn,), method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    scales = _scales(fit.x)
    return Prior(scales, _widening(tasks, scales, rng))


def _columns(past: History) -> list[Column]:
    """Setups of devices that can be left out and still leave another one."""
    return [p.column for p in past.patterns] if len(past.device_ids) > 1 else []


def _scales(logarithms: NDArray[np.float64]) -> Scales:
    return Scales(*(float(scale) for scale in np.exp(logarithms)))


def _improbability(logarithms: NDArray[np.float64], tasks: Sequence[_Task]) -> float:
    """The negative log density of the devices left out, and of the scales."""
    scales = _scales(logarithms)
    total = 0.5 * float(np.square((logarithms - _START) / _FIRMNESS).sum())
    for believed, rows, logs in tasks:
        within = SPEED**2 + believed.covariance(rows, rows, scales) + scales.noise**2 * np.eye(len(rows))
        try:
            lower = np.linalg.cholesky(within)
        except np.linalg.LinAlgError:
            return 1e9  # so far from what is possible that the search turns back
        whitened = solve_triangular(lower, logs - believed.mean[rows], lower=True)
        total += 0.5 * float(whitened @ whitened) + float(np.log(np.diag(lower)).sum())
    return total


def _widening(tasks: Sequence[tuple[Belief, Column]], scales: Scales, rng: np.random.Generator) -> float:
    errors, weights = [], []
    devices = [column.setup.device_id for _, column in tasks]
    for believed, column in tasks:
        for _ in range(_DRAWS):
            order = rng.permutation(len(column.rows))
            probes, rest = order[:_PROBES], order[_PROBES:]
            found = posterior(
                believed, Prior(scales), column.rows[probes], column.latency_ms[probes], column.rows[rest]
            )
            errors.append(np.abs(np.log(column.latency_ms[rest]) - found.mean) / found.deviation)
            weights.append(np.full(len(rest), 1 / (len(rest) * devices.count(column.setup.device_id))))
    values, shares = np.concatenate(errors), np.concatenate(weights)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(shares[order]) / shares.sum()
    bound = values[order][min(int(np.searchsorted(reached, _COVERAGE)), len(values) - 1)]
    return float(bound / norm.ppf(0.5 + _COVERAGE / 2))
