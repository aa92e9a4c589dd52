"""Recipe apart from architecture: matched pairs, spreads and their words."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from advisor.advice.recipes import recipe_gap, recipes, spread
from advisor.errors import BadQuestion, UnknownName
from advisor.evidence.store import Store

_OTHERS = {"real": 85.0, "v2": 70.0, "a": 10.0, "r": 40.0, "sketch": 30.0}


def row(weights: str, img_size: int, top1: float, **facts: Any) -> dict[str, Any]:
    """Weights with their tag's first word as recipe; ImageNet-1k alone and no teacher unless said."""
    architecture, _, tag = weights.partition(".")
    plain = {"pretraining": "ImageNet-1k", "imagenet_1k_only": True, "distilled": False, "licence": "mit"}
    named = {"weights": weights, "architecture": architecture, "tag": tag, "recipe": tag.split("_")[0]}
    return {**named, "img_size": img_size, "top1": top1, **_OTHERS, **plain, **facts}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


WEB = {"imagenet_1k_only": False, "pretraining": "Instagram-1B → ImageNet-1k"}


def test_recipes_are_sorted_by_image_size_then_the_most_accurate_first() -> None:
    scored = frame(
        row("x.b_in1k", 288, 81.0), row("x.b_in1k", 224, 79.0), row("x.a_in1k", 224, 80.0), row("y.a", 224, 1.0)
    )
    found = recipes(scored, "x")
    assert list(zip(found["weights"], found["img_size"], strict=True)) == [
        ("x.a_in1k", 224), ("x.b_in1k", 224), ("x.b_in1k", 288),
    ]  # fmt: skip
    # 1.96 * sqrt(0.8 * 0.2 / 50,000) = 0.3506 points
    assert found["top1_error"].iloc[0] == pytest.approx(0.3506, abs=1e-4)
    assert found["robust"].iloc[0] == pytest.approx((80 + 85 + 70 + 10 + 40 + 30) / 6)


def test_recipes_of_an_unknown_architecture_offer_close_names() -> None:
    with pytest.raises(UnknownName, match="resnet50"):
        recipes(frame(row("resnet50.a1_in1k", 224, 80.0)), "resnet5")


def test_a_gap_that_a_matched_recipe_leaves_nothing_of_is_said_to_be_within_the_error() -> None:
    scored = frame(row("new.z_in1k", 224, 80.2), row("old.a_in1k", 224, 76.0), row("old.b_in1k", 224, 80.1))
    gap = recipe_gap(scored, "new", "old")
    assert gap.same_recipe_gap == pytest.approx(0.1)
    assert gap.same_recipe is not None
    assert gap.same_recipe.second == "old.b_in1k"
    assert "0.1 points are left, inside the sampling error of ±0.35" in gap.text


def test_extra_data_counts_for_the_best_but_not_for_the_matched_recipe() -> None:
    scored = frame(row("new.z_in1k", 224, 80.0), row("new.w_in1k", 224, 84.0, **WEB), row("old.a_in1k", 224, 79.0))
    gap = recipe_gap(scored, "new", "old")
    assert (gap.best.first, gap.best_gap) == ("new.w_in1k", pytest.approx(5.0))
    assert gap.same_recipe_gap == pytest.approx(1.0)
    assert "1.0 points are left, more than the sampling error" in gap.text


def test_weights_with_a_teacher_are_stated_apart() -> None:
    scored = frame(
        row("new.z_in1k", 224, 80.0), row("new.d_in1k", 224, 83.0, distilled=True), row("old.a_in1k", 224, 79.0)
    )
    gap = recipe_gap(scored, "new", "old")
    assert gap.same_recipe_gap == pytest.approx(1.0)
    assert gap.distilled is not None
    assert gap.distilled.gap == pytest.approx(4.0)
    assert "With a teacher allowed, 4.0 points are left" in gap.text


def test_the_matched_pair_is_at_one_image_size_where_both_have_it() -> None:
    scored = frame(row("new.z_in1k", 224, 80.0), row("old.a_in1k", 224, 79.5), row("old.a_in1k", 288, 81.0))
    gap = recipe_gap(scored, "new", "old")
    assert gap.same_recipe is not None
    assert gap.same_recipe.same_size
    assert gap.same_recipe_gap == pytest.approx(0.5)
    assert "the order turns round by 0.5 points" in gap.text


def test_without_a_common_image_size_the_nearest_are_taken_and_said() -> None:
    scored = frame(row("new.z_in1k", 300, 82.0), row("old.a_in1k", 224, 79.0), row("old.a_in1k", 288, 80.0))
    gap = recipe_gap(scored, "new", "old")
    assert gap.same_recipe is not None
    assert (gap.same_recipe.first_img_size, gap.same_recipe.second_img_size) == (300, 288)
    assert "at the nearest image sizes they have" in gap.text


