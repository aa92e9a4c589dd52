"""Turns a folder of transcribed figures into the tidy files of data/published, with an account of every row.

    python -m advisor.evidence.transcribe FOLDER

FOLDER holds `speed/`, `accuracy/`, `complexity/` and `training_cost/` with one CSV a source, and
`models.csv`, `hardware.csv`, `claims.csv`, `near_timm.csv`. Values are copied as printed; what was packed
into notes and runtime names (software version, threads, compute unit) gets columns of its own.
`import-report.csv` then says for every source file how many rows came in and why the others did not.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor.evidence.schema import COLUMNS

REPORT_COLUMNS = ("file", "rows_in_source", "imported", "left_out", "reason", "sha256")
DEVICE_COLUMNS = ("device_id", "name", "kind", "vendor", "memory_gb", "accelerators", "notes")

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one source file's rows."""

    file: str
    rows_in_source: int
    imported: int
    left_out: dict[str, int]
    sha256: str

    def as_row(self) -> tuple[str | int, ...]:
        """The line of the report."""
        reason = "; ".join(f"{count} {why}" for why, count in sorted(self.left_out.items()))
        return (
            self.file,
            self.rows_in_source,
            self.imported,
            sum(self.left_out.values()),
            reason,
            self.sha256,
        )


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str | int]]) -> str:
    """Write a CSV file and return the SHA-256 of its bytes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def common_columns(source: Row) -> Row:
    """The columns every kind shares; internal file names of pasted texts become 'text'."""
    architecture, _, tag = source["timm_model"].partition(".")
    source_file = "text" if re.fullmatch(r"\d{3}_[0-9a-f]+\.txt", source["source_file"]) else source["source_file"]
    suspect = "yes" if re.search(r"suspect|implausible", source["note"], re.IGNORECASE) else ""
    return {
        **source,
        "source_file": source_file,
        "architecture": architecture,
        "tag": tag,
        "suspect": suspect,
    }


def speed_columns(source: Row) -> Row:
    """A speed row with device, software, threads and compute unit in columns of their own."""
    runtime, _, version = source["runtime"].partition("@")
    note = source["note"]
    threads = re.search(r"\bthreads=(\d+)", note) or re.search(r"-t(\d+)\b", runtime)
    unit = re.search(r"\bunit=(\w+)", note)
    return {
        **common_columns(source),
        "device_id": source["hardware_id"],
        "runtime": runtime,
        "software": software_of(note, runtime, version),
        "threads": threads.group(1) if threads else "",
        "unit": unit.group(1) if unit else "",
        "throughput_per_s": source["samples_per_sec"],
    }


def software_of(note: str, runtime: str, version: str) -> str:
    """The software versions that a note or a runtime's `@version` states, like 'torch 2.4.0, CUDA 12.4'."""
    torch = re.search(r"\bpt=([\w.]+)", note)
    found = [f"torch {torch.group(1)}"] if torch else []
    if not torch and version:
        found.append(f"torch {version}" if runtime.startswith("pytorch") else version)
    for pattern, name in ((r"\bcu=([\w.]+)", "CUDA"), (r"\bqairt=([\w.]+)", "QAIRT")):
        found += [f"{name} {stated}" for stated in re.findall(pattern, note)[:1]]
    for pattern in (r"NGC container [\w.-]+", r"TensorRT \d[\w.]*"):
        found += re.findall(pattern, note)[:1]
    return ", ".join(found)


def tidy(kind: str, source: Row) -> tuple[str, ...]:
    """One source row in the columns of its kind."""
    row = speed_columns(source) if kind == "speed" else common_columns(source)
    row.setdefault("device_id", source.get("hardware_id", ""))
    return tuple(row[column] for column in COLUMNS[kind])


def transcribe_results(folder: Path, out: Path) -> Iterator[Account]:
    """Write one `<source>.<kind>.csv` for every source file; exact repetitions are left out and counted."""
    for kind in COLUMNS:
        for path in sorted((folder / kind).glob("*.csv")):
            yield _write(out, f"{path.stem}.{kind}.csv", kind, read_rows(path))
    yield _write(out, "timm-benchmark.complexity.csv", "complexity", timm_complexity(folder))


def _write(out: Path, name: str, kind: str, source_rows: list[Row]) -> Account:
    tidied = [tidy(kind, row) for row in source_rows]
    kept = list(dict.fromkeys(tidied))
    left_out = {"repeat a row above letter for letter": len(tidied) - len(kept)} if len(kept) < len(tidied) else {}
    digest = write_rows(out / name, COLUMNS[kind], kept)
    return Account(name, len(source_rows), len(kept), left_out, digest)


def timm_complexity(folder: Path) -> list[Row]:
    """MACs and activations of timm's own benchmark tables, which `models.csv` carries per weights."""
    return [
        {
            "source_id": "timm-benchmark",
            "source_file": "results/benchmark-*.csv",
            "model": model["architecture"],
            "timm_model": model["architecture"],
            "metric": metric,
            "value": model[column],
            "unit": unit,
            "img_size": model["native_img_size"],
            "note": "",
        }
        for model in read_rows(folder / "models.csv")
        for column, metric, unit in (("gmacs", "gmacs", "G"), ("macts_m", "acts_m", "M"))
        if model[column]
    ]


def transcribe_devices(folder: Path, out: Path) -> Account:
    """Write `devices.csv`; '8x-...' devices say how many accelerators they sum over."""
    rows = []
    source_rows = read_rows(folder / "hardware.csv")
    for row in source_rows:
        several = re.match(r"(\d+)x-", row["hardware_id"])
        accelerators = several.group(1) if several else "1"
        rows.append((row["hardware_id"], *(row[c] for c in DEVICE_COLUMNS[1:5]), accelerators, row["notes"]))
    digest = write_rows(out / "devices.csv", DEVICE_COLUMNS, rows)
    return Account("devices.csv", len(source_rows), len(rows), {}, digest)


def transcribe_table(folder: Path, out: Path, name: str) -> Account:
    """Copy a small table whose columns are already those wanted."""
    source_rows = read_rows(folder / name)
    tidied = [{**r, "source_file": "text"} if re.match(r"\d{3}_", r.get("source_file", "")) else r for r in source_rows]
    digest = write_rows(out / name, source_rows[0], [tuple(r.values()) for r in tidied])
    return Account(name, len(source_rows), len(tidied), {}, digest)


def typed_by_hand(path: Path) -> Account:
    """The account of a data file that no transcription stands behind."""
    rows = len(read_rows(path))
    return Account(path.name, rows, rows, {}, hashlib.sha256(path.read_bytes()).hexdigest())


def transcribe(folder: Path, out: Path) -> list[Account]:
    """Write every data file and `import-report.csv` into `out`; returns what the report says."""
    out.mkdir(parents=True, exist_ok=True)
    accounts = [
        *transcribe_results(folder, out),
        transcribe_devices(folder, out),
        *(transcribe_table(folder, out, name) for name in ("claims.csv", "near_timm.csv")),
    ]
    written = {account.file for account in accounts} | {"import-report.csv"}
    accounts += [typed_by_hand(path) for path in out.glob("*.csv") if path.name not in written]
    accounts.sort(key=lambda account: account.file)
    write_rows(out / "import-report.csv", REPORT_COLUMNS, (a.as_row() for a in accounts))
    return accounts


if __name__ == "__main__":
    done = transcribe(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "data/published"))
    sys.stdout.write(f"{sum(a.imported for a in done):,} rows in {len(done)} files\n")
