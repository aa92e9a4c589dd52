"""The chance of having missed something: against closed forms for independent, equal and correlated options."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from advisor.predict.belief import Scales, belief
from advisor.predict.missed import Unmeasured, correlation, missed
from tests.invented_devices import CPU, invented_cpus, some_profiles

CHANCES, GAINS = np.array([0.3, 0.5, 0.1]), np.array([3.0, 1.0, 5.0])
DRAWS = 200_000


def test_independent_options_are_missed_as_often_as_one_minus_the_product() -> None:
    found = missed([Unmeasured(CHANCES, GAINS)], draws=DRAWS)
    assert found.probability == pytest.approx(1 - 0.7 * 0.5 * 0.9, abs=0.005)
    # the best of those within: 5 with 0.1, else 3 with 0.3, else 1 with 0.5
    assert found.points == pytest.approx(0.1 * 5 + 0.9 * (0.3 * 3 + 0.7 * 0.5 * 1), abs=0.01)


def test_options_that_err_alike_are_missed_as_often_as_the_likeliest() -> None:
    found = missed([Unmeasured(CHANCES, GAINS, np.ones((3, 3)))], draws=DRAWS)
    assert found.probability == pytest.approx(0.5, abs=0.005)
    assert found.points == pytest.approx(0.1 * 5 + 0.2 * 3 + 0.2 * 1, abs=0.01)


def test_correlated_options_agree_with_the_normal_distribution_function() -> None:
    together = np.array([[1.0, 0.6], [0.6, 1.0]])
    neither = multivariate_normal(cov=together).cdf(-norm.ppf(CHANCES[:2]))  # by symmetry, of both being above
    found = missed([Unmeasured(CHANCES[:2], GAINS[:2], together)], draws=DRAWS)
    assert found.probability == pytest.approx(1 - neither, abs=0.005)


def test_setups_are_drawn_independently() -> None:
    one = Unmeasured(np.array([0.5]), np.array([1.0]), np.ones((1, 1)))
    assert missed([one, one], draws=DRAWS).probability == pytest.approx(0.75, abs=0.005)


@pytest.mark.parametrize("setups", [[], [Unmeasured(np.array([]), np.array([]))], [Unmeasured(np.zeros(2), GAINS[:2])]])
def test_nothing_left_is_nothing_missed(setups: list[Unmeasured]) -> None:
    found = missed(setups)
    assert (found.probability, found.points) == (0.0, 0.0)


def test_relatives_deviate_together_and_a_probe_tells_of_its_own() -> None:
    profiles = some_profiles(20)
    past = invented_cpus(profiles, 2)
    believed, rows = belief(past, CPU), np.arange(len(profiles))
    found = correlation(believed, Scales(), np.arange(0, len(profiles), 8), rows)
    assert np.diag(found) == pytest.approx(1.0)
    assert np.linalg.eigvalsh(found).min() > -1e-9
    families = believed.alike.families
    same = (families[:, None] == families) & ~np.eye(len(rows), dtype=bool)
    others = families[:, None] != families
    assert found[same].mean() > found[others].mean() + 0.1


def test_a_correlation_agrees_with_conditioning_a_normal_distribution() -> None:
    """The same by the formula for the covariance of all that is not measured, inverted at once."""
    profiles = some_profiles(60)
    past = invented_cpus(profiles, 2)
    believed, scales = belief(past, CPU), Scales()
    probes, wanted = np.array([0, 7, 11]), np.array([3, 5, 20])
    every = np.concatenate([probes, wanted])
    full = 4.0 + believed.covariance(every, every, scales) + scales.noise**2 * np.eye(6)
    left = np.linalg.inv(np.linalg.inv(full)[3:, 3:])  # the block of the precision matrix is that of the condition
    expected = left / np.sqrt(np.outer(np.diag(left), np.diag(left)))
    assert correlation(believed, scales, probes, wanted) == pytest.approx(expected, abs=1e-6)
