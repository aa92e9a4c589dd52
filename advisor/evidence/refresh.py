"""Newer timm result tables: fetch, validate, compare with what is in use, swap in one step.

The converted tables go into a folder of their own below the user's home; `refreshed.txt` names the folder in
use and is replaced last, so an interruption at any point leaves the old tables in place. The user's own
results are in another file, which a refresh never opens.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from advisor.errors import RefreshFailed, StoreUnusable
from advisor.evidence import published, upstream
from advisor.evidence.download import UPSTREAM as UPSTREAM
from advisor.evidence.download import Downloads
from advisor.evidence.schema import COLUMNS
from advisor.evidence.store import Store

TABLES = {"speed": "timm-benchmark.speed.csv", "accuracy": "timm-eval.accuracy.csv"}
EXAMPLES = 20
_MAX_MISSING = 0.5  # share of files; a mirror that lacks more is another site
_MIN_ROWS = 0.5  # share of the rows in use; a file with fewer was cut off between two lines
_FETCH_SHARE = 0.9  # of the progress bar

_VALUES = {"speed": ["throughput_per_s", "latency_ms"], "accuracy": ["value"]}
_KEYS = {
    "speed": ["source_file", "model", "device_id", "task", "runtime", "software", "precision", "layout",
              "batch_size", "img_size"],
    "accuracy": ["source_file", "model", "dataset", "metric", "img_size", "crop_pct", "interpolation"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a refresh found about one upstream file; a file that is gone keeps the rows in use."""

    file: str
    kind: str
    state: Literal["same", "changed", "added", "gone"]
    n_rows: int
    n_new: int = 0
    n_changed: int = 0
    n_gone: int = 0


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh changed.

    Attributes:
        files: Every file asked for, by name.
        new, changed, gone: Up to `EXAMPLES` rows each, as sentences for people.
        new_devices: Ids of devices that the data did not know.
        folder: Where the newer tables are now; None when nothing was newer and nothing was written.
    """

    url: str
    files: tuple[FileChange, ...]
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    new_devices: tuple[str, ...]
    folder: Path | None

    @property
    def n_new(self) -> int:
        """Rows that were not there before."""
        return sum(f.n_new for f in self.files)

    @property
    def n_changed(self) -> int:
        """Rows whose value is another one now."""
        return sum(f.n_changed for f in self.files)

    @property
    def n_gone(self) -> int:
        """Rows that upstream dropped."""
        return sum(f.n_gone for f in self.files)

    @property
    def gone_files(self) -> tuple[str, ...]:
        """Files that upstream no longer has; their rows stay in use."""
        return tuple(f.file for f in self.files if f.state == "gone")


@dataclass(frozen=True, slots=True)
class _Compared:
    """One file's rows to use from now on, with the rows behind each count as sentences."""

    change: FileChange
    rows: pd.DataFrame
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def refresh(
    store: Store,
    *,
    url: str = UPSTREAM,
    timeout_s: float = 20.0,
    progress: published.Progress | None = None,
) -> RefreshReport:
    """Fetch timm's newer result tables and put them in use.

    Args:
        url: The folder with the raw tables; upstream's or a mirror's.
        timeout_s: Patience with each answer of the server.

    Raises:
        RefreshFailed: A file could not be fetched or one row of it is broken; the old data stays.
        StoreUnusable: The newer tables could not be written.
    """
    say = progress or (lambda _share, _what: None)
    in_use = {p.name: p for p in published.data_files(store.data, store.refreshed)}
    tables = {kind: published.read_text(in_use[name]).astype(object) for kind, name in TABLES.items()}
    names = upstream.Names.learn(store.frame("catalogue"), tables["speed"])
    texts = _fetch(tables, url, timeout_s, say)
    compared = [_compare(name, text, tables, names) for name, text in sorted(texts.items())]
    say(_FETCH_SHARE, "Comparing with the rows in use")
    files = tuple(one.change for one in compared)
    folder: Path | None = None
    new_devices: tuple[str, ...] = ()
    if any(f.state in ("changed", "added") for f in files):
        fresh = {kind: _joined(kind, compared, tables[kind]) for kind in TABLES}
        devices, new_devices = _devices(store.data, fresh["speed"])
        folder = _swap(store, fresh, devices, say)
    say(1.0, "Newer tables in use" if folder else "Nothing newer")
    return RefreshReport(
        url, files, _examples(c.new for c in compared), _examples(c.changed for c in compared),
        _examples(c.gone for c in compared), new_devices, folder,
    )  # fmt: skip


