"""Prediction from probes, on invented devices whose law is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advisor.errors import BadQuestion, UnknownName
from advisor.measure.stretches import SUFFERED, Stretch
from advisor.predict.additive import fit_rates, floored, pooled_rates, shares
from advisor.predict.belief import Belief, Scales, belief
from advisor.predict.columns import FOLDED, columns
from advisor.predict.costs import KINDS, TERMS, costs
from advisor.predict.history import History, history
from advisor.predict.own_bases import OwnBase
from advisor.predict.predictor import Posterior, Predictor, Prior, Probe, posterior
from advisor.predict.priors import learned
from advisor.predict.probes import CHEAP, chosen
from advisor.predict.profile import Profiles
from advisor.predict.suffering import Suffering, busyness
from tests.invented_devices import CPU, invented, invented_cpus, rates_of, setup_of, some_profiles


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles()


@pytest.fixture(scope="module")
def past(profiles: Profiles) -> History:
    return invented_cpus(profiles, 4)


@pytest.fixture(scope="module")
def prior(past: History) -> Prior:
    return learned(past)


@pytest.fixture(scope="module")
def believed(past: History) -> Belief:
    return belief(past, CPU)


def probes_of(profiles: Profiles, latency_ms: np.ndarray, rows: list[int]) -> list[Probe]:
    models = profiles.models
    return [Probe(models["architecture"][r], int(models["img_size"][r]), float(latency_ms[r])) for r in rows]


# -- columns -------------------------------------------------------------------------------------------


def runs(**changes: object) -> pd.DataFrame:
    row = {
        "architecture": "resnet50", "img_size": 224.0, "device_id": "d", "task": "infer", "runtime": "r",
        "software": "s", "threads": None, "unit": "", "precision": "fp32", "layout": "nchw", "batch_size": 8.0,
        "throughput_per_s": np.nan, "latency_ms": 4.0, "note": None,
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def test_columns_never_pool_setups_and_read_throughput_as_a_batch() -> None:
    shipped = some_profiles(1)
    table = pd.concat([runs(), runs(precision="fp16", latency_ms=np.nan, throughput_per_s=1000.0)])
    found = columns(table, {"d": "gpu"}, shipped, min_rows=1)
    assert [(c.setup.precision, c.setup.kind, c.latency_ms.tolist()) for c in found] == [
        ("fp16", "gpu", [8.0]), ("fp32", "gpu", [4.0]),
    ]  # fmt: skip


def test_of_rows_that_contradict_each_other_the_slowest_speaks() -> None:
    (found,) = columns(pd.concat([runs(), runs(latency_ms=5.0)]), {"d": "gpu"}, some_profiles(1), min_rows=1)
    assert found.latency_ms.tolist() == [5.0]


@pytest.mark.parametrize("change", [
    {"note": f"pt=2 ({FOLDED})"}, {"batch_size": np.nan}, {"architecture": "not_profiled"}, {"latency_ms": np.nan},
])  # fmt: skip
def test_rows_that_profiles_do_not_describe_are_left_out(change: dict[str, object]) -> None:
    assert columns(runs(**change), {"d": "gpu"}, some_profiles(1), min_rows=1) == []


def test_a_batch_multiplies_all_costs_but_weights_and_counts(profiles: Profiles) -> None:
    once, eight = costs(profiles, 1), costs(profiles, 8)
    grows = np.array([not name.startswith(("weight", "count")) for name in TERMS])
    assert np.allclose(eight[:, grows], 8 * once[:, grows]) and np.allclose(eight[:, ~grows], once[:, ~grows])
    assert np.allclose(once[:, : len(KINDS)].sum(axis=1), profiles.models["macs"])


# -- the additive model --------------------------------------------------------------------------------


def test_rates_of_an_exact_device_reproduce_it_and_are_never_negative(profiles: Profiles) -> None:
    terms = costs(profiles, 1)
    exact = terms @ rates_of(0)
    found = fit_rates(terms, exact)
    assert found.min() >= 0
    assert terms @ found == pytest.approx(exact, rel=1e-3)


def test_pooled_rates_do_not_depend_on_the_speed_of_a_device(profiles: Profiles) -> None:
    terms = costs(profiles, 1)
    exact = terms @ rates_of(0)
    first, second = pooled_rates([(terms, exact)]), pooled_rates([(terms, 7 * exact)])
    assert terms @ first == pytest.approx(terms @ second, rel=1e-6)


def test_no_rate_is_so_small_that_a_probe_could_not_correct_it(profiles: Profiles) -> None:
    terms = costs(profiles, 1)
    only_macs = np.where(np.arange(len(TERMS)) < len(KINDS), rates_of(0), 0.0)
    parts = shares(floored(only_macs, terms), terms)
    assert parts.sum(axis=1) == pytest.approx(1.0)
    assert (parts.max(axis=0)[terms.max(axis=0) > 0] > 0.005).all()


# -- the predictor -------------------------------------------------------------------------------------


def test_fifteen_probes_predict_an_unseen_device_with_honest_intervals(profiles: Profiles, past: History,
                                                                         prior: Prior) -> None:  # fmt: skip
    covered, errors = [], []
    for seed in range(20, 26):
        true = invented(profiles, CPU, seed).latency_ms
        order = np.random.default_rng(seed).permutation(len(true))
        rest = order[15:]
        predictor = Predictor(past, prior).fit({CPU: probes_of(profiles, true, order[:15].tolist())})
        low, middle, high = predictor.predict_quantiles(profiles.only(rest), CPU).T
        assert (low < middle).all() and (middle < high).all()
        covered.append(np.mean((low <= true[rest]) & (true[rest] <= high)))
        errors.append(np.median(np.abs(middle / true[rest] - 1)))
    assert 0.82 < np.mean(covered) < 0.98
    assert np.mean(errors) < 0.09  # the noise alone is 2 %; MACs times a constant is off by a third


def test_a_device_like_a_published_one_is_predicted_as_that_one(profiles: Profiles, past: History,
                                                                prior: Prior) -> None:  # fmt: skip
    true = 3 * past.patterns[1].column.latency_ms
    predictor = Predictor(past, prior).fit({CPU: probes_of(profiles, true, list(range(0, 300, 20)))})
    assert np.median(np.abs(predictor.predict_quantiles(profiles, CPU)[:, 1] / true - 1)) < 0.02


def test_order_of_probes_does_not_matter(profiles: Profiles, past: History, prior: Prior) -> None:
    probes = probes_of(profiles, invented(profiles, CPU, 30).latency_ms, [3, 50, 99, 150, 201])
    first = Predictor(past, prior).fit({CPU: probes}).predict_quantiles(profiles, CPU)
    second = Predictor(past, prior).fit({CPU: probes[::-1]}).predict_quantiles(profiles, CPU)
    assert np.log(first) == pytest.approx(np.log(second), abs=1e-6)


def at_pace(probe: Probe, slower: float, suffered: float = SUFFERED) -> Probe:
    """The probe on a machine that is so many times slower, by its pulse, than at its full pace."""
    ms = probe.latency_ms * slower**suffered
    return replace(probe, latency_ms=ms, stretch=Stretch(ms, 1.1 * slower, 1.1 * slower))


@pytest.mark.parametrize("suffered", [0.4, SUFFERED, 1.4])
def test_probes_of_slower_moments_predict_the_machine_at_its_full_pace(
    profiles: Profiles, past: History, prior: Prior, suffered: float
) -> None:
    """Also where all networks suffer less, or twice as much, as is expected: those at full pace beside them tell."""
    true, rows = invented(profiles, CPU, 30).latency_ms, [3, 20, 40, 60, 80, 100, 120, 140]
    given = probes_of(profiles, true, rows)
    full, slowed = [at_pace(probe, 1.0) for probe in given], [at_pace(probe, 1.4, suffered) for probe in given[5:]]
    undisturbed, restless, untold = (
        Predictor(past, prior).fit({CPU: given}).posterior(CPU)
        for given in (full, [*full[:5], *slowed], [*full[:5], *(replace(probe, stretch=None) for probe in slowed)])
    )  # fmt: skip

    def apart(found: Posterior) -> float:
        return float(np.median(np.abs(found.mean - undisturbed.mean)))

    assert apart(restless) < 0.6 * apart(untold)
    assert np.median(restless.deviation) > np.median(undisturbed.deviation)


def test_probes_of_slower_moments_are_corrected_by_what_each_suffers_itself(
    profiles: Profiles, past: History, prior: Prior
) -> None:
    """By the line that runs of its setup have taught, not by one power for all; predictions are as much in doubt."""
    true, rows = invented(profiles, CPU, 30).latency_ms, [3, 20, 40, 60, 80, 100, 120, 140]
    busy = busyness(profiles.n_operators[rows], true[rows])
    told = Suffering(1.2, 0.4, float(np.median(busy)), (0.0, 0.0, 0.0))
    powers = told.of(profiles.n_operators[rows], true[rows]).tolist()
    given = [replace(probe, suffering=told) for probe in probes_of(profiles, true, rows)]
    full = [at_pace(probe, 1.0) for probe in given]
    slowed = [at_pace(probe, 1.3, power) for probe, power in zip(given[3:], powers[3:], strict=True)]
    undisturbed = Predictor(past, prior).fit({CPU: full}).posterior(CPU)
    line, alike, vague = (
        Predictor(past, prior).fit({CPU: [replace(one, suffering=by) for one in (*full[:3], *slowed)]}).posterior(CPU)
        for by in (told, replace(told, slope=0.0), replace(told, covariance=(0.3, 0.0, 0.1)))
    )
    off, off_alike = (np.median(np.abs(found.mean - undisturbed.mean)) for found in (line, alike))
    assert np.ptp(powers) > 0.5
    assert off < 0.6 * off_alike
    assert np.median(vague.deviation) > np.median(line.deviation)


def test_a_probe_whose_own_times_disagree_says_less(profiles: Profiles, past: History, prior: Prior) -> None:
    """One of eight took three times as long as it does."""
    true, rows = invented(profiles, CPU, 30).latency_ms, [3, 20, 40, 60, 80, 100, 120, 140]
    right = [at_pace(probe, 1.0) for probe in probes_of(profiles, true, rows)]
    wrong = at_pace(replace(right[3], latency_ms=3 * right[3].latency_ms), 1.0)
    assert wrong.stretch is not None
    vague = replace(wrong, stretch=replace(wrong.stretch, error=0.5))
    believed = [
        Predictor(past, prior).fit({CPU: [*right[:3], *one, *right[4:]]}).posterior(CPU).mean
        for one in ((right[3],), (wrong,), (vague,))
    ]
    misled, hardly = (np.median(np.abs(found - believed[0])) for found in believed[1:])
    assert hardly < 0.7 * misled


def test_several_runs_of_one_network_that_agree_say_what_one_does(
    profiles: Profiles, past: History, prior: Prior
) -> None:
    true, rows = invented(profiles, CPU, 30).latency_ms, [3, 20, 40, 60, 80]
    once = [at_pace(probe, 1.0) for probe in probes_of(profiles, true, rows)]
    twice = [*once, at_pace(once[0], 1.4)]
    first, second = (Predictor(past, prior).fit({CPU: given}).posterior(CPU) for given in (once, twice))
    assert second.mean == pytest.approx(first.mean, abs=0.01)
    assert second.deviation == pytest.approx(first.deviation, rel=0.05)


def test_more_probes_narrow_the_intervals(past: History, believed: Belief, prior: Prior, profiles: Profiles) -> None:
    true = invented(profiles, CPU, 31).latency_ms
    rows = np.random.default_rng(0).permutation(len(true))
    few, many = (posterior(believed, prior, rows[:n], true[rows[:n]], rows[60:]).deviation for n in (5, 40))
    assert np.median(many) < 0.8 * np.median(few)


def own_base(
    true: np.ndarray, rows: np.ndarray, off: np.ndarray | float, *, doubt: float = 0.0, probe_doubt: float = 0.0,
    slow_doubt: float = 0.0,
) -> OwnBase:  # fmt: skip
    """One that tells all networks but is off by so much at its probes."""
    at_probes, everywhere = np.full(len(rows), probe_doubt), np.ones(len(true))
    return OwnBase(
        np.log(true), np.log(true[rows]) + off, doubt * everywhere, at_probes, slow_doubt * everywhere
    )  # fmt: skip


def test_classes_timed_in_slow_moments_alone_are_doubted_however_well_the_base_tells_its_probes(
    believed: Belief, profiles: Profiles
) -> None:
    true = np.exp(np.random.default_rng(0).normal(3, 1, len(profiles)))
    rows, doubt = np.arange(0, 120, 10), 0.3
    without, with_it = (
        posterior(believed, Prior(), rows, true[rows], rows + 5, [own_base(true, rows, 0.0, slow_doubt=slow)]).deviation
        for slow in (0.0, doubt)
    )
    assert np.median(without) < 0.5 * doubt
    assert np.square(with_it) == pytest.approx(np.square(without) + doubt**2, rel=0.02)


def test_operators_unlike_all_timed_ones_are_doubted_as_much_as_the_base_has_surprised(
    believed: Belief, profiles: Profiles
) -> None:
    true = np.exp(np.random.default_rng(0).normal(3, 1, len(profiles)))  # which nothing published can tell
    rows, doubt = np.arange(0, 120, 10), 0.3
    off = np.where(np.arange(len(rows)) % 2, doubt, -doubt)

    def deviation(surprise: float) -> float:
        base = own_base(true, rows, surprise * off, doubt=doubt, probe_doubt=doubt)
        found = posterior(believed, Prior(), rows, true[rows], rows + 5, [base])
        return float(np.median(found.deviation))

    assert deviation(0.0) < 0.7 * doubt
    assert deviation(0.0) < 0.75 * deviation(1.0)
    assert deviation(1.0) == pytest.approx(doubt, rel=0.25), "as it was expected to surprise, so it did"


def test_networks_like_the_probes_are_as_far_off_as_the_base_is_of_these_by_all_that_was_timed(
    believed: Belief, profiles: Profiles
) -> None:
    """What the other probes alone tell of each says how far networks are off that are unlike all."""
    true = np.exp(np.random.default_rng(0).normal(3, 1, len(profiles)))
    rows = np.arange(0, 120, 10)
    off = np.where(np.arange(len(rows)) % 2, 0.1, -0.1)

    def deviation(by_others: float, by_all: float) -> float:
        base = own_base(true, rows, by_others * off)
        base.everywhere[rows] += by_all * off
        found = posterior(believed, Prior(), rows, true[rows], rows + 5, [base])
        return float(np.median(found.deviation))

    assert deviation(1.0, 1.0) > 1.2 * deviation(1.0, 0.0)


def test_three_probes_are_believed_whose_own_operators_were_timed(believed: Belief, profiles: Profiles) -> None:
    """Where published devices tell the probes as well. What another setup's operators tell is no more likely."""
    rows = np.array([0, 30, 60])
    unlike = np.random.default_rng(0).normal(0, 0.5, len(profiles))
    unlike[rows] = 0.0
    true = np.exp(believed.mean + unlike)

    def found(base: OwnBase) -> Posterior:
        return posterior(believed, Prior(), rows, true[rows], np.arange(70, 120), [base])

    base = own_base(true, rows, 0.0)
    timed, guessed = found(base), found(replace(base, timed=False))
    off, otherwise = (np.abs(one.mean - np.log(true[70:120])) for one in (timed, guessed))
    assert np.median(off) < 0.3 * np.median(otherwise)


