"""What passes of a network took, from OpenVINO's counters: averages over all passes so far, in whole microseconds."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("torch")

from advisor.measure.runtimes.openvino_nodes import of_quickest
from advisor.measure.runtimes.watched_passes import UNSEEN

STEPS = {"stem": 0.4, "head": 0.013}


def watched(factors: list[float], unseen: float = 5.0) -> list[tuple[float, dict[str, float]]]:
    """Passes in which every step takes that many times as long as usual, after `UNSEEN` cold ones."""
    each_us = {name: [1000 * ms * by for by in [unseen] * UNSEEN + factors] for name, ms in STEPS.items()}
    totals = {name: list(itertools.accumulate(us)) for name, us in each_us.items()}
    counters = [
        {name: int(total[made - 1] / made) / 1000 for name, total in totals.items()}
        for made in range(UNSEEN + 1, UNSEEN + len(factors) + 1)
    ]
    return [(0.001 * by, told) for by, told in zip(factors, counters, strict=True)]


def rounding_ms(n_passes: int, n: int) -> float:
    """Both averages are cut to whole microseconds, and each is of up to so many passes."""
    return 0.001 * (n_passes + UNSEEN) / n


def test_cold_passes_are_in_no_time() -> None:
    found = of_quickest(watched([1.0] * 30))
    assert found == {name: pytest.approx(ms, abs=rounding_ms(30, 14)) for name, ms in STEPS.items()}


@pytest.mark.parametrize("slow", [slice(0, 12), slice(15, 30), slice(8, 16)])
def test_the_quickest_half_counts(slow: slice) -> None:
    factors = [1.0] * 30
    factors[slow] = [2.0] * len(factors[slow])
    found = of_quickest(watched(factors))
    quick = min(sum(factors[end - 14 : end]) for end in range(15, 31)) / 14
    assert found == {name: pytest.approx(quick * ms, abs=rounding_ms(30, 14)) for name, ms in STEPS.items()}


def test_of_few_passes_all_but_the_first_count() -> None:
    found = of_quickest(watched([3.0, 1.0, 1.0, 1.0, 2.0]))
    assert found == {name: pytest.approx(1.25 * ms, abs=rounding_ms(5, 4)) for name, ms in STEPS.items()}


def test_a_step_that_takes_next_to_nothing_never_takes_less_than_that() -> None:
    passes = [(1.0, {"reshape": 0.001 if k == 0 else 0.0}) for k in range(6)]
    assert of_quickest(passes) == {"reshape": 0.0}


def test_a_step_of_a_microsecond_is_not_lost_where_counters_are_rounded() -> None:
    """Averages of 1.6 us after the first half of the passes and of 1.4 us after the last: 2 and 1 are what is told."""
    passes = [(2.0 if k < 15 else 1.0, {"squeeze": 0.002 if k < 20 else 0.001}) for k in range(30)]
    assert of_quickest(passes) == {"squeeze": 0.001}
