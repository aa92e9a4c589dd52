"""The four views of the Compare page, each with its inputs, its chart and the table behind it."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from advisor import charts_compare, ui, views, views_compare
from advisor.advice.compare import MAX_MODELS, MIN_MODELS, Mover
from advisor.evidence.store import Store
from advisor.metrics import METRICS

_FIRST_DEVICES = ("i7-12700h", "rtx-4090", "samsung-galaxy-s24")


def models(store: Store) -> None:
    """Two to eight models on every metric; the best of each row is marked."""
    known = views_compare.comparable(store)
    left, right = st.columns([3, 2])
    weights = left.multiselect(
        "Models", known, default=views_compare.first_models(store), max_selections=MAX_MODELS, key="models",
        bind="query-params", filter_mode="contains",
    )  # fmt: skip
    with right:
        devices = _devices(store, "on")
    if len(weights) < MIN_MODELS:
        st.info(f"Choose {MIN_MODELS} to {MAX_MODELS} models.", icon=":material/arrow_upward:")
        st.stop()
    shown = views_compare.models_table(store, weights, devices)
    with st.container(key="side_by_side"):
        st.table(shown, border="horizontal", hide_index=True)
    st.caption("★ best of the row. A dash: not published at this image size. Each speed row is of one setup.")
    ui.download(shown, "models.csv", key="cmp_models_download")


def _devices(store: Store, key: str) -> list[str]:
    names = ui.device_names(store)
    default = [d for d in _FIRST_DEVICES if d in names] or list(names)[:2]
    return st.multiselect(
        "Devices", list(names), default=default, key=key, bind="query-params", filter_mode="contains",
        format_func=lambda d: ui.device_option(store, d),
    )  # fmt: skip


def across_devices(store: Store) -> None:
    """One architecture wherever its speed is known, one dot a device and setup."""
    known = views_compare.timed_architectures(store)
    first, second, third, fourth = st.columns([3, 1, 2, 1])
    architecture = first.selectbox(
        "Architecture", known, index=_at(known, "resnet50"), key="arch", bind="query-params", filter_mode="contains"
    )
    size = second.selectbox("Image size (px)", views_compare.sizes_of(store, architecture), key=f"size-{architecture}")
    found = views_compare.everywhere(store, architecture, size)
    metrics = list(dict.fromkeys(found["metric"]))
    metric = third.selectbox(
        "Speed", metrics, key=f"speed-{'-'.join(metrics)}", format_func=lambda m: METRICS[m].title
    )  # fmt: skip
    batches = views.choices(found[found["metric"] == metric]["batch_size"])
    batch = fourth.selectbox(
        "Batch size", [*batches, None], format_func=lambda b: "any" if b is None else str(b),
        key=f"batch-{architecture}-{metric}",
    )  # fmt: skip
    rows = views_compare.by_device(found, metric, batch)
    if rows.empty:
        st.info("Nothing is published like that: choose another batch size.", icon=":material/search_off:")
        st.stop()
    axis: Literal["latency_ms", "throughput_per_s"] = metric
    st.plotly_chart(
        charts_compare.device_figure(rows, axis), key="cmp_devices", config=ui.PLOTLY_CONFIG,
        alt=f"{architecture} at {size} px by device; the table below has every figure.",
    )  # fmt: skip
    ui.table(
        rows[["device", "kind", metric, "setup", "n_rows", "evidence", "source_id", "device_id"]], key="cmp_dev_table"
    )
    ui.download(rows, f"{architecture}-devices.csv", key="cmp_dev_download")


def recipes(store: Store) -> None:
    """The recipes of one architecture at one size, and what is left of a gap to another architecture."""
    known = views_compare.recipe_architectures(store)
    first, second, third = st.columns([3, 1, 3])
    architecture = first.selectbox(
        "Architecture",
        known,
        index=_at(known, "resnet50"),
        key="recipes_of",
        bind="query-params",
        filter_mode="contains",
    )
    found = views_compare.recipe_table(store, architecture)
    sizes = views.choices(found["img_size"])
    size = second.selectbox("Image size (px)", sizes, key=f"recipe-size-{architecture}")
    others = [name for name in known if name != architecture]
    other = third.selectbox(
        "Against", others, index=_at(others, "regnety_032"), key="against", bind="query-params", filter_mode="contains"
    )
    st.markdown(f"**{views_compare.recipe_spread(store, architecture, size)}**")
    if others:
        st.markdown(views_compare.gap_in_words(store, architecture, other))
    rows = found[found["img_size"] == size]
    st.plotly_chart(
        charts_compare.recipe_figure(rows), key="cmp_recipes", config=ui.PLOTLY_CONFIG,
        alt=f"Top-1 of every recipe of {architecture} at {size} px; the table below has every figure.",
    )  # fmt: skip
    ui.table(found, key="cmp_recipe_table")
    ui.download(found, f"{architecture}-recipes.csv", key="cmp_recipe_download")


def two_devices(store: Store) -> None:
    """Which models move between two devices, and how different their fronts are."""
    names = ui.device_names(store)
    ids = list(names)
    left, right = st.columns(2)
    first = left.selectbox(
        "Device", ids, index=_at(ids, "i7-12700h"), key="a", bind="query-params", filter_mode="contains",
        format_func=lambda d: ui.device_option(store, d),
    )  # fmt: skip
    others = [d for d in ids if d != first]
    second = right.selectbox(
        "Against", others, index=_at(others, "rtx-4090"), key="b", bind="query-params", filter_mode="contains",
        format_func=lambda d: ui.device_option(store, d),
    )  # fmt: skip
    if not others:
        st.info("There is only one device to compare.", icon=":material/search_off:")
        st.stop()
    found = views_compare.two_devices(store, first, second)
    st.markdown(found.text)
    if found.metric is None:
        st.stop()
    st.plotly_chart(
        charts_compare.two_devices_figure(found), key="cmp_two", config=ui.PLOTLY_CONFIG,
        alt="Speed of each common model on both devices; the table below has every figure.",
    )  # fmt: skip
    gain, lose = st.columns(2)
    gain.markdown(_movers(f"Gain most on {names[second]}", found.gaining))
    lose.markdown(_movers(f"Lose most on {names[second]}", found.losing))
    ui.table(found.models, key="cmp_two_table")
    ui.download(found.models, f"{first}-{second}.csv", key="cmp_two_download")


def _movers(title: str, movers: tuple[Mover, ...]) -> str:
    lines = [f"- `{m.architecture}` {m.img_size} px: {m.relative:.2f}x the median change" for m in movers]
    return "\n".join([f"**{title}**", "", *(lines or ["- none"])])


def _at(options: list[str], wanted: str) -> int:
    """The place of the wanted option, of the first where it is missing."""
    return options.index(wanted) if wanted in options else 0
