"""How far batches can grow: throughput over their sizes and the largest that fits, with invented batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

pytestmark = pytest.mark.timm

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from advisor.measure.request import Request  # noqa: E402
from advisor.measure.run import BatchPoint  # noqa: E402
from advisor.measure.runtimes.interface import CannotRun  # noqa: E402
from advisor.measure.workers import build, largest_batch, throughput  # noqa: E402
from tests.invented_clock import Clock  # noqa: E402

# -- the batch sweep -------------------------------------------------------------------------------------


def swept(
    throughputs: Sequence[float], *, budget_s: float = 1e9, full_at: int = 2**30, costs_s: float = 1.0,
    failure: Exception | None = None, samples: Sequence[int] = (10,),
):  # fmt: skip
    clock = Clock()

    def measure(batch_size: int) -> BatchPoint:
        if batch_size >= full_at:
            raise failure or MemoryError
        clock.now += costs_s * batch_size
        per_s = throughputs[min(batch_size.bit_length(), len(throughputs)) - 1]
        n_samples = samples[min(batch_size.bit_length(), len(samples)) - 1]
        return BatchPoint(batch_size, per_s, 1000 * batch_size / per_s, n_samples)

    return throughput.sweep(measure, clock=clock, budget_s=budget_s, is_out_of_memory=build.is_out_of_memory)


def test_the_sweep_ends_when_two_batches_in_a_row_bring_less_than_2_percent() -> None:
    found = swept([100, 150, 151, 200, 203, 201, 500])
    assert [point.batch_size for point in found.curve] == [1, 2, 4, 8, 16, 32]
    assert (found.best_batch_size, found.best_per_s, found.stopped) == (16, 203, "no longer rising")


def test_one_batch_without_gain_does_not_end_the_sweep() -> None:
    found = swept([100, 90, 200, 200, 200])
    assert [point.batch_size for point in found.curve] == [1, 2, 4, 8, 16]
    assert found.best_batch_size == 4


def test_the_sweep_ends_where_memory_does() -> None:
    found = swept([100, 200, 400, 800], full_at=8)
    assert (found.best_batch_size, found.stopped) == (4, "memory")


def test_the_sweep_begins_no_batch_that_would_end_after_its_time() -> None:
    found = swept([100, 200, 400, 800, 1600, 3200], budget_s=20)  # 1 + 2 + 4 + 8 s, and 16 more would be too much
    assert (found.best_batch_size, found.stopped) == (8, "time")


def test_any_other_failure_ends_the_sweep_and_keeps_the_batches_before_it() -> None:
    found = swept([100, 200, 400, 800], full_at=8, failure=ValueError("no kernel for this."))
    assert (found.best_batch_size, len(found.curve), found.stopped) == (4, 3, "no kernel for this")


def test_a_batch_of_few_samples_does_not_decide_which_is_best() -> None:
    found = swept([100, 200, 400, 800], full_at=16, samples=[30, 10, 5, 4])
    assert (found.best_batch_size, found.best_per_s, len(found.curve)) == (4, 400, 4)
    alone = swept([100, 200], full_at=4, samples=[3, 1])
    assert alone.best_batch_size == 2  # there is nothing better than few


def test_a_sweep_without_a_single_batch_is_an_error() -> None:
    with pytest.raises(MemoryError):
        swept([100], full_at=1)


# -- the largest batch -----------------------------------------------------------------------------------


def tries_of(fits: int, asked: list[int]):
    def attempt(sizes: Sequence[int]) -> Iterator[int]:
        for size in sizes:
            asked.append(size)
            if size > fits:
                return
            yield size

    return attempt


@settings(max_examples=60)
@given(fits=st.integers(1, 70000))
def test_the_largest_batch_is_found_to_a_sixteenth(fits: int) -> None:
    asked: list[int] = []
    found = largest_batch.search(tries_of(fits, asked), in_time=lambda: True)
    assert found.batch_size is not None
    assert found.batch_size <= fits
    if fits >= largest_batch.MAX_BATCH_SIZE:
        assert found == largest_batch.Found(largest_batch.MAX_BATCH_SIZE, "largest batch size")
    else:
        assert found.stopped == "memory"
        assert fits - found.batch_size < max(1, found.batch_size / 16) + 1
    assert len(asked) <= 17 + 4  # doubling, and a sixteenth in four halvings


def failing_tries(runs: int):
    def attempt(sizes: Sequence[int]) -> Iterator[int]:
        for size in sizes:
            if size > runs:
                raise CannotRun("made_up failed with ValueError: odd.")
            yield size

    return attempt


def test_another_failure_than_memory_ends_the_search_with_its_words() -> None:
    found = largest_batch.search(failing_tries(8), in_time=lambda: True)
    assert found == largest_batch.Found(8, "made_up failed with ValueError: odd")
    assert largest_batch.advised(found) is None
    none = largest_batch.search(failing_tries(0), in_time=lambda: True)
    assert none == largest_batch.Found(None, "made_up failed with ValueError: odd")


def test_a_failure_in_training_keeps_the_largest_batch_of_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"infer": 4, "train": 0}
    monkeypatch.setattr(largest_batch._Tries, "attempt", lambda tries, sizes: failing_tries(runs[tries.mode])(sizes))
    request = Request(architecture="made_up")
    found = largest_batch.find(request, threads=1, budget_s=1e6)
    assert (found.infer, found.train) == (4, None)
    assert found.limit.endswith("odd for inference, made_up failed with ValueError: odd for training")
    runs["infer"] = 0
    with pytest.raises(CannotRun, match=r"^made_up failed with ValueError: odd\.$"):
        largest_batch.find(request, threads=1, budget_s=1e6)


def test_no_batch_fits() -> None:
    assert largest_batch.search(tries_of(0, []), in_time=lambda: True) == largest_batch.Found(None, "memory")


def test_training_starts_from_two_images() -> None:
    asked: list[int] = []
    found = largest_batch.search(tries_of(5, asked), in_time=lambda: True, smallest=2)
    assert found.batch_size == 5
    assert asked == [2, 4, 8, 6, 5]


def test_the_search_for_the_largest_batch_ends_with_its_time() -> None:
    asked: list[int] = []
    found = largest_batch.search(tries_of(1000, asked), in_time=lambda: len(asked) < 13)
    assert found == largest_batch.Found(896, "time")  # 512 ran, 1024 not, 768 and 896 did, then time was up


@pytest.mark.parametrize(("largest", "left"), [(100, 90), (1, 1), (7, 6), (None, None)])
def test_a_tenth_of_the_largest_batch_is_left_free(largest: int | None, left: int | None) -> None:
    assert largest_batch.advised(largest_batch.Found(largest, "memory")) == left


def test_a_search_that_time_ended_advises_nothing() -> None:
    assert largest_batch.advised(largest_batch.Found(8, "time")) is None
