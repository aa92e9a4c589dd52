"""Which networks are worth measuring first, before anything is known of their speed here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from advisor.advice.pareto import pareto_front


def worth_measuring(
    scored: pd.DataFrame,
    top: int,
    *,
    families: Sequence[str] | None,
    accuracy: str = "top1",
    max_gmacs: float = float("inf"),
) -> list[tuple[str, int]]:
    """The `top` networks nearest to the front of accuracy against MACs, cheapest first.

    MACs are no latency, so whole fronts are peeled off one after the other: the second and third front hold the
    networks that a front of latencies is likely to promote. Named families share the places evenly, since one
    family can fill every front by MACs; where a front has more members than places, they are taken evenly over MACs.

    Args:
        scored: As the query `scored` gives it.
        families: Only these; None takes all, as one group.
        max_gmacs: Networks with more are left out: 10^11 MACs take seconds a pass on a CPU.

    Returns:
        Architecture and image size, each once.
    """
    known = scored[(scored["gmacs"] <= max_gmacs) & scored[accuracy].notna()]
    best = known.sort_values([accuracy, "weights"], ascending=[False, True])
    best = best.drop_duplicates(["architecture", "img_size"]).reset_index(drop=True)
    losses = np.column_stack([best["gmacs"].to_numpy(float), -best[accuracy].to_numpy(float)])
    groups = [best.index.to_numpy()]
    if families is not None:
        groups = [best.index[best["family"] == name].to_numpy() for name in families]
    taken: list[int] = []
    # the smallest groups first, so that the places they cannot fill go to the larger ones
    for i, group in enumerate(sorted(groups, key=len)):
        taken += _peeled(losses, group, (top - len(taken)) // (len(groups) - i))
    chosen = best.iloc[sorted(taken, key=lambda i: (losses[i, 0], i))]
    return [(str(a), int(s)) for a, s in zip(chosen["architecture"], chosen["img_size"], strict=True)]


def _peeled(losses: np.ndarray, left: np.ndarray, places: int) -> list[int]:
    """Rows of the first front, then of the front of what is left, and so on, until all places are taken."""
    taken: list[int] = []
    while len(taken) < places and len(left):
        front = left[pareto_front(losses[left])]
        room = places - len(taken)
        if len(front) > room:
            ordered = front[np.lexsort((front, losses[front, 0]))]
            # the middle of `room` equal stretches: neither the smallest nor the largest network is always in
            front = ordered[((np.arange(room) + 0.5) * len(ordered) / room).astype(int)]
        taken += front.tolist()
        left = np.setdiff1d(left, front)
    return taken
