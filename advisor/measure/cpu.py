"""Facts about this machine's CPU: its model, cores, instruction sets, and how many of its cores we may use.

Every function that reads files takes the folder that stands for "/", so that any machine can be made up.
"""

from __future__ import annotations

import functools
import math
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path("/")
# The extensions that decide how fast a network runs, as Linux names them -> as people do. They are part of a machine's
# id: a name more here makes machines that have it other ones.
ISA = {
    "avx2": "avx2", "avx512f": "avx512f", "avx512_vnni": "avx512_vnni", "avx512_bf16": "avx512_bf16",
    "amx_tile": "amx", "amx_bf16": "amx_bf16", "asimd": "neon", "neon": "neon", "sve": "sve", "bf16": "bf16",
    "i8mm": "i8mm",
}  # fmt: skip
_NUMBERS = ("cpu family", "model", "CPU implementer", "CPU part")  # as Linux tells them of x86, and of ARM
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
# what vendors put around a model's name
_NOISE = re.compile(
    r"\((?:r|tm|c)\)|\bcpu\b|\bprocessor\b|\b\d+-core\b|\b\d+th gen\b|@.*$|\bwith radeon .*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """One CPU model as installed here, whatever share of it we may use.

    Attributes:
        brand: The vendor's name without trademarks and clock, e.g. "Intel Core i7-12700H".
        microarchitecture: archspec's name, e.g. "alderlake"; a level such as "x86_64_v4" where a hypervisor
            hides what tells it; None where unknown.
        isa: Extensions of `ISA` that are there, in its order.
        model: The vendor's numbers for it, e.g. "6.207": what tells apart the CPUs of a cloud, whose hypervisor calls
            all of them "Intel Xeon Processor"; None where Linux does not tell them.
    """

    brand: str
    vendor: str
    microarchitecture: str | None
    isa: tuple[str, ...]
    physical_cores: int
    logical_cores: int
    model: str | None = None


def read_text(path: Path) -> str | None:
    """The text of a small file of /proc or /sys without white space around it; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


@functools.lru_cache(maxsize=4)
def cpu(root: Path = ROOT) -> Cpu:
    """The CPU of this machine."""
    import archspec.cpu  # 30 ms that a process which only times need not spend
    import archspec.cpu.detect

    host, raw = archspec.cpu.host(), archspec.cpu.detect.detected_info()
    said = _cpuinfo(root)
    flags = set((said.get("flags") or said.get("Features") or "").split()) or set(raw.features)
    brand = said.get("model name") or archspec.cpu.brand_string() or _board(root) or said.get("Hardware") or host.name
    vendor = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}.get(raw.vendor, raw.vendor)
    logical = os.cpu_count() or 1
    return Cpu(
        brand=clean_brand(brand),
        vendor=vendor if vendor != "generic" else "",
        microarchitecture=host.name or None,
        isa=tuple(dict.fromkeys(shown for flag, shown in ISA.items() if flag in flags)),
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cores=logical,
        model=".".join(said[name] for name in _NUMBERS if said.get(name)) or None,
    )


def clean_brand(brand: str) -> str:
    """A brand string without trademarks, clock and filler: "Intel(R) Xeon(R) CPU @ 2.20GHz" is "Intel Xeon"."""
    return " ".join(_NOISE.sub(" ", brand.replace("\0", " ")).split()) or "CPU"


def has_native_bf16(isa: tuple[str, ...]) -> bool:
    """Whether products of bfloat16 are instructions of the CPU, not emulated by fp32."""
    return any(name in _BF16 for name in isa)


def has_matrix_units(isa: Iterable[str]) -> bool:
    """Whether the CPU has units that multiply tiles of matrices, of values shorter than fp32."""
    return "amx" in isa


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo."""
    first = (read_text(root / "proc/cpuinfo") or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _board(root: Path) -> str | None:
    """What a device tree calls the board: the only readable name that most ARM machines have."""
    return read_text(root / "proc/device-tree/model")


# -- what we may use of it ---------------------------------------------------------------------------


def affinity() -> frozenset[int]:
    """The logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def usable_threads(*, root: Path = ROOT, allowed: frozenset[int] | None = None) -> int:
    """Threads to compute with: one a physical core that affinity and quota leave us, at least 1.

    Siblings of one core count once, as in PyTorch's own default: both would wait for the same vector units.
    A quota counts whole cores only (1.5 is 1): one thread more would be stopped in every period.
    """
    cores = _physical(affinity() if allowed is None else allowed, root)
    quota = cpu_quota(root=root)
    return max(1, cores if quota is None else min(cores, math.floor(quota)))


def _physical(allowed: frozenset[int], root: Path) -> int:
    siblings = [
        read_text(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list") for number in allowed
    ]
    if any(siblings):
        return len({group or number for number, group in zip(allowed, siblings, strict=True)})
    everything = os.cpu_count() or len(allowed)  # no such files: macOS, Windows
    physical = psutil.cpu_count(logical=False) or everything
    return max(1, round(len(allowed) * physical / everything))


def cpu_quota(*, root: Path = ROOT) -> float | None:
    """Cores' worth of time that control groups grant us (the least of ours and all above it); None without limit."""
    limits = [limit for folder in cgroup_folders(root) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def cgroup_folders(root: Path = ROOT) -> tuple[Path, ...]:
    """The folders of the control groups that ration our CPU time, ours first, of version 2 and 1.

    In a container /proc/self/cgroup may name a path of the host that is not mounted; the mount itself is ours then.
    """
    mount = root / "sys/fs/cgroup"
    found: list[Path] = []
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, inside = rest.partition(":")
        if not controllers:
            bases = [mount, mount / "unified"]
        elif "cpu" in controllers.split(","):
            bases = [mount / controllers, mount / "cpu"]
        else:
            continue
        base = next((b for b in bases if (b / "cgroup.procs").exists()), None)
        if base is None:
            continue
        group = base / inside.strip("/")
        if not group.is_dir():
            group = base
        found += [group, *(above for above in group.parents if above.is_relative_to(base))]
    return tuple(dict.fromkeys(found))


def _limit(folder: Path) -> float | None:
    """Quota over period of one control group; None where it sets no limit or says nothing."""
    both = read_text(folder / "cpu.max")
    if both is None:
        both = f"{read_text(folder / 'cpu.cfs_quota_us')} {read_text(folder / 'cpu.cfs_period_us')}"
    quota, _, period = both.partition(" ")
    try:
        limit = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max 100000" in version 2
        return None
    return limit if limit > 0 else None  # -1 in version 1


def governor(*, root: Path = ROOT) -> str | None:
    """How the kernel chooses clocks ("performance", "powersave", ...), of all cores; None where it does not say."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    said = {text for file in files if (text := read_text(file))}
    return ", ".join(sorted(said)) or None


def on_battery(*, root: Path = ROOT) -> bool | None:
    """Whether a laptop runs on its battery; None where there is no power supply to ask."""
    supplies = [
        folder for folder in sorted((root / "sys/class/power_supply").glob("*"))
        if read_text(folder / "type") in ("Mains", "USB")
    ]  # fmt: skip
    online = [text for folder in supplies if (text := read_text(folder / "online")) is not None]
    return "1" not in online if online else None


def architecture() -> str:
    """ "x86_64", "aarch64" (also on macOS and Windows), ..."""
    here = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(here, here)
