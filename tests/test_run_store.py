"""Runs in the store: whole or not at all, kept as they were, deleted and restored, read back to the letter."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from advisor.errors import StoreLocked, UnknownName
from advisor.evidence import run_store, statements
from advisor.evidence.store import Store
from advisor.measure.lines import plain, request_of, run_of
from advisor.measure.request import Request
from tests import run_data
from tests.conftest import ROOT
from tests.test_store import speed_row

HERE = run_data.MACHINE["device_id"]


def speeds(store: Store) -> list[float]:
    """Latencies of the test machine that can decide."""
    return sorted(store.query("runs", device_id=HERE, task="infer")["latency_ms"])


def test_run_comes_back_as_it_was(ready: Store) -> None:
    whole = run_data.run("r1", 8.1234567890123, parts={"throughput": run_data.CURVE, "training": run_data.TRAINING})
    assert run_data.save(ready, whole) == 1
    assert run_of(ready.run_content("r1")) == whole
    lost = run_data.failed("r2")
    run_data.save(ready, lost)
    assert run_of(ready.run_content("r2")) == lost


def test_raw_times_stand_in_their_column_and_not_in_the_text(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", 10.0))
    with duckdb.connect(str(ready.local_path), read_only=True) as con:
        times, text = con.execute("SELECT times_ms, content->>'$.measured.latency.times_ms' FROM run").fetchone() or ()
    assert (times, text) == ([9.9, 10.0, 12.5], "[]")


def test_saving_a_run_twice_changes_nothing(ready: Store) -> None:
    assert run_data.save(ready, run_data.run("r1", 10.0)) == 1
    assert run_data.save(ready, run_data.run("r1", 99.0)) == 0
    assert speeds(ready) == [10.0]
    assert len(ready.runs()) == 1


def test_listing_is_newest_first_with_what_was_really_run(ready: Store) -> None:
    run_data.save(
        ready,
        run_data.run("r1", 10.0, started_at="2026-07-01T12:00:00+02:00"),  # 10:00 UTC
        run_data.run("r2", 5.0, runtime="openvino", precision="auto", precision_used="bf16", batch_size=2,
                     started_at="2026-07-01T10:30:00+00:00", reasons=("Others used 0.8 cores.",)),
        run_data.failed("r3", img_size=8192),
    )  # fmt: skip
    listed = ready.runs().set_index("run_id")
    assert listed.index.tolist() == ["r3", "r2", "r1"]
    assert str(listed.loc["r1", "started_at"]) == "2026-07-01 10:00:00"
    noisy = listed.loc["r2"]
    assert (noisy["runtime"], noisy["precision"], noisy["batch_size"], noisy["threads"]) == ("openvino", "bf16", 2, 2)
    assert (noisy["p50_ms"], noisy["p90_ms"], noisy["throughput_per_s"]) == (5.0, 6.0, 400.0)
    assert (noisy["ci95_low_ms"], noisy["ci95_high_ms"]) == pytest.approx((4.95, 5.05))
    assert (noisy["verdict"], noisy["verdict_reasons"]) == ("noisy", "Others used 0.8 cores.")
    assert noisy["device"] == "TestChip, 2 cores"
    lost = listed.loc["r3"]
    assert (lost["status"], lost["reason"], lost["img_size"]) == ("failed", "It ran out of memory.", 8192)
    assert listed[["p50_ms", "threads", "verdict"]].loc["r3"].isna().all()


def test_listing_and_roofs_are_empty_without_a_store_of_ones_own(ready: Store) -> None:
    assert ready.runs().empty
    assert ready.roofs(HERE).empty
    assert not ready.local_path.exists()  # reading made nothing


def test_key_of_a_request_is_the_requests_own(ready: Store) -> None:
    """The store computes it from plain values, `Request` from its fields; a sweep resumes by it."""
    asked = Request(architecture="resnet50", extras=("throughput", "train"), features_hw=(320, 480), time_limit_s=7)
    assert run_store.request_key(plain(asked)) == asked.key
    run_data.save(ready, run_data.run("r1"))
    listed = ready.runs()
    assert listed["request_key"].tolist() == [Request(architecture="resnet50").key]
    assert request_of(json.loads(listed["request"].iloc[0])) == Request(architecture="resnet50")


def test_deleted_run_leaves_every_query_and_comes_back(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", 10.0), run_data.run("r2", 11.0, layout="nhwc"))
    assert ready.delete_runs(["r1"]) == 1
    assert speeds(ready) == [11.0]
    assert ready.query("speed_rows", device_ids=[HERE])["source_file"].tolist() == ["r2"]
    assert ready.query("setups").query("device_id == @HERE")["layout"].tolist() == ["nhwc"]
    assert ready.query("devices").set_index("device_id").loc[HERE, "n_rows"] == 1
    assert ready.runs()["run_id"].tolist() == ["r2"]
    assert ready.runs(with_deleted=True).set_index("run_id")["deleted"].to_dict() == {"r1": True, "r2": False}
    assert run_of(ready.run_content("r1")).run_id == "r1"  # nothing is lost
    assert ready.restore_runs(["r1"]) == 1
    assert speeds(ready) == [10.0, 11.0]


def test_deleting_twice_and_restoring_what_is_there_change_nothing(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1"))
    assert [ready.delete_runs(["r1", "r1"]), ready.delete_runs(["r1"])] == [1, 0]
    assert [ready.restore_runs(["r1"]), ready.restore_runs(["r1"])] == [1, 0]
    assert len(ready.runs()) == 1


def test_unknown_run_is_named_with_close_ones_and_nothing_is_deleted(ready: Store) -> None:
    run_data.save(ready, run_data.run("20260701-abc"))
    with pytest.raises(UnknownName, match=r"Unknown run '20260701-abd'. Did you mean 20260701-abc\?"):
        ready.delete_runs(["20260701-abc", "20260701-abd"])
    with pytest.raises(UnknownName, match="python -m advisor runs"):
        ready.run_content("20260701-abd")
    assert len(ready.runs()) == 1


def test_machine_is_a_device_with_its_name_and_kind(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1"))
    known = ready.query("devices").set_index("device_id").loc[HERE]
    assert (known["name"], known["kind"], known["vendor"]) == ("TestChip, 2 cores", "cpu", "Test")
    assert (known["memory_gb"], known["n_models"], known["measured_here"]) == (8.0, 1, True)


def test_published_device_keeps_its_name_and_is_marked_as_measured_here(ready: Store) -> None:
    run_data.save(
        ready, run_data.run("r1", device_id="i7-12700h"), machine=run_data.MACHINE | {"device_id": "i7-12700h"}
    )
    found = ready.query("devices").query("device_id == 'i7-12700h'")
    assert len(found) == 1
    assert found["name"].iloc[0] != "TestChip, 2 cores"
    assert bool(found["measured_here"].iloc[0])


def test_imported_rows_of_an_unknown_machine_stay_own(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1"))
    ready.save("speed", speed_row())
    other = ready.query("devices").set_index("device_id").loc["my-box"]
    assert (other["kind"], bool(other["measured_here"])) == ("own", False)


def test_own_measurements_are_a_source_once_there_are_any(ready: Store) -> None:
    assert "own-measurement" not in set(ready.query("sources")["source_id"])
    run_data.save(ready, run_data.run("r1"), run_data.run("r2", started_at="2026-07-03T00:00:00+00:00"))
    mine = ready.query("sources").set_index("source_id").loc["own-measurement"]
    assert (mine["title"], mine["n_speed"], mine["date"]) == ("Measured by you with this advisor", 2, "2026-07-03")


def test_sweep_that_drifted_makes_its_steady_runs_noisy_and_says_why(ready: Store) -> None:
    run_data.save(
        ready,
        run_data.run("r1", 10.0, job_id="j1", sweep_id="s"),
        run_data.run("r2", 11.0, job_id="j2", sweep_id="s", layout="nhwc"),
    )
    times = {"sweep_id": "s", "sentinel": "resnet18"}
    assert ready.save_sweep(times | {"job_id": "j1", "before_ms": 10.0, "after_ms": 10.7}) == pytest.approx(0.07)
    assert ready.save_sweep(times | {"job_id": "j2", "before_ms": 10.0, "after_ms": 9.6}) == pytest.approx(0.04)
    listed = ready.runs().set_index("run_id")
    assert listed["verdict"].to_dict() == {"r1": "noisy", "r2": "steady"}
    assert listed.loc["r1", "drift"] == pytest.approx(0.07)
    assert listed.loc["r1", "verdict_reasons"] == "The sentinel resnet18 drifted by 7 % over the sweep."
    rows = ready.query("runs", device_id=HERE, task="infer").set_index("layout")
    assert rows["verdict"].to_dict() == {"nchw": "noisy", "nhwc": "steady"}
    assert rows.loc["nchw", "note"] == "noisy: The sentinel resnet18 drifted by 7 % over the sweep."
    assert rows.loc["nhwc", "note"] == ""


def test_points_of_a_curve_neither_call_themselves_steady_nor_stand_before_a_full_measurement(ready: Store) -> None:
    parts = {"throughput": run_data.CURVE, "training": run_data.TRAINING}
    run_data.save(
        ready,
        run_data.run("full", 19.0, batch_size=4),
        run_data.run("curve", 10.0, parts=parts, started_at="2026-07-02T10:00:00+00:00"),  # later, 20 ms at batch 4
    )
    rows = ready.query("runs", device_id=HERE, task="infer").set_index("batch_size")
    assert rows["latency_ms"].to_dict() == {1: 10.0, 4: 19.0}
    assert rows["verdict"].to_dict() == {1: "steady", 4: "steady"}
    assert ready.query("runs", device_id=HERE, task="train")["verdict"].isna().tolist() == [True]
    ready.delete_runs(["full"])
    rows = ready.query("runs", device_id=HERE, task="infer").set_index("batch_size")
    assert rows.loc[4, "latency_ms"] == 20.0
    assert rows["verdict"].isna().to_dict() == {1: False, 4: True}


def test_points_of_a_noisy_run_are_noisy(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", parts={"throughput": run_data.CURVE}, reasons=("Others computed.",)))
    assert ready.query("runs", device_id=HERE, task="infer")["verdict"].tolist() == ["noisy", "noisy"]


def test_sentinel_that_failed_leaves_the_drift_unknown(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", job_id="j1", sweep_id="s"))
    values = {"sweep_id": "s", "job_id": "j1", "sentinel": "resnet18", "before_ms": 10.0, "after_ms": None}
    assert ready.save_sweep(values) is None
    assert ready.runs()["verdict"].tolist() == ["steady"]


def test_best_roof_of_a_precision_and_threads_counts(ready: Store) -> None:
    quiet, busy = (
        {"precision": "fp32", "threads": 2, "macs_per_s": m, "bytes_per_s": b} for m, b in ((2e10, 1e10), (1e10, 3e10))
    )
    ready.save_roofs(HERE, [quiet])
    ready.save_roofs(HERE, [busy, {**busy, "precision": "bf16"}])
    ready.save_roofs("elsewhere", [{**quiet, "macs_per_s": 9e10}])
    found = ready.roofs(HERE)[["precision", "macs_per_s", "bytes_per_s", "n"]]
    assert found.to_numpy().tolist() == [["bf16", 1e10, 3e10, 1], ["fp32", 2e10, 3e10, 2]]


def test_version_changes_with_every_change(ready: Store) -> None:
    ready.ensure()
    seen = [ready.version()]
    for change in (
        lambda: run_data.save(ready, run_data.run("r1")),
        lambda: ready.delete_runs(["r1"]),
        lambda: ready.restore_runs(["r1"]),
        lambda: run_data.save(ready, run_data.run("r2")),
    ):
        change()
        seen.append(ready.version())
    assert len(set(seen)) == len(seen)


def test_store_of_step_1_opens_and_keeps_its_rows(ready: Store) -> None:
    ready.ensure()
    name, text = statements.migrations()[0]
    with duckdb.connect(str(ready.local_path)) as con:
        con.execute("CREATE TABLE migrations (step INTEGER PRIMARY KEY, name VARCHAR)")
        con.execute(text)
        con.execute("INSERT INTO migrations VALUES (1, ?)", [name])
        con.register("incoming", speed_row().drop(columns="line"))
        con.execute("INSERT INTO speed BY NAME SELECT *, 'key' AS row_key FROM incoming")
    assert ready.runs().empty
    assert ready.query("speed_rows", device_ids=["my-box"])["latency_ms"].tolist() == [7.5]
    assert run_data.save(ready, run_data.run("r1", 10.0)) == 1
    assert ready.query("speed_rows", device_ids=["my-box"])["latency_ms"].tolist() == [7.5]


# -- faults ----------------------------------------------------------------------------------------

_CHILD = """
    import os, signal
    from pathlib import Path
    from advisor.evidence.store import Store
    from tests import run_data
    store = Store(Path({home!r}), Path({data!r}))
