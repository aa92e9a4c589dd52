"""What other devices say: each column's additive rates, and its pattern of deviations from them on every network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from advisor.predict.additive import fit_rates
from advisor.predict.columns import Column, Setup
from advisor.predict.costs import Likeness, costs, likeness, near, same_architecture, same_family
from advisor.predict.profile import Profiles

# Variances of what deviates: by features, by family, by architecture, and by nothing (of logarithms). They only fill
# the networks that a column lacks; doubling any of them changes the filled values by less than the last one.
_BY_FEATURES, _BY_FAMILY, _BY_ARCHITECTURE, _NOISE = 0.02, 0.01, 0.02, 0.002
_LENGTH = 1.5
_MOST_DEVIATION = 1.5  # a factor of 4.5; more is a broken row, which must not teach its neighbours


@dataclass(frozen=True, eq=False)
class Pattern:
    """How one setup deviates from its own additive model.

    Attributes:
        rates: Shape (n_terms,): the column's own, ms per unit.
        deviation: Shape (n_profiles,): log of latency over additive model; where the column has no row, the mean of a
            Gaussian process fitted on those it has.
    """

    column: Column
    rates: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @property
    def setup(self) -> Setup:
        """The setup of the column."""
        return self.column.setup


@dataclass(frozen=True, eq=False)
class History:
    """The patterns of all known setups over one set of profiles."""

    profiles: Profiles
    patterns: tuple[Pattern, ...]

    def without(self, *device_ids: str) -> History:
        """All but those devices: each with all its setups."""
        kept = tuple(pattern for pattern in self.patterns if pattern.setup.device_id not in device_ids)
        return History(self.profiles, kept)

    @property
    def device_ids(self) -> tuple[str, ...]:
        """Devices with a setup here, sorted."""
        return tuple(sorted({pattern.setup.device_id for pattern in self.patterns}))


def history(profiles: Profiles, columns: Sequence[Column]) -> History:
    """The patterns of those columns, 0.2 s for a column of 1,400 networks."""
    alike = likeness(profiles)
    return History(profiles, tuple(_pattern(profiles, alike, column) for column in columns))


def _pattern(profiles: Profiles, alike: Likeness, column: Column) -> Pattern:
    terms = costs(profiles, column.setup.batch_size)[column.rows]
    rates = fit_rates(terms, column.latency_ms)
    found = np.clip(np.log(column.latency_ms) - np.log(terms @ rates), -_MOST_DEVIATION, _MOST_DEVIATION)
    known = alike.only(column.rows)
    within = cho_factor(_alike(known, known) + _NOISE * np.eye(len(found)))
    filled = found.mean() + _alike(alike, known) @ cho_solve(within, found - found.mean())
    filled[column.rows] = found
    return Pattern(column, rates, np.asarray(filled))


def _alike(first: Likeness, second: Likeness) -> NDArray[np.float64]:
    return (
        _BY_FEATURES * near(first, second, _LENGTH)
        + _BY_FAMILY * same_family(first, second)
        + _BY_ARCHITECTURE * same_architecture(first, second)
    )
