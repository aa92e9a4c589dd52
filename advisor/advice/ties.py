"""Ties: what the test images cannot tell apart, and the stated order that settles it.

The half-width of the 95 % interval of an accuracy p on n images is 1.96 * sqrt(p * (1 - p) / n), the normal
approximation of the binomial: ±0.35 points at 80 % on the 50,000 images of ImageNet-val. It is 0 at 0 % and
100 %, where Wilson's is not; from 5 to 95 % the two differ by at most 0.003 points on these test sets.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from advisor.advice.pareto import pareto_front
from advisor.advice.predicted import HIGH, guarded, is_predicted
from advisor.metrics import METRICS

Axis = Literal["latency_ms", "throughput_per_s"]

SOURCE = (
    "95 % interval by the normal approximation of the binomial (Brown, Cai and DasGupta, 'Interval "
    "Estimation for a Binomial Proportion', Statistical Science 16, 2001)"
)

# two-sided 95 % of the standard normal distribution
Z_95 = 1.96

# images that count in each test set, in the order of `metrics.ACCURACIES`
TEST_IMAGES: dict[str, int] = {
    "top1": 50_000,  # ImageNet-val: Russakovsky et al. 2015, arXiv:1409.0575
    "real": 46_837,  # ReaL: Beyer et al. 2020, arXiv:2006.07159; the other 3,163 have no label
    "v2": 10_000,  # ImageNetV2 matched-frequency: Recht et al. 2019, arXiv:1902.10811
    "a": 7_500,  # ImageNet-A: Hendrycks et al. 2021, arXiv:1907.07174
    "r": 30_000,  # ImageNet-R: Hendrycks et al. 2021, arXiv:2006.16241
    "sketch": 50_889,  # ImageNet-Sketch: Wang et al. 2019, arXiv:1905.13549
}

# speeds closer than this are alike: published speeds of one network differ by as much between runs
SPEED_TIE = 0.03

# optional columns: the ends of the interval of a latency, of a measured median 95 %, of a predicted one 90 %, as shares
# of the latency itself
INTERVAL: tuple[str, str] = ("interval_low", "interval_high")

_UNKNOWN_LICENCES = ("", "unknown")

# what `extra_data_rank` stands for; 9 is unknown
_EXTRA_DATA = {0: "none beyond ImageNet-1k", 1: "a larger ImageNet", 2: "web scale"}


class Stage(NamedTuple):
    """One step of settling a tie: its name, how many candidates were left after it, and a sentence."""

    name: str
    remained: int
    text: str


class Settled(NamedTuple):
    """The pick's row position, and the steps up to the one that left it alone."""

    position: int
    stages: tuple[Stage, ...]


def sampling_error(accuracy: np.ndarray | float, metric: str) -> np.ndarray:
    """Half-width of the 95 % interval of an accuracy, in points; NaN where the accuracy is.

    Args:
        accuracy: Percent, any shape.
        metric: A key of `TEST_IMAGES`; the robust mean has `robust_error`.

    Raises:
        ValueError: A metric of which the number of test images is not known here.
    """
    if metric not in TEST_IMAGES:
        raise ValueError(f"'{metric}' is not a single test set; known: {', '.join(TEST_IMAGES)}")
    return np.asarray(100 * Z_95 * np.sqrt(_variance(accuracy, TEST_IMAGES[metric])))


def robust_error(accuracies: np.ndarray) -> np.ndarray:
    """Half-width of the 95 % interval of the mean of the six accuracies, in points.

    The six are taken as independent. ReaL relabels the images of ImageNet-val, so those two are not; were
    they perfectly correlated, the interval at 80, 86, 68, 30, 50 and 38 % would be ±0.28, not ±0.27.

    Args:
        accuracies: Percent, shape (n_candidates, 6), columns in the order of `TEST_IMAGES`.

    Returns:
        Shape (n_candidates,); NaN where one of the six is.
    """
    images = np.array(list(TEST_IMAGES.values()))
    return np.asarray(100 * Z_95 * np.sqrt(_variance(accuracies, images).sum(axis=1)) / len(images))


