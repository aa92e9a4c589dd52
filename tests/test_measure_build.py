"""Networks for timing: quick to build, with ordinary numbers in them and in what flows through them."""

from __future__ import annotations

import math
import time

import pytest

pytestmark = [pytest.mark.timm, pytest.mark.usefixtures("one_thread")]

timm = pytest.importorskip("timm")
torch = pytest.importorskip("torch")

from advisor.errors import UnknownName  # noqa: E402
from advisor.measure.runtimes.interface import CannotRun  # noqa: E402
from advisor.measure.workers import build, weights  # noqa: E402

# one of each kind: plain, split attention, RegNet, squeeze-and-excitation, mobile, transformers, no norm at all
ARCHITECTURES = (
    "resnet18", "resnest14d", "regnety_002", "efficientnet_b0", "mobilenetv3_small_050", "mobilenetv4_conv_small_050",
    "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto", "levit_128s", "nf_regnet_b0", "repvgg_a0",
    "test_maxvit",
)  # fmt: skip
FP16_LARGEST, FP16_SMALLEST_NORMAL = 65504.0, 2.0**-14


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_and_activations_are_ordinary_numbers(architecture: str) -> None:
    built = build.build(architecture)
    for name, value in [*built.model.named_parameters(), *built.model.named_buffers()]:
        if value.is_floating_point():
            assert torch.isfinite(value).all(), name
            assert value.abs().max() < 1e4, name
            # in fp16 too no weight is a denormal; computed tables and means may come near 0 here and there
            least = FP16_SMALLEST_NORMAL if isinstance(value, torch.nn.Parameter) else torch.finfo(torch.float32).tiny
            assert ((value == 0) | (value.abs() >= least)).all(), name
    for name, value in built.model.named_parameters():
        assert value.numel() == 1 or (value != value.flatten()[0]).any(), f"{name} is constant"
    largest, typical = [], []

    def look(_module, _inputs, output) -> None:
        if torch.is_tensor(output) and output.is_floating_point() and output.numel():
            magnitude = output.abs()
            largest.append(float(magnitude.max()))
            typical.append(float(magnitude[magnitude > 0].median()))

    for module in built.model.modules():
        if not list(module.children()):
            module.register_forward_hook(look)
    with torch.inference_mode():
        logits = built.model(build.images(built.facts, 1))
    assert math.isfinite(max(largest))
    assert max(largest) < FP16_LARGEST / 100  # room for products that are summed before they are stored
    assert min(typical) > 10 * FP16_SMALLEST_NORMAL
    assert 0.01 < float(logits.abs().max()) < 100


@pytest.mark.parametrize("architecture", ["swin_tiny_patch4_window7_224", "levit_128s", "test_maxvit"])
def test_computed_buffers_are_those_of_timm(architecture: str) -> None:
    ours, theirs = build.build(architecture).model, timm.create_model(architecture, pretrained=False)
    buffers = {
        name: value for name, value in theirs.named_buffers() if ".running_" not in name and "num_batches" not in name
    }
    assert any("relative" in name or "bias_idx" in name for name in buffers)
    found = dict(ours.named_buffers())
    for name, value in buffers.items():
        assert torch.equal(found[name], value), name


def test_the_same_name_gives_the_same_weights_and_images() -> None:
    first, second = build.build("mobilenetv3_small_050", 64), build.build("mobilenetv3_small_050", 64)
    mine, other = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert torch.equal(build.images(first.facts, 3), build.images(second.facts, 3))


def test_no_two_rows_of_a_large_layer_are_equal() -> None:
    weight = build.build("vit_tiny_patch16_224").model.blocks[0].mlp.fc1.weight
    assert len(torch.unique(weight, dim=0)) == len(weight)


