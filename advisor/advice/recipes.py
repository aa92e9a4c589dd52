"""Recipe apart from architecture: every weights of one network, and what a recipe of equal strength leaves of a gap.

Gaps are first minus second, in points. A gap inside the 95 % sampling error of the better accuracy is one that
the test images cannot tell from none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from advisor.advice import ties
from advisor.errors import BadQuestion, UnknownName
from advisor.metrics import ACCURACIES, METRICS

_SIX = tuple(ties.TEST_IMAGES)
_FACTS = ("weights", "recipe", "pretraining", "imagenet_1k_only", "distilled", "img_size")
# first words of tags that name who trained the weights, not how: two such tags need not be one recipe
_PUBLISHERS = ("", "apple", "cvnets", "fb", "goog", "ms", "msft", "nvidia", "paddle", "snap")


@dataclass(frozen=True, slots=True)
class Pair:
    """Weights of two architectures, each at an image size, and the gap between them.

    Attributes:
        gap: Accuracy of the first minus that of the second, in points.
        error: Half-width of the 95 % sampling interval of the better of the two, in points.
    """

    first: str
    first_img_size: int
    first_accuracy: float
    second: str
    second_img_size: int
    second_accuracy: float
    gap: float
    error: float

    @property
    def same_size(self) -> bool:
        """Whether both are judged at one image size."""
        return self.first_img_size == self.second_img_size

    @property
    def within_error(self) -> bool:
        """Whether the test images cannot tell the two apart."""
        return abs(self.gap) <= self.error


@dataclass(frozen=True, slots=True)
class RecipeGap:
    """How much of the gap between two architectures is left with a recipe of the same strength.

    Attributes:
        best: The most accurate weights of each, whatever their data, teacher and image size.
        same_recipe: The best weights of each trained on ImageNet-1k alone without a teacher, at the same
            image size where both have one, else at the nearest two; None where one of them has none.
        distilled: As `same_recipe`, with a teacher allowed; None where that changes nothing.
        shared_tag: A tag that both have, so one named recipe on the same data; `shared` is its pair.
        text: All of it in plain words.
    """

    first: str
    second: str
    accuracy: str
    best: Pair
    same_recipe: Pair | None
    distilled: Pair | None
    shared_tag: str | None
    shared: Pair | None
    text: str

    @property
    def best_gap(self) -> float:
        """The gap between the most accurate weights of each, in points."""
        return self.best.gap

    @property
    def same_recipe_gap(self) -> float | None:
        """The gap with the best ImageNet-1k recipe each, in points; None where one of them has none."""
        return self.same_recipe.gap if self.same_recipe else None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the recipes of one architecture stand apart at one image size, by ImageNet top-1.

    Attributes:
        lowest: The least accurate weights; `highest` the most accurate; `low` and `high` their top-1.
        points: High minus low; `points_imagenet_1k` the same among weights of ImageNet-1k alone, None for fewer
            than two.
    """

    architecture: str
    img_size: int
    n_weights: int
    lowest: str
    low: float
    highest: str
    high: float
    points: float
    points_imagenet_1k: float | None
    text: str


def recipes(scored: pd.DataFrame, architecture: str) -> pd.DataFrame:
    """Every weights of one architecture at every image size, with all accuracies and the error of top-1.

    Args:
        scored: Weights x image size, as the query `scored` gives them.

    Returns:
        One row a weights and image size, sorted by image size, then top-1 with the best first, then name.

    Raises:
        UnknownName: No weights of that architecture have an accuracy.
    """
    rows = _of(scored, architecture)
    rows = rows.assign(
        robust=rows[list(_SIX)].mean(axis=1, skipna=False),
        top1_error=ties.sampling_error(rows["top1"].to_numpy(float), "top1"),
    )
    ordered = rows.sort_values(["img_size", "top1", "weights"], ascending=[True, False, True])
    return ordered[[*_FACTS, *ACCURACIES, "top1_error", "licence"]].reset_index(drop=True)


