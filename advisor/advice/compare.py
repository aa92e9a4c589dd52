"""Models side by side, one architecture across devices, and one device against another. Pure: frames in and out.

Models are matched by architecture and image size alone, and no two setups are ever pooled: what stands in one
row, or on one side of a comparison, is of one setup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pandas as pd

from advisor.advice import ties
from advisor.advice.pareto import pareto_front
from advisor.advice.setups import Axis, describe_setup
from advisor.errors import BadQuestion, UnknownName
from advisor.metrics import ACCURACIES, METRICS

MIN_MODELS, MAX_MODELS = 2, 8
_FIXED = ("params_m", "gmacs", "acts_m", "file_mb", "img_size")
_AXES: tuple[Axis, ...] = ("latency_ms", "throughput_per_s")
_SETUP = ("runtime", "precision", "layout", "batch_size", "software", "threads", "unit")
_MODEL = ["architecture", "img_size"]
_MIN_RANKED = 3  # models; the rank agreement of two is always 1 or -1
_N_MOVERS = 5


@dataclass(frozen=True, slots=True)
class Mover:
    """A model whose speed changes unlike the others' from one device to the other.

    Attributes:
        relative: Its speed-up from the first device to the second over the median one; above 1 it gains.
    """

    architecture: str
    img_size: int
    relative: float


@dataclass(frozen=True, slots=True)
class DeviceComparison:
    """Two devices on the models that both have, each on one setup.

    Attributes:
        metric: What is compared: `latency_ms` at one batch size, or `throughput_per_s` at the best published
            batch size of each model; None where no model has the same on both.
        rank_agreement: Spearman's rank correlation of the speeds; None for fewer than three models.
        median_ratio: How many times faster the second device is, median over the models.
        gaining: Models that gain most on the second device beside the median one, most first; `losing` those
            that lose most.
        front_shared: Models, as 'architecture @ size', on both fronts of top-1 and speed; `front_only_a` and
            `front_only_b` those on one alone.
        jaccard: Shared models of the fronts over all models of either.
        models: One row a common model: `_MODEL`, `value_a`, `value_b`, `batch_a`, `batch_b`, `ratio`,
            `relative`, `top1`, `on_front_a`, `on_front_b`; by name and size.
    """

    device_a: str
    device_b: str
    metric: Axis | None
    setup_a: str
    setup_b: str
    n_common: int
    rank_agreement: float | None
    median_ratio: float | None
    gaining: tuple[Mover, ...]
    losing: tuple[Mover, ...]
    front_shared: tuple[str, ...]
    front_only_a: tuple[str, ...]
    front_only_b: tuple[str, ...]
    jaccard: float | None
    text: str
    models: pd.DataFrame = field(repr=False, compare=False)


def side_by_side(
    scored: pd.DataFrame, runs_by_device: Mapping[str, pd.DataFrame], weights: Sequence[str]
) -> pd.DataFrame:
    """Two to eight models on every metric: one row a metric and, for speeds, a setup; one column a model.

    Speeds come from as few setups of each device as cover the models, those with most of the models first.

    Args:
        scored: Weights x image size, as the query `scored` gives them.
        runs_by_device: Device id -> its runs, as the query `runs` gives them.
        weights: Names of weights; 'name@size' asks for an image size, without it the one that has runs on the
            most devices is taken, then the one of the highest top-1.

    Returns:
        Columns `metric` (a name of `METRICS`), `label`, `device_id`, `conditions`, `best` (a tuple of the
        columns with the best value, empty where fewer than two are known), `noisy` (of those whose speed is), then
        one column a model, named 'weights @ size', with NaN where unknown.

    Raises:
        BadQuestion: Fewer than two models, or more than eight, or an image size without an accuracy.
        UnknownName: Weights that are not known.
    """
    names = list(dict.fromkeys(weights))
    if not MIN_MODELS <= len(names) <= MAX_MODELS:
        raise BadQuestion(f"Choose {MIN_MODELS} to {MAX_MODELS} different models, not {len(names)}.")
    chosen = pd.DataFrame([_candidate(scored, runs_by_device, name) for name in names])
    chosen["robust"] = chosen[list(ties.TEST_IMAGES)].mean(axis=1, skipna=False)
    columns = [f"{w} @ {size}" for w, size in zip(chosen["weights"], chosen["img_size"], strict=True)]
    rows = [_row(name, "", "", columns, chosen[name].to_numpy(float)) for name in (*ACCURACIES, *_FIXED)]
    for device_id, runs in runs_by_device.items():
        for axis in _AXES:
            rows += _speed_rows(runs, device_id, axis, chosen, columns)
    return pd.DataFrame(rows, columns=["metric", "label", "device_id", "conditions", "best", "noisy", *columns])


def _candidate(scored: pd.DataFrame, runs_by_device: Mapping[str, pd.DataFrame], name: str) -> pd.Series:
    plain, _, size = name.partition("@")
    rows = scored[scored["weights"] == plain.strip()]
    if rows.empty:
        raise UnknownName("weights", plain.strip(), scored["weights"])
    sizes = sorted(int(s) for s in rows["img_size"])
    if size:
        rows = rows[rows["img_size"].astype(str) == size.strip()]
        if rows.empty:
            known = ", ".join(str(s) for s in sizes)
            raise BadQuestion(f"{plain.strip()} has no accuracy at {size.strip()} px; it has one at {known} px.")
    n_devices = [
        sum(_has_model(runs, architecture, img_size) for runs in runs_by_device.values())
        for architecture, img_size in zip(rows["architecture"], rows["img_size"], strict=True)
    ]
    ranked = rows.assign(n_devices=n_devices)
    return ranked.sort_values(["n_devices", "top1", "img_size"], ascending=[False, False, True]).iloc[0]


def _has_model(runs: pd.DataFrame, architecture: str, img_size: int) -> bool:
    return bool(((runs["architecture"] == architecture) & (runs["img_size"] == img_size)).any())


def _row(
    name: str, device_id: str, conditions: str, columns: list[str], values: np.ndarray, noisy: tuple[str, ...] = ()
) -> dict[str, object]:  # fmt: skip
    metric = METRICS[name]
    known = values[~np.isnan(values)]
    best: tuple[str, ...] = ()
    if len(known) > 1 and known.min() < known.max():
        target = known.max() if metric.better == "higher" else known.min()
        best = tuple(column for column, value in zip(columns, values, strict=True) if value == target)
    head = {"metric": name, "label": metric.label, "device_id": device_id, "conditions": conditions}
    return head | {"best": best, "noisy": noisy} | dict(zip(columns, values, strict=True))


def _speed_rows(
    runs: pd.DataFrame, device_id: str, axis: Axis, chosen: pd.DataFrame, columns: list[str]
) -> list[dict[str, object]]:
    """Rows of the setups that cover the models, greedily: most uncovered models, then most models, then name."""
    models = list(zip(chosen["architecture"], chosen["img_size"], strict=True))
    wanted = pd.MultiIndex.from_tuples(models)
    of_models = runs[runs[axis].notna() & pd.MultiIndex.from_frame(runs[_MODEL]).isin(wanted)]
    if axis == "latency_ms" and (of_models["batch_size"] == 1).any():
        of_models = of_models[of_models["batch_size"] == 1]
    tables = {
        describe_setup(dict(zip(_SETUP, setup, strict=True))) + _kind(group): _fastest(group, axis)
        for (*setup, _), group in of_models.groupby([*_SETUP, "evidence"], dropna=False)
    }
    rows = []
    uncovered = set(models)
    while tables:
        name = min(tables, key=lambda n: (-len(uncovered & tables[n].keys()), -len(tables[n]), n))
        speeds = tables.pop(name)
        if not uncovered & speeds.keys():
            break
        uncovered -= speeds.keys()
        found = [speeds.get(model, (np.nan, False)) for model in models]
        noisy = tuple(column for column, (_, is_noisy) in zip(columns, found, strict=True) if is_noisy)
        values = np.array([value for value, _ in found])
        rows.append(_row(axis, device_id, name, columns, values, noisy))
    return rows


def _fastest(runs: pd.DataFrame, axis: Axis) -> dict[tuple[str, int], tuple[float, bool]]:
    """The best speed of each model, and whether it is noisy."""
    best = runs.sort_values(axis, ascending=axis == "latency_ms").drop_duplicates(_MODEL)
    models = zip(best["architecture"], best["img_size"].astype(int), strict=True)
    return dict(zip(models, zip(best[axis].astype(float), _noisy(best), strict=True), strict=True))


def _noisy(runs: pd.DataFrame) -> pd.Series[bool]:
    return runs["verdict"] == "noisy" if "verdict" in runs else pd.Series(False, index=runs.index)


def _kind(runs: pd.DataFrame) -> str:
    """What is said of the runs of one setup where they are not published."""
    kind = str(runs["evidence"].iloc[0])
    return "" if kind == "published" else f", {kind}"


def across_devices(
    runs: pd.DataFrame, devices: pd.DataFrame, architecture: str, img_size: int | None = None
) -> pd.DataFrame:
    """One architecture on every device and setup: one row a setup and metric, latency and throughput apart.

    Args:
        runs: Runs of any number of devices, as the queries `runs` or `speed_rows` give them; suspect ones and
            those without an image size are left out.
        devices: As the query `devices` gives them.
        img_size: None for all image sizes.

    Returns:
        Columns `metric`, `value`, `device_id`, `device`, `kind`, `task`, `img_size`, the setup, `conditions`,
        `n_rows` (results of that very setup; the best is shown), `evidence`, `verdict` (empty where it is not
        measured here), `source_id`, `row_id`. Latency first; then by task, image size, best value, device and row.

    Raises:
        UnknownName: No run of that architecture.
    """
    rows = runs[(runs["architecture"] == architecture) & runs["img_size"].notna()]
    if rows.empty:
        raise UnknownName("architecture", architecture, runs["architecture"].unique(), hint="No speed of it is known.")
    if "suspect" in rows:
        rows = rows[~rows["suspect"]]
    if img_size is not None:
        rows = rows[rows["img_size"] == img_size]
    known = devices[["device_id", "name", "kind"]].rename(columns={"name": "device"})
    rows = rows.merge(known, on="device_id", how="left")
    rows["verdict"] = rows["verdict"].fillna("") if "verdict" in rows else ""
    setups = zip(*(rows[name] for name in _SETUP), strict=True)
    rows["conditions"] = [describe_setup(dict(zip(_SETUP, setup, strict=True))) for setup in setups]
    parts = [_one_a_setup(rows, axis) for axis in _AXES]
    columns = [
        "metric", "value", "device_id", "device", "kind", "task", "img_size", *_SETUP, "conditions", "n_rows",
        "evidence", "verdict", "source_id", "row_id",
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)[columns]


def _one_a_setup(rows: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """The best result of each device and setup, best first within a task and an image size."""
    given = rows[rows[axis].notna()]
    key = ["device_id", "task", "img_size", *_SETUP, "evidence"]
    n_rows = given.groupby(key, dropna=False)["row_id"].transform("size")
    given = given.assign(metric=axis, value=given[axis], n_rows=n_rows)
    best_first = ["task", "img_size", "value", "device_id", "row_id"]
    ordered = given.sort_values(best_first, ascending=[True, True, axis == "latency_ms", True, True])
    return ordered.drop_duplicates(key).astype({"img_size": int})


def device_against_device(
    runs_a: pd.DataFrame, runs_b: pd.DataFrame, scored: pd.DataFrame, *, names: tuple[str, str] | None = None
) -> DeviceComparison:
    """Which models move between two devices, and how different their fronts are.

    Each side is one setup: of all pairs with the same metric, and for latency the same batch size, the pair
    with the most models in common; equal ones by latency first, then by name. Where a setup has several
    results of a model the fastest counts.

    Args:
        runs_a: Runs of one device, as the query `runs` gives them; `runs_b` of the other.
        scored: Weights x image size with `top1`; the most accurate weights stand for their architecture.
        names: What to call the devices; their ids if not given.
    """
    name_a, name_b = names or (_device_id(runs_a), _device_id(runs_b))
    pair = _widest_pair(runs_a, runs_b)
    if pair is None:
        text = f"{name_a} and {name_b} have no model with the same measure at the same image size in common."
        return DeviceComparison(
            name_a, name_b, None, "", "", 0, None, None, (), (), (), (), (), None, text, pd.DataFrame()
        )
    axis, side_a, side_b = pair
    models = _common_models(side_a, side_b, axis, scored)
    label = models["architecture"] + " @ " + models["img_size"].astype(str)
    front_a, front_b = (set(label[models[column]]) for column in ("on_front_a", "on_front_b"))
    gaining, losing = _movers(models)
    comparison = DeviceComparison(
        device_a=name_a, device_b=name_b, metric=axis, setup_a=_side(side_a, axis), setup_b=_side(side_b, axis),
        n_common=len(models), rank_agreement=_rank_agreement(models), gaining=gaining, losing=losing,
        median_ratio=float(models["ratio"].median()), front_shared=tuple(sorted(front_a & front_b)),
        front_only_a=tuple(sorted(front_a - front_b)), front_only_b=tuple(sorted(front_b - front_a)),
        jaccard=len(front_a & front_b) / len(front_a | front_b) if front_a else None, text="", models=models,
    )  # fmt: skip
    return replace(comparison, text=_text(comparison))


def _device_id(runs: pd.DataFrame) -> str:
    return str(runs["device_id"].iloc[0]) if len(runs) else "a device without results"


def _widest_pair(runs_a: pd.DataFrame, runs_b: pd.DataFrame) -> tuple[Axis, pd.DataFrame, pd.DataFrame] | None:
    """The metric and the runs of one setup on each side that share most models."""
    best: tuple[int, Axis, pd.DataFrame, pd.DataFrame] | None = None
    for axis in _AXES:
        sides = [[(side, set(side.index)) for side in _sides(runs, axis)] for runs in (runs_a, runs_b)]
        for (side_a, models_a), (side_b, models_b) in product(*sides):
            if axis == "latency_ms" and side_a["batch_size"].iloc[0] != side_b["batch_size"].iloc[0]:
                continue
            n_common = len(models_a & models_b)
            if n_common and (best is None or n_common > best[0]):
                best = (n_common, axis, side_a, side_b)
    return best[1:] if best else None


def _sides(runs: pd.DataFrame, axis: Axis) -> list[pd.DataFrame]:
    """The fastest run of every model in each setup, indexed by model.

    Latencies of one setup are of one stated batch size. Throughputs keep whatever batch size was best for the
    model: what did not fit in memory at the common batch size was published at a smaller one.
    """
    given = runs[runs[axis].notna()]
    setup = [*(c for c in _SETUP if c != "batch_size" or axis == "latency_ms"), "evidence"]
    if axis == "latency_ms":
        given = given[given["batch_size"].notna()]
    ordered = given.sort_values([axis, "row_id"], ascending=[axis == "latency_ms", True], kind="stable")
    ordered = ordered.drop_duplicates([*setup, *_MODEL])
    return [group.set_index(_MODEL) for _, group in ordered.groupby(setup, dropna=False)]


def _common_models(side_a: pd.DataFrame, side_b: pd.DataFrame, axis: Axis, scored: pd.DataFrame) -> pd.DataFrame:
    sides = zip((side_a, side_b), "ab", strict=True)
    renamed = [
        side[[axis, "batch_size"]].rename(columns={axis: f"value_{letter}", "batch_size": f"batch_{letter}"})
        for side, letter in sides
    ]
    models = renamed[0].join(renamed[1], how="inner")
    power = -1.0 if axis == "latency_ms" else 1.0
    models["ratio"] = (models["value_b"] / models["value_a"]) ** power
    models["relative"] = models["ratio"] / models["ratio"].median()
    models["top1"] = scored.groupby(_MODEL)["top1"].max().reindex(models.index).to_numpy()
    models = models.reset_index().sort_values(_MODEL).reset_index(drop=True)
    judged = models["top1"].notna().to_numpy(bool)
    for letter in ("a", "b"):
        cost = -power * models[f"value_{letter}"].to_numpy(float)
        losses = np.column_stack([-models["top1"].to_numpy(float), cost])
        on_front = np.zeros(len(models), dtype=bool)
        on_front[judged] = pareto_front(losses[judged])
        models[f"on_front_{letter}"] = on_front
    return models


def _rank_agreement(models: pd.DataFrame) -> float | None:
    speeds = models[["value_a", "value_b"]]
    if len(models) < _MIN_RANKED or (speeds.nunique() < 2).any():
        return None
    # Spearman's by its definition: importing `scipy.stats` for it would take a second of the page's first visit
    return float(speeds["value_a"].rank().corr(speeds["value_b"].rank()))


def _movers(models: pd.DataFrame) -> tuple[tuple[Mover, ...], tuple[Mover, ...]]:
    ordered = models.sort_values(["relative", *_MODEL], ascending=[False, True, True])
    moved = zip(ordered["architecture"], ordered["img_size"], ordered["relative"], strict=True)
    movers = [Mover(architecture, int(img_size), relative) for architecture, img_size, relative in moved]
    gaining = tuple(m for m in movers[:_N_MOVERS] if m.relative > 1)
    losing = tuple(m for m in movers[::-1][:_N_MOVERS] if m.relative < 1)
    return gaining, losing


def _side(runs: pd.DataFrame, axis: Axis) -> str:
    """The setup of one side in words, for throughput with the batch sizes it holds; and how much of it is noisy."""
    setup = {name: runs[name].iloc[0] for name in _SETUP}
    batches = runs["batch_size"].dropna()
    noisy = int(_noisy(runs).sum())
    kind = _kind(runs) + (f", {noisy} of {len(runs)} noisy" if noisy else "")
    if axis == "latency_ms" or batches.nunique() < 2:
        return describe_setup(setup) + kind
    words = describe_setup(setup | {"batch_size": batches.mode().max()})
    return f"{words} for most, {batches.min():.0f} to {batches.max():.0f} for the rest{kind}"


def _text(comparison: DeviceComparison) -> str:
    c = comparison
    metric = METRICS[c.metric].label.lower() if c.metric else ""
    times = c.median_ratio or 1.0
    faster, slower = (c.device_b, c.device_a) if times >= 1 else (c.device_a, c.device_b)
    text = (
        f"On {c.n_common:,} models that both have, by {metric}, {faster} is {max(times, 1 / times):.3g} times as "
        f"fast as {slower} in the median ({c.device_a}: {c.setup_a}; {c.device_b}: {c.setup_b})"
    )
    if c.rank_agreement is not None:
        text += f"; the order of models agrees with a rank correlation of {c.rank_agreement:.2f}"
    if c.jaccard is not None:
        n_union = len(c.front_shared) + len(c.front_only_a) + len(c.front_only_b)
        text += f"; {len(c.front_shared)} of the {n_union} models on either front are on both"
    return text + "."
