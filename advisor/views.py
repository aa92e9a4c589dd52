"""Results shaped for showing: frames and numbers that the pages draw. No Streamlit, no chart library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from advisor import workflows
from advisor.advice import limits, measured
from advisor.advice.predicted import HIGH, LOW, ends
from advisor.advice.recommend import candidates
from advisor.advice.setups import Axis, choose_runs, describe_setup
from advisor.evidence.store import Store
from advisor.metrics import METRICS
from advisor.records import FOUR_FAMILIES, Candidate, Question, Recommendation
from advisor.snippet import timm_snippet

_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)  # preferred numbers, ten a decade
_MAX_STEPS = 61
# limit -> what it limits, in words
LIMIT_WORDS: dict[str, str] = {
    "max_latency_ms": "latency", "min_throughput": "throughput", "max_params_m": "parameters",
    "max_memory_mb": "memory", "max_file_mb": "weights file", "min_accuracy": "accuracy",
    "max_img_size": "image size", "licence": "licence", "pretraining": "pretraining", "families": "family",
}  # fmt: skip
# limit -> the label of its widget
LIMIT_LABELS: dict[str, str] = {
    "min_accuracy": "Accuracy at least (%)", "max_params_m": "Parameters at most (M)",
    "max_file_mb": "Weights file at most (MB)", "max_memory_mb": "Peak memory at most (MB)",
    "max_img_size": "Image size at most (px)",
}  # fmt: skip
SETUP_FIELDS = ("runtime", "precision", "layout", "batch_size", "software", "threads", "unit")


def landscape(store: Store, question: Question) -> pd.DataFrame:
    """Every candidate on the question's device in the setup asked for, inside the limits or not.

    Returns:
        `Candidate`'s columns with `feasible` (booleans), `setup` and `known_as` (in words) and `position` (row number);
        no row where nothing is published that answers the question.
    """
    asked = workflows.resolve(store, question)
    # where predicted speeds join in, which of several speaks for a network depends on the limits on speed
    kept = asked if _joined(store, asked) is not None else _speed_and_setup(asked)
    frame = _without_limits(store, store.version(), kept)
    fits = ~limits.broken(frame, asked).any(axis=1) if len(frame) else np.zeros(0, bool)
    return frame.assign(feasible=fits)


def _joined(store: Store, asked: Question) -> pd.DataFrame | None:
    """The predicted speeds that are judged with all others."""
    found = workflows.guesses(store, workflows.device(store, asked.device_id), asked)
    return None if found is None else found.joining


def _speed_and_setup(asked: Question) -> Question:
    """The question without its limits but for which speed it judges: what `landscape` can keep between limits."""
    return Question(
        asked.device_id, asked.runtime, asked.precision, asked.layout, asked.batch_size,
        max_latency_ms=1.0 if asked.max_latency_ms else None, min_throughput=1.0 if asked.min_throughput else None,
        accuracy=asked.accuracy, task=asked.task, evidence=asked.evidence,
    )  # fmt: skip


@lru_cache(maxsize=16)
def _without_limits(store: Store, version: str, asked: Question) -> pd.DataFrame:
    """The candidates of a question; kept until any result changes (`version`), so not to be modified."""
    known = workflows.device(store, asked.device_id)
    runs = store.frame("runs", device_id=known.device_id, task=asked.task)
    chosen = choose_runs(runs, asked, known.name, _joined(store, asked))
    frame = candidates(store.frame("scored"), chosen, asked)
    position = np.arange(len(frame))
    return frame.assign(setup=setups_in_words(frame), known_as=_known_as(frame, chosen.axis), position=position)


def _known_as(frame: pd.DataFrame, axis: Axis) -> pd.Series[str]:
    """What each speed is: its kind of evidence, of a measured one with its interval, day, and "noisy" where it is."""
    found = frame["evidence"].astype(object)
    own = frame[found == "measured"]
    found.loc[own.index] = [measured.beside(Candidate.from_row(row), axis) for row in own.to_dict("records")]
    if HIGH in frame:
        guesses = frame[frame["evidence"] == "predicted"]
        found.loc[guesses.index] = [
            f"predicted, 90 % interval {ends(low, high)} ms"
            for low, high in zip(guesses[LOW], guesses[HIGH], strict=True)
        ]
    return found


def setups_in_words(frame: pd.DataFrame) -> pd.Series[str]:
    """Each row's setup in words."""
    if frame.empty:
        return pd.Series([], index=frame.index, dtype=str)
    columns = [frame[c].astype(object).where(frame[c].notna(), None) for c in SETUP_FIELDS]
    keys = list(zip(*columns, strict=True))
    words = {key: describe_setup(dict(zip(SETUP_FIELDS, key, strict=True))) for key in set(keys)}
    return pd.Series([words[key] for key in keys], index=frame.index)


