"""What this machine can do at one precision: the roof over every measured network."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import torch
from torch import Tensor

from advisor.measure.run import Roof
from advisor.measure.runtimes.interface import CannotRun

# what the products of a precision are computed in; under autocast they run in the narrow type
_TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16,
    "amp-fp16": torch.float16, "amp-bf16": torch.bfloat16, "int8": torch.int8,
}  # fmt: skip
_SIDES = (256, 512, 1024, 1536, 2048, 3072, 4096, 8192, 12288)  # of the square factors; the best one counts
_COPY_BYTES = 256 * 10**6  # an array: eight times the last-level cache of most CPUs
_MAX_BYTES = 10**9  # of everything held at once
_MEMORY_SHARE = 0.1  # of what is available, if that is less
_BUDGET_S = 0.6  # for products, and as much again for copies
_MIN_ROUNDS = 3
_GPU_COPY_PASSES = 4  # between two readings of the clock: a launch on a GPU costs as much as 30 MB of copying


def measure_roof(
    target: str,
    precision: str,
    threads: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    budget_s: float = _BUDGET_S,
) -> Roof:
    """Best of several large products and copies; about a second, at most 10 % of the available memory and 1 GB.

    Both are achieved, not theoretical: S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009, and
    J. McCalpin's STREAM, whose counting (each array once read or written) is used here.

    Raises:
        CannotRun: The precision has no matrix product on this device.
    """
    if precision not in _TYPES:
        raise CannotRun(f"The roof of precision '{precision}' is not measured; those that are: {', '.join(_TYPES)}.")
    room = min(_MAX_BYTES, int(_MEMORY_SHARE * _available_bytes(target)))
    with torch.inference_mode(), _threads(threads), _fp32_products(target, precision):
        timer = _Timer(target, clock, budget_s)
        try:
            macs_per_s = _best_product(timer, _TYPES[precision], room)
        except RuntimeError as exc:  # "not implemented for 'Half'" and the like
            reason = str(exc).strip().partition("\n")[0]
            raise CannotRun(f"{target} has no matrix product in {precision} ({reason}).") from exc
        return Roof(precision, threads, macs_per_s, _best_copy(timer, room))


class _Timer:
    """Seconds of a piece of work with the device idle before and after."""

    def __init__(self, target: str, clock: Callable[[], float], budget_s: float) -> None:
        self.target, self.clock, self.budget_s = target, clock, budget_s

    def synchronise(self) -> None:
        if self.target.startswith("cuda"):
            torch.cuda.synchronize(self.target)
        elif self.target == "mps":
            torch.mps.synchronize()

    def best(self, work: Callable[[], object], budget_s: float) -> float:
        """Fastest round: at least three after the first, unless they take more than three times the budget."""
        best, start, rounds = self._once(work), self.clock(), 0
        while True:
            spent = self.clock() - start
            if spent >= (budget_s if rounds >= _MIN_ROUNDS else _MIN_ROUNDS * budget_s):
                return best
            best, rounds = min(best, self._once(work)), rounds + 1

    def _once(self, work: Callable[[], object]) -> float:
        self.synchronise()
        start = self.clock()
        work()
        self.synchronise()
        return max(self.clock() - start, 1e-9)  # a clock that stands still makes no division by zero


def _best_product(timer: _Timer, kind: torch.dtype, room: int) -> float:
    """Multiply-adds per second, sizes growing as long as a product fits into the time and the memory."""
    best, end = 0.0, timer.clock() + timer.budget_s
    for side in _SIDES:
        values = side * side
        expected_s = side**3 / best if best else 0.0  # at the best speed so far
        # an fp32 draft of the values, both factors, and the product, which int8 factors make in 32 bits
        too_large = (3 * kind.itemsize + 4) * values > room
        if too_large or expected_s > timer.budget_s or (side > _SIDES[2] and timer.clock() > end):
            break
        left, right = _values(side, side, kind, timer.target), _values(side, side, kind, timer.target)
        product = partial(torch._int_mm if kind == torch.int8 else torch.mm, left, right)
        best = max(best, side**3 / timer.best(product, timer.budget_s / len(_SIDES)))
    if not best:
        raise CannotRun(f"There is too little free memory on {timer.target} to measure its roof.")
    return best


def _best_copy(timer: _Timer, room: int) -> float:
    """Bytes per second, reads plus writes: the better of STREAM's copy (2 arrays) and triad (3 arrays)."""
    values = min(_COPY_BYTES, room // 3) // 4
    a, b, c = (torch.full((values,), float(i), device=timer.target) for i in range(3))
    passes = 1 if timer.target == "cpu" else _GPU_COPY_PASSES

    def copy() -> None:
        for _ in range(passes):
            b.copy_(a)

    def triad() -> None:
        for _ in range(passes):
            torch.add(a, b, alpha=3.0, out=c)

    moved = passes * values * 4
    half = timer.budget_s / 2
    return max(2 * moved / timer.best(copy, half), 3 * moved / timer.best(triad, half))


def _values(rows: int, columns: int, kind: torch.dtype, target: str) -> Tensor:
    """Ordinary values: zeros are faster on some GPUs, which clock up when few bits flip."""
    if kind == torch.int8:
        return torch.randint(-127, 128, (rows, columns), dtype=kind, device=target)
    return torch.randn(rows, columns, device=target).to(kind)


def _available_bytes(target: str) -> int:
    if target.startswith("cuda"):
        return int(torch.cuda.mem_get_info(target)[0])
    return int(psutil.virtual_memory().available)


@contextlib.contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _fp32_products(target: str, precision: str) -> Iterator[None]:
    """On CUDA compute products of fp32 values in TF32 or in fp32, whichever is asked for.

    PyTorch lets cuDNN's convolutions use TF32 unless told otherwise, but not matrix products: a roof in fp32 would
    lie below what convolutions reach, so that those have a roof of their own, "tf32".

    Raises:
        CannotRun: TF32 is asked for where there is none.
    """
    if not target.startswith("cuda"):
        if precision == "tf32":
            raise CannotRun(f"TF32 is a precision of NVIDIA's GPUs, so {target} has no roof in it: ask for fp32.")
        yield
        return
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before
