"""Values into Plotly figures: pure functions. Colour is never the only sign: symbols and outlines say it too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from advisor.advice import measured
from advisor.advice.setups import Axis
from advisor.metrics import METRICS
from advisor.records import Candidate, Question, Recommendation

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
_FAR = 4.0  # predicted speeds beyond this factor of all others are drawn outside the view
_CONDITIONS = ("family", "setup", "known_as", "source_id")
NOISY_SIGN = "≈"  # stands above what may not repeat, as it does in every table


def family_glyph(family: str) -> str:
    """The character that stands for a family's symbol in text."""
    return GLYPHS[FAMILY_SIGNS.get(family, OTHER_SIGN)[1]]


def front_figure(answer: Recommendation, candidates: pd.DataFrame, device_name: str) -> go.Figure:
    """All candidates of a question over speed and accuracy: the feasible ones, their front, the limits, the pick.

    Args:
        candidates: As `views.landscape` gives them.
    """
    question = answer.question
    speed, accuracy = METRICS[answer.axis], METRICS[question.accuracy]
    figures = f"%{{y:.2f}} % · %{{x:,.4g}} {speed.unit}"
    traces = [_points(*group, answer.axis, figures) for group in _by_sign(candidates)]
    traces += _own_signs(candidates, candidates["verdict"] == "noisy", answer.axis, "accuracy")
    traces.append(_front(answer.front, answer.axis))
    traces += _unsure(answer, figures)
    if answer.pick is not None:
        traces.append(_pick(answer.pick, answer.axis))
    title = speed.title.replace(" of one batch", "")
    arranged = layout(f"{title} on {device_name}", accuracy.title, log_x=True)
    arranged |= _limits(question, answer.axis)
    # fixed margins: automatic ones make Plotly draw all points a second time (0.1 s)
    arranged |= {"margin": {"l": 56, "r": 12, "t": 76, "b": 52}, "dragmode": False}
    arranged["uirevision"] = f"{device_name}-{answer.axis}-{question.accuracy}"
    for name, values in (("xaxis", np.log10(_in_view(candidates, answer.axis))), ("yaxis", candidates["accuracy"])):
        arranged[name] |= {"automargin": False, "range": _around(values)}
    return go.Figure(traces, arranged)


def _limits(question: Question, axis: str) -> dict[str, Any]:
    """The limits on speed and accuracy as dashed lines, the first with its figure."""
    line = {"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"}
    limit = question.max_latency_ms if axis == "latency_ms" else question.min_throughput
    shapes, notes = [], []
    if limit is not None:
        side = "≤" if axis == "latency_ms" else "≥"
        shapes.append({"type": "line", "x0": limit, "x1": limit, "y0": 0, "y1": 1, "yref": "y domain", "line": line})
        notes.append({
            "x": float(np.log10(limit)), "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
            "text": f"{side} {METRICS[axis].show(limit)}", "font": {"color": LIMIT_COLOUR, "size": 12},
        })  # fmt: skip
    if question.min_accuracy is not None:
        least = question.min_accuracy
        shapes.append({"type": "line", "y0": least, "y1": least, "x0": 0, "x1": 1, "xref": "x domain", "line": line})
    return {"shapes": shapes, "annotations": notes}


def _in_view(candidates: pd.DataFrame, axis: str) -> pd.Series[float]:
    """Speeds, but for those predicted far beyond all others, which would press the rest to the edge."""
    speed = candidates[axis].astype(float)
    matters = candidates["feasible"] | (candidates["evidence"] != "predicted")
    if not matters.any():
        return speed
    return speed.clip(speed[matters].min() / _FAR, speed[matters].max() * _FAR)


def _around(values: pd.Series[float] | NDArray[np.float64]) -> list[float]:
    """A range around the candidates, so that limits and notes outside do not stretch the view."""
    margin = _VIEW_MARGIN * float(np.ptp(values)) or 0.5
    return [float(values.min()) - margin, float(values.max()) + margin]


def _by_sign(frame: pd.DataFrame) -> list[tuple[str, bool, pd.DataFrame]]:
    """Groups in drawing order: what is outside the limits first, the four families on top of all."""
    named = frame["family"].where(frame["family"].isin(list(FAMILY_SIGNS)), _OTHER)
    groups = dict(list(frame.groupby([frame["feasible"], named])))
    order = [(feasible, name) for feasible in (False, True) for name in (_OTHER, *FAMILY_SIGNS)]
    return [(name, feasible, groups[feasible, name]) for feasible, name in order if (feasible, name) in groups]


