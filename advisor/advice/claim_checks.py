"""What every check of a claim is made of: the device at hand, a finding, and how figures are worded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from advisor.advice.claim_frames import Best, Mask, Prepared, SetupRuns, Task
from advisor.advice.matching import Matches, match_at_equal_top1
from advisor.records import Verdict

MIN_PAIRS = 3  # fewer matched pairs than this is an anecdote: no median, no verdict
MAX_ROW_IDS = 60  # rows behind a finding that the drill-down shows
NOT_ENOUGH: Verdict = "not enough evidence"


class DeviceLike(Protocol):
    """What a check needs to know of a device."""

    @property
    def device_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """How a claim holds, the sentence with the figures, and the rows that decided."""

    verdict: Verdict
    figures: str
    row_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A device with its runs, as every check gets it."""

    device_id: str
    name: str
    kind: str
    prepared: Prepared

    @property
    def without_gpu(self) -> bool:
        """Whether the device is a processor, not a graphics or neural unit."""
        return self.kind == "cpu" or self.device_id.endswith("-cpu")

    def where(self, runs: SetupRuns) -> str:
        """The device and the single setup that was looked at."""
        return f"On {self.name} ({runs.setup.words})"

    def group(self, name: str) -> Mask:
        """The networks of one of `claim_frames.GROUPS`."""
        return self.prepared.networks.groups[name]


@dataclass(frozen=True, slots=True, eq=False)
class Duel:
    """Two groups of networks in one setup, matched at equal top-1; `ratio` is other over reference.

    Attributes:
        reference: Positions in `runs` of the reference's front that found a match; `other` the matches.
        unreached: Networks of the reference's front that the other group does not reach.
    """

    runs: SetupRuns
    reference: NDArray[np.intp]
    other: NDArray[np.intp]
    matches: Matches

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Speed ratios, shape (n_pairs,)."""
        return self.matches.ratio

    @property
    def enough(self) -> bool:
        """Whether there are pairs enough for a verdict."""
        return len(self.ratio) >= MIN_PAIRS


def duel(case: Case, reference: Mask, other: Mask, best: Best, *, task: Task = "infer") -> Duel | None:
    """Match two groups in the setup that has most of the scarcer one; None where no setup has both."""
    has_top1 = ~np.isnan(best.top1)
    runs = case.prepared.task(task).richest(reference & has_top1, other & has_top1)
    return None if runs is None else duel_in(runs, reference & has_top1, other & has_top1, best)


def duel_in(runs: SetupRuns, reference: Mask, other: Mask, best: Best) -> Duel:
    """Match two groups in a given setup; every network of the masks must have a top-1."""
    mine, theirs = runs.pick(reference), runs.pick(other)
    matches = match_at_equal_top1(
        best.top1[runs.network[mine]], runs.speed[mine], best.top1[runs.network[theirs]], runs.speed[theirs]
    )
    return Duel(runs, mine[matches.reference], theirs[matches.match], matches)


def pair_rows(one: Duel, best: Best) -> tuple[str, ...]:
    """Speed and accuracy rows of the pairs, largest ratio first."""
    order = np.argsort(-one.ratio, kind="stable")
    return rows(row for i in order for row in network_rows(one.runs, best, (int(one.reference[i]), int(one.other[i]))))


def network_rows(runs: SetupRuns, best: Best, positions: Iterable[int]) -> list[str]:
    """The speed row and the accuracy row of networks in a setup."""
    return [row for i in positions for row in (runs.row_id[i], best.row_id[runs.network[i]])]


def rows(ids: Iterable[str]) -> tuple[str, ...]:
    """Row ids once each, in order, at most `MAX_ROW_IDS`."""
    return tuple(dict.fromkeys(row for row in ids if row))[:MAX_ROW_IDS]


def times(ratio: float) -> str:
    """A ratio as people write it: 1.8x, 0.45x."""
    return f"{ratio:.1f}x" if ratio >= 0.995 else f"{ratio:.2f}x"


def spread(ratio: Sequence[float] | NDArray[np.float64]) -> str:
    """Smallest to largest ratio with median and number of pairs."""
    values = np.asarray(ratio, dtype=float)
    if len(values) == 1:
        return f"{times(float(values[0]))} (a single pair)"
    low, high, middle = times(float(values.min())), times(float(values.max())), float(np.median(values))
    reach = high if low == high else f"{low.removesuffix('x')}–{high}"
    return f"{reach} (median {times(middle)}, {len(values)} pairs)"


def named(case: Case, runs: SetupRuns, best: Best, position: int) -> str:
    """Weights, image size and top-1 of a network in a setup."""
    network = int(runs.network[position])
    size = case.prepared.networks.img_size[network]
    return f"{best.weights[network]} at {size} px, {best.top1[network]:.1f} %"


def float_caution(runs: SetupRuns) -> str:
    """What to add where networks ran quantised."""
    if not runs.setup.quantised:
        return ""
    return (
        f" The speeds are of {runs.setup.precision} networks, the accuracies of their float weights: "
        "accuracy there is lower by an unpublished amount."
    )


def too_few(case: Case, one: Duel | None, reference: str, other: str, best: Best, what: str) -> Finding:
    """The finding where a setup with both groups is missing or gives fewer than `MIN_PAIRS` pairs."""
    if one is None:
        text = (
            f"No setup of {case.name} has both {other} and {reference} at an image size with a published "
            f"top-1 ({what})."
        )
        return Finding(NOT_ENOUGH, text)
    n = len(one.ratio)
    text = f"{case.where(one.runs)} {other} and {reference} give {n or 'no'} pair{'' if n == 1 else 's'} at equal top-1"
    text += f" ({what}), and a verdict needs {MIN_PAIRS}."
    if n:
        top = int(np.argmax(one.ratio))
        text += (
            f" What there is: {named(case, one.runs, best, int(one.other[top]))}, is "
            f"{times(float(one.ratio[top]))} as fast as {named(case, one.runs, best, int(one.reference[top]))}."
        )
    return Finding(NOT_ENOUGH, text + float_caution(one.runs), pair_rows(one, best))
