"""Limits row by row against a slow version, and in words by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.advice.limits import POLICIES, broken, excess, how_far, rejected_counts
from advisor.evidence.tags import read_tag
from advisor.records import NUMERIC_LIMITS, Candidate, Question

NAN = float("nan")
FIELDS = {
    "max_latency_ms": "latency_ms",
    "min_throughput": "throughput_per_s",
    "max_params_m": "params_m",
    "max_memory_mb": "peak_memory_mb",
    "max_file_mb": "file_mb",
    "min_accuracy": "accuracy",
    "max_img_size": "img_size",
}
# what each candidate has where a test does not say otherwise
PLAIN: dict[str, object] = {
    "weights": "regnety_032.ra_in1k", "architecture": "regnety_032", "family": "RegNet", "img_size": 224,
    "accuracy": 80.0, "accuracy_name": "top1", "latency_ms": 20.0, "throughput_per_s": 100.0,
    "params_m": 20.0, "peak_memory_mb": 500.0, "file_mb": 80.0, "licence": "apache-2.0", "commercial": True,
    "pretraining": "ImageNet-1k", "imagenet_1k_only": True, "evidence": "published",
}  # fmt: skip


def frame_of(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame([PLAIN | row for row in rows])


def ask(**limits: object) -> Question:
    return Question("cpu", **({"families": ("all",)} | limits))  # type: ignore[arg-type]


def sentences(question: Question, **values: object) -> list[str]:
    return [miss.text for miss in how_far(Candidate.from_row(PLAIN | values), question)]


values = st.sampled_from([NAN, 1.0, 19.999999, 20.0, 20.000001, 60.0])
truth = st.sampled_from([True, False, None])
rows = st.fixed_dictionaries(
    dict.fromkeys(FIELDS.values(), values)
    | {
        "img_size": st.sampled_from([160, 224]),
        "family": st.sampled_from(["RegNet", "ResNeSt", "ViT"]),
        "commercial": truth,
        "licence": st.sampled_from(["", "unknown", "custom", "mit"]),
    }
).flatmap(
    lambda row: st.sampled_from([("ImageNet-1k", True), ("ImageNet-21k → ImageNet-1k", False), ("unknown", None)]).map(
        lambda seen: row | {"pretraining": seen[0], "imagenet_1k_only": seen[1]}
    )
)
questions = st.builds(
    ask,
    **dict.fromkeys(FIELDS, st.sampled_from([None, 20.0])) | {"max_img_size": st.sampled_from([None, 160])},
    licence=st.sampled_from(["any", "commercial"]),
    pretraining=st.sampled_from(["any", "imagenet-1k"]),
    families=st.sampled_from([("all",), ("RegNet",), ("ResNeSt", "RegNet")]),
)


def slow_broken(row: dict[str, object], question: Question) -> set[str]:
    """The limits that a row breaks, one comparison at a time."""
    names = set()
    for limit, field in FIELDS.items():
        bound, value = getattr(question, limit), row[field]
        if bound is None:
            continue
        assert isinstance(value, float | int)
        if math.isnan(value) or (value < bound if limit.startswith("min") else value > bound):
            names.add(limit)
    if question.licence == "commercial" and row["commercial"] is not True:
        names.add("licence")
    if question.pretraining == "imagenet-1k" and row["imagenet_1k_only"] is not True:
        names.add("pretraining")
    if question.families != ("all",) and row["family"] not in question.families:
        names.add("families")
    return names


@given(st.lists(rows, min_size=1, max_size=6), questions)
def test_broken_is_the_row_by_row_check(some: list[dict[str, object]], question: Question) -> None:
    breaks = broken(frame_of(*some), question)
    for position, row in enumerate(some):
        found = {str(name) for name in breaks.columns if breaks[name].iloc[position]}
        assert found == slow_broken(row, question)


@given(st.lists(rows, min_size=1, max_size=6), questions)
def test_words_excess_and_mask_agree(some: list[dict[str, object]], question: Question) -> None:
    frame = frame_of(*some).set_index(pd.Index(range(7, 7 + len(some))))
    breaks, missed = broken(frame, question), excess(frame, question)
    pd.testing.assert_frame_equal(missed > 0, breaks)
    for (_, row), mask in zip(frame.iterrows(), breaks.to_dict("records"), strict=True):
        named = [miss.limit for miss in how_far(Candidate.from_row(row.to_dict()), question)]
        assert named == [name for name, is_broken in mask.items() if is_broken]


def test_every_numeric_limit_of_a_question_is_checked() -> None:
    question = ask(**dict.fromkeys(NUMERIC_LIMITS, 10.0), licence="commercial", pretraining="imagenet-1k",
                   families=("RegNet",))  # fmt: skip
    assert tuple(broken(frame_of({}), question).columns) == (*NUMERIC_LIMITS, *POLICIES)


def test_no_limits_no_columns_but_all_rows() -> None:
    breaks = broken(frame_of({}, {}), ask())
    assert breaks.shape == (2, 0)
    assert not breaks.any(axis=1).any()


def test_value_at_the_limit_is_fine() -> None:
    question = ask(max_latency_ms=20.0, min_throughput=100.0, min_accuracy=80.0, max_img_size=224)
    assert not broken(frame_of({}), question).any(axis=None)


@pytest.mark.parametrize("dtype", ["object", "boolean"])
def test_unknown_licence_breaks_the_commercial_policy(dtype: str) -> None:
    frame = frame_of({}, {}, {}).assign(commercial=pd.array([True, False, pd.NA], dtype=dtype))
    assert broken(frame, ask(licence="commercial"))["licence"].tolist() == [False, True, True]


def test_no_candidates_is_an_empty_answer() -> None:
    empty = frame_of({}).iloc[:0]
    question = ask(max_latency_ms=1.0, licence="commercial", families=("RegNet",))
    assert broken(empty, question).shape == (0, 3)
    assert rejected_counts(broken(empty, question)) == {"max_latency_ms": 0, "licence": 0, "families": 0}


def test_excess_is_the_logarithm_of_the_factor() -> None:
    frame = frame_of({"latency_ms": 40.0, "throughput_per_s": 25.0}, {"latency_ms": NAN, "family": "ViT"}, {})
    missed = excess(frame, ask(max_latency_ms=20.0, min_throughput=50.0, families=("RegNet",)))
    assert missed["max_latency_ms"].tolist() == [pytest.approx(math.log(2)), math.inf, 0.0]
    assert missed["min_throughput"].tolist() == [pytest.approx(math.log(2)), 0.0, 0.0]
    assert missed["families"].tolist() == [0.0, 1.0, 0.0]


def test_rejections_are_counted_by_limit() -> None:
    frame = frame_of({"latency_ms": 40.0, "params_m": 90.0}, {"latency_ms": 30.0}, {})
    counts = rejected_counts(broken(frame, ask(max_latency_ms=20.0, max_params_m=50.0, max_file_mb=100.0)))
    assert counts == {"max_latency_ms": 2, "max_params_m": 1, "max_file_mb": 0}


@pytest.mark.parametrize(
    ("limit", "values", "text"),
    [
        ({"max_latency_ms": 20.0}, {"latency_ms": 23.1}, "latency 23.1 ms is 3.1 ms (16 %) over the limit of 20 ms"),
        ({"max_latency_ms": 20.0}, {"latency_ms": 20.1},
         "latency 20.1 ms is 0.1 ms (under 1 %) over the limit of 20 ms"),
        ({"min_throughput": 100}, {"throughput_per_s": 80.0},
         "throughput 80 img/s is 20 img/s (20 %) under the limit of 100 img/s"),
        ({"max_params_m": 20.0}, {"params_m": 25.0}, "parameter count 25 M is 5 M (25 %) over the limit of 20 M"),
        ({"max_memory_mb": 400}, {"peak_memory_mb": None}, "peak memory is not published"),
        ({"max_memory_mb": 400}, {"peak_memory_mb": None, "evidence": "predicted"}, "peak memory is not known"),
        ({"max_file_mb": 40}, {"file_mb": 80.0}, "weights file 80 MB is 40 MB (100 %) over the limit of 40 MB"),
        ({"min_accuracy": 80, "accuracy": "v2"}, {"accuracy": 78.1},
         "ImageNet-V2 top-1 78.10% is 1.90 points under the limit of 80.00%"),
        ({"max_img_size": 160}, {}, "image size 224 px is 64 px (40 %) over the limit of 160 px"),
        ({"licence": "commercial"}, {"commercial": False, "licence": "cc-by-nc-4.0"},
         "licence cc-by-nc-4.0 does not allow commercial use"),
        ({"licence": "commercial"}, {"commercial": None, "licence": "custom"},
         "licence custom is not known to allow commercial use"),
        ({"licence": "commercial"}, {"commercial": None, "licence": ""},
         "the licence is not known, so commercial use is not known to be allowed"),
        ({"pretraining": "imagenet-1k"}, {"pretraining": "ImageNet-21k → ImageNet-1k"},
         "it was trained on more than ImageNet-1k: ImageNet-21k → ImageNet-1k"),
        ({"pretraining": "imagenet-1k"}, {"pretraining": "unknown"},
         "what it was trained on is not known, so it may be more than ImageNet-1k"),
        ({"families": ("ResNeSt", "MobileNet")}, {},
         "family RegNet is not among those asked for (ResNeSt, MobileNet)"),
    ],
)  # fmt: skip
def test_miss_in_words(limit: dict[str, object], values: dict[str, object], text: str) -> None:
    assert sentences(ask(**limit), **values) == [text]


def test_tiny_miss_shows_the_digits_that_differ() -> None:
    said = sentences(ask(max_latency_ms=20.0), latency_ms=20.00001)
    assert said == ["latency 20.00001 ms is 1e-05 ms (under 1 %) over the limit of 20 ms"]


def test_candidate_within_all_limits_has_nothing_to_say() -> None:
    assert how_far(Candidate.from_row(PLAIN), ask(max_latency_ms=20.0, pretraining="imagenet-1k")) == ()


@pytest.mark.parametrize("tag", ["a1_in1k", "augreg_in21k_ft_in1k", "laion2b_ft_in1k", "nobody_knows"])
def test_words_and_flag_of_pretraining_mean_the_same(tag: str) -> None:
    seen = read_tag("resnet50", tag)
    said = sentences(ask(pretraining="imagenet-1k"), pretraining=seen.pretraining)
    assert (not said) is (seen.imagenet_1k_only is True)


def test_the_interval_of_a_predicted_speed_judges_limits_on_speed_alone() -> None:
    guess: dict[str, object] = {"evidence": "predicted", "latency_lo90_ms": 15.0, "latency_hi90_ms": 30.0}
    question = ask(max_latency_ms=25.0, max_params_m=25.0, min_accuracy=75.0, max_img_size=256)
    (found,) = broken(frame_of(guess | {"batch_size": 1}), question).to_dict("records")
    assert found == {"max_latency_ms": True, "max_params_m": False, "min_accuracy": False, "max_img_size": False}