def tied(frame: pd.DataFrame) -> np.ndarray:
    """Mark the candidates within the sampling error of the most accurate one.

    Args:
        frame: One row per candidate, with `accuracy`, `accuracy_name` and, for the robust mean,
            `accuracy_error`; a candidate without an accuracy is never tied.

    Returns:
        Booleans, shape (n_candidates,).
    """
    accuracy = _numbers(frame, "accuracy")
    return np.asarray(accuracy >= _lowest_tied(frame, accuracy))


def settle(frame: pd.DataFrame, axis: Axis) -> Settled:
    """Choose among the tied candidates on the front of accuracy and speed, one rule after the other.

    Each rule keeps all that are best by it: known licence, published or measured rather than predicted, speed within
    `SPEED_TIE` of the fastest left or with an interval that overlaps its own, fewest parameters, least extra data,
    highest accuracy, name (weights, then image size). So neither the order of rows nor repeated rows matter; of
    repeated rows the first is the pick.

    Args:
        frame: The feasible candidates, at least one with both accuracy and speed; with the columns `INTERVAL` where
            speeds were measured or predicted, and `evidence`, `batch_size`, `predicted.HIGH` where any was predicted.
            A predicted speed counts as the slow end of its interval, so it dominates only what it surely outruns.
        axis: The speed that is judged.

    Raises:
        ValueError: No candidate has both accuracy and speed.
    """
    keys = _Keys(frame, axis)
    left = np.flatnonzero(keys.tied & keys.on_front)
    if not len(left):
        raise ValueError(f"no candidate has both accuracy and {axis}")
    before = keys.count(np.flatnonzero(keys.tied))
    stages = [Stage("tie", before, _tie_text(frame, keys, before))]
    for name in ("front", *keys.losses, "name"):
        if before == 1:
            break
        left = left if name == "front" else keys.best_by(name, left)
        remained = keys.count(left)
        shown = left[np.argmin(keys.losses[name][left])] if name in keys.losses else left[0]
        what = _describe(frame, int(shown), name, axis)
        text = f"{what}: {remained} of {before} remain{'s' if remained == 1 else ''}."
        stages.append(Stage(name, remained, text))
        before = remained
    # only rows that repeat one candidate are left: its fastest run, its first row
    return Settled(int(left[np.argmin(keys.losses["speed"][left])]), tuple(stages))


def rank_ties(frame: pd.DataFrame, axis: Axis) -> list[int]:
    """Row positions of all tied candidates, best first.

    First the pick of `settle`, then the others on the front, then the dominated ones; within each by the
    rules of `settle`, speed in steps of `SPEED_TIE` from the fastest. Same arguments and errors as `settle`.
    """
    pick = settle(frame, axis).position
    keys = _Keys(frame, axis)
    left = np.flatnonzero(keys.tied)
    speed = keys.losses["speed"][left]
    steps = np.floor(np.log(speed / speed.min()) / np.log1p(SPEED_TIE))
    rules = {name: loss[left] for name, loss in keys.losses.items()} | {"speed": steps}
    names = np.unique(keys.weights[left].astype(str), return_inverse=True)[1]
    by = (left != pick, ~keys.on_front[left], *rules.values(), names, keys.img_size[left], speed)
    return [int(position) for position in left[np.lexsort(by[::-1])]]


