"""The warm measuring process, for real: it forks, measures, and survives whatever happens to its children."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from advisor.measure import lines
from advisor.measure.request import Request
from advisor.measure.run import Measured
from tests.conftest import ROOT
from tests.measuring_process import MeasuringProcess, Message
from tests.waiting import runs, until

pytestmark = pytest.mark.timm

pytest.importorskip("timm")

SMALL = "test_resnet"


@pytest.fixture(scope="module")
def _processes() -> Iterator[list[MeasuringProcess]]:
    started: list[MeasuringProcess] = []
    yield started
    for process in started:
        process.close()


@pytest.fixture
def process(_processes: list[MeasuringProcess]) -> MeasuringProcess:
    """One warm process for the whole file; another only where a test has ended it."""
    if not _processes or not _processes[-1].alive:
        _processes.append(MeasuringProcess())
    return _processes[-1]


def small(**asked: object) -> Request:
    return Request(**{"architecture": SMALL, "img_size": 64, "threads": 1, "time_limit_s": 4.0} | asked)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(_processes: list[MeasuringProcess]) -> list[Message]:
    """All messages of one request with two images."""
    _processes.append(MeasuringProcess())
    return _processes[-1].ask(small(batch_size=2))


def test_it_says_who_it_is_and_stays_a_process_of_one_thread(plain: list[Message], process: MeasuringProcess) -> None:
    kind, value = process.ready
    assert kind == "ready"
    assert value["pid"] == process.popen.pid
    assert set(value["versions"]) == {"torch", "timm"}
    assert psutil.Process(process.popen.pid).num_threads() == 1


def test_what_children_of_a_runtime_import_is_there_before_they_are_forked() -> None:
    code = (
        "import sys; from advisor.measure.workers import host; name = 'torch._inductor.compile_fx'; "
        "before = name in sys.modules; host._import_once('pytorch-eager'); still = name in sys.modules; "
        "host._import_once('pytorch-compile'); print(before, still, name in sys.modules, host._can_fork())"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == ["False", "False", "True", str(sys.platform == "linux")], run.stderr


def test_accidental_prints_go_to_the_log(process: MeasuringProcess) -> None:
    descriptors = Path(f"/proc/{process.popen.pid}/fd")
    assert (descriptors / "1").readlink() == (descriptors / "2").readlink()


def test_a_request_goes_through_its_stages(plain: list[Message], process: MeasuringProcess) -> None:
    kinds = [kind for kind, _ in plain]
    assert kinds[0] == "started"
    assert kinds[-2:] == ["measured", "ended"]
    stages = [value["stage"] for kind, value in plain if kind == "progress"]
    assert list(dict.fromkeys(stages)) == ["building", "warming up", "timing"]
    assert plain[0][1]["pid"] != process.popen.pid
    assert not psutil.pid_exists(plain[0][1]["pid"])


def test_a_result_is_complete(plain: list[Message]) -> None:
    found = lines.typed(dict(plain)["measured"], Measured)
    latency = found.latency
    assert (found.img_size, found.threads, found.precision_used) == (64, 1, "fp32")
    assert latency.p50 == pytest.approx(statistics.median(latency.times_ms))
    assert latency.cold_start_ms > 0
    assert found.memory.weights_file_mb == pytest.approx(4e-6 * found.params, rel=0.05)
    assert found.memory.peak_rss_mb is not None
    assert found.memory.peak_rss_mb > found.memory.weights_file_mb
    assert found.work is not None
    assert found.work.macs > 1e6
    assert found.environment["runtime"]["inter_op_threads"] == 1
    assert found.environment["versions"]["torch"]
    assert found.environment["target"] == "cpu"
    pools = {pool["user_api"]: pool["num_threads"] for pool in found.environment["thread_pools"]}
    assert pools["openmp"] == 1  # as asked; PyTorch computes in this pool
    assert found.parity is None  # eager fp32 is what others are compared with
    assert found.notes == ()


def test_what_is_no_timing_takes_less_than_three_seconds(plain: list[Message]) -> None:
    seconds = dict(plain)["measured"]["seconds"]
    assert {"start", "build", "warm up", "time"} <= set(seconds)
    assert sum(value for phase, value in seconds.items() if phase not in ("warm up", "time")) < 3


def test_narrow_precision_is_compared_with_fp32(process: MeasuringProcess) -> None:
    found = process.measure(small(precision="bf16", layout="nhwc"))
    assert found.precision_used == "bf16"
    assert found.parity is not None
    assert 1e-5 < found.parity.max_rel < 0.1
    assert found.environment["runtime"]["channels_last"] is True


def test_every_part_is_measured_when_asked_for(process: MeasuringProcess) -> None:
    request = small(extras=("train", "end-to-end", "features", "operators"), features_hw=(64, 96), time_limit_s=10.0)
    found = process.measure(request)
    assert found.notes == ()
    assert found.training is not None
    assert (found.training.batch_size, found.training.precision) == (8, "fp32")
    assert found.training.throughput_per_s == pytest.approx(8000 / found.training.step_ms)
    assert found.training.step_ms > found.latency.p50
    assert found.end_to_end is not None
    assert sum(stage.share for stage in found.end_to_end.stages) == pytest.approx(1)
    assert found.features is not None
    assert (found.features.height, found.features.width) == (64, 96)
    assert found.work is not None
    assert sum(row.time_ms for row in found.work.operators) == pytest.approx(found.latency.p50)


def test_the_batch_sweep_starts_from_the_measured_latency(process: MeasuringProcess) -> None:
    found = process.measure(small(extras=("throughput",), time_limit_s=5.0))
    assert found.throughput is not None
    sizes = [point.batch_size for point in found.throughput.curve]
    assert sizes == [2**power for power in range(len(sizes))]
    assert found.throughput.curve[0].latency_ms == found.latency.p50
    assert found.throughput.best_per_s == max(point.throughput_per_s for point in found.throughput.curve)


def test_a_part_that_cannot_be_measured_is_a_note(process: MeasuringProcess) -> None:
    found = process.measure(
        small(architecture="levit_128s", img_size=224, extras=("features",), features_hw=(100, 100))
    )
    assert found.features is None
    (note,) = found.notes
    assert note.startswith("The backbone could not be measured: levit_128s does not take images of 100 px")


def test_the_largest_batch_is_found_within_the_memory_limit(process: MeasuringProcess) -> None:
    messages = process.ask(small(extras=("max-batch",), time_limit_s=20.0), memory_limit_mb=100)
    found = dict(messages)["measured"]
    assert found is not None
    batch = found["largest_batch"]
    assert found["notes"] == []
    assert 1 <= batch["train"] < batch["infer"]
    assert batch["advised_infer"] == max(1, int(0.9 * batch["infer"]))
    assert any(value["stage"] == "largest batch" for kind, value in messages if kind == "progress")


def test_too_large_a_batch_is_a_failure_in_one_sentence(process: MeasuringProcess) -> None:
    reason = process.failure(small(batch_size=4096, img_size=224), memory_limit_mb=300)
    assert reason.startswith(f"Memory ran out: {SMALL}, pytorch-eager fp32, 224 px, batch 4096 needs more than")


def test_an_unknown_name_is_a_failure_with_close_ones(process: MeasuringProcess) -> None:
    assert "Did you mean resnet18" in process.failure(small(architecture="resnet_18"))


@pytest.mark.parametrize("runtime", ["pytorch-eager", "onnxruntime"])
def test_a_size_that_the_network_cannot_take_names_its_own(process: MeasuringProcess, runtime: str) -> None:
    reason = process.failure(small(architecture="crossvit_tiny_240", img_size=100, runtime=runtime))
    assert reason.startswith("crossvit_tiny_240 does not take images of 100 px: ask for its native size, 240 px")


def test_a_device_that_is_not_there_is_a_failure(process: MeasuringProcess) -> None:
    assert "there is no cuda:99" in process.failure(small(target="cuda:99"))


def test_the_roof_is_measured_on_request(process: MeasuringProcess) -> None:
    process.send("roof", {"target": "cpu", "precision": "fp32", "threads": 1})
    messages = dict(process.until("ended"))
    (roof,) = messages["roofs"]
    assert roof["threads"] == 1
    assert roof["macs_per_s"] > 1e8
    assert roof["bytes_per_s"] > 1e8


def test_an_unknown_kind_of_request_is_refused(process: MeasuringProcess) -> None:
    process.send("dance", {})
    messages = dict(process.until("ended"))
    assert messages["failed"] == {"reason": "'dance' is nothing that a measuring process does."}


def test_a_child_that_dies_is_reported_and_the_next_one_works(process: MeasuringProcess) -> None:
    process.send("measure", lines.request_values(small(time_limit_s=60.0)))
    pid = process.until("started")[-1][1]["pid"]
    process.until("progress", lambda value: value["stage"] == "timing")
    os.kill(pid, signal.SIGSEGV)
    assert process.until("ended")[-1][1] == {"code": None, "signal": signal.SIGSEGV}
    assert not psutil.pid_exists(pid)
    assert "nothing_of_the_kind" in process.failure(small(architecture="nothing_of_the_kind"))


def test_a_stopped_child_can_be_killed_with_its_group(process: MeasuringProcess) -> None:
    process.send("measure", lines.request_values(small(time_limit_s=60.0)))
    pid = process.until("started")[-1][1]["pid"]
    process.until("progress")
    assert os.getpgid(pid) == pid
    os.kill(pid, signal.SIGSTOP)
    os.killpg(pid, signal.SIGKILL)
    assert process.until("ended")[-1][1]["signal"] == signal.SIGKILL


def test_when_nobody_asks_any_more_the_child_ends_too(process: MeasuringProcess) -> None:
    process.send("measure", lines.request_values(small(time_limit_s=60.0)))
    pid = process.until("started")[-1][1]["pid"]
    process.until("progress")
    process.close()
    assert process.popen.returncode == 0
    until(lambda: not psutil.pid_exists(pid), "the end of the child")


LIFELINE = """
import os, sys, time
from advisor.measure.workers import forked

lifeline, held = os.pipe()
if not os.fork():  # the child
    os.setpgid(0, 0)
    os.close(held)
    forked.die_with(lifeline)
    if not os.fork():  # what it has started
        time.sleep(600)
    print(os.getpgrp(), flush=True)
    while True:  # busy: no handler of Python's gets a turn in a library either
        pass
time.sleep(600)
"""


def test_a_child_and_all_it_started_die_with_the_process_that_forked_it() -> None:
    with subprocess.Popen([sys.executable, "-c", LIFELINE], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        members = [p.pid for p in psutil.process_iter() if _group_of(p.pid) == group]
        assert len(members) == 2
        parent.kill()
        until(lambda: not any(runs(pid) for pid in members), "the end of the family")


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
