"""Why given weights are, or are not, the answer to a question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from advisor.advice import limits, predicted
from advisor.advice.recommend import losses
from advisor.advice.setups import Axis
from advisor.metrics import METRICS
from advisor.records import Candidate, Question, Recommendation


@dataclass(frozen=True, slots=True)
class Explanation:
    """How weights at one image size stand to an answer.

    Attributes:
        broken: The limits they break, each in words with the amount.
        dominated_by: A feasible candidate that is at least as accurate and as fast, and better in one.
        text: The verdict in one or two sentences.
    """

    candidate: Candidate
    broken: tuple[limits.Broken, ...]
    dominated_by: Candidate | None
    text: str


def explain(frame: pd.DataFrame, question: Question, answer: Recommendation, name: str) -> tuple[Explanation, ...]:
    """One explanation for each candidate of that weights or architecture name, by weights and image size."""
    named = frame[(frame["weights"] == name) | (frame["architecture"] == name)]
    ordered = named.sort_values(["weights", "img_size"])
    feasible = frame[~limits.broken(frame, question).any(axis=1)]
    return tuple(_one(Candidate.from_row(row), feasible, question, answer) for row in ordered.to_dict("records"))


def _one(one: Candidate, feasible: pd.DataFrame, question: Question, answer: Recommendation) -> Explanation:
    broken = limits.how_far(one, question)
    if broken:
        text = f"{one.weights} at {one.img_size} px is out: {'; '.join(b.text for b in broken)}."
        if one.p_within is not None:
            text += f" The limit on speed is kept with a probability of {predicted.percent(one.p_within)}."
        return Explanation(one, broken, None, text)
    pick = answer.pick
    if pick is not None and (one.weights, one.img_size) == (pick.weights, pick.img_size):
        return Explanation(one, (), None, f"{one.weights} at {one.img_size} px is the pick.")
    better = _dominating(one, feasible, answer.axis)
    metric = METRICS[question.accuracy]
    if better is not None:
        text = (
            f"{one.weights} at {one.img_size} px fits the limits but {better.weights} at {better.img_size} px "
            f"is at least as good in both: {metric.show(better.accuracy)} against {metric.show(one.accuracy)}, "
            f"{_judged(better, answer.axis)} against {_judged(one, answer.axis)}."
        )
    else:
        behind = (pick.accuracy or 0.0) - (one.accuracy or 0.0) if pick else 0.0
        text = (
            f"{one.weights} at {one.img_size} px is on the front but {behind:.2f} points behind the pick."
            if behind > 0
            else f"{one.weights} at {one.img_size} px is tied with the pick, which the rules for ties prefer."
        )
    return Explanation(one, (), better, text)


def _judged(one: Candidate, axis: Axis) -> str:
    """The speed that decides, in words: of a predicted one the slow end of its interval."""
    shown = METRICS[axis].show(one.guarded(axis))
    if one.evidence != "predicted":
        return shown
    return f"{shown} (the {'95' if axis == 'latency_ms' else '5'} % quantile of what is predicted)"


def explain_beside(beside: pd.DataFrame, question: Question, axis: Axis, name: str) -> tuple[Explanation, ...]:
    """One explanation for each candidate of that name which is only predicted and so stands beside the answer."""
    named = beside[(beside["weights"] == name) | (beside["architecture"] == name)]
    found = []
    for row in named.sort_values(["weights", "img_size"]).to_dict("records"):
        one = Candidate.from_row(row)
        broken = limits.how_far(one, question)
        within = "out: " + "; ".join(b.text for b in broken) if broken else "within the limits"
        text = (
            f"No result is published for {one.weights} at {one.img_size} px there. Predicted: "
            f"{predicted.in_words(one, axis)}; {within}. The pick keeps to published ones unless with --evidence all."
        )
        found.append(Explanation(one, broken, None, text))
    return tuple(found)


def _dominating(one: Candidate, feasible: pd.DataFrame, axis: Axis) -> Candidate | None:
    """The most accurate feasible candidate that dominates `one`, ties by name."""
    points = losses(feasible, axis)
    speed = one.guarded(axis) or 0.0
    here = (-(one.accuracy or 0.0), speed if axis == "latency_ms" else -speed)
    wins = (points <= here).all(axis=1) & (points < here).any(axis=1)
    if not wins.any():
        return None
    best = feasible.iloc[np.flatnonzero(wins)].sort_values(["accuracy", "weights"], ascending=[False, True])
    return Candidate.from_row(best.iloc[0].to_dict())
