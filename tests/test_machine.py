"""This machine as a device: ids, names, what can be measured on it, and the state it is in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import BadQuestion
from advisor.evidence.schema import _DEVICE_ID
from advisor.measure import machine as machines
from advisor.measure.cpu import Cpu
from tests.conftest import ROOT
from tests.machine_files import CPUS, nvml, write

I7 = Cpu("Intel Core i7-12700H", "Intel", "alderlake", ("avx2",), 14, 20)
NO_GPU = lambda: None  # noqa: E731
H200 = nvml("NVIDIA H200", nvmlDeviceGetCudaComputeCapability=(9, 0))
T4 = nvml("Tesla T4", nvmlDeviceGetCudaComputeCapability=(7, 5))


@pytest.fixture(autouse=True)
def _all_gpus_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machines, "_torch_has_cuda", lambda: True)


# -- ids and names -----------------------------------------------------------------------------------


def test_name_says_model_microarchitecture_and_cores() -> None:
    found = machines.cpu_machine(I7, 16.0, "x86_64")
    assert (found.name, found.kind, found.vendor) == ("Intel Core i7-12700H (alderlake), 14 cores", "cpu", "Intel")
    one = Cpu("AMD EPYC", "AMD", None, (), 1, 2)
    assert machines.cpu_machine(one, 2.0, "x86_64").name == "AMD EPYC, 1 core"
    tiles = replace(one, isa=("avx512f", "amx"))
    assert machines.cpu_machine(tiles, 2.0, "x86_64").name == "AMD EPYC (AMX), 1 core"


def test_id_is_readable_and_ends_in_a_hash_of_the_facts() -> None:
    base = machines.cpu_machine(I7, 16.0, "x86_64").device_id
    assert re.fullmatch(r"intel-core-i7-12700h-14c-16gb-[0-9a-f]{6}", base)
    for other in (
        machines.cpu_machine(I7, 32.0, "x86_64"), machines.cpu_machine(I7, 16.0, "i686"),
        machines.cpu_machine(Cpu("Intel Core i7-12700H", "Intel", "alderlake", (), 14, 14), 16.0, "x86_64"),
    ):  # fmt: skip
        assert other.device_id != base


@pytest.mark.parametrize("other", [{"isa": ("avx2", "avx512f", "amx")}, {"model": "6.207"}])
def test_machines_of_a_cloud_that_calls_all_cpus_the_same_are_told_apart(other: dict[str, Any]) -> None:
    cloud = Cpu("Intel Xeon", "Intel", "icelake", ("avx2", "avx512f"), 2, 2, "6.143")
    known, found = (machines.cpu_machine(one, 24.0, "x86_64").device_id for one in (cloud, replace(cloud, **other)))
    assert known != found


def test_id_does_not_depend_on_what_a_newer_archspec_knows() -> None:
    renamed = replace(I7, microarchitecture="alderlake-p")
    assert machines.cpu_machine(renamed, 16.0, "x86_64").device_id == machines.cpu_machine(I7, 16.0, "x86_64").device_id


@pytest.mark.parametrize("brand", ["", "Intel® Xeon™ 8480+", "-.-", "名前", "x" * 300, "A/B (C) [D]", "Ünï 3000"])
def test_every_id_fits_the_stores_schema(brand: str) -> None:
    for found in (
        machines.cpu_machine(Cpu(brand, "", None, (), 2, 2), 4.0, "aarch64"), machines.gpu_machine(brand, "", None),
    ):  # fmt: skip
        assert re.fullmatch(_DEVICE_ID, found.device_id)


@pytest.mark.parametrize(
    "installed", [1, 1.5, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 512, 1024]
)
@pytest.mark.parametrize("reported", [0.94, 0.97, 0.999, 1.0])
def test_memory_is_the_installed_size_whatever_the_kernel_keeps(installed: float, reported: float) -> None:
    assert machines._installed_gb(int(installed * 2**30 * reported)) == installed


def test_gpu_is_the_same_device_under_another_driver() -> None:
    """Drivers keep back different amounts: 24,564 and 24,217 MiB of an RTX 4090's 24 GiB."""
    old, new = (machines.gpu_machine("NVIDIA GeForce RTX 4090", "NVIDIA", mib * 2**20) for mib in (24564, 24217))
    assert old.device_id == new.device_id
    assert (old.memory_gb, old.kind) == (24.0, "gpu")
    half = machines.gpu_machine("NVIDIA GeForce RTX 4090", "NVIDIA", 12282 * 2**20)
    assert half.device_id != old.device_id


def test_kinds_and_memory_are_as_in_the_published_list() -> None:
    text = (ROOT / "data/published/devices.csv").read_text(encoding="utf-8")
    kinds = {"cpu", "gpu"}
    assert all(f",{kind}," in text for kind in kinds)
    found = machines.machine("cuda:0", library=lambda: H200)
    assert {machines.machine("cpu").kind, found.kind} == kinds
    assert (found.name, found.vendor, found.details["capability"]) == ("NVIDIA H200", "NVIDIA", [9, 0])


# -- targets -----------------------------------------------------------------------------------------


