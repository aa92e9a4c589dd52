"""The largest batch that fits: doubling, then bisecting, each try with three full passes in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from advisor.measure.lines import Progress, decode, encode
from advisor.measure.request import MAX_BATCH_SIZE, Request
from advisor.measure.run import LargestBatch
from advisor.measure.runtimes import eager
from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers import build, failures, forked
from advisor.measure.workers.training import Step

Mode = Literal["infer", "train"]
Attempt = Callable[[Sequence[int]], Iterator[int]]

PASSES = 3  # the first allocates, the second may allocate once more (momentum), the third shows that it lasts
HEADROOM = 0.10  # other programs, fragmentation and larger images want memory too
_FINENESS = 16  # bisecting ends within a sixteenth of the result: less than the headroom
MEMORY, TIME, LARGEST = "memory", "time", "largest batch size"


@dataclass(frozen=True, slots=True)
class Found:
    """The largest batch that ran, None where not even one image did, and what stopped the search."""

    batch_size: int | None
    stopped: str


def search(attempt: Attempt, *, in_time: Callable[[], bool], smallest: int = 1, largest: int = MAX_BATCH_SIZE) -> Found:
    """Double until a batch fails, then bisect between the last that ran and the first that did not.

    Args:
        attempt: Tries batch sizes in turn and yields each that ran; ends at the first that did not. Where another
            thing than memory is the reason, it raises CannotRun, which ends the search.
        in_time: Whether there is time for one more.
        smallest: The first batch size that is tried; `largest` is the last.
    """
    doubling = [smallest]
    while 2 * doubling[-1] <= largest:
        doubling.append(2 * doubling[-1])
    ran, failure = _ran(attempt, doubling)
    if failure is not None:
        return Found(ran or None, failure)
    if not in_time():
        return Found(ran or None, TIME)
    if not ran:
        return Found(None, MEMORY)
    if ran == doubling[-1]:
        return Found(ran, LARGEST)
    failed = 2 * ran
    while failed - ran > max(1, ran // _FINENESS):
        middle = (ran + failed) // 2
        fits, failure = _ran(attempt, [middle])
        if failure is not None:
            return Found(ran, failure)
        if fits:
            ran = middle
        elif in_time():
            failed = middle
        if not in_time():  # a try that its time ended says nothing of memory
            return Found(ran, TIME)
    return Found(ran, MEMORY)


def _ran(attempt: Attempt, sizes: Sequence[int]) -> tuple[int, str | None]:
    """The last of the sizes that ran, 0 where none did, and what another failure than memory said."""
    ran = 0
    try:
        for size in attempt(sizes):
            ran = size
    except CannotRun as exc:
        return ran, str(exc).rstrip(".")
    return ran, None


def advised(found: Found) -> int | None:
    """What is left of the largest batch after the headroom; None where the search ended before it was found."""
    if found.batch_size is None or found.stopped != MEMORY:
        return None
    return max(1, int(found.batch_size * (1 - HEADROOM)))


def find(
    request: Request, *, threads: int, budget_s: float, say: Callable[[Progress], None] = lambda _: None
) -> LargestBatch:
    """The largest batches for inference and training, half of the time for each.

    Called in a process with one thread and without a CUDA context, which it forks for each try: what a try has
    allocated, or died of, is gone with it.

    Raises:
        CannotRun: Not one batch ran, of neither kind, for another reason than memory or time.
    """
    infer = _Tries(request, "infer", threads, time.monotonic() + budget_s / 2, say).found()
    train = _Tries(request, "train", threads, time.monotonic() + budget_s / 2, say).found()
    if infer.batch_size is None and train.batch_size is None and infer.stopped not in (MEMORY, TIME):
        raise CannotRun(f"{infer.stopped}.")
    return LargestBatch(
        infer=infer.batch_size,
        train=train.batch_size,
        advised_infer=advised(infer),
        advised_train=advised(train),
        limit=f"{infer.stopped} for inference, {train.stopped} for training",
    )


@dataclass(frozen=True, slots=True)
class _Tries:
    """Tries of one kind until a moment of `time.monotonic`."""

    request: Request
    mode: Mode
    threads: int
    until_s: float
    say: Callable[[Progress], None]

    def found(self) -> Found:
        # a step of one image is no training, and batch norm refuses it where maps have shrunk to one value
        smallest = 2 if self.mode == "train" else 1
        return search(self.attempt, in_time=lambda: time.monotonic() < self.until_s, smallest=smallest)

    def attempt(self, sizes: Sequence[int]) -> Iterator[int]:
        words = "inference" if self.mode == "infer" else "training"
        self.say(Progress("largest batch", detail=f"{words}, {sizes[0]}"))
        for line in forked.Forked(lambda send: self._try(sizes, send), until_s=self.until_s).lines():
            kind, value = decode(line)
            if kind == "failed":
                raise CannotRun(str(value))
            self.say(Progress("largest batch", detail=f"{words}, {value} fits"))
            yield int(value)

    def _try(self, sizes: Sequence[int], send: forked.Send) -> None:
        """In the child: say of each batch size that it ran, end quietly where memory did."""
        torch.set_num_threads(self.threads)
        make = _inference if self.mode == "infer" else Step
        synchronise = eager.synchroniser(self.request.target)
        for size in sizes:
            try:
                with eager.kernels_in_words(self.request):
                    run = make(self.request, size)
                    for _ in range(PASSES):
                        run()
                        synchronise()
            # networks, kernels and allocators raise whatever they like; only memory is what is asked here
            except Exception as exc:
                if not failures.of_memory(exc, self.request):
                    send(encode("failed", failures.in_words(exc, self.request)))
                return
            send(encode("ran", size))
            del run
            if self.request.target.startswith("cuda"):
                torch.cuda.empty_cache()


def _inference(request: Request, batch_size: int) -> Callable[[], Any]:
    built = build.build(request.architecture, request.img_size)
    few = eager.place(built.model, build.images(built.facts, min(batch_size, build.DISTINCT)), request)
    return eager.prepared(built.model, built.model, build.repeated(few, batch_size), request).run
