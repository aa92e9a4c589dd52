"""Predicted speeds beside published and measured ones: what a limit judges, how sure it is, what is said. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.metrics import METRICS, enumerated
from advisor.records import Candidate, MightWin, Question, Reason

Axis = Literal["latency_ms", "throughput_per_s"]

SOURCE = "prediction from measurements of other networks"
HELD_OUT = "families of the device's own results held out and predicted"
# optional columns of runs and candidates: the central 90 % interval of a predicted latency
LOW, HIGH = "latency_lo90_ms", "latency_hi90_ms"
_90_WIDTH = 2 * 1.6448536269514722  # standard deviations of a normal between its 5 % and 95 % quantile
_AS_LIKELY_AS_NOT = 0.5
_WHOLE = 999.5  # three digits of it would be told as a power of ten
_AS_GOOD_AS_SURE = 0.995  # shown as "over 99 %"; nothing is told apart beyond it
_MOST_SHOWN = 5
_below = np.vectorize(NormalDist().cdf, otypes=[float])  # scipy's would take 0.2 s to import at every start


@dataclass(frozen=True, eq=False)
class Guesses:
    """The predicted speeds of a device.

    Attributes:
        rows: As the query `runs` gives them, with the columns `LOW` and `HIGH` and the evidence "predicted".
        may_win: Whether they may be the pick, or only stand beside it.
        here: Whether this machine can measure them.
        refused: Why there are none for other networks, in one sentence, or empty.
    """

    rows: pd.DataFrame
    may_win: bool
    here: bool
    refused: str = ""

    @property
    def joining(self) -> pd.DataFrame | None:
        """The rows that are judged with all others; None where they only stand beside them."""
        return self.rows if self.may_win and len(self.rows) else None

    @property
    def apart(self) -> pd.DataFrame | None:
        """The rows that only stand beside the answer; None where there are none."""
        return None if self.may_win or not len(self.rows) else self.rows


def is_predicted(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are predictions."""
    return np.asarray((frame["evidence"] == "predicted").to_numpy(bool))


def guarded(frame: pd.DataFrame, axis: str) -> NDArray[np.float64]:
    """The speed of each row as a limit judges it: of a predicted one the slow end of its 90 % interval.

    That is the 95 % quantile of a latency: a limit that it keeps is missed once in twenty times.
    """
    speed = frame[axis].to_numpy(dtype=float, na_value=np.nan)
    if HIGH not in frame:
        return np.asarray(speed)
    slow = frame[HIGH].to_numpy(dtype=float, na_value=np.nan)
    if axis == "throughput_per_s":
        slow = frame["batch_size"].to_numpy(dtype=float, na_value=np.nan) * 1000 / slow
    return np.where(np.isnan(slow) | np.isnan(speed), speed, slow)


def probability_within(frame: pd.DataFrame, question: Question) -> NDArray[np.float64]:
    """How probable it is that each predicted speed keeps the limits on speed; NaN of others and without a limit.

    A latency is log-normal around its median, with the standard deviation of its logarithm from its 90 % interval;
    a throughput is batch size x 1000 / latency. Both limits are one limit on the latency, the tighter of the two.
    """
    limit = np.full(len(frame), np.nan)
    if HIGH not in frame:
        return limit
    if question.max_latency_ms is not None:
        limit = np.full(len(frame), float(question.max_latency_ms))
    if question.min_throughput is not None:
        batch = frame["batch_size"].to_numpy(dtype=float, na_value=np.nan)
        limit = np.fmin(limit, batch * 1000 / question.min_throughput)
    low, high = (frame[name].to_numpy(dtype=float, na_value=np.nan) for name in (LOW, HIGH))
    # the median of a log-normal is the geometric middle of its interval; where a setup states only throughput the
    # latency itself is not given
    middle, width = (np.log(low) + np.log(high)) / 2, np.log(high / low)
    return np.asarray(_below((np.log(limit) - middle) * _90_WIDTH / width))


# -- in words ------------------------------------------------------------------------------------------


def reasons(considered: pd.DataFrame, pick: Candidate | None, axis: Axis, device_name: str) -> list[Reason]:
    """What must be said where predictions decide: how many there are, and that a pick is only predicted.

    Args:
        considered: Candidates with `architecture` and `evidence`, inside the limits or not.
    """
    if considered.empty:
        return []
    guesses = is_predicted(considered)
    if not guesses.any():
        return []
    known = set(considered["architecture"][~guesses])
    n = len(set(considered["architecture"]) - known)
    kinds = sorted(set(considered["evidence"][~guesses]))
    how = f"{'is' if len(known) == 1 else 'are'} {kinds[0] if len(kinds) == 1 else 'measured or published'}"
    text = (
        f"Of the {len(known) + n:,} models that can decide on {device_name}, {len(known):,} {how} and {n:,} predicted; "
        "a predicted one counts as within a limit on speed only if its 95 % quantile is, and where accuracy ties what "
        "is not predicted goes first."
    )
    found = [Reason("measured-and-predicted", text, SOURCE)]
    if pick is not None and pick.evidence == "predicted":
        text = (
            f"The speed of {pick.architecture} here is predicted, not measured: {in_words(pick, axis)}. Confirm it "
            "before relying on it."
        )
        found.insert(0, Reason("only-predicted", text, pick.note or SOURCE))
    return found


