"""Backbones: feature maps at a height and width of their own."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from advisor.measure.protocol import Limits  # noqa: E402
from advisor.measure.runtimes.interface import CannotRun  # noqa: E402
from advisor.measure.workers import features  # noqa: E402

pytestmark = [pytest.mark.timm, pytest.mark.usefixtures("one_thread")]

FEW = Limits(precision=1.0, min_samples=3, min_s=0.0, max_s=1.0, warmup_max_s=0.0)


def test_maps_of_a_convolutional_network_halve_at_each_level() -> None:
    found = features.measure("test_resnet", 96, 160, limits=FEW)
    assert (found.height, found.width) == (96, 160)
    assert found.reductions == (2, 4, 8, 16, 32)
    assert len(found.channels) == 5
    assert found.n_samples is not None
    assert (found.ci95 is None) == (found.n_samples < 5)
    assert found.latency_ms > 0


def test_maps_have_the_channels_and_reductions_that_are_reported() -> None:
    found = features.measure("test_efficientnet", 64, 96, limits=FEW)
    with torch.inference_mode():
        maps = features.backbone("test_efficientnet", 64, 96)(torch.zeros(1, 3, 64, 96))
    assert tuple(m.shape[1] for m in maps) == found.channels
    assert tuple((64 // m.shape[2], 96 // m.shape[3]) for m in maps) == tuple((r, r) for r in found.reductions)


@pytest.mark.parametrize("precision", ["bf16", "amp-bf16"])
def test_a_transformer_is_built_for_the_size_that_is_asked_for(precision: str) -> None:
    found = features.measure("test_vit", 96, 192, precision=precision, layout="nhwc", limits=FEW)
    assert set(found.reductions) == {16}


def test_random_weights_leave_ordinary_values() -> None:
    with torch.inference_mode():
        maps = features.backbone("test_resnet", 64, 64)(torch.randn(1, 3, 64, 64))
    assert all(torch.isfinite(m).all() and 1e-3 < float(m.abs().mean()) < 1e3 for m in maps)


def test_a_size_too_small_for_the_network_is_said_in_one_sentence() -> None:
    with pytest.raises(CannotRun, match=r"test_vit.* 8 x 8 px|test_vit does not take images of 8 px"):
        features.measure("test_vit", 8, 8, limits=FEW)


def test_an_architecture_without_feature_maps_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise RuntimeError("features_only not implemented for this model.")

    monkeypatch.setattr(features.timm, "create_model", refuse)
    with pytest.raises(CannotRun, match=r"timm has no feature maps of resnet18 at 64 x 32 px \(features_only not"):
        features.measure("resnet18", 64, 32)
