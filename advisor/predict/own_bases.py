"""First guesses that the probes of a device teach: from the operators inside them, for that setup and its siblings.

Setups of one device share the structure of the operators: what a network's classes of operators take in eager mode,
each class times a factor of its own, is a guess for another runtime, precision or batch size. A runtime that fuses
normalisation and activations into convolutions is one whose factors of these classes are next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from advisor.predict.columns import Setup
from advisor.predict.costs import KINDS
from advisor.predict.operator_model import Taught, taught, usable
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import ELEMENTWISE, NORMALISATION

_SHRINK = 1.0  # weight of a factor's expected value, in probes
_FUSED = 0.1  # what is expected to be left of classes that a runtime fuses
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
    n_timed = {setup: sum(map(usable, given)) for setup, given in probes.items()}
    teacher = max(sorted(probes), key=lambda setup: n_timed[setup])
    found: dict[Setup, list[OwnBase]] = {}
    for setup, given in probes.items():
        lesson = taught(profiles, tuple(probes[teacher]), tuple(rates[teacher]), setup.batch_size)
        if lesson is None:
            found[setup] = []
        elif setup == teacher:
            total = np.log(lesson.class_ms.sum(axis=1))
            found[setup] = [OwnBase(total, np.log(lesson.probe_ms), _beyond(lesson, profiles, given))]
        else:
            found[setup] = [_of_sibling(lesson, profiles, given, fused) for fused in (1.0, _FUSED)]
    return found


def _of_sibling(lesson: Taught, profiles: Profiles, probes: Sequence[Probe], fused: float) -> OwnBase:
    """What the classes take in another setup, each times a factor fitted by relative error and never negative."""
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    expected = np.where(_FUSIBLE, fused, 1.0)
    class_ms = lesson.class_ms * expected

    def factors(kept: NDArray[np.intp]) -> NDArray[np.float64]:
        relative = class_ms[rows[kept]] / latency_ms[kept, None]
        speed = 1 / np.median(relative.sum(axis=1))
        shrunk = np.sqrt(_SHRINK) * np.eye(len(KINDS))
        wanted = np.concatenate([np.ones(len(kept)), np.full(len(KINDS), np.sqrt(_SHRINK))])
        return np.asarray(nnls(np.vstack([relative * speed, shrunk]), wanted)[0] * speed)

    everyone = np.arange(len(rows))
    at_probes = [np.log(class_ms[rows[i]] @ factors(np.delete(everyone, i))) for i in everyone]
    everywhere = np.log(class_ms @ factors(everyone))
    return OwnBase(everywhere, np.array(at_probes), _beyond(lesson, profiles, probes))


def _beyond(lesson: Taught, profiles: Profiles, probes: Sequence[Probe]) -> NDArray[np.float64]:
    """The doubt beyond that of the probes, which their own deviations show already."""
    rows = profiles.rows([probe.key for probe in probes])
    return np.sqrt(np.maximum(lesson.doubt**2 - np.median(lesson.doubt[rows]) ** 2, 0.0))
