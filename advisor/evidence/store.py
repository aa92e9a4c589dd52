"""The DuckDB store: one file that can be rebuilt from data/, one that holds the user's own results.

The only module that imports duckdb. A DuckDB file open for writing locks out every other process, so each
method opens, does one thing and closes; a lock is waited for a bounded time, then the holder is named.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pandas as pd
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from advisor.errors import StoreError, StoreLocked, StoreTooNew, StoreUnusable
from advisor.evidence import published, run_store, statements
from advisor.evidence.schema import COLUMNS

FORMAT = "1"  # of the published store; a change rebuilds it
_LOCK_POLL_S = 0.05
_FRAMES_KEPT = 64
T = TypeVar("T")

# DuckDB refuses one file open both read-only and read-write in one process, so threads take turns.
_turn = threading.RLock()


class Store:
    """The evidence of one user: `home` holds the two files, `data` the published results.

    Args:
        home: Folder of `published.duckdb` (rebuilt at will) and `local.duckdb` (the user's own).
        data: The project's data folder.
        wait_s: How long to wait for another process that holds a file.
    """

    def __init__(self, home: Path, data: Path, *, wait_s: float = 5.0) -> None:
        self.home = home
        self.data = data
        self.wait_s = wait_s
        self._ensured: str | None = None  # the stamp of data/ that the published store was last seen to match
        self._frames: OrderedDict[tuple[Any, ...], pd.DataFrame] = OrderedDict()

    @property
    def published_path(self) -> Path:
        """The store that can be rebuilt."""
        return self.home / "published.duckdb"

    @property
    def local_path(self) -> Path:
        """The store that cannot be rebuilt."""
        return self.home / "local.duckdb"

    @property
    def refreshed(self) -> Path | None:
        """The folder of newer upstream tables in use; None where no refresh ran since data/ came with these."""
        pointer = self.home / "refreshed.txt"
        try:
            if not pointer.is_file():
                return None
            folder, _, mark = pointer.read_text(encoding="utf-8").partition("\n")
        except UnicodeDecodeError:
            return None  # no refresh wrote this
        except (OSError, ValueError) as exc:
            raise _unusable(self.home, exc) from exc
        return self.home / folder if mark.strip() == published.shipped_mark(self.data) else None

    def ensure(self, progress: published.Progress = lambda _share, _what: None) -> bool:
        """Build the published store if it is missing or older than data/; True when it was built."""
        with _turn:
            files = published.data_files(self.data, self.refreshed)
            stamp = published.stamp(files)
            if stamp == self._ensured and self.published_path.exists():
                return False
            known = self._meta()
            if known.get("format") == FORMAT and known.get("stamp") == stamp:
                self._ensured = stamp
                return False
            digest = published.content_hash(files)
            if known.get("format") == FORMAT and known.get("content_hash") == digest:
                # without write access the content is compared again next time, which costs 20 ms
                with _ignored(StoreUnusable), self._connection(self.published_path, read_only=False) as con:
                    con.execute("UPDATE meta SET value = ? WHERE key = 'stamp'", [stamp])
                self._ensured = stamp
                return False
            self._build(files, {"format": FORMAT, "stamp": stamp, "content_hash": digest}, progress)
            self._ensured = stamp
            progress(1.0, "Published results ready")
            return True

    def version(self) -> str:
        """A key that changes whenever any result changes: for caches of what was read."""
        files = published.data_files(self.data, self.refreshed)
        # a writer killed before it closed leaves what it committed in the log beside the file
        own = [p.stat() for p in (self.local_path, self.local_path.with_suffix(".duckdb.wal")) if p.exists()]
        return published.stamp(files) + "".join(f"-{s.st_size}-{s.st_mtime_ns}" for s in own)

    def published_hash(self) -> str:
        """A key that changes whenever any published result changes, the same on every machine."""
        return published.content_hash(published.data_files(self.data, self.refreshed))

    def query(self, name: str, **values: Any) -> pd.DataFrame:
        """The result of a named query of `sql/queries.sql`; values are bound, never formatted in."""
        statement = statements.queries()[name]
        with self._reading() as con:
            found = con.execute(statement, values or None).df()
        # plain objects: Arrow-backed text makes every row selection of a wide frame several times slower
        return found.astype({c: object for c in found.columns if isinstance(found[c].dtype, pd.StringDtype)})

    def frame(self, name: str, **values: Hashable) -> pd.DataFrame:
        """As `query`, but kept in memory until any result changes; callers must not modify it."""
        key = (self.version(), name, *sorted(values.items()))
        with _turn:
            if key not in self._frames:
                self._frames[key] = self.query(name, **values)
                while len(self._frames) > _FRAMES_KEPT:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(key)
            return self._frames[key]

    def save(self, kind: str, rows: pd.DataFrame) -> int:
        """Add typed rows of `kind` ('speed' or 'accuracy') with an `evidence` column to the user's own store.

        One transaction; rows that the store already has, published ones included, are skipped.

        Returns:
            How many rows were new.
        """
        columns = ", ".join((*COLUMNS[kind], "evidence"))
        key = statements.row_key(kind)
        self.ensure()
        with self._writing() as con:
            con.execute(f"ATTACH '{_quoted(self.published_path)}' AS shipped (READ_ONLY)")
            con.register("incoming", rows)
            before = _count(con, kind)
            con.execute(
                f"INSERT OR IGNORE INTO {kind} ({columns}, row_key) SELECT DISTINCT {columns}, {key} FROM incoming "
                f"WHERE {key} NOT IN (SELECT row_key FROM shipped.{kind}) "
                "AND (source_id <> 'own-measurement' OR source_file NOT IN (SELECT run_id FROM run))"
            )
            return _count(con, kind) - before

    def save_run(
        self,
        values: Mapping[str, Any],
        times_ms: Sequence[float],
        rows: pd.DataFrame,
        machine: Mapping[str, Any] | None,
    ) -> bool:
        """Save a finished run with its speed rows and its machine, see `run_store.save_run`; False if it is known."""
        with self._writing() as con:
            return run_store.save_run(con, values, times_ms, rows, machine)

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Mark runs as deleted, so that their speeds leave every answer; how many were not already."""
        with self._writing() as con:
            return run_store.mark(con, run_ids, "deleted")

    def restore_runs(self, run_ids: Sequence[str]) -> int:
        """Undo `delete_runs`; how many had been deleted."""
        with self._writing() as con:
            return run_store.mark(con, run_ids, "restored")

    def save_sweep(self, values: Mapping[str, Any]) -> float | None:
        """Save the sentinel's times of a finished sweep, see `run_store.save_sweep`; its drift."""
        with self._writing() as con:
            return run_store.save_sweep(con, values)

    def save_roofs(self, device_id: str, roofs: Sequence[Mapping[str, Any]]) -> None:
        """Save what a device can do: `precision`, `threads`, `macs_per_s`, `bytes_per_s` of each roof."""
        with self._writing() as con:
            run_store.save_roofs(con, device_id, roofs)

    def roofs(self, device_id: str) -> pd.DataFrame:
        """The newest roof of each precision and number of threads of a device."""
        return self.query("roofs", device_id=device_id)

    def runs(self, *, with_deleted: bool = False) -> pd.DataFrame:
        """Every run with its setup, figures and verdict, newest first; as `frame` gives the query `own_runs`."""
        return self.frame("own_runs", with_deleted=with_deleted)

    def run_content(self, run_id: str) -> dict[str, Any]:
        """The values that `save_run` was given, raw times in their place; UnknownName if there is no such run."""
        found = self.query("run_content", run_id=run_id)
        return run_store.content(found, run_id, lambda: self.runs(with_deleted=True)["run_id"])

    def shipped(self, kind: str, rows: pd.DataFrame) -> list[bool]:
        """Which typed rows, `evidence` included, stand in the published store to the letter."""
        with self._reading() as con:
            con.register("incoming", rows.assign(place=range(len(rows))))
            found = con.execute(
                f"SELECT {statements.row_key(kind)} IN (SELECT row_key FROM {kind}) FROM incoming ORDER BY place"
            ).fetchall()
        return [bool(row[0]) for row in found]

    def migrate(self) -> None:
        """Bring the user's own store to this version; a step and its record commit together."""
        with self._writing():
            pass

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction on the user's own store, brought to this version first; an error leaves it as it was."""
        self._make_home()
        with _turn, self._connection(self.local_path, read_only=False) as con:
            con.execute("CREATE TABLE IF NOT EXISTS migrations (step INTEGER PRIMARY KEY, name VARCHAR)")
            done = {row[0] for row in con.execute("SELECT step FROM migrations").fetchall()}
            self._refuse_newer(done)
            for number, (name, text) in enumerate(statements.migrations(), start=1):
                if number not in done:
                    con.execute("BEGIN")
                    con.execute(text)
                    con.execute("INSERT INTO migrations VALUES (?, ?)", [number, name])
                    con.execute("COMMIT")
            con.execute("BEGIN")
            yield con
            con.execute("COMMIT")

    def _refuse_newer(self, done: set[int]) -> None:
        known = len(statements.migrations())
        if done and max(done) > known:
            raise StoreTooNew(
                f"{self.local_path} was written by a newer version (step {max(done)}, this one knows {known}): "
                "update the advisor, or set ADVISOR_HOME to another folder."
            )

    def _make_home(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise _unusable(self.home, exc) from exc

    def _meta(self) -> dict[str, str]:
        if not self.published_path.exists():
            return {}
        try:
            with self._connection(self.published_path, read_only=True) as con:
                return dict(con.execute("SELECT key, value FROM meta").fetchall())
        except StoreLocked:
            raise
        except (StoreError, duckdb.Error):
            return {}  # damaged or of another DuckDB: it is rebuilt from data/

    def _build(self, files: list[Path], meta: Mapping[str, str], progress: published.Progress) -> None:
        tables = published.read_tables(files, progress)
        part = self.published_path.with_suffix(f".{os.getpid()}.part")
        progress(0.65, "Building the published store")
        try:
            self._make_home()
            part.unlink(missing_ok=True)
            with self._connection(part, read_only=False) as con:
                for name, frame in tables.items():
                    con.register(f"raw_{name}", frame)
                for name in ("claims", "near_timm"):
                    if name not in tables:
                        con.register(f"raw_{name}", pd.DataFrame({"source_id": pd.Series(dtype=str)}))
                con.execute(statements.filled("published.sql"))
                con.register("raw_meta", pd.DataFrame({"key": list(meta), "value": list(meta.values())}))
                con.execute("CREATE TABLE meta AS SELECT * FROM raw_meta")
                con.execute("CHECKPOINT")  # closing would do it too, but hide a full disk
            part.replace(self.published_path)
        except OSError as exc:
            raise _unusable(self.home, exc) from exc
        finally:
            with _ignored(OSError):
                part.unlink(missing_ok=True)

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with _turn:
            self.ensure()
            with self._connection(self.published_path, read_only=True) as con:
                if self.local_path.exists() and self.local_path.stat().st_size > 0:
                    self._attach_own(con)
                else:
                    _attach_empty(con)
                con.execute(statements.filled("views.sql"))
                yield con

    def _attach_own(self, con: duckdb.DuckDBPyConnection) -> None:
        def attach() -> None:
            con.execute(f"ATTACH '{_quoted(self.local_path)}' AS own (READ_ONLY)")

        self._patiently(self.local_path, attach)
        try:
            done = {row[0] for row in con.execute("SELECT step FROM own.migrations").fetchall()}
        except duckdb.CatalogException as exc:
            raise _damaged(self.local_path, exc) from exc
        self._refuse_newer(done)
        if len(done) < len(statements.migrations()):
            con.execute("DETACH own")
            self.migrate()
            self._patiently(self.local_path, attach)

    @contextmanager
    def _connection(self, path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        with _turn:
            if not read_only and path.exists() and not path.stat().st_size:
                path.unlink()  # left by a kill between creating and filling it
            con = self._patiently(path, lambda: duckdb.connect(str(path), read_only=read_only))
            try:
                yield con
            except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException) as exc:
                raise _unusable(path, exc) from exc
            finally:
                con.close()

    def _patiently(self, path: Path, action: Callable[[], T]) -> T:
        """Run `action`, waiting while another process holds the file; DuckDB's errors become ours."""
        try:
            for attempt in Retrying(
                retry=retry_if_exception(_is_lock), wait=wait_fixed(_LOCK_POLL_S),
                stop=stop_after_delay(self.wait_s), reraise=True,
            ):  # fmt: skip
                with attempt:
                    return action()
        except duckdb.Error as exc:
            if _is_lock(exc):
                raise StoreLocked(
                    f"{path.name} is held by another process ({_holder(exc)}) and was not free within "
                    f"{self.wait_s:g} s: close it or try again."
                ) from exc
            raise _damaged(path, exc) from exc
        except RuntimeError as exc:  # a path that DuckDB cannot spell
            raise _unusable(path, exc) from exc
        raise AssertionError("unreachable: the last attempt returns or raises")


def _is_lock(exc: BaseException) -> bool:
    return isinstance(exc, duckdb.IOException) and "lock" in str(exc).lower()


def _holder(exc: BaseException) -> str:
    found = re.search(r"held in ([^(]*\(PID \d+\))", str(exc)) or re.search(r"PID \d+", str(exc))
    return found.group(found.lastindex or 0) if found else "unknown process"


def _damaged(path: Path, exc: BaseException) -> StoreError:
    text = str(exc)
    if "version number" in text or "newer version" in text:
        return StoreTooNew(
            f"{path} was written by a newer DuckDB: update with 'pip install -r requirements.txt', or set "
            "ADVISOR_HOME to another folder."
        )
    if "not a valid DuckDB" in text or isinstance(exc, duckdb.CatalogException):
        return StoreUnusable(
            f"{path} is not a store of this program: move it away, or set ADVISOR_HOME to another folder."
        )
    return _unusable(path, exc)


def _unusable(path: Path, exc: BaseException) -> StoreUnusable:
    return StoreUnusable(
        f"{path} cannot be written ({exc}): free some space or set ADVISOR_HOME to a folder that can be written."
    )


@contextmanager
def _ignored(kind: type[BaseException]) -> Iterator[None]:
    try:
        yield
    except kind:
        return


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _attach_empty(con: duckdb.DuckDBPyConnection) -> None:
    """An empty store in memory in the place of the user's own, so that every query runs without one."""
    before = con.execute("SELECT current_database()").fetchone()
    con.execute("ATTACH ':memory:' AS own (READ_WRITE)")
    con.execute("USE own")
    for _, text in statements.migrations():
        con.execute(text)
    con.execute(f'USE "{before[0] if before else ""}"')


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0
