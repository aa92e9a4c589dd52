"""What Compare shows: models side by side, one across devices, recipes of one architecture, two devices."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from advisor.advice.compare import DeviceComparison, across_devices, device_against_device, side_by_side
from advisor.advice.recipes import recipe_gap, recipes, spread
from advisor.advice.setups import QUANTISED
from advisor.evidence.store import Store
from advisor.metrics import METRICS
from advisor.records import FOUR_FAMILIES

_FIRST_MODELS = (
    "mobilenetv4_hybrid_medium.e200_r256_in12k_ft_in1k", "tf_efficientnetv2_s.in21k_ft_in1k",
    "regnety_032.ra_in1k", "resnest50d.in1k", "resnet50.a1_in1k",
)  # fmt: skip


def comparable(store: Store) -> list[str]:
    """Weights with an accuracy, by name."""
    return sorted(store.frame("scored")["weights"].unique())


def first_models(store: Store) -> list[str]:
    """A few well-known weights to start from; the best of the four families where those are not known."""
    scored = store.frame("scored")
    known = [w for w in _FIRST_MODELS if w in set(scored["weights"])]
    if len(known) >= 2:
        return known
    ordered = scored[scored["family"].isin(FOUR_FAMILIES)].sort_values(["top1", "weights"], ascending=[False, True])
    best = list(ordered.drop_duplicates("family")["weights"])
    return best if len(best) >= 2 else list(dict.fromkeys(scored["weights"]))[:2]


def models_table(store: Store, weights: Sequence[str], device_ids: Sequence[str]) -> pd.DataFrame:
    """Models side by side as text with units: one row a metric and setup, the best value and noisy ones marked.

    Raises:
        BadQuestion: Fewer than two models, or more than eight.
    """
    runs = {d: store.frame("runs", device_id=d, task="infer") for d in device_ids}
    names = store.frame("devices").set_index("device_id")["name"]
    compared = side_by_side(store.frame("scored"), runs, weights)
    models = list(compared.columns[6:])
    shown = pd.DataFrame(index=compared.index)
    shown["Metric"] = compared["label"].str.replace(" of one batch", "")
    for model in models:
        shown[model] = [
            METRICS[name].show(value) + (" ★" if model in best and name != "img_size" else "") + " ≈" * (model in noisy)
            for name, value, best, noisy in zip(
                compared["metric"], compared[model], compared["best"], compared["noisy"], strict=True
            )
        ]
    shown["Where"] = (
        compared["device_id"].map(names).fillna("").str.cat(compared["conditions"], sep=" · ").str.strip(" ·")
    )
    return shown


def timed_architectures(store: Store) -> list[str]:
    """Architectures with a usable speed anywhere, by name."""
    return sorted(_all_runs(store)["architecture"].unique())


def _all_runs(store: Store) -> pd.DataFrame:
    return store.frame("runs", device_id=None, task="infer")


def sizes_of(store: Store, architecture: str) -> list[int]:
    """Image sizes at which an architecture has a speed, the one with the most results first."""
    rows = _all_runs(store)
    return [int(size) for size in rows[rows["architecture"] == architecture]["img_size"].value_counts().index]


def everywhere(store: Store, architecture: str, img_size: int) -> pd.DataFrame:
    """One architecture on every device and setup, as `across_devices` gives it."""
    return across_devices(_all_runs(store), store.frame("devices"), architecture, img_size)


def by_device(found: pd.DataFrame, metric: str, batch_size: int | None) -> pd.DataFrame:
    """The rows of one metric and batch size (None: any), best first, with the columns that the chart reads.

    `verdict` is steady or noisy where it is measured here, else a dash.
    """
    rows = found[found["metric"] == metric]
    if batch_size is not None:
        rows = rows[rows["batch_size"] == batch_size]
    rows = rows.sort_values(["value", "device_id"], ascending=[METRICS[metric].better == "lower", True])
    return (
        rows.rename(columns={"conditions": "setup"})
        .assign(
            **{
                metric: rows["value"],
                "quantised": rows["precision"].isin(QUANTISED),
                "verdict": rows["verdict"].replace("", "–"),
            }
        )
        .reset_index(drop=True)
    )


def recipe_table(store: Store, architecture: str) -> pd.DataFrame:
    """Every recipe of an architecture at every image size."""
    return recipes(store.frame("scored"), architecture)


def recipe_sizes(found: pd.DataFrame) -> list[int]:
    """Image sizes of a recipe table, the one with the most recipes first."""
    return [int(size) for size in found["img_size"].value_counts().index]


def recipe_spread(store: Store, architecture: str, img_size: int) -> str:
    """How far the recipes stand apart at one image size, in words."""
    return spread(store.frame("scored"), architecture, img_size).text


def recipe_architectures(store: Store) -> list[str]:
    """Architectures, those with the most weights first."""
    return list(store.frame("scored").groupby("architecture")["weights"].nunique().sort_values(
        ascending=False, kind="stable").index)  # fmt: skip


def gap_in_words(store: Store, first: str, second: str) -> str:
    """How much of the gap between two architectures is left with a recipe of the same strength."""
    return recipe_gap(store.frame("scored"), first, second).text


def two_devices(store: Store, first: str, second: str) -> DeviceComparison:
    """Which models move between two devices, and how different their fronts are."""
    names = store.frame("devices").set_index("device_id")["name"]
    runs = [store.frame("runs", device_id=d, task="infer") for d in (first, second)]
    return device_against_device(runs[0], runs[1], store.frame("scored"), names=(names[first], names[second]))


def two_devices_table(found: DeviceComparison) -> pd.DataFrame:
    """The common models with speeds under the devices' names, those that gain most first."""
    a, b = found.device_a, found.device_b
    heads = {
        "value_a": f"on {a}", "value_b": f"on {b}", "ratio": "times as fast", "relative": "over the median",
        "batch_a": f"batch on {a}", "batch_b": f"batch on {b}",
        "on_front_a": f"front of {a}", "on_front_b": f"front of {b}",
    }  # fmt: skip
    ordered = found.models.sort_values(["relative", "architecture", "img_size"], ascending=[False, True, True])
    return ordered.rename(columns=heads).reset_index(drop=True)
