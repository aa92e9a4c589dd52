"""Claims that counting multiply-adds misleads: rank agreement, ResNet-50 and TResNet-M."""

from __future__ import annotations

import numpy as np

from advisor.advice.claim_checks import (
    MIN_PAIRS,
    NOT_ENOUGH,
    Case,
    Finding,
    float_caution,
    network_rows,
    rows,
    times,
)
from advisor.advice.claim_checks_ratio import IN1K
from advisor.advice.claim_frames import SetupRuns, Task
from advisor.advice.matching import rank_agreement
from advisor.advice.ties import sampling_error
from advisor.records import Verdict

# Ten networks are 45 pairs: fewer make a rank coefficient swing by more than its distance from the threshold.
MIN_RANKED = 10
# "FLOPs are not latency" if choosing the one with fewer MACs is wrong for at least one pair in ten.
MISORDERED_SHARE = 0.1
# "Faster than networks with fewer FLOPs": than most of them.
MOST = 0.5
# "Matches the speed": not slower by more than a tenth; the paper's own ratio in training is 730/805 = 0.91.
MATCHES_SPEED = 0.9

_RESNET50 = ("resnet50", 224)
_TRESNET_M = ("tresnet_m", 224)
_PAPERS_RESNET50 = ("tresnet-2020", "ResNet50", 224)
_WORD: dict[Task, str] = {"infer": "inference", "train": "training"}


def flops_are_not_latency(case: Case) -> Finding:
    """Rank agreement of MACs, activations and parameters with time, in the setup with most networks."""
    known = case.prepared.networks
    costed = ~(np.isnan(known.gmacs) | np.isnan(known.acts_m) | np.isnan(known.params_m))
    runs = case.prepared.infer.richest(costed)
    if runs is None:
        return Finding(NOT_ENOUGH, f"No setup of {case.name} has networks with known MACs.")
    chosen = runs.pick(costed)
    if len(chosen) < MIN_RANKED:
        text = f"{case.where(runs)} only {len(chosen)} networks have known MACs, and a rank needs {MIN_RANKED}."
        return Finding(NOT_ENOUGH, text, rows(runs.row_id[i] for i in chosen))
    time, networks = 1.0 / runs.speed[chosen], runs.network[chosen]
    macs, acts, params = (rank_agreement(cost[networks], time) for cost in (known.gmacs, known.acts_m, known.params_m))
    verdict: Verdict = "holds" if macs.misordered >= MISORDERED_SHARE else "fails"
    text = (
        f"{case.where(runs)} MACs put {macs.misordered:.0%} of the pairs of {macs.n_models} networks in the wrong "
        f"order of time; rank correlation with time (Spearman / Kendall): MACs {macs.spearman:.2f} / "
        f"{macs.kendall:.2f}, activations {acts.spearman:.2f} / {acts.kendall:.2f}, parameters "
        f"{params.spearman:.2f} / {params.kendall:.2f}."
    )
    # the rows that say most: where the ranks by MACs and by time are furthest apart
    apart = np.abs(np.argsort(np.argsort(known.gmacs[networks])) - np.argsort(np.argsort(time)))
    order = np.lexsort((chosen, -apart))
    return Finding(verdict, text, rows(runs.row_id[chosen[i]] for i in order))


def resnet50_outruns_fewer_flops(case: Case) -> Finding:
    """Share of networks with fewer MACs and at least its top-1 that ResNet-50 outruns, for each task published."""
    found = [part for task in ("infer", "train") if (part := _outrun(case, task)) is not None]
    if not found:
        text = (
            f"No setup of {case.name} has ResNet-50 at 224 px beside {MIN_PAIRS} networks that have fewer MACs and at "
            f"least its top-1 ({IN1K})."
        )
        return Finding(NOT_ENOUGH, text)
    holds = all(share > MOST for share, _, _ in found)
    unchecked = "" if any("training" in text for _, text, _ in found) else _training_unchecked(case)
    text = " ".join(text for _, text, _ in found) + unchecked
    verdict: Verdict = "fails" if not holds else NOT_ENOUGH if unchecked else "holds"
    return Finding(verdict, text, rows(row for _, _, ids in found for row in ids))