def _fetch(
    tables: dict[str, pd.DataFrame], url: str, timeout_s: float, say: published.Progress
) -> dict[str, str | None]:
    """Text of every known and every newly listed file; None for a file that is gone."""
    sources = [name.removeprefix(upstream.FOLDER) for t in tables.values() for name in t["source_file"].unique()]
    known = sorted({name for name in sources if upstream.kind_of(name)} | set(upstream.DATASETS))
    texts: dict[str, str | None] = {}
    with Downloads(url, timeout_s=timeout_s) as downloads:
        for done, name in enumerate(known):
            say(_FETCH_SHARE * done / len(known), f"Fetching {name}")
            texts[name] = downloads.text(name)
        missing = [name for name in known if texts[name] is None]
        if len(missing) > _MAX_MISSING * len(known):
            raise RefreshFailed(
                f"{url} lacks {len(missing)} of {len(known)} tables, the first being {missing[0]}: "
                "check the address given with --url; nothing was changed."
            )
        for name in sorted(downloads.listed() - set(known)):
            say(_FETCH_SHARE, f"Fetching {name}, which is new")
            if (text := downloads.text(name)) is not None:
                texts[name] = text
    return texts


def _compare(name: str, text: str | None, tables: dict[str, pd.DataFrame], names: upstream.Names) -> _Compared:
    kind = upstream.kind_of(name) or "speed"
    every = tables[kind]
    old = every[every["source_file"] == upstream.FOLDER + name]
    if text is None:
        return _Compared(FileChange(name, kind, "gone", len(old)), old)
    rows = upstream.convert(name, text, names)
    if len(rows) < _MIN_ROWS * len(old):
        raise upstream.broken(name, 1, f"only {len(rows)} rows where {len(old)} were, so it was probably cut off")
    if old.empty:
        return _Compared(FileChange(name, kind, "added", len(rows), n_new=len(rows)), rows, _sentences(kind, rows))
    before, after = _keyed(kind, old), _keyed(kind, rows)
    both = after.index.intersection(before.index, sort=False)
    same = (_numbers(kind, after.loc[both]) == _numbers(kind, before.loc[both])).all(axis=1)
    # what was found out about a row by hand (a suspect mark, a note) stays with it while its value does
    kept = same[same].index
    after.loc[kept] = before.loc[kept]
    differing = same[~same].index
    new = after.loc[after.index.difference(before.index, sort=False)]
    gone = before.loc[before.index.difference(after.index, sort=False)]
    state: Literal["same", "changed"] = "changed" if len(new) + len(gone) + len(differing) else "same"
    return _Compared(
        FileChange(name, kind, state, len(after), len(new), len(differing), len(gone)),
        after,
        _sentences(kind, new),
        _differences(kind, before.loc[differing], after.loc[differing]),
        _sentences(kind, gone),
    )


