"""A calibration: probes of one setup between two runs of a sentinel, what is known of it, and whether it still holds.

Pure. A calibration is nothing but its stored runs and their sentinel's drift: what cannot be read from them is not
known of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import msgspec
import pandas as pd

from advisor.errors import BadQuestion
from advisor.measure import lines
from advisor.measure.request import Request, default_time_limit_s
from advisor.measure.run import Run, TimedOperator
from advisor.measure.stretches import Stretch
from advisor.measure.sweep import MAX_DRIFT, SENTINEL, SENTINEL_LIMIT_S
from advisor.metrics import percent
from advisor.predict.columns import Setup
from advisor.predict.pace import AT_FULL_PACE, full_pulse_ms, least_ms, slowdowns, stretch_of

PREFIX = "calibration-"  # how the sweep ids of calibrations begin, and nothing else's
_GIVE_UP = 3  # probes that fail before any has worked: the setup is at fault, not the networks
_TRIES = 3  # of a probe that is slow each time
LOOKS = 2  # at a probe, while there is time: a slow moment does not always show in the pulse
_LOOKS_IF_NOISY = 2
EXTENSION = 1.1  # of the budget, to measure again what ran in slow moments: the whole is to end within 90 s
_OVERRUN = 2.0  # how far beyond its budget a calibration may go for the fewest probes that predict anything
# Of a probe, at most: a dozen of them then fit into a minute on two cores with time to measure some once more, and the
# median of that time is known well enough beside how far networks deviate from any prediction.
TIMING_S = 1.5
_AS_FACTOR = 2.0
Status = Literal["running", "complete", "stopped", "too few"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A setup of this machine that a user asks to calibrate; the values are those of `Request`.

    Raises:
        BadQuestion: A value that makes no sense, or a combination that no runtime offers.
    """

    target: str
    runtime: str
    precision: str
    layout: str
    batch_size: int
    threads: int

    def __post_init__(self) -> None:
        self.request(SENTINEL)  # refuses what no request may be

    def request(self, architecture: str) -> Request:
        """The measurement of a network in this setup, at its native size.

        Eager mode in fp32 tells in the same run what every operator takes, which other setups share; a runtime that
        fuses them tells on a CPU what its convolutions and products take.
        """
        fused = self.runtime != "pytorch-eager" and self.target == "cpu"
        extras = ("operators",) if fused or (self.runtime, self.precision) == ("pytorch-eager", "fp32") else ()
        return Request(
            architecture=architecture, target=self.target, runtime=self.runtime, precision=self.precision,
            layout=self.layout, batch_size=self.batch_size, threads=self.threads, extras=extras,
            time_limit_s=default_time_limit_s(self.runtime, extras), timing_s=TIMING_S,
        )  # fmt: skip

    @property
    def sentinel(self) -> Request:
        """What is measured before and after the probes; it is never a probe itself."""
        return Request(
            architecture=SENTINEL, target=self.target, threads=self.threads, time_limit_s=SENTINEL_LIMIT_S,
            timing_s=TIMING_S,
        )  # fmt: skip

    @property
    def label(self) -> str:
        """The setup in words: 'pytorch-eager fp32, channels last, batch 8'."""
        more = (
            ["channels last"] * (self.layout == "nhwc")
            + [f"batch {self.batch_size}"] * (self.batch_size != 1)
            + [f"on {self.target}"] * (self.target != "cpu")
        )
        return ", ".join([f"{self.runtime} {self.precision}", *more])

    @property
    def title(self) -> str:
        """What its job is called."""
        return f"Calibration: {self.label}"


def offered(
    runtimes: Sequence[str], target: str, precision: str | None, layout: str | None, batch_size: int | None
) -> Asked:
    """The first of some runtimes that takes what is asked for, each in its own precision where that is left open.

    Args:
        runtimes: At least one.

    Raises:
        BadQuestion: None does; in the words of the first.
    """
    refused: BadQuestion | None = None
    size = 1 if batch_size is None else batch_size
    for runtime in runtimes:
        own = "auto" if runtime == "openvino" else "fp32"
        try:
            return Asked(target, runtime, precision or own, layout or "nchw", size, threads=1)
        except BadQuestion as exc:
            refused = refused or exc
    assert refused is not None
    raise refused


def asked_of(request: Request) -> Asked | None:
    """What was asked where that request was a probe; None of a sentinel."""
    if request.architecture == SENTINEL or request.threads is None:
        return None
    return Asked(
        request.target, request.runtime, request.precision, request.layout, request.batch_size, request.threads
    )


def new_id(asked: Asked, unique: str) -> str:
    """The id of a calibration: its setup as 8 hex digits, and what makes it unique."""
    digits = hashlib.sha256(json.dumps(asdict(asked), sort_keys=True).encode()).hexdigest()[:8]
    return f"{PREFIX}{digits}-{unique}"


def is_of(sweep_id: str, asked: Asked) -> bool:
    """Whether a sweep is a calibration of that very setup; those of other threads have the same title."""
    return sweep_id.startswith(new_id(asked, ""))


