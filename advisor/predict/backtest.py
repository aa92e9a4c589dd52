"""Hold every published device out whole, predict it from a few probes, and judge predictions and advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.predict.backtest_answers import Answers, answers
from advisor.predict.backtest_plan import Plan
from advisor.predict.baselines import macs_times_constant, nearest_device_times_constant
from advisor.predict.belief import Belief, belief
from advisor.predict.columns import Column, Setup
from advisor.predict.history import History
from advisor.predict.predictor import Prior, posterior
from advisor.predict.priors import learned
from advisor.predict.probes import chosen
from advisor.predict.scoring import PredictionScore, mean_prediction, score_predictions

ANSWERED_WITH = 20  # probes of the advice
PREDICTOR, MACS, NEAREST = "predictor", "MACs x constant", "nearest device x constant"
CHOSEN, RANDOM = "chosen", "random"
Progress = Callable[[int, int, str], None]
_INTERVAL = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Case:
    """One setup of a device held out, one way to draw probes, one method: the mean over the draws."""

    setup: Setup
    n_rows: int
    probes: str
    n_probes: int
    method: str
    score: PredictionScore


@dataclass(frozen=True, slots=True)
class Backtest:
    """All cases, in order of setup; `priors` are those that each device was predicted with."""

    plan: Plan
    cases: tuple[Case, ...]
    answers: tuple[Answers, ...]
    priors: Mapping[str, Prior]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A setup with everything that may be known of it before a probe."""

    past: History
    believed: Belief
    prior: Prior
    column: Column
    macs: NDArray[np.float64]

    def draw(self, probes: str, n: int, seed: int) -> NDArray[np.intp]:
        """Places in the column of the probes, the most telling or any."""
        if probes == RANDOM:
            return np.random.default_rng(seed).permutation(len(self.column.rows))[:n].astype(np.intp)
        rows = chosen(self.believed, self.prior.scales, self.macs, n=n, among=self.column.rows)
        return np.searchsorted(self.column.rows, rows)


def backtest(
    past: History, top1: Mapping[int, float], plan: Plan | None = None, *,
    progress: Progress = lambda _done, _total, _name: None,
) -> Backtest:  # fmt: skip
    """Every device of the history held out with all its setups.

    Args:
        past: Setups with at least `backtest_plan.MIN_ROWS` networks.
        top1: The best accuracy, percent, of a profile's row.
        plan: What to draw.
        progress: Called with devices done, devices in all, and the device at hand.
    """
    plan = plan or Plan()
    macs = past.profiles.models["macs"].to_numpy(np.float64)
    cases: list[Case] = []
    found: list[Answers] = []
    priors: dict[str, Prior] = {}
    for done, device_id in enumerate(past.device_ids):
        progress(done, len(past.device_ids), device_id)
        others = past.without(device_id)
        priors[device_id] = prior = learned(others, seed=plan.seed)
        for column in (p.column for p in past.patterns if p.setup.device_id == device_id):
            held_out = HeldOut(others, belief(others, column.setup), prior, column, macs)
            cases.extend(_cases(held_out, plan))
            for probes in (CHOSEN, RANDOM):
                # a search takes a hundred times as long as a prediction, so it gets a quarter of the draws
                draws = [
                    held_out.draw(probes, ANSWERED_WITH, plan.seed + draw)
                    for draw in range(1 if probes == CHOSEN else max(1, plan.draws // 4))
                ]
                found.extend(answers(others, held_out.believed, prior, column, macs, top1, probes, draws))
    progress(len(past.device_ids), len(past.device_ids), "")
    return Backtest(plan, tuple(cases), tuple(found), priors)


def _cases(held_out: HeldOut, plan: Plan) -> Iterator[Case]:
    column = held_out.column
    for probes in (CHOSEN, RANDOM):
        for n in plan.n_probes:
            by_method: dict[str, list[PredictionScore]] = {}
            for draw in range(1 if probes == CHOSEN else plan.draws):
                for method, score in _scores(held_out, held_out.draw(probes, n, plan.seed + draw)):
                    by_method.setdefault(method, []).append(score)
            for method, scores in by_method.items():
                yield Case(column.setup, len(column.rows), probes, n, method, mean_prediction(scores))


def _scores(held_out: HeldOut, probes: NDArray[np.intp]) -> Iterator[tuple[str, PredictionScore]]:
    column = held_out.column
    rest = np.setdiff1d(np.arange(len(column.rows)), probes)
    rows, measured, wanted, true = (
        column.rows[probes], column.latency_ms[probes], column.rows[rest], column.latency_ms[rest],
    )  # fmt: skip
    quantiles = posterior(held_out.believed, held_out.prior, rows, measured, wanted).quantiles(_INTERVAL)
    yield PREDICTOR, score_predictions(true, quantiles[:, 1], quantiles[:, [0, 2]])
    yield MACS, score_predictions(true, macs_times_constant(held_out.macs, rows, measured, wanted))
    nearest = nearest_device_times_constant(held_out.past, column.setup, rows, measured, wanted)
    if not np.isnan(nearest).all():
        yield NEAREST, score_predictions(true, nearest)
