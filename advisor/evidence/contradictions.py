"""Where published figures about one network differ though the stated conditions are the same.

A row that does not state a condition (an image size, a software version) is taken with the rows that do, so
that silence never hides a contradiction; `conditions` says so. Suspect rows and results of the user's own are
left out: the first are marked already, the second repeat on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from advisor.evidence.tags import read_tag

# Points. The same weights on the same 50,000 images differ through resizing, crop and fp16 alone: the largest
# such difference between timm's and torchvision's own figures is 0.39 (densenet201.tv_in1k at 224 px). It is
# also more than the 95 % sampling error of a top-1 from 60 to 100 % (0.43 at 60 %).
ACCURACY_TOLERANCE = 0.5
# Ratio. Repeated runs of one source agree within 2 %, two pages of one maker within 9 % (Coral Dev Board).
SPEED_TOLERANCE = 1.10
# Ratio. Counters differ on biases, batch norms and the classifier, within 3 %; printed figures are rounded.
COMPLEXITY_TOLERANCE = 1.03

SAME_WEIGHTS = "accuracy of the same weights"
OTHER_WEIGHTS = "accuracy of other weights of the same network"
LATENCY = "latency"
THROUGHPUT = "throughput"
PARAMETERS = "parameters"
OPERATIONS = "MACs"
KINDS: tuple[str, ...] = (SAME_WEIGHTS, OTHER_WEIGHTS, LATENCY, THROUGHPUT, PARAMETERS, OPERATIONS)

COLUMNS: tuple[str, ...] = (
    "kind", "subject", "conditions", "low", "high", "ratio_or_difference", "n_rows", "sources", "row_ids",
    "explanation",
)  # fmt: skip

_FULL_TEST_SET = 50_000  # images of ImageNet-val
_SETUP = (
    "device_id", "task", "runtime", "threads", "unit", "precision", "layout", "batch_size", "img_size",
)  # fmt: skip
# what a model's printed name says of data beyond ImageNet-1k, or of a teacher that saw more
_EXTRA_DATA = r"noisy|jft|in-?2[12]k|in12k|swsl|_ssl|ssld|clip|wsl|swag|yfcc|ig1b"
# image sizes that stand in printed names (convnext-tiny_3rdparty_in1k-384px), told from depths (resnet-200)
_NAMED_SIZE = r"[-_ @](160|192|224|240|256|288|300|320|331|380|384|448|456|475|480|512|600|800)(?:px)?(?=$|[-_ ])"
_WHAT = {"img_size": "image size", "software": "software version"}
# operation counts that mean the same once scaled to giga; units that mean different things stay apart
_OPERATIONS: dict[str, tuple[str, float]] = {
    "gmacs": ("gmacs", 1.0), "mmacs": ("gmacs", 1e-3), "gflops": ("gflops", 1.0), "mflops": ("gflops", 1e-3),
    "gops": ("gops", 1.0),
}  # fmt: skip
_DOUBLED = (1.9, 2.15)  # ratios that a multiply-add counted as two operations explains
_SHOWN_FIGURES = 8

Finding = dict[str, Any]


def contradictions(speed_rows: pd.DataFrame, accuracy_rows: pd.DataFrame, complexity: pd.DataFrame) -> pd.DataFrame:
    """Groups of published rows about one network whose figures differ by more than a tolerance.

    Args:
        speed_rows: As the query `speed_rows` gives them, of all devices.
        accuracy_rows: As the query `accuracy_rows`.
        complexity: As the query `complexity`.

    Returns:
        `COLUMNS`, one row a group: `ratio_or_difference` is in points for accuracies and high / low for the
        rest, `sources` and `row_ids` are tuples. Sorted by kind as in `KINDS`, then the largest
        `ratio_or_difference` first, then subject and conditions.
    """
    accuracy, speed = _usable(accuracy_rows), _usable(speed_rows)
    found = [
        *_same_weights(accuracy),
        *_other_weights(accuracy),
        *_speeds(speed, LATENCY, "latency_ms", "ms"),
        *_speeds(speed, THROUGHPUT, "throughput_per_s", "img/s"),
        *_parameters(_usable(complexity)),
        *_operations(_usable(complexity)),
    ]
    order = {kind: position for position, kind in enumerate(KINDS)}
    found.sort(key=lambda row: (order[row["kind"]], -row["ratio_or_difference"], row["subject"], row["conditions"]))
    return pd.DataFrame(found, columns=list(COLUMNS))


def _usable(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["architecture"] != "") & ~rows["suspect"] & (rows["evidence"] == "published")]


def _same_weights(accuracy: pd.DataFrame) -> list[Finding]:
    tagged = _judged(accuracy[accuracy["tag"] != ""])
    tagged["subject"] = tagged["architecture"] + "." + tagged["tag"]
    reason = "the weights are the same, so fine-tuning, crop or resizing differs, or one is a misprint"
    return _accuracy_groups(tagged, SAME_WEIGHTS, reason)


def _other_weights(accuracy: pd.DataFrame) -> list[Finding]:
    """Weights of one network by ImageNet top-1, from two sources or more, ImageNet-1k data as far as stated.

    timm's `tf_` networks differ from those without the prefix in padding only and count as the same.
    """
    chosen = accuracy[(accuracy["dataset"] == "imagenet-1k") & (accuracy["metric"] == "top1")]
    pairs = chosen[["architecture", "tag"]].drop_duplicates().itertuples(index=False, name=None)
    more_data = {f"{a}.{t}" for a, t in pairs if t and read_tag(a, t).imagenet_1k_only is False}
    has_more = (chosen["architecture"] + "." + chosen["tag"]).isin(more_data)
    chosen = _judged(chosen[~has_more & ~chosen["model"].str.contains(_EXTRA_DATA, case=False)])
    chosen["subject"] = chosen["architecture"].str.removeprefix("tf_")
    reason = "one network, not known to be the same weights, so the recipe may differ where the network does not"
    return _accuracy_groups(chosen, OTHER_WEIGHTS, reason, min_sources=2)


def _judged(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Adds what was judged (the float network, a quantised one, frozen features) and on how many images."""
    said = accuracy["protocol"].str
    quantised = said.contains(r"int8|w\d+a\d+|hardware|edgetpu", case=False)
    choices = [said.contains("linear probe"), said.contains("zero-shot"), quantised]
    judged = np.select(choices, ["linear probe", "zero-shot", "quantised"], default="float")
    n_images = said.extract(r"on (\d+) images", expand=False).astype("float64").fillna(_FULL_TEST_SET)
    return accuracy.assign(judged=judged, n_images=n_images)


