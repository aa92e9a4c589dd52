"""Measurements as plain data: the one place that decides the names and order of their JSON fields."""

from __future__ import annotations

from typing import Any

from advisor.answer_json import plain
from advisor.measure import lines
from advisor.measure.comparison import Comparison
from advisor.measure.run import Measured, Run

# parts that stand in the JSON as the store keeps them, null where they were not asked for
_PARTS = ("throughput", "training", "largest_batch", "end_to_end", "features", "work")


def run(one: Run) -> dict[str, Any]:
    """A run without its raw times; every figure is null where the run has none."""
    asked, found = one.request, one.measured
    return {
        "run_id": one.run_id,
        "status": one.status,
        "reason": one.reason or None,
        "architecture": asked.architecture,
        "device_id": one.device_id,
        "runtime": asked.runtime,
        "precision": found.precision_used if found else asked.precision,
        "precision_asked": asked.precision,
        "layout": asked.layout,
        "batch_size": asked.batch_size,
        "img_size": found.img_size if found else asked.img_size,
        "threads": found.threads if found else asked.threads,
        **_figures(found),
        "throughput_per_s": one.throughput_per_s,
        "peak_memory_mb": one.peak_memory_mb,
        "verdict": one.verdict,
        "verdict_reasons": list(one.verdict_reasons),
        "parity": lines.plain(found.parity) if found else None,
        "roof_fraction": one.roof_fraction,
        "environment": plain(found.environment) if found else None,
        "evidence": "measured" if found else None,
        "started_at": one.started_at,
        "seconds": one.seconds,
        "phase_seconds": plain(found.seconds) if found else None,
        "job_id": one.job_id,
        "sweep_id": one.sweep_id or None,
        "notes": list(found.notes) if found else [],
        **{part: _part(found, part) for part in _PARTS},
    }


def _figures(found: Measured | None) -> dict[str, Any]:
    if found is None:
        return {"latency_ms": None, "n_samples": None, "cold_start_ms": None, "weights_file_mb": None}
    timed = found.latency
    return {
        "latency_ms": {
            "p50": timed.p50, "p90": timed.p90, "p99": timed.p99, "mad": timed.mad, "ci95": list(timed.ci95),
        },
        "n_samples": timed.n_samples,
        "cold_start_ms": timed.cold_start_ms,
        "weights_file_mb": found.memory.weights_file_mb,
    }  # fmt: skip


def _part(found: Measured | None, name: str) -> Any:
    part = None if found is None else getattr(found, name)
    if part is None:
        return None
    values = lines.plain(part)
    for name in ("times_ms", "pulses", "timed"):  # stand in the store, raw times in the page's download too
        values.pop(name, None)
    return values


def comparison(found: Comparison) -> dict[str, Any]:
    """Two runs compared, as plain data."""
    return lines.plain(found)  # type: ignore[no-any-return]
