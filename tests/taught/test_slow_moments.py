"""What is predicted where some classes of operators were timed in slow moments of the machine alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.measure.stretches import SUFFERED, Stretch
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.history import History
from advisor.predict.operator_model import Taught, taught
from advisor.predict.pace import doubt_of_mean
from advisor.predict.predictor import Predictor, Prior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import DENSE
from tests.invented_devices import setup_of
from tests.timed_operators import linear_law, probe_of

HERE = setup_of("here")
SLOW = 1.8  # of the pulse
_CLASS = KINDS.index(DENSE)


def share_of_class(profiles: Profiles, seed: int) -> NDArray[np.float64]:
    """Shape (n_profiles,): of the latency of each network, by a linear law."""
    each_ms = linear_law(seed)(profiles.operators)
    its = kinds_of(profiles.operators) == _CLASS
    return np.asarray(profiles.counts @ np.where(its, each_ms, 0.0)) / np.asarray(profiles.counts @ each_ms)


def probes(profiles: Profiles, rows: list[int], seed: int, *, suffered: float, spared: int = 0) -> list[Probe]:
    """Of those rows; the machine is slow while networks with the class are timed, but for some of them.

    Args:
        suffered: The power of the slowdown by which such a network is slower.
    """
    law, found = linear_law(seed), []
    for row, share in zip(rows, share_of_class(profiles, seed)[rows], strict=True):
        slow = share > 0
        if slow and spared:
            slow, spared = False, spared - 1
        one = probe_of(profiles, row, law, pace=SLOW**suffered if slow else 1.0)
        found.append(replace(one, stretch=Stretch(one.latency_ms, SLOW if slow else 1.0, SLOW if slow else 1.0)))
    return found


def lesson(profiles: Profiles, rates: NDArray[np.float64], given: list[Probe]) -> Taught:
    told = [
        replace(one, slow=math.log(one.stretch.pulse_ms)) for one in given if one.stretch is not None
    ]  # fmt: skip
    found = taught(profiles, tuple(told), tuple(rates), 1)
    assert found is not None
    return found


def test_a_class_timed_in_slow_moments_alone_is_doubted_by_its_share_of_the_latency(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    given = probes(profiles, rows, 1, suffered=SUFFERED)
    found = lesson(profiles, rates, given)
    share = found.class_ms[:, _CLASS] / found.class_ms.sum(axis=1)
    n_slow = sum(one.stretch is not None and one.stretch.pulse_ms > 1 for one in given)
    assert 2 < n_slow < len(given)
    mostly = share > 0.2
    assert mostly.sum() > 5
    expected = share * doubt_of_mean(np.full(n_slow, math.log(SLOW)), 0.15)
    assert (found.slow_doubt[mostly] >= 0.999 * expected[mostly]).all()
    assert np.median(found.slow_doubt[share == 0]) < np.median(found.slow_doubt[mostly])


def test_two_probes_at_full_pace_leave_less_doubt(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    mostly = share_of_class(profiles, 1) > 0.2
    doubts = [
        np.median(lesson(profiles, rates, probes(profiles, rows, 1, suffered=SUFFERED, spared=n)).slow_doubt[mostly])
        for n in (0, 2)
    ]
    assert doubts[1] < 0.7 * doubts[0]


def test_no_probe_in_a_slow_moment_leaves_no_such_doubt(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    given = [replace(one, slow=0.0) for one in probes(profiles, rows, 1, suffered=0.0)]
    found = taught(profiles, tuple(given), tuple(rates), 1)
    assert found is not None
    assert not found.slow_doubt.any()


@pytest.mark.parametrize("suffered", [0.75, 1.0, 1.25])
def test_intervals_hold_where_a_class_suffers_otherwise_than_expected(
    profiles: Profiles, past: History, rows: list[int], suffered: float
) -> None:
    true_ms = np.asarray(profiles.counts @ linear_law(3)(profiles.operators))
    given = probes(profiles, rows, 3, suffered=suffered)
    mostly = np.setdiff1d(np.flatnonzero(share_of_class(profiles, 3) > 0.2), rows)
    low, _, high = Predictor(past, Prior()).fit({HERE: given}).posterior(HERE, mostly).quantiles().T
    assert np.mean((low <= true_ms[mostly]) & (true_ms[mostly] <= high)) > 0.8
