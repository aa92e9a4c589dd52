"""The answer of a search as JSON and on the terminal."""

from __future__ import annotations

import json

import pytest
from rich.table import Table

from advisor import answer_json, find_json, tables_find
from advisor.evidence.store import Store
from tests.invented_search import bench, two_runtimes


def test_json_is_that_of_recommend_with_the_way_to_it(built: Store) -> None:
    found = two_runtimes(built).search(max_latency_ms=18.5)
    said = json.loads(json.dumps(find_json.answer(found), allow_nan=False))
    assert set(said) > set(answer_json.recommendation(found.recommendation))
    assert said["pick"]["evidence"] == "measured"
    assert said["n_measurements"] == len(said["measured"]) == len(said["path"])
    assert said["seconds"] == 12.5 and 0 <= said["p_missed"] <= 1
    step = said["path"][0]
    assert set(step["predicted_ms"]) == {"p50", "lo90", "hi90"} and step["ci95"] and step["why"] and step["followed"]
    assert said["runtime_worth"]["text"] and said["measured"][0]["evidence"] == "measured"


def test_the_table_shows_the_way(built: Store) -> None:
    found = two_runtimes(built).search(max_latency_ms=18.5)
    printed = [part for part in tables_find.answer(found) if isinstance(part, str)]
    assert any(part.startswith("1. Nothing is within the budget yet") for part in printed)
    assert any("What the runtime alone is worth" in part for part in printed)


@pytest.mark.parametrize(("confirm", "said"), [
    (1, "The one measurement that was allowed is made. 1 measurement took 12 s."), (0, "No measurement was allowed."),
])  # fmt: skip
def test_the_terminal_counts_measurements_in_words(built: Store, confirm: int, said: str) -> None:
    assert said in list(tables_find.answer(bench(built).search(max_latency_ms=19.0, confirm=confirm)))


def test_a_chance_in_a_table_is_never_certain(built: Store) -> None:
    printed = tables_find.answer(bench(built).search(max_latency_ms=60.0, confirm=1))
    columns = [column for table in printed if isinstance(table, Table) for column in table.columns]
    chances = [list(column.cells) for column in columns if column.header == "within the budget"]
    assert chances[0] == ["over 99 %"]  # of what was measured
    assert len(chances) == 2 and not {"100%", "0%", "100 %", "0 %"} & set(chances[1])
