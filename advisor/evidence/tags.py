"""What the tag of timm weights says: the images they have seen, the recipe, a teacher.

A tag lists recipe and data in the order of training, `clip_laion2b_augreg_ft_in12k_in1k_384`: a recipe
(clip, augreg), the data of each stage (LAION-2B, ImageNet-12k, ImageNet-1k), an image size last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

IMAGENET_1K = "in1k"
UNKNOWN_RANK = 9

# code -> (label, rank of extra data): 0 ImageNet-1k, 1 the larger ImageNets, 2 web scale and everything else
DATASETS: dict[str, tuple[str, int]] = {
    "in1k": ("ImageNet-1k", 0),
    "in12k": ("ImageNet-12k", 1),
    "in21k": ("ImageNet-21k", 1),
    "in22k": ("ImageNet-22k", 1),
    "inw21k": ("ImageNet-21k (winter)", 1),
    "ssld6m": ("SSLD-6M", 1),
    "jft": ("JFT-300M", 2),
    "ig1b": ("Instagram-1B", 2),
    "ig3b": ("Instagram-3.6B", 2),
    "rii2b": ("Random Internet Images-2B", 2),
    "yfcc15m": ("YFCC-15M", 2),
    "yfcc100m": ("YFCC-100M", 2),
    "cc12m": ("CC-12M", 2),
    "laion400m": ("LAION-400M", 2),
    "laion2b": ("LAION-2B", 2),
    "laiona": ("LAION-Aesthetic", 2),
    "merged2b": ("Merged-2B", 2),
    "m30m": ("Merged-30M", 2),
    "m38m": ("Merged-38M", 2),
    "datacomp1b": ("DataComp-1B", 2),
    "datacompxl": ("DataComp-XL", 2),
    "datacompdr": ("DataCompDR-1B", 2),
    "dfn2b": ("DFN-2B", 2),
    "dfn5b": ("DFN-5B", 2),
    "dfndr2b": ("DFNDR-2B", 2),
    "metaclip": ("MetaCLIP", 2),
    "metaclip2": ("MetaCLIP 2", 2),
    "webli": ("WebLI", 2),
    "openai": ("OpenAI WIT-400M", 2),
    "lvd142m": ("LVD-142M", 2),
    "lvd1689m": ("LVD-1689M", 2),
    "sat493m": ("SAT-493M", 2),
    "sa1b": ("SA-1B", 2),
    "sav": ("SA-V", 2),
    "fld5b": ("FLD-5B", 2),
    "bamboo": ("Bamboo", 2),
    "humans1b": ("Humans-1B", 2),
    "aimv2": ("AIMv2 image-text mix", 2),
    "beit3": ("BEiT-3 image-text mix", 2),
    "nvcc": ("NV-CC-Img-Text", 2),
    "pe": ("Perception Encoder web mix", 2),
}

# Tags that leave data out, or say less than was used: (tag, architecture, data of all stages). Patterns must
# match the whole tag and the start of the architecture; the first that fits decides.
_UNSAID: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # self-supervised on ImageNet-1k alone: ConvNeXt V2, MAE, DINO, and fine-tunings of ImageNet-1k weights
    (r"fcmae|mae|dino|fb_dino|ft_in1k|fcmae_ft_in1k", "", ("in1k",)),
    (r"fcmae_ft_in22k_in1k(_\d+)?", "", ("in1k", "in22k", "in1k")),
    # SSLD: teacher's labels on images mined from ImageNet-22k (arXiv:2103.05959; the weights' model cards)
    (r"ssld_.*in1k", "", ("in22k", "in1k")),
    (r"paddle_in1k", r"hrnet_w\d+_ssld", ("in22k", "in1k")),
    (r"bd_ssld_6m_in1k(_\d+)?", "", ("ssld6m", "in1k")),
    # RegNetY: SEER (arXiv:2202.08360, model cards) and SWAG (arXiv:2201.08371)
    (r"seer", "", ("rii2b",)),
    (r"seer_ft_in1k", "", ("rii2b", "in1k")),
    (r"swag_(ft|lc)_in1k", "", ("ig3b", "in1k")),
    # EVA-CLIP trained on LAION-400M before fine-tuning (arXiv:2211.07636, table 10)
    (r"clip_ft_in1k", "eva_giant", ("laion400m", "in1k")),
    # BEiT-3 pretrains on ImageNet-21k and image-text pairs before its ImageNet-22k stage (arXiv:2208.10442)
    (r"(indomain_)?pt", "beit3", ("beit3",)),
    (r"(indomain_)?in22k_ft_in1k", "beit3", ("beit3", "in22k", "in1k")),
    (r"fb_r\d+(_2pt1)?", "sam2_", ("sa1b", "sav")),
    (r"fb", r"vit_\w+_sapiens2", ("humans1b",)),
    (r"fb(_tiling)?", "vit_pe_", ("pe",)),
    (r"apple_pt(_dist)?", "aimv2", ("aimv2",)),
    (r"apple_mclip(_lt)?", "", ("datacompdr",)),
    (r"msft_florence2", "", ("fld5b",)),
    (r"c_radio", "", ("nvcc",)),
    (r"pali2?_.*", "", ("webli",)),
)  # fmt: skip

# A teacher network's outputs were the target, soft or as labels of unlabelled images. Masked-image targets
# (BEiT, EVA) and token labelling (VOLO) are not counted.
_DISTILLED_TAG = re.compile(r"(^|_)(dist|distilled|ssld|ns|ssl|swsl|usi|tinyclip|mclip2?|eupe|radio)(_|$)")
_DISTILLED_ARCHITECTURE = re.compile(r"_(dist|distilled|ssld)(_|$)")
# All of DINOv2 but its giant, of DINOv3 but its 7B network, and FlexiViT's own recipes
# (arXiv:2304.07193, 2508.10104, 2212.08013): architecture and tag, both whole.
_DISTILLED_PAIRS: tuple[tuple[str, str], ...] = (
    (r"vit_(small|base|large)_patch14(_reg4)?_dinov2", r"lvd142m"),
    (r"(convnext|vit_(tiny|small|base|large|huge)).*", r"(dinov3_)?lvd1689m|sat493m"),
    (r"flexivit.*", r"\d+ep_in\d+k"),
)
_STAGE_WORDS = {"ft"}
_IMAGE_SIZE = re.compile(r"\d{3,4}")
# parts of data names that stand in tokens of their own: metaclip_2pt5b, laion2b_plus
_DATA_PARTS = {"metaclip": {"2pt5b", "400m", "altogether"}, "metaclip2": {"worldwide"}, "laion2b": {"plus"}}


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What is known of how weights were trained.

    Attributes:
        data: Codes of `DATASETS` in order of training, repeats in a row once; empty where unknown.
        recipe: What is left of the tag without data, stages and image size.
        distilled: A teacher's outputs were the target; the images are those in `data` all the same.
    """

    data: tuple[str, ...]
    recipe: str
    distilled: bool

    @property
    def pretraining(self) -> str:
        """The data sets as people write them, in order of training."""
        return " → ".join(DATASETS[code][0] for code in self.data) or "unknown"

    @property
    def imagenet_1k_only(self) -> bool | None:
        """Whether no image outside ImageNet-1k was used; None where the data are unknown."""
        return set(self.data) == {IMAGENET_1K} if self.data else None

    @property
    def extra_data_rank(self) -> int:
        """0 ImageNet-1k alone, 1 a larger ImageNet, 2 web scale, 9 unknown: the largest that was used."""
        return max((DATASETS[code][1] for code in self.data), default=UNKNOWN_RANK)


