"""What one request to the measuring process came to: its lines understood, its death put into words."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from advisor.measure.lines import BrokenLine, Progress, decode, typed
from advisor.measure.run import Measured, Roof

OnLine = Callable[[str, Any], None]
_KILLED = {
    True: "by the system because memory ran out (SIGKILL)",
    False: "from outside (SIGKILL)",
    None: "from outside (SIGKILL), perhaps because memory ran out",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended.

    Attributes:
        ending: "answered"; "failed", with a reason; or "stopped", because `should_stop` said so.
        value: `Measured`, or a tuple of `Roof`, where it was answered.
        reason: One sentence where it failed.
    """

    ending: Literal["answered", "failed", "stopped"]
    value: Any = None
    reason: str = ""


class Talk:
    """What the lines of one request have said so far."""

    def __init__(self, host_pid: int, on_line: OnLine) -> None:
        self._host_pid, self._on_line = host_pid, on_line
        self.child: int | None = None
        self.answer: Any = None
        self.failure = ""
        self.noise = ""
        self.ended: dict[str, Any] | None = None

    @property
    def settled(self) -> bool:
        """Whether the child has said all that is asked of it."""
        return self.answer is not None or bool(self.failure)

    def take(self, line: bytes) -> None:
        """Read one line; what is no message is remembered as noise."""
        try:
            self._understand(*decode(line))
        except BrokenLine as exc:
            self.noise = self.noise or str(exc)

    def _understand(self, kind: str, value: Any) -> None:
        if kind == "started" and self.child is None:
            self.child = _checked_child(value, self._host_pid)
            self._on_line("started", self.child)
        elif kind == "progress":
            self._on_line("progress", typed(value, Progress))
        elif kind == "measured":
            self.answer = typed(value, Measured)
        elif kind == "roofs":
            self.answer = typed(value, tuple[Roof, ...])
        elif kind == "failed" and isinstance(value, dict) and isinstance(value.get("reason"), str):
            self.failure = value["reason"] or "It failed without a reason."
        elif kind == "ended" and isinstance(value, dict):
            self.ended = value
        elif kind != "ready":
            raise BrokenLine(f"'{kind[:40]}' is no message of a measuring process")

    def outcome(self, killed_for: str, last_words: str, *, ran_out: bool | None = None) -> Outcome:
        """The result of it all, once the child is gone; the arguments are those of `death`, or why we killed it."""
        natural = self.ended is not None and not killed_for
        if self.noise and not (natural and (self.ended or {}).get("signal")):
            return Outcome("failed", reason=f"The measuring process printed noise: {self.noise}.")
        if self.answer is not None:
            return Outcome("answered", value=self.answer)
        if self.failure:
            return Outcome("failed", reason=self.failure)
        if killed_for:
            return Outcome("failed", reason=killed_for)
        ended = self.ended or {}
        return Outcome("failed", reason=death(ended.get("code"), ended.get("signal"), last_words, ran_out=ran_out))


def death(code: Any, signal_number: Any, last_words: str, *, ran_out: bool | None = None) -> str:
    """Why a child ended without an answer, in one sentence.

    Args:
        code: Its exit code, where no signal ended it.
        signal_number: The signal that ended it, or None.
        last_words: What it wrote last on stderr, see `pipes.Log.last_words`, or "".
        ran_out: Whether the system ended a process for lack of memory meanwhile; None where it does not say.
    """
    if last_words.startswith("MemoryError") or "bad_alloc" in last_words:
        return f"It ran out of memory{quoted(last_words)}."
    if isinstance(signal_number, int) and signal_number:
        with contextlib.suppress(ValueError):
            name = signal.Signals(signal_number).name
            how = _KILLED[ran_out] if name == "SIGKILL" else f"by {name}"
            return f"The measuring process was ended {how}{quoted(last_words)}."
        return f"The measuring process was ended by signal {signal_number}{quoted(last_words)}."
    if code:
        return f"The measuring process ended with exit code {code}{quoted(last_words)}."
    return f"The measuring process ended without a result{quoted(last_words)}."


def _checked_child(value: Any, host_pid: int) -> int:
    """The pid of a "started" message, which must be the process or a child of it: we kill nobody else's."""
    pid = value.get("pid") if isinstance(value, dict) else None
    if not isinstance(pid, int) or pid <= 1:
        raise BrokenLine(f"'{str(value)[:40]}' names no process")
    with contextlib.suppress(psutil.Error):
        if pid != host_pid and psutil.Process(pid).ppid() != host_pid:
            raise BrokenLine(f"process {pid} is not its child")
    return pid


def quoted(words: str) -> str:
    """The last words of a process in brackets, to be put before a full stop; "" where there are none."""
    return f" ({words.rstrip('.')})" if words else ""
