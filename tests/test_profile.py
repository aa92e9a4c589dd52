"""Cost profiles as arrays: operators shared, features by class, rows that are asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from advisor.errors import UnknownName
from advisor.predict import profiling
from advisor.predict.profile import FEATURES, NotCounted, assemble, joined
from tests.cost_profiles import BAD, CONV, LARGE, LARGE_AT_5, POINT, RELU, SMALL


def test_profiles_share_operators_and_stand_in_order() -> None:
    found = assemble([SMALL, LARGE, LARGE_AT_5], [BAD])
    assert list(zip(found.models["architecture"], found.models["img_size"], strict=True)) == [
        ("large", 5), ("large", 10), ("small", 10),
    ]  # fmt: skip
    assert len(found.operators) == 3
    assert found.counts.sum(axis=1).tolist() == [2, 8, 3]
    assert found.models["n_operators"].tolist() == [2, 8, 3]
    assert found.not_counted == (BAD,)


def test_the_order_in_which_profiles_come_does_not_matter() -> None:
    one, other = assemble([SMALL, LARGE, LARGE_AT_5]), assemble([LARGE_AT_5, SMALL, LARGE])
    pd.testing.assert_frame_equal(one.models, other.models)
    pd.testing.assert_frame_equal(one.operators, other.operators)
    assert (one.counts != other.counts).nnz == 0


def test_features_add_up_by_class() -> None:
    found = assemble([LARGE])
    row = dict(zip(FEATURES, found.features[0], strict=True))
    assert row["macs dense k x k"] == 3 * CONV.macs
    assert row["macs pointwise"] == POINT.macs
    assert row["bytes element-wise"] == 4 * RELU.bytes
    assert [row[f"count {kind}"] for kind in ("dense k x k", "pointwise", "element-wise", "stem")] == [3, 1, 4, 0]
    assert found.features[0][:10].sum() == LARGE.macs == found.models["macs"][0]


def test_summary_counts_each_run_of_an_operator() -> None:
    row = assemble([LARGE]).models.iloc[0]
    assert row["bytes"] == 8 * 1000
    assert row["weight_bytes"] == 4 * 100
    assert row["activations"] == 4 * 32 * 100  # what the convolutions make, not the activation functions
    assert row["uncounted"] == "fft"


def test_rows_are_those_asked_for_in_their_order() -> None:
    found = assemble([SMALL, LARGE, LARGE_AT_5])
    rows = found.rows([("small", 10), ("large", 5)])
    assert rows.tolist() == [2, 0]
    chosen = found.only(rows)
    assert chosen.models["architecture"].tolist() == ["small", "large"]
    np.testing.assert_array_equal(chosen.features, found.features[[2, 0]])


def test_operators_of_a_profile_come_with_their_count() -> None:
    found = assemble([SMALL, LARGE]).operators_of("large", 10)
    assert dict(zip(found["name"] + found["kernel_width"].astype(str), found["count"], strict=True)) == {
        "conv2d3": 3, "conv2d1": 1, "relu1": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("smal", 10), "Unknown model 'smal'. Did you mean small?"),
        (("large", 7), "Unknown image size of large '7 px'. There are: 5, 10 px."),
        (("small", 7), "Unknown image size of small '7 px'. small does not take 7."),
    ],
)
def test_a_profile_that_is_not_there_says_what_is(key: tuple[str, int], words: str) -> None:
    found = assemble([SMALL, LARGE, LARGE_AT_5], [NotCounted("small", 7, "small does not take 7.")])
    with pytest.raises(UnknownName) as caught:
        found.rows([key])
    assert str(caught.value) == words


def test_joined_profiles_keep_their_features() -> None:
    first, second = assemble([SMALL, LARGE], [BAD]), assemble([LARGE_AT_5])
    both = joined(first, second)
    np.testing.assert_array_equal(both.features, np.vstack([first.features, second.features]))
    assert both.rows([("large", 5)]).tolist() == [2]
    assert both.not_counted == (BAD,)


def test_image_sizes_come_from_all_frames_once() -> None:
    frames = [
        pd.DataFrame({"architecture": ["b", "a", "gone"], "img_size": [224.0, 160.0, 224.0]}),
        pd.DataFrame({"architecture": ["a", "a"], "img_size": [160.0, float("nan")]}),
    ]
    assert profiling.asked_of(["a", "b"], *frames) == [("a", 160), ("b", 224)]