def next_probe(
    asked: Asked, order: Sequence[str], runs: Sequence[Run], *, n: int, least: int, budget_s: float,
    looks: int = LOOKS, earlier_ms: Sequence[float] = (),
) -> Request | None:  # fmt: skip
    """What is measured after those runs; None where there are enough, or the next one would not end in time.

    A network that failed is passed over, and the next in order takes its place. Once there are enough, or there is no
    time for a new one, those that were disturbed are measured once more while there is time, then those during which
    the machine was not at its full pace, the slowest first, then the others until each was measured `looks` times; each
    waits until the machine is at its full pace again.

    Args:
        order: Architectures, most telling first.
        runs: Those of the probes so far.
        n: How many are to work.
        least: So many are measured even beyond the budget, up to twice as long: fewer say nothing of other networks.
        budget_s: Of all probes; a new one is expected to take as long as those so far took on average, and another look
            at one as long as it took before. What is measured again may take a tenth longer.
        looks: How often each network is measured while there is time; more often where it was disturbed or slow.
        earlier_ms: The fastest pulse of each run on the device before: a machine that is slow all along is not known by
            itself.
    """
    good = [run for run in runs if run.status == "ok"]
    tried = Counter(run.request.architecture for run in runs)
    n_good = len({run.request.architecture for run in good})
    if len(runs) >= _GIVE_UP and not good:
        return None
    spent_s = sum(run.seconds for run in runs)
    first_s = {run.request.architecture: run.seconds for run in reversed(runs)}
    usual_s = sum(first_s.values()) / len(first_s) if first_s else 0.0
    left = order[len(tried) :] if n_good < n else ()
    full_ms = full_pulse_ms([*least_ms(_stretches(good)), *earlier_ms])
    if left and spent_s + usual_s <= budget_s * (1.0 if n_good >= least else _OVERRUN):
        return _watched(asked.request(left[0]), full_ms)
    if n_good < min(least, n):
        return None
    for name in _again(good, tried, full_ms, looks):
        left_s = EXTENSION * budget_s - spent_s - _look_s([run for run in good if run.request.architecture == name])
        if left_s >= 0:
            return _watched(asked.request(name), full_ms)
    return None


def _watched(request: Request, full_ms: float | None) -> Request:
    """The same, its operators watched while the machine is at its full pace, where slow moments divide a pass unlike.

    In fp32 all operators suffer about alike of one; products of other precisions may be left to units of the CPU that
    neighbours use too.
    """
    if full_ms is None or request.precision == "fp32":
        return request
    return replace(request, pulse_ms=AT_FULL_PACE * full_ms)


def _look_s(runs: Sequence[Run]) -> float:
    """How long another look at the network of those runs is expected to take."""
    return min(
        run.seconds - (run.measured.seconds.get("convert", 0.0) if run.measured and _keeps(run.request) else 0.0)
        for run in runs
    )


def _keeps(request: Request) -> bool:
    """Whether what was compiled once is not compiled again: TorchInductor keeps it on disk."""
    return request.runtime == "pytorch-compile"


def _again(good: Sequence[Run], tried: Mapping[str, int], full_ms: float | None, looks: int) -> list[str]:
    """Networks that may be measured once more: noisy ones, the least certain first, then the slowest, then others.

    What others do on a machine makes a network slower and never faster, and does not always show in the pulse. A run
    that was disturbed can be off by a factor of 40, a slow moment by a third.
    """
    slow = slowdowns(_stretches(good), full_ms)
    least: dict[str, float] = {}
    for run, by in zip(good, slow.tolist(), strict=True):
        name = run.request.architecture
        least[name] = min(by, least.get(name, by))
    steady = {run.request.architecture for run in good if run.verdict == "steady"}
    unsure = {
        name: min(_width(run) for run in good if run.request.architecture == name)
        for name in least if name not in steady and tried[name] < max(looks, _LOOKS_IF_NOISY)
    }  # fmt: skip
    slowed = [name for name, by in least.items() if by > AT_FULL_PACE and tried[name] < _TRIES]
    others = [name for name in least if tried[name] < looks]
    ranked = [
        *sorted(unsure, key=lambda name: -unsure[name]), *sorted(slowed, key=lambda name: -least[name]),
        *sorted(others, key=lambda name: tried[name]),
    ]  # fmt: skip
    return list(dict.fromkeys(ranked))


def _width(run: Run) -> float:
    """How wide the interval of its median is, relative, to a hundredth."""
    if run.measured is None:
        return 0.0
    low, high = run.measured.latency.ci95
    return round((high - low) / run.measured.latency.p50, 2)


def _stretches(good: Sequence[Run]) -> list[Stretch | None]:
    return [None if run.measured is None else stretch_of(run.measured) for run in good]


