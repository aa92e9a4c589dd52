"""Links: a question survives the address bar, and a garbled link says what it could not use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import BadQuestion, UnknownName
from advisor.links import FIRST_QUESTION, adjusted, from_link, to_link
from advisor.metrics import ACCURACIES
from advisor.records import Question

DEVICES = ("i7-12700h", "rtx-4090")
FAMILIES = ("EfficientNet", "MobileNet", "RegNet", "ResNeSt", "ResNet")
amount = st.one_of(st.none(), st.floats(0.001, 1e6).map(lambda x: float(f"{x:.10g}")))


@given(
    st.builds(
        Question,
        st.sampled_from(DEVICES),
        runtime=st.sampled_from((None, "onnxruntime")),
        batch_size=st.one_of(st.none(), st.integers(1, 4096)),
        max_latency_ms=amount,
        min_throughput=amount,
        max_params_m=amount,
        min_accuracy=st.one_of(st.none(), st.floats(1, 100).map(lambda x: float(f"{x:.10g}"))),
        max_img_size=st.one_of(st.none(), st.integers(32, 1024)),
        accuracy=st.sampled_from(ACCURACIES),
        licence=st.sampled_from(("any", "commercial")),
        families=st.sampled_from((("RegNet",), ("all",), ("ResNet", "MobileNet"))),
    )
)
def test_a_question_comes_back_from_its_link(question: Question) -> None:
    opened = from_link(to_link(question), devices=DEVICES, families=FAMILIES)
    assert opened.question == question
    assert opened.complaints == ()


def test_no_link_asks_the_first_question() -> None:
    assert from_link({}, devices=DEVICES, families=FAMILIES).question == FIRST_QUESTION


def test_first_device_is_asked_where_the_default_one_is_unknown() -> None:
    assert from_link({}, devices=("hailo-8",), families=FAMILIES).question == Question("hailo-8")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("device", "i7-12700", "is not a known device (close: i7-12700h); 'i7-12700h' is used instead"),
        ("max_latency_ms", "fast", "is not a number; no limit is used instead"),
        ("max_latency_ms", "-3", "is not a number above 0; no limit is used instead"),
        ("max_latency_ms", "nan", "is not a number above 0"),
        ("min_accuracy", "101", "is more than 100 percent"),
        ("batch_size", "1.5", "is not a whole number"),
        ("families", "Regnet", "names no known family 'Regnet'"),
        ("licence", "free", "is not a known licence"),
        ("accuracy", "top5", "is not a known accuracy"),
        ("runtime", "x" * 200, "is not a name; the best published setup is used instead"),
    ],
)
def test_a_garbled_value_is_named_and_left_at_its_default(name: str, value: str, says: str) -> None:
    opened = from_link({"device": "i7-12700h", name: value}, devices=DEVICES, families=FAMILIES)
    (complaint,) = opened.complaints
    assert complaint.startswith(f"The link's {name} '{value[:40]}")
    assert says in complaint
    assert opened.question == Question("i7-12700h")


def meant(name: str) -> str:
    if name == "this-machine":
        raise BadQuestion("Nothing was measured on this machine yet.")
    if name not in ("4090", "hailo"):
        raise UnknownName("device", name, DEVICES)
    return {"4090": "rtx-4090"}.get(name, "hailo-8")


def test_a_device_may_go_by_another_name() -> None:
    opened = from_link({"device": "4090"}, devices=DEVICES, families=FAMILIES, device_of=meant)
    assert opened.question == Question("rtx-4090")
    assert opened.complaints == ()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rtx-409", "is not a known device (close: rtx-4090); 'i7-12700h' is used instead."),
        ("hailo", "is not a known device; 'i7-12700h' is used instead."),  # of which nothing is published
        (
            "this-machine",
            "cannot be used; 'i7-12700h' is used instead. Nothing was measured on this machine yet.",
        ),
    ],
)
def test_a_name_that_means_no_known_device_says_why(name: str, says: str) -> None:
    opened = from_link({"device": name}, devices=DEVICES, families=FAMILIES, device_of=meant)
    assert opened.complaints == (f"The link's device '{name}' {says}",)
    assert opened.question == Question("i7-12700h")


def test_a_strange_field_is_named() -> None:
    opened = from_link({"device": "rtx-4090", "gpu": "yes"}, devices=DEVICES, families=FAMILIES)
    assert opened.complaints == ("The link's 'gpu' is not a field of a question; it is ignored.",)


def test_a_link_that_contradicts_itself_loses_its_latency_limit() -> None:
    link = {"device": "rtx-4090", "task": "train", "max_latency_ms": "5"}
    opened = from_link(link, devices=DEVICES, families=FAMILIES)
    assert opened.question == Question("rtx-4090", task="train")
    assert "contradicts" in opened.complaints[0]


@pytest.mark.parametrize(
    ("limit", "to", "field", "value"),
    [
        ("max_latency_ms", 21.23456, "max_latency_ms", 21.24),
        ("min_throughput", 1234.56, "min_throughput", 1234.0),
        ("max_img_size", 288.0, "max_img_size", 288),
        ("families", "ResNet", "families", ("ResNeSt", "EfficientNet", "MobileNet", "RegNet", "ResNet")),
        ("licence", "any", "licence", "any"),
        ("max_memory_mb", "none", "max_memory_mb", None),
    ],
)
def test_a_moved_limit_lets_its_candidate_pass(limit: str, to: float | str, field: str, value: object) -> None:
    question = Question("rtx-4090", max_memory_mb=10.0, licence="commercial")
    assert getattr(adjusted(question, limit, to), field) == value