def axes_published(store: Store, device_id: str, task: str) -> tuple[Axis, ...]:
    """What the device can be asked about for a task: latency where batch 1 is published, throughput where any is."""
    runs = _speeds(store, device_id, task)
    found: list[Axis] = []
    if task == "infer" and bool((runs["latency_ms"].notna() & (runs["batch_size"] == 1)).any()):
        found.append("latency_ms")
    if bool(runs["throughput_per_s"].notna().any()):
        found.append("throughput_per_s")
    return tuple(found)


def speed_steps(store: Store, device_id: str, task: str, axis: Axis) -> tuple[float, ...]:
    """Round speeds over the published range of a device, ascending and about evenly spaced in the logarithm."""
    runs = _speeds(store, device_id, task)
    speeds = _judged(runs, axis)
    if speeds.empty:
        return preferred(1.0, 1000.0)
    return preferred(float(speeds.min()), float(speeds.max()))


def middle_speed(store: Store, device_id: str, task: str, axis: Axis) -> float | None:
    """A round limit that about half of the device's published runs keep; None where there is no run."""
    speeds = _judged(_speeds(store, device_id, task), axis)
    if speeds.empty:
        return None
    middle = float(speeds.median())
    steps = preferred(middle, middle)
    return steps[-1] if axis == "latency_ms" else steps[0]


def within_speeds(store: Store, device_id: str, task: str, axis: Axis, limit: float | None) -> bool:
    """Whether a limit lies inside the published range of a device, so that it tells its models apart."""
    speeds = _judged(_speeds(store, device_id, task), axis)
    return limit is not None and not speeds.empty and bool(speeds.min() <= limit <= speeds.max())


def _speeds(store: Store, device_id: str, task: str) -> pd.DataFrame:
    """The speeds that an answer on a device may rest on: published, measured, and on this machine also predicted."""
    runs = store.frame("runs", device_id=device_id, task=task)
    predicted = _joined(store, Question(device_id, task="train" if task == "train" else "infer"))
    columns = ["latency_ms", "throughput_per_s", "batch_size"]
    return runs if predicted is None else pd.concat([runs[columns], predicted[columns]], ignore_index=True)


def has_predictions(store: Store, device_id: str, task: str) -> bool:
    """Whether anything is predicted for a device."""
    found = workflows.guesses(
        store, workflows.device(store, device_id), Question(device_id, task="train" if task == "train" else "infer")
    )
    return found is not None and len(found.rows) > 0


def _judged(runs: pd.DataFrame, axis: Axis) -> pd.Series[float]:
    rows = runs[runs["batch_size"] == 1] if axis == "latency_ms" else runs
    return rows[axis].dropna()


