"""The commands that measure, with a measuring process that needs no torch; the store and the queue are real."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from advisor import workflows, workflows_measure
from advisor.cli import main
from advisor.evidence.store import Store
from advisor.measure import models
from advisor.measure.jobs import Jobs

Invoke = Callable[..., Result]
RUN_FIELDS = {
    "run_id", "status", "reason", "architecture", "device_id", "runtime", "precision", "layout", "batch_size",
    "img_size", "threads", "latency_ms", "n_samples", "cold_start_ms", "throughput_per_s", "peak_memory_mb", "verdict",
    "verdict_reasons", "parity", "roof_fraction", "environment",
}  # fmt: skip
ONE = ("--runtime", "pytorch-eager")


@pytest.fixture
def invoke(small: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Runs a command; a network's name says what the fake process does (see fake_worker.BEHAVIOURS)."""
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setenv("FAKE_DIR", str(folder))
    monkeypatch.setenv("ADVISOR_HOME", str(small.home))
    monkeypatch.setattr(workflows, "DATA", small.data)
    fake = (sys.executable, "-S", str(Path(__file__).parent / "fake_worker.py"))
    monkeypatch.setattr(workflows_measure, "Jobs", partial(Jobs, host_command=fake))
    real = models.known
    monkeypatch.setattr(models, "known", lambda name: name if name.startswith(("ok", "exit", "drift")) else real(name))

    yield lambda *args: CliRunner().invoke(main, args)
    workflows_measure.jobs(small).close()


def answered(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_measure_prints_every_promised_field_and_the_run_is_kept(invoke: Invoke) -> None:
    (one,) = answered(invoke("measure", "ok_net", *ONE, "--json"))
    assert set(one) >= RUN_FIELDS
    assert (one["status"], one["architecture"], one["runtime"]) == ("ok", "ok_net", "pytorch-eager")
    assert one["latency_ms"] == {"p50": 10.0, "p90": 10.1, "p99": None, "mad": 0.1, "ci95": [9.9, 10.1]}
    assert one["throughput_per_s"] == pytest.approx(100.0)  # batch 1 in 10 ms
    assert one["n_samples"] == 3
    listed = answered(invoke("runs", "--json"))
    assert [row["run_id"] for row in listed] == [one["run_id"]]


def test_every_installed_runtime_is_measured_unless_one_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = [("pytorch-eager", "fp32"), ("onnxruntime", "fp32"), ("openvino", "auto")]
    monkeypatch.setattr(workflows_measure.machine, "offers", lambda _target: offered)
    found = answered(invoke("measure", "ok_net", "--json", "--train"))
    assert [(one["runtime"], one["precision_asked"]) for one in found] == offered


def test_a_request_that_fails_says_why_and_the_others_are_measured(invoke: Invoke) -> None:
    found = answered(invoke("measure", "exit_3_net", "ok_net", *ONE, "--json"))
    assert [one["status"] for one in found] == ["failed", "ok"]
    assert "no such kernel" in str(found[0]["reason"])
    assert found[0]["latency_ms"] is None


def test_exit_code_is_1_where_nothing_could_be_measured(invoke: Invoke) -> None:
    result = invoke("measure", "exit_3_net", *ONE)
    assert result.exit_code == 1
    assert "exit_3_net" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("measure", "mobilenetv3_larg_100"), "Did you mean mobilenetv3_large_100"),
        (("measure", "hf-hub:timm/resnet50"), "paths, URLs and hub ids are refused"),
        (("measure", "../weights.pt"), "paths, URLs and hub ids are refused"),
        (("measure", "ok_net", "--device", "cuda:7"), "cuda:7"),
        (("measure", "ok_net", "--device", "gpu"), "There is no 'gpu' on this machine: choose --device from"),
        (("measure", "ok_net", "--runtime", "tensorrt"), "pytorch-eager, pytorch-compile, onnxruntime, openvino"),
        (("measure", "ok_net", "--runtime", "openvino", "--precision", "int8"), "openvino does not take"),
        (("measure", "ok_net", *ONE, "--precision", "fp8"), "fp8"),
        (("measure", "ok_net", "--precision", "fp8"), "fp8"),
        (("measure", "ok_net", *ONE, "--batch-size", "0"), "--batch-size must be 1 to"),
        (("measure", "ok_net", *ONE, "--img-size", "4"), "--img-size must be 8 to 8192 px, not 4"),
        (("measure", "ok_net", *ONE, "--threads", "-1"), "--threads must be"),
        (("measure", "ok_net", *ONE, "--time-limit", "nan"), "--time-limit must be"),
        (("measure", "ok_net", *ONE, "--features-size", "big"), "height x width in px"),
        (("measure",), "Missing argument"),
        (("sweep", "ok_net", "--top", "3"), "either MODELs, or --top, or --plan"),
        (("sweep", "--plan", "/nowhere/plan.toml"), "cannot be read"),
        (("sweep", "--families", "RegNets"), "Did you mean"),
        (("runs", "--show", "nothing"), "Unknown run 'nothing'"),
        (("runs", "--delete", "nothing"), "Unknown run 'nothing'"),
        (("machine", "--device", "mps"), "mps"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_sentence(invoke: Invoke, args: tuple[str, ...], said: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_deleting_a_run_takes_it_out_and_restoring_brings_it_back(invoke: Invoke) -> None:
    (one,) = answered(invoke("measure", "ok_net", *ONE, "--json"))
    assert answered(invoke("runs", "--delete", str(one["run_id"]), "--json")) == []
    assert len(answered(invoke("runs", "--restore", str(one["run_id"]), "--json"))) == 1


def test_two_runs_are_compared(invoke: Invoke) -> None:
    first, second = answered(invoke("measure", "drifting_a", "drifting_b", *ONE, "--json"))  # 10 and 11 ms
    result = invoke("runs", "--compare", str(first["run_id"]), str(second["run_id"]), "--json")
    assert json.loads(result.stdout)["ratio"] == pytest.approx(10 / 11)


def test_a_sweep_goes_on_where_it_stopped(invoke: Invoke, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"sentinel": "ok_sentinel", "models": ["ok_a", "ok_b"]}))
    first = answered(invoke("sweep", "--plan", str(plan), "--json"))
    again = answered(invoke("sweep", "--plan", str(plan), "--json"))
    assert {one["architecture"] for one in first} == {"ok_a", "ok_b"}
    assert {one["run_id"] for one in again} == {one["run_id"] for one in first}
    assert len(answered(invoke("runs", "--json"))) == 4  # two networks and the sentinel's two runs, none again


