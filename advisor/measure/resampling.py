"""How far a median of timings can be trusted: a 95 % interval by bootstrap over blocks of neighbouring times.

Timings of one machine in a row are not independent: a slow phase makes many neighbours slow. Drawing single
times at random ignores that, and the interval comes out too narrow: on a series whose neighbours correlate by
0.8, 300 long, a "95 %" interval holds the true median in some 50 % of cases. So whole blocks of neighbours are
drawn (Carlstein, Annals of Statistics 14, 1986), as long as the series' own memory asks for; the same interval
then holds it in some 90 %. Times without memory get blocks of one, which is the ordinary bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

COVERAGE = 0.95
N_RESAMPLES = 999
# longer series are drawn less often, so that an interval costs some 0.2 s up to 25,000 times
_MOST_DRAWN = 5_000_000
_FEWEST_RESAMPLES = 199
_BATCH_DRAWN = 2_000_000  # values in memory at once, 16 MB
_FEWEST_BLOCKS = 10
# below this the whole range is the interval: it holds the median with 1 - 2 * 0.5^n, 94 % of cases at 5
FEWEST_TIMES = 6


def median_interval(times: Sequence[float] | np.ndarray, *, seed: int) -> tuple[float, float]:
    """Bootstrap 95 % interval of the median, in the unit of the times; it always holds their median.

    By percentiles: BCa needs the jackknife, which takes only two or three values for a median, so that its
    acceleration means nothing, and costs 7 s at 10,000 times. The percentiles are widened for few blocks
    (`level`).

    Args:
        times: At least one, in the order in which they were taken.
        seed: Same times and seed, same interval.
    """
    values = np.asarray(times, dtype=float)
    if len(values) < FEWEST_TIMES:
        return float(values.min()), float(values.max())
    length = block_length(values)
    medians = resampled_medians(values, length=length, seed=seed)
    middle = float(np.median(values))
    low, high = percentile_interval(medians, n_blocks=len(values) // length)
    return min(low, middle), max(high, middle)


def percentile_interval(resampled: np.ndarray, *, n_blocks: int) -> tuple[float, float]:
    """The interval of a figure from its resampled values, widened for the number of blocks drawn."""
    tail = (1 - level(n_blocks)) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def level(n_blocks: int) -> float:
    """The confidence level at which percentiles of `n_blocks` blocks cover 95 %: 0.952 at 300, 0.983 at 10.

    The "expanded percentile interval": plain percentiles behave like z in place of t and like a variance over
    n in place of n - 1 (Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
    69(4), 2015, section 5.2).
    """
    from scipy.special import ndtr, stdtrit

    quantile = stdtrit(n_blocks - 1, (1 + COVERAGE) / 2) * math.sqrt(n_blocks / (n_blocks - 1))
    return float(1 - 2 * ndtr(-quantile))


def resampled_medians(times: np.ndarray, *, length: int, seed: int) -> np.ndarray:
    """Medians of series that are put together from blocks of the given one, drawn with replacement.

    Args:
        times: In order, shape (n_times,), at least two blocks; what does not fill a block is left out, the
            earliest first.
        length: Neighbours in a block.
        seed: Same arguments, same medians.

    Returns:
        Shape (n_resamples,), n_resamples being 999, or fewer, down to 199, for more than 5,000 times.
    """
    n_blocks = len(times) // length
    blocks = times[len(times) - n_blocks * length :].reshape(n_blocks, length)
    left = int(np.clip(_MOST_DRAWN // blocks.size, _FEWEST_RESAMPLES, N_RESAMPLES))
    rng, at_once = np.random.default_rng(seed), max(1, _BATCH_DRAWN // blocks.size)
    medians: list[np.ndarray] = []
    while left > 0:  # by hand: `scipy.stats.bootstrap` gives the same, but takes half a second to import
        drawn = rng.integers(0, n_blocks, (min(at_once, left), n_blocks))
        medians.append(np.median(blocks[drawn].reshape(len(drawn), -1), axis=-1))
        left -= len(drawn)
    return np.concatenate(medians)


def block_length(times: np.ndarray) -> int:
    """How many neighbours to draw together, from how long the series remembers; at least 10 blocks remain.

    The automatic choice of Politis and White, Econometric Reviews 23(1), 2004 (corrected by Patton, Politis and
    White 2009), with the constant of blocks that do not overlap (Lahiri, Annals of Statistics 27, 1999). It
    is applied to whether a time is above the median, which is what decides the error of a median, and which
    a single far outlier cannot spoil.
    """
    n = len(times)
    above = np.sign(times - np.median(times))
    above = above - above.mean()
    variance = float(above @ above) / n
    longest = n // _FEWEST_BLOCKS
    if longest < 2 or variance == 0:
        return 1
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    most_lags = min(math.ceil(math.sqrt(n)) + run, n - 1)
    covariances = np.array([above[lag:] @ above[: n - lag] / n for lag in range(1, most_lags + 1)])
    # memory ends at the last lag that stands out before `run` lags in a row that do not
    standing_out = np.flatnonzero(np.abs(covariances) >= 2 * math.sqrt(math.log10(n) / n) * variance) + 1
    memory = 0
    for lag in standing_out:
        if lag - memory > run:
            break
        memory = int(lag)
    if memory == 0:
        return 1
    lags = np.arange(1, min(2 * memory, most_lags) + 1)
    weights = np.clip(2 * (1 - lags / len(lags)), 0, 1) * covariances[: len(lags)]
    spectrum = variance + 2 * float(weights.sum())
    # times that swing back each time would give a narrower interval than independent ones: not claimed
    if spectrum <= variance:
        return 1
    slope = 2 * float((weights * lags).sum())
    return int(np.clip(math.ceil((1.5 * slope**2 / spectrum**2 * n) ** (1 / 3)), 1, longest))
