"""The verbs that hold predictions of this machine against what was measured after them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from advisor import workflows_known, workflows_predict
from advisor.evidence.store import Store
from advisor.measure.sweep import SENTINEL
from advisor.predict.calibration import Calibration
from advisor.predict.columns import Setup
from advisor.predict.known import Known
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles

if TYPE_CHECKING:
    from advisor.predict.foretold import Foretold, Step
    from advisor.predict.predictor import Posterior

_Told = tuple[Setup, tuple[str, ...]]  # a setup and the runs that its predictions are made from


def tightening(store: Store, one: Calibration, *, beside: Sequence[Calibration] = ()) -> list[Step]:
    """How the predictions of a calibration tightened, one step a network, from the fewest that tell anything.

    What a network that was measured again has told belongs to the step of the last new one before.

    Args:
        beside: Calibrations of other setups that were there before: what they tell is shared.
    """
    from advisor.predict.foretold import step
    from advisor.predict.predictor import MIN_PROBES

    others, probes = _others(one, beside), _probes(store, one.run_ids)
    kept = [run_id for run_id in one.run_ids if run_id in probes]
    found = []
    for n in range(1, len(kept) + 1):
        known = {probes[run_id].key for run_id in kept[:n]}
        then = probes[kept[n]] if n < len(kept) else None
        if len(known) >= MIN_PROBES and (then is None or then.key not in known):
            believed = _believed(store, (one.setup, tuple(kept[:n])), others)
            found.append(step(len(known), believed, _profiles(store), then))
    return found


def foretold(store: Store, one: Known, *, beside: Sequence[Known] = ()) -> list[Foretold]:
    """How the predictions of a calibration did for the networks that were measured after it, oldest first.

    Noisy runs say little about a prediction and are left out.

    Args:
        beside: What is known of other setups; what their calibrations tell is shared where they came before.
    """
    from advisor.predict.foretold import foretold as held
    from advisor.predict.predictor import MIN_PROBES

    made = one.calibration
    if len(made.run_ids) < MIN_PROBES:
        return []
    before = _measured_before(store, one)
    keys = list(one.profiles.positions)
    later = sorted(
        here.run_id
        for row, here in one.measured.items()
        if here.verdict == "steady" and here.run_id > made.run_ids[-1] and keys[row] not in before
    )
    if not later:
        return []
    others = _others(made, [known.calibration for known in beside])
    believed = _believed(store, (one.setup, made.run_ids), others)
    return held(believed, _profiles(store), list(_probes(store, later).values()))


def _measured_before(store: Store, one: Known) -> set[tuple[str, int]]:
    """The networks that had been measured in a setup when its calibration ended, and the sentinel: not foretold."""
    own = store.frame("own_latencies")
    mine = own["run_id"] <= one.calibration.run_ids[-1]
    for name in ("runtime", "precision", "layout", "batch_size"):
        mine &= own[name] == getattr(one.setup, name)
    known = own[mine | (own["architecture"] == SENTINEL)]
    return set(zip(known["architecture"], known["img_size"], strict=True))


def _others(one: Calibration, beside: Sequence[Calibration]) -> tuple[_Told, ...]:
    from advisor.predict.predictor import MIN_PROBES

    earlier = [(other.setup, tuple(r for r in other.run_ids if r < one.run_ids[0])) for other in beside]
    return tuple((setup, ids) for setup, ids in earlier if setup != one.setup and len(ids) >= MIN_PROBES)


def _believed(store: Store, told: _Told, others: tuple[_Told, ...]) -> Posterior:
    """What is believed of every network; runs never change, so it is kept by their ids and what is published."""
    return _learned(store, told, others, store.published_hash())


@functools.lru_cache(maxsize=64)
def _learned(store: Store, told: _Told, others: tuple[_Told, ...], _published: str) -> Posterior:
    from advisor.predict.predictor import Predictor

    past, prior = workflows_predict.published(store)
    probes = {setup: list(_probes(store, run_ids).values()) for setup, run_ids in (told, *others)}
    return Predictor(past, prior).fit(probes).posterior(told[0])


def _profiles(store: Store) -> Profiles:
    return workflows_predict.published(store)[0].profiles


def _probes(store: Store, run_ids: Sequence[str]) -> dict[str, Probe]:
    """Those runs as probes, in their order, but for any that was deleted in the meantime."""
    own = workflows_known.own_latencies(store).set_index("run_id", drop=False)
    return workflows_known.probes_of(store, own.loc[[run_id for run_id in run_ids if run_id in own.index]])
