"""What the claims are checked on: the scored networks of every setup of a device, kept apart. Pure.

Accuracy policy: for each architecture and image size the best weights that saw ImageNet-1k alone (`in1k`), or
whose largest data were a larger ImageNet (`in21k`). So recipes are as strong as published, and extra data
never decide between families.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.advice.setups import QUANTISED, describe_setup

Task = Literal["infer", "train"]
Mask = NDArray[np.bool_]

# Sources that publish speed and accuracy of the same networks, trained by the claim's own authors.
OWN_SOURCES = ("pycls-model-zoo", "mnasnet-tpu", "slim-mobilenet", "tresnet-2020")
_SETUP = ("runtime", "precision", "layout", "batch_size", "software", "threads", "unit")
_RUN_COLUMNS = ("row_id", "source_id", "model", "architecture", "img_size", "throughput_per_s", "latency_ms")


def _families(*names: str) -> Callable[[str, str], bool]:
    return lambda _architecture, family: family in names


def _named(pattern: str) -> Callable[[str, str], bool]:
    compiled = re.compile(pattern)
    return lambda architecture, _family: compiled.match(architecture) is not None


# Groups of networks as the claims name them: the RegNet paper's X and Y, EfficientNet's B line, and so on.
GROUPS: dict[str, Callable[[str, str], bool]] = {
    "all": lambda _architecture, _family: True,
    "ResNeSt": _families("ResNeSt"),
    "EfficientNet": _families("EfficientNet"),
    "MobileNet": _families("MobileNet"),
    "RegNet": _families("RegNet"),
    "RegNetX/Y": _named(r"regnet[xy]_"),
    "EfficientNet-B": _named(r"(tf_)?efficientnet_b\d"),
    "MnasNet": _families("MNASNet"),
    "MobileNetV2": _named(r"mobilenetv2_"),
    "MnasNet and MobileNetV2/V3": lambda architecture, family: (
        family == "MNASNet" or re.match(r"(tf_)?mobilenetv[23]_", architecture) is not None
    ),
    "ViT": _families("ViT", "DeiT III"),
    "Swin": _families("Swin", "Swin V2"),
    "ConvNeXt": _families("ConvNeXt"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best weights of every network under one policy; top-1 is NaN where it has none."""

    top1: NDArray[np.float64]
    weights: tuple[str, ...]
    row_id: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """Every scored architecture at every image size, by name and size: a network's number is its position.

    Attributes:
        own: (source, model, image size) -> top-1 and row id in one of `OWN_SOURCES`.
        groups: Which networks belong to each of `GROUPS`.
    """

    number: Mapping[tuple[str, int], int]
    architecture: tuple[str, ...]
    img_size: tuple[int, ...]
    gmacs: NDArray[np.float64]
    acts_m: NDArray[np.float64]
    params_m: NDArray[np.float64]
    in1k: Best
    in21k: Best
    groups: Mapping[str, Mask]
    own: Mapping[tuple[str, str, int], tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What is held fixed: source, runtime, precision, layout, batch size, software, threads and unit."""

    source_id: str
    runtime: str
    precision: str
    layout: str
    batch_size: int | None
    software: str
    threads: str
    unit: str

    @property
    def words(self) -> str:
        """The setup as it is written in a sentence."""
        return describe_setup({name: getattr(self, name) for name in _SETUP})

    @property
    def quantised(self) -> bool:
        """Whether networks run quantised, so that the accuracy of float weights is only an upper bound."""
        return self.precision in QUANTISED


@dataclass(frozen=True, slots=True, eq=False)
class OwnResult:
    """A run of one of `OWN_SOURCES` with the accuracy the same source publishes for that network."""

    model: str
    architecture: str
    speed: float
    top1: float
    row_ids: tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class SetupRuns:
    """The networks of one setup, by number; `speed` is higher-is-better and of one kind throughout."""

    setup: Setup
    network: NDArray[np.intp]
    speed: NDArray[np.float64]
    row_id: tuple[str, ...]
    own: tuple[OwnResult, ...] = ()

    def pick(self, mask: Mask) -> NDArray[np.intp]:
        """Positions in this setup of the networks of a mask."""
        return np.flatnonzero(mask[self.network])


@dataclass(frozen=True, slots=True, eq=False)
class TaskRuns:
    """All setups of a device for one task; `flat` and `owner` are their networks and setups end to end."""

    setups: tuple[SetupRuns, ...]
    flat: NDArray[np.intp]
    owner: NDArray[np.intp]

    def count(self, mask: Mask) -> NDArray[np.intp]:
        """How many networks of a mask each setup has, shape (n_setups,)."""
        return np.bincount(self.owner[mask[self.flat]], minlength=len(self.setups))

    def richest(self, *groups: Mask) -> SetupRuns | None:
        """The setup that holds most of the scarcest group; None where no setup holds every group.

        Ties go to networks that are not quantised, to more networks, then to the setup's name.
        """
        if not self.setups:
            return None
        scarcest = np.min([self.count(mask) for mask in groups], axis=0)
        if scarcest.max(initial=0) == 0:
            return None
        best: list[int] = np.flatnonzero(scarcest == scarcest.max()).tolist()
        return self.setups[self.preferred(best)]

    def preferred(self, among: list[int]) -> int:
        """Of setups with as many networks of interest: not quantised, then larger, then by name."""
        return among[0] if len(among) == 1 else min(among, key=self._preference)

    def _preference(self, i: int) -> tuple[bool, int, str]:
        one = self.setups[i]
        return one.setup.quantised, -len(one.network), f"{one.setup.words} {one.setup.source_id}"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A device's runs, ready for every claim."""

    networks: Networks
    infer: TaskRuns
    train: TaskRuns

    def task(self, task: Task) -> TaskRuns:
        """The runs of one task."""
        return self.infer if task == "infer" else self.train


@dataclass(slots=True)
class _Gathering:
    """One setup while its rows are read: for each metric, network -> best speed and its row."""

    latency_ms: dict[int, tuple[float, str]] = field(default_factory=dict)
    throughput_per_s: dict[int, tuple[float, str]] = field(default_factory=dict)
    own: dict[tuple[str, int], OwnResult] = field(default_factory=dict)


def networks(scored: pd.DataFrame, accuracy: pd.DataFrame | None = None) -> Networks:
    """Number the scored networks and find the best weights of each under both policies.

    Args:
        scored: Weights x image size with top-1, as the query `scored` gives them; order and repeats of rows
            do not matter.
        accuracy: All accuracy rows, for what `OWN_SOURCES` publish beside their speeds.
    """
    known = scored.drop_duplicates(["weights", "img_size"]).sort_values(["weights", "img_size"])
    pairs = list(zip(_texts(known, "architecture"), _whole(known, "img_size"), strict=True))
    number = {pair: i for i, pair in enumerate(sorted(set(pairs)))}
    at = np.array([number[pair] for pair in pairs], dtype=np.intp)
    family = dict(zip(_texts(known, "architecture"), _texts(known, "family"), strict=True))
    architecture = tuple(name for name, _ in number)
    costs = {name: np.full(len(number), np.nan) for name in ("gmacs", "acts_m", "params_m")}
    for name, values in costs.items():
        values[at] = known[name].to_numpy(float, na_value=np.nan)
    rank = known["extra_data_rank"].to_numpy(float, na_value=np.nan)
    return Networks(
        number=number,
        architecture=architecture,
        img_size=tuple(size for _, size in number),
        in1k=_best(known, at, rank == 0, len(number)),
        in21k=_best(known, at, rank == 1, len(number)),
        groups={
            group: np.array([belongs(name, family[name]) for name in architecture], dtype=bool)
            for group, belongs in GROUPS.items()
        },
        own=_own_accuracies(accuracy) if accuracy is not None else {},
        **costs,
    )


def _best(known: pd.DataFrame, at: NDArray[np.intp], allowed: Mask, n: int) -> Best:
    top1 = np.full(n, np.nan)
    weights, row_id = [""] * n, [""] * n
    rows = zip(
        at, allowed, known["top1"].to_numpy(float, na_value=np.nan), _texts(known, "weights"),
        _texts(known, "accuracy_row_id"), strict=True,
    )  # fmt: skip
    for i, fits, value, name, row in rows:
        if fits and value == value and not top1[i] >= value:
            top1[i], weights[i], row_id[i] = value, name, row
    return Best(top1, tuple(weights), tuple(row_id))


def _own_accuracies(accuracy: pd.DataFrame) -> dict[tuple[str, str, int], tuple[float, str]]:
    chosen = accuracy[
        accuracy["source_id"].isin(OWN_SOURCES)
        & (accuracy["dataset"] == "imagenet-1k")
        & (accuracy["metric"] == "top1")
        & accuracy["img_size"].notna()
        & ~accuracy["suspect"].astype(bool)
    ].sort_values("row_id", ascending=False)
    keys = zip(_texts(chosen, "source_id"), _texts(chosen, "model"), _whole(chosen, "img_size"), strict=True)
    values = zip(chosen["value"].to_numpy(float), _texts(chosen, "row_id"), strict=True)
    return dict(zip(keys, values, strict=True))


def prepare(known: Networks, runs_infer: pd.DataFrame, runs_train: pd.DataFrame) -> Prepared:
    """Sort a device's runs into setups; rows of networks that nobody scored at that size are left out."""
    infer, train = (_gathered(known, runs, [""] * len(runs)).get("", {}) for runs in (runs_infer, runs_train))
    return Prepared(known, _task_runs(infer), _task_runs(train))


def prepare_each(known: Networks, runs_infer: pd.DataFrame, runs_train: pd.DataFrame) -> dict[str, Prepared]:
    """As `prepare` for every device that has runs, from the runs of all, which are read once."""
    infer, train = (_gathered(known, runs, _texts(runs, "device_id")) for runs in (runs_infer, runs_train))
    return {
        device_id: Prepared(known, _task_runs(infer.get(device_id, {})), _task_runs(train.get(device_id, {})))
        for device_id in sorted({*infer, *train})
    }


_Setups = dict[tuple[str, ...], _Gathering]


def _gathered(known: Networks, runs: pd.DataFrame, devices: list[str]) -> dict[str, _Setups]:
    """Device -> setup -> its networks, from rows whose devices are given beside them."""
    gathered: dict[str, _Setups] = {}
    if len(runs):
        setups = zip(*(_texts(runs, name) for name in ("source_id", *_SETUP)), strict=True)
        rows = zip(*(runs[name].tolist() for name in _RUN_COLUMNS), strict=True)
        for device, setup, row in zip(devices, setups, rows, strict=True):
            groups = gathered.setdefault(device, {})
            group = groups.get(setup)
            if group is None:
                group = groups[setup] = _Gathering()
            _gather(known, group, *row)
    return gathered


def _task_runs(gathered: _Setups) -> TaskRuns:
    finished = [_finish(_as_setup(key), group) for key, group in sorted(gathered.items())]
    setups_kept = tuple(one for one in finished if len(one.network) or one.own)
    sizes = [len(one.network) for one in setups_kept]
    flat = np.concatenate([np.empty(0, np.intp), *(one.network for one in setups_kept)])
    return TaskRuns(setups_kept, flat, np.repeat(np.arange(len(sizes)), sizes))


def _gather(
    known: Networks, group: _Gathering, row_id: str, source_id: str, model: str, architecture: str,
    img_size: int, throughput: float, latency: float,
) -> None:  # fmt: skip
    own = known.own.get((source_id, model, int(img_size))) if source_id in OWN_SOURCES else None
    if own is not None:
        speed = throughput if throughput == throughput else 1000.0 / latency
        group.own[model, int(img_size)] = OwnResult(model, architecture, speed, own[0], (row_id, own[1]))
    network = known.number.get((architecture, img_size))
    if network is None:
        return
    # several rows of one network in one setup: the fastest speaks, equal ones by row id
    if latency == latency:
        passes = (1000.0 / latency, row_id)
        before = group.latency_ms.get(network)
        if before is None or (-passes[0], row_id) < (-before[0], before[1]):
            group.latency_ms[network] = passes
    if throughput == throughput:
        before = group.throughput_per_s.get(network)
        if before is None or (-throughput, row_id) < (-before[0], before[1]):
            group.throughput_per_s[network] = (throughput, row_id)


def _finish(setup: Setup, group: _Gathering) -> SetupRuns:
    """Latency decides at batch 1 where it is published, throughput otherwise; never the two together."""
    first, second = group.latency_ms, group.throughput_per_s
    if setup.batch_size != 1:
        first, second = second, first
    chosen = sorted((first or second).items())
    return SetupRuns(
        setup=setup,
        network=np.array([network for network, _ in chosen], dtype=np.intp),
        speed=np.array([speed for _, (speed, _) in chosen], dtype=np.float64),
        row_id=tuple(row for _, (_, row) in chosen),
        own=tuple(group.own[key] for key in sorted(group.own)),
    )


def _as_setup(key: tuple[str, ...]) -> Setup:
    named = dict(zip(("source_id", *_SETUP), key, strict=True))
    batch = named.pop("batch_size")
    return Setup(batch_size=int(float(batch)) if batch else None, **named)


def _texts(frame: pd.DataFrame, name: str) -> list[str]:
    """A column as text; missing values and NaN as empty text."""
    values: Iterable[Any] = frame[name].tolist()
    return ["" if value is None or value != value else str(value) for value in values]


def _whole(frame: pd.DataFrame, name: str) -> list[int]:
    return [int(value) for value in frame[name].tolist()]
