"""Values into Plotly figures: pure functions. Colour is never the only sign: symbols and outlines say it too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from advisor.metrics import METRICS
from advisor.records import Candidate, Recommendation

# family -> colour (Okabe-Ito, legible on white and on near-black) and symbol
FAMILY_SIGNS: dict[str, tuple[str, str]] = {
    "ResNeSt": ("#C2699A", "diamond"),
    "EfficientNet": ("#0A86C9", "circle"),
    "MobileNet": ("#D55E00", "triangle-up"),
    "RegNet": ("#009E73", "square"),
}
OTHER_SIGN = ("#8A8F98", "x-thin")
GLYPHS = {"diamond": "◆", "circle": "●", "triangle-up": "▲", "square": "■", "x-thin": "×"}
SERIES_SIGNS: tuple[tuple[str, str], ...] = (
    ("#0A86C9", "circle"), ("#D55E00", "triangle-up"), ("#009E73", "square"), ("#CC79A7", "diamond"),
    ("#8C6BB1", "cross"), ("#B59A00", "star"), ("#56B4E9", "hexagon"), ("#A0522D", "triangle-down"),
)  # fmt: skip
LIMIT_COLOUR = "#C2452D"
_OTHER = "Other families"
INK = "#7A828C"  # lines and notes, on either background
FRONT_HEIGHT_PX = 430
_VIEW_MARGIN = 0.04  # share of the range left free on each side
_CONDITIONS = ("family", "setup", "evidence", "source_id")


def family_glyph(family: str) -> str:
    """The character that stands for a family's symbol in text."""
    return GLYPHS[FAMILY_SIGNS.get(family, OTHER_SIGN)[1]]


def front_figure(answer: Recommendation, candidates: pd.DataFrame, device_name: str) -> go.Figure:
    """All candidates of a question over speed and accuracy: the feasible ones, their front, the limits, the pick.

    Args:
        candidates: As `views.landscape` gives them.
    """
    figure = go.Figure()
    question = answer.question
    speed, accuracy = METRICS[answer.axis], METRICS[question.accuracy]
    hover = f"%{{y:.2f}} % · %{{x:,.4g}} {speed.unit}"
    for name, feasible, group in _by_sign(candidates):
        _add_points(figure, name, feasible, group, answer.axis, hover)
    _add_front(figure, answer.front, answer.axis)
    if answer.pick is not None:
        _add_pick(figure, answer.pick, answer.axis)
    limit = question.max_latency_ms if answer.axis == "latency_ms" else question.min_throughput
    if limit is not None:
        side = "≤" if answer.axis == "latency_ms" else "≥"
        figure.add_vline(x=limit, line={"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=float(np.log10(limit)), y=1, yref="paper", yanchor="bottom", showarrow=False,
            text=f"{side} {speed.show(limit)}", font={"color": LIMIT_COLOUR, "size": 12},
        )  # fmt: skip
    if question.min_accuracy is not None:
        figure.add_hline(y=question.min_accuracy, line={"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"})
    title = speed.title.replace(" of one batch", "")
    lay_out(figure, f"{title} on {device_name}", accuracy.title, log_x=True)
    # fixed margins: automatic ones make Plotly draw all points a second time (0.1 s)
    figure.update_layout(margin={"l": 56, "r": 12, "t": 76, "b": 52})
    figure.update_xaxes(automargin=False)
    figure.update_yaxes(automargin=False)
    _frame_points(figure, candidates, answer.axis)
    figure.update_layout(dragmode=False, uirevision=f"{device_name}-{answer.axis}-{question.accuracy}")
    return figure


def _frame_points(figure: go.Figure, candidates: pd.DataFrame, axis: str) -> None:
    """Fix the view on the candidates, so that notes and limits outside do not stretch it."""
    if candidates.empty:
        return
    x, y = np.log10(candidates[axis].to_numpy(float)), candidates["accuracy"].to_numpy(float)
    for values, update in ((x, figure.update_xaxes), (y, figure.update_yaxes)):
        margin = _VIEW_MARGIN * float(np.ptp(values)) or 0.5
        update(range=[float(values.min()) - margin, float(values.max()) + margin])


def _by_sign(frame: pd.DataFrame) -> list[tuple[str, bool, pd.DataFrame]]:
    """Groups in drawing order: what is outside the limits first, the four families on top of all."""
    named = frame["family"].where(frame["family"].isin(list(FAMILY_SIGNS)), _OTHER)
    groups = dict(list(frame.groupby([frame["feasible"], named])))
    order = [(feasible, name) for feasible in (False, True) for name in (_OTHER, *FAMILY_SIGNS)]
    return [(name, feasible, groups[feasible, name]) for feasible, name in order if (feasible, name) in groups]


def _add_points(figure: go.Figure, name: str, feasible: bool, rows: pd.DataFrame, axis: str, figures: str) -> None:
    """One family's candidates inside or outside the limits; those outside are small and light.

    SVG, not WebGL: 1,448 points are first drawn in 0.3 s instead of 0.7 s where there is no GPU, and always drawn.
    One sign a trace, because Plotly checks each value of an array of signs (60 ms for as many points).
    """
    colour, symbol = FAMILY_SIGNS.get(name, OTHER_SIGN)
    figure.add_trace(
        go.Scatter(
            x=rows[axis].to_numpy(float), y=rows["accuracy"].to_numpy(float), mode="markers", name=name,
            legendgroup=name, showlegend=feasible, opacity=0.95 if feasible else 0.3,
            marker={
                "color": colour, "size": 8 if feasible else 5, "symbol": evidence_symbols(rows["evidence"], symbol),
                "line": _outline(rows["evidence"], colour),
            },
            selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 0.5}},
            **_hover(rows, figures),
        )
    )  # fmt: skip