def test_widening_widens_in_proportion(believed: Belief, profiles: Profiles) -> None:
    true, rows = invented(profiles, CPU, 31).latency_ms, np.arange(10)
    single, double = (posterior(believed, Prior(Scales(), w), rows, true[rows], rows + 20) for w in (1.0, 2.0))
    assert double.deviation == pytest.approx(2 * single.deviation)


def test_probability_within_a_budget_is_half_at_the_median() -> None:
    found = Posterior(np.log([10.0, 20.0]), np.array([0.1, 0.2]))
    assert found.probability_within(10.0) == pytest.approx([0.5, 0.000264], abs=1e-5)  # z = -3.466
    assert found.quantiles((0.5, 0.95))[0] == pytest.approx([10.0, 10 * np.exp(0.164485)])


def test_too_few_probes_another_setup_and_an_unknown_network_are_refused(profiles: Profiles, past: History) -> None:
    probes = probes_of(profiles, invented(profiles, CPU, 30).latency_ms, [3, 50, 99])
    predictor = Predictor(past, Prior())
    with pytest.raises(BadQuestion, match=r"^2 measured networks with .* are too few .* Measure more"):
        predictor.fit({CPU: probes[:2]})
    with pytest.raises(UnknownName, match="no_such_net"):
        predictor.fit({CPU: [*probes, Probe("no_such_net", 224, 1.0)]})
    with pytest.raises(BadQuestion, match="other setups say nothing certain"):
        predictor.fit({CPU: probes}).predict_quantiles(profiles, replace(CPU, precision="bf16"))


