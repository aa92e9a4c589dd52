"""Well-known claims about networks, each checked on a device against what is published for it.

Nothing is pooled: a check looks at one setup, the one that has most of the networks it needs, and names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from advisor.advice import claim_checks_any as anywhere
from advisor.advice import claim_checks_cost as cost
from advisor.advice import claim_checks_front as front
from advisor.advice import claim_checks_ratio as ratio
from advisor.advice.claim_checks import Case, DeviceLike, Finding
from advisor.advice.claim_checks_any import Extra
from advisor.advice.claim_frames import Networks, Prepared, networks, prepare, prepare_each
from advisor.errors import UnknownName
from advisor.records import ClaimResult

__all__ = [
    "ANY_DEVICE",
    "CLAIMS",
    "EVERY_KIND",
    "GPU_KINDS",
    "SMALL_KINDS",
    "Background",
    "Claim",
    "Extra",
    "Prepared",
    "background",
    "check",
    "check_prepared",
    "claim",
    "prepare",
    "prepare_each",
]

ANY_DEVICE = "any"
GPU_KINDS = ("gpu", "edge_gpu")
SMALL_KINDS = ("phone", "npu", "iot", "soc", "edge_gpu", "automotive")
EVERY_KIND = ("cpu", "gpu", "npu", "phone", "iot", "soc", "laptop", "edge_gpu", "automotive")

_GUIDE = "'Which architecture to choose' (guide, 2020)"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the literature.

    Attributes:
        title: The claim in one sentence, with the figure it quotes.
        source: Who says it, and when; `source_id` where it is one of `data/published/sources.toml`.
        applies_to: The device kinds it speaks of. It is checked on the others too, and says so there.
        about: Those kinds in words; empty where it speaks of all.
        scope: "device", or "any" where no device changes the verdict.
    """

    claim_id: str
    title: str
    source: str
    source_id: str = ""
    applies_to: tuple[str, ...] = EVERY_KIND
    about: str = ""
    scope: Literal["device", "any"] = "device"
    needs: tuple[str, ...] = ("infer",)


CLAIMS: tuple[Claim, ...] = (
    Claim("resnest-first", "Start with ResNeSt.", _GUIDE, "which-architecture-2020"),
    Claim(
        "efficientnet-without-gpu", "Without a GPU, or for a small network, take EfficientNet.", _GUIDE,
        "which-architecture-2020",
    ),
    Claim(
        "regnet-5x-efficientnet",
        "RegNet is up to 5x faster than EfficientNet on a GPU at equal accuracy, about 2x for small networks.",
        "Radosavovic et al., 'Designing Network Design Spaces' (FAIR, 2020)", "which-architecture-2020",
        GPU_KINDS, "GPUs",
    ),
    Claim(
        "regnet-trained-less", "RegNet reports lower accuracy because it was trained for less time.", _GUIDE,
        "which-architecture-2020", scope="any", needs=(),
    ),
    Claim(
        "small-device-mobilenet", "On a small device, take MnasNet or MobileNet V2/V3.", _GUIDE,
        "which-architecture-2020", SMALL_KINDS, "small devices",
    ),
    Claim(
        "mnasnet-mobilenetv2", "MnasNet is 1.8x faster than MobileNetV2 at the same accuracy.",
        "Tan et al., 'MnasNet' (2019)", "which-architecture-2020", SMALL_KINDS, "mobile hardware",
    ),
    Claim(
        "mnasnet-a3-resnet50", "MnasNet-A3 beats ResNet-50 with 4.8x fewer parameters.",
        "Tan et al., 'MnasNet' (2019)", "which-architecture-2020", scope="any", needs=(),
    ),
    Claim(
        "flops-not-latency", "FLOPs are not latency.",
        f"{_GUIDE}; Ridnik et al., 'TResNet' (2020)", "tresnet-2020",
    ),
    Claim(
        "resnet50-outruns-fewer-flops",
        "Vanilla ResNet-50 is faster in GPU training and inference than networks with fewer FLOPs.",
        "Ridnik et al., 'TResNet' (2020)", "tresnet-2020", GPU_KINDS, "GPUs", needs=("infer", "train"),
    ),
    Claim(
        "tresnet-m-resnet50", "TResNet-M matches the GPU speed of ResNet-50 at higher accuracy.",
        "Ridnik et al., 'TResNet' (2020)", "tresnet-2020", GPU_KINDS, "GPUs", needs=("infer", "train"),
    ),
    Claim(
        "resnet-strikes-back", "A modern recipe lifts vanilla ResNet-50 to 80.4 % top-1 at 224 px.",
        "Wightman et al., 'ResNet strikes back' (2021)", "resnet-strikes-back-2021", scope="any", needs=(),
    ),
    Claim(
        "vit-swin-convnext",
        "Near-vanilla ViTs pretrained on ImageNet-12k/22k are far ahead of Swin and compare well with ConvNeXt.",
        "timm's ViT baselines (2024)", "timm-vit-baselines-2024", ("gpu",), "GPUs",
    ),
    Claim(
        "finetuning-race",
        "In a short fine-tuning race plain ResNets do best, and ResNet-34 has the best accuracy for its minutes.",
        "DeepFashion fine-tuning race (forum post, 2022)", "deepfashion-2022", scope="any", needs=(),
    ),
)  # fmt: skip

