"""The Pareto front: which rows no other row dominates."""

from __future__ import annotations

import numpy as np

# Blocks of this many rows sort inside a core's L2 cache (256 KB of keys and indices); from 2**12 to 2**18
# the time for 1,000,000 rows moves by less than a third.
_BLOCK_ROWS = 2**14


def pareto_front(losses: np.ndarray) -> np.ndarray:
    """Mark the rows that no other row dominates.

    A row dominates another if it is no worse in every column and better in at least one. Two columns are
    done here, in O(n log n); `tests/benchmarks/pareto.py` compares that with moocore, which does the rest.

    Args:
        losses: Shape (n_candidates, n_objectives); lower is better in every column, no NaN.

    Returns:
        Booleans, shape (n_candidates,). Equal rows stand or fall together.

    Raises:
        ValueError: Not two-dimensional, without a column, or with a NaN in it.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if losses.ndim != 2 or losses.shape[1] == 0:
        raise ValueError(f"losses must have shape (n, k) with k > 0, not {losses.shape}")
    if np.isnan(losses).any():
        raise ValueError("losses must not hold NaN: leave candidates with unknown values out first")
    n_rows, n_objectives = losses.shape
    if n_rows == 0:
        return np.zeros(0, dtype=bool)
    if n_objectives == 1:
        return np.asarray(losses[:, 0] == losses.min())
    if n_objectives == 2:
        return _front_2d(losses)
    return _front_by_moocore(losses)


def _front_by_moocore(losses: np.ndarray) -> np.ndarray:
    """The front of three or more columns."""
    import moocore  # 70 ms, which a question of accuracy and speed alone should not pay

    if not np.isfinite(losses).all():
        # moocore 0.3.2 keeps (inf, inf, inf, inf) beside (-inf, inf, inf, inf): ranks order the same way
        losses = np.column_stack([np.unique(column, return_inverse=True)[1] for column in losses.T])
    return np.asarray(moocore.is_nondominated(losses, keep_weakly=True), dtype=bool)


def _front_2d(losses: np.ndarray) -> np.ndarray:
    """The front of two columns: the front of each block of rows first, then the front of those fronts.

    Most clouds lose nearly all rows in the first step, which never leaves the cache. Where they do not, the
    blocks' fronts come out sorted, and the stable sort (timsort) of the second step only merges them.
    """
    fronts = []
    for start in range(0, len(losses), _BLOCK_ROWS):
        x, y = losses[start : start + _BLOCK_ROWS].T.copy()
        order = np.argsort(x)
        kept = order[_on_front_sorted(x[order], y[order])]
        fronts.append((start + kept, x[kept], y[kept]))
    rows, x, y = (np.concatenate(parts) for parts in zip(*fronts, strict=True))
    if len(fronts) > 1:
        order = np.argsort(x, kind="stable")
        rows = rows[order[_on_front_sorted(x[order], y[order])]]
    on_front = np.zeros(len(losses), dtype=bool)
    on_front[rows] = True
    return on_front


def _on_front_sorted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The front of rows sorted by x, those of equal x in any order.

    A row is on it if its y is the lowest of its x and below every y of a smaller x.
    """
    new_x = np.empty(len(x), dtype=bool)
    new_x[0] = True
    np.not_equal(x[1:], x[:-1], out=new_x[1:])
    starts = np.flatnonzero(new_x)
    lowest = np.minimum.reduceat(y, starts)
    improves = np.ones(len(starts), dtype=bool)
    np.less(lowest[1:], np.minimum.accumulate(lowest)[:-1], out=improves[1:])
    if len(starts) == len(x):
        return improves
    group = np.cumsum(new_x) - 1
    return np.asarray((y == lowest[group]) & improves[group])
