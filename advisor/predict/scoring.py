"""How good predictions and answers were, judged with the latencies that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

CLOSE = 0.1  # "within ±10 %"


@dataclass(frozen=True, slots=True)
class PredictionScore:
    """Of one draw of probes, or the mean of several.

    Attributes:
        median_error: Of |predicted / true - 1|.
        within_10: Share of predictions within ±10 % of the truth.
        coverage: Share of true latencies within the 90 % interval; None of methods that have none.
        spearman: Rank agreement.
    """

    median_error: float
    within_10: float
    coverage: float | None
    spearman: float


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """Of one answer, or the mean of several.

    Attributes:
        broken: Share of answers over the budget.
        regret: Points of top-1 lost by the answers within the budget.
        unanswered: Share of budgets that something could meet but nothing was answered.
        confirmations: Measurements after the probes.
    """

    broken: float
    regret: float | None
    unanswered: float
    confirmations: float


def score_predictions(
    true_ms: NDArray[np.float64], predicted_ms: NDArray[np.float64], interval_ms: NDArray[np.float64] | None = None
) -> PredictionScore:
    """The score of predictions; those that are NaN (no prediction) are left out.

    Args:
        true_ms: Shape (n,).
        predicted_ms: Shape (n,).
        interval_ms: Shape (n, 2), low and high.
    """
    said = ~np.isnan(predicted_ms)
    true_ms, predicted_ms = true_ms[said], predicted_ms[said]
    errors = np.abs(predicted_ms / true_ms - 1)
    covered = None
    if interval_ms is not None:
        low, high = interval_ms[said].T
        covered = float(((low <= true_ms) & (true_ms <= high)).mean())
    ranks = float(spearmanr(true_ms, predicted_ms).statistic)
    return PredictionScore(float(np.median(errors)), float((errors <= CLOSE).mean()), covered, ranks)


def score_answer(
    accuracy: NDArray[np.float64], true_ms: NDArray[np.float64], budget_ms: float, pick: int | None, confirmations: int
) -> AnswerScore:
    """The score of one answer; some candidate must be within the budget.

    Args:
        accuracy: Shape (n_candidates,), percent.
        true_ms: Shape (n_candidates,).
        pick: Index of the answer, None where there is none.
    """
    if pick is None:
        return AnswerScore(0.0, None, 1.0, confirmations)
    if true_ms[pick] > budget_ms:
        return AnswerScore(1.0, None, 0.0, confirmations)
    best = float(accuracy[true_ms <= budget_ms].max())
    return AnswerScore(0.0, best - float(accuracy[pick]), 0.0, confirmations)


def mean_prediction(scores: Sequence[PredictionScore]) -> PredictionScore:
    """The mean of scores, field by field."""
    covered = [s.coverage for s in scores if s.coverage is not None]
    return PredictionScore(
        float(np.mean([s.median_error for s in scores])), float(np.mean([s.within_10 for s in scores])),
        float(np.mean(covered)) if covered else None, float(np.mean([s.spearman for s in scores])),
    )  # fmt: skip


def mean_answer(scores: Sequence[AnswerScore]) -> AnswerScore:
    """The mean of scores, field by field; regret over those that are within the budget."""
    regrets = [s.regret for s in scores if s.regret is not None]
    return AnswerScore(
        float(np.mean([s.broken for s in scores])), float(np.mean(regrets)) if regrets else None,
        float(np.mean([s.unanswered for s in scores])), float(np.mean([s.confirmations for s in scores])),
    )  # fmt: skip
