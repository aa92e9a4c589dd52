"""What the Measure page says of runs: figures from the formulas, sentences with the figures in them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pandas as pd
import pytest

from advisor import views_beside, views_history, views_machine, views_measure
from advisor.evidence.store import Store
from advisor.measure.comparison import compare
from advisor.measure.lines import run_of
from advisor.measure.run import Load, Parity, Run
from tests.measured_runs import EVERY_PART, NOISY, history
from tests.run_data import MACHINE, failed, run, save
from tests.small_data import write_small_data


@pytest.fixture
def runs() -> dict[str, Run]:
    return {one.run_id: one for one in history()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the history in it; tests must not write to it."""
    folder = tmp_path_factory.mktemp("filled")
    store = Store(folder / "home", write_small_data(folder / "data"))
    store.ensure()
    save(store, *history())
    return store


@pytest.fixture
def listed(filled: Store) -> pd.DataFrame:
    return filled.runs()


def mobilenet(runs: dict[str, Run]) -> list[Run]:
    return [one for one in runs.values() if one.request.architecture == "mobilenetv3_large_100"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (25.4, "25 s"), (89.0, "89 s"), (240.0, "4 min"), (5400.0, "1.5 h"), (-3.0, "0 s")],
)
def test_durations_are_told_as_people_do(seconds: float, words: str) -> None:
    assert views_measure.duration(seconds) == words


def test_figures_have_units_and_the_throughput_of_the_median(runs: dict[str, Run]) -> None:
    shown = views_measure.figures(runs["run-3"])
    assert shown["Latency p50 (95 % interval)"] == "12 ms (11.94–12.06)"
    assert shown["Throughput (batch 1)"] == "83.333 img/s"  # 1000 / 12
    assert shown["Cold start"] == "108 ms"
    assert shown["Weights file"] == "102 MB"
    assert shown["Samples"] == "120"
    # 220 M MACs in 12 ms are 18.3 GMAC/s, of 50 GMAC/s that 5 MACs a byte allow
    assert shown["Of the roof"] == "37 %"


def test_what_was_not_measured_has_no_figure() -> None:
    shown = views_measure.figures(run("few", 10.0))
    assert "p99" not in shown
    assert "Of the roof" not in shown
    assert views_measure.figures(failed("lost")) == {}


def test_blocks_are_told_beside_the_number_of_samples() -> None:
    one = run("blocks", 0.1)
    assert one.measured is not None
    latency = replace(one.measured.latency, block=8)
    assert views_measure.figures(run("b", parts={"latency": latency}))["Samples"] == "3, each the mean of 8"


def test_why_names_the_class_out_of_proportion_and_the_side_of_the_roof(runs: dict[str, Run]) -> None:
    first, second = views_measure.why(runs["run-3"])
    assert first == "Depthwise convolution takes 50 % of the time of all operators for 10 % of the multiply-adds."
    assert "18.3 GMAC/s, 37 % of what was measured as the most that this machine does at 5 MACs a byte" in second
    assert "where memory traffic is the limit" in second
    assert views_measure.why(runs["run-5"]) == []


def test_more_than_the_roof_is_never_shown_as_a_share() -> None:
    assert views_measure.roof_in_words(0.37) == "37 %"
    assert views_measure.roof_in_words(3.3) == "above the roof measured"


def test_a_batch_that_time_stopped_is_a_lower_bound() -> None:
    assert views_measure.largest_in_words(512, 460) == "512 (460 with 10 % headroom)"
    assert views_measure.largest_in_words(16, None) == "at least 16"
    assert views_measure.largest_in_words(None, None) is None


def test_operator_table_sets_time_against_macs(runs: dict[str, Run]) -> None:
    shown = views_measure.operator_table(runs["run-3"]).set_index("Operators")
    pointwise = shown.loc["pointwise convolution"]
    assert (pointwise["Share of time"], pointwise["Share of MACs"]) == ("40 %", "80 %")
    assert pointwise["MAC/s"] == "36.7 G"  # 176 M in 4.8 ms
    assert shown.loc["normalisation and activation", "Share of MACs"] == "–"


