"""Families follow the field's use, and names that only look alike are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.evidence import catalogue
from advisor.evidence.families import FAMILIES, OTHER_FAMILY, TEST_FAMILY, family_of
from advisor.records import FOUR_FAMILIES

CATALOGUE = Path(__file__).resolve().parents[1] / "data" / "catalogue.csv"


@pytest.mark.parametrize(
    ("family", "architectures"),
    [
        ("MobileNet", "mobilenetv1_100 mobilenetv2_110d mobilenetv3_rw tf_mobilenetv3_small_minimal_100"),
        ("MobileNet", "mobilenetv4_hybrid_large mobilenet_edgetpu_v2_m mobilenet_edgetpu_100"),
        ("EfficientNet", "efficientnet_b0 efficientnet_b0_gn tf_efficientnet_b8 tf_efficientnet_l2"),
        (
            "EfficientNet",
            "efficientnet_es efficientnet_el_pruned tf_efficientnet_cc_b0_4e tf_efficientnet_lite4",
        ),
        ("EfficientNet", "efficientnetv2_rw_t gc_efficientnetv2_rw_t tf_efficientnetv2_xl"),
        ("RegNet", "regnetx_002 regnety_1280 regnetz_c16_evos regnetz_040_h regnetv_064 nf_regnet_b1"),
        ("ResNeSt", "resnest14d resnest50d_1s4x24d resnest269e"),
        ("MNASNet", "mnasnet_100 semnasnet_075"),
        ("ResNet", "resnet18 resnet50 resnet50d resnet50_gn resnetaa101d resnetblur50 resnet152s"),
        ("ResNeXt", "resnext50_32x4d resnext101_32x16d"),
        ("SENet", "legacy_senet154 seresnet50 seresnextaa101d_32x8d"),
        ("NFNet", "dm_nfnet_f0 eca_nfnet_l1 nf_resnet50 nf_ecaresnet50"),
        ("BiT", "resnetv2_50x1_bit resnetv2_152x4_bit"),
        ("ViT", "vit_base_patch16_224 vit_tiny_patch16_384 vit_so400m_patch14_siglip_378"),
        ("ViT hybrid", "vit_base_r50_s16_384 vit_tiny_r_s16_p8_224"),
    ],
)
def test_family_holds_all_its_variants(family: str, architectures: str) -> None:
    assert {name: family_of(name) for name in architectures.split()} == dict.fromkeys(architectures.split(), family)


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        ("efficientvit_b1", "EfficientViT (MIT)"),
        ("efficientvit_m5", "EfficientViT (MSRA)"),
        ("efficientformerv2_l", "EfficientFormer"),
        ("efficientvim_m1", "EfficientViM"),
        ("mobilevitv2_100", "MobileViT"),
        ("mobileone_s0", "MobileOne"),
        ("mobilenetv5_300m", "MobileNetV5"),
        ("haloregnetz_b", "HaloNet"),
        ("tresnet_m", "TResNet"),
        ("resnetrs50", "ResNet-RS"),
        ("resnetv2_50", "ResNetV2"),
        ("wide_resnet50_2", "Wide ResNet"),
        ("resnet50_clip", "CLIP ResNet"),
        ("lambda_resnet50ts", "LambdaNet"),
        ("bat_resnext26ts", "Bilinear attention network"),
        ("ecaresnet50d", "ECA-ResNet"),
        ("cspresnext50", "CSPNet"),
        ("dla60_res2next", "Res2Net"),
        ("inception_next_tiny", "InceptionNeXt"),
        ("inception_resnet_v2", "Inception-ResNet"),
        ("deit3_base_patch16_224", "DeiT III"),
        ("maxvit_base_tf_224", "MaxViT"),
        ("nextvit_base", "Next-ViT"),
        ("spnasnet_100", "Single-Path NAS"),
        ("test_efficientnet", TEST_FAMILY),
        ("test_resnet", TEST_FAMILY),
    ],
)
def test_names_that_only_look_like_a_family_have_their_own(architecture: str, family: str) -> None:
    assert family_of(architecture) == family


def test_unknown_name_falls_to_other() -> None:
    assert family_of("no_such_network") == OTHER_FAMILY


def test_every_architecture_of_the_catalogue_has_a_family() -> None:
    assert [w.architecture for w in catalogue.load(CATALOGUE) if w.family == OTHER_FAMILY] == []


def test_catalogue_families_are_those_of_the_rules() -> None:
    rows = catalogue.load(CATALOGUE)
    assert all(w.family == family_of(w.architecture) for w in rows)
    assert set(FOUR_FAMILIES) <= {w.family for w in rows} <= set(FAMILIES)
