"""Claims that one family is so many times as fast as another at equal accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.advice.claim_checks import (
    MIN_PAIRS,
    NOT_ENOUGH,
    Case,
    Duel,
    Finding,
    duel,
    duel_in,
    float_caution,
    named,
    pair_rows,
    rows,
    spread,
    times,
    too_few,
)
from advisor.advice.claim_frames import GROUPS, Best, OwnResult
from advisor.advice.matching import match_at_equal_top1
from advisor.evidence.families import family_of
from advisor.metrics import enumerated
from advisor.records import Verdict

IN1K = "best ImageNet-1k weights of each"
IN21K = "best weights of each with ImageNet-12k to 22k pretraining"

# A quoted factor is met from where it would be rounded to it.
FIVE_TIMES = 4.5
ABOUT_TWICE = 1.5
EIGHTEEN_TENTHS = 1.75
# "Small": EfficientNet-B0 to B2 and RegNets up to 1.6 GF (3 to 11.2 M parameters); the texts give no bound.
SMALL_PARAMS_M = 11.5
# "Far ahead": a quarter faster, well beyond what software versions move (the text gives no factor).
FAR_AHEAD = 1.25
# "Compares well": not slower by more than a tenth at the median.
COMPARES_WELL = 0.9

CPU_RIVALS = ("ResNeSt", "MobileNet", "RegNet")


def efficientnet_without_gpu(case: Case) -> Finding:
    """EfficientNet against the front of the other three families: all networks on a CPU, small ones elsewhere."""
    best = case.prepared.networks.in1k
    allowed = np.full(len(best.top1), True)
    scope = "of any size"
    if not case.without_gpu:
        allowed = case.prepared.networks.params_m <= SMALL_PARAMS_M
        scope = f"up to {SMALL_PARAMS_M:g} M parameters as the device is no CPU"
    mine = case.group("EfficientNet") & allowed
    rivals = {name: case.group(name) & allowed & ~np.isnan(best.top1) for name in CPU_RIVALS}
    every_rival = np.logical_or.reduce(list(rivals.values()))
    others = enumerated(CPU_RIVALS)
    one = duel(case, every_rival, mine, best)
    if one is None or not one.enough:
        return too_few(case, one, others, "EfficientNet", best, f"networks {scope}; {IN1K}")
    scored_mine = mine & ~np.isnan(best.top1)
    each = {name: duel_in(one.runs, mask, scored_mine, best).matches for name, mask in rivals.items()}
    parts = [f"{times(m.median)} against {name}" for name, m in each.items() if len(m.ratio)]
    verdict: Verdict = "holds" if one.matches.median >= 1 else "fails"
    text = (
        f"{case.where(one.runs)}, networks {scope}, EfficientNet is {spread(one.ratio)} as fast at equal top-1 "
        f"({IN1K}) as the front of {others}; medians: {enumerated(parts)}."
    )
    if one.matches.unreached:
        text += f" {one.matches.unreached} networks of that front are more accurate than any EfficientNet there."
    return Finding(verdict, text + float_caution(one.runs), pair_rows(one, best))


def regnet_against_efficientnet(case: Case) -> Finding:
    """RegNetX/Y against EfficientNet-B: the largest ratio for 'up to 5x', the small ones' median for '2x'."""
    best = case.prepared.networks.in1k
    one = duel(case, case.group("EfficientNet-B"), case.group("RegNetX/Y"), best)
    if one is None or not one.enough:
        own = _own_duel(case, "EfficientNet-B", "RegNetX/Y")
        if own is not None:
            return _regnet_by_own_figures(case, own)
        return too_few(case, one, "EfficientNet-B", "RegNetX/Y", best, IN1K)
    largest = int(np.argmax(one.ratio))
    up_to = one.matches.largest >= FIVE_TIMES
    small = one.ratio[case.prepared.networks.params_m[one.runs.network[one.reference]] <= SMALL_PARAMS_M]
    twice = bool(len(small)) and float(np.median(small)) >= ABOUT_TWICE
    text = (
        f"{case.where(one.runs)} RegNetX/Y is {spread(one.ratio)} as fast as EfficientNet-B at equal top-1 "
        f"({IN1K}); {'5x is reached' if up_to else 'never 5x'}: at most {times(one.matches.largest)}, "
        f"{named(case, one.runs, best, int(one.other[largest]))}, against "
        f"{named(case, one.runs, best, int(one.reference[largest]))}."
    )
    if len(small):
        text += f" Against small ones (to {SMALL_PARAMS_M:g} M parameters) {spread(small)}, {_is('about 2x', twice)}."
    else:
        text += " No small EfficientNet-B has a match there."
    return Finding("holds" if up_to and twice else "fails", text + float_caution(one.runs), pair_rows(one, best))


