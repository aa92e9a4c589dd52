"""The two ends of a child's pipes: its messages as bounded lines, its log drained and only the end of it kept."""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
from typing import IO

_CHUNK_BYTES = 2**20
_LOG_BYTES = 64 * 2**10
_LAST_WORDS = 300  # characters of a line of a log that a reason repeats
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")


class TooLong(Exception):
    """A line beyond the limit."""


class Lines:
    """Complete lines of a pipe, read without waiting longer than asked."""

    def __init__(self, pipe: IO[bytes], max_line_bytes: int) -> None:
        self._pipe, self._fd, self._max = pipe, pipe.fileno(), max_line_bytes
        self._rest = bytearray()
        self.closed = False

    def read(self, timeout_s: float) -> list[bytes]:
        """The lines that arrive next, none at the time limit; raises `TooLong`."""
        if self.closed or not _readable(self._fd, timeout_s):
            return []
        chunk = os.read(self._fd, _CHUNK_BYTES)
        self.closed = not chunk
        start = len(self._rest)
        self._rest += chunk
        end = self._rest.rfind(b"\n", start)
        if end < 0:
            if len(self._rest) > self._max:
                self._rest.clear()
                raise TooLong
            return []
        complete = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return [line for line in complete.split(b"\n") if line.strip()]

    def discard(self) -> None:
        """Forget what has arrived so far."""
        while not self.closed and _readable(self._fd, 0):
            self.closed = not os.read(self._fd, _CHUNK_BYTES)
        self._rest.clear()

    def close(self) -> None:
        """Read nothing more."""
        self.closed = True
        self._pipe.close()


class Log:
    """Drains a pipe in a thread, so that a writer never blocks on it, and keeps its end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._fd = pipe, pipe.fileno()
        os.set_blocking(self._fd, False)
        self._kept, self._lock, self._closed = bytearray(), threading.Lock(), False
        self.thread = threading.Thread(target=self._follow, name="measuring log", daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        while not self._closed:
            _readable(self._fd, None)
            self._drain()

    def _drain(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            while not self._closed:
                chunk = os.read(self._fd, _LOG_BYTES)
                self._closed = not chunk
                self._kept += chunk
                del self._kept[:-_LOG_BYTES]

    def clear(self) -> None:
        """Forget what was written so far, before the next request."""
        self._drain()
        with self._lock:
            self._kept.clear()

    def last_words(self) -> str:
        """The last line that names an exception, else the last that is not empty, or "".

        Libraries complain at exit after the exception that ended the process: nanobind writes 40 lines.
        """
        self._drain()
        with self._lock:
            text = self._kept.decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()][::-1]
        words = next(filter(_EXCEPTION.match, lines), lines[0] if lines else "")
        return " ".join(words.split())[:_LAST_WORDS]

    def close(self) -> None:
        """Close the pipe, unless someone still writes and the thread reads; then it stays to drain it."""
        if not self.thread.is_alive():
            self._pipe.close()


def _readable(fd: int, timeout_s: float | None) -> bool:
    """Whether a read would not block, after waiting for it; poll, because select refuses descriptors above 1023."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))
