"""First guesses that the probes of a device teach: from the operators inside them, for that setup and its siblings.

Setups of one device share the structure of the operators: what a network's classes of operators take in eager mode,
each class times a factor of its own, is a guess for another runtime, precision or batch size. A runtime that fuses
normalisation and activations into convolutions is one whose factors of these classes are next to nothing. Where it
tells what its convolutions, products and attention take, these are learned from its own times, as in eager mode, or
from what eager mode's take and how far its own are from them, and only its other steps are guessed from eager mode's
(`rest_steps`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.measure.run import REST
from advisor.predict import suffering
from advisor.predict.activations import Activations, activations
from advisor.predict.blocked import in_blocks
from advisor.predict.columns import Setup
from advisor.predict.costs import KINDS
from advisor.predict.factors import with_factors
from advisor.predict.operator_model import Taught, complete, taught
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.rest_steps import resampling_doubt_ms, rest, variance_doubt_ms
from advisor.predict.signature import (
    ATTENTION,
    DENSE,
    DEPTHWISE,
    ELEMENTWISE,
    GROUPED,
    NORMALISATION,
    POINTWISE,
    PRODUCT,
    STEM,
)

_SHRINK = 1.0  # weight of a factor's expected value, in probes
_FUSED = 0.1  # what is expected to be left of classes that a runtime fuses
_TOLD_APART = (POINTWISE, DENSE, STEM, DEPTHWISE, GROUPED, PRODUCT, ATTENTION)  # by runtimes that fuse operators
_ACTIVATION = "activation"  # the counter's class
# Runtimes that leave those to the libraries that eager mode calls. Others have kernels of their own: with them expected
# to be like eager mode's, ONNX Runtime and OpenVINO are predicted worse.
_OF_EAGER_MODE = frozenset({"pytorch-compile"})
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
        slow_doubt: Shape (n_profiles,): standard deviation of the logarithm where its operators are of classes that
            were timed in slow moments alone. How well the base tells its probes says nothing of that.
        suffers: Shape (n_profiles,): what each network suffers of a slow machine where its multiply-adds are left to
            matrix units, see `suffering`; None where its steps are not told apart.
        timed: Whether operators were timed in that setup itself, not only in another one of the device.
        told: Whether other machines say of that very setup how far each network, or those like it, is from the sum of
            its operators.
    """

    everywhere: NDArray[np.float64]
    at_probes: NDArray[np.float64]
    doubt: NDArray[np.float64]
    probe_doubt: NDArray[np.float64]
    slow_doubt: NDArray[np.float64]
    suffers: NDArray[np.float64] | None = None
    timed: bool = True
    told: bool = False


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
            total_ms, rows = lesson.class_ms.sum(axis=1), profiles.rows([probe.key for probe in given])
            doubt = np.hypot(lesson.doubt, variance_doubt_ms(profiles, rows, setup.batch_size) / total_ms)
            doubts = _beyond(doubt, np.median, rows), _beyond(lesson.slow_doubt, np.min, rows)
            bases = np.log(total_ms), np.log(lesson.probe_ms)
            found[setup] = [OwnBase(*bases, doubts[0], lesson.probe_doubt, doubts[1])]
        elif (own := _of_fused(lesson, profiles, given, rates[setup], setup)) is not None:
            found[setup] = [own]
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
    lesson: Taught, profiles: Profiles, probes: Sequence[Probe], rates: NDArray[np.float64], setup: Setup
) -> OwnBase | None:  # fmt: skip
    """What a runtime's own convolutions, products and attention take, and its other steps by what they are made from.

    None where no probe tells these apart.

    Args:
        lesson: Of the setup whose operators were all timed.
        rates: As published devices share them.
    """
    like = lesson if setup.runtime in _OF_EAGER_MODE else None
    within = _within(lesson, profiles, probes) if like is None else None
    own = taught(
        profiles, tuple(probes), tuple(rates), setup.batch_size, _TOLD_APART, like, within,
        in_blocks=in_blocks(setup),
    )  # fmt: skip
    if own is None:
        return None
    rows = profiles.rows([probe.key for probe in probes])
    at_probes_ms, own_ms, rest_ms = own.probe_ms.copy(), own.class_ms.sum(axis=1), np.zeros(len(profiles))
    variance, probe_variance = np.square(own.doubt * own_ms), np.square(own.probe_doubt * at_probes_ms)
    variance += np.square(resampling_doubt_ms(profiles, rows, setup.batch_size))
    variance += np.square(variance_doubt_ms(profiles, rows, setup.batch_size))
    for steps in rest(profiles, probes, lesson.each_ms, runtime=setup.runtime, within=within):
        at_probes_ms += steps.at_probes
        rest_ms += steps.everywhere
        probe_variance += np.square(steps.probe_doubt)
        variance += np.square(steps.doubt)
    everywhere_ms = own_ms + rest_ms
    doubt = _beyond(np.sqrt(variance) / everywhere_ms, np.median, rows)
    slow_doubt = _beyond(own.slow_doubt * own_ms / everywhere_ms, np.min, rows)
    probe_doubt = np.sqrt(probe_variance) / at_probes_ms
    suffers = suffering.by_class(own.class_ms, rest_ms)
    return OwnBase(np.log(everywhere_ms), np.log(at_probes_ms), doubt, probe_doubt, slow_doubt, suffers)


def _within(lesson: Taught, profiles: Profiles, probes: Sequence[Probe]) -> Activations | None:
    """Activations that a runtime computes within other steps; None of one that tells of activations alone."""
    alone = any(o.name == REST and o.kind == _ACTIVATION and o.time_ms > 0 for one in probes for o in one.operators)
    return None if alone else activations(profiles, tuple(lesson.each_ms.tolist()))


def _of_sibling(lesson: Taught, profiles: Profiles, probes: Sequence[Probe], fused: float) -> OwnBase:
    """What the classes take in another setup, each times a factor fitted by relative error and never negative."""
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    class_ms = lesson.class_ms * np.where(_FUSIBLE, fused, 1.0)
    ones = np.ones(class_ms.shape[1])
    sums = with_factors(class_ms, rows, latency_ms, latency_ms, expected=ones, shrink=_SHRINK)
    doubt, slow_doubt = _beyond(lesson.doubt, np.median, rows), _beyond(lesson.slow_doubt, np.min, rows)
    return OwnBase(np.log(sums.everywhere), np.log(sums.at_probes), doubt, np.zeros(len(rows)), slow_doubt, timed=False)


def _beyond(
    doubt: NDArray[np.float64], usual: Callable[[NDArray[np.float64]], Any], rows: NDArray[np.intp]
) -> NDArray[np.float64]:  # fmt: skip
    """The doubt beyond that of the probes, which their own deviations show already.

    Args:
        usual: Of the doubts of all probes that which goes. Of slow moments that is the least: what all have in common
            of it is in doubt with their latencies.
        rows: Of the probes.
    """
    return np.asarray(np.sqrt(np.maximum(doubt**2 - usual(doubt[rows]) ** 2, 0.0)))
