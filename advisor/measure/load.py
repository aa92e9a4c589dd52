"""How busy the machine is beside ourselves: CPU time of others, time the hypervisor withheld, throttling."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from advisor.measure import gpu
from advisor.measure.cpu import ROOT, affinity, cgroup_folders, read_text
from advisor.measure.run import Load

_HELD_SHARE = 0.01  # of the time: less of a GPU's clock held down is not worth a word


@dataclass(frozen=True, slots=True)
class _Reading:
    """Counters at one moment, in seconds unless named otherwise."""

    at: float
    busy: float
    steal: float
    total: float
    own: float
    hot_events: int
    quota_stopped: float | None
    gpu_held_ns: dict[str, int]


class LoadMeter:
    """What disturbed a measurement between `start` and `stop`.

    One reading takes well under a millisecond: counters of the kernel, no list of all processes. CPU time of
    the whole machine is counted in ticks (10 ms), so windows below about a second are coarse.

    Args:
        target: Also watch this GPU when it is "cuda:N".
        root: What stands for "/".
        cpu_times: CPU time of the whole machine, as `psutil.cpu_times` gives it.
        own_cpu_s: CPU time of this process and all it has started.
        clock: Seconds, monotonic.
        library: NVML, opened here when not given and the target is a GPU.
    """

    def __init__(
        self,
        target: str = "cpu",
        *,
        root: Path = ROOT,
        cpu_times: Callable[[], Any] = psutil.cpu_times,
        own_cpu_s: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        library: gpu.Nvml | None = None,
    ) -> None:
        self._cpu_times, self._clock = cpu_times, clock
        self._own_cpu_s = own_cpu_s or (lambda: own_cpu_s_of(os.getpid(), root))
        self._hot_files = _throttle_files(root)
        self._groups = cgroup_folders(root)
        self._library = library or (gpu.nvml() if target.startswith("cuda") else None)
        wanted = int(target.partition(":")[2] or 0)
        on_gpu = gpu.gpus(self._library) if target.startswith("cuda") else []
        self._gpu = next((g for g in on_gpu if g.index == wanted), None)
        self._began: _Reading | None = None

    def start(self) -> None:
        """Begin a window; a second call begins anew."""
        self._began = self._read()

    def stop(self) -> Load:
        """The load since `start`."""
        began, now = self._began, self._read()
        if began is None:
            raise ValueError("LoadMeter.stop() without start()")
        passed = now.at - began.at
        spent = (now.busy - began.busy) - (now.own - began.own)
        total = now.total - began.total
        return Load(
            other_cores=max(0.0, spent / passed) if passed > 0 else 0.0,
            steal_share=max(0.0, (now.steal - began.steal) / total) if total > 0 else 0.0,
            throttled="; ".join(self._throttled(began, now)),
        )

    def _throttled(self, began: _Reading, now: _Reading) -> list[str]:
        passed = now.at - began.at
        words: list[str] = []
        if (events := now.hot_events - began.hot_events) > 0:
            words.append(f"the CPU slowed down for heat {events} time{'s' if events > 1 else ''}")
        if began.quota_stopped is not None and now.quota_stopped is not None:
            stopped = now.quota_stopped - began.quota_stopped
            if stopped > 0:
                words.append(f"the control group's CPU quota stopped us for {stopped:.2f} s")
        held = {
            reason: (ns - began.gpu_held_ns.get(reason, ns)) / 1e9 / passed
            for reason, ns in now.gpu_held_ns.items()
            if passed > 0
        }
        words += [
            f"the GPU's clock was held down {share:.0%} of the time: {reason}".replace("%", " %", 1)
            for reason, share in held.items()
            if share >= _HELD_SHARE
        ]
        if not held and self._library is not None and self._gpu is not None:
            reasons = gpu.throttle_reasons(self._library, self._gpu)
            words += [f"the GPU's clock is held down: {reason}" for reason in reasons or ()]
        return words

    def _read(self) -> _Reading:
        times = self._cpu_times()._asdict()
        # Linux counts guests in user and nice already
        steal = times.get("steal", 0.0)
        total = sum(value for name, value in times.items() if name not in ("guest", "guest_nice"))
        busy = total - steal - times.get("idle", 0.0) - times.get("iowait", 0.0)
        held = gpu.held_down_ns(self._library, self._gpu) if self._library and self._gpu else {}
        return _Reading(
            at=self._clock(), busy=busy, steal=steal, total=total, own=self._own_cpu_s(),
            hot_events=sum(_count(file) for file in self._hot_files),
            quota_stopped=_quota_stopped_s(self._groups), gpu_held_ns=held,
        )  # fmt: skip


def busy(
    window_s: float,
    target: str = "cpu",
    *,
    meter: LoadMeter | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Load:
    """The load beside ourselves over a window, which this call waits for."""
    meter = meter or LoadMeter(target)
    meter.start()
    sleep(window_s)
    return meter.stop()


def own_cpu_s_of(pid: int, root: Path = ROOT) -> float:
    """CPU seconds of this process, of the children it has waited for, and of all descendants alive.

    Only processes with ids given after ours are looked at, as those we started have: reading all of them would take
    longer than the rest.
    """
    reaped = os.times()
    seconds = time.process_time() + reaped.children_user + reaped.children_system
    try:
        ids = sorted(int(name) for name in os.listdir(root / "proc") if name.isdigit())  # noqa: PTH208
    except OSError:  # no /proc: macOS, Windows
        return seconds
    newest = _newest_id(root)
    wrapped = [number for number in ids if number <= newest] if newest < pid else []
    family = {pid}
    for number in [*(number for number in ids if number > pid), *wrapped]:
        fields = (read_text(root / f"proc/{number}/stat") or "").rpartition(")")[2].split()
        # after the name: state, ppid, ... utime, stime, cutime, cstime as 12th to 15th (proc_pid_stat(5))
        if len(fields) > 14 and int(fields[1]) in family:
            family.add(number)
            seconds += sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return seconds


def _newest_id(root: Path) -> int:
    """The process id that was given last: below our own where ids have started again from 1 (proc_loadavg(5))."""
    last = (read_text(root / "proc/loadavg") or "").rpartition(" ")[2].strip()
    return int(last) if last.isdigit() else 2**31


def own_processes(root: Path = ROOT) -> frozenset[int]:
    """The ids of this process and its descendants."""
    me = psutil.Process()
    return frozenset({me.pid, *(child.pid for child in me.children(recursive=True))})


def _throttle_files(root: Path) -> tuple[Path, ...]:
    """The kernel's counters of thermal throttling (x86): of the cores we may use and of one core a package."""
    folder = root / "sys/devices/system/cpu"
    ours = [folder / f"cpu{number}" for number in sorted(affinity())]
    files = [cpu / "thermal_throttle/core_throttle_count" for cpu in ours]
    packages = {read_text(cpu / "topology/physical_package_id"): cpu for cpu in reversed(ours)}
    files += [cpu / "thermal_throttle/package_throttle_count" for cpu in packages.values()]
    return tuple(file for file in files if file.exists())


def _count(file: Path) -> int:
    text = read_text(file) or ""
    return int(text) if text.isdigit() else 0


def _quota_stopped_s(folders: tuple[Path, ...]) -> float | None:
    """Seconds that quotas have stopped our control groups, over all of them; None where there is none."""
    found: list[float] = []
    for folder in folders:
        pairs = dict(
            line.split() for line in (read_text(folder / "cpu.stat") or "").splitlines() if len(line.split()) == 2
        )
        if "throttled_usec" in pairs:  # version 2
            found.append(int(pairs["throttled_usec"]) / 1e6)
        elif "throttled_time" in pairs:
            found.append(int(pairs["throttled_time"]) / 1e9)
    return sum(found) if found else None