def evidence_symbols(evidence: pd.Series[str], symbol: str) -> str | list[str]:
    """Predicted points are drawn open, published and measured ones filled."""
    if not (evidence == "predicted").any():
        return symbol
    return [f"{symbol}-open" if kind == "predicted" else symbol for kind in evidence]


def _outline(evidence: pd.Series[str], colour: str) -> dict[str, Any]:
    """Measured points have a dark outline; the thin crosses are nothing but line."""
    measured = (evidence == "measured").to_numpy()
    if not measured.any():
        return {"width": 1, "color": colour}
    return {"width": np.where(measured, 2.0, 1.0), "color": [INK if m else colour for m in measured]}


def _hover(rows: pd.DataFrame, figures: str, *more: str) -> dict[str, Any]:
    """Hover text with all conditions, and the data of each point: weights, image size, what differs, then `more`.

    What all points share stands in the text once: a chart of 1,448 points is 150 KB smaller for it.
    """
    differing = [c for c in _CONDITIONS if rows[c].nunique() > 1]
    columns = ["weights", "img_size", *differing, *more]
    shown = {c: f"%{{customdata[{columns.index(c)}]}}" if c in differing else str(rows[c].iloc[0]) for c in _CONDITIONS}
    text = (
        f"<b>%{{customdata[0]}}</b> · %{{customdata[1]}} px<br>{shown['family']}<br>{figures}<br>{shown['setup']}<br>"
        f"{shown['evidence']}, {shown['source_id']}<extra></extra>"
    )
    return {"customdata": rows[columns].to_numpy(object), "hovertemplate": text}


def _add_front(figure: go.Figure, front: Sequence[Candidate], axis: str) -> None:
    figure.add_trace(
        go.Scatter(
            x=[getattr(c, axis) for c in front], y=[c.accuracy for c in front], mode="lines",
            line={"color": INK, "width": 1.5, "shape": "hv" if axis == "latency_ms" else "vh"},
            name="Front within the limits", hoverinfo="skip",
        )
    )  # fmt: skip


def _add_pick(figure: go.Figure, pick: Candidate, axis: str) -> None:
    figure.add_trace(
        go.Scatter(
            x=[getattr(pick, axis)], y=[pick.accuracy], mode="markers", name=f"Pick: {pick.architecture}",
            marker={"symbol": "circle-open", "size": 19, "color": LIMIT_COLOUR, "line": {"width": 2.5}},
            hoverinfo="skip",
        )
    )  # fmt: skip


def lay_out(figure: go.Figure, x_title: str, y_title: str, *, log_x: bool, height: int = FRONT_HEIGHT_PX) -> None:
    """Axis titles, margins and the legend above, the same for every chart."""
    figure.update_layout(
        height=height, margin={"l": 8, "r": 8, "t": 48, "b": 8}, dragmode="zoom", hovermode="closest",
        clickmode="event+select",
        legend={"orientation": "h", "y": 1.09, "yanchor": "bottom", "x": 0, "itemsizing": "constant", "title": None},
    )  # fmt: skip
    figure.update_xaxes(title=x_title, zeroline=False, automargin=True)
    if log_x:
        figure.update_xaxes(type="log", tickformat=",~g", exponentformat="none")
    figure.update_yaxes(title=y_title, zeroline=False, automargin=True)


def metric_figure(frame: pd.DataFrame, x: str, y: str, group: str) -> go.Figure:
    """Any two metrics, one colour and symbol a group, each group's front as a line; suspect rows as crosses.

    Args:
        frame: Columns `x`, `y`, `group`, `suspect`, `on_front`, `position`, `weights`, `img_size`, `family`,
            `setup`, `evidence`, `source_id`.
    """
    figure = go.Figure()
    figures = f"%{{y:,.4g}} {METRICS[y].unit} · %{{x:,.4g}} {METRICS[x].unit}"
    for i, (name, rows) in enumerate(frame.groupby(group, sort=True)):
        colour, symbol = SERIES_SIGNS[i % len(SERIES_SIGNS)]
        for suspect, part in rows.groupby("suspect"):
            figure.add_trace(
                go.Scattergl(
                    x=part[x].to_numpy(float), y=part[y].to_numpy(float), mode="markers",
                    name=f"{name}, suspect" if suspect else str(name), legendgroup=str(name), opacity=0.7,
                    marker={
                        "color": colour, "size": 9 if suspect else 6,
                        "symbol": "x-thin-open" if suspect else evidence_symbols(part["evidence"], symbol),
                    },
                    **_hover(part, figures, "position"),
                )
            )  # fmt: skip
        front = rows[rows["on_front"]].sort_values([x, y])
        figure.add_trace(
            go.Scatter(
                x=front[x].to_numpy(float), y=front[y].to_numpy(float), mode="lines", legendgroup=str(name),
                line={"color": colour, "width": 1.5}, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
    lay_out(figure, METRICS[x].title, METRICS[y].title, log_x=METRICS[x].log)
    if METRICS[y].log:
        figure.update_yaxes(type="log", tickformat=",~g", exponentformat="none")
    return figure
