"""What operators take by rates of their class, or by what they take in another setup; fitted to timed ones.

A whole attention, computed as one operator, is its two products and the softmax between them, each times a factor: a
value of the softmax takes as long as hundreds of multiply-adds of a product in bfloat16, and how much of either an
attention has differs with its width.

The rates are fitted to the logarithms of the times, by a loss that one made a hundred times longer by a busy moment
hardly moves, and shrunk towards those that published devices share. (Fitted by relative error, they come out too low
where times scatter: a guess of next to nothing is never wrong by more than all of the time.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from advisor.measure.run import BLOCK
from advisor.predict.activations import FOLLOWED_BY
from advisor.predict.blocked import copied, unblocked
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.signature import ATTENTION, DENSE, GROUPED, PRODUCT

Times = Callable[[pd.DataFrame, int], NDArray[np.float64]]  # of operators at a batch size, ms, shape (n_operators,)
# Classes of operators that are about as fast as each other: those of `KINDS`, and of attention the softmax alone (each
# value takes an exponential, and no MACs), and the whole as one operator.
_SOFTMAX, _WHOLE_ATTENTION = len(KINDS), len(KINDS) + 1
ALIKE = len(KINDS) + 2  # how many these are
LEAST_MS = 1e-5
_ATTENTION, _PRODUCT, _GROUPED, _DENSE = map(KINDS.index, (ATTENTION, PRODUCT, GROUPED, DENSE))
_WIDE = 2 * BLOCK  # channels of a group, of which a vector that is not full wastes little
_MACS, _MOVING = 1, [0, 2]  # places of rates among those of a class: of a MAC; of a call and a byte that is moved
# Standard deviations of logarithms: of a time beside its rates, for the loss to tell a disturbed one; and of a rate
# beside the published one.
_SCATTER, _RATES = 0.3, 1.0
_LAID_OUT_BYTES = 7e6  # a ms, on two EPYC cores: what other machines do is known within a factor, as `_RATES`
_VALUE = 4  # bytes
# Of what activations take in eager mode, their calls left out, is expected within another operator, and the standard
# deviation of its logarithm: two EPYC cores, bfloat16.
_WITHIN, _WITHIN_SPREAD = np.array([0.8, 0.7, 0.1]), 0.3


def alike(operators: pd.DataFrame, *, in_blocks: bool = False) -> NDArray[np.intp]:
    """Shape (n_operators,): the class that each is as fast as, from 0 to `ALIKE` - 1; the first are those of `KINDS`.

    A grouped convolution whose groups fill whole vectors, or several, is computed as so many dense ones; narrower ones
    are not.

    Args:
        in_blocks: Of a runtime that computes convolutions on blocks of channels, see `blocked`: all that cannot be, of
            several pixels, are of the class of grouped ones.
    """
    kinds = kinds_of(operators)
    reads, makes, groups = (
        operators[name].to_numpy(np.int64) for name in ("in_channels", "out_channels", "groups")
    )  # fmt: skip
    each = [channels // np.maximum(groups, 1) for channels in (reads, makes)]
    whole = [(width % BLOCK == 0) | (width >= _WIDE) for width in each]
    grouped = kinds == _GROUPED
    found = np.where(grouped & whole[0] & whole[1], _DENSE, kinds)
    if in_blocks:
        found = np.where((grouped & unblocked(operators)) | (copied(operators) > 0), _GROUPED, found)
    found = np.where((kinds == _ATTENTION) & (operators["macs"] == 0), _SOFTMAX, found)
    return np.where((kinds == _ATTENTION) & operators["name"].str.contains("attention"), _WHOLE_ATTENTION, found)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What operators take, as their classes tell.

    Attributes:
        times: Without activations.
        moving: Of operators at a batch size, shape (n_operators,): the share of that which is no computing, but a call
            and the values that are read and written.
        activations: Shape (n_groups,), of `activations`: what each takes within another operator, beside eager mode.
        classes: Of operators, shape (n_operators,): those within which a deviation from these times tells of another.
    """

    times: Times
    moving: Times
    activations: NDArray[np.float64]
    classes: Callable[[pd.DataFrame], NDArray[np.intp]]

    def with_activations(self, points: pd.DataFrame) -> NDArray[np.float64]:
        """Shape (n_points,): what timed operators take, with the activations that follow them, ms."""
        return self.times(points, 1) + points[list(FOLLOWED_BY)].to_numpy(np.float64) @ self.activations


