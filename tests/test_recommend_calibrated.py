"""Recommend on this machine after a calibration: measured and predicted together, confirmed by one command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from advisor import views, workflows, workflows_guesses, workflows_known
from advisor.advice import predicted
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure import machine as machines
from advisor.measure.machine import Machine
from advisor.measure.stretches import SUFFERED
from advisor.predict.calibration import Asked
from advisor.predict.columns import Setup
from advisor.predict.known import Known, MeasuredHere
from advisor.predict.predictor import Posterior
from advisor.predict.slowness import Slowness
from advisor.records import Question, Recommendation
from tests import run_data
from tests.conftest import ROOT
from tests.small_data import I7_MS

HERE = str(run_data.MACHINE["device_id"])
in_the_harness = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
SETUP = Setup(
    "cpu", HERE, "infer", "pytorch-eager", "torch 2.15.0, timm 1.0.31", "2", "", "fp32", "nchw", 1
)  # fmt: skip
ASKED = Asked("cpu", "pytorch-eager", "fp32", "nchw", 1, 2)
NAMES = [key for key in sorted(I7_MS) if not key[0].startswith("test_")]


def known(*measured: str) -> Known:
    """Everything is predicted at what it takes on the small data's i7, ±20 %; measured ones are known."""
    p50 = np.array([I7_MS[key] for key in NAMES], dtype=float)
    rows = {i: MeasuredHere(f"r-{name}", p50[i], (p50[i] * 0.99, p50[i] * 1.01), "steady")
            for i, (name, _) in enumerate(NAMES) if name in measured}  # fmt: skip
    models = pd.DataFrame(NAMES, columns=["architecture", "img_size"])
    profiles: Any = SimpleNamespace(models=models)
    deviation = np.full(len(NAMES), np.log(1.2) / 1.6448536)
    calibration: Any = SimpleNamespace(drifted=False)
    return Known(SETUP, ASKED, calibration, (), len(rows), Posterior(np.log(p50), deviation), profiles, rows)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has a CPU called TestChip, calibrated with the networks that were measured on it."""
    monkeypatch.setattr(machines, "machine", lambda _target: Machine(**run_data.MACHINE))
    monkeypatch.setattr(machines, "targets", lambda: ("cpu",))
    monkeypatch.setattr(machines, "usable_threads", lambda: 2)
    monkeypatch.setattr(workflows_known, "known", lambda _store, _target, **_options: [CALIBRATED])


CALIBRATED = known("efficientnet_b0", "resnet18")


@pytest.fixture
def calibrated(ready: Store) -> Store:
    run_data.save(
        ready,
        run_data.run("r-efficientnet_b0", float(I7_MS["efficientnet_b0", 224]), architecture="efficientnet_b0"),
        run_data.run("r-resnet18", float(I7_MS["resnet18", 224]), architecture="resnet18"),
    )
    return ready


def test_a_prediction_says_what_was_wrong_with_its_calibration() -> None:
    drifted: Any = SimpleNamespace(drifted=True, drift=0.6)
    assert CALIBRATED.caveat == ""
    assert replace(CALIBRATED, calibration=drifted).caveat == " while the machine drifted by 60 %"
    stood_still: Any = SimpleNamespace(drifted=True, drift=95.7)
    assert replace(CALIBRATED, calibration=stood_still).caveat == " while the machine drifted by a factor of 97"
    noisy = {row: replace(one, verdict="noisy") for row, one in list(CALIBRATED.measured.items())[:1]}
    assert replace(CALIBRATED, measured=CALIBRATED.measured | noisy).caveat == ", 1 of them noisily"


def ask(store: Store, **limits: object) -> Recommendation:
    return workflows.recommend(store, Question("this-machine", **limits))  # type: ignore[arg-type]


def test_answer_after_a_calibration_is_from_measured_and_predicted_models(calibrated: Store) -> None:
    answer = ask(calibrated, max_latency_ms=25)
    assert answer.pick is not None
    assert (answer.pick.weights, answer.pick.evidence) == ("regnety_032.ra_in1k", "predicted")  # 20 ms, at most 24
    assert answer.setup == (
        "TestChip, 2 cores, pytorch-eager, fp32, nchw, batch 1, torch 2.15.0, timm 1.0.31, 2 threads. "
        "Answers from 2 models measured and 18 predicted there."
    )
    (said,) = (one.text for one in answer.reasons if one.rule == "measured-and-predicted")
    assert said.startswith("Of the 20 models that can decide on TestChip, 2 cores, 2 are measured and 18 predicted;")
    assert "measured-models-only" not in {one.rule for one in answer.reasons}


def test_predicted_pick_comes_with_the_command_that_confirms_it(calibrated: Store) -> None:
    assert ask(calibrated, max_latency_ms=25).confirm == (
        "python -m advisor measure regnety_032 --img-size 224 --runtime pytorch-eager --precision fp32"
    )
    assert ask(calibrated, max_latency_ms=9.5, families=("EfficientNet",)).confirm == ""  # measured


def test_on_a_slow_machine_a_predicted_pick_keeps_the_limit_as_the_machine_was_last(
    calibrated: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = ask(calibrated, max_latency_ms=25).pick
    slow = replace(CALIBRATED, slowness=Slowness(np.log(1.5), 0.1).scaled(1 / SUFFERED))
    monkeypatch.setattr(workflows_known, "known", lambda _store, _target, **_options: [slow])
    found = ask(calibrated, max_latency_ms=25)
    assert quiet is not None and found.pick is not None and found.pick.latency_ms is not None
    assert found.pick.latency_ms == pytest.approx(1.5 * I7_MS[found.pick.architecture, found.pick.img_size])
    assert quiet.latency_ms is not None and 1.5 * quiet.latency_ms > 25.0, "it would break the limit"
    (said,) = (one.source for one in found.reasons if one.rule == "only-predicted")
    assert said.endswith(", for the machine 50 % slower than at its full pace, as it was last")


def test_command_names_what_is_not_usual(calibrated: Store) -> None:
    pick = ask(calibrated, max_latency_ms=25).pick
    assert pick is not None
    asked = Asked("cuda:0", "pytorch-eager", "amp-fp16", "nhwc", 8, 1)
    assert workflows_guesses.command(asked, pick).endswith(
        "--precision amp-fp16 --layout nhwc --batch-size 8 --device cuda:0 --threads 1"
    )


def test_measured_speed_hides_the_prediction_of_its_setup(calibrated: Store) -> None:
    answer = ask(calibrated, families=("all",))
    kinds = {one.architecture: one.evidence for one in answer.front}
    assert kinds["efficientnet_b0"] == "measured"
    assert set(kinds.values()) == {"measured", "predicted"}


def test_predictions_can_be_taken_out(calibrated: Store) -> None:
    answer = ask(calibrated, max_latency_ms=25, evidence="known")
    assert answer.pick is not None
    assert (answer.pick.architecture, answer.considered) == ("efficientnet_b0", 2)
    assert answer.might_win == ()
    assert "Answers from 2 models measured there." in answer.setup


def test_training_is_not_predicted(calibrated: Store) -> None:
    answer = ask(calibrated, task="train")
    assert answer.pick is None


def test_chart_and_slider_know_what_is_predicted(calibrated: Store) -> None:
    question = Question("this-machine", max_latency_ms=18)
    answer, found = ask(calibrated, max_latency_ms=18), views.landscape(calibrated, question)
    assert (len(found), int(found["feasible"].sum())) == (answer.considered, answer.feasible)
    assert set(found.loc[found["evidence"] == "predicted", "known_as"].str.startswith("predicted, 90 % interval")) == {
        True
    }
    assert views.speed_steps(calibrated, HERE, "infer", "latency_ms")[-1] >= 200  # regnety_160 at 384 px
    assert views.has_predictions(calibrated, HERE, "infer")
    assert not views.has_predictions(calibrated, HERE, "train")


def test_a_predicted_latency_of_seconds_is_told_in_whole_ms(calibrated: Store) -> None:
    """Networks that large are predicted, as tf_efficientnet_l2 is: 1,781 ms, and no 1.78e+03."""
    pick = ask(calibrated).pick
    assert pick is not None and pick.evidence == "predicted"
    slow = replace(pick, latency_lo90_ms=1780.6, latency_hi90_ms=5684.9)
    assert predicted.interval_words(slow, "latency_ms") == "90 % interval 1,781–5,685 ms"
    assert predicted.ends(8.333, 999.6) == "8.33–1,000"


def test_claims_are_not_checked_on_predictions(calibrated: Store) -> None:
    with_predictions = workflows.claims_on(calibrated, HERE)
    assert {one.verdict for one in with_predictions if one.device_id == HERE} == {"not enough evidence"}


# -- the page ----------------------------------------------------------------------------------------------


@pytest.fixture
def page(calibrated: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Recommend for this machine within 25 ms."""
    monkeypatch.setenv("ADVISOR_HOME", str(calibrated.home))
    monkeypatch.setattr(workflows, "DATA", calibrated.data)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["device"], app.query_params["max_latency_ms"] = HERE, "25"
    yield app.run()
    st.cache_resource.clear()
    st.cache_data.clear()


