"""The four views of the Compare page, each with its inputs, its chart and the table behind it."""

from __future__ import annotations

from functools import partial
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
    names = ui.device_names(store)
    first_models = views_compare.first_models(store)
    first_devices = [d for d in _FIRST_DEVICES if d in names] or list(names)[:2]
    ui.seed("models", known, first_models)
    ui.seed("on", list(names), first_devices)
    left, right = st.columns([3, 2])
    weights = left.multiselect(
        "Models", known, max_selections=MAX_MODELS, key="models", persist_state="session", filter_mode="contains"
    )
    devices = right.multiselect(
        "Devices", list(names), key="on", persist_state="session", filter_mode="contains",
        format_func=lambda d: ui.device_option(store, d),
    )  # fmt: skip
    ui.remember(view="models", models=first_models, on=first_devices)
    if len(weights) < MIN_MODELS:
        st.info(f"Choose {MIN_MODELS} to {MAX_MODELS} models.", icon=":material/arrow_upward:")
        st.stop()
    shown = views_compare.models_table(store, weights, devices)
    with st.container(key="side_by_side"):
        st.table(shown, border="horizontal", hide_index=True)
    st.caption("★ best of the row. ≈ noisy. A dash: not known at this image size. Each speed row is of one setup.")
    ui.predictions_elsewhere(devices, ui.devices(store))
    ui.download(shown, "models.csv", key="cmp_models_download")


def across_devices(store: Store) -> None:
    """One architecture wherever its speed is known, one dot a device and setup."""
    known = views_compare.timed_architectures(store)
    first, second, third, fourth = st.columns([3, 1, 2, 1])
    default = _preferred(known, "resnet50")
    ui.seed("arch", known, default)
    architecture = first.selectbox("Architecture", known, key="arch", persist_state="session", filter_mode="contains")
    ui.remember(view="models", arch=default)
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
        rows[["device", "kind", metric, "setup", "n_rows", "evidence", "verdict", "source_id", "device_id"]],
        key="cmp_dev_table",
    )  # fmt: skip
    ui.predictions_elsewhere(rows["device_id"], ui.devices(store))
    ui.download(rows, f"{architecture}-devices.csv", key="cmp_dev_download")


def recipes(store: Store) -> None:
    """The recipes of one architecture at one size, and what is left of a gap to another architecture."""
    known = views_compare.recipe_architectures(store)
    first, second, third = st.columns([3, 1, 3])
    default = _preferred(known, "resnet50")
    ui.seed("arch", known, default)
    architecture = first.selectbox("Architecture", known, key="arch", persist_state="session", filter_mode="contains")
    found = views_compare.recipe_table(store, architecture)
    sizes = views_compare.recipe_sizes(found)
    size = second.selectbox("Image size (px)", sizes, key=f"recipe-size-{architecture}")
    others = [name for name in known if name != architecture]
    ui.seed("against", others, _preferred(others, "regnety_032"))
    other = third.selectbox("Against", others, key="against", filter_mode="contains")
    ui.remember(view="models", arch=default, against=_preferred(others, "regnety_032"))
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
    label = partial(ui.device_option, store)
    left, right = st.columns(2)
    ui.seed("a", ids, _preferred(ids, "i7-12700h"))
    first = left.selectbox("Device", ids, key="a", persist_state="session", filter_mode="contains", format_func=label)
    others = [d for d in ids if d != first]
    ui.seed("b", others, _preferred(others, "rtx-4090"))
    second = right.selectbox("Against", others, key="b", filter_mode="contains", format_func=label)
    ui.remember(view="models", a=_preferred(ids, "i7-12700h"), b=_preferred(others, "rtx-4090"))
    if not others:
        st.info("There is only one device to compare.", icon=":material/search_off:")
        st.stop()
    found = views_compare.two_devices(store, first, second)
    st.markdown(found.text)
    ui.predictions_elsewhere((first, second), ui.devices(store))
    if found.metric is None:
        st.stop()
    st.plotly_chart(
        charts_compare.two_devices_figure(found), key="cmp_two", config=ui.PLOTLY_CONFIG,
        alt="Speed of each common model on both devices; the table below has every figure.",
    )  # fmt: skip
    gain, lose = st.columns(2)
    gain.markdown(_movers(f"Gain most on {names[second]}", found.gaining))
    lose.markdown(_movers(f"Lose most on {names[second]}", found.losing))
    shown = views_compare.two_devices_table(found)
    ui.table(shown, key="cmp_two_table")
    ui.download(shown, f"{first}-{second}.csv", key="cmp_two_download")


def _movers(title: str, movers: tuple[Mover, ...]) -> str:
    lines = [f"- `{m.architecture}` {m.img_size} px: {m.relative:.2f}x the median change" for m in movers]
    return "\n".join([f"**{title}**", "", *(lines or ["- none"])])


def _preferred(options: list[str], wanted: str) -> str | None:
    """The wanted option, the first where it is missing, None where there is none."""
    return wanted if wanted in options else next(iter(options), None)