def mnasnet_against_mobilenetv2(case: Case) -> Finding:
    """MnasNet against MobileNetV2, by timm's weights or, where those are too few, by the authors' own figures."""
    best = case.prepared.networks.in1k
    one = duel(case, case.group("MobileNetV2"), case.group("MnasNet"), best)
    if one is None or not one.enough:
        own = _own_duel(case, "MobileNetV2", "MnasNet")
        if own is not None:
            return _mnasnet_by_own_figures(case, own)
        return too_few(case, one, "MobileNetV2", "MnasNet", best, IN1K)
    holds = one.matches.median >= EIGHTEEN_TENTHS
    text = (
        f"{case.where(one.runs)} MnasNet is {spread(one.ratio)} as fast as MobileNetV2 at equal top-1 ({IN1K}); "
        f"{_is('1.8x', holds)}."
    )
    return Finding("holds" if holds else "fails", text + float_caution(one.runs), pair_rows(one, best))


def vit_against_swin_and_convnext(case: Case) -> Finding:
    """Plain ViTs against Swin and against ConvNeXt in the setup that has most of all three."""
    best = case.prepared.networks.in21k
    known = ~np.isnan(best.top1)
    vit, swin, convnext = (case.group(name) & known for name in ("ViT", "Swin", "ConvNeXt"))
    runs = case.prepared.infer.richest(vit, swin, convnext)
    if runs is None:
        text = f"No setup of {case.name} has ViT, Swin and ConvNeXt with a published top-1 ({IN21K})."
        return Finding(NOT_ENOUGH, text)
    against = {"Swin": duel_in(runs, swin, vit, best), "ConvNeXt": duel_in(runs, convnext, vit, best)}
    for name, one in against.items():
        if not one.enough:
            return too_few(case, one, name, "ViT", best, IN21K)
    ahead = against["Swin"].matches.median >= FAR_AHEAD
    well = against["ConvNeXt"].matches.median >= COMPARES_WELL
    text = (
        f"{case.where(runs)} ViT (DeiT III included) is {spread(against['Swin'].ratio)} as fast as Swin at equal "
        f"top-1 and {spread(against['ConvNeXt'].ratio)} as fast as ConvNeXt ({IN21K}): {_is('far ahead', ahead)} "
        f"of Swin, {'and' if ahead == well else 'but'} it {'compares' if well else 'does not compare'} well with "
        f"ConvNeXt.{_unreached(against, best)}"
    )
    ids = rows(row for pair in zip(*(pair_rows(o, best) for o in against.values()), strict=False) for row in pair)
    return Finding("holds" if ahead and well else "fails", text + float_caution(runs), ids)


def _is(what: str, so: bool) -> str:
    return what if so else f"not {what}"


def _unreached(against: dict[str, Duel], best: Best) -> str:
    missed = {name: one.matches.unreached for name, one in against.items() if one.matches.unreached}
    if not missed:
        return ""
    return f" Out of ViT's reach there: {enumerated([f'{n} of the {name} front' for name, n in missed.items()])}."


