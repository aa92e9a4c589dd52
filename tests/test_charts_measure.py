"""Figures of measurements: what is drawn where, on runs whose figures are known by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from advisor import charts_measure, views_beside
from advisor.measure.run import BatchPoint, EndToEnd, Latency, OperatorClass, Roof, Run, Stage, Throughput, Work
from tests import run_data


def latency(times_ms: list[float], *, block: int = 1) -> Latency:
    """The figures of these times, with an interval of ±1 % around the median."""
    p50, p90 = (float(q) for q in np.quantile(times_ms, [0.5, 0.9]))
    return Latency(
        times_ms=tuple(times_ms), block=block, p50=p50, p90=p90, p99=None, mad=0.1, ci95=(0.99 * p50, 1.01 * p50),
        cold_start_ms=40.0, settled=True, warmup_passes=5, stopped="precise", timer="wall clock",
    )  # fmt: skip


TIMES = [10.0, 10.1, 10.2, 10.3, 10.4, 10.1, 10.2, 10.3, 10.2, 10.2]
WORK = Work(
    macs=1000.0,
    bytes=50.0,
    operators=(
        OperatorClass("depthwise convolution", 6.0, 0.6, 100.0),
        OperatorClass("pointwise convolution", 3.0, 0.3, 900.0),
        OperatorClass("activation", 1.0, 0.1, 0.0),
    ),
    counter="by hand",
)
STAGES = EndToEnd("a.jpg", (Stage("decode", 2.0, 0.2), Stage("forward", 8.0, 0.8)), 10.0)
CURVE = Throughput(
    (BatchPoint(1, 100.0, 10.0, 30), BatchPoint(2, 160.0, 12.5, 30), BatchPoint(4, 150.0, 26.7, 30)), 2, 160.0, "time"
)


def worked(run_id: str, *, macs: float, bytes_: float, p50: float, runtime: str = "pytorch-eager") -> Run:
    work = Work(macs=macs, bytes=bytes_, operators=(), counter="by hand")
    return run_data.run(run_id, p50=p50, runtime=runtime, parts={"work": work, "roof": ROOF})


ROOF = Roof("fp32", 2, macs_per_s=100e9, bytes_per_s=20e9)


def trace(figure: go.Figure, name: str) -> Any:
    return next(t for t in figure.data if t.name and t.name.startswith(name))


def notes(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def every_figure() -> list[go.Figure]:
    one, other = latency(TIMES), latency([2 * t for t in TIMES])
    runs = [worked("a", macs=1e9, bytes_=1e8, p50=20.0)]
    return [
        charts_measure.histogram_figure(one), charts_measure.times_figure(one), charts_measure.batch_figure(CURVE),
        charts_measure.operator_figure(WORK), charts_measure.roofline_figure([ROOF], runs, this="a"),
        charts_measure.end_to_end_figure(STAGES), charts_measure.comparison_figure(one, other, ("a", "b")),
        charts_measure.runtimes_figure(views_beside.side_by_side(runs)),
    ]  # fmt: skip


def test_every_x_axis_has_a_title_with_its_unit() -> None:
    titles = [figure.layout.xaxis.title.text for figure in every_figure()]
    assert titles == [
        "Latency of one batch (ms)", "Sample, in order", "Batch size (images)", "Share of the whole (%)",
        "Multiply-adds per byte", "Time for one batch (ms)", "Latency of one batch (ms)", "Latency of one batch (ms)",
    ]  # fmt: skip


def test_backgrounds_are_left_to_the_theme() -> None:
    for figure in every_figure():
        assert figure.layout.paper_bgcolor is None
        assert figure.layout.plot_bgcolor is None


def test_histogram_counts_every_time_once() -> None:
    figure = charts_measure.histogram_figure(latency(TIMES))
    assert sum(figure.data[0].y) == len(TIMES)
    assert notes(figure) == ["p50 10.2", "p90 10.31"]


def test_histogram_says_how_many_times_are_beyond_its_view() -> None:
    figure = charts_measure.histogram_figure(latency([*TIMES, 40.0]))
    assert sum(figure.data[0].y) == len(TIMES)
    assert "1 slower, up to 40 ms ▶" in notes(figure)
    assert max(figure.data[0].x) < 11


def test_histogram_marks_the_interval_of_the_median() -> None:
    one = latency(TIMES)
    band = next(s for s in charts_measure.histogram_figure(one).layout.shapes if s.type == "rect")
    assert (band.x0, band.x1) == one.ci95


def test_blocks_are_named_where_a_sample_is_a_mean() -> None:
    figure = charts_measure.histogram_figure(latency(TIMES, block=8))
    assert figure.layout.yaxis.title.text == "Samples (means of 8 passes)"


@pytest.mark.parametrize("times", [[5.0], [5.0, 5.0, 5.0]])
def test_one_time_or_equal_times_can_be_drawn(times: list[float]) -> None:
    one = latency(times)
    assert sum(charts_measure.histogram_figure(one).data[0].y) == len(times)
    low, high = charts_measure.times_figure(one).layout.yaxis.range
    assert low < 5.0 < high


def test_times_stand_in_their_order_and_slow_ones_at_the_edge_with_another_symbol() -> None:
    figure = charts_measure.times_figure(latency([10.0, 90.0, *TIMES]))
    assert list(trace(figure, "sample").x) == [1, *range(3, 13)]
    slow = trace(figure, "slower")
    assert (list(slow.x), list(slow.customdata)) == ([2], [90.0])
    assert slow.marker.symbol == "triangle-up"
    assert slow.y[0] <= figure.layout.yaxis.range[1] < 90


def test_thousands_of_times_are_drawn_by_the_graphics_card() -> None:
    times = [float(t) for t in np.linspace(10, 11, 3000)]
    assert charts_measure.times_figure(latency(times)).data[0].type == "scattergl"
    assert charts_measure.times_figure(latency(TIMES)).data[0].type == "scatter"


def test_batch_curve_rings_the_best_size_and_starts_at_zero() -> None:
    figure = charts_measure.batch_figure(CURVE)
    assert list(trace(figure, "measured").y) == [100.0, 160.0, 150.0]
    assert (trace(figure, "best").x[0], trace(figure, "best").y[0]) == (2, 160.0)
    assert list(figure.layout.xaxis.ticktext) == ["1", "2", "4"]
    assert figure.layout.yaxis.rangemode == "tozero"


def test_operator_bars_set_time_beside_multiply_adds_slowest_on_top() -> None:
    figure = charts_measure.operator_figure(WORK)
    time, macs = trace(figure, "share of time"), trace(figure, "share of multiply-adds")
    assert list(time.y) == ["activation", "pointwise convolution", "depthwise convolution"]
    assert list(time.x) == pytest.approx([10.0, 30.0, 60.0])
    assert list(macs.x) == pytest.approx([0.0, 90.0, 10.0])
    assert time.marker.pattern.shape != macs.marker.pattern.shape, "colour is never the only sign"


def test_roof_bends_where_memory_and_arithmetic_meet() -> None:
    figure = charts_measure.roofline_figure([ROOF], [])
    line = trace(figure, "roof fp32")
    # 100 GMAC/s over 20 GB/s: 5 multiply-adds a byte
    assert (line.x[1], line.y[1], line.y[2]) == (5.0, 100.0, 100.0)
    assert line.y[0] == pytest.approx(20 * line.x[0])


def test_a_run_stands_at_its_intensity_and_achieved_rate() -> None:
    run = worked("a", macs=1e9, bytes_=1e8, p50=20.0)
    figure = charts_measure.roofline_figure([ROOF], [run], this="a")
    point = trace(figure, "pytorch-eager")
    assert (point.x[0], point.y[0]) == (10.0, 50.0)
    assert point.customdata[0][2] == "50 % of its roof"
    assert (trace(figure, "this run").x[0], trace(figure, "this run").marker.symbol) == (10.0, "circle-open")


def test_noisy_runs_are_hollow_under_the_roof() -> None:
    runs = [worked(name, macs=1e9, bytes_=1e8, p50=20.0) for name in "ab"]
    figure = charts_measure.roofline_figure([ROOF], runs, this="a", noisy={"b"})
    assert (trace(figure, "pytorch-eager").marker.symbol, trace(figure, "pytorch-eager, noisy").marker.symbol) == (
        "circle", "circle-open",
    )  # fmt: skip


def test_shares_of_multiply_adds_are_of_the_operators_counted() -> None:
    figure = charts_measure.operator_figure(replace(WORK, macs=2000.0))  # half of it is in no operator
    assert list(trace(figure, "share of multiply-adds").x) == pytest.approx([0.0, 90.0, 10.0])


def test_roofs_differ_by_dash_and_runtimes_by_symbol() -> None:
    roofs = [ROOF, Roof("bf16", 2, 400e9, 20e9)]
    runs = [worked(name, macs=1e9, bytes_=1e8, p50=20.0, runtime=name) for name in ("pytorch-eager", "openvino")]
    figure = charts_measure.roofline_figure(roofs, runs)
    assert trace(figure, "roof fp32").line.dash != trace(figure, "roof bf16").line.dash
    assert trace(figure, "pytorch-eager").marker.symbol != trace(figure, "openvino").marker.symbol


def test_runs_without_counted_work_are_left_out_of_the_roofline() -> None:
    figure = charts_measure.roofline_figure([ROOF], [run_data.run("a"), run_data.failed("b")], this="a")
    assert [t.name for t in figure.data] == ["roof fp32"]


def test_stages_stack_in_their_order_with_patterns() -> None:
    figure = charts_measure.end_to_end_figure(STAGES)
    assert [t.name for t in figure.data] == ["decode 2 ms", "forward 8 ms"]
    assert [t.x[0] for t in figure.data] == [2.0, 8.0]
    assert figure.layout.barmode == "stack"
    assert len({t.marker.pattern.shape for t in figure.data}) == 2


def test_two_runs_of_one_name_stay_two_rows_the_first_on_top() -> None:
    one, other = latency(TIMES), latency([2 * t for t in TIMES])
    figure = charts_measure.comparison_figure(one, other, ("same", "same"))
    medians = [t for t in figure.data if t.type == "scatter"]
    assert [(t.x[0], t.y[0]) for t in medians] == [(one.p50, 0), (other.p50, 1)]
    assert list(figure.layout.yaxis.ticktext) == ["same", "same"]
    bottom, top = figure.layout.yaxis.range
    assert bottom > top
    low, high = medians[0].error_x.arrayminus[0], medians[0].error_x.array[0]
    assert (one.p50 - low, one.p50 + high) == pytest.approx(one.ci95)


def test_medians_far_apart_are_drawn_from_zero() -> None:
    def begin(factor: float) -> float:
        pair = latency(TIMES), latency([factor * t for t in TIMES])
        return float(charts_measure.comparison_figure(*pair, ("a", "b")).layout.xaxis.range[0])

    assert begin(1.26) == begin(2.0) == 0.0
    assert begin(1.2) > 5.0


def test_runtimes_are_sorted_fastest_first_and_noisy_ones_hatched() -> None:
    runs = [
        run_data.run("a", p50=49.0),
        run_data.run("b", p50=6.0, runtime="openvino", precision="auto", precision_used="bf16"),
        run_data.run("c", p50=26.0, runtime="onnxruntime", reasons=("Other programs took 0.5 cores.",)),
        run_data.failed("d", runtime="openvino"),
    ]
    figure = charts_measure.runtimes_figure(views_beside.side_by_side(runs))
    assert list(figure.data[0].x) == [6.0, 26.0, 49.0]
    assert list(figure.layout.yaxis.ticktext) == ["openvino bf16", "onnxruntime fp32 ≈", "pytorch-eager fp32"]
    assert list(figure.data[0].marker.pattern.shape) == ["", "/", ""]
    assert {"6 ms", "26 ms", "49 ms", "≈ hatched: noisy"} == set(notes(figure))


def test_eager_mode_in_tf32_is_the_baseline_on_a_gpu() -> None:
    runs = [run_data.run("a", p50=20.0, precision_used="tf32"), run_data.run("b", p50=5.0, runtime="onnxruntime")]
    assert dict(zip(*views_beside.side_by_side(runs)[["run_id", "speedup"]].to_numpy().T, strict=True)) == {
        "a": 1.0, "b": 4.0,
    }  # fmt: skip


def test_long_names_are_broken_for_narrow_screens() -> None:
    run = run_data.run("a", p50=49.0, layout="nhwc")
    found: pd.DataFrame = views_beside.side_by_side([run, run_data.run("b", p50=50.0)])
    name = charts_measure.runtimes_figure(found).layout.yaxis.ticktext[0]
    assert "<br>" in name
    assert max(len(part) for part in name.split("<br>")) <= 20