def _accuracy_groups(rows: pd.DataFrame, kind: str, reason: str, *, min_sources: int = 1) -> list[Finding]:
    def conditions(first: pd.Series[Any]) -> str:
        images = f"{first['n_images']:,.0f} images" if first["n_images"] != _FULL_TEST_SET else ""
        return _joined(first["dataset"], first["metric"], _size(first["img_size"]), first["judged"], images)

    key = ["subject", "dataset", "metric", "judged", "n_images"]
    rows = _with_usual(_with_named_size(rows), key, "img_size")
    found = []
    for group in _disagreeing(rows, [*key, "img_size"], "value", _difference, ACCURACY_TOLERANCE):
        share = group["value"].mean() / 100
        sampling = 196 * math.sqrt(max(share * (1 - share), 0.0) / group["n_images"].iloc[0])
        apart = _difference(group["value"].min(), group["value"].max())
        if apart > sampling and group["source_id"].nunique() >= min_sources:
            found.append(_finding(group, kind, "value", "", apart, conditions, reason))
    return found


def _speeds(speed: pd.DataFrame, kind: str, column: str, unit: str) -> list[Finding]:
    def conditions(first: pd.Series[Any]) -> str:
        batch = first["batch_size"]
        return _joined(
            first["device_id"], first["task"], first["runtime"], first["software"], first["precision"],
            first["layout"], f"{first['threads']} threads" if first["threads"] else "", first["unit"],
            f"batch {batch:.0f}" if batch == batch else "batch size not stated", _size(first["img_size"]),
        )  # fmt: skip

    rows = speed[speed[column].notna()].rename(columns={"architecture": "subject"})
    key = ["subject", *_SETUP]
    rows = _with_usual(rows[rows.duplicated(key, keep=False)], [*key, "source_id"], "software")
    return [
        _finding(group, kind, column, unit, _ratio(group[column].min(), group[column].max()), conditions,
                 "no stated condition differs")
        for group in _disagreeing(rows, [*key, "software"], column, _ratio, SPEED_TOLERANCE)
    ]  # fmt: skip


def _parameters(complexity: pd.DataFrame) -> list[Finding]:
    rows = complexity[complexity["metric"] == "params_m"].rename(columns={"architecture": "subject"})
    return _complexity_groups(rows.assign(silent=""), PARAMETERS, "M", ["subject", "metric"])


def _operations(complexity: pd.DataFrame) -> list[Finding]:
    rows = complexity[complexity["metric"].isin(list(_OPERATIONS))].rename(columns={"architecture": "subject"})
    scale = rows["metric"].map({name: factor for name, (_, factor) in _OPERATIONS.items()})
    names = rows["metric"].map({name: giga for name, (giga, _) in _OPERATIONS.items()})
    rows = _with_named_size(rows).assign(value=rows["value"] * scale, metric=names, silent="")
    return _complexity_groups(rows, OPERATIONS, "G", ["subject", "metric", "img_size"])


