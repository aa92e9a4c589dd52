"""Speeds at equal accuracy, distance from the front, and rank agreement: the arithmetic behind the claims.

Everything here is about the networks of a single setup. `speed` is higher-is-better (images per second, or
passes per second), `top1` is in percent; "equal accuracy" means within the sampling error of top-1.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.advice.pareto import pareto_front
from advisor.advice.ties import sampling_error

# "Equal" ends this many points above: about the step between neighbouring sizes of a family. A family with
# nothing there is not represented at that top-1, and its next larger network would look slow for no fault.
EQUAL_POINTS = 1.0

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Networks of one group, each with the fastest network of another group that is at least as accurate.

    Attributes:
        reference: Positions in the reference group, shape (n_pairs,), slowest first.
        match: Positions in the other group, shape (n_pairs,).
        ratio: Speed of the match divided by the speed of the reference, shape (n_pairs,).
        unreached: How many networks of the reference's front are more accurate than all of the other group.
        gaps: How many others have no network of the other group at their top-1.
    """

    reference: Ints
    match: Ints
    ratio: Floats
    unreached: int
    gaps: int

    @property
    def median(self) -> float:
        """The median ratio; NaN without a pair."""
        return float(np.median(self.ratio)) if len(self.ratio) else float("nan")

    @property
    def largest(self) -> float:
        """The largest ratio; NaN without a pair."""
        return float(self.ratio.max()) if len(self.ratio) else float("nan")


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How well a cost orders the times of networks: 1 is the same order, 0 none, -1 the reverse.

    `misordered` is the share of pairs of networks that the cost puts in the wrong order; pairs with equal
    cost or equal time are left out.
    """

    spearman: float
    kendall: float
    misordered: float
    n_models: int


def own_front(top1: Floats, speed: Floats) -> Ints:
    """Positions of the networks that no other of their group dominates, slowest first."""
    front = np.flatnonzero(pareto_front(np.column_stack([-top1, -speed])))
    return front[np.lexsort((front, -top1[front], speed[front]))]


def match_at_equal_top1(
    reference_top1: Floats, reference_speed: Floats, other_top1: Floats, other_speed: Floats
) -> Matches:
    """For each network on the reference group's own front, the fastest of the other group at its top-1.

    Only the front of the reference takes part: beating a network that its own family beats proves nothing.
    Equal is from the sampling error below to `EQUAL_POINTS` above. Where the other group has a network there,
    its fastest at that top-1 or more is the match, as a more accurate one may be faster still.
    """
    front = own_front(reference_top1, reference_speed)
    exact = reference_top1[front]
    wanted = exact - sampling_error(exact, "top1")
    order = np.lexsort((np.arange(len(other_top1)), -other_speed, -other_top1))
    falling = other_top1[order]
    # the fastest among the k most accurate, for every k; ties go to the more accurate, then the first
    fastest = np.maximum.accumulate(other_speed[order]) if len(order) else other_speed
    reachable = np.searchsorted(-falling, -wanted, side="right")
    beyond = np.searchsorted(-falling, -(exact + EQUAL_POINTS), side="left")
    represented = reachable > beyond
    first_with = np.searchsorted(fastest, fastest[reachable[represented] - 1], side="left")
    match = order[first_with].astype(np.intp)
    reference = front[represented]
    ratio = other_speed[match] / reference_speed[reference]
    unreached = int((reachable == 0).sum())
    return Matches(reference, match, ratio, unreached, int((~represented).sum()) - unreached)


def behind_front(top1: Floats, speed: Floats, rival_top1: Floats, rival_speed: Floats) -> tuple[Floats, Ints]:
    """Points by which the best rival that is at least as fast is ahead of each network, and which it is.

    Returns:
        Points (negative where the network is ahead; -inf where no rival is as fast) and the rival's position
        (-1 where there is none), both of shape (n_networks,).
    """
    order = np.lexsort((np.arange(len(rival_speed)), -rival_top1, -rival_speed))
    best = np.maximum.accumulate(rival_top1[order]) if len(order) else rival_top1
    as_fast = np.searchsorted(-rival_speed[order], -speed, side="right")
    points = np.full(len(top1), -np.inf)
    rival = np.full(len(top1), -1, dtype=np.intp)
    some = as_fast > 0
    ahead = best[as_fast[some] - 1]
    points[some] = ahead - top1[some]
    rival[some] = order[np.searchsorted(best, ahead, side="left")]
    return points, rival


def rank_agreement(cost: Floats, time: Floats) -> RankAgreement:
    """Spearman's and Kendall's coefficients (tau-b) between a cost and the time of the same networks.

    Counted here because importing `scipy.stats` takes longer (1 to 2 s) than the rest of an answer; a test
    holds both to scipy's.
    """
    n = len(cost)
    if n < 2 or np.ptp(cost) == 0 or np.ptp(time) == 0:
        return RankAgreement(float("nan"), float("nan"), float("nan"), n)
    spearman = float(np.corrcoef(_mean_ranks(cost), _mean_ranks(time))[0, 1])
    pairs = n * (n - 1) / 2
    not_tied_cost, not_tied_time = pairs - _tied_pairs(cost), pairs - _tied_pairs(time)
    untied = not_tied_cost + not_tied_time - pairs + _tied_pairs(cost + 1j * time)  # tied in both
    wrong = _discordant_pairs(cost, time)
    kendall = float((untied - 2 * wrong) / np.sqrt(not_tied_cost * not_tied_time))
    return RankAgreement(spearman, kendall, wrong / untied if untied else float("nan"), n)


def _mean_ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _discordant_pairs(cost: Floats, time: Floats) -> int:
    """Pairs in which the higher cost has the lower time; insertion into a sorted list, 1 ms for 1,300 networks."""
    seen: list[float] = []
    wrong = 0
    for value in time[np.lexsort((time, cost))].tolist():
        place = bisect_right(seen, value)
        wrong += len(seen) - place
        seen.insert(place, value)
    return wrong


def _tied_pairs(values: NDArray[np.generic]) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1) / 2).sum())
