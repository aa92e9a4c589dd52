"""What an answer must say when the user's own measurements decide it. Pure: frames in, reasons out."""

from __future__ import annotations

import pandas as pd

from advisor.advice.setups import Axis
from advisor.metrics import METRICS
from advisor.records import Candidate, Question, Reason

SOURCE = "your own measurements"
NOISY = "noisy: "  # how the note of a noisy run begins


def reasons(question: Question, considered: pd.DataFrame, pick: Candidate | None, device_name: str) -> list[Reason]:
    """How far measurements carry the answer: few models, a noisy pick, an interval that crosses the limit.

    Args:
        considered: Candidates with `architecture` and `evidence`, inside the limits or not.
    """
    found = []
    if len(considered) and (considered["evidence"] == "measured").all():
        n = considered["architecture"].nunique()
        models = f"{n:,} models" if n > 1 else "one model"
        text = (
            f"Chosen among the {models} measured on {device_name}, not among all that timm has, so another may do "
            "better: measure more on the Measure page or with 'python -m advisor sweep'."
        )
        found.append(Reason("measured-models-only", text, SOURCE))
    if pick is not None and pick.verdict == "noisy":
        why = pick.note.removeprefix(NOISY).rstrip(". ") or "its times scatter"
        text = f"The speed of {pick.architecture} here is noisy: {why}. Measure it again before relying on it."
        found.append(Reason("noisy-measurement", text, SOURCE))
    if pick is not None:
        found += crossing(question, pick)
    return found


def crossing(question: Question, pick: Candidate) -> list[Reason]:
    """Where the median keeps a limit on speed and the worse end of its 95 % interval does not."""
    if pick.interval is None or pick.latency_ms is None:
        return []
    high = pick.interval[1]
    found = []
    axis: Axis
    for axis, limit, value, worse in (
        ("latency_ms", question.max_latency_ms, pick.latency_ms, high),
        ("throughput_per_s", question.min_throughput, pick.throughput_per_s, _per_s(pick, high)),
    ):
        if limit is None or value is None or worse is None:
            continue
        metric = METRICS[axis]
        kept = worse <= limit if axis == "latency_ms" else worse >= limit
        if not kept:
            text = (
                f"The median of {pick.architecture}, {metric.show(value)}, keeps the limit of {metric.show(limit)}, "
                f"but the worse end of its 95 % interval, {metric.show(worse)}, does not: the limit may be missed."
            )
            found.append(Reason("interval-over-the-limit", text, SOURCE))
    return found


def _per_s(pick: Candidate, latency_ms: float) -> float | None:
    return None if pick.batch_size is None else pick.batch_size * 1000 / latency_ms
