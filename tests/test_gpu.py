"""GPUs by NVML: which CUDA sees, what they do now, and that no driver, or a driver that refuses, is no error."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from advisor.measure import gpu
from tests.machine_files import nvml, write

A, B, C = "NVIDIA GeForce RTX 4090", "NVIDIA H200", "Tesla T4"


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, [A, B, C]),
        ("0,1,2", [A, B, C]),
        ("2,0", [C, A]),
        ("1", [B]),
        ("", []),
        ("-1", []),
        ("0,-1,2", [A]),  # the first that names nothing ends the list, as in CUDA
        ("0,7,1", [A]),
        ("GPU-1", [B]),
        ("GPU-2abc,0", [C, A]),
        ("GPU-", []),  # names three
    ],
)
def test_visible_devices_are_numbered_as_cuda_does(visible: str | None, names: list[str]) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = gpu.gpus(nvml(A, B, C), environ=environ)
    assert [(g.index, g.name) for g in found] == list(enumerate(names))


def test_no_driver_means_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu.gpus(None) == []

    def fail() -> None:
        raise broken.NVMLError("no driver")

    broken = SimpleNamespace(NVMLError=type("NVMLError", (Exception,), {}), nvmlInit=fail)
    monkeypatch.setitem(sys.modules, "pynvml", broken)
    gpu._opened.cache_clear()
    assert gpu.nvml() is None
    gpu._opened.cache_clear()


def test_installed_library_opens_or_says_no_without_an_error() -> None:
    gpu._opened.cache_clear()
    library = gpu.nvml()
    assert (library is None) <= (gpu.gpus(library) == [])


def test_state_says_what_the_driver_says() -> None:
    library = nvml(
        A, nvmlSystemGetDriverVersion=b"570.86", nvmlSystemGetCudaDriverVersion_v2=12080, nvmlDeviceGetTemperature=64,
        nvmlDeviceGetClockInfo=lambda handle, kind: {1: 2520, 2: 10501}[kind], nvmlDeviceGetMaxClockInfo=3105,
        nvmlDeviceGetPowerUsage=312_500, nvmlDeviceGetEnforcedPowerLimit=450_000,
        nvmlDeviceGetCurrentClocksEventReasons=0x04 | 0x01, nvmlDeviceGetComputeRunningProcesses=[],
    )  # fmt: skip
    (only,) = gpu.gpus(library, environ={})
    assert gpu.state(library, only) == {
        "name": A, "capability": "8.9", "memory_total_mb": 24 * 2**30 / 1e6, "memory_used_mb": 2 * 2**30 / 1e6,
        "driver": "570.86", "cuda": "12.8", "clock_mhz": 2520, "max_clock_mhz": 3105, "memory_clock_mhz": 10501,
        "temperature_c": 64, "power_w": 312.5, "power_cap_w": 450.0, "throttle_reasons": ["power cap"],
        "other_processes": 0,
    }  # fmt: skip


def test_everything_refused_is_unknown_not_zero() -> None:
    library = nvml(A, nvmlDeviceGetMemoryInfo=lambda _: (_ for _ in ()).throw(library_error))
    library_error = library.library.NVMLError("not supported")
    (only,) = gpu.gpus(library, environ={})
    assert only.memory_bytes is None
    said = gpu.state(library, only)
    assert {name for name, value in said.items() if value is not None} == {"name", "capability"}
    assert gpu.held_down_ns(library, only) == {}


def test_function_that_an_old_library_lacks_is_unknown() -> None:
    assert gpu.Nvml(SimpleNamespace(NVMLError=ValueError)).ask("nvmlDeviceGetName", 0) is None


def test_older_drivers_are_asked_by_the_older_name() -> None:
    library = nvml(A, nvmlDeviceGetCurrentClocksThrottleReasons=0x20 | 0x80)
    (only,) = gpu.gpus(library, environ={})
    assert gpu.throttle_reasons(library, only) == ("too hot (driver)", "power brake")


@pytest.mark.parametrize(
    ("listed", "others"),
    [
        ([], 0),
        ([10], 0),  # ours
        ([10, 11], 0),  # ours and our child
        ([10, 50], 1),
        ([50], 1),
        ([50, 51], 2),
        ([7777], 0),  # not known to this system: we, as the host calls us
        ([7777, 8888], 1),
        ([10, 7777], 1),  # we are listed by our own id, so the unknown one is another's
        ([50, 7777], 1),
    ],
)
def test_processes_of_others_are_counted(tmp_path: Path, listed: list[int], others: int) -> None:
    root = write(tmp_path, {f"proc/{pid}/stat": "" for pid in (10, 11, 50, 51)})
    library = nvml(A, nvmlDeviceGetComputeRunningProcesses=[SimpleNamespace(pid=pid) for pid in listed])
    (only,) = gpu.gpus(library, environ={})
    assert gpu.state(library, only, own=frozenset({10, 11}), root=root)["other_processes"] == others
