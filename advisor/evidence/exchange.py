"""Results as CSV or Parquet: out of the store, and back into it, validated row by row.

In CSV, text that a spreadsheet would run as a formula gets an apostrophe in front, which import takes off
again; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from advisor.errors import BadQuestion, ImportFailed, StoreUnusable, UnknownName, close_names
from advisor.evidence import schema
from advisor.evidence.catalogue import load_architectures
from advisor.evidence.schema import COLUMNS, REQUIRED, WHOLE_NUMBERS, Reject
from advisor.evidence.store import Store
from advisor.records import Evidence

KINDS = ("speed", "accuracy")

EVIDENCES: tuple[str, ...] = get_args(Evidence)
MAX_BYTES = 500_000_000  # everything that is published has 11 MB

# what a spreadsheet takes for a formula at the start of a cell (OWASP, "CSV injection")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_UNSOURCED = "evidence 'published' but not in data/published: import it as measured, or add it there with its source"
_PARQUET_MAGIC = b"PAR1"
_ZIP_MAGIC = b"PK\x03\x04"

_EXPECTED = "a results file is CSV (UTF-8, ',' between cells) or Parquet with a header like that of an export"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    path: Path
    kind: str
    n_rows: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of every row of a file.

    Attributes:
        n_rows: Rows below the header.
        n_new: Rows that were saved.
        n_known: Valid rows that the store already had, or that the file repeats.
        rejects: Rows that did not validate, by line; the header of a CSV file is line 1.
    """

    path: Path
    kind: str
    n_rows: int
    n_new: int
    n_known: int
    rejects: tuple[Reject, ...]


