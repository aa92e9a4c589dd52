"""How busy the machine is beside ourselves: from made-up counters, and one real run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from advisor.measure import cpu
from advisor.measure.load import LoadMeter, busy, own_cpu_s_of, own_processes
from tests.machine_files import CPUS, nvml, write

Times = namedtuple("Times", "user nice system idle iowait irq softirq steal guest guest_nice")
IDLE = Times(100.0, 0, 0, 100, 0, 0, 0, 0, 0, 0)


def later(**more: float) -> Times:
    return IDLE._replace(**{name: getattr(IDLE, name) + value for name, value in more.items()})


def meter(tmp_path: Path, after: Any, *, own: float = 0.0, seconds: float = 10.0, **other: Any) -> LoadMeter:
    """A meter whose counters stand at `IDLE` at the start and at `after` at the end of that many seconds."""
    times, owns, clock = iter([IDLE, after]), iter([5.0, 5.0 + own]), iter([0.0, seconds])
    return LoadMeter(
        root=tmp_path, cpu_times=lambda: next(times), own_cpu_s=lambda: next(owns), clock=lambda: next(clock), **other
    )


@pytest.mark.parametrize(
    ("after", "own", "other_cores", "steal_share"),
    [
        (later(idle=20), 0, 0.0, 0.0),
        (later(user=10, idle=10), 10, 0.0, 0.0),
        (later(user=10, idle=10), 0, 1.0, 0.0),
        (later(user=12, system=3, softirq=1, idle=4), 10, 0.6, 0.0),
        (later(user=10, idle=5, steal=5), 10, 0.0, 0.25),
        (later(user=10, idle=5, iowait=5), 10, 0.0, 0.0),
        # time of guests stands in user already, and is not counted twice
        (later(user=10, guest=10, idle=10), 0, 1.0, 0.0),
        # ticks of 10 ms may give others less than nothing
        (later(user=9.99, idle=10), 10, 0.0, 0.0),
    ],
)
def test_load_is_what_others_took(
    tmp_path: Path, after: Times, own: float, other_cores: float, steal_share: float
) -> None:
    watch = meter(tmp_path, after, own=own)
    watch.start()
    found = watch.stop()
    assert found.other_cores == pytest.approx(other_cores, abs=1e-9)
    assert found.steal_share == pytest.approx(steal_share)
    assert found.throttled == ""


def test_systems_that_tell_less_are_read_too(tmp_path: Path) -> None:
    """macOS and Windows have neither steal nor iowait."""
    few = namedtuple("Few", "user nice system idle")
    times = iter([few(0, 0, 0, 0), few(3, 0, 1, 16)])
    watch = LoadMeter(
        root=tmp_path, cpu_times=lambda: next(times), own_cpu_s=lambda: 0.0, clock=iter([0.0, 10.0]).__next__
    )
    watch.start()
    assert watch.stop().other_cores == pytest.approx(0.4)


@pytest.mark.parametrize("seconds", [0.0, -3.0])
def test_clock_that_stands_or_goes_back_gives_no_load(tmp_path: Path, seconds: float) -> None:
    watch = meter(tmp_path, later(user=10), seconds=seconds)
    watch.start()
    assert watch.stop().other_cores == 0.0


def test_stop_without_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without start"):
        meter(tmp_path, IDLE).stop()


def test_busy_waits_for_its_window(tmp_path: Path) -> None:
    waited: list[float] = []
    found = busy(10.0, meter=meter(tmp_path, later(user=5, idle=15)), sleep=waited.append)
    assert waited == [10.0]
    assert found.other_cores == pytest.approx(0.5)


# -- throttling --------------------------------------------------------------------------------------


def thermal(core: int, package: int) -> dict[str, object]:
    """Counters of the first CPU we may use."""
    folder = f"{CPUS}/cpu{min(cpu.affinity())}"
    return {
        f"{folder}/thermal_throttle/core_throttle_count": core, f"{folder}/topology/physical_package_id": 0,
        f"{folder}/thermal_throttle/package_throttle_count": package,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("core", "package", "words"),
    [
        (7, 9, ""),
        (8, 9, "the CPU slowed down for heat 1 time"),
        (8, 11, "the CPU slowed down for heat 3 times"),
    ],
)
def test_heat_is_seen_from_the_kernels_counters(tmp_path: Path, core: int, package: int, words: str) -> None:
    watch = meter(write(tmp_path, thermal(7, 9)), later(idle=20))
    watch.start()
    write(tmp_path, thermal(core, package))
    assert watch.stop().throttled == words


V2 = {"proc/self/cgroup": "0::/app", "sys/fs/cgroup/cgroup.procs": ""}
V1 = {"proc/self/cgroup": "1:cpu:/", "sys/fs/cgroup/cpu/cgroup.procs": ""}


@pytest.mark.parametrize(
    ("files", "stat", "counter", "per_second"),
    [
        (V2, "sys/fs/cgroup/app/cpu.stat", "usage_usec 9\nnr_throttled 2\nthrottled_usec", 10**6),
        (V1, "sys/fs/cgroup/cpu/cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time", 10**9),
    ],
)
def test_quota_that_stopped_us_is_seen(
    tmp_path: Path, files: dict[str, object], stat: str, counter: str, per_second: int
) -> None:
    root = write(tmp_path, files | {stat: f"{counter} {per_second}"})
    watch = meter(root, later(idle=20))
    watch.start()
    write(root, {stat: f"{counter} {int(2.25 * per_second)}"})
    assert watch.stop().throttled == "the control group's CPU quota stopped us for 1.25 s"


def on_gpu(tmp_path: Path, **answers: Any) -> LoadMeter:
    return meter(tmp_path, later(idle=20), target="cuda:0", library=nvml("NVIDIA H200", **answers))


def held(power_s: float, heat_s: float) -> Iterator[SimpleNamespace]:
    """NVML's two counters before and after: power then heat, in ns."""
    return iter([SimpleNamespace(violationTime=int(s * 1e9)) for s in (3.0, 4.0, 3.0 + power_s, 4.0 + heat_s)])


