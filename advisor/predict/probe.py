"""A network that was measured in a setup, from which others are predicted."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.measure.run import TimedOperator
from advisor.measure.stretches import Stretch
from advisor.predict.suffering import UNKNOWN, Suffering


@dataclass(frozen=True, slots=True)
class Probe:
    """A network that was measured.

    Attributes:
        latency_ms: Of one forward pass of one batch of the setup.
        operators: What each operator inside it took, where that was measured.
        stretch: The run beside the machine's pulse; None where its pace is not known.
        noisy: Whether its measurement was.
        suffers: The power of the machine's slowdown by which it is slower itself, see `suffering`; None where its
            run does not tell: it counts as what its setup's networks are expected to suffer then.
        suffering: The powers of its setup.
        matrix_units: Whether its multiply-adds are left to units of the CPU that multiply whole tiles of matrices, so
            that networks suffer by what they are made of.
        slow: Logarithm of how much slower than at its full pace the machine was, where the latency is corrected for
            that and in doubt by as much (`pace`); else 0.
        unsure: Standard error of the logarithm of the latency, by the times of its run.
    """

    architecture: str
    img_size: int
    latency_ms: float
    operators: tuple[TimedOperator, ...] = ()
    stretch: Stretch | None = None
    noisy: bool = False
    suffers: float | None = None
    suffering: Suffering = UNKNOWN
    matrix_units: bool = False
    slow: float = 0.0
    unsure: float = 0.0

    @property
    def key(self) -> tuple[str, int]:
        """What was measured."""
        return self.architecture, self.img_size

    def __post_init__(self) -> None:
        if not 0 < self.latency_ms < float("inf"):
            raise ValueError(f"a latency of {self.latency_ms} ms")
