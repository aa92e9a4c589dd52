"""The history of measurements as a table: what is listed, filtered, and which runs belong side by side."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

OUTCOMES = ("steady", "noisy", "failed", "cancelled", "interrupted")
_SIGNS = {"steady": "✓ steady", "noisy": "≈ noisy", "failed": "✗ failed", "cancelled": "■ cancelled",
          "interrupted": "↯ interrupted"}  # fmt: skip
_SUBJECT = ["device_id", "architecture", "img_size", "batch_size"]


def outcomes(runs: pd.DataFrame) -> pd.Series[str]:
    """How each run ended: the verdict of those that succeeded, the status of the others."""
    return runs["verdict"].where(runs["status"] == "ok", runs["status"]).astype(object)


def filtered(runs: pd.DataFrame, *, text: str, runtimes: Collection[str], ended: Collection[str]) -> pd.DataFrame:
    """Runs whose network holds a text and that are of the chosen runtimes and outcomes; empty choices mean all."""
    kept = runs["architecture"].str.contains(text.strip(), case=False, regex=False)
    if runtimes:
        kept &= runs["runtime"].isin(list(runtimes))
    if ended:
        kept &= outcomes(runs).isin(list(ended))
    return runs[kept].reset_index(drop=True)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """The history as shown, in the order given."""
    return pd.DataFrame({
        "started": runs["started_at"], "model": runs["architecture"],
        "setup": runs["runtime"] + " " + runs["precision"],
        "latency_ms": runs["p50_ms"].astype(float),
        "interval": [_interval(low, high) for low, high in zip(runs["ci95_low_ms"], runs["ci95_high_ms"], strict=True)],
        "throughput_per_s": runs["throughput_per_s"].astype(float),
        "outcome": outcomes(runs).map(_SIGNS), "img_size": runs["img_size"].astype(float),
        "batch_size": runs["batch_size"].astype(float), "threads": runs["threads"].astype(float),
        "layout": runs["layout"], "target": runs["target"],
        "why": runs["reason"].where(runs["reason"] != "", runs["verdict_reasons"]),
    })  # fmt: skip


def _interval(low: float, high: float) -> str:
    return "–" if pd.isna(low) else f"{low:,.4g}–{high:,.4g}"


def subjects(runs: pd.DataFrame, run_ids: Collection[str]) -> list[str]:
    """Of the given runs one for each network, size and batch size that was timed, in the order of the history.

    A network of which nothing could be timed is there with its newest failure.
    """
    mine = runs[runs["run_id"].isin(list(run_ids))]
    timed = mine[mine["status"] == "ok"].drop_duplicates(_SUBJECT)
    lost = mine[~mine["architecture"].isin(timed["architecture"])].drop_duplicates("architecture")
    return list(pd.concat([timed, lost])["run_id"])


def beside(runs: pd.DataFrame, run_id: str) -> list[str]:
    """The runs to show beside one: the newest timed one of each setup of its network, image and batch size.

    What failed in the job of the newest of them is there too, unless it has been timed since.
    """
    one = runs[runs["run_id"] == run_id].iloc[0]
    same = runs[
        (runs["device_id"] == one["device_id"]) & (runs["architecture"] == one["architecture"])
        & (runs["batch_size"] == one["batch_size"])
    ]  # fmt: skip
    size = one["img_size"]
    timed = same[(same["status"] == "ok") & (same["img_size"] == size)] if one["status"] == "ok" else same.iloc[:0]
    setups = timed.drop_duplicates(["runtime", "precision", "layout", "threads"])
    job_id = setups["job_id"].iloc[0] if len(setups) else one["job_id"]
    failed = same[(same["job_id"] == job_id) & (same["status"] == "failed")]
    failed = failed[~failed["runtime"].isin(setups[setups["job_id"] == job_id]["runtime"])]
    found = list(dict.fromkeys([*setups["run_id"], *failed["run_id"]]))
    return found if run_id in found else [run_id, *found]
