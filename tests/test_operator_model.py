"""Times of operators inside probes teach what whole networks take, in their setup and in its siblings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from advisor.measure.run import BATCH_NORMS, REST, TimedOperator
from advisor.predict import smoothing
from advisor.predict.belief import belief
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.history import History, history
from advisor.predict.operator_model import Taught, complete, taught, usable
from advisor.predict.own_bases import own_bases
from advisor.predict.predictor import Predictor, Prior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.rest_steps import rest
from advisor.predict.signature import (
    ATTENTION,
    DENSE,
    DEPTHWISE,
    ELEMENTWISE,
    GROUPED,
    NORMALISATION,
    POINTWISE,
    PRODUCT,
    REDUCTION,
    STEM,
    signature,
)
from tests.invented_devices import CPU, invented, setup_of, some_profiles
from tests.timed_operators import Law, latencies, linear_law, probe_of

HERE = setup_of("here")


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles(10)


@pytest.fixture(scope="module")
def past(profiles: Profiles) -> History:
    return history(profiles, [invented(profiles, setup_of(f"cpu-{seed}"), seed) for seed in range(3)])


@pytest.fixture(scope="module")
def rates(past: History) -> NDArray[np.float64]:
    return belief(past, CPU).rates


@pytest.fixture(scope="module")
def rows(profiles: Profiles) -> list[int]:
    """Twelve networks of all sorts, none of the largest."""
    small = np.flatnonzero(profiles.models["macs"] < 5e9)
    return [int(row) for row in small[:: len(small) // 12][:12]]


def lesson(profiles: Profiles, probes: list[Probe], rates: NDArray[np.float64], *, batch_size: int = 1) -> Taught:
    found = taught(profiles, tuple(probes), tuple(rates), batch_size)
    assert found is not None
    return found


def errors(found: Taught, true_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(found.class_ms.sum(axis=1) / true_ms - 1)


def test_operators_of_twelve_probes_give_whole_networks(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(1)
    found = lesson(profiles, [probe_of(profiles, row, law) for row in rows], rates)
    rest = np.setdiff1d(np.arange(len(profiles)), rows)
    off = errors(found, latencies(profiles, law))[rest]
    assert np.median(off) < 0.03
    assert np.quantile(off, 0.9) < 0.15


def test_a_busy_moment_inside_a_probe_hardly_counts(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(2)
    probes = [probe_of(profiles, row, law) for row in rows]
    busy = probes[4]
    slow = tuple(replace(o, time_ms=100 * o.time_ms) if i == 3 else o for i, o in enumerate(busy.operators))
    assert not usable(replace(busy, operators=slow)), "they add up to several times its latency"
    probes[4] = replace(busy, operators=slow)
    assert np.median(errors(lesson(profiles, probes, rates), latencies(profiles, law))) < 0.04


def test_a_machine_that_changes_its_pace_between_probes_is_seen_through(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(3)
    paces = np.exp(np.random.default_rng(0).normal(0, 0.2, len(rows)))
    probes = [probe_of(profiles, row, law, pace=float(pace)) for row, pace in zip(rows, paces, strict=True)]
    relative = lesson(profiles, probes, rates).class_ms.sum(axis=1) / latencies(profiles, law)
    assert np.median(np.abs(relative / np.median(relative) - 1)) < 0.08  # the probes themselves are off by 0.2


def test_a_probe_is_judged_by_the_operators_of_the_others(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(4)
    probes = [probe_of(profiles, row, law) for row in rows]
    slower = [probe_of(profiles, row, law, pace=1.5 if i == 2 else 1.0) for i, row in enumerate(rows)]
    before, after = lesson(profiles, probes, rates).probe_ms, lesson(profiles, slower, rates).probe_ms
    assert after[2] == pytest.approx(before[2], rel=0.15), "though it took half as long again"
    assert before == pytest.approx([probe.latency_ms for probe in probes], rel=0.35)


def test_networks_of_other_operators_are_doubted(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    found = lesson(profiles, [probe_of(profiles, row, linear_law(5)) for row in rows], rates)
    largest = np.argsort(-profiles.models["macs"].to_numpy())[:5]
    assert found.doubt[largest].min() > 2 * np.median(found.doubt[rows])


def test_what_the_others_say_of_a_probe_of_other_operators_is_doubted(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law, largest = linear_law(5), int(np.argmax(profiles.models["macs"]))
    found = lesson(profiles, [probe_of(profiles, row, law) for row in [*rows, largest]], rates)
    assert found.probe_doubt[-1] > 1.5 * np.median(found.probe_doubt)
    twice = lesson(profiles, [probe_of(profiles, row, law) for row in [*rows, largest, largest]], rates)
    assert (twice.probe_doubt[-2:] < 0.75 * found.probe_doubt[-1]).all(), "each tells of the other, but for its moment"


def test_another_batch_size_follows_from_the_same_operators(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    probes = [probe_of(profiles, row, linear_law(6)) for row in rows]
    one, eight = (lesson(profiles, probes, rates, batch_size=b).class_ms.sum(axis=1) for b in (1, 8))
    assert (eight > one).all()
    assert np.median(eight / one) < 8.0, "calls and weights are not paid eight times"
    assert (eight < 10.0 * one).all()  # what a class's shapes differ by is not known of larger ones


def test_two_probes_teach_nothing(profiles: Profiles, rates: NDArray[np.float64], rows: list[int]) -> None:
    probes = [probe_of(profiles, row, linear_law(7)) for row in rows[:2]]
    assert taught(profiles, tuple(probes), tuple(rates), 1) is None
    assert own_bases(profiles, {HERE: probes}, {HERE: rates}) == {HERE: []}


def fusing(law: Law) -> Law:
    """A runtime that is a quarter faster and pays nothing for normalisation and activations."""
    free = [kind in (NORMALISATION, ELEMENTWISE, "slow activation") for kind in KINDS]

    def fused(operators: pd.DataFrame) -> NDArray[np.float64]:
        return np.where(np.array(free)[kinds_of(operators)], 0.0, 0.75 * law(operators))

    return fused


def blocked(law: Law) -> Law:
    """A runtime that goes another way, three times slower, where channels do not divide by eight."""

    def of_blocks(operators: pd.DataFrame) -> NDArray[np.float64]:
        uneven = (operators["out_channels"] % 8 != 0) & (operators["in_channels"] > 1)
        return law(operators) * np.where(uneven, 3.0, 1.0)

    return of_blocks


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


TOLD_APART = (POINTWISE, DENSE, STEM, DEPTHWISE, GROUPED, PRODUCT)


def fused_probe(profiles: Profiles, row: int, own: Law, rest: Law) -> Probe:
    """A probe of a runtime that tells what its convolutions and products take, by a law of its own, and the rest."""
    told = [one for one in probe_of(profiles, row, own).operators if signature(one).kind in TOLD_APART]
    others = [one for one in probe_of(profiles, row, rest).operators if signature(one).kind not in TOLD_APART]
    left_ms = sum(one.count * one.time_ms for one in others)
    all_else = TimedOperator(REST, "other", 0, 0, 0, (), (), 1, (), (), count=1, time_ms=left_ms)
    name, size = profiles.models["architecture"][row], int(profiles.models["img_size"][row])
    latency_ms = sum(one.count * one.time_ms for one in told) + left_ms
    return Probe(name, size, latency_ms, (*told, all_else))


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


def test_channels_that_do_not_fill_vectors_are_told_from_those_that_do(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    law = blocked(linear_law(14))
    probes = [probe_of(profiles, row, law) for row in rows]
    true_ms = latencies(profiles, law)
    seeing = errors(lesson(profiles, probes, rates), true_ms)
    monkeypatch.setattr(smoothing, "_UNEVEN", 0.0)
    taught.cache_clear()
    blind = errors(lesson(profiles, probes, rates), true_ms)
    taught.cache_clear()
    assert np.median(seeing) < 0.05
    assert np.mean(seeing) < 0.7 * np.mean(blind)


def test_wide_groups_that_no_probe_has_are_taken_for_dense_convolutions(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    """Narrow groups are ten times slower a multiply-add than dense convolutions, wide ones no slower."""
    law = linear_law(15)
    frame = profiles.operators
    reads, makes = (frame[name] // frame["groups"].clip(lower=1) for name in ("in_channels", "out_channels"))
    wide = ((frame["kind"] == GROUPED) & (reads % 16 == 0) & (makes % 16 == 0)).to_numpy()
    as_dense = law(frame.assign(kind=frame["kind"].where(~wide, DENSE)))
    slow = np.where((frame["kind"] == GROUPED).to_numpy() & ~wide, 10.0 * law(frame), as_dense)
    has_wide = np.asarray(profiles.counts @ wide.astype(np.float64)) > 0
    true_ms = np.asarray(profiles.counts @ slow)
    each_ms = dict(zip(frame.itertuples(index=False, name=None), slow.tolist(), strict=True))

    def known(operators: pd.DataFrame) -> NDArray[np.float64]:
        return np.array([each_ms[key] for key in operators[list(frame.columns)].itertuples(index=False, name=None)])

    probes = [probe_of(profiles, row, known) for row in range(0, len(profiles), 7) if not has_wide[row]][:14]
    assert has_wide.sum() >= 3
    assert np.median(errors(lesson(profiles, probes, rates), true_ms)[has_wide]) < 0.2


def test_attention_unlike_that_of_the_probes_is_no_faster_than_products(
    profiles: Profiles, rates: NDArray[np.float64]
) -> None:
    """The only attention that a probe has costs next to nothing a multiply-add; any other as much as a product."""
    frame = profiles.operators
    kinds, macs = kinds_of(frame), frame["macs"].to_numpy(np.float64)
    of_class = kinds == KINDS.index(ATTENTION)
    attention = np.asarray(profiles.counts @ (macs * of_class))
    plain = linear_law(16)

    def law(operators: pd.DataFrame) -> NDArray[np.float64]:
        its = kinds_of(operators) == KINDS.index(ATTENTION)
        as_product = plain(operators.assign(kind=np.where(its, PRODUCT, operators["kind"])))
        return np.where(its, 0.05 * as_product, as_product)

    without = [row for row in range(0, len(profiles), 9) if attention[row] == 0][:10]
    alone = int(np.flatnonzero(attention)[np.argmin(attention[attention > 0])])
    probes = [probe_of(profiles, row, law) for row in (*without, alone)]
    true_ms = np.asarray(profiles.counts @ (plain(frame.assign(kind=PRODUCT)) * of_class))
    heavy = attention > 20 * attention[alone]
    told = lesson(profiles, probes, rates).class_ms[:, KINDS.index(ATTENTION)][heavy] / true_ms[heavy]
    assert heavy.sum() >= 5
    assert np.median(told) > 0.4


def test_steps_of_a_fusing_runtime_do_not_stand_for_all_operators(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = linear_law(11)
    fused = [fused_probe(profiles, row, law, fusing(law)) for row in rows]
    assert all(usable(probe) and not complete(probe) for probe in fused)
    assert complete(probe_of(profiles, rows[0], law))
    assert own_bases(profiles, {HERE: fused}, {HERE: rates}) == {HERE: []}, "what the rest is made of is not known"


def test_probes_that_tell_all_operators_tell_nothing_of_other_steps(
    profiles: Profiles, past: History, rows: list[int]
) -> None:
    """As runs of torch.compile that were stored with eager mode's operators: beside fused ones they bend no factors."""
    eager, own = linear_law(12), linear_law(13)
    fused = [fused_probe(profiles, row, own, fusing(eager)) for row in rows[:-3]]
    whole = [probe_of(profiles, row, eager) for row in rows[-3:]]
    each_ms = eager(profiles.operators)
    (alone,) = rest(profiles, fused, each_ms)
    (beside,) = rest(profiles, [*fused, *whole], each_ms)
    assert beside.everywhere == pytest.approx(alone.everywhere)
    assert rest(profiles, whole, each_ms) == []