# -- what is known of one ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the stored runs say of a calibration.

    Attributes:
        calibration_id: The sweep id of its runs.
        setup: As an own speed row has it: the precision is the one really used.
        fingerprint: What a speed depends on beside the setup, see `fingerprint`.
        started_at: UTC, ISO 8601, to the second.
        run_ids: Of the probes that worked, in the order in which they were measured.
        skipped: The probes that failed, each with the reason.
        drift: Of the sentinel, |after / before - 1|; None where one of the two is missing.
        status: "complete"; "stopped" where it ended early; "too few" where fewer probes worked than predictions need;
            "running".
    """

    calibration_id: str
    asked: Asked
    setup: Setup
    fingerprint: dict[str, str]
    started_at: str
    run_ids: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    drift: float | None
    status: Status

    @property
    def drifted(self) -> bool:
        """Whether the machine was not the same throughout."""
        return self.drift is not None and self.drift > MAX_DRIFT


def drift_words(drift: float) -> str:
    """By how much a sentinel drifted: in percent; a multiple as a factor."""
    if drift >= _AS_FACTOR:
        return f"a factor of {1 + drift:.0f}"
    return percent(drift)


def calibration(
    rows: pd.DataFrame, setups: Mapping[str, Setup], fingerprints: Mapping[str, dict[str, str]], *, least: int
) -> Calibration | None:
    """A calibration from its runs; None where no probe worked, or all of those were deleted.

    Args:
        rows: Of the query `own_runs`, deleted ones too, all of one sweep id.
        setups: Of each run that worked and is not deleted.
        fingerprints: Of each run that worked, at least of the first.
        least: Fewer probes than these are too few.
    """
    ordered = rows.sort_values("run_id")
    probes = ordered[ordered["architecture"] != SENTINEL]
    good = [run_id for run_id in probes.loc[probes["status"] == "ok", "run_id"] if run_id in setups]
    if not good:
        return None
    first = probes.loc[probes["run_id"] == good[0], "request"].iloc[0]
    asked = asked_of(lines.request_of(json.loads(first)))
    if asked is None:
        return None  # no calibration of ours
    failed = probes[(probes["status"] == "failed") & ~probes["deleted"].astype(bool)]
    drifts = ordered["drift"].dropna()
    return Calibration(
        calibration_id=str(ordered["sweep_id"].iloc[0]), asked=asked, setup=setups[good[0]],
        fingerprint=fingerprints[good[0]], started_at=f"{ordered['started_at'].iloc[0]:%Y-%m-%dT%H:%M:%S}+00:00",
        run_ids=tuple(good), skipped=tuple(zip(failed["architecture"], failed["reason"], strict=True)),
        drift=None if drifts.empty else float(drifts.iloc[0]), status=_status(ordered, len(good), least),
    )  # fmt: skip


def _status(rows: pd.DataFrame, n_good: int, least: int) -> Status:
    if n_good < least:
        return "too few"
    ended = int((rows["architecture"] == SENTINEL).sum()) == 2 and rows["status"].isin(["ok", "failed"]).all()
    return "complete" if ended else "stopped"


def operators_of(text: str | None) -> tuple[TimedOperator, ...]:
    """The timed operators of a run from their JSON in the store; none where the run has none."""
    if not isinstance(text, str):
        return ()
    return msgspec.json.decode(text, type=tuple[TimedOperator, ...] | None) or ()


# -- whether it still holds ----------------------------------------------------------------------------


def fingerprint(device_id: str, machine: str, software: str, environment: Mapping[str, Any]) -> dict[str, str]:
    """What a speed depends on beside the setup: the machine, the driver, versions, the threads that may be used.

    The CUDA version is left out: it comes with torch, and is not known without loading it.

    Args:
        machine: Its name, for people.
        software: As an own speed row has it: 'torch 2.15.0, timm 1.0.31'.
        environment: Of a run, or `{"usable_threads": ..., "gpu": {"driver": ...}}` of now.
    """
    packages = dict(part.rsplit(" ", 1) for part in software.split(", ") if " " in part)
    packages.pop("CUDA", None)
    told = {"threads": environment.get("usable_threads"), "driver": (environment.get("gpu") or {}).get("driver")}
    known = {name: str(value) for name, value in told.items() if value is not None}
    return {"device_id": device_id, "machine": machine, **known, **packages}


def staleness(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Why a calibration says nothing of this machine as it is now, one sentence each; none where it still holds.

    Only what was known then is compared.
    """
    if then["device_id"] != now["device_id"]:
        if then["machine"] == now["machine"]:
            return (f"It was made on another machine that is called {now['machine']} too: calibrate here.",)
        return (f"It was made on {then['machine']}, and this is {now['machine']}: calibrate here.",)
    found = []
    for name, value in then.items():
        if name in ("device_id", "machine") or now.get(name) == value:
            continue
        if name == "threads" and name in now:
            found.append(f"It was made when {_threads(value)} could be used, and now {now[name]} can")
        else:
            what = "the GPU driver" if name == "driver" else name
            instead = f"and {now[name]} is installed now" if name in now else "which is not installed now"
            found.append(f"It was made with {what} {value}, {instead}")
    return tuple(f"{sentence}: calibrate again." for sentence in found)


def _threads(number: str) -> str:
    return f"{number} thread{'' if number == '1' else 's'}"
