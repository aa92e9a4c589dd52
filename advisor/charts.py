"""Values into Plotly figures: pure functions. Colour is never the only sign: symbols and outlines say it too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from advisor.metrics import METRICS, Metric
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
INK = "#7A828C"  # lines and notes, on either background
FRONT_HEIGHT_PX = 430
_VIEW_MARGIN = 0.04  # share of the range left free on each side
_HOVER = (
    "<b>%{customdata[0]}</b> · %{customdata[1]} px<br>%{customdata[2]}<br>%{y:.2f} % · %{x:,.4g} {unit}<br>"
    "%{customdata[3]}<br>%{customdata[4]}<extra></extra>"
)


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
    for name, group in _by_sign(candidates):
        _add_family(figure, name, group, answer.axis, speed)
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


def _by_sign(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Groups in drawing order: other families first, so that the four lie on top of them."""
    named = frame["family"].where(frame["family"].isin(list(FAMILY_SIGNS)), "Other families")
    groups = dict(list(frame.groupby(named)))
    return [(name, groups[name]) for name in ("Other families", *FAMILY_SIGNS) if name in groups]


def _add_family(figure: go.Figure, name: str, group: pd.DataFrame, axis: str, speed: Metric) -> None:
    colour, symbol = FAMILY_SIGNS.get(name, OTHER_SIGN)
    if not group["feasible"].any():  # a legend entry that tells nothing apart would only be noise
        group = group.assign(feasible=False)
    for feasible in (False, True):
        rows = group[group["feasible"] == feasible]
        if rows.empty:
            continue
        measured = (rows["evidence"] == "measured").to_numpy()
        figure.add_trace(
            go.Scattergl(
                x=rows[axis].to_numpy(float), y=rows["accuracy"].to_numpy(float), mode="markers", name=name,
                legendgroup=name, showlegend=bool(feasible or not group["feasible"].any()),
                opacity=0.95 if feasible else 0.28,
                marker={
                    "color": colour, "size": 8 if feasible else 5,
                    "symbol": evidence_symbols(rows["evidence"], symbol),
                    "line": {"width": np.where(measured, 1.5, 1.0 if symbol == "x-thin" else 0.0), "color": colour},
                },
                customdata=_conditions(rows), hovertemplate=_HOVER.replace("{unit}", speed.unit),
                selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 0.5}},
            )
        )  # fmt: skip


def evidence_symbols(evidence: pd.Series[str], symbol: str) -> str | list[str]:
    """Predicted points are drawn open, published and measured ones filled."""
    if not (evidence == "predicted").any():
        return symbol
    return [f"{symbol}-open" if kind == "predicted" else symbol for kind in evidence]


def _conditions(rows: pd.DataFrame) -> np.ndarray:
    evidence = rows["evidence"].str.cat(rows["source_id"], sep=", ")
    return np.column_stack([rows[c].to_numpy(object) for c in ("weights", "img_size", "family", "setup")] + [evidence])


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
    hover = _HOVER.replace("{unit}", METRICS[x].unit).replace("%{y:.2f} %", "%{y:,.4g} " + METRICS[y].unit)
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
                    customdata=np.column_stack([_conditions(part), part["position"].to_numpy(object)]),
                    hovertemplate=hover,
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
