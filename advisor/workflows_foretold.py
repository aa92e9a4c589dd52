"""The verbs that hold predictions of this machine against what was measured after them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from advisor import workflows_known, workflows_predict
from advisor.evidence.store import Store
from advisor.measure.sweep import SENTINEL
from advisor.predict import suffering
from advisor.predict.calibration import Calibration
from advisor.predict.columns import Setup
from advisor.predict.known import Known
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.slowness import of_last

if TYPE_CHECKING:
    from advisor.predict.foretold import Foretold, Step
    from advisor.predict.predictor import Posterior

_Told = tuple[Setup, tuple[Probe, ...]]  # a setup and what its predictions are made from


def tightening(store: Store, one: Calibration, *, beside: Sequence[Calibration] = ()) -> list[Step]:
    """How the predictions of a calibration tightened, one step a network, from the fewest that tell anything.

    What a network that was measured again has told belongs to the step of the last new one before.

    Args:
        beside: Calibrations of other setups that were there before: what they tell is shared.
    """
    from advisor.predict.foretold import step
    from advisor.predict.predictor import MIN_PROBES

    probes, others, version = _probes(store, one.run_ids), _others(store, one, beside), store.published_hash()
    kept = list(probes.values())
    found = []
    for n in range(1, len(kept) + 1):
        known = {probe.key for probe in kept[:n]}
        then = kept[n] if n < len(kept) else None
        if len(known) >= MIN_PROBES and (then is None or then.key not in known):
            believed, profiles = _learned(store, (one.setup, tuple(kept[:n])), others, version)
            found.append(step(len(known), believed, profiles, then))
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
    told = one.setup, tuple(_probes(store, made.run_ids).values())
    others = _others(store, made, [known.calibration for known in beside])
    believed, profiles = _learned(store, told, others, store.published_hash())
    return held(believed, profiles, list(_probes(store, later).values()))


def _measured_before(store: Store, one: Known) -> set[tuple[str, int]]:
    """The networks that had been measured in a setup when its calibration ended, and the sentinel: not foretold."""
    own = store.frame("own_latencies")
    mine = own["run_id"] <= one.calibration.run_ids[-1]
    for name in ("runtime", "precision", "layout", "batch_size"):
        mine &= own[name] == getattr(one.setup, name)
    known = own[mine | (own["architecture"] == SENTINEL)]
    return set(zip(known["architecture"], known["img_size"], strict=True))


def _others(store: Store, one: Calibration, beside: Sequence[Calibration]) -> tuple[_Told, ...]:
    """What the calibrations of other setups had told when one began."""
    from advisor.predict.predictor import MIN_PROBES

    earlier = {
        other.setup: _probes(store, [run_id for run_id in other.run_ids if run_id < one.run_ids[0]])
        for other in beside if other.setup != one.setup
    }  # fmt: skip
    return tuple((setup, tuple(told.values())) for setup, told in earlier.items() if len(told) >= MIN_PROBES)


@functools.lru_cache(maxsize=64)
def _learned(store: Store, told: _Told, others: tuple[_Told, ...], _published: str) -> tuple[Posterior, Profiles]:
    """What is believed of every network, the machine as slow as it was in the last of those measurements."""
    from advisor.predict.predictor import Predictor

    past, prior = workflows_predict.published(store)
    learned = Predictor(past, prior).fit(dict([told, *others]))
    setup, probes = told
    suffers, slowness = learned.suffers(setup), of_last((one.stretch for one in reversed(probes)), learned.full_ms_)
    unlike = suffering.doubt_of_each(probes, suffers[past.profiles.rows([one.key for one in probes])].tolist())
    return slowness.of(learned.posterior(setup), suffers, unlike), past.profiles


def _probes(store: Store, run_ids: Sequence[str]) -> dict[str, Probe]:
    """Those runs as probes, in their order, but for any that was deleted in the meantime."""
    own = workflows_known.own_latencies(store).set_index("run_id", drop=False)
    return workflows_known.probes_of(store, own.loc[[run_id for run_id in run_ids if run_id in own.index]])
