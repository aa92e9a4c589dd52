"""Figures of predictions: how they tighten, how they did, every network under its accuracy, the path of a search.

What is predicted is drawn open and light, with its interval where there is room; what is measured is filled and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from advisor.charts import INK, LIMIT_COLOUR, NOISY_SIGN, SERIES_SIGNS, layout

if TYPE_CHECKING:
    from advisor.predict.foretold import Foretold, Step

BLUE, ORANGE, GREEN = (SERIES_SIGNS[i][0] for i in range(3))
_HEIGHT_PX = 300
_ZOO_HEIGHT_PX = 460
_LATENCY = "Latency (ms)"
_DECADES = 2.5
_FEW_TICKS = 5.0  # from the lower to the upper end of an axis
_BAND = "rgba(10, 134, 201, 0.18)"
_RATIO_VIEW = 3.0  # the view reaches up to here at least, so that it stays as it is while intervals tighten
_FINE, _FINE_UP_TO = (1.2, 1.5, 3), 6.0  # ticks that would crowd in a wider view
_RATIO_TICKS = [1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500]


def tightening_figure(steps: Sequence[Step], n_probes: int) -> go.Figure:
    """How wide the 90 % intervals of all networks are after each probe.

    Args:
        steps: One a number of probes, ascending; may be empty.
        n_probes: How many are planned, so that the axis stays as it is while they come.
    """
    n = [step.n_probes for step in steps]
    low, middle, high = (np.array([step.ratio for step in steps]).reshape(-1, 3).T) if steps else ([], [], [])
    figure = go.Figure(layout=_layout("Probes measured", "90 % interval, upper ÷ lower end"))
    if not steps:
        _nothing_yet(figure, "Predictions begin with the third probe")
    figure.add_scatter(x=n, y=high, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=n, y=low, mode="lines", line={"width": 0}, fill="tonexty", fillcolor=_BAND, hoverinfo="skip",
        name="90 % of all networks",
    )  # fmt: skip
    figure.add_scatter(
        x=n, y=middle, mode="lines+markers", line={"color": BLUE, "width": 2}, marker={"size": 7},
        name="median network",
        customdata=np.column_stack([low, high]) if steps else None,
        hovertemplate="after %{x} probes: %{y:.2f}<br>nine in ten from %{customdata[0]:.2f} to %{customdata[1]:.2f}"
        "<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(range=[0.5, max([n_probes, *n]) + 0.5], dtick=2, tick0=2)
    most = max([_RATIO_VIEW, *([float(np.max(high)) * 1.1] if steps else [])])
    ticks = [tick for tick in _RATIO_TICKS if most < _FINE_UP_TO or tick not in _FINE]
    figure.update_yaxes(type="log", tickvals=ticks, range=[0.0, float(np.log10(most))])
    return figure


def foretold_figure(found: Sequence[Foretold]) -> go.Figure:
    """Measurements beside what had been predicted before them, with the 90 % intervals; on the line it came true."""
    figure = go.Figure(layout=_layout("Measured (ms)", "Predicted before (ms)", log=True))
    if not found:
        _nothing_yet(figure, "From the fourth probe on, each is predicted before it is measured")
        figure.update_xaxes(range=[0, 3])
        figure.update_yaxes(range=[0, 3])
    for inside, name, colour, symbol in (
        (True, "within its 90 % interval", BLUE, "circle-open"),
        (False, "outside its 90 % interval", ORANGE, "diamond-open"),
    ):
        some = [one for one in found if one.inside is inside]
        if not some:
            continue
        figure.add_scatter(
            x=[one.measured_ms for one in some], y=[one.p50_ms for one in some], mode="markers", name=name,
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 2}},
            error_y={
                "type": "data", "symmetric": False, "thickness": 1.2, "width": 3, "color": colour,
                "array": [one.hi90_ms - one.p50_ms for one in some],
                "arrayminus": [one.p50_ms - one.lo90_ms for one in some],
            },
            customdata=[[one.architecture, one.img_size, one.lo90_ms, one.hi90_ms] for one in some],
            hovertemplate="<b>%{customdata[0]}</b> · %{customdata[1]} px<br>measured %{x:,.4g} ms<br>predicted "
            "%{y:,.4g} ms (%{customdata[2]:,.4g}–%{customdata[3]:,.4g})<extra></extra>",
        )  # fmt: skip
    if found:
        ends = [one.measured_ms for one in found] + [one.lo90_ms for one in found] + [one.hi90_ms for one in found]
        span = [min(ends) / 1.15, max(ends) * 1.15]
        figure.add_scatter(
            x=span, y=span, mode="lines", line={"color": INK, "width": 1, "dash": "dot"}, name="as predicted",
            hoverinfo="skip",
        )  # fmt: skip
        for axis in (figure.update_xaxes, figure.update_yaxes):
            # where there is less than a decade, 1, 2 and 5 of each would be a label or none
            axis(range=[float(np.log10(end)) for end in span], dtick="D1" if span[1] < _FEW_TICKS * span[0] else "D2")
    return figure


def zoo_figure(frame: pd.DataFrame, accuracy_title: str, *, limit_ms: float | None = None) -> go.Figure:
    """Every network of one setup over latency and accuracy: predicted ones open and light, measured ones filled.

    Intervals are drawn for the front alone, where a choice is made; the others have them in their hover text.

    Args:
        frame: Columns `architecture`, `img_size`, `weights`, `accuracy`, `p50_ms`, `lo90_ms`, `hi90_ms`, `evidence`,
            `verdict`, `on_front`.
    """
    frame = frame.rename(columns={"lo90_ms": "low_ms", "hi90_ms": "high_ms"}).assign(level="90 %")
    arranged = layout(_LATENCY, accuracy_title, log_x=True, height=_ZOO_HEIGHT_PX)
    arranged |= {"dragmode": False, "uirevision": "zoo"}
    arranged["xaxis"]["dtick"] = _dtick(frame["p50_ms"])
    figure = go.Figure(layout=arranged)
    predicted, measured = (frame[frame["evidence"] == kind] for kind in ("predicted", "measured"))
    front = predicted["on_front"]
    for rows, name, size, opacity, bars in (
        (predicted[~front], "predicted", 5, 0.75, False),
        (predicted[front], "predicted, with its 90 % interval: nothing faster is as accurate", 8, 0.9, True),
    ):
        figure.add_scatter(
            x=rows["p50_ms"].to_numpy(float), y=rows["accuracy"].to_numpy(float), mode="markers", name=name,
            opacity=opacity, marker={"color": BLUE, "symbol": "circle-open", "size": size, "line": {"width": 1.3}},
            error_x=_bars(rows) if bars else None, **_hover(rows),
        )  # fmt: skip
    if len(measured):
        figure.add_scatter(
            x=measured["p50_ms"].to_numpy(float), y=measured["accuracy"].to_numpy(float), mode="markers",
            name="measured here", marker={"color": GREEN, "size": 10, "line": {"width": 2, "color": INK}},
            **_hover(measured),
        )  # fmt: skip
        _noisy(figure, measured)
    if limit_ms is not None:
        _limit(figure, limit_ms)
    return figure


def search_figure(frame: pd.DataFrame, accuracy_title: str, limit_ms: float) -> go.Figure:
    """What a search believed of the options that could win, what it measured in which order, and its pick.

    Args:
        frame: Columns `label`, `img_size`, `accuracy`, `setup`, `p50_ms`, `low_ms` and `high_ms` (the interval of that
            `level`: "90 %" or "95 %"), `evidence`, `verdict`, `place` (in the order of measuring, 0 where not measured
            for it), `picked`.
    """
    arranged = layout(_LATENCY, accuracy_title, log_x=True) | {"dragmode": False, "uirevision": f"find-{limit_ms}"}
    arranged["xaxis"]["dtick"] = "D2"
    figure = go.Figure(layout=arranged)
    for i, setup in enumerate(sorted(frame["setup"].unique())):
        colour, symbol = SERIES_SIGNS[i % len(SERIES_SIGNS)]
        rows = frame[(frame["setup"] == setup) & (frame["evidence"] == "predicted")]
        if len(rows):
            figure.add_scatter(
                x=rows["p50_ms"].to_numpy(float), y=rows["accuracy"].to_numpy(float), mode="markers", opacity=0.85,
                name=f"{setup}, predicted", error_x=_bars(rows),
                marker={"color": colour, "symbol": f"{symbol}-open", "size": 7}, **_hover(rows),
            )  # fmt: skip
        rows = frame[(frame["setup"] == setup) & (frame["evidence"] == "measured")]
        if len(rows):
            figure.add_scatter(
                x=rows["p50_ms"].to_numpy(float), y=rows["accuracy"].to_numpy(float), mode="markers+text",
                name=f"{setup}, measured", text=[str(place or "") for place in rows["place"]],
                textposition="top right", textfont={"color": INK, "size": 13},
                marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": INK}},
                **_hover(rows),
            )  # fmt: skip
            _noisy(figure, rows)
    pick = frame[frame["picked"]]
    if len(pick):
        figure.add_scatter(
            x=pick["p50_ms"].to_numpy(float), y=pick["accuracy"].to_numpy(float), mode="markers", name="the pick",
            hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 20, "color": LIMIT_COLOUR, "line": {"width": 2.5}},
        )  # fmt: skip
    _limit(figure, limit_ms)
    return figure


def _layout(x_title: str, y_title: str, *, log: bool = False) -> dict[str, Any]:
    found = layout(x_title, y_title, height=_HEIGHT_PX, log_x=log, log_y=log) | {"dragmode": False}
    found["legend"]["y"] = 1 + 12 / _HEIGHT_PX
    for name in ("xaxis", "yaxis"):
        found[name] |= {"dtick": "D2"} if log else {}  # labels at 1, 2 and 5 of each decade
    return found


def _nothing_yet(figure: go.Figure, text: str) -> None:
    """A chart that waits for its first values says for what, instead of showing empty axes alone."""
    figure.add_annotation(
        x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, text=text, font={"color": INK, "size": 13}
    )
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)


def _dtick(latencies_ms: pd.Series[float]) -> int | str:
    """Labels at 1, 2 and 5 of each decade, or at 1 alone where there are so many that they would meet on a phone."""
    return 1 if np.log10(latencies_ms.max() / latencies_ms.min()) > _DECADES else "D2"


def _bars(rows: pd.DataFrame) -> dict[str, Any]:
    """The intervals of predictions as thin bars in the colour of their points."""
    p50 = rows["p50_ms"].to_numpy(float)
    return {
        "type": "data", "symmetric": False, "thickness": 1.4, "width": 0,
        "array": rows["high_ms"].to_numpy(float) - p50, "arrayminus": p50 - rows["low_ms"].to_numpy(float),
    }  # fmt: skip


def _hover(rows: pd.DataFrame) -> dict[str, Any]:
    """Hover text: what it is, both figures with the interval and its level, and which evidence its latency is."""
    name = rows["label"] if "label" in rows else rows["weights"]
    setup = rows["setup"] if "setup" in rows else pd.Series("", index=rows.index)
    noisy = np.where(rows["verdict"] == "noisy", ", noisy", "")
    return {
        "customdata": pd.DataFrame({
            "name": name, "px": rows["img_size"], "low": rows["low_ms"], "high": rows["high_ms"],
            "evidence": rows["evidence"].to_numpy(object) + noisy, "setup": setup, "level": rows["level"],
        }).to_numpy(object),
        "hovertemplate": "<b>%{customdata[0]}</b> · %{customdata[1]} px<br>%{y:.2f} %<br>%{customdata[4]} %{x:,.4g} ms "
        "(%{customdata[6]} interval %{customdata[2]:,.4g}–%{customdata[3]:,.4g})<br>%{customdata[5]}<extra></extra>",
    }  # fmt: skip


def _noisy(figure: go.Figure, rows: pd.DataFrame) -> None:
    """The sign of what may not repeat above noisy measurements."""
    some = rows[rows["verdict"] == "noisy"]
    if len(some):
        figure.add_scatter(
            x=some["p50_ms"].to_numpy(float), y=some["accuracy"].to_numpy(float), mode="text", hoverinfo="skip",
            text=NOISY_SIGN, textposition="top center", textfont={"size": 15, "color": INK}, showlegend=False,
        )  # fmt: skip


def _limit(figure: go.Figure, limit_ms: float) -> None:
    """The budget as a dashed line with its figure above."""
    line = {"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", x0=limit_ms, x1=limit_ms, y0=0, y1=1, yref="y domain", line=line)
    figure.add_annotation(
        x=float(np.log10(limit_ms)), y=1, yref="paper", yanchor="bottom", showarrow=False,
        text=f"≤ {limit_ms:,.4g} ms", font={"color": LIMIT_COLOUR, "size": 12},
    )  # fmt: skip
