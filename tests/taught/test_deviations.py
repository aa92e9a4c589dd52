"""How networks deviate from the sum of their steps: completed over all, and believed where the probes bear them out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from advisor.evidence.families import family_of
from advisor.predict.completion import Completed, Variances
from advisor.predict.costs import likeness
from advisor.predict.deviations import COLUMNS, Deviations, DeviationsBySetup, key_of
from advisor.predict.history import History
from advisor.predict.own_bases import OwnBase
from advisor.predict.predictor import Predictor, Prior
from advisor.predict.profile import Profiles
from tests.invented_devices import setup_of
from tests.timed_operators import latencies, linear_law, probe_of

HERE = setup_of("here")
KEY = key_of(HERE)


def by_family(profiles: Profiles, seed: int) -> NDArray[np.float64]:
    """Logarithms: a quarter up or down, the same for all networks of a family."""
    families = [family_of(name) for name in profiles.models["architecture"]]
    of_family = dict(zip(sorted(set(families)), np.random.default_rng(seed).normal(0, 0.25, 200), strict=False))
    return np.array([of_family[family] for family in families])


def table(profiles: Profiles, rows: list[int], deviation: NDArray[np.float64], taught: list[int]) -> pd.DataFrame:
    """As the file has it: networks that take 2 ms but for what they deviate; probes are half as far from what they
    have taught themselves."""
    return pd.DataFrame(
        [
            ("cpu", "Some machine", "2", HERE.runtime, "torch 2", HERE.precision, HERE.layout, 1,
             profiles.models["architecture"][row], int(profiles.models["img_size"][row]), 2.0,
             2.0 / np.exp(deviation[row]), 2.0 / np.exp(deviation[row] / 2) if row in taught else np.nan)
            for row in rows
        ],
        columns=list(COLUMNS),
    )  # fmt: skip


# -- completion ----------------------------------------------------------------------------------------


def test_values_are_completed_as_a_gaussian_process_does(profiles: Profiles) -> None:
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(profiles))[:60]
    found = rng.normal(0, 0.2, 60)
    features = likeness(profiles).features
    slow = GaussianProcessRegressor(ConstantKernel(0.03) * RBF(1.5), alpha=0.004, optimizer=None)
    mean, deviation = slow.fit(features[rows], found).predict(features, return_std=True)
    done = Completed(profiles, rows, found, Variances(features=0.03, family=0.0, architecture=0.0, noise=0.004))
    others = np.setdiff1d(np.arange(len(profiles)), rows)
    assert done.mean[others] == pytest.approx(mean[others], abs=1e-9)
    # of a new measurement, so with its noise
    assert done.deviation()[others] == pytest.approx(np.sqrt(deviation[others] ** 2 + 0.004), abs=1e-6)
    assert done.mean[rows] == pytest.approx(found)
    assert done.deviation()[rows] == pytest.approx(np.sqrt(0.004))


def test_a_family_shares_what_one_of_it_has_and_no_other_does(profiles: Profiles) -> None:
    families = np.array([family_of(name) for name in profiles.models["architecture"]])
    (row, *_), like = np.flatnonzero(families == "ResNet"), families == "ResNet"
    done = Completed(
        profiles, np.array([row]), np.array([1.0]), Variances(0.0, family=0.03, architecture=0.0, noise=0.01)
    )
    assert done.mean[like & (np.arange(len(profiles)) != row)] == pytest.approx(0.75)  # 0.03 / 0.04
    assert done.mean[~like] == pytest.approx(0.0)


# -- deviations ----------------------------------------------------------------------------------------


def test_they_are_what_latencies_are_beyond_the_sums_but_for_a_common_pace(profiles: Profiles) -> None:
    deviation, rows = by_family(profiles, 1), list(range(0, 80))
    (known,) = DeviationsBySetup(profiles, table(profiles, rows, deviation, [3, 7]))[KEY]
    usual = np.median(deviation[rows])
    assert known.rows.tolist() == rows
    assert known.untaught[rows] == pytest.approx(deviation[rows] - usual)
    assert known.taught[[3, 7]] == pytest.approx(deviation[[3, 7]] / 2 - usual)
    untold = [row for row in range(len(profiles)) if row not in (3, 7)]
    assert known.taught[untold] == pytest.approx(known.untaught[untold])
    assert known.device == "Some machine, in fp32"


def test_networks_like_none_that_was_measured_are_in_most_doubt(profiles: Profiles) -> None:
    families = np.array([family_of(name) for name in profiles.models["architecture"]])
    resnets = np.flatnonzero(families == "ResNet")
    (known,) = DeviationsBySetup(profiles, table(profiles, resnets[:3].tolist(), by_family(profiles, 1), []))[KEY]
    strangers = np.flatnonzero(families == "CaiT")
    assert known.doubt[resnets[:3]].max() < known.doubt[resnets[3:]].min()
    assert known.doubt[resnets[3:]].max() < known.doubt[strangers].min()
    assert np.abs(known.untaught[strangers]).max() < 0.05


def test_what_a_probe_is_off_by_itself_is_not_passed_on(profiles: Profiles) -> None:
    rows, none = list(range(0, 80)), np.zeros(len(profiles))
    odd = none.copy()
    odd[[3, 7]] = 0.5
    (known,), (plain,) = (DeviationsBySetup(profiles, table(profiles, rows, of, [3, 7]))[KEY] for of in (odd, none))
    others = np.setdiff1d(np.arange(len(profiles)), [3, 7])
    assert known.untaught[others] == pytest.approx(plain.untaught[others])
    assert known.untaught[3] == pytest.approx(0.5)


def test_networks_without_a_cost_profile_are_left_out(profiles: Profiles) -> None:
    rows = list(range(0, 80))
    given = table(profiles, rows, by_family(profiles, 1), [])
    given.loc[5, "img_size"] = 111
    (known,) = DeviationsBySetup(profiles, given)[KEY]
    assert known.rows.tolist() == rows[:5] + rows[6:]


def test_only_setups_that_differ_in_device_and_versions_alone_share_them() -> None:
    assert key_of(replace(HERE, device_id="there", software="torch 3", threads="9", unit="x")) == KEY
    others = [{"runtime": "openvino"}, {"precision": "bf16"}, {"layout": "nhwc"}, {"batch_size": 8}, {"kind": "gpu"}]
    assert all(key_of(replace(HERE, **other)) != KEY for other in others)  # type: ignore[arg-type]


def test_a_guess_is_moved_by_what_fits_each_network(profiles: Profiles) -> None:
    n, probes = len(profiles), np.array([2, 5])
    rng = np.random.default_rng(0)
    known = Deviations(np.array([2, 9]), rng.normal(size=n), rng.normal(size=n), rng.random(n), "Some machine")
    base = OwnBase(rng.normal(size=n), rng.normal(size=2), rng.random(n), rng.random(2), rng.random(n))
    moved = known.added_to(base, probes)
    others = np.setdiff1d(np.arange(n), probes)
    assert moved.everywhere[others] == pytest.approx(base.everywhere[others] + known.untaught[others])
    assert moved.everywhere[probes] == pytest.approx(base.everywhere[probes] + known.taught[probes])
    assert moved.at_probes == pytest.approx(base.at_probes + known.untaught[probes])
    assert np.square(moved.doubt) == pytest.approx(np.square(base.doubt) + np.square(known.doubt))
    assert moved.slow_doubt == pytest.approx(base.slow_doubt)
    assert np.square(moved.probe_doubt) == pytest.approx(np.square(base.probe_doubt) + np.square(known.doubt[probes]))


# -- what the probes make of them ----------------------------------------------------------------------


def off(
    profiles: Profiles, past: History, rows: list[int], true: NDArray[np.float64],
    known: Mapping[Hashable, Sequence[Deviations]],
) -> float:  # fmt: skip
    """Median error of networks that were neither probes nor measured elsewhere."""
    law = linear_law(8)
    probes = [
        replace(one, latency_ms=float(np.exp(true[row]))) for row in rows for one in [probe_of(profiles, row, law)]
    ]
    held_out = np.setdiff1d(np.arange(len(profiles)), [*rows, *measured_elsewhere(profiles)])
    found = Predictor(replace(past, deviations=known), Prior()).fit({HERE: probes}).posterior(HERE, held_out)
    return float(np.median(np.abs(np.exp(found.mean - true[held_out]) - 1)))


def measured_elsewhere(profiles: Profiles) -> list[int]:
    """Half of all networks."""
    return np.random.default_rng(5).permutation(len(profiles))[: len(profiles) // 2].tolist()


def test_what_holds_here_too_makes_predictions_better(profiles: Profiles, past: History, rows: list[int]) -> None:
    here = by_family(profiles, 1)
    true = np.log(latencies(profiles, linear_law(8))) + here
    known = DeviationsBySetup(profiles, table(profiles, measured_elsewhere(profiles), here, []))
    assert off(profiles, past, rows, true, known) < 0.7 * off(profiles, past, rows, true, {})


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_what_does_not_hold_here_makes_them_hardly_worse(
    profiles: Profiles, past: History, rows: list[int], seed: int
) -> None:
    true = np.log(latencies(profiles, linear_law(8))) + by_family(profiles, 1)
    known = DeviationsBySetup(profiles, table(profiles, measured_elsewhere(profiles), by_family(profiles, seed), []))
    assert off(profiles, past, rows, true, known) < 1.1 * off(profiles, past, rows, true, {})


def test_of_several_machines_the_probes_find_the_one_that_is_like_this(
    profiles: Profiles, past: History, rows: list[int]
) -> None:
    here = by_family(profiles, 1)
    true = np.log(latencies(profiles, linear_law(8))) + here
    like, unlike = (
        table(profiles, measured_elsewhere(profiles), of, []).assign(device=name)
        for name, of in (("like", here), ("another", by_family(profiles, 2)))
    )
    both = DeviationsBySetup(profiles, pd.concat([like, unlike], ignore_index=True))
    assert [one.device for one in both[KEY]] == ["another, in fp32", "like, in fp32"]
    errors = [off(profiles, past, rows, true, DeviationsBySetup(profiles, one)) for one in (like, unlike)]
    assert off(profiles, past, rows, true, both) < 1.1 * errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("other", [{"precision": "int8"}, {"runtime": "openvino"}])
def test_another_setup_is_predicted_without_them(
    profiles: Profiles, past: History, rows: list[int], other: dict[str, str]
) -> None:
    here = by_family(profiles, 1)
    true = np.log(latencies(profiles, linear_law(8))) + here
    given = table(profiles, measured_elsewhere(profiles), here, []).assign(**other)
    assert off(profiles, past, rows, true, DeviationsBySetup(profiles, given)) == off(profiles, past, rows, true, {})


def test_in_another_format_of_numbers_networks_deviate_half_as_far(profiles: Profiles) -> None:
    measured = list(range(0, 80))
    given = [
        table(profiles, measured, by_family(profiles, seed), [3]).assign(precision=precision)
        for seed, precision in ((1, "fp32"), (2, "bf16"), (3, "int8"))
    ]
    own, of_bf16 = DeviationsBySetup(profiles, pd.concat(given, ignore_index=True))[KEY]
    (alone,) = DeviationsBySetup(profiles, given[1])[key_of(replace(HERE, precision="bf16"))]
    (plain,) = DeviationsBySetup(profiles, given[0])[KEY]
    assert own.untaught == pytest.approx(plain.untaught)
    assert of_bf16.rows.tolist() == alone.rows.tolist() and of_bf16.device == "Some machine, in bf16"
    for name in ("untaught", "taught", "doubt"):
        assert getattr(of_bf16, name) == pytest.approx(getattr(alone, name) / 2)
    assert DeviationsBySetup(profiles, given[1])[KEY][0].untaught == pytest.approx(alone.untaught / 2)
    assert key_of(replace(HERE, precision="int8")) not in DeviationsBySetup(profiles, given[1])
