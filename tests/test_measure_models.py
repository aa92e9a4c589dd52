"""The networks that can be measured, known without timm, and names that are refused."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from advisor.errors import BadQuestion, DataError, UnknownName
from advisor.evidence import catalogue
from advisor.measure import models
from tests.conftest import ROOT


def test_every_architecture_is_there_once_in_order() -> None:
    names = list(models.load())
    assert len(names) == 1371  # timm 1.0.31
    assert names == sorted(set(names))


def test_architectures_agree_with_the_catalogue_of_weights() -> None:
    """Those with weights are the catalogue's, and each is as large as one of its weights."""
    weights = catalogue.load(ROOT / "data" / "catalogue.csv")
    sizes: dict[str, set[float]] = {}
    for w in weights:
        sizes.setdefault(w.architecture, set()).add(w.params_m)
    listed = models.load()
    assert {name for name, a in listed.items() if a.pretrained} == set(sizes)
    assert [name for name, found in sizes.items() if listed[name].params_m not in found] == []
    assert {a.family for a in listed.values()} >= {"ResNet", "EfficientNet", "RegNet", "ResNeSt"}


# the papers' and torchvision's counts in millions, with 1,000 classes; the last two have no weights in timm
@pytest.mark.parametrize(
    ("name", "img_size", "params_m"),
    [
        ("resnet50", 224, 25.557),
        ("vit_base_patch16_384", 384, 86.86),
        ("vgg11", 224, 132.863),
        ("densenet264d", 224, 72.74),
        ("efficientnet_b8", 672, 87.413),
    ],
)
def test_size_and_parameters_are_the_published_ones(name: str, img_size: int, params_m: float) -> None:
    found = models.load()[name]
    assert (found.img_size, found.params_m) == (img_size, pytest.approx(params_m, abs=6e-3))


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("regnety_032", "regnety_032"), ("regnety_032.ra_in1k", "regnety_032"), (" resnet50 ", "resnet50")],
)
def test_weights_mean_their_architecture(name: str, architecture: str) -> None:
    assert models.known(name) == architecture


def test_unknown_name_offers_close_ones() -> None:
    with pytest.raises(UnknownName, match=r"Unknown model 'regnety_33'\. Did you mean regnety_320") as caught:
        models.known("regnety_33")
    assert "\n" not in str(caught.value)
    with pytest.raises(UnknownName, match=r"Unknown model 'resnt50'.*resnet50"):
        models.known("resnt50.a1_in1k")


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:timm/resnet50.a1_in1k", "https://example.com/resnet50", "../resnet50", "/tmp/resnet50.pth",
        "timm/resnet50", "resnet50.a1.in1k", "resnet50.", ".a1_in1k", "", "resnet50\nresnet18", "resnet-50", "résnet50",
    ],
)  # fmt: skip
def test_paths_urls_and_hub_names_are_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(BadQuestion, match="paths, URLs and hub ids are refused") as caught:
        models.known(name)
    assert "\n" not in str(caught.value)


def test_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="build-catalogue"):
        models.load(tmp_path / "none.csv")


def test_broken_file_names_the_line(tmp_path: Path) -> None:
    lines = models.FILE.read_text(encoding="utf-8").splitlines(keepends=True)[:3]
    path = tmp_path / "architectures.csv"
    path.write_text("".join(lines).replace("true", "yes", 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"Line 2 .* neither true nor false"):
        models.load(path)


def test_changing_what_load_gave_changes_nothing() -> None:
    models.load().clear()
    assert models.known("resnet50") == "resnet50"


@pytest.mark.timm
def test_list_is_timms_own() -> None:
    timm = importlib.import_module("timm")
    assert sorted(timm.list_models()) == list(models.load())
