"""Hard limits: which candidates break which, and by how much.

An unknown value breaks a limit that is set on it: nothing is claimed of what nobody published. Limits are
inclusive, so a candidate exactly at the limit keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from advisor.advice.predicted import Axis, guarded
from advisor.evidence.tags import DATASETS, IMAGENET_1K
from advisor.metrics import METRICS
from advisor.records import NUMERIC_LIMITS, Candidate, Question

_ON_SPEED: dict[str, Axis] = {"max_latency_ms": "latency_ms", "min_throughput": "throughput_per_s"}
POLICIES: tuple[str, ...] = ("licence", "pretraining", "families")

# how `TagFacts.pretraining` writes weights that saw ImageNet-1k alone
_IMAGENET_1K_ONLY = DATASETS[IMAGENET_1K][0]


@dataclass(frozen=True, slots=True)
class Limited:
    """What a numeric limit is about: the candidate's field, and its name in a sentence."""

    field: str
    noun: str


LIMITED: dict[str, Limited] = {
    "max_latency_ms": Limited("latency_ms", "latency"),
    "min_throughput": Limited("throughput_per_s", "throughput"),
    "max_params_m": Limited("params_m", "parameter count"),
    "max_memory_mb": Limited("peak_memory_mb", "peak memory"),
    "max_file_mb": Limited("file_mb", "weights file"),
    "min_accuracy": Limited("accuracy", "accuracy"),
    "max_img_size": Limited("img_size", "image size"),
}


@dataclass(frozen=True, slots=True)
class Broken:
    """One limit that a candidate breaks: its value (None where unknown), the limit, both in words."""

    limit: str
    value: float | str | None
    limit_value: float | str
    text: str