"""


def child(store: Store, script: str) -> subprocess.Popen[str]:
    head = textwrap.dedent(_CHILD).format(home=str(store.home), data=str(store.data))
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def whole_runs(store: Store) -> list[str]:
    """Ids of the runs, after a check that each has its speed rows and its raw times."""
    ids = sorted(store.runs()["run_id"])
    assert sorted(store.query("speed_rows", device_ids=[HERE])["source_file"]) == ids
    assert all(len(run_of(store.run_content(i)).measured.latency.times_ms) == 3 for i in ids)  # type: ignore[union-attr]
    return ids


# where the child dies: before a statement that begins so, or on closing what it committed
@pytest.mark.parametrize(
    ("dies_at", "kept"),
    [("INSERT OR IGNORE INTO speed", []), ("COMMIT", []), ("close", ["r1"])],
)
def test_kill_at_any_statement_leaves_a_whole_run_or_none(ready: Store, dies_at: str, kept: list[str]) -> None:
    ready.migrate()
    before = ready.version()
    script = f"""
        import advisor.evidence.store as module
        class Dying:
            def __init__(self, con): self.con = con
            def execute(self, query, *values):
                if query.startswith({dies_at!r}): os.kill(os.getpid(), signal.SIGKILL)
                return self.con.execute(query, *values)
            def close(self):
                if {dies_at!r} == "close": os.kill(os.getpid(), signal.SIGKILL)
                self.con.close()
            def __getattr__(self, name): return getattr(self.con, name)
        connect = module.duckdb.connect
        module.duckdb.connect = lambda *a, **k: Dying(connect(*a, **k))
        run_data.save(store, run_data.run("r1", 10.0))
        print("saved", flush=True)
    """
    with child(ready, script) as dying:
        out, _ = dying.communicate(timeout=60)
    assert (dying.returncode, out) == (-9, "")
    assert whole_runs(ready) == kept
    assert (ready.version() != before) == bool(kept)  # caches see what was committed but not yet checkpointed
    assert run_data.save(ready, run_data.run("r1", 10.0)) == (0 if kept else 1)
    assert whole_runs(ready) == ["r1"]


@pytest.mark.parametrize("lines", [1, 3])
def test_every_run_reported_as_saved_survives_a_kill(ready: Store, lines: int) -> None:
    ready.migrate()
    script = """
        import itertools
        for i in itertools.count(1):
            run_data.save(store, run_data.run(f"r{i}", float(i), layout="nchw"))
            print(f"r{i}", flush=True)
    """
    with child(ready, script) as saving:
        assert saving.stdout is not None
        said = [saving.stdout.readline().strip() for _ in range(lines)]
        saving.kill()
    kept = whole_runs(ready)
    assert set(said) <= set(kept)
    assert len(kept) - len(said) in (0, 1)


def test_full_disk_is_one_sentence_and_saves_nothing(ready: Store) -> None:
    """A file size limit makes every write fail the way a full disk does."""
    run_data.save(ready, run_data.run("r1", 10.0))
    script = """
        import resource
        from advisor.errors import StoreUnusable
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        for act in (lambda: run_data.save(store, run_data.run("r2", 11.0)), lambda: store.delete_runs(["r1"])):
            try:
                act()
            except StoreUnusable as exc:
                print(exc, flush=True)
    """
    with child(ready, script) as full:
        out, _ = full.communicate(timeout=60)
    assert out.count("\n") == 2
    assert out.count("free some space or set ADVISOR_HOME") == 2
    assert whole_runs(ready) == ["r1"]


def test_run_waits_for_a_lock_a_bounded_time_and_can_be_saved_after(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1"))
    script = """
        import sys
        with store._reading():
            print("held", flush=True)
            sys.stdin.read()
    """
    head = textwrap.dedent(_CHILD).format(home=str(ready.home), data=str(ready.data))
    reader = subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(script)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    hasty = Store(ready.home, ready.data, wait_s=0.2)
    with reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline().strip() == "held"
        with pytest.raises(StoreLocked, match=rf"local.duckdb is held by another process .*{reader.pid}"):
            run_data.save(hasty, run_data.run("r2"))
        reader.stdin.close()
        reader.wait(timeout=20)
    assert run_data.save(hasty, run_data.run("r2")) == 1


def test_disk_folder_is_made_for_the_first_run(small_data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "not" / "there", small_data)
    assert run_data.save(store, run_data.run("r1", 10.0)) == 1
    assert speeds(store) == [10.0]


def verdicts(store: Store) -> dict[str, str]:
    listed = store.runs()
    return dict(zip(listed["run_id"], listed["verdict"], strict=True))


def test_steady_run_that_another_of_its_setup_outran_by_more_than_5_percent_is_noisy(ready: Store) -> None:
    run_data.save(ready, run_data.run("a", 10.0), run_data.run("b", 10.4), run_data.run("c", 10.6))
    assert verdicts(ready) == {"a": "steady", "b": "steady", "c": "noisy"}
    told = ready.runs().set_index("run_id").loc["c", "verdict_reasons"]
    assert told == "Another steady run of this setup was 6 % faster: the machine was held back."
    rows = ready.query("speed_rows", device_ids=[HERE]).set_index("source_file")
    assert rows.loc["c", "note"] == f"noisy: {told}"
    ready.delete_runs(["a"])
    assert verdicts(ready) == {"b": "steady", "c": "steady"}


def test_runs_of_other_setups_versions_and_noisy_ones_outrun_nothing(ready: Store) -> None:
    old = {"environment": {"versions": {**run_data.VERSIONS, "torch": "2.9.0"}}}
    run_data.save(
        ready,
        run_data.run("a", 10.0),
        run_data.run("b", 5.0, layout="nhwc"),
        run_data.run("c", 5.0, reasons=("The times drifted.",)),
        run_data.run("d", 5.0, parts=old),
    )
    assert verdicts(ready) == {"a": "steady", "b": "steady", "c": "noisy", "d": "steady"}
