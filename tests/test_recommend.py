"""The answer: hand-worked on the small data, and its promises on every published device."""

from __future__ import annotations

import math
from itertools import product

import pandas as pd
import pytest

from advisor.advice.recommend import recommend
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.records import FOUR_FAMILIES, Question, Recommendation

ALL = ("all",)


def ask(store: Store, device_id: str, **limits: object) -> Recommendation:
    question = Question(device_id, **limits)  # type: ignore[arg-type]
    runs = store.frame("runs", device_id=device_id, task=question.task)
    return recommend(store.frame("scored"), runs, question, device_id)


def test_most_accurate_within_the_latency_is_the_pick(small: Store) -> None:
    answer = ask(small, "i7-12700h", max_latency_ms=20)
    assert answer.pick is not None
    assert (answer.pick.weights, answer.pick.img_size) == ("regnety_032.ra_in1k", 224)
    assert (answer.pick.accuracy, answer.pick.latency_ms, answer.pick.evidence) == (81.3, 20, "published")
    assert answer.pick.accuracy_error == pytest.approx(100 * 1.96 * math.sqrt(0.813 * 0.187 / 50_000), abs=1e-3)
    assert answer.ties == ()
    assert answer.feasible == 12  # 4 MobileNets, 3 EfficientNets, 3 RegNets, 2 ResNeSts
    assert answer.runner_up is not None
    assert answer.runner_up.weights == "efficientnet_b2.ra_in1k"


def test_front_is_fastest_first_and_uses_each_models_best_setup(small: Store) -> None:
    front = ask(small, "i7-12700h", max_latency_ms=20).front
    assert [(c.architecture, c.img_size, c.latency_ms, c.runtime) for c in front] == [
        ("mobilenetv4_conv_small", 224, 3, "pytorch-compile"),
        ("mobilenetv3_large_100", 224, 5, "openvino"),
        ("efficientnet_b0", 224, 6, "openvino"),
        ("mobilenetv4_conv_medium", 256, 10, "pytorch-compile"),
        ("efficientnet_b2", 288, 18, "pytorch-compile"),
        ("regnety_032", 224, 20, "pytorch-compile"),
    ]


def test_best_of_each_family_under_the_same_limits(small: Store) -> None:
    families = ask(small, "i7-12700h", max_latency_ms=20, families=("RegNet",)).by_family
    assert {name: best and best.weights for name, best in families.items()} == {
        "ResNeSt": "resnest26d.gluon_in1k",
        "EfficientNet": "efficientnet_b2.ra_in1k",
        "MobileNet": "mobilenetv4_conv_medium.e500_r256_in1k",
        "RegNet": "regnety_032.ra_in1k",
    }


def test_what_if_names_the_least_move_that_gains_more_than_the_sampling_error(small: Store) -> None:
    changes = {w.limit: w for w in ask(small, "i7-12700h", max_latency_ms=20).what_if}
    assert changes["max_latency_ms"].to == 32  # resnest50d at 25 ms is less accurate, regnety_032 at 288 px gains
    assert changes["max_latency_ms"].gain_points == pytest.approx(0.7)
    assert "12 ms more" in changes["max_latency_ms"].text
    assert "families" not in changes  # ResNet-50 with extra data is within the sampling error


def test_beyond_the_families_says_what_the_choice_costs(small: Store) -> None:
    beyond = ask(small, "i7-12700h", max_latency_ms=8, families=("RegNet",)).beyond_families
    assert beyond is not None
    assert beyond.best.weights == "resnet50.fb_swsl_ig1b_ft_in1k"  # 8 ms with OpenVINO, 81.2
    assert beyond.cost_points == pytest.approx(81.2 - 68.8)
    assert "12.4 points" in beyond.text


def test_commercial_licence_drops_the_non_commercial_weights(small: Store) -> None:
    answer = ask(small, "i7-12700h", max_latency_ms=8, families=ALL, licence="commercial")
    assert answer.pick is not None
    assert answer.pick.weights == "resnet50.a1_in1k"
    assert answer.what_if[0].limit == "licence"
    assert answer.what_if[0].gain_points == pytest.approx(1.0)


