"""Facts about the CPU from made-up /proc and /sys: names, cores we may use, quotas, governors."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from advisor.measure import cpu
from tests.machine_files import CPUS, write


@pytest.mark.parametrize(
    ("said", "brand"),
    [
        ("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz", "Intel Xeon Gold 6148"),
        ("12th Gen Intel(R) Core(TM) i7-12700H", "Intel Core i7-12700H"),
        ("AMD Ryzen 9 5950X 16-Core Processor", "AMD Ryzen 9 5950X"),
        ("AMD Ryzen 7 5700G with Radeon Graphics\0\0", "AMD Ryzen 7 5700G"),
        ("AMD EPYC", "AMD EPYC"),
        ("Apple M2 Pro", "Apple M2 Pro"),
        ("Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 5 Model B Rev 1.0"),
        ("@", "CPU"),
    ],
)
def test_brand_is_the_model_alone(said: str, brand: str) -> None:
    assert cpu.clean_brand(said) == brand


def test_model_and_extensions_are_read_from_cpuinfo(tmp_path: Path) -> None:
    text = "model name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t: avx2 avx512f amx_tile amx_bf16\n\nmodel name: other"
    found = cpu.cpu(write(tmp_path, {"proc/cpuinfo": text}))
    assert (found.brand, found.isa) == ("Intel Xeon Platinum 8480+", ("avx2", "avx512f", "amx", "amx_bf16"))
    assert cpu.has_native_bf16(found.isa)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("cpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R) Processor", "6.207"),
        ("Features\t: asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c", "0x41.0xd0c"),
        ("", None),
    ],
)
def test_model_has_the_vendors_numbers(tmp_path: Path, text: str, model: str | None) -> None:
    assert cpu.cpu(write(tmp_path, {"proc/cpuinfo": text})).model == model


def test_arm_board_is_called_as_its_device_tree_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archspec.cpu.brand_string", lambda: None)
    files = {"proc/cpuinfo": "Features\t: fp asimd sve", "proc/device-tree/model": "Raspberry Pi 5 Model B\0"}
    found = cpu.cpu(write(tmp_path, files))
    assert (found.brand, found.isa) == ("Raspberry Pi 5 Model B", ("neon", "sve"))
    assert not cpu.has_native_bf16(found.isa)


def test_this_cpu_agrees_with_the_system() -> None:
    found = cpu.cpu()
    assert found.brand
    assert 1 <= found.physical_cores <= found.logical_cores == os.cpu_count()


# -- threads -----------------------------------------------------------------------------------------

# four logical CPUs on two cores: 0 and 2 are siblings, 1 and 3 are
SIBLINGS = {f"{CPUS}/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}" for n in range(4)}


@pytest.mark.parametrize(
    ("allowed", "threads"), [({0, 1, 2, 3}, 2), ({0, 2}, 1), ({0, 1}, 2), ({1, 2, 3}, 2), ({3}, 1)]
)
def test_siblings_of_one_core_count_once(tmp_path: Path, allowed: set[int], threads: int) -> None:
    root = write(tmp_path, SIBLINGS)
    assert cpu.usable_threads(root=root, allowed=frozenset(allowed)) == threads


def test_without_topology_the_share_of_physical_cores_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: 8 of 16 logical CPUs that are 8 cores are 4."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    assert cpu.usable_threads(root=tmp_path, allowed=frozenset(range(8))) == 4
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: None)
    assert cpu.usable_threads(root=tmp_path, allowed=frozenset(range(8))) == 8


def v2(quota: str, inside: str = "/", **more: object) -> dict[str, object]:
    folder = "/".join(filter(None, ["sys/fs/cgroup", inside.strip("/")]))
    return {
        "proc/self/cgroup": f"0::{inside}", "sys/fs/cgroup/cgroup.procs": "", f"{folder}/cpu.max": quota, **more,
    }  # fmt: skip


def v1(quota: int, mount: str = "cpu,cpuacct", inside: str = "/") -> dict[str, object]:
    folder = "/".join(filter(None, ["sys/fs/cgroup", mount, inside.strip("/")]))
    return {
        "proc/self/cgroup": f"4:memory:/x\n2:cpu,cpuacct:{inside}\n0::/", f"sys/fs/cgroup/{mount}/cgroup.procs": "",
        f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": 100000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        (v2("150000 100000"), 1.5),
        (v2("max 100000"), None),
        (v2("200000 100000", "/user.slice/app"), 2.0),
        (v2("800000 100000", "/a/b", **{"sys/fs/cgroup/a/cpu.max": "50000 100000"}), 0.5),
        (v2("max 100000", "/a/b", **{"sys/fs/cgroup/a/cpu.max": "300000 100000"}), 3.0),
        # a container that sees the host's path in /proc, and only its own group mounted
        (v2("250000 100000") | {"proc/self/cgroup": "0::/docker/0123abcd"}, 2.5),
        (v1(150000), 1.5),
        (v1(-1), None),
        (v1(400000, mount="cpu"), 4.0),
        (v1(100000, inside="/docker/0123"), 1.0),
        (v1(100000) | {"proc/self/cgroup": "2:cpu,cpuacct:/docker/0123"}, 1.0),
        # both versions mounted: the quota is where the controller is
        (v1(50000) | {"sys/fs/cgroup/unified/cgroup.procs": "", "sys/fs/cgroup/unified/cpu.stat": ""}, 0.5),
        (v2("broken"), None),
        ({}, None),
    ],
)
def test_quota_is_the_least_of_ours_and_those_above(
    tmp_path: Path, files: dict[str, object], quota: float | None
) -> None:
    assert cpu.cpu_quota(root=write(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "threads"), [(50000, 1), (150000, 1), (200000, 2), (390000, 3), (900000, 4)])
def test_quota_grants_whole_cores(tmp_path: Path, quota: int, threads: int) -> None:
    four = {f"{CPUS}/cpu{n}/topology/thread_siblings_list": n for n in range(4)}
    root = write(tmp_path, four | v2(f"{quota} 100000"))
    assert cpu.usable_threads(root=root, allowed=frozenset(range(4))) == threads


# -- governor and power ------------------------------------------------------------------------------


def test_governors_of_all_cores_are_named_once(tmp_path: Path) -> None:
    said = {f"{CPUS}/cpu{n}/cpufreq/scaling_governor": "powersave" for n in range(3)}
    assert cpu.governor(root=write(tmp_path, said)) == "powersave"
    write(tmp_path, {f"{CPUS}/cpu1/cpufreq/scaling_governor": "performance"})
    assert cpu.governor(root=tmp_path) == "performance, powersave"
    assert cpu.governor(root=tmp_path / "none") is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"BAT0/type": "Battery", "AC/type": "Mains", "AC/online": "0"}, True),
        ({"BAT0/type": "Battery", "AC/type": "Mains", "AC/online": "1"}, False),
        ({"AC/type": "Mains", "AC/online": "0", "usb/type": "USB", "usb/online": "1"}, False),
        ({"BAT0/type": "Battery"}, None),
        ({}, None),
    ],
)
def test_laptop_says_whether_it_runs_on_battery(tmp_path: Path, files: dict[str, str], expected: bool | None) -> None:
    root = write(tmp_path, {f"sys/class/power_supply/{name}": text for name, text in files.items()})
    assert cpu.on_battery(root=root) is expected
