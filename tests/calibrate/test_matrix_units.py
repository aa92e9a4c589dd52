"""What networks suffer in slow moments whose multiply-adds are left to units that multiply tiles of matrices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advisor import workflows_known
from advisor.evidence.store import Store
from advisor.measure.cpu import has_matrix_units
from advisor.measure.run import REST, TimedOperator, Work
from advisor.measure.stretches import SUFFERED, Stretch
from advisor.predict.costs import KINDS
from advisor.predict.pace import at_full_pace
from advisor.predict.probe import Probe
from advisor.predict.signature import DENSE, DEPTHWISE
from advisor.predict.suffering import by_class, by_operators, unlike, usual
from advisor.workflows import DATA
from tests.run_data import VERSIONS, run, save

MACS = 64 * 64 * 9 * 56 * 56


def dense(time_ms: float) -> TimedOperator:
    """A convolution of 3x3 px."""
    side = (1, 64, 56, 56)
    return TimedOperator(
        "convolution", "dense convolution", MACS, 4 * 2 * 64 * 56 * 56, 4 * 64 * 64 * 9, (3, 3), (1, 1), 1, (side,),
        (side,), count=1, time_ms=time_ms,
    )  # fmt: skip


def rest(time_ms: float) -> TimedOperator:
    return TimedOperator(REST, "other", 0, 0, 0, (), (), 1, (), (), count=1, time_ms=time_ms)


def test_what_matrix_units_do_suffers_several_times_as_much_as_all_else() -> None:
    convolutions, others, half = (
        by_operators(operators) for operators in ([dense(4.0)], [rest(4.0)], [dense(2.0), rest(2.0)])
    )
    assert 2.5 < convolutions / others < 4.5
    assert half == pytest.approx((convolutions + others) / 2)


def test_only_timed_operators_tell() -> None:
    assert by_operators([]) is None
    assert has_matrix_units(["avx512f", "avx512_bf16", "amx", "amx_bf16"])
    assert not has_matrix_units(["avx2", "avx512_bf16"])


def test_what_a_network_suffers_follows_from_its_classes_as_from_its_operators() -> None:
    class_ms = np.zeros((2, len(KINDS)))
    class_ms[0, KINDS.index(DENSE)], class_ms[1, KINDS.index(DEPTHWISE)] = 4.0, 3.0
    expected = [by_operators([dense(4.0), rest(1.0)]), by_operators([rest(5.0)])]
    assert by_class(class_ms, np.array([1.0, 2.0])).tolist() == pytest.approx(expected)


def test_a_slow_probe_is_corrected_by_what_it_suffers_itself() -> None:
    quiet = [Probe(name, 224, 10.0, stretch=Stretch(10.0, 1.0, 1.0)) for name in "abc"]
    slow = Probe("d", 224, 20.0, stretch=Stretch(20.0, 1.4, 1.4), suffers=1.9)
    (*_, corrected) = at_full_pace([*quiet, slow])
    assert corrected.latency_ms == pytest.approx(20 / 1.4**1.9)
    assert corrected.slow == pytest.approx(math.log(1.4))


def test_a_slow_probe_whose_steps_were_not_timed_suffers_as_is_usual_in_its_setup() -> None:
    powers = {"a": 1.0, "b": 1.2, "c": 1.9}
    told = [Probe(name, 224, 10.0, stretch=Stretch(10.0, 1.0, 1.0), suffers=by) for name, by in powers.items()]
    *_, corrected = at_full_pace([*told, Probe("d", 224, 20.0, stretch=Stretch(20.0, 1.4, 1.4))])
    assert (corrected.suffers, corrected.latency_ms) == (1.2, pytest.approx(20 / 1.4**1.2))


def test_probes_tell_how_far_networks_are_from_what_they_are_expected_to_suffer() -> None:
    probes = [Probe(name, 224, 10.0, suffers=by) for name, by in (("a", 0.6), ("b", 1.0), ("c", 1.4), ("d", None))]
    assert unlike(probes, [1.0] * 4) == pytest.approx(math.sqrt(0.32 / 3))
    assert unlike(probes, [0.7, 1.0, 1.3, 1.0]) == pytest.approx(math.sqrt(0.02 / 3))
    assert unlike(probes[3:], [1.0]) == unlike([], []) == 0.0


@pytest.mark.parametrize(
    ("isa", "precision", "shared"),
    [(["avx512f", "amx"], "bf16", True), (["avx512f", "amx"], "fp32", False), (["avx512f"], "bf16", False)],
)
def test_the_run_tells_whether_its_multiply_adds_were_left_to_them(
    tmp_path: Path, isa: list[str], precision: str, shared: bool
) -> None:
    store = Store(tmp_path, DATA)
    work = Work(macs=MACS, bytes=1, operators=(), counter="a counter", timed=(dense(3.0), rest(1.0)))
    parts: dict[str, Any] = {"work": work, "environment": {"versions": VERSIONS, "isa": isa}}
    save(store, run("r1", runtime="openvino", precision=precision, parts=parts))
    (probe,) = workflows_known.probes_of(store, workflows_known.own_latencies(store)).values()
    assert probe.matrix_units is shared
    assert probe.suffers == (by_operators(work.timed or ()) if shared else None)
    assert usual([probe]) == (probe.suffers or SUFFERED)
