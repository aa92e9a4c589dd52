"""Waiting in tests: for a condition with a deadline, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")
DEADLINE_S = 20.0  # generous: other work may share the machine; a test that passes never waits for it


def until(found: Callable[[], T], what: str, *, limit_s: float = DEADLINE_S) -> T:
    """The first true value of `found`; fails naming what was waited for."""
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        pause.wait(0.01)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie; a stopped one is."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
