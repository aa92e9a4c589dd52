"""The turn to measure: one timing at a time on a machine, whatever home the programs have."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

_FOR_EVERYONE = 0o666  # users of one machine disturb each other's timings too


def of_this_machine() -> Path:
    """The lock file that all programs on this machine share, as far as they share its temporary folder."""
    return Path(tempfile.gettempdir()) / "architecture-advisor-timing.lock"


class Turn:
    """Two locks, of the home and of the machine; the turn is taken when both are held.

    One for all devices: a CPU and a GPU timing share cores, memory and power, and would disturb each other. The
    machine's lock is left out where this user may not use it (a locked-down temporary folder, another user's file):
    it keeps timings apart, but must not keep anyone from measuring.

    Args:
        home_lock: In the home, whose folder is there when the turn is taken.
        machine_lock: In a folder that all users may write to.
    """

    def __init__(self, home_lock: Path, machine_lock: Path) -> None:
        self._home = FileLock(home_lock, thread_local=False)
        self._machine = FileLock(machine_lock, mode=_FOR_EVERYONE, thread_local=False)

    @property
    def taken(self) -> bool:
        """Whether it is ours."""
        return self._home.is_locked

    def take(self) -> bool:
        """Take it if it is free; whether it is ours now.

        Raises:
            OSError: The home cannot be written to.
        """
        try:
            self._home.acquire(blocking=False)
        except Timeout:
            return False
        try:
            self._machine.acquire(blocking=False)
        except Timeout:
            self._home.release()
            return False
        except (OSError, NotImplementedError):
            pass  # see above
        return True

    def give_back(self) -> None:
        """Let the next one measure; nothing happens where it was not taken."""
        self._machine.release()
        self._home.release()

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()
