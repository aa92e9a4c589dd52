"""When and how often a network is watched: at the machine's full pace, as long as there is patience."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from advisor.measure.request import Request
from advisor.measure.runtimes.watched_passes import Wait, waiting, watched_passes
from tests.invented_clock import Clock

PULSE_S = 0.25


def waits(clock: Clock, pulses_ms: list[float], wanted_ms: float | None = 1.05) -> Wait:
    """Waits on a machine of those pulses, each of which takes a quarter of a second to take; the last one stays."""
    left = iter(pulses_ms)

    def take() -> float:
        clock.now += PULSE_S
        return next(left, pulses_ms[-1])

    request = Request(architecture="resnet50", pulse_ms=wanted_ms)
    return waiting(request, take=take, clock=clock)


def test_it_waits_until_the_machine_is_at_full_pace() -> None:
    clock = Clock()
    wait = waits(clock, [1.4, 1.3, 1.0, 1.0])
    assert (wait(), clock.now) == (2 * PULSE_S, 3 * PULSE_S)
    assert wait() == 0.0


def test_patience_is_for_all_passes_together() -> None:
    clock = Clock()
    wait = waits(clock, [1.4, 1.0, 1.4])
    assert wait() == PULSE_S
    assert wait() == pytest.approx(2.0 - PULSE_S)
    assert wait() == 0.0


def test_where_no_pace_is_asked_for_nothing_is_waited_for() -> None:
    clock = Clock()
    assert (waits(clock, [9.0], None)(), clock.now) == (0.0, 0.0)


@pytest.mark.parametrize(("pass_s", "n"), [(0.5, 5), (0.0625, 7), (0.001, 30)])
def test_waiting_takes_nothing_of_the_time_for_passes(pass_s: float, n: int) -> None:
    """0.4 s of passes, five at least and thirty at most, after one wait of a second and two that do not count."""
    clock, told = Clock(), list[int]()

    def run() -> int:
        clock.now += pass_s
        told.append(len(told))
        return told[-1]

    def wait() -> float:
        clock.now += 1.0
        return 1.0

    assert watched_passes(run, wait, clock=clock) == list(range(2, n + 2))
    assert clock.now == pytest.approx(1.0 + (n + 2) * pass_s)
