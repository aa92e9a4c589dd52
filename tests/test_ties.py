"""Sampling errors by hand and by simulation; settling against a slow version, in any order of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.advice import limits, ties
from advisor.advice.ties import Axis, rank_ties, robust_error, sampling_error, settle, tied
from advisor.metrics import ACCURACIES
from advisor.records import Question

AXES: tuple[Axis, ...] = ("latency_ms", "throughput_per_s")
NAN = float("nan")


def candidates(**columns: list[object]) -> pd.DataFrame:
    """Candidates that are alike but for the columns given."""
    n = len(next(iter(columns.values())))
    alike: dict[str, list[object]] = {
        "weights": [f"net{i}.a_in1k" for i in range(n)],
        "family": ["RegNet"] * n,
        "img_size": [224] * n,
        "accuracy": [80.0] * n,
        "accuracy_name": ["top1"] * n,
        "accuracy_error": [0.35] * n,
        "latency_ms": [10.0] * n,
        "throughput_per_s": [100.0] * n,
        "params_m": [10.0] * n,
        "licence": ["apache-2.0"] * n,
        "pretraining": ["ImageNet-1k"] * n,
        "extra_data_rank": [0] * n,
    }
    return pd.DataFrame(alike | columns)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Few distinct values, so that every rule gets ties to settle; at least one row can be ranked."""
    n = draw(st.integers(1, 12))

    def column(*values: object) -> list[object]:
        return draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))

    frame = candidates(
        weights=draw(st.lists(st.text("abc", min_size=1, max_size=2), min_size=n, max_size=n)),
        img_size=column(160, 224),
        accuracy=column(79.5, 79.7, 79.8, 79.9, 80.0, NAN),
        latency_ms=column(9.0, 10.0, 10.2, 10.3, 10.31, 11.0, NAN),
        throughput_per_s=column(90.0, 100.0, 102.0, 103.0, 104.0, NAN),
        params_m=column(5.0, 10.0, NAN),
        licence=column("apache-2.0", "cc-by-nc-4.0", "unknown", ""),
        extra_data_rank=column(0, 1, 9),
    ).drop_duplicates(["weights", "img_size"])
    frame.loc[frame.index[0], ["accuracy", "latency_ms", "throughput_per_s"]] = [79.8, 10.2, 100.0]
    return frame


def slow_settle(frame: pd.DataFrame, axis: Axis) -> tuple[str, int]:
    """The rules one row at a time, without numpy."""
    sign = 1 if axis == "latency_ms" else -1
    rows = [r for r in frame.to_dict("records") if r["accuracy"] == r["accuracy"] and r[axis] == r[axis]]
    best = max(r["accuracy"] for r in rows)
    share = best / 100
    left = [r for r in rows if r["accuracy"] >= best - 196 * (share * (1 - share) / 50_000) ** 0.5]

    def dominated(one: dict[str, float]) -> bool:
        here = (-one["accuracy"], sign * one[axis])
        others = [(-r["accuracy"], sign * r[axis]) for r in rows]
        return any(o != here and o[0] <= here[0] and o[1] <= here[1] for o in others)

    left = [r for r in left if not dominated(r)]
    left = [r for r in left if r["licence"] not in ("", "unknown")] or left
    if axis == "latency_ms":
        left = [r for r in left if r[axis] <= min(s[axis] for s in left) * 1.03]
    else:
        left = [r for r in left if 1 / r[axis] <= 1 / max(s[axis] for s in left) * 1.03]
    for key in ("params_m", "extra_data_rank", "accuracy"):
        losses = [-r[key] if key == "accuracy" else r[key] if r[key] == r[key] else 1e9 for r in left]
        left = [r for r, loss in zip(left, losses, strict=True) if loss == min(losses)]
    return min((r["weights"], r["img_size"]) for r in left)


def name_at(frame: pd.DataFrame, position: int) -> tuple[str, int]:
    return frame["weights"].iloc[position], frame["img_size"].iloc[position]


@given(frames(), st.sampled_from(AXES))
def test_settle_is_the_slow_version(frame: pd.DataFrame, axis: Axis) -> None:
    assert name_at(frame, settle(frame, axis).position) == slow_settle(frame, axis)


