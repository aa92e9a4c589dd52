"""The backtest that is shipped: how good predictions were on published devices, as a text file that pages read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from advisor.errors import DataError
from advisor.predict.whole_files import write_whole

NAME = "backtest.json"
_PARTS = ("plan", "predictions", "devices", "advice")


@dataclass(frozen=True, eq=False)
class StoredBacktest:
    """A backtest in rows; scores are columns.

    Attributes:
        made_on: Day, ISO 8601.
        draws: Random sets of probes.
        predictions: One row for each kind of device, task, way to draw probes, number of them and method.
        devices: The same for each device.
        advice: One row for each kind, task, way to draw probes and way to answer.
    """

    made_on: str
    draws: int
    predictions: pd.DataFrame
    devices: pd.DataFrame
    advice: pd.DataFrame


def save(folder: Path, record: Mapping[str, Any], made_on: str) -> Path:
    """Write the parts of a backtest that are shown; written beside and moved into place.

    Args:
        record: As `backtest --json` prints it; single setups and priors are left out.
        made_on: Day, ISO 8601.

    Raises:
        DataError: It cannot be written.
    """
    path = folder / NAME
    kept = {"made_on": made_on, **{part: record[part] for part in _PARTS}}
    write_whole(path, (json.dumps(_rounded(kept), indent=1) + "\n").encode(), what="The backtest")
    return path


def load(folder: Path) -> StoredBacktest | None:
    """The backtest of a data folder; None where there is none.

    Raises:
        DataError: The file is broken.
    """
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return StoredBacktest(
            str(found["made_on"]), int(found["plan"]["draws"]), *(_frame(found[part]) for part in _PARTS[1:])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DataError(
            f"{path} is no stored backtest ({type(exc).__name__}): run 'python -m advisor backtest --save'."
        ) from exc


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{k: v for k, v in row.items() if k != "score"} | row["score"] for row in rows])


def _rounded(value: Any) -> Any:
    """Five digits, so that the file is small and a rounding of another machine does not change it."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value
