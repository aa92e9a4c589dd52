"""In what two setups differ, and how much each difference weighs: a published row against a run of this machine."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from advisor.measure.run import Run

# What a difference between two setups costs at most; the least that is charged is half of it. Powers of three, so
# that a difference above outweighs all those below it together: figures at another size or batch say nothing about
# each other, and another device explains more than another version.
IMG_SIZE = 3.0**7
BATCH_SIZE = 3.0**6
DEVICE = 3.0**5
RUNTIME = 3.0**4
PRECISION = 3.0**3
THREADS = 3.0**2
LAYOUT = 3.0
SOFTWARE = 1.0
_UNKNOWN = 0.5  # share of a weight that a value which is not stated costs
_PRECISION_GROUPS = (
    ("fp32", "float", "tf32"),
    ("fp16", "bf16", "amp-fp16", "amp-bf16"),
    ("int8", "w8a8", "w8a16", "w8a16_mixed_int16", "w8a8_mixed_int16"),
)
_LAYOUTS = {"nchw": "channels first", "nhwc": "channels last"}
_PACKAGES = {"pytorch": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True, slots=True)
class Setup:
    """What two results are compared by; None where it is not stated."""

    kind: str
    hardware: str
    img_size: int | None
    batch_size: int | None
    runtime: str
    precision: str | None
    threads: int | None
    layout: str | None
    software: str | None

    @property
    def words(self) -> str:
        """All that is stated, for people: "Core i7-12700H, pytorch-eager, fp32, 8 threads, torch 2.8"."""
        stated = (
            self.hardware, self.runtime, self.precision,
            f"{self.threads} thread{'s' if self.threads > 1 else ''}" if self.threads else None,
            short_version(self.software) if self.software else None,
            _LAYOUTS.get(self.layout, self.layout) if self.layout else None,
            f"{self.img_size} px" if self.img_size else None,
            f"batch {self.batch_size}" if self.batch_size else None,
        )  # fmt: skip
        return ", ".join(part for part in stated if part)


@dataclass(frozen=True, slots=True)
class Gap:
    """One difference: its cost and its words ("" where there is nothing to say)."""

    cost: float
    words: str


def setup_of(run: Run) -> Setup:
    """The setup of a run that has succeeded, as it was really used."""
    found = run.measured
    assert found is not None
    on_cpu = run.request.target == "cpu"
    gpu = found.environment.get("gpu") or {}
    package = _PACKAGES.get(run.request.runtime.partition("-")[0], "")
    version = (found.environment.get("versions") or {}).get(package)
    return Setup(
        kind="cpu" if on_cpu else "gpu",
        hardware=str((found.environment.get("cpu") if on_cpu else gpu.get("name")) or "this machine"),
        img_size=found.img_size,
        batch_size=run.request.batch_size,
        runtime=run.request.runtime,
        precision=found.precision_used,
        threads=found.threads if on_cpu else None,
        layout=run.request.layout,
        software=f"{package} {version}" if version else None,
    )


def setup_in(row: Mapping[Hashable, Any], device: Mapping[Hashable, Any]) -> Setup:
    """The setup of a speed row; `device` holds the name and kind of its device.

    Boards and phones are of kinds of their own: their rows say in `unit`, or at the end of the device's id, which
    part of them ran.
    """
    device_id, unit = str(row["device_id"]), str(row["unit"] or "").upper()
    kind = str(device.get("kind", ""))
    if unit == "CPU" or (not unit and (kind == "cpu" or device_id.endswith("-cpu"))):
        kind = "cpu"
    elif unit == "GPU" or (not unit and (kind in ("gpu", "edge_gpu") or device_id.endswith("-gpu"))):
        kind = "gpu"
    threads = str(row["threads"] or "")
    return Setup(
        kind=kind,
        hardware=str(device.get("name", device_id)),
        img_size=_whole(row["img_size"]),
        batch_size=_whole(row["batch_size"]),
        runtime=str(row["runtime"]),
        precision=str(row["precision"] or "") or None,
        threads=int(threads) if threads.isdigit() else None,
        layout=str(row["layout"] or "") or None,
        software=str(row["software"] or "").partition(",")[0] or None,
    )


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def gaps(theirs: Setup, ours: Setup, *, batch_sizes: tuple[int, ...] = ()) -> list[Gap]:
    """What each part of the setup costs, what matters most first; `batch_sizes` are those we have measured too."""
    batch = theirs.batch_size
    return [
        _number(IMG_SIZE, "image size", theirs.img_size, ours.img_size, " px"),
        _number(BATCH_SIZE, "batch", batch, batch if batch in batch_sizes else ours.batch_size),
        _hardware(theirs, ours),
        _runtime(theirs.runtime, ours.runtime),
        _precision(theirs.precision, ours.precision),
        _number(THREADS, "threads", theirs.threads, ours.threads),
        _named(LAYOUT, "layout", _layout(theirs.layout), _layout(ours.layout)),
        _software(theirs, ours),
    ]


def _number(weight: float, what: str, there: int | None, here: int | None, unit: str = "") -> Gap:
    """The further apart, the dearer: half of the weight at once, the rest over four doublings."""
    if there == here or here is None:
        return Gap(0.0, "")
    if there is None:
        return Gap(weight * _UNKNOWN, f"{what} not stated there ({here}{unit} here)")
    doublings = min(4.0, abs(math.log2(there / here)))
    return Gap(weight * (0.5 + doublings / 8), f"{what} {there} → {here}{unit}")


def _named(weight: float, what: str, there: str | None, here: str | None) -> Gap:
    if there == here or here is None:
        return Gap(0.0, "")
    if there is None:
        return Gap(weight * _UNKNOWN, f"{what} not stated there ({here} here)")
    return Gap(weight, f"{there} → {here}")


def _layout(layout: str | None) -> str | None:
    return _LAYOUTS.get(layout, layout) if layout else None


def _hardware(theirs: Setup, ours: Setup) -> Gap:
    """Nothing where one name holds the other; a name without a digit ("AMD EPYC") is a brand, not a model."""
    there, here = _bare(theirs.hardware), _bare(ours.hardware)
    shorter, longer = sorted((there, here), key=len)
    if any(c.isdigit() for c in shorter) and f" {shorter} " in f" {longer} ":
        return Gap(0.0, "")
    return Gap(DEVICE, "CPU" if ours.kind == "cpu" else "GPU")


def _bare(name: str) -> str:
    """A device's name for comparing: "NVIDIA GeForce RTX 4090" holds "GeForce RTX 4090"."""
    return " ".join(re.sub(r"[^a-z0-9.-]+", " ", name.lower()).split())