class _Keys:
    """What the rules compare, one value a row of the frame.

    Attributes:
        tied: Within the sampling error of the most accurate; both accuracy and speed are known.
        on_front: Not dominated in accuracy and speed; both are known.
        losses: Rule -> values, lower is better, in the order of the rules.
    """

    def __init__(self, frame: pd.DataFrame, axis: Axis) -> None:
        accuracy, median, speed = _numbers(frame, "accuracy"), _numbers(frame, axis), guarded(frame, axis)
        if axis == "throughput_per_s":
            with np.errstate(divide="ignore"):
                median, speed = 1 / median, 1 / speed
        known = ~(np.isnan(accuracy) | np.isnan(speed))
        self.tied = known & (accuracy >= _lowest_tied(frame, np.where(known, accuracy, np.nan)))
        self.on_front = np.zeros(len(frame), dtype=bool)
        self.on_front[known] = pareto_front(np.column_stack([-accuracy, speed])[known])
        # a throughput is batch size x 1000 / latency, so the ends are the same shares of its loss
        self.low, self.high = (median * _numbers(frame, n) if n in frame else speed for n in INTERVAL)
        self.weights = frame["weights"].to_numpy(dtype=object)
        self.img_size = _numbers(frame, "img_size")
        self.losses: dict[str, np.ndarray] = {
            "licence": frame["licence"].isin(_UNKNOWN_LICENCES).to_numpy(dtype=float),
            **({"evidence": is_predicted(frame).astype(float)} if HIGH in frame else {}),
            "speed": speed,
            "params": np.nan_to_num(_numbers(frame, "params_m"), nan=np.inf),
            "extra-data": _numbers(frame, "extra_data_rank"),
            "accuracy": -accuracy,
        }

    def best_by(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` that are best by one rule."""
        if name == "name":
            first = min(self._names(rows))
            return np.asarray(rows[[pair == first for pair in self._names(rows)]])
        loss = self.losses[name][rows]
        if name != "speed":
            return np.asarray(rows[loss <= loss.min()])
        slowest_end = self.high[rows][loss == loss.min()].max()
        return np.asarray(rows[(loss <= loss.min() * (1 + SPEED_TIE)) | (self.low[rows] <= slowest_end)])

    def count(self, rows: np.ndarray) -> int:
        """How many candidates the rows are; rows that repeat one count once."""
        return len(set(self._names(rows)))

    def _names(self, rows: np.ndarray) -> list[tuple[str, float]]:
        return list(zip(self.weights[rows], self.img_size[rows], strict=True))


def _variance(accuracy: np.ndarray | float, images: np.ndarray | int) -> np.ndarray:
    share = np.asarray(accuracy, dtype=float) / 100
    return np.asarray(share * (1 - share) / images)


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy(dtype=float, na_value=np.nan)


def _lowest_tied(frame: pd.DataFrame, accuracy: np.ndarray) -> float:
    """The lowest accuracy within the sampling error of the highest; NaN, which nothing reaches, without any."""
    return np.nan if np.isnan(accuracy).all() else float(np.nanmax(accuracy)) - _error_of_best(frame, accuracy)


def _error_of_best(frame: pd.DataFrame, accuracy: np.ndarray) -> float:
    """The sampling error of the highest accuracy; of several equal robust means the widest."""
    best = np.flatnonzero(accuracy == np.nanmax(accuracy))
    metric = frame["accuracy_name"].iloc[best[0]]
    if metric in TEST_IMAGES:
        return float(sampling_error(accuracy[best[0]], metric))
    return float(np.nan_to_num(_numbers(frame, "accuracy_error")[best], nan=0.0).max())


def _tie_text(frame: pd.DataFrame, keys: _Keys, count: int) -> str:
    accuracy = np.where(keys.tied, -keys.losses["accuracy"], np.nan)
    best = METRICS[frame["accuracy_name"].iloc[np.nanargmax(accuracy)]].show(np.nanmax(accuracy))
    of_best = f"{_error_of_best(frame, accuracy):.2f} points of the highest accuracy, {best}"
    return f"No other candidate is within {of_best}." if count == 1 else f"{count} are within {of_best}."


def _describe(frame: pd.DataFrame, row: int, name: str, axis: Axis) -> str:
    """What a rule asked for, with the figures of the row that is best by it."""

    def at(column: str) -> Any:
        return frame[column].iat[row]

    if name == "front":
        return "Not dominated in accuracy and speed"
    if name == "licence":
        return "No known licence" if at("licence") in _UNKNOWN_LICENCES else "Known licence"
    if name == "evidence":
        return "Only predicted" if at("evidence") == "predicted" else "Published or measured, not predicted"
    if name == "speed":
        alike = f" or of an overlapping{'' if HIGH in frame else ' 95 %'} interval" if INTERVAL[0] in frame else ""
        return f"Fastest, {METRICS[axis].show(at(axis))}, or within {100 * SPEED_TIE:.0f} % of it{alike}"
    if name == "params":
        return f"Fewest parameters, {METRICS['params_m'].show(at('params_m'))}"
    if name == "extra-data":
        return f"Least extra data, {_EXTRA_DATA.get(int(at('extra_data_rank')), 'unknown')}"
    if name == "accuracy":
        return f"Highest accuracy, {METRICS[at('accuracy_name')].show(at('accuracy'))}"
    return f"First by name, {at('weights')} at {at('img_size'):.0f} px"
