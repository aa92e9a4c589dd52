"""Steps of fusing runtimes that are no convolution, product or attention, from eager mode's operators."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.measure.run import BATCH_NORMS, REST, TimedOperator
from advisor.predict import profile_files
from advisor.predict.activations import Activations, activations
from advisor.predict.history import History
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.rest_steps import resampling_doubt_ms, rest, variance_doubt_ms
from tests.invented_devices import some_profiles
from tests.timed_operators import fused_probe, fusing, linear_law, probe_of


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


def off_for(runtime: str, profiles: Profiles, rows: list[int], *, speed: float, n_probes: int) -> float:
    """Mean error of networks that take 10 ms beside norms half and activations a quarter as slow as eager mode's."""
    each_ms = linear_law(5)(profiles.operators)
    ordinary = np.where(profiles.operators["bytes"] == profiles.operators["weight_bytes"], 0.5, 1.0)
    true_ms = {
        (BATCH_NORMS, "normalisation"): speed * 0.5 * summed_ms(profiles, ordinary * each_ms, ("batch_norm",)),
        (REST, "activation"): speed * 0.25 * summed_ms(profiles, each_ms, ("relu", "gelu", "silu")),
    }
    given = [steps_of(profiles, row, true_ms) for row in rows[:: len(rows) // n_probes][:n_probes]]
    held_out = np.setdiff1d(np.arange(len(profiles)), rows)
    whole = sum(true_ms.values())[held_out] + 10.0
    found = sum(steps.everywhere for steps in rest(profiles, given, each_ms, runtime=runtime))
    return float(np.mean(np.abs(found[held_out] + 10.0 - whole) / whole))


def test_three_probes_of_torch_compile_do(profiles: Profiles, rows: list[int]) -> None:
    compiled, other = (
        off_for(runtime, profiles, rows, speed=1.0, n_probes=3) for runtime in ("pytorch-compile", "onnxruntime")
    )
    assert compiled < 0.1
    assert compiled < 0.8 * other


def test_many_probes_correct_what_was_expected_of_torch_compile(profiles: Profiles, rows: list[int]) -> None:
    assert off_for("pytorch-compile", profiles, rows, speed=3.0, n_probes=12) < 0.1


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


def test_activations_within_other_steps_are_no_steps_and_bend_no_factors(profiles: Profiles) -> None:
    """In a runtime whose other steps are means, and the activations that follow no convolution."""
    each_ms = linear_law(5)(profiles.operators)
    found = activations(profiles, tuple(each_ms.tolist()))
    curved = profiles.operators["name"].isin(["silu", "gelu"]).to_numpy()
    alone_ms = np.asarray(found.others @ np.where(curved, each_ms, 0.0))
    true_ms = {(REST, "other"): 0.2 * (alone_ms + summed_ms(profiles, each_ms, ("mean", "adaptive_avg_pool2d")))}
    order = np.argsort(-alone_ms)
    given = [steps_of(profiles, int(row), true_ms) for row in [*order[:12:2], *order[-60::10]]]
    held_out = np.setdiff1d(np.arange(len(profiles)), profiles.rows([probe.key for probe in given]))

    def off(within: Activations | None) -> float:
        (steps,) = rest(profiles, given, each_ms, runtime="openvino", within=within)
        wrong = np.abs(steps.everywhere - true_ms[REST, "other"])[held_out]
        return float(np.mean(wrong / (10.0 + true_ms[REST, "other"][held_out])))

    assert off(found) < 0.05
    assert off(found) < 0.5 * off(None)


def test_resampling_that_no_probe_has_is_doubted_by_how_many_values_it_makes() -> None:
    """crossvit_9_240 resamples to 3 x 224 x 224 values; ONNX Runtime's 16.7 ms are within two of these."""
    shipped = profile_files.load()
    names = ("crossvit_9_240", "crossvit_tiny_240", "resnet50")
    crossing, other, plain = shipped.rows([(names[0], 240), (names[1], 240), (names[2], 224)])
    doubts = resampling_doubt_ms(shipped, np.array([plain]), 1)
    assert doubts[plain] == 0 and doubts[other] == doubts[crossing]
    assert 16.7 / 2 <= doubts[crossing] <= 16.7 and doubts[crossing] == pytest.approx(3 * 224 * 224 * 60e-6)
    assert resampling_doubt_ms(shipped, np.array([plain]), 4) == pytest.approx(4 * doubts)
    assert resampling_doubt_ms(shipped, np.array([plain, other]), 1)[crossing] == 0  # a probe tells what it takes


def test_variances_that_no_probe_has_are_doubted_by_how_many_values_they_read() -> None:
    """regnetz_d8_evos takes as many variances as regnetz_d8 has normalisations; 50 and 86 ms are within two of these.

    Of each it reads all that a normalisation reads and writes nothing of that size.
    """
    shipped = profile_files.load()
    names = ("regnetz_d8_evos", "regnetz_c16_evos", "regnetz_d8")
    evos, other, plain = shipped.rows([(name, 256) for name in names])
    normalised = (shipped.operators["name"] == "batch_norm").to_numpy()
    values = float((shipped.counts[[plain]] @ (normalised * shipped.operators["out_values"].to_numpy(np.float64)))[0])
    doubts = variance_doubt_ms(shipped, np.array([plain]), 1)
    assert doubts[plain] == 0 and doubts[other] > 0
    assert doubts[evos] == pytest.approx(1.5e-6 * values, rel=0.06)  # its stem is wider
    assert 86 / 2.5 <= doubts[evos] <= 50
    assert variance_doubt_ms(shipped, np.array([plain]), 4) == pytest.approx(4 * doubts)
    assert variance_doubt_ms(shipped, np.array([plain, other]), 1)[evos] == 0  # a probe tells what it takes
