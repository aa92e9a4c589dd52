"""Probes whose operators follow a known law, made from shipped cost profiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.run import REST, TimedOperator
from advisor.predict import signature as classes
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles

Law = Callable[[pd.DataFrame], NDArray[np.float64]]  # ms of each operator of a frame of profiles

_COUNTERS_NAMES = {
    classes.POINTWISE: "pointwise convolution", classes.DENSE: "dense convolution", classes.STEM: "dense convolution",
    classes.DEPTHWISE: "depthwise convolution", classes.GROUPED: "grouped convolution", classes.PRODUCT: "linear",
    classes.ATTENTION: "attention", classes.NORMALISATION: "normalisation", classes.ELEMENTWISE: "activation",
    classes.REDUCTION: "other",
}  # fmt: skip


def linear_law(seed: int) -> Law:
    """Each class has its own time of a call, a MAC and a byte."""
    rng = np.random.default_rng(seed)
    call, mac, byte = (middle * np.exp(rng.normal(0, 0.4, len(KINDS))) for middle in (0.01, 2e-8, 5e-8))

    def law(operators: pd.DataFrame) -> NDArray[np.float64]:
        kinds = kinds_of(operators)
        macs, moved = operators["macs"].to_numpy(np.float64), operators["bytes"].to_numpy(np.float64)
        return np.asarray(call[kinds] + mac[kinds] * macs + byte[kinds] * moved)

    return law


def latencies(profiles: Profiles, law: Law) -> NDArray[np.float64]:
    """What every network takes, ms."""
    return np.asarray(profiles.counts @ law(profiles.operators))


def probe_of(profiles: Profiles, row: int, law: Law, *, pace: float = 1.0) -> Probe:
    """A network measured while the machine was `pace` times slower than the law."""
    name, size = profiles.models["architecture"][row], int(profiles.models["img_size"][row])
    operators = profiles.operators_of(name, size)
    each_ms = pace * law(operators)
    timed = tuple(
        _timed(values, float(ms)) for values, ms in zip(operators.to_dict("records"), each_ms, strict=True)
    )  # fmt: skip
    return Probe(name, size, sum(o.count * o.time_ms for o in timed), timed)


def _timed(values: dict[Any, Any], ms: float) -> TimedOperator:
    read, made = (
        tuple(_shape(text) for text in side.split()) for side in values["shapes"].split(" > ")
    )  # fmt: skip
    convolves = "conv" in values["name"]
    return TimedOperator(
        name=values["name"], kind=_COUNTERS_NAMES[values["kind"]], macs=int(values["macs"]),
        bytes=int(values["bytes"]), weight_bytes=int(values["weight_bytes"]),
        kernel=(values["kernel_height"], values["kernel_width"]) if convolves else (),
        stride=(values["stride_height"], values["stride_width"]) if convolves else (), groups=int(values["groups"]),
        inputs=read, outputs=made, count=int(values["count"]), time_ms=ms,
    )  # fmt: skip


def _shape(text: str) -> tuple[int, ...]:
    return () if text == "scalar" else tuple(map(int, text.split("x")))


def fusing(law: Law) -> Law:
    """A runtime that is a quarter faster and pays nothing for normalisation and activations."""
    free = [kind in (classes.NORMALISATION, classes.ELEMENTWISE, "slow activation") for kind in KINDS]

    def fused(operators: pd.DataFrame) -> NDArray[np.float64]:
        return np.where(np.array(free)[kinds_of(operators)], 0.0, 0.75 * law(operators))

    return fused


def blocked(law: Law) -> Law:
    """A runtime that goes another way, three times slower, where channels do not divide by eight."""

    def of_blocks(operators: pd.DataFrame) -> NDArray[np.float64]:
        uneven = (operators["out_channels"] % 8 != 0) & (operators["in_channels"] > 1)
        return law(operators) * np.where(uneven, 3.0, 1.0)

    return of_blocks


TOLD_APART = (
    classes.POINTWISE, classes.DENSE, classes.STEM, classes.DEPTHWISE, classes.GROUPED, classes.PRODUCT
)  # fmt: skip


def fused_probe(profiles: Profiles, row: int, own: Law, rest: Law) -> Probe:
    """A probe of a runtime that tells what its convolutions and products take, by a law of its own, and the rest."""
    told = [one for one in probe_of(profiles, row, own).operators if classes.signature(one).kind in TOLD_APART]
    others = [one for one in probe_of(profiles, row, rest).operators if classes.signature(one).kind not in TOLD_APART]
    left_ms = sum(one.count * one.time_ms for one in others)
    all_else = TimedOperator(REST, "other", 0, 0, 0, (), (), 1, (), (), count=1, time_ms=left_ms)
    name, size = profiles.models["architecture"][row], int(profiles.models["img_size"][row])
    latency_ms = sum(one.count * one.time_ms for one in told) + left_ms
    return Probe(name, size, latency_ms, (*told, all_else))
