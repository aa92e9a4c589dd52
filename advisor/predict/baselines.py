"""The simplest predictions, which a predictor must beat: one constant times something known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from advisor.predict.columns import Column, Setup
from advisor.predict.history import History


def macs_times_constant(
    macs: NDArray[np.float64], rows: NDArray[np.intp], latency_ms: NDArray[np.float64], wanted: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Latencies in ms of the rows wanted: MACs times the median of ms per MAC over the measured rows."""
    return np.asarray(macs[wanted] * np.median(latency_ms / macs[rows]))


def nearest_device_times_constant(
    past: History, setup: Setup, rows: NDArray[np.intp], latency_ms: NDArray[np.float64], wanted: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Latencies in ms of the rows wanted, NaN where the nearest setup of another device has none.

    Nearest is the published setup of the same task whose ratio to the measured rows spreads least (median absolute
    deviation of logarithms), among those that have at least three of them, or half where that is more.
    """
    best = np.full(len(wanted), np.nan)
    least = np.inf
    for pattern in past.patterns:
        if pattern.setup.task != setup.task and any(p.setup.task == setup.task for p in past.patterns):
            continue
        of_probes, of_wanted = _looked_up(pattern.column, rows), _looked_up(pattern.column, wanted)
        both = ~np.isnan(of_probes)
        if both.sum() < max(3, len(rows) / 2):
            continue
        ratios = np.log(latency_ms[both] / of_probes[both])
        spread = float(np.median(np.abs(ratios - np.median(ratios))))
        if spread < least:
            least, best = spread, of_wanted * np.exp(np.median(ratios))
    return best


def _looked_up(column: Column, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    places = np.minimum(np.searchsorted(column.rows, rows), len(column.rows) - 1)
    return np.where(column.rows[places] == rows, column.latency_ms[places], np.nan)
