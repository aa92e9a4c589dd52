"""Predicted speeds with round figures, as rows of the query `runs`."""

from __future__ import annotations

import pandas as pd

from advisor import workflows_holes
from advisor.advice.predicted import HIGH, LOW, Guesses

SETUP = {
    "device_id": "i7-12700h", "task": "infer", "runtime": "openvino", "software": "later", "threads": "", "unit": "",
    "precision": "fp32", "layout": "nchw", "batch_size": 1.0,
}  # fmt: skip


def guess(
    architecture: str, p50: float, *, wide: float = 1.2, img_size: int = 224, **setup: object
) -> dict[str, object]:
    """A network predicted at `p50` ms, its 90 % interval from p50 / wide to p50 * wide."""
    given = {**SETUP, **setup}
    batch = float(given["batch_size"])  # type: ignore[arg-type]
    return {
        **given, "architecture": architecture, "img_size": img_size, "latency_ms": p50, LOW: p50 / wide,
        HIGH: p50 * wide, "throughput_per_s": batch * 1000 / p50, "note": "predicted from 12 networks",
    }  # fmt: skip


def rows(*given: dict[str, object]) -> pd.DataFrame:
    """Those guesses as a frame."""
    return workflows_holes.as_runs(pd.DataFrame(given))


def here(*given: dict[str, object]) -> Guesses:
    """Guesses that may win, as those of this machine."""
    return Guesses(rows(*given), may_win=True, here=True)


def apart(*given: dict[str, object], refused: str = "") -> Guesses:
    """Guesses that only stand beside the answer, as those of a published device."""
    return Guesses(rows(*given), may_win=False, here=False, refused=refused)