_FRONT_RULE = f"at least {front.ON_FRONT_SHARE:.0%} of its own front are on the front of all, within the sampling error"
# claim id -> when it counts as holding on a device
HOLDS_WHEN: Mapping[str, str] = {
    "resnest-first": _FRONT_RULE,
    "small-device-mobilenet": _FRONT_RULE,
    "efficientnet-without-gpu": "EfficientNet is at least as fast at the median",
    "regnet-5x-efficientnet": (
        f"{ratio.FIVE_TIMES:g}x is reached (it would be rounded to 5x) and small networks have {ratio.ABOUT_TWICE:g}x "
        "at the median"
    ),
    "mnasnet-mobilenetv2": f"the median is {ratio.EIGHTEEN_TENTHS:g}x or more",
    "flops-not-latency": f"at least {cost.MISORDERED_SHARE:.0%} of the pairs are in the wrong order",
    "resnet50-outruns-fewer-flops": f"it outruns more than {cost.MOST:.0%} of them, in inference and in training",
    "tresnet-m-resnet50": f"it has at least {cost.MATCHES_SPEED:g}x the speed, and a higher top-1",
    "vit-swin-convnext": (
        f"the median is at least {ratio.FAR_AHEAD:g}x against Swin and {ratio.COMPARES_WELL:g}x against ConvNeXt"
    ),
}

_ON_DEVICE: Mapping[str, Callable[[Case], Finding]] = {
    "resnest-first": front.resnest_first,
    "efficientnet-without-gpu": ratio.efficientnet_without_gpu,
    "regnet-5x-efficientnet": ratio.regnet_against_efficientnet,
    "small-device-mobilenet": front.small_device_first,
    "mnasnet-mobilenetv2": ratio.mnasnet_against_mobilenetv2,
    "flops-not-latency": cost.flops_are_not_latency,
    "resnet50-outruns-fewer-flops": cost.resnet50_outruns_fewer_flops,
    "tresnet-m-resnet50": cost.tresnet_m_matches_resnet50,
    "vit-swin-convnext": ratio.vit_against_swin_and_convnext,
}
_ANYWHERE: Mapping[str, Callable[[pd.DataFrame, Extra], Finding]] = {
    "regnet-trained-less": anywhere.regnet_trained_for_less,
    "mnasnet-a3-resnet50": anywhere.mnasnet_a3_beats_resnet50,
    "resnet-strikes-back": anywhere.modern_recipe_lifts_resnet50,
    "finetuning-race": anywhere.plain_resnets_win_the_race,
}


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What is the same for every device: the numbered networks, and the claims that no device decides."""

    networks: Networks
    anywhere: Mapping[str, ClaimResult]


def claim(claim_id: str) -> Claim:
    """The claim of that id; UnknownName with close ids if there is none."""
    for one in CLAIMS:
        if one.claim_id == claim_id:
            return one
    raise UnknownName("claim", claim_id, (c.claim_id for c in CLAIMS))


def background(scored: pd.DataFrame, extra: Extra) -> Background:
    """What every device's checks share; worth keeping until the store's version changes (about 40 ms)."""
    found = {
        claim_id: _result(claim(claim_id), ANY_DEVICE, finding(scored, extra), "")
        for claim_id, finding in _ANYWHERE.items()
    }
    return Background(networks(scored, extra.accuracy), found)


def check(
    claim_ids: str | Iterable[str],
    device: DeviceLike,
    scored: pd.DataFrame,
    runs_infer: pd.DataFrame,
    runs_train: pd.DataFrame,
    extra: Extra,
) -> list[ClaimResult]:
    """Check claims on a device, from the frames of the store.

    Args:
        claim_ids: One id, several, or "all".
        scored: Weights x image size, as the query `scored` gives them.
        runs_infer: The device's runs for inference; `runs_train` for training.

    Returns:
        One result a claim in the order of `CLAIMS`; claims that no device decides have the device id "any".
    """
    shared = background(scored, extra)
    return check_prepared(claim_ids, device, prepare(shared.networks, runs_infer, runs_train), shared)


def check_prepared(
    claim_ids: str | Iterable[str], device: DeviceLike, prepared: Prepared, shared: Background
) -> list[ClaimResult]:
    """As `check`, from a kept `background` and a device's kept `prepare`."""
    wanted = {c.claim_id for c in CLAIMS} if claim_ids == "all" else _ids(claim_ids)
    case = Case(device.device_id, device.name, device.kind, prepared)
    results = []
    for one in CLAIMS:
        if one.claim_id not in wanted:
            continue
        if one.scope == "any":
            results.append(shared.anywhere[one.claim_id])
        else:
            note = "" if device.kind in (*one.applies_to, "own") else f" (The claim is about {one.about}.)"
            results.append(_result(one, device.device_id, _ON_DEVICE[one.claim_id](case), note))
    return results


def _ids(claim_ids: str | Iterable[str]) -> set[str]:
    given = (claim_ids,) if isinstance(claim_ids, str) else claim_ids
    return {claim(claim_id).claim_id for claim_id in given}


def _result(one: Claim, device_id: str, found: Finding, note: str) -> ClaimResult:
    return ClaimResult(
        claim_id=one.claim_id, title=one.title, source=one.source, device_id=device_id, verdict=found.verdict,
        figures=found.figures + note, row_ids=found.row_ids, holds_when=HOLDS_WHEN.get(one.claim_id, ""),
    )  # fmt: skip
