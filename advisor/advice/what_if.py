"""What would change the answer: the next better one for each limit, and the nearest miss of an empty one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from advisor.advice.limits import LIMITED, judged
from advisor.metrics import METRICS, Metric
from advisor.records import Candidate, NearestMiss, Question, WhatIf, option_name

Settle = Callable[[np.ndarray], Candidate | None]

_MOVES = 12  # how many moves of one limit are tried; nearly always the first will do
_RELAXED_POLICY: dict[str, str] = {"licence": "any", "pretraining": "any", "families": "all"}


def metric_of(limit: str, question: Question) -> Metric:
    """The metric that a numeric limit is about."""
    name = LIMITED[limit].field
    return METRICS[question.accuracy if name == "accuracy" else name]


def what_if(
    frame: pd.DataFrame, broken: pd.DataFrame, question: Question, pick: Candidate, settle: Settle
) -> tuple[WhatIf, ...]:
    """For each limit, the least move after which asking again gives a clearly better answer, and that answer.

    Clearly better: more accurate than all that is feasible now, and than the pick by more than its sampling
    error. Only candidates that break that one limit and no other count. Sorted by gain, then limit.

    Args:
        settle: The pick among the rows of a mask, as for the answer itself.
    """
    if pick.accuracy is None:
        return ()
    accuracy = frame["accuracy"].to_numpy(float)
    breaks = broken.to_numpy(bool)
    fits = ~breaks.any(axis=1)
    enough = max(pick.accuracy + (pick.accuracy_error or 0.0), float(accuracy[fits].max()))
    found = []
    for number, limit in enumerate(broken.columns):
        alone = breaks[:, number] & (breaks.sum(axis=1) == 1)
        better = np.flatnonzero(alone & (accuracy > enough))
        if limit == "min_accuracy" or not len(better):
            continue
        for to, admitted in _moves(frame, limit, alone, better):
            answer = settle(fits | admitted)
            if answer is not None and (answer.accuracy or 0.0) > enough:
                found.append(_worded(limit, to, answer, question, pick))
                break
    return tuple(sorted(found, key=lambda w: (-w.gain_points, w.limit)))


def _moves(
    frame: pd.DataFrame, limit: str, alone: np.ndarray, better: np.ndarray
) -> Iterator[tuple[float | str, np.ndarray]]:
    """Ever larger moves of a limit, each with the rows that it admits."""
    if limit in LIMITED:
        values = judged(frame, limit)
        sign = -1 if limit.startswith("min_") else 1
        for value in sorted(np.unique(values[better][~np.isnan(values[better])]), key=lambda v: sign * v)[:_MOVES]:
            yield float(value), alone & (sign * values <= sign * value)
    elif limit == "families":
        names = frame["family"].to_numpy(object)
        best = better[np.lexsort((names[better].astype(str), -frame["accuracy"].to_numpy(float)[better]))[0]]
        yield str(names[best]), alone & (names == names[best])
    else:
        yield _RELAXED_POLICY[limit], alone


def _worded(limit: str, to: float | str, answer: Candidate, question: Question, pick: Candidate) -> WhatIf:
    gain = (answer.accuracy or 0.0) - (pick.accuracy or 0.0)
    if isinstance(to, float):
        more = metric_of(limit, question).show(abs(to - float(getattr(question, limit))))
        price = f"for {more} {'less' if limit.startswith('min_') else 'more'}"
    else:
        price = {
            "licence": f"under the licence '{answer.licence or 'unknown'}'",
            "pretraining": f"with pretraining on {answer.pretraining}",
            "families": f"from the family {to}",
        }[limit]
    text = f"{gain:+.1f} points {price}: {answer.weights} at {answer.img_size} px{_if_predicted(answer.evidence)}."
    return WhatIf(limit, to, gain, answer.weights, text)


def _if_predicted(evidence: str) -> str:
    return " (speed predicted)" if evidence == "predicted" else ""


def nearest_miss(frame: pd.DataFrame, broken: pd.DataFrame, excess: pd.DataFrame, question: Question) -> NearestMiss:
    """The candidate that comes closest to the limits, and what each broken limit would have to be.

    Closest = fewest broken limits, then the smallest sum of log-ratios by which numeric limits are exceeded,
    then the highest accuracy, then the name.
    """
    if frame.empty:
        return NearestMiss("No candidate has both an accuracy and a speed at the same image size here.")
    total = excess.sum(axis=1)
    order = np.lexsort(
        (
            frame["weights"].to_numpy(str),
            -frame["accuracy"].to_numpy(float),
            total.to_numpy(float),
            broken.sum(axis=1).to_numpy(int),
            ~np.isfinite(total.to_numpy(float)),
        )
    )
    best = frame.iloc[order[0]]
    relax: list[tuple[str, float | str]] = []
    says = []
    for limit in [c for c in broken.columns if bool(broken.iloc[order[0]][c])]:
        if limit in LIMITED:
            value = judged(frame, limit)[order[0]]
            metric = metric_of(limit, question)
            if value != value:
                known = "published" if best["evidence"] == "published" else "known"
                says.append(f"drop {option_name(limit)} ({metric.label.lower()} is not {known})")
                relax.append((limit, "none"))
            else:
                says.append(
                    f"move {option_name(limit)} from {getattr(question, limit):g} to {_round_out(value, limit)}"
                )
                relax.append((limit, float(value)))
        else:
            to = str(best["family"]) if limit == "families" else _RELAXED_POLICY[limit]
            says.append(f"allow {option_name(limit)} {to}")
            relax.append((limit, to))
    known = METRICS[question.accuracy].show(float(best["accuracy"]))
    known += ", speed predicted" if best["evidence"] == "predicted" else ""
    text = (
        f"Nothing fits all limits. The nearest miss is {best['weights']} at {best['img_size']} px ({known}): "
        f"{' and '.join(says)}."
    )
    return NearestMiss(text, str(best["weights"]), tuple(relax))


def _round_out(value: float, limit: str) -> str:
    """Three figures, rounded to the side on which the candidate fits."""
    digits = 2 - int(np.floor(np.log10(abs(value))))
    scale = 10.0**digits
    rounded = np.floor(value * scale) / scale if limit.startswith("min_") else np.ceil(value * scale) / scale
    return f"{rounded:.{max(digits, 0)}f}"