@given(frames(), st.sampled_from(AXES), st.randoms(use_true_random=False))
def test_order_and_repeats_of_rows_change_nothing(frame: pd.DataFrame, axis: Axis, random: object) -> None:
    order = [*range(len(frame)), *random.choices(range(len(frame)), k=4)]  # type: ignore[attr-defined]
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = frame.iloc[order]
    before, after = settle(frame, axis), settle(shuffled, axis)
    assert name_at(frame, before.position) == name_at(shuffled, after.position)
    assert before.stages == after.stages
    ranked = dict.fromkeys(name_at(shuffled, p) for p in rank_ties(shuffled, axis))
    assert list(ranked) == [name_at(frame, p) for p in rank_ties(frame, axis)]


@given(frames(), st.sampled_from(AXES))
def test_ranking_starts_with_the_pick_and_holds_every_tie_once(frame: pd.DataFrame, axis: Axis) -> None:
    ranked = rank_ties(frame, axis)
    usable = frame[frame["accuracy"].notna() & frame[axis].notna()]
    assert ranked[0] == settle(frame, axis).position
    assert sorted(frame.index[ranked]) == sorted(usable.index[tied(usable)])


@given(frames(), st.sampled_from([5.0, 9.0, 10.2, 10.5]), st.sampled_from([None, 5.0, 10.0]))
def test_pick_keeps_the_limits_and_is_not_dominated(
    frame: pd.DataFrame, max_latency_ms: float, max_params_m: float | None
) -> None:
    question = Question("cpu", max_latency_ms=max_latency_ms, max_params_m=max_params_m)
    feasible = frame[~limits.broken(frame, question).any(axis=1)]
    feasible = feasible[feasible["accuracy"].notna()]
    if feasible.empty:
        return
    pick = feasible.iloc[settle(feasible, "latency_ms").position]
    assert pick["latency_ms"] <= max_latency_ms
    assert max_params_m is None or pick["params_m"] <= max_params_m
    better = (feasible["accuracy"] > pick["accuracy"]) & (feasible["latency_ms"] <= pick["latency_ms"])
    faster = (feasible["accuracy"] >= pick["accuracy"]) & (feasible["latency_ms"] < pick["latency_ms"])
    assert not (better | faster).any()


def test_eighty_percent_of_50000_images_is_035_points() -> None:
    assert float(sampling_error(80.0, "top1")) == pytest.approx(0.35, abs=0.001)


def test_sampling_error_keeps_shape_and_unknown() -> None:
    # 1.96 * sqrt(0.3 * 0.7 / 7500) = 0.010371
    errors = sampling_error(np.array([[30.0, NAN], [0.0, 100.0]]), "a")
    assert errors.ravel() == pytest.approx([1.0371, NAN, 0.0, 0.0], abs=1e-4, nan_ok=True)


def test_interval_covers_the_true_accuracy_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    for metric, images in ties.TEST_IMAGES.items():
        seen = 100 * rng.binomial(images, 0.62, size=20_000) / images
        covered = np.abs(seen - 62.0) <= sampling_error(seen, metric)
        assert covered.mean() == pytest.approx(0.95, abs=0.006)


def test_robust_error_is_that_of_the_mean_of_six_independent_test_sets() -> None:
    accuracies = np.array([80.0, 86.0, 68.0, 30.0, 50.0, 38.0])
    rng = np.random.default_rng(0)
    images = np.array(list(ties.TEST_IMAGES.values()))
    means = (100 * rng.binomial(images, accuracies / 100, size=(40_000, 6)) / images).mean(axis=1)
    assert robust_error(accuracies[None]).tolist() == pytest.approx([1.96 * means.std()], rel=0.02)
    assert robust_error(accuracies[None]).tolist() == pytest.approx([0.270], abs=0.001)


def test_robust_error_is_unknown_where_one_of_six_is() -> None:
    assert np.isnan(robust_error(np.array([[80.0, 86.0, 68.0, NAN, 50.0, 38.0]]))).all()


