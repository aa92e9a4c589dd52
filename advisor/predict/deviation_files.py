"""data/deviations.csv: how networks deviated from the sum of their steps on the machines where that was measured.

One line a network and setup, with what it was measured on, to be read in review.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import pandas as pd

from advisor.errors import DataError
from advisor.predict.deviations import COLUMNS
from advisor.predict.whole_files import write_whole

NAME = "deviations.csv"
REBUILD_HINT = "Check out the data folder again or run 'python -m advisor build-deviations'."
_NUMBERS = ("batch_size", "img_size", "latency_ms", "sum_ms", "taught_ms")
_TEXT = tuple(name for name in COLUMNS if name not in _NUMBERS)
_ORDER = [name for name in COLUMNS if name not in ("latency_ms", "sum_ms", "taught_ms")]


def save(folder: Path, table: pd.DataFrame) -> None:
    """Write the file beside the old one and then into its place.

    Args:
        table: With `deviations.COLUMNS`.

    Raises:
        DataError: It cannot be written.
    """
    ordered = table[list(COLUMNS)].sort_values(_ORDER, kind="stable")
    text = ordered.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    write_whole(folder / NAME, text.encode(), what="The deviations")


def stamp(folder: Path) -> int:
    """A number that changes when the file does; 0 where there is none."""
    path = folder / NAME
    return path.stat().st_mtime_ns if path.is_file() else 0


def load(folder: Path) -> pd.DataFrame:
    """What was written there; read once and then shared, so it is not to be changed. No rows where there is no file.

    Raises:
        DataError: The file is broken.
    """
    written = stamp(folder)
    return _load(folder / NAME, written) if written else pd.DataFrame(columns=list(COLUMNS))


@functools.lru_cache(maxsize=2)
def _load(path: Path, _stamp: int) -> pd.DataFrame:
    try:
        found = pd.read_csv(io.BytesIO(path.read_bytes()), dtype=dict.fromkeys(_TEXT, "object"))[list(COLUMNS)]
        found = found.astype({"batch_size": int, "img_size": int} | dict.fromkeys(_NUMBERS[2:], float))
        found[list(_TEXT)] = found[list(_TEXT)].fillna("")
        times = found[list(_NUMBERS[2:])].to_numpy(np.float64)
        if not ((times > 0) & (times < np.inf) | np.isnan(times) & [False, False, True]).all():
            raise ValueError("a time that is not above 0 ms")
        return found
    except (OSError, ValueError, KeyError, TypeError) as exc:
        said = " ".join(str(exc).split())[:160]
        raise DataError(f"The deviations in {path} are broken ({said}). {REBUILD_HINT}") from exc
