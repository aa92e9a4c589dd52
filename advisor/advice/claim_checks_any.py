"""Claims that no device decides: about recipes, parameters and a published fine-tuning race."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from advisor.advice.claim_checks import MIN_PAIRS, NOT_ENOUGH, Finding, rows
from advisor.advice.ties import sampling_error
from advisor.metrics import enumerated

# The quoted factor 4.8 is met from where it would be rounded to it.
FEWER_PARAMS = 4.75
CLAIMED_TOP1 = 80.4  # ResNet strikes back, recipe A1 at 224 px

_PYCLS = "pycls_in1k"
_MNASNET_NEAREST = "mnasnet-a1_1.4_224"
_RACE = "deepfashion-2022"
_PLAIN_RESNETS = ("resnet34", "resnet50", "resnet101", "resnet152")


@dataclass(frozen=True, slots=True, eq=False)
class Extra:
    """The frames that no device changes, as the queries `accuracy_rows`, `training_cost`, `complexity` give them."""

    accuracy: pd.DataFrame
    training_cost: pd.DataFrame
    complexity: pd.DataFrame


def regnet_trained_for_less(scored: pd.DataFrame, _extra: Extra) -> Finding:
    """The authors' RegNet weights against the best later ImageNet-1k weights of the same network and size."""
    regnets = scored[(scored["family"] == "RegNet") & (scored["extra_data_rank"] == 0) & scored["top1"].notna()]
    original = regnets[regnets["tag"] == _PYCLS]
    later = regnets[regnets["tag"] != _PYCLS].sort_values(["top1", "weights"], ascending=[False, True])
    later = later.drop_duplicates(["architecture", "img_size"])
    pairs = original.drop_duplicates("weights").merge(later, on=["architecture", "img_size"])
    if len(pairs) < MIN_PAIRS:
        text = f"{len(pairs)} RegNets have both the authors' and later ImageNet-1k weights; {MIN_PAIRS} are needed."
        return Finding(NOT_ENOUGH, text)
    gain = (pairs["top1_y"] - pairs["top1_x"]).to_numpy(float)
    error = sampling_error(pairs["top1_x"].to_numpy(float), "top1")
    holds = bool((gain > error).all())
    order = np.lexsort((pairs["architecture"].to_numpy(object).astype(str), -gain))
    most = pairs.iloc[int(order[0])]
    text = (
        f"{len(pairs)} RegNets with the authors' 100-epoch weights and later ImageNet-1k weights of the same network "
        f"and size: {gain.min():+.1f} to {gain.max():+.1f} points of top-1 (median {np.median(gain):+.1f}), "
        f"most for {most['architecture']}, {most['top1_x']:.1f} to {most['top1_y']:.1f} % ({most['weights_y']}). "
        "The later recipes are longer and also stronger, so time alone is not shown to be the cause."
    )
    ids = [str(pairs.iloc[int(i)][c]) for i in order for c in ("accuracy_row_id_x", "accuracy_row_id_y")]
    return Finding("holds" if holds else "fails", text, rows(ids))


def mnasnet_a3_beats_resnet50(scored: pd.DataFrame, extra: Extra) -> Finding:
    """MnasNet-A3 itself is not published here; the nearest relative is shown without a verdict on A3."""
    mine = _value(extra.accuracy, _MNASNET_NEAREST, "top1", "imagenet-1k")
    params = _value(extra.complexity, _MNASNET_NEAREST, "params_m")
    resnets = scored[(scored["architecture"] == "resnet50") & (scored["img_size"] == 224) & scored["top1"].notna()]
    resnets = resnets[resnets["extra_data_rank"] == 0].sort_values(["top1", "weights"])
    text = "MnasNet-A3 is in none of the sources, so nothing here can confirm the 4.8x."
    if mine is None or params is None or resnets.empty:
        return Finding(NOT_ENOUGH, text)
    first, best = resnets.iloc[0], resnets.iloc[-1]
    fewer = float(first["params_m"]) / params[0]
    quoted = f"{'as' if fewer >= FEWER_PARAMS else 'not'} the 4.8x quoted for A3"
    text += (
        f" Its nearest relative, MnasNet-A1 1.4 at 224 px, has {fewer:.1f}x fewer parameters than ResNet-50 "
        f"({params[0]:g} M against {first['params_m']:.1f} M; {quoted}) and {mine[0]:.1f} % top-1, against "
        f"{first['top1']:.1f} % of the weakest ResNet-50 weights ({first['weights']}) and {best['top1']:.1f} % of the "
        f"best of today ({best['weights']})."
    )
    ids = (mine[1], str(first["accuracy_row_id"]), str(best["accuracy_row_id"]))
    return Finding(NOT_ENOUGH, text, rows(ids))


