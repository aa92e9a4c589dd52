"""Speeds at equal accuracy, distance from the front and rank agreement, against worked numbers and slow versions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from advisor.advice.matching import (
    EQUAL_POINTS,
    behind_front,
    match_at_equal_top1,
    own_front,
    rank_agreement,
)

POINTS = st.lists(st.tuples(st.integers(700, 840).map(lambda v: v / 10), st.integers(1, 40).map(float)), max_size=12)


def arrays(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(points, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def error(top1: float) -> float:
    return 100 * 1.96 * math.sqrt(top1 / 100 * (1 - top1 / 100) / 50_000)


def test_ratio_is_the_fastest_at_equal_top1_over_the_reference() -> None:
    reference = arrays([(76.0, 100.0), (80.0, 40.0)])
    other = arrays([(76.5, 150.0), (76.2, 120.0), (80.4, 20.0)])
    found = match_at_equal_top1(*reference, *other)
    assert found.reference.tolist() == [1, 0]  # slowest first
    assert found.match.tolist() == [2, 0]
    assert found.ratio.tolist() == [0.5, 1.5]
    assert found.median == 1.0
    assert found.largest == 1.5


def test_a_top1_inside_the_sampling_error_counts_as_equal_and_one_outside_does_not() -> None:
    inside = match_at_equal_top1(*arrays([(80.0, 10.0)]), *arrays([(79.66, 30.0)]))
    outside = match_at_equal_top1(*arrays([(80.0, 10.0)]), *arrays([(79.64, 30.0)]))
    assert 79.64 < 80.0 - error(80.0) < 79.66
    assert inside.ratio.tolist() == [3.0]
    assert (len(outside.ratio), outside.unreached, outside.gaps) == (0, 1, 0)


def test_a_group_with_nothing_at_that_top1_gives_no_pair() -> None:
    """A lone network 10 points better is no evidence that its family is slow at the lower top-1."""
    found = match_at_equal_top1(*arrays([(68.0, 100.0)]), *arrays([(78.0, 40.0)]))
    assert (len(found.ratio), found.unreached, found.gaps) == (0, 0, 1)


def test_a_more_accurate_network_is_the_match_where_it_is_faster() -> None:
    found = match_at_equal_top1(*arrays([(76.0, 10.0)]), *arrays([(76.1, 15.0), (81.0, 50.0)]))
    assert found.ratio.tolist() == [5.0]


def test_networks_that_their_own_family_beats_take_no_part() -> None:
    reference = arrays([(76.0, 100.0), (75.0, 10.0)])
    found = match_at_equal_top1(*reference, *arrays([(76.0, 100.0), (75.0, 100.0)]))
    assert found.ratio.tolist() == [1.0]


@given(POINTS, POINTS)
def test_matches_agree_with_a_search_by_hand(
    ours: list[tuple[float, float]], theirs: list[tuple[float, float]]
) -> None:
    found = match_at_equal_top1(*arrays(ours), *arrays(theirs))
    expected = []
    for top1, speed in ours:
        beaten = any(t >= top1 and s >= speed and (t, s) != (top1, speed) for t, s in ours)
        equal = any(top1 - error(top1) <= t <= top1 + EQUAL_POINTS for t, _ in theirs)
        if not beaten and equal:
            expected.append(max(s for t, s in theirs if t >= top1 - error(top1)) / speed)
    assert sorted(found.ratio) == pytest.approx(sorted(expected))
    assert len(found.ratio) + found.unreached + found.gaps == len(own_front(*arrays(ours)))


def test_behind_front_is_the_lead_of_the_best_rival_that_is_as_fast() -> None:
    points, rival = behind_front(
        *arrays([(75.0, 50.0), (70.0, 200.0), (60.0, 900.0)]), *arrays([(78.0, 50.0), (74.0, 80.0), (69.0, 300.0)])
    )
    assert points.tolist() == [3.0, -1.0, -np.inf]
    assert rival.tolist() == [0, 2, -1]


@given(POINTS, POINTS)
def test_behind_front_agrees_with_a_search_by_hand(
    ours: list[tuple[float, float]], theirs: list[tuple[float, float]]
) -> None:
    points, rival = behind_front(*arrays(ours), *arrays(theirs))
    for (top1, speed), lead, who in zip(ours, points, rival, strict=True):
        as_fast = [t for t, s in theirs if s >= speed]
        assert lead == pytest.approx(max(as_fast) - top1 if as_fast else -np.inf)
        if as_fast:
            assert theirs[who][0] == max(as_fast)
            assert theirs[who][1] >= speed


def test_rank_agreement_by_hand() -> None:
    """Time orders 1 2 3 4, cost orders 1 3 2 4: one of six pairs is wrong, sum of squared rank gaps is 2."""
    found = rank_agreement(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.kendall == pytest.approx((5 - 1) / 6)
    assert found.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.misordered == pytest.approx(1 / 6)
    assert found.n_models == 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=15))
def test_rank_agreement_agrees_with_scipy_and_with_counting_pairs(points: list[tuple[int, int]]) -> None:
    cost, time = arrays([(float(a), float(b)) for a, b in points])
    found = rank_agreement(cost, time)
    signs = [
        np.sign(cost[i] - cost[j]) * np.sign(time[i] - time[j]) for i, j in itertools.combinations(range(len(cost)), 2)
    ]
    if np.ptp(cost) and np.ptp(time):
        assert found.kendall == pytest.approx(stats.kendalltau(cost, time).statistic)
        assert found.spearman == pytest.approx(stats.spearmanr(cost, time).statistic)
    decided = [sign for sign in signs if sign] if np.ptp(cost) and np.ptp(time) else []
    if not decided:
        assert math.isnan(found.misordered)
    else:
        assert found.misordered == pytest.approx(decided.count(-1) / len(decided))


def test_rank_agreement_without_any_difference_is_unknown() -> None:
    assert math.isnan(rank_agreement(np.ones(5), np.arange(5.0)).kendall)