def test_the_best_batch_is_marked(runs: dict[str, Run]) -> None:
    shown = views_measure.batch_table(runs["run-3"])
    assert list(shown["Throughput (img/s)"]) == ["100", "200 ★"]


def test_training_and_largest_batch_are_told_with_headroom(runs: dict[str, Run]) -> None:
    shown = views_measure.training_figures(runs["run-3"])
    assert shown["Training step, batch 8"] == "400 ms (396–404)"
    assert shown["Largest batch that infers"] == "512 (460 with 10 % headroom)"
    assert views_measure.training_figures(runs["run-5"]) == {}


def test_end_to_end_names_the_stage_that_takes_longest(runs: dict[str, Run]) -> None:
    assert "takes 20 ms from file to logits; forward is 60 % of it" in views_measure.end_to_end_sentence(runs["run-3"])
    assert list(views_measure.stage_table(runs["run-3"])["Share"]) == ["30 %", "10 %", "60 %", "100 %"]
    assert "480 x 640 px takes 30 ms" in views_measure.feature_sentence(runs["run-3"])


def test_parity_says_when_it_is_not_judged() -> None:
    assert views_measure.parity_words(Parity(1.0, 0.04, None, ok=True), "onnxruntime") == "4.0e-02 relative, not judged"
    assert views_measure.parity_words(Parity(1.0, 0.04, 1e-3, ok=False), "openvino").startswith("✗")
    assert views_measure.parity_words(None, "pytorch-eager") == "is the reference"


def test_everything_recorded_is_in_the_environment(runs: dict[str, Run]) -> None:
    shown = views_measure.environment_table(runs["run-3"])
    values = dict(zip(shown["group"] + "/" + shown["name"], shown["value"], strict=True))
    assert values["environment/versions.torch"] == "2.15.0"
    assert values["environment/governor"] == "performance"
    assert values["environment/flags.mkldnn"] == "yes"
    assert values["used/threads"] == "2"
    assert values["asked for/runtime"] == "pytorch-eager"


def test_downloads_give_back_every_raw_time_and_the_whole_run(runs: dict[str, Run]) -> None:
    one = runs["run-3"]
    assert one.measured is not None
    rows = list(csv.DictReader(io.StringIO(views_measure.times_csv(one))))
    assert [float(row["latency_ms"]) for row in rows] == list(one.measured.latency.times_ms)
    assert {(row["run_id"], row["evidence"], row["passes_per_time"]) for row in rows} == {("run-3", "measured", "1")}
    assert run_of(json.loads(views_measure.run_json(one))) == one


# -- several runs ------------------------------------------------------------------------------------------


def test_side_by_side_is_fastest_first_and_relative_to_eager_fp32(runs: dict[str, Run]) -> None:
    found = views_beside.side_by_side(mobilenet(runs))
    assert list(found["run_id"]) == ["run-7", "run-6", "run-5", "run-3", "run-4"]
    assert list(found["speedup"][:4]) == pytest.approx([6.0, 4.0, 3.0, 1.0])
    assert list(found["verdict"])[-1] == "failed"
    shown = views_beside.side_by_side_text(found)
    assert shown["Precision used"][0] == "bf16 (asked: auto)"
    assert list(shown["vs eager fp32"]) == ["6.00x faster", "4.00x faster", "3.00x faster", "baseline", "–"]
    sentence = views_beside.side_by_side_sentence(found, "mobilenetv3_large_100")
    assert sentence == "Fastest here: **openvino bf16** with **2 ms**, 6.00x faster than eager fp32."


def test_side_by_side_takes_the_stores_verdict_where_a_sweep_drifted(runs: dict[str, Run]) -> None:
    found = views_beside.side_by_side(mobilenet(runs), {"run-7": "noisy"})
    assert found["verdict"][0] == "noisy"
    assert views_beside.side_by_side_sentence(found, "x").startswith(
        "Fastest here: **openvino bf16** with **2 ms** (noisy), 6.00x"
    )


