"""What a network costs in terms that a latency is made of, and what it is like: the inputs of every predictor."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.evidence.families import family_of
from advisor.predict.profile import Profiles
from advisor.predict.signature import CLASSES, ELEMENTWISE

# element-wise operators that need an exponential or a quotient: a compiler fuses a sum into its neighbour for nothing,
# these it cannot. One class for both costs 1.3 points of median error on the i7-12700h (7.3 instead of 6.0 %).
_SLOW = frozenset({
    "gelu", "silu", "sigmoid", "hardswish", "hardsigmoid", "tanh", "exp", "softplus", "mish", "elu", "softmax",
})  # fmt: skip
KINDS: tuple[str, ...] = (*CLASSES, "slow activation")
TERMS: tuple[str, ...] = (
    *(f"macs {kind}" for kind in KINDS), *(f"bytes {kind}" for kind in KINDS), "weight bytes",
    *(f"count {kind}" for kind in KINDS),
)  # fmt: skip
# which scale of the prior a term has: multiply-adds, bytes, weights, or counts
TERM_GROUP: NDArray[np.intp] = np.repeat(np.arange(4), (len(KINDS), len(KINDS), 1, len(KINDS)))
_SHARES = 4.0  # the weight of shares beside logarithms in the distance of two networks
_FLOORS = (1e3, 1e3, 1e4, 1.0)  # below these many MACs, bytes, weight bytes, operators networks are all alike


def kinds_of(operators: pd.DataFrame) -> NDArray[np.intp]:
    """Shape (n_operators,): the place in `KINDS` of each operator."""
    kinds = np.asarray(pd.Categorical(operators["kind"], categories=list(CLASSES)).codes, dtype=np.intp)
    slow = (operators["kind"] == ELEMENTWISE) & operators["name"].isin(_SLOW)
    return np.where(slow, len(CLASSES), kinds)


@functools.lru_cache(maxsize=8)
def _of_image(profiles: Profiles) -> tuple[NDArray[np.float64], ...]:
    operators = profiles.operators
    of_kind = np.eye(len(KINDS))[kinds_of(operators)]
    weights = operators["weight_bytes"].to_numpy(np.float64)
    macs, moved = operators["macs"].to_numpy(np.float64), operators["bytes"].to_numpy(np.float64) - weights
    parts = (of_kind * macs[:, None], of_kind * moved[:, None], weights[:, None], of_kind)
    return tuple(np.asarray(profiles.counts @ part, dtype=np.float64) for part in parts)


def costs(profiles: Profiles, batch_size: int) -> NDArray[np.float64]:
    """Shape (n_profiles, n_terms), in the order of `TERMS`: of one forward pass of one batch."""
    macs, moved, weights, counts = _of_image(profiles)
    return np.hstack([macs * batch_size, moved * batch_size, weights, counts])


@dataclass(frozen=True, eq=False)
class Likeness:
    """What tells networks apart: networks near each other deviate alike from any model of their latency.

    Attributes:
        features: Shape (n, n_features): logarithms of MACs, bytes, weights, operators, and shares of each class.
        families: Shape (n,), as the field names them.
        architectures: Shape (n,).
    """

    features: NDArray[np.float64]
    families: NDArray[np.object_]
    architectures: NDArray[np.object_]

    def only(self, rows: NDArray[np.intp]) -> Likeness:
        """Those rows alone."""
        return Likeness(self.features[rows], self.families[rows], self.architectures[rows])


@functools.lru_cache(maxsize=8)
def likeness(profiles: Profiles) -> Likeness:
    """The likeness of every profile."""
    macs, moved, weights, counts = _of_image(profiles)
    sums = [part.sum(1) for part in (macs, moved, weights, counts)]
    logs = [np.log(total + floor) for total, floor in zip(sums, _FLOORS, strict=True)]
    shares = [_SHARES * part / (total + 1)[:, None] for part, total in zip((macs, moved), sums[:2], strict=True)]
    names = profiles.models["architecture"].to_numpy(dtype=object)
    families = np.array([family_of(name) for name in names], dtype=object)
    return Likeness(np.column_stack([*logs, *shares]), families, names)


def near(first: Likeness, second: Likeness, length: float) -> NDArray[np.float64]:
    """Shape (n_first, n_second): 1 for equal features, falling with the squared distance over `length`."""
    a, b = first.features, second.features
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.exp(-0.5 * np.maximum(squared, 0.0) / length**2))


def same_family(first: Likeness, second: Likeness) -> NDArray[np.float64]:
    """Shape (n_first, n_second): 1 where both are of one family, else 0."""
    return _equal(first.families, second.families)


def same_architecture(first: Likeness, second: Likeness) -> NDArray[np.float64]:
    """Shape (n_first, n_second): 1 where both are one architecture, at any size."""
    return _equal(first.architectures, second.architectures)


def _equal(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.float64]:
    # numbers compare fifty times faster than names
    numbers = {name: number for number, name in enumerate(dict.fromkeys([*first, *second]))}
    a, b = (np.array([numbers[name] for name in names], dtype=np.intp) for names in (first, second))
    return np.asarray(a[:, None] == b, dtype=np.float64)
