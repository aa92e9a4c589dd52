"""Find the most accurate network within a latency budget: predict all, measure the few that could win."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.predict.predictor import Posterior

MAX_CONFIRMATIONS = 5
# No further measurement where the expected gain is below this many points of top-1: a tenth of the sampling error of
# ImageNet's 50,000 images.
_LEAST_GAIN = 0.01
Predict = Callable[[list[int], list[float]], Posterior]
Measure = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a search.

    Attributes:
        pick: Index of the most accurate candidate that was measured within the budget; None where none was.
        confirmed: Candidates measured after the probes, in order.
        p_missed: The chance that some unmeasured, more accurate candidate is within the budget, taking them as
            independent: an upper bound where they err together.
    """

    pick: int | None
    confirmed: tuple[int, ...]
    p_missed: float


def find(
    accuracy: NDArray[np.float64], measured: dict[int, float], budget_ms: float, *, predict: Predict, measure: Measure,
    max_confirmations: int = MAX_CONFIRMATIONS,
) -> Found:  # fmt: skip
    """Measure candidates by expected gain until none is likely to win; answer with a measured one.

    Args:
        accuracy: Shape (n_candidates,), percent; higher is better.
        measured: Latency in ms of the candidates among the probes.
        budget_ms: The most that a latency may be.
        predict: What is believed of all candidates after those confirmations: their indices and latencies.
        measure: Measures a candidate, ms.
    """
    known = dict(measured)
    confirmed: list[int] = []
    while True:
        within = predict(confirmed, [known[c] for c in confirmed]).probability_within(budget_ms)
        within[list(known)] = 0.0
        best, best_accuracy = _best(accuracy, known, budget_ms)
        gains = within * np.maximum(accuracy - best_accuracy, 0.0)
        promising = int(np.argmax(gains))
        if len(confirmed) == max_confirmations or gains[promising] < _LEAST_GAIN:
            missed = 1 - float(np.prod(1 - within[accuracy > best_accuracy]))
            return Found(best, tuple(confirmed), missed)
        known[promising] = measure(promising)
        confirmed.append(promising)


def _best(accuracy: NDArray[np.float64], known: dict[int, float], budget_ms: float) -> tuple[int | None, float]:
    """The most accurate measured candidate within the budget; without one, a stand-in below every candidate."""
    feasible = sorted((c for c, ms in known.items() if ms <= budget_ms), key=lambda c: (-accuracy[c], c))
    # twice the range below: an answer at all is worth more than the last point
    return (feasible[0], float(accuracy[feasible[0]])) if feasible else (None, 2 * accuracy.min() - accuracy.max())
