"""Own rows go out as a file and come into another store."""

from __future__ import annotations

import shutil

import pytest

from advisor import workflows
from advisor.evidence.store import Store
from advisor.measure import machine as machines
from advisor.measure.machine import Machine
from advisor.records import Question
from tests import run_data

HERE = run_data.MACHINE["device_id"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "machine", lambda _target: Machine(**run_data.MACHINE))


def latencies(store: Store) -> list[float]:
    return store.query("runs", device_id=HERE, task="infer")["latency_ms"].tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_own_rows_go_out_and_come_into_another_store(ready: Store, ending: str) -> None:
    path = ready.home.parent / f"mine.{ending}"
    run_data.save(
        ready,
        run_data.run("r1", 10.123456789, parts={"throughput": run_data.CURVE}),
        run_data.run("r2", 9.0, layout="nhwc", reasons=("Busy.",)),
    )
    assert workflows.export_results(ready, path, device_id="this-machine").n_rows == 3
    again = workflows.import_results(ready, path)
    assert (again.n_new, again.n_known, again.rejects) == (0, 3, ())

    other = Store(ready.home.parent / "other", ready.data)
    assert workflows.import_results(other, path).n_new == 3
    assert workflows.import_results(other, path).n_new == 0
    device = next(d for d in workflows.devices(other) if d.device_id == HERE)
    assert (device.kind, device.measured_here, device.n_models) == ("own", False, 1)
    answer = workflows.recommend(other, Question(HERE, families=("all",)))
    assert answer.pick is not None
    assert (answer.pick.evidence, answer.pick.latency_ms) == ("measured", 10.123456789)
    noisy = other.query("runs", device_id=HERE, task="infer").set_index("latency_ms")["verdict"]
    assert noisy.loc[9.0] == "noisy"


def test_newest_of_several_imported_runs_of_one_setup_speaks(ready: Store) -> None:
    """They all have the time of their import; the id of a run begins with the time it was started."""
    path = ready.home.parent / "mine.csv"
    run_data.save(ready, run_data.run("20260702-a", 12.0), run_data.run("20260701-b", 10.0, layout="nhwc"))
    workflows.export_results(ready, path, device_id="this-machine")
    path.write_text(path.read_text(encoding="utf-8").replace("nhwc", "nchw"), encoding="utf-8")
    other = Store(ready.home.parent / "other", ready.data)
    workflows.import_results(other, path)
    assert len(other.query("speed_rows", device_ids=[HERE])) == 2
    assert latencies(other) == [12.0]


def test_networks_without_published_weights_are_imported_too(small: Store) -> None:
    path = small.home.parent / "mine.csv"
    run_data.save(small, run_data.run("r1", architecture="resnet10t"))
    workflows.export_results(small, path, device_id="this-machine")
    other = Store(small.home.parent / "other", small.data)
    (refused,) = workflows.import_results(other, path).rejects
    assert refused.reason.startswith("architecture 'resnet10t' is not in timm's catalogue")
    shutil.copy(workflows.DATA / "architectures.csv", small.data)
    assert workflows.import_results(other, path).n_new == 1


def test_own_rows_come_back_neither_twice_nor_undeleted(ready: Store) -> None:
    """A sweep's drift is added to the note on the way out; it is still the row of a run that is known."""
    run_data.save(ready, run_data.run("r1", 10.0, job_id="j", sweep_id="s"))
    ready.save_sweep({"sweep_id": "s", "job_id": "j", "sentinel": "resnet18", "before_ms": 10.0, "after_ms": 12.0})
    path = ready.home.parent / "mine.csv"
    workflows.export_results(ready, path, device_id="this-machine")
    assert "drifted by 20 %" in path.read_text(encoding="utf-8")
    ready.delete_runs(["r1"])
    assert workflows.import_results(ready, path).n_new == 0
    assert latencies(ready) == []
