"""What the choice of the runtime alone is worth: the same question answered with PyTorch's eager mode in fp32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from advisor.metrics import METRICS
from advisor.predict.search import best
from advisor.records import Candidate
from advisor.workflows_find_play import Case, Played

BASELINE = ("pytorch-eager", "fp32", "nchw")  # what most people run


@dataclass(frozen=True, slots=True)
class RuntimeWorth:
    """What the pick's setup gains over the plain one under the same limits.

    Attributes:
        baseline: The most accurate candidate within the budget in the plain setup, measured or only predicted to be;
            None where there is none, or where the plain setup is not calibrated.
        gain_points: Of accuracy; None where there is nothing to compare with.
    """

    text: str
    baseline: Candidate | None = None
    gain_points: float | None = None


def runtime_worth(case: Case, played: Played, frame: pd.DataFrame, pick: Candidate | None) -> RuntimeWorth | None:
    """What the runtime alone is worth; None without a pick.

    Args:
        frame: The candidates of the options as they are known now.
    """
    if pick is None:
        return None
    runtime, precision, layout = BASELINE
    places = [
        k for k, one in enumerate(case.knowns)
        if (one.setup.runtime, one.setup.precision, one.setup.layout) == BASELINE
    ]  # fmt: skip
    plain = f"{runtime} {precision}"
    if not places:
        return RuntimeWorth(
            f"What {pick.runtime} {pick.precision} is worth against {plain} is not known: calibrate that with "
            f"'python -m advisor calibrate{'' if case.target == 'cpu' else f' --device {case.target}'}'."
        )
    if (pick.runtime, pick.precision, pick.layout) == (runtime, precision, layout):
        text = f"The plain setup, {plain}, is the best one here"
        others = [one.asked.label for k, one in enumerate(case.knowns) if k not in places]
        return RuntimeWorth(
            f"{text} of {len(others) + 1}." if others else f"{text}: no other one is calibrated.", pick, 0.0
        )
    return _against(case, played, frame, pick, places[0])


def _against(case: Case, played: Played, frame: pd.DataFrame, pick: Candidate, place: int) -> RuntimeWorth:
    budget, accuracy = case.budget_ms, case.options.accuracy
    here = case.options.known == place
    measured = best(accuracy, {o: one for o, one in played.tested.items() if here[o]}, budget)
    open_ = here & (played.believed.mean <= np.log(budget))
    open_[[*played.tested, *played.out]] = False
    found = [option for option in (measured, _most_accurate(accuracy, open_)) if option is not None]
    within = f"within the same {METRICS['latency_ms'].show(budget)}"
    instead = f"{pick.runtime} {pick.precision} instead of {' '.join(BASELINE[:2])}"
    if not found:
        return RuntimeWorth(f"{instead}: the plain setup has nothing {within}.")
    option = max(found, key=lambda o: float(accuracy[o]))  # of equal ones the measured one, which comes first
    other = Candidate.from_row(frame.iloc[case.options.leader[option]].to_dict())
    gain = (pick.accuracy or 0.0) - (other.accuracy or 0.0)
    text = (
        f"{instead}: {gain:+.1f} points {within} ({other.weights} at {other.img_size} px takes "
        f"{METRICS['latency_ms'].show(other.latency_ms)} there, {other.evidence})."
    )
    return RuntimeWorth(text, other, gain)


def _most_accurate(accuracy: np.ndarray, mask: np.ndarray) -> int | None:
    options = np.flatnonzero(mask)
    return int(options[np.argmax(accuracy[options])]) if len(options) else None
