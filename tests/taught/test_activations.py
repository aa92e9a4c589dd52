"""Activations that a fusing runtime computes within convolutions and products: which they are, and what they take."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from advisor.measure.run import REST, TimedOperator
from advisor.predict.activations import Activations, activations
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.history import History
from advisor.predict.own_bases import OwnBase
from advisor.predict.predictor import Predictor, Prior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from tests.invented_devices import setup_of, some_profiles
from tests.timed_operators import TOLD_APART, Law, fused_probe, linear_law, probe_of

HERE = setup_of("here")
FAST = replace(HERE, runtime="openvino")
GROUPS = (
    {"gelu"}, {"silu", "sigmoid", "tanh", "exp", "softplus", "mish", "elu"}, {"hardswish", "hardsigmoid"},
)  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Profiles:
    return some_profiles(1)


def counted(profiles: Profiles, row: int) -> tuple[Counter[int], Counter[tuple[int, int]], Counter[int]]:
    """Of one network, by how many values: what makes them, its activations by group, and norms between."""
    made, active, between = Counter[int](), Counter[tuple[int, int]](), Counter[int]()
    name, size = profiles.models["architecture"][row], int(profiles.models["img_size"][row])
    for one in profiles.operators_of(name, size).to_dict("records"):
        if one["macs"] and one["kind"] != "attention":
            made[one["out_values"]] += one["count"]
        if one["kind"] == "normalisation" and one["name"] != "batch_norm":
            between[one["out_values"]] += one["count"]
        for group, names in enumerate(GROUPS):
            if one["name"] in names:
                active[one["out_values"], group] += one["count"]
    return made, active, between


def following(profiles: Profiles, row: int) -> NDArray[np.float64]:
    """Values that pass an activation of each group right after a convolution or product: counted one by one."""
    made, active, between = counted(profiles, row)
    found = np.zeros(len(GROUPS))
    for values in {values for values, _ in active}:
        n = sum(active[values, group] for group in range(len(GROUPS)))
        after = min(n - min(n, between[values]), made[values])
        found += [values * active[values, group] * after / n for group in range(len(GROUPS))]
    return found


def a_ns_a_value(profiles: Profiles) -> Activations:
    return activations(profiles, tuple((1e-6 * profiles.operators["out_values"]).tolist()))


def test_they_are_those_that_follow_a_convolution_or_product_with_as_many_values(whole: Profiles) -> None:
    found = a_ns_a_value(whole)
    rows = range(0, len(whole), 37)
    assert found.everywhere[list(rows)] == pytest.approx(1e-6 * np.array([following(whole, row) for row in rows]))


@pytest.mark.parametrize(("name", "left"), [
    ("tf_efficientnet_b0", 0.0),  # all SiLU follow a convolution whose normalisation is folded away
    ("efficientnet_b0_g8_gn", 1.0),  # all follow a group normalisation
    ("vit_base_patch16_224", 0.0),
])  # fmt: skip
def test_what_is_no_part_of_another_step_stays_a_step(whole: Profiles, name: str, left: float) -> None:
    row = whole.positions[name, 224]
    curved = whole.operators["name"].isin(["silu", "gelu"]).to_numpy()
    before, after = (counts[[row]].toarray()[0] for counts in (whole.counts, a_ns_a_value(whole).others))
    large = curved & (whole.operators["out_values"] > 10_000).to_numpy()
    assert after[large].sum() == pytest.approx(left * before[large].sum(), abs=1e-9)
    others = ~whole.operators["name"].isin(set().union(*GROUPS)).to_numpy()
    assert after[others] == pytest.approx(before[others])


def test_a_call_of_its_own_does_not_count(whole: Profiles) -> None:
    """Eager mode takes 10 microseconds to call each; small ones are nearly all call."""
    values = whole.operators["out_values"].to_numpy(np.float64)
    called = activations(whole, tuple((1e-6 * values + 0.01).tolist()))
    plain = a_ns_a_value(whole)
    kept = plain.everywhere > 0
    assert np.max(called.everywhere[kept] / plain.everywhere[kept]) < 1.1


def test_each_operator_has_its_part_of_what_follows(whole: Profiles) -> None:
    row = whole.positions["tf_efficientnet_b0", 224]
    made, active, _ = counted(whole, row)
    asked = np.array([96 * 112 * 112, 16 * 112 * 112, 12345678])
    after = a_ns_a_value(whole).after(row, asked)[:, 1]
    assert made[int(asked[0])] == 1 and active[int(asked[0]), 1] == 1
    assert after == pytest.approx(
        [1e-6 * 96 * 112 * 112, 0.0, 0.0]
    )  # none follows the second, and nothing makes the third


# -- what they take ------------------------------------------------------------------------------------


def followed_probe(profiles: Profiles, row: int, own: Law, found: Activations, *, within: float) -> Probe:
    """A probe of a runtime whose convolutions and products take a law of theirs and `within` of what follows them."""
    plain = fused_probe(profiles, row, own, lambda operators: np.full(len(operators), 1e-9))
    told = [one for one in plain.operators if one.name != REST]
    n_values = np.array([sum(int(np.prod(shape)) for shape in one.outputs) for one in told])
    after_ms = found.after(row, n_values).sum(axis=1)
    timed = [replace(one, time_ms=one.time_ms + within * float(ms)) for one, ms in zip(told, after_ms, strict=True)]
    rest = TimedOperator(REST, "other", 0, 0, 0, (), (), 1, (), (), count=1, time_ms=0.001)
    latency_ms = sum(one.count * one.time_ms for one in timed)
    return replace(plain, latency_ms=latency_ms, operators=(*timed, rest))


@pytest.mark.parametrize("within", [0.4, 1.2])
def test_what_they_take_within_others_is_learned(
    profiles: Profiles, past: History, rows: list[int], within: float
) -> None:
    eager, slow = linear_law(8), linear_law(9)

    def own(operators: pd.DataFrame) -> NDArray[np.float64]:
        return 0.03 * slow(operators)  # a runtime whose products are fast, so that activations count

    found = activations(profiles, tuple(eager(profiles.operators).tolist()))
    told = np.isin(np.array(KINDS)[kinds_of(profiles.operators)], TOLD_APART)
    plain_ms = np.asarray(profiles.counts @ np.where(told, own(profiles.operators), 0.0))
    true_ms = plain_ms + within * found.everywhere.sum(axis=1)
    given = [followed_probe(profiles, row, own, found, within=within) for row in rows]

    def base(probes: list[Probe]) -> OwnBase:
        learned = Predictor(past, Prior()).fit({HERE: [probe_of(profiles, row, eager) for row in rows], FAST: probes})
        (one,) = learned.own_[FAST]
        return one

    # a runtime that tells of one activation as a step of its own computes none within others
    alone = TimedOperator(REST, "activation", 0, 0, 0, (), (), 1, (), (), count=1, time_ms=1e-6)
    apart = [replace(one, operators=(*one.operators, alone)) for one in given]
    heavy = np.setdiff1d(np.flatnonzero(within * found.everywhere.sum(axis=1) > 0.15 * plain_ms), rows)
    assert len(heavy) > 20
    off, off_apart = (np.median(np.abs(base(one).everywhere[heavy] - np.log(true_ms[heavy]))) for one in (given, apart))
    assert off < 0.06
    assert off < 0.7 * off_apart
