"""Which run speaks for each architecture: the best of the device's setups, one per model, never pooled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from advisor.advice.predicted import guarded, is_predicted
from advisor.errors import BadQuestion
from advisor.metrics import METRICS
from advisor.records import Question

Axis = Literal["latency_ms", "throughput_per_s"]
Judged = Callable[[pd.DataFrame, str], np.ndarray]

# Runs of quantised networks: the accuracy that is published for weights is that of the float network.
QUANTISED = ("int8", "w8a8", "w8a16", "w8a16_mixed_int16", "w8a8_mixed_int16", "w4a16", "w4a8", "int4")

_SETUP = ("runtime", "precision", "layout", "batch_size", "software", "threads", "unit")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runs that answer a question.

    Attributes:
        runs: One run an architecture and image size: the fastest on `axis` among those asked for that keep the
            limits on speed and memory, or among all of them where none does. A predicted one speaks where no other
            does, or where no other keeps the limits and it may.
        axis: The speed that is judged.
        sentence: Which setup, or how many, the runs are of.
        quantised: Whether the runs are of quantised networks.
        left_quantised: How many quantised runs were set aside because float ones exist.
        missing: Why there is no run at all, in one sentence; None when there are runs.
    """

    runs: pd.DataFrame
    axis: Axis
    sentence: str
    quantised: bool = False
    left_quantised: int = 0
    missing: str | None = None


def choose_runs(
    runs: pd.DataFrame, question: Question, device_name: str, predicted: pd.DataFrame | None = None
) -> Chosen:  # fmt: skip
    """Narrow a device's runs to the setup asked for and keep the fastest per architecture and image size.

    A latency question is answered only from known latencies at the batch size asked for (1 if none is),
    a throughput question only from known throughputs: neither is computed from the other.

    Args:
        runs: All runs of the device and task, as the query `runs` gives them.
        predicted: Predicted speeds that may answer too, see `predicted.Guesses`; in one and the same setup a row of
            `runs` with the speed that is judged takes their place.

    Raises:
        BadQuestion: The device has no run of that runtime, precision or layout.
    """
    if predicted is not None:
        runs = pd.concat([runs, predicted], ignore_index=True)
    wanted = _narrowed(runs, question, device_name)
    axis = question.axis or _natural_axis(runs[wanted], question)
    batch = question.batch_size or (1 if axis == "latency_ms" else None)
    speed = runs[axis].to_numpy(float)
    judged = wanted & ~np.isnan(speed)
    if batch is not None:
        judged &= runs["batch_size"].to_numpy(float) == batch
    judged &= ~_hidden(runs, judged)
    if not judged.any():
        return Chosen(runs[judged], axis, "", missing=_missing(runs[wanted], axis, batch, device_name, question))
    is_quantised = runs["precision"].isin(QUANTISED).to_numpy(bool)
    left = 0
    if question.precision is None and not is_quantised[judged].all():
        left = int((judged & is_quantised).sum())
        judged &= ~is_quantised
    rows = np.flatnonzero(judged)
    noisy = (runs["verdict"] == "noisy").to_numpy(bool) if "verdict" in runs else np.zeros(len(runs), dtype=bool)
    last = np.column_stack([noisy, _too_much(runs, question)])
    loss = guarded(runs, axis) if axis == "latency_ms" else -guarded(runs, axis)
    guesses = is_predicted(runs)[rows]
    chosen = _best(runs, rows[~guesses], loss, last)
    if guesses.any():
        chosen = _filled(runs, chosen, _best(runs, rows[guesses], loss, last), question)
    best = runs.iloc[chosen]
    return Chosen(best, axis, _sentence(best, device_name), bool(is_quantised[judged].any()), left)