def export_results(
    store: Store,
    path: Path,
    *,
    kind: str = "speed",
    device_ids: Sequence[str] = (),
    evidence: Evidence | None = None,
) -> ExportReport:
    """Write results to `path`, as CSV or Parquet by its ending; an existing file is replaced.

    Args:
        device_ids: Only these devices; empty means all. For speed only.
        evidence: Only this kind of evidence; None means all.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise BadQuestion(f"The name of an export ends in .csv or .parquet, not '{path.name}'.")
    rows = results(store, kind=kind, device_ids=device_ids, evidence=evidence)
    content = as_csv(rows) if ending == ".csv" else as_parquet(rows)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise StoreUnusable(
            f"{path} cannot be written ({exc.strerror or exc}): choose another place or free some space."
        ) from exc
    return ExportReport(path, kind, len(rows))


def results(
    store: Store, *, kind: str = "speed", device_ids: Sequence[str] = (), evidence: Evidence | None = None
) -> pd.DataFrame:
    """Rows as they are exported: the columns of their kind and `evidence`, in the order of the store."""
    if kind not in KINDS:
        raise UnknownName("kind of results", kind, KINDS, hint="Known: speed, accuracy.")
    if evidence is not None and evidence not in EVIDENCES:
        raise UnknownName("kind of evidence", evidence, EVIDENCES, hint=f"Known: {', '.join(EVIDENCES)}.")
    if kind == "accuracy" and device_ids:
        raise BadQuestion("An accuracy has no device: export accuracies without naming devices.")
    if kind == "speed":
        known = store.frame("devices")["device_id"]
        for device_id in sorted(set(device_ids) - set(known)):
            raise UnknownName("device", device_id, known)
        rows = store.query("speed_rows", device_ids=list(device_ids))
    else:
        rows = store.frame("accuracy_rows")
    if evidence is not None:
        rows = rows[rows["evidence"] == evidence]
    return rows[[*COLUMNS[kind], "evidence"]].reset_index(drop=True)


def as_csv(frame: pd.DataFrame) -> bytes:
    """A table as CSV in UTF-8, safe to open in a spreadsheet; whole numbers are written without a point."""
    shown = frame.copy()
    for column in shown.columns:
        values = shown[column]
        if column in WHOLE_NUMBERS:
            shown[column] = values.astype("Int64")
        elif column == "suspect" and values.dtype == bool:
            shown[column] = values.map({True: "yes", False: ""})
        elif not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
            shown[column] = [_defused(value) for value in values]
    return str(shown.to_csv(index=False, lineterminator="\n")).encode("utf-8")


def as_parquet(frame: pd.DataFrame) -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, engine="pyarrow")
    return buffer.getvalue()


def _defused(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _as_meant(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def import_results(store: Store, path: Path, *, evidence_default: Evidence = "measured") -> ImportReport:
    """Save the valid rows of a CSV or Parquet file in one transaction, and list the others.

    Args:
        evidence_default: What the rows are where the file has no column `evidence`.

    Raises:
        ImportFailed: The file cannot be read at all, or is no results file.
    """
    table = _read(path)
    lines, text = table.lines, table.text
    kind = _kind(path, text)
    if not len(text) and not table.rejects:
        raise ImportFailed(f"{path.name} has a header but no rows: {_EXPECTED}.")
    if "evidence" not in text:
        text["evidence"] = evidence_default
    if "architecture" not in text:  # a plain list of models: the model is then timm's own name
        text["architecture"] = [model.partition(".")[0] for model in text["model"]]
        text["tag"] = [model.partition(".")[2] for model in text["model"]]
    for column in COLUMNS[kind]:
        if column not in text:
            text[column] = ""
    frame, rejects = schema.typed(kind, text)
    positions = frame.pop("line").to_numpy() - 2
    frame["evidence"] = text["evidence"].to_numpy()[positions]
    reasons = _reasons(store, kind, frame)
    refused = [*table.rejects, *(Reject(lines[reject.line - 2], reject.reason) for reject in rejects)]
    refused += [Reject(lines[p], reason) for p, reason in zip(positions, reasons, strict=True) if reason]
    valid = frame[[not reason for reason in reasons]].reset_index(drop=True)
    n_new = store.save(kind, valid) if len(valid) else 0
    refused.sort(key=lambda reject: reject.line)
    n_rows = len(text) + len(table.rejects)
    return ImportReport(path, kind, n_rows, n_new, len(valid) - n_new, tuple(refused))


def _reasons(store: Store, kind: str, frame: pd.DataFrame) -> list[str]:
    """Why each typed row cannot be saved all the same; empty text where it can."""
    catalogue = store.frame("catalogue")
    weights = set(catalogue["weights"])
    architectures = set(catalogue["architecture"])
    # published rows also name architectures without weights; an export of them must come back in
    for name in ("speed_rows", "accuracy_rows"):
        rows = store.frame(name, device_ids=()) if name == "speed_rows" else store.frame(name)
        rows = rows[rows["evidence"] == "published"]
        architectures |= set(rows["architecture"])
        weights |= {f"{a}.{t}" for a, t in set(zip(rows["architecture"], rows["tag"], strict=True)) if t}
    listed = store.data / "architectures.csv"
    if listed.exists():  # any architecture of timm can be measured, with published weights or without
        architectures |= {one.architecture for one in load_architectures(listed)}
    checked: dict[tuple[str, str, str], str] = {}
    found = []
    shipped = store.shipped(kind, frame)
    for *row, known in zip(frame["architecture"], frame["tag"], frame["evidence"], shipped, strict=True):
        names = (str(row[0]), str(row[1]), str(row[2]))
        if names not in checked:
            checked[names] = _reason(*names, architectures=architectures, weights=weights)
        found.append(checked[names] or (_UNSOURCED if names[2] == "published" and not known else ""))
    return found


def _reason(architecture: str, tag: str, evidence: str, *, architectures: set[str], weights: set[str]) -> str:
    if evidence not in EVIDENCES:
        return f"evidence '{evidence}' is neither {' nor '.join(EVIDENCES)}"
    if evidence == "predicted":
        return "predicted results are not imported: a results file has no place for their interval"
    name = f"{architecture}.{tag}" if tag else architecture
    if (name in weights) if tag else (not name or name in architectures):
        return ""
    if architecture in architectures:
        offer = close_names(name, [w for w in weights if w.startswith(f"{architecture}.")])
    else:
        offer = close_names(architecture, architectures)
    what = "weights" if tag else "architecture"
    return f"{what} '{name}' is not in timm's catalogue" + (f"; close names: {', '.join(offer)}" if offer else "")


def _kind(path: Path, text: pd.DataFrame) -> str:
    """The kind whose columns the file has; ImportFailed if it is no kind that can be imported."""
    fitting = max(COLUMNS, key=lambda kind: len(set(COLUMNS[kind]) & set(text.columns)))
    if fitting not in KINDS:
        raise ImportFailed(f"{path.name} holds {fitting} rows: only speed and accuracy results can be imported.")
    kind = fitting
    lacking = [column for column in REQUIRED[kind] if column not in text]
    if lacking:
        raise ImportFailed(
            f"{path.name} lacks the column '{lacking[0]}': a file of {kind} results needs the columns "
            f"{', '.join(REQUIRED[kind])}."
        )
    columns = list(text.columns)
    if repeated := [column for column in (*COLUMNS[kind], "evidence") if columns.count(column) > 1]:
        raise ImportFailed(f"{path.name} has the column '{repeated[0]}' twice: remove one of them.")
    return kind


@dataclass(frozen=True, slots=True)
class _Table:
    """A file as text: its rows with their lines, and the rows that do not fit the header."""

    lines: list[int]
    text: pd.DataFrame
    rejects: tuple[Reject, ...] = ()


def _read(path: Path) -> _Table:
    """The rows of a file; ImportFailed if it is not a table of either format."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ImportFailed(f"{path.name} has {size / 1e6:,.0f} MB: import at most {MAX_BYTES / 1e6:,.0f} MB.")
        content = path.read_bytes()
    except OSError as exc:
        raise ImportFailed(f"{path} cannot be read ({exc.strerror or exc}): check the name and the rights.") from exc
    if not content.strip():
        raise ImportFailed(f"{path.name} is empty: {_EXPECTED}.")
    if content.startswith(_PARQUET_MAGIC):
        table = _from_parquet(path, content)
    elif content.startswith(_ZIP_MAGIC):
        raise ImportFailed(f"{path.name} is a spreadsheet or an archive: save the table as CSV (UTF-8) first.")
    elif path.suffix.lower() == ".parquet":
        raise ImportFailed(f"{path.name} is no whole Parquet file, whatever its name says: export it again.")
    else:
        table = _from_csv(path, content)
    return table


