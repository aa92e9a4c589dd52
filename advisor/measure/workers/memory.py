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

    def __init__(self, target: str, *, in_torch: bool = True) -> None:
        self._target, self._in_torch = target, in_torch
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
        if self.on_cuda:
            torch.cuda.reset_peak_memory_stats(self._target)

    def peaks(self, weights_file_mb: float) -> Memory:
        """The peaks since `reset`."""
        allocated, reserved = self._of_the_gpu()
        return Memory(
            peak_allocated_mb=None if allocated is None else allocated / 1e6,
            peak_reserved_mb=None if reserved is None else reserved / 1e6,
            peak_rss_mb=max(0.0, (_peak_rss_bytes(self._resettable) - self._baseline) / 1e6),
            weights_file_mb=weights_file_mb,
        )

    @property
    def on_cuda(self) -> bool:
        """Whether PyTorch's allocator has something to say: other runtimes have one of their own."""
        here = self._in_torch and self._target.startswith("cuda")
        return here and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]

    def note(self) -> str | None:
        """What a reader must know of the figures, in one sentence, if anything."""
        if self._target.startswith("cuda") and not self.on_cuda:
            return "Peak memory of the GPU is not known: this runtime's allocator is not PyTorch's, and keeps no peak."
        if self._target == "mps":
            return "Memory of Apple's GPU is what was held after timing: its driver keeps no peak."
        return None

    def _of_the_gpu(self) -> tuple[int | None, int | None]:
        """Bytes allocated and reserved at the peak; on Apple's GPU those of now. None where nobody counts them."""
        if self.on_cuda:
            return torch.cuda.max_memory_allocated(self._target), torch.cuda.max_memory_reserved(self._target)
        if self._target == "mps" and self._in_torch:
            return torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
        return None, None

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
