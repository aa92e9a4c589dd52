"""The command line: the same answers as the workflows, JSON with the promised fields, one sentence on bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from advisor import workflows
from advisor.cli import main
from advisor.evidence.store import Store
from advisor.records import FOUR_FAMILIES, Question

CANDIDATE_FIELDS = {
    "weights", "architecture", "family", "img_size", "accuracy", "accuracy_name", "latency_ms", "throughput_per_s",
    "batch_size", "params_m", "gmacs", "licence", "pretraining", "evidence", "source_id", "interval", "device_id",
    "runtime", "precision", "layout",
}  # fmt: skip
ANSWER_FIELDS = {
    "question", "setup", "pick", "ties", "runner_up", "by_family", "front", "beyond_families", "reasons", "what_if",
    "nearest_miss", "rejected",
}  # fmt: skip


@pytest.fixture
def run(small: Store, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs a command on the small data."""
    monkeypatch.setenv("ADVISOR_HOME", str(small.home))
    monkeypatch.setattr(workflows, "DATA", small.data)

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(main, args)

    return invoke


def refused(result: Result) -> str:
    """The one sentence of a refusal."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert len(lines) == 1, result.output
    return lines[0]


def test_recommend_json_has_the_promised_fields(run, small: Store) -> None:  # type: ignore[no-untyped-def]
    result = run("recommend", "--device", "i7-12700h", "--max-latency-ms", "20", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert set(data) >= ANSWER_FIELDS
    assert set(data["pick"]) >= CANDIDATE_FIELDS
    assert set(FOUR_FAMILIES) <= set(data["by_family"])
    assert all({"rule", "text", "source", "verdict"} <= set(r) for r in data["reasons"])
    assert all({"limit", "to", "gain_points", "weights"} <= set(w) for w in data["what_if"])
    answer = workflows.recommend(small, Question("i7-12700h", max_latency_ms=20))
    assert answer.pick is not None
    assert data["pick"]["weights"] == answer.pick.weights == "regnety_032.ra_in1k"
    assert data["question"]["max_latency_ms"] == 20
    assert data["question"]["max_params_m"] is None


def test_json_is_strict_json(run) -> None:  # type: ignore[no-untyped-def]
    result = run("recommend", "--device", "rtx-4090", "--families", "all", "--json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(result.output, parse_constant=refuse)


def test_recommend_prints_the_pick_and_what_would_change_it(run) -> None:  # type: ignore[no-untyped-def]
    result = run("recommend", "--device", "i7-12700h", "--max-latency-ms", "20")
    assert "Use regnety_032.ra_in1k at 224 px" in result.output
    assert "+0.7 points for 12 ms more" in result.output


def test_an_empty_answer_is_an_answer_with_the_nearest_miss(run) -> None:  # type: ignore[no-untyped-def]
    result = run("recommend", "--device", "i7-12700h", "--max-latency-ms", "1", "--json")
    assert result.exit_code == 0
    data = json.loads(result.output)
    assert data["pick"] is None
    assert data["nearest_miss"]["relax"] == [["max_latency_ms", 3.0]]


def test_devices_json_lists_setups_with_model_counts(run) -> None:  # type: ignore[no-untyped-def]
    data = {d["device_id"]: d for d in json.loads(run("devices", "--json").output)}
    assert "8x-v100-16gb" not in data
    gpu = data["rtx-4090"]
    assert {"device_id", "name", "kind", "setups"} <= set(gpu)
    fields = {"runtime", "precision", "layout", "batch_size", "task", "software", "n_models"}
    assert all(fields <= set(s) for s in gpu["setups"])
    assert {s["runtime"] for s in gpu["setups"]} == {"pytorch-eager", "pytorch-compile"}


def test_models_claims_and_explain_answer_in_json(run) -> None:  # type: ignore[no-untyped-def]
    models = json.loads(run("models", "--search", "resnet50", "--json").output)
    assert {m["weights"] for m in models} == {
        "resnet50.a1_in1k", "resnet50.fb_swsl_ig1b_ft_in1k", "resnet50.tv_in1k",
    }  # fmt: skip
    claims = json.loads(run("claims", "--device", "rtx-4090", "--json").output)
    assert {c["verdict"] for c in claims} <= {"holds", "fails", "not enough evidence"}
    assert len({c["claim_id"] for c in claims}) >= 11
    (why,) = json.loads(
        run("explain", "resnest50d", "--device", "i7-12700h", "--max-latency-ms", "20", "--json").output
    )
    assert why["broken"][0]["limit"] == "max_latency_ms"
    assert "25" in why["text"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["recommend", "--device", "i7-12700"], "Did you mean i7-12700h"),
        (["recommend", "--device", "8x-v100-16gb"], "sums over 8 accelerators"),
        (["recommend", "--device", "i7-12700h", "--max-latency-ms", "-3"], "--max-latency-ms must be a number above 0"),
        (["recommend", "--device", "i7-12700h", "--max-latency-ms", "nan"], "--max-latency-ms must be a number above"),
        (["recommend", "--device", "i7-12700h", "--max-latency-ms", "fast"], "'fast' is not a valid float"),
        (["recommend", "--device", "i7-12700h", "--min-accuracy", "101"], "cannot exceed 100"),
        (["recommend", "--device", "i7-12700h", "--families", "ResNest,RegNit"], "Unknown family 'RegNit'"),
        (["recommend", "--device", "i7-12700h", "--families", ","], "Choose at least one family"),
        (["recommend", "--device", "i7-12700h", "--accuracy", "top5"], "Did you mean"),
        (
            ["recommend", "--device", "i7-12700h", "--task", "train", "--max-latency-ms", "9"],
            "contradicts --task train",
        ),
        (["recommend", "--device", "i7-12700h", "--runtime", "tflite"], "published there: openvino, pytorch-compile"),
        (["recommend", "--device", "i7-12700h", "--licence", "free"], "'free' is not one of"),
        (
            ["recommend", "--device", "i7-12700h", "--batch-size", "1" + "0" * 400],
            "--batch-size must be at most 1e+12",
        ),
        (["recommend", "--device", "two\nlines"], "Unknown device 'two lines'"),
        (["claims", "--device", ""], "Unknown device ''"),
        (["--bogus"], "No such option"),
        (["recommend"], "Missing option '--device'"),
        (["recomend"], "No such command 'recomend'"),
        (["explain", "resnet5", "--device", "i7-12700h"], "Unknown model 'resnet5'"),
        (["explain", "/etc/passwd", "--device", "i7-12700h"], "Unknown model '/etc/passwd'"),
        (["claims", "--device", "nothing"], "Unknown device 'nothing'"),
        (["models", "--family", "Resnets"], "Unknown family 'Resnets'"),
        (["import", "no-such-file.csv"], "no-such-file.csv"),
        (["refresh", "--url", "http://127.0.0.1:9"], "127.0.0.1:9"),
        (["backtest", "--seed", "-1"], "-1 is not in the range x>=0"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_bad_input_gets_one_sentence_and_exit_code_1(run, args: list[str], says: str) -> None:  # type: ignore[no-untyped-def]
    assert says in refused(run(*args))


def test_an_unambiguous_ending_names_a_device(run) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(run("recommend", "--device", "galaxy-s24", "--max-latency-ms", "2", "--json").output)
    assert data["question"]["device_id"] == "samsung-galaxy-s24"


def test_export_then_import_changes_nothing(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("out.csv", "out.parquet"):
        target = tmp_path / name
        assert run("export", str(target), "--device", "i7-12700h").exit_code == 0
        report = json.loads(run("import", str(target), "--json").output)
        assert report["n_rows"] > 0
        assert (report["n_new"], report["n_known"], report["rejects"]) == (0, report["n_rows"], [])


def test_every_command_explains_itself(run) -> None:  # type: ignore[no-untyped-def]
    for name in main.commands:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert len(result.output) > 80


@pytest.mark.parametrize("home", ["~nosuchuser/x", "/" + "x" * 300, "/proc/x"])
def test_unusable_home_is_one_sentence(run, monkeypatch: pytest.MonkeyPatch, home: str) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("ADVISOR_HOME", home)
    assert "ADVISOR_HOME" in refused(run("devices"))