def _keyed(kind: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under a text of what identifies them; a repeated one is told apart by its occurrence."""
    numbers = ("batch_size", "img_size", "crop_pct")  # 224 and 224.0, 1 and 1.000 are the same
    columns = [
        [f"{float(text):g}" if text else "" for text in rows[c]] if c in numbers else rows[c] for c in _KEYS[kind]
    ]
    seen: dict[str, int] = {}
    labels = []
    for cells in zip(*columns, strict=True):
        key = "\x1f".join(cells)
        seen[key] = seen.get(key, 0) + 1
        labels.append(f"{key}\x1f{seen[key]}")
    return rows.set_axis(pd.Index(labels, dtype=object), axis=0)


def _numbers(kind: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The values as numbers; -1, which no valid row has, where one is not stated."""
    return rows[_VALUES[kind]].replace("", "-1").astype(float)


def _sentences(kind: str, rows: pd.DataFrame) -> tuple[str, ...]:
    return tuple(f"{_named(kind, row)}: {row[_VALUES[kind][0]]}" for _, row in rows.head(EXAMPLES).iterrows())


def _differences(kind: str, before: pd.DataFrame, after: pd.DataFrame) -> tuple[str, ...]:
    pairs = zip(before.head(EXAMPLES).iterrows(), after.head(EXAMPLES).iterrows(), strict=True)
    value = _VALUES[kind][0]
    return tuple(f"{_named(kind, new)}: {old[value]} -> {new[value]}" for (_, old), (_, new) in pairs)


def _named(kind: str, row: pd.Series[str]) -> str:
    if kind == "accuracy":
        return f"{row['model']} at {row['img_size']} px, {row['dataset']} {row['metric']}"
    setup = f"{row['runtime']}, {row['precision']}, {row['layout']}, batch {row['batch_size']}"
    return f"{row['model']} at {row['img_size']} px on {row['device_id']} ({row['task']}, {setup}) img/s"


def _examples(found: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sentence for some in found for sentence in some)[:EXAMPLES]


def _joined(kind: str, compared: Sequence[_Compared], table: pd.DataFrame) -> pd.DataFrame:
    """The complete table: what was fetched or kept, and rows in use that come from no upstream file."""
    covered = {upstream.FOLDER + one.change.file for one in compared if one.change.kind == kind}
    parts = [one.rows for one in compared if one.change.kind == kind]
    other = table[~table["source_file"].isin(covered)]
    return pd.concat([*parts, other], ignore_index=True)[list(COLUMNS[kind])]


def _devices(data: Path, speed: pd.DataFrame) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """devices.csv with a line for every device that the shipped one lacks; None if it lacks none."""
    shipped = published.read_text(data / "published" / "devices.csv")
    unknown = speed[~speed["device_id"].isin(shipped["device_id"])].drop_duplicates("device_id")
    if unknown.empty:
        return None, ()
    rows = []
    for device, source_file in zip(unknown["device_id"], unknown["source_file"], strict=True):
        setup = upstream.Setup.of(source_file.removeprefix(upstream.FOLDER))
        kind = setup.device_kind if setup else ""
        rows.append({"device_id": device, "name": device, "kind": kind, "accelerators": "1", "notes": source_file})
    devices = pd.concat([shipped, pd.DataFrame(rows)], ignore_index=True).fillna("")
    return devices, tuple(sorted(str(device) for device in unknown["device_id"]))


def _swap(store: Store, tables: dict[str, pd.DataFrame], devices: pd.DataFrame | None, say: published.Progress) -> Path:
    """Write the tables into a folder named after their content, then point at it."""
    texts = {TABLES[kind]: _csv(table) for kind, table in tables.items()}
    if devices is not None:
        texts["devices.csv"] = _csv(devices)
    digest = hashlib.sha256("\0".join(f"{n}\0{t}" for n, t in sorted(texts.items())).encode()).hexdigest()
    home = store.home
    folder = home / f"refreshed-{digest[:12]}"
    part = home / f"{folder.name}.{os.getpid()}.part"
    pointer, pointer_part = home / "refreshed.txt", home / f"refreshed.txt.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
        for name, text in texts.items():
            say(0.95, f"Writing {name}")
            (part / name).write_text(text, encoding="utf-8", newline="")
        if folder.exists():  # left by a refresh that was interrupted before it pointed here
            shutil.rmtree(folder)
        part.replace(folder)
        pointer_part.write_text(f"{folder.name}\n{published.shipped_mark(store.data)}\n", encoding="utf-8")
        say(0.98, "Putting the newer tables in use")
        pointer_part.replace(pointer)
    except OSError as exc:
        raise StoreUnusable(
            f"The newer tables cannot be written to {home} ({exc.strerror or exc}): free some space or set "
            "ADVISOR_HOME to a folder that can be written; nothing was changed."
        ) from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            pointer_part.unlink()
    for old in home.glob("refreshed-*"):
        if old != folder and re.fullmatch(r"refreshed-[0-9a-f]{12}(\.\d+\.part)?", old.name):
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, lineterminator="\n"))
