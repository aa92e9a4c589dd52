"""The way of a search to its answer: for each measurement what was thought before it and what came of it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.advice.predicted import HIGH, LOW, percent
from advisor.metrics import METRICS
from advisor.records import Candidate
from advisor.workflows_find_play import Case, Step

_MS = METRICS["latency_ms"].show


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One measurement of a search, with what was thought before it and what it came to.

    Attributes:
        candidate: As it was predicted.
        p_within: How probable it was that it is within the budget.
        expected_gain: Points of accuracy that were expected from measuring it.
        why: Why it was chosen, and `followed` what came of it, in words.
        status: Of the run: "ok" or "failed".
        latency_ms, ci95: What was measured; None where the run failed.
        kept: Whether it is within the budget.
    """

    candidate: Candidate
    p_within: float
    expected_gain: float
    why: str
    run_id: str
    status: str
    latency_ms: float | None
    ci95: tuple[float, float] | None
    verdict: str
    kept: bool
    followed: str


def confirmation(case: Case, step: Step) -> Confirmation:
    """A measurement of a search in words."""
    low, middle, high = step.predicted_ms
    row = case.options.candidates.iloc[case.options.leader[step.option]].to_dict()
    row |= {"latency_ms": middle, "throughput_per_s": row["batch_size"] * 1000 / middle, LOW: low, HIGH: high}
    row["p_within"] = step.choice.within
    found = step.run.measured
    return Confirmation(
        candidate=Candidate.from_row(row), p_within=step.choice.within, expected_gain=step.choice.gain,
        why=_why(case, step), run_id=step.run.run_id, status=step.run.status,
        latency_ms=None if found is None else found.latency.p50, ci95=None if found is None else found.latency.ci95,
        verdict=step.run.verdict or "", kept=step.tested is not None and step.tested.keeps(case.budget_ms),
        followed=_followed(case, step),
    )  # fmt: skip


def _why(case: Case, step: Step) -> str:
    options, budget = case.options, _MS(case.budget_ms)
    metric = METRICS[case.question.accuracy]
    chance = f"{percent(step.choice.within)} likely within {budget}"
    accuracy = float(options.accuracy[step.option])
    if step.beaten is None:
        return f"Nothing is within the budget yet; {chance}, at {metric.show(accuracy)}."
    if step.beaten == step.option:
        return f"The best so far, but noisy: measured again; {chance}."
    gain = accuracy - float(options.accuracy[step.beaten])
    return (
        f"{chance[0].upper()}{chance[1:]}, and {gain:.2f} points above the best so far: it promises most, "
        f"{step.choice.gain:.2f} points."
    )


def _followed(case: Case, step: Step) -> str:
    found, budget = step.run.measured, case.budget_ms
    if found is None or step.tested is None:
        return f"Could not be measured, so it is out: {step.run.reason}"
    p50, (_, high), after = found.latency.p50, found.latency.ci95, step.tested
    out = ": out." if after.settled else "."
    if after.latency_ms > budget:
        text = f"{_share(after.latency_ms / budget - 1)} over the budget{out}"
    elif not after.allowed:
        text = (
            f"Its peak memory is over the limit of {METRICS['peak_memory_mb'].show(case.question.max_memory_mb)}: out."
        )
    elif not after.keeps(budget):
        text = f"Its median keeps the budget, the upper end of its interval, {_MS(high)}, does not: out."
    elif step.beaten is None or case.options.accuracy[step.option] > case.options.accuracy[step.beaten]:
        text = "Within the budget, and the best so far."
    else:
        text = "Within the budget."
    if step.run.verdict == "noisy":
        text += f" Noisy ({' '.join(step.run.verdict_reasons).rstrip('.')})"
        kept = ", so it is taken as it is." if after.keeps(budget) else "."
        text += kept if after.settled else ", so it may be measured once more."
    low, _, top = step.predicted_ms
    if not low <= p50 <= top:
        text += " Outside of what was predicted, so its relatives are predicted anew."
    return text


def _share(share: float) -> str:
    return "Under 1 %" if share < 0.01 else f"{100 * share:,.0f} %"
