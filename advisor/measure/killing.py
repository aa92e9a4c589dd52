"""Ending processes: a child with its whole family, and a child that a dead owner has left."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import psutil

from advisor.measure.cpu import ROOT, cgroup_folders, read_text

LEFTOVER_S = 3.0  # how long a child of a dead owner is waited for
_LOOK_S = 0.02
_SAME_START_S = 0.5  # two readings of one process's start differ by less


def kill_tree(pid: int) -> None:
    """SIGKILL for a process, all its descendants and every process group that one of them leads, stopped or not.

    Descendants are looked up first: those that left the group would not be found once their parent is dead.
    A process that is gone already is no error; then only what is left of its group is killed.
    """
    assert pid > 1
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    for leader in {pid, *(member.pid for member in family)}:
        assert leader != os.getpgrp()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it leads no group, or all of it is dead
            os.killpg(leader, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()


def started_s(pid: int) -> float | None:
    """When a process was started, in seconds since boot, which no change of the wall clock moves; None if gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time() - psutil.boot_time()
    except psutil.Error:
        return None


def oom_kills(root: Path = ROOT) -> int | None:
    """How many processes the kernel has ended for lack of memory: in our control group, else on the whole machine.

    None where it does not say (not Linux).
    """
    groups = [folder / "memory.events" for folder in cgroup_folders(root)]
    for file in (*groups, root / "proc/vmstat"):
        for line in (read_text(file) or "").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdigit():
                return int(count)
    return None


def end_leftover(pid: int, start_s: float) -> None:
    """Kill a child whose owner is dead, if it is still that child, and wait until it is gone.

    Args:
        pid: The child.
        start_s: Its `started_s` when it was alive; another process under the same number is left alone.
    """
    now_s = started_s(pid)
    if now_s is None or abs(now_s - start_s) > _SAME_START_S:
        return
    kill_tree(pid)
    deadline_s, pause = time.monotonic() + LEFTOVER_S, threading.Event()
    while started_s(pid) is not None and time.monotonic() < deadline_s:  # it is no child of ours to be waited for
        pause.wait(_LOOK_S)
