"""What steps of a fusing runtime take that are no convolution, product or attention, from eager mode's operators.

A runtime tells what each class of its other steps took in a probe. What they were made from is known: operators whose
times eager mode has taught, in groups by what becomes of them. Each class is given factors of its own, so that an
activation which is fast in one runtime and slow in another, or fused by it, is not averaged with what moves values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from advisor.measure.run import BATCH_NORMS, MOVES, REST
from advisor.predict.activations import Activations
from advisor.predict.costs import KINDS, kinds_of
from advisor.predict.factors import Sums, with_factors
from advisor.predict.operator_model import complete, usable
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.signature import ATTENTION, ELEMENTWISE, NORMALISATION, REDUCTION

_SHRINK = 0.01  # a factor that is twice what is expected is as bad as an error of a tenth of a latency
# What is expected of groups that a class of steps may be made from but is not named for: layouts change around them,
# and most of a class that is nearly always part of the convolution before it is not there, as sums and ReLU.
_SIDE = 0.1
# What the rest is made of, by what becomes of it: what only moves values is never fused, a sum or an activation may be.
_GROUPS = (
    _NORMS, _BATCH_NORMS, _WEIGHT_NORMS, _LAYER_NORMS, _MOVES, _PADS, _SUMS, _CLAMPS, _GELU, _SILU, _CURVES,
    _REDUCTIONS, _POOLS, _ATTENTION, _GUARDS,
) = range(15)  # fmt: skip
_GROUP_OF_KIND = {
    NORMALISATION: _NORMS, ELEMENTWISE: _SUMS, "slow activation": _CURVES, REDUCTION: _REDUCTIONS,
    ATTENTION: _ATTENTION,
}  # fmt: skip
_NAMES = {
    _CLAMPS: ("relu", "hardtanh", "leaky_relu", "clamp", "clamp_min"), _GELU: ("gelu",), _SILU: ("silu",),
    _PADS: ("pad",), _BATCH_NORMS: ("batch_norm",), _LAYER_NORMS: ("layer_norm",),
    _POOLS: ("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "avg_pool1d"),
    _MOVES: (
        "cat", "contiguous", "reshape", "index", "stack", "roll", "copy", "repeat", "repeat_interleave", "flatten",
        "tile", "im2col", "col2im", "to",
    ),
}  # fmt: skip
_GROUP_OF_NAME = {name: group for group, names in _NAMES.items() for name in names}
_AROUND = {group: _SIDE for group in _GROUPS if group not in (_BATCH_NORMS, _WEIGHT_NORMS, _GUARDS)}
_GUARD_MS = 0.004  # an operator, on two EPYC cores: before each pass TorchDynamo checks that nothing has changed


class _Made(NamedTuple):
    """What a class of steps is expected to be made of.

    Attributes:
        of: Of every group that it may be made of, the factor that is expected, times the speed that all have in common.
        usual: That speed, where it is known of any machine, beside eager mode's.
        held: How firmly, as of `with_factors`.
    """

    of: dict[int, float]
    usual: float = 1.0
    held: float = 0.0


_Steps = dict[tuple[str, str], _Made]
# Of each entry of steps that no operator was found for, by name and class.
_STEPS: _Steps = {
    (BATCH_NORMS, "normalisation"): _Made({_BATCH_NORMS: 1.0, _WEIGHT_NORMS: 1.0}),
    (REST, "normalisation"): _Made({_NORMS: 1.0, _LAYER_NORMS: 1.0}),
    (REST, "activation"): _Made(dict.fromkeys((_GELU, _SILU, _CURVES), 1.0) | {_CLAMPS: _SIDE}),
    (MOVES, "other"): _Made(dict.fromkeys((_NORMS, _LAYER_NORMS, _ATTENTION, _PADS), _SIDE) | {_MOVES: 1.0}),
    (REST, "other"): _Made(_AROUND | dict.fromkeys((_REDUCTIONS, _POOLS), 1.0)),
}
# Where activations are no class of their own, those that are steps at all are among the others.
_WITHIN: _Steps = _STEPS | {
    (REST, "other"): _Made(_STEPS[REST, "other"].of | dict.fromkeys((_GELU, _SILU, _CURVES), 1.0))
}
# TorchInductor's kernels do what eager mode's operators do, several in one, so that less is read and written: as much
# less as was seen on two EPYC cores. A network takes a quarter of a minute to compile there: few probes must do.
_HALVES = dict.fromkeys((_PADS, _MOVES, _CLAMPS, _GELU, _SILU, _CURVES, _ATTENTION), 0.5)
_FEW = dict.fromkeys((_NORMS, _LAYER_NORMS), 0.05)
_HELD = 0.05  # loosely: GELU takes a quarter of eager mode's time on those, and 1.7 times as long on two of a Xeon
_COMPILED: _Steps = {
    (BATCH_NORMS, "normalisation"): _Made({_BATCH_NORMS: 1.0, _WEIGHT_NORMS: 0.5}, usual=0.5, held=_HELD),
    (REST, "normalisation"): _STEPS[REST, "normalisation"]._replace(usual=0.5, held=_HELD),
    (REST, "activation"): _STEPS[REST, "activation"]._replace(usual=0.25, held=_HELD),
    (MOVES, "other"): _STEPS[MOVES, "other"]._replace(usual=0.05, held=_HELD),
    (REST, "other"): _Made(
        {_GUARDS: 1.0, _SUMS: 1.0, _REDUCTIONS: 1.0, _POOLS: 0.1} | _HALVES | _FEW, usual=0.5, held=_HELD
    ),
}
_OF_RUNTIME = {"pytorch-compile": _COMPILED}
_FOLDED = frozenset({"dropout"})  # nothing is left of it
# Cubic resampling may be a plain loop: alone, that of crossvit_9_240 took 16.7 ms in ONNX Runtime, 111 ns a value, and
# 0.5 ms in eager mode (a bilinear one 0.2 and 0.1). Half of it is the standard deviation of what is not known.
_RESAMPLE = ("upsample_bicubic2d", "_upsample_bicubic2d_aa")
_RESAMPLED_MS = 60e-6  # a value
# So may variances be that are no part of a normalisation's own kernel: regnetz_d8_evos, which takes 76 of them of 25
# million values, took 86 ms more than its steps let one expect in eager mode on two cores of an Intel Xeon, and 50 more
# in OpenVINO on two of an AMD EPYC: 3.4 and 2.0 ns a value.
_VARIANCE, _VARIANCE_MS = ("var",), 1.5e-6  # a value; half of the former, about
_VALUE = 4  # bytes


def rest(
    profiles: Profiles, probes: Sequence[Probe], each_ms: NDArray[np.float64], *, runtime: str = "",
    within: Activations | None = None,
) -> list[Sums]:  # fmt: skip
    """What each class of other steps takes in every network; none of those that take no time in any probe.

    Args:
        probes: Of a runtime that tells of its own steps.
        each_ms: Shape (n_operators,): what each row of the profiles' operators takes in eager mode.
        runtime: Which that is.
        within: Activations that it computes within other steps; None of one that tells of activations alone.
    """
    rows = profiles.rows([probe.key for probe in probes])
    latency_ms = np.array([probe.latency_ms for probe in probes])
    group_ms = _groups_ms(profiles, each_ms, profiles.counts if within is None else within.others)
    found = []
    steps = _OF_RUNTIME.get(runtime, _STEPS if within is None else _WITHIN)
    for step, made in steps.items():
        taken_ms = np.array([_taken_ms(probe, step) for probe in probes])
        if np.nansum(taken_ms) > 0:
            found.append(
                with_factors(
                    made.usual * group_ms[:, list(made.of)], rows, taken_ms, latency_ms,
                    expected=np.array(list(made.of.values())), shrink=_SHRINK, held=made.held,
                )
            )  # fmt: skip
    return found


def resampling_doubt_ms(profiles: Profiles, rows: NDArray[np.intp], batch_size: int) -> NDArray[np.float64]:
    """Shape (n_profiles,): standard deviation of what cubic resampling takes in a pass, where no probe has any.

    Args:
        rows: Of the probes.
    """
    made = profiles.operators["out_values"].to_numpy(np.float64) * batch_size
    return _RESAMPLED_MS * _of_no_probe(profiles, rows, _RESAMPLE, made)


def variance_doubt_ms(profiles: Profiles, rows: NDArray[np.intp], batch_size: int) -> NDArray[np.float64]:
    """Shape (n_profiles,): the same of what variances outside a normalisation take; `rows` as there."""
    operators = profiles.operators
    moved = (operators["bytes"] - operators["weight_bytes"]).to_numpy(np.float64) / _VALUE
    read = (moved - operators["out_values"].to_numpy(np.float64)) * batch_size
    return _VARIANCE_MS * _of_no_probe(profiles, rows, _VARIANCE, read)


def _of_no_probe(
    profiles: Profiles, rows: NDArray[np.intp], names: Sequence[str], values: NDArray[np.float64]
) -> NDArray[np.float64]:  # fmt: skip
    """Shape (n_profiles,): values of all operators of those names that no probe has.

    Args:
        values: Of each of the profiles' operators.
    """
    found = np.zeros(len(profiles))
    for name in names:
        of_each = np.asarray(profiles.counts @ np.where(profiles.operators["name"] == name, values, 0.0))
        if not of_each[rows].any():
            found += of_each
    return found


def _taken_ms(probe: Probe, step: tuple[str, str]) -> float:
    """What steps of a name and class took, scaled so that all steps add up to the latency; NaN where none are told."""
    if not usable(probe) or complete(probe):
        return float("nan")
    whole_ms = sum(o.count * o.time_ms for o in probe.operators)
    return probe.latency_ms / whole_ms * sum(o.count * o.time_ms for o in probe.operators if (o.name, o.kind) == step)


def _groups_ms(
    profiles: Profiles, each_ms: NDArray[np.float64], counts: sparse.csr_array
) -> NDArray[np.float64]:  # fmt: skip
    """Shape (n_profiles, n_groups): what all operators of each group take in eager mode, and guards beside them."""
    operators = profiles.operators
    kinds = np.array(KINDS)[kinds_of(operators)]
    of_group = np.zeros((len(operators), len(_GROUPS)))
    of_weights = (operators["bytes"] == operators["weight_bytes"]).tolist()
    for row, (kind, name, alone) in enumerate(zip(kinds, operators["name"], of_weights, strict=True)):
        if kind in _GROUP_OF_KIND and name not in _FOLDED:
            group = _GROUP_OF_NAME.get(name, _GROUP_OF_KIND[kind])
            of_group[row, _WEIGHT_NORMS if alone and group == _BATCH_NORMS else group] = 1.0
    found = np.asarray(counts @ (each_ms[:, None] * of_group))
    found[:, _GUARDS] = _GUARD_MS * profiles.models["n_operators"].to_numpy(np.float64)
    return found