def test_every_single_test_set_has_its_number_of_images() -> None:
    assert (*ties.TEST_IMAGES, "robust") == ACCURACIES
    with pytest.raises(ValueError, match="robust"):
        sampling_error(50.0, "robust")


def test_tie_reaches_one_sampling_error_below_the_best() -> None:
    assert tied(candidates(accuracy=[80.0, 79.65, 79.64, NAN])).tolist() == [True, True, False, False]


def test_tie_of_robust_means_uses_their_own_error() -> None:
    frame = candidates(accuracy=[60.0, 59.8, 59.7], accuracy_name=["robust"] * 3, accuracy_error=[0.27, 1.0, 1.0])
    assert tied(frame).tolist() == [True, True, False]


def test_nothing_ties_in_an_empty_frame_or_without_accuracies() -> None:
    assert tied(candidates(accuracy=[NAN, NAN])).tolist() == [False, False]
    assert tied(candidates(accuracy=[1.0]).iloc[:0]).tolist() == []


# each pair differs on the front by 0.1 points and 1 % of latency, so only the rule meant can settle it
@pytest.mark.parametrize(
    ("stage", "columns"),
    [
        ("licence", {"licence": ["unknown", "mit"], "params_m": [1.0, 9.0]}),
        ("speed", {"latency_ms": [10.0, 9.0], "params_m": [1.0, 9.0]}),
        ("params", {"params_m": [9.0, 8.0], "extra_data_rank": [0, 2]}),
        ("params", {"params_m": [NAN, 8.0]}),
        ("extra-data", {"extra_data_rank": [9, 2]}),
        ("accuracy", {"accuracy": [79.9, 80.0], "latency_ms": [10.0, 10.1]}),
        ("name", {"weights": ["b", "a"], "accuracy": [80.0, 80.0], "latency_ms": [10.0, 10.0]}),
    ],
)
def test_second_candidate_wins_by_the_rule(stage: str, columns: dict[str, list[object]]) -> None:
    frame = candidates(**({"accuracy": [80.0, 79.9], "latency_ms": [10.1, 10.0]} | columns))
    settled = settle(frame, "latency_ms")
    assert (settled.position, settled.stages[-1].name) == (1, stage)


def test_throughput_within_three_percent_is_alike() -> None:
    frame = candidates(accuracy=[80.0, 79.9], throughput_per_s=[100.0, 102.9], params_m=[1.0, 2.0])
    assert settle(frame, "throughput_per_s").position == 0
    frame["throughput_per_s"] = [100.0, 103.1]
    assert settle(frame, "throughput_per_s").position == 1


def test_stages_say_what_settled_it() -> None:
    frame = candidates(
        accuracy=[80.0, 79.9, 79.8, 79.7, 70.0],
        latency_ms=[10.2, 10.1, 10.0, 10.1, 1.0],
        params_m=[9.0, 8.0, 8.5, 1.0, 1.0],
    )
    assert [stage.text for stage in settle(frame, "latency_ms").stages] == [
        "4 are within 0.35 points of the highest accuracy, 80.00%.",
        "Not dominated in accuracy and speed: 3 of 4 remain.",
        "Known licence: 3 of 3 remain.",
        "Fastest, 10 ms, or within 3 % of it: 3 of 3 remain.",
        "Fewest parameters, 8 M: 1 of 3 remains.",
    ]


def test_dominated_tie_ranks_after_the_front() -> None:
    frame = candidates(accuracy=[80.0, 80.0, 79.9], latency_ms=[10.0, 10.1, 9.0], params_m=[9.0, 1.0, 9.0])
    assert rank_ties(frame, "latency_ms") == [2, 0, 1]


def test_single_candidate_is_no_tie() -> None:
    settled = settle(candidates(accuracy=[80.0, 70.0]), "latency_ms")
    assert settled.position == 0
    assert settled.stages[0].text == "No other candidate is within 0.35 points of the highest accuracy, 80.00%."


def test_candidates_without_speed_cannot_be_settled() -> None:
    with pytest.raises(ValueError, match="latency_ms"):
        settle(candidates(latency_ms=[NAN]), "latency_ms")