def _hidden(runs: pd.DataFrame, judged: np.ndarray) -> np.ndarray:
    """Predicted speeds of networks that have another row in the very same setup among those that are judged."""
    guesses = is_predicted(runs)
    if not guesses.any():
        return guesses
    names = ("architecture", "img_size", *_SETUP)
    columns = [runs[name].astype(object).where(runs[name].notna(), "") for name in names]
    keys = np.fromiter(zip(*columns, strict=True), dtype=object, count=len(runs))
    known = set(keys[judged & ~guesses])
    return np.array([guess and key in known for guess, key in zip(guesses, keys, strict=True)], dtype=bool)


def _too_much(runs: pd.DataFrame, question: Question, *, judged: Judged = guarded) -> np.ndarray:
    """Runs that break a limit which another run of the same network may keep: memory, latency or throughput.

    Args:
        judged: The column that a limit is about, as it judges it.
    """
    over = np.zeros(len(runs), dtype=bool)
    for limit, column, sign in (
        (question.max_memory_mb, "peak_memory_mb", 1),
        (question.max_latency_ms, "latency_ms", 1),
        (question.min_throughput, "throughput_per_s", -1),
    ):
        if limit is not None:
            value = runs[column].to_numpy(float) if column == "peak_memory_mb" else judged(runs, column)
            over |= ~(sign * value <= sign * limit)
    return over


def medians(runs: pd.DataFrame, column: str) -> np.ndarray:
    """A speed as it stands, be it predicted or not."""
    return runs[column].to_numpy(float)


def _filled(runs: pd.DataFrame, known: np.ndarray, guesses: np.ndarray, question: Question) -> np.ndarray:
    """The known runs with a prediction where there is none, or where it breaks a limit that the prediction may keep.

    Args:
        known, guesses: Positions in `runs`, each network once.
    """
    names = list(zip(runs["architecture"].to_numpy(object), runs["img_size"].to_numpy(), strict=True))
    over, may_not = _too_much(runs, question), _too_much(runs, question, judged=medians)
    speaks = {names[row]: row for row in known}
    for row in guesses:
        if names[row] not in speaks or (over[speaks[names[row]]] and not may_not[row]):
            speaks[names[row]] = row
    return np.array(list(speaks.values()), dtype=np.intp)


