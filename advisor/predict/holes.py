"""Holes of published setups: networks that a setup lacks, predicted from those it has, where that has proved honest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from advisor.predict.belief import Belief, belief
from advisor.predict.columns import Column, Setup
from advisor.predict.history import History
from advisor.predict.predictor import Posterior, Prior, posterior
from advisor.predict.profile import Profiles
from advisor.predict.signature import CLASSES

MIN_FAMILIES = 8  # of a setup: fewer held out say nothing of the next one
# Share of the networks held out that the 90 % interval must hold: with the 28 networks of a phone, an honest one holds
# 80 to 97 % nine times in ten. As many must be held where each family counts the same.
COVERAGE = (0.80, 0.97)
MAX_ERROR = 0.15  # median error of networks held out, beyond which a prediction decides nothing
_ONE_BY_ONE = 200  # networks up to which each family is held out alone; of more a tenth of the families at a time
_FOLDS = 10
_HULL = ("img_size", "macs", "activations", "weight_bytes")
_WITHIN = float(norm.ppf(0.95))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How well a setup's own networks were predicted, each with its whole family held out.

    Attributes:
        coverage: Share within their 90 % interval; `family_coverage` is the mean of that share over families. NaN, as
            the error, where there are too few families to hold out.
        median_error: Of |predicted / published - 1|.
    """

    setup: Setup
    n_rows: int
    n_families: int
    coverage: float
    family_coverage: float
    median_error: float

    @property
    def refused(self) -> str:
        """Why nothing may be predicted there, in words that follow a colon; empty where it may."""
        if self.n_families < MIN_FAMILIES:
            return f"its {self.n_rows} networks are of {self.n_families} families, and {MIN_FAMILIES} are needed"
        tested = f"of {self.n_rows} networks there, each held out with its family,"
        lowest, highest = COVERAGE
        if not lowest <= self.coverage <= highest:
            return (
                f"{tested} {_percent(self.coverage)} were within their 90 % interval, and {_percent(lowest)} to "
                f"{_percent(highest)} would be honest"
            )
        if self.family_coverage < lowest:
            return (
                f"{tested} only {_percent(self.family_coverage)} of the average family were within their 90 % "
                f"interval, and {_percent(lowest)} are asked"
            )
        if self.median_error > MAX_ERROR:
            return (
                f"{tested} the median error was {_percent(self.median_error)}, and at most {_percent(MAX_ERROR)} is "
                "asked"
            )
        return ""


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


@dataclass(frozen=True, eq=False)
class Filled:
    """A setup's holes: what is predicted, and the test that allows it.

    Attributes:
        rows: Positions in the profiles, ascending; none where the test refuses.
        posterior: Of those rows.
    """

    held_out: HeldOut
    rows: NDArray[np.intp]
    posterior: Posterior


def filled(past: History, prior: Prior, column: Column, wanted: NDArray[np.intp]) -> Filled:
    """Predict networks that a setup lacks from all it has, if that held for its own ones.

    Args:
        past: What is published; the column's own device is left out of it.
        wanted: Rows of the networks to predict; those unlike any of the setup's own are left out.
    """
    believed = belief(past.without(column.setup.device_id), column.setup)
    tested = held_out(believed, prior, column)
    rows = np.empty(0, dtype=np.intp)
    if not tested.refused:
        lacking = np.setdiff1d(wanted, column.rows)
        rows = lacking[within_hull(past.profiles, column.rows, lacking)]
    return Filled(tested, rows, posterior(believed, prior, column.rows, column.latency_ms, rows))


def held_out(believed: Belief, prior: Prior, column: Column) -> HeldOut:
    """Predict each network of a setup from those of other families alone: holes are mostly whole families."""
    families = believed.alike.families[column.rows]
    names = np.unique(families)
    n = len(families)
    if len(names) < MIN_FAMILIES:
        return HeldOut(column.setup, n, len(names), np.nan, np.nan, np.nan)
    folds = family_folds(families, one_by_one=n <= _ONE_BY_ONE)
    logs, held, errors = np.log(column.latency_ms), np.empty(n, dtype=bool), np.empty(n)
    for fold in range(int(folds.max()) + 1):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        found = posterior(believed, prior, column.rows[rest], column.latency_ms[rest], column.rows[out])
        held[out] = np.abs(logs[out] - found.mean) <= _WITHIN * found.deviation
        errors[out] = np.abs(np.expm1(found.mean - logs[out]))
    by_family = float(np.mean([held[families == name].mean() for name in names]))
    return HeldOut(column.setup, n, len(names), float(held.mean()), by_family, float(np.median(errors)))


def family_folds(families: NDArray[np.object_], *, one_by_one: bool) -> NDArray[np.intp]:
    """Shape (n,): which fold each network is in, each family whole; of about equal size unless one by one."""
    names, counts = np.unique(families, return_counts=True)
    n = len(names) if one_by_one else min(_FOLDS, len(names))
    load, fold_of = np.zeros(n, dtype=np.intp), {}
    for i in np.argsort(-counts, kind="stable"):
        fold_of[names[i]] = int(np.argmin(load))
        load[fold_of[names[i]]] += counts[i]
    return np.array([fold_of[name] for name in families], dtype=np.intp)


def within_hull(profiles: Profiles, known: NDArray[np.intp], wanted: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of the wanted networks are no larger, no smaller and made of nothing else than the known ones.

    The test holds out families, so it says nothing of a network larger than any published, which may not even fit.
    """
    inside = np.ones(len(wanted), dtype=bool)
    for name in _HULL:
        values = profiles.models[name].to_numpy(np.float64)
        inside &= (values[wanted] >= values[known].min()) & (values[wanted] <= values[known].max())
    counts = profiles.features[:, -len(CLASSES) :]  # of operators, by class
    unseen = counts[known].max(axis=0) == 0
    return np.asarray(inside & (counts[wanted][:, unseen] == 0).all(axis=1))
