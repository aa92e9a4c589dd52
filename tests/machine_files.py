"""A made-up machine: a folder that stands for "/", with the files of /proc and /sys that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from advisor.measure.gpu import Nvml

CPUS = "sys/devices/system/cpu"


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write files by path below `root`; gives `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    return root


class FakeNvml:
    """pynvml as far as it is used: every function answers from `answers`, and refuses what is not there."""

    class NVMLError(Exception):
        pass

    def __init__(self, *names: str, **answers: Any) -> None:
        self.names = names
        self.answers: dict[str, Any] = {
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=24 * 2**30, used=2 * 2**30),
            "nvmlDeviceGetCudaComputeCapability": (8, 9),
            **answers,
        }

    def __getattr__(self, function: str) -> Any:
        if not function.startswith("nvml"):
            raise AttributeError(function)

        def answer(*arguments: Any) -> Any:
            if function == "nvmlDeviceGetCount":
                return len(self.names)
            if function == "nvmlDeviceGetHandleByIndex":
                return arguments[0]
            if function == "nvmlDeviceGetName":
                return self.names[arguments[0]]
            if function == "nvmlDeviceGetUUID":
                return f"GPU-{arguments[0]}abc"
            if function not in self.answers:
                raise self.NVMLError(function)
            found = self.answers[function]
            return found(*arguments) if callable(found) else found

        return answer


def nvml(*names: str, **answers: Any) -> Nvml:
    """NVML of a machine with GPUs of these names."""
    return Nvml(FakeNvml(*names, **answers))