def _best(runs: pd.DataFrame, rows: np.ndarray, loss: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Of `rows`, one for each architecture and image size: steady before noisy, then within the limits, then fastest.

    Runs that are equally fast are told apart by a hash of their row id, so that row order does not matter.

    Args:
        last: Shape (n_runs, 2): whether a run is noisy, and whether it breaks a limit.
    """
    tie_break = pd.util.hash_array(runs["row_id"].to_numpy(object)[rows])
    ordered = rows[np.lexsort((tie_break, loss[rows], last[rows, 1], last[rows, 0]))]
    keys = pd.DataFrame({c: runs[c].to_numpy()[ordered] for c in ("architecture", "img_size")})
    return np.asarray(ordered[~keys.duplicated().to_numpy(bool)])


def meant(name: str, present: Iterable[str]) -> list[str]:
    """Which of the runtimes, precisions or layouts that are there a name means: itself, else its kinds.

    So 'pytorch' means 'pytorch-eager' and 'pytorch-compile' unless something is called just that.
    """
    there = list(present)
    return [name] if name in there else [one for one in there if one.startswith(f"{name}-")]


def _narrowed(runs: pd.DataFrame, question: Question, device_name: str) -> np.ndarray:
    mask = np.ones(len(runs), dtype=bool)
    for column in ("runtime", "precision", "layout"):
        name = getattr(question, column)
        if name is None or runs.empty:
            continue
        present = sorted(v for v in runs[column][mask].unique() if v)
        match = meant(name, present)
        if not match:
            there = f"{known_word(runs)} there: {', '.join(present) or f'none that says its {column}'}"
            raise BadQuestion(f"{device_name} has no {question.task} results with {column} '{name}'; {there}.")
        mask &= runs[column].isin(match).to_numpy(bool)
    return mask


def _natural_axis(runs: pd.DataFrame, question: Question) -> Axis:
    """Batch-1 latency where the device has it, otherwise throughput."""
    batch = question.batch_size or 1
    has_latency = bool(((runs["batch_size"] == batch) & runs["latency_ms"].notna()).any())
    at_any_batch = bool(runs["throughput_per_s"].notna().any())
    return "latency_ms" if has_latency or not at_any_batch else "throughput_per_s"


def _missing(runs: pd.DataFrame, axis: Axis, batch: int | None, device_name: str, question: Question) -> str:
    if runs.empty:
        return (
            f"Nothing published or measured for {device_name} can decide ({question.task}): none of its results is of "
            "a timm architecture at a stated image size and free of doubt. Explore lists what there is; on your own "
            "machine the Measure page adds what is missing."
        )
    at = f"batch-{batch} " if batch is not None else ""
    other: Axis = "throughput_per_s" if axis == "latency_ms" else "latency_ms"
    known = known_word(runs)
    asked = f"No {at}{METRICS[axis].label.lower()} is {known} for {device_name}".replace(" of one batch", "")
    offers = []
    for metric in (axis, other):
        given = runs[runs[metric].notna() & runs["batch_size"].notna()]
        if len(given):
            sizes = ", ".join(f"{int(b)}" for b in sorted(given["batch_size"].value_counts().index[:4]))
            word = METRICS[metric].label.lower().replace(" of one batch", "")
            offers.append(f"{word} at batch {sizes} ({len(given):,} results)")
    unstated = int(runs["batch_size"].isna().sum())
    if not offers and unstated:
        offers.append(f"{unstated:,} results whose batch size is not stated")
    offer = f"; {known} there: {' and '.join(offers)}" if offers else ""
    return f"{asked}{offer}. One is never computed from the other."


def _sentence(best: pd.DataFrame, device_name: str) -> str:
    known = best[list(_SETUP)].astype(object).where(best[list(_SETUP)].notna(), None)
    counts = Counter(zip(*(known[c] for c in _SETUP), strict=True))
    first, most = min(counts.items(), key=lambda item: (-item[1], str(item[0])))
    setup = describe_setup(dict(zip(_SETUP, first, strict=True)))
    word = known_word(best)
    models = _models(best, word)
    if len(counts) == 1:
        return f"{device_name}, {setup}.{models}"
    return (
        f"{device_name}, the best {word} setup chosen per model: {len(counts)} setups over {len(best):,} "
        f"models and sizes, most often {setup} ({most:,}).{models}"
    )


def _models(best: pd.DataFrame, word: str) -> str:
    """How many models the answer is from, where they were measured or predicted."""
    guesses = is_predicted(best)
    known = set(best["architecture"][~guesses])
    if not guesses.any():
        return f" Answers from {_counted(len(known))} measured there." if word == "measured" else ""
    how = known_word(best[~guesses])
    return f" Answers from {_counted(len(known))} {how} and {len(set(best['architecture']) - known):,} predicted there."


def _counted(n: int) -> str:
    return f"{n:,} model{'' if n == 1 else 's'}"


def known_word(runs: pd.DataFrame) -> str:
    """How runs came to be known: "published", "measured" or "predicted", or "known" where there are several or none."""
    kinds = {str(kind) for kind in runs["evidence"].unique()}
    return next(iter(kinds)) if len(kinds) == 1 else "known"


def _threads(count: object) -> str:
    return "" if not count else "1 thread" if str(count) == "1" else f"{count} threads"


def describe_setup(setup: dict[str, object]) -> str:
    """A setup in words: runtime, precision, layout, batch size, software, threads and unit, as far as stated."""
    batch = setup.get("batch_size")
    parts = [
        setup.get("runtime"),
        setup.get("precision") or "precision not stated",
        setup.get("layout"),
        f"batch {int(float(str(batch)))}" if batch is not None and batch == batch else "batch size not stated",
        setup.get("software"),
        _threads(setup.get("threads")),
        f"on the {setup['unit']}" if setup.get("unit") else "",
    ]
    return ", ".join(str(part) for part in parts if part)
