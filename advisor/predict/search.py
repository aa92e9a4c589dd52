"""Find the most accurate network within a latency budget: predict all, measure the few that could win.

An option is a network at an image size in a setup, one flat list of all of them. The answer is only ever one that was
measured; predictions decide what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from advisor.predict.pace import AT_FULL_PACE
from advisor.predict.predictor import Posterior
from advisor.predict.slowness import FULL_PACE
from advisor.predict.suffering import UNKNOWN

MAX_CONFIRMATIONS = 5
# No further measurement where the expected gain is below this many points of top-1: a tenth of the sampling error of
# ImageNet's 50,000 images.
LEAST_GAIN = 0.01
# Of networks on devices held out 44 % deviate from what is predicted by less than half a standard deviation, where a
# normal distribution has 38 %: intervals are right at 90 %, their middle is narrower by this factor. Which of the
# likely options to measure is decided in the middle; it costs 0.01 points of regret on CPUs not to mind it.
_MIDDLE = 0.85
# Two measurements of one network minutes apart differ by this standard deviation of the logarithm on a shared machine,
# however narrow the interval of each is.
_AGAIN = 0.1
_95_PERCENT = 1.96  # standard deviations from the middle to the end of a 95 % interval
MAX_TRIES = 2  # one that was noisy, or slow as the machine was, is made once more; then it is taken as it is
Predict = Callable[[list[int], list[float]], Posterior]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What measuring an option has shown.

    Attributes:
        latency_ms: Median of one forward pass of one batch.
        high_ms: The upper end of the median's 95 % interval.
        steady: Whether the measurement may be trusted.
        tries: How often it was measured.
        allowed: Whether it keeps the limits that only measuring can tell, memory above all.
        slowdown: How many times slower than at its full pace, of which predictions speak, the machine was meanwhile.
    """

    latency_ms: float
    high_ms: float
    steady: bool = True
    tries: int = 1
    allowed: bool = True
    slowdown: float = 1.0

    @classmethod
    def exactly(cls, latency_ms: float) -> Outcome:
        """A measurement without error."""
        return cls(latency_ms, latency_ms)

    @property
    def slow(self) -> bool:
        """Whether the machine was not at its full pace: what is over a budget then may be within it otherwise."""
        return self.slowdown > AT_FULL_PACE

    def settled(self, budget_ms: float) -> bool:
        """Whether measuring it again is not worth while."""
        told = self.steady and (not self.slow or self.keeps(budget_ms))
        return told or self.tries >= MAX_TRIES or not self.allowed

    def keeps(self, budget_ms: float) -> bool:
        """Whether it is within the budget, be it noisy, with the upper end of its interval."""
        return self.allowed and self.high_ms <= budget_ms

    def probability_within(self, budget_ms: float) -> float:
        """How probable it is that another measurement without that slowdown is within the budget, by this one alone."""
        deviation = max(np.log(self.high_ms / self.latency_ms) / _95_PERCENT, _AGAIN)
        if not self.slow:
            return float(norm.cdf(np.log(budget_ms / self.latency_ms) / deviation))
        deviation = np.hypot(deviation, UNKNOWN.doubt * np.log(self.slowdown))
        return float(norm.cdf(np.log(budget_ms * self.slowdown / self.latency_ms) / deviation))

    def then(self, again: Outcome) -> Outcome:
        """What is known once it was measured again: the one at full pace, then a steady one, then the later one."""
        kept = min((again, self), key=lambda one: (max(one.slowdown, AT_FULL_PACE), not one.steady))
        return replace(kept, tries=self.tries + again.tries)


