"""Slow activations, which a fusing runtime computes within the convolution or product before them.

They take their time there all the same: in bfloat16 an exponential of every value may take as long as a depthwise
convolution. Which operator an activation follows is not known of a cost profile; that it makes as many values is.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.profile import Profiles
from advisor.predict.signature import ATTENTION, NORMALISATION

# They differ in what a value takes: an error function, an exponential, next to nothing.
_GROUPS = (("gelu",), ("silu", "sigmoid", "tanh", "exp", "softplus", "mish", "elu"), ("hardswish", "hardsigmoid"))
FOLLOWED_BY = tuple(f"followed by {names[0]}" for names in _GROUPS)
_FOLDED = frozenset({"batch_norm"})  # nothing is left of it between a convolution and an activation
_QUICK = 0.1  # the quantile of an activation's time for each value at which its call does not count


@dataclass(frozen=True, eq=False)
class Activations:
    """What activations that follow a convolution or product take in eager mode, by group, their calls left out.

    Attributes:
        everywhere: Shape (n_profiles, n_groups): ms, in one pass.
        others: Shape (n_profiles, n_operators): how often each profile runs each operator, without these activations.
        values: Shape (n_values,): how many values one may have, sorted.
        each_ms: Of each group, shape (n_profiles, n_values): after a convolution or product that makes so many values.
    """

    everywhere: NDArray[np.float64]
    others: sparse.csr_array
    values: NDArray[np.int64]
    each_ms: tuple[sparse.csr_array, ...]

    def after(self, profile: int, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Shape (n_operators, n_groups): ms after each convolution or product of a profile that makes so many values.

        Where some of equal size are followed by an activation and some are not, each is given the mean.
        """
        places = np.minimum(np.searchsorted(self.values, values), len(self.values) - 1)
        known = self.values[places] == values
        return np.column_stack([np.where(known, each[[profile]].toarray()[0, places], 0.0) for each in self.each_ms])


@functools.lru_cache(maxsize=8)
def activations(profiles: Profiles, each_ms: tuple[float, ...]) -> Activations:
    """Those of every profile.

    Args:
        each_ms: Of each row of the profiles' operators what it takes in eager mode.
    """
    operators, alone_ms = profiles.operators, np.array(each_ms)
    made = operators["out_values"].to_numpy(np.int64)
    values, of_value = np.unique(made, return_inverse=True)
    kinds = np.array(KINDS, dtype=object)[kinds_of(operators)]
    makes = (operators["macs"] > 0).to_numpy() & (kinds != ATTENTION)
    between = (kinds == NORMALISATION) & ~operators["name"].isin(_FOLDED).to_numpy()
    groups = [operators["name"].isin(names).to_numpy() for names in _GROUPS]

    def summed(of_operator: NDArray[Any]) -> sparse.csr_array:
        """Shape (n_profiles, n_values): the sum over a network's operators that make so many values."""
        rows = np.flatnonzero(of_operator)
        onto = sparse.coo_array((of_operator[rows].astype(float), (rows, of_value[rows])), (len(made), len(values)))
        return sparse.csr_array(profiles.counts @ onto.tocsr())

    n_made, active = summed(makes), summed(np.any(groups, axis=0))
    following = (active - active.minimum(summed(between))).minimum(n_made)
    share = sparse.csr_array(following * _inverse(active))
    quick_ms = [float(np.quantile(alone_ms[group] / made[group], _QUICK)) if group.any() else 0.0 for group in groups]
    taken = [
        sparse.csr_array(summed(ms * made * group) * share) for ms, group in zip(quick_ms, groups, strict=True)
    ]  # fmt: skip
    return Activations(
        np.column_stack([np.asarray(one.sum(axis=1)) for one in taken]),
        _without(profiles.counts, np.any(groups, axis=0), of_value, share), values,
        tuple(sparse.csr_array(one * _inverse(n_made)) for one in taken),
    )  # fmt: skip


def _without(
    counts: sparse.csr_array, active: NDArray[np.bool_], of_value: NDArray[np.intp], share: sparse.csr_array
) -> sparse.csr_array:
    """The counts of operators without that share of the activations among them."""
    left = counts.astype(float).tocoo()
    rows = np.flatnonzero(active[left.col])
    left.data[rows] *= 1 - share[left.row[rows], of_value[left.col[rows]]]
    return left.tocsr()


def _inverse(numbers: sparse.csr_array) -> sparse.csr_array:
    """1 / each that is not 0."""
    return sparse.csr_array((1 / numbers.data, numbers.indices, numbers.indptr), shape=numbers.shape)
