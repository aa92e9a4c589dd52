"""Finding the best here with a measuring process that needs no torch: queue, store, predictor and search are real."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from advisor import (
    views_find,
    workflows_find,
    workflows_find_play,
    workflows_find_probing,
    workflows_known,
    workflows_measure,
)
from advisor.cli import main
from advisor.errors import BadQuestion, UnknownName
from advisor.evidence.store import Store
from advisor.measure import lines, machine
from advisor.measure.job_state import JobState
from advisor.measure.request import Request
from advisor.measure.run import Parity, Run
from advisor.measure.stretches import SUFFERED
from advisor.measure.sweep import SENTINEL
from advisor.predict.calibration import PREFIX
from advisor.predict.history import History
from advisor.predict.slowness import FULL_PACE, Slowness
from advisor.records import Question
from advisor.workflows_find_play import Case, next_request
from tests import run_data
from tests.calibration_lab import VERSIONS, Lab, opened
from tests.invented_devices import invented_cpus, some_profiles
from tests.small_data import I7_MS
from tests.waiting import until

QUESTION = Question("cpu", max_latency_ms=60.0, families=("all",))


@pytest.fixture(scope="module")
def past() -> History:
    """Over every fifteenth network and those of the small data."""
    shipped = some_profiles(1)
    named = {shipped.positions[key] for key in I7_MS if key in shipped.positions}
    profiles = shipped.only(sorted({*range(0, len(shipped), 15), shipped.positions[SENTINEL, 224], *named}))
    return invented_cpus(profiles, 3)


@pytest.fixture
def lab(ready: Store, past: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(machine, "offers", lambda _target: [("pytorch-eager", "fp32")])
    with opened(ready, past, tmp_path / "fake", monkeypatch) as found:
        found.keep(n=8)
        yield found


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, args)


# -- from a question to a measured pick ----------------------------------------------------------------


def test_a_search_measures_and_answers_with_what_is_true(lab: Lab) -> None:
    seen: list[JobState] = []
    found = workflows_find.find(lab.store, QUESTION, on_change=seen.append)
    pick = found.recommendation.pick
    assert pick is not None and pick.evidence == "measured"
    assert pick.latency_ms == lab.law["latency_ms"][pick.architecture] <= 60.0
    assert 1 <= found.n_measurements <= 5
    assert (found.status, found.problem, seen[-1].ended) == ("done", "", True)
    kept = workflows_measure.runs(lab.store)
    mine = kept[kept["sweep_id"].str.startswith("find-")]
    assert sorted(mine["run_id"]) == sorted(run.run_id for run in found.runs)
    assert found.not_considered == ()


ALL_RUNTIMES = [
    ("pytorch-eager", "fp32"), ("pytorch-compile", "fp32"), ("openvino", "fp32"), ("openvino", "auto"),
]  # fmt: skip


def test_a_few_probes_let_every_installed_runtime_take_part(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: ALL_RUNTIMES)
    found = workflows_find.find(lab.store, QUESTION, confirm=1)
    kept = workflows_measure.runs(lab.store)
    probed = kept[kept["sweep_id"].str.startswith(PREFIX) & (kept["runtime"] != "pytorch-eager")]
    assert probed["runtime"].value_counts().to_dict() == dict.fromkeys(
        ["openvino", "pytorch-compile"], workflows_find_probing.N_PROBES
    )
    in_order = probed.sort_values("run_id")["runtime"].drop_duplicates().tolist()
    assert in_order == ["openvino", "pytorch-compile"], "what takes longest comes last"
    considered = {one.setup.runtime for one in workflows_find.case_of(lab.store, QUESTION).knowns}
    assert considered == {"pytorch-eager", "openvino", "pytorch-compile"}
    assert found.not_considered == ()  # OpenVINO's own choice is fp32 here
    assert workflows_find.submit_probes(lab.store, QUESTION) == []  # once is enough


def test_a_second_question_while_the_probes_wait_does_not_ask_for_them_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: ALL_RUNTIMES)
    lab.obey(held=list(lab.law["latency_ms"]))  # every network hangs
    job_ids = workflows_find.submit_probes(lab.store, QUESTION)
    assert len(job_ids) == 2
    assert workflows_find.submit_probes(lab.store, replace(QUESTION, max_latency_ms=30.0)) == []
    for job_id in job_ids:
        workflows_measure.jobs(lab.store).cancel(job_id)
        assert workflows_measure.jobs(lab.store).wait(job_id).status == "cancelled"


def test_the_command_says_what_it_probes_first_and_how_long_that_takes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: ALL_RUNTIMES)
    args = ("find", "--max-latency-ms", "60", "--families", "all", "--confirm", "0", "--json")
    first = invoke(*args)
    assert first.exit_code == 0, first.output
    assert first.stderr == (
        "First a few probes of openvino and pytorch-compile, not calibrated yet: about 2 min. A --runtime makes it a "
        "search with that one alone.\n"
    )
    assert json.loads(first.stdout)["n_measurements"] == 0
    assert invoke(*args).stderr == ""


@pytest.mark.parametrize(("asked", "question", "probed"), [
    ({"runtime": "pytorch-eager"}, QUESTION, []), ({}, replace(QUESTION, runtime="pytorch-eager"), []),
    ({}, replace(QUESTION, layout="nhwc"), []),
    ({}, replace(QUESTION, layout="nchw"), [("openvino", "auto"), ("pytorch-compile", "fp32")]),
    ({"precision": "fp32"}, QUESTION, [("openvino", "fp32"), ("pytorch-compile", "fp32")]),
    ({}, replace(QUESTION, precision="fp32"), [("openvino", "fp32"), ("pytorch-compile", "fp32")]),
    ({"precision": "bf16"}, QUESTION, []),
])  # fmt: skip
def test_only_what_a_question_leaves_open_is_probed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], question: Question, probed: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: ALL_RUNTIMES)
    wanted = workflows_find.unprobed(lab.store, question, **asked)
    assert [(one.runtime, one.precision) for one in wanted] == probed


def test_a_runtime_that_does_not_run_is_probed_once_and_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: [("pytorch-eager", "fp32"), ("openvino", "auto")])
    lab.obey(latency_ms={})
    for n_jobs in (1, 0):
        job_ids = workflows_find.submit_probes(lab.store, QUESTION)
        assert len(job_ids) == n_jobs
        for job_id in job_ids:
            workflows_measure.finished(lab.store, job_id, lambda _state: None)
    runs = workflows_measure.runs(lab.store)
    last = runs.loc[runs["status"] == "failed", "architecture"].iloc[0]  # the newest first
    (told,) = workflows_find.find(lab.store, QUESTION, confirm=0).not_considered
    why = f"openvino auto was not considered, since too few of its probes worked ({last} does not run here): "
    command = "python -m advisor calibrate --runtime openvino --precision auto"
    assert told == f"{why}to try again, run '{command}'."
    assert views_find.left_out([told]) == f"{why}to try again, calibrate it above."


def test_a_runtime_whose_calibration_does_not_hold_any_more_is_probed_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(machine, "offers", lambda _target: [("pytorch-eager", "fp32"), ("openvino", "auto")])
    workflows_find.find(lab.store, QUESTION, confirm=0)
    assert workflows_find.unprobed(lab.store, QUESTION) == []
    newer = VERSIONS | {"openvino": "2026.5.0"}
    monkeypatch.setattr(machine, "versions", lambda *_packages: newer)
    lab.obey(environment=lab.law["environment"] | {"versions": newer})
    assert [one.runtime for one in workflows_find.unprobed(lab.store, QUESTION)] == ["openvino"]
    found = workflows_find.find(lab.store, QUESTION, confirm=0)
    assert found.not_considered == ()
    assert workflows_find.unprobed(lab.store, QUESTION) == []


def test_a_second_search_measures_nothing_that_is_known(lab: Lab) -> None:
    first = workflows_find.find(lab.store, QUESTION)
    second = workflows_find.find(lab.store, QUESTION)
    assert first.n_measurements > second.n_measurements
    known = {run.request.architecture for run in first.runs}
    assert not known & {run.request.architecture for run in second.runs}
    assert second.recommendation.pick is not None and first.recommendation.pick is not None
    assert (second.recommendation.pick.accuracy or 0) >= (first.recommendation.pick.accuracy or 0)


def test_an_answer_is_the_same_after_a_restart(lab: Lab) -> None:
    found = workflows_find.find(lab.store, QUESTION)
    workflows_find._case.cache_clear()
    workflows_known._known.cache_clear()
    again = workflows_find.answer_of(Store(lab.store.home, lab.store.data), QUESTION, found.job_id)
    assert [(one.run_id, one.p_within, one.expected_gain, one.why, one.followed) for one in again.path] == [
        (one.run_id, pytest.approx(one.p_within), pytest.approx(one.expected_gain), one.why, one.followed)
        for one in found.path
    ]
    assert again.recommendation.pick == found.recommendation.pick
    assert again.p_missed == pytest.approx(found.p_missed)


def test_a_search_begins_as_slow_as_the_machine_was_in_its_last_measurements(lab: Lab) -> None:
    assert workflows_find.case_of(lab.store, QUESTION).slowness == FULL_PACE, "no pulse is known"
    ids = lab.keep(hour=11, n=8, pulses_ms=[1.0] * 6 + [2.0] * 4)  # a sentinel, eight probes, a sentinel
    slowed = workflows_find.case_of(lab.store, QUESTION).slowness
    expected = Slowness.of_runs([1.0] * 6 + [2.0**SUFFERED] * 4)
    assert slowed.scaled(SUFFERED) == Slowness(pytest.approx(expected.log), pytest.approx(expected.deviation))
    assert workflows_find.case_of(lab.store, QUESTION, before=ids[5]).slowness == FULL_PACE
    found = workflows_find.find(lab.store, QUESTION, confirm=0)
    assert [one.text for one in found.recommendation.reasons if one.rule == "slow-moments"] == [
        "In its last measurements before this question the machine was on average 32 % slower than at its full pace. "
        "Chances and predictions here are of a machine that is 32 % slower, as those measurements let one expect: what "
        "keeps the limit at full pace may break it in such a moment."
    ]  # 2 ** (4 / 10)


def test_what_a_page_shows_while_it_goes_on(lab: Lab) -> None:
    lab.obey(held=list(lab.law["latency_ms"]))  # every network hangs
    job_id = workflows_find.submit_find(lab.store, QUESTION)
    until(lambda: workflows_measure.jobs(lab.store).state(job_id).current is not None, "a measurement")
    found = workflows_find.answer_of(lab.store, QUESTION, job_id)
    assert (found.status, found.ended, found.path) == ("running", "", ())
    workflows_measure.jobs(lab.store).cancel(job_id)
    state = workflows_measure.jobs(lab.store).wait(job_id)
    assert state.status == "cancelled"
    assert "cancelled after 0 measurements" in workflows_find.answer_of(lab.store, QUESTION, job_id).ended


def test_an_interrupt_keeps_what_was_measured_and_answers_with_it(lab: Lab) -> None:
    first = next_request(workflows_find.case_of(lab.store, QUESTION), [], confirm=5)
    assert first is not None
    too_slow = lab.law["latency_ms"] | {first.architecture: 60.5}  # so that another one is tried, which hangs
    lab.obey(latency_ms=too_slow, held=[name for name in too_slow if name != first.architecture])

    def interrupt(state: JobState) -> None:
        if state.n_done == 1 and state.current is not None:
            raise KeyboardInterrupt

    found = workflows_find.find(lab.store, QUESTION, on_change=interrupt)
    assert (found.status, found.n_measurements) == ("cancelled", 1)
    assert [run.request for run in found.runs] == [first]
    assert found.ended == "It was cancelled after 1 measurement: this is the answer so far."


def test_a_search_finds_its_own_job_again_and_no_other(lab: Lab) -> None:
    job_id = workflows_find.submit_find(lab.store, QUESTION, confirm=0)
    state = workflows_measure.jobs(lab.store).wait(job_id)
    other = Question("cpu", max_latency_ms=61.0, families=("all",))
    assert workflows_find.answers(state, QUESTION) and not workflows_find.answers(state, other)
    with pytest.raises(BadQuestion, match="answers another question"):
        workflows_find.answer_of(lab.store, other, job_id)


# -- what was known before, and what fails -------------------------------------------------------------


def measured_before(lab: Lab, architecture: str, p50: float, **more: Any) -> Run:
    """A run of the lab's machine, made after every calibration."""
    parts = {"environment": lab.law["environment"], **more.pop("parts", {})}
    made = run_data.run(
        "20260701T200000-000000-00000000", p50, architecture=architecture, threads=lab.here.threads, parts=parts,
        device_id=machine.machine("cpu").device_id, started_at="2026-07-01T20:00:00+00:00", **more,
    )  # fmt: skip
    run_data.save(lab.store, made, machine=lines.plain(machine.machine("cpu")))
    return made