def test_imagenet_1k_only_drops_extra_data(small: Store) -> None:
    answer = ask(small, "i7-12700h", max_latency_ms=30, families=ALL, pretraining="imagenet-1k")
    assert answer.pick is not None
    assert answer.pick.weights == "regnety_032.ra_in1k"
    assert all(c.pretraining == "in1k" for c in answer.front)


def test_large_batch_throughput_never_answers_a_latency_question(small: Store) -> None:
    answer = ask(small, "rtx-4090", max_latency_ms=10)
    assert answer.pick is None
    assert answer.front == ()
    assert answer.nearest_miss is not None
    assert "No batch-1 latency is published for rtx-4090" in answer.nearest_miss.text
    assert "throughput at batch 256, 512, 1024" in answer.nearest_miss.text
    assert answer.nearest_miss.relax == (("max_latency_ms", "none"),)


def test_batch_latency_is_answered_at_that_batch(small: Store) -> None:
    answer = ask(small, "rtx-4090", max_latency_ms=200, batch_size=1024)
    assert answer.pick is not None
    assert {c.batch_size for c in answer.front} == {1024}
    assert answer.axis == "latency_ms"


def test_a_throughput_question_needs_published_throughput(small: Store) -> None:
    answer = ask(small, "samsung-galaxy-s24", min_throughput=100)
    assert answer.pick is None
    assert answer.nearest_miss is not None
    assert "latency at batch 1" in answer.nearest_miss.text


def test_default_axis_follows_what_the_device_has(small: Store) -> None:
    assert ask(small, "i7-12700h").axis == "latency_ms"
    assert ask(small, "rtx-4090").axis == "throughput_per_s"


def test_best_published_setup_is_chosen_per_model(small: Store) -> None:
    answer = ask(small, "rtx-4090", min_throughput=9000)
    assert {c.runtime for c in answer.front} == {"pytorch-compile"}
    eager = ask(small, "rtx-4090", min_throughput=9000, runtime="pytorch-eager")
    assert {c.runtime for c in eager.front} == {"pytorch-eager"}
    assert eager.feasible < answer.feasible


def test_training_is_judged_by_training_throughput(small: Store) -> None:
    answer = ask(small, "rtx-3090", task="train", families=ALL)
    assert answer.pick is not None
    assert {c.task for c in answer.front} == {"train"}
    assert {c.family for c in answer.front} <= {"ResNet", "ResNeSt", "RegNet"}


def test_quantised_only_device_says_that_accuracy_is_of_the_float_weights(small: Store) -> None:
    answer = ask(small, "coral-edgetpu", max_latency_ms=10)
    assert answer.pick is not None
    assert answer.pick.precision == "int8"
    assert "quantised-accuracy" in [r.rule for r in answer.reasons]


def test_suspect_rows_never_decide(small: Store) -> None:
    answer = ask(small, "i7-12700h", families=ALL, max_latency_ms=30)
    assert "regnety_160" not in {c.architecture for c in answer.front}


def test_unknown_setup_names_what_is_published(small: Store) -> None:
    with pytest.raises(BadQuestion, match=r"no infer results with runtime 'tensorrt'; published there: openvino, py"):
        ask(small, "i7-12700h", runtime="tensorrt")


def test_budget_too_small_names_the_nearest_miss_and_what_to_relax(small: Store) -> None:
    answer = ask(small, "i7-12700h", max_latency_ms=2)
    assert answer.pick is None
    assert answer.nearest_miss is not None
    assert answer.nearest_miss.weights == "mobilenetv4_conv_small.e2400_r224_in1k"
    assert answer.nearest_miss.relax == (("max_latency_ms", 3.0),)
    relaxed = ask(small, "i7-12700h", max_latency_ms=3)
    assert relaxed.pick is not None
    assert relaxed.pick.weights == answer.nearest_miss.weights


def test_unknown_memory_does_not_pass_a_memory_limit(small: Store) -> None:
    answer = ask(small, "i7-12700h", max_memory_mb=100)
    assert answer.pick is None
    assert answer.rejected["max_memory_mb"] == answer.considered
    assert answer.nearest_miss is not None
    assert "peak memory is not published" in answer.nearest_miss.text


