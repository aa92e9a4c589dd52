"""Finished runs with round figures, as a worker and the jobs would make them."""

from __future__ import annotations

from typing import Any

from advisor.evidence.store import Store
from advisor.measure.lines import plain
from advisor.measure.request import Request
from advisor.measure.rows import speed_rows
from advisor.measure.run import BatchPoint, Latency, Load, Measured, Memory, Run, Throughput, Training

MACHINE: dict[str, Any] = {
    "device_id": "testchip-2c-8gb-abc123", "name": "TestChip, 2 cores", "kind": "cpu", "vendor": "Test",
    "memory_gb": 8.0, "details": {"isa": ["avx2"]},
}  # fmt: skip
VERSIONS = {"torch": "2.15.0", "timm": "1.0.31", "onnxruntime": "1.31.0", "openvino": "2026.4.0"}


def latency(p50: float, *, half_width: float = 0.01) -> Latency:
    """Three times around a median, with an interval of the median of +- `half_width` of it."""
    return Latency(
        times_ms=(p50 * 0.99, p50, p50 * 1.25), block=1, p50=p50, p90=p50 * 1.2, p99=None, mad=p50 / 100,
        ci95=(p50 * (1 - half_width), p50 * (1 + half_width)), cold_start_ms=p50 * 10, settled=True,
        warmup_passes=5, stopped="precise", timer="wall clock",
    )  # fmt: skip


def run(
    run_id: str,
    p50: float = 10.0,
    *,
    architecture: str = "resnet50",
    img_size: int = 224,
    reasons: tuple[str, ...] = (),
    job_id: str = "job-1",
    sweep_id: str = "",
    started_at: str = "2026-07-01T10:00:00+00:00",
    half_width: float = 0.01,
    precision_used: str | None = None,
    device_id: str = MACHINE["device_id"],
    parts: dict[str, Any] | None = None,
    **asked: Any,
) -> Run:
    """A run that succeeded: noisy where there are `reasons`, otherwise steady; `parts` are fields of `Measured`."""
    request = Request(architecture=architecture, **asked)
    fields: dict[str, Any] = {
        "img_size": img_size, "threads": request.threads or 2, "precision_used": precision_used or request.precision,
        "params": 25_600_000, "latency": latency(p50, half_width=half_width),
        "memory": Memory(peak_allocated_mb=None, peak_reserved_mb=None, peak_rss_mb=150.0, weights_file_mb=102.0),
        "load": Load(other_cores=0.0, steal_share=0.0), "environment": {"versions": VERSIONS}, "seconds": {"time": 1.0},
    }  # fmt: skip
    return Run(
        run_id=run_id, job_id=job_id, sweep_id=sweep_id, status="ok", reason="", device_id=device_id, request=request,
        started_at=started_at, seconds=3.5, verdict="noisy" if reasons else "steady", verdict_reasons=reasons,
        measured=Measured(**(fields | (parts or {}))),
    )  # fmt: skip


def failed(run_id: str, reason: str = "It ran out of memory.", **asked: Any) -> Run:
    """A run that failed."""
    return Run(
        run_id=run_id, job_id="job-1", sweep_id="", status="failed", reason=reason, device_id=MACHINE["device_id"],
        request=Request(architecture="resnet50", **asked), started_at="2026-07-01T11:00:00+00:00", seconds=1.0,
    )  # fmt: skip


CURVE = Throughput(
    curve=(
        BatchPoint(batch_size=1, throughput_per_s=100.0, latency_ms=10.0, n_samples=30),
        BatchPoint(batch_size=4, throughput_per_s=200.0, latency_ms=20.0, n_samples=30),
    ),
    best_batch_size=4,
    best_per_s=200.0,
    stopped="no longer rising",
)
TRAINING = Training(
    batch_size=8, precision="amp-bf16", optimiser="sgd", step_ms=400.0, ci95=(396.0, 404.0), throughput_per_s=20.0,
    times_ms=(399.0, 400.0, 401.0), peak_memory_mb=900.0,
)  # fmt: skip


def save(store: Store, *runs: Run, machine: dict[str, Any] = MACHINE) -> int:
    """Save runs as the jobs do; how many were new."""
    return sum(
        store.save_run(plain(one), one.measured.latency.times_ms if one.measured else (), speed_rows(one), machine)
        for one in runs
    )
