"""The way of a search to its answer: for each measurement what was thought before it and what came of it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.advice.predicted import HIGH, LOW, percent
from advisor.metrics import METRICS
from advisor.predict.search import Outcome
from advisor.records import Candidate
from advisor.workflows_find_play import Case, Step

_MS = METRICS["latency_ms"].show


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One measurement of a search, with what was thought before it and what it came to.

    Attributes:
        candidate: As it was predicted.
        p_within: How probable it was that it is within the budget.
        expected_gain: Points of accuracy that measuring it was expected to gain over the best so far; None where there
            was none, or where it was that one.
        why: Why it was chosen, and `followed` what came of it, in words.
        status: Of the run: "ok" or "failed".
        latency_ms, ci95: What was measured; None where the run failed.
        kept: Whether it is within the budget.
        slowdown: How many times slower than at its full pace the machine was meanwhile; 1 where that is not known.
    """

    candidate: Candidate
    p_within: float
    expected_gain: float | None
    why: str
    run_id: str
    status: str
    latency_ms: float | None
    ci95: tuple[float, float] | None
    verdict: str
    kept: bool
    followed: str
    slowdown: float = 1.0


def confirmation(case: Case, step: Step) -> Confirmation:
    """A measurement of a search in words."""
    low, middle, high = step.predicted_ms
    row = case.options.candidates.iloc[case.options.leader[step.option]].to_dict()
    row |= {"latency_ms": middle, "throughput_per_s": row["batch_size"] * 1000 / middle, LOW: low, HIGH: high}
    row["p_within"] = step.choice.within
    found = step.run.measured
    return Confirmation(
        candidate=Candidate.from_row(row), p_within=step.choice.within,
        expected_gain=None if step.beaten in (None, step.option) else step.choice.gain,
        why=_why(case, step), run_id=step.run.run_id, status=step.run.status,
        latency_ms=None if found is None else found.latency.p50, ci95=None if found is None else found.latency.ci95,
        verdict=step.run.verdict or "", kept=step.tested is not None and step.tested.keeps(case.budget_ms),
        followed=_followed(case, step), slowdown=step.slowdown,
    )  # fmt: skip


def _why(case: Case, step: Step) -> str:
    options, budget = case.options, _MS(case.budget_ms)
    metric = METRICS[case.question.accuracy]
    chance = f"{percent(step.choice.within)} likely within {budget}"
    accuracy = float(options.accuracy[step.option])
    if step.beaten is None:
        limits = "is within the budget" if case.question.max_memory_mb is None else "keeps both latency and memory"
        return f"Nothing {limits} yet; {chance}, at {metric.show(accuracy)}."
    if step.beaten == step.option:
        return f"The best so far, but noisy: measured again; {chance}."
    before = metric.show(float(options.accuracy[step.beaten]))
    return (
        f"{chance[0].upper()}{chance[1:]}, and then the best so far, {metric.show(accuracy)} instead of {before}: it "
        "promises most."
    )


def _followed(case: Case, step: Step) -> str:
    found, after = step.run.measured, step.tested
    if found is None or after is None:
        return f"Could not be measured, so it is out: {step.run.reason}"
    text = _judged(case, step, after)
    if shaky := _shaky(step):
        kept = ", so it is taken as it is." if after.keeps(case.budget_ms) else "."
        text += f" {shaky}" + (kept if after.settled(case.budget_ms) else ", so it may be measured once more.")
    low, _, top = step.predicted_ms
    if not low <= found.latency.p50 <= top:
        text += " Outside of what was predicted, so its relatives are predicted anew."
    return text


def _shaky(step: Step) -> str:
    """Why a measurement may say little; empty where nothing is wrong with it."""
    noisy = f"Noisy ({' '.join(step.run.verdict_reasons).rstrip('.')})" if step.run.verdict == "noisy" else ""
    if not step.slow:
        return noisy
    slow = f"the machine was {_share(step.slowdown - 1)} slower than at its full pace"
    return f"{noisy}, and {slow}" if noisy else slow[0].upper() + slow[1:]


def _judged(case: Case, step: Step, after: Outcome) -> str:
    """Whether it is within the limits, and if not which it breaks."""
    budget, out = case.budget_ms, ": out." if after.settled(case.budget_ms) else "."
    if after.latency_ms > budget:
        return f"{_share(after.latency_ms / budget - 1)} over the budget{out}"
    if not after.allowed:
        most, peak = METRICS["peak_memory_mb"].show(case.question.max_memory_mb), step.run.peak_memory_mb
        if peak is None:
            return f"Its peak memory is not known, and a limit of {most} is set: out."
        return f"Its peak memory, {METRICS['peak_memory_mb'].show(peak)}, is over the limit of {most}: out."
    if not after.keeps(budget):
        high = _MS(after.high_ms)
        return f"Its median keeps the budget, the upper end of its interval, {high}, does not{out}"
    if step.beaten is None or case.options.accuracy[step.option] > case.options.accuracy[step.beaten]:
        return "Within the budget, and the best so far."
    return "Within the budget."


def _share(share: float) -> str:
    return "Under 1 %" if share < 0.01 else f"{100 * share:,.0f} %"
