"""The smooth function of shapes, against a slower way to the same and where it must say nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from advisor.predict.costs import kinds_of
from advisor.predict.profile import Profiles
from advisor.predict.smoothing import Smooth
from tests.invented_devices import some_profiles

SPREAD = 0.3


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles(40)


@pytest.fixture(scope="module")
def points(profiles: Profiles) -> pd.DataFrame:
    """Operators of four probes."""
    chosen = profiles.operators.iloc[::30].reset_index(drop=True)
    return chosen.assign(probe=np.arange(len(chosen)) % 4)


@pytest.fixture(scope="module")
def deviation(points: pd.DataFrame) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, len(points))


def test_a_probe_without_its_own_operators_is_what_the_others_alone_say_of_it(
    points: pd.DataFrame, deviation: np.ndarray
) -> None:
    kinds = kinds_of(points)
    mean, unsure = Smooth(points, kinds, deviation, spread=SPREAD).without_their_probe()
    for probe in range(4):
        its = (points["probe"] == probe).to_numpy()
        others = Smooth(points[~its], kinds[~its], deviation[~its], spread=SPREAD)
        expected, sd = others.of(points[its], kinds[its], 1)
        assert mean[its] == pytest.approx(expected, abs=1e-9)
        assert unsure[its] == pytest.approx(sd, abs=1e-6)


def test_a_class_without_points_is_as_expected_and_as_unsure_as_can_be(
    profiles: Profiles, points: pd.DataFrame, deviation: np.ndarray
) -> None:
    kinds = kinds_of(points)
    known = kinds == kinds[0]
    smooth = Smooth(points[known], kinds[known], deviation[known], spread=SPREAD)
    mean, unsure = smooth.of(profiles.operators, kinds_of(profiles.operators), 1)
    others = kinds_of(profiles.operators) != kinds[0]
    assert not mean[others].any()
    assert (unsure[others] == SPREAD).all()
    assert (unsure[~others] <= SPREAD).all()
    assert np.median(unsure[~others]) < 0.6 * SPREAD
