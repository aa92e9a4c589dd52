"""What this machine is and can measure with, as tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from advisor.measure.run import Load
from advisor.metrics import percent
from advisor.views_measure import counted

_INSTALL = {
    "pytorch-eager": "pip install torch torchvision timm",
    "pytorch-compile": "pip install torch, and a C++ compiler (Debian: apt install g++)",
    "onnxruntime": "pip install onnx onnxruntime (NVIDIA GPU: onnxruntime-gpu)",
    "openvino": "pip install openvino",
}
_PACKAGES = {
    "pytorch-eager": ("torch", "timm"), "pytorch-compile": ("torch",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "openvino": ("openvino",),
}  # fmt: skip


def headline(report: Mapping[str, Any]) -> str:
    """The machine in one line: its name, threads and runtimes."""
    runtimes = list(dict.fromkeys(offer["runtime"] for offer in report["offers"]))
    threads = report["usable_threads"]
    return (
        f"{report['name']} · {threads} usable thread{'s' if threads != 1 else ''} · "
        + (", ".join(runtimes) if runtimes else "no runtime installed")
    )  # fmt: skip


def runtime_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """Each runtime of the target: installed with which version and measured at what, or how to install it."""
    versions = report["environment"]["versions"]
    rows = []
    for runtime in report["runtimes"]:
        precisions = [offer["precision"] for offer in report["offers"] if offer["runtime"] == runtime]
        known = [f"{package} {versions[package]}" for package in _PACKAGES[runtime] if versions.get(package)]
        rows.append({
            "Runtime": runtime, "Installed": f"✓ {', '.join(known)}" if precisions else "✗ missing",
            "Measured at": ", ".join(precisions) if precisions else f"`{_INSTALL[runtime]}`",
        })  # fmt: skip
    return pd.DataFrame(rows)


def roof_table(roofs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What the machine achieved at each precision, as text with units."""
    return pd.DataFrame(
        [
            {
                "Precision": roof["precision"], "Threads": f"{roof['threads']:.0f}",
                "Peak of a matrix product": f"{counted(roof['macs_per_s'])}MAC/s",
                "Memory bandwidth": f"{counted(roof['bytes_per_s'])}B/s",
            }
            for roof in roofs
        ]
    )  # fmt: skip


def fact_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """The hardware facts that are known, name and value."""
    state, details = report["environment"], report["details"]
    facts = {
        "Device id": report["device_id"], "Processor": details.get("cpu") or details.get("gpu"),
        "Microarchitecture": details.get("microarchitecture"),
        "Cores": _cores(details), "Usable threads": f"{report['usable_threads']}",
        "CPU quota": None if state["cpu_quota"] is None else f"{state['cpu_quota']:g} cores",
        "Memory": None if report["memory_gb"] is None else f"{report['memory_gb']:g} GiB",
        "Vector units": ", ".join(details.get("isa", [])) or None, "Clock governor": state["governor"],
        "Runs so far": f"{report['n_runs']}",
    }  # fmt: skip
    return pd.DataFrame([(k, v) for k, v in facts.items() if v], columns=["Fact", "Value"])


def _cores(details: Mapping[str, Any]) -> str | None:
    if not details.get("physical_cores"):
        return None
    return f"{details['physical_cores']} physical, {details['logical_cores']} logical"


def load_sentence(load: Load) -> str:
    """How busy the machine is beside us, and what that means for a measurement."""
    quiet = load.other_cores < 0.25 and load.steal_share < 0.02 and not load.throttled
    said = f"Other processes take {load.other_cores:.2f} cores now; {percent(load.steal_share)} of the time is withheld"
    said += f"; {load.throttled}" if load.throttled else ""
    return f"{said}. " + ("Quiet enough to measure." if quiet else "A measurement now would likely be noisy.")
