"""Values known of some networks, completed over all of them by what networks have in common: a Gaussian process.

Rasmussen and Williams 2006, section 2.2, with a prior mean of 0. scikit-learn's `GaussianProcessRegressor` has no
kernel for names of families and architectures; the algebra is three lines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from advisor.predict.costs import Likeness, likeness, near, same_architecture, same_family
from advisor.predict.profile import Profiles

_LENGTH = 1.5  # of features


class Variances(NamedTuple):
    """Of what networks of like features, of one family and of one architecture have in common, and of nothing else."""

    features: float
    family: float
    architecture: float
    noise: float


class Completed:
    """The completed values.

    Args:
        rows: Positions in the profiles, each once.
        found: Shape (n_rows,): their values.

    Attributes:
        mean: Shape (n_profiles,): the values found at those rows, elsewhere what is expected.
    """

    def __init__(
        self, profiles: Profiles, rows: NDArray[np.intp], found: NDArray[np.float64], variances: Variances
    ) -> None:  # fmt: skip
        alike = likeness(profiles)
        known = alike.only(rows)
        self._rows, self._variances = rows, variances
        self._within = cho_factor(_alike(known, known, variances) + variances.noise * np.eye(len(rows)))
        self._onto = _alike(alike, known, variances)
        self.mean = np.asarray(self._onto @ cho_solve(self._within, found))
        self.mean[rows] = found

    def deviation(self) -> NDArray[np.float64]:
        """Shape (n_profiles,): standard deviation of what is expected; of the values found that of their noise."""
        told = (self._onto * cho_solve(self._within, self._onto.T).T).sum(axis=1)
        variance = np.maximum(sum(self._variances) - told, self._variances.noise)
        variance[self._rows] = self._variances.noise
        return np.asarray(np.sqrt(variance))


def _alike(first: Likeness, second: Likeness, variances: Variances) -> NDArray[np.float64]:
    return (
        variances.features * near(first, second, _LENGTH)
        + variances.family * same_family(first, second)
        + variances.architecture * same_architecture(first, second)
    )
