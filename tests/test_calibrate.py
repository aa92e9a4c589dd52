"""Calibrating and predicting with a measuring process that needs no torch: queue, store and predictor are real."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from advisor import workflows, workflows_calibrate, workflows_known, workflows_measure, workflows_predict
from advisor.cli import main
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure import lines, machine, models, rows
from advisor.measure.job_state import JobState
from advisor.measure.jobs import Jobs
from advisor.measure.sweep import SENTINEL
from advisor.predict.calibration import PREFIX, Asked
from advisor.predict.columns import Setup
from advisor.predict.history import History, history
from advisor.predict.predictor import Prior
from tests import run_data
from tests.invented_devices import CPU, invented, setup_of, some_profiles
from tests.waiting import until

OTHER = {**run_data.MACHINE, "device_id": "other-8c-16gb-123456", "name": "Other, 8 cores"}
_ORDER: list[str] = []
VERSIONS = {"torch": "2.15.0", "timm": "1.0.31", "onnxruntime": "1.31.0", "openvino": "2026.4.0"}


@pytest.fixture(scope="module")
def past() -> History:
    shipped = some_profiles(1)
    sentinel = shipped.positions[SENTINEL, 224]
    profiles = shipped.only(sorted({*range(0, len(shipped), 10), sentinel}))
    return history(profiles, [invented(profiles, setup_of(f"cpu-{seed}"), seed) for seed in range(3)])


def native(past: History) -> dict[str, int]:
    """The row of each network at its native size."""
    known = models.load()
    return {name: row for (name, size), row in past.profiles.positions.items() if known[name].img_size == size}


@dataclass
class Lab:
    """A store and a measuring process that obeys a law: an invented device, see `fake_probes.Law`."""

    store: Store
    past: History
    folder: Path
    law: dict[str, Any] = field(default_factory=dict)
    here: Asked = field(init=False)

    def __post_init__(self) -> None:
        latency_ms = invented(self.past.profiles, CPU, 40, noise=0.01).latency_ms
        self.here = workflows_calibrate.asked()
        self.law = {
            "latency_ms": {name: float(latency_ms[row]) for name, row in native(self.past).items()},
            "img_size": {name: one.img_size for name, one in models.load().items()},
            "environment": {"versions": VERSIONS, "usable_threads": machine.usable_threads()},
        }
        self.obey()

    @property
    def order(self) -> list[str]:
        """The probes of the setup without changes."""
        if not _ORDER:  # the same in every test
            _ORDER.extend(workflows_calibrate.probe_order(self.store, self.here))
        return _ORDER

    def obey(self, **changes: Any) -> None:
        """Change the law of the device."""
        self.law |= changes
        (self.folder / "law.json").write_text(json.dumps(self.law))

    def without(self, *names: str) -> dict[str, float]:
        """The latencies of all others: these fail."""
        return {name: ms for name, ms in self.law["latency_ms"].items() if name not in names}

    def calibrate(self) -> workflows_calibrate.Calibrated:
        """Calibrate with the measuring process."""
        return workflows_calibrate.calibrate(self.store, self.here)

    def keep(
        self, *, hour: int = 10, n: int = 5, sentinels: int = 2, noisy: tuple[str, ...] = (), slower: float = 1.0,
        versions: dict[str, str] = VERSIONS, device: dict[str, Any] | None = None, prefix: str = PREFIX, **changes: Any,
    ) -> tuple[str, ...]:  # fmt: skip
        """Store a calibration as the process would have made it; the ids of its probes' runs."""
        asked, here = replace(self.here, **changes), device or lines.plain(machine.machine("cpu"))
        threads = {"usable_threads": machine.usable_threads()}
        requests = [asked.request(name) for name in self.order[:n]]
        around = [asked.sentinel] * sentinels
        made = []
        for i, request in enumerate([*around[:1], *requests, *around[1:]]):
            name = request.architecture
            one = run_data.run(
                f"20260701T{hour}{i:02d}00-000000-00000000", slower * self.law["latency_ms"].get(name, 5.0),
                architecture=name, img_size=self.law["img_size"][name], device_id=here["device_id"],
                reasons=("Busy.",) if name in noisy else (), started_at=f"2026-07-01T{hour}:{i:02d}:00+00:00",
                sweep_id=prefix and f"{prefix}12345678-{hour}", job_id=f"{hour:06d}-00000000", threads=asked.threads,
                parts={"environment": {"versions": versions, **threads}},
            )  # fmt: skip
            made.append(replace(one, request=request))
        run_data.save(self.store, *made, machine=here)
        return tuple(one.run_id for one in made if one.request in requests)

    def row(self, name: str) -> int:
        return native(self.past)[name]