def test_gpu_held_down_is_seen_with_its_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    counters = held(2.5, 0.05)
    watch = on_gpu(tmp_path, nvmlDeviceGetViolationStatus=lambda *_: next(counters))
    watch.start()
    # heat held it for half a percent of the 10 s, which is not worth a word
    assert watch.stop().throttled == "the GPU's clock was held down 25 % of the time: power cap"


def test_gpu_without_counters_is_asked_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    watch = on_gpu(tmp_path, nvmlDeviceGetCurrentClocksEventReasons=0x40)
    watch.start()
    assert watch.stop().throttled == "the GPU's clock is held down: too hot (hardware)"


# -- our own processes -------------------------------------------------------------------------------


def stat(parent: int, *ticks: int, name: str = "python") -> str:
    """/proc/PID/stat with its parent and utime, stime, cutime, cstime."""
    return f"1 ({name}) S {parent} {' '.join(['0'] * 9)} {' '.join(map(str, ticks))} 20 0"


def test_descendants_alive_count_as_ours(tmp_path: Path) -> None:
    """Two ticks each; the third is another's child, the fourth is older than we are."""
    before = own_cpu_s_of(100, tmp_path)
    files = {
        "proc/101/stat": stat(100, 50, 25, 20, 5), "proc/102/stat": stat(101, 100, 0, 0, 0, name="cc1plus) (x"),
        "proc/103/stat": stat(1, 900, 0, 0, 0), "proc/99/stat": stat(100, 900, 0, 0, 0), "proc/104/stat": "",
    }  # fmt: skip
    after = own_cpu_s_of(100, write(tmp_path, files))
    assert after - before == pytest.approx(200 / os.sysconf("SC_CLK_TCK"), abs=0.05)


def test_descendants_whose_ids_started_again_from_1_count_as_ours(tmp_path: Path) -> None:
    """Id 7 was given last: 5 and its child 6 came after us, 9 is older, 8 was not given yet."""
    before = own_cpu_s_of(100, tmp_path)
    files = {
        "proc/loadavg": "0.10 0.20 0.30 1/200 7", "proc/5/stat": stat(100, 50, 0, 0, 0),
        "proc/6/stat": stat(5, 50, 0, 0, 0), "proc/9/stat": stat(100, 900, 0, 0, 0),
    }  # fmt: skip
    after = own_cpu_s_of(100, write(tmp_path, files))
    assert after - before == pytest.approx(100 / os.sysconf("SC_CLK_TCK"), abs=0.05)


BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="live children are read from /proc")
def test_real_child_is_ours_while_it_lives_and_after() -> None:
    before = own_cpu_s_of(os.getpid())
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in own_processes()
        alive = own_cpu_s_of(os.getpid()) - before
        child.communicate(b"\n")
    waited_for = own_cpu_s_of(os.getpid()) - before
    assert 0.25 < alive <= waited_for + 0.02
