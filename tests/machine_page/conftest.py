"""A lab, and data that a test may spoil, for the page This machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from advisor import workflows
from advisor.evidence.store import Store
from advisor.measure import machine
from advisor.measure.sweep import SENTINEL
from advisor.predict.history import History
from tests.calibration_lab import Lab, opened
from tests.invented_devices import invented_cpus, some_profiles
from tests.small_data import ARCHS


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="module")
def past() -> History:
    """Three invented CPUs on every tenth network and on all that the small data know an accuracy of."""
    shipped = some_profiles(1)
    named = [(name, size) for name, arch in ARCHS.items() for size in arch.at if name != "test_vit"]
    rows = {shipped.positions[key] for key in [*named, (SENTINEL, 224)] if key in shipped.positions}
    profiles = shipped.only(sorted({*range(0, len(shipped), 10), *rows}))
    return invented_cpus(profiles, 3)


@pytest.fixture
def lab(ready: Store, past: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    # a search would probe every other runtime that happens to be installed
    monkeypatch.setattr(machine, "offers", lambda _target: [("pytorch-eager", "fp32")])
    with opened(ready, past, tmp_path / "fake", monkeypatch) as found:
        yield found


@pytest.fixture
def own_data(lab: Lab, monkeypatch: pytest.MonkeyPatch, small_data: Path) -> Path:
    """A data folder that the test may change."""
    monkeypatch.setattr(workflows, "DATA", small_data)
    return small_data
