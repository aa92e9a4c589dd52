"""The advice of a backtest: budgets over the whole range, each way to answer them, judged with true latencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.evidence.families import family_of
from advisor.predict.baselines import macs_times_constant, nearest_device_times_constant
from advisor.predict.belief import Belief
from advisor.predict.columns import Column, Setup
from advisor.predict.guide import guide_of_2020
from advisor.predict.history import History
from advisor.predict.predictor import Posterior, Prior, posterior
from advisor.predict.scoring import AnswerScore, mean_answer, score_answer
from advisor.predict.search import Outcome, find

BUDGETS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # quantiles of the candidates' latencies
CONFIRMED, POINT, BY_MACS, BY_NEAREST, BY_GUIDE = (
    "predict, then confirm", "point prediction", "MACs x constant", "nearest device x constant", "2020 guide's rules",
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
    families: NDArray[np.object_]

    def score(self, budget_ms: float, pick: int | None, confirmations: int = 0) -> AnswerScore:
        """The score of one answer."""
        return score_answer(self.accuracy, self.true_ms, budget_ms, pick, confirmations)


def answers(
    past: History, believed: Belief, prior: Prior, column: Column, macs: NDArray[np.float64],
    top1: Mapping[int, float], how: str, draws: Sequence[NDArray[np.intp]],
) -> Iterator[Answers]:  # fmt: skip
    """Answer every budget after every draw of probes, in each way; nothing where too few have an accuracy.

    The pick is the most accurate candidate that is, or is held to be, within the budget; no ties are broken. The
    guide's rules look at the guide's families alone, whose latencies are taken as MACs x constant.
    """
    among = _candidates(past, column, top1)
    if len(among.rows) < _LEAST_CANDIDATES:
        return
    rows = among.rows
    budgets = np.quantile(among.true_ms, BUDGETS)
    by_method: dict[str, list[AnswerScore]] = {}
    for probes in draws:
        measured_rows, measured_ms = column.rows[probes], column.latency_ms[probes]
        known = {int(np.searchsorted(rows, r)): float(ms) for r, ms in zip(measured_rows, measured_ms, strict=True)
                 if int(r) in top1}  # fmt: skip
        first = posterior(believed, prior, measured_rows, measured_ms, rows)
        by_macs = _held(macs_times_constant(macs, measured_rows, measured_ms, rows), known)
        points = {
            POINT: _held(np.exp(first.mean), known),
            BY_MACS: by_macs,
            BY_NEAREST: _held(
                nearest_device_times_constant(past, column.setup, measured_rows, measured_ms, rows), known
            ),
        }
        for budget_ms in budgets:
            picks = {method: _by_point(among, held, budget_ms) for method, held in points.items()}
            picks[BY_GUIDE] = guide_of_2020(column.setup.kind, among.families, among.accuracy, by_macs, budget_ms)
            for method, pick in picks.items():
                by_method.setdefault(method, []).append(among.score(budget_ms, pick))
            score = _by_search(among, known, budget_ms, believed, prior, measured_rows, measured_ms)
            by_method.setdefault(CONFIRMED, []).append(score)
    for method, scores in by_method.items():
        yield Answers(column.setup, len(rows), how, len(draws[0]), method, len(scores), mean_answer(scores))


def _candidates(past: History, column: Column, top1: Mapping[int, float]) -> _Candidates:
    scored = np.array([place for place, row in enumerate(column.rows) if int(row) in top1], dtype=np.intp)
    rows = column.rows[scored]
    names = past.profiles.models["architecture"].to_numpy(dtype=object)[rows]
    return _Candidates(
        rows, column.latency_ms[scored], np.array([top1[int(row)] for row in rows]),
        np.array([family_of(name) for name in names], dtype=object),
    )  # fmt: skip


def _held(predicted_ms: NDArray[np.float64], known: Mapping[int, float]) -> NDArray[np.float64]:
    """What the latencies are held to be: measured where they were, else predicted."""
    held = predicted_ms.copy()
    held[list(known)] = list(known.values())
    return held


def _by_point(among: _Candidates, held_ms: NDArray[np.float64], budget_ms: float) -> int | None:
    within = np.flatnonzero(held_ms <= budget_ms)  # NaN is not
    return int(within[np.argmax(among.accuracy[within])]) if len(within) else None


def _by_search(
    among: _Candidates, known: Mapping[int, float], budget_ms: float, believed: Belief, prior: Prior,
    measured_rows: NDArray[np.intp], measured_ms: NDArray[np.float64],
) -> AnswerScore:  # fmt: skip
    def predict(confirmed: list[int], latencies_ms: list[float]) -> Posterior:
        return posterior(
            believed, prior, np.concatenate([measured_rows, among.rows[np.array(confirmed, dtype=np.intp)]]),
            np.concatenate([measured_ms, latencies_ms]), among.rows,
        )  # fmt: skip

    found = find(
        among.accuracy, {candidate: Outcome.exactly(ms) for candidate, ms in known.items()}, budget_ms,
        predict=predict, measure=lambda candidate: Outcome.exactly(float(among.true_ms[candidate])),
    )  # fmt: skip
    return among.score(budget_ms, found.pick, len(found.confirmed))
