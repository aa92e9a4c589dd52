"""Sums of classes of time, each times a factor that probes have taught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of classes, each times a factor, in ms, with standard deviations.

    Attributes:
        everywhere: Shape (n_profiles,), as `doubt` is.
        at_probes: Shape (n_probes,), as `probe_doubt` is: of each by the others.
    """

    everywhere: NDArray[np.float64]
    at_probes: NDArray[np.float64]
    doubt: NDArray[np.float64]
    probe_doubt: NDArray[np.float64]


def with_factors(
    class_ms: NDArray[np.float64], rows: NDArray[np.intp], wanted_ms: NDArray[np.float64],
    latency_ms: NDArray[np.float64], *, expected: NDArray[np.float64], shrink: float, held: float = 0.0,
) -> Sums:  # fmt: skip
    """Sums of classes, each times a factor that makes those of the probes what is wanted; no factor is negative.

    Bayesian linear regression (Bishop 2006, section 3.3), its mean kept from below 0, its doubt that of factors free of
    sign. The variance of a factor is as large as what is expected of it: one of 1 is off by all of it, one of 0.1 by
    0.3.

    Args:
        class_ms: Shape (n_profiles, n_classes).
        rows: Of the probes, shape (n_probes,).
        wanted_ms: Of each probe; NaN where it is not known.
        latency_ms: Of each probe: what its error is measured by.
        expected: Shape (n_classes,): of each factor, more than 0, times the speed that all classes have in common.
        shrink: Weight of a factor's expected value, in probes: the variance of a probe's error beside its own.
        held: How firmly a common speed of 1 is expected: as if it had been seen in so many probes that do nothing else.
    """
    deviations = np.sqrt(expected)
    class_ms = class_ms * deviations
    here = class_ms[rows]
    likely = here @ (expected / deviations)

    def summed(
        kept: NDArray[np.intp], asked_ms: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        of_likely, of_wanted = (float((ms[kept] / latency_ms[kept]).sum()) for ms in (likely, wanted_ms))
        if min(of_likely, of_wanted) + held <= 0:
            return np.zeros(len(asked_ms)), np.zeros(len(asked_ms))
        speed = (of_wanted + held) / (of_likely + held)
        shrunk = np.sqrt(shrink) * np.eye(len(expected))
        terms = np.vstack([here[kept] * speed / latency_ms[kept, None], shrunk])
        wanted = np.concatenate([wanted_ms[kept] / latency_ms[kept], np.sqrt(shrink) * expected / deviations])
        covariance = shrink * np.linalg.inv(terms.T @ terms)
        scaled = asked_ms * speed
        return scaled @ nnls(terms, wanted)[0], np.sqrt(((scaled @ covariance) * scaled).sum(axis=1))

    known = np.flatnonzero(~np.isnan(wanted_ms))
    without = [summed(known[known != place], here[[place]]) for place in range(len(rows))]
    everywhere, doubt = summed(known, class_ms)
    return Sums(everywhere, np.array([ms[0] for ms, _ in without]), doubt, np.array([ms[0] for _, ms in without]))