def test_robust_mean_is_the_mean_of_the_six_test_sets(small: Store) -> None:
    answer = ask(small, "i7-12700h", accuracy="robust", max_latency_ms=20)
    assert answer.pick is not None
    assert answer.pick.accuracy == pytest.approx(81.3 - 25.5)
    vit = ask(small, "i7-12700h", accuracy="robust", max_latency_ms=25, families=("ViT",)).pick
    assert vit is not None
    assert vit.accuracy == pytest.approx(81.4 - 20.5)


def test_rows_in_any_order_and_repeated_give_the_same_answer(small: Store) -> None:
    scored, runs = small.frame("scored"), small.frame("runs", device_id="i7-12700h", task="infer")
    question = Question("i7-12700h", max_latency_ms=25, families=ALL)
    once = recommend(scored, runs, question, "x")
    shuffled = pd.concat([runs, runs]).sample(frac=1, random_state=3)
    again = recommend(scored.sample(frac=1, random_state=5), shuffled, question, "x")
    assert again == once


DEVICES = (
    "i7-12700h", "i9-10940x", "rtx-3090", "rtx-4090", "rtx-5090", "rtx-pro-6000-max-q", "v100", "t4", "jetson-nano",
    "samsung-galaxy-s24", "hailo-8", "coral-edgetpu", "pixel-4-cpu", "raspberry-pi-5-cpu", "snapdragon-855-cpu",
)  # fmt: skip


