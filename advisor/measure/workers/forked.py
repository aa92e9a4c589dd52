"""Work in a forked child that may die of it: what it says arrives line by line, and then how it ended."""

from __future__ import annotations

import fcntl
import math
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

_CHUNK_BYTES = 2**16
Send = Callable[[bytes], None]


def write_all(fd: int, line: bytes) -> None:
    """Write a line completely: a pipe may take only part of it at a time."""
    left = memoryview(line)
    while left:
        left = left[os.write(fd, left) :]


def leave(work: Callable[[], None]) -> NoReturn:
    """Do the work and end this process at once, without what a parent has registered to happen at its exit."""
    code = 1
    try:
        work()
        code = 0
    # The last chance to say why: whatever it is, the parent reads it from the log.
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def die_with(lifeline: int) -> None:
    """Have the kernel kill this whole process group once the other end of the pipe is gone, however that comes.

    No thread waits for it: this process must be able to fork, and be killed while it is stuck in a library.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())  # negative: the group (fcntl(2))
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was gone before
        os.killpg(0, signal.SIGKILL)


class Forked:
    """A forked child that does some work; this process must have one thread and no CUDA context.

    Args:
        work: Done in the child; takes a function that sends a line.
        until_s: By `time.monotonic`; then the child is killed.

    Attributes:
        status: How it ended, as `os.waitpid` says; None until all its lines were read.
    """

    def __init__(self, work: Callable[[Send], None], *, until_s: float = math.inf) -> None:
        self.status: int | None = None
        self._until_s = until_s
        self._reads, writes = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._reads)
            leave(lambda: work(lambda line: write_all(writes, line)))
        os.close(writes)

    def lines(self) -> Iterator[bytes]:
        """The lines that it sends, until it has ended; one that death cut short is left out."""
        rest = b""
        try:
            while _readable(self._reads, self._until_s) and (chunk := os.read(self._reads, _CHUNK_BYTES)):
                *complete, rest = (rest + chunk).split(b"\n")
                yield from complete
        finally:
            os.close(self._reads)
            if time.monotonic() >= self._until_s:
                os.kill(self._pid, signal.SIGKILL)  # it is not reaped yet, so the number is still its own
            self.status = os.waitpid(self._pid, 0)[1]


def _readable(fd: int, until_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    left_s = until_s - time.monotonic()
    return bool(poll.poll(None if left_s == math.inf else max(0.0, 1000 * left_s)))
