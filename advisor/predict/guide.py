"""The rules of a guide of 2020 as a way to answer: a family by the kind of device, a size by multiply-adds.

What it says in short ("Which architecture to choose", 2020; `advice/claims.py` checks each sentence): without a GPU
take EfficientNet; on a small device MnasNet or MobileNet; on a GPU start with ResNeSt, and where speed is needed take
RegNet. It measures nothing; to choose the size within the family, latency is taken as multiply-adds times a constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# kind of device -> families in the order in which they are tried: the next one only where the last has nothing within
# the budget, which on a GPU is the need of speed
_FAMILIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "cpu": (("EfficientNet",),),
    "laptop": (("EfficientNet",),),
    "gpu": (("ResNeSt",), ("RegNet",)),
}
_SMALL: tuple[tuple[str, ...], ...] = (("MobileNet", "MNASNet"),)  # any other kind: phones, NPUs, small boards


def guide_of_2020(
    kind: str, families: NDArray[np.object_], accuracy: NDArray[np.float64], predicted_ms: NDArray[np.float64],
    budget_ms: float,
) -> int | None:  # fmt: skip
    """Index of the most accurate network of the guide's family that is held to be within the budget.

    Args:
        kind: Of the device: "cpu", "gpu", "phone" ...
        families: Shape (n,), as `evidence.families` names them.
        accuracy: Shape (n,).
        predicted_ms: Shape (n,): multiply-adds times a constant.

    Returns:
        None where the families of the guide have nothing within the budget.
    """
    for named in _FAMILIES.get(kind, _SMALL):
        within = np.flatnonzero(np.isin(families, named) & (predicted_ms <= budget_ms))
        if len(within):
            return int(within[np.argmax(accuracy[within])])
    return None
