"""Rules of thumb that speak to a question, each with its source and how its claim holds on the device. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from advisor.advice.claim_checks_ratio import SMALL_PARAMS_M
from advisor.advice.claims import ANY_DEVICE, CLAIMS, GPU_KINDS, SMALL_KINDS
from advisor.records import Candidate, ClaimResult, Question, Reason, Verdict

# What speaks first: rules that hold, then those that fail, then those nobody can check; then as listed.
VERDICT_ORDER: tuple[Verdict, ...] = ("holds", "fails", "not enough evidence")
UNCHECKED = "rules-unchecked"

_OURS = "this advisor's stated order of decisions"
_LEAD: dict[Verdict, str] = {
    "holds": "Holds here.",
    "fails": "Fails here.",
    "not enough evidence": "Not enough evidence on this device.",
}
_LEAD_ANYWHERE: dict[Verdict, str] = {
    "holds": "Holds.",
    "fails": "Fails.",
    "not enough evidence": "Not enough evidence.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides whether a rule speaks."""

    question: Question
    kind: str
    pick: Candidate | None

    @property
    def without_gpu(self) -> bool:
        """Whether the device is a processor."""
        return self.kind == "cpu" or self.question.device_id.endswith("-cpu")

    @property
    def small_only(self) -> bool:
        """Whether a limit allows small networks only."""
        limit = self.question.max_params_m
        return limit is not None and limit <= SMALL_PARAMS_M

    @property
    def trains_on_gpu(self) -> bool:
        """Whether the question is about training on a GPU."""
        return self.question.task == "train" and self.kind in GPU_KINDS

    def may_take(self, *families: str) -> bool:
        """Whether the question allows every one of these families."""
        return self.question.all_families or set(families) <= set(self.question.families)


def _judged_by_size(asked: Asked) -> bool:
    """Whether size stands in for speed: a limit on it, or no speed to go by."""
    limited = asked.question.max_params_m is not None or asked.question.max_file_mb is not None
    return limited or asked.pick is None


# claim id -> when its rule speaks; listed in the order of `claims.CLAIMS`
SPEAKS_WHEN: dict[str, Callable[[Asked], bool]] = {
    "resnest-first": lambda asked: asked.may_take("ResNeSt") and asked.kind not in SMALL_KINDS,
    "efficientnet-without-gpu": lambda asked: (
        asked.may_take("EfficientNet") and (asked.without_gpu or asked.small_only)
    ),
    "regnet-5x-efficientnet": lambda asked: (
        asked.may_take("RegNet", "EfficientNet") and asked.kind in GPU_KINDS and asked.question.task == "infer"
    ),
    "regnet-trained-less": lambda asked: asked.pick is not None and asked.pick.family == "RegNet",
    "small-device-mobilenet": lambda asked: asked.may_take("MobileNet") and asked.kind in SMALL_KINDS,
    "mnasnet-mobilenetv2": lambda asked: asked.may_take("MNASNet") and asked.kind in SMALL_KINDS,
    "mnasnet-a3-resnet50": lambda asked: asked.may_take("MNASNet") and asked.small_only,
    "flops-not-latency": _judged_by_size,
    "resnet50-outruns-fewer-flops": lambda asked: asked.trains_on_gpu,
    "tresnet-m-resnet50": lambda asked: asked.trains_on_gpu and asked.may_take("TResNet"),
    "resnet-strikes-back": lambda asked: asked.question.pretraining == "imagenet-1k",
    "vit-swin-convnext": lambda asked: (
        asked.question.pretraining == "any" and asked.kind == "gpu" and asked.question.task == "infer"
    ),
    "finetuning-race": lambda asked: asked.question.task == "train",
}


def speak(
    question: Question, device_kind: str, claim_results: Iterable[ClaimResult], pick: Candidate | None
) -> tuple[Reason, ...]:
    """The rules that apply to a question, with the verdict of their claim on the device.

    Args:
        claim_results: Results of the device and of the claims that no device decides; a rule without a
            result stays silent.
        pick: What was recommended, None where nothing fits.

    Returns:
        Rules that hold, then those that fail, then those without evidence, each group in the order of
        `claims.CLAIMS`; and a last word where no device claim could be checked.
    """
    asked = Asked(question, device_kind, pick)
    results = {result.claim_id: result for result in claim_results}
    speaking = [results[c.claim_id] for c in CLAIMS if c.claim_id in results and SPEAKS_WHEN[c.claim_id](asked)]
    ordered = sorted(speaking, key=lambda result: VERDICT_ORDER.index(result.verdict))
    reasons = tuple(_reason(result) for result in ordered)
    return (*reasons, *_last_word(speaking))


def _reason(result: ClaimResult) -> Reason:
    lead = (_LEAD_ANYWHERE if result.device_id == ANY_DEVICE else _LEAD)[result.verdict]
    text = f"“{result.title}” {lead} {result.figures}"
    return Reason(result.claim_id, text, result.source, result.verdict)


def _last_word(speaking: list[ClaimResult]) -> tuple[Reason, ...]:
    on_device = [result for result in speaking if result.device_id != ANY_DEVICE]
    if not on_device or any(result.verdict != "not enough evidence" for result in on_device):
        return ()
    text = (
        "None of these rules of thumb could be checked on this device: take them as a place to start, and measure the "
        "networks that matter to you."
    )
    return (Reason(UNCHECKED, text, _OURS, "not enough evidence"),)
