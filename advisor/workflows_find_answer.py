"""The answer of a search: a measured pick, how it was come to, and what may have been missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from advisor.advice import measured
from advisor.advice.pareto import pareto_front
from advisor.advice.predicted import HIGH, LOW, percent
from advisor.advice.recommend import licence_to_mind, losses
from advisor.measure.run import Parity, Run
from advisor.metrics import METRICS
from advisor.predict.known import Known
from advisor.predict.missed import Missed
from advisor.predict.search import LEAST_GAIN, chances, expected_gains
from advisor.records import FOUR_FAMILIES, Candidate, Question, Reason, Recommendation
from advisor.workflows_find_miss import miss
from advisor.workflows_find_options import PREDICTION
from advisor.workflows_find_path import Confirmation, confirmation
from advisor.workflows_find_play import Case, Played, may_have_missed
from advisor.workflows_find_worth import RuntimeWorth, runtime_worth

_OURS = "this advisor's search"
_PROMISING = 5  # unmeasured candidates that are shown
_LEAST_CHANCE = 0.01  # of them: one less likely within the budget is no promise
_MS = METRICS["latency_ms"].show


@dataclass(frozen=True, slots=True)
class Promising:
    """An unmeasured candidate that may be better than the pick: predicted, with its chance and what it promises.

    Attributes:
        p_within: How probable it is that it is within the budget.
        expected_gain: Points over the pick that measuring it is expected to gain; None without a pick.
    """

    candidate: Candidate
    p_within: float
    expected_gain: float | None


@dataclass(frozen=True, eq=False)
class FindAnswer:
    """What a search on this machine has come to so far.

    Attributes:
        recommendation: As Recommend answers, from what was measured here; its pick is measured or there is none.
        pick_run_id: The run behind the pick, of this search or an earlier one.
        path: The measurements of this search in order.
        runs: Their runs, failed ones too.
        p_missed: The chance that some unmeasured candidate is within the budget and more accurate than the pick.
        missed_points: By how many points of accuracy the best such candidate is expected to beat it, 0 where there is
            none; None without a pick.
        promising: The unmeasured candidates that promise most.
        runtime_worth: What the choice of the runtime alone gains; None where a runtime was asked for.
        not_considered: Setups that were left out and why, one sentence each.
        status: Of its job: "running", "done", "cancelled" ...; "done" where nothing had to be measured.
        ended: Why no more was measured, in a sentence; empty while it goes on.
        seconds: How long measuring took.
        problem: What went wrong beside single runs, or empty.
    """

    recommendation: Recommendation
    pick_run_id: str | None
    path: tuple[Confirmation, ...]
    runs: tuple[Run, ...]
    p_missed: float
    missed_points: float | None
    promising: tuple[Promising, ...]
    runtime_worth: RuntimeWorth | None
    not_considered: tuple[str, ...]
    status: str
    ended: str
    seconds: float
    job_id: str = ""
    problem: str = ""

    @property
    def n_measurements(self) -> int:
        """How many measurements this search made."""
        return len(self.path)

    @property
    def proviso(self) -> str:
        """What `p_missed` leaves open, as a sentence that follows; empty where that is nothing."""
        return _memory_proviso(self.recommendation.question)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the job of a search stands.

    Attributes:
        out_of_time: Whether its time was up.
        unfinished: Whether it ended though more could have followed.
        problem: What went wrong beside single runs, or empty.
    """

    status: str = "done"
    seconds: float = 0.0
    job_id: str = ""
    out_of_time: bool = False
    unfinished: bool = False
    problem: str = ""


def answer(
    case: Case, played: Played, ending: Ending, *, earlier: Callable[[str], Run | None] = lambda _run_id: None
) -> FindAnswer:
    """The answer after the runs that were played.

    Args:
        earlier: Gives a run that was made before this search by its id; None where it is not there any more.
    """
    frame = _as_known(case, played)
    kept = np.array([o in played.tested and played.tested[o].keeps(case.budget_ms) for o in frame["option"]], bool)
    best = _each_once(frame[kept])
    missed = may_have_missed(case, played)
    recommendation = _recommendation(case, played, frame, best, _reasons(case, played, frame, missed, earlier))
    return FindAnswer(
        recommendation=recommendation,
        pick_run_id=None if played.pick is None else played.results[played.pick].run_id,
        path=tuple(confirmation(case, step) for step in played.steps),
        runs=tuple(step.run for step in played.steps),
        p_missed=missed.probability, missed_points=None if played.pick is None else missed.points,
        promising=_promising(case, played, frame),
        runtime_worth=runtime_worth(case, played, frame, recommendation.pick) if case.any_runtime else None,
        not_considered=case.notes, status=ending.status, ended=_ended(played, ending), seconds=ending.seconds,
        job_id=ending.job_id, problem=ending.problem,
    )  # fmt: skip


# -- candidates as they are known now ------------------------------------------------------------------


