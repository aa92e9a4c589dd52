"""Measurements as rich tables and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from advisor.measure.comparison import Comparison
from advisor.measure.run import Run
from advisor.metrics import METRICS
from advisor.tables import Printable, table
from advisor.views_measure import largest_in_words, roof_in_words

_MACHINE_FACTS = ("name", "device_id", "kind", "memory_gb", "usable_threads", "n_runs")


def runs(found: Sequence[Run]) -> Iterator[Printable]:
    """One row a run that worked, one sentence a run that did not, and why noisy ones are noisy."""
    good = [one for one in found if one.measured is not None]
    if good:
        shown = table(
            "", "model", "runtime", "precision", "px", "batch #", "p50 (ms)", "95 % interval (ms)", "p90 (ms)",
            "samples #", "img/s #", "peak memory (MB)", "of the roof", "verdict", "run",
        )  # fmt: skip
        for one in good:
            shown.add_row(*_cells(one))
        yield shown
    for one in found:
        if one.measured is None:
            yield f"✗ {one.request.label}: {one.status}. {one.reason}"
        elif one.verdict == "noisy":
            yield f"! {one.request.label}: noisy. {' '.join(one.verdict_reasons)}"
    for one in good:
        yield from _extras(one)


def _cells(one: Run) -> tuple[str, ...]:
    found = one.measured
    assert found is not None
    timed, request = found.latency, one.request
    fraction = one.roof_fraction
    return (
        request.architecture, request.runtime, found.precision_used + (" nhwc" if request.layout == "nhwc" else ""),
        str(found.img_size), str(request.batch_size), f"{timed.p50:.4g}", f"{timed.ci95[0]:.4g}–{timed.ci95[1]:.4g}",
        f"{timed.p90:.4g}", f"{timed.n_samples:,}", f"{one.throughput_per_s:,.4g}",
        METRICS["peak_memory_mb"].show(one.peak_memory_mb).removesuffix(" MB"),
        "–" if fraction is None else roof_in_words(fraction), one.verdict or "", one.run_id,
    )  # fmt: skip


def _range(ci95: tuple[float, float] | None, n_samples: int) -> str:
    return f"{ci95[0]:.4g}–{ci95[1]:.4g}" if ci95 else f"{n_samples} sample{'s' if n_samples > 1 else ''} only"


def _extras(one: Run) -> Iterator[str]:
    """The parts beside the latency, a line each."""
    found = one.measured
    assert found is not None
    if curve := found.throughput:
        yield (
            f"• {one.request.label}: best {curve.best_per_s:,.4g} img/s at batch {curve.best_batch_size} "
            f"({curve.stopped})."
        )
    if train := found.training:
        yield (
            f"• {one.request.label}: a training step of batch {train.batch_size} takes {train.step_ms:.4g} ms "
            f"({_range(train.ci95, train.n_samples)}), {train.throughput_per_s:,.4g} img/s, {train.optimiser}, "
            f"{train.precision}."
        )
    if largest := found.largest_batch:
        yield (
            f"• {one.request.label}: largest batch to infer "
            f"{largest_in_words(largest.infer, largest.advised_infer) or 'not found'}, to train "
            f"{largest_in_words(largest.train, largest.advised_train) or 'not found'} (what ended the search: "
            f"{largest.limit})."
        )
    if way := found.end_to_end:
        shares = ", ".join(f"{s.name} {s.share:.0%}" for s in way.stages)
        yield f"• {one.request.label}: JPEG to logits {way.total_ms:.4g} ms ({shares})."
    if alone := found.features:
        yield f"• {one.request.label}: backbone at {alone.height} x {alone.width} px {alone.latency_ms:.4g} ms."
    if found.work is not None and found.work.operators:
        shares = ", ".join(f"{o.name} {o.share:.0%}" for o in found.work.operators if o.share >= 0.02)
        yield f"• {one.request.label}: time by operator: {shares}."
    for note in found.notes:
        yield f"  {one.request.label}: {note}"


def history(found: pd.DataFrame, limit: int) -> Iterator[Printable]:
    """Runs, newest first."""
    if found.empty:
        yield "Nothing was measured here yet: try 'python -m advisor measure mobilenetv3_large_100'."
        return
    shown = table(
        "", "started (UTC)", "model", "runtime", "precision", "px", "batch #", "p50 (ms)", "status", "verdict", "run"
    )
    for row in found.head(limit).to_dict("records"):
        p50 = "–" if pd.isna(row["p50_ms"]) else f"{row['p50_ms']:.4g}"
        size = "–" if pd.isna(row["img_size"]) else f"{row['img_size']:.0f}"
        shown.add_row(
            f"{row['started_at']:%Y-%m-%d %H:%M}", row["architecture"], row["runtime"], row["precision"], size,
            f"{row['batch_size']:.0f}", p50, row["status"], row["verdict"] if isinstance(row["verdict"], str) else "",
            row["run_id"],
        )  # fmt: skip
    yield shown
    if len(found) > limit:
        yield f"{limit} of {len(found):,} shown; --limit shows more, --json all."


def comparison(found: Comparison, first: Run, second: Run) -> Iterator[Printable]:
    """Which run is which, the verdict, what differs, and what the ratio does not say."""
    for name, one in (("A", first), ("B", second)):
        yield f"{name}: {one.request.label}, {one.started_at}, {one.run_id}"
    yield f"[bold]{found.verdict}[/]"
    if found.differences:
        shown = table("", "differs in", "A", "B")
        for difference in found.differences:
            shown.add_row(difference.name, difference.first, difference.second)
        yield shown
    for caveat in found.caveats:
        yield f"• {caveat}"


def machine(report: dict[str, Any]) -> Iterator[Printable]:
    """What this machine is and what it can do."""
    shown = table("", "this machine", "")
    for name in _MACHINE_FACTS:
        if report[name] is not None:
            shown.add_row(name.replace("_", " "), str(report[name]))
    shown.add_row("targets", ", ".join(report["targets"]))
    shown.add_row("measured by default", ", ".join(f"{o['runtime']} {o['precision']}" for o in report["offers"]))
    for name, value in report["environment"].items():
        if value is not None and not isinstance(value, dict):
            shown.add_row(name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    yield shown
    for roof in report["roofs"]:
        yield (
            f"• {roof['precision']}, {roof['threads']} threads: {roof['macs_per_s'] / 1e9:,.1f} GMAC/s, "
            f"{roof['bytes_per_s'] / 1e9:,.1f} GB/s achieved."
        )
    if not report["roofs"]:
        yield "• What it can do at most is measured together with the first model."
