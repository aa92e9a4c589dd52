"""Figures of a measurement: its raw times, where the time goes, the roof over it, and runs beside each other."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from advisor.charts import INK, LIMIT_COLOUR, SERIES_SIGNS, layout
from advisor.measure.request import RUNTIMES
from advisor.measure.run import EndToEnd, Latency, Roof, Run, Throughput, Work
from advisor.views_measure import mac_share

BLUE, ORANGE = SERIES_SIGNS[0][0], SERIES_SIGNS[1][0]
HEIGHT_PX = 320
_ROW_PX = 34  # of a horizontal bar
_NAME_WIDTH = 20  # characters of a line of a row's name
_MOST_BINS = 60
_MOST_SVG_POINTS = 2000  # above it, WebGL draws a scatter sooner
_MEDIANS_APART = 1.25  # medians further apart than this are drawn on an axis from 0
_VIEW_IQRS = 6.0  # times further than so many interquartile ranges above the third quartile leave the view
_PATTERNS = ("", "/", "\\", "x", ".", "-", "+", "|")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_LATENCY = "Latency of one batch (ms)"
Times = npt.NDArray[np.float64]


def histogram_figure(latency: Latency) -> go.Figure:
    """How often each time occurred, with p50, its interval and p90; times beyond the view are counted in a note."""
    times = np.asarray(latency.times_ms)
    high = _view_end(times)
    shown = times[times <= high]
    counts, edges = np.histogram(shown, bins=_bins(shown))
    bars = go.Bar(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, width=np.diff(edges), marker={"color": BLUE, "line": {"width": 0}},
        customdata=np.stack([edges[:-1], edges[1:]], axis=1), showlegend=False,
        hovertemplate="%{y} samples<br>%{customdata[0]:,.4g} to %{customdata[1]:,.4g} ms<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([bars], _layout(_LATENCY, _samples(latency)))
    figure.update_layout(bargap=0)
    low_end, high_end = latency.ci95
    figure.add_shape(
        type="rect",
        x0=low_end,
        x1=high_end,
        y0=0,
        y1=1,
        yref="paper",
        fillcolor=ORANGE,
        opacity=0.25,
        line={"width": 0},
    )
    _upright(figure, latency.p50, f"p50 {latency.p50:,.4g}", "solid", side="right")
    if latency.p90 <= high:
        _upright(figure, latency.p90, f"p90 {latency.p90:,.4g}", "dash", side="left")
    _beyond(figure, times, high)
    return figure


def times_figure(latency: Latency) -> go.Figure:
    """Every raw time in the order of measuring, with the median and its interval: drift and bursts show here."""
    times = np.asarray(latency.times_ms)
    high = _view_end(times)
    number = np.arange(1, len(times) + 1)
    inside = times <= high
    scatter = go.Scatter if len(times) <= _MOST_SVG_POINTS else go.Scattergl
    points = scatter(
        x=number[inside], y=times[inside], mode="markers", name="sample",
        marker={"color": BLUE, "size": 5, "opacity": 0.7}, hovertemplate="%{y:,.4g} ms<br>sample %{x}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([points], _layout("Sample, in order", _LATENCY))
    if not inside.all():
        figure.add_scatter(
            x=number[~inside], y=np.full((~inside).sum(), high), mode="markers", name="slower than shown",
            marker={"color": LIMIT_COLOUR, "size": 9, "symbol": "triangle-up"}, customdata=times[~inside],
            hovertemplate="%{customdata:,.4g} ms<br>sample %{x}<extra></extra>", cliponaxis=False,
        )  # fmt: skip
    low_end, high_end = latency.ci95
    figure.add_shape(
        type="rect", x0=0, x1=1, xref="paper", y0=low_end, y1=high_end, fillcolor=ORANGE, opacity=0.25,
        line={"width": 0}, layer="below",
    )  # fmt: skip
    figure.add_scatter(
        x=[1, len(times)], y=[latency.p50] * 2, mode="lines", line={"color": ORANGE, "width": 2},
        name=f"p50 {latency.p50:,.4g} ms, 95 % interval", hoverinfo="skip",
    )  # fmt: skip
    low = float(times.min())
    margin = 0.06 * (high - low) or 0.05 * high
    figure.update_yaxes(range=[max(0.0, low - margin), high + margin])
    return figure


def batch_figure(throughput: Throughput) -> go.Figure:
    """Images per second over the batch size, the best one ringed."""
    sizes = [point.batch_size for point in throughput.curve]
    rates = [point.throughput_per_s for point in throughput.curve]
    figure = go.Figure(layout=_layout("Batch size (images)", "Throughput (img/s)"))
    figure.add_scatter(
        x=sizes, y=rates, mode="lines+markers", line={"color": BLUE, "width": 2}, marker={"size": 8}, name="measured",
        customdata=[[point.latency_ms, point.n_samples] for point in throughput.curve],
        hovertemplate="batch %{x}: %{y:,.4g} img/s<br>%{customdata[0]:,.4g} ms a batch, "
        "%{customdata[1]} samples<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[throughput.best_batch_size], y=[throughput.best_per_s], mode="markers", hoverinfo="skip",
        name=f"best: {throughput.best_per_s:,.4g} img/s at batch {throughput.best_batch_size}",
        marker={"symbol": "circle-open", "size": 17, "color": LIMIT_COLOUR, "line": {"width": 2.5}},
    )  # fmt: skip
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size}" for size in sizes])
    figure.update_yaxes(rangemode="tozero")
    return figure


def operator_figure(work: Work) -> go.Figure:
    """Each class of operators' share of the time beside its share of the multiply-adds, the slowest on top."""
    rows = sorted(work.operators, key=lambda row: (row.time_ms, row.name))  # Plotly draws from the bottom
    names = [row.name for row in rows]
    mac_shares = [100 * mac_share(row, work.operators) for row in rows]
    figure = go.Figure(
        layout=_layout("Share of the whole (%)", "", height=120 + 2 * _ROW_PX * max(len(rows), 1) * 3 // 4)
    )
    for name, shares, colour, pattern, detail in (
        ("multiply-adds", mac_shares, ORANGE, "/", [f"{row.macs / 1e9:,.4g} GMACs" for row in rows]),
        ("time", [100 * row.share for row in rows], BLUE, "", [f"{row.time_ms:,.3g} ms" for row in rows]),
    ):
        figure.add_bar(
            x=shares, y=names, orientation="h", name=f"share of {name}", customdata=detail,
            marker={"color": colour, "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "white"}},
            text=[f"{share:.0f} %" if share >= 1 else "<1 %" if share else "" for share in shares],
            textposition="outside", cliponaxis=False,
            hovertemplate="<b>%{y}</b><br>%{x:.1f} % of the " + name + "<br>%{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(bargap=0.25, legend={"traceorder": "reversed"})
    longest = max([*mac_shares, *(100 * row.share for row in rows), 1.0])
    figure.update_xaxes(range=[0, 1.18 * longest])  # room for the figures beside the bars
    figure.update_yaxes(categoryorder="array", categoryarray=names, title=None)
    return figure


def roofline_figure(
    roofs: Sequence[Roof], runs: Sequence[Run], *, this: str | None = None, noisy: Collection[str] = ()
) -> go.Figure:
    """Multiply-adds per second against multiply-adds per byte, under what the machine can do.

    S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009: the slope is memory traffic, the plateau
    arithmetic. A point under the slope waits for memory, one under the plateau for multipliers.

    Args:
        roofs: Of one machine; a line each, in this order.
        runs: Those without counted work are left out.
        this: The run id to ring.
        noisy: Ids of the runs to draw hollow.
    """
    figure = go.Figure(layout=_layout("Multiply-adds per byte", "Achieved (GMAC/s)", height=400, log=True))
    points = [(run, *place) for run in runs if (place := _under_the_roof(run)) is not None]
    ridges = [roof.macs_per_s / roof.bytes_per_s for roof in roofs]
    reach = [x for _, x, _ in points] + ridges
    left, right = (min(reach) / 3, max(reach) * 4) if reach else (1.0, 100.0)
    for i, (roof, ridge) in enumerate(zip(roofs, ridges, strict=True)):
        figure.add_scatter(
            x=[left, ridge, right], y=[left * roof.bytes_per_s / 1e9, roof.macs_per_s / 1e9, roof.macs_per_s / 1e9],
            mode="lines", name=f"roof {roof.precision}",
            line={"color": INK, "width": 2, "dash": _DASHES[i % len(_DASHES)]},
            hovertemplate=f"{roof.precision}, {roof.threads} threads: {roof.macs_per_s / 1e9:,.4g} GMAC/s, "
            f"{roof.bytes_per_s / 1e9:,.4g} GB/s<extra></extra>",
        )  # fmt: skip
    for runtime, (colour, symbol) in zip(RUNTIMES, SERIES_SIGNS, strict=False):
        every = [point for point in points if point[0].request.runtime == runtime]
        for shaky in (False, True):
            own = [point for point in every if (point[0].run_id in noisy) == shaky]
            if not own:
                continue
            figure.add_scatter(
                x=[x for _, x, _ in own], y=[y for *_, y in own], mode="markers",
                name=f"{runtime}, noisy" if shaky else runtime,
                marker={"color": colour, "symbol": f"{symbol}-open" if shaky else symbol, "size": 8, "opacity": 0.8},
                customdata=[_hover(run) for run, *_ in own],
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{y:,.4g} GMAC/s at %{x:,.3g} MACs a byte"
                "<br>%{customdata[2]}<extra></extra>",
            )  # fmt: skip
    for run, x, y in points:
        if run.run_id == this:
            figure.add_scatter(
                x=[x], y=[y], mode="markers", name="this run", hoverinfo="skip",
                marker={"symbol": "circle-open", "size": 19, "color": LIMIT_COLOUR, "line": {"width": 2.5}},
            )  # fmt: skip
    return figure


def end_to_end_figure(found: EndToEnd) -> go.Figure:
    """The stages of an image's way from JPEG to result in one bar, in their order."""
    figure = go.Figure(layout=_layout("Time for one batch (ms)", "", height=210))
    for i, stage in enumerate(found.stages):
        share = f"{100 * stage.share:.0f} %"
        pattern = {"shape": _PATTERNS[i % len(_PATTERNS)], "fillmode": "overlay", "fgcolor": "white", "size": 6}
        figure.add_bar(
            x=[stage.latency_ms], y=["image"], orientation="h", name=f"{stage.name} {stage.latency_ms:,.3g} ms",
            marker={
                "color": SERIES_SIGNS[i % len(SERIES_SIGNS)][0], "line": {"color": INK, "width": 1}, "pattern": pattern,
            },
            text=[share if stage.share >= 0.12 else ""], textposition="inside", insidetextanchor="middle",
            textangle=0, hovertemplate=f"<b>{stage.name}</b><br>%{{x:,.4g}} ms, {share}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", legend={"traceorder": "normal"})
    figure.update_yaxes(showticklabels=False, title=None)
    return figure


def comparison_figure(first: Latency, second: Latency, names: tuple[str, str]) -> go.Figure:
    """Two runs' raw times as boxes, with each median and its interval; times far out leave the view.

    The axis begins at 0 where the medians are far apart, so that the boxes do not exaggerate by how much.
    """
    figure = go.Figure(layout=_layout(_LATENCY, "", height=220))
    for row, (name, latency, (colour, symbol)) in enumerate(zip(names, (first, second), SERIES_SIGNS[:2], strict=True)):
        times = np.asarray(latency.times_ms)
        figure.add_box(
            x=times, y0=row, orientation="h", name=name, boxpoints="outliers", showlegend=False, width=0.55,
            line={"color": colour, "width": 1.5}, marker={"size": 3, "opacity": 0.5}, hoverinfo="skip",
        )  # fmt: skip
        low, high = latency.ci95
        figure.add_scatter(
            x=[latency.p50], y=[row], mode="markers", showlegend=False,
            marker={"color": colour, "symbol": symbol, "size": 10, "line": {"color": INK, "width": 1}},
            error_x={"array": [high - latency.p50], "arrayminus": [latency.p50 - low], "thickness": 2, "width": 7},
            hovertemplate=f"<b>{name}</b><br>p50 %{{x:,.4g}} ms ({low:,.4g} to {high:,.4g})"
            f"<br>{len(times):,} samples<extra></extra>",
        )  # fmt: skip
    ends = [_view_end(np.asarray(one.times_ms)) for one in (first, second)]
    low_end = min(min(first.times_ms), min(second.times_ms))
    margin = 0.06 * (max(ends) - low_end) or 0.05 * max(ends)
    medians = sorted((first.p50, second.p50))
    begin = 0.0 if medians[1] > _MEDIANS_APART * medians[0] else max(0.0, low_end - margin)
    figure.update_xaxes(range=[begin, max(ends) + margin])
    _rows(figure, names)
    return figure


def runtimes_figure(found: pd.DataFrame) -> go.Figure:
    """Median latency of one network on every runtime and precision, fastest on top; noisy ones hatched.

    Args:
        found: As `views_beside.side_by_side` gives it; rows without a latency are left out.
    """
    rows = found[found["latency_ms"].notna()].sort_values(["latency_ms", "setup"])
    noisy = (rows["verdict"] == "noisy").to_numpy()
    colours = {runtime: sign[0] for runtime, sign in zip(RUNTIMES, SERIES_SIGNS, strict=False)}
    p50, low, high = (rows[column].to_numpy(float) for column in ("latency_ms", "ci95_low_ms", "ci95_high_ms"))
    figure = go.Figure(layout=_layout(_LATENCY, "", height=110 + _ROW_PX * max(len(rows), 1)))
    figure.add_bar(
        x=p50, y=np.arange(len(rows)), orientation="h", showlegend=False,
        marker={
            "color": [colours.get(runtime, INK) for runtime in rows["runtime"]],
            "pattern": {"shape": ["/" if shaky else "" for shaky in noisy], "fillmode": "overlay", "fgcolor": "white"},
        },
        error_x={"array": high - p50, "arrayminus": p50 - low, "thickness": 1.5, "width": 5, "color": INK},
        customdata=rows[["setup", "ci95_low_ms", "ci95_high_ms", "verdict"]].to_numpy(object),
        hovertemplate="<b>%{customdata[0]}</b><br>p50 %{x:,.4g} ms (%{customdata[1]:,.4g} to %{customdata[2]:,.4g})"
        "<br>%{customdata[3]}<extra></extra>",
    )  # fmt: skip
    notes: dict[str, Any] = {"showarrow": False, "font": {"color": INK}}
    for row, (value, end) in enumerate(zip(p50, high, strict=True)):
        figure.add_annotation(x=end, y=row, text=f"{value:,.3g} ms", xanchor="left", xshift=6, **notes)
    if noisy.any():
        corner = {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "yanchor": "bottom", "xanchor": "right"}
        figure.add_annotation(text="≈ hatched: noisy", **corner, **notes)
    figure.update_xaxes(range=[0, 1.25 * max(high, default=1.0)])
    _rows(figure, [f"{setup} ≈" if shaky else str(setup) for setup, shaky in zip(rows["setup"], noisy, strict=True)])
    return figure


def _layout(x_title: str, y_title: str, *, height: int = HEIGHT_PX, log: bool = False) -> dict[str, Any]:
    """The layout of every chart, the legend a few px above the plot however tall it is; no zoom by a stray drag."""
    found = layout(x_title, y_title, height=height, log_x=log, log_y=log) | {"dragmode": False}
    found["legend"]["y"] = 1 + 12 / height
    for name in ("xaxis", "yaxis"):
        found[name] |= {"dtick": "D2"} if log else {}  # labels at 1, 2 and 5 of each decade
    return found


def _rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Names for the rows 0, 1 ... from the top, broken so that they leave room on a phone; equal names stay apart."""
    texts = ["<br>".join(textwrap.wrap(name, _NAME_WIDTH)) for name in names]
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=texts, range=[len(names) - 0.5, -0.5], title=None, showgrid=False
    )


def _samples(latency: Latency) -> str:
    return "Samples" if latency.block == 1 else f"Samples (means of {latency.block} passes)"


def _view_end(times: Times) -> float:
    """Where the view ends, so that a few slow passes do not squeeze all others into one bar."""
    first, third = np.quantile(times, [0.25, 0.75])
    fence = third + _VIEW_IQRS * max(third - first, 0.005 * third)
    return float(times[times <= fence].max())


def _bins(times: Times) -> int:
    """Freedman and Diaconis, 1981: a width of 2 IQR / n^(1/3), within what a narrow screen can show."""
    first, third = np.quantile(times, [0.25, 0.75])
    width = 2 * (third - first) / len(times) ** (1 / 3)
    spread = float(np.ptp(times))
    return int(np.clip(np.ceil(spread / width) if width > 0 else 1, 1, _MOST_BINS))


def _upright(figure: go.Figure, x: float, text: str, dash: str, *, side: str) -> None:
    """A line from bottom to top with its figure above; `side` is the side of the text that stands at the line."""
    line = {"color": ORANGE, "width": 2, "dash": dash}
    figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="paper", line=line)
    figure.add_annotation(
        x=x, y=1, yref="paper", yanchor="bottom", xanchor=side, text=text, showarrow=False, font={"color": INK}
    )


def _beyond(figure: go.Figure, times: Times, high: float) -> None:
    """How many times are slower than the view shows."""
    slower = int((times > high).sum())
    if slower:
        figure.add_annotation(
            x=1, y=1, xref="paper", yref="paper", xanchor="right", yanchor="bottom", yshift=18, showarrow=False,
            font={"color": INK},
            text=f"{slower} slower, up to {times.max():,.3g} ms ▶",
        )  # fmt: skip


def _under_the_roof(run: Run) -> tuple[float, float] | None:
    """MACs a byte and GMAC/s of a run whose work was counted."""
    found = run.measured
    if found is None or found.work is None or not found.work.bytes or not found.work.macs:
        return None
    return found.work.macs / found.work.bytes, found.work.macs / found.latency.p50 / 1e6


def _hover(run: Run) -> tuple[str, str, str]:
    """Network, setup, and how much of the roof it reaches."""
    assert run.measured is not None
    fraction = run.roof_fraction
    return (
        f"{run.request.architecture} · {run.measured.img_size} px",
        f"{run.request.runtime} {run.measured.precision_used}, batch {run.request.batch_size}",
        "" if fraction is None else f"{100 * fraction:.0f} % of its roof" if fraction <= 1 else "above its roof",
    )
