"""The roof of a machine: figures that follow from an invented clock, and one real run."""

from __future__ import annotations

from itertools import count

import pytest

torch = pytest.importorskip("torch")

from advisor.measure.runtimes.interface import CannotRun  # noqa: E402
from advisor.measure.workers import roof  # noqa: E402

pytestmark = pytest.mark.timm

MB = 10**6


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine with 240 MB available, of which 10 % may be used: the returned list can be changed."""
    available = [240 * MB]
    monkeypatch.setattr(roof, "_available_bytes", lambda target: available[0])
    return available


def test_speed_is_multiply_adds_and_traffic_per_second(little_memory: list[int]) -> None:
    clock = count().__next__  # one second from each reading to the next: every piece of work takes a second
    found = roof.measure_roof("cpu", "fp32", 1, clock=clock, budget_s=10.0)
    # in a room of 24 MB the largest product has a side of 1024, at 16 bytes a value
    assert found.macs_per_s == 1024**3
    # an array is a third of the room; the triad moves three of them
    assert found.bytes_per_s == 3 * 8 * MB
    assert (found.precision, found.threads) == ("fp32", 1)


def test_memory_is_bounded_by_a_tenth_of_what_is_available(
    little_memory: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = torch.full

    def full(shape: tuple[int, ...], *rest: object, **options: object) -> object:
        made.append(4 * shape[0])
        return real(shape, *rest, **options)

    monkeypatch.setattr(torch, "full", full)
    roof.measure_roof("cpu", "fp32", 1, clock=count().__next__, budget_s=2.0)
    assert 0 < sum(made) <= 24 * MB


def test_tf32_is_refused_where_there_is_none(little_memory: list[int]) -> None:
    with pytest.raises(CannotRun, match="cpu has no roof in it: ask for fp32"):
        roof.measure_roof("cpu", "tf32", 1, clock=count().__next__, budget_s=2.0)


def test_no_room_at_all_is_said(little_memory: list[int]) -> None:
    little_memory[0] = MB
    with pytest.raises(CannotRun, match="too little free memory on cpu"):
        roof.measure_roof("cpu", "fp32", 1, clock=count().__next__, budget_s=2.0)


def test_slow_products_end_early(little_memory: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []
    monkeypatch.setattr(torch, "mm", lambda left, right: sides.append(left.shape[0]))
    clock = count(step=5).__next__  # a product of the least size takes 5 s: one of the next would take 40 s
    roof.measure_roof("cpu", "fp32", 1, clock=clock, budget_s=6.0)
    assert set(sides) == {256}


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(CannotRun, match="'auto' is not measured; those that are: fp32"):
        roof.measure_roof("cpu", "auto", 1)


def test_a_missing_product_is_said(little_memory: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(left: object, right: object) -> None:
        raise RuntimeError("\"addmm_impl\" not implemented for 'Half'\nException raised from ...")

    monkeypatch.setattr(torch, "mm", missing)
    with pytest.raises(CannotRun, match=r"cpu has no matrix product in fp16 .*not implemented for 'Half'"):
        roof.measure_roof("cpu", "fp16", 1)


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "int8"])
def test_a_real_roof_is_within_reason_and_threads_are_put_back(little_memory: list[int], precision: str) -> None:
    before = torch.get_num_threads()
    found = roof.measure_roof("cpu", precision, 1, budget_s=0.05)
    assert torch.get_num_threads() == before
    assert 1e8 < found.macs_per_s < 1e14
    assert 1e8 < found.bytes_per_s < 1e13
