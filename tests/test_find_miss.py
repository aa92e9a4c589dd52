"""Searches without an answer: what came closest, and the limit to relax."""

from __future__ import annotations

from typing import Any

from advisor.evidence.store import Store
from advisor.measure.run import Memory
from advisor.records import NearestMiss
from advisor.workflows_find_answer import FindAnswer
from tests.invented_search import Bench, known
from tests.small_data import I7_MS

LEAST_MB = 150.0  # of every network of a bench unless it is said to need more


def bench(built: Store, **more: Any) -> Bench:
    """A machine that is as fast as the i7 in eager mode, and predicted to be; nothing was measured on it."""
    return Bench(built, (known(I7_MS),), {"pytorch-eager": I7_MS}, **more)


def miss(found: FindAnswer) -> NearestMiss:
    assert found.recommendation.pick is None and found.recommendation.nearest_miss is not None
    return found.recommendation.nearest_miss


# -- latency -------------------------------------------------------------------------------------------


def test_a_budget_below_the_fastest_names_it_and_what_would_do(built: Store) -> None:
    found = bench(built).search(max_latency_ms=0.5)
    told = miss(found)
    assert found.path == () and found.p_missed == 0.0
    assert told.text.startswith("Nothing was measured within 0.5 ms: the fastest predicted here is mobilenetv4_conv_sm")
    assert told.text.endswith("--max-latency-ms 3.54 would probably do.")
    assert told.relax == (("max_latency_ms", 3.54),)  # 3 ms times exp(0.1645), to three figures and not less


def test_the_limit_on_speed_that_is_in_the_way_is_the_one_to_relax(built: Store) -> None:
    told = miss(bench(built).search(max_latency_ms=30.0, min_throughput=500.0))
    assert told.relax == (("min_throughput", 282.0),)  # one in 3 ms times exp(0.1645), and not more
    assert told.text.startswith("Nothing was measured within 2 ms (500 img/s): the fastest predicted here is")
    assert told.text.endswith(" --min-throughput 282 would probably do.")
    told = miss(bench(built).search(max_latency_ms=0.5, min_throughput=1000.0))
    assert [limit for limit, _ in told.relax] == ["max_latency_ms", "min_throughput"]
    assert told.text.endswith(" --max-latency-ms 3.54 with --min-throughput 282 would probably do.")


def test_without_a_measurement_there_is_no_answer_but_the_chance_of_one(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0, confirm=0)
    assert "allow more measurements with --confirm" in miss(found).text
    assert found.p_missed > 0.99
    assert found.ended == "No measurement was allowed."


def test_a_network_that_did_not_run_is_not_offered(built: Store) -> None:
    """The fastest fails, at 3 ms; the next takes 4 ms."""
    runs_here = {key: ms for key, ms in I7_MS.items() if key[0] != "mobilenetv4_conv_small"}
    machine = bench(built)
    machine.true_ms = {"pytorch-eager": runs_here}
    found = machine.search(max_latency_ms=2.9, confirm=1)
    assert [(one.candidate.architecture, one.status) for one in found.path] == [("mobilenetv4_conv_small", "failed")]
    told = miss(found)
    assert "the fastest predicted here is regnetx_002.pycls_in1k at 224 px with 4 ms" in told.text
    assert told.weights == "regnetx_002.pycls_in1k"


def test_a_median_within_the_budget_is_told_to_cross_it(built: Store) -> None:
    told = miss(bench(built, half_width=0.2).search(max_latency_ms=19.0, confirm=1))
    assert told.text.startswith("Nothing was measured within 19 ms with its whole interval: the fastest measured here")


# -- memory --------------------------------------------------------------------------------------------


def test_where_only_memory_is_in_the_way_the_least_that_was_measured_would_do(built: Store) -> None:
    machine = bench(built, memory_mb={"resnet50": 180.0})
    found = machine.search(max_latency_ms=19.0, max_memory_mb=140.0, confirm=2)
    first, second = found.path
    assert first.candidate.architecture == "resnet50" != second.candidate.architecture
    told = miss(found)
    assert told.weights == second.candidate.weights
    assert told.relax == (("max_memory_mb", LEAST_MB),)
    assert told.text == (
        f"Nothing that was measured within 19 ms keeps to 140 MB of peak memory: {told.weights} at "
        f"{second.candidate.img_size} px needs the least, 150 MB ({second.latency_ms:g} ms, pytorch-eager fp32). "
        "--max-memory-mb 150 would do. Something unmeasured may need less: allow more measurements with --confirm."
    )


def test_the_way_names_memory_as_what_was_not_kept(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0, max_memory_mb=140.0, confirm=2)
    assert found.path[0].followed == "Its peak memory, 150 MB, is over the limit of 140 MB: out."
    assert found.path[1].why.startswith("Nothing keeps both latency and memory yet; ")


def test_what_may_be_missed_leaves_memory_open_where_it_is_limited(built: Store) -> None:
    limited, free = (
        bench(built).search(max_latency_ms=19.0, confirm=0, **more) for more in ({"max_memory_mb": 140.0}, {})
    )
    open_ = "Whether it keeps the limit on memory only measuring can tell."
    assert limited.recommendation.reasons[0].text.endswith(open_) and limited.proviso.strip() == open_
    assert "memory" not in free.recommendation.reasons[0].text and free.proviso == ""


def test_memory_that_no_runtime_tells_is_named_as_what_to_drop(built: Store) -> None:
    machine = bench(built, parts={"memory": Memory(None, None, None, 100.0)})
    found = machine.search(max_latency_ms=19.0, max_memory_mb=140.0, confirm=1)
    assert found.path[0].followed == "Its peak memory is not known, and a limit of 140 MB is set: out."
    assert miss(found).text == (
        "Of what was measured within 19 ms no peak memory is known, and --max-memory-mb is 140 MB: drop it."
    )
    assert miss(found).relax == (("max_memory_mb", "none"),)


def test_a_limit_on_memory_below_all_parameters_names_the_smallest(built: Store) -> None:
    told = miss(bench(built).search(max_latency_ms=19.0, max_memory_mb=5.0))
    assert told.text == (
        "The parameters alone take more than 5 MB in every candidate; regnetx_002.pycls_in1k has the fewest, 2.7 M."
    )


# -- the other limits ----------------------------------------------------------------------------------


def test_limits_that_nothing_passes_name_the_nearest_miss_and_the_limit_to_relax(built: Store) -> None:
    found = bench(built).search(max_latency_ms=19.0, min_accuracy=99.0)
    assert "move --min-accuracy from 99 to" in miss(found).text
    assert found.path == ()
