"""One registry of what is measured: label, unit, direction and format of every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Metric:
    """How one quantity is called, in what unit, and which direction is better."""

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    spec: str
    log: bool = False

    def show(self, value: float | None) -> str:
        """The value with its unit, or a dash where it is unknown."""
        if value is None or value != value:
            return "–"
        return f"{value:{self.spec}}{' ' if self.unit and self.unit != '%' else ''}{self.unit}"

    @property
    def title(self) -> str:
        """Label and unit, for an axis or a column head."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("top1", "ImageNet top-1", "%", "higher", ".2f"),
        Metric("real", "ImageNet-ReaL top-1", "%", "higher", ".2f"),
        Metric("v2", "ImageNet-V2 top-1", "%", "higher", ".2f"),
        Metric("a", "ImageNet-A top-1", "%", "higher", ".2f"),
        Metric("r", "ImageNet-R top-1", "%", "higher", ".2f"),
        Metric("sketch", "ImageNet-Sketch top-1", "%", "higher", ".2f"),
        Metric("robust", "Robust mean top-1 (six test sets)", "%", "higher", ".2f"),
        Metric("latency_ms", "Latency of one batch", "ms", "lower", ",.4g", log=True),
        Metric("throughput_per_s", "Throughput", "img/s", "higher", ",.5g", log=True),
        Metric("peak_memory_mb", "Peak memory", "MB", "lower", ",.4g", log=True),
        Metric("params_m", "Parameters", "M", "lower", ",.4g", log=True),
        Metric("gmacs", "MACs", "G", "lower", ",.4g", log=True),
        Metric("acts_m", "Activations", "M", "lower", ",.4g", log=True),
        Metric("file_mb", "Weights file", "MB", "lower", ",.4g", log=True),
        Metric("img_size", "Image size", "px", "lower", ".0f"),
        Metric("batch_size", "Batch size", "", "lower", ".0f"),
    )
}

ACCURACIES: tuple[str, ...] = ("top1", "real", "v2", "a", "r", "sketch", "robust")


def metric(name: str) -> Metric:
    """The metric of that name; UnknownName with close names if there is none."""
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownName("metric", name, METRICS) from None


def percent(share: float) -> str:
    """A share as whole percent, with a decimal below 10 %."""
    shown = 100 * share
    return f"{shown:.1f} %" if 0 < shown < 10 else f"{shown:.0f} %"


def enumerated(words: Sequence[str]) -> str:
    """Words, at least one, with commas and a last 'and'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
