"""NVIDIA GPUs of this machine by NVML. No driver is the normal case: everything here then says "no GPU"."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MIB = 2**20
# bits of NVML's clocks event reasons that make a timing worthless or slower (nvml.h)
_SLOW = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "too hot (driver)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU that CUDA programs here see.

    Attributes:
        index: N of "cuda:N".
        handle: NVML's handle.
        capability: CUDA compute capability, e.g. (9, 0); None where the driver does not say.
    """

    index: int
    handle: Any
    name: str
    memory_bytes: int | None
    capability: tuple[int, int] | None


class Nvml:
    """NVML, initialised; every question may be refused, and the answer is None then."""

    def __init__(self, library: Any) -> None:
        self.library = library

    def ask(self, function: str, *arguments: Any) -> Any | None:
        """The answer of one of NVML's functions; None where this library, driver or GPU does not give it."""
        try:
            answer = getattr(self.library, function)(*arguments)
        except (AttributeError, self.library.NVMLError):
            return None
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def nvml() -> Nvml | None:
    """NVML, or None where there is no driver or it cannot be talked to; opened once a process."""
    return _opened(os.getpid())


@functools.lru_cache(maxsize=1)
def _opened(_pid: int) -> Nvml | None:
    """Anew after a fork, which NVML does not promise to survive."""
    try:
        import pynvml  # 70 ms, and of no use without a driver
    except (ImportError, OSError):
        return None
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return Nvml(pynvml)
    return None


def gpus(library: Nvml | None, *, environ: Mapping[str, str] = os.environ) -> list[Gpu]:
    """The GPUs that CUDA programs see, in the order that CUDA_DEVICE_ORDER=PCI_BUS_ID gives them."""
    if library is None:
        return []
    count = library.ask("nvmlDeviceGetCount") or 0
    handles = [handle for i in range(count) if (handle := library.ask("nvmlDeviceGetHandleByIndex", i)) is not None]
    return [_described(library, i, handle) for i, handle in enumerate(_visible(library, handles, environ))]


def _visible(library: Nvml, handles: Sequence[Any], environ: Mapping[str, str]) -> list[Any]:
    """What CUDA_VISIBLE_DEVICES leaves: numbers or starts of UUIDs; the first that names nothing ends the list."""
    asked = environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return list(handles)
    uuids = [str(library.ask("nvmlDeviceGetUUID", handle)) for handle in handles]
    found: list[Any] = []
    for name in (part.strip() for part in asked.split(",")):
        if name.isdigit() and int(name) < len(handles):
            found.append(handles[int(name)])
            continue
        named = [handle for handle, uuid in zip(handles, uuids, strict=True) if name and uuid.startswith(name)]
        if len(named) != 1:
            break
        found += named
    return found


def _described(library: Nvml, index: int, handle: Any) -> Gpu:
    memory = library.ask("nvmlDeviceGetMemoryInfo", handle)
    capability = library.ask("nvmlDeviceGetCudaComputeCapability", handle)
    return Gpu(
        index=index,
        handle=handle,
        name=str(library.ask("nvmlDeviceGetName", handle) or "NVIDIA GPU"),
        memory_bytes=None if memory is None else int(memory.total),
        capability=None if capability is None else (int(capability[0]), int(capability[1])),
    )


def state(library: Nvml, gpu: Gpu, *, own: frozenset[int] = frozenset(), root: Path = Path("/")) -> dict[str, Any]:
    """What the GPU does now, plain JSON values, None where it does not say.

    Args:
        own: Process ids that are ours.
        root: What stands for "/"; its proc/ tells which processes this system knows.
    """
    memory = library.ask("nvmlDeviceGetMemoryInfo", gpu.handle)
    cuda = library.ask("nvmlSystemGetCudaDriverVersion_v2")
    power, cap = (library.ask(f"nvmlDeviceGet{what}", gpu.handle) for what in ("PowerUsage", "EnforcedPowerLimit"))
    reasons = throttle_reasons(library, gpu)
    return {
        "name": gpu.name,
        "capability": None if gpu.capability is None else "{}.{}".format(*gpu.capability),
        "memory_total_mb": None if memory is None else memory.total / 1e6,
        "memory_used_mb": None if memory is None else memory.used / 1e6,
        "driver": library.ask("nvmlSystemGetDriverVersion"),
        "cuda": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        "clock_mhz": library.ask("nvmlDeviceGetClockInfo", gpu.handle, 1),  # NVML_CLOCK_SM
        "max_clock_mhz": library.ask("nvmlDeviceGetMaxClockInfo", gpu.handle, 1),
        "memory_clock_mhz": library.ask("nvmlDeviceGetClockInfo", gpu.handle, 2),  # NVML_CLOCK_MEM
        "temperature_c": library.ask("nvmlDeviceGetTemperature", gpu.handle, 0),  # NVML_TEMPERATURE_GPU
        "power_w": None if power is None else power / 1000,
        "power_cap_w": None if cap is None else cap / 1000,
        "throttle_reasons": None if reasons is None else list(reasons),
        "other_processes": _others(library, gpu, own, root),
    }


def _others(library: Nvml, gpu: Gpu, own: frozenset[int], root: Path) -> int | None:
    """Processes other than ours that compute on the GPU.

    In a container NVML names processes by the host's ids, our own among them. So one id that this system does
    not know is taken for ours unless ours is listed.
    """
    running = library.ask("nvmlDeviceGetComputeRunningProcesses", gpu.handle)
    if running is None:
        return None
    listed = {int(process.pid) for process in running}
    strange = {pid for pid in listed - own if not (root / f"proc/{pid}").exists()}
    return len(listed - own) - (1 if strange and not listed & own else 0)


def throttle_reasons(library: Nvml, gpu: Gpu) -> tuple[str, ...] | None:
    """Why the GPU's clock is held down right now, in words, empty when it is not; None where it does not say."""
    bits = library.ask("nvmlDeviceGetCurrentClocksEventReasons", gpu.handle)
    if bits is None:
        bits = library.ask("nvmlDeviceGetCurrentClocksThrottleReasons", gpu.handle)  # drivers before 535
    return None if bits is None else tuple(words for bit, words in _SLOW.items() if bits & bit)


def held_down_ns(library: Nvml, gpu: Gpu) -> dict[str, int]:
    """Time since the driver was loaded that the clock was held down, by reason, in ns; empty if it does not say."""
    found: dict[str, int] = {}
    for policy, words in ((0, "power cap"), (1, "too hot")):  # NVML_PERF_POLICY_POWER, _THERMAL
        violation = library.ask("nvmlDeviceGetViolationStatus", gpu.handle, policy)
        if violation is not None:
            found[words] = int(violation.violationTime)
    return found
