"""The store: built from data/, never half written, old ones open, newer and foreign ones are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from advisor.errors import DataError, StoreLocked, StoreTooNew, StoreUnusable
from advisor.evidence import schema
from advisor.evidence.statements import SQL
from advisor.evidence.store import Store
from tests.conftest import ROOT


def speed_row(**changes: object) -> pd.DataFrame:
    """One typed measured speed row."""
    text = dict.fromkeys(schema.COLUMNS["speed"], "") | {
        "source_id": "mine", "model": "resnet18", "architecture": "resnet18", "device_id": "my-box", "task": "infer",
        "runtime": "pytorch-eager", "batch_size": "1", "img_size": "224", "latency_ms": "7.5",
    } | {k: str(v) for k, v in changes.items()}  # fmt: skip
    frame, rejects = schema.typed("speed", pd.DataFrame([text]))
    assert not rejects
    return frame.assign(evidence="measured")


def test_first_use_builds_and_later_uses_do_not(small: Store) -> None:
    seen: list[float] = []
    assert small.ensure(lambda share, _what: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert not small.ensure()
    assert not Store(small.home, small.data).ensure()


def test_editing_a_data_file_rebuilds_and_shows_the_edit(small: Store) -> None:
    before = len(small.frame("speed_rows", device_ids=()))
    path = next((small.data / "published").glob("*.speed.csv"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    assert len(small.frame("speed_rows", device_ids=())) == before - 1


def test_touching_a_file_without_changing_it_does_not_rebuild(small: Store) -> None:
    small.ensure()
    path = next((small.data / "published").glob("*.csv"))
    os.utime(path, ns=(1, 1))
    assert not Store(small.home, small.data).ensure()


def test_a_broken_data_file_names_file_line_and_reason(small: Store) -> None:
    path = next((small.data / "published").glob("*.speed.csv"))
    lines = path.read_text(encoding="utf-8").splitlines()
    column = lines[0].split(",").index("latency_ms")
    lines.append(",".join("-3" if i == column else cell for i, cell in enumerate(lines[1].split(","))))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"{path.name} line {len(lines)}: .*latency_ms -3 is out of range"):
        small.ensure()


def test_no_data_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="check out the data folder"):
        Store(tmp_path / "home", tmp_path / "nothing").ensure()


def test_saved_rows_are_kept_across_a_rebuild_and_saving_twice_changes_nothing(small: Store) -> None:
    assert small.save("speed", speed_row()) == 1
    assert small.save("speed", speed_row()) == 0
    small.published_path.unlink()
    rows = Store(small.home, small.data).query("speed_rows", device_ids=["my-box"])
    assert rows["latency_ms"].tolist() == [7.5]
    assert rows["evidence"].tolist() == ["measured"]


def test_a_published_row_is_known_already(small: Store) -> None:
    rows = small.query("speed_rows", device_ids=["i7-12700h"])
    assert small.save("speed", rows) == 0


def test_a_device_known_only_from_own_results_is_listed(small: Store) -> None:
    small.save("speed", speed_row())
    mine = small.query("devices").set_index("device_id").loc["my-box"]
    assert (mine["kind"], mine["n_models"]) == ("own", 1)


def test_frames_change_when_something_is_saved(small: Store) -> None:
    assert small.frame("runs", device_id="my-box", task="infer").empty
    small.save("speed", speed_row())
    assert len(small.frame("runs", device_id="my-box", task="infer")) == 1


@pytest.mark.parametrize("step", range(len(list((SQL / "migrations").glob("*.sql")))))
def test_a_store_of_any_earlier_version_opens(small: Store, step: int) -> None:
    """Built by hand up to `step`, then used by this version."""
    small.ensure()
    with duckdb.connect(str(small.local_path)) as con:
        con.execute("CREATE TABLE migrations (step INTEGER PRIMARY KEY, name VARCHAR)")
        for number, path in enumerate(sorted((SQL / "migrations").glob("*.sql"))[:step], start=1):
            con.execute(path.read_text(encoding="utf-8"))
            con.execute("INSERT INTO migrations VALUES (?, ?)", [number, path.stem])
    assert len(small.query("sources")) > 0
    assert small.save("speed", speed_row()) == 1


def test_a_newer_store_is_refused_in_one_sentence(small: Store) -> None:
    small.save("speed", speed_row())
    with duckdb.connect(str(small.local_path)) as con:
        con.execute("INSERT INTO migrations VALUES (999, 'from the future')")
    with pytest.raises(StoreTooNew, match=r"newer version \(step 999.*ADVISOR_HOME"):
        small.query("sources")
    with pytest.raises(StoreTooNew):
        small.save("speed", speed_row(model="other"))


def test_a_foreign_file_as_own_store_is_refused_and_left_alone(small: Store) -> None:
    small.ensure()
    small.local_path.write_bytes(b"not a database at all, but something the user may want")
    with pytest.raises(StoreUnusable, match="not a store of this program"):
        small.query("sources")
    assert small.local_path.read_bytes().startswith(b"not a database")


def test_a_damaged_published_store_is_rebuilt(small: Store) -> None:
    small.ensure()
    small.published_path.write_bytes(b"garbage")
    assert len(Store(small.home, small.data).query("sources")) > 0


def test_a_store_held_by_another_process_is_named_after_a_bounded_wait(small: Store) -> None:
    small.save("speed", speed_row())
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            f"import duckdb, sys; con = duckdb.connect({str(small.local_path)!r}); print('held', flush=True); "
            "sys.stdin.read()",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(StoreLocked, match=rf"held by another process .*{holder.pid}"):
            Store(small.home, small.data, wait_s=0.2).query("sources")
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait(timeout=20)
    assert len(small.query("sources")) > 0


def test_two_processes_read_at_once(small: Store) -> None:
    small.save("speed", speed_row())
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from advisor.evidence.store import Store
        store = Store(Path({str(small.home)!r}), Path({str(small.data)!r}))
        with store._reading() as con:
            print(con.execute("SELECT count(*) FROM all_speed").fetchone()[0], flush=True)
            sys.stdin.read()
    """)
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with other:
        assert other.stdout is not None
        counted = int(other.stdout.readline())
        assert counted == len(small.query("speed_rows", device_ids=[]))
        assert other.stdin is not None
        other.stdin.close()


