"""data/profiles.*: complete, consistent, and in agreement with timm's published multiply-adds; without torch."""

from __future__ import annotations

from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from advisor import workflows_predict
from advisor.evidence import catalogue
from advisor.evidence.store import Store
from advisor.predict import profile_files, profiling
from advisor.predict.profile import FEATURES, CostProfile, NotCounted, Profiles
from advisor.predict.signature import CLASSES
from tests.conftest import ROOT

MAX_BYTES = 5_000_000
WITHIN = 0.03
ROUNDING = 0.0051  # G: the table has two decimals, which is 10 % of the smallest networks
# rows of timm's table that disagree by more even where normalisation is counted as there, and why
EXPLAINED = {
    # 49 x 768 x 1024 in each of 32 blocks are 1.23 G, what is missing there
    "convmixer_": "fvcore does not know a convolution with padding='same': the depthwise ones are left out",
    # `timm.utils.reparameterize_model` brings our 0.404 G to 0.167 G; the table has 0.17, and notes it with the speeds
    "ghostnetv3_100": "measured after its training branches were folded; timm builds it with them",
    "sequencer2d_": "fvcore does not know LSTM",
    # not fused, timm counts 6.255, 4.364 and 3.825 G like the table: fused, the values are multiplied twice
    "vit_dlittle_": "differential attention, counted without fusing",
    "vit_dpwee_": "differential attention, counted without fusing",
    "vit_dwee_": "differential attention, counted without fusing",
}


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return profile_files.load()


def test_they_are_what_build_profiles_would_count_today(
    monkeypatch: pytest.MonkeyPatch, shipped: Store, profiles: Profiles
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(profiling, "build", lambda keys, *_args, **_options: asked.extend(keys))
    workflows_predict.build_profiles(shipped, lambda *_: None)
    failed = {(n.architecture, n.img_size) for n in profiles.not_counted}
    assert set(asked) == profiles.positions.keys() | failed
    assert len(asked) == len(profiles) + len(failed)


def test_every_architecture_has_one_at_its_native_size(profiles: Profiles) -> None:
    listed = catalogue.load_architectures(ROOT / "data" / "architectures.csv")
    failed = {(n.architecture, n.img_size) for n in profiles.not_counted}
    missing = [a.architecture for a in listed if (a.architecture, a.img_size) not in profiles.positions.keys() | failed]
    assert missing == []
    assert len(failed) <= 0.01 * len(profiles)
    assert all(n.reason for n in profiles.not_counted)


def test_parameters_are_those_of_the_list_of_architectures(profiles: Profiles) -> None:
    listed = catalogue.load_architectures(ROOT / "data" / "architectures.csv")
    native = [a for a in listed if (a.architecture, a.img_size) in profiles.positions]
    counted = profiles.models["params"].to_numpy()[profiles.rows([(a.architecture, a.img_size) for a in native])]
    assert [a.architecture for a, n in zip(native, counted, strict=True) if round(a.params_m * 1e6) != n] == []


def test_nothing_that_multiplies_is_left_uncounted(profiles: Profiles) -> None:
    assert profiles.models.loc[profiles.models["uncounted"] != "", "architecture"].tolist() == []


def test_one_counter_counted_all(profiles: Profiles) -> None:
    assert profiles.models["counter"].nunique() == 1
    assert profiles.models["timm"].nunique() == 1


def test_files_are_small_enough_for_the_repository() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "data").glob("profiles.*")) <= MAX_BYTES


def test_summaries_are_the_sums_over_operators(profiles: Profiles) -> None:
    for column in ("macs", "bytes", "weight_bytes"):
        np.testing.assert_array_equal(profiles.counts @ profiles.operators[column].to_numpy(), profiles.models[column])
    np.testing.assert_array_equal(profiles.counts.sum(axis=1), profiles.models["n_operators"])
    written = pd.read_csv(ROOT / "data" / profile_files.MODELS)
    for kind in CLASSES:
        column = profiles.features[:, FEATURES.index(f"count {kind}")]
        np.testing.assert_array_equal(column, written[f"n {kind}"])
        assert column.sum() > 0


def test_features_hold_all_macs_and_bytes(profiles: Profiles) -> None:
    for cost in ("macs", "bytes"):
        columns = [FEATURES.index(f"{cost} {kind}") for kind in CLASSES]
        np.testing.assert_allclose(profiles.features[:, columns].sum(axis=1), profiles.models[cost], rtol=1e-12)
    assert profiles.features.shape == (len(profiles), 3 * len(CLASSES))


def test_every_operator_that_multiplies_is_products_of_matrices(profiles: Profiles) -> None:
    table = profiles.operators
    matrices = table["products"] * table["rows"] * table["inner"] * table["columns"]
    assert (table["macs"] == matrices).all()
    multiplies = table[table["macs"] > 0]
    assert not multiplies["kind"].isin(["normalisation", "element-wise", "reduction"]).any()
    # a shape of its own means that the formula of `signature` was met, not its last resort
    assert (multiplies["rows"] * multiplies["columns"] * multiplies["products"] > 1).mean() > 0.999


def test_columns_are_those_of_the_shapes(profiles: Profiles) -> None:
    convolutions = profiles.operators[profiles.operators["name"] == "conv2d"]
    sample = convolutions.sample(500, random_state=0)
    for row in sample.itertuples():
        inputs, outputs = ([shape(text) for text in side.split()] for side in row.shapes.split(" > "))
        (batch, channels, *read), (made, *_), (_, _, *out) = inputs[0], inputs[1], outputs[0]
        assert (row.in_channels, row.in_height, row.in_width) == (channels, *read)
        assert (row.out_channels, row.out_height, row.out_width) == (made, *out)
        assert row.macs == batch * prod(inputs[1]) * prod(out)
        assert row.bytes == 4 * sum(map(prod, [*inputs, *outputs]))
        if row.weight_bytes:  # else they are mixed for each image (CondConv) and grow with the batch
            assert row.weight_bytes == 4 * sum(map(prod, inputs[1:]))
    assert (sample["weight_bytes"] > 0).mean() > 0.95


