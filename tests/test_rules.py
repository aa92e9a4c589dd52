"""Which rules of thumb speak to a question, with what verdict, in what order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from advisor.advice import rules
from advisor.advice.claims import ANY_DEVICE, CLAIMS, EVERY_KIND
from advisor.records import ALL_FAMILIES, Candidate, ClaimResult, Question, Verdict

PICK = Candidate.from_row({"weights": "regnety_032.ra_in1k", "family": "RegNet", "latency_ms": 9.0})


def results(verdict: Verdict = "holds", **others: Verdict) -> list[ClaimResult]:
    """A result for every claim; `others` by claim id with underscores."""
    given = {name.replace("_", "-"): v for name, v in others.items()}
    return [
        ClaimResult(
            c.claim_id, c.title, c.source, ANY_DEVICE if c.scope == "any" else "gadget",
            given.get(c.claim_id, verdict), f"figures of {c.claim_id}",
        )
        for c in CLAIMS
    ]  # fmt: skip


def spoken(
    question: Question, kind: str, found: list[ClaimResult] | None = None, pick: Candidate | None = PICK
) -> list[str]:
    return [r.rule for r in rules.speak(question, kind, results() if found is None else found, pick)]


@pytest.mark.parametrize("kind", ["phone", "npu", "iot", "soc", "edge_gpu"])
def test_small_devices_hear_of_mobilenet_and_not_of_resnest(kind: str) -> None:
    said = spoken(Question("gadget"), kind)
    assert "small-device-mobilenet" in said
    assert "resnest-first" not in said


@pytest.mark.parametrize(("device_id", "kind"), [("i7-12700h", "cpu"), ("pixel-1-cpu", "phone")])
def test_processors_hear_of_efficientnet(device_id: str, kind: str) -> None:
    assert "efficientnet-without-gpu" in spoken(Question(device_id), kind)


def test_gpus_hear_of_regnet_and_of_efficientnet_only_under_a_limit_to_small_networks() -> None:
    said = spoken(Question("rtx-4090"), "gpu")
    assert "regnet-5x-efficientnet" in said
    assert "efficientnet-without-gpu" not in said
    assert "efficientnet-without-gpu" in spoken(Question("rtx-4090", max_params_m=8), "gpu")


def test_rules_about_families_that_may_not_be_taken_stay_silent() -> None:
    said = spoken(Question("rtx-4090", families=("MobileNet",)), "gpu")
    assert not {"resnest-first", "regnet-5x-efficientnet", "efficientnet-without-gpu"} & set(said)


def test_training_hears_of_resnet50_and_the_race() -> None:
    said = spoken(Question("rtx-3090", task="train", families=ALL_FAMILIES), "gpu")
    assert {"resnet50-outruns-fewer-flops", "tresnet-m-resnet50", "finetuning-race"} <= set(said)
    assert "regnet-5x-efficientnet" not in said
    assert "finetuning-race" not in spoken(Question("rtx-3090"), "gpu")


def test_pretraining_decides_between_the_vit_baselines_and_the_modern_recipe() -> None:
    free, plain = Question("rtx-4090"), Question("rtx-4090", pretraining="imagenet-1k")
    assert ("vit-swin-convnext" in spoken(free, "gpu"), "resnet-strikes-back" in spoken(free, "gpu")) == (True, False)
    assert ("vit-swin-convnext" in spoken(plain, "gpu"), "resnet-strikes-back" in spoken(plain, "gpu")) == (False, True)


def test_a_regnet_pick_hears_why_old_regnets_look_weak() -> None:
    assert "regnet-trained-less" in spoken(Question("rtx-4090"), "gpu")
    assert "regnet-trained-less" not in spoken(Question("rtx-4090"), "gpu", pick=replace(PICK, family="ResNeSt"))


def test_size_as_a_stand_in_for_speed_is_warned_of() -> None:
    assert "flops-not-latency" in spoken(Question("gadget", max_params_m=20), "gpu")
    assert "flops-not-latency" in spoken(Question("gadget"), "gpu", pick=None)
    assert "flops-not-latency" not in spoken(Question("gadget"), "gpu")


def test_what_holds_speaks_first_then_what_fails_then_what_nobody_checked() -> None:
    found = results("fails", regnet_5x_efficientnet="not enough evidence", regnet_trained_less="holds")
    assert spoken(Question("rtx-4090"), "gpu", found) == [
        "regnet-trained-less", "resnest-first", "vit-swin-convnext", "regnet-5x-efficientnet",
    ]  # fmt: skip
    assert spoken(Question("rtx-4090"), "gpu", found[::-1]) == spoken(Question("rtx-4090"), "gpu", found)


def test_a_rule_carries_claim_source_verdict_and_figures() -> None:
    (first, *_) = rules.speak(Question("gadget"), "phone", results("fails"), PICK)
    claim = next(c for c in CLAIMS if c.claim_id == first.rule)
    assert (first.source, first.verdict) == (claim.source, "fails")
    assert first.text == f"“{claim.title}” Fails. figures of {claim.claim_id}"  # no device decides this one
    small = next(r for r in rules.speak(Question("gadget"), "phone", results("fails"), PICK) if "small" in r.rule)
    assert "Fails here." in small.text


def test_without_evidence_the_rule_speaks_and_says_so() -> None:
    said = rules.speak(Question("gadget"), "phone", results("not enough evidence"), None)
    small = next(r for r in said if r.rule == "small-device-mobilenet")
    assert (small.verdict, "Not enough evidence on this device." in small.text) == ("not enough evidence", True)
    assert said[-1].rule == rules.UNCHECKED


def test_one_checked_rule_is_enough_to_leave_out_the_last_word() -> None:
    found = results("not enough evidence", small_device_mobilenet="holds")
    assert rules.UNCHECKED not in spoken(Question("gadget"), "phone", found)


def test_without_results_every_rule_is_silent() -> None:
    assert spoken(Question("gadget"), "gpu", []) == []


def test_every_claim_has_its_rule() -> None:
    assert list(rules.SPEAKS_WHEN) == [c.claim_id for c in CLAIMS]


def test_every_claim_speaks_to_some_question() -> None:
    questions = [
        Question("gadget", families=ALL_FAMILIES, task=task, pretraining=pretraining, max_params_m=limit)
        for task in ("infer", "train")
        for pretraining in ("any", "imagenet-1k")
        for limit in (None, 5.0)
    ]
    heard = {rule for question in questions for kind in EVERY_KIND for rule in spoken(question, kind)}
    assert {c.claim_id for c in CLAIMS} <= heard
