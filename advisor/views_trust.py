"""How far predictions can be trusted, in words and tables: the stored backtest. Pure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from advisor.metrics import percent
from advisor.predict.backtest_file import StoredBacktest

_KINDS = {"cpu": "CPU", "gpu": "GPU", "edge_gpu": "edge GPU", "npu": "NPU", "soc": "phone", "iot": "IoT board"}
_OURS, _SEARCH, _CHOSEN = "predictor", "predict, then confirm", "chosen"
# as the backtest names methods -> as people do
_METHODS = {
    "predictor": "this advisor", "predict, then confirm": "this advisor: predict, then measure",
    "point prediction": "this advisor without measuring",
}  # fmt: skip
_TASK = "infer"  # what this page is about; the command tells of training too


def _held_out(row: dict[Any, Any]) -> str:
    n, kind = int(row["n_devices"]), str(row["kind"])
    return f"{n} {_KINDS.get(kind, kind)}{'' if n == 1 else 's'}"


def _most(frame: pd.DataFrame, probes: str) -> pd.DataFrame:
    """The rows of inference from the most probes, drawn in one way, ours first within each kind of device."""
    if frame.empty:
        return frame
    some = frame[(frame["probes"] == probes) & (frame["n_probes"] == frame["n_probes"].max())]
    some = some[some["task"] == _TASK]
    ours = some["method"].isin([_OURS, _SEARCH])
    ordered = some.assign(theirs=~ours).sort_values(["kind", "theirs", "method"], kind="stable")
    return pd.DataFrame(ordered.drop(columns="theirs"))


def prediction_table(found: StoredBacktest) -> pd.DataFrame:
    """How near predictions came, from the chosen probes, beside simple baselines; as text."""
    return pd.DataFrame(
        [
            {
                "Held out whole": _held_out(row),
                "Predicted by": _METHODS.get(row["method"], row["method"]),
                "Median error": percent(row["median_error"]),
                "Within ±10 %": percent(row["within_10"]),
                "90 % interval held": "–" if pd.isna(row["coverage"]) else percent(row["coverage"]),
                "Rank agreement": f"{row['spearman']:.3f}",
            }
            for row in _most(found.predictions, _CHOSEN).to_dict("records")
        ]
    )


def advice_table(found: StoredBacktest) -> pd.DataFrame:
    """How good answers within a budget were, beside simple ways to answer; as text."""
    return pd.DataFrame(
        [
            {
                "Held out whole": _held_out(row),
                "Answered by": _METHODS.get(row["method"], row["method"]),
                "Answers": f"{row['n_answers']:,}",
                "Over the budget": percent(row["broken"]),
                "Points lost": "–" if pd.isna(row["regret"]) else f"{row['regret']:.2f}",
                "Measurements": f"{row['confirmations']:.1f}",
            }
            for row in _most(found.advice, _CHOSEN).to_dict("records")
        ]
    )


def meaning(found: StoredBacktest) -> list[str]:
    """What the backtest means for trust, one sentence each."""
    n_probes = int(found.predictions["n_probes"].max())
    best = _most(found.predictions, _CHOSEN)
    said = [
        f"**{_held_out(row)}**, each predicted from {n_probes} of its networks without any other result of it: half of "
        f"the predictions were within {percent(row['median_error'])}, and {percent(row['coverage'])} of the true "
        "latencies lay within the 90 % interval."
        for row in best[best["method"] == _OURS].to_dict("records")
    ]
    advice = _most(found.advice, _CHOSEN)
    ours = advice[advice["method"] == _SEARCH] if len(advice) else advice
    for row in ours.to_dict("records"):
        lost = "nothing" if pd.isna(row["regret"]) else f"{row['regret']:.2f} points"
        said.append(
            f"Answers within a budget, measured before they are given, lost {lost} against the best possible in "
            f"{row['n_answers']:,} cases on {_held_out(row)}, with {row['confirmations']:.1f} measurements each."
        )
    if len(ours):
        said.append(
            "The backtest takes each measurement as exact, so no measured answer can be over its budget there; here "
            "measurements scatter, so an answer has to keep the budget with its whole 95 % interval."
        )
    return said
