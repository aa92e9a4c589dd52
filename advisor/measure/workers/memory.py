"""How much memory a network takes: peaks of the GPU's allocator and of this process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

import psutil
import torch

from advisor.measure.run import Memory

_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): resets VmHWM to what is resident now


class Meter:
    """Peaks from `reset` to `peaks`; made before anything is built, as all is counted from there."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._baseline = psutil.Process().memory_info().rss
        self._resettable = False

    def reset(self) -> None:
        """Forget the peaks so far, as of converting or compiling, and hand freed memory back to the system."""
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # glibc's alone
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK)
            self._resettable = True
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats(self._target)

    def peaks(self, weights_file_mb: float) -> Memory:
        """The peaks since `reset`."""
        on_gpu = self._on_gpu
        return Memory(
            peak_allocated_mb=torch.cuda.max_memory_allocated(self._target) / 1e6 if on_gpu else None,
            peak_reserved_mb=torch.cuda.max_memory_reserved(self._target) / 1e6 if on_gpu else None,
            peak_rss_mb=max(0.0, (_peak_rss_bytes(self._resettable) - self._baseline) / 1e6),
            weights_file_mb=weights_file_mb,
        )

    @property
    def _on_gpu(self) -> bool:
        """Whether PyTorch's allocator has something to say: other runtimes have one of their own."""
        return self._target.startswith("cuda") and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]

    @property
    def peak_mb(self) -> float:
        """The one figure that counts on this device, since `reset`."""
        found = self.peaks(0.0)
        return found.peak_allocated_mb if found.peak_allocated_mb is not None else found.peak_rss_mb or 0.0


def _peak_rss_bytes(resettable: bool) -> int:
    """Highest resident size since the reset; without one the peak of the process's whole life, on macOS say."""
    if resettable:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere
