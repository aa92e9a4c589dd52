"""The history of measurements as a table: what is listed, filtered, and which runs belong side by side."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from advisor.measure.run import Run

OUTCOMES = ("steady", "noisy", "failed", "cancelled", "interrupted")
_SIGNS = {"steady": "✓ steady", "noisy": "≈ noisy", "failed": "✗ failed", "cancelled": "■ cancelled",
          "interrupted": "↯ interrupted"}  # fmt: skip
_SUBJECT = ["device_id", "architecture", "img_size", "batch_size"]
_MOST_UNDER_A_ROOF = 8  # runs of other networks beside one in its roofline


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
    asked = "– (asked: " + runs["precision"] + ")"  # nothing was used where nothing was timed
    return pd.DataFrame({
        # what matters most stands first: a phone shows three columns
        "model": runs["architecture"], "outcome": outcomes(runs).map(_SIGNS),
        "latency_ms": runs["p50_ms"].astype(float), "started": runs["started_at"],
        "setup": runs["runtime"] + " " + runs["precision"].where(runs["status"] == "ok", asked),
        "interval": [_interval(low, high) for low, high in zip(runs["ci95_low_ms"], runs["ci95_high_ms"], strict=True)],
        "throughput_per_s": runs["throughput_per_s"].astype(float),
        "img_size": runs["img_size"].astype(float), "batch_size": runs["batch_size"].astype(float),
        "threads": runs["threads"].astype(float), "layout": runs["layout"], "target": runs["target"],
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
    """The runs to show beside one: of each setup of its network, image and batch size the one that the advice takes.

    That is the newest steady one, else the newest; the run itself is there in any case. What failed in the job of
    the newest is there too, unless it has been timed since.
    """
    one = runs[runs["run_id"] == run_id].iloc[0]
    same = runs[
        (runs["device_id"] == one["device_id"]) & (runs["architecture"] == one["architecture"])
        & (runs["batch_size"] == one["batch_size"])
    ]  # fmt: skip
    size = one["img_size"]
    timed = same[(same["status"] == "ok") & (same["img_size"] == size)] if one["status"] == "ok" else same.iloc[:0]
    setups = _steady_first(timed).drop_duplicates(["runtime", "precision", "layout", "threads"]).sort_index()
    job_id = timed["job_id"].iloc[0] if len(timed) else one["job_id"]
    failed = same[(same["job_id"] == job_id) & (same["status"] == "failed")]
    failed = failed[~failed["runtime"].isin(timed[timed["job_id"] == job_id]["runtime"])]
    found = list(dict.fromkeys([*setups["run_id"], *failed["run_id"]]))
    return found if run_id in found else [run_id, *found]


def under_the_same_roof(runs: pd.DataFrame, run: Run) -> list[str]:
    """The newest runs of other networks that can be drawn under a run's roof, one a network.

    They have its runtime, its threads and the precision it used; steady ones go before noisy ones.
    """
    assert run.measured is not None
    others = runs[
        (runs["status"] == "ok") & (runs["device_id"] == run.device_id) & (runs["runtime"] == run.request.runtime)
        & (runs["precision"] == run.measured.precision_used) & (runs["threads"] == run.measured.threads)
        & (runs["architecture"] != run.request.architecture)
    ]  # fmt: skip
    return list(_steady_first(others).drop_duplicates("architecture").sort_index()["run_id"].head(_MOST_UNDER_A_ROOF))


def _steady_first(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.sort_values("verdict", key=lambda verdict: verdict == "noisy", kind="stable")
