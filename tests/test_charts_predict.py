"""Figures of predictions: predicted never looks measured, and what is drawn is what the values say."""

from __future__ import annotations

import pandas as pd
import pytest

from advisor import charts_predict
from advisor.predict.foretold import Foretold, Step

ROWS = pd.DataFrame({
    "architecture": ["a", "b", "c"], "img_size": 224, "weights": ["a.x", "b.x", "c.x"], "label": ["a.x", "b.x", "c.x"],
    "accuracy": [70.0, 80.0, 75.0], "p50_ms": [5.0, 20.0, 12.0], "lo90_ms": [4.0, 15.0, 11.9],
    "hi90_ms": [6.0, 28.0, 12.1], "evidence": ["predicted", "predicted", "measured"], "verdict": ["", "", "noisy"],
    "on_front": [True, False, True], "setup": "pytorch-eager fp32", "place": [0, 0, 1], "picked": [False, False, True],
})  # fmt: skip
SEARCHED = ROWS.rename(columns={"lo90_ms": "low_ms", "hi90_ms": "high_ms"}).assign(level=["90 %", "90 %", "95 %"])


def traces(figure: object) -> dict[str, object]:
    return {trace.name: trace for trace in figure.data}  # type: ignore[attr-defined]


def test_predicted_networks_are_open_and_measured_ones_filled() -> None:
    found = traces(charts_predict.zoo_figure(ROWS, "ImageNet top-1 (%)", limit_ms=25.0))
    predicted = [trace for name, trace in found.items() if name and name.startswith("predicted")]
    assert {trace.marker.symbol for trace in predicted} == {"circle-open"}
    assert found["measured here"].marker.symbol is None  # the filled circle
    assert list(found["measured here"].x) == [12.0]


def test_intervals_are_drawn_on_the_front_and_told_everywhere() -> None:
    found = traces(charts_predict.zoo_figure(ROWS, "ImageNet top-1 (%)"))
    (front,) = [trace for name, trace in found.items() if name and "interval" in name]
    assert list(front.error_x.array) == [1.0]
    assert list(front.error_x.arrayminus) == [1.0]
    assert list(found["predicted"].customdata[0][2:4]) == [15.0, 28.0]
    assert "noisy" in found["measured here"].customdata[0][4]


def test_the_limit_is_drawn_with_its_figure() -> None:
    figure = charts_predict.zoo_figure(ROWS, "ImageNet top-1 (%)", limit_ms=25.0)
    (line,) = figure.layout.shapes
    assert line.x0 == 25.0
    assert figure.layout.annotations[0].text == "≤ 25 ms"


def test_a_search_numbers_what_it_measured_and_rings_its_pick() -> None:
    found = traces(charts_predict.search_figure(SEARCHED, "ImageNet top-1 (%)", 25.0))
    measured = found["pytorch-eager fp32, measured"]
    assert list(measured.text) == ["1"]
    assert found["pytorch-eager fp32, predicted"].marker.symbol.endswith("-open")
    assert list(found["the pick"].x) == [12.0]


def test_the_interval_of_a_measurement_is_told_with_its_own_level() -> None:
    found = traces(charts_predict.search_figure(SEARCHED, "ImageNet top-1 (%)", 25.0))
    for name, level in (("measured", "95 %"), ("predicted", "90 %")):
        trace = found[f"pytorch-eager fp32, {name}"]
        assert "%{customdata[6]} interval" in trace.hovertemplate
        assert {row[6] for row in trace.customdata} == {level}


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_axis_of_probes_stays_as_it_is_while_they_come(n: int) -> None:
    steps = [Step(3 + i, (1.2, 1.5 - 0.1 * i, 2.0), None) for i in range(n)]
    figure = charts_predict.tightening_figure(steps, 12)
    assert list(figure.layout.xaxis.range) == [0.5, 12.5]
    median = traces(figure)["median network"]
    assert list(median.y) == [1.5 - 0.1 * i for i in range(n)]


def test_what_came_true_is_told_from_what_did_not_by_more_than_colour() -> None:
    inside, outside = Foretold("a", 224, 10.0, 8.0, 12.0, 11.0), Foretold("b", 224, 10.0, 8.0, 12.0, 13.0)
    found = traces(charts_predict.foretold_figure([inside, outside]))
    assert list(found["within its 90 % interval"].x) == [11.0]
    assert list(found["outside its 90 % interval"].x) == [13.0]
    assert found["outside its 90 % interval"].marker.symbol != found["within its 90 % interval"].marker.symbol
    empty = charts_predict.foretold_figure([])
    assert not empty.data
    assert "fourth probe" in empty.layout.annotations[0].text