def _as_known(case: Case, played: Played) -> pd.DataFrame:
    """The candidates within the other limits, each measured where its option is, else predicted as of now."""
    options = case.options
    low, middle, high = played.believed.quantiles().T
    of_option = pd.DataFrame({
        "latency_ms": middle, LOW: low, HIGH: high, "evidence": "predicted", "interval": None, "verdict": "",
        "note": "", "source_id": PREDICTION, "peak_memory_mb": np.nan, "measured_at": pd.NaT,
        "p_within": chances(played.believed, played.tested, case.budget_ms, out=played.out),
    }).astype({"interval": object, "measured_at": object})  # fmt: skip
    rows = of_option.to_dict("records")
    for option, one in played.results.items():
        rows[option] = {
            "latency_ms": one.p50, LOW: np.nan, HIGH: np.nan, "evidence": "measured", "interval": one.ci95,
            "verdict": one.verdict, "note": one.note, "source_id": one.source_id, "measured_at": one.measured_at,
            "peak_memory_mb": np.nan if one.peak_memory_mb is None else one.peak_memory_mb, "p_within": np.nan,
        }  # fmt: skip
    told = pd.DataFrame(rows, columns=of_option.columns).iloc[options.candidates["option"].to_numpy(np.intp)]
    told = told.set_index(options.candidates.index)
    per_s = options.candidates["batch_size"] * 1000 / told["latency_ms"]
    return options.candidates.assign(throughput_per_s=per_s, **{str(name): told[name] for name in told})


def _each_once(kept: pd.DataFrame) -> pd.DataFrame:
    """Each weights and image size in its fastest setup, the most accurate first, then the fastest, then by name."""
    ordered = kept.assign(noisy=kept["verdict"] == "noisy").sort_values(
        ["accuracy", "noisy", "latency_ms", "weights", "option"], ascending=[False, True, True, True, True]
    )
    return ordered.drop_duplicates(["weights", "img_size"]).reset_index(drop=True)


def _pick(case: Case, played: Played, frame: pd.DataFrame) -> Candidate | None:
    return None if played.pick is None else _leader(case, frame, played.pick)


def _leader(case: Case, frame: pd.DataFrame, option: int) -> Candidate:
    return Candidate.from_row(frame.iloc[case.options.leader[option]].to_dict())


# -- the recommendation --------------------------------------------------------------------------------


def _recommendation(
    case: Case, played: Played, frame: pd.DataFrame, best: pd.DataFrame, reasons: tuple[Reason, ...]
) -> Recommendation:
    """As Recommend's, from what was measured within the budget: the pick is the most accurate of it, ties are named."""
    pick = _pick(case, played, frame)
    measured_ones = [Candidate.from_row(row) for row in best.to_dict("records")]
    others = [one for one in measured_ones if pick and (one.weights, one.img_size) != (pick.weights, pick.img_size)]
    error = pick.accuracy_error or 0.0 if pick else 0.0
    least = (pick.accuracy or 0.0) - error if pick else 0.0
    families = case.question.families if not case.question.all_families else tuple(sorted(set(best["family"])))
    front = best[pareto_front(losses(best, "latency_ms"))].sort_values(["latency_ms", "weights"]) if len(best) else best
    return Recommendation(
        question=case.question, setup=_setup(case, played), axis="latency_ms", pick=pick,
        ties=tuple(one for one in others if (one.accuracy or 0.0) >= least),
        runner_up=next((one for one in others if pick and one.architecture != pick.architecture), None),
        by_family={
            name: next((one for one in measured_ones if one.family == name), None)
            for name in dict.fromkeys((*FOUR_FAMILIES, *families))
        },
        front=tuple(Candidate.from_row(row) for row in front.to_dict("records")), beyond_families=None,
        reasons=reasons, what_if=(),
        nearest_miss=None if pick else miss(case, played, frame), rejected=dict(case.options.rejected),
        considered=case.options.considered, feasible=len(best),
    )  # fmt: skip


def _shaky(one: Known) -> str:
    return f", measured{one.caveat}" if one.calibration.drifted else ""


def _setup(case: Case, played: Played) -> str:
    names = ", ".join(f"{one.asked.label}{_shaky(one)}" for one in case.knowns)
    many = f"{len(case.knowns)} calibrated setups" if len(case.knowns) > 1 else "one calibrated setup"
    probes = sorted({one.n_probes for one in case.knowns})
    counts = f"{probes[0]}" if len(probes) == 1 else f"{probes[0]} to {probes[-1]}"
    n = len(played.steps)
    return (
        f"{case.device_name}: {case.options.considered:,} candidates in {many} ({names}), predicted from {counts} "
        f"measured networks{' each' if len(case.knowns) > 1 else ''}, and {n} measured for this question."
    )