def test_building_a_large_transformer_takes_a_fraction_of_timms_time() -> None:
    def seconds(make) -> float:
        start = time.process_time()  # others on this machine do not count
        make()
        return time.process_time() - start

    ours = min(seconds(lambda: build.build("vit_small_patch16_224")) for _ in range(2))
    theirs = seconds(lambda: timm.create_model("vit_small_patch16_224", pretrained=False))
    assert ours < theirs / 2


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "convnext_atto"])
def test_a_pass_takes_as_long_as_with_timms_weights(architecture: str) -> None:
    built = build.build(architecture)
    theirs = timm.create_model(architecture, pretrained=False).eval()
    images = build.images(built.facts, 1)
    spent: dict[int, list[float]] = {0: [], 1: []}
    with torch.inference_mode():
        for _ in range(7):
            for which, model in enumerate((built.model, theirs)):
                start = time.process_time()
                model(images)
                spent[which].append(time.process_time() - start)
    # denormals cost a factor of 10 and more
    assert 0.5 < min(spent[0]) / min(spent[1]) < 2


def test_calibrated_norms_let_unit_variance_through() -> None:
    built = build.build("resnet18")
    found = []
    built.model.layer3[0].bn1.register_forward_hook(lambda _m, _i, output: found.append(float(output.std())))
    with torch.inference_mode():
        built.model(torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(7)))
    assert found[0] == pytest.approx(1, rel=0.3)


def test_parameters_and_file_size_are_counted() -> None:
    facts = build.build("resnet18").facts
    assert facts.params == 11_689_512  # as in He et al. 2016, table of torchvision and timm alike
    batch_norm_statistics = 2 * 4800 * 4 + 20 * 8  # mean and variance of 4800 channels in 20 norms, and their counters
    assert facts.weights_file_mb == pytest.approx((4 * facts.params + batch_norm_statistics) / 1e6)


def test_the_native_size_is_that_of_the_training() -> None:
    facts = build.build("levit_128s").facts
    assert facts.shape == (3, 224, 224)
    assert facts.native == (224, 224)


@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "resnet18"])
def test_another_size_is_taken_where_the_network_can(architecture: str) -> None:
    built = build.build(architecture, 96)
    assert built.facts.shape == (3, 96, 96)
    with torch.inference_mode():
        assert built.model(build.images(built.facts, 2)).shape == (2, 1000)


@pytest.mark.parametrize("architecture", ["levit_128s", "xcit_nano_12_p16_224", "botnet26t_256"])
def test_a_size_that_the_network_cannot_take_names_its_own(architecture: str) -> None:
    native = "256 px" if "256" in architecture else "224 px"
    with pytest.raises(
        CannotRun, match=f"{architecture} does not take images of 100 px: ask for its native size, {native}"
    ):
        build.build(architecture, 100)


def test_an_unknown_name_offers_close_ones() -> None:
    with pytest.raises(UnknownName, match="Did you mean resnet50"):
        build.build("resnet5o0")


def test_large_batches_repeat_some_images() -> None:
    facts = build.build("mobilenetv3_small_050", 32).facts
    batch = build.images(facts, 2 * build.DISTINCT + 3)
    assert len(batch) == 2 * build.DISTINCT + 3
    assert torch.equal(batch[: build.DISTINCT], batch[build.DISTINCT : 2 * build.DISTINCT])
    assert torch.equal(batch[-3:], batch[:3])


def test_repeating_keeps_the_layout() -> None:
    few = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    batch = build.repeated(few, 5)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch[4], few[0])


def test_only_random_initialisation_of_parameters_is_postponed() -> None:
    with weights.Postponed() as postponed:
        linear = torch.nn.Linear(4, 4)
        torch.nn.init.zeros_(linear.bias)
        table = torch.zeros(4).uniform_(1, 2)
        steps = torch.arange(4).mul_(2)
    assert postponed.is_left(linear.weight)
    assert not postponed.is_left(linear.bias)
    assert (linear.bias == 0).all()
    assert (table >= 1).all()
    assert steps.tolist() == [0, 2, 4, 6]


def test_what_is_done_to_postponed_weights_is_postponed_too() -> None:
    with weights.Postponed() as postponed:
        layer = torch.nn.Linear(4, 4)
        timm.layers.trunc_normal_(layer.weight, std=0.02)
        layer.weight.data.mul_(0.5)
        torch.nn.init.constant_(layer.bias, 3.0)
    assert postponed.is_left(layer.weight)
    weights.settle(layer, postponed, seed=0)
    assert float(layer.weight.detach().std()) == pytest.approx(0.5, rel=0.5)  # 1 / sqrt(fan-in of 4)
    assert float(layer.bias.detach().mean()) == pytest.approx(3, rel=0.3)
