"""What published devices say, ready to predict from: shipped as data/history.npz, or kept in the user's home.

Working it out takes seconds, reading it tens of milliseconds. A file carries the hash of what it was made from, and one
made from anything else is as good as none.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.predict.belief import Scales
from advisor.predict.columns import Column, Setup
from advisor.predict.history import History, Pattern
from advisor.predict.predictor import Prior
from advisor.predict.profile import Profiles
from advisor.predict.whole_files import write_whole

NAME = "history.npz"
FORMAT = "1"  # another one where the method or this file's shape changes, so that older files are made anew
# a byte that is wrong anywhere; of what zipfile takes for a compression or a cipher that it lacks it says RuntimeError
_DAMAGED = (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
_SCALES = tuple(field.name for field in fields(Scales))


def save(path: Path, past: History, prior: Prior, *, made_from: str) -> None:
    """Write a file beside the old one and then into its place.

    Raises:
        DataError: It cannot be written.
    """
    patterns = past.patterns
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        made_from=np.array(FORMAT + made_from),
        setups=np.array(json.dumps([asdict(p.setup) for p in patterns])),
        prior=np.array([*astuple(prior.scales), prior.widening]),
        rates=_stacked([p.rates for p in patterns], np.float64),
        deviations=_stacked([p.deviation for p in patterns], np.float32),
        ends=np.cumsum([len(p.column.rows) for p in patterns]).astype(np.int64),
        rows=_joined([p.column.rows for p in patterns], np.int32),
        latency_ms=_joined([p.column.latency_ms for p in patterns], np.float64),
    )
    write_whole(path, packed.getvalue(), what="What published devices say")


def load(path: Path, profiles: Profiles, *, made_from: str) -> tuple[History, Prior] | None:
    """What a file says; None where there is none, or it was made from other data, or is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            if str(found["made_from"]) != FORMAT + made_from:
                return None
            return _history(dict(found), profiles)
    except _DAMAGED:
        return None


def _history(found: dict[str, Any], profiles: Profiles) -> tuple[History, Prior]:
    ends, patterns = found["ends"], []
    for i, setup in enumerate(json.loads(str(found["setups"]))):
        part = slice(0 if i == 0 else ends[i - 1], ends[i])
        column = Column(Setup(**setup), found["rows"][part].astype(np.intp), found["latency_ms"][part])
        patterns.append(Pattern(column, found["rates"][i], found["deviations"][i].astype(np.float64)))
    *scales, widening = (float(value) for value in found["prior"])
    return History(profiles, tuple(patterns)), Prior(Scales(**dict(zip(_SCALES, scales, strict=True))), widening)


def _stacked(parts: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.vstack(parts).astype(kind) if parts else np.empty((0, 0), dtype=kind)


def _joined(parts: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind) if parts else np.empty(0, dtype=kind)