def test_a_recipe_that_both_have_is_the_third_figure() -> None:
    scored = frame(
        row("new.ra_in1k", 224, 80.0), row("new.z_in1k", 224, 81.0), row("old.ra_in1k", 224, 78.0),
        row("old.c_in1k", 224, 79.0),
    )  # fmt: skip
    gap = recipe_gap(scored, "new", "old")
    assert gap.shared_tag == "ra_in1k"
    assert gap.shared is not None
    assert gap.shared.gap == pytest.approx(2.0)
    assert "one and the same recipe (ra_in1k), 2.0 points are left" in gap.text


def test_a_tag_that_names_only_who_trained_is_not_a_shared_recipe() -> None:
    gap = recipe_gap(frame(row("new.fb_in1k", 224, 80.0), row("old.fb_in1k", 224, 78.0)), "new", "old")
    assert gap.shared_tag is None


def test_no_imagenet_1k_weights_leave_the_recipe_unmatched() -> None:
    gap = recipe_gap(frame(row("new.w_in1k", 224, 84.0, **WEB), row("old.a_in1k", 224, 78.0)), "new", "old")
    assert gap.same_recipe_gap is None
    assert "recipes cannot be matched" in gap.text


def test_swapping_the_two_architectures_swaps_only_the_sign() -> None:
    scored = frame(row("new.ra_in1k", 224, 80.0), row("old.ra_in1k", 224, 78.0), row("old.ra_in1k", 288, 79.0))
    one, other = recipe_gap(scored, "new", "old"), recipe_gap(scored, "old", "new")
    assert one.best_gap == -other.best_gap
    assert one.same_recipe_gap == pytest.approx(2.0)
    assert other.same_recipe_gap == pytest.approx(-2.0)


def test_robust_accuracy_is_the_mean_of_six_test_sets() -> None:
    gap = recipe_gap(frame(row("new.z_in1k", 224, 80.0), row("old.a_in1k", 224, 74.0)), "new", "old", "robust")
    assert gap.best_gap == pytest.approx(1.0)  # 6 points on one test set of six


def test_bad_choices_say_what_to_do() -> None:
    scored = frame(row("new.z_in1k", 224, 80.0), row("old.a_in1k", 224, 74.0, v2=float("nan")))
    with pytest.raises(BadQuestion, match="two different architectures"):
        recipe_gap(scored, "new", "new")
    with pytest.raises(UnknownName, match="accuracy"):
        recipe_gap(scored, "new", "old", "top2")
    with pytest.raises(BadQuestion, match="choose another accuracy"):
        recipe_gap(scored, "new", "old", "v2")
    with pytest.raises(BadQuestion, match="it has one at 224 px"):
        spread(scored, "new", 300)


def test_row_order_does_not_matter() -> None:
    scored = frame(row("new.a_in1k", 224, 80.0), row("new.b_in1k", 224, 80.0), row("old.a_in1k", 224, 80.0))
    assert recipe_gap(scored, "new", "old") == recipe_gap(scored.iloc[::-1], "new", "old")


def test_shipped_resnet50_has_some_thirty_results_from_76_to_over_81(shipped: Store) -> None:
    found = recipes(shipped.frame("scored"), "resnet50")
    assert 25 <= len(found) <= 40
    assert found["top1"].max() > 81
    assert 75.9 < found["top1"].min() < 76.2
    at_224 = spread(shipped.frame("scored"), "resnet50", 224)
    assert (at_224.lowest, at_224.low) == ("resnet50.tv_in1k", 76.156)
    assert at_224.points_imagenet_1k == pytest.approx(80.846 - 76.156)  # tv2 against tv


def test_shipped_resnest50_gains_nothing_on_resnet50_with_matched_recipes(shipped: Store) -> None:
    gap = recipe_gap(shipped.frame("scored"), "resnest50d", "resnet50")
    assert gap.same_recipe is not None
    assert (gap.same_recipe.first, gap.same_recipe.second) == ("resnest50d.in1k", "resnet50.tv2_in1k")
    assert gap.same_recipe_gap == pytest.approx(80.958 - 80.846)
    assert gap.same_recipe.within_error
    assert "inside the sampling error of ±0.34" in gap.text


def test_shipped_resnext50_keeps_a_fifth_of_a_point_with_the_a1_recipe(shipped: Store) -> None:
    gap = recipe_gap(shipped.frame("scored"), "resnext50_32x4d", "resnet50")
    assert gap.shared_tag == "a1_in1k"
    assert gap.shared is not None
    assert gap.shared.gap == pytest.approx(81.480 - 81.240)
