"""This machine: what there is to measure on, what it is called in the store, and the state it is in."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from advisor.errors import BadQuestion
from advisor.measure import cpu as cpus
from advisor.measure import gpu as graphics
from advisor.measure.cpu import ROOT, affinity, cpu_quota, governor, on_battery, usable_threads
from advisor.measure.gpu import Gpu, Nvml
from advisor.measure.load import LoadMeter, busy, own_processes

__all__ = [
    "LoadMeter", "Machine", "affinity", "busy", "cpu_quota", "environment", "machine", "native_bf16", "offers",
    "targets", "usable_threads", "versions",
]  # fmt: skip

PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "numpy")
_NATIVE_BF16_CAPABILITY = (8, 0)  # Ampere
_MAX_ID = 80  # characters, as the store's schema allows


@dataclass(frozen=True, slots=True)
class Machine:
    """A CPU or GPU of this machine as a device of the store.

    Attributes:
        device_id: The same after every start and in every process: from hardware facts alone.
        name: For people, e.g. "AMD EPYC (zen4), 2 cores".
        kind: "cpu" or "gpu", as in the list of published devices.
        memory_gb: Installed memory in GiB, rounded to a size that is sold; None where unknown.
        details: The facts behind it, plain JSON values.
    """

    device_id: str
    name: str
    kind: str
    vendor: str
    memory_gb: float | None
    details: dict[str, Any] = field(default_factory=dict)


def targets(*, library: Callable[[], Nvml | None] = graphics.nvml) -> tuple[str, ...]:
    """What can be measured here, as `Request.target` names it; the CPU first."""
    cuda = [f"cuda:{g.index}" for g in graphics.gpus(library())] if _torch_has_cuda() else []
    return ("cpu", *cuda, *(["mps"] if _is_apple_silicon() else []))


def machine(target: str, *, library: Callable[[], Nvml | None] = graphics.nvml) -> Machine:
    """The device of a target.

    Raises:
        BadQuestion: It is not there; lists what is.
    """
    _check(target, library)
    if target == "cpu":
        return cpu_machine(cpus.cpu(), _installed_gb(psutil.virtual_memory().total), cpus.architecture())
    if target == "mps":
        return gpu_machine(f"{cpus.cpu().brand} GPU", "Apple", psutil.virtual_memory().total)
    found = _gpu(target, library())
    return gpu_machine(found.name, "NVIDIA", found.memory_bytes, capability=found.capability)


def cpu_machine(cpu: cpus.Cpu, memory_gb: float, architecture: str) -> Machine:
    """The device that a CPU is. Its microarchitecture is no part of the id: newer archspecs know more of them.

    Its extensions are: clouds call CPUs of many kinds by one name, some with matrix units and some without.
    """
    told = [cpu.microarchitecture, "AMX" if cpus.has_matrix_units(cpu.isa) else None]
    about = f" ({', '.join(filter(None, told))})" if any(told) else ""
    cores = f"{cpu.physical_cores} core{'s' if cpu.physical_cores > 1 else ''}"
    facts = (cpu.brand, cpu.physical_cores, cpu.logical_cores, memory_gb, architecture, cpu.isa, cpu.model)
    return Machine(
        device_id=_device_id(f"{cpu.brand} {cpu.physical_cores}c {memory_gb:g}gb", facts),
        name=f"{cpu.brand}{about}, {cores}",
        kind="cpu",
        vendor=cpu.vendor,
        memory_gb=memory_gb,
        details={
            "cpu": cpu.brand, "microarchitecture": cpu.microarchitecture, "architecture": architecture,
            "physical_cores": cpu.physical_cores, "logical_cores": cpu.logical_cores, "isa": list(cpu.isa),
            "model": cpu.model,
        },
    )  # fmt: skip


def gpu_machine(
    name: str, vendor: str, memory_bytes: int | None, *, capability: tuple[int, int] | None = None
) -> Machine:
    """The device that a GPU is."""
    memory_gb = None if memory_bytes is None else float(round(memory_bytes / 2**30))
    steps = None if memory_bytes is None else _installed_gb(memory_bytes)  # drivers differ in what they keep back
    return Machine(
        device_id=_device_id(name, (name, steps)),
        name=name,
        kind="gpu",
        vendor=vendor,
        memory_gb=memory_gb,
        details={"gpu": name, "capability": None if capability is None else list(capability)},
    )


def _device_id(readable: str, facts: tuple[object, ...]) -> str:
    """Readable part and 6 hex digits of the hash of the facts, in the letters that the store's schema allows."""
    digits = hashlib.sha256(repr(facts).encode()).hexdigest()[:6]
    slug = re.sub(r"[^a-z0-9.]+", "-", readable.lower()).strip("-.") or "device"
    return f"{slug[: _MAX_ID - 7].rstrip('-.')}-{digits}"


