"""Calibrating and predicting with a measuring process that needs no torch: queue, store and predictor are real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from advisor import workflows_calibrate, workflows_foretold, workflows_known, workflows_measure
from advisor.errors import BadQuestion
from advisor.measure import machine, rows
from advisor.measure.job_state import JobState
from advisor.measure.stretches import SUFFERED
from advisor.measure.sweep import SENTINEL
from advisor.predict.calibration import PREFIX
from advisor.predict.columns import Setup
from tests.calibration_lab import OTHER, VERSIONS, Lab, native
from tests.invented_devices import CPU, invented
from tests.waiting import until

# -- which networks are probes -------------------------------------------------------------------------


def test_probes_are_native_cheap_networks_that_say_enough_and_never_the_sentinel(lab: Lab) -> None:
    profiled = lab.past.profiles.models.iloc[list(native(lab.past).values())].set_index("architecture")
    assert len(lab.order) == len(set(lab.order)) == 18
    assert SENTINEL not in lab.order
    chosen = profiled.loc[lab.order]
    assert (chosen["macs"] <= 10e9).all() and (chosen["uncounted"] == "").all()
    assert not any(name.startswith("test_") for name in lab.order)


def test_a_larger_batch_takes_smaller_networks(lab: Lab) -> None:
    profiled = lab.past.profiles.models.iloc[list(native(lab.past).values())].set_index("architecture")
    order = workflows_calibrate.probe_order(lab.store, replace(lab.here, batch_size=16))
    assert profiled.loc[order, "macs"].max() * 16 <= 10e9


def test_a_compiler_gets_networks_of_few_distinct_operators(lab: Lab) -> None:
    profiles = lab.past.profiles
    row_of = native(lab.past)

    def distinct(order: list[str]) -> float:
        return float(np.mean([(profiles.counts[[row_of[name]]].toarray() > 0).sum() for name in order[:6]]))

    order = workflows_calibrate.probe_order(lab.store, replace(lab.here, runtime="pytorch-compile"))
    assert distinct(order) < 0.7 * distinct(lab.order)


# -- a calibration -------------------------------------------------------------------------------------


def test_a_dozen_probes_are_measured_between_two_sentinels_and_predict_the_rest(lab: Lab) -> None:
    seen: list[JobState] = []
    found = workflows_calibrate.calibrate(lab.store, lab.here, on_change=seen.append)
    made = found.calibration
    assert (made.status, found.problem, found.notes) == ("complete", "", ())
    assert found.probes["architecture"].tolist() == 2 * lab.order[:12], "each a second time, since there is time"
    assert len(workflows_measure.runs(lab.store)) == 26
    assert (made.drift, made.drifted, made.skipped) == (0.0, False, ())
    assert seen[-1].ended and seen[-1].n_done == 26 and seen[-1].title == "Calibration: pytorch-eager fp32"
    assert made.calibration_id.startswith(PREFIX) and seen[-1].sweep_id == made.calibration_id
    assert found.known.n_probes == 13  # the sentinel was measured in the same setup
    told = found.known.frame()
    predicted = told[told["evidence"] == "predicted"]
    true = invented(lab.past.profiles, CPU, 40, noise=0.0).latency_ms[predicted.index]
    assert np.median(np.abs(predicted["p50_ms"] / true - 1)) < 0.1
    assert np.mean((predicted["lo90_ms"] <= true) & (true <= predicted["hi90_ms"])) > 0.75


def test_the_setup_of_a_calibration_is_that_of_an_own_speed_row(lab: Lab, few: None) -> None:
    made = lab.calibrate().calibration
    (row,) = rows.speed_rows(workflows_measure.run(lab.store, made.run_ids[0])).to_dict("records")
    parts = ("device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout", "batch_size")
    assert made.setup == Setup("cpu", *(row[name] for name in parts))
    assert made.asked == lab.here
    assert made.fingerprint["torch"] == "2.15.0" and made.fingerprint["device_id"] == made.setup.device_id


def test_timed_operators_reach_the_predictor(lab: Lab, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from advisor.predict import predictor

    given: list[Any] = []
    fit = predictor.Predictor.fit
    monkeypatch.setattr(predictor.Predictor, "fit", lambda self, probes: given.append(probes) or fit(self, probes))
    lab.calibrate()
    (probes,) = given[-1].values()
    times = {probe.architecture: [one.time_ms for one in probe.operators] for probe in probes}
    assert times == {name: [0.5] for name in lab.order[:5]} | {SENTINEL: []}


def test_a_probe_that_fails_is_skipped_and_said_and_the_next_takes_its_place(lab: Lab, few: None) -> None:
    bad = lab.order[1]
    lab.obey(latency_ms=lab.without(bad))
    found = lab.calibrate()
    assert found.calibration.skipped == ((bad, f"{bad} does not run here."),)
    assert found.probes["architecture"].tolist() == 2 * [lab.order[i] for i in (0, 2, 3, 4, 5)]
    assert found.notes == (f"{bad} was skipped: {bad} does not run here.",)
    assert found.calibration.status == "complete"


def test_too_few_probes_are_refused_in_words_and_predict_nothing(lab: Lab) -> None:
    lab.obey(latency_ms={})
    with pytest.raises(BadQuestion, match=rf"0 of 3 probes worked, and predictions need 3: {lab.order[2]}: .* not run"):
        lab.calibrate()
    assert workflows_calibrate.calibrations(lab.store) == []
    with pytest.raises(BadQuestion, match=r"not calibrated for any setup yet: run 'python -m advisor calibrate' first"):
        workflows_calibrate.predict(lab.store, ["resnet50"])


def test_noisy_probes_are_used_counted_and_said(lab: Lab, few: None) -> None:
    lab.obey(noisy=lab.order[:2])
    found = lab.calibrate()
    assert found.notes == (
        f"2 of 5 probes were noisy, as {lab.order[0]}: Other processes took 1.50 cores while timing; close them and "
        "measure again. Calibrate again when the machine is quiet.",
    )
    assert found.known.n_noisy == 2 and found.known.n_probes == 5 + 1


def test_a_network_with_one_steady_run_is_not_noisy(lab: Lab, few: None) -> None:
    found = lab.calibrate()
    first, second = lab.order[:2]
    runs = found.probes["architecture"].isin([first, second]).to_numpy().nonzero()[0]  # first, second, first, second
    noisy = found.probes.assign(verdict="steady", verdict_reasons="")
    noisy.loc[runs[[0, 1, 3]], ["verdict", "verdict_reasons"]] = ["noisy", "Others were busy."]
    told = replace(found, probes=noisy)
    assert told.noisy["architecture"].tolist() == [second]
    assert told.notes == (
        f"1 of 5 probes were noisy, as {second}: Others were busy. Calibrate again when the machine is quiet.",
    )


def test_predictions_tighten_from_network_to_network_whatever_was_measured_again(lab: Lab, few: None) -> None:
    made = lab.calibrate().calibration
    assert len(made.run_ids) == 10
    steps = workflows_foretold.tightening(lab.store, made)
    assert [one.n_probes for one in steps] == [3, 4, 5]
    assert [one.then and one.then.architecture for one in steps] == [*lab.order[3:5], None]


def test_the_sentinel_does_not_make_up_for_a_probe_that_failed(lab: Lab) -> None:
    lab.obey(latency_ms={name: lab.law["latency_ms"][name] for name in lab.order[:2]})
    with pytest.raises(BadQuestion, match=r"2 of 18 probes worked, and predictions need 3"):
        lab.calibrate()
    with pytest.raises(BadQuestion, match="not calibrated for any setup yet"):
        workflows_calibrate.predict(lab.store, ["resnet50"])


def test_a_probe_of_a_slower_moment_is_measured_again_and_corrected_for_its_slowdown(lab: Lab, few: None) -> None:
    before = lab.calibrate().known
    slowed, ms = lab.order[1], lab.law["latency_ms"]
    lab.obey(pulse_ms={slowed: 1.5}, latency_ms=ms | {slowed: 1.5**SUFFERED * ms[slowed]})
    workflows_measure.delete_runs(lab.store, list(workflows_measure.runs(lab.store)["run_id"]))
    found = lab.calibrate()
    others = [name for name in lab.order[:5] if name != slowed]
    assert found.probes["architecture"].tolist() == [*lab.order[:5], slowed, slowed, *others]
    assert found.notes == (
        "1 of 6 networks ran while the machine was up to 50 % slower than at its full pace: their latencies were "
        "corrected for that, and what is predicted is of a machine 8 % slower than that on average, as it was in its "
        "last measurements.",
    )
    assert found.known.posterior.mean == pytest.approx(before.posterior.mean, abs=0.1)


def test_a_sentinel_that_fails_leaves_the_drift_unknown_and_says_so(lab: Lab, few: None) -> None:
    lab.keep(sentinels=1)
    (one,) = workflows_calibrate.known(lab.store)
    listed = workflows_measure.runs(lab.store)
    found = workflows_calibrate.Calibrated(one.calibration, one, listed[listed["architecture"] != SENTINEL], 1.0, "")
    assert found.notes[0] == "Whether the machine drifted is not known: a run of the sentinel is missing."


def test_a_sentinel_that_drifts_marks_the_calibration(lab: Lab, few: None) -> None:
    lab.obey(sentinel_ms=[5.0, 5.5])
    found = lab.calibrate()
    assert found.calibration.drift == pytest.approx(0.1) and found.calibration.drifted
    assert found.notes[0].startswith("The sentinel drifted by 10 % over the calibration")
    assert set(found.probes["verdict"]) == {"noisy"}


def test_cancelling_half_way_keeps_what_was_measured(lab: Lab) -> None:
    lab.obey(held=[lab.order[4]])
    job_id = workflows_calibrate.submit_calibration(lab.store, lab.here)
    queue = workflows_measure.jobs(lab.store)
    until(lambda: queue.state(job_id).n_done == 5, "four probes and the sentinel")
    assert [one.status for one in workflows_calibrate.calibrations(lab.store)] == ["running"]
    queue.cancel(job_id)
    found = workflows_calibrate.finished(lab.store, job_id)
    assert found.problem == "The job was cancelled with up to 20 more to measure."
    assert found.calibration.status == "stopped" and found.probes["architecture"].tolist() == lab.order[:4]
    assert found.notes[-1].startswith("4 of 12 probes were measured")
    assert len(workflows_calibrate.predict(lab.store, ["resnet50"])) == 1


# -- what is known -------------------------------------------------------------------------------------


def test_a_network_is_known_by_its_newest_steady_run_else_by_its_newest_noisy_one(lab: Lab) -> None:
    name = lab.order[0]
    ids = [lab.keep(hour=hour, noisy=(name,) * (hour != 12), slower=1 + hour / 1000)[0] for hour in (10, 11)]
    noisy = workflows_calibrate.known(lab.store)[0].measured[lab.row(name)]
    assert (noisy.verdict, noisy.run_id) == ("noisy", ids[1])
    assert noisy.p50 == pytest.approx(1.011 * lab.law["latency_ms"][name])
    ids += [lab.keep(hour=hour, noisy=(name,) * (hour != 12), slower=1 + hour / 1000)[0] for hour in (12, 13)]
    steady = workflows_calibrate.known(lab.store)[0].measured[lab.row(name)]
    assert (steady.verdict, steady.run_id) == ("steady", ids[2])


def test_setups_are_calibrated_each_on_its_own_and_known_together(lab: Lab) -> None:
    lab.keep()
    alone = workflows_calibrate.known(lab.store)
    lab.keep(hour=11, layout="nhwc")
    both = workflows_calibrate.known(lab.store)
    assert [one.setup.layout for one in alone] == ["nchw"]
    assert [one.setup.layout for one in both] == ["nchw", "nhwc"]
    assert not set(alone[0].measured.values()) & set(both[1].measured.values())
    assert workflows_calibrate.known(lab.store, runtime="openvino") == []
    assert workflows_calibrate.known(lab.store, batch_size=4) == []
    assert len(workflows_calibrate.known(lab.store, precision="fp32", batch_size=None)) == 2


def test_whatever_was_measured_in_a_calibrated_setup_is_a_probe(lab: Lab) -> None:
    lab.keep(n=2, prefix="")
    assert workflows_calibrate.known(lab.store) == []  # measured, but not calibrated
    lab.keep(hour=11, n=3)
    lab.keep(hour=12, n=6, prefix="")
    (one,) = workflows_calibrate.known(lab.store)
    assert one.n_probes == 6 + 1  # the sentinel is one too
    assert len(one.calibration.run_ids) == 3


def test_deleting_a_probe_takes_it_out_of_the_calibration(lab: Lab) -> None:
    ids = lab.keep()
    workflows_measure.delete_runs(lab.store, ids[:1])
    (left,) = workflows_calibrate.calibrations(lab.store)
    assert (left.run_ids, left.status) == (ids[1:], "complete")
    assert workflows_calibrate.known(lab.store)[0].n_probes == 4 + 1  # the sentinel is one too
    workflows_measure.delete_runs(lab.store, ids)
    assert workflows_calibrate.calibrations(lab.store) == []


def test_calibrations_are_listed_newest_first_and_one_that_ended_early_says_so(lab: Lab) -> None:
    lab.keep(hour=10)
    lab.keep(hour=11, sentinels=1)
    lab.keep(hour=12, n=2)
    assert [(one.status, one.started_at) for one in workflows_calibrate.calibrations(lab.store)] == [
        ("too few", "2026-07-01T12:00:00+00:00"), ("stopped", "2026-07-01T11:00:00+00:00"),
        ("complete", "2026-07-01T10:00:00+00:00"),
    ]  # fmt: skip
    assert workflows_calibrate.known(lab.store)[0].calibration.status == "complete"


def test_a_stale_calibration_is_listed_with_the_reason_and_predicts_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.keep()
    (made,) = workflows_calibrate.calibrations(lab.store)
    assert workflows_calibrate.stale_calibrations(lab.store) == []
    monkeypatch.setattr(machine, "versions", lambda *_packages: VERSIONS | {"torch": "2.16.0"})
    ((stale, reasons),) = workflows_calibrate.stale_calibrations(lab.store)
    assert stale == made and workflows_calibrate.calibrations(lab.store) == [made]
    assert reasons == ("It was made with torch 2.15.0, and 2.16.0 is installed now: calibrate again.",)
    assert workflows_calibrate.known(lab.store) == []
    with pytest.raises(BadQuestion) as told:
        workflows_calibrate.predict(lab.store, ["resnet50"])
    assert str(told.value) == (
        "The calibration of pytorch-eager fp32 does not hold: it was made with torch 2.15.0, and 2.16.0 is installed "
        "now: calibrate again with 'python -m advisor calibrate'."
    )


def test_runs_with_other_versions_are_no_probes_of_what_is_installed_now(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.keep(n=6)
    newer = VERSIONS | {"torch": "2.16.0"}
    lab.keep(hour=11, n=4, versions=newer)
    assert [(one.setup.software, one.n_probes) for one in workflows_known.known(lab.store)] == [
        ("torch 2.15.0, timm 1.0.31", 7)
    ]  # fmt: skip
    monkeypatch.setattr(machine, "versions", lambda *_packages: newer)
    assert [(one.setup.software, one.n_probes) for one in workflows_known.known(lab.store)] == [
        ("torch 2.16.0, timm 1.0.31", 5)
    ]  # fmt: skip


def test_a_calibration_of_another_machine_is_foreign(lab: Lab) -> None:
    lab.keep(device=OTHER, threads=8)
    ((made, reasons),) = workflows_calibrate.stale_calibrations(lab.store)
    here = machine.machine("cpu").name
    assert reasons == (f"It was made on Other, 8 cores, and this is {here}: calibrate here.",)
    assert (made.asked, len(made.run_ids)) == (replace(lab.here, threads=8), 5)
    assert workflows_calibrate.known(lab.store) == []


def test_what_is_known_is_not_worked_out_twice(lab: Lab) -> None:
    lab.keep()
    first, second = (workflows_calibrate.known(lab.store)[0] for _ in range(2))
    assert first is second
