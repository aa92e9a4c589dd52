"""What every operator takes on a device, learned from the times of operators inside its probes.

An operator's time = (a call + its multiply-adds, bytes and weights, each times a rate of its class)
                     x a smooth function of its shape (`smoothing`).
The rates are fitted to the logarithms of the times, by a loss that one made a hundred times longer by a busy moment
hardly moves, and shrunk towards those that published devices share. (Fitted by relative error, they come out too low
where times scatter: a guess of next to nothing is never wrong by more than all of the time.) Far from every timed
operator the smooth function returns to 1, so that large operators are extrapolated by the rates alone, and the doubt
grows.

In a setup of a device of which another one, its sibling, is known already,
an operator's time = (what it takes there + laying out its weights, each times a factor of its class)
                     x a smooth function of its shape.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from advisor.measure.run import BLOCK, RESTS
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.probe import Probe
from advisor.predict.profile import OPERATOR_COLUMNS, Profiles
from advisor.predict.signature import ATTENTION, DENSE, GROUPED, PRODUCT, signature
from advisor.predict.smoothing import Smooth

MIN_TIMED = 3  # probes with timed operators; fewer do not tell a class from a moment
# Standard deviations of logarithms: of a time beside its rates, for the loss to tell a disturbed one; and of a rate
# beside the published one.
_SCATTER, _RATES = 0.3, 1.0
# Standard deviations of logarithms, as far as they are a matter of shape: of times beside rates, and of times beside
# those in a sibling.
_SPREAD, _SPREAD_OF_SIBLING = 0.35, 0.2
_ATTENTION, _PRODUCT = KINDS.index(ATTENTION), KINDS.index(PRODUCT)
_MACS = 1  # the place of a MAC's rate among those of a class
_MOST_POINTS = 400  # of a class; more are thinned out evenly
_MOST_DEVIATION = 2.0  # of a logarithm: a factor of 7; more is a disturbed time
# a probe whose operators, watched, took that many times its latency or as little was disturbed: it teaches nothing
_MOST_WATCHED = 2.0
_LEAST_MS = 1e-5
_LAID_OUT_BYTES = 7e6  # a ms, on two EPYC cores: what other machines do is known within a factor, as `_RATES`
_values = operator.attrgetter(*OPERATOR_COLUMNS)  # of a signature
Times = Callable[[pd.DataFrame, int], NDArray[np.float64]]  # of operators at a batch size, ms, shape (n_operators,)


@dataclass(frozen=True, eq=False)
class Taught:
    """What probes teach about all networks.

    Attributes:
        class_ms: Shape (n_profiles, n_kinds): time of each class of `costs.KINDS` in one pass; 0 of classes that were
            not asked for.
        doubt: Shape (n_profiles,): standard deviation of the logarithm of their sum that comes from operators unlike
            every timed one.
        probe_ms: Shape (n_probes,): the same sum of each probe, the smooth function taken from the operators of the
            others (the rates are fitted with all: without it, a class that it alone has would be off by 40 % and bend
            all corrections); of those without usable times of operators, by all.
        probe_doubt: Shape (n_probes,): as `doubt`, of what the others say of a probe.
        timed_ms: Shape (n_probes,): that sum as it was timed; NaN where it was not.
        each_ms: Shape (n_operators,): of each row of the profiles' operators.
        times: Of any other operators.
    """

    class_ms: NDArray[np.float64]
    doubt: NDArray[np.float64]
    probe_ms: NDArray[np.float64]
    probe_doubt: NDArray[np.float64]
    timed_ms: NDArray[np.float64]
    each_ms: NDArray[np.float64]
    times: Times


def usable(probe: Probe) -> bool:
    """Whether the operators of a probe were timed, and add up to about its latency."""
    watched_ms = sum(o.count * o.time_ms for o in probe.operators)
    some = any(o.name not in RESTS for o in probe.operators)
    return some and 1 / _MOST_WATCHED < watched_ms / probe.latency_ms < _MOST_WATCHED


def complete(probe: Probe) -> bool:
    """Whether all of its operators were timed one by one, not only those that a runtime tells apart."""
    return usable(probe) and all(o.name not in RESTS for o in probe.operators)


@functools.lru_cache(maxsize=16)  # two lessons a setup
def taught(
    profiles: Profiles, probes: tuple[Probe, ...], rates: tuple[float, ...], batch_size: int,
    kinds: Collection[str] = KINDS, sibling: Taught | None = None,
) -> Taught | None:  # fmt: skip
    """What the operators of probes say about every profile; None with fewer than `MIN_TIMED` usable probes.

    Args:
        rates: Of every term of `costs.TERMS`, as published devices share them, at any speed.
        batch_size: Of the pass that is asked about; the probes' own may be another one.
        kinds: Classes to learn; operators of all others are left out.
        sibling: Another setup of the device, at the same batch size, that operators are expected to be like; without
            one, they are expected to be like those of published devices.
    """
    timed = [_timed(probe, place) for place, probe in enumerate(probes) if usable(probe)]
    asked = np.array([kind in kinds for kind in KINDS])
    timed = [found for found in (one[asked[kinds_of(one)]] for one in timed) if len(found)]
    if len(timed) < MIN_TIMED:
        return None
    points = _thinned(pd.concat(timed, ignore_index=True))
    expected = _by_rates(points, np.array(rates)) if sibling is None else _by_sibling(points, sibling)
    mean = expected(points, 1)
    deviation = np.clip(np.log(points["ms"].to_numpy() / mean), -_MOST_DEVIATION, _MOST_DEVIATION)
    smooth = Smooth(points, _like(points), deviation, spread=_SPREAD if sibling is None else _SPREAD_OF_SIBLING)
    left_out, left_unsure = smooth.without_their_probe()
    deviates, unsure = smooth.of(profiles.operators, _like(profiles.operators), batch_size)
    each_ms = expected(profiles.operators, batch_size) * np.exp(deviates)
    of_kind = np.diag(asked.astype(np.float64))[kinds_of(profiles.operators)]
    class_ms = np.asarray(profiles.counts @ (each_ms[:, None] * of_kind))
    doubts = np.asarray(profiles.counts @ ((each_ms * unsure)[:, None] * of_kind))
    total_ms = class_ms.sum(axis=1)
    probe_ms = total_ms[profiles.rows([probe.key for probe in probes])]
    told = points.assign(kind=kinds_of(points), own_ms=mean * np.exp(left_out) * points["share"], unsure=left_unsure)
    probe_doubt = np.zeros(len(probes))
    for place, rows in told.groupby("probe"):
        probe_ms[int(str(place))] = float(rows["own_ms"].sum() * rows["whole"].iloc[0])
        by_class = (rows["own_ms"] * rows["unsure"]).groupby(rows["kind"]).sum()
        probe_doubt[int(str(place))] = float(np.sqrt(np.square(by_class).sum()) / rows["own_ms"].sum())
    timed_ms = np.full(len(probes), np.nan)
    for one in timed:
        timed_ms[int(one["probe"].iloc[0])] = float((one["ms"] * one["count"]).sum())
    doubt = np.sqrt(np.square(doubts).sum(axis=1)) / np.maximum(total_ms, _LEAST_MS)

    def times(operators: pd.DataFrame, batch: int) -> NDArray[np.float64]:
        if operators is profiles.operators and batch == batch_size:
            return each_ms
        return np.asarray(expected(operators, batch) * np.exp(smooth.of(operators, _like(operators), batch)[0]))

    return Taught(class_ms, doubt, probe_ms, probe_doubt, timed_ms, each_ms, times)


def _timed(probe: Probe, place: int) -> pd.DataFrame:
    """Its operators; their times add up to the latency, since watching them slows a pass down."""
    watched_ms = sum(o.count * o.time_ms for o in probe.operators)
    rows = [
        (*_values(signature(o)), max(o.time_ms * probe.latency_ms / watched_ms, _LEAST_MS), o.count)
        for o in probe.operators
        if o.name not in RESTS
    ]
    return pd.DataFrame(rows, columns=[*OPERATOR_COLUMNS, "ms", "count"]).assign(probe=place)


def _like(operators: pd.DataFrame) -> NDArray[np.intp]:
    """Shape (n_operators,): the place in `KINDS` of the class that each is as fast as.

    A grouped convolution whose groups fill whole vectors is computed as so many dense ones; narrower groups are not.
    """
    kinds = kinds_of(operators)
    reads, makes, groups = (
        operators[name].to_numpy(np.int64) for name in ("in_channels", "out_channels", "groups")
    )  # fmt: skip
    whole = [channels // np.maximum(groups, 1) % BLOCK == 0 for channels in (reads, makes)]
    grouped = kinds == KINDS.index(GROUPED)
    return np.where(grouped & whole[0] & whole[1], KINDS.index(DENSE), kinds)


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """At most `_MOST_POINTS` of a class. `share` x `whole` makes a probe's kept operators stand for all of it."""
    kinds = _like(points)
    kept = [np.flatnonzero(kinds == kind) for kind in range(len(KINDS))]
    kept = [rows[:: -(-len(rows) // _MOST_POINTS)] for rows in kept if len(rows)]
    spent = points["ms"] * points["count"]
    whole = spent.groupby(points["probe"]).sum()
    rest = points.assign(share=points["count"].astype(float), spent=spent).iloc[np.sort(np.concatenate(kept))]
    known = rest.groupby("probe")["spent"].sum()
    return rest.assign(whole=rest["probe"].map(whole / known)).reset_index(drop=True)


def _by_rates(points: pd.DataFrame, published: NDArray[np.float64]) -> Times:
    """What operators take by the rates of their classes."""
    by_kind = _fitted_rates(points, published)

    def times(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        ms = (_terms(operators, batch_size) * by_kind[_like(operators)]).sum(axis=1)
        return np.asarray(np.maximum(ms, _LEAST_MS))

    return times


def _by_sibling(points: pd.DataFrame, sibling: Taught) -> Times:
    """What operators take in the sibling, and laying out their weights, times factors of their class.

    Classes without points have the factor that all have in common.
    """

    def terms(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        return np.column_stack([sibling.times(operators, batch_size), _laid_out_ms(operators)])

    here, kinds, ms = terms(points, 1), _like(points), points["ms"].to_numpy()
    factors = np.full((len(KINDS), here.shape[1]), np.exp(np.median(np.log(ms / here.sum(axis=1)))))
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        factors[kind] *= _fitted(here[rows] * factors[kind], np.log(ms[rows]))
    return lambda operators, batch_size: (terms(operators, batch_size) * factors[_like(operators)]).sum(axis=1)


def _laid_out_ms(operators: pd.DataFrame) -> NDArray[np.float64]:
    """Shape (n_operators,): what it takes to lay out the weights of convolutions anew, of several channels and px."""
    reads, groups, high, wide, weights = (
        operators[name].to_numpy(np.float64)
        for name in ("in_channels", "groups", "kernel_height", "kernel_width", "weight_bytes")
    )
    wanted = (reads > np.maximum(groups, 1)) & (high * wide > 1)
    return np.where(wanted, weights, 0.0) / _LAID_OUT_BYTES


def _fitted_rates(points: pd.DataFrame, published: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n_kinds, 4): ms a call, a MAC, a byte that grows with the batch, a byte of weights; none negative.

    A MAC of attention takes no less than one of a product.
    """
    n = len(KINDS)
    calls, macs, moved = published[2 * n + 1 :], published[:n], published[n : 2 * n]
    prior = np.column_stack([calls, macs, moved, np.full(n, published[2 * n])])
    terms, kinds, times = _terms(points, 1), _like(points), points["ms"].to_numpy()
    guess = np.maximum((terms * prior[kinds]).sum(axis=1), 1e-300)
    prior = np.maximum(prior * np.exp(np.median(np.log(times / guess))), 1e-300)
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        prior[kind] *= _fitted(terms[rows] * prior[kind], np.log(times[rows]))
    # Attention is products and a softmax between them. Where few probes have it, its time is told apart into MACs and
    # bytes by chance: windows with a mask alone can leave attention without one several times as fast as products.
    prior[_ATTENTION, _MACS] = prior[[_ATTENTION, _PRODUCT], _MACS].max()
    return np.asarray(prior)


def _fitted(terms: NDArray[np.float64], log_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n_terms,): positive factors of terms whose sums are to be near the times."""
    n = terms.shape[1]

    def residuals(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        off = np.log(terms @ np.exp(logs)) - log_ms
        return np.asarray(np.concatenate([off / _SCATTER, logs / _RATES]))

    def slopes(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = terms * np.exp(logs)
        return np.asarray(np.vstack([shares / shares.sum(axis=1, keepdims=True) / _SCATTER, np.eye(n) / _RATES]))

    start = np.full(n, np.median(log_ms - np.log(terms.sum(axis=1))))
    return np.asarray(np.exp(least_squares(residuals, start, jac=slopes, loss="soft_l1").x))


def _terms(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
    """Shape (n_operators, 4): what the rates of `_fitted_rates` are multiplied with."""
    macs, weights = (operators[name].to_numpy(np.float64) for name in ("macs", "weight_bytes"))
    moved = operators["bytes"].to_numpy(np.float64) - weights
    return np.column_stack([np.ones(len(macs)), macs * batch_size, moved * batch_size, weights])
