"""How long, how often and when a network is watched to learn what each of its steps takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from advisor.measure.request import Request
from advisor.measure.workers.pulse import pulse

_FEWEST, _MOST, _BUDGET_S = 5, 30, 0.4
# Passes before those that count. The first lays out memory; and where PyTorch has taken the pulse, its threads go on
# waiting for more work, busily, for some 3 ms, so that a pass begins at half its speed.
UNSEEN = 2
# To wait for the machine's full pace, in all: in a slow moment products may take twice as long and all else as ever, so
# that a pass is divided wrongly.
_PATIENCE_S = 2.0
Wait = Callable[[], float]
T = TypeVar("T")


def waiting(
    request: Request, *, synchronise: Callable[[], None] = lambda: None, take: Callable[[], float] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Wait:  # fmt: skip
    """What waits until the machine is at the pace that a request waits for, and gives the s: 2 in all, then no more.

    Args:
        take: Gives the machine's pulse, ms; None takes that of the target.
    """
    if request.pulse_ms is None:
        return lambda: 0.0
    wanted_ms, waited_s = request.pulse_ms, 0.0
    take = take or pulse(request.target, synchronise=synchronise)

    def wait() -> float:
        nonlocal waited_s
        began = now = clock()
        while waited_s + now - began < _PATIENCE_S and take() > wanted_ms:
            now = clock()
        waited_s += now - began
        return now - began

    return wait


def watched_passes(
    run: Callable[[], T], wait: Wait, *, most: int = _MOST, clock: Callable[[], float] = time.perf_counter
) -> list[T]:  # fmt: skip
    """What each of some passes gives, of 0.4 s in all and not more than `most`, after `UNSEEN` that do not count.

    Args:
        wait: Is called once, before all of them: a pulse between two would disturb the second.
    """
    wait()
    for _ in range(UNSEEN):
        run()
    began, found = clock(), list[T]()
    while len(found) < _FEWEST or (len(found) < most and clock() - began < _BUDGET_S):
        found.append(run())
    return found