def _own_results(case: Case, group: str) -> dict[str, list[OwnResult]]:
    """The claim's authors' own results of a group by setup, in words: these sources agree in all they state."""
    belongs = GROUPS[group]  # by name, as timm has no weights for some of these networks
    found: dict[str, list[OwnResult]] = {}
    for runs in case.prepared.infer.setups:
        chosen = [own for own in runs.own if belongs(own.architecture, family_of(own.architecture))]
        if chosen:
            found.setdefault(runs.setup.words, []).extend(chosen)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _OwnDuel:
    """Two groups matched by their authors' own figures in one setup."""

    words: str
    pairs: tuple[tuple[OwnResult, OwnResult], ...]  # reference and other, largest ratio first
    ratio: NDArray[np.float64]

    @property
    def row_ids(self) -> tuple[str, ...]:
        return rows(row for pair in self.pairs for own in pair for row in own.row_ids)

    @property
    def figures(self) -> str:
        reference, other = self.pairs[0]
        return (
            f"at most {times(float(self.ratio[0]))}, {other.model}, {other.top1:.1f} %, against {reference.model}, "
            f"{reference.top1:.1f} %"
        )


def _own_duel(case: Case, reference: str, other: str) -> _OwnDuel | None:
    """The setup with most pairs by the authors' own figures; None where none has `MIN_PAIRS`."""
    references, others = _own_results(case, reference), _own_results(case, other)
    best: _OwnDuel | None = None
    for words in sorted(references.keys() & others.keys()):
        left, right = references[words], others[words]
        matches = match_at_equal_top1(
            np.array([o.top1 for o in left]), np.array([o.speed for o in left]),
            np.array([o.top1 for o in right]), np.array([o.speed for o in right]),
        )  # fmt: skip
        if len(matches.ratio) < max(MIN_PAIRS, len(best.ratio) + 1 if best else 0):
            continue
        order = np.argsort(-matches.ratio, kind="stable")
        pairs = tuple((left[int(matches.reference[i])], right[int(matches.match[i])]) for i in order)
        best = _OwnDuel(words, pairs, matches.ratio[order])
    return best


def _regnet_by_own_figures(case: Case, own: _OwnDuel) -> Finding:
    """The verdict where timm's weights are too few: both families with the RegNet authors' short recipe."""
    known = case.prepared.networks
    params = dict(zip(known.architecture, known.params_m, strict=True))
    of_small = [params.get(reference.architecture, np.inf) <= SMALL_PARAMS_M for reference, _ in own.pairs]
    small = own.ratio[np.array(of_small, dtype=bool)]
    up_to = float(own.ratio[0]) >= FIVE_TIMES
    twice = bool(len(small)) and float(np.median(small)) >= ABOUT_TWICE
    text = (
        f"On {case.name} ({own.words}), with both families trained by the RegNet authors' 100-epoch recipe (timm has "
        f"weights for too few of these), RegNetX/Y is {spread(own.ratio)} as fast as EfficientNet-B at equal "
        f"top-1; {'5x is reached' if up_to else 'never 5x'}: {own.figures}."
    )
    if len(small):
        text += f" Against small ones {spread(small)}, {_is('about 2x', twice)}."
    return Finding("holds" if up_to and twice else "fails", text, own.row_ids)


def _mnasnet_by_own_figures(case: Case, own: _OwnDuel) -> Finding:
    holds = float(np.median(own.ratio)) >= EIGHTEEN_TENTHS
    sources = enumerated(sorted({row.partition(".")[0] for row in own.row_ids}))
    text = (
        f"On {case.name} ({own.words}) MnasNet is {spread(own.ratio)} as fast as MobileNetV2 at equal top-1, by the "
        f"speeds and accuracies of {sources} (timm has weights for too few of these); {own.figures}, "
        f"{_is('1.8x', holds)} at the median."
    )
    return Finding("holds" if holds else "fails", text, own.row_ids)
