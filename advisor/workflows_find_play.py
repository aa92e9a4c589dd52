"""A search on this machine as a function of its runs: what was predicted before each, what it showed, what is next.

The same runs give the same search, so that an answer can be shown after every measurement and after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from advisor.advice import limits
from advisor.measure.request import Request
from advisor.measure.run import Measured, Run
from advisor.predict.known import Known
from advisor.predict.missed import MOST_TOGETHER, Missed, Unmeasured, missed
from advisor.predict.pace import AT_FULL_PACE, pulse_slowdown, stretch_of
from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.search import Choice, Outcome, appraised, best, chances, choose, to_beat
from advisor.predict.slowness import FULL_PACE, Slowness
from advisor.records import Question
from advisor.workflows_find_options import Options, Result

# Measuring some networks does not make others this much faster than the low end of their intervals.
_FARTHEST = 2.0
Extra = tuple[tuple[int, int, Probe], ...]  # measured beside the probes: setup, row of its profiles, and what


class Believer(Protocol):
    """What is believed of every setup once more was measured there."""

    def posteriors(self, extra: Extra, rows: Sequence[NDArray[np.intp]]) -> Sequence[Posterior]:
        """Of each setup, for those rows of its profiles."""

    def correlation(self, extra: Extra, known: int, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """How rows of a setup deviate together from what is predicted; None where that is not known."""


@dataclass(frozen=True, eq=False)
class Case:
    """A question on this machine with everything that was known before its search.

    Attributes:
        question: With the store's id of the device and the store's names of families.
        target: What is measured, as `Request.target` names it.
        knowns: The setups that are considered, in order.
        results: By option: what was measured before.
        notes: What is not considered and why, one sentence each.
        any_runtime: Whether the runtime was left open.
        slowness: How slow the machine was, by its pulse, in its last measurements before the search.
    """

    question: Question
    target: str
    device_name: str
    knowns: tuple[Known, ...]
    options: Options
    results: dict[int, Result]
    believer: Believer
    notes: tuple[str, ...] = ()
    any_runtime: bool = True
    slowness: Slowness = FULL_PACE

    @property
    def budget_ms(self) -> float:
        """The most that one forward pass may take."""
        return limits.latency_limit_ms(self.question)

    @cached_property
    def first(self) -> Posterior:
        """What is believed of every option before the search."""
        known, row = self.options.known, self.options.row
        mean, deviation = np.empty(len(known)), np.empty(len(known))
        for place, one in enumerate(self.knowns):
            here = known == place
            mean[here], deviation[here] = one.posterior.mean[row[here]], one.posterior.deviation[row[here]]
        return Posterior(mean, deviation)

    @property
    def tested(self) -> dict[int, Outcome]:
        """By option: what was measured before, as the search is to know it."""
        return {option: self.tested_as(one, option) for option, one in self.results.items()}

    def tested_as(self, one: Result, option: int) -> Outcome:
        """What was measured of an option, as the search is to know it."""
        return one.tested(self.question, self.known_of(option), float(self.suffers[option]))

    @cached_property
    def suffers(self) -> NDArray[np.float64]:
        """What each option suffers of a slow machine, see `suffering`."""
        each = [one.each_suffers for one in self.knowns]
        places = zip(self.options.known.tolist(), self.options.row.tolist(), strict=True)
        return np.array([each[place][row] for place, row in places])

    @cached_property
    def unlike(self) -> NDArray[np.float64]:
        """How far networks of its setup are from that, a standard deviation."""
        return np.array([one.unlike for one in self.knowns])[self.options.known]

    def known_of(self, option: int) -> Known:
        """The setup of an option."""
        return self.knowns[int(self.options.known[option])]

    @cached_property
    def contenders(self) -> NDArray[np.intp]:
        """The options that might still win, whatever is measured: of the others nothing is predicted anew."""
        tested = {option: one for option, one in self.tested.items() if one.settled(self.budget_ms)}
        low_ms = self.first.quantiles()[:, 0]
        better = self.options.accuracy > to_beat(self.options.accuracy, tested, self.budget_ms)
        return np.flatnonzero(better & (low_ms <= _FARTHEST * self.budget_ms))

    def request(self, option: int) -> Request:
        """The measurement of an option: of its latency alone, but as exactly as any, for it decides."""
        architecture, img_size = self.options.named(option)
        asked = self.known_of(option).asked
        return replace(asked.request(architecture), img_size=img_size, extras=(), timing_s=None)

    def option_of(self, run: Run) -> int | None:
        """The option that a run has measured; None where it is none."""
        request = run.request
        precisions = {request.precision, run.measured.precision_used if run.measured else request.precision}
        for place, one in enumerate(self.knowns):
            asked = one.asked
            same = (request.runtime, request.layout, request.batch_size, request.threads) == (
                asked.runtime, asked.layout, asked.batch_size, asked.threads,
            )  # fmt: skip
            # one setup may be asked for in two ways: OpenVINO's own choice may be bf16
            if same and precisions & {asked.precision, one.setup.precision}:
                size = run.measured.img_size if run.measured else request.img_size
                return self.options.of(place, request.architecture, size or 0)
        return None


@dataclass(frozen=True, eq=False)
class Step:
    """One measurement of a search.

    Attributes:
        predicted_ms: The quantiles 0.05, 0.5 and 0.95 that were predicted before it.
        choice: What it promised then.
        beaten: The best option before it, None where nothing was within the budget.
        tested: What the option is known to be after it, None where the run failed.
        slowdown: How many times slower than at its full pace the machine was meanwhile; 1 where that is not known.
    """

    option: int
    run: Run
    predicted_ms: tuple[float, float, float]
    choice: Choice
    beaten: int | None
    tested: Outcome | None
    slowdown: float = 1.0

    @property
    def slow(self) -> bool:
        """Whether the machine was not at its full pace."""
        return self.slowdown > AT_FULL_PACE


@dataclass(frozen=True, eq=False)
class Played:
    """A search after some runs.

    Attributes:
        results: By option: the run that speaks for it.
        tested: By option: what was measured, beside how slow the machine is now.
        failed: Options that could not be measured.
        out: Options that need no measurement: those, and larger images of networks that are known to break a limit.
        slowness: How slow the machine is expected to be, by its pulse, as in those runs and the last ones before.
        believed: Of all options, on a machine that is so slow.
        next: What would be measured next; None where nothing promises enough.
    """

    steps: tuple[Step, ...]
    results: dict[int, Result]
    tested: dict[int, Outcome]
    failed: frozenset[int]
    out: frozenset[int]
    slowness: Slowness
    believed: Posterior
    extra: Extra
    next: Choice | None
    pick: int | None


def play(case: Case, runs: Sequence[Run]) -> Played:
    """The search after those runs, in the order in which they were made; cancelled ones count for nothing."""
    accuracy, budget = case.options.accuracy, case.budget_ms
    results, measured, failed, steps = dict(case.results), case.tested, set[int](), list[Step]()
    paces: list[float] = []
    extra: Extra = ()
    slowness = case.slowness
    tested = slowness.beside(measured, case.suffers)
    believed = slowness.of(case.first, case.suffers, case.unlike)
    out = _out(case, tested, failed)
    for run in runs:
        option = case.option_of(run)
        if option is None or run.status not in ("ok", "failed"):
            continue
        choice = appraised(accuracy, believed, tested, budget, option, out=out)
        before, beaten, slowdown = _quantiles(believed, option), best(accuracy, tested, budget), 1.0
        if run.measured is None:
            failed.add(option)
        else:
            result = Result.of_run(run)
            now, earlier = case.tested_as(result, option), measured.get(option)
            slowdown, measured[option] = now.slowdown, now if earlier is None else earlier.then(now)
            if measured[option].latency_ms == result.p50:
                results[option] = result
            place, row = int(case.options.known[option]), int(case.options.row[option])
            extra = (*extra, (place, row, _probe(case.options.named(option), run.measured, run.verdict == "noisy")))
            paces.append(pulse_slowdown(result.stretch, case.known_of(option).full_ms))
            slowness = case.slowness.after(paces)
            tested = slowness.beside(measured, case.suffers)
            believed = slowness.of(_anew(case, extra), case.suffers, case.unlike)
        out = _out(case, tested, failed)
        after = None if run.measured is None else tested[option]
        steps.append(Step(option, run, before, choice, beaten, after, slowdown))
    promises = choose(accuracy, believed, tested, budget, out=out)
    return Played(
        tuple(steps), results, tested, frozenset(failed), out, slowness, believed, extra, promises,
        best(accuracy, tested, budget),
    )  # fmt: skip


def next_request(case: Case, runs: Sequence[Run], *, confirm: int) -> Request | None:
    """What is measured after those runs; None where the search is over."""
    played = play(case, runs)
    if played.next is None or len(played.steps) >= confirm:
        return None
    return case.request(played.next.option)


def may_have_missed(case: Case, played: Played) -> Missed:
    """The chance that an unmeasured candidate is within the budget and more accurate than the pick."""
    accuracy = case.options.accuracy
    within = chances(played.believed, played.tested, case.budget_ms, out=played.out)
    least = 0.0 if played.pick is None else float(accuracy[played.pick])
    setups = []
    for place in range(len(case.knowns)):
        better = np.flatnonzero((case.options.known == place) & (accuracy > least) & (within > 0))
        likely = better[np.argsort(-within[better], kind="stable")[:MOST_TOGETHER]]
        rows = case.options.row[likely]
        together = case.believer.correlation(played.extra, place, rows) if len(rows) else None
        setups.append(Unmeasured(within[likely], accuracy[likely] - least, together))
    return missed(setups)


def _out(case: Case, tested: Mapping[int, Outcome], failed: Collection[int]) -> frozenset[int]:
    """`Played.out`. A larger image takes no less time and no less memory, in whatever moment it is measured."""
    over = [o for o, one in tested.items() if one.settled(case.budget_ms) and not one.keeps(case.budget_ms)]
    larger = [case.options.with_larger_images(option).tolist() for option in over]
    return frozenset(failed).union(*larger)


def _probe(key: tuple[str, int], found: Measured, noisy: bool) -> Probe:
    return Probe(*key, found.latency.p50, stretch=stretch_of(found), noisy=noisy)


def _anew(case: Case, extra: Extra) -> Posterior:
    """What is believed of every option once more was measured."""
    which = case.contenders
    known, row = case.options.known[which], case.options.row[which]
    found = case.believer.posteriors(extra, [row[known == place] for place in range(len(case.knowns))])
    mean, deviation = case.first.mean.copy(), case.first.deviation.copy()
    for place, one in enumerate(found):
        here = which[known == place]
        mean[here], deviation[here] = one.mean, one.deviation
    return Posterior(mean, deviation)


def _quantiles(believed: Posterior, option: int) -> tuple[float, float, float]:
    alone = Posterior(believed.mean[[option]], believed.deviation[[option]])
    low, middle, high = alone.quantiles()[0].tolist()
    return low, middle, high
