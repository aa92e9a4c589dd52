"""What probes of one setup teach about another setup of the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from advisor.measure.run import BATCH_NORMS, REST, TimedOperator
from advisor.measure.stretches import SUFFERED
from advisor.predict import own_bases as own_bases_module
from advisor.predict import rest_steps, suffering
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.history import History
from advisor.predict.operator_model import complete, usable
from advisor.predict.own_bases import own_bases
from advisor.predict.predictor import Predictor, Prior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import (
    ELEMENTWISE,
    NORMALISATION,
    REDUCTION,
    signature,
)
from advisor.predict.suffering import Suffering
from tests.invented_devices import setup_of
from tests.timed_operators import TOLD_APART, Law, blocked, fused_probe, fusing, latencies, linear_law, probe_of

HERE = setup_of("here")


def test_a_sibling_setup_needs_few_probes(
    profiles: Profiles, past: History, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(8)
    true_ms = latencies(profiles, fusing(law))
    fast = replace(HERE, runtime="openvino")
    few = [
        Probe(profiles.models["architecture"][row], int(profiles.models["img_size"][row]), float(true_ms[row]))
        for row in rows[::2]
    ]
    eager = [probe_of(profiles, row, law) for row in rows]
    rest = np.setdiff1d(np.arange(len(profiles)), rows)
    together = Predictor(past, Prior()).fit({HERE: eager, fast: few}).posterior(fast, rest)
    alone = Predictor(past, Prior()).fit({fast: few}).posterior(fast, rest)
    off, off_alone = (np.median(np.abs(np.exp(p.mean) / true_ms[rest] - 1)) for p in (together, alone))
    assert off < 0.08
    assert off < 0.6 * off_alone
    low, _, high = together.quantiles().T
    assert np.mean((low <= true_ms[rest]) & (true_ms[rest] <= high)) > 0.8


@pytest.mark.parametrize("seed", [9, 10])
def test_a_runtime_that_tells_of_its_steps_is_learned_from_them(
    profiles: Profiles, past: History, rows: list[int], seed: int
) -> None:
    eager, own = linear_law(8), blocked(linear_law(seed))  # each class has other rates than in eager mode
    rest = fusing(eager)
    fast = replace(HERE, runtime="openvino")
    probes = [fused_probe(profiles, row, own, rest) for row in rows]
    told = np.isin(np.array(KINDS)[kinds_of(profiles.operators)], TOLD_APART)
    true_ms = np.asarray(profiles.counts @ np.where(told, own(profiles.operators), rest(profiles.operators)))
    held_out = np.setdiff1d(np.arange(len(profiles)), rows)

    def off(given: list[Probe]) -> float:
        learned = Predictor(past, Prior()).fit({HERE: [probe_of(profiles, row, eager) for row in rows], fast: given})
        return float(np.mean(np.abs(np.exp(learned.posterior(fast, held_out).mean) / true_ms[held_out] - 1)))

    assert off(probes) < 0.06
    assert off(probes) < 0.6 * off([replace(probe, operators=()) for probe in probes])


def by_class(profiles: Profiles, row: int, own: Law, rest: Law) -> Probe:
    """The same, but other steps are told by their class."""
    probe = fused_probe(profiles, row, own, rest)
    others = [one for one in probe_of(profiles, row, rest).operators if signature(one).kind not in TOLD_APART]
    entries = []
    for name, kind, kinds in (
        (BATCH_NORMS, "normalisation", (NORMALISATION,)), (REST, "normalisation", (NORMALISATION,)),
        (REST, "activation", ("slow activation",)), (REST, "other", (ELEMENTWISE, REDUCTION)),
    ):  # fmt: skip
        by_batch = name == BATCH_NORMS
        ms = sum(o.count * o.time_ms for o in others if kind_of(o) in kinds and (o.name == "batch_norm") == by_batch)
        entries.append(TimedOperator(name, kind, 0, 0, 0, (), (), 1, (), (), count=1, time_ms=ms))
    told = tuple(one for one in probe.operators if one.name != REST)
    return replace(probe, operators=(*told, *entries))


def kind_of(one: TimedOperator) -> str:
    frame = pd.DataFrame([{"kind": signature(one).kind, "name": one.name}])
    return KINDS[int(kinds_of(frame)[0])]


@pytest.mark.parametrize(
    ("left_out", "most", "share"), [(("batch_norm", "dropout"), 0.05, 0.8), (("dropout",), 0.06, 0.95)]
)
def test_other_steps_told_by_class_are_better_known_than_all_in_one(
    profiles: Profiles, past: History, rows: list[int], left_out: tuple[str, ...], most: float, share: float
) -> None:
    """A runtime whose activations are six times slower than in eager mode, whose sums are fused, and no two alike.

    One folds normalisation by batch into weights, another leaves it as it is.
    """
    eager, own = linear_law(8), linear_law(9)
    changed = {"slow activation": 6.0, ELEMENTWISE: 0.0, NORMALISATION: 2.0}

    def rest(operators: pd.DataFrame) -> NDArray[np.float64]:
        usual = np.array([changed.get(kind, 1.0) for kind in KINDS])[kinds_of(operators)]
        return eager(operators) * usual * np.exp(np.sin(operators["bytes"].to_numpy(np.float64)))

    fast = replace(HERE, runtime="onnxruntime")
    told = np.isin(np.array(KINDS)[kinds_of(profiles.operators)], TOLD_APART)
    folded = profiles.operators["name"].isin(left_out).to_numpy()
    each_ms = np.where(told, own(profiles.operators), np.where(folded, 0.0, rest(profiles.operators)))
    true_ms = np.asarray(profiles.counts @ each_ms)
    held_out = np.setdiff1d(np.arange(len(profiles)), rows)

    def without_folded(operators: pd.DataFrame) -> NDArray[np.float64]:
        return np.where(operators["name"].isin(left_out), 0.0, rest(operators))

    def off(maker: Callable[[Profiles, int, Law, Law], Probe]) -> float:
        given = [maker(profiles, row, own, without_folded) for row in rows]
        learned = Predictor(past, Prior()).fit({HERE: [probe_of(profiles, row, eager) for row in rows], fast: given})
        (base,) = learned.own_[fast]
        return float(np.median(np.abs(base.everywhere[held_out] - np.log(true_ms[held_out]))))

    assert off(by_class) < most
    assert off(by_class) < share * off(fused_probe)


def test_networks_suffer_of_a_slow_machine_by_the_classes_that_they_are_made_of(
    profiles: Profiles, past: History, rows: list[int]
) -> None:
    """Where multiply-adds are left to matrix units, as the probes tell; all alike elsewhere."""
    eager, own, fast = linear_law(8), blocked(linear_law(9)), replace(HERE, runtime="openvino", precision="bf16")
    rest = fusing(eager)
    fused = [fused_probe(profiles, row, own, rest) for row in rows]
    powers = [suffering.by_operators(one.operators) for one in fused]
    fused = [replace(one, suffers=power, matrix_units=True) for one, power in zip(fused, powers, strict=True)]
    learned = Predictor(past, Prior()).fit({HERE: [probe_of(profiles, row, eager) for row in rows], fast: fused})
    kinds = kinds_of(profiles.operators)
    told = np.isin(np.array(KINDS)[kinds], TOLD_APART)
    of_kind = np.eye(len(KINDS))[kinds] * np.where(told, own(profiles.operators), 0.0)[:, None]
    rest_ms = profiles.counts @ np.where(told, 0.0, rest(profiles.operators))
    true = suffering.by_class(np.asarray(profiles.counts @ of_kind), np.asarray(rest_ms))
    found = learned.suffers(fast)
    assert np.ptp(true) > 0.5 and np.median(np.abs(found - true)) < 0.03
    assert (learned.suffers(HERE) == SUFFERED).all()


def test_busier_networks_suffer_more_where_the_runs_of_their_setup_have_taught_so(
    profiles: Profiles, past: History, rows: list[int]
) -> None:
    law = linear_law(8)
    true_ms, told = latencies(profiles, law), Suffering(1.2, 0.5, 2.0)
    given = [replace(probe_of(profiles, row, law), suffering=told) for row in rows]
    expected = told.of(profiles.n_operators, true_ms)
    found = Predictor(past, Prior()).fit({HERE: given}).suffers(HERE)
    assert np.ptp(expected) > 0.5 and np.median(np.abs(found - expected)) < 0.05


def test_steps_of_a_fusing_runtime_do_not_stand_for_all_operators(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(11)
    fused = [fused_probe(profiles, row, law, fusing(law)) for row in rows]
    assert all(usable(probe) and not complete(probe) for probe in fused)
    assert complete(probe_of(profiles, rows[0], law))
    assert own_bases(profiles, {HERE: fused}, {HERE: rates}) == {HERE: []}, "what the rest is made of is not known"


@pytest.mark.parametrize(
    ("loops", "runtime"),
    [("resampling_doubt_ms", "openvino"), ("variance_doubt_ms", "openvino"), ("variance_doubt_ms", "pytorch-eager")],
)
def test_networks_with_loops_that_may_be_slow_are_doubted_where_no_probe_has_any(
    loops: str, runtime: str, profiles: Profiles, rates: NDArray[np.float64], rows: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    eager, asked = linear_law(8), replace(HERE, runtime=runtime)
    given = {HERE: [probe_of(profiles, row, eager) for row in rows]}
    if asked != HERE:
        given[asked] = [fused_probe(profiles, row, linear_law(9), fusing(eager)) for row in rows]

    def doubt() -> NDArray[np.float64]:
        (base,) = own_bases(profiles, given, dict.fromkeys(given, rates))[asked]
        return base.doubt

    has_some = getattr(rest_steps, loops)(profiles, np.array(rows), 1) > 0
    assert has_some.any() and not has_some[rows].any()
    doubted = doubt()
    monkeypatch.setattr(own_bases_module, loops, lambda *_: np.zeros(len(profiles)))
    assert (doubted[has_some] > doubt()[has_some]).all()
    assert np.array_equal(doubted[~has_some], doubt()[~has_some])
