"""A small fixed piece of work, timed between the passes of a network: how fast the machine was in that moment.

A shared machine, a laptop that changes its clock, a hypervisor that moves its guests from core to core: each runs the
same network a fifth to a third slower for some seconds or minutes, and within them the times look as steady as ever.
The pulse slows down with the network, so two runs may be compared by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional

# A convolution of the middle of a ResNet, 0.1 GMACs: all threads take part, and it fits into the second-level cache.
_CHANNELS, _SIDE, _KERNEL = 64, 56, 3
_REPEATS, _WARM_UP = 3, 1  # some 4 ms on two cores; the fastest counts, so that a moment's interruption does not


def pulse(
    target: str, *, synchronise: Callable[[], None], clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """What takes the pulse of a target: every call gives ms.

    Args:
        target: As in `Request`.
        synchronise: Waits until the target is idle.
        clock: In s.
    """
    image = torch.ones(1, _CHANNELS, _SIDE, _SIDE, device=target)
    kernels = torch.ones(_CHANNELS, _CHANNELS, _KERNEL, _KERNEL, device=target)

    def once() -> float:
        synchronise()
        start = clock()
        functional.conv2d(image, kernels, padding=_KERNEL // 2)
        synchronise()
        return 1000 * (clock() - start)

    def take() -> float:
        with torch.inference_mode():
            for _ in range(_WARM_UP):
                once()
            return min(once() for _ in range(_REPEATS))

    return take
