"""One photograph from JPEG to logits: stages, shares, and the same image that timm's own transform makes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from PIL import Image  # noqa: E402
from timm.data import create_transform, resolve_model_data_config  # noqa: E402

from advisor.measure.protocol import SHORT, Limits  # noqa: E402
from advisor.measure.run import EndToEnd  # noqa: E402
from advisor.measure.runtimes.interface import CannotRun  # noqa: E402
from advisor.measure.workers import end_to_end  # noqa: E402

pytestmark = [pytest.mark.timm, pytest.mark.usefixtures("one_thread")]

FEW = Limits(precision=1.0, min_samples=3, min_s=0.0, max_s=2.0, warmup_max_s=0.0)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return timm.create_model("test_convnext", pretrained=False).eval()


class Clock:
    """Stands still but for the stages that are told to take time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def measured(model: torch.nn.Module, *, forward_ms: float = 30.0, copy_ms: float = 10.0, **options: object) -> EndToEnd:
    clock = Clock()
    waits = iter([copy_ms, 0.0] * 1000)

    def forward() -> None:
        clock.now += forward_ms / 1000

    def synchronise() -> None:
        clock.now += next(waits) / 1000

    return end_to_end.measure(forward, synchronise, model, (3, 160, 160), clock=clock, limits=FEW, **options)


def test_each_stage_gets_the_time_between_its_marks(model: torch.nn.Module) -> None:
    found = measured(model)
    times = {stage.name: stage.latency_ms for stage in found.stages}
    assert list(times) == ["decode", "resize", "normalise", "copy", "forward"]
    assert times["copy"] == pytest.approx(10.0, abs=0.01)
    assert times["forward"] == pytest.approx(30.0, abs=0.01)
    assert times["decode"] == pytest.approx(0.001)
    assert found.total_ms == pytest.approx(40.0, abs=0.02)


def test_shares_add_up_to_one(model: torch.nn.Module) -> None:
    stages = measured(model).stages
    assert sum(stage.share for stage in stages) == pytest.approx(1.0)
    assert stages[-1].share == pytest.approx(0.75, abs=0.001)


def test_a_real_run_spends_time_in_every_stage(model: torch.nn.Module) -> None:
    example = torch.zeros(2, 3, 160, 160)

    def forward() -> None:
        with torch.inference_mode():
            model(example)

    found = end_to_end.measure(
        forward, lambda: None, model, (3, 160, 160), batch_size=2, dtype=torch.bfloat16, layout="nhwc", limits=FEW
    )
    assert all(stage.latency_ms > 0 for stage in found.stages)
    assert found.image == "china.jpg of scikit-learn, 640 x 427 px"


@pytest.mark.parametrize("architecture", ["test_convnext", "test_vit", "test_efficientnet"])
def test_the_image_is_what_timms_own_transform_makes(architecture: str) -> None:
    network = timm.create_model(architecture, pretrained=False)
    to_size, to_values = end_to_end.transforms(network, (3, 160, 160))
    photograph = Image.open(end_to_end.photograph()).convert("RGB")
    expected = create_transform(**resolve_model_data_config(network))(photograph)
    assert torch.equal(to_values(to_size(photograph)), expected)


def test_the_size_that_is_run_decides_not_the_native_one(model: torch.nn.Module) -> None:
    to_size, to_values = end_to_end.transforms(model, (3, 96, 128))
    photograph = Image.open(end_to_end.photograph()).convert("RGB")
    assert to_values(to_size(photograph)).shape == (3, 96, 128)


def test_a_network_for_grey_images_is_refused(model: torch.nn.Module) -> None:
    with pytest.raises(CannotRun, match="3 channels; this one takes 1"):
        end_to_end.measure(lambda: None, lambda: None, model, (1, 28, 28), limits=SHORT)


def test_without_scikit_learn_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CannotRun, match="pip install scikit-learn"):
        end_to_end.photograph()
