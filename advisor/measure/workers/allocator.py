"""The C library's memory allocator, made to behave as in a process that has been serving for a while.

glibc hands large freed blocks back to the system and fetches them again in the next pass, each page with a page fault;
whether it does depends on what else happens to lie on the heap. A latency with that in it says more of the heap than of
the network: on two cores a pass of efficientnet_b0 in a fresh process had 5,933 page faults and took 25.6 ms, and 2 and
16.8 ms with freed memory kept (medians of three, `python -m tests.benchmarks.disturbances --rounds 3`).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_NEVER = 2**31 - 1  # bytes; the largest value that mallopt takes
_LARGE = (2**30, 2**25)  # bytes; older versions of glibc refuse more than 32 MiB


def keep_freed_memory() -> bool:
    """Have this process use freed memory again instead of handing it back; whether that could be done.

    The same for any process of a user: MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=1073741824.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt  # glibc's alone
    except (OSError, AttributeError):
        return False
    large = any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGE)
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER)) and large