def shape(text: str) -> tuple[int, ...]:
    return () if text == "scalar" else tuple(map(int, text.split("x")))


# -- timm's published table ----------------------------------------------------------------------------


def as_fvcore_counts(profiles: Profiles) -> NDArray[Any]:
    """What timm's table calls MACs: fvcore's "flops", in G, which are more than multiply-adds.

    Beside the MACs of convolutions and products fvcore adds 2 for each value of a batch normalisation, 5 for each of
    a layer or group normalisation, 1 for each value that an adaptive average pooling reads, and 1 (nearest) or 4
    (bilinear) for each that is interpolated (fvcore/nn/flop_count.py and jit_handles.py). Weights that a network
    standardises by batch normalisation are normalised as in training: 5 a value with a scale, 4 without.
    """
    table = profiles.operators
    inputs = table["shapes"].str.split(" > ").str[0].str.split()
    read = inputs.map(lambda shapes: prod(shape(shapes[0])))
    name = table["name"].astype(str)
    per_value = name.map({
        "batch_norm": 2, "layer_norm": 5, "group_norm": 5, "upsample_nearest2d": 1, "upsample_bilinear2d": 4,
    }).fillna(0)  # fmt: skip
    of_weights = (name == "batch_norm") & (table["weight_bytes"] == table["bytes"])
    per_value = per_value.mask(of_weights, inputs.map(len).map(lambda n: 4 if n == 1 else 5))
    pooled = read.where(name == "adaptive_avg_pool2d", 0)
    more = (per_value * table["out_values"] + pooled).to_numpy(np.float64)
    return np.asarray((profiles.models["macs"].to_numpy() + profiles.counts @ more) / 1e9)


@pytest.fixture(scope="module")
def published(profiles: Profiles) -> pd.DataFrame:
    """timm's table: `gmacs` as published, `ours` the MACs, `as_fvcore` what fvcore would say, all in G."""
    rows = pd.read_csv(ROOT / "data" / "published" / "timm-benchmark.complexity.csv")
    rows = rows[rows["metric"] == "gmacs"].rename(columns={"value": "gmacs"})
    ours = profiles.models[["architecture", "img_size"]].assign(
        ours=profiles.models["macs"] / 1e9, as_fvcore=as_fvcore_counts(profiles)
    )
    return rows.merge(ours, on=["architecture", "img_size"], how="left")


def error(counted: pd.Series, published: pd.Series) -> pd.Series:
    return (counted / published - 1).abs()


def test_every_published_row_has_a_profile(published: pd.DataFrame) -> None:
    assert len(published) > 1100
    assert published.loc[published["ours"].isna(), "architecture"].tolist() == []


def test_macs_agree_with_the_published_table(published: pd.DataFrame) -> None:
    """Counted as there 97 % of the rows agree within 3 %; most others have fewer than 0.2 G, where 0.01 G is 5 %."""
    assert (error(published["as_fvcore"], published["gmacs"]) <= WITHIN).mean() >= 0.97
    # multiply-adds alone, without what that table counts of normalisation: up to 20 % of the smallest networks
    assert (error(published["ours"], published["gmacs"]) <= WITHIN).mean() >= 0.92


def test_rows_that_disagree_are_explained(published: pd.DataFrame) -> None:
    apart = (published["as_fvcore"] - published["gmacs"]).abs()
    odd = published[apart > np.maximum(WITHIN * published["gmacs"], ROUNDING)]
    assert [name for name in odd["architecture"] if not name.startswith(tuple(EXPLAINED))] == []
    assert len(odd) <= 0.01 * len(published)
    # each explanation is still needed
    assert all(odd["architecture"].str.startswith(prefix).any() for prefix in EXPLAINED)


def test_by_the_rule_of_the_published_table_all_others_agree_to_its_last_digit(published: pd.DataFrame) -> None:
    others = published[~published["architecture"].str.startswith(tuple(EXPLAINED))]
    apart = (others["as_fvcore"] - others["gmacs"]).abs()
    assert (apart > np.maximum(0.005 * others["gmacs"], ROUNDING)).sum() <= 10
    assert error(others["as_fvcore"], others["gmacs"]).median() < 0.001


# -- today's counter -----------------------------------------------------------------------------------


@pytest.mark.timm
def test_todays_counter_gives_the_shipped_numbers(profiles: Profiles) -> None:
    again = ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
    asked = [key for key in profiles.positions if key[0] in again]
    *answers, refused = profiling.counted([*asked, ("maxvit_tiny_tf_224", 100)], time_limit_s=120)
    assert len(answers) == len(asked) > len(again)
    for answer in answers:
        assert isinstance(answer, CostProfile)
        ours = profiles.operators_of(answer.architecture, answer.img_size)
        theirs = pd.DataFrame([asdict(operator) | {"count": times} for operator, times in answer.operators])
        both = [table.astype({"name": "str", "kind": "str"}).sort_values(list(theirs)) for table in (ours, theirs)]
        pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in both), check_dtype=False)
    assert isinstance(refused, NotCounted)
    assert refused.reason.startswith("maxvit_tiny_tf_224 does not take images of 100 px: ask for its native size, 224")
