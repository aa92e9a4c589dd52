"""What an answer must say when the user's own measurements decide it. Pure: frames in, reasons out."""

from __future__ import annotations

import pandas as pd

from advisor.advice.predicted import percent
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
            "better: measure more on the Measure page or with 'python -m advisor sweep', or have all others predicted "
            "with 'python -m advisor calibrate'."
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
    found = []
    axis: Axis
    for axis, limit, value in (
        ("latency_ms", question.max_latency_ms, pick.latency_ms),
        ("throughput_per_s", question.min_throughput, pick.throughput_per_s),
    ):
        interval = pick.interval_of(axis)
        if limit is None or value is None or interval is None:
            continue
        worse = interval[axis == "latency_ms"]
        metric = METRICS[axis]
        kept = worse <= limit if axis == "latency_ms" else worse >= limit
        if not kept:
            text = (
                f"The median of {pick.architecture}, {metric.show(value)}, keeps the limit of {metric.show(limit)}, "
                f"but the worse end of its 95 % interval, {metric.show(worse)}, does not: the limit may be missed."
            )
            found.append(Reason("interval-over-the-limit", text, SOURCE))
    return found


def beside(one: Candidate, axis: Axis) -> str:
    """What stands beside a speed: its interval, 95 % of a measured median, 90 % of a predicted one; how it is known."""
    if one.interval_of(axis) is None:
        return known_as(one)
    share = "90 %" if one.evidence == "predicted" else "95 %"
    return f"{share} interval {interval_words(one, axis)} {METRICS[axis].unit}, {known_as(one)}"


def interval_words(one: Candidate, axis: Axis) -> str:
    """The ends of the interval of a speed without their unit; a dash where there is none."""
    interval = one.interval_of(axis)
    return "–" if interval is None else f"{interval[0]:,.4g}–{interval[1]:,.4g}"


def known_as(one: Candidate) -> str:
    """The kind of evidence of a speed; with its day, UTC, and "noisy" where it is, or the chance of a predicted one."""
    if one.evidence == "predicted":
        return "predicted" if one.p_within is None else f"predicted, {percent(one.p_within)} within"
    return f"{one.evidence} {one.measured_at[:10]}".strip() + (", noisy" if one.verdict == "noisy" else "")