def test_a_sweep_whose_sentinel_drifts_says_so_and_its_results_are_noisy(invoke: Invoke, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('sentinel = "drifting_sentinel"\nmodels = ["ok_a"]')  # 10 ms before, 11 ms after
    result = invoke("sweep", "--plan", str(plan))
    assert "The sentinel drifted by 10.0%, so its results are marked as noisy." in result.stdout
    assert {row["verdict"] for row in answered(invoke("runs", "--json"))} == {"noisy"}
    (one,) = answered(invoke("sweep", "--plan", str(plan), "--json"))
    assert one["verdict"] == "noisy"
    assert one["verdict_reasons"][-1] == "The sentinel drifting_sentinel drifted by 10 % over the sweep."  # type: ignore[index]


def test_machine_says_what_it_is_and_what_it_offers(invoke: Invoke) -> None:
    report = json.loads(invoke("machine", "--json").stdout)
    assert report["device_id"] and report["usable_threads"] >= 1
    assert {"runtime": "pytorch-eager", "precision": "fp32"} in report["offers"]


def test_a_history_with_a_failed_run_is_listed_and_deleted_ones_on_demand(invoke: Invoke) -> None:
    found = json.loads(invoke("measure", "exit_3_net", "ok_net", *ONE, "--json").stdout)
    listed = invoke("runs")
    assert listed.exit_code == 0, listed.output
    assert "failed" in listed.stdout
    assert [row["evidence"] for row in answered(invoke("runs", "--json"))] == ["measured", None]
    assert answered(invoke("runs", "--deleted", "--json")) == []
    answered(invoke("runs", "--delete", str(found[1]["run_id"]), "--json"))
    assert [row["run_id"] for row in answered(invoke("runs", "--deleted", "--json"))] == [found[1]["run_id"]]


def test_a_comparison_says_which_run_is_which(invoke: Invoke) -> None:
    first, second = answered(invoke("measure", "drifting_a", "drifting_b", *ONE, "--json"))
    said = invoke("runs", "--compare", str(first["run_id"]), str(second["run_id"])).stdout
    assert "A: drifting_a, pytorch-eager fp32" in said
    assert "B: drifting_b, pytorch-eager fp32" in said
