"""How slow a machine is taken to be, by its last measurements and by those of a search."""

from __future__ import annotations

import numpy as np
import pytest

from advisor.measure.stretches import Stretch
from advisor.predict.predictor import Posterior
from advisor.predict.search import Outcome
from advisor.predict.slowness import FULL_PACE, Slowness, of_last


def test_the_machine_is_expected_to_be_as_slow_as_in_this_search_and_once_at_full_pace() -> None:
    assert FULL_PACE.after([]) == FULL_PACE.after([1.04, 1.0]) == FULL_PACE == Slowness(0.0, 0.0)
    one = FULL_PACE.after([1.5])
    assert (one.log, one.deviation) == (pytest.approx(np.log(1.5) / 2), pytest.approx(np.log(1.5) / 2))
    many = FULL_PACE.after([1.5] * 9)
    assert many.log == pytest.approx(0.9 * np.log(1.5))
    assert many.deviation < one.deviation


def test_before_a_search_it_is_expected_to_be_as_slow_as_it_was_last() -> None:
    assert Slowness.of_runs([]) == Slowness.of_runs([1.0, 1.04, 0.9]) == FULL_PACE
    last = np.array([1.0, 1.5, 2.0, 1.2])
    found = Slowness.of_runs(last.tolist())
    assert (found.log, found.deviation) == (pytest.approx(np.log(last).mean()), pytest.approx(np.log(last).std()))
    assert found.after([]) == Slowness(pytest.approx(found.log), pytest.approx(found.deviation))


def test_the_last_measurements_tell_how_slow_it_is_and_some_minutes_of_them_how_far_from_that_it_may_be() -> None:
    """Ten at one pace after thirty at another: the next ones may meet either."""
    found, alike = Slowness.of_runs([1.2] * 10 + [1.0] * 30), Slowness.of_runs([1.2] * 40)
    assert found.log == alike.log == pytest.approx(np.log(1.2))
    assert (found.deviation, alike.deviation) == (pytest.approx(np.log(1.2) * np.sqrt(0.75)), pytest.approx(0.0))


def test_a_run_that_met_the_machine_standing_still_does_not_make_it_slow() -> None:
    """It counts as three times slower than the median run; a machine that is slow all along is what it is."""
    last = [1.0, 1.2, 1.5, 1.2, 1.1, 1.0, 1.3]
    found, cut_short = Slowness.of_runs([*last, 45.0]), Slowness.of_runs([*last, 3 * 1.2])
    assert (found.log, found.deviation) == (pytest.approx(cut_short.log), pytest.approx(cut_short.deviation))
    assert Slowness.of_runs([5.0] * 4) == Slowness(pytest.approx(np.log(5.0)), pytest.approx(0.0))
    assert FULL_PACE.after([1.2, 45.0]).log == pytest.approx(FULL_PACE.after([1.2, 3.6]).log)
    assert FULL_PACE.after([1.2, 3.5]).log > FULL_PACE.after([1.2, 3.0]).log


def test_what_was_expected_before_a_search_counts_as_one_of_its_measurements() -> None:
    """One draw in three is of what was before it, the others are as they were measured; by a sample of them."""
    rng, before = np.random.default_rng(0), Slowness(0.3, 0.2)
    drawn = np.concatenate([rng.normal(0.3, 0.2, 100_000), np.full(100_000, np.log(1.5)), np.zeros(100_000)])
    found = before.after([1.5, 1.0])
    assert (found.log, found.deviation) == (pytest.approx(drawn.mean(), abs=2e-3), pytest.approx(drawn.std(), abs=2e-3))


def test_a_latency_is_believed_for_the_machine_as_slow_as_it_is() -> None:
    found = Slowness(np.log(1.5), 0.3).of(Posterior(np.log([2.0, 4.0]), np.full(2, 0.4)))
    assert np.exp(found.mean) == pytest.approx([3, 6])
    assert found.deviation == pytest.approx([0.5, 0.5])


def test_setups_suffer_of_one_moment_by_powers_of_their_own() -> None:
    """The machine is 1.5 times slower: what suffers by 0.7 takes 1.5**0.7 as long, what suffers by 1.4 1.5**1.4."""
    moment, suffers = Slowness(np.log(1.5), 0.3), np.array([0.7, 1.4])
    found = moment.of(Posterior(np.log([2.0, 2.0]), np.full(2, 0.1)), suffers)
    assert np.exp(found.mean) == pytest.approx(2 * 1.5**suffers)
    assert found.deviation == pytest.approx(np.hypot(0.1, 0.3 * suffers))
    each = [moment.scaled(one) for one in suffers]
    assert [one.times for one in each] == pytest.approx(1.5**suffers)
    tested = {i: Outcome(3.0, 3.1, slowdown=float(1.5**by)) for i, by in enumerate(suffers)}
    assert [one.slowdown for one in moment.beside(tested, suffers).values()] == pytest.approx([1.0, 1.0])


def test_networks_that_suffer_unlike_each_other_are_in_doubt_by_as_much() -> None:
    """By a sample of moments and powers."""
    rng, moment = np.random.default_rng(0), Slowness(0.3, 0.2)
    drawn = rng.normal(1.0, 0.4, 200_000) * rng.normal(0.3, 0.2, 200_000)
    believed = moment.of(Posterior(np.zeros(2), np.full(2, 0.1)), np.ones(2), np.array([0.4, 0.0]))
    assert believed.mean == pytest.approx([drawn.mean(), 0.3], abs=2e-3)
    assert believed.deviation == pytest.approx([np.hypot(0.1, drawn.std()), np.hypot(0.1, 0.2)], abs=2e-3)
    at_full_pace = FULL_PACE.of(Posterior(np.zeros(1), np.full(1, 0.1)), 1.0, 0.4)
    assert (at_full_pace.mean, at_full_pace.deviation) == (0.0, pytest.approx(0.1))


def test_what_is_the_spread_of_the_pulse_is_no_slow_machine() -> None:
    assert of_last([Stretch(10.0, 1.04, 1.0), Stretch(10.0, 0.9, 0.9)], 1.0) == FULL_PACE


def test_how_slow_the_machine_is_its_pulse_tells_whatever_its_networks_suffer() -> None:
    """Also where they suffer nothing, so that they would not tell."""
    found = of_last([None, *([Stretch(10.0, 1.5, 1.4)] * 3)], 1.0)
    assert (found.log, found.deviation) == (pytest.approx(np.log(1.5)), pytest.approx(0.0))
    assert found.scaled(0.0) == FULL_PACE
    assert of_last([Stretch(10.0, 1.5, 1.4)], None) == of_last([None], 1.0) == FULL_PACE


def test_it_is_told_in_a_sentence_where_it_is_more_than_the_spread_of_the_pulse() -> None:
    assert Slowness(np.log(1.35), 0.2).sentence == (
        "Predictions are of the machine as it was in its last measurements, 35 % slower on average than at its full "
        "pace."
    )
    assert FULL_PACE.sentence == Slowness(np.log(1.04), 0.1).sentence == ""
