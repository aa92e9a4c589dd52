"""Published and measured speeds as columns: one setup, its networks, their latencies. Setups are never pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.predict.profile import Profiles

# timm folds the branches of these networks before it times them; a profile counts the unfolded network, which has up
# to 1.6 times the multiply-adds
FOLDED = "re-parameterised for inference"


@dataclass(frozen=True, slots=True, order=True)
class Setup:
    """What a latency belongs to. `kind` is that of the device: "cpu", "gpu", "phone" ..."""

    kind: str
    device_id: str
    task: str
    runtime: str
    software: str
    threads: str
    unit: str
    precision: str
    layout: str
    batch_size: int


_SETUP = [field.name for field in fields(Setup)]


@dataclass(frozen=True, eq=False)
class Column:
    """The latencies of one setup.

    Attributes:
        rows: Positions in the profiles, ascending, each once.
        latency_ms: Of one forward pass (of one step where the task is "train") of one batch; same shape.
    """

    setup: Setup
    rows: NDArray[np.intp]
    latency_ms: NDArray[np.float64]


def columns(runs: pd.DataFrame, kinds: Mapping[str, str], profiles: Profiles, *, min_rows: int) -> list[Column]:
    """Every setup with at least `min_rows` profiled networks, in order of setup.

    Left out: rows without a batch size, networks without a cost profile, and networks that were folded before they
    were timed. Where several rows of one setup contradict each other the slowest speaks, as in the store.

    Args:
        runs: Rows of the store's query "runs".
        kinds: The kind of each device.
        profiles: What the columns' `rows` point into.
        min_rows: Setups with fewer networks are left out.
    """
    positions = profiles.positions
    usable = runs[runs["batch_size"].notna() & ~runs["note"].fillna("").str.contains(FOLDED, regex=False)]
    keys = zip(usable["architecture"], usable["img_size"].astype(int), strict=True)
    per_s = usable["batch_size"] * 1000 / usable["throughput_per_s"]
    usable = usable.assign(
        kind=usable["device_id"].map(kinds), row=[positions.get(key, -1) for key in keys],
        batch_size=usable["batch_size"].astype(int), ms=usable["latency_ms"].fillna(per_s),
    )  # fmt: skip
    usable = usable[(usable["row"] >= 0) & usable["ms"].notna()]
    found = []
    for key, rows in usable.fillna({"threads": "", "unit": "", "software": "", "layout": ""}).groupby(_SETUP):
        slowest = rows.groupby("row")["ms"].max()
        if len(slowest) >= min_rows:
            found.append(
                Column(
                    Setup(*cast(tuple[Any, ...], key)), slowest.index.to_numpy(np.intp), slowest.to_numpy(np.float64)
                )
            )
    return sorted(found, key=lambda column: column.setup)
