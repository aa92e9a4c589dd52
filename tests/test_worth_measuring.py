"""Which networks a sweep starts with."""

from __future__ import annotations

import pandas as pd

from advisor.advice.worth_measuring import worth_measuring


def scored(rows: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["architecture", "family", "gmacs", "top1"])
    return frame.assign(img_size=224, weights=frame["architecture"] + ".x")


LADDER = scored([
    ("a1", "A", 1, 70), ("a2", "A", 2, 75), ("a3", "A", 4, 80),  # the front
    ("a4", "A", 2, 72), ("a5", "A", 4, 76),  # the second front
    ("a6", "A", 9, 60),  # the last one
    ("b1", "B", 8, 50), ("b2", "B", 16, 55),
])  # fmt: skip


def names(found: list[tuple[str, int]]) -> list[str]:
    return [name for name, _ in found]


def test_whole_fronts_are_peeled_off_one_after_the_other() -> None:
    assert names(worth_measuring(LADDER, 3, families=None)) == ["a1", "a2", "a3"]
    assert names(worth_measuring(LADDER, 5, families=None)) == ["a1", "a2", "a4", "a3", "a5"]


def test_named_families_share_the_places_even_where_one_fills_every_front() -> None:
    assert names(worth_measuring(LADDER, 4, families=["A", "B"])) == ["a1", "a3", "b1", "b2"]


def test_places_that_a_small_family_cannot_fill_go_to_the_others() -> None:
    assert names(worth_measuring(LADDER, 6, families=["A", "B"])) == ["a1", "a2", "a3", "a5", "b1", "b2"]


def test_a_front_with_too_many_members_is_taken_evenly_over_macs() -> None:
    line = scored([(f"n{i}", "A", i + 1, 60 + i) for i in range(9)])
    assert names(worth_measuring(line, 3, families=None)) == ["n1", "n4", "n7"]


def test_networks_over_the_most_macs_and_those_without_figures_are_left_out() -> None:
    unknown = scored([("a9", "A", float("nan"), 90), ("a8", "A", 1, float("nan"))])
    found = worth_measuring(pd.concat([LADDER, unknown]), 99, families=["A"], max_gmacs=3)
    assert names(found) == ["a1", "a2", "a4"]


def test_weights_of_one_network_count_once_and_row_order_does_not_matter() -> None:
    twice = pd.concat([LADDER, LADDER.assign(weights=LADDER["architecture"] + ".y", top1=LADDER["top1"] - 5)])
    assert worth_measuring(twice.iloc[::-1], 5, families=None) == worth_measuring(LADDER, 5, families=None)
