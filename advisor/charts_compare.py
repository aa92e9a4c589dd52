"""Figures of the Compare page: one model across devices, recipes of one architecture, two devices."""

from __future__ import annotations

from itertools import product

import pandas as pd
import plotly.graph_objects as go

from advisor.advice.compare import DeviceComparison
from advisor.charts import INK, SERIES_SIGNS, layout
from advisor.metrics import METRICS

_BLUE, _ORANGE, _GREEN = (colour for colour, _ in SERIES_SIGNS[:3])
# kind of evidence -> colours and symbols of float and quantised networks
_KIND_SIGNS = {
    "published": ((_BLUE, _ORANGE), ("circle", "diamond")),
    "measured": ((_GREEN, _GREEN), ("square", "diamond")),
}


def device_figure(frame: pd.DataFrame, axis: str) -> go.Figure:
    """One model's speed across devices, a dot a setup, fastest device on top; own results have signs of their own.

    Args:
        frame: Columns `device` (name), `evidence`, `verdict`, `setup`, `source_id`, `quantised` and `axis`.
    """
    speed = METRICS[axis]
    better_first = frame.groupby("device")[axis].agg("min" if speed.better == "lower" else "max")
    order = list(better_first.sort_values(ascending=speed.better == "higher").index)
    figure = go.Figure()
    shaky, quantised = frame["verdict"] == "noisy", frame["quantised"].astype(bool)
    for kind, is_quantised, is_noisy in product(_KIND_SIGNS, (False, True), (False, True)):
        rows = frame[(frame["evidence"] == kind) & (quantised == is_quantised) & (shaky == is_noisy)]
        if rows.empty:
            continue
        colours, symbols = _KIND_SIGNS[kind]
        name = f"{kind}, {'quantised' if is_quantised else 'float'}{', noisy' if is_noisy else ''}"
        figure.add_scatter(
            x=rows[axis].to_numpy(float), y=rows["device"], mode="markers", name=name,
            marker={
                "color": colours[is_quantised], "symbol": symbols[is_quantised] + ("-x" if is_noisy else ""),
                "size": 9 if kind == "published" else 11, "opacity": 0.8,
                "line": {"width": 2 if kind == "measured" else 0, "color": INK},
            },
            customdata=rows[["setup", "source_id"]].to_numpy(object),
            hovertemplate=f"<b>%{{y}}</b><br>%{{x:,.4g}} {speed.unit}<br>%{{customdata[0]}}<br>{name}, "
            "%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    height = max(220, 90 + 24 * len(order))
    figure.update_layout(layout(speed.title.replace(" of one batch", ""), "", log_x=True, height=height))
    figure.update_layout(legend_y=1 + 12 / height)  # a few px above the plot, however tall that is
    figure.update_yaxes(categoryorder="array", categoryarray=order, title=None)
    return figure


def recipe_figure(rows: pd.DataFrame) -> go.Figure:
    """Top-1 of each recipe of one architecture with its sampling error; ImageNet-1k alone filled, extra data open.

    Args:
        rows: Columns `weights`, `top1`, `top1_error`, `imagenet_1k_only`, `recipe`, `pretraining`.
    """
    rows = rows[rows["top1"].notna()].sort_values(["top1", "weights"])
    figure = go.Figure()
    for plain, label, symbol, colour in (
        (True, "ImageNet-1k only", "circle", "#0A86C9"),
        (False, "extra data", "diamond-open", "#D55E00"),
    ):
        part = rows[rows["imagenet_1k_only"].astype(bool) == plain]
        figure.add_trace(
            go.Scatter(
                x=part["top1"], y=part["weights"], mode="markers", name=label,
                error_x={"array": part["top1_error"], "thickness": 1, "width": 3},
                marker={"color": colour, "symbol": symbol, "size": 9},
                customdata=part[["recipe", "pretraining"]].to_numpy(object),
                hovertemplate="<b>%{y}</b><br>%{x:.2f} %<br>%{customdata[0]} · %{customdata[1]}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(layout(METRICS["top1"].title, "", height=max(220, 110 + 20 * len(rows))))
    figure.update_yaxes(categoryorder="array", categoryarray=list(rows["weights"]), title=None)
    return figure


def two_devices_figure(found: DeviceComparison) -> go.Figure:
    """Each common model's speed on both devices, the median ratio as a line; models of a front stand out."""
    assert found.metric is not None
    metric, models = METRICS[found.metric], found.models
    figure = go.Figure()
    on_front = models["on_front_a"].astype(int) + 2 * models["on_front_b"].astype(int)
    signs = (
        (0, "on neither front", "#8A8F98", "x-thin-open", 5),
        (1, f"on the front of {found.device_a}", "#D55E00", "triangle-up", 10),
        (2, f"on the front of {found.device_b}", "#0A86C9", "diamond", 10),
        (3, "on both fronts", "#009E73", "square", 10),
    )
    for value, label, colour, symbol, size in signs:
        part = models[on_front == value]
        figure.add_trace(
            go.Scattergl(
                x=part["value_a"].to_numpy(float), y=part["value_b"].to_numpy(float), mode="markers", name=label,
                marker={"color": colour, "symbol": symbol, "size": size, "opacity": 0.8},
                customdata=part[["architecture", "img_size", "ratio", "top1"]].to_numpy(object),
                hovertemplate="<b>%{customdata[0]}</b> · %{customdata[1]} px<br>%{customdata[3]:.2f} %<br>"
                "%{x:,.4g} → %{y:,.4g} " + metric.unit + " (%{customdata[2]:.3g}x)<extra></extra>",
            )
        )  # fmt: skip
    title = metric.title.replace(" of one batch", "")
    figure.update_layout(layout(f"{title} on {found.device_a}", f"{title} on {found.device_b}", log_x=True, log_y=True))
    return figure
