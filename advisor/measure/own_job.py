"""A job that a thread of this process runs: what has become of it, in memory for this process, in files for others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from filelock import FileLock

from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import Reached, Record, UnderWay
from advisor.measure.lines import Progress
from advisor.measure.measuring import STARTING

PROGRESS_S = 0.2  # between two writings of progress that other processes read


class OwnJob:
    """A job that a thread of this process runs; only that thread changes it.

    Args:
        lock: Its owner's lock, held until it has ended.
        changed: Is notified of every change.
        closing: Set when this process ends.
        stopwatch: Seconds of a clock that never goes back.
    """

    def __init__(
        self, record: Record, lock: FileLock, files: JobFiles, changed: threading.Condition, closing: threading.Event,
        *, stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.record, self.lock = record, lock
        self.reached = Reached()
        self.cancelled = threading.Event()
        self.thread: threading.Thread | None = None
        self._files, self._changed, self._closing = files, changed, closing
        self._stopwatch = stopwatch
        self._began_s: float | None = None
        self._written: Reached | None = None
        self._written_s = float("-inf")

    @property
    def cancel_asked(self) -> bool:
        """Whether anyone, here or in another process, wants it to end."""
        return self.cancelled.is_set() or self._files.cancel_asked(self.record.job_id)

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return 0.0 if self._began_s is None else self._stopwatch() - self._began_s

    @property
    def on_disk(self) -> bool:
        """Whether other processes see what this one sees."""
        return self._written is self.reached

    def start(self, started_at: str) -> None:
        """It is this job's turn."""
        self._began_s = self._stopwatch()
        self.note(status="running", started_at=started_at, now=STARTING)

    def begin(self, under_way: UnderWay) -> None:
        """A run has begun, or its child has."""
        self.note(under_way=under_way)

    def progress(self, now: Progress) -> None:
        """Something happens; other processes read it at most every `PROGRESS_S`."""
        self.note(now=now)

    def stopped(self) -> Literal["cancelled", "interrupted"] | None:
        """How it ends if it is to stop now; None where it goes on. Looked at often: it writes late progress too."""
        self._write_progress()
        if self.cancel_asked:
            return "cancelled"
        return "interrupted" if self._closing.is_set() else None

    def note(self, **changes: Any) -> None:
        """Take down how far it has come, see `Reached`."""
        if all(getattr(self.reached, name) == value for name, value in changes.items()):
            return
        self._show(self._after(changes))
        if set(changes) == {"now"}:
            self._write_progress()
        else:
            self._write(self.reached)

    def end(self, **changes: Any) -> None:
        """Nothing more happens: written down and let go before anyone here sees it as ended."""
        ended = self._after(changes | {"now": None, "under_way": None})
        self._write(ended)
        self.lock.release()
        self._show(ended)

    def write_again(self) -> None:
        """Try once more to write down how it ended."""
        self._write(self.reached)

    def _after(self, changes: dict[str, Any]) -> Reached:
        return replace(self.reached, seconds=self.seconds, **changes)

    def _show(self, reached: Reached) -> None:
        with self._changed:
            self.reached = reached
            self._changed.notify_all()

    def _write_progress(self) -> None:
        if not self.on_disk and time.monotonic() >= self._written_s + PROGRESS_S:
            self._write(self.reached)

    def _write(self, reached: Reached) -> None:
        self._written_s = time.monotonic()
        with contextlib.suppress(OSError):  # a full disk stops no measurement
            self._files.write_reached(self.record.job_id, reached)
            self._written = reached