def by_rates(points: pd.DataFrame, published: NDArray[np.float64], *, in_blocks: bool = False) -> Fitted:
    """What operators take by the rates of their classes.

    Args:
        points: Timed operators, with the columns of a signature, `activations.FOLLOWED_BY` and `ms`.
        published: The rate of every term of `costs.TERMS`, as published devices share them, at any speed.
        in_blocks: As of `alike`.
    """
    by_class, activations = _rates(points, published, in_blocks)
    classes_of = functools.partial(alike, in_blocks=in_blocks)
    # Products with few probes are told apart into MACs and bytes by chance: some windows of swin alone could leave
    # attention without them several times as fast as other products.
    by_class[_ATTENTION, _MACS] = by_class[[_ATTENTION, _PRODUCT], _MACS].max()
    parts_of_whole = np.ones(2)

    def whole(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        """Shape (n_operators, 2): the products and the softmax that a whole attention is made of, ms."""
        products, softmax = _inside(operators, batch_size)
        return np.column_stack([products @ by_class[_ATTENTION], softmax @ by_class[_SOFTMAX]])

    rows = np.flatnonzero(classes_of(points) == _WHOLE_ATTENTION)
    if len(rows):
        parts_of_whole = _fitted(whole(points.iloc[rows], 1), np.log(points["ms"].to_numpy()[rows]))

    def times(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        classes = classes_of(operators)
        ms = (_terms(operators, batch_size, in_blocks) * by_class[classes]).sum(axis=1)
        rows = np.flatnonzero(classes == _WHOLE_ATTENTION)
        ms[rows] = whole(operators.iloc[rows], batch_size) @ parts_of_whole
        return np.asarray(np.maximum(ms, LEAST_MS))

    def moving(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        each = _terms(operators, batch_size, in_blocks) * by_class[classes_of(operators)]
        return np.asarray(each[:, _MOVING].sum(axis=1) / np.maximum(each.sum(axis=1), LEAST_MS))

    return Fitted(times, moving, activations, classes_of)


def _rates(
    points: pd.DataFrame, published: NDArray[np.float64], in_blocks: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Rates of a call, a MAC, ... of each class, shape (ALIKE, 4), and factors of activations, which classes share."""
    by_class, factors = _prior(points, published, in_blocks), np.ones(len(_WITHIN))
    terms, classes = _terms(points, 1, in_blocks), alike(points, in_blocks=in_blocks)
    log_ms = np.log(points["ms"].to_numpy())
    followed = _WITHIN * points[list(FOLLOWED_BY)].to_numpy(np.float64)
    apart = [one for one in np.unique(classes).tolist() if one != _WHOLE_ATTENTION]
    sharing = [one for one in apart if followed[classes == one].any()]
    for several in filter(None, (sharing, *([one] for one in apart if one not in sharing))):
        rows = np.flatnonzero(np.isin(classes, several))
        of_class = [np.where((classes[rows] == one)[:, None], terms[rows] * by_class[one], 0.0) for one in several]
        spreads = np.repeat([_RATES, _WITHIN_SPREAD], [len(several) * terms.shape[1], len(_WITHIN)])
        found = _fitted(np.hstack([*of_class, followed[rows]]), log_ms[rows], spreads)
        by_class[several] *= found[: -len(_WITHIN)].reshape(len(several), -1)
        if several is sharing:
            factors = found[-len(_WITHIN) :]
    return by_class, _WITHIN * factors


def by_sibling(points: pd.DataFrame, sibling: Times, moving: Times) -> Fitted:
    """What operators take in the sibling, and laying out their weights, times factors of their class.

    Computing has one, and calls and values that are moved another: a runtime that keeps values in the order which a
    library wants does not have it bring them into that order for each operator. In `torch.compile` a pointwise
    convolution takes about a third of eager mode's time for moving (two cores of an Intel Xeon), and no less for MACs.
    Classes without points have the factor that all have in common. Attention is one class: the sibling tells its parts
    apart already.

    Args:
        sibling: What operators take there.
        moving: The share of it that is calls and values moved.
    """

    def terms(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        ms, moved = sibling(operators, batch_size), moving(operators, batch_size)
        return np.column_stack([ms * (1 - moved), ms * moved, _laid_out_ms(operators)])

    def classes(operators: pd.DataFrame) -> NDArray[np.intp]:
        found = alike(operators)
        return np.where(found < len(KINDS), found, _ATTENTION)

    here, ms, of_class = terms(points, 1), points["ms"].to_numpy(), classes(points)
    factors = np.full((len(KINDS), here.shape[1]), np.exp(np.median(np.log(ms / here.sum(axis=1)))))
    for one in np.unique(of_class):
        rows = np.flatnonzero(of_class == one)
        factors[one] *= _fitted(here[rows] * factors[one], np.log(ms[rows]))

    def times(operators: pd.DataFrame, batch_size: int) -> NDArray[np.float64]:
        return np.asarray((terms(operators, batch_size) * factors[classes(operators)]).sum(axis=1))

    return Fitted(times, moving, np.zeros(len(FOLLOWED_BY)), classes)


def _laid_out_ms(operators: pd.DataFrame) -> NDArray[np.float64]:
    """Shape (n_operators,): what it takes to lay out the weights of convolutions anew, of several channels and px."""
    reads, groups, high, wide, weights = (
        operators[name].to_numpy(np.float64)
        for name in ("in_channels", "groups", "kernel_height", "kernel_width", "weight_bytes")
    )
    wanted = (reads > np.maximum(groups, 1)) & (high * wide > 1)
    return np.where(wanted, weights, 0.0) / _LAID_OUT_BYTES


def _prior(points: pd.DataFrame, published: NDArray[np.float64], in_blocks: bool) -> NDArray[np.float64]:
    """Shape (ALIKE, 4): ms a call, a MAC, a byte that grows with the batch, a byte of weights, at these points' speed.

    Published devices do not tell the parts of attention apart, nor patches that are copied from what is computed.
    """
    n = len(KINDS)
    of_kind = np.column_stack([
        published[2 * n + 1 :], published[:n], published[n : 2 * n], np.full(n, published[2 * n]),
    ])  # fmt: skip
    prior = of_kind[[*range(n), _ATTENTION, _ATTENTION]]
    if in_blocks:
        prior[_GROUPED, _MACS] = prior[_DENSE, _MACS]
    of_each = prior[alike(points, in_blocks=in_blocks)]
    guess = np.maximum((_terms(points, 1, in_blocks) * of_each).sum(axis=1), 1e-300)
    return np.asarray(np.maximum(prior * np.exp(np.median(np.log(points["ms"].to_numpy() / guess))), 1e-300))


def _fitted(
    terms: NDArray[np.float64], log_ms: NDArray[np.float64], spreads: NDArray[np.float64] | float = _RATES
) -> NDArray[np.float64]:  # fmt: skip
    """Shape (n_terms,): positive factors of terms whose sums are to be near the times.

    Args:
        spreads: Of each factor, the standard deviation of its logarithm.
    """
    n = terms.shape[1]
    firm = 1 / (spreads * np.ones(n))

    def residuals(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        off = np.log(terms @ np.exp(logs)) - log_ms
        return np.asarray(np.concatenate([off / _SCATTER, logs * firm]))

    def slopes(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = terms * np.exp(logs)
        return np.asarray(np.vstack([shares / shares.sum(axis=1, keepdims=True) / _SCATTER, np.diag(firm)]))

    start = np.full(n, np.median(log_ms - np.log(terms.sum(axis=1))))
    return np.asarray(np.exp(least_squares(residuals, start, jac=slopes, loss="soft_l1").x))


def _terms(operators: pd.DataFrame, batch_size: int, in_blocks: bool = False) -> NDArray[np.float64]:
    """Shape (n_operators, 4): what the rates of a class are multiplied with."""
    macs, weights = (operators[name].to_numpy(np.float64) for name in ("macs", "weight_bytes"))
    moved = operators["bytes"].to_numpy(np.float64) - weights
    if in_blocks:
        moved += _VALUE * copied(operators)
    return np.column_stack([np.ones(len(macs)), macs * batch_size, moved * batch_size, weights])


def _inside(operators: pd.DataFrame, batch_size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Terms of what whole attentions are made of, each of shape (n_operators, 4): both products, and the softmax.

    One operator reads and writes nothing between them, but computes as much.
    """
    macs, products, rows, inner, columns = (
        operators[name].to_numpy(np.float64) for name in ("macs", "products", "rows", "inner", "columns")
    )
    scores, vectors = products * rows * columns, products * inner * (rows + columns)
    none, one = np.zeros(len(macs)), np.ones(len(macs))
    moved = [_VALUE * batch_size * values for values in (vectors + 2 * scores, 2 * scores)]
    return (
        np.column_stack([2 * one, macs * batch_size, moved[0], none]), np.column_stack([one, none, moved[1], none])
    )  # fmt: skip
