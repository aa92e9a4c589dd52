"""What TorchInductor has compiled and keeps on disk for the next process, where one was stopped while it wrote.

It takes whatever is there under the right name for a compiled kernel, so that a network whose compilation was cancelled
once could not be loaded ever again.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch._inductor.runtime.cache_dir_utils import cache_dir

MOST = 8  # of one network that are looked for: a compiler on two cores was writing two, if any
_SIGNS = ("file too short", "cannot read file data", "invalid ELF header")  # it is empty, or ends within its header
_KERNEL = re.compile(r"/[^\s:'\"]+\.so\b")


def forget_half_written(said: str) -> bool:
    """Remove the half-written kernels that a loader complains of, and nothing outside the cache.

    Args:
        said: Its complaint, which names them.

    Returns:
        Whether there were any, so that compiling once more may help.
    """
    if not any(sign in said for sign in _SIGNS):
        return False
    kept = Path(cache_dir()).resolve()
    named = {Path(name).resolve() for name in _KERNEL.findall(said)}
    broken = [path for path in named if path.is_relative_to(kept) and path.is_file()]
    for path in broken:
        path.unlink(missing_ok=True)
    return bool(broken)
