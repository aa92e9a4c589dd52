"""What every operator takes on a device, learned from the times of operators inside its probes.

An operator's time = (a call + its multiply-adds, bytes and weights, each times a rate of its class)
                     x a smooth function of its shape (`smoothing`).
The rates are those of `operator_rates`; what a runtime computes of `activations` within an operator is added to it. Far
from every timed operator the smooth function returns to 1, so that large operators are extrapolated by the rates alone,
and the doubt grows.

In a setup of a device of which another one, its sibling, is known already,
an operator's time = (what it computes there + what it moves there + laying out its weights, each times a factor of its
                      class)
                     x a smooth function of its shape.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.run import RESTS
from advisor.predict.activations import FOLLOWED_BY, Activations
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.operator_rates import ALIKE, LEAST_MS, Times, alike, by_rates, by_sibling
from advisor.predict.pace import doubt_of_mean
from advisor.predict.probe import Probe
from advisor.predict.profile import OPERATOR_COLUMNS, Profiles
from advisor.predict.signature import signature
from advisor.predict.smoothing import Smooth

MIN_TIMED = 3  # probes with timed operators; fewer do not tell a class from a moment
# Standard deviations of logarithms, as far as they are a matter of shape: of times beside rates, and of times beside
# those in a sibling.
_SPREAD, _SPREAD_OF_SIBLING = 0.35, 0.2
_SINGLE = 0.15  # the same of what the operators of one probe say of a class
_SLOW = KINDS.index("slow activation")
_MOST_POINTS = 400  # of a class; more are thinned out evenly
_MOST_DEVIATION = 2.0  # of a logarithm: a factor of 7; more is a disturbed time
# a probe whose operators, watched, took that many times its latency or as little was disturbed, as was one whose own
# times say no more of its latency than that, a standard error of the logarithm: it teaches nothing
_MOST_WATCHED, _MOST_UNSURE = 2.0, 0.15
_values = operator.attrgetter(*OPERATOR_COLUMNS)  # of a signature


@dataclass(frozen=True, eq=False)
class Taught:
    """What probes teach about all networks.

    Attributes:
        class_ms: Shape (n_profiles, n_kinds): time of each class of `costs.KINDS` in one pass; 0 of classes that were
            not asked for, but for activations that are computed within others.
        doubt: Shape (n_profiles,): standard deviation of the logarithm of their sum that comes from operators unlike
            every timed one.
        slow_doubt: Shape (n_profiles,): the same that comes from classes of operators timed in slow moments alone.
        probe_ms: Shape (n_probes,): the same sum of each probe, the smooth function taken from the operators of the
            others (the rates are fitted with all: without it, a class that it alone has would be off by 40 % and bend
            all corrections); of those without usable times of operators, by all.
        probe_doubt: Shape (n_probes,): as both doubts together, of what the others say of a probe.
        timed_ms: Shape (n_probes,): that sum as it was timed; NaN where it was not.
        each_ms: Shape (n_operators,): of each row of the profiles' operators.
        times: Of any other operators.
        moving: Of any operators, the share of that which is calls and values moved.
    """

    class_ms: NDArray[np.float64]
    doubt: NDArray[np.float64]
    slow_doubt: NDArray[np.float64]
    probe_ms: NDArray[np.float64]
    probe_doubt: NDArray[np.float64]
    timed_ms: NDArray[np.float64]
    each_ms: NDArray[np.float64]
    times: Times
    moving: Times


def usable(probe: Probe) -> bool:
    """Whether the operators of a probe were timed, and add up to about its latency."""
    watched_ms = sum(o.count * o.time_ms for o in probe.operators)
    some = any(o.name not in RESTS for o in probe.operators)
    return some and probe.unsure <= _MOST_UNSURE and 1 / _MOST_WATCHED < watched_ms / probe.latency_ms < _MOST_WATCHED


def complete(probe: Probe) -> bool:
    """Whether all of its operators were timed one by one, not only those that a runtime tells apart."""
    return usable(probe) and all(o.name not in RESTS for o in probe.operators)


@functools.lru_cache(maxsize=16)  # two lessons a setup
def taught(
    profiles: Profiles, probes: tuple[Probe, ...], rates: tuple[float, ...], batch_size: int,
    kinds: Collection[str] = KINDS, sibling: Taught | None = None, fused: Activations | None = None,
    *, in_blocks: bool = False,
) -> Taught | None:  # fmt: skip
    """What the operators of probes say about every profile; None with fewer than `MIN_TIMED` usable probes.

    Args:
        rates: Of every term of `costs.TERMS`, as published devices share them, at any speed.
        batch_size: Of the pass that is asked about; the probes' own may be another one.
        kinds: Classes to learn; operators of all others are left out.
        sibling: Another setup of the device, at the same batch size, that operators are expected to be like; without
            one, they are expected to be like those of published devices.
        fused: Activations that are computed within the operators before them, at the same batch size.
        in_blocks: Of a runtime that computes convolutions on blocks of channels, see `blocked`.
    """
    rows = profiles.rows([probe.key for probe in probes])
    asked = np.array([kind in kinds for kind in KINDS])
    timed = [_timed(probe, place) for place, probe in enumerate(probes) if usable(probe)]
    timed = [found for found in (one[asked[kinds_of(one)]] for one in timed) if len(found)]
    if len(timed) < MIN_TIMED:
        return None
    points = _thinned(pd.concat([_followed(one, rows, batch_size, fused) for one in timed], ignore_index=True))
    fitted = (
        by_rates(points, np.array(rates), in_blocks=in_blocks) if sibling is None
        else by_sibling(points, sibling.times, sibling.moving)
    )  # fmt: skip
    mean = fitted.with_activations(points)
    classes, everywhere = fitted.classes(points), fitted.classes(profiles.operators)
    deviation = np.clip(np.log(points["ms"].to_numpy() / mean), -_MOST_DEVIATION, _MOST_DEVIATION)
    spread = _SPREAD if sibling is None else _SPREAD_OF_SIBLING
    smooth = Smooth(points, classes, deviation, spread=spread)
    deviates, unsure = smooth.of(profiles.operators, everywhere, batch_size)
    by_class, without = _slow_doubts(points, classes, probes[0].suffering.covariance[0])
    each_ms = fitted.times(profiles.operators, batch_size) * np.exp(deviates)
    of_kind = np.diag(asked.astype(np.float64))[kinds_of(profiles.operators)]
    class_ms = np.asarray(profiles.counts @ (each_ms[:, None] * of_kind))
    if fused is not None:
        class_ms[:, _SLOW] += fused.everywhere @ fitted.activations
    total_ms = class_ms.sum(axis=1)
    doubts_ms = [
        np.sqrt(np.square(profiles.counts @ ((each_ms * of_each)[:, None] * of_kind)).sum(axis=1))
        for of_each in (unsure, by_class[everywhere])
    ]
    doubt, slow_doubt = (ms / np.maximum(total_ms, LEAST_MS) for ms in doubts_ms)
    probe_ms, probe_doubt = _by_the_others(points, mean, smooth, without, total_ms[rows])
    timed_ms = np.full(len(probes), np.nan)
    for one in timed:
        timed_ms[int(one["probe"].iloc[0])] = float((one["ms"] * one["count"]).sum())

    def times(operators: pd.DataFrame, batch: int) -> NDArray[np.float64]:
        if operators is profiles.operators and batch == batch_size:
            return each_ms
        deviates, _ = smooth.of(operators, fitted.classes(operators), batch)
        return np.asarray(fitted.times(operators, batch) * np.exp(deviates))

    return Taught(class_ms, doubt, slow_doubt, probe_ms, probe_doubt, timed_ms, each_ms, times, fitted.moving)


def _by_the_others(
    points: pd.DataFrame, mean: NDArray[np.float64], smooth: Smooth, slow_doubt: NDArray[np.float64],
    otherwise_ms: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """`probe_ms` and `probe_doubt` of `Taught`.

    Args:
        mean: Of each point, what it takes by its rates.
        slow_doubt: Of each point, what slow moments of the other probes leave unknown of its class.
        otherwise_ms: Of each probe, where it has no points.
    """
    deviates, unsure = smooth.without_their_probe()
    unsure = np.hypot(unsure, slow_doubt)
    told = points.assign(kind=kinds_of(points), own_ms=mean * np.exp(deviates) * points["share"], unsure=unsure)
    probe_ms, probe_doubt = otherwise_ms.copy(), np.zeros(len(otherwise_ms))
    for place, rows in told.groupby("probe"):
        probe_ms[int(str(place))] = float(rows["own_ms"].sum() * rows["whole"].iloc[0])
        by_class = (rows["own_ms"] * rows["unsure"]).groupby(rows["kind"]).sum()
        probe_doubt[int(str(place))] = float(np.sqrt(np.square(by_class).sum()) / rows["own_ms"].sum())
    return probe_ms, probe_doubt


def _slow_doubts(
    points: pd.DataFrame, classes: NDArray[np.intp], power: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """What slow moments leave unknown of the rates of each class, shape (ALIKE,), and of that of each point by all
    probes but its own, shape (n_points,): standard deviations of logarithms.

    Args:
        power: Variance of what networks suffer of them, as far as they share it.
    """
    probe, slow = points["probe"].to_numpy(np.int64), points["slow"].to_numpy(np.float64)
    by_class, without = np.zeros(ALIKE), np.zeros(len(points))
    for one in np.unique(classes).tolist():
        rows = np.flatnonzero(classes == one)
        probes, first = np.unique(probe[rows], return_index=True)
        of_each = slow[rows[first]]
        by_class[one] = doubt_of_mean(of_each, _SINGLE, power)
        for place in probes if len(probes) > 1 else ():
            without[rows[probe[rows] == place]] = doubt_of_mean(of_each[probes != place], _SINGLE, power)
    return by_class, without


def _timed(probe: Probe, place: int) -> pd.DataFrame:
    """Its operators; their times add up to the latency, since watching them slows a pass down."""
    watched_ms = sum(o.count * o.time_ms for o in probe.operators)
    rows = [
        (*_values(signature(o)), max(o.time_ms * probe.latency_ms / watched_ms, LEAST_MS), o.count)
        for o in probe.operators
        if o.name not in RESTS
    ]
    return pd.DataFrame(rows, columns=[*OPERATOR_COLUMNS, "ms", "count"]).assign(probe=place, slow=probe.slow)


def _followed(
    points: pd.DataFrame, profile_of: NDArray[np.intp], batch_size: int, fused: Activations | None
) -> pd.DataFrame:  # fmt: skip
    """The operators of a probe with what the activations after each take in eager mode, ms.

    Args:
        profile_of: The row of each probe.
    """
    n_values = points["out_values"].to_numpy(np.int64) // batch_size
    ms = np.zeros((len(points), len(FOLLOWED_BY)))
    if fused is not None:
        ms = fused.after(int(profile_of[points["probe"].iloc[0]]), n_values)
    return points.assign(**dict(zip(FOLLOWED_BY, ms.T, strict=True)))


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """At most `_MOST_POINTS` of a class. `share` x `whole` makes a probe's kept operators stand for all of it."""
    classes = alike(points)
    kept = [np.flatnonzero(classes == one) for one in range(ALIKE)]
    kept = [rows[:: -(-len(rows) // _MOST_POINTS)] for rows in kept if len(rows)]
    spent = points["ms"] * points["count"]
    whole = spent.groupby(points["probe"]).sum()
    rest = points.assign(share=points["count"].astype(float), spent=spent).iloc[np.sort(np.concatenate(kept))]
    known = rest.groupby("probe")["spent"].sum()
    return rest.assign(whole=rest["probe"].map(whole / known)).reset_index(drop=True)
