"""A clock for tests: its time passes only when told."""

from __future__ import annotations


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
