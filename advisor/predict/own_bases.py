"""First guesses that the probes of a device teach: from the operators inside them, for that setup and its siblings.

Setups of one device share the structure of the operators: what a network's classes of operators take in eager mode,
each class times a factor of its own, is a guess for another runtime, precision or batch size. A runtime that fuses
normalisation and activations into convolutions is one whose factors of these classes are next to nothing. Where it
tells what its convolutions and products take, these are learned from its own times, as in eager mode, and only what is
left is guessed by classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from advisor.predict.columns import Setup
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.operator_model import Taught, complete, taught
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import (
    ATTENTION,
    DENSE,
    DEPTHWISE,
    ELEMENTWISE,
    GROUPED,
    NORMALISATION,
    POINTWISE,
    PRODUCT,
    REDUCTION,
    STEM,
)

_SHRINK = 1.0  # weight of a factor's expected value, in probes
_FUSED = 0.1  # what is expected to be left of classes that a runtime fuses
_SHRINK_OF_REST = 0.01  # a factor that is twice what is expected is as bad as an error of a tenth of a latency
_TOLD_APART = (POINTWISE, DENSE, STEM, DEPTHWISE, GROUPED, PRODUCT)  # by runtimes that fuse operators
_LEAST_REST = 0.01  # of a latency
# What the rest is made of, by what becomes of it: what only moves values is never fused, a sum or an activation may be.
_NORMS, _MOVES, _SUMS, _ACTIVATIONS, _SLOW, _REDUCTIONS, _ATTENTION = range(7)
_FUSIBLE_REST = np.isin(np.arange(7), (_SUMS, _ACTIVATIONS, _SLOW))
_GROUP_OF_KIND = {
    NORMALISATION: _NORMS, ELEMENTWISE: _SUMS, "slow activation": _SLOW, REDUCTION: _REDUCTIONS, ATTENTION: _ATTENTION,
}  # fmt: skip
_GROUP_OF_NAME = dict.fromkeys(("relu", "hardtanh", "leaky_relu", "clamp", "clamp_min"), _ACTIVATIONS) | dict.fromkeys(
    (
        "cat", "contiguous", "reshape", "pad", "index", "stack", "roll", "copy", "repeat", "repeat_interleave",
        "flatten", "tile", "im2col", "col2im", "to",
    ),
    _MOVES,
)  # fmt: skip
_FOLDED = frozenset({"batch_norm", "dropout"})  # into weights, or left out: nothing is left of them
_FUSIBLE = np.array([kind in (NORMALISATION, ELEMENTWISE, "slow activation") for kind in KINDS])


@dataclass(frozen=True, eq=False)
class OwnBase:
    """A first guess of all log latencies that the probes themselves have taught.

    Attributes:
        everywhere: Shape (n_profiles,).
        at_probes: Shape (n_probes,): of each probe, by what the others tell; else it would seem better than it is.
        doubt: Shape (n_profiles,): standard deviation of the logarithm where a network is unlike all probes.
        probe_doubt: Shape (n_probes,): the same of each probe where it is unlike all others: how far it is from what
            they tell then says little about the base, which has learned from it.
    """

    everywhere: NDArray[np.float64]
    at_probes: NDArray[np.float64]
    doubt: NDArray[np.float64]
    probe_doubt: NDArray[np.float64]


def own_bases(
    profiles: Profiles, probes: Mapping[Setup, Sequence[Probe]], rates: Mapping[Setup, NDArray[np.float64]]
) -> dict[Setup, list[OwnBase]]:
    """The bases of each setup, none where no probe of the device has timed operators.

    Args:
        probes: Of each setup of one device.
        rates: Of every term, as published devices share them, for each setup's batch size.
    """
    n_timed = {setup: sum(map(complete, given)) for setup, given in probes.items()}
    teacher = max(sorted(probes), key=lambda setup: n_timed[setup])
    found: dict[Setup, list[OwnBase]] = {}
    for setup, given in probes.items():
        lesson = _lesson(profiles, probes[teacher], rates[teacher], setup.batch_size)
        if lesson is None:
            found[setup] = []
        elif setup == teacher:
            total = np.log(lesson.class_ms.sum(axis=1))
            doubt = _beyond(lesson.doubt, profiles.rows([probe.key for probe in given]))
            found[setup] = [OwnBase(total, np.log(lesson.probe_ms), doubt, lesson.probe_doubt)]
        elif (own := taught(profiles, tuple(given), tuple(rates[setup]), setup.batch_size, _TOLD_APART)) is not None:
            found[setup] = [_of_fused(own, lesson, profiles, given, fused) for fused in (1.0, _FUSED)]
        else:
            found[setup] = [_of_sibling(lesson, profiles, given, fused) for fused in (1.0, _FUSED)]
    return found


def _lesson(
    profiles: Profiles, probes: Sequence[Probe], rates: NDArray[np.float64], batch_size: int
) -> Taught | None:  # fmt: skip
    """What probes teach whose operators were all timed."""
    told = tuple(one if complete(one) else replace(one, operators=()) for one in probes)
    return taught(profiles, told, tuple(rates), batch_size)


def _of_fused(
    own: Taught, lesson: Taught, profiles: Profiles, probes: Sequence[Probe], fused: float
) -> OwnBase:  # fmt: skip
    """What a runtime's own convolutions and products take, and for the rest what its classes take in another setup.

    Args:
        own: Of the classes that it tells apart.
        lesson: Of the other setup; each group of the rest is given a factor, fitted and never negative.
        fused: What is expected to be left of classes that can be fused.
    """
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    told_ms = np.where(np.isnan(own.timed_ms), own.probe_ms, own.timed_ms)
    rest_ms = np.maximum(latency_ms - told_ms, _LEAST_REST * latency_ms)
    group_ms = _rest(profiles, lesson.each_ms) * np.where(_FUSIBLE_REST, fused, 1.0)
    at_probes_ms, everywhere_ms = _with_factors(group_ms, rows, rest_ms, latency_ms, _SHRINK_OF_REST)
    total_ms = own.class_ms.sum(axis=1) + everywhere_ms
    doubt = _beyond(own.doubt * own.class_ms.sum(axis=1) / total_ms, rows)
    probe_doubt = own.probe_doubt * own.probe_ms / (own.probe_ms + at_probes_ms)
    return OwnBase(np.log(total_ms), np.log(own.probe_ms + at_probes_ms), doubt, probe_doubt)


def _rest(profiles: Profiles, each_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n_profiles, n_groups): what a network takes beside convolutions and products that are told apart."""
    operators = profiles.operators
    kinds = np.array(KINDS)[kinds_of(operators)]
    of_group = np.zeros((len(operators), len(_FUSIBLE_REST)))
    for row, (kind, name) in enumerate(zip(kinds, operators["name"], strict=True)):
        if kind in _GROUP_OF_KIND and name not in _FOLDED:
            of_group[row, _GROUP_OF_NAME.get(name, _GROUP_OF_KIND[kind])] = 1.0
    return np.asarray(profiles.counts @ (each_ms[:, None] * of_group))