def test_a_home_that_cannot_be_made_is_one_sentence(small_data: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    with pytest.raises(StoreUnusable, match="ADVISOR_HOME"):
        Store(blocker / "home", small_data).ensure()


def test_a_kill_while_building_leaves_the_old_store(small: Store) -> None:
    """The child dies by SIGKILL in the middle of the build; the old file still answers."""
    small.ensure()
    before = small.published_path.read_bytes()
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from advisor.evidence.published import data_files
        from advisor.evidence.store import Store
        store = Store(Path({str(small.home)!r}), Path({str(small.data)!r}))
        files = data_files(store.data)
        def die(share, what):
            if share >= 0.65:
                os.kill(os.getpid(), signal.SIGKILL)
        store._build(files, {{"format": "x", "stamp": "x", "content_hash": "x"}}, die)
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -9
    assert small.published_path.read_bytes() == before
    assert len(small.query("sources")) > 0


def test_values_reach_sql_bound(small: Store) -> None:
    evil = "x'; DROP TABLE speed; --"
    assert small.query("runs", device_id=evil, task="infer").empty
    assert len(small.query("speed_rows", device_ids=[])) > 0


def test_test_networks_and_suspect_rows_never_reach_a_decision(small: Store) -> None:
    shown = small.query("speed_rows", device_ids=["i7-12700h"])
    decides = small.query("runs", device_id="i7-12700h", task="infer")
    assert shown["suspect"].any()
    assert not set(shown[shown["suspect"]]["row_id"]) & set(decides["row_id"])
    assert not small.query("scored")["architecture"].str.startswith("test_").any()


@pytest.mark.parametrize("lines", [1, 3, 4])
def test_every_row_reported_as_saved_survives_a_kill(small: Store, lines: int) -> None:
    """The child saves row after row, says so, and is killed while it works on the next one."""
    small.ensure()
    script = textwrap.dedent(f"""
        import itertools
        from pathlib import Path
        from advisor.evidence.store import Store
        from tests.test_store import speed_row
        store = Store(Path({str(small.home)!r}), Path({str(small.data)!r}))
        for i in itertools.count(1):
            store.save("speed", speed_row(latency_ms=i))
            print(i, flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        said = [int(child.stdout.readline()) for _ in range(lines)]
        child.kill()
    kept = small.query("speed_rows", device_ids=["my-box"])["latency_ms"].tolist()
    assert set(said) <= set(kept)
    assert len(kept) - len(said) in (0, 1)  # the row being worked on is there whole or not at all


@pytest.mark.parametrize("verb", ["build", "save"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(small: Store, verb: str) -> None:
    """A file size limit makes every write fail the way a full disk does."""
    if verb == "save":
        small.save("speed", speed_row())
    script = textwrap.dedent(f"""
        import resource, signal
        from pathlib import Path
        from advisor.errors import StoreUnusable
        from advisor.evidence.store import Store
        from tests.test_store import speed_row
        store = Store(Path({str(small.home)!r}), Path({str(small.data)!r}))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        try:
            store.ensure() if {verb!r} == "build" else store.save("speed", speed_row(latency_ms=99))
        except StoreUnusable as exc:
            print(exc)
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "free some space or set ADVISOR_HOME" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    rows = small.query("speed_rows", device_ids=["my-box"])
    assert rows["latency_ms"].tolist() == ([7.5] if verb == "save" else [])
    assert not list(small.home.glob("*.part"))


def test_garbled_refresh_pointer_and_empty_own_store_count_as_absent(small: Store) -> None:
    small.ensure()
    (small.home / "refreshed.txt").write_bytes(b"\xff\xfe garbage")
    small.local_path.touch()
    assert small.refreshed is None
    assert len(small.query("sources")) > 0
    assert small.save("speed", speed_row()) == 1


@pytest.mark.parametrize(("name", "column"), [("published/devices.csv", "kind"), ("catalogue.csv", "commercial")])
def test_small_table_without_a_column_is_named(small: Store, name: str, column: str) -> None:
    path = small.data / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(column, "other", 1), encoding="utf-8")
    with pytest.raises(DataError, match=f"{path.name} lacks the column '{column}'"):
        small.ensure()
