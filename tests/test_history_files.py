"""What published devices say, shipped and read back."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from advisor import workflows_predict
from advisor.errors import DataError
from advisor.evidence.store import Store
from advisor.predict import history_files
from advisor.predict.history import History, history
from advisor.predict.predictor import Prior
from advisor.predict.priors import learned
from advisor.predict.profile import Profiles
from advisor.workflows import DATA
from tests.invented_devices import invented, setup_of, some_profiles


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles(40)


@pytest.fixture(scope="module")
def past(profiles: Profiles) -> History:
    return history(profiles, [invented(profiles, setup_of(f"cpu-{seed}", batch_size=seed), seed) for seed in (1, 2)])


def test_what_is_written_is_read(tmp_path: Path, profiles: Profiles, past: History) -> None:
    prior = Prior(widening=1.2)
    history_files.save(tmp_path / "h.npz", past, prior, made_from="abc")
    found = history_files.load(tmp_path / "h.npz", profiles, made_from="abc")
    assert found is not None
    assert found[1] == prior
    for before, after in zip(past.patterns, found[0].patterns, strict=True):
        assert after.setup == before.setup
        assert after.rates == pytest.approx(before.rates)
        assert after.deviation == pytest.approx(before.deviation, abs=1e-6)
        assert (after.column.rows == before.column.rows).all()
        assert after.column.latency_ms == pytest.approx(before.column.latency_ms)


def test_a_file_of_other_data_or_a_damaged_one_is_as_good_as_none(
    tmp_path: Path, profiles: Profiles, past: History
) -> None:
    path = tmp_path / "h.npz"
    assert history_files.load(path, profiles, made_from="abc") is None
    history_files.save(path, past, Prior(), made_from="abc")
    assert history_files.load(path, profiles, made_from="abd") is None
    path.write_bytes(path.read_bytes()[:-40])
    assert history_files.load(path, profiles, made_from="abc") is None


def test_a_byte_that_is_damaged_anywhere_raises_nothing(tmp_path: Path, profiles: Profiles, past: History) -> None:
    path = tmp_path / "h.npz"
    history_files.save(path, past, Prior(), made_from="abc")
    whole = path.read_bytes()
    found = []
    for at in range(0, len(whole), max(1, len(whole) // 200)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        found.append(history_files.load(path, profiles, made_from="abc"))
    assert found.count(None) > len(found) / 2  # the others are bytes that nobody reads


def test_a_folder_that_is_a_file_is_said(tmp_path: Path, past: History) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be written to"):
        history_files.save(tmp_path / "file" / "h.npz", past, Prior(), made_from="abc")


def test_the_shipped_file_is_what_the_shipped_results_say(tmp_path: Path) -> None:
    store = Store(tmp_path, DATA)
    made_from = store.published_hash() + workflows_predict.profile_files.content_hash()
    shipped = history_files.load(DATA / history_files.NAME, workflows_predict.profiles(), made_from=made_from)
    assert shipped is not None, "run 'python -m advisor build-history'"
    past, prior = shipped
    anew = workflows_predict.published_history(store)
    assert [p.setup for p in past.patterns] == [p.setup for p in anew.patterns]
    for kept, pattern in zip(past.patterns, anew.patterns, strict=True):
        assert kept.deviation == pytest.approx(pattern.deviation, abs=1e-4)
    # other libraries of linear algebra differ by a little, another method by more
    fresh = learned(anew)
    assert np.log(astuple(prior.scales)) == pytest.approx(np.log(astuple(fresh.scales)), abs=0.02)
    assert prior.widening == pytest.approx(fresh.widening, rel=0.01)