def _installed_gb(total_bytes: int) -> float:
    """GiB that are installed where the kernel reports a little less: the nearest of 1, 1.25, 1.5, 1.75 x 2^k."""
    reported = total_bytes / 2**30
    power = 2.0 ** math.floor(math.log2(reported))
    sizes = [power * step for step in (1, 1.25, 1.5, 1.75, 2)]
    return min(sizes, key=lambda size: abs(math.log(size / reported)))


def _check(target: str, library: Callable[[], Nvml | None]) -> None:
    here = targets(library=library)
    if target not in here:
        shown = " ".join(target.split())[:40]
        raise BadQuestion(f"There is no '{shown}' on this machine: choose --device from {', '.join(here)}.")


def _gpu(target: str, library: Nvml | None) -> Gpu:
    return graphics.gpus(library)[int(target.partition(":")[2])]


def _is_apple_silicon() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


@functools.lru_cache(maxsize=1)
def _torch_has_cuda() -> bool:
    """False for a PyTorch that says in its version that it is built for the CPU alone ("2.15.0+cpu")."""
    return not str(versions(("torch",))["torch"]).endswith("+cpu")


# -- what can run on it ------------------------------------------------------------------------------


def native_bf16(target: str, *, library: Callable[[], Nvml | None] = graphics.nvml) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if target == "cpu":
        return cpus.has_native_bf16(cpus.cpu().isa)
    if not target.startswith("cuda"):
        return False
    _check(target, library)
    capability = _gpu(target, library()).capability
    return capability is not None and capability >= _NATIVE_BF16_CAPABILITY


def offers(
    target: str, *, library: Callable[[], Nvml | None] = graphics.nvml, environ: Mapping[str, str] = os.environ
) -> list[tuple[str, str]]:
    """The (runtime, precision) pairs that "every installed runtime" measures on a target, plainest first.

    Nothing is imported: a package counts as installed where it is found.

    Raises:
        BadQuestion: The target is not there.
    """
    _check(target, library)
    found: list[tuple[str, str]] = []
    torch = _is_there("torch")
    bf16 = native_bf16(target, library=library)
    if torch:
        found += [("pytorch-eager", "fp32")]
    if target == "cpu":
        if torch and _has_compiler(environ):
            found += [("pytorch-compile", "fp32")]
        if _is_there("onnxruntime") and _is_there("onnx"):
            found += [("onnxruntime", "fp32")]
        if _is_there("openvino"):
            # by itself OpenVINO computes in bf16 where the CPU can; fp32 compares like with like
            found += [("openvino", "fp32"), *([("openvino", "auto")] if bf16 else [])]
    elif target == "mps":
        found += [("pytorch-eager", "fp16")] if torch else []
    elif torch:
        found += [("pytorch-eager", "amp-fp16"), *([("pytorch-eager", "bf16")] if bf16 else [])]
        if _is_there("triton"):
            found += [("pytorch-compile", "fp32")]
        if versions(("onnxruntime-gpu",))["onnxruntime-gpu"] is not None and _is_there("onnx"):
            found += [("onnxruntime", "fp32")]
    return found


def _is_there(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _has_compiler(environ: Mapping[str, str]) -> bool:
    """Whether there is a C++ compiler, without which torch.compile cannot build its kernels for a CPU."""
    asked = environ.get("CXX")
    return any(shutil.which(name) for name in ([asked] if asked else ["g++", "c++", "clang++", "cl"]))


# -- the state it is in ------------------------------------------------------------------------------


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Installed versions by package, None where it is not installed; nothing is imported."""
    from importlib import metadata  # 20 ms

    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def environment(
    target: str,
    *,
    root: Path = ROOT,
    library: Callable[[], Nvml | None] = graphics.nvml,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Any]:
    """The state of machine and software that a result must be read with: plain JSON values, None where unknown."""
    cpu, memory = cpus.cpu(), psutil.virtual_memory()
    opened = library() if target.startswith("cuda") else None
    gpu = next((g for g in graphics.gpus(opened) if f"cuda:{g.index}" == target), None)
    return {
        "target": target,
        "time_utc": now().isoformat(timespec="seconds"),
        "cpu": cpu.brand,
        "microarchitecture": cpu.microarchitecture,
        "architecture": cpus.architecture(),
        "isa": list(cpu.isa),
        "physical_cores": cpu.physical_cores,
        "logical_cores": cpu.logical_cores,
        "allowed_cpus": len(affinity()),
        "usable_threads": usable_threads(root=root),
        "cpu_quota": cpu_quota(root=root),
        "governor": governor(root=root),
        "on_battery": on_battery(root=root),
        "cpu_clock_mhz": _clock_mhz(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "memory_total_mb": memory.total / 1e6,
        "memory_available_mb": memory.available / 1e6,
        "os": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions(),
        "gpu": None if opened is None or gpu is None else graphics.state(opened, gpu, own=own_processes(), root=root),
    }


def _clock_mhz() -> float | None:
    """The cores' mean clock now; None on machines that do not tell (most ARM boards and containers)."""
    try:
        clock = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):
        return None
    return float(clock.current) if clock is not None and clock.current else None
