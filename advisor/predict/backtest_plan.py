"""What a backtest draws; apart from the backtest so that commands can offer it without loading scipy."""

from __future__ import annotations

from dataclasses import dataclass

MIN_ROWS = 100  # of a setup: 20 probes must leave enough to judge by
N_PROBES = (5, 10, 20)
DRAWS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn: numbers of probes, random draws of each, and the seed."""

    n_probes: tuple[int, ...] = N_PROBES
    draws: int = DRAWS
    seed: int = 0
