"""What networks suffer of a slow machine: each is slower by a power of the slowdown of the machine's pulse.

What slows a machine down does not slow everything alike. Networks of many small operators, whose threads wait for each
other often, suffer more than those of a few large ones, on some machines several times as much: on two cores of an AMD
EPYC from a power of 1 for ResNets and Swins to 2.7 for the smallest MobileNetV3 in eager mode, and 0.3 to 3 in
OpenVINO (pairs of runs in nine stores; these figures and those beside the constants are of scripts not kept here). So
what a setup's runs tell is a line: a usual power and how it grows with the operators in a millisecond.

Where multiply-adds are left to units that multiply tiles of matrices, a network suffers by what it is made of instead.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.run import RESTS, TimedOperator
from advisor.measure.stretches import SUFFERED, Stretch
from advisor.predict.costs import KINDS
from advisor.predict.signature import DENSE, POINTWISE, PRODUCT, signature

if TYPE_CHECKING:
    from advisor.predict.probe import Probe
    from advisor.predict.profile import Profiles

# Units that multiply tiles of matrices are shared by the two threads of a core, of which a neighbour may have one: what
# they do takes up to three times as long then. The powers, by class of operators, of 12 networks in OpenVINO in
# bfloat16 on two cores of an Intel Xeon with AMX that others used too, 140 runs.
_ON_MATRIX_UNITS, _ELSEWHERE = {DENSE: 2.1, PRODUCT: 1.2, POINTWISE: 0.85}, 0.55
# Networks suffer as these powers say, give or take. Standard deviations: of the usual one on matrix units, what 34
# stores of that Xeon showed; and of each for itself: 0.15 in eager mode there, and on two cores of an AMD EPYC, beside
# what their line says, 0.3 in eager mode, 0.5 in OpenVINO, 0.6 in ONNX Runtime (80, 20, 6 pairs of runs).
COMMON_DOUBT, OWN_DOUBT = 0.15, 0.3
# Before runs of a setup's networks tell, standard deviations of what is usual, which was 0.7 in two runtimes on the
# Xeon and 0.8 to 1.6 in four on the EPYC, and of how much more a network suffers that runs e times as many operators in
# a millisecond: 0.2 to 0.8 on the EPYC, and little, if anything, on the Xeon.
_UNKNOWN, _UNKNOWN_SLOPE = 0.4, 0.4
_BESIDE = 0.06  # of the logarithms of two runs of one network beside each other, corrected by the right power


@dataclass(frozen=True, slots=True)
class Suffering:
    """The powers of a setup's networks.

    Attributes:
        usual: That of a network that is as busy as is usual.
        slope: How much higher it is for one that is busier by a factor of e.
        busy: The logarithm of the operators that a usual network runs in a millisecond at the machine's full pace.
        covariance: Of `usual` and `slope`: the variance of the one, what they share, and the variance of the other.
    """

    usual: float = SUFFERED
    slope: float = 0.0
    busy: float = 0.0
    covariance: tuple[float, float, float] = (COMMON_DOUBT**2, 0.0, 0.0)

    def of(self, n_operators: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """The power of each network, never negative.

        Args:
            n_operators: Of one forward pass; NaN where that is not known: the network suffers as is usual.
            latency_ms: At the machine's full pace.
        """
        return np.maximum(self.usual + self.slope * self.busier(n_operators, latency_ms), 0.0)

    def busier(self, n_operators: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """By which logarithm each is busier than is usual; 0 where its operators are not known."""
        return np.nan_to_num(busyness(n_operators, latency_ms) - self.busy)

    def shared_doubt(self, busier: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (n, n): covariance of the powers of networks so much busier than usual, as far as they share it."""
        usual, both, slope = self.covariance
        return np.asarray(usual + both * np.add.outer(busier, busier) + slope * np.outer(busier, busier))

    @property
    def doubt(self) -> float:
        """Standard deviation of the power of a usual network."""
        return float(np.hypot(np.sqrt(self.covariance[0]), OWN_DOUBT))


UNKNOWN = Suffering()  # where no line is learned: on matrix units, whose powers follow from classes of operators