def test_classes_that_are_not_asked_for_are_not_taught(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    probes = tuple(probe_of(profiles, row, linear_law(12)) for row in rows)
    every = taught(profiles, probes, tuple(rates), 1)
    some = taught(profiles, probes, tuple(rates), 1, TOLD_APART)
    assert every is not None and some is not None
    told = [kind in TOLD_APART for kind in KINDS]
    assert some.class_ms[:, told] == pytest.approx(every.class_ms[:, told], rel=0.1)
    assert not some.class_ms[:, np.logical_not(told)].any()
    assert (some.timed_ms < [probe.latency_ms for probe in probes]).all()
    assert every.timed_ms == pytest.approx([probe.latency_ms for probe in probes])


def test_rates_are_not_too_low_where_times_scatter(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    """A fit of relative errors would be: half of the mean of such times is off by less than their mean is."""
    law, rng = linear_law(13), np.random.default_rng(0)
    scattered = [probe_of(profiles, row, lambda o: law(o) * np.exp(rng.normal(0, 0.6, len(o)))) for row in rows]
    ratio = lesson(profiles, scattered, rates).class_ms.sum(axis=1) / latencies(profiles, law)
    assert 0.9 < np.median(ratio) < 1.35  # the mean of what scatters so is 1.2 times its median


def compiled(law: Law) -> Law:
    """Eager mode's own kernels a tenth faster, and the weights of convolutions laid out anew at 4 GB/s."""

    def with_layout(operators: pd.DataFrame) -> NDArray[np.float64]:
        several = operators["in_channels"] > np.maximum(operators["groups"], 1)
        moved = several & (operators["kernel_height"] * operators["kernel_width"] > 1)
        return 0.9 * law(operators) + np.where(moved, operators["weight_bytes"], 0.0) / 4e6

    return with_layout


def test_three_probes_teach_a_setup_whose_operators_are_those_of_a_known_one(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    law = blocked(linear_law(14))
    eager = lesson(profiles, [probe_of(profiles, row, law) for row in rows], rates)
    few = tuple(fused_probe(profiles, row, compiled(law), law) for row in rows[1::4])
    told = np.isin(np.array(KINDS)[kinds_of(profiles.operators)], TOLD_APART)
    true_ms = np.asarray(profiles.counts @ np.where(told, compiled(law)(profiles.operators), 0.0))
    alone, beside = (taught(profiles, few, tuple(rates), 1, TOLD_APART, known) for known in (None, eager))
    assert alone is not None and beside is not None
    assert np.median(errors(beside, true_ms)) < 0.03
    assert np.mean(errors(beside, true_ms)) < 0.4 * np.mean(errors(alone, true_ms))
    assert np.median(beside.doubt) < np.median(alone.doubt)


def test_what_a_lesson_says_of_any_operators_is_what_it_says_of_those_of_the_profiles(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    found = lesson(profiles, [probe_of(profiles, row, linear_law(3)) for row in rows], rates)
    some = profiles.operators.iloc[::50].reset_index(drop=True)
    assert found.times(some, 1) == pytest.approx(found.each_ms[::50])
    assert found.times(profiles.operators, 1) is found.each_ms
    eight = lesson(profiles, [probe_of(profiles, row, linear_law(3)) for row in rows], rates, batch_size=8)
    assert found.times(some, 8) == pytest.approx(eight.each_ms[::50])


# -- other steps of torch.compile ------------------------------------------------------------------------


def steps_of(profiles: Profiles, row: int, true_ms: dict[tuple[str, str], NDArray[np.float64]]) -> Probe:
    """A probe that tells one product and what each class of other steps takes."""
    name, size = profiles.models["architecture"][row], int(profiles.models["img_size"][row])
    product = TimedOperator(
        "linear", "linear", 64, 1e3, 1e3, (), (), 1, ((1, 8),), ((1, 8),), count=1, time_ms=10.0
    )  # fmt: skip
    entries = [
        TimedOperator(*step, 0, 0, 0, (), (), 1, (), (), count=1, time_ms=float(ms[row]))
        for step, ms in true_ms.items()
    ]
    return Probe(name, size, sum(o.time_ms for o in (product, *entries)), (product, *entries))


def summed_ms(profiles: Profiles, each_ms: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
    chosen = profiles.operators["name"].isin(names).to_numpy()
    return np.asarray(profiles.counts @ np.where(chosen, each_ms, 0.0))


@pytest.mark.parametrize(("speed", "n_probes", "most"), [(1.0, 3, 0.1), (3.0, 12, 0.1)])
def test_few_probes_of_torch_compile_do_and_many_correct_what_was_expected(
    profiles: Profiles, rows: list[int], speed: float, n_probes: int, most: float
) -> None:
    each_ms = linear_law(5)(profiles.operators)
    ordinary = np.where(profiles.operators["bytes"] == profiles.operators["weight_bytes"], 0.5, 1.0)
    true_ms = {
        (BATCH_NORMS, "normalisation"): speed * 0.5 * summed_ms(profiles, ordinary * each_ms, ("batch_norm",)),
        (REST, "activation"): speed * 0.25 * summed_ms(profiles, each_ms, ("relu", "gelu", "silu")),
    }
    given = [steps_of(profiles, row, true_ms) for row in rows[:: len(rows) // n_probes][:n_probes]]
    held_out = np.setdiff1d(np.arange(len(profiles)), rows)
    whole = sum(true_ms.values())[held_out] + 10.0

    def off(runtime: str) -> float:
        found = sum(steps.everywhere for steps in rest(profiles, given, each_ms, runtime=runtime))
        return float(np.mean(np.abs(found[held_out] + 10.0 - whole) / whole))

    assert off("pytorch-compile") < most
    if n_probes == 3:
        assert off("pytorch-compile") < 0.7 * off("onnxruntime")


_SUMS = (
    "add", "mul", "div", "neg", "sub", "pow", "addcmul", "sqrt", "rsqrt", "square", "mean", "sum", "adaptive_avg_pool2d"
)  # fmt: skip


def test_normalised_weights_and_guards_are_told_from_other_norms_and_sums() -> None:
    """In a runtime where norms of weights take nothing, and each operator has a guard."""
    profiles = some_profiles(1)
    each_ms = linear_law(5)(profiles.operators)
    alone = profiles.operators["bytes"] == profiles.operators["weight_bytes"]
    of_weights = (alone & (profiles.operators["name"] == "batch_norm")).to_numpy()
    true_ms = {
        (BATCH_NORMS, "normalisation"): 0.5 * summed_ms(profiles, np.where(of_weights, 0.0, each_ms), ("batch_norm",)),
        (REST, "other"): 0.5 * summed_ms(profiles, each_ms, _SUMS) + 0.01 * profiles.models["n_operators"].to_numpy(),
    }
    small = profiles.models["macs"].to_numpy() < 8e9
    odd = small & (np.asarray(profiles.counts @ of_weights) > 0)
    given = [steps_of(profiles, int(row), true_ms) for row in np.flatnonzero(small)[::50]]
    given += [steps_of(profiles, int(row), true_ms) for row in np.flatnonzero(odd)[::10]]
    normed, other = rest(profiles, given, each_ms, runtime="pytorch-compile")
    for found, step, most in ((normed, (BATCH_NORMS, "normalisation"), 0.03), (other, (REST, "other"), 0.09)):
        off = np.abs(found.everywhere - true_ms[step]) / (10.0 + sum(true_ms.values()))
        assert max(np.quantile(off[small], 0.9), np.quantile(off[odd], 0.9)) < most
