"""What surrounds a timing: the machine's pulse, and an allocator that does not disturb it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")

from advisor.measure.workers.pulse import pulse

_FAULTS = """
import resource, sys
import numpy as np
from advisor.measure.workers.allocator import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    print(-1)
    raise SystemExit

def once():
    blocks = [np.ones(3 << 20) for _ in range(4)]  # 24 MiB each

once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_the_pulse_is_the_fastest_of_its_repeats() -> None:
    took_s = iter([1.0, 4.0, 2.0, 3.0])  # one to warm up, then the repeats
    now_s, reading = 0.0, 0

    def clock() -> float:
        nonlocal now_s, reading
        reading += 1
        if reading % 2 == 0:
            now_s += next(took_s)
        return now_s

    assert pulse("cpu", synchronise=lambda: None, clock=clock)() == pytest.approx(2000.0)


def test_the_device_is_idle_at_both_readings_of_the_clock() -> None:
    told: list[str] = []

    def clock() -> float:
        told.append("clock")
        return float(len(told))

    pulse("cpu", synchronise=lambda: told.append("idle"), clock=clock)()
    assert told == ["idle", "clock"] * (len(told) // 2)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's alone")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    if (kept := faults("kept")) < 0:
        pytest.skip("this C library has no such switch")
    assert kept < 100 < faults("default")
