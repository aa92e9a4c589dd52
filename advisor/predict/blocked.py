"""Which convolutions ONNX Runtime computes on blocks of channels, and what the others take instead.

On x86 it keeps the channels of most convolutions in blocks that fill a vector. Others it computes as matrix products,
for which it first copies the patch under the kernel at every output position: where a group makes few channels, that
takes most of the time. On two cores of an Intel Xeon with AVX-512, 28 x 28 px, grouped 3 x 3 convolutions of 8, 24 and
40 channels a group made 29, 66 and 90 GMAC/s, dense ones of 30 and 62 channels 68 and 106 (by a script not kept here),
all within 13 % of what MACs at 190 GMAC/s and 0.23 ns for every value copied come to. In blocks, 64 made 167.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.run import BLOCK
from advisor.predict.columns import Setup

_ALIGNED = 4  # channels, of convolutions without groups and of depthwise ones: those of the last block may be missing


def in_blocks(setup: Setup) -> bool:
    """Whether a setup's runtime computes convolutions on blocks of channels where it can, and copies patches else."""
    return (setup.kind, setup.runtime, setup.precision) == ("cpu", "onnxruntime", "fp32")


def unblocked(operators: pd.DataFrame) -> NDArray[np.bool_]:
    """Shape (n_operators,): convolutions that cannot be computed on blocks of channels.

    Args:
        operators: With the columns of a signature.
    """
    reads, makes, groups = (
        operators[name].to_numpy(np.int64) for name in ("in_channels", "out_channels", "groups")
    )  # fmt: skip
    of_group = [channels // np.maximum(groups, 1) for channels in (reads, makes)]
    depthwise = (of_group[0] == 1) & (of_group[1] == 1)
    fits = np.where(
        (groups <= 1) | depthwise,
        (reads % _ALIGNED == 0) | ((groups <= 1) & (reads < BLOCK)),
        (of_group[0] % BLOCK == 0) & (of_group[1] % BLOCK == 0),
    )  # fmt: skip
    return np.asarray(~fits)


def copied(operators: pd.DataFrame) -> NDArray[np.float64]:
    """Shape (n_operators,): values of the patches that those copy, for one image; none of kernels of one pixel."""
    macs, columns, height, width = (
        operators[name].to_numpy(np.float64) for name in ("macs", "columns", "kernel_height", "kernel_width")
    )
    wanted = unblocked(operators) & (height * width > 1)
    return np.where(wanted, macs / np.maximum(columns, 1), 0.0)
