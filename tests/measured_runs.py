"""A small history of measurements with every part that a run can have, for the Measure page and its views.

`mobilenetv3_large_100` was timed on four setups (eager 12 ms, ONNX Runtime 4 ms, OpenVINO 3 ms in fp32 and 2 ms in
bf16) while torch.compile failed; `resnet50` twice on eager, 40 ms noisy and then 50 ms steady.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from advisor.measure.run import (
    EndToEnd,
    Features,
    LargestBatch,
    Latency,
    OperatorClass,
    Parity,
    Roof,
    Run,
    Stage,
    Work,
)
from tests.run_data import CURVE, MACHINE, TRAINING, VERSIONS, failed, run

NOISY = "Other processes took 0.70 cores while timing, more than 0.25: close them and measure again."
STEADY = "All checks passed: the interval of the median is ±1.0 % from 120 samples."
WORK = Work(
    macs=220e6,
    bytes=44e6,  # 5 MACs a byte
    operators=(
        OperatorClass("depthwise convolution", 6.0, 0.5, 22e6),
        OperatorClass("pointwise convolution", 4.8, 0.4, 176e6),
        OperatorClass("dense convolution", 0.6, 0.05, 22e6),
        OperatorClass("normalisation and activation", 0.6, 0.05, 0.0),
    ),
    counter="torch 2.15.0",
)
ROOF = Roof("fp32", 2, macs_per_s=100e9, bytes_per_s=10e9)  # 50 GMAC/s at 5 MACs a byte
EVERY_PART: dict[str, Any] = {
    "work": WORK,
    "roof": ROOF,
    "throughput": CURVE,
    "training": TRAINING,
    "largest_batch": LargestBatch(infer=512, train=64, advised_infer=460, advised_train=57, limit="out of memory"),
    "end_to_end": EndToEnd(
        "1920 x 1080 px", (Stage("decode", 6.0, 0.3), Stage("resize", 2.0, 0.1), Stage("forward", 12.0, 0.6)), 20.0
    ),
    "features": Features(480, 640, 30.0, (29.5, 30.5), (4, 8, 16), (24, 40, 112)),
}


def series(p50: float, n: int = 120) -> Latency:
    """`n` times that wave by 2 % around their median, with a slow one now and then."""
    times = tuple(p50 * (1 + 0.02 * math.sin(i * 2.4)) + (p50 * 0.3 if i % 29 == 28 else 0.0) for i in range(n))
    ordered = sorted(times)
    return Latency(
        times_ms=times, block=1, p50=p50, p90=ordered[int(0.9 * n)], p99=ordered[int(0.99 * n)], mad=p50 * 0.013,
        ci95=(p50 * 0.995, p50 * 1.005), cold_start_ms=p50 * 9, settled=True, warmup_passes=12, stopped="precise",
        timer="wall clock",
    )  # fmt: skip


def history(device_id: str = MACHINE["device_id"]) -> list[Run]:
    """The runs, oldest first."""
    common = {"device_id": device_id}
    environment = {"versions": VERSIONS, "cpu": "TestChip", "governor": "performance", "flags": {"mkldnn": True}}
    parity = Parity(max_abs=1e-5, max_rel=1.2e-6, tolerance=1e-3, ok=True)

    def one(run_id: str, p50: float, runtime: str, minute: int, **more: Any) -> Run:
        parts = {"latency": series(p50), "environment": environment, **more.pop("parts", {})}
        steady = more.pop("reasons", ())
        made = run(
            run_id, p50, runtime=runtime, started_at=f"2026-07-01T10:{minute:02d}:00+00:00", reasons=steady,
            parts=parts, **common, **more,
        )  # fmt: skip
        return made if steady else replace(made, verdict_reasons=(STEADY,))

    small: dict[str, Any] = {"architecture": "mobilenetv3_large_100", "job_id": "000002-00000002"}
    compile_failed = failed("run-4", "torch.compile found no C++ compiler.", runtime="pytorch-compile")
    request = replace(compile_failed.request, architecture="mobilenetv3_large_100")
    return [
        one("run-1", 40.0, "pytorch-eager", 1, job_id="000001-00000001", reasons=(NOISY,)),
        one("run-2", 50.0, "pytorch-eager", 2, job_id="000001-00000001"),
        one("run-3", 12.0, "pytorch-eager", 3, parts=EVERY_PART, **small),
        replace(
            compile_failed, request=request, device_id=device_id, job_id="000002-00000002",
            started_at="2026-07-01T10:04:00+00:00",
        ),
        one("run-5", 4.0, "onnxruntime", 5, parts={"parity": parity}, **small),
        one("run-6", 3.0, "openvino", 6, parts={"parity": parity}, **small),
        one(
            "run-7", 2.0, "openvino", 7, precision="auto", precision_used="bf16",
            parts={"parity": replace(parity, max_rel=8e-3, tolerance=0.05)}, **small,
        ),
    ]  # fmt: skip
