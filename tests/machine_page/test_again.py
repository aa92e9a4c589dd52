"""The page This machine in Streamlit's own harness: which calibrations are offered again and why, and bad settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from advisor import views_calibrate, workflows_measure
from advisor.measure import machine
from advisor.predict.slowness import FULL_PACE, Slowness
from tests.calibration_lab import OTHER, Lab
from tests.machine_page.pages import click, page, sentences, texts

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def test_an_outdated_calibration_is_gone_once_the_setup_is_calibrated_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.keep(hour=10, n=9)
    n = machine.usable_threads() + 1
    monkeypatch.setattr(machine, "usable_threads", lambda: n)
    assert "out of date] **pytorch-eager fp32**" in texts(page())
    lab.keep(hour=11, n=9, threads=n)
    said = texts(page())
    assert "| pytorch-eager fp32 | ✓ calibrated" in said
    assert "out of date" not in said


def test_a_calibration_of_another_machine_is_told_as_such(lab: Lab) -> None:
    lab.keep(device=OTHER)
    said = texts(page())
    assert "made on another machine] **pytorch-eager fp32** of 2026-07-01. It was made on Other, 8 cores" in said
    assert "out of date" not in said


def test_too_few_probes_on_another_machine_say_nothing_of_this_one(lab: Lab) -> None:
    lab.keep(n=1, device=OTHER)
    app = page()
    assert not app.warning
    assert "Nothing is calibrated here yet" in texts(app)


def test_a_noisy_calibration_is_marked_says_why_and_is_offered_again(lab: Lab) -> None:
    lab.keep(n=9, noisy=tuple(lab.order[:4]))
    app = page()
    said = texts(app)
    assert "| pytorch-eager fp32 | ◐ noisy |" in said
    assert "**pytorch-eager fp32**: 4 of 10 measured networks are noisy: calibrate again when the machine is" in said
    click(app, "cal_repeat_0")
    assert workflows_measure.jobs(lab.store).states()[0].title == "Calibration: pytorch-eager fp32"


def test_several_calibrations_are_offered_again_one_by_one_and_all_at_once(lab: Lab) -> None:
    lab.keep(hour=10, n=9, noisy=tuple(lab.order[:4]))
    assert not [b for b in page().button if b.key == "cal_every"], "one alone has its button"
    lab.keep(hour=11, n=5, runtime="onnxruntime")
    lab.obey(held=list(lab.law["latency_ms"]))  # so that the first goes on
    app = page()
    assert [b.key for b in app.button if b.label == "Calibrate again"] == ["cal_repeat_0", "cal_repeat_1"]
    click(app, "cal_every")
    queue = workflows_measure.jobs(lab.store)
    assert {job.title for job in queue.states()} == {
        "Calibration: pytorch-eager fp32", "Calibration: onnxruntime fp32",
    }  # fmt: skip
    for job in queue.states():
        queue.cancel(job.job_id)
        queue.wait(job.job_id)


def test_a_calibration_with_few_probes_is_marked_says_why_and_is_offered_again(lab: Lab) -> None:
    lab.keep(n=5)
    app = page()
    assert "| pytorch-eager fp32 | ◐ few probes |" in texts(app)
    assert "6 networks were measured, where a calibration measures 12, so the intervals are wide" in texts(app)
    assert app.button(key="cal_repeat_0").label == "Calibrate again"


def test_how_quiet_a_calibration_was_counts_what_was_noisy_slowed_and_skipped() -> None:
    made = SimpleNamespace(drifted=False, drift=0.012, skipped=(("a", "It does not run."),))
    one: Any = SimpleNamespace(calibration=made, n_noisy=2, slowed=np.array([1.2, 1.3, 1.1]))
    assert views_calibrate.quietness(one) == "drift 1.2 %, 2 noisy, 3 slowed, allowed for, 1 skipped"


def test_what_is_predicted_names_the_other_machines_that_it_is_predicted_from() -> None:
    frame = pd.DataFrame({"evidence": ["predicted", "predicted", "measured"], "accuracy": [76.0, None, 80.0]})

    def said(elsewhere: tuple[Any, ...] = (), slower: Slowness = FULL_PACE) -> str:
        one = SimpleNamespace(n_probes=12, elsewhere=elsewhere, slower=slower)
        return views_calibrate.networks_sentence(frame, cast(Any, one))

    there = tuple(SimpleNamespace(rows=range(n), device=name) for n, name in ((129, "A, 2 cores"), (54, "B, 2 cores")))
    alone, both, slow = said(), said(there), Slowness(np.log(1.3), 0.1)
    assert alone.startswith("2 networks and image sizes are predicted from 12 measured here; 2 of all have")
    beside = " and, as far as these bear it out, from how far others were from their operators, "
    assert both == alone.replace("here;", f"here{beside}129 on A, 2 cores and 54 on B, 2 cores;")
    assert said(slower=slow) == f"{alone} {slow.sentence}" and "30 % slower" in slow.sentence


def test_a_good_calibration_is_not_offered_again(lab: Lab) -> None:
    lab.keep(n=9, noisy=tuple(lab.order[:1]))
    app = page()
    assert "| pytorch-eager fp32 | ✓ calibrated |" in texts(app)
    assert not [b for b in app.button if b.label == "Calibrate again"]


def test_two_calibrations_that_differ_in_threads_are_told_apart(lab: Lab) -> None:
    n = machine.usable_threads() + 1
    lab.keep(hour=10, n=9)
    lab.keep(hour=11, n=9, threads=n)
    app = page()
    assert {f"| pytorch-eager fp32{more} | ✓ calibrated |" in texts(app) for more in ("", f", {n} threads")} == {True}
    lab.obey(held=[lab.order[0]])
    click(app, "cal_go")
    app.session_state["cal_threads"] = n
    click(app.run(), "cal_go")
    assert len(workflows_measure.jobs(lab.store).states()) == 2  # the second is another one, of the same title


def test_another_runtime_takes_back_a_precision_that_it_lacks(lab: Lab) -> None:
    app = page()
    app.session_state["cal_advanced"] = True  # the harness forgets an open box between runs
    app.session_state["cal_runtime"], app.session_state["cal_precision"] = "openvino", "auto"
    app.run()
    app.session_state["cal_advanced"] = True
    app.selectbox(key="cal_runtime").select("pytorch-eager").run()
    assert not app.exception
    assert sentences(app) == []
    assert app.session_state["cal_precision"] is None
    assert not app.button(key="cal_go").disabled


@pytest.mark.parametrize("seconds", [0, -5, 100_000])
def test_a_time_for_probes_that_makes_no_sense_is_refused_in_one_sentence(lab: Lab, seconds: int) -> None:
    app = page()
    app.session_state["cal_budget"] = seconds
    app.run()
    (sentence,) = sentences(app)
    assert sentence == f"Seconds for the probes must be more than 0 and at most 86400, not {seconds:g}."
    assert app.button(key="cal_go").disabled
    assert "small networks, as far as they fit" not in texts(app)


def test_find_names_the_batch_size_that_is_calibrated(lab: Lab) -> None:
    lab.keep(n=9, batch_size=8)
    app = page()
    assert "This machine is calibrated for batch size 8, not for 1" in texts(app)
    assert app.button(key="fnd_go").disabled
    app.selectbox(key="fnd_batch_size").select(8).run()
    assert not app.button(key="fnd_go").disabled


@pytest.mark.parametrize(("field", "value"), [("layout", "nhwc"), ("task", "train"), ("evidence", "all")])
def test_a_field_of_a_link_that_find_has_no_use_for_is_said(lab: Lab, field: str, value: str) -> None:
    lab.keep(n=9)
    app = page(max_latency_ms="20", **{field: value})
    assert [w.value for w in app.warning] == [
        f"The link's '{field}' is nothing that a search here asks; it is ignored."
    ]
    assert app.number_input(key="fnd_max_latency_ms").value == 20.0