def test_a_noisy_baseline_is_called_so(runs: dict[str, Run]) -> None:
    found = views_beside.side_by_side(mobilenet(runs), {"run-3": "noisy"})
    assert views_beside.side_by_side_sentence(found, "x").endswith("6.00x faster than eager fp32 (noisy).")


@pytest.mark.parametrize(
    ("eager_ms", "half_width", "says", "cell"),
    [
        (
            10.0,
            0.01,
            "Lowest median here: **onnxruntime fp32** with **9.95 ms**, not told apart from eager fp32.",
            "not told apart",
        ),
        (10.4, 0.001, "not told apart from eager fp32.", "not told apart"),  # 4.5 % are less than a rerun may show
        (12.0, 0.2, "not told apart from eager fp32.", "not told apart"),  # the intervals overlap
        (
            11.94,
            0.01,
            "Fastest here: **onnxruntime fp32** with **9.95 ms**, 1.20x faster than eager fp32.",
            "1.20x faster",
        ),
    ],
)
def test_a_difference_is_claimed_only_where_it_is_shown(
    eager_ms: float, half_width: float, says: str, cell: str
) -> None:
    pair = [
        run("a", eager_ms, half_width=half_width),
        run("b", 9.95, half_width=half_width, runtime="onnxruntime"),
    ]
    found = views_beside.side_by_side(pair)
    assert says in views_beside.side_by_side_sentence(found, "x")
    assert list(views_beside.side_by_side_text(found)["vs eager fp32"]) == [cell, "baseline"]


def test_many_that_are_alike_are_counted() -> None:
    alike = [run(name, 10.0 + i / 100, runtime="onnxruntime", threads=i + 1) for i, name in enumerate("abcd")]
    said = views_beside.side_by_side_sentence(views_beside.side_by_side(alike), "x")
    assert said == (
        "Lowest median here: **onnxruntime fp32, 1 thread** with **10 ms**, not told apart from "
        "onnxruntime fp32, 2 threads and onnxruntime fp32, 3 threads and 1 more."
    )


def test_the_baseline_has_as_many_threads_and_channels_first() -> None:
    several = [
        run("nhwc", 5.0, layout="nhwc", threads=2), run("eager-1", 40.0, threads=1), run("eager-2", 20.0, threads=2),
        run("onnx-2", 10.0, runtime="onnxruntime", threads=2), run("onnx-4", 4.0, runtime="onnxruntime", threads=4),
    ]  # fmt: skip
    found = views_beside.side_by_side(several).set_index("run_id")
    assert found["speedup"].dropna().to_dict() == pytest.approx(
        {"nhwc": 4.0, "onnx-2": 2.0, "eager-2": 1.0, "eager-1": 1.0}
    )
    assert found.loc["onnx-4", "baseline"] == ""


def test_side_by_side_without_eager_claims_no_ratio(runs: dict[str, Run]) -> None:
    found = views_beside.side_by_side([runs["run-5"], runs["run-6"]])
    assert found["speedup"].isna().all()
    assert "than eager" not in views_beside.side_by_side_sentence(found, "x")


def test_setups_that_differ_in_layout_are_told_apart() -> None:
    pair = [run("a", 10.0), run("b", 8.0, layout="nhwc")]
    assert list(views_beside.side_by_side(pair)["setup"]) == [
        "pytorch-eager fp32, channels last", "pytorch-eager fp32, channels first",
    ]  # fmt: skip


def test_two_runs_of_one_setup_are_told_apart_by_their_start() -> None:
    pair = [
        run("a", 10.0, started_at="2026-07-01T10:00:00+00:00"),
        run("b", 12.0, started_at="2026-07-02T11:30:00+00:00"),
    ]
    found = views_beside.side_by_side(pair)
    assert list(found["setup"]) == [
        "pytorch-eager fp32, started 2026-07-01 10:00:00", "pytorch-eager fp32, started 2026-07-02 11:30:00",
    ]  # fmt: skip
    assert list(views_beside.side_by_side_text(found)["Runtime"]) == [
        "pytorch-eager, started 2026-07-01 10:00:00", "pytorch-eager, started 2026-07-02 11:30:00",
    ]  # fmt: skip


