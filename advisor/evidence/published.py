"""data/ -> typed tables with provenance: every row knows its file and line."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from advisor.errors import DataError
from advisor.evidence import schema

Progress = Callable[[float, str], None]

_TABLES: dict[str, tuple[str, ...]] = {
    "devices": ("device_id", "name", "kind", "vendor", "memory_gb", "accelerators", "notes"),
    "catalogue": (
        "weights", "architecture", "tag", "family", "params_m", "file_mb", "img_size", "test_img_size", "crop_pct",
        "num_classes", "pretraining", "pretrain_data", "imagenet_1k_only", "extra_data_rank", "distilled", "recipe",
        "licence", "licence_spdx", "commercial", "origin_url",
    ),
    "claims": ("source_id", "source_file", "subject", "baseline", "quantity", "factor", "note"),
    "near_timm": ("source_id", "model", "near_timm_model", "difference"),
}  # fmt: skip
_SOURCE_FIELDS = ("title", "authors", "url", "licence", "version", "date", "notes")


def data_files(data: Path, refreshed: Path | None = None) -> list[Path]:
    """The files the published store is built from, in a fixed order.

    A file in `refreshed` (newer upstream tables) stands in for the one of the same name in `data/published`.
    """
    shipped = {p.name: p for p in (data / "published").glob("*") if p.suffix in (".csv", ".toml")}
    if refreshed is not None and refreshed.is_dir():
        shipped |= {p.name: p for p in refreshed.glob("*.csv")}
    files = [shipped[name] for name in sorted(shipped)]
    if not files:
        raise DataError(f"No published data in {data / 'published'}: check out the data folder again.")
    return [*files, *(p for p in [data / "catalogue.csv"] if p.exists())]


def shipped_mark(data: Path) -> str:
    """Tells one shipped edition of timm's tables from another (by size), so that an upgrade outdates a refresh."""
    tables = sorted((data / "published").glob("timm-*.csv"))
    return " ".join(f"{p.name}:{p.stat().st_size}" for p in tables)


def stamp(files: list[Path]) -> str:
    """A cheap fingerprint (path, size, modification time) that tells when `content_hash` must be taken."""
    lines = [f"{p}\t{(s := p.stat()).st_size}\t{s.st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def content_hash(files: list[Path]) -> str:
    """SHA-256 over names and bytes of the files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_text(path: Path) -> pd.DataFrame:
    """A CSV file as text columns, empty text where a cell is empty; DataError if it cannot be read."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, engine="c")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as exc:
        raise DataError(f"{path.name} cannot be read as CSV ({exc}): restore the file.") from exc


def read_results(path: Path, kind: str) -> pd.DataFrame:
    """The typed rows of a results file with `row_id` = file and line; any broken row is a DataError."""
    text = read_text(path)
    missing = [c for c in schema.COLUMNS[kind] if c not in text]
    if missing:
        raise DataError(f"{path.name} lacks the column '{missing[0]}': restore the file.")
    frame, rejects = schema.typed(kind, text)
    if rejects:
        first = rejects[0]
        raise DataError(f"{path.name} line {first.line}: {first.reason}; mend or remove the row.")
    frame.insert(0, "row_id", path.name + ":" + frame.pop("line").astype(str))
    frame["evidence"] = "published"
    return frame


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A small table as text; DataError if it lacks one of the columns."""
    text = read_text(path)
    missing = [c for c in columns if c not in text]
    if missing:
        raise DataError(f"{path.name} lacks the column '{missing[0]}': restore the file.")
    return text


def read_sources(path: Path) -> pd.DataFrame:
    """sources.toml as a table, one row a source."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise DataError(f"{path.name} cannot be read ({exc}): restore the file.") from exc
    rows = [{"source_id": key, **{f: str(t.get(f, "")) for f in _SOURCE_FIELDS}} for key, t in tables.items()]
    return pd.DataFrame(rows, columns=["source_id", *_SOURCE_FIELDS])


def read_tables(files: list[Path], progress: Progress) -> dict[str, pd.DataFrame]:
    """Every published table by name: the four kinds, sources, devices, catalogue, claims, near_timm."""
    by_kind: dict[str, list[pd.DataFrame]] = {kind: [] for kind in schema.KINDS}
    tables: dict[str, pd.DataFrame] = {}
    for done, path in enumerate(files):
        progress(0.6 * done / len(files), f"Reading {path.name}")
        kind = path.name.removesuffix(".csv").rpartition(".")[2]
        if path.name == "sources.toml":
            tables["sources"] = read_sources(path)
        elif kind in by_kind:
            by_kind[kind].append(read_results(path, kind))
        elif path.stem in _TABLES:
            tables[path.stem] = read_table(path, _TABLES[path.stem])
    for kind, frames in by_kind.items():
        if not frames:
            raise DataError(f"No '*.{kind}.csv' in data/published: check out the data folder again.")
        tables[kind] = pd.concat(frames, ignore_index=True)
    lacking = [name for name in ("sources", "devices", "catalogue") if name not in tables]
    if lacking:
        raise DataError(f"The table '{lacking[0]}' is missing under data/: check out the data folder again.")
    return tables
