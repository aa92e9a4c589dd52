"""The family of an architecture, as the field names it."""

from __future__ import annotations

import re

TEST_FAMILY = "timm test"
OTHER_FAMILY = "Other"

# The first rule whose pattern matches the start of the architecture's name decides, so that special cases
# stand before the general ones they would fall into (`resnetrs` before `resnet`). A family holds what the
# field compares as one: all sizes and versions of a design, not its parts in other networks. timm's port
# marks (`tf_`, `legacy_`, `dm_`, `gluon_`) are cut off first.
_RULES: tuple[tuple[str, str], ...] = (
    (r"test_", TEST_FAMILY),
    # the four families of the first question, and names that only look like them
    (r"efficientvit_m\d", "EfficientViT (MSRA)"),
    (r"efficientvit_[bl]\d", "EfficientViT (MIT)"),
    (r"efficientvim", "EfficientViM"),
    (r"efficientformer", "EfficientFormer"),
    (r"(gc_)?efficientnet", "EfficientNet"),
    (r"mobilenetv5", "MobileNetV5"),
    (r"mobilenet", "MobileNet"),
    (r"mobilevit", "MobileViT"),
    (r"mobileone", "MobileOne"),
    (r"nf_regnet|regnet[vxyz]", "RegNet"),
    (r"resnest", "ResNeSt"),
    # networks with attention in a convolutional body, before the bodies they are built on
    (r"(eca_|se)?botne[tx]t?", "BoTNet"),
    (r"(se|eca_)?halo|lamhalobotnet", "HaloNet"),
    (r"lambda_", "LambdaNet"),
    (r"bat_", "Bilinear attention network"),
    # searched and mobile networks
    (r"(se)?mnasnet", "MNASNet"),
    (r"spnasnet", "Single-Path NAS"),
    (r"fbnet", "FBNet"),
    (r"mixnet", "MixNet"),
    (r"tinynet", "TinyNet"),
    (r"hardcorenas", "HardCoRe-NAS"),
    (r"lcnet", "PP-LCNet"),
    (r"hgnet", "PP-HGNet"),
    (r"rexnet", "ReXNet"),
    (r"repghost", "RepGhostNet"),
    (r"ghostnet", "GhostNet"),
    (r"pnasnet|nasnet", "NASNet"),
    (r"gernet", "GENet"),
    (r"fasternet", "FasterNet"),
    (r"starnet", "StarNet"),
    (r"cpubone", "CPUBone"),
    (r"lowformer", "LowFormer"),
    (r"csatv2", "CSATv2"),
    (r"shvit", "SHViT"),
    (r"selecsls", "SelecSLS"),
    # ResNet and its relatives
    (r"tresnet", "TResNet"),
    (r"xresnet", "xResNet"),
    (r"resnetrs", "ResNet-RS"),
    (r"resnetv2_\w*_bit", "BiT"),
    (r"resnetv2", "ResNetV2"),
    (r"(resnet|resnext)\d+\w*_clip", "CLIP ResNet"),
    (r"wide_resnet", "Wide ResNet"),
    (r"ecaresne[tx]t?|eca_resne[tx]t?", "ECA-ResNet"),
    (r"gcresne[tx]t?", "GC-ResNet"),
    (r"seresne[tx]t?|senet", "SENet"),
    (r"skresne[tx]t?", "SKNet"),
    (r"resnext", "ResNeXt"),
    (r"nf_|(eca_)?nfnet", "NFNet"),
    (r"resnet", "ResNet"),
    (r"res2ne[tx]t?", "Res2Net"),
    (r"cspresne[tx]t?|cs3|cspdarknet", "CSPNet"),
    (r"(se)?darknet", "DarkNet"),
    (r"cspnext", "CSPNeXt"),
    (r"dla\d+\w*_res2", "Res2Net"),
    (r"dla", "DLA"),
    (r"dpn", "DPN"),
    (r"densenet", "DenseNet"),
    (r"rdnet", "RDNet"),
    (r"hrnet", "HRNet"),
    (r"repvgg", "RepVGG"),
    (r"vgg", "VGG"),
    (r"((ese|eca)_)?vovnet", "VoVNet"),
    # Inception's line; InceptionNeXt is a ConvNeXt-like network of later years
    (r"inception_next", "InceptionNeXt"),
    (r"inception_resnet", "Inception-ResNet"),
    (r"inception", "Inception"),
    (r"xception", "Xception"),
    # convolutional networks after 2021
    (r"convnext", "ConvNeXt"),
    (r"convmixer", "ConvMixer"),
    (r"convformer", "ConvFormer"),
    (r"caformer", "CAFormer"),
    (r"poolformer", "PoolFormer"),
    (r"mambaout", "MambaOut"),
    (r"focalnet", "FocalNet"),
    (r"edgenext", "EdgeNeXt"),
    (r"repvit", "RepViT"),
    (r"fastvit", "FastViT"),
    (r"iformer", "iFormer"),
    # multi-layer perceptrons and recurrent mixers
    (r"g?mixer", "MLP-Mixer"),
    (r"gmlp", "gMLP"),
    (r"resmlp", "ResMLP"),
    (r"sequencer", "Sequencer"),
    # transformers and hybrids
    (r"deit3", "DeiT III"),
    (r"deit", "DeiT"),
    (r"beit", "BEiT"),
    (r"eva", "EVA"),
    (r"cait", "CaiT"),
    (r"xcit", "XCiT"),
    (r"coatne[tx]t?", "CoAtNet"),
    (r"coat", "CoaT"),
    (r"convit", "ConViT"),
    (r"crossvit", "CrossViT"),
    (r"davit", "DaViT"),
    (r"flexivit", "FlexiViT"),
    (r"gcvit", "GCViT"),
    (r"(sam2_)?hiera", "Hiera"),
    (r"levit", "LeViT"),
    (r"maxxvit", "MaxxViT"),
    (r"maxvit", "MaxViT"),
    (r"mvitv2", "MViTv2"),
    (r"nest", "NesT"),
    (r"nextvit", "Next-ViT"),
    (r"pit", "PiT"),
    (r"pvt", "PVT"),
    (r"swiftformer", "SwiftFormer"),
    (r"swinv2", "Swin V2"),
    (r"swin", "Swin"),
    (r"tiny_vit", "TinyViT"),
    (r"tnt", "TNT"),
    (r"twins", "Twins"),
    (r"visformer", "Visformer"),
    (r"vitamin", "ViTamin"),
    (r"volo", "VOLO"),
    (r"samvit", "SAM ViT"),
    (r"aimv2", "AIMv2"),
    (r"gemma4_vit", "Gemma ViT"),
    (r"qwen3_vit", "Qwen ViT"),
    (r"deepseek_vit", "DeepSeek ViT"),
    (r"naflexvit", "ViT (NaFlex)"),
    (r"vit_\w*_mci_", "ViT hybrid"),
    (r"vit_\w+?_r(\d+)?_s\d+", "ViT hybrid"),
    (r"vit", "ViT"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), family) for pattern, family in _RULES)
_PORT_MARK = re.compile(r"^(tf|legacy|dm|gluon)_")

FAMILIES: tuple[str, ...] = tuple(sorted({family for _, family in _RULES} | {OTHER_FAMILY}, key=str.lower))


def family_of(architecture: str) -> str:
    """The family that an architecture's name belongs to; `OTHER_FAMILY` where no rule knows the name."""
    bare = _PORT_MARK.sub("", architecture)
    for pattern, family in _COMPILED:
        if pattern.match(bare):
            return family
    return OTHER_FAMILY
