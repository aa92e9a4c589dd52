"""The door for child processes: whatever a child does becomes one sentence, and nothing is left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from advisor.measure.host import Host
from advisor.measure.killing import end_leftover, oom_kills, started_s
from advisor.measure.lines import Progress, request_values
from advisor.measure.request import Request
from advisor.measure.run import Measured, Roof
from advisor.measure.talk import Outcome, death
from tests.job_place import FAKE
from tests.machine_files import write
from tests.waiting import runs, until

Start = Callable[..., Host]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    made: list[Host] = []

    def make(*manner: str, **options: Any) -> Host:
        made.append(Host((*FAKE, *manner), **options))
        return made[-1]

    yield make
    for host in made:
        host.close()


def ask(host: Host, architecture: str, *, time_limit_s: float = 30.0, **options: Any) -> Outcome:
    value = request_values(Request(architecture=architecture))
    return host.ask("measure", value, time_limit_s=time_limit_s, **options)


def test_a_request_tells_its_progress_and_is_answered_in_types(start: Start) -> None:
    told: list[tuple[str, Any]] = []
    outcome = ask(start(), "ok", on_line=lambda kind, value: told.append((kind, value)))
    assert outcome.ending == "answered"
    assert isinstance(outcome.value, Measured)
    assert outcome.value.latency.times_ms == (9.9, 10.0, 10.1)
    assert [kind for kind, _ in told] == ["started", "progress", "progress"]
    assert told[1:] == [("progress", Progress("building")), ("progress", Progress("timing", 34, 100, 0.031))]


def test_a_roof_is_answered_in_types(start: Start) -> None:
    outcome = start().ask("roof", {"target": "cpu", "precision": "fp32", "threads": 2}, time_limit_s=30.0)
    assert outcome.value == (Roof("fp32", 2, 1e11, 1e10),)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("refuse", "The image size 7 px is too small for it."),
        ("sigkill", "SIGKILL"),
        ("segfault", "SIGSEGV"),
        ("exit_3", "exit code 3 (cannot go on: no such kernel)"),
        ("memory_error", "ran out of memory"),
        ("silent", "ended without a result"),
        ("half_line", "SIGKILL"),
        ("broken_json", 'noise: \'{"kind": "progress", "value\' is no message'),
        ("no_message", "noise: '[1, 2, 3]' is no message"),
        ("unknown_kind", "'surprise' is no message"),
        ("wrong_type", "no Measured: "),
        ("wrong_progress", "no Progress: "),
        ("noise_forever", "noise: 'Segmentation fault"),
    ],
)
def test_a_misbehaving_child_becomes_one_sentence_and_the_host_goes_on(
    start: Start, architecture: str, words: str
) -> None:
    host = start()
    outcome = ask(host, architecture)
    assert (outcome.ending, outcome.value) == ("failed", None)
    assert words in outcome.reason
    assert outcome.reason.endswith(".")
    assert "\n" not in outcome.reason
    warm = host.pid
    assert ask(host, "ok").ending == "answered"
    assert host.pid == warm, "the warm process survives its child"


def test_megabytes_without_a_newline_are_noise(start: Start) -> None:
    outcome = ask(start(max_line_bytes=2**20), "megabytes")
    assert (outcome.ending, outcome.reason) == (
        "failed", "The measuring process printed noise: more than 1048576 bytes without ending the line.",
    )  # fmt: skip


def test_megabytes_of_log_neither_block_a_child_nor_are_kept(start: Start) -> None:
    host = start()
    assert ask(host, "much_log").ending == "answered"
    assert host._process is not None
    assert len(host._process.log._kept) <= 64 * 2**10


@pytest.mark.parametrize("architecture", ["forever", "sigstop", "host_stuck"])
def test_the_time_limit_ends_what_hangs_or_is_stopped(start: Start, architecture: str) -> None:
    host, pids = start(), []
    outcome = ask(host, architecture, time_limit_s=0.3, on_line=_pids(pids))
    assert outcome == Outcome("failed", reason="It took longer than its time limit of 0.3 s and was ended.")
    assert not any(runs(pid) for pid in pids)
    assert ask(host, "ok").ending == "answered"


@pytest.mark.parametrize("architecture", ["grandchild", "grandchild_session"])
def test_stopping_ends_the_whole_family_at_once(start: Start, folder: Path, architecture: str) -> None:
    host, pids, asked_s = start(), [], [0.0]

    def should_stop() -> bool:
        there = (folder / "grandchild").exists()
        asked_s[0] = asked_s[0] or (time.monotonic() if there else 0.0)
        return there

    outcome = ask(host, architecture, on_line=_pids(pids), should_stop=should_stop)
    assert outcome == Outcome("stopped")
    assert time.monotonic() - asked_s[0] < 2.0
    grandchild = int((folder / "grandchild").read_text())
    until(lambda: not runs(grandchild) and not runs(pids[0]), "the end of child and grandchild", limit_s=2.0)
    assert host.pid is not None


def test_what_a_finished_child_left_running_is_ended(start: Start, folder: Path) -> None:
    assert ask(start(), "grandchild_left").ending == "answered"
    grandchild = int((folder / "grandchild").read_text())
    until(lambda: not runs(grandchild), "the end of the grandchild", limit_s=2.0)


def test_a_child_that_crashes_after_its_answer_has_answered(start: Start) -> None:
    assert ask(start(), "answer_then_crash").ending == "answered"


def test_a_child_that_answers_and_does_not_end_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("advisor.measure.host.EXIT_GRACE_S", 0.2)
    pids: list[int] = []
    assert ask(start(), "linger", on_line=_pids(pids)).ending == "answered"
    assert not runs(pids[0])


def test_nothing_is_started_for_a_request_that_is_stopped_before(start: Start) -> None:
    host = start()
    assert ask(host, "ok", should_stop=lambda: True) == Outcome("stopped")
    assert host.pid is None


def test_stopping_while_the_process_starts_leaves_it_starting(start: Start) -> None:
    host = start("never-ready")
    answers = iter([False, False])
    assert ask(host, "ok", should_stop=lambda: next(answers, True)) == Outcome("stopped")
    assert host.pid is not None


def test_a_process_that_is_never_ready_is_ended_with_its_last_words(start: Start) -> None:
    host = start("never-ready", start_limit_s=0.5)
    assert ask(host, "ok").reason == "The measuring process was not ready after 0.5 s (still importing)."
    assert host.pid is None


def test_a_process_that_cannot_start_says_why_at_once(start: Start, folder: Path) -> None:
    reason = ask(start("cannot-start"), "ok").reason
    assert reason == "The measuring process does not start (ModuleNotFoundError: No module named 'torch')."
    assert len((folder / "events").read_text().splitlines()) == 1, "it is not tried a second time"


def test_a_warm_process_that_was_killed_is_started_anew(start: Start, folder: Path) -> None:
    host = start()
    assert ask(host, "ok").ending == "answered"
    first = host.pid
    assert host._process is not None
    host._process.popen.kill()
    assert ask(host, "ok").ending == "answered"
    assert host.pid not in (None, first)


def test_a_request_that_takes_the_host_down_fails_after_a_second_try(start: Start, folder: Path) -> None:
    host = start()
    assert ask(host, "host_dies").reason == "The measuring process does not start."
    assert len((folder / "hosts").read_text().split()) == 2
    assert ask(host, "ok").ending == "answered"


@pytest.mark.parametrize(("architecture", "ending"), [("ok", "answered"), ("sigkill", "failed")])
def test_where_fork_is_unsafe_each_request_has_its_own_process(
    start: Start, folder: Path, architecture: str, ending: str
) -> None:
    host = start("no-fork")
    assert [ask(host, architecture).ending for _ in range(3)] == [ending] * 3
    assert len((folder / "hosts").read_text().split()) == 3


def test_the_warm_process_ends_after_the_idle_time_and_not_before(start: Start) -> None:
    clock = [1000.0]
    host = start(idle_s=600.0, clock=lambda: clock[0])
    ask(host, "ok")
    clock[0] += 599.0
    assert not host.close_if_idle()
    assert host.pid is not None
    ask(host, "ok")
    clock[0] += 599.0
    assert not host.close_if_idle()
    clock[0] += 1.0
    assert host.close_if_idle()
    assert host.pid is None


def test_a_busy_process_is_not_idle(start: Start, folder: Path) -> None:
    host = start(idle_s=0.0)
    outcomes: list[Outcome] = []
    asking = threading.Thread(target=lambda: outcomes.append(ask(host, "gate")))
    asking.start()
    until((folder / "events").exists, "the child")
    assert not host.close_if_idle()
    (folder / "gate.open").touch()
    asking.join()
    assert outcomes[0].ending == "answered"


def test_closing_ends_a_child_under_way(start: Start) -> None:
    host, pids, outcomes = start(), list[int](), list[Outcome]()
    asking = threading.Thread(target=lambda: outcomes.append(ask(host, "forever", on_line=_pids(pids))))
    asking.start()
    until(lambda: pids, "the child")
    host.close()
    asking.join()
    assert outcomes == [Outcome("stopped")]
    assert not runs(pids[0])
    assert host.pid is None


def test_a_leftover_is_ended_only_if_it_is_the_same_process(start: Start) -> None:
    host = start()
    host.start()
    pid = until(lambda: host.pid, "the process")
    begun_s = until(lambda: started_s(pid), "its start")
    end_leftover(pid, begun_s - 100.0)
    assert runs(pid)
    end_leftover(pid, begun_s)
    assert not runs(pid)
    assert started_s(pid) is None


@pytest.mark.parametrize(
    ("code", "signal", "last_words", "sentence"),
    [
        (None, 15, "", "The measuring process was ended by SIGTERM."),
        (None, 250, "", "The measuring process was ended by signal 250."),
        (1, None, "MemoryError: 3 GB", "It ran out of memory (MemoryError: 3 GB)."),
        (None, 6, "terminate: std::bad_alloc", "It ran out of memory (terminate: std::bad_alloc)."),
        (2, None, "", "The measuring process ended with exit code 2."),
        (None, None, "bye.", "The measuring process ended without a result (bye)."),
        ("three", None, "", "The measuring process ended with exit code three."),
    ],
)
def test_a_death_is_put_into_words(code: Any, signal: Any, last_words: str, sentence: str) -> None:
    assert death(code, signal, last_words) == sentence


@pytest.mark.parametrize(
    ("ran_out", "how"),
    [
        (True, "by the system because memory ran out (SIGKILL)"), (False, "from outside (SIGKILL)"),
        (None, "from outside (SIGKILL), perhaps because memory ran out"),
    ],
)  # fmt: skip
def test_a_kill_is_put_down_to_memory_only_where_the_system_says_so(ran_out: bool | None, how: str) -> None:
    assert death(None, 9, "", ran_out=ran_out) == f"The measuring process was ended {how}."


@pytest.mark.parametrize(("kills", "how"), [([4, 5], "memory ran out (SIGKILL)"), ([4, 4], "from outside (SIGKILL).")])
def test_the_systems_count_before_and_after_tells_who_killed_a_child(
    start: Start, monkeypatch: pytest.MonkeyPatch, kills: list[int], how: str
) -> None:
    counts = iter(kills)
    monkeypatch.setattr("advisor.measure.host.oom_kills", lambda: next(counts))
    assert how in ask(start(), "sigkill").reason


def test_kills_for_lack_of_memory_are_counted_in_our_group_before_the_whole_machine(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) is None
    write(tmp_path, {"proc/vmstat": "nr_free_pages 1\noom_kill 7", "proc/self/cgroup": "0::/"})
    assert oom_kills(tmp_path) == 7
    write(tmp_path, {"sys/fs/cgroup/cgroup.procs": "1", "sys/fs/cgroup/memory.events": "oom 3\noom_kill 2"})
    assert oom_kills(tmp_path) == 2


def test_gpus_have_the_numbers_that_nvml_gives_them(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    assert ask(start(), "ok").value.environment["cuda_device_order"] == "PCI_BUS_ID"


def _pids(into: list[int]) -> Callable[[str, Any], None]:
    return lambda kind, value: into.append(value) if kind == "started" else None