@pytest.fixture
def lab(ready: Store, past: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setenv("FAKE_DIR", str(folder))
    monkeypatch.setenv("ADVISOR_HOME", str(ready.home))
    monkeypatch.setattr(workflows, "DATA", ready.data)
    fake = (sys.executable, "-S", str(Path(__file__).parent / "fake_probes.py"))
    monkeypatch.setattr(workflows_measure, "Jobs", partial(Jobs, host_command=fake))
    monkeypatch.setattr(workflows_predict, "published", lambda _store: (past, Prior()))
    monkeypatch.setattr(machine, "versions", lambda *_packages: VERSIONS)
    yield Lab(ready, past, folder)
    workflows_measure.jobs(ready).close()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five probes are enough where it is not their number that is tested."""
    monkeypatch.setattr(workflows_calibrate, "N_PROBES", 5)


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, args)


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


# -- a calibration -------------------------------------------------------------------------------------


def test_a_dozen_probes_are_measured_between_two_sentinels_and_predict_the_rest(lab: Lab) -> None:
    seen: list[JobState] = []
    found = workflows_calibrate.calibrate(lab.store, lab.here, on_change=seen.append)
    made = found.calibration
    assert (made.status, found.problem, found.notes) == ("complete", "", ())
    assert found.probes["architecture"].tolist() == lab.order[:12]
    assert len(workflows_measure.runs(lab.store)) == 14
    assert (made.drift, made.drifted, made.skipped) == (0.0, False, ())
    assert seen[-1].ended and seen[-1].n_done == 14 and seen[-1].title == "Calibration: pytorch-eager fp32"
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
    assert found.probes["architecture"].tolist() == [lab.order[i] for i in (0, 2, 3, 4, 5)]
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
    assert found.problem.startswith("The job was cancelled")
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


# -- the commands --------------------------------------------------------------------------------------


def test_calibrate_prints_every_promised_field(lab: Lab, few: None) -> None:
    result = invoke("calibrate", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["status"], found["runtime"], found["precision"]) == ("complete", "pytorch-eager", "fp32")
    assert [one["architecture"] for one in found["probes"]] == lab.order[:5]
    assert {one["verdict"] for one in found["probes"]} == {"steady"}
    assert found["probes"][0]["latency_ms"]["p50"] == lab.law["latency_ms"][lab.order[0]]
    assert (found["n_noisy"], found["skipped"], found["drift"]) == (0, [], 0.0)
    assert found["n_predicted"] == len(lab.past.profiles) - 6 and found["interval_ratio"] > 1


def test_noisy_probes_are_no_failure(lab: Lab, few: None) -> None:
    lab.obey(noisy=lab.order)
    result = invoke("calibrate")
    assert result.exit_code == 0, result.output
    assert "5 of 5 probes were noisy" in " ".join(result.stdout.split())


def test_predict_says_what_is_measured_and_what_is_predicted(lab: Lab) -> None:
    lab.keep()
    probe, other = lab.order[0], lab.order[10]
    result = invoke("predict", probe, other, "--json")
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.stdout)
    assert (first["architecture"], first["evidence"], first["verdict"]) == (probe, "measured", "steady")
    assert first["latency_ms"]["p50"] == lab.law["latency_ms"][probe]
    assert first["latency_ms"]["hi90"] == pytest.approx(first["latency_ms"]["p50"] * (1 + 0.01 * 1.645 / 1.96))
    assert workflows_measure.run(lab.store, first["run_id"]).request.architecture == probe
    assert (second["architecture"], second["evidence"], second["run_id"]) == (other, "predicted", None)
    assert second["latency_ms"]["lo90"] < second["latency_ms"]["p50"] < second["latency_ms"]["hi90"]
    assert second["calibration_id"] == workflows_calibrate.calibrations(lab.store)[0].calibration_id
    shown = invoke("predict", other).stdout
    assert "predicted" in shown and "measured" not in shown


def test_weights_name_their_architecture_and_setups_are_listed_in_order(lab: Lab) -> None:
    lab.keep(layout="nhwc")
    lab.keep(hour=11)
    name = lab.order[10]
    found = workflows_calibrate.predict(lab.store, [f"{name}.some_tag", name])
    assert [(one.architecture, one.setup.layout) for one in found] == [(name, "nchw"), (name, "nhwc")]


def test_another_size_is_counted_first(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.keep(n=8)
    shipped = some_profiles(1)
    (name, size) = next(key for key in shipped.positions if key not in lab.past.profiles.positions)
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(workflows_predict, "profiles", lambda *also: asked.extend(also) or shipped)
    (one,) = workflows_calibrate.predict(lab.store, [name], img_size=size)
    assert asked == [(name, size)]
    assert (one.img_size, one.evidence) == (size, "predicted")
    true = invented(shipped, CPU, 40, noise=0.0).latency_ms[shipped.positions[name, size]]
    assert one.lo90_ms / 1.5 < true < one.hi90_ms * 1.5


@pytest.mark.parametrize(("args", "said"), [
    (("calibrate", "--runtime", "tensorrt"), "--runtime must be one of"),
    (("calibrate", "--runtime", "onnxruntime", "--precision", "bf16"), "onnxruntime does not take --precision bf16"),
    (("calibrate", "--budget-s", "nan"), "--budget-s must be more than 0"),
    (("calibrate", "--budget-s", "0"), "--budget-s must be more than 0"),
    (("calibrate", "--threads", "-1"), "--threads must be"),
    (("calibrate", "--batch-size", "0"), "--batch-size must be"),
    (("calibrate", "--device", "cuda:7"), "There is no 'cuda:7' on this machine"),
    (("predict",), "Missing argument"),
    (("predict", "resnet5"), "Did you mean"),
    (("predict", "hf-hub:timm/resnet50"), "paths, URLs and hub ids are refused"),
    (("predict", "resnet50", "--runtime", "tensorrt"), "--runtime must be one of"),
    (("predict", "resnet50", "--device", "cuda:7"), "There is no 'cuda:7' on this machine"),
    (("predict", "resnet50"), "run 'python -m advisor calibrate' first"),
    (("predict", "resnet50", "--runtime", "openvino", "--batch-size", "4"),
     "not calibrated for openvino yet: run 'python -m advisor calibrate --runtime openvino --batch-size 4' first"),
])  # fmt: skip
def test_bad_input_gets_one_sentence(lab: Lab, args: tuple[str, ...], said: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ") and said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_ctrl_c_keeps_what_was_measured_says_so_and_exits_130(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.obey(held=[lab.order[3]])
    waits = Jobs.wait

    def interrupted(queue: Jobs, job_id: str, on_change: Callable[[JobState], None] = lambda _state: None) -> JobState:
        monkeypatch.setattr(Jobs, "wait", waits)  # whoever waits for the end is not interrupted
        until(lambda: queue.state(job_id).n_done == 4, "three probes and the sentinel")
        raise KeyboardInterrupt

    monkeypatch.setattr(Jobs, "wait", interrupted)
    result = invoke("calibrate")
    assert result.exit_code == 130
    assert "Cancelled. 3 probes were measured and are kept." in result.stderr
    assert workflows_measure.jobs(lab.store).states()[0].status == "cancelled"
    assert len(workflows_calibrate.predict(lab.store, ["resnet50"])) == 1


# -- a real one ----------------------------------------------------------------------------------------


@pytest.mark.timm
def test_a_real_calibration_predicts_a_network_that_was_not_measured(
    ready: Store, past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADVISOR_HOME", str(ready.home))
    monkeypatch.setattr(workflows, "DATA", ready.data)
    monkeypatch.setattr(workflows_predict, "published", lambda _store: (past, Prior()))
    monkeypatch.setattr(workflows_calibrate, "N_PROBES", 3)
    profiled = past.profiles.models.iloc[list(native(past).values())].sort_values(["macs", "architecture"])
    small = [name for name in profiled["architecture"] if name != SENTINEL and not name.startswith("test_")][:4]
    monkeypatch.setattr(workflows_calibrate, "probe_order", lambda *_args: small[:3])
    try:
        result = invoke("calibrate", "--threads", "1", "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert [one["architecture"] for one in found["probes"]] == small[:3]
        assert found["status"] == "complete" and found["threads"] == 1
        (one,) = json.loads(invoke("predict", small[3], "--json").stdout)
        assert one["evidence"] == "predicted" and 0 < one["latency_ms"]["p50"] < 1000
        run = workflows_measure.run(ready, found["probes"][0]["run_id"])
        assert run.measured is not None and run.measured.work is not None and len(run.measured.work.timed) > 10
        assert workflows_calibrate.stale_calibrations(ready) == []
    finally:
        workflows_measure.jobs(ready).close()
