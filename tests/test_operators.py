"""Counting operators: hand formulas, timm's published table, and times that add up to what was measured."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import count as ticks
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from advisor.measure import lines  # noqa: E402
from advisor.measure.run import Work  # noqa: E402
from advisor.measure.workers import operator_classes as classes  # noqa: E402
from advisor.measure.workers import operator_times, operators  # noqa: E402

pytestmark = pytest.mark.timm

META = torch.device("meta")


def only(counted: operators.Count) -> operators.Operator:
    assert len(counted.operators) == 1
    return counted.operators[0]


def on_meta(build: Callable[[], nn.Module], *shape: int) -> operators.Count:
    with META:
        return operators.count(build().eval(), torch.empty(*shape), bytes_per_value=4)


def test_convolution_follows_the_hand_formula() -> None:
    found = only(on_meta(lambda: nn.Conv2d(3, 8, 3, stride=2, padding=1), 2, 3, 16, 16))
    # 8 x 8 x 8 values of each of 2 images, each the sum of 3 channels x 9 kernel values
    assert found.macs == 2 * 8 * 8 * 8 * 3 * 9
    weights = 8 * 3 * 9 + 8
    assert found.bytes == 4 * (2 * 3 * 16 * 16 + weights + 2 * 8 * 8 * 8)
    assert found.weight_bytes == 4 * weights
    assert (found.kind, found.kernel, found.stride, found.groups) == ("dense convolution", (3, 3), (2, 2), 1)
    assert (found.inputs[0], found.outputs) == ((2, 3, 16, 16), ((2, 8, 8, 8),))


@pytest.mark.parametrize(
    ("groups", "kernel", "kind", "macs"),
    [
        (4, 3, "grouped convolution", 8 * 10 * 10 * 2 * 9),
        (8, 3, "depthwise convolution", 8 * 10 * 10 * 9),
        (1, 1, "pointwise convolution", 8 * 10 * 10 * 8),
        (4, 1, "grouped convolution", 8 * 10 * 10 * 2),
    ],
)
def test_groups_divide_the_channels_of_a_convolution(groups: int, kernel: int, kind: str, macs: int) -> None:
    found = only(on_meta(lambda: nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups), 1, 8, 10, 10))
    assert (found.kind, found.groups, found.macs) == (kind, groups, macs)


def test_transposed_convolution_spreads_each_input_value() -> None:
    found = only(on_meta(lambda: nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), 1, 4, 5, 5))
    assert (found.macs, found.groups) == (4 * 5 * 5 * 3 * 2 * 2, 2)


def test_linear_layer_multiplies_each_row_by_its_weights() -> None:
    found = only(on_meta(lambda: nn.Linear(10, 7), 3, 5, 10))
    assert (found.kind, found.macs) == ("linear", 3 * 5 * 10 * 7)
    assert found.bytes == 4 * (3 * 5 * 10 + 10 * 7 + 7 + 3 * 5 * 7)


def test_a_product_with_weights_is_linear_however_it_is_written() -> None:
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 6))

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("bni,io->bno", x @ self.weight, self.weight.t()) + functional.linear(
                x, self.weight.t().mT.mT[:4]
            )

    counted = on_meta(Products, 2, 3, 4)
    products = [o for o in counted.operators if o.macs]
    assert [o.kind for o in products[:2]] == ["linear", "linear"]
    assert sum(o.macs for o in products[:2]) == 2 * (2 * 3 * 4 * 6)


class Attention(nn.Module):
    """Self-attention over (batch, length, width), with the operator that PyTorch fuses or in its parts."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.qkv, self.project, self.fused = nn.Linear(12, 36), nn.Linear(12, 12), fused

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 3, 4).permute(2, 0, 3, 1, 4)
        if self.fused:
            mixed = functional.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q * 0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.project(mixed.transpose(1, 2).reshape(x.shape))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_counts_both_products_fused_or_not(fused: bool, device: str) -> None:
    with torch.device(device):
        counted = operators.count(Attention(fused=fused).eval(), torch.zeros(2, 5, 12))
    # query x key and weights x value: 2 images, 3 heads, 5 x 5 pairs, 4 wide
    assert sum(o.macs for o in counted.of("attention")) == 2 * (2 * 3 * 5 * 5 * 4)
    assert sum(o.macs for o in counted.of("linear")) == 2 * 5 * 12 * (36 + 12)
    assert counted.uncounted == ()


