"""Devices whose latencies follow a known law: costs times rates, times noise. For tests of prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from advisor.predict import profile_files
from advisor.predict.columns import Column, Setup
from advisor.predict.costs import KINDS, TERMS, costs
from advisor.predict.history import History, history
from advisor.predict.profile import Profiles

CPU = Setup("cpu", "cpu-a", "infer", "pytorch-eager", "torch 2", "", "", "fp32", "nchw", 1)
# ms per MAC, byte, weight byte and operator: 50 GMAC/s, 20 GB/s, 10 GB/s and 10 microseconds
_MS = np.repeat([2e-8, 5e-8, 1e-7, 0.01], (len(KINDS), len(KINDS), 1, len(KINDS)))
NOISE = 0.03


def some_profiles(step: int = 5) -> Profiles:
    """Every fifth shipped profile: 356 networks of all families."""
    shipped = profile_files.load()
    return shipped.only(np.arange(0, len(shipped), step))


def setup_of(device_id: str, **other: object) -> Setup:
    """A setup of a CPU."""
    return replace(CPU, device_id=device_id, **other)  # type: ignore[arg-type]


def rates_of(seed: int, *, spread: float = 0.4) -> NDArray[np.float64]:
    """Rates of a device: those above, times its speed, each off by its own factor."""
    rng = np.random.default_rng(seed)
    return np.asarray(_MS * np.exp(rng.normal(0, 0.7) + rng.normal(0, spread, len(TERMS))))


def invented(profiles: Profiles, setup: Setup, seed: int, *, noise: float = NOISE) -> Column:
    """The column of a device over all profiles."""
    exact = costs(profiles, setup.batch_size) @ rates_of(seed)
    factors = np.exp(np.random.default_rng(seed + 1000).normal(0, noise, len(profiles)))
    return Column(setup, np.arange(len(profiles), dtype=np.intp), np.asarray(exact * factors))


def invented_cpus(profiles: Profiles, n: int) -> History:
    """What so many of them, cpu-0 and on, say over all profiles."""
    return history(profiles, [invented(profiles, setup_of(f"cpu-{seed}"), seed) for seed in range(n)])
