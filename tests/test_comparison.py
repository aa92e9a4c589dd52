"""Two runs side by side: the ratio, its interval, the words, and what the ratio does not say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.errors import BadQuestion
from advisor.measure.comparison import compare
from tests.timed_runs import measured, run, spread


def test_second_twice_as_fast_is_said_with_its_interval() -> None:
    found = compare(run("a", measured(spread(20, 0.05))), run("b", measured(spread(10, 0.05, seed=1))))
    assert found.ratio == pytest.approx(2, rel=0.02)
    assert found.faster == "second"
    assert found.interval[0] < found.ratio < found.interval[1]
    low, high = found.interval
    assert found.verdict == f"B is {found.ratio:.2f}x faster ({low:.2f}–{high:.2f})"


def test_interval_of_the_ratio_is_that_of_two_independent_medians() -> None:
    found = compare(run("a", measured(spread(10, 0.1, n=400))), run("b", measured(spread(10, 0.1, n=400, seed=1))))
    # standard error of the log of a median: 1.2533 * spread / sqrt(n); of two, sqrt(2) times as much
    half = 1.96 * math.sqrt(2) * 1.2533 * 0.1 / math.sqrt(400)
    assert math.log(found.interval[1] / found.interval[0]) / 2 == pytest.approx(half, rel=0.25)


def test_equal_setups_are_rarely_told_apart() -> None:
    told = [
        compare(
            run("a", measured(spread(10, 0.05, n=100, seed=2 * i))),
            run("b", measured(spread(10, 0.05, n=100, seed=2 * i + 1))),
        ).faster
        for i in range(40)
    ]
    assert sum(faster is not None for faster in told) <= 6  # 2 expected; 7 or more has a chance below 0.5 %


def test_overlap_is_no_difference_shown() -> None:
    found = compare(run("a", measured(spread(10, 0.2, n=50))), run("b", measured(spread(10, 0.2, n=50, seed=1))))
    low, high = found.interval
    assert low < 1 < high
    assert found.faster is None
    assert found.verdict == f"no difference shown: A takes {low:.2f} to {high:.2f} times as long as B"


def test_order_of_the_two_inverts_ratio_and_interval() -> None:
    one, two = run("a", measured(spread(10, 0.1, n=70))), run("b", measured(spread(13, 0.1, n=200, seed=5)))
    there, back = compare(one, two), compare(two, one)
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.interval == pytest.approx((1 / there.interval[1], 1 / there.interval[0]))
    assert there.verdict.replace("A is", "B is") == back.verdict


def test_run_equals_itself() -> None:
    one = run("a", measured(spread(10, 0.1)))
    found = compare(one, one)
    assert (found.ratio, found.interval, found.faster, found.differences) == (1.0, (1.0, 1.0), None, ())


def test_series_with_memory_get_a_wider_interval_than_shuffled_ones() -> None:
    waves = list(10 + np.sin(np.arange(400) / 8))
    shuffled = list(np.random.default_rng(0).permutation(waves))
    other = run("b", measured(spread(10, 0.01)))
    widths = [np.ptp(compare(run("a", measured(times)), other).interval) for times in (waves, shuffled)]
    assert widths[0] > 1.3 * widths[1]


def test_few_times_allow_all_that_their_ranges_do() -> None:
    found = compare(run("a", measured([1000.0, 1200.0])), run("b", measured([500.0, 400.0, 450.0])))
    assert found.interval == (1000 / 500, 1200 / 400)


def test_noisy_runs_are_named_with_their_reason() -> None:
    one = run("a", measured(spread(10, 0.05)))
    two = run("b", measured(spread(20, 0.05)), verdict="noisy", reasons=("The times drifted.",))
    assert compare(one, two).caveats[0] == "B is noisy, so the ratio may not repeat: The times drifted."
    assert compare(one, one).caveats == ()


def test_difference_below_that_of_repeated_processes_needs_more_runs() -> None:
    found = compare(run("a", measured(spread(10, 0.01))), run("b", measured(spread(9.8, 0.01, seed=1))))
    assert found.faster == "second"
    assert "needs several runs of each" in found.caveats[0]
    assert found.verdict.startswith("B is 1.02")


def test_everything_in_which_the_setups_differ_is_listed() -> None:
    one = run("a", measured([10.0] * 30, environment={"versions": {"torch": "2.14.0", "timm": "1.0.31"}}))
    two = run(
        "b",
        measured(
            [5.0] * 30,
            threads=4,
            precision="bf16",
            environment={
                "versions": {"torch": "2.15.0", "timm": "1.0.31", "openvino": "2026.4"},
                "governor": "powersave",
            },
        ),
        device_id="other",
        architecture="resnet18",
        runtime="openvino",
        precision="auto",
        layout="nhwc",
        batch_size=8,
    )
    found = compare(one, two)
    assert [(d.name, d.first, d.second) for d in found.differences] == [
        ("machine", "this", "other"),
        ("architecture", "resnet50", "resnet18"),
        ("runtime", "pytorch-eager", "openvino"),
        ("precision", "fp32", "bf16"),
        ("layout", "nchw", "nhwc"),
        ("batch size", "1", "8"),
        ("threads", "2", "4"),
        ("torch", "2.14.0", "2.15.0"),
    ]
    assert "differ in 8 things" in found.caveats[0] and "belongs to none of them alone" in found.caveats[0]
    # 10 ms for one image against 5 ms for eight: 16 times as long per image
    assert found.caveats[1] == "The times are of whole batches; per image A takes 16.00 times as long as B."


def test_flags_of_one_runtime_are_compared_but_not_across_runtimes() -> None:
    one = run("a", measured([10.0] * 30, environment={"runtime": {"tf32": True, "operators": {"Conv": 3}}}))
    two = run("b", measured([10.0] * 30, environment={"runtime": {"tf32": False, "operators": {"Conv": 4}}}))
    assert [(d.name, d.first, d.second) for d in compare(one, two).differences] == [
        ("pytorch-eager tf32", "True", "False")
    ]
    other = run("b", measured([10.0] * 30, environment={"runtime": {"tf32": False}}), runtime="pytorch-compile")
    assert [d.name for d in compare(one, other).differences] == ["runtime"]


def test_one_difference_can_be_given_the_ratio() -> None:
    found = compare(run("a", measured([10.0] * 30)), run("b", measured([8.0] * 30), layout="nhwc"))
    assert [d.name for d in found.differences] == ["layout"]
    assert found.caveats == ()


def test_names_are_used_in_the_words() -> None:
    found = compare(run("a", measured([10.0] * 30)), run("b", measured([20.0] * 30)), names=("resnet18", "resnet50"))
    assert found.verdict == "resnet18 is 2.00x faster (2.00–2.00)"


def test_run_without_times_is_refused_with_its_reason() -> None:
    failed = run("b", None, reason="The process ran out of memory.")
    with pytest.raises(
        BadQuestion, match=r"B \(resnet50, .*\) has no times to compare, as it is 'failed': The process"
    ):
        compare(run("a", measured([10.0] * 30)), failed)