def test_what_was_not_timed_used_no_precision(runs: dict[str, Run], listed: pd.DataFrame) -> None:
    shown = views_beside.side_by_side_text(views_beside.side_by_side([runs["run-4"]]))
    assert shown["Precision used"][0] == "–"
    table = views_history.table(listed)
    assert list(table[table["outcome"] == "✗ failed"]["setup"]) == ["pytorch-compile – (asked: fp32)"]


def test_the_verdict_stands_beside_the_median(runs: dict[str, Run], listed: pd.DataFrame) -> None:
    shown = list(views_beside.side_by_side_text(views_beside.side_by_side(mobilenet(runs))).columns)
    assert shown[2:4] == ["p50 (ms)", "Verdict"]
    assert list(views_history.table(listed).columns)[:5] == ["model", "outcome", "latency_ms", "started", "setup"]


def test_one_setup_alone_is_not_called_the_fastest(runs: dict[str, Run]) -> None:
    found = views_beside.side_by_side([runs["run-6"], runs["run-4"]])
    assert views_beside.side_by_side_sentence(found, "x") == "**openvino fp32** takes **3 ms**."


def test_only_failures_say_why(runs: dict[str, Run]) -> None:
    found = views_beside.side_by_side([runs["run-4"]])
    said = views_beside.side_by_side_sentence(found, "mobilenetv3_large_100")
    assert said == "Nothing of `mobilenetv3_large_100` could be measured: torch.compile found no C++ compiler."


def test_comparison_lists_what_differs(runs: dict[str, Run]) -> None:
    shown = views_beside.comparison_table(compare(runs["run-5"], runs["run-6"]), ("A", "B"))
    assert ("runtime", "onnxruntime", "openvino") in list(shown.itertuples(index=False, name=None))


def test_published_devices_stand_beside_this_one(filled: Store, runs: dict[str, Run]) -> None:
    metric, rows = views_beside.published_elsewhere(filled, runs["run-3"])
    assert metric == "latency_ms"
    assert {"i7-12700h", MACHINE["device_id"]} <= set(rows["device_id"])
    assert set(rows[rows["device_id"] == "i7-12700h"]["latency_ms"]) == {5.0, 6.0}  # OpenVINO and compiled
    ours = rows[rows["device_id"] == MACHINE["device_id"]]
    assert set(ours["evidence"]) == {"measured"}
    assert set(ours["device"]) == {"This machine"}
    assert set(ours["verdict"]) == {"steady"}
    assert set(rows[rows["evidence"] == "published"]["verdict"]) == {"–"}


# -- the history -------------------------------------------------------------------------------------------


def test_history_is_newest_first_with_verdict_or_status(listed: pd.DataFrame) -> None:
    shown = views_history.table(listed)
    # the failed run has the latest clock of all
    assert sorted(shown["outcome"]) == sorted(["✓ steady"] * 5 + ["≈ noisy", "✗ failed"])
    noisy = shown[shown["outcome"] == "≈ noisy"].iloc[0]
    assert (noisy["model"], noisy["latency_ms"], noisy["interval"], noisy["why"]) == (
        "resnet50", 40.0, "39.8–40.2", NOISY,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"text": "ResNet"}, {"run-1", "run-2"}),
        ({"text": "resnet", "ended": ["noisy"]}, {"run-1"}),
        ({"runtimes": ["openvino", "onnxruntime"]}, {"run-5", "run-6", "run-7"}),
        ({"ended": ["failed"]}, {"run-4"}),
        ({"text": "["}, set()),
    ],
)
def test_history_is_filtered(listed: pd.DataFrame, filters: dict[str, object], ids: set[str]) -> None:
    asked = {"text": "", "runtimes": [], "ended": []} | filters
    assert set(views_history.filtered(listed, **asked)["run_id"]) == ids  # type: ignore[arg-type]


