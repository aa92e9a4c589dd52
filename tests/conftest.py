"""Fixtures: the store over the shipped data (built once a run), and a small one where answers are known by hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from advisor.evidence.store import Store
from tests.job_place import Place
from tests.small_data import write_small_data

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store over the data folder of this checkout; tests must not write to it."""
    store = Store(tmp_path_factory.mktemp("home"), ROOT / "data")
    store.ensure()
    return store


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """A small data folder of its own, free to be edited."""
    return write_small_data(tmp_path / "data")


@pytest.fixture
def small(tmp_path: Path, small_data: Path) -> Store:
    """A store over the small data folder, free to be written to."""
    return Store(tmp_path / "home", small_data)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store over the small data folder that is built once a run; tests must write to neither."""
    folder = tmp_path_factory.mktemp("built")
    store = Store(folder / "home", write_small_data(folder / "data"))
    store.ensure()
    return store


@pytest.fixture
def ready(tmp_path: Path, built: Store) -> Store:
    """As `small` but built already, which saves each test 0.2 s; its data folder must not be written to."""
    store = Store(tmp_path / "home", built.data)
    store.home.mkdir()
    shutil.copy(built.published_path, store.published_path)
    return store


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of PyTorch while a test runs."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A home with a queue over a measuring process without torch; every program of it is ended with the test."""
    monkeypatch.setenv("FAKE_DIR", str(tmp_path))
    made = Place(tmp_path)
    yield made
    for jobs in made.opened:
        jobs.close()


@pytest.fixture(autouse=True)
def _own_turn(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues of tests wait for each other, but not for what another program on this machine measures."""
    folder = tmp_path_factory.getbasetemp()
    monkeypatch.setattr("advisor.measure.job_files.of_this_machine", lambda: folder / "turn.lock")
