"""Which networks to measure first: a few, cheap, in order, that tell most about all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from advisor.predict.belief import SPEED, Belief, Scales

# Only networks with at most as many multiply-adds as this share of all: the rest takes most of the time and, beyond
# what the others tell, informs about itself alone.
CHEAP = 0.7
_DIGITS = 9  # libraries of linear algebra differ in what comes after, and the order is the same with all of them
_REFERENCE = 400  # networks whose uncertainty is summed, spread evenly over all: the order is the same with all of them


def chosen(
    believed: Belief, scales: Scales, macs: NDArray[np.float64], *, n: int, among: NDArray[np.intp],
    effort: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:  # fmt: skip
    """The `n` networks to measure, most telling first; stop anywhere and it is still the best start.

    Greedy: each time the one after which the summed variance of all networks' log latencies is least (Cohn 1996,
    "active learning with statistical models"), or, where some take more effort than others, that lowers it most for
    its effort. What a belief is unsure of are the rates of the operator classes, the common patterns of other devices,
    and families; so these are what the probes cover.

    Args:
        macs: Shape (n_profiles,), of one image.
        among: Rows of the networks that can be measured.
        effort: Shape (n_profiles,), in any unit: what measuring each takes; the same for all where it is left out.

    Returns:
        Rows, at most as many as are cheap among those; ties go to the earlier row.
    """
    cheap = among[macs[among] <= np.quantile(macs[among], CHEAP)]
    reference = among[:: -(-len(among) // _REFERENCE)]
    efforts = np.ones(len(cheap)) if effort is None else effort[cheap]
    own = SPEED**2 + believed.covariance(cheap, cheap, scales)
    onto = SPEED**2 + believed.covariance(reference, cheap, scales)
    found: list[int] = []
    while len(found) < min(n, len(cheap)):
        noisy = np.diag(own) + scales.noise**2
        gains = np.square(onto).sum(axis=0) / noisy / efforts
        gains[found] = -np.inf
        best = int(np.argmax(np.round(gains / gains.max(), _DIGITS)))
        found.append(best)
        told = own[best] / noisy[best]
        onto = onto - np.outer(onto[:, best], told)
        own = own - np.outer(own[:, best], told)
    return cheap[found]