def _of_sibling(lesson: Taught, profiles: Profiles, probes: Sequence[Probe], fused: float) -> OwnBase:
    """What the classes take in another setup, each times a factor fitted by relative error and never negative."""
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    class_ms = lesson.class_ms * np.where(_FUSIBLE, fused, 1.0)
    at_probes_ms, everywhere_ms = _with_factors(class_ms, rows, latency_ms, latency_ms, _SHRINK)
    return OwnBase(np.log(everywhere_ms), np.log(at_probes_ms), _beyond(lesson.doubt, rows), np.zeros(len(rows)))


def _with_factors(
    class_ms: NDArray[np.float64], rows: NDArray[np.intp], wanted_ms: NDArray[np.float64],
    latency_ms: NDArray[np.float64], shrink: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Sums of classes, each times a factor that makes those of the probes what is wanted: at each probe by the others.

    Args:
        class_ms: Shape (n_profiles, n_classes).
        rows: Of the probes, shape (n_probes,), as is `wanted_ms`.
        latency_ms: Of each probe: what its error is measured by.
        shrink: Weight of a factor's expected value, the speed that all classes have in common, in probes.
    """
    here = class_ms[rows]

    def factors(kept: NDArray[np.intp]) -> NDArray[np.float64]:
        speed = float(np.median(wanted_ms[kept] / here[kept].sum(axis=1)))
        shrunk = np.sqrt(shrink) * np.eye(class_ms.shape[1])
        terms = np.vstack([here[kept] * speed / latency_ms[kept, None], shrunk])
        wanted = np.concatenate([wanted_ms[kept] / latency_ms[kept], np.full(len(shrunk), np.sqrt(shrink))])
        return np.asarray(nnls(terms, wanted)[0] * speed)

    everyone = np.arange(len(rows))
    at_probes = np.array([here[i] @ factors(np.delete(everyone, i)) for i in everyone])
    return at_probes, class_ms @ factors(everyone)


def _beyond(doubt: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """The doubt beyond that of the probes, which their own deviations show already."""
    return np.sqrt(np.maximum(doubt**2 - np.median(doubt[rows]) ** 2, 0.0))