def _complexity_groups(rows: pd.DataFrame, kind: str, unit: str, key: list[str]) -> list[Finding]:
    def conditions(first: pd.Series[Any]) -> str:
        return _joined(first["metric"], _size(first["img_size"]) if "img_size" in key else "")

    found = []
    for group in _disagreeing(rows, key, "value", _ratio, COMPLEXITY_TOLERANCE):
        apart = _ratio(group["value"].min(), group["value"].max())
        reason = "another variant of the network, another way of counting, or a misprint"
        if kind == OPERATIONS and _DOUBLED[0] <= apart <= _DOUBLED[1]:
            reason = "about a factor of two, as when a multiply-add is counted as two operations"
        found.append(_finding(group, kind, "value", unit, apart, conditions, reason))
    return found


def _ratio(low: Any, high: Any) -> Any:
    return high / low


def _difference(low: Any, high: Any) -> Any:
    return high - low


def _disagreeing(
    rows: pd.DataFrame, key: list[str], column: str, apart: Callable[[Any, Any], Any], tolerance: float
) -> Iterator[pd.DataFrame]:
    """Groups of rows that share `key` and are further apart than the tolerance; lowest first, zeros left out."""
    positive = rows[(rows[column] > 0) & rows.duplicated(key, keep=False)]
    values = positive.groupby(key, dropna=False, sort=False)[column]
    # the margin keeps 81.0 - 80.5 from counting as more than 0.5 through rounding of binary fractions
    wide = positive[apart(values.transform("min"), values.transform("max")) > tolerance + 1e-9]
    ordered = wide.sort_values([column, "source_id", "row_id"])
    for _, group in ordered.groupby(key, dropna=False, sort=False):
        yield group


def _with_named_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Fills an unstated image size with the one in the model's printed name."""
    named = rows["model"].str.extract(_NAMED_SIZE, expand=False).astype("float64")
    return rows.assign(img_size=rows["img_size"].fillna(named))


def _with_usual(rows: pd.DataFrame, key: list[str], column: str) -> pd.DataFrame:
    """Fills an unstated `column` with the value that most rows of the same key state; says so in `silent`.

    Left unstated where two values are equally common.
    """
    rows = rows.reset_index(drop=True)
    stated = rows[column].notna() & (rows[column] != "")
    counts = rows[stated].groupby([*key, column], dropna=False).size().rename("n").reset_index()
    top = counts[counts["n"] == counts.groupby(key, dropna=False)["n"].transform("max")]
    usual = top.drop_duplicates(key, keep=False)[[*key, column]].rename(columns={column: "usual"})
    filled = rows.merge(usual, on=key, how="left")
    silent = ~stated & filled["usual"].notna()
    filled[column] = filled[column].where(~silent, filled["usual"])
    return filled.drop(columns="usual").assign(silent=np.where(silent, _WHAT[column], ""))


def _finding(
    group: pd.DataFrame, kind: str, column: str, unit: str, apart: float,
    conditions: Callable[[pd.Series[Any]], str], reason: str,
) -> Finding:  # fmt: skip
    subject, low, high = str(group["subject"].iloc[0]), float(group[column].min()), float(group[column].max())
    silent = [what for what in group["silent"] if what]
    silence = f"{silent[0]} not stated by {len(silent)} of {len(group)} rows" if silent else ""
    size = f"{apart:.2f} points" if kind in (SAME_WEIGHTS, OTHER_WEIGHTS) else f"a factor of {apart:.3g}"
    return {
        "kind": kind,
        "subject": subject,
        "conditions": _joined(conditions(group.iloc[0]), silence),
        "low": low,
        "high": high,
        "ratio_or_difference": apart,
        "n_rows": len(group),
        "sources": tuple(sorted(set(group["source_id"]))),
        "row_ids": tuple(sorted(row_id for row_id in group["row_id"] if row_id)),
        "explanation": f"{subject} differs by {size} ({_figures(group, column, unit)}): {reason}.",
    }


def _figures(group: pd.DataFrame, column: str, unit: str) -> str:
    """What each source prints, or each document where there is one source only; lowest first."""
    one_source = len(set(group["source_id"])) == 1
    names = [PurePosixPath(path).name for path in group["source_file"]] if one_source else group["source_id"]
    printed: dict[str, list[float]] = {}
    for name, value in zip(names, group[column], strict=True):
        printed.setdefault(name, []).append(value)
    figures = [f"{name} {_range(min(values), max(values))}" for name, values in printed.items()]
    whose = f"{group['source_id'].iloc[0]}: " if one_source else ""
    return f"{whose}{_shortened(figures)}{' ' + unit if unit else ''}"


def _shortened(figures: list[str]) -> str:
    """All figures, or the lowest and highest few with how many stand between them."""
    if len(figures) <= _SHOWN_FIGURES:
        return ", ".join(figures)
    half = _SHOWN_FIGURES // 2
    return ", ".join([*figures[:half], f"{len(figures) - 2 * half} more sources", *figures[-half:]])


def _range(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g}–{high:.6g}"


def _size(img_size: float) -> str:
    return f"{img_size:.0f} px" if img_size == img_size else "image size not stated"


def _joined(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)
