"""The catalogue file, what tags say, and the build through a worker that may misbehave."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from advisor.errors import CatalogueFailed, DataError
from advisor.evidence import catalogue
from advisor.evidence.tags import DATASETS, read_tag

CATALOGUE = Path(__file__).resolve().parents[1] / "data" / "catalogue.csv"
ARCHITECTURES = CATALOGUE.with_name("architectures.csv")


@pytest.fixture(scope="module")
def shipped() -> dict[str, catalogue.Weights]:
    return {w.weights: w for w in catalogue.load(CATALOGUE)}


# -- tags ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "data", "recipe", "distilled"),
    [
        ("in1k", "in1k", "", False),
        ("a1_in1k", "in1k", "a1", False),
        ("ra4_e3600_r224_in1k", "in1k", "ra4_e3600_r224", False),
        ("tv2_in1k", "in1k", "tv2", False),
        ("r224_in1k", "in1k", "r224", False),
        ("miil_in1k_448", "in1k", "miil", False),
        ("c2ns_in1k", "in1k", "c2ns", False),
        ("fb_dist_in1k", "in1k", "fb_dist", True),
        ("in12k", "in12k", "", False),
        ("augreg_in21k_ft_in1k", "in21k>in1k", "augreg", False),
        ("in22k_ft_in22k_in1k", "in22k>in1k", "", False),
        ("sail_dist_in22k_ft_in1k_384", "in22k>in1k", "sail_dist", True),
        ("fb_swsl_ig1b_ft_in1k", "ig1b>in1k", "fb_swsl", True),
        ("openai_ft_in12k_in1k", "openai>in12k>in1k", "", False),
        ("clip_laion2b_soup_ft_in12k_in1k_320", "laion2b>in12k>in1k", "clip_soup", False),
        ("metaclip_2pt5b", "metaclip", "", False),
        ("ns_jft_in1k", "jft>in1k", "ns", True),
        ("fcmae", "in1k", "fcmae", False),
        ("fcmae_ft_in22k_in1k_384", "in1k>in22k>in1k", "fcmae", False),
        ("seer_ft_in1k", "rii2b>in1k", "seer", False),
        ("swag_lc_in1k", "ig3b>in1k", "swag_lc", False),
        ("ssld_stage2_ft_in1k", "in22k>in1k", "ssld_stage2", True),
        ("bd_ssld_6m_in1k_384", "ssld6m>in1k", "bd_ssld_6m", True),
        ("qwen3_vl_8b", "", "qwen3_vl_8b", False),
        ("", "", "", False),
    ],
)
def test_tag_tells_data_recipe_and_teacher(tag: str, data: str, recipe: str, distilled: bool) -> None:
    facts = read_tag("some_network", tag)
    assert (">".join(facts.data), facts.recipe, facts.distilled) == (data, recipe, distilled)


@pytest.mark.parametrize(
    ("architecture", "tag"),
    [
        ("deit_base_distilled_patch16_224", "fb_in1k"),
        ("pit_s_distilled_224", "in1k"),
        ("efficientvim_m1_dist", "in1k"),
        ("hrnet_w18_ssld", "paddle_in1k"),
        ("vit_small_patch14_dinov2", "lvd142m"),
    ],
)
def test_teacher_is_seen_in_the_architecture(architecture: str, tag: str) -> None:
    assert read_tag(architecture, tag).distilled


def test_largest_of_a_family_is_the_teacher_itself() -> None:
    assert not read_tag("vit_giant_patch14_dinov2", "lvd142m").distilled
    assert not read_tag("vit_7b_patch16_dinov3", "lvd1689m").distilled


def test_pretraining_is_readable_and_ranked() -> None:
    facts = read_tag("convnext_base", "clip_laion2b_augreg_ft_in12k_in1k")
    assert facts.pretraining == "LAION-2B → ImageNet-12k → ImageNet-1k"
    assert (facts.imagenet_1k_only, facts.extra_data_rank) == (False, 2)
    assert (read_tag("resnet50", "a1_in1k").imagenet_1k_only, read_tag("resnet50", "").imagenet_1k_only) == (
        True,
        None,
    )
    assert read_tag("resnet50", "").extra_data_rank == 9


# -- the file ------------------------------------------------------------------------------------------


def test_catalogue_has_all_weights_sorted_and_once(shipped: dict[str, catalogue.Weights]) -> None:
    names = [w.weights for w in catalogue.load(CATALOGUE)]
    assert len(names) == 1826  # timm 1.0.31
    assert names == sorted(set(names))
    assert len({w.architecture for w in shipped.values()}) == 1151


# Published parameter counts in millions: the papers' and torchvision's, with their classifiers of 1,000.
@pytest.mark.parametrize(
    ("weights", "params_m"),
    [
        ("resnet50.a1_in1k", 25.557),
        ("efficientnet_b0.ra_in1k", 5.289),
        ("regnety_032.ra_in1k", 19.436),
        ("resnest50d.in1k", 27.483),
        ("mobilenetv3_large_100.ra_in1k", 5.483),
        ("vit_base_patch16_224.augreg_in1k", 86.568),
        ("tiny_vit_5m_224.in1k", 5.393),
    ],
)
def test_parameters_are_the_published_ones(
    shipped: dict[str, catalogue.Weights], weights: str, params_m: float
) -> None:
    assert shipped[weights].params_m == pytest.approx(params_m, abs=6e-4)


def test_larger_classifier_is_counted(shipped: dict[str, catalogue.Weights]) -> None:
    """11,221 classes against 1,000 on MobileNetV3's 1,280 features, weights and biases."""
    small, large = shipped["mobilenetv3_large_100.ra_in1k"], shipped["mobilenetv3_large_100.miil_in21k"]
    assert (small.num_classes, large.num_classes) == (1000, 11221)
    assert large.params_m - small.params_m == pytest.approx((11221 - 1000) * (1280 + 1) / 1e6, abs=1e-9)