def test_attention_over_parts_of_decomposed_operators_is_the_same() -> None:
    """Without inference mode PyTorch takes linear and attention apart before anyone sees them."""
    model, x = Attention(fused=True).eval(), torch.zeros(2, 5, 12)
    whole = operators.count(model, x)
    mode = operators._Counting(operators.weights_of(model), None)
    with mode:
        model(x)
    parts = [o for o in mode.found if o is not None]
    for kind in ("attention", "linear"):
        assert sum(o.macs for o in parts if o.kind == kind) == sum(o.macs for o in whole.of(kind))


def test_casts_of_autocast_change_no_macs() -> None:
    model, x = Attention(fused=True).eval(), torch.zeros(2, 5, 12)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            model(x)

    narrow, plain = operators.count_pass(run, operators.weights_of(model)), operators.count(model, x)
    assert [narrow.of(k) and sum(o.macs for o in narrow.of(k)) for k in ("linear", "attention")] == [
        sum(o.macs for o in plain.of(k)) for k in ("linear", "attention")
    ]
    casts = [o for o in narrow.operators if o.name == "to"]
    assert any(o.bytes == o.weight_bytes > 0 for o in casts), "weights are cast in each pass, which moves bytes"


def test_recurrent_layer_multiplies_at_every_step() -> None:
    counted = on_meta(lambda: nn.LSTM(6, 5, batch_first=True), 2, 7, 6)
    assert counted.macs == 2 * 7 * 4 * 5 * (6 + 5)


def test_normalisation_and_activation_are_told_apart_in_place_or_not() -> None:
    counted = on_meta(
        lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.SiLU(), nn.GroupNorm(2, 4)), 1, 4, 3, 3
    )
    assert [o.kind for o in counted.operators] == ["normalisation", "activation", "activation", "normalisation"]
    assert counted.macs == 0
    in_place = counted.operators[1]
    assert in_place.bytes == 4 * 2 * 4 * 3 * 3, "read once, written once"


def test_views_and_dropout_move_no_data_but_copies_do() -> None:
    class Moves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x.view(-1).reshape(3, 4), training=False).t().contiguous()

    found = only(on_meta(Moves, 4, 3))
    assert (found.name, found.bytes) == ("contiguous", 2 * 12 * 4)


def test_what_has_no_formula_is_listed() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft2(x).real

    assert any("fft" in name for name in on_meta(Spectrum, 1, 3, 8, 8).uncounted)


def test_weights_do_not_grow_with_the_batch() -> None:
    with META:
        model = timm.create_model("resnetv2_50x1_bit").eval()  # standardises its weights in each pass
    one, four = (operators.count(model, torch.empty(n, 3, 64, 64, device=META)) for n in (1, 4))
    assert four.macs == 4 * one.macs
    weight_bytes = [sum(o.weight_bytes for o in counted.operators) for counted in (one, four)]
    assert weight_bytes[0] == weight_bytes[1] > 0
    assert four.bytes - weight_bytes[1] == 4 * (one.bytes - weight_bytes[0])


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_050", "test_vit", "test_convnext"])
def test_shapes_alone_count_what_a_real_pass_does(architecture: str) -> None:
    model = timm.create_model(architecture).eval()
    real = operators.count(model, torch.zeros(1, 3, 160, 160))
    shapes = operators.count(model, torch.zeros(1, 3, 160, 160, device=META), bytes_per_value=4)
    assert (shapes.macs, shapes.bytes) == (real.macs, real.bytes)
    assert [o.name for o in shapes.operators] == [o.name for o in real.operators]