def spread(scored: pd.DataFrame, architecture: str, img_size: int) -> Spread:
    """How far the recipes of one architecture stand apart at one image size.

    Raises:
        BadQuestion: No weights of the architecture have a top-1 at that size.
        UnknownName: No weights of that architecture have an accuracy.
    """
    of_architecture = recipes(scored, architecture)
    rows = of_architecture[(of_architecture["img_size"] == img_size) & of_architecture["top1"].notna()]
    if rows.empty:
        sizes = ", ".join(f"{size}" for size in sorted(of_architecture["img_size"].unique()))
        raise BadQuestion(f"{architecture} has no top-1 at {img_size} px; it has one at {sizes} px.")
    highest, lowest = rows.iloc[0], rows.iloc[-1]
    plain = rows[rows["imagenet_1k_only"].astype(bool)]["top1"]
    points = float(highest["top1"] - lowest["top1"])
    text = f"{architecture} at {img_size} px: {highest['weights']} {highest['top1']:.1f}"
    if len(rows) > 1:
        text += f", {lowest['weights']} {lowest['top1']:.1f}: {points:.1f} points between {len(rows)} weights"
    return Spread(
        architecture=architecture, img_size=img_size, n_weights=len(rows),
        lowest=str(lowest["weights"]), low=float(lowest["top1"]),
        highest=str(highest["weights"]), high=float(highest["top1"]), points=points,
        points_imagenet_1k=float(plain.max() - plain.min()) if len(plain) > 1 else None, text=f"{text}.",
    )  # fmt: skip


def recipe_gap(scored: pd.DataFrame, first: str, second: str, accuracy: str = "top1") -> RecipeGap:
    """How much of the gap between two architectures is the recipe's.

    Among image sizes that both have, the one counts at which the two accuracies add up to most.

    Args:
        scored: Weights x image size, as the query `scored` gives them.
        accuracy: One of `metrics.ACCURACIES`.

    Raises:
        BadQuestion: Twice the same architecture, or one without that accuracy.
        UnknownName: An architecture or an accuracy that is not known.
    """
    if accuracy not in ACCURACIES:
        raise UnknownName("accuracy", accuracy, ACCURACIES)
    if first == second:
        raise BadQuestion(f"Choose two different architectures, not {first} twice.")
    ours, theirs = (_judged(scored, name, accuracy) for name in (first, second))
    best = _pair(_best(ours).iloc[0], _best(theirs).iloc[0])
    plain = [rows[rows["imagenet_1k_only"].astype(bool)] for rows in (ours, theirs)]
    untaught = [rows[~rows["distilled"].astype(bool)] for rows in plain]
    same_recipe = _matched(*untaught)
    taught = _matched(*plain)
    distilled = taught if taught != same_recipe else None
    tag, shared = _shared(*untaught)
    text = _text(first, second, accuracy, best, same_recipe, distilled, tag, shared)
    return RecipeGap(first, second, accuracy, best, same_recipe, distilled, tag, shared, text)


def _of(scored: pd.DataFrame, architecture: str) -> pd.DataFrame:
    rows = scored[scored["architecture"] == architecture]
    if rows.empty:
        raise UnknownName("architecture", architecture, scored["architecture"].unique())
    return rows


