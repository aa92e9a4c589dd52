"""Why a calibration does not hold, within another sentence."""

from __future__ import annotations

from advisor.predict.calibration import staleness
from advisor.predict.staleness import in_a_sentence

THEN = {"device_id": "a", "machine": "Other, 8 cores", "torch": "2.14.0", "timm": "1.0.30"}


def test_a_newer_package_is_told_without_a_full_stop_so_that_a_command_may_follow() -> None:
    reasons = staleness(THEN, THEN | {"torch": "2.15.0", "timm": "1.0.31"})
    assert in_a_sentence(reasons) == "it was made with torch 2.14.0, and 2.15.0 is installed now: calibrate again"


def test_another_machine_is_told_as_such() -> None:
    reasons = staleness(THEN, {"device_id": "b", "machine": "This, 2 cores"})
    assert in_a_sentence(reasons) == "it was made on Other, 8 cores, and this is This, 2 cores: calibrate here"


def test_another_machine_of_the_same_name_is_told_as_such() -> None:
    reasons = staleness(THEN, {"device_id": "b", "machine": "Other, 8 cores"})
    assert in_a_sentence(reasons) == "it was made on another machine that is called Other, 8 cores too: calibrate here"
