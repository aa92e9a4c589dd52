"""What would change the answer: the next better one for each limit, and the nearest miss of an empty one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from advisor.advice.limits import LIMITED
from advisor.metrics import METRICS, Metric
from advisor.records import Candidate, NearestMiss, Question, WhatIf, option_name

_RELAXED_POLICY: dict[str, str] = {"licence": "any", "pretraining": "any", "families": "all"}


def metric_of(limit: str, question: Question) -> Metric:
    """The metric that a numeric limit is about."""
    name = LIMITED[limit].field
    return METRICS[question.accuracy if name == "accuracy" else name]


def what_if(frame: pd.DataFrame, broken: pd.DataFrame, question: Question, pick: Candidate) -> tuple[WhatIf, ...]:
    """For each limit, the least move that gains more than the sampling error of the pick's accuracy.

    Only candidates that break that one limit and no other count. Sorted by gain, best first, then limit.
    """
    if pick.accuracy is None:
        return ()
    frame = frame[["weights", "family", "licence", "pretraining", *(limited.field for limited in LIMITED.values())]]
    breaks = broken.sum(axis=1)
    better = frame["accuracy"] > pick.accuracy + (pick.accuracy_error or 0.0)
    found = []
    for limit in broken.columns:
        if limit == "min_accuracy":
            continue
        pool = frame[broken[limit] & (breaks == 1) & better]
        if limit in LIMITED:
            pool = pool[pool[LIMITED[limit].field].notna()]
        if not pool.empty:
            found.append(_numeric(pool, limit, question, pick) if limit in LIMITED else _policy(pool, limit, pick))
    return tuple(sorted(found, key=lambda w: (-w.gain_points, w.limit)))


def _numeric(pool: pd.DataFrame, limit: str, question: Question, pick: Candidate) -> WhatIf:
    column = LIMITED[limit].field
    lower_limit = limit.startswith("min_")
    ordered = pool.sort_values([column, "accuracy", "weights"], ascending=[not lower_limit, False, True])
    best = ordered.iloc[0]
    to, gain = float(best[column]), float(best["accuracy"]) - float(pick.accuracy or 0.0)
    metric = metric_of(limit, question)
    more = abs(to - float(getattr(question, limit)))
    word = "less" if lower_limit else "more"
    text = f"{gain:+.1f} points for {metric.show(more)} {word}: {best['weights']} at {best['img_size']} px."
    return WhatIf(limit, to, gain, str(best["weights"]), text)


def _policy(pool: pd.DataFrame, limit: str, pick: Candidate) -> WhatIf:
    best = pool.sort_values(["accuracy", "weights"], ascending=[False, True]).iloc[0]
    gain = float(best["accuracy"]) - float(pick.accuracy or 0.0)
    to = str(best["family"]) if limit == "families" else _RELAXED_POLICY[limit]
    price = {
        "licence": f"under the licence '{best['licence'] or 'unknown'}'",
        "pretraining": f"with pretraining on {best['pretraining']}",
        "families": f"from the family {best['family']}",
    }[limit]
    text = f"{gain:+.1f} points {price}: {best['weights']} at {best['img_size']} px."
    return WhatIf(limit, to, gain, str(best["weights"]), text)


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
            value = best[LIMITED[limit].field]
            metric = metric_of(limit, question)
            if value != value:
                says.append(f"drop {option_name(limit)} ({metric.label.lower()} is not published)")
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
    accuracy = METRICS[question.accuracy].show(float(best["accuracy"]))
    text = (
        f"Nothing fits all limits. The nearest miss is {best['weights']} at {best['img_size']} px ({accuracy}): "
        f"{' and '.join(says)}."
    )
    return NearestMiss(text, str(best["weights"]), tuple(relax))


def _round_out(value: float, limit: str) -> str:
    """Three figures, rounded to the side on which the candidate fits."""
    digits = 2 - int(np.floor(np.log10(abs(value))))
    scale = 10.0**digits
    rounded = np.floor(value * scale) / scale if limit.startswith("min_") else np.ceil(value * scale) / scale
    return f"{rounded:.{max(digits, 0)}f}"
