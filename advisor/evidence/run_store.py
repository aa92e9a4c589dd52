"""Statements about runs, sweeps, machines and roofs, each on a connection inside a transaction of the store.

Runs come as plain values, in the shape that `measure.lines` gives them; nothing here knows how they were measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import pandas as pd

from advisor.errors import UnknownName
from advisor.evidence import statements
from advisor.evidence.schema import COLUMNS

_SWEEP = ("sweep_id", "job_id", "sentinel", "before_ms", "after_ms")
_ROOF = ("precision", "threads", "macs_per_s", "bytes_per_s")


class Connection(Protocol):
    """As much of a DuckDB connection as these statements use."""

    def execute(self, query: str, parameters: Any = ..., /) -> Any:
        """Run a statement with bound values."""

    def register(self, view_name: str, python_object: object, /) -> Any:
        """Make a frame known by a name."""


def save_run(
    con: Connection,
    values: Mapping[str, Any],
    times_ms: Sequence[float],
    rows: pd.DataFrame,
    machine: Mapping[str, Any] | None,
) -> bool:
    """Add a run, its speed rows, and its machine where that is new.

    Args:
        values: The run as plain values (`measure.lines.plain` of a `Run`); the raw times of its latency may stand
            in it, but only `times_ms` is stored.
        times_ms: The raw times of the latency, empty where nothing was timed.
        rows: Typed speed rows with `evidence`; none where the run failed.
        machine: `device_id`, `name`, `kind`, `vendor`, `memory_gb` and `details`; None where it is not there.

    Returns:
        False where a run of that id is there already; nothing is changed then.
    """
    if con.execute("SELECT 1 FROM run WHERE run_id = ?", [values["run_id"]]).fetchone():
        return False
    row = _run_row(values, times_ms)
    _insert(con, "run", row)
    names = ("device_id", "name", "kind", "vendor", "memory_gb")
    if machine is not None:
        _insert(con, "machine", {**{n: machine[n] for n in names}, "details": _json(machine["details"])})
    if len(rows):
        columns = ", ".join((*COLUMNS["speed"], "evidence"))
        con.register("incoming", rows)
        con.execute(
            f"INSERT OR IGNORE INTO speed ({columns}, row_key) "
            f"SELECT DISTINCT {columns}, {statements.row_key('speed')} FROM incoming"
        )
    return True


def _run_row(values: Mapping[str, Any], times_ms: Sequence[float]) -> dict[str, Any]:
    """The columns of the table `run`: what was really run, or what was asked for where nothing ran."""
    request, measured = values["request"], values.get("measured")
    really = measured or {**request, "precision_used": request["precision"], "latency": {}}
    latency = really["latency"]
    low, high = latency.get("ci95") or (None, None)
    kept = {**values, "measured": measured and {**measured, "latency": {**latency, "times_ms": []}}}
    return {
        **{name: values[name] for name in ("run_id", "job_id", "sweep_id", "status", "reason", "device_id")},
        **{name: request[name] for name in ("architecture", "target", "runtime", "layout", "batch_size")},
        "started_at": _utc(values["started_at"]), "seconds": values["seconds"], "request_key": request_key(request),
        "verdict": values["verdict"], "verdict_reasons": " ".join(values["verdict_reasons"]),
        "precision": really["precision_used"], "img_size": really["img_size"], "threads": really["threads"],
        "p50_ms": latency.get("p50"), "p90_ms": latency.get("p90"), "ci95_low_ms": low, "ci95_high_ms": high,
        "request": _json(request), "content": _json(kept), "times_ms": [float(t) for t in times_ms],
    }  # fmt: skip


def request_key(request: Mapping[str, Any]) -> str:
    """The key of a request in plain values, equal to `Request.key`: it finds what a sweep has measured already."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]


def _insert(con: Connection, table: str, row: Mapping[str, Any]) -> None:
    """Add a row unless one of the same key is there; names of tables and columns are ours, values are bound."""
    con.execute(
        f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values())
    )


def _json(value: Any) -> str:
    """As JSON; NaN, which JSON lacks and `measure.lines.plain` makes null, is an error."""
    return json.dumps(value, allow_nan=False)


def _utc(text: str) -> datetime:
    """An ISO 8601 time as UTC without a zone, which is how the store keeps times."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def mark(con: Connection, run_ids: Sequence[str], event: Literal["deleted", "restored"]) -> int:
    """Add an event to each run whose last event is another one; how many there were.

    Raises:
        UnknownName: No run of one of those ids; then none of them is marked.
    """
    known = dict(con.execute(
        "SELECT r.run_id, coalesce((SELECT arg_max(event, number) FROM run_event e WHERE e.run_id = r.run_id), "
        "'restored') FROM run r"
    ).fetchall())  # fmt: skip
    for run_id in run_ids:
        if run_id not in known:
            raise _unknown_run(run_id, known)
    changing = [run_id for run_id in dict.fromkeys(run_ids) if known[run_id] != event]
    for run_id in changing:
        con.execute("INSERT INTO run_event (run_id, event) VALUES (?, ?)", [run_id, event])
    return len(changing)


def save_sweep(con: Connection, values: Mapping[str, Any]) -> float | None:
    """Add what the sentinel said about a job of a sweep; saving the same job again changes nothing.

    Args:
        values: `sweep_id`, `job_id`, `sentinel` (its architecture), `before_ms` and `after_ms` (its latency, None
            where it failed).

    Returns:
        How far the two times are apart, |after / before - 1|; None where one is not known.
    """
    before, after = values["before_ms"], values["after_ms"]
    drift = abs(after / before - 1) if before and after else None
    _insert(con, "sweep", {**{n: values[n] for n in _SWEEP}, "drift": drift})
    return drift


def save_roofs(con: Connection, device_id: str, roofs: Iterable[Mapping[str, Any]]) -> None:
    """Add roofs of a device; older ones stay."""
    for roof in roofs:
        _insert(con, "roof", {"device_id": device_id, **{n: roof[n] for n in _ROOF}})


def content(found: pd.DataFrame, run_id: str, known: Callable[[], Iterable[str]]) -> dict[str, Any]:
    """The values of a run from the row of the query `run_content`, raw times in their place.

    Args:
        known: Gives all run ids, for the error.

    Raises:
        UnknownName: There is no row.
    """
    if found.empty:
        raise _unknown_run(run_id, known())
    values: dict[str, Any] = json.loads(found["content"].iloc[0])
    if values["measured"] is not None:
        values["measured"]["latency"]["times_ms"] = [float(t) for t in found["times_ms"].iloc[0]]
    return values


def _unknown_run(run_id: str, known: Iterable[str]) -> UnknownName:
    return UnknownName("run", run_id, known, hint="List them with 'python -m advisor runs'.")
