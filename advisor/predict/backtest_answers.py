"""The advice of a backtest: budgets over the whole range, each way to answer them, judged with true latencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.predict.baselines import macs_times_constant, nearest_device_times_constant
from advisor.predict.belief import Belief
from advisor.predict.columns import Column, Setup
from advisor.predict.history import History
from advisor.predict.predictor import Posterior, Prior, posterior
from advisor.predict.scoring import AnswerScore, mean_answer, score_answer
from advisor.predict.search import find

BUDGETS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # quantiles of the candidates' latencies
CONFIRMED, POINT, BY_MACS, BY_NEAREST = (
    "predict, then confirm", "point prediction", "MACs x constant", "nearest device x constant",
)  # fmt: skip
_LEAST_CANDIDATES = 50  # with an accuracy: fewer make budgets that differ by one network


@dataclass(frozen=True, slots=True)
class Answers:
    """One setup of a device held out, one way to draw probes, one way to answer: the mean over draws and budgets."""

    setup: Setup
    n_candidates: int
    probes: str
    n_probes: int
    method: str
    n_answers: int
    score: AnswerScore


@dataclass(frozen=True, eq=False)
class _Candidates:
    rows: NDArray[np.intp]
    true_ms: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def answers(
    past: History, believed: Belief, prior: Prior, column: Column, macs: NDArray[np.float64],
    top1: Mapping[int, float], how: str, draws: Sequence[NDArray[np.intp]],
) -> Iterator[Answers]:  # fmt: skip
    """Answer every budget after every draw of probes, in each way; nothing where too few have an accuracy.

    The pick is the most accurate candidate that is, or is held to be, within the budget; no ties are broken.
    """
    scored = np.array([place for place, row in enumerate(column.rows) if int(row) in top1], dtype=np.intp)
    if len(scored) < _LEAST_CANDIDATES:
        return
    rows = column.rows[scored]
    among = _Candidates(rows, column.latency_ms[scored], np.array([top1[int(row)] for row in rows]))
    budgets = np.quantile(among.true_ms, BUDGETS)
    by_method: dict[str, list[AnswerScore]] = {}
    for probes in draws:
        measured_rows, measured_ms = column.rows[probes], column.latency_ms[probes]
        known = {int(np.searchsorted(rows, r)): float(ms) for r, ms in zip(measured_rows, measured_ms, strict=True)
                 if int(r) in top1}  # fmt: skip
        first = posterior(believed, prior, measured_rows, measured_ms, rows)
        points = {
            POINT: np.exp(first.mean),
            BY_MACS: macs_times_constant(macs, measured_rows, measured_ms, rows),
            BY_NEAREST: nearest_device_times_constant(past, column.setup, measured_rows, measured_ms, rows),
        }
        for budget_ms in budgets:
            for method, predicted in points.items():
                by_method.setdefault(method, []).append(_by_point(among, known, predicted, budget_ms))
            score = _by_search(among, known, budget_ms, believed, prior, measured_rows, measured_ms)
            by_method.setdefault(CONFIRMED, []).append(score)
    for method, scores in by_method.items():
        yield Answers(column.setup, len(rows), how, len(draws[0]), method, len(scores), mean_answer(scores))


def _by_point(
    among: _Candidates, known: Mapping[int, float], predicted_ms: NDArray[np.float64], budget_ms: float
) -> AnswerScore:
    held = predicted_ms.copy()
    held[list(known)] = list(known.values())
    within = np.flatnonzero(held <= budget_ms)  # NaN is not
    pick = int(within[np.argmax(among.accuracy[within])]) if len(within) else None
    return score_answer(among.accuracy, among.true_ms, budget_ms, pick, 0)


def _by_search(
    among: _Candidates, known: dict[int, float], budget_ms: float, believed: Belief, prior: Prior,
    measured_rows: NDArray[np.intp], measured_ms: NDArray[np.float64],
) -> AnswerScore:  # fmt: skip
    def predict(confirmed: list[int], latencies_ms: list[float]) -> Posterior:
        return posterior(
            believed, prior, np.concatenate([measured_rows, among.rows[np.array(confirmed, dtype=np.intp)]]),
            np.concatenate([measured_ms, latencies_ms]), among.rows,
        )  # fmt: skip

    found = find(
        among.accuracy, known, budget_ms, predict=predict, measure=lambda candidate: float(among.true_ms[candidate])
    )
    return score_answer(among.accuracy, among.true_ms, budget_ms, found.pick, len(found.confirmed))
