"""What goes over the line between processes comes back as it was, and nothing else is taken for a message."""

from __future__ import annotations

import pytest

from advisor.measure import lines
from advisor.measure.lines import BrokenLine, Progress
from advisor.measure.request import Request
from advisor.measure.run import Load, Measured
from tests import run_data


def test_a_run_with_every_part_comes_back_equal() -> None:
    one = run_data.run("r1", parts={"throughput": run_data.CURVE, "training": run_data.TRAINING}, extras=("train",))
    assert lines.run_of(lines.plain(one)) == one


def test_a_request_comes_back_equal_and_is_checked_anew() -> None:
    one = Request(architecture="resnet50", extras=("train", "features"), features_hw=(64, 96), threads=3)
    values = lines.plain(lines.request_values(one))
    assert lines.request_of(values) == one
    assert lines.request_of({**values, "patience_s": 1.5}) == one, "of another version, which asked for more"
    with pytest.raises(Exception, match="paths, URLs and hub ids"):
        lines.request_of({**values, "architecture": "/etc/passwd"})


class Version(str):
    """A kind of str, as torch gives its version."""


def test_kinds_of_text_are_text_and_other_objects_are_refused() -> None:
    assert lines.decode(lines.encode("ready", {"torch": Version("2.15.0")})) == ("ready", {"torch": "2.15.0"})
    with pytest.raises(NotImplementedError, match="object is no JSON value"):
        lines.encode("ready", object())


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"Segmentation fault", b"[1, 2]", b'{"kind": "progress"}', b'{"kind": "a", "val', b"\xff\xfe", b"3"],
)
def test_anything_else_is_no_message(line: bytes) -> None:
    with pytest.raises(BrokenLine, match="is no message"):
        lines.decode(line)


@pytest.mark.parametrize(
    "value", [None, 3, [], {"other_cores": "many", "steal_share": 0.0}, {"other_cores": 1.0}, {"steal_share": None}]
)
def test_a_value_of_another_shape_is_refused_with_the_reason(value: object) -> None:
    with pytest.raises(BrokenLine, match="no Load: "):
        lines.typed(value, Load)


def test_a_result_without_its_latency_is_refused() -> None:
    found = run_data.run("r1").measured
    values = lines.plain(found)
    del values["latency"]
    with pytest.raises(BrokenLine, match="latency"):
        lines.typed(values, Measured)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("building"), "building"),
        (Progress("timing", 34, 100, 0.031), "timing 34/100, ±3.1 %"),
        (Progress("timing", 34, 100), "timing 34/100"),
        (Progress("warming up", 7), "warming up 7"),
        (Progress("batch sweep", 3, None, None, "batch 8"), "batch sweep 3: batch 8"),
    ],
)
def test_progress_in_words(progress: Progress, text: str) -> None:
    assert progress.text == text