def modern_recipe_lifts_resnet50(scored: pd.DataFrame, extra: Extra) -> Finding:
    """The authors' figure for recipe A1 at 224 px beside timm's own evaluation of those weights."""
    resnets = scored[(scored["architecture"] == "resnet50") & scored["top1"].notna()].sort_values("img_size")
    ours = resnets[resnets["tag"] == "a1_in1k"].drop_duplicates("img_size")
    at_224 = ours[ours["img_size"] == 224]
    if at_224.empty:
        return Finding(NOT_ENOUGH, "timm's evaluation of resnet50.a1_in1k at 224 px is not in the store.")
    measured = float(at_224["top1"].iloc[0])
    holds = measured >= CLAIMED_TOP1 - float(sampling_error(measured, "top1"))
    published = _value(extra.accuracy, "ResNet50 (A1)", "top1", "imagenet-1k")
    said = f"the paper says {published[0]:.1f} %" if published else "the paper's own row is not in the store"
    text = f"resnet50.a1_in1k at 224 px: {said}, timm's evaluation {measured:.2f} %"
    larger = ours[ours["img_size"] > 224]
    if len(larger):
        text += f" (and {float(larger['top1'].iloc[-1]):.2f} % at {int(larger['img_size'].iloc[-1])} px)"
    plain = resnets[(resnets["tag"] == "tv_in1k") & (resnets["img_size"] == 224)]
    if len(plain):
        base = float(plain["top1"].iloc[0])
        text += (
            f"; with torchvision's first recipe the same network has {base:.2f} %, {measured - base:.1f} points less"
        )
    ids = [published[1]] if published else []
    ids += [*ours["accuracy_row_id"].astype(str), *plain["accuracy_row_id"].astype(str).head(1)]
    return Finding("holds" if holds else "fails", text + ".", rows(ids))


def plain_resnets_win_the_race(_scored: pd.DataFrame, extra: Extra) -> Finding:
    """The race's own table: who is most accurate, and who has most accuracy for the minutes of an epoch."""
    accuracy = extra.accuracy[(extra.accuracy["source_id"] == _RACE) & (extra.accuracy["metric"] == "top1")]
    cost = extra.training_cost
    cost = cost[(cost["source_id"] == _RACE) & (cost["metric"] == "minutes_per_epoch")]
    race = accuracy.drop_duplicates("model").merge(cost.drop_duplicates("model"), on="model")
    plain = race["model"].isin(_PLAIN_RESNETS)
    if plain.sum() < MIN_PAIRS or (~plain).sum() < MIN_PAIRS:
        return Finding(NOT_ENOUGH, f"The race's table has {len(race)} networks with accuracy and minutes.")
    race = race.assign(per_minute=race["value_x"] / race["value_y"], plain=plain)
    by_accuracy = race.sort_values(["value_x", "model"], ascending=[False, True])
    by_minute = race.sort_values(["per_minute", "model"], ascending=[False, True])
    best_other = by_accuracy[~by_accuracy["plain"]].iloc[0]
    worst_plain = by_accuracy[by_accuracy["plain"]].iloc[-1]
    first, second = by_minute.iloc[0], by_minute.iloc[1]
    holds = worst_plain["value_x"] > best_other["value_x"] and first["model"] == "resnet34"
    firsts = [f"{r['model']} {r['value_x']:.1f} %" for r in by_accuracy.head(4).to_dict("records")]
    text = (
        f"In that one race ({len(race)} networks, 20 classes of DeepFashion, four epochs, one run each) the most "
        f"accurate were {enumerated(firsts)}; the best that is no plain ResNet was {best_other['model']} with "
        f"{best_other['value_x']:.1f} %. Most accuracy for the minutes of an epoch: {first['model']}, "
        f"{first['value_x']:.1f} % in {first['value_y']:.1f} min, {first['per_minute']:.2f} points a minute, then "
        f"{second['model']} with {second['per_minute']:.2f}. The hardware is not stated."
    )
    return Finding("holds" if holds else "fails", text, rows(by_accuracy["row_id_x"].astype(str)))


def _value(frame: pd.DataFrame, model: str, metric: str, dataset: str | None = None) -> tuple[float, str] | None:
    """The first value of a model as its source prints it, with its row."""
    found = frame[(frame["model"] == model) & (frame["metric"] == metric)]
    if dataset is not None:
        found = found[found["dataset"] == dataset]
    found = found.sort_values("row_id")
    return None if found.empty else (float(found["value"].iloc[0]), str(found["row_id"].iloc[0]))
