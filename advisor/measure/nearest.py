"""The published result whose setup is nearest to a run, how far apart the two are, and in what the setups differ."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from advisor.measure.run import Run
from advisor.measure.setup_gaps import Gap, Setup, gaps, setup_in, setup_of
from advisor.metrics import METRICS

_ABOUT_EQUAL = 0.05  # relative difference below which neither is called faster


@dataclass(frozen=True, slots=True)
class Nearest:
    """A published result beside a run.

    Attributes:
        device: Name of the published device.
        metric: "latency_ms" or "throughput_per_s", what `published` and `here` are of.
        here: The run's own value at the published batch size; None where sizes or batches differ.
        ratio: Time here over time there (2.3: 2.3 times slower here); None where `here` is.
        differences: In what the setups differ, "there → here", what matters most first.
        distance: The sum of the weights of what differs.
        text: All of it in one sentence.
    """

    row_id: str
    source_id: str
    device: str
    metric: str
    published: float
    here: float | None
    ratio: float | None
    differences: tuple[str, ...]
    distance: float
    text: str


def nearest(run: Run, rows: pd.DataFrame, devices: pd.DataFrame) -> Nearest | None:
    """The published row of the run's architecture with the nearest setup; None where there is none to compare with.

    Only rows of the same kind of device (CPU or GPU) count, none that is marked suspect. A row at a batch size
    that the run's batch sweep has measured is compared with that point of it.

    Args:
        run: A run that has succeeded; any other has no nearest.
        rows: The store's speed rows.
        devices: The store's devices, with `device_id`, `name` and `kind`.
    """
    if run.measured is None:
        return None
    latency_ms = {p.batch_size: p.latency_ms for p in run.measured.throughput.curve} if run.measured.throughput else {}
    latency_ms[run.request.batch_size] = run.measured.latency.p50
    ours = setup_of(run)
    known = devices.set_index("device_id")[["name", "kind"]].to_dict("index")
    chosen = rows[
        (rows["architecture"] == run.request.architecture) & (rows["evidence"] == "published")
        & (rows["task"] == "infer") & ~rows["suspect"].astype(bool)
    ]  # fmt: skip
    candidates: list[tuple[float, str, dict[Hashable, Any], Setup, list[Gap]]] = []
    for row in chosen.to_dict("records"):
        theirs = setup_in(row, known.get(str(row["device_id"]), {}))
        if theirs.kind == ours.kind:
            found = gaps(theirs, ours, batch_sizes=tuple(latency_ms))
            candidates.append((sum(gap.cost for gap in found), str(row["row_id"]), row, theirs, found))
    if not candidates:
        return None
    distance, _, row, theirs, found = min(candidates, key=lambda candidate: candidate[:2])
    same_size = theirs.img_size == ours.img_size and theirs.batch_size in latency_ms
    time_ms = latency_ms[theirs.batch_size] if same_size and theirs.batch_size is not None else None
    return _told(row, theirs, found, distance, time_ms)


def _told(
    row: Mapping[Hashable, Any], theirs: Setup, found: list[Gap], distance: float, time_ms: float | None
) -> Nearest:
    """The row in words; `time_ms` is ours at its image and batch size, None where there is no such."""
    # published "latencies" of large batches are computed from the throughput
    as_latency = not pd.isna(row["latency_ms"]) and (theirs.batch_size in (None, 1) or pd.isna(row["throughput_per_s"]))
    metric = METRICS["latency_ms" if as_latency else "throughput_per_s"]
    published = float(row[metric.name])
    here = ratio = None
    verdict = "no ratio, since image size or batch size is not the same"
    if time_ms is not None and theirs.batch_size is not None:
        here = time_ms if as_latency else theirs.batch_size * 1000 / time_ms
        ratio = here / published if as_latency else published / here
        verdict = f"here {metric.show(here)} ({_judged(ratio)})"
    differences = tuple(gap.words for gap in found if gap.words)
    apart = f"differs in: {', '.join(differences)}" if differences else "the setup is the same as far as stated"
    return Nearest(
        row_id=str(row["row_id"]), source_id=str(row["source_id"]), device=theirs.hardware, metric=metric.name,
        published=published, here=here, ratio=ratio, differences=differences, distance=distance,
        text=f"{theirs.words}: {metric.show(published)}; {verdict}; {apart}.",
    )  # fmt: skip


def _judged(ratio: float) -> str:
    if abs(math.log(ratio)) < math.log(1 + _ABOUT_EQUAL):
        return "about as fast"
    factor, word = (ratio, "slower") if ratio > 1 else (1 / ratio, "faster")
    return f"{factor:.1f}x {word}" if factor >= 1.1 else f"{factor - 1:.0%} {word}".replace("%", " %")
