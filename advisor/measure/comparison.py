"""Two measurements side by side: same or faster, by how much, how surely, and to what that may be due."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from advisor.errors import BadQuestion
from advisor.measure.resampling import FEWEST_TIMES, block_length, percentile_interval, resampled_medians
from advisor.measure.run import Measured, Run

# The interval knows the spread inside two processes. Repeated in fresh processes, the median of a steady
# measurement moves by up to this much, as memory is laid out anew (Kalibera and Jones, "Rigorous Benchmarking in
# Reasonable Time", ISMM 2013): a smaller ratio is no proof of a faster setup.
RUN_TO_RUN = 0.05

# versions that matter whatever the runtime, and those of one runtime
_VERSIONS = ("torch", "timm")
_RUNTIME_VERSIONS = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "openvino": ("openvino",)}
# other parts of the environment that change speed: (name shown, where it stands)
_STATE = (
    ("clock governor", ("governor",)),
    ("CPU quota", ("cpu_quota",)),
    ("on battery", ("on_battery",)),
    ("GPU driver", ("gpu", "driver")),
    ("power cap in W", ("gpu", "power_cap_w")),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two setups differ, as text; what only one of them states is not compared."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs show about each other.

    Attributes:
        ratio: Median of the first over that of the second, of one batch each: above 1 the second is faster.
        interval: 95 % interval of the ratio, from the raw times of both.
        faster: Which is faster beyond that interval, None where no difference is shown.
        verdict: That in words.
        differences: In what the setups differ, in a fixed order.
        caveats: What the ratio does not say, one sentence each, most important first.
    """

    ratio: float
    interval: tuple[float, float]
    faster: Literal["first", "second"] | None
    verdict: str
    differences: tuple[Difference, ...]
    caveats: tuple[str, ...]


def compare(first: Run, second: Run, *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Compare the latencies of two runs. With the runs exchanged the ratio and its interval are inverted.

    Args:
        names: What to call the two in the words.

    Raises:
        BadQuestion: One of them has no times.
    """
    one, two = _measured(first, names[0]), _measured(second, names[1])
    ratio = one.latency.p50 / two.latency.p50
    low, high = _interval(first, second, ratio)
    faster: Literal["first", "second"] | None = "second" if low > 1 else "first" if high < 1 else None
    differences = _differences(first, one, second, two)
    return Comparison(
        ratio=ratio,
        interval=(low, high),
        faster=faster,
        verdict=_verdict(faster, ratio, (low, high), names),
        differences=differences,
        caveats=tuple(_caveats((first, second), ratio, faster, differences, names)),
    )


def _measured(run: Run, name: str) -> Measured:
    if run.measured is None:
        why = f": {run.reason.rstrip('.')}" if run.reason else ""
        raise BadQuestion(
            f"{name} ({run.request.label}) has no times to compare, as it is '{run.status}'{why}. Choose a run "
            "that ended well, or measure it again."
        )
    return run.measured


def _interval(first: Run, second: Run, ratio: float) -> tuple[float, float]:
    """Bootstrap interval of the ratio, each series drawn in blocks by its own memory; always holds the ratio."""
    series = [np.asarray(run.measured.latency.times_ms) for run in (first, second) if run.measured is not None]
    if min(map(len, series)) < FEWEST_TIMES:
        # too few to draw from: whatever the ranges of both allow
        (low_1, high_1), (low_2, high_2) = ((float(times.min()), float(times.max())) for times in series)
        return low_1 / high_2, high_1 / low_2
    lengths = [block_length(times) for times in series]
    # The seed belongs to the run, so that the order of the two does not matter and a run equals itself.
    medians = [
        resampled_medians(times, length=length, seed=zlib.crc32(run.run_id.encode()))
        for times, length, run in zip(series, lengths, (first, second), strict=True)
    ]
    n_pairs = min(map(len, medians))  # long series are drawn less often
    logs = np.log(medians[0][:n_pairs]) - np.log(medians[1][:n_pairs])
    n_blocks = min(len(times) // length for times, length in zip(series, lengths, strict=True))
    low, high = percentile_interval(logs, n_blocks=n_blocks)
    return min(math.exp(low), ratio), max(math.exp(high), ratio)


def _verdict(faster: str | None, ratio: float, interval: tuple[float, float], names: tuple[str, str]) -> str:
    low, high = interval
    if faster is None:
        return f"no difference shown: {names[0]} takes {_factor(low)} to {_factor(high)} times as long as {names[1]}"
    if faster == "first":
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    name = names[0] if faster == "first" else names[1]
    return f"{name} is {_factor(ratio)}x faster ({_factor(low)}–{_factor(high)})"


def _factor(value: float) -> str:
    """Two decimals; three next to 1, where two would hide the difference."""
    return f"{value:.3f}" if 0.95 < value < 1.05 else f"{value:.2f}"


def _differences(first: Run, one: Measured, second: Run, two: Measured) -> tuple[Difference, ...]:
    ours, theirs = _setup(first, one), _setup(second, two)
    return tuple(
        Difference(name, value, theirs[name]) for name, value in ours.items() if theirs.get(name, value) != value
    )


def _setup(run: Run, found: Measured) -> dict[str, str]:
    """Everything of a run that speed depends on: name -> value, as shown."""
    request, environment = run.request, found.environment
    setup: dict[str, Any] = {
        "machine": run.device_id,
        "architecture": request.architecture,
        "runtime": request.runtime,
        "precision": found.precision_used,
        "layout": request.layout,
        "batch size": request.batch_size,
        "image size": f"{found.img_size} px",
        "threads": found.threads,
    }
    versions = environment.get("versions") or {}
    for package in (*_VERSIONS, *_RUNTIME_VERSIONS.get(request.runtime, ())):
        if versions.get(package) is not None:
            setup[package] = versions[package]
    for name, path in _STATE:
        value: Any = environment
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            setup[name] = value
    # what the runtime says of itself; named after it, as another runtime means other things by the same words
    own = environment.get("runtime")
    for name, value in own.items() if isinstance(own, dict) else ():
        if isinstance(value, bool | int | float | str):
            setup[f"{request.runtime} {name}"] = value
    return {name: str(value) for name, value in setup.items()}


def _caveats(
    runs: tuple[Run, Run], ratio: float, faster: str | None, differences: tuple[Difference, ...], names: tuple[str, str]
) -> list[str]:
    found = [
        f"{name} is noisy, so the ratio may not repeat: {' '.join(run.verdict_reasons)}".rstrip(": ")
        for run, name in zip(runs, names, strict=True)
        if run.verdict == "noisy"
    ]
    if faster is not None and max(ratio, 1 / ratio) < 1 + RUN_TO_RUN:
        found.append(
            f"Steady medians move by up to {100 * RUN_TO_RUN:.0f} % from one process to the next, so a difference of "
            f"{100 * (max(ratio, 1 / ratio) - 1):.1f} % needs several runs of each."
        )
    if len(differences) > 1:
        listed = ", ".join(difference.name for difference in differences)
        found.append(
            f"They differ in {len(differences)} things ({listed}), so the ratio belongs to none of them alone."
        )
    batches = [run.request.batch_size for run in runs]
    if batches[0] != batches[1]:
        found.append(
            f"The times are of whole batches; per image {names[0]} takes "
            f"{_factor(ratio * batches[1] / batches[0])} times as long as {names[1]}."
        )
    return found
