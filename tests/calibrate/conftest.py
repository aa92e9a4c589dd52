"""A lab for the tests of calibrating."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from advisor import workflows_calibrate
from advisor.evidence.store import Store
from advisor.measure.sweep import SENTINEL
from advisor.predict.history import History
from tests.calibration_lab import Lab, opened
from tests.invented_devices import invented_cpus, some_profiles


@pytest.fixture(scope="module")
def past() -> History:
    shipped = some_profiles(1)
    sentinel = shipped.positions[SENTINEL, 224]
    profiles = shipped.only(sorted({*range(0, len(shipped), 10), sentinel}))
    return invented_cpus(profiles, 3)


@pytest.fixture
def lab(ready: Store, past: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with opened(ready, past, tmp_path / "fake", monkeypatch) as found:
        yield found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five probes are enough where it is not their number that is tested."""
    monkeypatch.setattr(workflows_calibrate, "N_PROBES", 5)