def _reasons(
    case: Case, played: Played, frame: pd.DataFrame, missed: Missed, earlier: Callable[[str], Run | None]
) -> tuple[Reason, ...]:
    found, pick = [], _pick(case, played, frame)
    if pick is not None:
        metric = METRICS[case.question.accuracy]
        text = (
            f"{pick.weights} is the most accurate candidate that was measured within {_MS(case.budget_ms)}: "
            f"{metric.show(pick.accuracy)}, {_MS(pick.latency_ms)} with {pick.runtime} {pick.precision}."
        )
        found.append(Reason("most-accurate-measured", text, _OURS))
    worth_a_figure = missed.points >= LEAST_GAIN
    what = "is within the budget" if pick is None else "is more accurate and within the budget too"
    text = (
        f"Some unmeasured candidate {what} with a probability of {percent(missed.probability)}"
        + (f"; the best of them is expected to gain {missed.points:.2f} points" if pick and worth_a_figure else "")
        + f". Reckoned from the predictions' intervals.{_memory_proviso(case.question)}"
    )
    found.append(Reason("what-may-be-missed", text, _OURS))
    if told := _slow_moments(case, played):
        found.append(Reason("slow-moments", told, _OURS))
    if pick is None:
        return tuple(found)
    considered = pd.DataFrame({"evidence": ["predicted"], "architecture": [""]})
    found += measured.reasons(case.question, considered, pick, case.device_name)
    found += licence_to_mind(pick)
    if pick.precision != "fp32":
        run = _run_behind(played, earlier)
        parity = run.measured.parity if run is not None and run.measured is not None else None
        found.append(Reason("reduced-precision", _precision_caveat(pick, parity), _OURS))
    return tuple(found)


def _slow_moments(case: Case, played: Played) -> str:
    """That the machine was slow, and what is made of it; empty where it was not."""
    suffers = case.knowns[0].suffers if played.pick is None else float(case.suffers[played.pick])
    before, now = case.slowness.scaled(suffers), played.slowness.scaled(suffers)
    slow = [step.slowdown for step in played.steps if step.slow]
    said = []
    if before.told:
        said.append(
            "In its last measurements before this question the machine was on average "
            f"{before.words} slower than at its full pace."
        )
    if slow:
        said.append(
            f"{len(slow)} of {len(played.steps)} measurements for this question ran while the machine was up to "
            f"{100 * (max(slow) - 1):.0f} % slower than at its full pace."
        )
    if said:
        said.append(
            f"Chances and predictions here are of a machine that is {now.words} slower, as those "
            "measurements let one expect: what keeps the limit at full pace may break it in such a moment."
        )
    return " ".join(said)


def _memory_proviso(question: Question) -> str:
    """What a chance leaves open where memory is limited, as a sentence that follows; else empty."""
    return "" if question.max_memory_mb is None else " Whether it keeps the limit on memory only measuring can tell."


def _run_behind(played: Played, earlier: Callable[[str], Run | None]) -> Run | None:
    """The run behind the pick, be it of this search or an earlier one."""
    assert played.pick is not None
    run_id = played.results[played.pick].run_id
    return next((step.run for step in played.steps if step.run.run_id == run_id), None) or earlier(run_id)


def _precision_caveat(pick: Candidate, parity: Parity | None) -> str:
    text = f"The accuracy is that of the weights in fp32; in {pick.precision} it may be a little lower."
    if parity is None:
        return text
    told = "" if parity.tolerance is None else f", where {100 * parity.tolerance:.2g} % is tolerated"
    return (
        f"{text} On the same input its output differed from eager fp32 by at most {100 * parity.max_rel:.2g} % of the "
        f"largest value{told}."
    )


# -- the way to it and its end -------------------------------------------------------------------------


def _promising(case: Case, played: Played, frame: pd.DataFrame) -> tuple[Promising, ...]:
    within = chances(played.believed, played.tested, case.budget_ms, out=played.out)
    gains = expected_gains(
        case.options.accuracy, played.believed, played.tested, case.budget_ms, out=played.out
    )  # fmt: skip
    gains[list(played.tested)] = 0.0
    gains[within < _LEAST_CHANCE] = 0.0
    order = [int(o) for o in np.argsort(-gains, kind="stable")[:_PROMISING] if gains[o] > 0]
    gained = [None if played.pick is None else float(gains[o]) for o in order]
    return tuple(
        Promising(_leader(case, frame, o), float(within[o]), gain) for o, gain in zip(order, gained, strict=True)
    )


def _ended(played: Played, ending: Ending) -> str:
    """Why the search has ended."""
    n = len(played.steps)
    measurements = f"{n} measurement{'' if n == 1 else 's'}"
    if ending.status in ("queued", "running"):
        return ""
    if ending.status == "cancelled":
        return f"It was cancelled after {measurements}: this is the answer so far."
    if ending.unfinished:
        return f"It ended early after {measurements}."
    if played.next is None:
        return f"No unmeasured candidate promises more than {LEAST_GAIN:g} points, so nothing more was measured."
    if ending.out_of_time:
        return f"Its time was up after {measurements}."
    if n == 1:
        return "The one measurement that was allowed is made."
    return f"The {measurements} that were allowed are made." if n else "No measurement was allowed."
