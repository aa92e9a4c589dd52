"""Small invented measurements for tests of verdicts and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from advisor.measure.protocol import median_interval
from advisor.measure.request import Request
from advisor.measure.run import Latency, Load, Measured, Memory, Run, Steadiness


def spread(middle_ms: float, share: float, n: int = 200, seed: int = 0) -> list[float]:
    """Independent times around a median with a relative spread."""
    return [float(t) for t in middle_ms * np.exp(share * np.random.default_rng(seed).standard_normal(n))]


def latency(times_ms: Sequence[float], *, settled: bool = True, dropped: int = 0, block: int = 1) -> Latency:
    """The figures of these times, by their definitions."""
    p50, p90 = np.quantile(times_ms, [0.5, 0.9])
    return Latency(
        times_ms=tuple(times_ms),
        block=block,
        p50=float(p50),
        p90=float(p90),
        p99=None,
        mad=float(np.median(np.abs(np.array(times_ms) - p50))),
        ci95=median_interval(times_ms, seed=0),
        cold_start_ms=50.0,
        settled=settled,
        warmup_passes=20,
        stopped="precise",
        timer="wall clock",
        dropped=dropped,
    )


def measured(
    times_ms: Sequence[float],
    *,
    load: Load = Load(other_cores=0.03, steal_share=0.0),  # noqa: B008
    threads: int = 2,
    environment: dict[str, Any] | None = None,
    precision: str = "fp32",
    settled: bool = True,
    dropped: int = 0,
) -> Measured:
    """A measurement with these times on a quiet machine of two cores."""
    return Measured(
        img_size=224,
        threads=threads,
        precision_used=precision,
        params=1_000_000,
        latency=latency(times_ms, settled=settled, dropped=dropped),
        memory=Memory(None, None, 100.0, 4.0),
        load=load,
        environment={"physical_cores": 2, "logical_cores": 2} if environment is None else environment,
        seconds={},
    )


def run(
    run_id: str,
    found: Measured | None,
    *,
    verdict: Steadiness = "steady",
    reasons: tuple[str, ...] = (),
    device_id: str = "this",
    reason: str = "",
    **request: Any,
) -> Run:
    """A stored run of resnet50, unless the request says otherwise."""
    return Run(
        run_id=run_id,
        job_id="job",
        sweep_id="",
        status="failed" if found is None else "ok",
        reason=reason,
        device_id=device_id,
        request=Request(**{"architecture": "resnet50"} | request),
        started_at="2026-01-01T00:00:00+00:00",
        seconds=5.0,
        verdict=None if found is None else verdict,
        verdict_reasons=reasons,
        measured=found,
    )