def test_no_classifier_is_counted_as_none(shipped: dict[str, catalogue.Weights]) -> None:
    """DINO's ViT-B/16 lacks the 768 x 1,000 classifier, and its biases, that the fine-tuned one has."""
    bare, whole = shipped["vit_base_patch16_224.dino"], shipped["vit_base_patch16_224.augreg_in1k"]
    assert bare.num_classes == 0
    assert whole.params_m - bare.params_m == pytest.approx((768 + 1) * 1000 / 1e6, abs=1e-9)


def test_file_is_parameters_and_buffers_in_fp32(shipped: dict[str, catalogue.Weights]) -> None:
    """ResNet-50: 4 bytes a parameter, 53 BatchNorms of 26,560 channels with two fp32 and one int64 buffer."""
    row = shipped["resnet50.a1_in1k"]
    assert row.file_mb * 1e6 == pytest.approx(25_557_032 * 4 + 2 * 26_560 * 4 + 53 * 8)


def test_native_and_test_size_are_kept_apart(shipped: dict[str, catalogue.Weights]) -> None:
    row = shipped["resnet50.a1_in1k"]
    assert (row.img_size, row.test_img_size, row.crop_pct) == (224, 288, 0.95)
    assert sum(w.img_size != w.test_img_size for w in shipped.values()) == 307


def test_catalogue_agrees_with_the_rules_for_tags(shipped: dict[str, catalogue.Weights]) -> None:
    for w in shipped.values():
        facts = read_tag(w.architecture, w.tag)
        assert (w.pretrain_data, w.pretraining) == (">".join(facts.data), facts.pretraining)
        assert set(facts.data) <= set(DATASETS)
        assert (w.recipe, w.distilled, w.extra_data_rank) == (
            facts.recipe,
            facts.distilled,
            facts.extra_data_rank,
        )


def test_classifiers_of_1000_have_known_pretraining(shipped: dict[str, catalogue.Weights]) -> None:
    assert [w.weights for w in shipped.values() if w.num_classes == 1000 and not w.pretrain_data] == []


def test_every_row_says_where_it_is_from(shipped: dict[str, catalogue.Weights]) -> None:
    without = [w.weights for w in shipped.values() if not w.origin_url.startswith("https://")]
    assert without == []