def _points(name: str, feasible: bool, rows: pd.DataFrame, axis: str, figures: str) -> go.Scatter:
    """One family's candidates inside or outside the limits; those outside are small and light.

    SVG, not WebGL: 1,448 points are first drawn in 0.3 s instead of 0.7 s where there is no GPU, and always drawn.
    One sign a trace, because Plotly checks each value of an array of signs (60 ms for as many points).
    """
    colour, symbol = FAMILY_SIGNS.get(name, OTHER_SIGN)
    return go.Scatter(
        x=rows[axis].to_numpy(float), y=rows["accuracy"].to_numpy(float), mode="markers", name=name,
        legendgroup=name, showlegend=feasible, opacity=0.95 if feasible else 0.3,
        marker={
            "color": colour, "size": 8 if feasible else 5, "symbol": evidence_symbols(rows["evidence"], symbol),
            "line": _outline(rows["evidence"], colour),
        },
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 0.5}},
        **_hover(rows, figures),
    )  # fmt: skip


def evidence_symbols(evidence: pd.Series[str], symbol: str) -> str | list[str]:
    """Predicted points are drawn open, published and measured ones filled; only a filled cross can have an outline."""
    signs = {"predicted": f"{symbol}-open", "measured": symbol.removesuffix("-thin")}
    if evidence.nunique() == 1:
        return signs.get(evidence.iloc[0], symbol)
    return [signs.get(kind, symbol) for kind in evidence]


def _outline(evidence: pd.Series[str], colour: str) -> dict[str, Any]:
    """Measured points have a dark outline; the thin crosses of published ones are nothing but line."""
    measured = (evidence == "measured").to_numpy()
    if not measured.any():
        return {"width": 1, "color": colour}
    return {"width": np.where(measured, 2.0, 1.0), "color": [INK if m else colour for m in measured]}


def _own_signs(rows: pd.DataFrame, noisy: pd.Series[bool], x: str, y: str) -> list[go.Scatter]:
    """What the outline of measured points means, for the legend, and the sign above the noisy ones."""
    found = []
    if (rows["evidence"] == "measured").any():
        found.append(go.Scatter(
            x=[None], y=[None], mode="markers", hoverinfo="skip",
            name="outlined: measured" + (f", {NOISY_SIGN} noisy" if noisy.any() else ""),
            marker={"symbol": "circle", "color": "rgba(0,0,0,0)", "size": 9, "line": {"width": 2, "color": INK}},
        ))  # fmt: skip
    if (rows["evidence"] == "predicted").any():
        found.append(go.Scatter(
            x=[None], y=[None], mode="markers", name="open: predicted", hoverinfo="skip",
            marker={"symbol": "triangle-up-open", "size": 9, "color": INK},
        ))  # fmt: skip
    if noisy.any():
        found.append(go.Scatter(
            x=rows.loc[noisy, x].to_numpy(float), y=rows.loc[noisy, y].to_numpy(float), mode="text", hoverinfo="skip",
            text=NOISY_SIGN, textposition="top center", textfont={"size": 15, "color": INK}, name="noisy",
            showlegend=False,  # the sign of a text in a legend is "Aa"
        ))  # fmt: skip
    return found


def _hover(rows: pd.DataFrame, figures: str, *more: str) -> dict[str, Any]:
    """Hover text with all conditions, and the data of each point: weights, image size, what differs, then `more`.

    What all points share stands in the text once: a chart of 1,448 points is 150 KB smaller for it.
    """
    differing = [c for c in _CONDITIONS if rows[c].nunique() > 1]
    columns = ["weights", "img_size", *differing, *more]
    shown = {c: f"%{{customdata[{columns.index(c)}]}}" if c in differing else str(rows[c].iloc[0]) for c in _CONDITIONS}
    text = (
        f"<b>%{{customdata[0]}}</b> · %{{customdata[1]}} px<br>{shown['family']}<br>{figures}<br>{shown['setup']}<br>"
        f"{shown['known_as']}, {shown['source_id']}<extra></extra>"
    )
    return {"customdata": rows[columns].to_numpy(object), "hovertemplate": text}


def _front(front: Sequence[Candidate], axis: Axis) -> go.Scatter:
    """A staircase that shows at each limit on speed the accuracy that can be had there; `front` is fastest first.

    A predicted candidate can be had where the slow end of its interval is within the limit.
    """
    return go.Scatter(
        x=[c.guarded(axis) for c in front], y=[c.accuracy for c in front], mode="lines",
        line={"color": INK, "width": 1.5, "shape": "hv"},
        name="Front within the limits", hoverinfo="skip",
    )  # fmt: skip


def _pick(pick: Candidate, axis: Axis) -> go.Scatter:
    return go.Scatter(
        x=[getattr(pick, axis)], y=[pick.accuracy], mode="markers", name=f"Pick: {pick.architecture}",
        marker={"symbol": "circle-open", "size": 19, "color": LIMIT_COLOUR, "line": {"width": 2.5}},
        hoverinfo="skip",
    )  # fmt: skip


