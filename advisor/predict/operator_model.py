"""What every operator takes on a device, learned from the times of operators inside its probes.

An operator's time = (a call + its multiply-adds, bytes and weights, each times a rate of its class)
                     x a smooth function of its shape.
The rates are fitted by relative error, which a time that a busy moment made a hundred times longer hardly moves, and
shrunk towards those that published devices share. The smooth function is a Gaussian process on the logarithms of the
shape; far from every timed operator it returns to 1, so that large operators are extrapolated by the rates alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.probe import Probe
from advisor.predict.profile import OPERATOR_COLUMNS
from advisor.predict.signature import signature

_SHAPE = ("rows", "inner", "columns", "products", "bytes", "weight_bytes", "kernel_height", "stride_height")
_LENGTH = 2.0  # of a logarithm: operators a factor of 7 apart in one side say little about each other
# standard deviations of logarithms: of the smooth function, of what a probe's operators have in common (the state of
# the machine in that moment), and of a single time
_SMOOTH, _MOMENT, _SINGLE = 0.35, 0.1, 0.15
_SHRINK = 1.0  # weight of a published rate, in timed operators
_MOST_POINTS = 500  # of a class; those with most time first
_MOST_DEVIATION = 2.0
# a probe whose operators, watched, took that many times its latency or as little was disturbed: it teaches nothing
_MOST_WATCHED = 2.0
_GRAIN = (1.0, 1.0, 1e3)  # MACs, bytes and weight bytes below which a term is nothing


def usable(probe: Probe) -> bool:
    """Whether the operators of a probe were timed, and add up to about its latency."""
    watched_ms = sum(o.count * o.time_ms for o in probe.operators)
    return bool(probe.operators) and 1 / _MOST_WATCHED < watched_ms / probe.latency_ms < _MOST_WATCHED


class OperatorModel:
    """Times of operators; `fit` learns from probes.

    Args:
        rates: Shape (n_terms,), in the order of `costs.TERMS`: what published devices share, at any speed.
    """

    def __init__(self, rates: NDArray[np.float64]) -> None:
        self._published = rates

    def fit(self, probes: Sequence[Probe]) -> OperatorModel:
        """Learn from the operators of probes; those that are not `usable` are left out."""
        self.probes_ = [i for i, probe in enumerate(probes) if usable(probe)]
        frames = [_timed(probes[i], i) for i in self.probes_]
        self.timed_ = pd.concat(frames, ignore_index=True)
        self._rates_by_kind = self._fitted_rates()
        means = self._mean(self.timed_, 1)
        self._deviation = np.clip(np.log(self.timed_["ms"] / means).to_numpy(), -_MOST_DEVIATION, _MOST_DEVIATION)
        return self

    def _fitted_rates(self) -> dict[int, NDArray[np.float64]]:
        terms, kinds = _terms(self.timed_, 1), kinds_of(self.timed_)
        times = self.timed_["ms"].to_numpy()
        published = {kind: self._of_kind(kind) for kind in range(len(KINDS))}
        guess = np.array([terms[i] @ published[kind] for i, kind in enumerate(kinds)])
        speed = float(np.exp(np.median(np.log(times / guess))))
        found = {}
        for kind, prior in published.items():
            rows = np.flatnonzero(kinds == kind)
            prior = np.maximum(prior * speed, 1e-30)
            relative = terms[rows] * prior / times[rows, None]
            weights = np.sqrt(self._weights(rows))[:, None]
            a = np.vstack([relative * weights, np.sqrt(_SHRINK) * np.eye(len(prior))])
            b = np.concatenate([weights[:, 0], np.sqrt(_SHRINK) * np.ones(len(prior))])
            found[kind] = nnls(a, b)[0] * prior
        return found

    def _weights(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.ones(len(rows))

    def _of_kind(self, kind: int) -> NDArray[np.float64]:
        """Published rates of a kind: a call, a MAC, a byte that grows with the batch, a byte of weights; ms."""
        n = len(KINDS)
        r = self._published
        return np.array([r[2 * n + 1 + kind], r[kind], r[n + kind], r[2 * n]])

    def _mean(self, operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        terms, kinds = _terms(operators, batch_size), kinds_of(operators)
        rates = np.vstack([self._rates_by_kind[kind] for kind in range(len(KINDS))])
        return np.asarray(np.maximum((terms * rates[kinds]).sum(axis=1), 1e-9))

    def times_ms(self, operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        """Shape (n_operators,): of each operator of profiles, at a batch size."""
        kinds, known = kinds_of(operators), kinds_of(self.timed_)
        deviation = np.zeros(len(operators))
        x, x_known = _shape(operators, batch_size), _shape(self.timed_, 1)
        probe = self.timed_["probe"].to_numpy()
        self._left_out = np.zeros(len(self.timed_))
        for kind in range(len(KINDS)):
            points, wanted = np.flatnonzero(known == kind), np.flatnonzero(kinds == kind)
            if not len(points):
                continue
            within = _kernel(x_known[points], x_known[points])
            within += _MOMENT**2 * (probe[points][:, None] == probe[points])
            within[np.diag_indices_from(within)] += _SINGLE**2
            inverse = np.linalg.inv(within)
            solved = inverse @ self._deviation[points]
            for one in np.unique(probe[points]):
                block = np.flatnonzero(probe[points] == one)
                own = np.linalg.solve(inverse[np.ix_(block, block)], solved[block])
                self._left_out[points[block]] = self._deviation[points[block]] - own
            for start in range(0, len(wanted), 4000):
                some = wanted[start : start + 4000]
                deviation[some] = _kernel(x[some], x_known[points]) @ solved
        return np.asarray(self._mean(operators, batch_size) * np.exp(deviation))

    def probe_sums(self) -> dict[int, float]:
        """Each probe's latency in ms by the operators of the other probes."""
        ms = self._mean(self.timed_, 1) * np.exp(self._left_out)
        sums = pd.Series(ms * self.timed_["count"].to_numpy()).groupby(self.timed_["probe"].to_numpy()).sum()
        return {int(k): float(v) for k, v in sums.items()}


def _kernel(a, b):
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return _SMOOTH**2 * np.exp(-0.5 * np.maximum(squared, 0.0) / _LENGTH**2)


def _timed(probe: Probe, place: int) -> pd.DataFrame:
    watched_ms = sum(o.count * o.time_ms for o in probe.operators)
    scale = probe.latency_ms / watched_ms
    rows = [asdict(signature(o)) | {"ms": max(o.time_ms * scale, 1e-5), "count": o.count, "probe": place}
            for o in probe.operators]
    return pd.DataFrame(rows, columns=[*OPERATOR_COLUMNS, "ms", "count", "probe"])


def _terms(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
    macs, weights = operators["macs"].to_numpy(np.float64), operators["weight_bytes"].to_numpy(np.float64)
    moved = operators["bytes"].to_numpy(np.float64) - weights
    return np.column_stack([np.ones(len(macs)), macs * batch_size, moved * batch_size, weights])


def _shape(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
    f = {name: operators[name].to_numpy(np.float64) for name in _SHAPE}
    moved = (f["bytes"] - f["weight_bytes"]) * batch_size
    return np.column_stack([
        np.log(f["rows"] * batch_size + 1), np.log(f["inner"] + 1), np.log(f["columns"] + 1),
        np.log(f["products"] + 1), np.log(moved + 1e3), 0.5*np.log(f["weight_bytes"] + 1e3),
        2 * np.log(f["kernel_height"]), 2 * np.log(f["stride_height"]),
    ])
