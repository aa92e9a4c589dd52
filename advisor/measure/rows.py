"""A finished run as rows of the store's speed table. Pure: what the advice reads, with the conditions it was under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from advisor.evidence.schema import COLUMNS, NUMBERS, WHOLE_NUMBERS
from advisor.measure.run import Measured, Run

SOURCE_ID = "own-measurement"
NOISY = "noisy: "  # how the note of a noisy run begins; the store's views know it by that

# packages that decide a speed, by runtime; of those in one group the installed one
_TORCH = (("torch",), ("timm",))
_SOFTWARE: dict[str, tuple[tuple[str, ...], ...]] = {
    "pytorch-eager": _TORCH,
    "pytorch-compile": _TORCH,
    "onnxruntime": (*_TORCH, ("onnxruntime", "onnxruntime-gpu")),
    "openvino": (*_TORCH, ("openvino",)),
}


def speed_rows(run: Run) -> pd.DataFrame:
    """The speeds of a run: its latency, the other batch sizes of its sweep, its training step.

    Throughput is that of the median: batch size x 1000 / p50. Nothing of a run that failed.

    Returns:
        The columns of `evidence.schema.COLUMNS["speed"]`, typed as `evidence.schema.typed` does, and `evidence`.
        `source_file` is the run's id, by which the store finds its verdict and interval.
    """
    found, batch_size = run.measured, run.request.batch_size
    rows: list[dict[str, Any]] = []
    if found is not None:
        here = _conditions(run, found)
        p50 = found.latency.p50
        rows.append(here | _speed("infer", batch_size, p50) | {"peak_memory_mb": run.peak_memory_mb})
        curve = found.throughput.curve if found.throughput else ()
        rows += [here | _speed("infer", p.batch_size, p.latency_ms) for p in curve if p.batch_size != batch_size]
        if (step := found.training) is not None:
            trained = {"precision": step.precision, "peak_memory_mb": step.peak_memory_mb}
            rows.append(here | _speed("train", step.batch_size, step.step_ms) | trained)
    frame = pd.DataFrame(rows, columns=[*COLUMNS["speed"], "evidence"])
    numbers = [c for c in (*WHOLE_NUMBERS, *NUMBERS) if c in frame]
    return frame.astype(dict.fromkeys(numbers, "float64") | {"suspect": "bool"})


def _speed(task: str, batch_size: int, latency_ms: float) -> dict[str, Any]:
    throughput = batch_size * 1000 / latency_ms
    return {"task": task, "batch_size": batch_size, "latency_ms": latency_ms, "throughput_per_s": throughput}


def _conditions(run: Run, found: Measured) -> dict[str, Any]:
    """What all rows of a run share; `unit` is empty because each CPU and GPU is a device of its own."""
    request = run.request
    noisy = run.verdict == "noisy"
    return {
        "source_id": SOURCE_ID, "source_file": run.run_id, "model": request.architecture,
        "architecture": request.architecture, "tag": "", "device_id": run.device_id, "runtime": request.runtime,
        "software": software(request.runtime, found.environment), "threads": str(found.threads), "unit": "",
        "precision": found.precision_used, "layout": request.layout, "img_size": found.img_size, "suspect": False,
        "note": NOISY + " ".join(run.verdict_reasons) if noisy else "", "evidence": "measured",
    }  # fmt: skip


def software(runtime: str, environment: Mapping[str, Any]) -> str:
    """What is behind a runtime's speed, with versions: 'torch 2.15.0, timm 1.0.31, CUDA 13.0' on a GPU."""
    versions = environment.get("versions") or {}
    named = [next((p for p in group if versions.get(p)), None) for group in _SOFTWARE[runtime]]
    cuda = (environment.get("runtime") or {}).get("cuda")
    return ", ".join([*(f"{name} {versions[name]}" for name in named if name), *([f"CUDA {cuda}"] if cuda else [])])
