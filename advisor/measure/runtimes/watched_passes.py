"""How long, and how often, a runtime is watched to learn what each of its steps takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_FEWEST, _MOST, _BUDGET_S = 5, 30, 0.4
T = TypeVar("T")


def watched_passes(
    run: Callable[[], T], *, most: int = _MOST, clock: Callable[[], float] = time.perf_counter
) -> list[T]:  # fmt: skip
    """What each of some passes gives, of 0.4 s in all and not more than `most`, after one that does not count."""
    run()
    began, found = clock(), list[T]()
    while len(found) < _FEWEST or (len(found) < most and clock() - began < _BUDGET_S):
        found.append(run())
    return found
