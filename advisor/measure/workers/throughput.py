"""Images per second over batch sizes: 1, 2, 4 ... until more images at once bring no more."""

from __future__ import annotations

from collections.abc import Callable

from advisor.measure.request import MAX_BATCH_SIZE
from advisor.measure.run import BatchPoint, Throughput

# A batch is no gain unless it beats the best so far by this share; two such in a row end the sweep.
LEAST_GAIN = 0.02
_PATIENCE = 2
# a median of fewer samples can be off by more than the gain that is looked for: it does not decide the best batch
FEWEST_SAMPLES = 5

NO_LONGER_RISING = "no longer rising"
MEMORY, TIME, LARGEST = "memory", "time", "largest batch size"


def sweep(
    measure: Callable[[int], BatchPoint],
    *,
    clock: Callable[[], float],
    budget_s: float,
    is_out_of_memory: Callable[[BaseException], bool],
    in_words: Callable[[Exception], str] = str,
    largest: int = MAX_BATCH_SIZE,
) -> Throughput:
    """Double the batch size from 1 until throughput stops rising, memory ends, or time does.

    Args:
        measure: Gives the throughput at a batch size; any exception at the first one is passed on.
        clock: Seconds.
        budget_s: No batch is begun that would end after it.
        is_out_of_memory: Tells exceptions that mean the end of memory from others.
        in_words: Why the sweep ended at another exception: the batches before it are good.
        largest: The last batch size that is tried.
    """
    curve: list[BatchPoint] = []
    best, flat, batch_size = 0.0, 0, 1
    began = clock()
    while True:
        start = clock()
        try:
            point = measure(batch_size)
        except Exception as exc:  # allocators raise classes of their own
            if not curve:
                raise
            return _found(curve, MEMORY if is_out_of_memory(exc) else in_words(exc).rstrip("."))
        curve.append(point)
        flat = 0 if point.throughput_per_s > best * (1 + LEAST_GAIN) else flat + 1
        best = max(best, point.throughput_per_s)
        now = clock()
        if flat == _PATIENCE:
            return _found(curve, NO_LONGER_RISING)
        if 2 * batch_size > largest:
            return _found(curve, LARGEST)
        if now - began + 2 * (now - start) > budget_s:  # the next one takes twice as long at most
            return _found(curve, TIME)
        batch_size *= 2


def _found(curve: list[BatchPoint], stopped: str) -> Throughput:
    firm = [point for point in curve if point.n_samples >= FEWEST_SAMPLES]
    best = max(firm or curve, key=lambda point: (point.throughput_per_s, -point.batch_size))
    return Throughput(tuple(curve), best.batch_size, best.throughput_per_s, stopped)
