"""The SQL of the store as text: read from `sql/`, with column lists and row keys filled in. Values are always bound."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from advisor.evidence.schema import COLUMNS

SQL = Path(__file__).parent / "sql"


@cache
def migrations() -> tuple[tuple[str, str], ...]:
    """Name and text of each numbered step, in order."""
    return tuple((path.stem, path.read_text(encoding="utf-8")) for path in sorted((SQL / "migrations").glob("*.sql")))


@cache
def queries() -> dict[str, str]:
    """Name -> statement of `sql/queries.sql`."""
    parts = re.split(r"^-- name: (\w+)\n", filled("queries.sql"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@cache
def filled(name: str) -> str:
    """A file of `sql/` with `{speed_key}`, `{speed_columns}` and those of accuracy filled in."""
    text = (SQL / name).read_text(encoding="utf-8")
    for kind in ("speed", "accuracy"):
        text = text.replace(f"{{{kind}_key}}", row_key(kind)).replace(f"{{{kind}_columns}}", ", ".join(COLUMNS[kind]))
    return text


@cache
def row_key(kind: str) -> str:
    """SQL for a hash over a row's content, the same for published, imported and measured rows."""
    columns = ", ".join(f"coalesce({c}::VARCHAR, '')" for c in (*COLUMNS[kind], "evidence"))
    return f"md5(concat_ws(chr(31), {columns}))"
