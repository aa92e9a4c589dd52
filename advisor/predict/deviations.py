"""How networks deviate in a setup from the sum of their steps: measured on some machines, first guesses for others.

What a runtime makes of a network's graph, which of its values it moves and how much of it stays in a cache, is no
matter of single operators. Networks of one family have it in common, and machines with the same runtime and kernels
should: the probes of each say with which, if any, since the same guess without it stands beside that of every machine.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.predict.columns import Setup
from advisor.predict.completion import Completed, Variances
from advisor.predict.own_bases import OwnBase
from advisor.predict.profile import Profiles

COLUMNS: tuple[str, ...] = (
    "kind", "device", "threads", "runtime", "software", "precision", "layout", "batch_size", "architecture", "img_size",
    "latency_ms", "sum_ms", "taught_ms",
)  # fmt: skip
# Of logarithms. What is predicted hardly depends on them: with one of them halved or doubled, networks left out are
# predicted as well.
_VARIANCES = Variances(features=0.01, family=0.02, architecture=0.01, noise=0.004)
_KEY = ["kind", "runtime", "layout", "batch_size", "precision"]
# What a runtime makes of a graph is much the same in another format of floating-point numbers, but what it computes
# takes another share of the whole: of .3, .5, .7 and 1 times the deviations in bfloat16 (two cores of an AMD EPYC, of
# an Intel Xeon with AMX), half predicted OpenVINO in fp32 best (`as_measured`, three calibrations of two cores of a
# Xeon without either).
_FLOATS = frozenset({"fp32", "fp16", "bf16"})
_OF_ANOTHER_PRECISION = 0.5


@dataclass(frozen=True, eq=False)
class Deviations:
    """Of one setup of one machine: logarithms of latency over the sum of steps, less what all networks have in common.

    Attributes:
        rows: Positions in the profiles of the networks that were measured, ascending.
        untaught: Shape (n_profiles,): where the operators of a network itself are not among those that taught the sum;
            of networks that were not measured what those like them let one expect.
        taught: Shape (n_profiles,): where they are.
        doubt: Shape (n_profiles,): standard deviation.
        device: Where they were measured, and in which precision, for people.
        near: Whether they are of the very setup, but for device and versions.
    """

    rows: NDArray[np.intp]
    untaught: NDArray[np.float64]
    taught: NDArray[np.float64]
    doubt: NDArray[np.float64]
    device: str
    near: bool = True

    def added_to(self, base: OwnBase, probes: NDArray[np.intp]) -> OwnBase:
        """The same guess with every network as far from it as it was where these were measured.

        Args:
            probes: Rows of the probes that taught the base.
        """
        everywhere = base.everywhere + self.untaught
        everywhere[probes] = base.everywhere[probes] + self.taught[probes]
        return OwnBase(
            everywhere, base.at_probes + self.untaught[probes], np.hypot(base.doubt, self.doubt),
            np.hypot(base.probe_doubt, self.doubt[probes]), base.slow_doubt, base.suffers,
            base.timed, self.near,
        )  # fmt: skip

    def shrunk(self, share: float) -> Deviations:
        """That share of them, for another setup."""
        return replace(
            self, untaught=share * self.untaught, taught=share * self.taught, doubt=share * self.doubt, near=False
        )  # fmt: skip


def key_of(setup: Setup) -> Hashable:
    """What setups have in common that deviations of one are a guess for the other: all but device and versions."""
    return tuple(getattr(setup, name) for name in _KEY)


class DeviationsBySetup(Mapping[Hashable, tuple[Deviations, ...]]):
    """Those of every setup of a table by `key_of`, one of each device in order of name; worked out when asked for.

    Those of setups that differ in the format of floating-point numbers alone follow, half as far.

    Args:
        table: With `COLUMNS`; networks without a cost profile are left out. `sum_ms` is what the steps of a network add
            up to by probes that it was none of, `taught_ms` by probes that it was one of, or NaN where it never was;
            both but for a common pace.
    """

    def __init__(self, profiles: Profiles, table: pd.DataFrame) -> None:
        keys = zip(table["architecture"], table["img_size"], strict=True)
        known = table.assign(row=[profiles.positions.get(key, -1) for key in keys])
        known = known[known["row"] >= 0].sort_values("row")
        self._profiles = profiles
        self._tables: dict[Hashable, pd.DataFrame] = dict(iter(known.groupby(_KEY)))
        self._found: dict[Hashable, tuple[Deviations, ...]] = {}

    def __getitem__(self, key: Hashable) -> tuple[Deviations, ...]:
        others = [one for one in self._tables if one != key and _apart_by_format(one, key)]
        if key not in self._tables and not others:
            raise KeyError(key)
        half = [one.shrunk(_OF_ANOTHER_PRECISION) for other in others for one in self._of(other)]
        return (*self._of(key), *half)

    def _of(self, key: Hashable) -> tuple[Deviations, ...]:
        """Of that very setup."""
        if key not in self._found:
            by_device = self._tables[key].groupby("device", sort=True) if key in self._tables else ()
            self._found[key] = tuple(_of_setup(self._profiles, rows) for _, rows in by_device)
        return self._found[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def _apart_by_format(one: Hashable, other: Hashable) -> bool:
    """Whether keys have all but the precision in common, and that is of floating-point numbers in both."""
    *first, precision = cast(tuple[Hashable, ...], one)
    *second, another = cast(tuple[Hashable, ...], other)
    return first == second and {precision, another} <= _FLOATS


def _of_setup(profiles: Profiles, table: pd.DataFrame) -> Deviations:
    rows, logs = table["row"].to_numpy(np.intp), np.log(table["latency_ms"].to_numpy(np.float64))
    found = logs - np.log(table["sum_ms"].to_numpy(np.float64))
    taught = logs - np.log(table["taught_ms"].to_numpy(np.float64))
    usual, probed = float(np.median(found)), ~np.isnan(taught)
    # of a probe, likely to be an odd one, this is what its own operators are off: others, taught by it, do not share it
    filled = Completed(profiles, rows[~probed], found[~probed] - usual, _VARIANCES)
    untaught, doubt = filled.mean, filled.deviation()
    untaught[rows], doubt[rows] = found - usual, np.sqrt(_VARIANCES.noise)
    everywhere = untaught.copy()
    everywhere[rows[probed]] = taught[probed] - usual
    device, precision = table[["device", "precision"]].iloc[0]
    return Deviations(rows, untaught, everywhere, doubt, f"{device}, in {precision}")