class Sharing(nn.Module):
    """One layer at two places, as CoaT has, and a third layer with its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(8, 8, bias=False))
        self.second = nn.Sequential(self.first[0])
        self.third = nn.Linear(8, 8, bias=False)
        self.third.weight = self.first[0].weight
        self.register_buffer("shift", torch.ones(8), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(self.first(x))) + self.shift


def test_counting_shapes_gives_a_network_its_shared_weights_back() -> None:
    model, x = Sharing().eval(), torch.ones(2, 8)
    before, weights = model(x), [id(t) for t in operators.weights_of(model)]
    by_shapes, real = operators.count(model, x.to("meta")), operators.count(model, x)
    assert by_shapes.macs == real.macs == 3 * 2 * 8 * 8
    assert by_shapes.operators == real.operators
    assert [id(t) for t in operators.weights_of(model)] == weights
    assert torch.equal(model(x), before)


def test_bytes_follow_the_precision_that_is_named() -> None:
    with META:
        model, x = nn.Conv2d(3, 8, 3), torch.empty(1, 3, 9, 9)
        assert 2 * operators.count(model, x, bytes_per_value=2).bytes == operators.count(model, x).bytes


PUBLISHED = Path(__file__).parent.parent / "data" / "published" / "timm-benchmark.complexity.csv"
# One or more of each family and of several others. Where timm's table (fvcore's count, rounded to 0.01 G) is
# more than 3 % away it is for one of these reasons:
#   - it counts normalisation as multiply-adds too, 2 a value of a batch norm and 5 of a layer norm: 2 to 6 % of
#     networks of depthwise convolutions (the next test adds them), and up to 3 % of NFNets and BiT, which
#     normalise their weights in each pass;
#   - rounding, below 0.15 G;
#   - convolutions with padding="same" are missing in it: ConvMixer, -5 to -7 %;
#   - differential attention (vit_d*) takes fewer products unfused, as it was counted, than as it runs: -4 to -6 %;
#   - it was counted with branches already merged, while we count the network that is built: GhostNetV3.
WITHIN_3_PERCENT = (
    "resnet50", "resnest50d", "resnext50_32x4d", "regnety_032", "regnetx_032", "efficientnet_b4", "tf_efficientnetv2_s",
    "mobilenetv2_140", "mobilenetv4_conv_large", "vit_base_patch16_224", "swin_tiny_patch4_window7_224",
    "convnext_tiny", "densenet121", "maxvit_tiny_tf_224", "xcit_small_12_p16_224",
)  # fmt: skip


def published_gmacs(architecture: str, img_size: int) -> float:
    with PUBLISHED.open() as file:
        for row in csv.DictReader(file):
            if (row["architecture"], row["metric"], row["img_size"]) == (architecture, "gmacs", str(img_size)):
                return float(row["value"])
    raise LookupError(architecture)


def counted_natively(architecture: str) -> tuple[operators.Count, float]:
    with META:
        model = timm.create_model(architecture).eval()
    side = model.pretrained_cfg["input_size"][-1]
    counted = operators.count(model, torch.empty(1, 3, side, side, device=META))
    return counted, published_gmacs(architecture, side)


@pytest.mark.parametrize("architecture", WITHIN_3_PERCENT)
def test_macs_agree_with_timms_table(architecture: str) -> None:
    counted, gmacs = counted_natively(architecture)
    assert counted.macs / 1e9 == pytest.approx(gmacs, rel=0.03)
    assert counted.uncounted == ()


@pytest.mark.parametrize("architecture", ["mobilenetv3_large_100", "efficientnet_b0", "mnasnet_100", "ghostnet_100"])
def test_with_normalisation_as_the_table_counts_it_small_networks_agree_to_its_rounding(architecture: str) -> None:
    counted, gmacs = counted_natively(architecture)
    each = {"batch_norm": 2, "layer_norm": 5}
    normalised = sum(
        each[o.name] * torch.Size(o.outputs[0]).numel() for o in counted.of("normalisation") if o.name in each
    )
    assert (counted.macs + normalised) / 1e9 == pytest.approx(gmacs, abs=0.0052)


def test_classes_of_a_mobilenet_hold_all_its_macs() -> None:
    counted, _ = counted_natively("mobilenetv3_large_100")
    by_class = {kind: sum(o.macs for o in counted.of(kind)) for kind in classes.CLASSES}
    assert sum(by_class.values()) == counted.macs
    assert by_class["pointwise convolution"] > by_class["depthwise convolution"] > by_class["linear"] > 0
    assert len(counted.of("depthwise convolution")) == 15, "one a block"


def small() -> tuple[nn.Module, Callable[[], Tensor]]:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    x = torch.zeros(1, 3, 8, 8)

    def run() -> Tensor:
        with torch.inference_mode():
            return model(x)

    return model, run


def test_rows_divide_the_measured_latency_by_the_time_of_each_class() -> None:
    model, run = small()
    clock = ticks().__next__  # each reading is one second after the last: every operator takes the same time
    work = operator_times.profile(run, operators.weights_of(model), p50_ms=10.0, clock=clock, budget_s=1.0)
    # four operators and one view, and a plain pass is no longer than one of them: nothing is left between
    assert {row.name: row.time_ms for row in work.operators} == pytest.approx(
        {"dense convolution": 2.0, "normalisation": 2.0, "activation": 2.0, "other": 2.0, "linear": 2.0}
    )
    assert {row.name: row.macs for row in work.operators}["dense convolution"] == 4 * 36 * 3 * 9
    assert work.macs == 4 * 36 * 3 * 9 + 4 * 36 * 5
    assert work.counter.startswith("operators ")


def test_time_beyond_the_operators_is_a_row_of_its_own() -> None:
    model, run = small()
    calls, _ = operators.calls_of(run, operators.weights_of(model))
    rows = operator_times.divided(calls, [4.0, 1.0, 1.0, 0.0, 2.0], between=0.2, p50_ms=20.0)
    assert [(row.name, row.time_ms) for row in rows[:2]] == [
        ("dense convolution", pytest.approx(8.0)), ("between operators", pytest.approx(4.0)),
    ]  # fmt: skip
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert sum(row.time_ms for row in rows) == pytest.approx(20.0)


@pytest.mark.parametrize("between", [0.005, -0.5])
def test_a_difference_within_its_noise_is_no_row(between: float) -> None:
    model, run = small()
    calls, _ = operators.calls_of(run, operators.weights_of(model))
    rows = operator_times.divided(calls, [4.0, 1.0, 1.0, 0.0, 2.0], between=between, p50_ms=8.0)
    assert [row.time_ms for row in rows] == pytest.approx([4.0, 2.0, 1.0, 1.0, 0.0])


def test_a_real_profile_finds_the_convolution_that_does_the_work() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 128, 7), nn.Conv2d(128, 4, 7)).eval()
    x = torch.rand(1, 3, 64, 64)

    def run() -> Tensor:
        with torch.inference_mode():
            return model(x)

    work = operator_times.profile(run, operators.weights_of(model), p50_ms=7.0, budget_s=0.1)
    assert next(row.name for row in work.operators if row.name != classes.BETWEEN) == "dense convolution"
    assert sum(row.time_ms for row in work.operators) == pytest.approx(7.0)
    assert work.bytes == operators.count(model, x).bytes
    assert lines.typed(lines.plain(work), Work) == work, "it reaches the process that asked for it"


def test_operators_that_do_the_same_are_one_with_their_median_time() -> None:
    model, run = small()
    calls, _ = operators.calls_of(run, operators.weights_of(model))
    repeated = [*calls, *calls]
    each_ms = np.array([[1.0] * 5 + [3.0] * 5, [2.0] * 5 + [100.0] * 5])  # one busy moment
    found = operator_times.distinct(repeated, each_ms)
    assert [(o.name, o.count, o.time_ms) for o in found] == [
        ("conv2d", 2, 2.5), ("batch_norm", 2, 2.5), ("relu", 2, 2.5), ("linear", 2, 2.5),
    ]  # fmt: skip
    assert sum(o.macs for o in found) == 4 * 36 * 3 * 9 + 4 * 36 * 5
