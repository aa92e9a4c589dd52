"""The tidy columns of the results files: published, imported and exported results share them."""

from __future__ import annotations

_ORIGIN = ("source_id", "source_file", "model", "architecture", "tag")

# kind -> columns, in file order; empty text means "not stated"
COLUMNS: dict[str, tuple[str, ...]] = {
    "speed": (
        *_ORIGIN, "device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout",
        "batch_size", "img_size", "throughput_per_s", "latency_ms", "peak_memory_mb", "suspect", "note",
    ),
    "accuracy": (
        *_ORIGIN, "dataset", "metric", "value", "img_size", "crop_pct", "interpolation", "protocol",
        "suspect", "note",
    ),
    "complexity": (*_ORIGIN, "metric", "value", "unit", "img_size", "suspect", "note"),
    "training_cost": (*_ORIGIN, "device_id", "dataset", "metric", "value", "unit", "suspect", "note"),
}  # fmt: skip

KINDS: tuple[str, ...] = tuple(COLUMNS)
