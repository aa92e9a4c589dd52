"""The commands calibrate and predict, with a measuring process that needs no torch; all else is real."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from advisor import workflows, workflows_calibrate, workflows_measure, workflows_predict
from advisor.cli import main
from advisor.evidence.store import Store
from advisor.measure.job_state import JobState
from advisor.measure.jobs import Jobs
from advisor.measure.stretches import SUFFERED
from advisor.measure.sweep import SENTINEL
from advisor.predict.history import History
from advisor.predict.predictor import Prior
from tests.calibration_lab import Lab, native
from tests.invented_devices import CPU, invented, some_profiles
from tests.waiting import until


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def test_calibrate_prints_every_promised_field(lab: Lab, few: None) -> None:
    result = invoke("calibrate", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["status"], found["runtime"], found["precision"]) == ("complete", "pytorch-eager", "fp32")
    assert [one["architecture"] for one in found["probes"]] == 2 * lab.order[:5], "each a second time"
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


def test_predictions_are_of_the_machine_as_slow_as_it_was_in_its_last_measurements(lab: Lab) -> None:
    lab.keep(n=8, pulses_ms=[1.0] * 6 + [2.0] * 4)
    probe, other = lab.order[0], lab.order[10]
    measured, predicted = json.loads(invoke("predict", probe, other, "--json").stdout)
    (known,) = workflows_calibrate.known(lab.store)
    mean, deviation = (float(part[lab.row(other)]) for part in (known.posterior.mean, known.posterior.deviation))
    slow, unrest = 0.4 * math.log(2), math.log(2) * math.sqrt(0.4 * 0.6)
    unlike = known.probes[0].suffering.doubt * math.hypot(slow, unrest)
    assert predicted["slowdown"] == pytest.approx(2 ** (SUFFERED * 0.4))
    assert predicted["latency_ms"]["p50"] == pytest.approx(math.exp(mean) * predicted["slowdown"])
    wide = math.log(predicted["latency_ms"]["hi90"] / predicted["latency_ms"]["lo90"])
    assert wide == pytest.approx(2 * 1.645 * math.hypot(deviation, SUFFERED * unrest, unlike), rel=1e-3)
    assert (measured["slowdown"], measured["latency_ms"]["p50"]) == (1.0, lab.law["latency_ms"][probe])
    shown = " ".join(invoke("predict", other).stdout.split())
    assert "as it was in its last measurements, 32 % slower on average than at its full pace." in shown
    assert "full pace" not in invoke("predict", probe).stdout


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
    (("calibrate", "--threads", "0"), "--threads must be"),
    (("calibrate", "--batch-size", "0"), "--batch-size must be"),
    (("predict", "resnet50", "--img-size", "0"), "--img-size must be 8 to 8192 px, not 0."),
    (("predict", "resnet50", "--batch-size", "-3"), "--batch-size must be"),
    (("predict", "resnet50", "--precision", "foo"), "--precision must be one of"),
    (("calibrate", "--device", "cuda:7"), "There is no 'cuda:7' on this machine"),
    (("predict",), "Missing argument"),
    (("predict", "resnet5"), "Did you mean"),
    (("predict", "hf-hub:timm/resnet50"), "paths, URLs and hub ids are refused"),
    (("predict", "resnet50", "--runtime", "tensorrt"), "--runtime must be one of"),
    (("predict", "resnet50", "--device", "cuda:7"), "There is no 'cuda:7' on this machine"),
    (("predict", "resnet50"), "run 'python -m advisor calibrate' first"),
    (("predict", "resnet50", "--runtime", "openvino", "--batch-size", "4"),
     "not calibrated for openvino batch 4 yet: run 'python -m advisor calibrate --runtime openvino --batch-size 4'"),
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
        assert [one["architecture"] for one in found["probes"]][:3] == small[:3]
        assert {one["architecture"] for one in found["probes"]} == set(small[:3])
        assert found["status"] == "complete" and found["threads"] == 1
        (one,) = json.loads(invoke("predict", small[3], "--json").stdout)
        assert one["evidence"] == "predicted" and 0 < one["latency_ms"]["p50"] < 1000
        run = workflows_measure.run(ready, found["probes"][0]["run_id"])
        assert run.measured is not None and run.measured.work is not None and len(run.measured.work.timed) > 10
        assert workflows_calibrate.stale_calibrations(ready) == []
    finally:
        workflows_measure.jobs(ready).close()