def broken(frame: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Which limits each candidate breaks: one column of booleans for each limit that is set.

    Args:
        frame: One row per candidate, columns named as in `Candidate`, and `imagenet_1k_only`.
        question: Whose limits hold.

    Returns:
        The rows and index of `frame`; columns in the order of `NUMERIC_LIMITS`, then `POLICIES`.
    """
    columns: dict[str, np.ndarray] = {}
    for name, limit in _numeric_limits(question).items():
        value = judged(frame, name)
        # written so that NaN, of which every comparison is false, breaks the limit
        columns[name] = ~(value >= limit) if _is_lower_bound(name) else ~(value <= limit)
    if question.licence == "commercial":
        columns["licence"] = ~_known_true(frame["commercial"])
    if question.pretraining == "imagenet-1k":
        columns["pretraining"] = ~_known_true(frame["imagenet_1k_only"])
    if not question.all_families:
        columns["families"] = ~frame["family"].isin(question.families).to_numpy(dtype=bool)
    return pd.DataFrame(columns, index=frame.index, dtype=bool)


def excess(frame: pd.DataFrame, question: Question) -> pd.DataFrame:
    """By what factor each limit is missed, as a natural logarithm; the columns of `broken`.

    0 where the limit is kept, ln(value / limit) over an upper one, ln(limit / value) under a lower one,
    infinite where the value is unknown. A policy that is broken counts 1.
    """
    breaks = broken(frame, question)
    columns = {name: breaks[name].to_numpy(dtype=float) for name in breaks}
    for name, limit in _numeric_limits(question).items():
        value = judged(frame, name)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = limit / value if _is_lower_bound(name) else value / limit
            missed = np.where(np.isnan(value), np.inf, np.log(factor))
        columns[name] = np.where(breaks[name], missed, 0.0)
    return pd.DataFrame(columns, index=frame.index, dtype=float)


def latency_limit_ms(question: Question) -> float:
    """The most that one forward pass of one batch may take: both limits on speed are of one run, so the stricter one.

    Only where the throughput is that of the latency's own run, as of what is measured here; infinite without a limit.
    """
    slowest = [question.max_latency_ms] if question.max_latency_ms is not None else []
    if question.min_throughput is not None:
        slowest.append((question.batch_size or 1) * 1000 / question.min_throughput)
    return min(slowest, default=np.inf)


def rejected_counts(breaks: pd.DataFrame) -> dict[str, int]:
    """Limit -> how many candidates break it, 0 included; a candidate may break several.

    Args:
        breaks: What `broken` gave.
    """
    return {str(name): int(count) for name, count in breaks.sum().items()}


def how_far(candidate: Candidate, question: Question) -> tuple[Broken, ...]:
    """The limits that one candidate breaks, each in words; empty if it keeps them all."""
    found = [_numeric_miss(candidate, question, name, limit) for name, limit in _numeric_limits(question).items()]
    found += [
        _licence_miss(candidate, question),
        _pretraining_miss(candidate, question),
        _family_miss(candidate, question),
    ]
    return tuple(miss for miss in found if miss is not None)


def _numeric_limits(question: Question) -> dict[str, float]:
    limits = {name: getattr(question, name) for name in NUMERIC_LIMITS}
    return {name: float(limit) for name, limit in limits.items() if limit is not None}


def _is_lower_bound(name: str) -> bool:
    return name.startswith("min_")


def judged(frame: pd.DataFrame, name: str) -> np.ndarray:
    """What a numeric limit judges of each candidate: of a predicted speed the slow end of its 90 % interval."""
    field = LIMITED[name].field
    return guarded(frame, field) if name in _ON_SPEED else frame[field].to_numpy(dtype=float, na_value=np.nan)


def _known_true(column: pd.Series) -> np.ndarray:
    """True where the column says True; unknown is not."""
    return column.astype("boolean").to_numpy(dtype=bool, na_value=False)


def _numeric_miss(candidate: Candidate, question: Question, name: str, limit: float) -> Broken | None:
    limited = LIMITED[name]
    value: float | None = getattr(candidate, limited.field)
    guess = candidate.evidence == "predicted" and name in _ON_SPEED
    metric = METRICS[question.accuracy if name == "min_accuracy" else limited.field]
    noun = metric.label if name == "min_accuracy" else limited.noun
    if guess and value is not None:
        value = candidate.guarded(_ON_SPEED[name])
        noun = f"the {'95' if limited.field == 'latency_ms' else '5'} % quantile of its predicted {noun},"
    if value is None or value != value:
        known = "published" if candidate.evidence == "published" else "known"
        return Broken(name, None, limit, f"{noun} is not {known}")
    if value >= limit if _is_lower_bound(name) else value <= limit:
        return None
    shown, shown_limit = metric.show(value), metric.show(limit)
    if shown == shown_limit:  # a miss too small for the usual digits
        shown = f"{value!r} {metric.unit}"
    if guess:
        shown += ","
    gap = abs(value - limit)
    if metric.unit == "%":
        distance = f"{gap:.2f} points" if gap >= 0.005 else "less than 0.01 points"
    else:
        distance = f"{metric.show(gap)} ({_percent(gap / limit)})"
    side = "under" if _is_lower_bound(name) else "over"
    return Broken(name, value, limit, f"{noun} {shown} is {distance} {side} the limit of {shown_limit}")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:,.0f} %" if fraction >= 0.01 else "under 1 %"


def _licence_miss(candidate: Candidate, question: Question) -> Broken | None:
    if question.licence != "commercial" or candidate.commercial is True:
        return None
    if candidate.commercial is False:
        text = f"licence {candidate.licence} does not allow commercial use"
    elif candidate.licence in ("", "unknown"):
        text = "the licence is not known, so commercial use is not known to be allowed"
    else:
        text = f"licence {candidate.licence} is not known to allow commercial use"
    return Broken("licence", candidate.licence or None, "commercial", text)


def _pretraining_miss(candidate: Candidate, question: Question) -> Broken | None:
    if question.pretraining != "imagenet-1k" or candidate.pretraining == _IMAGENET_1K_ONLY:
        return None
    if candidate.pretraining in ("", "unknown"):
        text = "what it was trained on is not known, so it may be more than ImageNet-1k"
    else:
        text = f"it was trained on more than ImageNet-1k: {candidate.pretraining}"
    return Broken("pretraining", candidate.pretraining or None, "imagenet-1k", text)


def _family_miss(candidate: Candidate, question: Question) -> Broken | None:
    if question.all_families or candidate.family in question.families:
        return None
    chosen = ", ".join(question.families)
    text = f"family {candidate.family} is not among those asked for ({chosen})"
    return Broken("families", candidate.family, chosen, text)