def _runtime(there: str, here: str) -> Gap:
    """Two ways of one framework are half as far apart as two frameworks."""
    if there == here or there.startswith(f"{here}-"):
        return Gap(0.0, "")
    related = there.partition("-")[0] == here.partition("-")[0]
    return Gap(RUNTIME * (0.5 if related else 1.0), f"{there} → {here}")


def _precision(there: str | None, here: str | None) -> Gap:
    """Two formats of one width are half as far apart as two widths."""
    if there is not None and any({there, here} <= set(group) for group in _PRECISION_GROUPS) and there != here:
        return Gap(PRECISION / 2, f"{there} → {here}")
    return _named(PRECISION, "precision", there, here)


def _software(theirs: Setup, ours: Setup) -> Gap:
    """Versions of one package: the further apart, the dearer. Versions of two packages say nothing."""
    there, here = theirs.software, ours.software
    if here is None or _runtime(theirs.runtime, ours.runtime).cost > RUNTIME / 2:
        return Gap(0.0, "")
    package, _, version = short_version(here).partition(" ")
    if there is None:
        return Gap(SOFTWARE * _UNKNOWN, f"{package} version not stated there ({version} here)")
    there = short_version(there)
    if there.lower() == f"{package} {version}".lower():
        return Gap(0.0, "")
    apart = abs(_number_of(there) - _number_of(version))
    return Gap(SOFTWARE * (1 - 0.5 ** max(apart, 0.01)), f"{there} → {version}")


def short_version(software: str) -> str:
    """Package with major and minor version: "torch 2.15"."""
    found = re.match(r"(\S+ \d+\.\d+)", software)
    return found[1] if found else software


def _number_of(software: str) -> float:
    """Major and minor version as one number: "torch 2.15" is 2.15, and 2.4 is 2.04."""
    found = re.search(r"(\d+)\.(\d+)", software)
    return int(found[1]) + int(found[2]) / 100 if found else 0.0