def test_beside_a_run_stands_what_the_advice_takes_steady_before_newer_noisy(ready: Store) -> None:
    steady, noisy = run("old", 10.0), run("new", 9.0, reasons=(NOISY,), started_at="2026-07-03T10:00:00+00:00")
    other = run("other", 5.0, runtime="onnxruntime", job_id="job-2", started_at="2026-07-04T10:00:00+00:00")
    save(ready, steady, noisy, other)
    runs = ready.runs()
    assert views_history.beside(runs, "other") == ["other", "old"]
    assert set(views_history.beside(runs, "new")) == {"new", "other", "old"}  # what is asked for is there


def test_under_one_roof_stand_runs_of_the_same_threads_and_precision(ready: Store) -> None:
    shaky = run("mine-noisy", architecture="net_a", reasons=(NOISY,), started_at="2026-07-03T10:00:00+00:00")
    save(
        ready, run("focus"), run("mine", architecture="net_a"), shaky,
        run("shaky", architecture="net_b", reasons=(NOISY,)),
        run("threads", architecture="net_c", threads=1), run("bf16", architecture="net_d", precision_used="bf16"),
        run("openvino", architecture="net_e", runtime="openvino"), failed("lost"),
    )  # fmt: skip
    assert set(views_history.under_the_same_roof(ready.runs(), run("focus"))) == {"mine", "shaky"}


def test_beside_a_run_stand_the_newest_of_each_setup_and_what_failed(listed: pd.DataFrame) -> None:
    assert set(views_history.beside(listed, "run-3")) == {"run-3", "run-4", "run-5", "run-6", "run-7"}
    assert views_history.beside(listed, "run-2") == ["run-2"]  # the older run of the same setup gives way
    assert set(views_history.beside(listed, "run-1")) == {"run-1", "run-2"}  # but is there when it is asked for


def test_a_job_of_many_networks_has_one_subject_for_each(listed: pd.DataFrame) -> None:
    assert len(views_history.subjects(listed, list(listed["run_id"]))) == 2
    assert views_history.subjects(listed, ["run-4"]) == ["run-4"]
    assert views_history.subjects(listed, []) == []


# -- this machine ------------------------------------------------------------------------------------------


def test_a_missing_runtime_says_how_to_install_it() -> None:
    report = {
        "name": "TestChip", "usable_threads": 1, "runtimes": ["pytorch-eager", "openvino"],
        "offers": [{"runtime": "pytorch-eager", "precision": "fp32"}],
        "environment": {"versions": {"torch": "2.15.0", "timm": "1.0.31"}},
    }  # fmt: skip
    shown = views_machine.runtime_table(report).set_index("Runtime")
    assert shown.loc["pytorch-eager", "Installed"] == "✓ torch 2.15.0, timm 1.0.31"
    assert shown.loc["openvino", "Measured at"] == "`pip install openvino`"
    assert views_machine.headline(report) == "TestChip · 1 usable thread · pytorch-eager"


def test_roofs_have_prefixes_and_units() -> None:
    shown = views_machine.roof_table([{"precision": "bf16", "threads": 2, "macs_per_s": 2.5e11, "bytes_per_s": 1.2e10}])
    assert shown.iloc[0, 2:].tolist() == ["250 GMAC/s", "12 GB/s"]


def test_a_busy_machine_is_called_busy() -> None:
    assert "Quiet enough" in views_machine.load_sentence(Load(0.05, 0.0))
    assert "would likely be noisy" in views_machine.load_sentence(Load(0.9, 0.0))
    assert "2 thermal events" in views_machine.load_sentence(Load(0.0, 0.0, "2 thermal events"))


def test_the_parts_of_the_test_history_survive_the_store(filled: Store, runs: dict[str, Run]) -> None:
    one = runs["run-3"]
    assert run_of(filled.run_content("run-3")) == one
    assert one.measured is not None
    assert one.measured.work == EVERY_PART["work"]
