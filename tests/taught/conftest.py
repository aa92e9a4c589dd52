"""Networks, devices and probes that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.predict.belief import belief
from advisor.predict.history import History
from advisor.predict.profile import Profiles
from tests.invented_devices import CPU, invented_cpus, some_profiles


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles(10)


@pytest.fixture(scope="module")
def past(profiles: Profiles) -> History:
    return invented_cpus(profiles, 3)


@pytest.fixture(scope="module")
def rates(past: History) -> NDArray[np.float64]:
    return belief(past, CPU).rates


@pytest.fixture(scope="module")
def rows(profiles: Profiles) -> list[int]:
    """Twelve networks of all sorts, none of the largest."""
    small = np.flatnonzero(profiles.models["macs"] < 5e9)
    return [int(row) for row in small[:: len(small) // 12][:12]]