def _unsure(answer: Recommendation, figures: str) -> list[go.Scatter]:
    """What is predicted and matters, the pick or what might win, with its 90 % interval."""
    others = [one.candidate for one in answer.might_win]
    shown = [one for one in (answer.pick, *others) if one is not None and one.evidence == "predicted"]
    if not shown:
        return []
    x = [getattr(one, answer.axis) for one in shown]
    ends = [one.interval_of(answer.axis) or (at, at) for one, at in zip(shown, x, strict=True)]
    return [go.Scatter(
        x=x, y=[one.accuracy for one in shown], mode="markers", name="predicted, 90 % interval",
        marker={"symbol": "diamond-open-dot", "size": 10, "color": INK},
        error_x={
            "type": "data", "symmetric": False, "array": [e[1] - at for e, at in zip(ends, x, strict=True)],
            "arrayminus": [at - e[0] for e, at in zip(ends, x, strict=True)], "color": INK, "thickness": 1.5,
        },
        customdata=[[one.weights, one.img_size, measured.beside(one, answer.axis)] for one in shown],
        hovertemplate=f"<b>%{{customdata[0]}}</b> · %{{customdata[1]}} px<br>{figures}<br>%{{customdata[2]}}"
        "<extra></extra>",
    )]  # fmt: skip


def layout(
    x_title: str, y_title: str, *, log_x: bool = False, log_y: bool = False, height: int = FRONT_HEIGHT_PX
) -> dict[str, Any]:
    """Axis titles, margins and the legend above, the same for every chart."""
    axis = {"zeroline": False, "automargin": True}
    log = {"type": "log", "tickformat": ",~g", "exponentformat": "none"}
    return {
        "height": height, "margin": {"l": 8, "r": 8, "t": 48, "b": 8}, "dragmode": "zoom", "hovermode": "closest",
        "clickmode": "event+select",
        "legend": {"orientation": "h", "y": 1.09, "yanchor": "bottom", "x": 0, "itemsizing": "constant"},
        "xaxis": {**axis, "title": {"text": x_title}, **(log if log_x else {})},
        "yaxis": {**axis, "title": {"text": y_title}, **(log if log_y else {})},
    }  # fmt: skip


def _explored(rows: pd.DataFrame, colour: str, symbol: str) -> dict[str, Any]:
    """The marker of results that are all suspect, which are crosses, or none of them; measured ones have an outline."""
    if rows["suspect"].all():
        return {"color": colour, "size": 9, "symbol": "x-thin-open"}
    marker = {"color": colour, "size": 6, "symbol": evidence_symbols(rows["evidence"], symbol)}
    return marker | ({"line": _outline(rows["evidence"], colour)} if (rows["evidence"] == "measured").any() else {})


def metric_figure(frame: pd.DataFrame, x: str, y: str, group: str) -> go.Figure:
    """Any two metrics, one colour and symbol a group, each group's front as a line; suspect rows as crosses.

    WebGL, because there may be ten thousand points.

    Args:
        frame: Columns `x`, `y`, `group`, `suspect`, `on_front`, `position`, `weights`, `img_size`, `family`,
            `setup`, `evidence`, `known_as`, `mark`, `source_id`.
    """
    figures = f"%{{y:,.4g}} {METRICS[y].unit} · %{{x:,.4g}} {METRICS[x].unit}"
    traces: list[go.Scatter | go.Scattergl] = []
    groups = list(enumerate(frame.groupby(group, sort=True)))
    groups.sort(
        key=lambda one: float((one[1][1]["evidence"] == "measured").mean())
    )  # the few of our own above the many
    for i, (name, rows) in groups:
        colour, symbol = SERIES_SIGNS[i % len(SERIES_SIGNS)]
        for suspect, part in rows.groupby("suspect"):
            traces.append(
                go.Scattergl(
                    x=part[x].to_numpy(float), y=part[y].to_numpy(float), mode="markers",
                    name=f"{name}, suspect" if suspect else str(name), legendgroup=str(name), opacity=0.7,
                    marker=_explored(part, colour, symbol), **_hover(part, figures, "position"),
                )
            )  # fmt: skip
        front = rows[rows["on_front"]].sort_values([x, y])
        traces.append(
            go.Scatter(
                x=front[x].to_numpy(float), y=front[y].to_numpy(float), mode="lines", legendgroup=str(name),
                line={"color": colour, "width": 1.5}, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
    traces += _own_signs(frame, frame["mark"] == "noisy", x, y)
    log = {"log_x": METRICS[x].log, "log_y": METRICS[y].log}
    return go.Figure(traces, layout(METRICS[x].title, METRICS[y].title, **log))