def in_words(one: Candidate, axis: Axis) -> str:
    """A predicted speed with its interval and the probability that it keeps the limit."""
    return f"{METRICS[axis].show(getattr(one, axis))} ({sureness(one, axis)})"


def sureness(one: Candidate, axis: Axis) -> str:
    """The interval of a predicted speed and the probability that it keeps the limit."""
    chance = "" if one.p_within is None else f", {percent(one.p_within)} likely to keep the limit"
    return f"{interval_words(one, axis)}{chance}"


def interval_words(one: Candidate, axis: Axis) -> str:
    """The 90 % interval of a predicted speed with its unit."""
    low, high = one.interval_of(axis) or (None, None)
    if low is None or high is None:
        return "no interval"
    return f"90 % interval {ends(low, high)} {METRICS[axis].unit}"


def ends(low: float, high: float) -> str:
    """Both ends of the interval of a prediction in three digits, or whole numbers: '8.33–12', '1,781–5,685'."""
    return "–".join(f"{end:.3g}" if end < _WHOLE else f"{end:,.0f}" for end in (low, high))


def percent(probability: float) -> str:
    """A probability in whole percent; certainty is never claimed."""
    if probability > _AS_GOOD_AS_SURE:
        return "over 99 %"
    return "under 1 %" if probability < 1 - _AS_GOOD_AS_SURE else f"{100 * probability:.0f} %"


# -- what might be better ------------------------------------------------------------------------------


def might_win(
    frame: pd.DataFrame, pick: Candidate | None, axis: Axis, device_name: str, *, here: bool
) -> tuple[MightWin, ...]:
    """Predicted candidates that may well be better than the pick, most accurate first, each likelier than the last.

    Args:
        frame: Predicted candidates that keep all limits but, perhaps, those on speed.
        here: Whether this machine can measure them.
    """
    least = -np.inf if pick is None else pick.accuracy or 0.0
    chance = np.where(frame["p_within"].isna(), 1.0, np.minimum(frame["p_within"], _AS_GOOD_AS_SURE))
    better = frame.assign(chance=chance)[(frame["accuracy"] > least).to_numpy(bool) & (chance >= _AS_LIKELY_AS_NOT)]
    ordered = better.sort_values(["accuracy", "chance", "weights", "img_size"], ascending=[False, False, True, True])
    likeliest = ordered["chance"].cummax().shift(fill_value=0.0)
    told = ordered[ordered["chance"] > likeliest].head(_MOST_SHOWN)
    return tuple(_might_win(Candidate.from_row(row), pick, axis, device_name, here) for row in told.to_dict("records"))


def _might_win(one: Candidate, pick: Candidate | None, axis: Axis, device_name: str, here: bool) -> MightWin:
    metric = METRICS[axis]
    gain = None if pick is None else (one.accuracy or 0.0) - (pick.accuracy or 0.0)
    more = "" if gain is None else f" ({gain:+.1f} points)"
    named = f"{one.weights} at {one.img_size} px, {METRICS[one.accuracy_name].show(one.accuracy)}{more}"
    speed = f"predicted {metric.show(getattr(one, axis))} ({interval_words(one, axis)})"
    chance = "" if one.p_within is None else f"probability {percent(one.p_within)}"
    if here:
        text = f"{named}, could also meet it: {chance}; {speed}; measure it."
    else:
        meets = f", keeps the limit with {chance}" if chance else ""
        text = f"{named}, might win: {speed}{meets}; not published for {device_name}."
    return MightWin(one, gain, text)


def families_without_results(
    asked: tuple[str, ...], known: set[str], best: dict[str, Candidate | None], axis: Axis, device_name: str,
    refused: str,
) -> list[Reason]:  # fmt: skip
    """What is said of families that were asked for and have no published result: the best predicted, or why none is.

    Args:
        asked: Families.
        known: Those with a published result in the setup asked for, inside the limits or not.
        best: By family that has predictions, the best predicted candidate within the limits, None where there is none.
        refused: Why nothing is predicted for the others, in one sentence; empty says nothing of them.
    """
    found = []
    lacking = [name for name in asked if name not in known]
    for name in lacking:
        one = best.get(name)
        if one is None:
            continue
        text = (
            f"{name} has no published result on {device_name} that could answer. Predicted, the best of it within the "
            f"limits is {one.weights} at {one.img_size} px, {METRICS[one.accuracy_name].show(one.accuracy)}, at "
            f"{in_words(one, axis)}."
        )
        found.append(Reason("predicted-family", text, one.note))
    rest = [name for name in lacking if name not in best]
    if rest and refused:
        have = "have" if len(rest) > 1 else "has"
        text = f"{enumerated(rest)} {have} no published result on {device_name} that could answer. {refused}"
        found.append(Reason("families-not-predicted", text, HELD_OUT))
    return found
