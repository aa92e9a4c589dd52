"""The door for child processes: starts the warm measuring process, asks it, and ends all that it started.

The warm process imports what is slow once and forks a fresh child per request (`workers/host.py`). Whatever a
child does - crash, hang, stop, run out of memory, print noise - becomes an `Outcome` with one sentence, and
nothing that it started is left running.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from advisor.errors import BadQuestion
from advisor.measure.killing import kill_tree, oom_kills
from advisor.measure.lines import MAX_LINE_BYTES, BrokenLine, decode, encode
from advisor.measure.pipes import Lines, Log, TooLong
from advisor.measure.talk import OnLine, Outcome, Talk, quoted

COMMAND = (sys.executable, "-P", "-m", "advisor.measure.workers.host")
START_LIMIT_S = 180.0  # importing torch and timm takes 2 to 10 s, from a cold disk a minute
IDLE_S = 600.0  # the warm process holds some 500 MB, so it ends when nobody measures
POLL_S = 0.1  # how often a request under way looks at its time limit and at `should_stop`
NOISE_GRACE_S = 0.5  # a broken line may be the last words of a child that dies; then its death is the reason
EXIT_GRACE_S = 10.0  # a child that has answered may take so long to end
KILL_GRACE_S = 3.0  # the warm process must report a killed child within it, or is killed too
_ROOT = Path(__file__).resolve().parents[2]
_STOPPED = "stopped"


class _Process:
    """One warm process with its pipes."""

    def __init__(self, command: Sequence[str], max_line_bytes: int) -> None:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # CUDA's own order is the fastest first, NVML's is this one: both must mean the same GPU by "cuda:1"
        environ = {"PYTHONPATH": os.pathsep.join(paths), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        self.popen = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            start_new_session=True, env=os.environ | environ,
        )  # fmt: skip
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self.pid = self.popen.pid
        self.lines = Lines(self.popen.stdout, max_line_bytes)
        self.log = Log(self.popen.stderr)
        self.ready = False
        self._ended = False

    @property
    def alive(self) -> bool:
        return not self._ended and self.popen.poll() is None and not self.lines.closed

    def send(self, line: bytes) -> bool:
        """Hand over a request; False where nobody reads any more."""
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(line)
        except (BrokenPipeError, ValueError):
            return False
        return True

    def end(self) -> None:
        """Kill it with all that it started, and reap it; its lines read as closed from now on."""
        if self._ended:
            return
        self._ended = True
        kill_tree(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(KILL_GRACE_S)
        # the log's pipe closes once everyone who could write is dead; a thread that still reads keeps it
        self.log.thread.join(KILL_GRACE_S)
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        self.lines.close()
        self.log.close()

    @property
    def exit_code(self) -> int:
        """How it ended, a signal as a negative number; 0 where that is not known."""
        return self.popen.returncode or 0


class Host:
    """The warm measuring process of this process; one request at a time.

    Args:
        command: What to start; `COMMAND` unless a test says otherwise.
        idle_s: After how long without a request `close_if_idle` ends it.
        clock: Seconds, never going back.
        start_limit_s: How long it may take until it is ready.
        max_line_bytes: A longer line is noise.
    """

    def __init__(
        self, command: Sequence[str] | None = None, *, idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic, start_limit_s: float = START_LIMIT_S,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:  # fmt: skip
        self._command, self._idle_s, self._clock = tuple(command or COMMAND), idle_s, clock
        self._start_limit_s, self._max_line_bytes = start_limit_s, max_line_bytes
        self._asking = threading.Lock()  # whoever reads, replaces or closes the process's pipes holds it
        self._closings = 0
        self._process: _Process | None = None
        self._last_used_s = clock()

    @property
    def pid(self) -> int | None:
        """The warm process, None where there is none."""
        process = self._process
        return process.pid if process is not None and process.alive else None

    def start(self) -> None:
        """Start the warm process if it is not there; returns at once, the imports go on in it.

        Raises:
            BadQuestion: This system cannot measure, or the process cannot be started.
        """
        if self._asking.acquire(blocking=False):  # else it is there, and at work
            try:
                self._started()
            finally:
                self._asking.release()

    def ask(
        self, kind: str, value: dict[str, Any], *, on_line: OnLine = lambda _kind, _value: None,
        should_stop: Callable[[], bool] = lambda: False, time_limit_s: float,
    ) -> Outcome:  # fmt: skip
        """Have one request done in a fresh child, and wait for it by blocking.

        Args:
            kind: "measure" or "roof".
            value: Plain values of the request.
            on_line: Is told ("started", pid) and ("progress", Progress) as they arrive.
            should_stop: Looked at every `POLL_S`; where it says so, the child's whole group is killed.
            time_limit_s: From handing the request to a ready process; imports do not count.

        Raises:
            BadQuestion: This system cannot measure, or the process cannot be started.
        """
        words = ""
        with self._asking:
            closings = self._closings

            def stop() -> bool:
                return self._closings != closings or should_stop()

            for _ in range(2):  # one that has ended since, or serves one request only, is started anew
                if stop():
                    return Outcome("stopped")
                process = self._started()
                outcome = self._await_ready(process, stop) or self._converse(
                    process, encode(kind, value), on_line, stop, time_limit_s
                )
                self._last_used_s = self._clock()
                if outcome is not None:
                    return outcome
                words = process.log.last_words()
                if not process.ready:
                    break  # it cannot import what it needs, and would not a second time
        return Outcome("failed", reason=f"The measuring process does not start{quoted(words)}.")

    def close_if_idle(self) -> bool:
        """End the warm process where nobody has used it for the idle time; True when it was ended."""
        if self._clock() - self._last_used_s < self._idle_s or not self._asking.acquire(blocking=False):
            return False
        try:
            return self._end()
        finally:
            self._asking.release()

    def close(self) -> None:
        """End the warm process and all it started, at once; a request under way is stopped."""
        self._closings += 1
        if self._asking.acquire(timeout=POLL_S + 2 * KILL_GRACE_S):
            try:
                self._end()
            finally:
                self._asking.release()
        elif (pid := self.pid) is not None:  # its pipes are being read, so they stay open
            kill_tree(pid)

    def _end(self) -> bool:
        process, self._process = self._process, None
        if process is not None:
            process.end()
        return process is not None

    def _started(self) -> _Process:
        if os.name == "nt":
            raise BadQuestion("Measuring works on Linux and macOS, not on Windows: run the advisor under WSL 2.")
        self._last_used_s = self._clock()
        if self._process is not None and self._process.alive:
            return self._process
        self._end()
        try:
            self._process = _Process(self._command, self._max_line_bytes)
        except OSError as exc:
            why = exc.strerror or exc
            message = f"The measuring process could not be started: {why}. End other programs and try again."
            raise BadQuestion(message) from exc
        return self._process

    def _await_ready(self, process: _Process, should_stop: Callable[[], bool]) -> Outcome | None:
        """Wait until the imports are done; an outcome where that is not to be."""
        deadline_s = self._clock() + self._start_limit_s
        while not process.ready and process.alive:
            if should_stop():
                return Outcome("stopped")  # it goes on starting: the next request finds it ready
            if self._clock() > deadline_s:
                words = process.log.last_words()
                process.end()
                reason = f"The measuring process was not ready after {self._start_limit_s:g} s{quoted(words)}."
                return Outcome("failed", reason=reason)
            with contextlib.suppress(BrokenLine, TooLong):  # what imports print is no message
                process.ready = any(decode(line)[0] == "ready" for line in process.lines.read(POLL_S))
        return None

    def _converse(
        self, process: _Process, request: bytes, on_line: OnLine, should_stop: Callable[[], bool], time_limit_s: float
    ) -> Outcome | None:
        """One request from sending to the end of its child; None where the process was gone before."""
        if not process.alive:
            return None
        process.lines.discard()  # late words of an earlier child
        process.log.clear()
        if not process.send(request):
            return None
        talk, kills_before = Talk(process.pid, on_line), oom_kills()
        killed_for = self._listen(process, talk, should_stop, time_limit_s)
        if talk.child is None and talk.ended is None and not talk.settled and not killed_for:
            return None
        if talk.child is not None and talk.child != process.pid:
            kill_tree(talk.child)  # what it started must not disturb the next timing
        if talk.ended is None:  # the process itself died, or is stuck
            process.end()
            code = process.exit_code
            talk.ended = {"code": code, "signal": -code if code < 0 else None}
        if killed_for == _STOPPED and not talk.settled:
            return Outcome("stopped")
        kills = oom_kills()
        ran_out = None if kills is None or kills_before is None else kills > kills_before
        return talk.outcome(killed_for, process.log.last_words(), ran_out=ran_out)

    def _listen(self, process: _Process, talk: Talk, should_stop: Callable[[], bool], time_limit_s: float) -> str:
        """Read until the child has ended; why it was killed, or ""."""
        began_s = self._clock()
        killed_for, killed_s = "", 0.0
        noise_s = settled_s = float("inf")
        while talk.ended is None and not process.lines.closed:
            try:
                lines = process.lines.read(POLL_S)
            except TooLong:
                lines, talk.noise = [], f"more than {self._max_line_bytes} bytes without ending the line"
            for line in lines:
                talk.take(line)
            now_s = self._clock()
            noise_s = min(noise_s, now_s) if talk.noise else noise_s
            settled_s = min(settled_s, now_s) if talk.settled else settled_s
            if not lines and process.popen.poll() is not None:
                break  # it died, and a child holds its pipe
            if killed_for:
                if now_s > killed_s + KILL_GRACE_S:
                    break
                continue
            if talk.ended is None and should_stop():
                killed_for = _STOPPED
            elif now_s > noise_s + NOISE_GRACE_S:
                killed_for = "noise"
            elif now_s > settled_s + EXIT_GRACE_S:
                killed_for = "it did not end"
            elif now_s > began_s + time_limit_s and not talk.settled:
                killed_for = f"It took longer than its time limit of {time_limit_s:g} s and was ended."
            if killed_for:
                killed_s = now_s
                kill_tree(talk.child or process.pid)
        return killed_for
