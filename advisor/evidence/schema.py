"""The tidy columns of the results files: published, imported and exported results share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

_ORIGIN = ("source_id", "source_file", "model", "architecture", "tag")

# kind -> columns, in file order; empty text means "not stated"
COLUMNS: dict[str, tuple[str, ...]] = {
    "speed": (
        *_ORIGIN, "device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout",
        "batch_size", "img_size", "throughput_per_s", "latency_ms", "peak_memory_mb", "suspect", "note",
    ),
    "accuracy": (
        *_ORIGIN, "dataset", "metric", "value", "img_size", "crop_pct", "interpolation", "protocol",
        "suspect", "note",
    ),
    "complexity": (*_ORIGIN, "metric", "value", "unit", "img_size", "suspect", "note"),
    "training_cost": (*_ORIGIN, "device_id", "dataset", "metric", "value", "unit", "suspect", "note"),
}  # fmt: skip

KINDS: tuple[str, ...] = tuple(COLUMNS)

WHOLE_NUMBERS: tuple[str, ...] = ("batch_size", "img_size")
NUMBERS: tuple[str, ...] = ("throughput_per_s", "latency_ms", "peak_memory_mb", "value", "crop_pct")

REQUIRED: dict[str, tuple[str, ...]] = {
    "speed": ("source_id", "model", "device_id", "task", "runtime"),
    "accuracy": ("source_id", "model", "dataset", "metric", "value"),
    "complexity": ("source_id", "model", "metric", "value"),
    "training_cost": ("source_id", "model", "metric", "value"),
}
_YES, _NO = ("yes", "true", "1"), ("", "no", "false", "0")
_PERCENT_METRICS = ("top1", "top5")
_DEVICE_ID = r"[a-z0-9][a-z0-9.-]{0,79}"
_IMG_SIZE_RANGE = (8, 8192)  # px; published tables run from 96 to 1024
_MAX_BATCH_SIZE = 1_000_000


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that did not validate: its line in the file (the header is line 1) and the first reason."""

    line: int
    reason: str


def typed(kind: str, text: pd.DataFrame) -> tuple[pd.DataFrame, list[Reject]]:
    """Turn a frame of text into typed columns, row by row.

    Args:
        kind: One of `KINDS`.
        text: All columns of the kind as text, empty text where not stated; the index is ignored.

    Returns:
        The valid rows (numbers as floats with NaN where not stated, `suspect` as booleans) with a column
        `line`, and the rejected ones with their first reason.
    """
    frame = text.loc[:, list(COLUMNS[kind])].reset_index(drop=True).copy()
    frame.insert(0, "line", frame.index + 2)
    reasons = pd.Series("", index=frame.index, dtype=object)

    def reject(mask: pd.Series[bool], reason: str, given: pd.Series[str]) -> None:
        if mask.any():  # looking at every row of a good file would take longer than reading it
            first = mask & (reasons == "")
            reasons[first] = np.array([reason.format(value) for value in given[first]], dtype=object)

    for column in REQUIRED[kind]:
        reject(frame[column] == "", f"{column} is empty", frame[column])
    for column in [c for c in (*WHOLE_NUMBERS, *NUMBERS) if c in frame]:
        given = frame[column]
        number = pd.to_numeric(given.replace("", None), errors="coerce").astype("float64")
        broken = (given != "") & ~np.isfinite(number)
        if column in WHOLE_NUMBERS:
            broken |= (given != "") & (number % 1 != 0)
        reject(broken, f"{column} '{{}}' is not a number", given)
        reject(_out_of_range(kind, column, number, frame), f"{column} {{}} is out of range", given)
        frame[column] = number
    if kind == "speed":
        wrong_task = ~frame["task"].isin(["infer", "train"])
        reject(wrong_task, "task '{}' is neither infer nor train", frame["task"])
        nothing = frame["throughput_per_s"].isna() & frame["latency_ms"].isna()
        reject(nothing, "neither throughput_per_s nor latency_ms is given", frame["model"])
        bad_id = ~frame["device_id"].str.fullmatch(_DEVICE_ID)
        reject(bad_id, "device_id '{}' is not lower-case letters, digits, '.' and '-'", frame["device_id"])
    said = frame["suspect"].str.lower()
    reject(~said.isin([*_YES, *_NO]), "suspect '{}' is neither yes nor no", frame["suspect"])
    frame["suspect"] = said.isin(_YES)
    bad = reasons != ""
    rejects = [Reject(int(line), str(reason)) for line, reason in zip(frame["line"][bad], reasons[bad], strict=True)]
    return frame[~bad].reset_index(drop=True), rejects


def _out_of_range(kind: str, column: str, number: pd.Series[float], frame: pd.DataFrame) -> pd.Series[bool]:
    if column == "img_size":
        return (number < _IMG_SIZE_RANGE[0]) | (number > _IMG_SIZE_RANGE[1])
    if column == "batch_size":
        return (number < 1) | (number > _MAX_BATCH_SIZE)
    if column == "value" and kind == "accuracy":
        return frame["metric"].isin(_PERCENT_METRICS) & ((number < 0) | (number > 100))
    if column in ("throughput_per_s", "latency_ms"):
        return number <= 0
    return number < 0 if column == "peak_memory_mb" else pd.Series(False, index=frame.index)