def busyness(n_operators: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the operators that networks run in a millisecond."""
    return np.asarray(np.log(n_operators / latency_ms))


def learned(
    networks: Sequence[Hashable], stretches: Sequence[Stretch | None], n_operators: Sequence[float],
) -> Suffering:  # fmt: skip
    """The powers of a setup, by runs of the same networks at two paces.

    Every run is held beside that of its network at the fullest pace, by a loss that a disturbed one hardly moves; how
    sure the powers are is read off the curvature there.

    Args:
        networks: Of each run, comparable.
        stretches: Of each run.
        n_operators: Of each run's network, NaN where that is not known.
    """
    from scipy.optimize import least_squares  # loads scipy, which other commands need not wait for

    told = [
        (key, one.pulse_ms, one.latency_ms, n)
        for key, one, n in zip(networks, stretches, n_operators, strict=True) if one
    ]  # fmt: skip
    runs = pd.DataFrame(told, columns=["network", "pulse", "ms", "n"])
    runs = runs.astype(dict.fromkeys(["pulse", "ms", "n"], float))  # an empty one is of objects
    by_network = runs.groupby("network")
    fullest = runs.loc[by_network["pulse"].transform("idxmin")]
    slower, longer = (np.log(runs[name].to_numpy() / fullest[name].to_numpy()) for name in ("pulse", "ms"))
    busy = busyness(runs["n"].to_numpy(), fullest["ms"].to_numpy())
    middle = float(np.nanmedian(busy)) if np.isfinite(busy).any() else 0.0
    busier = np.nan_to_num(busy - middle)
    # what a network suffers for itself all its runs beside the fullest have in common
    n_beside = np.maximum(by_network["pulse"].transform("size").to_numpy() - 1, 1)
    unsure = np.sqrt(_BESIDE**2 + n_beside * np.square(OWN_DOUBT * slower))

    def residuals(line: NDArray[np.float64]) -> NDArray[np.float64]:
        usual, slope = line
        before = [(usual - SUFFERED) / _UNKNOWN, slope / _UNKNOWN_SLOPE]
        return np.append((longer - (usual + slope * busier) * slower) / unsure, before)

    found = least_squares(residuals, [SUFFERED, 0.0], loss="soft_l1", bounds=([0.0, -np.inf], np.inf))
    jacobian, (usual, slope) = np.asarray(found.jac), found.x
    variances = np.linalg.inv(jacobian.T @ jacobian)
    covariance = float(variances[0, 0]), float(variances[0, 1]), float(variances[1, 1])
    return Suffering(float(usual), float(slope), middle, covariance)


def by_operators(operators: Sequence[TimedOperator]) -> float | None:
    """On matrix units, the power of a network by what its operators take; None where none was timed."""
    whole_ms = sum(o.count * o.time_ms for o in operators)
    if not whole_ms:
        return None
    each = [_ELSEWHERE if o.name in RESTS else _ON_MATRIX_UNITS.get(signature(o).kind, _ELSEWHERE) for o in operators]
    return sum(o.count * o.time_ms * power for o, power in zip(operators, each, strict=True)) / whole_ms


def by_class(class_ms: NDArray[np.float64], rest_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n_networks,): the same of networks whose operators were not timed.

    Args:
        class_ms: What each class of `costs.KINDS` takes, shape (n_networks, n_kinds).
        rest_ms: What all else takes, shape (n_networks,).
    """
    powers = np.array([_ON_MATRIX_UNITS.get(kind, _ELSEWHERE) for kind in KINDS])
    return np.asarray((class_ms @ powers + _ELSEWHERE * rest_ms) / (class_ms.sum(axis=1) + rest_ms))


def usual(probes: Sequence[Probe]) -> float:
    """What networks of a setup suffer, the median of the probes that tell; where none does, as its runs have taught."""
    told = [probe.suffers for probe in probes if probe.suffers is not None]
    if told:
        return float(np.median(told))
    return probes[0].suffering.usual if probes else SUFFERED


def of_each(probes: Sequence[Probe], profiles: Profiles, full_ms: float | None) -> list[Probe]:
    """The same probes of a setup, each with what it suffers where its run does not tell.

    Args:
        full_ms: The pulse at the machine's full pace.
    """
    if any(probe.matrix_units for probe in probes):
        return list(probes)  # they tell by their operators, and those without any suffer as is usual
    told, n_operators = probes[0].suffering, profiles.n_operators[profiles.rows([probe.key for probe in probes])]
    at_full_ms = [
        one.latency_ms if one.stretch is None or full_ms is None else one.stretch.at(full_ms, told.usual)
        for one in probes
    ]
    expected = zip(probes, told.of(n_operators, np.array(at_full_ms)).tolist(), strict=True)
    return [replace(one, suffers=power) if one.suffers is None else one for one, power in expected]


def doubt_of_each(probes: Sequence[Probe], expected: Iterable[float]) -> float:
    """How far each network of a setup may be from what it is expected to suffer, a standard deviation.

    Args:
        expected: Of each probe.
    """
    of_setup = probes[0].suffering if probes else UNKNOWN
    return float(np.hypot(unlike(probes, expected), of_setup.doubt))


def unlike(probes: Iterable[Probe], expected: Iterable[float]) -> float:
    """How far networks of a setup are from what they are expected to suffer, the root mean square of probes that tell.

    Args:
        expected: Of each probe.
    """
    told = [one.suffers - power for one, power in zip(probes, expected, strict=True) if one.suffers is not None]
    return float(np.sqrt(np.mean(np.square(told)))) if told else 0.0
