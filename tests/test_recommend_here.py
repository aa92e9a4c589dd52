"""Recommend from this machine's own measurements: what speaks for a setup, what is said of few or noisy runs."""

from __future__ import annotations

import pandas as pd
import pytest
from rich.table import Table

from advisor import charts, tables, views, workflows
from advisor.advice import measured, ties
from advisor.answer_json import candidate
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure import machine as machines
from advisor.measure.machine import Machine
from advisor.records import Question, Reason, Recommendation
from tests import run_data
from tests.test_charts import trace
from tests.test_store import speed_row

HERE = run_data.MACHINE["device_id"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has a CPU called TestChip and no GPU."""

    def machine(target: str) -> Machine:
        if target != "cpu":
            raise BadQuestion(f"There is no '{target}' on this machine: choose --device from cpu.")
        return Machine(**run_data.MACHINE)

    monkeypatch.setattr(machines, "machine", machine)


def ask(store: Store, device: str = "this-machine", **limits: object) -> Recommendation:
    return workflows.recommend(store, Question(device, **limits))  # type: ignore[arg-type]


def reason(answer: Recommendation, rule: str) -> Reason:
    (found,) = (one for one in answer.reasons if one.rule == rule)
    return found


def rules(answer: Recommendation) -> set[str]:
    return {one.rule for one in answer.reasons}


def latencies(store: Store, device_id: str = HERE) -> list[float]:
    return store.query("runs", device_id=device_id, task="infer")["latency_ms"].tolist()


# -- this machine as a device ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["this-machine", "this machine", "This-Machine:cpu", HERE, "TestChip, 2 cores"])
def test_this_machine_is_the_device_that_was_measured(ready: Store, name: str) -> None:
    run_data.save(ready, run_data.run("r1", 10.0))
    found = workflows.device(ready, name)
    assert (found.device_id, found.name, found.kind, found.measured_here) == (HERE, "TestChip, 2 cores", "cpu", True)
    assert found in workflows.advisable(ready)


def test_without_measurements_one_sentence_says_to_measure_first(ready: Store) -> None:
    with pytest.raises(BadQuestion, match=r"Nothing was measured on this machine \(TestChip, 2 cores\) yet.*measure"):
        ask(ready)
    run_data.save(ready, run_data.failed("r1"))  # a failed run is no evidence either
    with pytest.raises(BadQuestion, match="Nothing was measured on this machine"):
        ask(ready)


def test_deleting_all_runs_leaves_nothing_to_answer_from(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1"))
    assert ask(ready, families=("all",)).pick is not None
    ready.delete_runs(["r1"])
    with pytest.raises(BadQuestion, match="Nothing was measured on this machine"):
        ask(ready)
    ready.restore_runs(["r1"])
    assert ask(ready, families=("all",)).pick is not None


def test_gpu_that_is_not_there_is_refused(ready: Store) -> None:
    with pytest.raises(BadQuestion, match="There is no 'cuda:0' on this machine"):
        ask(ready, "this-machine:cuda:0")


# -- the answer --------------------------------------------------------------------------------------


def test_answer_is_the_most_accurate_measured_network_and_says_how_many_there_are(ready: Store) -> None:
    run_data.save(
        ready,
        run_data.run("r1", 9.0, architecture="efficientnet_b0"),
        run_data.run("r2", 12.0, architecture="regnety_032"),
        run_data.run("r3", 25.0, architecture="resnest50d"),
    )
    answer = ask(ready, max_latency_ms=20)
    assert answer.pick is not None
    assert (answer.pick.weights, answer.pick.latency_ms) == ("regnety_032.ra_in1k", 12.0)
    assert (answer.pick.evidence, answer.pick.source_id, answer.pick.verdict) == (
        "measured", "own-measurement", "steady",
    )  # fmt: skip
    assert answer.pick.interval == pytest.approx((11.88, 12.12))
    assert answer.considered == 3
    assert answer.setup == (
        "TestChip, 2 cores, pytorch-eager, fp32, nchw, batch 1, torch 2.15.0, timm 1.0.31, 2 threads. "
        "Answers from 3 models measured there."
    )
    said = reason(answer, "measured-models-only").text
    assert said.startswith("Chosen among the 3 models measured on TestChip, 2 cores, not among all that timm has")
    assert not rules(answer) & {"noisy-measurement", "interval-over-the-limit", "near-the-limit"}


def test_published_devices_do_not_speak_of_measured_models(ready: Store) -> None:
    answer = ask(ready, "i7-12700h", max_latency_ms=20)
    assert "measured-models-only" not in rules(answer)
    assert "measured" not in answer.setup
    assert answer.pick is not None
    assert (answer.pick.verdict, answer.pick.interval) == ("", None)


def test_training_is_answered_from_the_training_step(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", parts={"training": run_data.TRAINING}))
    answer = ask(ready, task="train", families=("all",))
    assert answer.pick is not None
    assert (answer.pick.throughput_per_s, answer.pick.batch_size, answer.pick.precision) == (20.0, 8, "amp-bf16")
    assert answer.pick.interval is None  # the interval is that of the latency


def test_what_was_not_measured_is_said_to_be_not_measured(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1"))
    answer = ask(ready, batch_size=64, max_latency_ms=100)
    assert answer.nearest_miss is not None
    assert "No batch-64 latency is measured for TestChip, 2 cores; measured there: latency at batch 1" in (
        answer.nearest_miss.text
    )
    with pytest.raises(BadQuestion, match="'tensorrt'; measured there: pytorch-eager"):
        ask(ready, runtime="tensorrt")


# -- which of several runs speaks --------------------------------------------------------------------


def resnet50_compiled(store: Store) -> pd.DataFrame:
    return store.query("runs", device_id="i7-12700h", task="infer").query(
        "architecture == 'resnet50' and img_size == 224 and runtime == 'pytorch-compile'"
    )


def test_measured_beats_published_in_the_same_setup_only(ready: Store) -> None:
    (twin,) = resnet50_compiled(ready).to_dict("records")
    ready.save("speed", _imported(twin, latency_ms=3.0, throughput_per_s=333.0))
    ready.save("speed", _imported(twin, latency_ms=2.0, throughput_per_s=500.0, threads="8"))
    rows = resnet50_compiled(ready)
    assert dict(zip(rows["threads"], rows["latency_ms"], strict=True)) == {"": 3.0, "8": 2.0}
    assert set(rows["evidence"]) == {"measured"}
    everything = ready.query("speed_rows", device_ids=["i7-12700h"])
    assert twin["row_id"] in set(everything["row_id"])  # it is still shown


def test_measured_beats_published_in_what_was_measured_only(ready: Store) -> None:
    (twin,) = resnet50_compiled(ready).to_dict("records")
    assert (twin["latency_ms"], twin["throughput_per_s"]) == (16.0, 62.5)
    ready.save("speed", _imported(twin, latency_ms=3.0))
    rows = resnet50_compiled(ready).set_index("evidence")
    assert rows["latency_ms"].dropna().to_dict() == {"measured": 3.0}
    assert rows["throughput_per_s"].dropna().to_dict() == {"published": 62.5}
    answer = ask(ready, "i7-12700h", families=("all",), runtime="pytorch-compile", max_latency_ms=3)
    assert answer.pick is not None
    assert (answer.pick.architecture, answer.pick.latency_ms, answer.pick.evidence) == ("resnet50", 3.0, "measured")
    fast = ask(ready, "i7-12700h", families=("all",), runtime="pytorch-compile", min_throughput=62.5)
    (known,) = {one.throughput_per_s for one in (*fast.ties, fast.pick) if one and one.architecture == "resnet50"}
    assert known == 62.5


def _imported(twin: dict[str, object], **changes: object) -> pd.DataFrame:
    """A measured row in the setup of a published one, without a throughput unless given one."""
    same = ("model", "architecture", "device_id", "runtime", "software", "threads", "unit", "precision", "layout")
    row = {name: twin[name] for name in same} | {"batch_size": 1, "img_size": 224} | changes
    return speed_row(**row)


def test_steady_run_speaks_before_newer_noisy_ones_and_the_newest_of_its_kind(ready: Store) -> None:
    times = (f"2026-07-0{day}T10:00:00+00:00" for day in range(1, 5))
    run_data.save(
        ready,
        run_data.run("a", 10.0, started_at=next(times)),
        run_data.run("b", 10.4, started_at=next(times)),
        run_data.run("c", 7.0, started_at=next(times), reasons=("Busy.",)),
    )
    assert latencies(ready) == [10.4]  # neither the fastest nor a mean
    ready.delete_runs(["b"])
    assert latencies(ready) == [10.0]
    ready.delete_runs(["a"])
    assert latencies(ready) == [7.0]


def test_run_of_a_drifted_sweep_counts_as_noisy(ready: Store) -> None:
    run_data.save(
        ready,
        run_data.run("a", 10.0, started_at="2026-07-01T10:00:00+00:00"),
        run_data.run("b", 10.4, started_at="2026-07-02T10:00:00+00:00", job_id="j", sweep_id="s"),
    )
    assert latencies(ready) == [10.4]
    ready.save_sweep({"sweep_id": "s", "job_id": "j", "sentinel": "resnet18", "before_ms": 10.0, "after_ms": 12.0})
    assert latencies(ready) == [10.0]


def test_other_setups_are_kept_apart_and_the_fastest_of_them_is_chosen(ready: Store) -> None:
    run_data.save(
        ready,
        run_data.run("a", 10.0),
        run_data.run("b", 6.0, runtime="openvino", precision="auto", precision_used="bf16"),
        run_data.run("c", 9.0, layout="nhwc"),
    )
    assert sorted(latencies(ready)) == [6.0, 9.0, 10.0]
    answer = ask(ready, families=("all",))
    assert answer.pick is not None
    assert (answer.pick.runtime, answer.pick.precision, answer.pick.latency_ms) == ("openvino", "bf16", 6.0)
    assert "Answers from 1 model measured there." in answer.setup
    assert reason(answer, "measured-models-only").text.startswith("Chosen among the one model measured on TestChip")


# -- noisy runs and intervals ------------------------------------------------------------------------


def test_steady_run_of_a_slower_setup_speaks_before_a_noisy_one_of_a_faster(ready: Store) -> None:
    noisy = run_data.run("b", 9.0, layout="nhwc", reasons=("Other processes used 0.8 cores.",))
    run_data.save(ready, run_data.run("a", 12.0), noisy)
    answer = ask(ready, families=("all",))
    assert answer.pick is not None
    assert (answer.pick.latency_ms, answer.pick.verdict) == (12.0, "steady")
    assert ask(ready, families=("all",), max_latency_ms=10).pick is None  # only the noisy one would fit


def test_run_with_older_packages_does_not_answer_for_what_is_installed_now(ready: Store) -> None:
    old = {"environment": {"versions": {**run_data.VERSIONS, "torch": "2.9.0"}}}
    run_data.save(
        ready,
        run_data.run("a", 5.0, parts=old, started_at="2025-07-01T10:00:00+00:00"),
        run_data.run("b", 8.0, started_at="2026-07-01T10:00:00+00:00"),
    )
    assert latencies(ready) == [8.0]


def test_noisy_run_decides_where_there_is_no_steady_one_and_the_answer_says_so(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", 10.0, reasons=("Other processes used 0.8 cores.",)))
    answer = ask(ready, families=("all",), max_latency_ms=20)
    assert answer.pick is not None
    assert (answer.pick.verdict, answer.pick.note) == ("noisy", "noisy: Other processes used 0.8 cores.")
    assert reason(answer, "noisy-measurement").text == (
        "The speed of resnet50 here is noisy: Other processes used 0.8 cores. Measure it again before relying on it."
    )
    assert candidate(answer.pick)["verdict"] == "noisy"  # type: ignore[index]


# -- how measured and noisy speeds are shown ---------------------------------------------------------


@pytest.fixture
def answer(ready: Store) -> Recommendation:
    """Two measured networks, of which the more accurate one is noisy."""
    noisy = run_data.run("r2", 10.0, reasons=("Other processes used 0.8 cores.",))
    run_data.save(ready, run_data.run("r1", 9.0, architecture="efficientnet_b0", half_width=0.02), noisy)
    return ask(ready, families=("all",), max_latency_ms=20)


def test_interval_day_and_verdict_stand_beside_each_measured_speed(answer: Recommendation) -> None:
    assert answer.pick is not None
    assert measured.beside(answer.pick, "latency_ms") == "95 % interval 9.9–10.1 ms, measured 2026-07-01, noisy"
    assert measured.beside(answer.pick, "throughput_per_s").startswith("95 % interval 99.01–101 img/s")
    shown = views.family_table(answer).set_index("Family")[["Latency (ms)", "Evidence"]]
    assert list(shown.loc["EfficientNet"]) == ["9 (8.82–9.18)", "measured 2026-07-01"]
    assert list(shown.loc["ResNet"]) == ["10 (9.9–10.1)", "measured 2026-07-01, noisy"]
    assert candidate(answer.pick)["measured_at"] == "2026-07-01T10:00:00+00:00"  # type: ignore[index]


def test_terminal_says_what_was_measured_when_and_what_is_noisy(answer: Recommendation) -> None:
    _, pick, alternatives, *_ = tables.recommendation(answer)
    assert "10 ms (95 % interval 9.9–10.1 ms, measured 2026-07-01, noisy)." in str(pick)
    assert isinstance(alternatives, Table)
    evidence = [list(column.cells) for column in alternatives.columns if column.header == "evidence"]
    assert evidence[0][0] == "measured 2026-07-01, noisy"
    assert "measured 2026-07-01" in evidence[0]


def test_published_speeds_have_neither_day_nor_interval(ready: Store) -> None:
    pick = ask(ready, "i7-12700h", max_latency_ms=20).pick
    assert pick is not None
    assert measured.beside(pick, "latency_ms") == "published"


def test_day_of_an_imported_run_is_that_of_the_run_and_of_other_rows_unknown(ready: Store) -> None:
    path = ready.home.parent / "mine.csv"
    run_data.save(ready, run_data.run("20250131T120000-123456-9f86d081", 12.0))
    workflows.export_results(ready, path, device_id="this-machine")
    other = Store(ready.home.parent / "other", ready.data)
    workflows.import_results(other, path)
    other.save("speed", speed_row(device_id=HERE, architecture="resnet18", software="", threads="2"))
    answer = ask(other, HERE, families=("all",))
    days = {one.architecture: one.measured_at for one in answer.front}
    assert days == {"resnet50": "2025-01-31T12:00:00+00:00", "resnet18": ""}


def test_chart_outlines_what_is_measured_and_signs_what_is_noisy(ready: Store, answer: Recommendation) -> None:
    landscape = views.landscape(ready, answer.question)
    figure = charts.front_figure(answer, landscape, "TestChip")
    assert trace(figure, "outlined: measured, ≈ noisy").marker.line.color == charts.INK
    assert [set(t.x) for t in figure.data if t.text == "≈"] == [{10.0}]
    hover = trace(figure, "EfficientNet").hovertemplate
    assert "95 % interval 8.82–9.18 ms, measured 2026-07-01, own-measurement" in hover
    others = trace(figure, "Other families")
    assert set(others.marker.symbol) == {"x"}  # a thin cross is nothing but its outline


def test_table_behind_the_chart_has_interval_and_time_of_what_was_measured(
    ready: Store, answer: Recommendation
) -> None:
    own = (
        views.download_columns(views.landscape(ready, answer.question)).set_index("architecture").loc["efficientnet_b0"]
    )
    assert (own["ci95_low_ms"], own["ci95_high_ms"]) == pytest.approx((8.82, 9.18))
    assert str(own["measured_at"]) == "2026-07-01 10:00:00"
    assert "measured_at" not in views.download_columns(views.landscape(ready, Question("i7-12700h")))


# -- intervals that cross a limit --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "crosses"),
    [
        ({"max_latency_ms": 10.3}, True),
        ({"max_latency_ms": 10.5}, False),  # the upper end itself keeps the limit
        ({"min_throughput": 97}, True),  # 1000 / 10.5 = 95.2
        ({"min_throughput": 95}, False),
    ],
)
def test_interval_that_crosses_the_limit_is_said(ready: Store, limits: dict[str, float], crosses: bool) -> None:
    run_data.save(ready, run_data.run("r1", 10.0, half_width=0.05))
    answer = ask(ready, families=("all",), **limits)
    assert answer.pick is not None
    assert ("interval-over-the-limit" in rules(answer)) == crosses
    assert "near-the-limit" not in rules(answer) or not crosses  # the interval says more


def test_sentence_about_a_crossing_interval_names_both_figures(ready: Store) -> None:
    run_data.save(ready, run_data.run("r1", 10.0, half_width=0.05))
    said = reason(ask(ready, families=("all",), max_latency_ms=10.2), "interval-over-the-limit").text
    assert said == (
        "The median of resnet50, 10 ms, keeps the limit of 10.2 ms, but the worse end of its 95 % interval, 10.5 ms, "
        "does not: the limit may be missed."
    )


def test_overlapping_intervals_are_alike_in_speed() -> None:
    """6 % apart is no tie for published speeds; where the intervals overlap it is, and fewer parameters decide."""
    frame = pd.DataFrame({
        "weights": ["quick.a", "small.a"], "img_size": [224, 224], "accuracy": [80.0, 80.1], "accuracy_name": "top1",
        "accuracy_error": 0.35, "latency_ms": [10.0, 10.6], "params_m": [50.0, 5.0], "licence": "mit",
        "extra_data_rank": 0,
    })  # fmt: skip
    assert ties.settle(frame, "latency_ms").position == 0
    wide = frame.assign(interval_low=0.95, interval_high=1.05)
    settled = ties.settle(wide, "latency_ms")
    assert settled.position == 1
    assert "or of an overlapping 95 % interval: 2 of 2 remain" in " ".join(s.text for s in settled.stages)
    apart = frame.assign(interval_low=0.98, interval_high=1.02)  # up to 10.2, from 10.39
    assert ties.settle(apart, "latency_ms").position == 0
    turned = wide.iloc[::-1].reset_index(drop=True)
    assert ties.settle(turned, "latency_ms").position == 0
