"""Answers as plain data: the one place that decides the names and order of the JSON fields."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from advisor.advice.explain import Explanation
from advisor.records import Candidate, ClaimResult, Device, Question, Recommendation

# what a setup is, in the order of the JSON
SETUP_FIELDS: tuple[str, ...] = (
    "device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout", "batch_size",
)  # fmt: skip


def plain(value: Any) -> Any:
    """A value that JSON has: NaN, NaT and infinities become null, tuples lists, empty text null, times ISO 8601 UTC."""
    if value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).isoformat(timespec="seconds")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if value == "" else value


def candidate(one: Candidate | None) -> dict[str, Any] | None:
    """A candidate as plain data, null where unknown."""
    return None if one is None else plain(asdict(one))


def question(asked: Question) -> dict[str, Any]:
    """A question as plain data: every field, null where no limit is set."""
    return {**plain(asdict(asked)), "families": list(asked.families)}


def claim(result: ClaimResult) -> dict[str, Any]:
    """A claim's verdict as plain data."""
    return plain(asdict(result))  # type: ignore[no-any-return]


def recommendation(answer: Recommendation) -> dict[str, Any]:
    """The whole answer as plain data."""
    pick = candidate(answer.pick)
    beyond = answer.beyond_families
    return {
        "question": question(answer.question),
        "setup": {
            "text": answer.setup,
            "axis": answer.axis,
            **{f: (pick or {}).get(f) for f in SETUP_FIELDS},
        },
        "pick": pick,
        "ties": [candidate(c) for c in answer.ties],
        "runner_up": candidate(answer.runner_up),
        "by_family": {name: candidate(c) for name, c in answer.by_family.items()},
        "front": [candidate(c) for c in answer.front],
        "beyond_families": beyond
        and {"best": candidate(beyond.best), "cost_points": plain(beyond.cost_points), "text": beyond.text},
        "reasons": [plain(asdict(r)) for r in answer.reasons],
        "what_if": [plain(asdict(w)) for w in answer.what_if],
        "might_win": [
            {"candidate": candidate(m.candidate), "gain_points": plain(m.gain_points), "text": m.text}
            for m in answer.might_win
        ],
        "confirm": answer.confirm or None,
        "nearest_miss": answer.nearest_miss and plain(asdict(answer.nearest_miss)),
        "rejected": dict(answer.rejected),
        "considered": answer.considered,
        "feasible": answer.feasible,
    }


def explanation(one: Explanation) -> dict[str, Any]:
    """Why one candidate is or is not the answer, as plain data."""
    return {
        "candidate": candidate(one.candidate),
        "broken": [plain(asdict(b)) for b in one.broken],
        "dominated_by": candidate(one.dominated_by),
        "text": one.text,
    }


def record(report: Any) -> dict[str, Any]:
    """A report (a dataclass of counts, texts and paths) as plain data."""
    return plain({k: str(v) if isinstance(v, Path) else v for k, v in asdict(report).items()})  # type: ignore[no-any-return]


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as a list of records, null where unknown."""
    known = frame.astype(object).where(frame.notna(), None)
    return [plain(row) for row in known.to_dict("records")]


def device(known: Device, setups: pd.DataFrame) -> dict[str, Any]:
    """A device with its setups."""
    columns = [
        "runtime",
        "precision",
        "layout",
        "batch_size",
        "task",
        "software",
        "threads",
        "unit",
        "n_models",
    ]
    return {**plain(asdict(known)), "setups": rows(setups[columns])}