def preferred(low: float, high: float) -> tuple[float, ...]:
    """Preferred numbers from just below `low` to just above `high`, thinned to at most 61."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [float(f"{step}e{power}") for power in range(first, last + 1) for step in _STEPS]
    start = max(i for i, value in enumerate(every) if value <= low)
    stop = min(i for i, value in enumerate(every) if value >= high)
    kept = every[start : stop + 1]
    thin = math.ceil(len(kept) / _MAX_STEPS)
    return tuple(kept[::thin] if kept[::thin][-1] == kept[-1] else [*kept[::thin], kept[-1]])


def nearest_step(value: float, steps: tuple[float, ...]) -> float:
    """The step closest to a value on the logarithmic scale."""
    return min(steps, key=lambda step: abs(math.log(step / value))) if value > 0 else steps[0]


def family_table(answer: Recommendation) -> pd.DataFrame:
    """Best of each family as shown: the four first, then the others by accuracy, families without one last."""
    names = sorted(
        answer.by_family,
        key=lambda n: (n not in FOUR_FAMILIES, -(_accuracy(answer.by_family[n]) or 0.0), n),
    )
    return candidate_table([(name, answer.by_family[name]) for name in names], answer)


def candidate_table(
    rows: list[tuple[str, Candidate | None]], answer: Recommendation, *, first: str = "Family"
) -> pd.DataFrame:
    """Candidates as text with units, one row each; a family without a candidate says so."""
    accuracy, speed = METRICS[answer.question.accuracy], METRICS[answer.axis]
    best = _accuracy(answer.pick)
    return pd.DataFrame(
        [
            {
                first: name,
                accuracy.title: f"{one.accuracy:.2f}" if one and one.accuracy is not None else "–",
                "vs pick": _difference(_accuracy(one), best),
                speed.title.replace(" of one batch", ""): _speed(one, answer.axis),
                "Weights": one.weights if one else "nothing within the limits",
                "px": f"{one.img_size}" if one else "–",
                "Params (M)": _number(one.params_m if one else None),
                "Licence": (one.licence or "unknown") if one else "–",
                "Evidence": measured.known_as(one) if one else "–",
            }
            for name, one in rows
        ]
    )


def markdown_table(frame: pd.DataFrame) -> str:
    """A small table of text as Markdown, which a page shows without loading a table component (0.9 MB)."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _accuracy(one: Candidate | None) -> float | None:
    return None if one is None else one.accuracy


def _difference(value: float | None, best: float | None) -> str:
    if value is None or best is None:
        return "–"
    return "pick" if value == best else f"{value - best:+.2f}"


def _speed(one: Candidate | None, axis: Axis) -> str:
    """A speed without its unit, of a measured one with its interval."""
    if one is None:
        return "–"
    shown = _number(getattr(one, axis))
    return f"{shown} ({measured.interval_words(one, axis)})" if one.interval_of(axis) else shown


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"


def download_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The candidates of a chart as a table: every figure with its conditions and source, best accuracy first."""
    kept = [
        "weights", "architecture", "family", "img_size", "accuracy", "accuracy_name", "accuracy_error", "latency_ms",
        "throughput_per_s", "batch_size", "params_m", "gmacs", "file_mb", "peak_memory_mb", "feasible", "licence",
        "pretraining", "evidence", "source_id", "accuracy_source_id", "device_id", "task", "runtime", "software",
        "threads", "unit", "precision", "layout", "verdict", "note",
    ]  # fmt: skip
    if (frame["evidence"] == "measured").any():
        kept += ["ci95_low_ms", "ci95_high_ms", "measured_at"]
    if HIGH in frame:
        kept += [LOW, HIGH, "p_within"]
    ordered = frame.sort_values(["feasible", "accuracy", "weights"], ascending=[False, False, True])
    return ordered[kept].reset_index(drop=True)


def positions_of(selected: Sequence[Mapping[str, Any]]) -> list[int]:
    """Row numbers of the points selected in a chart; they stand last in each point's custom data."""
    return sorted({int(point["customdata"][-1]) for point in selected if point.get("customdata")})


def choices(column: pd.Series[Any]) -> list[Any]:
    """The values of a column that are stated, sorted; whole numbers as such."""
    stated = [v for v in column.dropna().unique() if v != ""]
    return sorted(v if isinstance(v, str) else int(v) for v in stated)


def evaluation(store: Store, one: Candidate) -> tuple[float | None, str | None]:
    """Crop share and interpolation of the evaluation behind a candidate's accuracy, where they are stated."""
    rows = store.frame("accuracy_rows")
    architecture, _, tag = one.weights.partition(".")
    found = rows[
        (rows["architecture"] == architecture) & (rows["tag"] == tag) & (rows["img_size"] == one.img_size)
        & (rows["source_id"] == one.accuracy_source_id)
    ]  # fmt: skip
    if found.empty:
        return None, None
    row = found.iloc[0]
    return (None if pd.isna(row["crop_pct"]) else float(row["crop_pct"])), str(row["interpolation"] or "") or None


def snippet(store: Store, one: Candidate) -> str:
    """Python that loads a candidate with the preprocessing of its published accuracy."""
    crop_pct, interpolation = evaluation(store, one)
    return timm_snippet(one, crop_pct=crop_pct, interpolation=interpolation)