@dataclass(frozen=True, slots=True)
class Choice:
    """What to measure next.

    Attributes:
        within: How probable it is that the option is within the budget.
        gain: Points of accuracy that measuring it is expected to gain over the best measured one.
    """

    option: int
    within: float
    gain: float


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a search.

    Attributes:
        pick: The most accurate option that was measured within the budget; None where none was.
        confirmed: Options measured for this search, in order.
    """

    pick: int | None
    confirmed: tuple[int, ...]


def find(
    accuracy: NDArray[np.float64], measured: Mapping[int, Outcome], budget_ms: float, *, predict: Predict,
    measure: Callable[[int], Outcome], max_confirmations: int = MAX_CONFIRMATIONS,
) -> Found:  # fmt: skip
    """Measure options by expected gain until none is likely to win; answer with a measured one.

    Args:
        accuracy: Shape (n_options,), percent; higher is better.
        measured: What is known already.
        budget_ms: The most that a latency may be.
        predict: What is believed of all options at full pace after those confirmations: their indices and latencies.
        measure: Measures an option.
    """
    tested, confirmed, latencies, slowdowns = dict(measured), list[int](), list[float](), list[float]()
    while len(confirmed) < max_confirmations:
        slowness = FULL_PACE.after(slowdowns)
        choice = choose(accuracy, slowness.of(predict(confirmed, latencies)), slowness.beside(tested), budget_ms)
        if choice is None:
            break
        result = measure(choice.option)
        earlier = tested.get(choice.option)
        tested[choice.option] = result if earlier is None else earlier.then(result)
        confirmed.append(choice.option)
        latencies.append(result.latency_ms)
        slowdowns.append(result.slowdown)
    return Found(best(accuracy, tested, budget_ms), tuple(confirmed))


def choose(
    accuracy: NDArray[np.float64], believed: Posterior, tested: Mapping[int, Outcome], budget_ms: float, *,
    out: Collection[int] = (),
) -> Choice | None:  # fmt: skip
    """The option whose measurement is expected to gain most; None where no gain is worth a measurement.

    Where none is, a best option whose measurement is not settled is made once more, for it is the answer.

    Args:
        believed: Of all options.
        tested: What was measured of them; settled ones are not measured again.
        out: Options that are not to be measured, whatever is believed of them.
    """
    if not len(accuracy):
        return None
    middle = Posterior(believed.mean, _MIDDLE * believed.deviation)
    gains = expected_gains(accuracy, middle, tested, budget_ms, out=out)
    chosen, leader = int(np.argmax(gains)), best(accuracy, tested, budget_ms)
    if gains[chosen] < LEAST_GAIN:
        if leader is None or tested[leader].settled(budget_ms):
            return None
        chosen = leader
    return appraised(accuracy, believed, tested, budget_ms, chosen, out=out)


def appraised(
    accuracy: NDArray[np.float64], believed: Posterior, tested: Mapping[int, Outcome], budget_ms: float, option: int, *,
    out: Collection[int] = (),
) -> Choice:  # fmt: skip
    """What measuring that option promises."""
    gains = expected_gains(accuracy, believed, tested, budget_ms, out=out)
    return Choice(option, float(_within(believed, tested, budget_ms)[option]), float(gains[option]))


def chances(
    believed: Posterior, tested: Mapping[int, Outcome], budget_ms: float, *, out: Collection[int] = ()
) -> NDArray[np.float64]:
    """How probable it is that each option is within the budget and not known yet to be.

    0 where it is out, or measuring has settled it or found it within the budget, be it noisily.
    """
    within = _within(believed, tested, budget_ms)
    within[[option for option, one in tested.items() if one.settled(budget_ms) or one.keeps(budget_ms)]] = 0.0
    within[list(out)] = 0.0
    return within


def expected_gains(
    accuracy: NDArray[np.float64], believed: Posterior, tested: Mapping[int, Outcome], budget_ms: float, *,
    out: Collection[int] = (),
) -> NDArray[np.float64]:  # fmt: skip
    """Points that measuring each option is expected to gain.

    The probability that it is within the budget times what it would gain over the best that was measured: one step of
    looking ahead (expected improvement: Mockus 1975; under a constraint: Gardner et al. 2014), where accuracies are
    known and the constraint is not. Looking further ahead gained nothing on devices held out. A best option that was
    measured noisily gains what would be lost if it were the answer and over the budget.
    """
    within = chances(believed, tested, budget_ms, out=out)
    leader = best(accuracy, tested, budget_ms)
    gains = within * np.maximum(accuracy - _accuracy_of(accuracy, leader), 0.0)
    if leader is not None and not tested[leader].settled(budget_ms):
        others = {option: one for option, one in tested.items() if option != leader}
        lost = accuracy[leader] - _accuracy_of(accuracy, best(accuracy, others, budget_ms))
        gains[leader] = (1 - tested[leader].probability_within(budget_ms)) * lost
    return np.asarray(gains)


def _within(believed: Posterior, tested: Mapping[int, Outcome], budget_ms: float) -> NDArray[np.float64]:
    """How probable it is that each option is within the budget: by its own measurement where there is one."""
    within = believed.probability_within(budget_ms)
    for option, one in tested.items():
        within[option] = one.probability_within(budget_ms)
    return within


def best(accuracy: NDArray[np.float64], tested: Mapping[int, Outcome], budget_ms: float) -> int | None:
    """The most accurate option that was measured within the budget: of equal ones a steady one, then the fastest."""
    kept = [option for option, one in tested.items() if one.keeps(budget_ms)]
    order = sorted(kept, key=lambda o: (-accuracy[o], not tested[o].steady, tested[o].latency_ms, o))
    return order[0] if order else None


def to_beat(accuracy: NDArray[np.float64], tested: Mapping[int, Outcome], budget_ms: float) -> float:
    """The accuracy of the best option that was measured within the budget; without one, a stand-in below every one."""
    return _accuracy_of(accuracy, best(accuracy, tested, budget_ms))


def _accuracy_of(accuracy: NDArray[np.float64], option: int | None) -> float:
    if option is not None or not len(accuracy):
        return 0.0 if option is None else float(accuracy[option])
    return float(2 * accuracy.min() - accuracy.max())  # an answer at all is worth more than the last point
