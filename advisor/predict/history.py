"""What other devices say: each column's additive rates, and its pattern of deviations from them on every network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from advisor.predict.additive import fit_rates
from advisor.predict.columns import Column, Setup
from advisor.predict.completion import Completed, Variances
from advisor.predict.costs import costs
from advisor.predict.deviations import Deviations
from advisor.predict.profile import Profiles

# Of logarithms. They only fill the networks that a column lacks; doubling any of them changes the filled values by less
# than the last one.
_VARIANCES = Variances(features=0.02, family=0.01, architecture=0.02, noise=0.002)
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
    """The patterns of all known setups over one set of profiles.

    Attributes:
        deviations: By `deviations.key_of`: how networks deviated from the sum of their steps, of each machine where
            that was measured.
    """

    profiles: Profiles
    patterns: tuple[Pattern, ...]
    deviations: Mapping[Hashable, Sequence[Deviations]] = field(default_factory=dict)

    def without(self, *device_ids: str) -> History:
        """All but those devices: each with all its setups."""
        kept = tuple(pattern for pattern in self.patterns if pattern.setup.device_id not in device_ids)
        return replace(self, patterns=kept)

    @property
    def device_ids(self) -> tuple[str, ...]:
        """Devices with a setup here, sorted."""
        return tuple(sorted({pattern.setup.device_id for pattern in self.patterns}))


def history(profiles: Profiles, columns: Sequence[Column]) -> History:
    """The patterns of those columns, 0.2 s for a column of 1,400 networks."""
    return History(profiles, tuple(_pattern(profiles, column) for column in columns))


def _pattern(profiles: Profiles, column: Column) -> Pattern:
    terms = costs(profiles, column.setup.batch_size)[column.rows]
    rates = fit_rates(terms, column.latency_ms)
    found = np.clip(np.log(column.latency_ms) - np.log(terms @ rates), -_MOST_DEVIATION, _MOST_DEVIATION)
    usual = found.mean()
    filled = usual + Completed(profiles, column.rows, found - usual, _VARIANCES).mean
    return Pattern(column, rates, filled)
