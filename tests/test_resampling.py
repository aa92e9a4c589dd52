"""The interval of a median: coverage with and without memory, its block length, its cost and its edges."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, bootstrap

from advisor.measure.resampling import block_length, level, median_interval, resampled_medians
from tests.conftest import ROOT


def with_memory(n: int, correlation: float, seed: int) -> np.ndarray:
    """A stationary AR(1) series around 10 whose true median is 10."""
    noise = np.random.default_rng(seed).standard_normal(n + 200)
    return np.asarray(10 + 0.1 * lfilter([1], [1, -correlation], noise)[200:])


@pytest.mark.parametrize(("correlation", "n", "at_least"), [(0.0, 30, 0.9), (0.0, 200, 0.9), (0.7, 400, 0.86)])
def test_interval_holds_the_true_median_about_as_often_as_it_says(correlation: float, n: int, at_least: float) -> None:
    intervals = [median_interval(with_memory(n, correlation, seed), seed=seed) for seed in range(120)]
    held = np.mean([low <= 10 <= high for low, high in intervals])
    assert at_least <= held <= 0.99


def test_drawing_single_times_of_a_series_with_memory_claims_too_much() -> None:
    held = []
    for seed in range(60):
        medians = resampled_medians(with_memory(300, 0.8, seed), length=1, seed=seed)
        low, high = np.quantile(medians, [0.025, 0.975])
        held.append(low <= 10 <= high)
    assert np.mean(held) < 0.7  # what the blocks are for


def test_independent_times_get_the_interval_of_order_statistics() -> None:
    times = np.random.default_rng(3).lognormal(0, 0.2, 400)
    low, high = median_interval(times, seed=0)
    # the exact distribution-free interval: ranks from the binomial distribution (David and Nagaraja, 7.1)
    rank = int(binom.ppf(0.025, len(times), 0.5))
    ordered = np.sort(times)
    assert block_length(times) == 1
    assert low == pytest.approx(ordered[rank - 1], rel=0.01)
    assert high == pytest.approx(ordered[len(times) - rank], rel=0.01)


def test_longer_memory_gets_longer_blocks_and_never_fewer_than_ten_blocks() -> None:
    lengths = [np.mean([block_length(with_memory(1000, c, seed)) for seed in range(10)]) for c in (0.0, 0.6, 0.9)]
    assert lengths[0] < 3 < lengths[1] < lengths[2]
    for n in (6, 19, 20, 57, 300):
        assert n // block_length(np.arange(n, dtype=float)) >= min(n, 10)


def test_times_that_alternate_are_not_called_more_certain_than_independent_ones() -> None:
    assert block_length(np.array([1.0, 2.0] * 60)) == 1


def test_one_far_outlier_does_not_change_the_block_length() -> None:
    times = with_memory(500, 0.7, 1)
    spoiled = times.copy()
    spoiled[np.argmax(times)] = 1e6
    assert block_length(spoiled) == block_length(times)


@pytest.mark.parametrize(("n", "length"), [(60, 1), (300, 6), (6000, 20)])
def test_medians_are_those_of_scipys_bootstrap_over_blocks(n: int, length: int) -> None:
    times = with_memory(n, 0.6, 2)
    found = resampled_medians(times, length=length, seed=5)
    blocks = times.reshape(-1, length)
    result = bootstrap(
        (np.arange(len(blocks)),), lambda drawn: np.median(blocks[drawn.astype(int)]), n_resamples=len(found),
        vectorized=False, method="percentile", rng=np.random.default_rng(5),
    )  # fmt: skip
    np.testing.assert_array_equal(found, result.bootstrap_distribution)


def test_same_seed_same_interval() -> None:
    times = with_memory(200, 0.5, 0)
    assert median_interval(times, seed=4) == median_interval(list(times), seed=4)
    assert median_interval(times, seed=4) != median_interval(times, seed=5)


@pytest.mark.parametrize("times", [[2.5], [1.0, 3.0], [1.0, 2.0, 9.0, 2.0, 2.0]])
def test_few_times_give_their_whole_range(times: list[float]) -> None:
    assert median_interval(times, seed=0) == (min(times), max(times))


def test_equal_times_give_an_interval_of_no_width() -> None:
    assert median_interval([4.0] * 50, seed=0) == (4.0, 4.0)


def test_level_widens_percentiles_for_few_blocks_by_hand() -> None:
    # t of 9 degrees of freedom at 0.975 is 2.2622; times sqrt(10 / 9) is 2.3846; the normal tail beyond is 0.00855
    assert level(10) == pytest.approx(1 - 2 * 0.5 * math.erfc(2.3846 / math.sqrt(2)), abs=1e-4)
    assert level(10_000) == pytest.approx(0.95, abs=1e-3)


def test_importing_verdict_and_comparison_takes_no_second() -> None:
    script = "import sys, advisor.measure.verdict, advisor.measure.comparison; print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_long_series_are_drawn_less_often() -> None:
    assert len(resampled_medians(np.arange(1000.0), length=1, seed=0)) == 999
    assert len(resampled_medians(np.arange(30_000.0), length=10, seed=0)) == 199


def test_times_that_fill_no_block_are_left_out_at_the_start() -> None:
    medians = resampled_medians(np.array([99.0, 1.0, 1.0, 2.0, 2.0]), length=2, seed=0)
    assert set(medians) <= {1.0, 1.5, 2.0}
