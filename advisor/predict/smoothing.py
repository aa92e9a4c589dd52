"""A smooth function of the shapes of operators: how far their times are from what was expected of them.

A Gaussian process for each class on the logarithms of the shape, which is 0 far from every timed operator. Its kernel
gives all operators of one probe a common part, the state of the machine in that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.run import BLOCK

_LENGTH = 1.8  # of a logarithm: operators a factor of 6 apart in one side say little about each other
# standard deviations of logarithms: of what a probe's operators have in common, and of one time
_MOMENT, _SINGLE = 0.05, 0.1
_UNEVEN = 0.5  # odd channels beside whole blocks are about as different as a factor of 7 in one side
_CHUNK = 4000  # operators at a time, which keeps the kernel within some 10 MB


@dataclass(frozen=True, eq=False)
class _Class:
    """The timed operators of one class.

    Attributes:
        rows: Among all timed operators.
        inverse: Of the covariance of their deviations.
        solved: The deviations times it.
    """

    rows: NDArray[np.intp]
    x: NDArray[np.float64]
    deviation: NDArray[np.float64]
    probe: NDArray[np.int64]
    inverse: NDArray[np.float64]
    solved: NDArray[np.float64]


class Smooth:
    """The function, from deviations of timed operators.

    Args:
        points: Timed operators, with the columns of a signature and `probe`, a number.
        kinds: Shape (n_points,): the class of each.
        deviation: Shape (n_points,): logarithms.
        spread: Their standard deviation, as far as it is a matter of the shape.
    """

    def __init__(
        self, points: pd.DataFrame, kinds: NDArray[np.intp], deviation: NDArray[np.float64], *, spread: float
    ) -> None:  # fmt: skip
        x, probe = _shape(points, 1), points["probe"].to_numpy(np.int64)
        self._n, self._spread = len(points), spread
        self._classes: dict[int, _Class] = {}
        for kind in np.unique(kinds).tolist():
            rows = np.flatnonzero(kinds == kind)
            here, of_probe = x[rows], probe[rows]
            covariance = spread**2 * _kernel(here, here) + _MOMENT**2 * (of_probe[:, None] == of_probe)
            inverse = np.linalg.inv(covariance + _SINGLE**2 * np.eye(len(rows)))
            self._classes[kind] = _Class(rows, here, deviation[rows], of_probe, inverse, inverse @ deviation[rows])

    def of(
        self, operators: pd.DataFrame, kinds: NDArray[np.intp], batch_size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        """Mean and standard deviation for any operators, both of shape (n_operators,)."""
        x = _shape(operators, batch_size)
        mean, unsure = np.zeros(len(operators)), np.full(len(operators), self._spread)
        for kind, known in self._classes.items():
            asked = np.flatnonzero(kinds == kind)
            for start in range(0, len(asked), _CHUNK):
                some = asked[start : start + _CHUNK]
                onto = self._spread**2 * _kernel(x[some], known.x)
                mean[some] = onto @ known.solved
                told = ((onto @ known.inverse) * onto).sum(axis=1)
                unsure[some] = np.sqrt(np.maximum(self._spread**2 - told, 0.0))
        return mean, unsure

    def without_their_probe(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for the timed operators, each by those of the other probes.

        It follows from the inverse of the kernel (Rasmussen and Williams 2006, section 5.4.2, with a block in the place
        of a point).
        """
        mean, unsure = np.zeros(self._n), np.full(self._n, self._spread)
        for known in self._classes.values():
            for one in np.unique(known.probe):
                block = np.flatnonzero(known.probe == one)
                spread = np.linalg.inv(known.inverse[np.ix_(block, block)])
                mean[known.rows[block]] = known.deviation[block] - spread @ known.solved[block]
                unsure[known.rows[block]] = np.sqrt(np.maximum(np.diag(spread) - _MOMENT**2 - _SINGLE**2, 0.0))
        return mean, unsure


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.exp(-0.5 * np.maximum(squared, 0.0) / _LENGTH**2))


def _shape(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
    """Shape (n_operators, n_features): logarithms, so that a length is a factor."""
    rows, inner, columns, products, weights = (
        operators[name].to_numpy(np.float64) for name in ("rows", "inner", "columns", "products", "weight_bytes")
    )
    moved = (operators["bytes"].to_numpy(np.float64) - weights) * batch_size
    kernel, stride = (operators[name].to_numpy(np.float64) for name in ("kernel_height", "stride_height"))
    logs = [np.log1p(rows * batch_size), np.log1p(inner), np.log1p(columns), np.log1p(products), np.log(moved + 1e3)]
    # a kernel of 3 beside one of 5 is as different as a channel count of 100 beside 300
    sizes = [*logs, 0.5 * np.log(weights + 1e3), 2 * np.log(kernel), 2 * np.log(stride)]
    return np.column_stack([*sizes, *(_UNEVEN * uneven for uneven in _unevenness(operators))])


def _unevenness(operators: pd.DataFrame) -> Iterator[NDArray[np.float64]]:
    """Of the channels that a convolution reads, and of those that it makes: how far they are from filling vectors.

    Runtimes compute in blocks of 8 or 16 channels and go other, slower ways where channels do not divide into them: the
    power of two of a whole block less that in the channels of a group, and never less than 0. All channels of a
    depthwise convolution count, and nothing of what is no convolution.
    """
    reads, makes, groups = (
        operators[name].to_numpy(np.int64) for name in ("in_channels", "out_channels", "groups")
    )  # fmt: skip
    groups = np.where(groups == reads, 1, np.maximum(groups, 1))
    for channels in (reads, makes):
        each = np.maximum(channels // groups, 1)
        filled = np.minimum(each & -each, BLOCK)
        yield np.where(reads > 1, np.log2(BLOCK / filled), 0.0)