def _judged(scored: pd.DataFrame, architecture: str, accuracy: str) -> pd.DataFrame:
    rows = _of(scored, architecture)
    six = rows[list(_SIX)].to_numpy(float)
    values = six.mean(axis=1) if accuracy == "robust" else rows[accuracy].to_numpy(float)
    errors = ties.robust_error(six) if accuracy == "robust" else ties.sampling_error(values, accuracy)
    rows = rows.assign(accuracy=values, error=errors)
    rows = rows[rows["accuracy"].notna()]
    if rows.empty:
        raise BadQuestion(f"{architecture} has no {METRICS[accuracy].label}: choose another accuracy.")
    return rows


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, most accurate first; equally accurate ones by name, then size."""
    return rows.sort_values(["accuracy", "weights", "img_size"], ascending=[False, True, True])


def _pair(ours: pd.Series, theirs: pd.Series) -> Pair:
    better = ours if ours["accuracy"] >= theirs["accuracy"] else theirs
    return Pair(
        first=str(ours["weights"]), first_img_size=int(ours["img_size"]), first_accuracy=float(ours["accuracy"]),
        second=str(theirs["weights"]), second_img_size=int(theirs["img_size"]),
        second_accuracy=float(theirs["accuracy"]), gap=float(ours["accuracy"] - theirs["accuracy"]),
        error=float(better["error"]),
    )  # fmt: skip


def _matched(ours: pd.DataFrame, theirs: pd.DataFrame) -> Pair | None:
    """The best of each at image sizes as close as they have them, then of the highest sum of accuracies."""
    each = [_best(rows).drop_duplicates("img_size") for rows in (ours, theirs)]
    pairs = each[0].merge(each[1], how="cross", suffixes=("_1", "_2"))
    if pairs.empty:
        return None
    apart = (pairs["img_size_1"] - pairs["img_size_2"]).abs().to_numpy()
    total = (pairs["accuracy_1"] + pairs["accuracy_2"]).to_numpy(float)
    chosen = pairs.iloc[np.lexsort((pairs["img_size_1"].to_numpy(), -total, apart))[0]]
    return _pair(*(chosen.filter(like=f"_{n}").rename(lambda name: name[:-2]) for n in (1, 2)))


def _shared(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[str | None, Pair | None]:
    """The recipe tag that both have at one image size: of several, that of the highest sum of accuracies."""
    named = ours[~ours["recipe"].isin(_PUBLISHERS)]
    both = named.merge(theirs, on=["tag", "img_size"], suffixes=("_1", "_2"))
    if both.empty:
        return None, None
    total = (both["accuracy_1"] + both["accuracy_2"]).to_numpy(float)
    chosen = both.iloc[np.lexsort((both["img_size"].to_numpy(), both["tag"].to_numpy(str), -total))[0]]
    sides = []
    for n in (1, 2):
        side = {name: chosen[f"{name}_{n}"] for name in ("weights", "accuracy", "error")}
        sides.append(pd.Series(side | {"img_size": chosen["img_size"]}))
    return str(chosen["tag"]), _pair(*sides)


def _text(
    first: str, second: str, accuracy: str, best: Pair, same_recipe: Pair | None, distilled: Pair | None,
    tag: str | None, shared: Pair | None,
) -> str:  # fmt: skip
    leader, other = (first, second) if best.gap >= 0 else (second, first)
    text = (
        f"{leader} leads {other} by {abs(best.gap):.1f} points of {METRICS[accuracy].label} with the best weights "
        f"each in timm ({_names(best)})"
    )
    if same_recipe is None:
        return (
            f"{text}; one of them has no weights of ImageNet-1k alone without a teacher, so recipes cannot be matched."
        )
    text += f"; with the best ImageNet-1k recipe each, {_left(same_recipe, leader == first)}"
    if distilled is not None:
        text += f" With a teacher allowed, {_left(distilled, leader == first)}"
    if shared is not None:
        text += f" With one and the same recipe ({tag}), {_left(shared, leader == first)}"
    return text


def _left(pair: Pair, first_leads: bool) -> str:
    gap = pair.gap if first_leads else -pair.gap
    judged = "inside" if pair.within_error else "more than"
    left = f"{gap:.1f} points are left" if gap >= 0 else f"the order turns round by {-gap:.1f} points"
    nearest = "" if pair.same_size else ", at the nearest image sizes they have"
    return f"{left}, {judged} the sampling error of ±{pair.error:.2f} ({_names(pair)}{nearest})."


def _names(pair: Pair) -> str:
    if pair.same_size:
        return f"{pair.first} and {pair.second} at {pair.first_img_size} px"
    return f"{pair.first} at {pair.first_img_size} px and {pair.second} at {pair.second_img_size} px"