def read_tag(architecture: str, tag: str) -> TagFacts:
    """What an architecture's tag says, and what is known where the tag says too little."""
    said, recipe = _split(tag)
    data = _unsaid(architecture, tag) or tuple(said)
    return TagFacts(
        data=tuple(code for i, code in enumerate(data) if i == 0 or data[i - 1] != code),
        recipe="_".join(recipe),
        distilled=_is_distilled(architecture, tag),
    )


def _split(tag: str) -> tuple[list[str], list[str]]:
    """Data codes and recipe words of a tag, each in order."""
    data: list[str] = []
    recipe: list[str] = []
    tokens = [token for token in tag.split("_") if token]
    for i, token in enumerate(tokens):
        last = i == len(tokens) - 1
        if token in DATASETS:
            data.append(token)
        elif data and token in _DATA_PARTS.get(data[-1], ()):
            continue
        elif token not in _STAGE_WORDS and not (last and _IMAGE_SIZE.fullmatch(token)):
            recipe.append(token)
    return data, recipe


def _unsaid(architecture: str, tag: str) -> tuple[str, ...]:
    for tag_pattern, architecture_pattern, data in _UNSAID:
        if re.fullmatch(tag_pattern, tag) and re.match(architecture_pattern, architecture):
            return data
    return ()


def _is_distilled(architecture: str, tag: str) -> bool:
    if _DISTILLED_TAG.search(tag) or _DISTILLED_ARCHITECTURE.search(architecture):
        return True
    return any(re.fullmatch(a, architecture) and re.fullmatch(t, tag) for a, t in _DISTILLED_PAIRS)
