"""Times of operators inside probes teach what whole networks take, in their setup and in its siblings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from advisor.predict import smoothing
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.operator_model import Taught, taught, usable
from advisor.predict.own_bases import own_bases
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import (
    ATTENTION,
    DENSE,
    GROUPED,
    PRODUCT,
)
from tests.invented_devices import setup_of
from tests.timed_operators import TOLD_APART, Law, blocked, fused_probe, latencies, linear_law, probe_of

HERE = setup_of("here")


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
    assert usable(busy) and not usable(replace(busy, unsure=0.2)), "its own times tell no latency"
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
    full = [(width % 16 == 0) | (width >= 32) for width in (reads, makes)]  # 72 channels waste little of five vectors
    wide = ((frame["kind"] == GROUPED) & full[0] & full[1]).to_numpy()
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


def test_attention_is_known_from_its_products_and_its_softmax(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    """A value of a softmax takes as long as 200 multiply-adds of a product, whether both are one operator or three.

    One probe has attention as one operator, and three have it in parts, where the 90 % of the time that the softmax is
    makes its MACs a poor guess.
    """
    plain = linear_law(17)

    def law(operators: pd.DataFrame) -> NDArray[np.float64]:
        macs, values, keys = (operators[name].to_numpy(np.float64) for name in ("macs", "out_values", "columns"))
        scores = np.where(whole(operators), operators["products"] * operators["rows"] * keys, values * (macs == 0))
        its = kinds_of(operators) == KINDS.index(ATTENTION)
        return np.where(its, 0.002 + 2e-8 * macs + 4e-6 * scores, plain(operators))

    frame = profiles.operators
    its = kinds_of(frame) == KINDS.index(ATTENTION)
    some = (1.0 * whole(frame), 1.0 * (its & ~whole(frame)), (its * frame["macs"]).to_numpy())
    n_whole, n_parts, macs = (np.asarray(profiles.counts @ one) for one in some)
    small = profiles.models["macs"].to_numpy() < 8e9
    sole = int(np.flatnonzero(small & (n_whole > 0) & (n_parts == 0))[0])
    parts = np.flatnonzero(small & (n_parts > 0) & (n_whole == 0))[:3].tolist()
    probes = [probe_of(profiles, row, law) for row in (*rows[:6], *parts, sole) if n_whole[row] == 0 or row == sole]
    true_ms = np.asarray(profiles.counts @ (law(frame) * its))
    asked = (n_whole > 0) & (n_parts == 0) & (np.arange(len(profiles)) != sole)
    told = lesson(profiles, probes, rates).class_ms[:, KINDS.index(ATTENTION)][asked]
    by_macs = macs[asked] * true_ms[sole] / macs[sole]
    off, off_by_macs = (np.median(np.abs(ms / true_ms[asked] - 1)) for ms in (told, by_macs))
    assert asked.sum() >= 20
    assert off < 0.15
    assert off < 0.6 * off_by_macs


def whole(operators: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(operators["name"].str.contains("attention"))


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


def test_three_probes_tell_what_is_moved_from_what_is_computed(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    """In a setup that computes as fast as the known one, and takes a third of its time to call and to move values."""
    law = linear_law(14)

    def in_order(operators: pd.DataFrame) -> NDArray[np.float64]:
        return law(operators) - 2 / 3 * law(operators.assign(macs=0))

    eager = lesson(profiles, [probe_of(profiles, row, law) for row in rows], rates)
    few = tuple(fused_probe(profiles, row, in_order, law) for row in rows[1::4])
    told = np.isin(np.array(KINDS)[kinds_of(profiles.operators)], TOLD_APART)
    true_ms, eager_ms = (
        np.asarray(profiles.counts @ np.where(told, one(profiles.operators), 0.0)) for one in (in_order, law)
    )
    found = taught(profiles, few, tuple(rates), 1, TOLD_APART, eager)
    assert found is not None
    moves_most = true_ms < np.quantile(true_ms / eager_ms, 0.2) * eager_ms
    assert np.median(errors(found, true_ms)) < 0.04
    assert np.median(errors(found, true_ms)[moves_most]) < 0.025, "one factor for both is off by 5 %"


def test_what_a_lesson_says_of_any_operators_is_what_it_says_of_those_of_the_profiles(
    profiles: Profiles, rates: NDArray[np.float64], rows: list[int]
) -> None:
    found = lesson(profiles, [probe_of(profiles, row, linear_law(3)) for row in rows], rates)
    some = profiles.operators.iloc[::50].reset_index(drop=True)
    assert found.times(some, 1) == pytest.approx(found.each_ms[::50])
    assert found.times(profiles.operators, 1) is found.each_ms
    eight = lesson(profiles, [probe_of(profiles, row, linear_law(3)) for row in rows], rates, batch_size=8)
    assert found.times(some, 8) == pytest.approx(eight.each_ms[::50])