def test_targets_are_the_cpu_and_the_gpus_that_cuda_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machines.targets(library=NO_GPU) == ("cpu",)
    two = nvml("a", "b")
    assert machines.targets(library=lambda: two) == ("cpu", "cuda:0", "cuda:1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machines.targets(library=lambda: two) == ("cpu", "cuda:0")


def test_gpu_is_no_target_for_a_pytorch_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_torch_has_cuda", lambda: False)
    assert machines.targets(library=lambda: H200) == ("cpu",)


def test_apple_silicon_has_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert machines.targets(library=NO_GPU) == ("cpu", "mps")
    assert ("pytorch-eager", "fp16") in machines.offers("mps", library=NO_GPU)


@pytest.mark.parametrize("target", ["cuda:0", "cuda:9", "mps", "tpu", "", "cpu\n"])
@pytest.mark.parametrize("ask", [machines.machine, machines.offers])
def test_target_that_is_not_there_is_refused_with_what_is(ask: Any, target: str) -> None:
    with pytest.raises(BadQuestion, match=r"on this machine: choose --device from cpu\.") as caught:
        ask(target, library=NO_GPU)
    assert "\n" not in str(caught.value)


# -- offers ------------------------------------------------------------------------------------------

ALL = {"torch", "onnx", "onnxruntime", "openvino", "triton"}


@pytest.mark.parametrize(
    ("installed", "isa", "compiler", "pairs"),
    [
        (ALL, ("avx512_bf16",), True, "eager fp32, compile fp32, onnxruntime fp32, openvino fp32, openvino auto"),
        (ALL, ("avx2",), True, "eager fp32, compile fp32, onnxruntime fp32, openvino fp32"),
        (ALL, (), False, "eager fp32, onnxruntime fp32, openvino fp32"),
        ({"torch"}, (), True, "eager fp32, compile fp32"),
        ({"torch", "onnxruntime"}, (), False, "eager fp32"),
        ({"openvino"}, ("amx_bf16",), True, "openvino fp32, openvino auto"),
        (set(), (), True, ""),
    ],
)
def test_offers_are_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], isa: tuple[str, ...], compiler: bool, pairs: str
) -> None:
    monkeypatch.setattr(machines, "_is_there", installed.__contains__)
    monkeypatch.setattr(machines, "_has_compiler", lambda environ: compiler)
    monkeypatch.setattr(machines.cpus, "cpu", lambda: Cpu("x", "", None, isa, 2, 2))
    found = machines.offers("cpu", library=NO_GPU)
    assert ", ".join(f"{runtime.removeprefix('pytorch-')} {precision}" for runtime, precision in found) == pairs


def test_gpu_offers_bf16_from_ampere_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_is_there", ALL.__contains__)
    monkeypatch.setattr(machines, "versions", lambda packages: dict.fromkeys(packages))
    common = [("pytorch-eager", "fp32"), ("pytorch-eager", "amp-fp16")]
    assert machines.offers("cuda:0", library=lambda: T4) == [*common, ("pytorch-compile", "fp32")]
    expected = [*common, ("pytorch-eager", "bf16"), ("pytorch-compile", "fp32")]
    assert machines.offers("cuda:0", library=lambda: H200) == expected


def test_compiler_is_the_one_asked_for(tmp_path: Path) -> None:
    assert machines._has_compiler({"CXX": sys.executable})
    assert not machines._has_compiler({"CXX": str(tmp_path / "none")})


# -- environment -------------------------------------------------------------------------------------


def test_environment_is_plain_json_and_names_unknowns_as_none(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    said = machines.environment("cpu", root=tmp_path, library=NO_GPU, now=lambda: now)
    assert json.loads(json.dumps(said)) == said
    assert said["time_utc"] == "2026-01-02T03:04:05+00:00"
    unknown = {"cpu_quota", "governor", "on_battery", "gpu"}
    assert {name for name in unknown if said[name] is None} == unknown
    assert 0 < said["memory_available_mb"] <= said["memory_total_mb"]


def test_environment_of_a_made_up_laptop_in_a_container(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/", "sys/fs/cgroup/cgroup.procs": "", "sys/fs/cgroup/cpu.max": "100000 100000",
        f"{CPUS}/cpu0/cpufreq/scaling_governor": "powersave", "sys/class/power_supply/AC/type": "Mains",
        "sys/class/power_supply/AC/online": "0",
    }  # fmt: skip
    said = machines.environment("cpu", root=write(tmp_path, files), library=NO_GPU)
    asked = ("cpu_quota", "usable_threads", "governor", "on_battery")
    assert [said[name] for name in asked] == [1.0, 1, "powersave", True]


def test_environment_of_a_gpu_has_its_state() -> None:
    said = machines.environment("cuda:0", library=lambda: H200)
    assert (said["gpu"]["name"], said["gpu"]["temperature_c"]) == ("NVIDIA H200", None)
    assert json.loads(json.dumps(said)) == said


def test_another_process_gives_the_same_id_and_imports_no_runtime() -> None:
    script = (
        "import sys; from advisor.measure import machine; said = machine.environment('cpu'); machine.offers('cpu'); "
        "print(machine.machine('cpu').device_id, said['versions']['torch'], "
        "sorted({'torch', 'timm', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "7", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    own_id, torch, imported = done.stdout.strip().split(maxsplit=2)
    assert own_id == machines.machine("cpu").device_id
    assert re.fullmatch(r"2\.\d+\.\S+", torch)
    assert imported == "[]"


def test_package_that_is_not_installed_has_no_version() -> None:
    assert machines.versions(("pytest", "no-such-package-of-ours"))["no-such-package-of-ours"] is None