def headline(app: AppTest) -> str:
    return next(m.value for m in app.markdown if m.value.startswith("#### "))


@in_the_harness
def test_page_says_that_a_pick_is_predicted_and_takes_it_to_measure(page: AppTest) -> None:
    assert "in a predicted 20 ms" in headline(page)
    assert any(":orange-badge[:material/function: predicted]" in m.value for m in page.markdown)
    page.button(key="rec_confirm").click().run()
    assert page.title[0].value == "Measure"
    state = page.session_state
    assert state["measure"] == ["regnety_032@224"]
    assert (state["mea_runtime"], state["mea_precision"], state["mea_batch"]) == ("pytorch-eager", "fp32", 1)
    assert not page.exception


@in_the_harness
def test_page_lists_what_could_also_meet_the_limit(page: AppTest) -> None:
    page.number_input(key="rec_limit").set_value(21.0).run()  # regnety_032 at 20 ms, at most 24
    assert "regnety_032" not in headline(page)
    button, *_ = (b for b in page.button if str(b.key).startswith("rec_might_"))  # most accurate first
    assert "regnety_032.ra_in1k at 224 px" in button.label
    assert "could also meet it: probability 67 %" in button.label
    button.click().run()
    assert page.session_state["measure"] == ["regnety_032@224"]