def _from_csv(path: Path, content: bytes) -> _Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ImportFailed(f"{path.name} is not UTF-8 text: {_EXPECTED}.") from exc
    if "\0" in text:
        raise ImportFailed(f"{path.name} is a binary file: {_EXPECTED}.")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    start = 1  # a row's line is that of its first cell, as a text editor shows it
    try:
        for cells in reader:
            if cells:
                rows.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as exc:
        raise ImportFailed(f"{path.name} line {reader.line_num} is not CSV ({exc}): {_EXPECTED}.") from exc
    header = [name.strip() for name in rows[0][1]]
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])):
        named = "a tab" if other[0] == "\t" else f"'{other[0]}'"
        raise ImportFailed(
            f"{path.name} has {named} between its cells: save it again with ',' between cells and '.' in numbers."
        )
    whole = [(line, cells) for line, cells in rows[1:] if len(cells) == len(header)]
    rejects = tuple(
        Reject(line, f"{len(cells)} cells instead of {len(header)}")
        for line, cells in rows[1:]
        if len(cells) != len(header)
    )
    meant = [[_as_meant(cell) for cell in cells] for _, cells in whole]
    return _Table([line for line, _ in whole], pd.DataFrame(meant, columns=header, dtype=object), rejects)


def _from_parquet(path: Path, content: bytes) -> _Table:
    try:
        table = pq.read_table(pa.BufferReader(content))
        columns = {field.name: [_text(value) for value in table[i].to_pylist()] for i, field in enumerate(table.schema)}
    except (pa.ArrowException, OSError, ValueError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        raise ImportFailed(f"{path.name} is no whole Parquet file ({reason}): export it again.") from exc
    frame = pd.DataFrame(columns, dtype=object)
    return _Table(list(range(2, len(frame) + 2)), frame)


def _text(value: object) -> str:
    """A Parquet cell as the same text that a CSV export has in its place."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value)