def test_candidates_that_do_not_run_are_part_of_the_way_and_no_failure(lab: Lab) -> None:
    """The probes of the calibration were measured before, and nothing else runs."""
    before = workflows_find.find(lab.store, QUESTION, confirm=0)
    lab.obey(latency_ms={})
    found = workflows_find.find(lab.store, QUESTION, confirm=2)
    assert found.pick_run_id == before.pick_run_id is not None
    assert [one.status for one in found.path] == ["failed"] * 2
    assert (found.status, found.problem) == ("done", "")
    assert found.ended == "The 2 measurements that were allowed are made."
    result = invoke("find", "--max-latency-ms", "60", "--families", "all", "--confirm", "1")
    assert result.exit_code == 0, result.output
    assert "Use " in result.stdout and "1 measurement took" in " ".join(result.stdout.split())


def test_a_choice_that_breaks_ends_the_search_early_and_says_why(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(case: Case, runs: Sequence[Run], *, confirm: int) -> Request | None:
        if runs:
            raise BadQuestion("The store was moved.")
        return next_request(case, runs, confirm=confirm)

    monkeypatch.setattr(workflows_find_play, "next_request", once)
    found = workflows_find.find(lab.store, QUESTION)
    assert (found.status, found.problem) == ("failed", "The store was moved.")
    assert found.ended == "It ended early after 1 measurement."


def test_a_pick_that_was_measured_before_tells_how_far_its_outputs_differ(lab: Lab) -> None:
    lab.keep(hour=11, n=8, runtime="openvino", precision="bf16")
    parts = {"parity": Parity(0.02, 0.004, 0.05, True)}
    earlier = measured_before(lab, "resnet50", 20.0, parts=parts, runtime="openvino", precision="bf16")
    asked = Question("cpu", max_latency_ms=60.0, families=("ResNet",))
    found = workflows_find.find(lab.store, asked, confirm=0, runtime="openvino", precision="bf16")
    assert found.pick_run_id == earlier.run_id
    (told,) = (one.text for one in found.recommendation.reasons if one.rule == "reduced-precision")
    assert "differed from eager fp32 by at most 0.4 % of the largest value" in told


def test_a_setup_whose_calibration_does_not_hold_is_left_out_with_the_reason(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: [("pytorch-eager", "fp32"), ("openvino", "auto")])
    lab.keep(
        hour=11, n=5, versions=VERSIONS | {"openvino": "2026.3.0"}, sentinels=0, runtime="openvino", precision="auto"
    )
    assert workflows_find.case_of(lab.store, QUESTION).notes == (
        "openvino auto was not considered, since its calibration does not hold: it was made with openvino 2026.3.0, "
        "and 2026.4.0 is installed now: calibrate again with 'python -m advisor calibrate --runtime openvino "
        "--precision auto'.",
    )


# -- bad input -----------------------------------------------------------------------------------------


def test_what_cannot_be_answered_is_refused_in_one_sentence(lab: Lab) -> None:
    """One store for all of them: making it takes longer than asking."""
    for fields, said in (
        ({"max_latency_ms": None}, "needs --max-latency-ms"),
        ({"runtime": "onnxruntime"}, "not calibrated for onnxruntime yet .*: run 'python -m advisor calibrate --run"),
        ({"batch_size": 8}, "calibrate --batch-size 8'"),
        ({"precision": "bf16"}, "calibrate --precision bf16'"),
        ({"precision": "int8"}, "calibrate --runtime onnxruntime --precision int8'"),  # eager mode takes none
        ({"device_id": "rtx-4090"}, "There is no 'rtx-4090' on this machine: choose --device from"),
    ):  # fmt: skip
        asked: dict[str, object] = {"device_id": "cpu", "max_latency_ms": 60.0} | fields
        with pytest.raises(BadQuestion, match=said):
            workflows_find.find(lab.store, Question(**asked))  # type: ignore[arg-type]


def test_unknown_names_get_close_ones(lab: Lab) -> None:
    with pytest.raises(UnknownName, match="Did you mean openvino"):
        workflows_find.find(lab.store, QUESTION, runtime="openvin")
    with pytest.raises(UnknownName, match="Did you mean RegNet"):
        workflows_find.find(lab.store, Question("cpu", max_latency_ms=9.0, families=("RegNets",)))


def test_without_a_calibration_the_command_for_one_is_named(ready: Store) -> None:
    assert workflows_find.unprobed(ready, QUESTION) == [], "no search can begin"
    with pytest.raises(BadQuestion, match="not calibrated for any setup yet: run 'python -m advisor calibrate' first"):
        workflows_find.find(ready, QUESTION)


@pytest.mark.parametrize("name", ["cpu", "this-machine", "This machine", "this-machine:cpu"])
def test_names_of_this_machine(name: str) -> None:
    assert workflows_find.target_of(name) == "cpu"
    assert workflows_find.target_of(machine.machine("cpu").device_id) == "cpu"


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_prints_json_and_a_table(lab: Lab) -> None:
    result = invoke("find", "--max-latency-ms", "60", "--families", "all", "--confirm", "3", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["pick"]["evidence"] == "measured" and said["n_measurements"] <= 3
    assert {"measured", "seconds", "p_missed", "path", "runtime_worth", "question", "reasons"} <= set(said)
    shown = invoke("find", "--max-latency-ms", "60", "--families", "all")
    assert shown.exit_code == 0, shown.output
    assert "What the runtime alone is worth." in shown.output and "Use " in shown.output


def test_bad_options_get_one_sentence(lab: Lab) -> None:
    for args, said in (
        ((), "Missing option '--max-latency-ms'"),
        (("--max-latency-ms", "0"), "--max-latency-ms must be a number above 0"),
        (("--max-latency-ms", "9", "--confirm", "-1"), "--confirm must be 0 to 100, not -1."),
        (("--max-latency-ms", "9", "--budget-s", "0"), "The time to measure in must be more than 0 s"),
        (("--max-latency-ms", "9", "--device", "gpu"), "There is no 'gpu' on this machine"),
        (("--max-latency-ms", "9", "--runtime", "tensorrt"), "Unknown runtime 'tensorrt'"),
    ):
        result = invoke("find", *args)
        assert result.exit_code == 1, args
        assert result.stderr.startswith("Error: ") and said in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
