"""The words of the advisor as frozen values: questions, candidates, answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import pandas as pd

from advisor.errors import BadQuestion, UnknownName
from advisor.metrics import ACCURACIES

Evidence = Literal["published", "measured", "predicted"]
# which evidence may decide: predicted speeds only where a measurement can confirm them, on any device, or nowhere
Deciding = Literal["auto", "all", "known"]
Verdict = Literal["holds", "fails", "not enough evidence"]

FOUR_FAMILIES: tuple[str, ...] = ("ResNeSt", "EfficientNet", "MobileNet", "RegNet")
ALL_FAMILIES: tuple[str, ...] = ("all",)

_LARGEST = 1e12  # no limit of the field comes near; larger numbers are slips of the keyboard

# limits of a question that are numbers, in the order in which they are shown
NUMERIC_LIMITS: tuple[str, ...] = (
    "max_latency_ms", "min_throughput", "max_params_m", "max_memory_mb", "max_file_mb", "min_accuracy",
    "max_img_size",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """What the user asks: a device, a setup as far as it matters, and hard limits.

    `None` in runtime, precision, layout or batch_size means: the best published setup of the device,
    chosen per model. A latency limit without a batch size is about batch 1. All limits judge one and the
    same run, so a latency and a throughput limit together must both hold in that run.

    `evidence` says what predicted speeds may do: with "auto" they may be the pick on this machine, where one click
    confirms them, and stand apart on published devices; with "all" they may be the pick anywhere; "known" leaves them
    out.

    Raises:
        BadQuestion: A limit that makes no sense, or limits that contradict each other.
        UnknownName: An accuracy that is none of `metrics.ACCURACIES`.
    """

    device_id: str
    runtime: str | None = None
    precision: str | None = None
    layout: str | None = None
    batch_size: int | None = None
    max_latency_ms: float | None = None
    min_throughput: float | None = None
    max_params_m: float | None = None
    max_memory_mb: float | None = None
    max_file_mb: float | None = None
    min_accuracy: float | None = None
    accuracy: str = "top1"
    max_img_size: int | None = None
    licence: Literal["any", "commercial"] = "any"
    pretraining: Literal["any", "imagenet-1k"] = "any"
    families: tuple[str, ...] = FOUR_FAMILIES
    task: Literal["infer", "train"] = "infer"
    evidence: Deciding = "auto"

    def __post_init__(self) -> None:
        for name in (*NUMERIC_LIMITS, "batch_size"):
            value = getattr(self, name)
            if value is not None and value > _LARGEST:
                raise BadQuestion(f"{option_name(name)} must be at most {_LARGEST:g}.")
            if value is not None and not value > 0:  # NaN fails too
                raise BadQuestion(f"{option_name(name)} must be a number above 0, not {max(value, -_LARGEST):g}.")
        if self.min_accuracy is not None and self.min_accuracy > 100:
            raise BadQuestion(f"--min-accuracy is in percent and cannot exceed 100, not {self.min_accuracy:g}.")
        if self.accuracy not in ACCURACIES:
            raise UnknownName("accuracy", self.accuracy, ACCURACIES, hint=f"Known: {', '.join(ACCURACIES)}.")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadQuestion(f"{option_name(name)} must be {' or '.join(allowed)}, not '{getattr(self, name)}'.")
        if not self.families:
            raise BadQuestion("Choose at least one family, or 'all'.")
        if self.task == "train" and self.max_latency_ms is not None:
            raise BadQuestion(
                f"--max-latency-ms {self.max_latency_ms:g} contradicts --task train: training is judged by "
                "throughput; use --min-throughput."
            )

    @property
    def all_families(self) -> bool:
        """Whether every timm family may be recommended."""
        return "all" in self.families

    @property
    def axis(self) -> Literal["latency_ms", "throughput_per_s"] | None:
        """The speed the question is about; None leaves it to what the device has."""
        if self.max_latency_ms is not None:
            return "latency_ms"
        if self.min_throughput is not None or self.task == "train":
            return "throughput_per_s"
        return None


_CHOICES: dict[str, tuple[str, ...]] = {
    "licence": ("any", "commercial"),
    "pretraining": ("any", "imagenet-1k"),
    "task": ("infer", "train"),
    "evidence": ("auto", "all", "known"),
}


def option_name(field: str) -> str:
    """The command-line spelling of a question's field, which messages use everywhere."""
    return "--device" if field == "device_id" else "--" + field.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Device:
    """A device with what is known about it.

    Attributes:
        n_models: How many timm architectures have a speed there.
        n_decidable: How many of them have a speed and an accuracy at one stated image size, free of doubt.
        accelerators: 8 for an '8x-...' entry, which is for training cost only.
        measured_here: A machine of which this store keeps runs, the user's own.
    """

    device_id: str
    name: str
    kind: str
    vendor: str
    n_models: int
    n_decidable: int
    n_rows: int
    accelerators: int
    notes: str
    memory_gb: float | None = None
    measured_here: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights at an image size, with the run that gives its speed on the device asked for.

    Attributes:
        accuracy: Percent, of the metric `accuracy_name`.
        accuracy_error: Half-width of the 95 % sampling interval, in points.
        latency_ms: One forward pass of one batch of `batch_size`.
        throughput_per_s: Images per second at `batch_size`.
        accuracy_of: "these weights", or "the float weights" where the run is of a quantised network.
        interval: Low and high latency in ms where the evidence has one: the 95 % interval of a measured median.
        source_id: Where the speed is from; `accuracy_source_id` for the accuracy.
        verdict: "steady" or "noisy" of a speed that was measured with this advisor, else empty.
        measured_at: When that was begun, UTC, ISO 8601; empty where it is not known.
        latency_lo90_ms, latency_hi90_ms: The central 90 % interval of a predicted latency, None of others.
        p_within: Of a predicted speed, how probable it is that it keeps the limits on speed; None where there are none.
    """

    weights: str
    architecture: str
    family: str
    img_size: int
    accuracy: float | None
    accuracy_name: str
    accuracy_error: float | None
    accuracy_of: str
    latency_ms: float | None
    throughput_per_s: float | None
    batch_size: int | None
    params_m: float | None
    gmacs: float | None
    file_mb: float | None
    peak_memory_mb: float | None
    licence: str
    commercial: bool | None
    pretraining: str
    evidence: Evidence
    source_id: str
    accuracy_source_id: str
    interval: tuple[float, float] | None
    device_id: str
    task: str
    runtime: str
    software: str
    threads: str
    unit: str
    precision: str
    layout: str
    note: str
    verdict: str = ""
    measured_at: str = ""
    latency_lo90_ms: float | None = None
    latency_hi90_ms: float | None = None
    p_within: float | None = None

    def interval_of(self, axis: Literal["latency_ms", "throughput_per_s"]) -> tuple[float, float] | None:
        """Low and high end of the interval as a latency, or as the throughput that it is at this batch size.

        Of a measured speed the 95 % interval of its median, of a predicted one its central 90 % interval.
        """
        found = self.interval
        if self.latency_lo90_ms is not None and self.latency_hi90_ms is not None:
            found = self.latency_lo90_ms, self.latency_hi90_ms
        if found is None or axis == "latency_ms":
            return found
        low, high = found
        return None if self.batch_size is None else (self.batch_size * 1000 / high, self.batch_size * 1000 / low)

    def guarded(self, axis: Literal["latency_ms", "throughput_per_s"]) -> float | None:
        """The speed that a limit judges: of a predicted one the slow end of its interval."""
        interval = self.interval_of(axis) if self.evidence == "predicted" else None
        speed: float | None = getattr(self, axis)
        return speed if interval is None or speed is None else interval[axis == "latency_ms"]

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Candidate:
        """A candidate from a table row; missing values (NaN, NA) become None or empty text."""
        return cls(**{f.name: _clean(row.get(f.name), f.name) for f in fields(cls)})


_WHOLE = {"img_size", "batch_size"}
_TEXT = {
    "weights", "architecture", "family", "accuracy_name", "accuracy_of", "licence", "pretraining", "evidence",
    "source_id", "accuracy_source_id", "device_id", "task", "runtime", "software", "threads", "unit", "precision",
    "layout", "note", "verdict",
}  # fmt: skip


def _clean(value: Any, name: str) -> Any:
    missing = value is None or value is pd.NA or value != value
    if name == "measured_at":
        return "" if missing else f"{value:%Y-%m-%dT%H:%M:%S}+00:00"
    if name in _TEXT:
        return "" if missing else str(value)
    if missing:
        return None
    if name in _WHOLE:
        return int(value)
    if name == "commercial":
        return bool(value)
    return value if name == "interval" else float(value)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that decided or qualifies the answer.

    Attributes:
        rule: Short id, like `most-accurate-feasible` or a claim's id.
        text: One or two sentences with the figures.
        source: Where the rule or the claim is from.
        verdict: For a claim, how it holds on this device; None for a plain reason.
    """

    rule: str
    text: str
    source: str
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The next better answer if one limit were moved: `limit` to `to` gains `gain_points` with `weights`."""

    limit: str
    to: float | str
    gain_points: float
    weights: str
    text: str


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """Why nothing fits, what came closest, and the limits to relax with the values that would do."""

    text: str
    weights: str | None = None
    relax: tuple[tuple[str, float | str], ...] = ()


@dataclass(frozen=True, slots=True)
class Beyond:
    """The best of all timm families under the same limits, and what the family choice costs against it."""

    best: Candidate
    cost_points: float | None
    text: str


@dataclass(frozen=True, slots=True)
class MightWin:
    """A more accurate candidate whose speed is only predicted, and too uncertain or not allowed to be the pick.

    Attributes:
        gain_points: Its accuracy over that of the pick; None where there is no pick.
    """

    candidate: Candidate
    gain_points: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The whole answer to a question.

    Attributes:
        setup: One sentence: which setup or setups the speeds are of.
        axis: The speed that was judged.
        pick: None when nothing is feasible; then `nearest_miss` is set.
        ties: Other candidates within the sampling error of the most accurate, best first.
        by_family: Best feasible candidate of each family shown, None where a family has none.
        front: The feasible Pareto front over accuracy and speed, fastest first.
        rejected: Limit -> how many candidates break it (a candidate may break several).
        considered: How many candidates had both accuracy and speed at one image size.
        might_win: More accurate ones that are predicted to be as likely within the limits as not, most accurate first;
            each further one is likelier than those before it.
        confirm: The command that measures a pick whose speed is only predicted; empty for any other.
    """

    question: Question
    setup: str
    axis: Literal["latency_ms", "throughput_per_s"]
    pick: Candidate | None
    ties: tuple[Candidate, ...]
    runner_up: Candidate | None
    by_family: dict[str, Candidate | None]
    front: tuple[Candidate, ...]
    beyond_families: Beyond | None
    reasons: tuple[Reason, ...]
    what_if: tuple[WhatIf, ...]
    nearest_miss: NearestMiss | None
    rejected: dict[str, int]
    considered: int
    feasible: int
    might_win: tuple[MightWin, ...] = ()
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """How a well-known claim holds on one device.

    Attributes:
        figures: One or two sentences with the numbers that decided.
        holds_when: The threshold behind the verdict, in words; empty where the figures say it themselves.
        row_ids: Ids of the speed and accuracy rows behind it, for drill-down.
    """

    claim_id: str
    title: str
    source: str
    device_id: str
    verdict: Verdict
    figures: str
    row_ids: tuple[str, ...] = ()
    holds_when: str = ""