@in_the_harness
def test_page_says_of_ties_and_the_next_best_that_they_are_predicted(page: AppTest) -> None:
    (said,) = (m.value for m in page.markdown if "**Next best architecture:**" in m.value)
    badge = ":orange-badge[:material/function: predicted]"
    told = {line for line in said.splitlines() if line.startswith(("- `", "**Next"))}
    assert {badge in line for line in told if "efficientnet_b0" not in line and "resnet18" not in line} == {True}


@in_the_harness
def test_page_can_leave_predictions_out(page: AppTest) -> None:
    page.segmented_control(key="rec_evidence").set_value("known").run()
    assert "efficientnet_b0" in headline(page)
    assert page.query_params["evidence"] in ("known", ["known"])
    assert not [b for b in page.button if b.key == "rec_confirm"]


@in_the_harness
def test_link_may_call_the_machine_this_machine(page: AppTest) -> None:
    page.query_params["device"] = "this-machine"
    page.run()
    assert "in a predicted 20 ms" in headline(page)
    assert not page.warning
    assert page.query_params["device"] in (HERE, [HERE])


def test_machine_without_any_measurement_is_told_to_calibrate(ready: Store) -> None:
    with pytest.raises(BadQuestion, match=r"Nothing was measured.*run 'python -m advisor calibrate'"):
        ask(ready)