def test_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no catalogue at .*build-catalogue"):
        catalogue.load(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("params_m", "params", 1), "lacks columns: params_m"),
        (lambda text: text.replace("true", "yes"), "Line 2 .* is broken"),
        (lambda text: text[: len(text) * 2 // 3], "ends in the middle of a line"),
        (lambda text: text.replace(",resnet50,", ",", 1), "Line 2 .* is broken"),
        (lambda text: "", "lacks columns"),
        (lambda text: text + '"' + "x" * 200_000 + "\n", "is no CSV file"),
        (lambda text: text + text.splitlines()[1] + "\n", "Line 4 .* stands twice"),
        (lambda text: text.replace(",25.5", ",-25.5"), "params_m of .* not above 0"),
    ],
)
def test_broken_file_is_one_sentence_with_the_line(tmp_path, damage, message) -> None:  # type: ignore[no-untyped-def]
    lines = CATALOGUE.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [line for line in lines if line.startswith(("resnet50.a1_in1k", "resnet50.a2_in1k"))]
    path = tmp_path / "catalogue.csv"
    path.write_text(damage("".join([lines[0], *rows])), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        catalogue.load(path)


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(b"\xff\xfe\x00PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        catalogue.load(path)


# -- the build -----------------------------------------------------------------------------------------

RECORD = {
    "weights": "resnet50.a1_in1k", "params": 25_557_032, "file_bytes": 102_441_032,
    "architecture": "resnet50", "tag": "a1_in1k", "img_size": 224, "test_img_size": 288, "crop_pct": 0.95,
    "num_classes": 1000, "licence": "apache-2.0", "hf_hub_id": "timm/resnet50.a1_in1k", "url": "",
    "origin_url": "https://github.com/huggingface/pytorch-image-models",
}  # fmt: skip
OTHER = RECORD | {"weights": "resnet50.a2_in1k", "tag": "a2_in1k"}
ARCHITECTURE = {"architecture": "resnet50", "params": 25_557_032, "img_size": 224, "pretrained": True}
VERSIONS = {"versions": {"timm": "1", "torch": "2"}}


def _worker(*lines: object, then: str = "") -> list[str]:
    """A worker that prints these lines and then runs a statement."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return [sys.executable, "-c", f"import sys, time; sys.stdout.write({text!r}); sys.stdout.flush(); {then}"]


def test_build_writes_sorted_rows_and_reports_failures(tmp_path: Path) -> None:
    out = tmp_path / "catalogue.csv"
    seen: list[tuple[int, int, str]] = []
    failed = {"failed": "resnet51.x", "reason": "ValueError: no"}
    report = catalogue.build(
        out,
        progress=lambda done, total, name: seen.append((done, total, name)),
        command=_worker({"total": 3}, OTHER, failed, RECORD, VERSIONS),
    )
    assert [w.weights for w in catalogue.load(out)] == ["resnet50.a1_in1k", "resnet50.a2_in1k"]
    assert report == catalogue.BuildReport(2, (("resnet51.x", "ValueError: no"),), (("timm", "1"), ("torch", "2")))
    assert seen == [(1, 3, "resnet50.a2_in1k"), (3, 3, "resnet50.a1_in1k")]
    assert list(tmp_path.iterdir()) == [out]


def test_order_of_answers_does_not_matter(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    catalogue.build(first, command=_worker({"total": 2}, RECORD, OTHER, VERSIONS))
    catalogue.build(second, command=_worker({"total": 2}, OTHER, RECORD, VERSIONS))
    assert first.read_bytes() == second.read_bytes()


def test_architectures_are_written_beside_the_weights(tmp_path: Path) -> None:
    out, listed = tmp_path / "catalogue.csv", tmp_path / "architectures.csv"
    bare = {"architecture": "botnet26t_256", "params": 12_500_000, "img_size": 256, "pretrained": False}
    command = _worker({"total": 3}, RECORD, ARCHITECTURE, bare, VERSIONS)
    report = catalogue.build(out, architectures=listed, command=command)
    assert (report.written, report.architectures) == (1, 2)
    assert catalogue.load_architectures(listed) == [
        catalogue.Architecture("botnet26t_256", "BoTNet", 256, 12.5, False),
        catalogue.Architecture("resnet50", "ResNet", 224, 25.557032, True),
    ]
    assert catalogue.build(out, command=command).architectures == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (_worker({"total": 2}, RECORD, ARCHITECTURE | {"params": 0}, VERSIONS), "cannot be used"),
        (_worker({"total": 2}, RECORD, {"architecture": "resnet50"}, VERSIONS), "cannot be used"),
        (_worker({"total": 2}, RECORD, then="sys.exit('no module named timm')"), "code 1 .*named timm"),
        (_worker({"total": 2}, RECORD, then="import os; os.abort()"), "code -6"),
        (_worker({"total": 2}, RECORD, VERSIONS), "answered for 1 of 2"),
        (_worker({"total": 1}, RECORD), "answered for 1 of 1"),
        (_worker(), "answered for 0 of 0"),
        (_worker({"total": 1}, "Downloading weights...", RECORD, VERSIONS), "no record: 'Downloading"),
        (_worker({"total": 1}, "[1, 2]", VERSIONS), "no record"),
        (_worker({"total": 1}, {"weights": "resnet50.a1_in1k"}, VERSIONS), "cannot be used"),
        (_worker({"total": 1}, RECORD | {"params": 0}, VERSIONS), "cannot be used"),
        (_worker({"total": 1}, {"failed": "resnet50", "reason": "why"}, VERSIONS), "resnet50: why"),
        (_worker({"total": 0}, VERSIONS), "nothing matches"),
        (["/no/such/program"], "could not be started: No such file"),
    ],
)
def test_misbehaving_worker_leaves_the_old_catalogue(tmp_path: Path, command: list[str], message: str) -> None:
    out = tmp_path / "catalogue.csv"
    out.write_text("old", encoding="utf-8")
    with pytest.raises(CatalogueFailed, match=message) as caught:
        catalogue.build(out, command=command)
    assert str(caught.value).endswith("the old catalogue stays.")
    assert "\n" not in str(caught.value)
    assert out.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_hung_worker_is_stopped_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    # the worker ends at once, its child keeps stdout open
    spawn = (
        "import subprocess; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))"
    )
    began = time.monotonic()
    with pytest.raises(CatalogueFailed, match="stopped after 1 s"):
        catalogue.build(tmp_path / "c.csv", command=_worker({"total": 1}, then=spawn), time_limit_s=1.0)
    assert time.monotonic() - began < 30
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", pid_file.read_text()], capture_output=True, text=True, check=False
    )
    assert state.stdout.strip()[:1] in ("", "Z")


def test_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CatalogueFailed, match="could not be written"):
        catalogue.build(tmp_path / "none" / "c.csv", command=_worker({"total": 1}, RECORD, VERSIONS))


def test_weights_check_themselves(shipped: dict[str, catalogue.Weights]) -> None:
    row = shipped["resnet50.a1_in1k"]
    with pytest.raises(ValueError, match="img_size"):
        dataclasses.replace(row, img_size=0)
    with pytest.raises(ValueError, match="architecture and tag"):
        dataclasses.replace(row, tag="a2_in1k")


@pytest.mark.timm
def test_real_worker_agrees_with_the_shipped_catalogue(tmp_path: Path, shipped: dict[str, catalogue.Weights]) -> None:
    out = tmp_path / "catalogue.csv"
    listed = tmp_path / "architectures.csv"
    report = catalogue.build(out, architectures=listed, pattern="mobilenetv3_large_100*")
    rows = catalogue.load(out)
    shipped_architectures = {a.architecture: a for a in catalogue.load_architectures(ARCHITECTURES)}
    (network,) = catalogue.load_architectures(listed)
    assert network == shipped_architectures["mobilenetv3_large_100"]
    assert report.failed == ()
    assert len(rows) >= 4
    assert all(shipped[w.weights] == w for w in rows)
