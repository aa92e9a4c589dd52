"""Predictions held against later measurements, on a posterior that is known."""

from __future__ import annotations

import numpy as np
import pytest

from advisor.predict.foretold import foretold, step
from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from tests.invented_devices import some_profiles

_Z90 = 1.6448536269514722  # of the normal distribution: 5 % lie above


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles(300)


def believed(profiles: Profiles, deviation: float = 0.1) -> Posterior:
    """10 ms for everything, to a tenth of a logarithm."""
    return Posterior(np.full(len(profiles), np.log(10.0)), np.full(len(profiles), deviation))


def probe(profiles: Profiles, row: int, ms: float) -> Probe:
    name, size = list(profiles.positions)[row]
    return Probe(name, size, ms)


def test_a_measurement_is_inside_up_to_the_ends_of_the_interval(profiles: Profiles) -> None:
    high = 10.0 * np.exp(0.1 * _Z90)
    later = [probe(profiles, 0, high * 0.999), probe(profiles, 1, high * 1.001), probe(profiles, 2, 5.0)]
    found = foretold(believed(profiles), profiles, later)
    assert [one.inside for one in found] == [True, False, False]
    assert found[0].hi90_ms == pytest.approx(high)
    assert found[0].p50_ms == pytest.approx(10.0)
    assert found[2].error == pytest.approx(1.0)  # predicted to take twice as long


def test_networks_without_a_profile_are_left_out(profiles: Profiles) -> None:
    assert foretold(believed(profiles), profiles, [Probe("no_such_net", 224, 3.0)]) == []


def test_a_step_tells_how_wide_intervals_are_and_how_the_next_probe_came_out(profiles: Profiles) -> None:
    deviations = np.full(len(profiles), 0.1)
    found = step(4, Posterior(np.zeros(len(profiles)), deviations), profiles, probe(profiles, 1, 1.0))
    width = np.exp(2 * _Z90 * 0.1)
    assert found.ratio == pytest.approx((width, width, width))
    assert found.n_probes == 4
    assert found.then is not None
    assert found.then.inside
    assert step(5, believed(profiles), profiles, None).then is None
