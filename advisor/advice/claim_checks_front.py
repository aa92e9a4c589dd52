"""Claims that a family is the one to take: are its networks on the front at their speed?"""

from __future__ import annotations

import numpy as np

from advisor.advice.claim_checks import (
    MIN_PAIRS,
    NOT_ENOUGH,
    Case,
    Finding,
    float_caution,
    named,
    network_rows,
    rows,
)
from advisor.advice.claim_checks_ratio import IN1K
from advisor.advice.matching import behind_front, own_front
from advisor.advice.ties import sampling_error

# A family is one to start with if at least half of its own best networks are among the best of all.
ON_FRONT_SHARE = 0.5
# With fewer rivals than this nearly everything is on the front.
MIN_RIVALS = 10


def resnest_first(case: Case) -> Finding:
    """ResNeSt's own front against all other families."""
    return _on_front(case, "ResNeSt")


def small_device_first(case: Case) -> Finding:
    """The front of MnasNet, MobileNetV2 and V3 against all other networks."""
    return _on_front(case, "MnasNet and MobileNetV2/V3")


def _on_front(case: Case, group: str) -> Finding:
    best = case.prepared.networks.in1k
    known = ~np.isnan(best.top1)
    members, others = case.group(group) & known, ~case.group(group) & known
    runs = case.prepared.infer.richest(members, others)
    if runs is None:
        text = f"No setup of {case.name} has {group} and any other network with a published top-1 ({IN1K})."
        return Finding(NOT_ENOUGH, text)
    mine, rivals = runs.pick(members), runs.pick(others)
    mine = mine[own_front(best.top1[runs.network[mine]], runs.speed[mine])]
    if len(mine) < MIN_PAIRS or len(rivals) < MIN_RIVALS:
        text = (
            f"{case.where(runs)} {len(mine)} networks on the own front of {group} and {len(rivals)} others have a "
            f"published top-1 ({IN1K}); a verdict needs {MIN_PAIRS} and {MIN_RIVALS}."
        )
        return Finding(NOT_ENOUGH, text + float_caution(runs), rows(network_rows(runs, best, mine)))
    top1 = best.top1[runs.network[mine]]
    behind, rival = behind_front(top1, runs.speed[mine], best.top1[runs.network[rivals]], runs.speed[rivals])
    on_front = behind <= sampling_error(top1, "top1")
    holds = on_front.mean() >= ON_FRONT_SHARE
    text = (
        f"{case.where(runs)} {on_front.sum()} of the {len(mine)} networks on {group}'s own front are on "
        f"the front of all {len(rivals) + len(mine)} ({IN1K}; within the sampling error)."
    )
    if not on_front.all():
        worst = int(np.argmax(behind))
        far = np.maximum(behind[~on_front], 0)
        text += (
            f" {'The others' if on_front.any() else 'They'} are {np.median(far):.1f} points behind networks as fast "
            f"(median), at most {behind[worst]:.1f}: {named(case, runs, best, int(mine[worst]))}, behind "
            f"{named(case, runs, best, int(rivals[rival[worst]]))}."
        )
    order = np.argsort(-behind, kind="stable")
    pairs = [int(p) for i in order for p in (mine[i], rivals[rival[i]] if rival[i] >= 0 else mine[i])]
    ids = rows(network_rows(runs, best, pairs))
    return Finding("holds" if holds else "fails", text + float_caution(runs), ids)
