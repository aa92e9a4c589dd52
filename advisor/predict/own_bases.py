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
from advisor.predict.costs import KINDS
from advisor.predict.operator_model import Taught, complete, taught
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import DENSE, DEPTHWISE, ELEMENTWISE, GROUPED, NORMALISATION, POINTWISE, PRODUCT, STEM

_SHRINK = 1.0  # weight of a factor's expected value, in probes
_FUSED = 0.1  # what is expected to be left of classes that a runtime fuses
# The same where a factor tells of a part of the latency only: one that is off by its all is as bad as so much of it.
_SHRINK_OF_REST = 0.04
_TOLD_APART = (POINTWISE, DENSE, STEM, DEPTHWISE, GROUPED, PRODUCT)  # by runtimes that fuse operators
_REST = np.array([kind not in _TOLD_APART for kind in KINDS])
_LEAST_REST = 0.01  # of a latency
_FUSIBLE = np.array([kind in (NORMALISATION, ELEMENTWISE, "slow activation") for kind in KINDS])


@dataclass(frozen=True, eq=False)
class OwnBase:
    """A first guess of all log latencies that the probes themselves have taught.

    Attributes:
        everywhere: Shape (n_profiles,).
        at_probes: Shape (n_probes,): of each probe, by what the others tell; else it would seem better than it is.
        doubt: Shape (n_profiles,): standard deviation of the logarithm where a network is unlike all probes.
    """

    everywhere: NDArray[np.float64]
    at_probes: NDArray[np.float64]
    doubt: NDArray[np.float64]


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
            found[setup] = [OwnBase(total, np.log(lesson.probe_ms), doubt)]
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
        lesson: Of the other setup; each class of the rest is given a factor, fitted and never negative.
        fused: What is expected to be left of classes that can be fused.
    """
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    told_ms = np.where(np.isnan(own.timed_ms), own.probe_ms, own.timed_ms)
    rest_ms = np.maximum(latency_ms - told_ms, _LEAST_REST * latency_ms)
    class_ms = lesson.class_ms[:, _REST] * np.where(_FUSIBLE, fused, 1.0)[_REST]
    at_probes_ms, everywhere_ms = _with_factors(class_ms, rows, rest_ms, latency_ms, _SHRINK_OF_REST)
    total_ms = own.class_ms.sum(axis=1) + everywhere_ms
    doubt = own.doubt * own.class_ms.sum(axis=1) / total_ms
    return OwnBase(np.log(total_ms), np.log(own.probe_ms + at_probes_ms), _beyond(doubt, rows))


def _of_sibling(lesson: Taught, profiles: Profiles, probes: Sequence[Probe], fused: float) -> OwnBase:
    """What the classes take in another setup, each times a factor fitted by relative error and never negative."""
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    class_ms = lesson.class_ms * np.where(_FUSIBLE, fused, 1.0)
    at_probes_ms, everywhere_ms = _with_factors(class_ms, rows, latency_ms, latency_ms, _SHRINK)
    return OwnBase(np.log(everywhere_ms), np.log(at_probes_ms), _beyond(lesson.doubt, rows))


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
