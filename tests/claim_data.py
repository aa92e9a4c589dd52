"""Hand-made devices, weights and runs for the tests of claims."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advisor.advice.claims import Extra
from advisor.evidence.families import family_of


class Gadget(NamedTuple):
    """A device as far as a check needs it."""

    device_id: str = "gadget"
    name: str = "Gadget"
    kind: str = "gpu"


def scored(*rows: dict[str, Any]) -> pd.DataFrame:
    """Weights x image size; `weights` and `top1` decide, the rest has defaults."""
    filled = []
    for row in rows:
        architecture, _, tag = row["weights"].partition(".")
        size = row.get("img_size", 224)
        base = {
            "architecture": architecture, "tag": tag, "family": family_of(architecture), "img_size": size,
            "accuracy_row_id": f"acc:{row['weights']}@{size}", "gmacs": 1.0, "acts_m": 1.0, "params_m": 5.0,
            "extra_data_rank": 0,
        }  # fmt: skip
        filled.append(base | row)
    return pd.DataFrame(filled)


def runs(*rows: dict[str, Any]) -> pd.DataFrame:
    """Published runs; `architecture` and a speed decide, the rest is one setup."""
    base = {
        "source_id": "bench", "img_size": 224, "runtime": "tensorrt", "precision": "fp16", "layout": "nchw",
        "batch_size": 64.0, "software": "", "threads": "", "unit": "", "throughput_per_s": np.nan,
        "latency_ms": np.nan,
    }  # fmt: skip
    filled = [base | row for row in rows]
    for row in filled:
        row.setdefault("model", row["architecture"])
        row.setdefault("row_id", f"speed:{row['architecture']}:{row['runtime']}:{row['batch_size']}")
    columns = [*base, "architecture", "model", "row_id"]
    return pd.DataFrame(filled, columns=columns)


def extra(accuracy: list[dict[str, Any]] | None = None, **tables: list[dict[str, Any]]) -> Extra:
    common = {"source_id": "", "model": "", "metric": "", "value": np.nan, "row_id": "", "suspect": False}
    blank = {
        "accuracy": common | {"dataset": "imagenet-1k", "img_size": 224.0},
        "training_cost": common,
        "complexity": common,
    }
    given = {"accuracy": accuracy or [], **tables}
    frames = {
        kind: pd.DataFrame([base | row for row in given.get(kind, [])], columns=list(base)).astype({"suspect": bool})
        for kind, base in blank.items()
    }
    return Extra(**frames)


def thru(architecture: str, images: float, **more: Any) -> dict[str, Any]:
    return {"architecture": architecture, "throughput_per_s": images, **more}
