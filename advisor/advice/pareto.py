"""The Pareto front: which rows no other row dominates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Rows sorted at once. Both sizes fit a core's cache with keys and indices (256 KB, 1 MB); a quarter or four
# times as many rows changes the time for 1,000,000 rows by less than a third.
_BLOCK_ROWS = 2**14
_RANGE_ROWS = 2**16

# every such x of a sorted block is looked at to find bounds that cut all rows into ranges of like size
_SAMPLE_STEP = 64

# row numbers in the cloud, x, y
_Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    """The front of two columns: of each block of rows first, then of what is left, by ranges of x.

    Most clouds lose nearly all rows in the first step. Every sort fits the cache, which keeps the growth near
    n log n where none is lost: a single sort took 14 to 21 times as long for 10 times as many rows. Regrouping
    costs one slice for each pair of block and range, 0.1 s at 10,000,000 rows; far beyond, it would dominate.
    """
    blocks = []
    for start in range(0, len(losses), _BLOCK_ROWS):
        x, y = losses[start : start + _BLOCK_ROWS].T
        blocks.append(_front_of(np.arange(start, start + len(x)), x, y))
    on_front = np.zeros(len(losses), dtype=bool)
    if len(blocks) == 1:
        on_front[blocks[0][0]] = True
        return on_front
    lowest = np.nan  # y of all ranges before; nothing compares with NaN, so the first range stays whole
    for block in _ranges_of_x(blocks):
        rows, _, y = _front_of(*block)
        on_front[rows[~(y >= lowest)]] = True
        lowest = np.fmin(lowest, y[-1])
    return on_front


def _ranges_of_x(blocks: list[_Rows]) -> Iterator[_Rows]:
    """The rows of all blocks, each sorted by x, regrouped into ranges of x, lowest first; equal x together."""
    n_ranges = sum(len(x) for _, x, _ in blocks) // _RANGE_ROWS
    sample = np.sort(np.concatenate([x[::_SAMPLE_STEP] for _, x, _ in blocks]))
    bounds = np.unique(sample[np.arange(1, n_ranges) * len(sample) // max(n_ranges, 1)])
    cuts = [[0, *np.searchsorted(x, bounds).tolist(), len(x)] for _, x, _ in blocks]
    for i in range(len(bounds) + 1):
        parts = [[column[cut[i] : cut[i + 1]] for column in block] for block, cut in zip(blocks, cuts, strict=True)]
        rows, x, y = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        if len(rows):
            yield rows, x, y


def _front_of(rows: np.ndarray, x: np.ndarray, y: np.ndarray) -> _Rows:
    """Those rows that no other of them dominates, sorted by x."""
    order = np.argsort(x)
    rows, x, y = rows[order], x[order], y[order]
    same_x = x[1:] == x[:-1]
    on_front = np.ones(len(x), dtype=bool)
    if not same_x.any():
        np.less(y[1:], np.minimum.accumulate(y)[:-1], out=on_front[1:])
    else:  # of each x the lowest y, if that is below every y of a smaller x
        first = np.flatnonzero(np.concatenate(([True], ~same_x)))
        lowest = np.minimum.reduceat(y, first)
        improves = np.concatenate(([True], lowest[1:] < np.minimum.accumulate(lowest)[:-1]))
        group = np.repeat(np.arange(len(first)), np.diff(first, append=len(x)))
        on_front = (y == lowest[group]) & improves[group]
    return rows[on_front], x[on_front], y[on_front]
