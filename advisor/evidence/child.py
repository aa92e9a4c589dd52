"""The door for workers that print JSON records: started, read line by line, killed on every way out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import IO, Any

_ROOT = Path(__file__).resolve().parents[2]
_LAST_WORDS = 300  # characters of the worker's last line on stderr that a message repeats


def answers(
    command: Sequence[str], *, what: str, time_limit_s: float, failure: Callable[[str], Exception], asked: str = ""
) -> Generator[dict[str, Any], None, None]:
    """Run a worker and yield its records; it is killed, with all it started, on every way out.

    Close the generator (`contextlib.closing`): a traceback that keeps it alive keeps the worker alive.

    Args:
        command: The worker and its arguments.
        what: Begins every sentence: "The catalogue's worker".
        time_limit_s: It is killed after this time.
        failure: Makes the exception of a sentence without its full stop.
        asked: What the worker reads on its standard input.
    """
    late = threading.Event()

    def stop_late() -> None:
        late.set()
        _kill(worker)

    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as questions, contextlib.ExitStack() as stack:
        questions.write(asked.encode())  # a file, as a worker that does not read would block a pipe
        questions.seek(0)
        try:
            worker = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, stdin=questions, cwd=_ROOT,
                encoding="utf-8", errors="replace", start_new_session=True,
            )  # fmt: skip
        except OSError as exc:
            raise failure(f"{what} could not be started: {exc.strerror or exc}") from exc
        stack.enter_context(worker)
        stack.callback(_kill, worker)
        timer = threading.Timer(time_limit_s, stop_late)
        timer.daemon = True
        timer.start()
        stack.callback(timer.cancel)
        assert worker.stdout is not None
        for line in worker.stdout:
            record = _record(line)
            if record is None:
                raise failure(f"{what} printed what is no record: '{line.strip()[:80]}'")
            yield record
        code = worker.wait()
        if late.is_set():
            raise failure(f"{what} was stopped after {time_limit_s:g} s")
        if code != 0:
            raise failure(f"{what} ended with code {code} ({_last_line(log)})")


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _kill(worker: subprocess.Popen[str]) -> None:
    """Kill the worker's process group: it may outlive the worker itself and hold its stdout open."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1][-_LAST_WORDS:] if lines else "it gave no reason"