@pytest.mark.parametrize("device_id", DEVICES)
def test_promises_hold_on_published_devices_over_the_whole_range(shipped: Store, device_id: str) -> None:
    """Nothing breaks a limit or is dominated, ties are within the error; checked row by row in plain Python."""
    free = ask(shipped, device_id, families=ALL)
    speeds = sorted(getattr(c, free.axis) for c in free.front)
    budgets = [speeds[0], speeds[len(speeds) // 2], speeds[-1]] if speeds else []
    limit = "max_latency_ms" if free.axis == "latency_ms" else "min_throughput"
    for budget, families in product(budgets, (ALL, FOUR_FAMILIES)):
        answer = ask(shipped, device_id, families=families, **{limit: budget})
        if answer.pick is None:
            assert answer.nearest_miss is not None
            assert answer.nearest_miss.text
            continue
        _check_promises(answer, budget)


def _check_promises(answer: Recommendation, budget: float) -> None:
    pick = answer.pick
    assert pick is not None
    lower = answer.axis == "latency_ms"
    shown = [pick, *answer.ties, *answer.front, *(c for c in answer.by_family.values() if c)]
    for one in shown:
        speed = getattr(one, answer.axis)
        assert speed <= budget if lower else speed >= budget
        assert one.evidence == "published"
        assert one.source_id
        assert one.accuracy_source_id
    for one in answer.front:
        faster = getattr(one, answer.axis) < getattr(pick, answer.axis)
        as_fast = getattr(one, answer.axis) == getattr(pick, answer.axis)
        better_speed = faster if lower else not (faster or as_fast)
        assert not (one.accuracy >= pick.accuracy and better_speed)  # type: ignore[operator]
        assert not (one.accuracy > pick.accuracy and as_fast)  # type: ignore[operator]
    best = max(c.accuracy or 0 for c in answer.front)
    error = 1.96 * 100 * math.sqrt(best / 100 * (1 - best / 100) / 50_000)
    assert pick.accuracy is not None
    assert pick.accuracy >= best - error - 1e-9
    if answer.beyond_families and answer.beyond_families.cost_points is not None:
        assert answer.beyond_families.cost_points >= -error - 1e-9


@pytest.mark.parametrize("device_id", ["i7-12700h", "rtx-4090"])
def test_every_rejection_count_is_that_of_a_plain_count(shipped: Store, device_id: str) -> None:
    limits = {"max_params_m": 10, "max_img_size": 224, "min_accuracy": 75}
    answer = ask(shipped, device_id, **limits)
    runs = shipped.frame("runs", device_id=device_id, task="infer")
    scored = shipped.frame("scored")
    with_speed = runs[runs[answer.axis].notna() & ((runs["batch_size"] == 1) | (answer.axis != "latency_ms"))]
    keys = set(zip(with_speed["architecture"], with_speed["img_size"], strict=True))
    known = [
        row for row in scored.to_dict("records")
        if (row["architecture"], row["img_size"]) in keys and row["top1"] == row["top1"]
    ]  # fmt: skip
    assert answer.considered == len(known)
    assert answer.rejected["max_params_m"] == sum(row["params_m"] > 10 for row in known)
    assert answer.rejected["max_img_size"] == sum(row["img_size"] > 224 for row in known)
    assert answer.rejected["min_accuracy"] == sum(row["top1"] < 75 for row in known)
    assert answer.rejected["families"] == sum(row["family"] not in FOUR_FAMILIES for row in known)


def test_device_whose_results_state_no_image_size_gets_a_plain_refusal(shipped: Store) -> None:
    """Keras publishes A100 times without image sizes: nothing there can be joined with an accuracy."""
    answer = ask(shipped, "a100", max_latency_ms=10)
    assert answer.pick is None
    assert answer.nearest_miss is not None
    assert "none of its results is of a timm architecture at a stated image size" in answer.nearest_miss.text


@pytest.mark.parametrize("device_id", ["i7-12700h", "i9-10940x", "rtx-3090", "samsung-galaxy-s24"])
def test_asking_again_with_a_moved_limit_gives_the_promised_answer(shipped: Store, device_id: str) -> None:
    free = ask(shipped, device_id)
    speeds = sorted(getattr(c, free.axis) for c in free.front)
    limit = "max_latency_ms" if free.axis == "latency_ms" else "min_throughput"
    promised = 0
    for budget in speeds[1 :: max(1, len(speeds) // 6)]:
        asked: dict[str, object] = {limit: budget, "max_params_m": 30}
        answer = ask(shipped, device_id, **asked)
        for change in answer.what_if:
            if change.limit not in (limit, "max_params_m"):
                continue
            again = ask(shipped, device_id, **(asked | {change.limit: change.to}))
            assert again.pick is not None
            assert again.pick.weights == change.weights
            assert answer.pick is not None
            assert again.pick.accuracy - answer.pick.accuracy == pytest.approx(change.gain_points)  # type: ignore[operator]
            promised += 1
    assert promised > 0


@pytest.mark.parametrize("limits", [{"max_memory_mb": 50}, {"max_memory_mb": 100}, {"max_memory_mb": 200}])
def test_naming_a_runtime_never_improves_the_answer(shipped: Store, limits: dict[str, object]) -> None:
    """The best setup is chosen per model among the runs that keep the limits on memory and speed."""
    for device_id in ("samsung-galaxy-s24", "samsung-galaxy-s25"):
        free = ask(shipped, device_id, max_latency_ms=5, families=ALL, **limits)
        best = max((c.accuracy or 0.0 for c in free.front), default=0.0)
        for runtime in ("tflite", "qnn-dlc", "onnxruntime"):
            narrow = ask(shipped, device_id, max_latency_ms=5, families=ALL, runtime=runtime, **limits)
            assert max((c.accuracy or 0.0 for c in narrow.front), default=0.0) <= best


def test_of_contradicting_rows_of_one_setup_the_slower_speaks(shipped: Store) -> None:
    """PaddleClas prints 2.82 and 8.18 ms for DPN-68 on the V100 at batch 1 in one and the same setup."""
    answer = ask(shipped, "v100", families=("DPN",), max_latency_ms=100, precision="fp32")
    assert {c.architecture: c.latency_ms for c in answer.front}["dpn68"] == 8.18


def test_non_commercial_pick_says_so_whatever_accuracy_decides(small: Store) -> None:
    for accuracy in ("top1", "real"):
        answer = ask(small, "i7-12700h", max_latency_ms=8, families=ALL, accuracy=accuracy)
        assert answer.pick is not None
        assert answer.pick.licence == "cc-by-nc-4.0"
        assert any("forbids commercial use" in reason.text for reason in answer.reasons)
