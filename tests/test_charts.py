"""Charts: what is drawn where, on answers that are known by hand."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
import pytest

from advisor import charts, charts_compare, views, views_compare, views_explore, workflows
from advisor.advice.recommend import recommend
from advisor.evidence.store import Store
from advisor.records import Question
from tests import run_data
from tests.guessed import guess, here

ASKED = Question("i7-12700h", max_latency_ms=20.0)


def drawn(store: Store, question: Question) -> go.Figure:
    answer = workflows.recommend(store, question)
    return charts.front_figure(answer, views.landscape(store, question), "Core i7-12700H")


def trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(t for t in figure.data if t.name and t.name.startswith(name) and t.showlegend is not False)


def test_axes_name_metric_unit_and_device(small: Store) -> None:
    layout = drawn(small, ASKED).layout
    assert layout.xaxis.title.text == "Latency (ms) on Core i7-12700H"
    assert layout.yaxis.title.text == "ImageNet top-1 (%)"
    assert layout.xaxis.type == "log"


def test_every_candidate_is_drawn_once(small: Store) -> None:
    figure = drawn(small, ASKED)
    candidates = views.landscape(small, ASKED)
    points = [t for t in figure.data if t.mode == "markers" and not t.name.startswith("Pick")]
    assert sum(len(t.x) for t in points) == len(candidates)
    inside = [t for t in points if t.showlegend]
    assert sum(len(t.x) for t in inside) == int(candidates["feasible"].sum())


def test_pick_and_budget_line_stand_where_the_answer_says(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    figure = drawn(small, ASKED)
    assert answer.pick is not None
    assert (trace(figure, "Pick").x[0], trace(figure, "Pick").y[0]) == (answer.pick.latency_ms, answer.pick.accuracy)
    assert figure.layout.shapes[0].x0 == 20.0
    assert figure.layout.annotations[0].text == "≤ 20 ms"


def test_front_line_follows_the_front_of_the_answer(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    line = trace(drawn(small, ASKED), "Front")
    assert list(line.x) == [c.latency_ms for c in answer.front]
    assert list(line.y) == [c.accuracy for c in answer.front]


def test_families_differ_by_colour_and_by_symbol() -> None:
    colours, symbols = zip(*charts.FAMILY_SIGNS.values(), strict=True)
    assert len(set(colours)) == len(set(symbols)) == len(charts.FAMILY_SIGNS)
    colours, symbols = zip(*charts.SERIES_SIGNS, strict=True)
    assert len(set(colours)) == len(set(symbols)) == len(charts.SERIES_SIGNS)


def test_hover_names_weights_conditions_evidence_and_source(small: Store) -> None:
    points = trace(drawn(small, ASKED), "EfficientNet")
    text = points.hovertemplate
    assert "pytorch-compile" in text or "%{customdata" in text
    row = dict(zip(("weights", "px"), points.customdata[0][:2], strict=True))
    assert row["weights"].startswith("efficientnet")
    assert row["px"] in (224, 256, 288)
    assert "published" in text
    assert "timm-benchmark" in text or "openvino" in " ".join(map(str, points.customdata.ravel())) + text


def test_predicted_is_drawn_open_and_published_filled(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    candidates = views.landscape(small, ASKED).assign(evidence="predicted")
    predicted = trace(charts.front_figure(answer, candidates, "i7"), "RegNet")
    assert predicted.marker.symbol == "square-open"
    half = candidates["evidence"].where(candidates["architecture"] == "regnety_032", "published")
    mixed = trace(charts.front_figure(answer, candidates.assign(evidence=half), "i7"), "RegNet")
    assert set(mixed.marker.symbol) == {"square", "square-open"}
    assert trace(drawn(small, ASKED), "RegNet").marker.symbol == "square"


def test_predicted_pick_has_its_interval_and_the_front_its_slow_end(small: Store) -> None:
    guesses = here(guess("vit_base_patch16_224", 10.0))
    runs = small.frame("runs", device_id="i7-12700h", task="infer")
    question = replace(ASKED, families=("all",))
    answer = recommend(small.frame("scored"), runs, question, "i7", guesses=guesses)
    figure = charts.front_figure(answer, views.landscape(small, question).assign(evidence="predicted"), "i7")
    sure = trace(figure, "predicted, 90 % interval")
    assert (sure.x, sure.marker.symbol) == ((10.0,), "diamond-open-dot")
    assert (sure.error_x.array[0], sure.error_x.arrayminus[0]) == pytest.approx((2.0, 10 - 10 / 1.2))
    assert "predicted" in sure.customdata[0][2]
    assert trace(figure, "Front within the limits").x[-1] == pytest.approx(12.0)
    assert trace(figure, "open: predicted").x == (None,)
    names = {one.name for one in drawn(small, ASKED).data}
    assert not names & {"open: predicted", "predicted, 90 % interval"}


def test_measured_has_an_outline_of_its_own(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    candidates = views.landscape(small, ASKED).assign(evidence="measured")
    measured = trace(charts.front_figure(answer, candidates, "i7"), "RegNet")
    assert set(measured.marker.line.color) == {charts.INK}


def test_minimum_accuracy_is_a_line_of_its_own(small: Store) -> None:
    figure = drawn(small, replace(ASKED, min_accuracy=75.0))
    assert [s.y0 for s in figure.layout.shapes if s.y0 == s.y1] == [75.0]


def test_throughput_limit_reads_at_least(small: Store) -> None:
    figure = drawn(small, Question("rtx-4090", min_throughput=5000.0))
    assert figure.layout.annotations[0].text == "≥ 5,000 img/s"


@pytest.fixture
def explored(small: Store) -> pd.DataFrame:
    names = {"i7-12700h": "Core i7-12700H", "rtx-4090": "GeForce RTX 4090"}
    setups = views_explore.setups_of(small, list(names), names).drop_duplicates("device_id")
    return views_explore.points(small, setups, names, "throughput_per_s", "top1")


@pytest.mark.parametrize(("device_id", "axis"), [("i7-12700h", "latency_ms"), ("rtx-4090", "throughput_per_s")])
def test_front_line_never_promises_more_than_the_limit_allows(small: Store, device_id: str, axis: str) -> None:
    """Drawn fastest first as horizontal, then vertical: between two points the accuracy is that of the faster one."""
    answer = workflows.recommend(small, Question(device_id, families=("all",)))
    line = trace(charts.front_figure(answer, views.landscape(small, answer.question), "x"), "Front within the limits")
    assert answer.axis == axis
    assert line.line.shape == "hv"
    accuracies = list(line.y)
    assert accuracies == sorted(accuracies)  # the faster, the less accurate: a step starts at the lower accuracy


def test_each_device_has_its_own_front(explored: pd.DataFrame) -> None:
    for _, rows in explored.groupby("group"):
        for row in rows.itertuples():
            beaten = (
                (rows["throughput_per_s"] >= row.throughput_per_s)
                & (rows["top1"] >= row.top1)
                & ((rows["throughput_per_s"] > row.throughput_per_s) | (rows["top1"] > row.top1))
            ).any()
            assert row.on_front == (not beaten)


def test_explored_points_carry_their_row_number_last(explored: pd.DataFrame) -> None:
    figure = charts.metric_figure(explored, "throughput_per_s", "top1", "group")
    numbers = [int(row[-1]) for t in figure.data if t.mode == "markers" for row in t.customdata]
    assert sorted(numbers) == list(range(len(explored)))
    assert views.positions_of([{"customdata": ["w", 224, 7]}, {"customdata": ["v", 224, 2]}, {}]) == [2, 7]


def test_suspect_results_are_marked_and_never_on_a_front(small: Store) -> None:
    names = {"i7-12700h": "Core i7-12700H"}
    setups = views_explore.setups_of(small, list(names), names)
    points = views_explore.points(small, setups, names, "latency_ms", "top1")
    suspect = points[points["suspect"]]
    assert list(suspect["weights"]) == ["regnety_160.swag_ft_in1k"]
    assert list(suspect["mark"]) == ["suspect"]
    assert not suspect["on_front"].any()
    figure = charts.metric_figure(points, "latency_ms", "top1", "group")
    assert [t.marker.symbol for t in figure.data if "suspect" in str(t.name)] == ["x-thin-open"]


def test_devices_are_ordered_fastest_on_top(small: Store) -> None:
    found = views_compare.everywhere(small, "resnet50", 224)
    rows = views_compare.by_device(found, "latency_ms", 1)
    order = list(charts_compare.device_figure(rows, "latency_ms").layout.yaxis.categoryarray)
    assert order[-1] == "Samsung Galaxy S24"  # 1.5 ms
    assert order[0] == "Coral Edge TPU"  # 50 ms


def test_own_results_have_signs_of_their_own_beside_published_ones() -> None:
    rows = pd.DataFrame({
        "device": ["i7", "i7", "Here", "Here", "Here"], "latency_ms": [5.0, 3.0, 9.0, 8.0, 7.0],
        "evidence": ["published", "published", "measured", "measured", "measured"],
        "verdict": ["–", "–", "steady", "noisy", "steady"], "quantised": [False, True, False, False, True],
        "setup": ["a", "b", "c", "d", "e"], "source_id": ["x"] * 5,
    })  # fmt: skip
    figure = charts_compare.device_figure(rows, "latency_ms")
    assert {t.name: (list(t.x), t.marker.symbol, t.marker.line.width) for t in figure.data} == {
        "published, float": ([5.0], "circle", 0), "published, quantised": ([3.0], "diamond", 0),
        "measured, float": ([9.0], "square", 2), "measured, float, noisy": ([8.0], "square-x", 2),
        "measured, quantised": ([7.0], "diamond", 2),
    }  # fmt: skip
    assert list(figure.layout.yaxis.categoryarray) == ["Here", "i7"]  # Plotly draws from the bottom
    assert figure.layout.xaxis.title.text == "Latency (ms)"


def test_explored_results_that_were_measured_are_outlined_and_noisy_ones_signed(ready: Store) -> None:
    run_data.save(
        ready,
        run_data.run("r1", 9.0, architecture="efficientnet_b0"),
        run_data.run("r2", 10.0, reasons=("Others computed.",)),
    )
    names = {run_data.MACHINE["device_id"]: "Here", "i7-12700h": "i7"}
    setups = views_explore.setups_of(ready, list(names), names)
    points = views_explore.points(ready, setups, names, "latency_ms", "params_m")
    assert set(points[points["evidence"] == "measured"]["known_as"]) == {"measured", "measured, noisy"}
    figure = charts.metric_figure(points, "latency_ms", "params_m", "device")
    assert set(trace(figure, "Here").marker.line.color) == {charts.INK}
    assert trace(figure, "i7").marker.line.color is None
    assert [list(t.x) for t in figure.data if t.text == "≈"] == [[10.0]]
    drawn = [t.name for t in figure.data if t.mode == "markers"]
    assert drawn.index("i7") < drawn.index("Here")  # the few of our own above the many


def test_recipes_show_sampling_error_and_extra_data(small: Store) -> None:
    rows = views_compare.recipe_table(small, "resnet50")
    figure = charts_compare.recipe_figure(rows[rows["img_size"] == 224])
    plain, extra = figure.data
    assert list(extra.y) == ["resnet50.fb_swsl_ig1b_ft_in1k"]
    assert plain.marker.symbol != extra.marker.symbol
    assert plain.error_x.array[0] == pytest.approx(1.96 * (76.1 * 23.9 / 50_000) ** 0.5, rel=1e-3)


def test_two_devices_show_every_common_model(small: Store) -> None:
    found = views_compare.two_devices(small, "rtx-3090", "rtx-4090")
    figure = charts_compare.two_devices_figure(found)
    assert sum(len(t.x) for t in figure.data) == found.n_common
    assert figure.layout.xaxis.title.text == "Throughput (img/s) on GeForce RTX 3090"
