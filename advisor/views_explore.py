"""What Explore shows: every speed with the weights it belongs to, one front a device and setup. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from advisor.advice.pareto import pareto_front
from advisor.evidence.contradictions import contradictions
from advisor.evidence.store import Store
from advisor.metrics import ACCURACIES, METRICS
from advisor.views import setups_in_words

AXES: tuple[str, ...] = (
    "latency_ms", "throughput_per_s", "top1", "real", "v2", "a", "r", "sketch", "params_m", "gmacs", "acts_m",
    "file_mb", "peak_memory_mb", "img_size",
)  # fmt: skip
_PER_ARCHITECTURE = ["params_m", "gmacs", "acts_m", "family"]
_TABLE = (
    "device", "weights", "architecture", "family", "img_size", "top1", "latency_ms", "throughput_per_s", "batch_size",
    "params_m", "gmacs", "mark", "setup", "task", "evidence", "source_id", "licence", "pretraining", "real", "v2", "a",
    "r", "sketch", "acts_m", "file_mb", "peak_memory_mb", "device_id", "note",
)  # fmt: skip


def setups_of(store: Store, device_ids: Sequence[str], names: Mapping[str, str]) -> pd.DataFrame:
    """Setups of the chosen devices, in the order of the devices, most models first.

    Returns:
        `device_id`, `task`, `setup` (in words), `label` (device, setup and count) and `n_models`.
    """
    frame = store.frame("setups")
    frame = frame[frame["device_id"].isin(list(device_ids))].copy()
    frame["setup"] = setups_in_words(frame)
    frame["order"] = frame["device_id"].map({d: i for i, d in enumerate(device_ids)})
    task = frame["task"].map({"infer": "", "train": "training, "})
    frame["label"] = (
        frame["device_id"].map(names) + " · " + task + frame["setup"] + " (" + frame["n_models"].astype(str) + ")"
    )
    frame = frame.sort_values(["order", "n_models", "label"], ascending=[True, False, True])
    return frame[["device_id", "task", "setup", "label", "n_models"]].reset_index(drop=True)


def largest_of_each(setups: pd.DataFrame) -> list[str]:
    """The label of each device's setup with the most models."""
    return list(setups.drop_duplicates("device_id")["label"])


def points(store: Store, setups: pd.DataFrame, names: Mapping[str, str], x: str, y: str) -> pd.DataFrame:
    """Every result of the chosen setups that has both metrics, suspect ones too.

    Where an axis is an accuracy or the size of a weights file there is one row a pair of weights and result,
    otherwise one a result.

    Args:
        setups: Rows of `setups_of`.
        names: Device id -> name.

    Returns:
        The metrics and what is known of the weights, `group` (the device, with its setup where several of one
        device are chosen), `mark`, `known_as`, `on_front` within the group, and `position`; by group, x, y and name.
    """
    rows = store.frame("speed_rows", device_ids=tuple(dict.fromkeys(setups["device_id"])))
    rows = rows[(rows["architecture"] != "") & rows["img_size"].notna()].copy()
    rows["setup"] = setups_in_words(rows)
    rows = rows.merge(setups[["device_id", "task", "setup"]], on=["device_id", "task", "setup"])
    frame = _with_weights(rows, store.frame("scored"), by_weights=bool({x, y} & {*ACCURACIES, "file_mb"}))
    frame = frame[frame[x].notna() & frame[y].notna()]
    frame["device"] = frame["device_id"].map(names)
    several = setups.groupby("device_id")["setup"].transform("size").groupby(setups["device_id"]).first() > 1
    frame["group"] = np.where(
        frame["device_id"].map(several), frame["device"] + " · " + frame["setup"], frame["device"]
    )
    noisy = (frame["evidence"] == "measured") & frame["note"].str.startswith("noisy: ")
    frame["mark"] = np.where(frame["suspect"], "suspect", np.where(noisy, "noisy", ""))
    frame["known_as"] = np.where(noisy, frame["evidence"] + ", noisy", frame["evidence"])
    frame = frame.sort_values(["group", x, y, "weights", "row_id"]).reset_index(drop=True)
    return frame.assign(on_front=on_front(frame, x, y), position=np.arange(len(frame)))


def _with_weights(rows: pd.DataFrame, scored: pd.DataFrame, *, by_weights: bool) -> pd.DataFrame:
    rows = rows.drop(columns=["tag", "model"]).astype({"img_size": int})
    if by_weights:
        return rows.merge(scored.drop(columns=["tag"]), on=["architecture", "img_size"])
    known = scored.drop_duplicates(["architecture", "img_size"])[["architecture", "img_size", *_PER_ARCHITECTURE]]
    frame = rows.merge(known, on=["architecture", "img_size"], how="left")
    frame["family"] = frame["family"].fillna("not in timm's result tables")
    return frame.assign(weights=frame["architecture"])


def on_front(frame: pd.DataFrame, x: str, y: str) -> pd.Series[bool]:
    """Which rows no other row of their group beats in both metrics; suspect rows never are."""
    found = pd.Series(False, index=frame.index)
    signs = np.array([1.0 if METRICS[name].better == "lower" else -1.0 for name in (x, y)])
    for _, rows in frame[~frame["suspect"]].groupby("group"):
        found.loc[rows.index] = pareto_front(rows[[x, y]].to_numpy(float) * signs)
    return found


def table(frame: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Points as a table: the two metrics first, then every figure with its conditions and source."""
    columns = dict.fromkeys(("device", "weights", x, y, *_TABLE))
    return frame[[c for c in columns if c in frame]].reset_index(drop=True)


def left_out(store: Store, setups: pd.DataFrame) -> int:
    """How many results of the chosen devices have no timm architecture or no image size, so no place in a chart."""
    rows = store.frame("speed_rows", device_ids=tuple(dict.fromkeys(setups["device_id"])))
    return int(((rows["architecture"] == "") | rows["img_size"].isna()).sum())


def contradicting(store: Store) -> pd.DataFrame:
    """Published figures of one network that differ though the stated conditions agree, as shown; slow (0.5 s)."""
    found = contradictions(
        store.frame("speed_rows", device_ids=()), store.frame("accuracy_rows"), store.frame("complexity")
    )
    return found.assign(sources=[", ".join(names) for names in found["sources"]])


def rows_behind(store: Store, row_ids: Sequence[str]) -> pd.DataFrame:
    """The speed and accuracy rows of those ids, columns without any value left out."""
    rows = store.query("rows_by_id", row_ids=list(row_ids))
    stated = [c for c in rows.columns if (rows[c].notna() & (rows[c].astype(str) != "")).any()]
    return rows[stated]