def _training_unchecked(case: Case) -> str:
    what = "too few training results are published" if case.prepared.train.setups else "no training is published"
    return f" Of training, the other half of the claim, {what} there."


def _outrun(case: Case, task: Task) -> tuple[float, str, list[str]] | None:
    known = case.prepared.networks
    number = known.number.get(_RESNET50)
    if number is None or np.isnan(known.in1k.top1[number]):
        return None
    top1 = known.in1k.top1[number]
    rivals = (known.gmacs < known.gmacs[number]) & (known.in1k.top1 >= top1 - float(sampling_error(top1, "top1")))
    runs = _richest_beside(case, task, number, rivals)
    if runs is None:
        return None
    mine, theirs = _position(runs, number), runs.pick(rivals)
    if len(theirs) < MIN_PAIRS:
        return None
    ratio = runs.speed[mine] / runs.speed[theirs]
    share = float((ratio > 1).mean())
    text = (
        f"{case.where(runs)} ResNet-50 at 224 px outruns {(ratio > 1).sum()} of {len(theirs)} networks that have fewer "
        f"MACs and at least its top-1 ({top1:.1f} %, {IN1K}) in {_WORD[task]}; its speed is "
        f"{times(float(np.median(ratio)))} theirs at the median.{float_caution(runs)}"
    )
    order = theirs[np.lexsort((theirs, -ratio))]
    return share, text, network_rows(runs, known.in1k, (mine, *order[: MIN_RANKED + 4]))


def tresnet_m_matches_resnet50(case: Case) -> Finding:
    """TResNet-M against ResNet-50 at 224 px: speed by task, and the top-1 of the best ImageNet-1k weights."""
    known = case.prepared.networks
    ours, theirs = known.number.get(_TRESNET_M), known.number.get(_RESNET50)
    missing = f"No setup of {case.name} has both TResNet-M and ResNet-50 at 224 px."
    if ours is None or theirs is None:
        return Finding(NOT_ENOUGH, missing)
    only = np.zeros(len(known.gmacs), dtype=bool)
    only[ours] = True
    ratios, parts, ids = [], [], []
    for task in ("infer", "train"):
        runs = _richest_beside(case, task, theirs, only)
        if runs is None:
            continue
        ratio = float(runs.speed[_position(runs, ours)] / runs.speed[_position(runs, theirs)])
        ratios.append(ratio)
        parts.append(f"{times(ratio)} in {_WORD[task]} ({runs.setup.words})")
        ids += network_rows(runs, known.in1k, (_position(runs, ours), _position(runs, theirs)))
    if not ratios:
        return Finding(NOT_ENOUGH, missing)
    top1 = known.in1k.top1
    gain = float(top1[ours] - top1[theirs])
    more_accurate = gain > float(sampling_error(top1[theirs], "top1"))
    text = (
        f"On {case.name} TResNet-M's speed is {' and '.join(parts)} that of ResNet-50; top-1 is {top1[ours]:.1f} % "
        f"against {top1[theirs]:.1f} % ({IN1K}, {round(gain, 1) + 0.0:+.1f} points), "
        f"{'higher' if more_accurate else 'not higher'} beyond the sampling error."
    )
    own = known.own.get(_PAPERS_RESNET50)
    if own is not None and not more_accurate:
        text += f" The paper compared with a ResNet-50 of {own[0]:.1f} %."
        ids.append(own[1])
    holds = min(ratios) >= MATCHES_SPEED and more_accurate
    return Finding("holds" if holds else "fails", text, rows(ids))


def _richest_beside(case: Case, task: Task, number: int, rivals: np.ndarray) -> SetupRuns | None:
    """The setup with most rivals among those that have a network; None where there is none."""
    runs = case.prepared.task(task)
    this = np.zeros(len(rivals), dtype=bool)
    this[number] = True
    if not runs.setups:
        return None
    holding = runs.count(this) > 0
    counts = np.where(holding, runs.count(rivals), 0)
    if counts.max(initial=0) == 0:
        return None
    return runs.setups[runs.preferred(np.flatnonzero(counts == counts.max()).tolist())]


def _position(runs: SetupRuns, number: int) -> int:
    return int(np.searchsorted(runs.network, number))