def test_a_device_left_out_is_left_out_with_all_its_setups(profiles: Profiles, past: History) -> None:
    second = invented(profiles, setup_of("cpu-1", precision="bf16"), 9)
    both = history(profiles, [*(p.column for p in past.patterns), second])
    assert both.without("cpu-1").device_ids == ("cpu-0", "cpu-2", "cpu-3")


# -- probes --------------------------------------------------------------------------------------------


def test_probes_are_cheap_and_any_start_of_them_is_the_best_start(believed: Belief, profiles: Profiles) -> None:
    macs, among = profiles.models["macs"].to_numpy(np.float64), np.arange(len(profiles))
    twenty = chosen(believed, Scales(), macs, n=20, among=among)
    assert len(set(twenty)) == 20
    assert macs[twenty].max() <= np.quantile(macs, CHEAP)
    assert chosen(believed, Scales(), macs, n=7, among=among).tolist() == twenty[:7].tolist()


def test_of_probes_that_tell_as_much_the_one_of_less_effort_is_chosen(believed: Belief, profiles: Profiles) -> None:
    macs, among = profiles.models["macs"].to_numpy(np.float64), np.arange(len(profiles))
    first = chosen(believed, Scales(), macs, n=3, among=among)
    effort = np.ones(len(profiles))
    assert chosen(believed, Scales(), macs, n=3, among=among, effort=7.0 * effort).tolist() == first.tolist()
    effort[first[0]] = 100.0
    instead = chosen(believed, Scales(), macs, n=3, among=among, effort=effort)
    without = chosen(believed, Scales(), macs, n=3, among=np.setdiff1d(among, first[:1]))
    assert first[0] not in instead
    assert instead[0] == without[0]


def test_probes_leave_less_unknown_than_random_ones_and_cover_operator_classes(
    believed: Belief, profiles: Profiles
) -> None:
    macs, among = profiles.models["macs"].to_numpy(np.float64), np.arange(len(profiles))
    ten = chosen(believed, Scales(), macs, n=10, among=among)

    def unknown(rows: np.ndarray) -> float:
        within = 4 + believed.covariance(rows, rows, Scales()) + Scales().noise ** 2 * np.eye(len(rows))
        between = 4 + believed.covariance(among, rows, Scales())
        told = (between * np.linalg.solve(within, between.T).T).sum(axis=1)
        return float((4 + believed.variance(among, Scales()) - told).mean())

    rng = np.random.default_rng(0)
    assert unknown(ten) < min(unknown(rng.choice(among, 10, replace=False)) for _ in range(20))
    counted = costs(profiles, 1)[ten][:, -len(KINDS) :].sum(axis=0)
    assert (counted > 0).sum() >= len(KINDS) - 1
