"""Cost profiles: which operators every network runs at every image size, as arrays that a predictor can use."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.errors import UnknownName
from advisor.predict.signature import CLASSES, Signature

if TYPE_CHECKING:
    from scipy import sparse

OPERATOR_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Signature))
MODEL_COLUMNS: tuple[str, ...] = (
    "architecture", "img_size", "params", "activations", "macs", "bytes", "weight_bytes", "n_operators", "uncounted",
    "counter", "timm",
)  # fmt: skip
# what a linear model of latency multiplies with its weights: "macs pointwise", "bytes pointwise", "count pointwise"...
COSTS = ("macs", "bytes", "count")
FEATURES: tuple[str, ...] = tuple(f"{cost} {kind}" for cost in COSTS for kind in CLASSES)


@dataclass(frozen=True, slots=True)
class CostProfile:
    """One network at one image size, counted: one forward pass of one image in fp32.

    Attributes:
        img_size: Side of the image, px; at a network's native width its native height goes with it.
        params: Parameters, with timm's default classifier.
        operators: Distinct operators in the order in which each is first run, with how often they are run.
        uncounted: Names of operators that may multiply and add but for which there is no formula.
        counter: Who counted, with version; `timm` is the version of timm.
    """

    architecture: str
    img_size: int
    params: int
    operators: tuple[tuple[Signature, int], ...]
    uncounted: tuple[str, ...]
    counter: str
    timm: str

    @property
    def macs(self) -> int:
        """Multiply-adds of the image."""
        return sum(operator.macs * times for operator, times in self.operators)


@dataclass(frozen=True, slots=True)
class NotCounted:
    """A network whose operators could not be counted at that size, with the reason in a sentence."""

    architecture: str
    img_size: int
    reason: str


@dataclass(frozen=True, eq=False)
class Profiles:
    """Many cost profiles; not to be changed in place.

    Attributes:
        models: One row a profile with `MODEL_COLUMNS`, in order of architecture and image size where they are the
            shipped ones. `activations` counts the values that convolutions and products write; the scores of a fused
            attention are never written and do not count.
        operators: One row an operator with `OPERATOR_COLUMNS`.
        counts: Shape (n_profiles, n_operators): how often each profile runs each operator.
        not_counted: What could not be counted.
    """

    models: pd.DataFrame
    operators: pd.DataFrame
    counts: sparse.csr_array
    not_counted: tuple[NotCounted, ...] = ()

    def __post_init__(self) -> None:
        if self.counts.shape != (len(self.models), len(self.operators)):
            raise ValueError(f"counts are {self.counts.shape}, not {(len(self.models), len(self.operators))}")

    def __len__(self) -> int:
        return len(self.models)

    @functools.cached_property
    def features(self) -> NDArray[np.float64]:
        """Shape (n_profiles, n_features), in the order of `FEATURES`; MACs, bytes and plain counts by class."""
        kinds = np.asarray(pd.Categorical(self.operators["kind"], categories=CLASSES).codes)
        of_class = np.arange(len(CLASSES)) == kinds[:, None]
        costs = [self.operators[cost].to_numpy(np.float64) for cost in COSTS[:2]] + [np.ones(len(kinds))]
        return np.asarray(np.hstack([self.counts @ (of_class * cost[:, None]) for cost in costs]))

    @functools.cached_property
    def n_operators(self) -> NDArray[np.float64]:
        """Shape (n_profiles,): operators of one forward pass."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.float64)

    @functools.cached_property
    def positions(self) -> dict[tuple[str, int], int]:
        """The row of each (architecture, img_size)."""
        names, sizes = self.models["architecture"].tolist(), self.models["img_size"].tolist()
        return {key: row for row, key in enumerate(zip(names, sizes, strict=True))}

    def rows(self, wanted: Sequence[tuple[str, int]]) -> NDArray[np.intp]:
        """The rows of those profiles, in their order.

        Raises:
            UnknownName: One has no profile; names the sizes there are, or close names.
        """
        try:
            return np.array([self.positions[key] for key in wanted], dtype=np.intp)
        except KeyError as exc:
            raise self._missing(*exc.args[0]) from None

    def only(self, rows: Sequence[int] | NDArray[np.intp]) -> Profiles:
        """Those rows alone, with all operators, which keep their positions."""
        chosen = np.asarray(rows, dtype=np.intp)
        return Profiles(self.models.iloc[chosen].reset_index(drop=True), self.operators, self.counts[chosen])

    def operators_of(self, architecture: str, img_size: int) -> pd.DataFrame:
        """The operators of one profile with their `count`."""
        (row,) = self.rows([(architecture, img_size)])
        found = self.counts[[row]]
        return self.operators.iloc[found.indices].assign(count=found.data).reset_index(drop=True)

    def _missing(self, architecture: str, img_size: int) -> UnknownName:
        sizes = sorted(size for name, size in self.positions if name == architecture)
        if not sizes:
            return UnknownName("model", architecture, {name for name, _ in self.positions})
        reasons = [n.reason for n in self.not_counted if (n.architecture, n.img_size) == (architecture, img_size)]
        hint = reasons[0] if reasons else f"There are: {', '.join(map(str, sizes))} px."
        return UnknownName(f"image size of {architecture}", f"{img_size} px", (), hint=hint)


def assemble(profiles: Iterable[CostProfile], not_counted: Iterable[NotCounted] = ()) -> Profiles:
    """Profiles as arrays, in order of architecture and image size; equal operators become one row."""
    from scipy import sparse  # takes 0.2 s to import, and every command imports this module

    found = sorted(profiles, key=lambda p: (p.architecture, p.img_size))
    ids: dict[Signature, int] = {}
    columns = [ids.setdefault(operator, len(ids)) for profile in found for operator, _ in profile.operators]
    times = [count for profile in found for _, count in profile.operators]
    ends = np.cumsum([0, *(len(profile.operators) for profile in found)])
    parts = np.array(times, dtype=np.int32), np.array(columns, dtype=np.int32), ends.astype(np.int32)
    counts = sparse.csr_array(parts, shape=(len(found), len(ids)))
    operators = pd.DataFrame([asdict(s) for s in ids], columns=list(OPERATOR_COLUMNS))
    models = pd.DataFrame([_summary(p) for p in found], columns=list(MODEL_COLUMNS))
    failed = sorted(not_counted, key=lambda n: (n.architecture, n.img_size))
    return Profiles(models, operators, counts, tuple(failed))


def joined(first: Profiles, second: Profiles) -> Profiles:
    """The profiles of both, those of `first` before; an operator that both have then has two rows."""
    from scipy import sparse

    return Profiles(
        pd.concat([first.models, second.models], ignore_index=True),
        pd.concat([first.operators, second.operators], ignore_index=True),
        sparse.csr_array(sparse.block_diag([first.counts, second.counts], format="csr")),
        (*first.not_counted, *second.not_counted),
    )


def _summary(profile: CostProfile) -> dict[str, object]:
    run = profile.operators
    return {
        "architecture": profile.architecture, "img_size": profile.img_size, "params": profile.params,
        "activations": sum(o.out_values * times for o, times in run if o.macs), "macs": profile.macs,
        "bytes": sum(o.bytes * times for o, times in run),
        "weight_bytes": sum(o.weight_bytes * times for o, times in run),
        "n_operators": sum(times for _, times in run), "uncounted": " ".join(profile.uncounted),
        "counter": profile.counter, "timm": profile.timm,
    }  # fmt: skip
