"""Homes for the Measure page: without measurements, with a history of them, with data that a test may spoil."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from advisor import workflows, workflows_measure
from advisor.evidence.catalogue import Architecture
from advisor.evidence.store import Store
from advisor.measure import models
from advisor.measure.jobs import Jobs
from advisor.measure.lines import plain
from advisor.measure.machine import machine
from tests.job_place import FAKE
from tests.measured_runs import history
from tests.run_data import save

_NETS = ("gate_net", "ok_net", "refuse_net")  # what the measuring process of the tests knows


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Jobs]]:
    """The queues that pages open: their measuring process has no torch, and is ended with the test."""
    opened: list[Jobs] = []

    def fake(home: Path, **options: object) -> Jobs:
        opened.append(Jobs(home, host_command=FAKE, **options))  # type: ignore[arg-type]
        return opened[-1]

    listed = models.load() | {name: Architecture(name, "Fake", 224, 1.0, False) for name in _NETS}
    monkeypatch.setattr(models, "_load", lambda _path: listed)
    monkeypatch.setattr(workflows_measure, "Jobs", fake)
    monkeypatch.setenv("FAKE_DIR", str(tmp_path))
    yield opened
    for queue in opened:
        queue.close()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: Store, queues: list[Jobs]) -> Path:
    """A home without measurements."""
    shutil.copytree(built.home, tmp_path / "home")
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(workflows, "DATA", built.data)
    return tmp_path / "home"


@pytest.fixture
def measured(home: Path, built: Store) -> Store:
    """The same with the history of `tests.measured_runs`, of this machine."""
    store, here = Store(home, built.data), machine("cpu")
    save(store, *history(here.device_id), machine=plain(here))
    return store


@pytest.fixture
def own_data(home: Path, monkeypatch: pytest.MonkeyPatch, small_data: Path) -> Path:
    """A data folder that the test may spoil."""
    monkeypatch.setattr(workflows, "DATA", small_data)
    return small_data
